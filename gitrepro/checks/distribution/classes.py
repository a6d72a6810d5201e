"""How many examples of each class each part has, and whether the parts hold the same mix of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ...data.statistics.apart import total_variation
from ...data.statistics.classes import CLASSES_DESCRIBED
from ...data.statistics.strings import clipped, ranked
from ...records.result import Verdict
from ..task import TRAIN, Data, Kind, Part
from . import chance
from .columns import is_missing
from .settings import CHANCE_LEVEL, CLASS_LOST, CLASSES_APART, CLASSES_SHOWN, PART_LEAST, Judged

PARAMETERS: Final[Mapping[str, Any]] = {
    "chance_level": CHANCE_LEVEL,
    "class_lost": CLASS_LOST,
    "classes_apart": CLASSES_APART,
    "classes_shown": CLASSES_SHOWN,
    "part_least": PART_LEAST,
}
_SHOWN: Final = 20


def look(data: Data, kind: Kind, *, seed: int) -> dict[str, Any]:
    """What `judge` is given: the counts of each part, and how far each part is from train."""
    found: dict[str, Any] = {"iid": data.iid, "kind": kind, "scored": data.scored}
    labels = {name: each for name, part in data.parts.items() if (each := texts_of(part)) is not None}
    if kind != "classification" or TRAIN not in labels:
        return found | {"classes": 0, "counts": {}, "parts": {}}
    counts = {name: Counter(each for each in own if each is not None) for name, own in labels.items()}
    every = set().union(*counts.values())
    return found | {
        "classes": len(every),
        "counts": {name: ranked(own, CLASSES_DESCRIBED) for name, own in sorted(counts.items())},
        "one_each": max(counts[TRAIN].values(), default=0) <= 1 and len(every) > 1,
        "parts": {name: _apart(data, labels, counts, name, seed) for name in sorted(labels.keys() - {TRAIN})},
    }


def texts_of(part: Part) -> list[str | None] | None:
    """The labels as text, None for what is missing; None where there are none or they are no single values."""
    if part.labels is None or part.labels.ndim != 1:
        return None
    return [None if is_missing(each) else clipped(str(each)) for each in part.labels.tolist()]


def _apart(
    data: Data,
    labels: Mapping[str, list[str | None]],
    counts: Mapping[str, Counter[str]],
    name: str,
    seed: int,
) -> dict[str, Any]:
    train, other = counts[TRAIN], counts[name]
    both = [each or "" for each in (*labels[TRAIN], *labels[name])]
    _, codes = np.unique(np.array(both), return_inverse=True)
    units = chance.units_of(data.train, data.parts[name])
    lost = {each: count for each, count in other.items() if each not in train}
    return {
        "by_chance": chance.variation_by_chance(codes, units, np.random.default_rng(seed)),
        "classes": len(other),
        "examples": other.total(),
        "lost": ranked(lost, _SHOWN),
        "lost_count": sum(lost.values()),
        "missing": sorted(train.keys() - other.keys())[:_SHOWN],
        "total_variation": total_variation(train, other),
        "units": [units.train, units.other],
    }


def judge(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> Judged:
    """FAIL for one class only, or a class that train does not have; WARN for another mix than chance makes."""
    if observed["kind"] != "classification":
        return Judged(Verdict.NOT_APPLICABLE, f"a task of kind {observed['kind']} has no classes")
    if not observed["counts"]:
        return Judged(Verdict.INCONCLUSIVE, "train has no labels, one for each example", "give labels with the data")
    if len(observed["counts"][TRAIN]) < 2:
        why = f"train has {len(observed['counts'][TRAIN])} class of {observed['classes']}: nothing can be told apart"
        return Judged(Verdict.FAIL, why, "look at how the labels are read and how the parts are split")
    if observed["one_each"]:
        why = f"each of {observed['classes']:,} classes has one example: these are names or numbers, and no classes"
        return Judged(Verdict.FAIL, why, "say kind='regression' if they are numbers to be predicted")
    if not observed["parts"]:
        return Judged(Verdict.INCONCLUSIVE, "no part beside train has labels", "give labels with the scored part")
    each = [_of_part(name, part, observed, parameters) for name, part in observed["parts"].items()]
    return max(each, key=lambda judged: _GRAVITY.index(judged.verdict))


_GRAVITY: Final = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.WARN, Verdict.FAIL)


def _of_part(name: str, part: Mapping[str, Any], observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> Judged:
    if part["lost_count"]:
        return _lost(name, part, observed, parameters)
    if part["classes"] < 2 and name == observed["scored"]:
        why = f"{name} has one class only: a constant answer is right for all of it"
        return Judged(Verdict.FAIL if observed["iid"] else Verdict.WARN, why, "split so that each part has all classes")
    apart, by_chance = part["total_variation"], part["by_chance"]
    said = f"{name} is {apart:.3f} from the classes of train (total variation), and chance makes {by_chance:.3f}"
    if apart > parameters["classes_apart"] and apart > by_chance:
        return Judged(Verdict.WARN, said, "split by class, or read the score as one for this mix")
    if apart > parameters["classes_apart"] and by_chance > parameters["classes_shown"]:
        needed = _needed(part, parameters)
        return Judged(Verdict.INCONCLUSIVE, f"{said}: too few to tell", f"about {needed:,} examples in each are needed")
    if min(part["units"]) < parameters["part_least"]:
        few = f"{name} has {part['units'][1]} examples or groups, train {part['units'][0]}"
        return Judged(Verdict.INCONCLUSIVE, few, f"{parameters['part_least']} in each are the least")
    return Judged(Verdict.PASS, said)


def _lost(name: str, part: Mapping[str, Any], observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> Judged:
    shown = ", ".join(f"{each!r:.40}" for each in list(part["lost"])[:3])
    why = f"train has nothing of {shown}, and {name} has {part['lost_count']:,}, which cannot be learnt"
    fails = part["lost_count"] >= parameters["class_lost"] and observed["iid"]
    return Judged(Verdict.FAIL if fails else Verdict.WARN, why, "split so that train has every class")


def _needed(part: Mapping[str, Any], parameters: Mapping[str, Any]) -> int:
    """Units in each of two equal parts with which chance makes no more than what is worth a warning."""
    spread = sum(1 / each for each in part["units"])
    return int(np.ceil(2 / spread * (part["by_chance"] / parameters["classes_shown"]) ** 2))
