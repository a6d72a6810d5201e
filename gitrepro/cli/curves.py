"""Curves for a terminal: a metric over its steps, in braille dots, or in plain characters where there are none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from .present import clean, number

HEIGHT: Final = 6
_AXIS: Final = 13
_WIDTH_AT_MOST: Final = 100
_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A metric: its steps and values in the order of logging. Values that are not finite leave a gap."""

    name: str
    steps: Sequence[float]
    values: Sequence[float]


def chart(curve: Curve, *, width: int, fine: bool = True, bounds: tuple[float, float] | None = None) -> Iterator[str]:
    """Lines of a chart: the name, the curve beside its axis, the steps below.

    Args:
        width: columns of the terminal.
        fine: in braille dots; else in plain characters.
        bounds: least and greatest value of the axis; those of the curve by default.
    """
    columns = max(16, min(width, _WIDTH_AT_MOST) - _AXIS - 2)
    points = [(step, value) for step, value in zip(curve.steps, curve.values, strict=True) if math.isfinite(value)]
    yield f"  {clean(curve.name)}"
    if not points:
        yield f"  {'':>{_AXIS}}no finite value"
        return
    low, high = bounds or (min(value for _, value in points), max(value for _, value in points))
    first, last = min(curve.steps), max(curve.steps)
    rows = _drawn(points, columns, first, last, low, high, fine=fine)
    labels = {0: number(float(high)), HEIGHT - 1: number(float(low)) if high > low else ""}
    edge = "┤" if fine else "|"
    for place, row in enumerate(rows):
        yield f"  {labels.get(place, ''):>{_AXIS - 2}} {edge}{row}".rstrip()
    left, right = _step(first), _step(last)
    room = columns - len(left)
    yield f"  {'':>{_AXIS}}{left}{right if right != left else '':>{room}}".rstrip()


def shared_bounds(curves: Sequence[Curve]) -> tuple[float, float] | None:
    """The least and the greatest finite value of several curves, for one axis."""
    finite = [value for curve in curves for value in curve.values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else None


def _step(value: float) -> str:
    return f"step {int(value)}" if float(value).is_integer() else f"step {value:g}"


def _drawn(
    points: Sequence[tuple[float, float]],
    columns: int,
    first: float,
    last: float,
    low: float,
    high: float,
    *,
    fine: bool,
) -> list[str]:
    wide, tall = (columns * 2, HEIGHT * 4) if fine else (columns, HEIGHT)
    cells = _cells(points, wide, tall, first, last, low, high)
    if not fine:
        return ["".join("*" if (x, y) in cells else " " for x in range(wide)) for y in range(tall)]
    return ["".join(_glyph(cells, x, y) for x in range(columns)) for y in range(HEIGHT)]


def _glyph(cells: set[tuple[int, int]], x: int, y: int) -> str:
    bits = sum(_DOTS[down][right] for down in range(4) for right in range(2) if (x * 2 + right, y * 4 + down) in cells)
    return chr(0x2800 + bits) if bits else " "


def _cells(
    points: Sequence[tuple[float, float]], wide: int, tall: int, first: float, last: float, low: float, high: float
) -> set[tuple[int, int]]:
    """The dots that are set: in each column from the least to the greatest of its values, joined to the one before."""
    spans: dict[int, tuple[float, float, float]] = {}
    for step, value in points:
        x = round((step - first) / (last - first) * (wide - 1)) if last > first else 0
        least, most, _ = spans.get(x, (value, value, value))
        spans[x] = (min(least, value), max(most, value), value)
    cells: set[tuple[int, int]] = set()
    before: tuple[int, int] | None = None
    for x in sorted(spans):
        least, most, ends = spans[x]
        top, bottom = (_row(value, low, high, tall) for value in (most, least))
        cells.update((x, y) for y in range(top, bottom + 1))
        if before:
            cells.update(_line(before, (x, _row(least + (most - least) / 2, low, high, tall))))
        before = (x, _row(ends, low, high, tall))
    return cells


def _row(value: float, low: float, high: float, tall: int) -> int:
    if high <= low:
        return tall // 2
    # Halves, so that the distance of two huge values does not overflow.
    share = (value / 2 - low / 2) / (high / 2 - low / 2)
    return min(max(round((1 - share) * (tall - 1)), 0), tall - 1)


def _line(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    (x0, y0), (x1, y1) = start, end
    steps = max(abs(x1 - x0), abs(y1 - y0), 1)
    return ((x0 + round((x1 - x0) * at / steps), y0 + round((y1 - y0) * at / steps)) for at in range(1, steps))
