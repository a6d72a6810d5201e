"""The statistics of the data at a path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from ...errors import UsageError
from ..reading import ArrayItems, FolderItems, TableItems, open_items
from .arrays import describe_arrays
from .folders import describe_folder
from .room import within
from .sampling import Sample
from .strings import clipped
from .tables import describe_table

ALGORITHM: Final = 1
"""Counts up when the same bytes would give other statistics."""
AT_MOST: Final = 1_000_000
_KEY_CHARACTERS: Final = 80


def describe(
    path: Path,
    kind: str,
    *,
    id: str | None = None,
    label: str | None = None,
    at_most: int = AT_MOST,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    files: Sequence[bytes] | None = None,
    follow: bool = False,
) -> dict[str, Any]:
    """Describe the data at `path` in plain data that canonical YAML can write, below 700 KiB.

    Args:
        kind, id, label, files, follow: as `open_items` takes them.
        at_most: with more items, about as many are described, chosen by a keyed hash of their ids.
        seed: the key of that choice.
        progress: called with the number of items done, and of all items.

    Returns:
        `FORMAT.md` names every field. `exact` is false when items were left out; `n` is then how many were not.

    Raises:
        UsageError: the id or label does not fit; a table cannot be told apart into columns.
        Damaged: the bytes are not what the kind says.
        SourceChanged: a file vanished meanwhile.
    """
    if at_most < 1:
        raise UsageError(f"statistics of at most {at_most} items", why="it takes at least one")
    items = open_items(path, kind, id=id, label=label, files=files, follow=follow)
    count = len(items)
    sample = Sample.of(count, at_most=at_most, seed=seed)
    found = _described(items, sample, lambda done: progress(done, count) if progress is not None else None)
    return within(_whole(kind, count, found, sample, at_most))


def _described(
    items: FolderItems | TableItems | ArrayItems, sample: Sample, tell: Callable[[int], None]
) -> dict[str, Any]:
    if isinstance(items, FolderItems):
        return describe_folder(items, sample, tell)
    return (
        describe_table(items, sample, tell) if isinstance(items, TableItems) else describe_arrays(items, sample, tell)
    )


def _whole(kind: str, count: int, found: dict[str, Any], sample: Sample, at_most: int) -> dict[str, Any]:
    counts = {"items": count, **found.pop("counts", {})}
    if (features := found.pop("feature_count", None)) is not None:
        counts["features"] = features
    for name in ("class_count", "missing_labels"):
        if name in found:
            counts[name.replace("class_count", "classes")] = found.pop(name)
    exact = sample.threshold is None
    document = {"algorithm": ALGORITHM, "kind": kind, "exact": exact, "counts": counts, **found}
    if not exact:
        document["sampled"] = {"n": found["n"], "seed": sample.seed, "at_most": at_most}
    return {name: _short_keys(value) for name, value in document.items() if value not in ([], None)}


def _short_keys(value: Any) -> Any:
    """Names of columns may be longer than a key of a record."""
    if not isinstance(value, dict):
        return value
    return {clipped(name) if len(name) > _KEY_CHARACTERS else name: inner for name, inner in value.items()}
