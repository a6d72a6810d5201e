"""The processes that one run consists of: who took part, who left without a word, and how it ended for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..records.run import Status
from ..store.journal_reader import Journal
from .launchkey import Launch, launch_of

# What tells most of a run comes first: a rank that failed takes the others with it.
_WORST_FIRST: Final = (
    Status.OUT_OF_MEMORY,
    Status.FAILED,
    Status.INTERRUPTED,
    Status.PREEMPTED,
    Status.ABORTED,
    Status.PRUNED,
    Status.INCOMPLETE,
    Status.FINISHED,
)
# What gloo, NCCL, MPI and torch's own store say when another process is gone.
_LOST: Final = re.compile(
    r"^Dist(?:Backend|Network|Store)Error|Connection (?:reset|closed|refused)|remote process exited|Broken pipe|^NCCL"
    r"|NCCL (?:error|communicator)|Socket Timeout|gloo.*(?:timed? ?out|Read error|Write error)",
    re.IGNORECASE,
)
_LISTED_AT_MOST: Final = 4_096
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One rank of a run: what it said of itself, and its closing word if it left one."""

    launch: Event
    end: Event | None

    @property
    def rank(self) -> int:
        return int(self.launch["rank"])

    @property
    def restart(self) -> int:
        return int(self.launch.get("restart", 0))


def members(written: Iterable[Journal]) -> list[Member]:
    """The ranks of the last restart, in order; of several processes of one rank, one after the other, the last."""
    found: dict[int, tuple[float, Member]] = {}
    causes = {
        journal.header.get("rank"): end
        for journal in written
        if _first(journal, "rank") is None and (end := _last(journal, "end"))
    }
    for journal in written:
        launch = _first(journal, "rank")
        if launch is None:
            continue
        # Where `gitrepro record -- ...` is itself the rank, the program inside it knows more than its exit code.
        end = _last(journal, "end")
        member = Member(launch=launch, end=end and with_cause(end, causes.get(journal.header.get("rank"))))
        began = float(launch.get("time_seconds", 0.0))
        known = found.get(member.rank)
        if known is None or (known[1].restart, known[0]) <= (member.restart, began):
            found[member.rank] = (began, member)
    newest = max((member.restart for _, member in found.values()), default=0)
    return [member for _, (_, member) in sorted(found.items()) if member.restart == newest]


def with_cause(end: Event, inner: Event | None) -> Event:
    """The owner of a wrapped program sees an exit code; the program, when it speaks itself, knows why."""
    if inner is None or end.get("status") != Status.FAILED or inner.get("status") == Status.FINISHED:
        return end
    outer, reason = end.get("reason") or {}, inner.get("reason") or {}
    if outer.get("rank") != reason.get("rank", outer.get("rank")):
        return end  # the launcher has seen another rank fail first
    return {**end, "status": inner.get("status"), "reason": {**outer, **reason}}


def led_by(owner: object, written: Iterable[Journal]) -> bool:
    """Whether the process that began the run is one of its ranks."""
    return any(journal.header.get("pid") == owner and _first(journal, "rank") for journal in written)


def _first(journal: Journal, op: str) -> Event | None:
    return next((event for event in journal.events if event.get("op") == op), None)


def _last(journal: Journal, op: str) -> Event | None:
    return next((event for event in reversed(journal.events) if event.get("op") == op), None)


def document(written: Sequence[Journal], observed: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The `ranks` field of a record; None where the run was one process."""
    found = members(written)
    rivals = [event["run"] for journal in written for event in journal.events if event.get("op") == "rival"]
    if not found:
        return _observed(observed)
    launch = found[0].launch
    return {
        "key": launch.get("key"),
        "launcher": launch.get("launcher"),
        "restart": found[0].restart,
        "rivals": rivals,
        "seen": [member.rank for member in found][:_LISTED_AT_MOST],
        "silent": [member.rank for member in found if member.end is None][:_LISTED_AT_MOST],
        "world_size": launch.get("world_size"),
    }


def _observed(observed: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The same of a program that does not record itself: the start-up hook saw its processes."""
    told = [(launch, process) for process in observed if (launch := _launch(process)) is not None]
    if not told:
        return None
    newest = max(launch.restart for launch, _ in told)
    last = {launch.rank: process for launch, process in told if launch.restart == newest}
    return {
        "key": None,
        "launcher": told[0][0].launcher,
        "restart": newest,
        "rivals": [],
        "seen": sorted(last)[:_LISTED_AT_MOST],
        "silent": sorted(rank for rank, process in last.items() if "usage" not in process)[:_LISTED_AT_MOST],
        "world_size": told[0][0].world_size,
    }


def working(observed: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The processes that do the work: the ranks in their order, as started last; where there are none, all."""
    observed = list(observed)
    told = [(launch, process) for process in observed if (launch := _launch(process)) is not None]
    ordered = sorted(told, key=lambda each: (-each[0].restart, each[0].rank))
    return [process for _, process in ordered] or observed


def rank_of(process: Mapping[str, Any]) -> int:
    """Which rank a process was, as its launcher told it; 0 where none did."""
    launch = _launch(process)
    return launch.rank if launch else 0


def _launch(process: Mapping[str, Any]) -> Launch | None:
    told = process.get("launch")
    return launch_of({str(name): str(value) for name, value in told.items()}) if isinstance(told, dict) else None


def closing(found: Sequence[Member]) -> Event | None:
    """One closing word for all ranks; None when none of them left one.

    The rank that failed speaks for the run, not those that only lost it. Where none did and one is silent, that one
    died: the others were told to stop, lost it, or went on without it.
    """
    told = [(member, member.end) for member in found if member.end is not None]
    if not told:
        return None
    silent = [member.rank for member in found if member.end is None]
    member, end = min(told, key=lambda each: (*_badness(each[1]), str(each[1].get("ended_at")), each[0].rank))
    status, reason = Status(str(end.get("status"))), dict(end.get("reason") or {})
    failed = status in (Status.OUT_OF_MEMORY, Status.FAILED)
    if silent and (not failed or _lost_another(end)):
        status, reason = Status.FAILED, {**reason, **_died(silent)}
    elif failed:
        reason = {**reason, "rank": member.rank}
    return {**told[0][1], **_whole([each for _, each in told]), "status": str(status), "reason": reason or None}


def _badness(end: Event) -> tuple[int, bool]:
    status = end.get("status")
    return (_WORST_FIRST.index(Status(status)) if status in _WORST_FIRST else 0), _lost_another(end)


def _lost_another(end: Event) -> bool:
    """Whether a rank failed of nothing but that another one was gone."""
    reason = end.get("reason") or {}
    return bool(_LOST.search(f"{reason.get('kind')}: {reason.get('message')}"))


def _died(silent: Sequence[int]) -> dict[str, Any]:
    if len(silent) == 1:
        return {"kind": "rank", "rank": silent[0], "message": f"rank {silent[0]} died and left no closing word"}
    listed = ", ".join(map(str, silent[:20])) + (", ..." if len(silent) > 20 else "")
    return {"kind": "rank", "rank": silent[0], "message": f"ranks {listed} died and left no closing word"}


def _whole(ends: Sequence[Event]) -> dict[str, Any]:
    """When the last one ended, and what all of them cost."""
    last = max(ends, key=lambda end: float(end.get("duration_seconds") or 0.0))
    costs = [cost for end in ends if isinstance(cost := end.get("cost"), dict)]
    names = {name for cost in costs for name in cost}
    return {
        "cost": {name: _total(name, [cost[name] for cost in costs if cost.get(name) is not None]) for name in names},
        "duration_seconds": last.get("duration_seconds"),
        "ended_at": last.get("ended_at"),
    }


def _total(name: str, values: Sequence[float]) -> float | None:
    if not values:
        return None
    return max(values) if name.startswith("peak_") else sum(values)
