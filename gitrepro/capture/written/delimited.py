"""CSV tables of metrics: a header, then a row a step; cells may be empty."""

from __future__ import annotations

import csv
from typing import Final, final

from .points import Number, Point, Rejected, number_in, step_name, take_step

_DELIMITERS: Final = ",;\t"
_CELL_CHARACTERS: Final = 1 << 20


@final
class Delimited:
    """The rows of one table, as its lines come.

    The step is the column `step`, `global_step`, `iteration` or `epoch`, the first of these that there is; where none
    is, or its cell holds no whole number, a row's step is one more than that of the row before.

    Attributes:
        rejected: cells that hold no number, by column.
        misfits: rows that do not fit the header; nothing of them is taken.
    """

    def __init__(self) -> None:
        self.rejected = Rejected()
        self.misfits = 0
        self._open = ""
        self._delimiter = ","
        self._header: list[str] = []
        self._step_name: str | None = None
        self._step = -1

    def take(self, lines: list[str]) -> list[Point]:
        """The rows of these lines."""
        points = (self._row(line) for line in lines)
        return [point for point in points if point is not None]

    def _row(self, line: str) -> Point | None:
        line = f"{self._open}\n{line}" if self._open else line
        # A cell in quotes may go on in the next line.
        if line.count('"') % 2 and len(line) <= _CELL_CHARACTERS:
            self._open = line
            return None
        self._open = ""
        if not line.strip():
            return None
        if not self._header:
            self._read_header(line)
            return None
        cells = self._cells(line)
        if cells == self._header:
            return None  # the file was opened again for appending
        if len(cells) != len(self._header):
            self.misfits += 1
            return None
        return self._point(dict(zip(self._header, cells, strict=True)))

    def _read_header(self, line: str) -> None:
        try:
            self._delimiter = csv.Sniffer().sniff(line[:65536], _DELIMITERS).delimiter
        except csv.Error:
            self._delimiter = max(_DELIMITERS, key=line.count)
        self._header = self._cells(line)
        self._step_name = step_name(self._header)

    def _cells(self, line: str) -> list[str]:
        try:
            return [cell.strip() for cell in next(csv.reader([line], delimiter=self._delimiter), [])]
        except csv.Error:
            return []

    def _point(self, row: dict[str, str]) -> Point | None:
        cells = {name: cell for name, cell in row.items() if cell and name}
        values: dict[str, Number] = {}
        for name, cell in cells.items():
            number = number_in(cell)
            if number is None:
                self.rejected.add(name)
            else:
                values[name] = number
        self._step = take_step(values, self._step_name, after=self._step)
        return Point(step=self._step, values=values) if values else None
