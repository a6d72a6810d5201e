"""What the pages on data sets have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...errors import UsageError
from ...records.dataset import DatasetRecord, parse_ref

if TYPE_CHECKING:
    pass

SCHEMA: Final = 1


def document(record: DatasetRecord) -> dict[str, Any]:
    """A version as `--json` gives it. Its names are a promise."""
    return {name: value for name, value in record.document().items() if name != "format" and name not in record.unknown}


def named(text: str) -> tuple[str, str | None]:
    """NAME[@VERSION] of something new, taken apart.

    Raises:
        UsageError: it is no name.
    """
    ref = parse_ref(text)
    if ref.name is None or ref.digest is not None:
        raise UsageError(f"{text!r:.120} is no name for a version", do="write NAME or NAME@VERSION, as in `digits@v1`")
    return ref.name, ref.version


def short(digest: str) -> str:
    return digest[:15]
