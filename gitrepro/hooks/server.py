"""A push as a server sees it: result tags are judged, the run ref only grows, and what comes in is valid.

Git asks before it takes anything: the objects of the push lie in a folder of their own, and no ref names them. What is
refused here leaves no trace, and nothing else of the same push gets in.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..audit import gate, tags
from ..audit.results import Declared
from ..errors import ConfigError, NotFound, Refused, UsageError
from ..policy import DEFAULT, LEVELS, Policy, Stage
from ..store.gitrefs import read_ref
from ..store.repository import Repository
from ..store.runs import RunTree
from . import growth
from .place import LEVEL, PATTERNS, setting
from .proof import NO_COMMIT
from .pushed import holds
from .stands import cited, follow

LEAST: Final = "minimal"
_NEVER_DELETED: Final = ("runs", "code", "anchor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One ref of a push: what it names now and what it would name; None for nothing."""

    old: str | None
    new: str | None
    ref: str


def admit_receive(repository: Repository, lines: Sequence[Sequence[str]]) -> None:
    """Raise unless a server may take the whole push.

    A result may arrive together with its runs, and a run that was promoted together with its branch.

    Args:
        lines: old object, new object and ref, as Git passes them to `pre-receive`.

    Raises:
        Refused: a result tag does not stand, or the run ref would lose something.
        ConfigError: the policy at a tagged commit does not parse.
        UsageError: this server's own settings do not.
    """
    updates = [_update(*line) for line in lines if len(line) == 3]
    base = growth.base_of(repository)
    shown = (each.new for each in updates if each.new and _is_shown(each.ref) and not each.ref.startswith(f"{base}/"))
    repository = replace(repository, arriving=tuple(shown))
    runs = next((each for each in updates if each.ref == f"{base}/runs"), None)
    now = read_ref(repository.common_dir, f"{base}/runs")
    for each in updates:
        if each.ref.startswith(f"{base}/"):
            _admit_ours(repository, each, each.ref.removeprefix(f"{base}/"), now)
    _admit_tags(repository, [each for each in updates if each.new], tip=runs.new if runs else now)


def _update(old: str, new: str, ref: str) -> Update:
    return Update(old=old if old.strip("0") else None, new=new if new.strip("0") else None, ref=ref)


def _is_shown(ref: str) -> bool:
    return ref.startswith(("refs/heads/", tags.PREFIX))


# -- our own refs


def _admit_ours(repository: Repository, update: Update, name: str, runs: str | None) -> None:
    if update.new is None:
        if name in _NEVER_DELETED:
            raise Refused(
                f"{update.ref} is not deleted",
                why="it belongs to everybody who pushes here",
                do="push without --mirror and --prune; to take a run off the list: `gitrepro rm RUN`",
            )
        return
    if name == "runs":
        growth.admit_runs(repository, update.ref, update.old, update.new)
    elif name == "code":
        growth.admit_code(repository, update.ref, update.old, update.new)
    elif name == "anchor":
        growth.admit_onward(repository, update.ref, update.old, update.new)
    elif name.startswith("inbox/"):
        growth.admit_inbox(repository, update.ref, update.new, runs=runs)


# -- result tags


def _admit_tags(repository: Repository, updates: Sequence[Update], *, tip: str | None) -> None:
    named = [(each.ref.removeprefix(tags.PREFIX), each.new) for each in updates if each.ref.startswith(tags.PREFIX)]
    if not named:
        return
    patterns = (setting(repository, PATTERNS) or " ".join(DEFAULT.patterns)).split()
    level = least(repository)
    with growth.tree_at(repository, tip) as tree:
        declared = Declared(tree)
        for name, oid in named:
            ours = any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
            _admit_tag(tree, name, str(oid), ours=ours, at_least=level, declared=declared)


def least(repository: Repository) -> str:
    """The level below which this server takes no result.

    Raises:
        UsageError: its setting names no level.
    """
    level = setting(repository, LEVEL) or LEAST
    if level not in LEVELS:
        raise UsageError(
            f"{LEVEL} of this server is {level!r:.40}",
            why=f"levels are {', '.join(LEVELS)}",
            do=f"on the server: `git config {LEVEL} {LEAST}`",
        )
    return level


def _admit_tag(tree: RunTree, name: str, oid: str, *, ours: bool, at_least: str, declared: Declared) -> None:
    """Raise unless a tag stands; `ours` says that it is a result here whatever the policy at its commit makes of it."""
    what = f"tag {name} is refused"
    target = follow(tree, name, oid)
    if not _policy(tree, what, target.commit).level_for(name) and not ours:
        return
    if target.commit is None:
        raise Refused(what, why=NO_COMMIT, do="tag the commit that the runs ran at")
    try:
        result = cited(tree, name, target, declared=declared)
    except NotFound as error:
        raise Refused(
            what,
            why="its result and runs are not on this server, or it was made where gitrepro's hook did not run",
            do="`gitrepro push` sends what is on record, then push the tag again; "
            f"else `git tag -d {name}`, and declare it with `gitrepro tag {name} RUN`",
        ) from error
    audit = gate.judge_result(tree, result, stage=Stage.SERVER, pushed=holds(tree, result), at_least=at_least)
    if not audit.ok:
        raise gate.refusal(audit, what=what)


def _policy(tree: RunTree, what: str, commit: str | None) -> Policy:
    try:
        return gate.policy_at(tree.objects, commit)
    except ConfigError as error:
        why = f"{error.what}; {error.why}" if error.why else error.what
        raise Refused(what, why=why, do=error.do or "mend the policy, commit it, and tag that commit") from error
