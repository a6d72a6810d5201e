"""What a run was made from and what it left behind: the shape of `data`, `fitted`, `checkpoints` and `artifacts`.

A field that is there is of its type; which of them are there is for whoever wrote the record. Others are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

CHECKS: Final = ("stat", "sample", "full")
"""How a run made sure that its data is what the record names, the weakest first."""

_Fits: TypeAlias = Callable[[Any], bool]


def odd(values: Mapping[str, Any]) -> str | None:
    """The first part of a run record's fields that is not of its type, as `data[0].items`; None when all are."""
    for name, shape in _SHAPES.items():
        for place, entry in enumerate(values.get(name) or ()):
            if (found := _odd(entry, shape)) is not None:
                return f"{name}[{place}]{found}"
    return None


def _odd(entry: object, shape: Mapping[str, _Fits]) -> str | None:
    if not isinstance(entry, dict):
        return ""
    return next((f".{name}" for name, fits in shape.items() if name in entry and not fits(entry[name])), None)


def _text(value: object) -> bool:
    return isinstance(value, str)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _counts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_count, value.values()))


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _map(value: object) -> bool:
    return isinstance(value, dict)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _or_none(fits: _Fits) -> _Fits:
    return lambda value: value is None or fits(value)


_SPLIT: Final[dict[str, _Fits]] = {
    "digest": _text,
    "name": _text,
    "parts": _counts,
    "reads": _counts,
    "version": _or_none(_text),
}
_SHAPES: Final[dict[str, dict[str, _Fits]]] = {
    "data": {
        "checked": _or_none(_text),
        "digest": _text,
        "items": _or_none(_count),
        "kind": _or_none(_text),
        "linked": _or_none(lambda value: isinstance(value, bool)),
        "name": _text,
        "size_bytes": _or_none(_count),
        "splits": lambda value: isinstance(value, list) and all(_odd(each, _SPLIT) is None for each in value),
        "version": _or_none(_text),
    },
    "fitted": {
        "blob": _or_none(_text),
        "count": _count,
        "data": _text,
        "ids": _text,
        "method": _text,
        "name": _text,
        "part": _text,
        "split": _text,
    },
    "checkpoints": {
        "blob": _text,
        "created_at": _or_none(_text),
        "format": _or_none(_text),
        "holds": _texts,
        "metric": _or_none(_map),
        "name": _or_none(_text),
        "path": _or_none(_text),
        "provenance": _or_none(_map),
        "roles": _texts,
        "size_bytes": _count,
        "step": _or_none(_whole),
        "weights": _or_none(_text),
    },
    "artifacts": {
        "blob": _text,
        "files": _count,
        "kind": _text,
        "media_type": _or_none(_text),
        "name": _text,
        "size_bytes": _count,
    },
}
