"""A push as a server sees it: result tags are judged, the run ref only grows, and what comes in is valid.

Git asks before it takes anything: the objects of the push lie in a folder of their own, and no ref names them. What is
refused here leaves no trace, and nothing else of the same push gets in.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..audit import gate, tags
from ..audit.results import Declared
from ..errors import ConfigError, GitreproError, NotFound, Refused, UsageError
from ..policy import LEVELS, Policy, Stage
from ..store.gitrefs import list_refs, read_ref
from ..store.repository import Repository
from ..store.runs import RunTree
from . import growth
from .learned import patterns_now
from .place import LEVEL, setting
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
    # Where runs are a branch, those that came before by the usual name stay guarded.
    for each_base in dict.fromkeys([base, growth.OURS]):
        now = read_ref(repository.common_dir, f"{each_base}/runs")
        for each in updates:
            if each.ref.startswith(f"{each_base}/"):
                _admit_ours(repository, each, each.ref.removeprefix(f"{each_base}/"), now)
    _admit_tags(repository, [each for each in updates if each.new], base)


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


def _admit_tags(repository: Repository, updates: Sequence[Update], base: str) -> None:
    named = [(each.ref.removeprefix(tags.PREFIX), each.new) for each in updates if each.ref.startswith(tags.PREFIX)]
    if not named:
        return
    patterns = patterns_now(repository)
    level = least(repository)
    pushed = {each.ref: each.new for each in updates}
    tip = pushed.get(f"{base}/runs") or read_ref(repository.common_dir, f"{base}/runs")
    inboxes = {**list_refs(repository.common_dir, f"{base}/inbox/"), **_below(pushed, f"{base}/inbox/")}
    with growth.tree_at(repository, tip) as tree:
        declared = Declared(tree)
        for name, oid in named:
            ours = any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
            try:
                _admit_tag(tree, name, str(oid), ours=ours, at_least=level, declared=declared)
            except NotFound as error:
                raise _without_runs(repository, name, str(oid), inboxes) from error


def _below(refs: Mapping[str, str | None], prefix: str) -> dict[str, str]:
    return {ref: oid for ref, oid in refs.items() if oid and ref.startswith(prefix)}


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
    """Raise unless a tag stands; `ours` says that it is a result here whatever the policy at its commit makes of it.

    Raises:
        NotFound: its result is not on the run ref.
    """
    what = f"tag {name} is refused"
    target = follow(tree, name, oid)
    if not _policy(tree, what, target.commit).level_for(name) and not ours:
        return
    if target.commit is None:
        raise Refused(what, why=NO_COMMIT, do="tag the commit that the runs ran at")
    result = cited(tree, name, target, declared=declared)
    audit = gate.judge_result(tree, result, stage=Stage.SERVER, pushed=holds(tree, result), at_least=at_least)
    if not audit.ok:
        raise gate.refusal(audit, what=what)


def _without_runs(repository: Repository, name: str, oid: str, inboxes: Mapping[str, str]) -> Refused:
    """The error of a tag whose result is not on the run ref. What waits in an inbox does not count: it may go again."""
    what = f"tag {name} is refused"
    if ref := next((ref for ref, tip in sorted(inboxes.items()) if _cites(repository, tip, name, oid)), None):
        return Refused(
            what,
            why=f"its result and runs wait in an inbox, {ref}, and count here once they are among the runs",
            do="`gitrepro push` takes them in, from any clone; then push the tag again",
        )
    return Refused(
        what,
        why="its result and runs are not on this server, or it was made where gitrepro's hook did not run",
        do="`gitrepro push` sends what is on record, then push the tag again; "
        f"else `git tag -d {name}`, and declare it with `gitrepro tag {name} RUN`",
    )


def _cites(repository: Repository, tip: str, name: str, oid: str) -> bool:
    """Whether the result of a tag is on record at a commit."""
    with growth.tree_at(repository, tip) as tree:
        try:
            return bool(cited(tree, name, follow(tree, name, oid)))
        except GitreproError:
            return False


def _policy(tree: RunTree, what: str, commit: str | None) -> Policy:
    try:
        return gate.policy_at(tree.objects, commit)
    except ConfigError as error:
        why = f"{error.what}; {error.why}" if error.why else error.what
        raise Refused(what, why=why, do=error.do or "mend the policy, commit it, and tag that commit") from error
