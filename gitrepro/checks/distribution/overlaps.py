"""Whether ids, groups or stretches of time stand on both sides of the split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...data.splitting.groups import straddling
from ...records.result import Verdict
from ...records.sanity import Example
from ..task import TRAIN, Data
from .columns import is_missing
from .settings import PAIRS_KEPT, Judged

# -- ids


def look_at_ids(data: Data) -> tuple[dict[str, Any], tuple[Example, ...]]:
    """How many ids are in more than one part, and how many twice in one."""
    parts: dict[str, list[str]] = {}
    twice: dict[str, int] = {}
    for name, part in sorted(data.parts.items()):
        ids = list(map(str, part.ids))
        for each in dict.fromkeys(ids):
            parts.setdefault(each, []).append(name)
        twice[name] = len(ids) - len(set(ids))
    shared = {each: names for each, names in parts.items() if len(names) > 1}
    observed = {
        "ids": len(parts),
        "shared": len(shared),
        "shared_with_train": sum(1 for names in shared.values() if TRAIN in names),
        "twice": twice,
    }
    examples = (
        Example(ids=(each, each), parts=(names[0], names[1]), says="one id in two parts")
        for each, names in list(shared.items())[:PAIRS_KEPT]
    )
    return observed, tuple(examples)


def judge_ids(observed: Mapping[str, Any], _: Mapping[str, Any]) -> Judged:
    """FAIL where an example is in two parts; WARN where it is twice in one."""
    if observed["shared"]:
        why = f"{observed['shared']:,} of {observed['ids']:,} ids are in more than one part"
        return Judged(Verdict.FAIL, why, "split so that each example is in one part")
    twice = {name: count for name, count in observed["twice"].items() if count}
    if twice:
        why = ", ".join(f"{count:,} ids more than once in {name}" for name, count in twice.items())
        return Judged(Verdict.WARN, why, "give each example an id of its own")
    return Judged(Verdict.PASS, f"each of {observed['ids']:,} ids is in one part")


# -- groups


def look_at_groups(data: Data) -> tuple[dict[str, Any], tuple[Example, ...]]:
    """How many groups have examples in more than one part."""
    groups: list[str | None] = []
    places: dict[str, np.ndarray] = {}
    for name, part in sorted(data.parts.items()):
        if part.groups is not None:
            own = [None if is_missing(each) else str(each) for each in part.groups.tolist()]
            places[name] = np.arange(len(groups), len(groups) + len(own))
            groups += own
    torn = straddling(places, groups)
    observed = {
        "examples": {name: _in_torn(groups, at, torn) for name, at in places.items()},
        "groups": len({each for each in groups if each is not None}),
        "missing": sum(1 for each in groups if each is None),
        "parts": len(places),
        "torn": len(torn),
        "torn_of_train": sum(1 for names in torn.values() if TRAIN in names),
        "without": sorted(data.parts.keys() - places.keys()),
    }
    return observed, tuple(_shown(data, group, names) for group, names in list(torn.items())[:PAIRS_KEPT])


def _in_torn(groups: list[str | None], places: np.ndarray, torn: Mapping[str, list[str]]) -> int:
    return sum(1 for at in places.tolist() if groups[at] in torn)


def _shown(data: Data, group: str, names: list[str]) -> Example:
    first = [next(k for k, each in enumerate(data.parts[name].groups) if str(each) == group) for name in names[:2]]  # type: ignore[arg-type]
    ids = tuple(str(data.parts[name].ids[k]) for name, k in zip(names[:2], first, strict=True))
    return Example(ids=ids, parts=tuple(names[:2]), says=f"both of group {group:.60}")


def judge_groups(observed: Mapping[str, Any], _: Mapping[str, Any]) -> Judged:
    """FAIL where a group of train is elsewhere, too; WARN where other parts share one."""
    if not observed["parts"]:
        return Judged(Verdict.NOT_APPLICABLE, "the data name no groups")
    if observed["torn"]:
        many = sum(observed["examples"].values())
        why = f"{observed['torn']:,} of {observed['groups']:,} groups are in more than one part, with {many:,} examples"
        verdict = Verdict.FAIL if observed["torn_of_train"] else Verdict.WARN
        return Judged(verdict, why, "split by group, so that all of a group is in one part")
    if observed["without"]:
        why = f"{', '.join(observed['without'])} name no groups, so nothing is known of them"
        return Judged(Verdict.INCONCLUSIVE, why, "give the groups of every part")
    return Judged(Verdict.PASS, f"each of {observed['groups']:,} groups is in one part")


# -- times


def look_at_times(data: Data) -> tuple[dict[str, Any], tuple[Example, ...]]:
    """How much of train is later than the first example of the scored part."""
    train, judged = data.train, data.judged
    if train.times is None or judged.times is None:
        there = [name for name, part in sorted(data.parts.items()) if part.times is not None]
        return {"iid": data.iid, "parts": there, "scored": data.scored}, ()
    times, scored = (np.asarray(part.times, dtype=np.float64) for part in (train, judged))
    first = float(np.nanmin(scored)) if not np.isnan(scored).all() else float("nan")
    late = np.flatnonzero(times > first)
    observed = {
        "first_scored": first,
        "iid": data.iid,
        "last_train": float(np.nanmax(times)) if not np.isnan(times).all() else float("nan"),
        "late": len(late),
        "missing": [int(np.isnan(each).sum()) for each in (times, scored)],
        "parts": [TRAIN, data.scored],
        "scored": data.scored,
        "train": len(times),
    }
    earliest = str(judged.ids[int(np.nanargmin(scored))]) if first == first else ""
    order = late[np.argsort(-times[late], kind="stable")][:PAIRS_KEPT]
    return observed, tuple(
        Example(
            ids=(str(train.ids[k]), earliest),
            parts=(TRAIN, data.scored),
            says="train has a later one",
            numbers={"later_by": float(times[k] - first)},
        )
        for k in order.tolist()
    )


def judge_times(observed: Mapping[str, Any], _: Mapping[str, Any]) -> Judged:
    """FAIL where parts that follow each other in time overlap; WARN where times are known and parts are mixed."""
    if len(observed["parts"]) < 2:
        known = f"only {observed['parts'][0]} has times" if observed["parts"] else "the data name no times"
        return Judged(Verdict.INCONCLUSIVE if observed["parts"] else Verdict.NOT_APPLICABLE, known)
    if any(observed["missing"]):
        why = f"{sum(observed['missing']):,} examples have no time, so nothing is sure"
        return Judged(Verdict.INCONCLUSIVE, why, "give each example of both parts its time")
    if not observed["late"]:
        return Judged(Verdict.PASS, f"all {observed['train']:,} examples of train are before {observed['scored']}")
    share = observed["late"] / observed["train"]
    why = f"{observed['late']:,} examples of train ({share:.1%}) are later than the first of {observed['scored']}"
    if observed["iid"]:
        return Judged(
            Verdict.WARN,
            f"{why}; the parts are said to be drawn from one source",
            "if what comes later is to be predicted, cut at a time; if times do not matter, leave them out",
        )
    return Judged(Verdict.FAIL, why, "cut at a time: all of train before all of the scored part")
