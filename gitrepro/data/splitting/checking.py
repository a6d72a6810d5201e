"""What can be said for and against a split, from the ids of its parts and what is known of the items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ...records.partition import repeated
from ...records.result import Verdict
from .balance import classes_in, total_variation, variation_by_chance
from .groups import straddling

_NAMED: Final = 5
_VARIATION_AT_MOST: Final = 0.05
_CHANCES_AT_MOST: Final = 2.0
_CLASSES_AT_MOST: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The verdict of one check, in words and in numbers."""

    check: str
    verdict: Verdict
    what: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {"check": self.check, "evidence": dict(self.evidence), "verdict": str(self.verdict), "what": self.what}


def examine(
    parts: Mapping[str, Sequence[str]],
    ids: Sequence[str],
    *,
    groups: Sequence[str | None] | None = None,
    labels: Sequence[str | None] | None = None,
) -> list[Finding]:
    """Check parts against the items of a data set.

    Args:
        parts: the ids of each part.
        ids: of all items; `groups` and `labels` are theirs, in the same order.
    """
    import numpy as np

    place_of = {each: at for at, each in enumerate(ids)}
    places = {
        name: np.array([place_of[each] for each in own if each in place_of], dtype=np.int64)
        for name, own in parts.items()
    }
    return [
        _disjoint(parts),
        _known(parts, place_of),
        _filled(parts),
        _covering(parts, ids),
        _whole(places, groups),
        _balanced(places, labels),
    ]


def _disjoint(parts: Mapping[str, Sequence[str]]) -> Finding:
    twice = list(repeated(parts))
    if not twice:
        return Finding(check="disjoint", verdict=Verdict.PASS, what="no item is in two parts")
    return Finding(
        check="disjoint",
        verdict=Verdict.FAIL,
        what=f"{_items(len(twice))} in more than one place: {_some(twice)}",
        evidence={"items": len(twice)},
    )


def _known(parts: Mapping[str, Sequence[str]], place_of: Mapping[str, int]) -> Finding:
    lost = [f"{each!r:.60} ({name})" for name, own in parts.items() for each in own if each not in place_of]
    if not lost:
        return Finding(check="ids", verdict=Verdict.PASS, what="every id is in the data set")
    return Finding(
        check="ids",
        verdict=Verdict.FAIL,
        what=f"{_items(len(lost))} not in the data set: {_some(lost)}",
        evidence={"items": len(lost)},
    )


def _filled(parts: Mapping[str, Sequence[str]]) -> Finding:
    sizes = {name: len(own) for name, own in parts.items()}
    empty = [name for name, size in sizes.items() if not size]
    what = f"empty: {_some(empty)}" if empty else ", ".join(f"{name} {size:,}" for name, size in [*sizes.items()][:10])
    return Finding(check="sizes", verdict=Verdict.FAIL if empty else Verdict.PASS, what=what, evidence=sizes)


def _covering(parts: Mapping[str, Sequence[str]], ids: Sequence[str]) -> Finding:
    taken = set().union(*parts.values())
    left = [each for each in ids if each not in taken]
    if not left:
        return Finding(check="covering", verdict=Verdict.PASS, what=f"all {len(ids):,} items are in a part")
    return Finding(
        check="covering",
        verdict=Verdict.WARN,
        what=f"{_items(len(left))} in no part: {_some([f'{each!r:.60}' for each in left])}",
        evidence={"items": len(left)},
    )


def _whole(places: Mapping[str, Any], groups: Sequence[str | None] | None) -> Finding:
    if groups is None:
        return Finding(check="groups", verdict=Verdict.NOT_APPLICABLE, what="no group was given")
    torn = straddling(places, groups)
    count = len({group for group in groups if group is not None})
    if not torn:
        return Finding(check="groups", verdict=Verdict.PASS, what=f"each of {count:,} groups is in one part")
    shown = _some([f"{group!r:.60} in {', '.join(names)}" for group, names in torn.items()])
    return Finding(
        check="groups",
        verdict=Verdict.FAIL,
        what=f"{len(torn):,} of {count:,} groups are in more than one part: {shown}",
        evidence={"groups": count, "torn": len(torn)},
    )


def _balanced(places: Mapping[str, Any], labels: Sequence[str | None] | None) -> Finding:
    different = len(set(labels)) if labels is not None else 0
    if labels is None or different > min(_CLASSES_AT_MOST, max(len(labels) // 2, 2)):
        why = "the data set has no label" if labels is None else f"{different:,} different labels are no classes"
        return Finding(check="classes", verdict=Verdict.NOT_APPLICABLE, what=why)
    counts = {name: each for name, each in classes_in(places, labels).items() if each}
    whole = classes_in({"": _all(labels)}, labels)[""]
    faults: list[str] = []
    evidence: dict[str, Any] = {}
    for name, own in counts.items():
        variation, chance = total_variation(own, whole), variation_by_chance(own, whole)
        missing = sorted(str(each) for each, total in whole.items() if each not in own and total >= len(counts))
        evidence[name] = {"by_chance": chance, "missing": missing[:_NAMED], "total_variation": variation}
        faults += _faults(name, variation, chance, missing)
    what = "; ".join(faults) or f"{different} classes lie in the parts as in the whole"
    return Finding(check="classes", verdict=Verdict.WARN if faults else Verdict.PASS, what=what, evidence=evidence)


def _faults(name: str, variation: float, chance: float, missing: list[str]) -> Iterator[str]:
    if missing:
        yield f"{name} has nothing of {_some(missing)}"
    if variation > max(_VARIATION_AT_MOST, _CHANCES_AT_MOST * chance):
        yield f"{name} is {variation:.3f} from the whole, where chance makes {chance:.3f} (total variation)"


def _all(labels: Sequence[str | None]) -> Any:
    import numpy as np

    return np.arange(len(labels))


def _items(count: int) -> str:
    return f"{count:,} {'item is' if count == 1 else 'items are'}"


def _some(shown: Sequence[str]) -> str:
    return ", ".join(shown[:_NAMED]) + (", …" if len(shown) > _NAMED else "")
