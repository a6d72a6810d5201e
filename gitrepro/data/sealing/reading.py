"""Files that people keep labels and predictions in: CSV, TSV, JSONL and Parquet, with a column of ids."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Final

from ...errors import Damaged, NotFound, UsageError
from ...records.predictions import Predicted, load

IDS: Final = ("id", "ids", "path", "file", "filename", "name", "index", "row")
LABELS: Final = ("label", "labels", "truth", "target", "y", "class")
PREDICTIONS: Final = ("prediction", "predictions", "predicted", "value", "pred", "y_pred", "label")
SCORE: Final = "score/"
"""Begins the name of a column that holds the score of one class: `score/cat`."""
_BYTES_AT_MOST: Final = 2 << 30
_SHOWN: Final = 3

Columns = Mapping[str, Sequence[Any]]


def read_labels(path: Path, *, column: str | None = None) -> dict[str, str]:
    """The label of each id, as text.

    Args:
        column: which one holds the labels; without it the first of the usual names that is there.

    Raises:
        NotFound: there is no such file.
        UsageError: it cannot be read, an id stands twice, or a label is missing.
    """
    columns = _columns(_bytes(path), str(path))
    ids = _ids(columns, str(path))
    labels = columns[_column(columns, str(path), (column,) if column else LABELS, "labels")]
    if missing := [each for each, label in zip(ids, labels, strict=True) if is_missing(label)]:
        raise UsageError(f"{path} has no label for {some(missing)}", do="give each id a label")
    return dict(zip(ids, map(text_of, labels), strict=True))


def read_predictions(path: Path, *, column: str | None = None) -> Predicted:
    """The predictions in a file; see `predictions_in`. Raises as that does, and NotFound where there is no file."""
    return predictions_in(_bytes(path), str(path), column=column)


def predictions_in(data: bytes, name: str, *, column: str | None = None) -> Predicted:
    """Predictions: a label or a number for each id, or, in columns `score/CLASS`, a score for each class.

    A Parquet file that gitrepro wrote, of `run.evaluate`, is read as it is; what it says of the truth is left out.

    Args:
        data: the bytes of a file of this `name`, of which the suffix says what it is.
        column: which one holds the predictions; without it the first of the usual names that is there.

    Raises:
        UsageError: they cannot be read as predictions.
    """
    if _suffix(name) == ".parquet" and column is None and (own := _own(data, name)) is not None:
        return own
    return _predicted(_columns(data, name), name, column)


def _predicted(columns: Columns, name: str, column: str | None) -> Predicted:
    import numpy as np

    ids = np.array(_ids(columns, name), dtype=str)
    scored = [each for each in columns if each.startswith(SCORE)]
    if scored and column is None:
        rows = np.array([[_number(each, name) for each in columns[of]] for of in scored]).T
        return Predicted(ids=ids, values=rows, classes=tuple(each.removeprefix(SCORE) for each in scored))
    values = columns[_column(columns, name, (column,) if column else PREDICTIONS, "predictions")]
    if lost := [each for each, value in zip(ids.tolist(), values, strict=True) if is_missing(value)]:
        raise missing_predictions(lost)
    return Predicted(ids=ids, values=np.array([text_of(value) for value in values], dtype=str))


def missing_predictions(ids: Sequence[str]) -> UsageError:
    return UsageError(
        f"there is no prediction for {some(ids)}",
        why="it is missing, or NaN",
        do="predict every example of the part; what cannot be predicted has to be guessed",
    )


def _own(data: bytes, name: str) -> Predicted | None:
    try:
        found = load(data, source=name)
    except Damaged:
        return None
    return Predicted(ids=found.ids, values=found.values, labels=found.labels, classes=found.classes)


# -- columns


def _columns(data: bytes, name: str) -> Columns:
    """The columns of a file, each with a value for each row; those of CSV files are text, missing ones empty."""
    try:
        if _suffix(name) == ".parquet":
            return _of_parquet(data)
        text = data.decode("utf-8-sig")
        if _suffix(name) in (".jsonl", ".ndjson"):
            return _of_lines(text)
        return _of_csv(text, "\t" if _suffix(name) == ".tsv" else ",")
    except (ValueError, KeyError, RecursionError, csv.Error) as error:
        raise UsageError(
            f"{name} cannot be read", why=str(error)[:300], do="give a .csv, .tsv, .jsonl or .parquet file"
        ) from error


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower()


def _bytes(path: Path) -> bytes:
    try:
        # Not to wait for a writer, should a pipe stand there.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as reader:
            data = reader.read(_BYTES_AT_MOST + 1) or b""
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read", why=error.strerror or str(error)) from error
    if len(data) > _BYTES_AT_MOST:
        raise UsageError(f"{path} is too large", why=f"it has more than {_BYTES_AT_MOST:,} bytes")
    return data


def _of_parquet(data: bytes) -> Columns:
    import pyarrow as pa
    from pyarrow import parquet

    table = parquet.read_table(pa.BufferReader(data))  # its errors are ValueErrors
    return {str(name): column.to_pylist() for name, column in zip(table.column_names, table.columns, strict=True)}


def _of_lines(text: str) -> Columns:
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it holds no lines of JSON objects")
    return {str(name): [row.get(name) for row in rows] for name in rows[0]}


def _of_csv(text: str, delimiter: str) -> Columns:
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    if not rows:
        raise ValueError("it is empty")
    header, body = rows[0], rows[1:]
    if wrong := next((at for at, row in enumerate(body, 2) if len(row) != len(header)), None):
        raise ValueError(f"row {wrong} has another number of fields than the first")
    return {name: [row[at] for row in body] for at, name in enumerate(header)}


def _ids(columns: Columns, source: str) -> list[str]:
    ids = [text_of(each) for each in columns[_column(columns, source, IDS, "ids")]]
    check_once(ids, source)
    return ids


def check_once(ids: Sequence[str], source: str) -> None:
    """Raises UsageError where an id stands twice."""
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        again = [each for each in ids if each in seen or seen.add(each)]  # type: ignore[func-returns-value]
        raise UsageError(f"{source} repeats {some(again)}", do="give each example one row")


def _column(columns: Columns, source: str, wanted: Sequence[str], what: str) -> str:
    found = next((name for name in wanted if name in columns), None)
    if found is None:
        raise UsageError(
            f"{source} has no column of {what}",
            why=f"its columns are {', '.join(map(repr, list(columns)[:8]))}",
            do=f"call it {wanted[0]!r}" if len(wanted) > 1 else "name one of those",
        )
    return found


# -- values


def text_of(value: Any) -> str:
    """A label as the labels of a data set are written: `true`, `5` (also for 5.0), `0.5`, and text as it is."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def is_missing(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _number(value: Any, source: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{source} has a score that is no number", why=f"it is {value!r:.60}") from None


def some(ids: Sequence[str]) -> str:
    """So many ids, and the first of them."""
    shown = ", ".join(f"{each!r:.60}" for each in ids[:_SHOWN])
    return f"{len(ids):,} {'id' if len(ids) == 1 else 'ids'} ({shown}{', …' if len(ids) > _SHOWN else ''})"
