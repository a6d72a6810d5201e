"""Who would rather not have looked: entries of a holdout log dropped, edited, swapped, renumbered, backdated."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gitrepro.data.holdouts import Log, anchor_of, before_selection, broken_anchors, entry_after, selected_at
from gitrepro.data.holdouts.log import Held
from gitrepro.records import ids
from gitrepro.records.holdout import Entry, load_entry
from gitrepro.records.run import RunRecord
from gitrepro.records.split import SplitRecord
from gitrepro.store.fold import Identity

from ..case import Case, Trial
from ..world import World

AT = "2026-01-02T03:04:05.678901Z"
ADA = Identity(name="Ada Lovelace", email="ada@example.org")
SPLIT = SplitRecord(
    name="default",
    version="v1",
    digest="b3:" + "cd" * 32,
    dataset={"name": "digits", "version": "v1", "digest": "b3:" + "ab" * 32},
    rule={"by": "hash"},
    parts={"train": 80, "test": 20},
)
RUN = "01k3v9m2h8q4w5x6y7z8a9b0cd"
CLONES = 3
ENTRIES_AT_MOST = 12


@dataclass(slots=True)
class History:
    """A log that several clones have written, and the runs that have seen it."""

    held: list[Held] = field(default_factory=list)
    runs: list[RunRecord] = field(default_factory=list)

    @property
    def log(self) -> Log:
        ordered = sorted(self.held, key=lambda each: (each.entry.number, each.entry.id))
        return Log(split=SPLIT.digest, held=tuple(ordered))

    def seen(self, touched: set[str]) -> set[str]:
        """The ids of the entries that a run names, or an entry that was not `touched`."""
        by_digest = {each.digest: each.entry for each in self.held}
        waiting = [digest for run in self.runs for anchor in run.holdouts for digest in anchor["head"]]
        waiting += [digest for each in self.held if each.entry.id not in touched for digest in each.entry.prev]
        return {by_digest[digest].id for digest in waiting}


def written(rng: random.Random) -> History:
    """Clones that open, choose and pull as they like."""
    history = History()
    knows: list[set[str]] = [set() for _ in range(CLONES)]
    for _ in range(rng.randrange(2, ENTRIES_AT_MOST)):
        clone = rng.randrange(CLONES)
        if rng.random() < 0.5:
            knows[clone] |= knows[rng.randrange(CLONES)]
        known = Log(split=SPLIT.digest, held=tuple(each for each in history.held if each.entry.id in knows[clone]))
        run = ids.new_id()
        entry = entry_after(known, **_said(rng, run, history))
        held = Held(entry, entry.digest)
        history.held.append(held)
        knows[clone].add(entry.id)
        if entry.op == "open":
            after = replace(known, held=(*known.held, held))
            history.runs.append(_run(run, {"opened": [entry.id], **anchor_of(after)}))
    return history


def _said(rng: random.Random, run: str, history: History) -> dict[str, object]:
    op = rng.choice(("open", "open", "select"))
    runs = [each.id for each in history.runs if rng.random() < 0.5] if op == "select" else []
    who = run if op == "open" else None
    return {"op": op, "split": SPLIT, "part": "test", "run": who, "runs": runs, "identity": ADA, "at": AT}


def _run(run_id: str, anchor: dict[str, object]) -> RunRecord:
    return RunRecord(id=run_id, name="x", kind="train", status="finished", started_at=AT, holdouts=(anchor,))


# -- what forgers do: each gives the log as it is then, and the ids of the entries it touched

Forged = tuple[Log, set[str]]


def drop(history: History, rng: random.Random) -> Forged:
    gone = {each.entry.id for each in rng.sample(history.held, rng.randrange(1, len(history.held) + 1))}
    return replace(history.log, held=tuple(each for each in history.log.held if each.entry.id not in gone)), gone


def cut(history: History, rng: random.Random) -> Forged:
    log = history.log
    keep = rng.randrange(len(log.held))
    return replace(log, held=log.held[:keep]), {each.entry.id for each in log.held[keep:]}


def edit(history: History, rng: random.Random) -> Forged:
    chosen = rng.choice(history.held)
    name, value = rng.choice(
        [("reason", "routine"), ("purpose", "debug"), ("run", ids.new_id()), ("part", "train"), ("op", "budget"),
         ("runs", (ids.new_id(),)), ("at", "2020-01-01"), ("number", 9), ("prev", ()), ("detail", {"x": 1})]
    )  # fmt: skip
    edited = replace(chosen.entry, **{name: value})
    if edited == chosen.entry:
        edited = replace(edited, reason="routine")
    return _put(history, chosen, edited), {chosen.entry.id}


def swap(history: History, rng: random.Random) -> Forged:
    one, other = rng.sample(history.held, 2)
    log = _put(history, one, replace(one.entry, reason="a", run=other.entry.run, actor={"name": "Bob"}))
    changed = replace(other.entry, reason="b", run=one.entry.run, actor={"name": "Bob"})
    held = tuple(_held(changed) if each.entry.id == other.entry.id else each for each in log.held)
    return replace(log, held=held), {one.entry.id, other.entry.id}


def _put(history: History, old: Held, new: Entry) -> Log:
    held = (_held(new) if each.entry.id == old.entry.id else each for each in history.log.held)
    return replace(history.log, held=tuple(held))


def _held(entry: Entry) -> Held:
    data = entry.dump()
    return Held(load_entry(data, source="forged"), entry.digest)


FORGERS: tuple[Callable[[History, random.Random], Forged], ...] = (drop, cut, edit, swap)


def forger(_world: World, number: int, rng: random.Random, *, believes: bool = False) -> Trial:
    """Args:
    believes: the planted fault: nobody compares the log with what runs have seen.
    """
    trial, history = Trial(), written(rng)
    if whole := (*history.log.troubles, *broken_anchors(history.log, history.runs)):
        trial.problems.append(f"an honest log is called damaged: {whole[0]}")
    forge = FORGERS[number % len(FORGERS)]
    log, touched = forge(history, rng)
    found = log.troubles or (() if believes else broken_anchors(log, history.runs))
    if not found and touched & history.seen(touched):
        trial.problems.append(f"{forge.__name__}: {len(touched)} entries that somebody has seen, and nobody says so")
    trial.facts[f"{forge.__name__}: found"] = int(bool(found))
    trial.facts[f"{forge.__name__}: not found, for nobody had seen them"] = int(not found)
    return trial


def backdated(_world: World, _number: int, rng: random.Random) -> Trial:
    """A choice that is written as if it came before the openings hides none of them."""
    trial, history = Trial(), written(rng)
    runs = [each.id for each in history.runs]
    known = replace(history.log, held=history.log.held[: rng.randrange(len(history.held) + 1)])
    late = entry_after(
        known, **{**_said(rng, runs[0] if runs else ids.new_id(), history), "op": "select", "runs": runs}
    )
    log = replace(history.log, held=(*history.log.held, Held(late, late.digest)))
    already = selected_at(history.log, runs) if runs else None
    before = before_selection(log, runs)
    if runs and already is None and {each.id for each in before} != {each.id for each in log.openings}:
        trial.problems.append("a choice that was written late hides openings")
    trial.facts["choices that were backdated"] = int(bool(runs) and already is None)
    return trial


def control_forger(world: World, rng: random.Random) -> list[str]:
    """Where nobody compares the log with the records of runs, a log that was cut short passes for whole."""
    return [each for _ in range(20) for each in forger(world, 1, rng, believes=True).problems]


def control_backdated(_world: World, rng: random.Random) -> list[str]:
    """Openings that come after a choice are told apart from those before it, or the case would see nothing."""
    log = Log(split=SPLIT.digest)
    for op in ("select", "open"):
        entry = entry_after(log, **{**_said(rng, ids.new_id(), History()), "op": op, "runs": [RUN]})
        log = replace(log, held=(*log.held, Held(entry, entry.digest)))
    return [] if before_selection(log, [RUN]) else ["an opening after the choice is none of it"]


CASES = (
    Case(
        name="forged holdout logs",
        promise="an entry that anybody has seen cannot be dropped, edited or swapped unnoticed",
        full=lambda _: 4_000,
        ci=40,
        trial=forger,
        control=control_forger,
    ),
    Case(
        name="backdated choices",
        promise="a choice that is written after the test set was opened hides no opening",
        full=lambda _: 1_000,
        ci=10,
        trial=backdated,
        control=control_backdated,
    ),
)
