"""What checks found of an experiment, as the run that closes them has it on record."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..records.sanity import Checked

if TYPE_CHECKING:
    from .handle import Run

OP: Final = "checked"
FILE: Final = "checked.json"
EXAMPLES_AT_MOST: Final = 10
"""Of each line in the record itself, which is a small file; all are in the artifact."""
_TEXT_AT_MOST: Final = 2_000
_ENTRIES_AT_MOST: Final = 200
_DEPTH_AT_MOST: Final = 8


def tell_checked(run: Run, lines: Iterable[Checked]) -> None:
    """Put on record what checks found: each line in the record, with all of its examples in an artifact."""
    documents = [plain(line.document()) for line in lines]
    run.artifact(documents, FILE)
    run._event(OP, lines=[_short(document) for document in documents])


def checked(events: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The field `checked` of a record: what was told last."""
    found: Sequence[Any] = ()
    for event in events:
        if event.get("op") == OP:
            found = event["lines"]
    return tuple(dict(each) for each in found)


def plain(value: Any, depth: int = 0) -> Any:
    """Maps, lists, texts and numbers, whatever numbers of NumPy a check has left in it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(each, depth + 1) for key, each in value.items()} if depth < _DEPTH_AT_MOST else {}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each, depth + 1) for each in value] if depth < _DEPTH_AT_MOST else []
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth)
    return str(value)


def _short(document: Mapping[str, Any]) -> dict[str, Any]:
    cut = {name: _cut(document[name]) for name in document}
    return {**cut, "examples": cut["examples"][:EXAMPLES_AT_MOST], "examples_found": len(document["examples"])}


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_TEXT_AT_MOST]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {key: _cut(each) for key, each in [*value.items()][:_ENTRIES_AT_MOST]}
    if isinstance(value, list):
        return [_cut(each) for each in value[:_ENTRIES_AT_MOST]]
    return value
