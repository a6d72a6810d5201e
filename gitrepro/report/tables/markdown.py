"""A table in Markdown. Behind each number a comment says where it is from; readers do not see it."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from .nouns import Row, Table
from .reference import count_of, reference_of
from .rounding import fixed
from .text import heading, named, of_failed, one_line, shown_decimals


def markdown(table: Table) -> str:
    """The table, with what each row is made of below it."""
    return "\n".join(_lines(table)) + "\n"


def _lines(table: Table) -> Iterator[str]:
    yield _line([*table.by, *(heading(table, name) for name in table.metrics), "n", "result"])
    yield _line([*[":--"] * len(table.by), *["--:"] * (len(table.metrics) + 1), ":--"], escaped=True)
    decimals = shown_decimals(table)
    for place, row in enumerate(table.rows):
        cells = [_cell(table, row, place, name, decimals[name]) for name in table.metrics]
        source = f"{_text(row.source.tag)} ({row.source.id[-8:]})" if row.source else "–"
        yield _line([*map(_text, row.labels), *cells, _count(row), source], escaped=True)
    yield ""
    yield "Mean ± sample standard deviation over n seeds."
    yield from (f"\n{_text(remark)}" for remark in table.remarks)
    made_of = "\n".join(_text(named(row)).replace("--", "- -") for row in table.rows)
    yield f"\n<!-- made by: {_text(table.made_by).replace('--', '- -')}\n{made_of}\n-->"


def _cell(table: Table, row: Row, place: int, metric: str, decimals: int) -> str:
    if metric not in row.spreads:
        return "–"
    spread = row.spreads[metric]
    mean = fixed(spread.mean * table.scale, decimals)
    number = f"**{mean}**" if table.best.get(metric) == place else mean
    if spread.std is not None:
        number += f" ± {fixed(spread.std * table.scale, decimals)}"
    fewer = f" (n={spread.n})" if spread.n != len(row.draws) else ""
    return f"{number}{fewer} <!-- gitrepro {reference_of(row, metric, scale=table.scale)} -->"


def _count(row: Row) -> str:
    reference = count_of(row)
    return f"{len(row.draws)}{f' <!-- gitrepro {reference} -->' if reference else ''}{of_failed(row)}"


def _line(cells: Sequence[str], *, escaped: bool = False) -> str:
    return f"| {' | '.join(cells if escaped else map(_text, cells))} |"


def _text(text: str) -> str:
    return html.escape(one_line(text), quote=False).replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")
