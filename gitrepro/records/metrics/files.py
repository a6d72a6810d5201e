"""The names of the files that a table consists of."""

from __future__ import annotations

import re
from collections.abc import Iterable


def file_name(stem: str, *, rank: int, part: int | None) -> str:
    """`metrics.parquet`, `metrics.rank-1.parquet`, `metrics.part-0.parquet`, `metrics.rank-1.part-0.parquet`."""
    of_rank = f".rank-{rank}" if rank else ""
    of_part = "" if part is None else f".part-{part}"
    return f"{stem}{of_rank}{of_part}.parquet"


def by_rank(names: Iterable[str], *, stem: str = "metrics") -> dict[int, list[str]]:
    """Sort the names of a run's files into the tables they form: rank to names; other files are passed over."""
    pattern = re.compile(re.escape(stem) + r"(?:\.rank-([1-9][0-9]{0,8}))?(?:\.part-(?:0|[1-9][0-9]{0,8}))?\.parquet")
    tables: dict[int, list[str]] = {}
    for name in sorted(names):
        match = pattern.fullmatch(name)
        if match:
            tables.setdefault(int(match[1] or 0), []).append(name)
    return dict(sorted(tables.items()))
