"""The tag names that a server looks at follow the policy on its default branch, without being installed again."""

from __future__ import annotations

from ..errors import ChildFailed, ConfigError
from ..policy import DEFAULT, FILE
from ..store import git
from ..store.repository import Repository
from .place import PATTERNS, POLICY, setting
from .report import patterns_of_server


def patterns_now(repository: Repository) -> list[str]:
    """The patterns that make a result of a tag here. A policy that is new on the default branch is taken up."""
    known = (setting(repository, PATTERNS) or " ".join(DEFAULT.patterns)).split()
    policy = policy_at_head(repository)
    if policy is None or policy == setting(repository, POLICY):
        return known
    try:
        found = list(patterns_of_server(repository))
    except ConfigError:
        return known  # a policy that says nothing takes nothing back
    learn(repository, found, policy)
    return found


def learn(repository: Repository, patterns: list[str], policy: str) -> None:
    """Note patterns, and of which policy they are; where that cannot be written, they are read anew each time."""
    try:
        repository.git("config", "--local", PATTERNS, " ".join(patterns))
        repository.git("config", "--local", POLICY, policy)
    except ChildFailed:
        return


def policy_at_head(repository: Repository) -> str | None:
    """The object of the policy on the default branch; None where there is none."""
    asked = [f"--git-dir={repository.git_dir}", "rev-parse", "--verify", "--quiet", f"HEAD:{FILE}"]
    return git.attempt(asked, cwd=repository.git_dir).stdout.decode().strip() or None
