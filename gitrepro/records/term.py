"""What a query looks at, and the plain values that it finds there. A list of runs needs no more than this."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Scalar: TypeAlias = "str | int | float"

_LARGEST: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Term:
    """What is looked at: a `field`, a `metric`, a leaf of the `config`, the `label`s, the `data` or the `split`s.

    The key of data and splits is `digest` where that is meant, and empty where a name is.
    """

    kind: str
    key: str


def flat(config: Mapping[str, Any], *, under: str = "") -> Iterator[tuple[str, Any]]:
    """Each leaf of a nested config with its dotted key; a dot or backslash of a key itself is escaped."""
    for key, value in config.items():
        part = str(key)
        if "." in part or "\\" in part:
            part = escaped(part)
        path = f"{under}.{part}" if under else part
        if isinstance(value, dict):
            yield from flat(value, under=path)
        else:
            yield path, value


def escaped(part: str) -> str:
    """One part of a dotted key, as it stands in the key."""
    return part.replace("\\", "\\\\").replace(".", "\\.")


def scalar(value: Any) -> Scalar | None:
    """A value as it is compared and sorted; None for what counts as missing.

    Booleans are 1 and 0. Integers beyond 64 bits are compared as the nearest float. A list is its JSON text.
    """
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, float):
        return value
    if isinstance(value, int):
        return int(value) if -_LARGEST <= value <= _LARGEST else _nearest(value)
    return text(json.dumps(value, ensure_ascii=False, default=str))


def _nearest(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def text(value: object) -> str:
    """Text that a database holds as it stands: without NUL and lone surrogates."""
    found = value if type(value) is str else str(value)
    if found.isascii() and "\0" not in found:
        return found
    return found.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
