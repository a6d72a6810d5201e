"""`push`: send our runs to a remote, at first as if nobody else did; if somebody was quicker, unite and try again.

After three tries a clone puts what it has into an inbox of its own at the remote, where nobody is in its way. The next
one who pushes takes it in.
"""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

from ...errors import ChildFailed, GitreproError, GitreproWarning, RemoteError, UsageError
from ...policy import DEFAULT, FILE, parse
from ...store.fold import fold
from ...store.gitrefs import list_refs, read_ref
from ...store.repository import RUNS_REF, Repository
from ...store.runs import RunTree
from ...store.signing import programs, vouching
from . import transport
from .contents import Contents, between, results_of
from .names import Remote, find_remote
from .planning import Plan, Wish, emptied, planned
from .pulling import Pulled, alone, pull_from
from .standing import code_waiting
from .transport import Change, Outcome, Told
from .uniting import identity, unite

TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push sent.

    Attributes:
        remote: its name.
        tip: the commit that is there now; None when there was nothing to send.
        runs: the ids of what the remote did not have, oldest first; so with `events` and `results`, counted.
        retries: how often somebody else was quicker.
        queued: it went to the inbox of this clone, and the next one who pushes takes it in.
        restored: the remote had lost runs that were there, and has them again.
        renewed: its history was begun anew, without what was purged here.
        code: how many commits of code were sent.
        code_held: how many were not, because nobody said so or the host did not take them.
        inboxes: so many inboxes were taken in and removed.
        pulled: what came on the way.
    """

    remote: str
    tip: str | None
    runs: tuple[str, ...] = ()
    events: int = 0
    results: int = 0
    retries: int = 0
    queued: bool = False
    restored: bool = False
    renewed: bool = False
    code: int = 0
    code_held: int = 0
    inboxes: int = 0
    pulled: Pulled | None = None


def push(
    repository: Repository,
    remote: str | None = None,
    *,
    runs: Sequence[str] | None = None,
    dry_run: bool = False,
    code: bool | None = None,
    progress: Told | None = None,
) -> Pushed:
    """Send what is recorded here and not there. It may be cut at any point and repeated.

    Args:
        remote: its name, URL or path; see `find_remote`.
        runs: ids; only these, with what is said of them and the records of data. None for all, and all else too.
        dry_run: only say what would go, by what was last seen of the remote. No network.
        code: whether the commits that runs ran at go too; None for what the policy says, where `ask` is no.
        progress: is told how much of what goes is there, in Git's own count.

    Raises:
        UsageError: no remote is meant.
        NotFound: there is no such run.
        RemoteError: network or remote say no. What is recorded stays, and goes with the next push.
        StorageError: the disk refuses, or another sync goes on for too long.
    """
    found = find_remote(repository, remote)
    allowed = may_send_code(repository) if code is None else code
    if dry_run:
        return _foretold(repository, found, runs, allowed=allowed)
    with alone(repository):
        fold(repository, identity=identity(repository))
        _sign_waiting(repository)
        return _Push(repository, found, runs, code=allowed, progress=progress).go()


def _sign_waiting(repository: Repository) -> None:
    """Sign what could not be when it was committed. What still cannot goes unsigned: whoever verifies it sees that."""
    if not programs.is_on(repository):
        return
    try:
        vouching.vouch_waiting(repository, identity=identity(repository))
    except (UsageError, ChildFailed) as error:
        warnings.warn(f"some runs go without a signature: {error}", GitreproWarning, stacklevel=3)


def may_send_code(repository: Repository) -> bool:
    """Whether the policy publishes code without being asked; `ask` does not."""
    if repository.work_tree is None:
        return DEFAULT.push["code"] == "always"
    try:
        policy = parse((repository.work_tree / FILE).read_bytes())
    except (OSError, GitreproError):
        return False  # a policy that cannot be read allows nothing
    return policy.push.get("code") == "always"


def _results(repository: Repository, run_ids: Sequence[str], known: str | None) -> list[str]:
    with RunTree(repository) as ours:
        there = RunTree(repository, commit=known).tree if known else None
        return results_of(ours.objects, ours.tree, run_ids, there=there) if ours.tree else []


def _foretold(repository: Repository, remote: Remote, runs: Sequence[str] | None, *, allowed: bool) -> Pushed:
    tip = read_ref(repository.common_dir, RUNS_REF)
    known = read_ref(repository.common_dir, remote.copy(remote.runs))
    new = between(repository, known, tip, only=runs if runs is None else [*runs, *_results(repository, runs, known)])
    count = code_waiting(repository, remote)
    pushed = Pushed(remote=remote.shown, tip=tip, code=count * allowed, code_held=count * (not allowed))
    return replace(pushed, runs=new.runs, events=new.events, results=new.results)


@final
class _Push:
    """One push, over its tries."""

    def __init__(
        self, repository: Repository, remote: Remote, runs: Sequence[str] | None, *, code: bool, progress: Told | None
    ) -> None:
        self._repository = repository
        self._remote = remote
        self._wish = Wish(runs=runs, code=code)
        self._progress = progress
        self._known = self._copy(remote.runs)
        self._known_code = self._copy(remote.code)
        self._pulled: Pulled | None = None
        self._done = Pushed(remote=remote.shown, tip=None)

    def go(self) -> Pushed:
        while self._done.retries < TRIES:
            plan = self._plan()
            if not plan.changes:
                return self._told(plan.tip)
            if self._pulled and self._is_there(plan):
                self._empty_inboxes()
                return self._told(plan.tip)
            outcomes = transport.push(
                self._repository, self._remote, plan.changes, atomic=plan.atomic, progress=self._progress
            )
            self._take(plan, outcomes)
            # A push is as good without the anchor: the next one brings it.
            outcomes = [each for each in outcomes if each.ref != self._remote.anchor]
            if all(each.state == "done" for each in outcomes):
                self._empty_inboxes()
                return self._told(plan.tip)
            if self._gave_way(outcomes):
                continue
            transport.check(self._remote, outcomes)
            self._come_closer()
        return self._to_inbox()

    # -- one try

    def _plan(self) -> Plan:
        return planned(self._repository, self._remote, self._wish)

    def _is_there(self, plan: Plan) -> bool:
        """Whether what was seen a moment ago is all that we would send."""
        return len(plan.changes) == 1 and plan.tip == self._copy(self._remote.runs)

    # -- after a try

    def _take(self, plan: Plan, outcomes: Sequence[Outcome]) -> None:
        """Note what changed there."""
        made = {each.ref: each for each in plan.changes}
        copies: dict[str, str | None] = {}
        for outcome in (each for each in outcomes if each.state == "done"):
            change = made[outcome.ref]
            copies[self._remote.copy(change.ref)] = change.new
            if change.ref == self._remote.runs:
                self._note_runs(outcome, change)
                if change.lease:
                    # What was purged must not hang on what a fetch saw before.
                    copies |= dict.fromkeys(list_refs(self._repository.common_dir, self._remote.incoming))
        transport.settle(self._repository, copies)
        if self._wish.runs is not None and copies.get(self._remote.copy(self._remote.runs)):
            unite(self._repository, self._remote, {self._remote.runs: str(plan.tip)})

    def _note_runs(self, outcome: Outcome, change: Change) -> None:
        there = self._copy(self._remote.runs)
        pulled = self._pulled
        lost = self._had_lost(there, outcome) or bool(pulled and (pulled.rewound or pulled.deleted))
        self._done = replace(self._done, tip=change.new, restored=lost, renewed=change.lease is not None)

    def _had_lost(self, there: str | None, outcome: Outcome) -> bool:
        """Whether the remote was found behind what it was last seen with."""
        if there is None or outcome.before == "=" or there.startswith(outcome.before or "-"):
            return False
        return not outcome.before or transport.is_ancestor(self._repository, outcome.before, there)

    def _gave_way(self, outcomes: Sequence[Outcome]) -> bool:
        """Whether the host refused only what can be done without; the next try leaves it out."""
        refused = {each.ref for each in outcomes if each.state == "refused"}
        if not self._wish.code or self._remote.code not in refused:
            return False
        self._wish = replace(self._wish, code=False)
        return True

    def _come_closer(self) -> None:
        # Not through `random` itself: a program that seeds it would make all clones wait alike.
        time.sleep(random.SystemRandom().uniform(0, _PAUSE_SECONDS))
        self._bring()
        self._done = replace(self._done, retries=self._done.retries + 1)

    def _empty_inboxes(self) -> None:
        """Remove the inboxes that the run ref there holds now. One that grew meanwhile, or may not go, stays."""
        changes = emptied(self._repository, self._remote) if self._wish.runs is None else []
        if not changes:
            return
        try:
            outcomes = transport.push(self._repository, self._remote, changes)
        except RemoteError:
            return  # what stays is taken in once more by the next one, which changes nothing
        # Of those that stay the next pull brings the copy again.
        transport.settle(self._repository, {self._remote.copy(each.ref): None for each in outcomes})
        self._done = replace(self._done, inboxes=sum(each.state == "done" for each in outcomes))

    def _bring(self) -> None:
        pulled = pull_from(self._repository, self._remote, progress=self._progress)
        self._pulled = _both(self._pulled, pulled)
        if not (pulled.rewound or pulled.deleted or pulled.renewed):
            self._known = self._copy(self._remote.runs)

    # -- the inbox

    def _to_inbox(self) -> Pushed:
        for _ in range(TRIES):
            plan = self._plan()
            if not plan.tip or self._is_there(plan):
                return self._told(plan.tip)
            if plan.changes[0].lease:
                break  # a history that begins anew goes to the run ref or nowhere
            own = Change(ref=self._remote.inbox, new=plan.tip, lease=self._copy(self._remote.inbox))
            outcomes = transport.push(self._repository, self._remote, [own], negotiate=True, progress=self._progress)
            transport.check(self._remote, outcomes)
            if all(each.state == "done" for each in outcomes):
                transport.settle(self._repository, {self._remote.copy(own.ref): plan.tip})
                self._done = replace(self._done, tip=plan.tip, queued=True)
                return self._told(plan.tip)
            self._bring()
        raise RemoteError(
            f"{self._remote.shown} keeps changing", why="others push all the time", do="run `gitrepro push` again"
        )

    # -- words

    def _told(self, tip: str | None) -> Pushed:
        new = self._sent(tip)
        code = self._sent_code()
        return replace(
            self._done,
            tip=tip,
            runs=new.runs,
            events=new.events,
            results=new.results,
            code=code,
            code_held=code_waiting(self._repository, self._remote),
            pulled=self._pulled,
        )

    def _sent(self, tip: str | None) -> Contents:
        return between(self._repository, self._known, tip)

    def _sent_code(self) -> int:
        now = self._copy(self._remote.code)
        if now is None or now == self._known_code:
            return 0
        return transport.count_code(self._repository, self._remote, now, self._known_code)

    def _copy(self, ref: str) -> str | None:
        return read_ref(self._repository.common_dir, self._remote.copy(ref))


def _both(first: Pulled | None, second: Pulled) -> Pulled:
    """Two pulls of one push, told as one."""
    if first is None:
        return second
    return replace(
        second,
        before=first.before,
        runs=(*first.runs, *second.runs),
        events=first.events + second.events,
        results=first.results + second.results,
        conflicts=tuple(dict.fromkeys([*first.conflicts, *second.conflicts])),
        rewound=first.rewound or second.rewound,
        deleted=first.deleted or second.deleted,
        renewed=first.renewed or second.renewed,
        folded_inboxes=first.folded_inboxes + second.folded_inboxes,
    )
