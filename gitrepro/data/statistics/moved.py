"""How statistics moved from one version of a data set to another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ...errors import UsageError
from .apart import ks_distance, total_variation

Value: TypeAlias = "bool | int | float | str | None"

_LEAST: Final = 1e-9
_CLASSES_NAMED: Final = 20
_SUMMARIES: Final = ("features", "channels", "lengths", "sizes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One number that is not what it was.

    Attributes:
        feature: the column, channel or class it belongs to; "" for the data set as a whole.
        what: `items`, `classes` (total variation distance of the shares), `share`, `mean`, `std`, `missing_rate`,
            `min`, `max`, `distribution` (Kolmogorov-Smirnov distance), `type`, `added`, `removed`, `duplicates`,
            `unreadable`, `values`.
        before, after: as they stand in the statistics; of a distance the old one is 0.
        size: how far it moved, comparable across kinds: a share between 0 and 1, a relative change of a count,
            a shift in units of the old standard deviation; infinite where something came, went, or had no spread.
    """

    feature: str
    what: str
    before: Value
    after: Value
    size: float


def moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Move]:
    """Compare two results of `describe`, the largest moves first.

    Raises:
        UsageError: they are of different algorithms, so that their numbers do not mean the same.
    """
    if old.get("algorithm") != new.get("algorithm"):
        raise UsageError(
            f"statistics of algorithm {old.get('algorithm')} and of {new.get('algorithm')} cannot be compared",
            why="their numbers do not mean the same",
            do="compute the older ones again with `gitrepro data stats`",
        )
    found = [*_wholes(old, new), *_classes(old, new)]
    for part in _SUMMARIES:
        found += _summaries(old.get(part, {}), new.get(part, {}))
    return sorted((each for each in found if each.size > _LEAST), key=_order)


def _order(move: Move) -> tuple[float, str, str]:
    return -move.size, move.feature, move.what


def _wholes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Move]:
    yield _count("items", old.get("counts", {}).get("items", 0), new.get("counts", {}).get("items", 0))
    yield _count("duplicates", _inside(old, "duplicates", "items"), _inside(new, "duplicates", "items"))
    for name in ("unreadable", "missing_labels"):
        yield _count(name, _inside(old, "counts", name), _inside(new, "counts", name))


def _inside(document: Mapping[str, Any], part: str, name: str) -> int:
    return int(document.get(part, {}).get(name, 0))


def _count(what: str, before: int, after: int, feature: str = "") -> Move:
    size = abs(after - before) / before if before else math.inf if after else 0.0
    return Move(feature=feature, what=what, before=before, after=after, size=size)


def _classes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Move]:
    before, after = old.get("classes"), new.get("classes")
    if before is None or after is None:
        if before is not after:
            yield Move(feature="", what="classes", before=_many(before), after=_many(after), size=math.inf)
        return
    yield Move(
        feature="",
        what="classes",
        before=0.0,
        after=total_variation(before, after),
        size=total_variation(before, after),
    )
    shares, others = _shares(before), _shares(after)
    of_each = [_share(name, shares, others) for name in sorted(shares | others)]
    yield from sorted(of_each, key=_order)[:_CLASSES_NAMED]


def _share(name: str, before: Mapping[str, float], after: Mapping[str, float]) -> Move:
    one, other = before.get(name, 0.0), after.get(name, 0.0)
    return Move(feature=name, what="share", before=one, after=other, size=abs(other - one))


def _shares(counts: Mapping[str, int]) -> dict[str, float]:
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()} if total else {}


def _many(classes: Mapping[str, int] | None) -> int | None:
    return None if classes is None else len(classes)


def _summaries(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Move]:
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            what, kind = ("added", new) if name in new else ("removed", old)
            here = kind[name].get("type", "number")
            before, after = (None, here) if what == "added" else (here, None)
            yield Move(feature=name, what=what, before=before, after=after, size=math.inf)
        else:
            yield from _summary(name, old[name], new[name])


def _summary(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Move]:
    if old.get("type") != new.get("type"):
        yield Move(feature=name, what="type", before=old.get("type"), after=new.get("type"), size=math.inf)
    rates = old.get("missing_rate", 0.0), new.get("missing_rate", 0.0)
    yield Move(feature=name, what="missing_rate", before=rates[0], after=rates[1], size=abs(rates[1] - rates[0]))
    if "lengths" in old and "lengths" in new:
        yield from _numbers(f"{name}.length", old["lengths"], new["lengths"])
    if "values" in old and "values" in new:
        apart = total_variation(old["values"], new["values"])
        yield Move(feature=name, what="values", before=0.0, after=apart, size=apart)
    yield from _numbers(name, old, new)


def _numbers(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Move]:
    if "mean" not in old or "mean" not in new:
        return
    unit = old["std"]
    for what in ("mean", "min", "max"):
        size = _shift(old[what], new[what], unit)
        yield Move(feature=name, what=what, before=old[what], after=new[what], size=size)
    yield Move(feature=name, what="std", before=unit, after=new["std"], size=_shift(unit, new["std"], unit))
    apart = ks_distance(old["histogram"], new["histogram"])
    yield Move(feature=name, what="distribution", before=0.0, after=apart, size=apart)


def _shift(before: float, after: float, unit: float) -> float:
    """The distance in units of the old standard deviation."""
    if before == after or (math.isnan(before) and math.isnan(after)):
        return 0.0
    size = abs(after - before) / unit if unit else math.inf
    return math.inf if math.isnan(size) else size
