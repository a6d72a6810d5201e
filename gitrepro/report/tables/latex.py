"""A table in LaTeX: booktabs, and each number inside `\\gitrepro{where it is from}{what is printed}`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .nouns import Row, Table
from .reference import count_of, reference_of
from .rounding import fixed
from .text import heading, named, of_failed, one_line, shown_decimals

_SPECIAL: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{each: f"\\{each}" for each in "&%$#_{}"},
}


def latex(table: Table) -> str:
    """The table, with comments that say which runs each row is made of. It needs the package booktabs."""
    return "\n".join(_lines(table)) + "\n"


def _lines(table: Table) -> Iterator[str]:
    yield f"% Made by: {one_line(table.made_by)}"
    yield "% Mean and sample standard deviation over seeds. `gitrepro table --check FILE` compares it with the record."
    # Without the braces of a comment sign TeX would print the line break as a space.
    yield r"\providecommand{\gitrepro}[2]{#2}% where a number is from, and the number"
    yield rf"\begin{{tabular}}{{{'l' * len(table.by)}{'r' * (len(table.metrics) + 1)}}}"
    yield r"\toprule"
    heads = [escape(heading(table, name)) for name in table.metrics]
    yield " & ".join([*map(escape, table.by), *heads, "$n$"]) + r" \\"
    yield r"\midrule"
    decimals = shown_decimals(table)
    for place, row in enumerate(table.rows):
        cells = [_cell(table, row, place, name, decimals[name]) for name in table.metrics]
        yield " & ".join([*map(escape, row.labels), *cells, _count(row)]) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield from (f"% {one_line(named(row))}" for row in table.rows)
    yield from (f"% {one_line(remark)}" for remark in table.remarks)


def _cell(table: Table, row: Row, place: int, metric: str, decimals: int) -> str:
    if metric not in row.spreads:
        return "--"
    spread = row.spreads[metric]
    mean = _number(fixed(spread.mean * table.scale, decimals))
    number = rf"\mathbf{{{mean}}}" if table.best.get(metric) == place else mean
    if spread.std is not None:
        number += rf" \pm {_number(fixed(spread.std * table.scale, decimals))}"
    fewer = f" ($n={spread.n}$)" if spread.n != len(row.draws) else ""
    return rf"\gitrepro{{{reference_of(row, metric, scale=table.scale)}}}{{${number}${fewer}}}"


def _count(row: Row) -> str:
    reference, failed = count_of(row), of_failed(row)
    return rf"\gitrepro{{{reference}}}{{{len(row.draws)}}}{failed}" if reference else f"{len(row.draws)}{failed}"


def _number(text: str) -> str:
    return text if re.fullmatch(r"-?[\d.]+", text) else rf"\mathrm{{{text}}}"


def escape(text: str) -> str:
    """Text as LaTeX prints it; what is no character becomes a space."""
    return "".join(_SPECIAL.get(each, each) for each in one_line(text))
