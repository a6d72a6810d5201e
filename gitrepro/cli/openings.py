"""What stands beside each test number: how often the test set behind it was opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..analysis.optimism import in_words
from ..data.holdouts import Log, before_selection, later_by, log_of, looks_at, selected_at
from ..errors import GitreproError
from ..records.metricnames import part_of
from ..records.run import Kind
from ..store.runs import RunTree
from .page.parts import mapping, maps


def openings(tree: RunTree, runs: Sequence[str], data: Iterable[object], metrics: Iterable[str]) -> list[str]:
    """A sentence on each part that was opened, of the splits that some runs name.

    Args:
        runs: their ids.
        data: the data sets that they name, as their records and `ls --json` have them.
        metrics: the names of the numbers; where one is of a test part and nothing was opened, that is said too.
    """
    chosen = _chosen(tree, runs)
    said = [text for name, digest in _splits(data).items() for text in _of(name, log_of(tree, digest), runs, chosen)]
    if said or not any(part_of(name) == "test" for name in metrics):
        return said
    return ["no opening of a test set is on record: nobody can say how often it was used"]


def _splits(data: Iterable[object]) -> dict[str, str]:
    """The digests of the splits, by what they are called."""
    found = {}
    for entry in map(mapping, data):
        for split in maps(entry.get("splits")):
            if isinstance(split.get("digest"), str):
                found[f"{entry.get('name')}/{split.get('name')}@{split.get('version')}"] = split["digest"]
    return found


def _chosen(tree: RunTree, runs: Sequence[str]) -> set[str]:
    """The runs that had to be chosen: of one that only evaluates, those it came out of."""
    found: set[str] = set()
    for run in runs:
        try:
            record = tree.run(run)
        except GitreproError:
            return {*runs}  # it is told elsewhere that a record is gone
        found.update(record.parents if record.kind == Kind.EVAL and record.parents else (run,))
    return found


def _of(name: str, log: Log, runs: Sequence[str], chosen: set[str]) -> Iterator[str]:
    before = {each.id for each in before_selection(log, chosen)}
    for part in sorted({each.part for each in log.openings}):
        opened, looks = log.openings_of(part), looks_at(log, part, chosen=chosen, own=runs)
        early = sum(each.id in before for each in opened)
        when = f"{early} of them before these runs were chosen"
        if selected_at(log, chosen) is None:
            when = "no choice of these runs is on record"
        later = len(later_by(log, part, chosen=chosen, own=runs))
        one = f" ({later} of {len(opened)} times by these runs after their choice: one look)" if later > 1 else ""
        yield f"{part} of {name} was {in_words(looks)}{one}; {when}"
    if log.troubles:
        yield f"the log of {name} is not whole: {log.troubles[0]}"
