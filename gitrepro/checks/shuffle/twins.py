"""Examples that stand on both sides of the split: of equal content, or of one group."""

from __future__ import annotations

from ...records.sanity import Example
from ..task import TRAIN, Data
from .contents import Units, contents


def twins(data: Data, units: Units) -> list[Example]:
    """One pair for each scored example that has a twin in the train part; those of equal content first."""
    if data.scored == TRAIN:
        return []
    by_unit: dict[int, int] = {}
    by_content: dict[bytes | None, int] = {}
    for place, (code, content) in enumerate(zip(units.codes[TRAIN], contents(data.train.inputs), strict=True)):
        by_unit.setdefault(int(code), place)
        by_content.setdefault(content, place)
    found = []
    for place, (code, content) in enumerate(zip(units.codes[data.scored], contents(data.judged.inputs), strict=True)):
        if int(code) in by_unit:
            equal = content is not None and content in by_content
            other = by_content[content] if equal else by_unit[int(code)]
            found.append(_pair(data, place, other, "equal content" if equal else "of one group"))
    return sorted(found, key=lambda pair: pair.says)


def _pair(data: Data, scored: int, train: int, says: str) -> Example:
    return Example(
        ids=(str(data.judged.ids[scored]), str(data.train.ids[train])), parts=(data.scored, TRAIN), says=says
    )
