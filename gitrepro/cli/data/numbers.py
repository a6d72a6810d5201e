"""Statistics on a page: classes, then one line with a small histogram for each feature, channel, size and length."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from ..present import clean, coloured, line, number, pairs, table

_CLASSES_AT_MOST: Final = 20
_FEATURES_AT_MOST: Final = 24
_BAR_COLUMNS: Final = 20
_SUMMARIES: Final = ("features", "channels", "sizes", "lengths")
_HEADER: Final = ("feature", "type", "missing", "min", "mean", "max", "std", "distinct", "histogram")
_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_ASCII: Final = ".:-=+*%@"
_PLACES_AT_MOST: Final = 10_000
_DIGITS: Final = re.compile("([0-9]+)")


def print_statistics(statistics: Mapping[str, Any], *, everything: bool) -> None:
    """All that is on record about the values of a version."""
    line()
    line(_title(statistics))
    for text in pairs(list(_wholes(statistics))):
        line(text)
    _print_classes(_map(statistics.get("classes")), statistics, everything=everything)
    _print_features(statistics, everything=everything)


def _title(statistics: Mapping[str, Any]) -> str:
    sampled = _map(statistics.get("sampled"))
    if not sampled:
        return "statistics"
    of = _map(statistics.get("counts")).get("items")
    return f"statistics of {number(sampled.get('n'))} items, sampled of {number(of)} (seed {sampled.get('seed')})"


def _wholes(statistics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What is said of the data set as a whole."""
    counts = _map(statistics.get("counts"))
    told = {name: value for name, value in counts.items() if value and name not in ("items", "features", "classes")}
    if told:
        yield "counts", ", ".join(f"{_grouped(value)} {name.replace('_', ' ')}" for name, value in told.items())
    duplicates = _map(statistics.get("duplicates"))
    found = {name: value for name, value in duplicates.items() if isinstance(value, int) and value}
    if found:
        yield "duplicates", ", ".join(f"{_grouped(value)} {name.replace('_', ' ')}" for name, value in found.items())
    suffixes = _map(statistics.get("suffixes"))
    if suffixes:
        yield (
            "suffixes",
            ", ".join(f"{name or 'none'} {_grouped(count)}" for name, count in list(suffixes.items())[:10]),
        )
    for remark in statistics.get("notes") or ():
        yield "note", str(remark)


# -- classes


def _print_classes(classes: Mapping[str, Any], statistics: Mapping[str, Any], *, everything: bool) -> None:
    if not classes:
        return
    counts = {name: classes[name] for name in sorted(classes, key=natural) if isinstance(classes[name], int)}
    total = _map(statistics.get("counts")).get("classes", len(counts))
    shown = counts if everything else dict(list(counts.items())[:_CLASSES_AT_MOST])
    most, every = max(counts.values(), default=1) or 1, sum(counts.values()) or 1
    line()
    rows = [[name, f"{count:,}", f"{count / every:.1%}", _bar(count / most)] for name, count in shown.items()]
    table(rows, ("class", "items", "share", ""), right=(1, 2))
    if isinstance(total, int) and total > len(shown):
        line(coloured(f"  and {total - len(shown):,} more; --all shows them", "dim"))


def _bar(share: float) -> str:
    return ("█" if _speaks_utf8() else "#") * max(round(share * _BAR_COLUMNS), 1 if share else 0)


# -- features


def _print_features(statistics: Mapping[str, Any], *, everything: bool) -> None:
    rows = [
        _row(name if part == "features" else f"{part[:-1]} {name}", _map(about))
        for part in _SUMMARIES
        for name, about in sorted(_map(statistics.get(part)).items(), key=lambda item: natural(item[0]))
    ]
    if not rows:
        return
    shown = rows if everything else rows[:_FEATURES_AT_MOST]
    line()
    table(shown, _HEADER, right=(2, 3, 4, 5, 6, 7), spare=(7, 6, 1, 2))
    described = _map(statistics.get("features"))
    of = _map(statistics.get("counts")).get("features", len(described))
    more = len(rows) - len(shown) + max(int(of) - len(described), 0)
    if more:
        line(coloured(f"  and {more:,} more; --all or --json shows those on record", "dim"))


def natural(name: str) -> list[tuple[int, str]]:
    """The order in which people count: `images[2]` before `images[10]`."""
    # A run of digits is compared by its length, then by its digits: that needs no int, which some are too long for.
    return [
        (len(digits := piece.lstrip("0")), digits) if at % 2 else (0, piece)
        for at, piece in enumerate(_DIGITS.split(name))
    ]


def _row(name: str, about: Mapping[str, Any]) -> list[object]:
    told = about if "histogram" in about or "lengths" not in about else _map(about["lengths"])
    kind = str(about.get("type") or "")
    rate = about.get("missing_rate")
    return [
        name,
        kind if told is about else f"{kind}, length",
        f"{rate:.1%}" if isinstance(rate, float) and rate else "",
        _shown(told.get("min")),
        _shown(told.get("mean")),
        _shown(told.get("max")),
        _shown(told.get("std")),
        _grouped(about["distinct"]) if "distinct" in about else "",
        histogram(_map(told.get("histogram")).get("counts") or _map(about.get("values")).values()),
    ]


def histogram(counts: Any) -> str:
    """Counts as one line of blocks; in ASCII where the terminal has no others."""
    from ...data.statistics import bars

    try:
        shown = bars([float(count) for count in counts], _BAR_COLUMNS)
    except (TypeError, ValueError):
        return ""  # of another program's making
    return shown if _speaks_utf8() else shown.translate(str.maketrans(_BLOCKS, _ASCII))


def beside(one: Mapping[str, Any], two: Mapping[str, Any]) -> tuple[str, str] | None:
    """Two histograms over the same values, so that what moved stands elsewhere; None where one is none."""
    try:
        sides = [_bins(each) for each in (one, two)]
        # Bins are 2^k wide and begin at multiples of that: the coarser ones hold the finer ones whole.
        width = max(width for width, _ in sides) or 1.0
        places = [[(math.floor(middle / width), count) for middle, count in bins] for _, bins in sides]
    except (TypeError, ValueError, KeyError, IndexError, OverflowError):
        return None
    first, last = (pick(place for bins in places for place, _ in bins) for pick in (min, max))
    if last - first >= _PLACES_AT_MOST:
        return None
    counts = [[0.0] * (last - first + 1) for _ in places]
    for side, bins in zip(counts, places, strict=True):
        for place, count in bins:
            side[place - first] += count
    return histogram(counts[0]), histogram(counts[1])


def _bins(about: Mapping[str, Any]) -> tuple[float, list[tuple[float, float]]]:
    """The width of the bins, and the middle and count of each."""
    edges, counts = [float(each) for each in about["edges"]], [float(each) for each in about["counts"]]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    return edges[1] - edges[0], list(zip(middles, counts, strict=True))


def _speaks_utf8() -> bool:
    return "utf" in (sys.stdout.encoding or "").lower()


def _shown(value: object) -> str:
    return "" if value is None else number(value)


def _grouped(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else clean(value)


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
