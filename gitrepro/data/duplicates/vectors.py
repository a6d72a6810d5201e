"""Vectors that point the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from ...errors import UsageError
from .equal import confirmed, equal_rows
from .pairs import Items, Pairs, Rows, Tell, silent

BLOCK: Final = 1024
QUANTILES: Final = (0.5, 0.9, 0.99, 1.0)


def near_vectors(parts: Mapping[str, Items], *, cosine: float = 0.98, tell: Tell = silent) -> Pairs:
    """Each vector with its nearest neighbour by cosine, where that is near.

    What is near depends on where the vectors come from, so `numbers` tells the tail: under `TEST in TRAIN: 0.99`, the
    cosine that one in a hundred of the part TEST exceeds with its nearest neighbour in TRAIN; also for the median
    (`0.5`), `0.9`, and the greatest (`1.0`). Vectors of length zero (`zero`) and with values that are no numbers
    (`not finite`) are left out and counted.

    All are compared with all, in blocks of 1024: time grows with the square of their number, memory with their number.

    Args:
        parts: by name, in the order of search; contents are float arrays of shape (n, width).
        cosine: least cosine of a pair, above -1 and at most 1.
        tell: called now and then with how far it is.

    Raises:
        UsageError: contents have not that shape, or not one width, or there is no such cosine.
    """
    if not -1 < cosine <= 1:
        raise UsageError(f"cosine is {cosine}", why="it is above -1 and at most 1")
    vectors = {name: _checked(items.contents, name) for name, items in parts.items()}
    if len({each.shape[1] for each in vectors.values()}) > 1:
        widths = ", ".join(f"{name} {each.shape[1]}" for name, each in vectors.items())
        raise UsageError("vectors have several widths", why=widths)
    rows = Rows({name: Items(ids=parts[name].ids, contents=vectors[name]) for name in parts})
    kept, numbers = _all_with_all(rows, tell)
    near = kept[:, 2] <= 1 - cosine
    pairs = confirmed(kept[near], "vector", rows, equal_rows(rows, tell=tell))
    left_out = _left_out(rows)
    return Pairs(pairs=tuple(pairs), examples=len(rows) - sum(left_out.values()), left_out=left_out, numbers=numbers)


def _checked(contents: object, name: str) -> np.ndarray:
    try:
        vectors = np.asarray(contents)
    except ValueError as error:
        raise UsageError(f"part {name!r} has contents of several shapes, which are no vectors") from error
    if vectors.ndim != 2 or not vectors.shape[1] or vectors.dtype.kind not in "fiu":
        raise UsageError(
            f"part {name!r} has contents of shape {vectors.shape} and type {vectors.dtype}, which are no vectors",
            do="give a float array of shape (n, width)",
        )
    return vectors


def _all_with_all(rows: Rows, tell: Tell) -> tuple[np.ndarray, dict[str, float]]:
    """Later row, earlier row and 1 - cosine of nearest ones, float64 of shape (m, 3); and the quantiles."""
    found: list[np.ndarray] = []
    tops: dict[str, list[np.ndarray]] = {}
    for start, block in rows.blocks(BLOCK):
        ours = _directions(block)
        for name in rows.names[: int(rows.part[start]) + 1]:
            own = name == rows.names[rows.part[start]]
            best, place = _nearest(ours, rows, name, start, own)
            there = np.isfinite(best)
            found.append(np.stack([start + np.flatnonzero(there), place[there], 1 - best[there]], axis=1))
            tops.setdefault(f"{rows.names[rows.part[start]]} in {name}", []).append(best[there])
        tell("vectors", start + len(block), len(rows))
    every = np.concatenate(found) if found else np.zeros((0, 3))
    return every[np.lexsort((every[:, 1], every[:, 0]))], _tails(tops)


def _nearest(ours: np.ndarray, rows: Rows, name: str, start: int, own: bool) -> tuple[np.ndarray, np.ndarray]:
    """The greatest cosine with a row of that part, float64, and the row; -inf where there is none.

    In their own part only earlier ones, so that each pair comes once.
    """
    first = int(rows.starts[rows.names.index(name)])
    until = start + len(ours) if own else first + len(rows.parts[name])
    best, where = np.full(len(ours), -np.inf), np.zeros(len(ours), np.int64)
    for other in range(first, until, BLOCK):
        theirs = rows.parts[name].contents[other - first : min(other + BLOCK, until) - first]
        cosines = ours @ _directions(theirs).T
        if own and other + len(theirs) > start:
            cosines[np.arange(start, start + len(ours))[:, None] <= np.arange(other, other + len(theirs))] = np.nan
        cosines[np.isnan(cosines)] = -np.inf
        place = cosines.argmax(axis=1)
        value = cosines[np.arange(len(ours)), place]
        better = value > best
        best[better], where[better] = np.minimum(value[better], 1.0), other + place[better]
    return best, where


def _directions(vectors: np.ndarray) -> np.ndarray:
    """Of length 1, float32; NaN for those that have no direction."""
    with np.errstate(all="ignore"):
        doubles = vectors.astype(np.float64)
        length = np.linalg.norm(doubles, axis=1, keepdims=True)
        found: np.ndarray = (doubles / np.where(np.isfinite(length) & (length > 0), length, np.nan)).astype(np.float32)
    return found


def _left_out(rows: Rows) -> dict[str, int]:
    counts = {"zero": 0, "not finite": 0}
    for _, block in rows.blocks(BLOCK):
        finite = np.isfinite(block).all(axis=1)
        counts["not finite"] += int((~finite).sum())
        counts["zero"] += int((finite & (block == 0).all(axis=1)).sum())
    return {reason: count for reason, count in counts.items() if count}


def _tails(tops: Mapping[str, list[np.ndarray]]) -> dict[str, float]:
    return {
        f"{name}: {quantile}": float(np.quantile(np.concatenate(values), quantile))
        for name, values in tops.items()
        if sum(map(len, values))
        for quantile in QUANTILES
    }
