"""What checkpoints say of the run they stand in: where they came from, and by what the best was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ...checkpoints.keep import part_of
from ...records.result import Verdict
from ..evidence import RunEvidence
from .finding import Finding, mapping, words

_NAMED_AT_MOST: Final = 3


def _entries(run: RunEvidence) -> list[Mapping[str, Any]]:
    return [each for each in (run.record.checkpoints if run.record else ()) if isinstance(each, dict)]


# -- by what the best was chosen


def chosen_by(run: RunEvidence) -> list[dict[str, Any]]:
    """The metrics by which checkpoints were called the best, and the part that each was measured on."""
    found: dict[str, dict[str, Any]] = {}
    for entry in _entries(run):
        metric = mapping(entry.get("metric"))
        if "best" in words(entry.get("roles")) and metric.get("name"):
            name, said = str(metric["name"]), metric.get("part")
            # What the name says stands over what is said beside it.
            part = part_of(name) or (said if isinstance(said, str) else None)
            found[name] = {"metric": name, "goal": metric.get("goal"), "part": part}
    return list(found.values())


def choices(run: RunEvidence) -> Iterator[Finding]:
    """What is wrong with how the best checkpoint was chosen."""
    repair = 'choose by a validation metric: `run.checkpoint(..., metric=("val/loss", "min"))`, and train again'
    for each in chosen_by(run):
        if each["part"] in ("train", "test"):
            why = f"the best checkpoint was chosen by {each['metric']}, a metric of the {each['part']} part"
            yield Finding(Verdict.FAIL, why, repair)
        elif each["part"] != "val":
            why = f"the best checkpoint was chosen by {each['metric']}, and nothing says on which part it was measured"
            yield Finding(Verdict.WARN, why, 'name the metric after its part, as in "val/loss"')


# -- where checkpoints came from


def strangers(run: RunEvidence) -> list[str]:
    """Checkpoints that say they came out of something else than their run, each with what is other."""
    known = _known(run)
    found = []
    for entry in _entries(run):
        if other := [
            name for name, said in mapping(entry.get("provenance")).items() if not _fits(said, known.get(name))
        ]:
            what = entry.get("name") or str(entry.get("blob"))[:15]
            found.append(f"checkpoint {what} says it came out of another {', '.join(other)} than its run")
    more = f"{len(found) - _NAMED_AT_MOST} checkpoints more do so"
    return found if len(found) <= _NAMED_AT_MOST else [*found[:_NAMED_AT_MOST], more]


def _known(run: RunEvidence) -> dict[str, set[Any]]:
    """What the provenance of a checkpoint of this run may say, by field."""
    data = run.record.data if run.record else ()
    recorder = run.record.recorder if run.record else {}
    return {
        "run": {run.id},
        "commit": {run.code.get("commit")},
        "tree": {run.code.get("tree")},
        "config": {recorder.get("start_config")},
        "data": {str(entry.get("digest")) for entry in data},
        "splits": {str(split.get("digest")) for entry in data for split in entry.get("splits") or ()},
    }


def _fits(said: object, known: set[Any] | None) -> bool:
    if said is None or known is None:
        return True
    return {str(each) for each in said} <= known if isinstance(said, list) else str(said) in known
