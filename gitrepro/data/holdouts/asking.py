"""What a holdout log says of some runs: when they were chosen, and what was seen before that."""

from __future__ import annotations

from collections.abc import Collection

from ...records.holdout import SELECT, Entry
from .log import Log


def selected_at(log: Log, run_ids: Collection[str]) -> Entry | None:
    """The first `select` entry that names all of these runs; None where there is none."""
    wanted = {*run_ids}
    return next((each for each in log.entries if each.op == SELECT and wanted and wanted <= {*each.runs}), None)


def before_selection(log: Log, run_ids: Collection[str]) -> tuple[Entry, ...]:
    """The openings that may have had a part in the choice of these runs.

    That is every one whose writer did not know that the choice was made; all of them where it is not on record.
    """
    chosen = selected_at(log, run_ids)
    later = log.after(chosen) if chosen else frozenset()
    return tuple(each for each in log.openings if each.id not in later)


def later_by(log: Log, part: str, *, chosen: Collection[str], own: Collection[str]) -> tuple[Entry, ...]:
    """The openings of a part by the runs `own`, the first of each, once the runs `chosen` had been."""
    if selected_at(log, chosen) is None:
        return ()
    early = {each.id for each in before_selection(log, chosen)}
    found = {each.run: each for each in reversed(log.openings_of(part)) if each.id not in early and each.run in own}
    return tuple(found.values())


def looks_at(log: Log, part: str, *, chosen: Collection[str], own: Collection[str]) -> int:
    """How often a part was looked at, for what may have been chosen by it.

    What the runs of one choice see after it is one look: their numbers are told together, and none is chosen.
    """
    later = later_by(log, part, chosen=chosen, own=own)
    return len(log.openings_of(part)) - max(0, len(later) - 1)
