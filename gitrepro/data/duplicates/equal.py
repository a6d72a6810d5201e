"""Examples of equal canonical content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np

from .contents import keys_of
from .pairs import Items, Kind, Pair, Pairs, Rows, Tell, silent

_ROWS: Final = 4096


def exact(parts: Mapping[str, Items], *, tell: Tell = silent) -> Pairs:
    """Pairs of examples whose canonical contents are equal, each with the first such of its part and of those before.

    What is compared, by its BLAKE2b digest of 128 bits:

    - texts after NFC, case folding, and with single spaces in place of white space; a text that is empty then is left
      out and counted as `empty`;
    - images (`PIL.Image`, or anything that has `getbands`) by their decoded pixels and shape;
    - arrays and numbers by shape and value: 8- and 16-bit integers and floats as float32, with -0.0 as 0.0 and every
      NaN as one; wider integers as int64. Anything else by its `repr`.

    Memory grows by some 60 bytes an example, and by the pairs.

    Args:
        parts: by name, in the order of search; `train` first.
        tell: called now and then with how far it is.

    Raises:
        UsageError: a part has not one id for each content.
    """
    rows = Rows(parts)
    equal = equal_rows(rows, tell=tell)
    pairs = tuple(rows.pair(a, b, "exact", 0.0) for b, a in zip(*equal.pairs(), strict=True))
    empty = int(equal.empty.sum())
    return Pairs(pairs=pairs, examples=len(rows) - empty, left_out={"empty": empty} if empty else {})


class Equal(NamedTuple):
    """Rows with an equal one in their own part or in one before, and that one; int64, shape (m,)."""

    later: np.ndarray
    earlier: np.ndarray
    empty: np.ndarray
    """Shape (n,), bool: texts without a letter."""

    def pairs(self) -> tuple[list[int], list[int]]:
        order = np.lexsort((self.earlier, self.later))
        return self.later[order].tolist(), self.earlier[order].tolist()

    def holds(self, rows: Rows, later: np.ndarray, earlier: np.ndarray) -> np.ndarray:
        """For each pair, shape (m,), whether the later row has an equal one in the part of the earlier row."""
        count = len(rows.names)
        known = self.later * count + rows.part[self.earlier]
        found: np.ndarray = np.isin(later * count + rows.part[earlier], known)
        return found


def equal_rows(rows: Rows, *, tell: Tell) -> Equal:
    """Which rows are equal by canonical content."""
    keys = np.zeros((len(rows), 2), np.uint64)
    empty = np.zeros(len(rows), bool)
    for start, contents in rows.blocks(_ROWS):
        found, without = keys_of(contents)
        keys[start : start + len(found)], empty[start : start + len(found)] = found, without
        tell("contents", start + len(found), len(rows))
    there = np.flatnonzero(~empty)
    later, earlier = firsts(there, rows.part, keys[there, 0], keys[there, 1])
    return Equal(later, earlier, empty)


def confirmed(kept: np.ndarray, kind: Kind, rows: Rows, equal: Equal) -> list[Pair]:
    """Of candidates (later row, earlier row, distance, …) in order, the first of each later row and part.

    None where the later row has an equal one in that part.
    """
    later, earlier = kept[:, 0].astype(np.int64), kept[:, 1].astype(np.int64)
    open_ = np.flatnonzero(~equal.holds(rows, later, earlier))
    _, first = np.unique((later * len(rows.names) + rows.part[earlier])[open_], return_index=True)
    chosen = open_[first].tolist()
    return [rows.pair(int(earlier[k]), int(later[k]), kind, float(kept[k, 2])) for k in chosen]


def firsts(rows: np.ndarray, part: np.ndarray, *keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row with the first row of the same keys, in its own part and in each part before.

    Args:
        rows: shape (m,), int64, ascending.
        part: shape (n,), the part of every row, ascending.
        keys: shape (m,) each.

    Returns:
        later and earlier rows, shape (k,) each; k is less than m times the number of parts.
    """
    order = np.lexsort((rows, *keys))
    ordered, parts = rows[order], part[rows[order]]
    group = _starts(*(key[order] for key in keys))
    run = group | _starts(parts)
    first, of_run, of_group = ordered[run], np.cumsum(run) - 1, np.cumsum(group)[run]
    pairs = list(_back(ordered, first, of_run, of_group))
    return np.concatenate([each[0] for each in pairs]), np.concatenate([each[1] for each in pairs])


def _back(
    ordered: np.ndarray, first: np.ndarray, of_run: np.ndarray, of_group: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A run is the rows of one part in a group. Pair each with the start of its run, of the run before, and so on."""
    own = first[of_run] != ordered if len(ordered) else np.zeros(0, bool)
    yield ordered[own], first[of_run][own]
    back = 1
    while back < len(first):
        same = of_group[back:] == of_group[:-back]
        if not same.any():
            return
        wanted = np.concatenate([np.zeros(back, bool), same])[of_run]
        yield ordered[wanted], first[of_run[wanted] - back]
        back += 1


def _starts(*keys: np.ndarray) -> np.ndarray:
    """Where a sorted key is not as the one before."""
    found = np.ones(len(keys[0]), bool)
    found[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return found
