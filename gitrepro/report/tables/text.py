"""What the ways to print a table share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from .nouns import Row, Table
from .rounding import decimals_of

_FAILED_SHOWN: Final = 3


def one_line(text: str) -> str:
    """Text without line breaks and other control characters."""
    return re.sub(r"\s+", " ", "".join(each if each.isprintable() else " " for each in text)).strip()


def heading(table: Table, metric: str) -> str:
    """A metric as the head of its column."""
    return f"{metric} (%)" if table.scale == 100 else metric


def shown_decimals(table: Table) -> Mapping[str, int]:
    """The decimals of each column."""
    columns = {name: [row.spreads[name] for row in table.rows if name in row.spreads] for name in table.metrics}
    return {name: decimals_of(found, scale=table.scale, digits=table.digits) for name, found in columns.items()}


def counted_draws(row: Row) -> str:
    """How many seeds a row has, and of how many where some failed."""
    return f"{len(row.draws)}{of_failed(row)}"


def of_failed(row: Row) -> str:
    """What stands behind the number of seeds where some failed."""
    return f" of {len(row.draws) + len(row.failed)}" if row.failed else ""


def named(row: Row) -> str:
    """What a row is made of, for a reader with the repository."""
    source = f"{row.source.tag}, result {row.source.id}; " if row.source else ""
    seeds = ", ".join(f"{seed}: {run[-8:]}" for seed, run in row.draws.items())
    failed = ""
    if row.failed:
        more = f" and {len(row.failed) - _FAILED_SHOWN} more" if len(row.failed) > _FAILED_SHOWN else ""
        failed = f"; failed: {', '.join(run[-8:] for run in row.failed[:_FAILED_SHOWN])}{more}"
    return f"{' / '.join(row.labels)}: {source}runs by seed {seeds or 'none'}{failed}"
