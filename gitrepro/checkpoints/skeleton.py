"""A state as JSON that refers to its arrays by name. Nothing in it is code, and every value comes back exactly.

What JSON has stands as it is: objects with text keys, arrays, text, true, false, null, whole and finite real numbers.
What it has not is an object with one key that begins with `$`; FORMAT.md lists them.
"""

from __future__ import annotations

import base64
import math
import struct
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..errors import Damaged, UsageError

DEPTH_AT_MOST: Final = 100
Take = Callable[[str, Any], Any]
"""Called with the path and a value that is not plain; it returns what stands for it, or raises."""
Give = Callable[[str, Any], Any]
"""Called with a `$` key that is not plain and what stands below it; it returns the value."""


def encode(value: Any, *, path: str, take: Take, depth: int = 0) -> Any:
    """`value` as JSON-like data.

    Args:
        path: where it stands in the whole, for names and messages: `optimizer/state/0/exp_avg`.
        take: is given each value that is not plain.

    Raises:
        UsageError: something in it can not be kept; the message names it.
    """
    if depth > DEPTH_AT_MOST:
        raise UsageError(f"{path:.100} is nested over {DEPTH_AT_MOST} deep", why="it may hold itself")

    def below(key: object, each: Any) -> Any:
        return encode(each, path=f"{path}/{key}", take=take, depth=depth + 1)

    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": struct.pack(">d", value).hex()}
    if kind is list:
        return [below(place, each) for place, each in enumerate(value)]
    if kind is tuple:
        return {"$tuple": [below(place, each) for place, each in enumerate(value)]}
    if kind in (dict, defaultdict, OrderedDict):
        return _mapping(value, below)
    if kind in (set, frozenset):
        return {f"${kind.__name__}": _sorted([below("", each) for each in value])}
    if kind in (bytes, bytearray):
        return {f"${kind.__name__}": base64.b64encode(value).decode()}
    if kind is complex:
        return {"$complex": [below("real", value.real), below("imag", value.imag)]}
    return take(path, value)


def _mapping(value: Mapping[Any, Any], below: Callable[[object, Any], Any]) -> Any:
    pairs = [(key, below(key, each)) for key, each in value.items()]
    if type(value) is OrderedDict:
        # Modules keep the versions of their parts beside the state, as an attribute of it.
        metadata = getattr(value, "_metadata", None)
        told = [] if metadata is None else [below("_metadata", dict(metadata))]
        return {"$ordered": [[[below("", key), each] for key, each in pairs], *told]}
    if all(type(key) is str and not key.startswith("$") for key, _ in pairs):
        return dict(pairs)
    return {"$dict": [[below("", key), each] for key, each in pairs]}


def _sorted(items: list[Any]) -> list[Any]:
    import json

    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


def decode(value: Any, *, give: Give) -> Any:
    """The value that `encode` made this of.

    Raises:
        Damaged: it is not what `encode` makes.
    """
    try:
        return _decode(value, give)
    except (ValueError, TypeError, KeyError, IndexError, struct.error, RecursionError) as error:
        raise Damaged("the state in a checkpoint is not as it was written", why=repr(error)[:200]) from error


def _decode(value: Any, give: Give) -> Any:
    if isinstance(value, list):
        return [_decode(each, give) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (tag := next(iter(value))).startswith("$"):
        return _tagged(tag, value[tag], give)
    return {key: _decode(each, give) for key, each in value.items()}


def _tagged(tag: str, value: Any, give: Give) -> Any:
    match tag:
        case "$float":
            return struct.unpack(">d", bytes.fromhex(value))[0]
        case "$tuple":
            return tuple(_decode(value, give))
        case "$dict":
            return {_decode(key, give): _decode(each, give) for key, each in value}
        case "$ordered":
            return _ordered(value, give)
        case "$set" | "$frozenset":
            return (set if tag == "$set" else frozenset)(_decode(value, give))
        case "$bytes" | "$bytearray":
            data = base64.b64decode(value, validate=True)
            return data if tag == "$bytes" else bytearray(data)
        case "$complex":
            return complex(*_decode(value, give))
    return give(tag, value)


def _ordered(value: list[Any], give: Give) -> OrderedDict[Any, Any]:
    found = OrderedDict((_decode(key, give), _decode(each, give)) for key, each in value[0])
    if len(value) > 1:
        found._metadata = OrderedDict(_decode(value[1], give))  # type: ignore[attr-defined]
    return found
