"""What stands beside a printed number and says where it is from: `test/accuracy of result/vit`.

`100*test/accuracy of 4qx2k4m7pq 7h3jz1m2r8` is in percent, and of two runs, by the ends of their ids.
`n*test/accuracy of result/vit` is of how many runs the number is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, final

from ...errors import UsageError
from .nouns import Row

RUN_CHARACTERS: Final = 10
"""As much of the end of a run's id as is written: 50 random bits, so that no later run has the same."""
_WRITTEN: Final = re.compile(r"\s*(?:(?P<scale>100|n)\s*\*\s*)?(?P<metric>\S.*?)\s+of\s+(?P<targets>\S.*?)\s*")
# What would end the argument of a macro, a comment of HTML or a cell, or begin a comment of TeX.
_ODD: Final = re.compile(r"[^\x21-\x7e]|[\\{}%#&~^$!|<>*]|--")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A number on record.

    Attributes:
        metric: its name.
        targets: a result tag, the id of a result, or runs.
        scale: 1, or 100 where the number is printed in percent.
        counts: what is printed is of how many runs the number is.
    """

    metric: str
    targets: tuple[str, ...]
    scale: int = 1
    counts: bool = False

    def __str__(self) -> str:
        scaled = "n*" if self.counts else f"{self.scale}*" if self.scale != 1 else ""
        return f"{scaled}{_escaped(self.metric)} of {' '.join(map(_escaped, self.targets))}"


def reference_of(row: Row, metric: str, *, scale: int = 1, counts: bool = False) -> Reference:
    """Where the number of a cell is from: the result on just its runs, else the runs."""
    if row.source is not None:
        return Reference(metric=metric, targets=(row.source.cited,), scale=scale, counts=counts)
    runs = tuple(run[-RUN_CHARACTERS:] for run, _, _ in row.spreads[metric].values)
    return Reference(metric=metric, targets=runs, scale=scale, counts=counts)


def count_of(row: Row) -> Reference | None:
    """Where the number of draws of a row is from; None where no metric is of all of them."""
    whole = (name for name, spread in row.spreads.items() if spread.n == len(row.draws))
    return next((reference_of(row, name, counts=True) for name in whole), None)


def parse(text: str) -> Reference:
    """Read a reference.

    Raises:
        UsageError: it is none.
    """
    found = _WRITTEN.fullmatch(" ".join(text.split()))
    if found is None:
        raise UsageError(f"{text!r:.80} does not say where a number is from", do="write `METRIC of RESULT`, or of runs")
    return Reference(
        metric=_plain(found["metric"]),
        targets=tuple(_plain(each) for each in found["targets"].split()),
        scale=100 if found["scale"] == "100" else 1,
        counts=found["scale"] == "n",
    )


def _escaped(text: str) -> str:
    return _ODD.sub(lambda odd: "".join(f"!{ord(each):x};" for each in odd[0]), text)


def _plain(text: str) -> str:
    return re.sub(r"!([0-9a-f]{1,6});", _character, text)


def _character(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return chr(number) if number <= 0x10FFFF else found[0]
