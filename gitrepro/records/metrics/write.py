"""A table to Parquet files, some rows at a time: what is held at once does not grow with the table."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import IO, TYPE_CHECKING, final

from .encode import arrow_array, parquet_writer, rows_per_group, schema_of, seal
from .files import file_name
from .frame import Frame, Sparse, dense, inexact
from .layout import Layout, part_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .frame import Numbers

# A table of a usual run never touches the disk on its way.
_IN_MEMORY_BYTES = 8 << 20
_EXACT = 1 << 53


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """One file of a table, open until its writer is closed."""

    name: str
    size_bytes: int
    file: IO[bytes] = field(repr=False)

    def read(self) -> bytes:
        self.file.seek(0)
        return self.file.read()


@final
class TableWriter:
    """Writes the files of one rank's table: none without rows, one as a rule, several above 200 metrics.

    Args:
        layout: what the rows will hold.
        rank: the rank of the process in a distributed run; 0 is not part of the name.
        stem: the first word of the names.
    """

    def __init__(self, layout: Layout, *, rank: int = 0, stem: str = "metrics") -> None:
        self._layout = layout
        self._stack = ExitStack()
        alone = len(layout.parts) == 1
        self._parts = [
            _Part(
                name=file_name(stem, rank=rank, part=None if alone else number),
                names=names,
                whole=alone,
                first=number == 0,
                real=layout.real,
                rows=layout.part_rows[number],
                metadata={
                    "gitrepro.rank": str(rank),
                    "gitrepro.part": str(number),
                    "gitrepro.parts": str(len(layout.parts)),
                },
                stack=self._stack,
            )
            for number, names in enumerate(layout.parts if layout.rows else ())
        ]
        self._inexact: dict[str, int] = {}

    def take(self, frame: Frame) -> Frame:
        """Write the next rows, of metrics that the layout has; return them as they are written."""
        frame = self._cast(frame)
        for part in self._parts:
            part.take(frame)
        return frame

    def tables(self) -> list[TableFile]:
        """The files, whole; nothing can be taken after this."""
        return [part.close() for part in self._parts]

    @property
    def inexact(self) -> Mapping[str, int]:
        """Names of metrics whose integers stand beside floats, and how many of those no float64 holds exactly."""
        return self._inexact

    def _cast(self, frame: Frame) -> Frame:
        """The same rows, with floats in every column that has a float somewhere in the table."""
        for name, count in frame.inexact.items():
            self._count(name, count)
        whole = [name for name in frame.columns if name in self._layout.real and _is_whole(frame.columns[name])]
        if not whole:
            return frame
        columns = dict(frame.columns)
        for name in whole:
            values = columns[name].values
            self._count(name, inexact(values[(values > _EXACT) | (values < -_EXACT)].tolist()))
            columns[name] = Sparse(rows=columns[name].rows, values=values.astype("float64"))
        return replace(frame, columns=columns)

    def _count(self, name: str, rounded: int) -> None:
        if rounded:
            self._inexact[name] = self._inexact.get(name, 0) + rounded

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def _is_whole(column: Sparse) -> bool:
    return bool(column.values.dtype.kind == "i")


@dataclass(kw_only=True)
class _Part:
    """One file: rows wait until they fill a row group, so that its bytes do not depend on how the rows came."""

    name: str
    names: Sequence[str]
    whole: bool
    first: bool
    real: frozenset[str]
    rows: int
    metadata: Mapping[str, str]
    stack: ExitStack
    waiting: list[Frame] = field(default_factory=list)
    waiting_rows: int = 0

    def __post_init__(self) -> None:
        self._schema = schema_of(self.names, self.real)
        self._group_rows = rows_per_group(self._schema.names, self.rows)
        spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - the stack closes it
        self._file: IO[bytes] = self.stack.enter_context(spool)
        self._writing = ExitStack()
        self.stack.push(self._writing)
        self._taken = 0
        self._write = self._writing.enter_context(parquet_writer(self._file, self._schema, self.metadata))

    def take(self, frame: Frame) -> None:
        frame = frame if self.whole else part_of(frame, self.names, first=self.first)
        self.waiting.append(frame)
        self.waiting_rows += len(frame.seqs)
        while self.waiting_rows >= self._group_rows:
            self._write_rows(self._group_rows)

    def close(self) -> TableFile:
        if self.waiting_rows:
            self._write_rows(self.waiting_rows)
        self._writing.close()
        return TableFile(name=self.name, size_bytes=seal(self._file), file=self._file)

    def _write_rows(self, rows: int) -> None:
        import numpy as np
        import pyarrow as pa

        pieces = list(self._next(rows))
        fixed = [
            np.concatenate([getattr(frame, numbers)[start:stop] for frame, start, stop in pieces])
            for numbers in ("seqs", "steps", "times")
        ]
        arrays = [arrow_array(numbers) for numbers in fixed]
        arrays += [arrow_array(*_dense(pieces, name, real=name in self.real, rows=rows)) for name in self.names]
        self._write(pa.Table.from_arrays(arrays, schema=self._schema))

    def _next(self, rows: int) -> Iterator[tuple[Frame, int, int]]:
        """The next rows that wait: frames, and from where to where in each."""
        self.waiting_rows -= rows
        while rows:
            frame = self.waiting[0]
            stop = min(self._taken + rows, len(frame.seqs))
            yield frame, self._taken, stop
            rows -= stop - self._taken
            self._taken = stop
            if stop == len(frame.seqs):
                self.waiting.pop(0)
                self._taken = 0


def _dense(
    pieces: Sequence[tuple[Frame, int, int]], name: str, *, real: bool, rows: int
) -> tuple[Numbers, NDArray[np.bool_]]:
    """A metric with its gaps, and where it was logged."""
    import numpy as np

    values = np.zeros(rows, dtype=np.float64 if real else np.int64)
    logged = np.zeros(rows, dtype=np.bool_)
    at = 0
    for frame, start, stop in pieces:
        if name in frame.columns:
            place = slice(at, at + stop - start)
            values[place], logged[place] = dense(frame.columns[name], start, stop)
        at += stop - start
    return values, logged
