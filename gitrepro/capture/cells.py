"""Notebook files: what of them is code. Outputs, counts and metadata change with every run and are none."""

from __future__ import annotations

import json
from typing import Final

LARGEST_BYTES: Final = 64 << 20


def same_sources(one: bytes, other: bytes) -> bool:
    """Whether two notebooks hold the same cells in the same order; False where one of them is no notebook."""
    if one == other:
        return True
    sources = _sources(one)
    return sources is not None and sources == _sources(other)


def _sources(data: bytes) -> list[tuple[str, str]] | None:
    """Kind and text of each cell; None when the file cannot be read as a notebook."""
    if len(data) > LARGEST_BYTES:
        return None
    try:
        cells = json.loads(data)["cells"]
        return [(str(cell["cell_type"]), _text(cell["source"])) for cell in cells]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _text(source: object) -> str:
    # A list of lines, or all of them at once: both are in use.
    if isinstance(source, list):
        return "".join(source)
    if not isinstance(source, str):
        raise TypeError(source)
    return source
