"""Which checkpoint people mean: `RUN`, `RUN:best`, `RUN:last`, `RUN:step-400`, `RUN:name`, `b3:...`, or a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import Ambiguous, BlobMissing, GitreproError, NotFound
from ..store import journal_reader
from ..store.live import live_runs
from ..store.objects import BlobStore
from ..store.repository import Repository
from ..store.resolve import resolve
from ..store.runs import RunTree
from .keep import BEST, LAST
from .record import from_events

_BLOB: Final = re.compile(r"b3:[0-9a-f]{64}")
_BEST_RUN: Final = "@best:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A checkpoint on record: its entry, and of which run it is."""

    entry: Mapping[str, Any]
    run: str

    @property
    def digest(self) -> str:
        return str(self.entry["blob"])

    @property
    def path(self) -> Path | None:
        """Where it lies, when it was put on record in its place."""
        return Path(self.entry["path"]) if self.entry.get("path") else None


def is_path(text: str) -> bool:
    """Whether a reference means a file: one that is there, or that is written as a path."""
    return text.startswith(("./", "../", "/", "~")) or Path(text).exists()


def is_blob(text: str) -> bool:
    return _BLOB.fullmatch(text) is not None


def parts_of(text: str) -> tuple[str, str]:
    """The run and which of its checkpoints, empty for the best or else the last."""
    prefix = _BEST_RUN if text.startswith(_BEST_RUN) else ""
    run, _, which = text.removeprefix(prefix).partition(":")
    return prefix + run, which


def find(repository: Repository, text: str, *, rank: int = 0) -> Found:
    """The checkpoint of a run that `text` means. An earlier attempt answers for what a later one has not.

    Raises:
        NotFound: no such run, or it has no such checkpoint.
        Ambiguous: several best ones, by several metrics.
    """
    if text.startswith("b3:"):
        raise NotFound(
            f"{text!r:.80} is no whole digest",
            why="that of a checkpoint is written b3: and 64 hex digits",
            do="`gitrepro checkpoint ls --json` shows them",
        )
    run, which = parts_of(text)
    run_id = resolve(repository, run)
    attempts = [(each, entries_of(repository, each)) for each in attempts_of(repository, run_id)]
    mine = [(each, [entry for entry in entries if entry.get("rank", 0) == rank]) for each, entries in attempts]
    for look in _looks(which):
        found: Found | None = look(mine, text)
        if found:
            return found
    raise _none(text, mine)


def _looks(which: str) -> Sequence[Any]:
    if not which:
        return (_best_of(None), _last)
    if which == LAST:
        return (_last,)
    if which == BEST or which.startswith(f"{BEST}:"):
        return (_best_of(which.partition(":")[2] or None),)
    return (_named(which),)


def _last(attempts: Iterable[tuple[str, list[Any]]], _text: str) -> Found | None:
    for run, entries in attempts:
        for entry in reversed(entries):
            if LAST in entry["roles"]:
                return Found(entry=entry, run=run)
    return None


def _named(name: str) -> Any:
    def look(attempts: Iterable[tuple[str, list[Any]]], _text: str) -> Found | None:
        for run, entries in attempts:
            for entry in reversed(entries):
                if name in (entry.get("name"), f"step-{entry.get('step')}"):
                    return Found(entry=entry, run=run)
        return None

    return look


def _best_of(metric: str | None) -> Any:
    def look(attempts: Iterable[tuple[str, list[Any]]], text: str) -> Found | None:
        best = [Found(entry=entry, run=run) for run, entries in attempts for entry in entries if BEST in entry["roles"]]
        judged = [found for found in best if found.entry.get("metric")]
        if metric is None and not judged:
            return best[0] if best else None
        best = [found for found in judged if metric in (None, found.entry["metric"]["name"])]
        names = {(found.entry["metric"]["name"], found.entry["metric"]["goal"]) for found in best}
        if len(names) > 1:
            said = ", ".join(sorted(f"best:{name}" for name, _ in names))
            raise Ambiguous(
                f"{text!r:.80} means {len(names)} checkpoints", why=f"there are {said}", do="name one of them"
            )
        return _extreme(best)

    return look


def _extreme(best: Sequence[Found]) -> Found | None:
    if not best:
        return None
    sign = 1 if best[0].entry["metric"]["goal"] == "max" else -1
    # The attempts come newest first; of equal ones the earliest is meant.
    return max(reversed(best), key=lambda found: sign * float(found.entry["metric"]["value"]))


def _none(text: str, attempts: Sequence[tuple[str, list[Any]]]) -> NotFound:
    known = [str(entry.get("name")) for _, entries in attempts for entry in entries][:10]
    why = f"it has {', '.join(known)}" if known else "the run has none on record"
    return NotFound(f"there is no checkpoint {text!r:.80}", why=why, do="`gitrepro checkpoint ls RUN` lists them")


# -- what is on record


def attempts_of(repository: Repository, run_id: str) -> list[str]:
    """The run and the earlier attempts that it goes on from, the newest first, as far as they are on record here."""
    found: list[str] = []
    at: str | None = run_id
    while at is not None and at not in found:
        found.append(at)
        at = _resumes(repository, at)
    return found


def _resumes(repository: Repository, run_id: str) -> str | None:
    with RunTree(repository) as tree:
        if tree.run_tree(run_id) is not None:
            return tree.run(run_id).resumes
    live = _live(repository, run_id)
    return (live.start.get("resumes") or {}).get("id") if live else None


def entries_of(repository: Repository, run_id: str, *, tree: RunTree | None = None) -> list[dict[str, Any]]:
    """The checkpoints of one run, the oldest first; of one that goes on, those that it has told of so far.

    Args:
        tree: the records, where they are open already.
    """
    with nullcontext(tree) if tree else RunTree(repository) as records:
        if records.run_tree(run_id) is not None:
            return [_usable(entry) for entry in records.run(run_id).checkpoints if entry.get("blob")]
    live = _live(repository, run_id)
    if live is None:
        return []
    return list(from_events(event for journal in journal_reader.read(live.folder) for event in journal.events))


def _usable(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a record that somebody else may have written: what is read below is there, and means something."""
    metric = entry.get("metric")
    told = isinstance(metric, dict) and isinstance(metric.get("name"), str) and metric.get("goal") in ("min", "max")
    told = told and isinstance(metric.get("value"), int | float)  # type: ignore[union-attr]
    return {"roles": [], "size_bytes": 0, **entry, "metric": metric if told else None}


def _live(repository: Repository, run_id: str) -> Any:
    return next((run for run in live_runs(repository.home) if run.id == run_id and not run.error), None)


# -- is it there


def state_of(store: BlobStore, entry: Mapping[str, Any], *, pruned: bool) -> str:
    """`here`, `pruned`, `elsewhere` (as a file that is not there), or `missing`."""
    if entry.get("path"):
        return "here" if Path(entry["path"]).exists() else "elsewhere"
    try:
        with store.open(str(entry["blob"])):
            return "here"
    except BlobMissing:
        return "pruned" if pruned else "missing"
    except GitreproError:
        return "damaged"
