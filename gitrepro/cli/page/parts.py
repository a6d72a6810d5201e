"""What the sections of a page share: rows, and values of records that may hold anything."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from ..present import number

Rows: TypeAlias = "list[tuple[str, str]]"

LISTED_AT_MOST: Final = 12


def listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def maps(value: object) -> list[dict[str, Any]]:
    """The maps of a list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, (list, tuple)) else []


def mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def value(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)
