"""Predictions of single examples as the bytes of a file: FORMAT.md shows its columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from ..errors import Damaged, UsageError
from .parquet import table_bytes

if TYPE_CHECKING:
    import numpy as np

FILE: Final = "predictions.parquet"
_ID: Final = "id"
_VALUE: Final = "value"
_TRUTH: Final = "truth"
_LABEL: Final = "label"
_GROUP: Final = "group"
_SHAPE: Final = b"shape"
_CLASSES: Final = b"classes"
VALUES_AT_MOST: Final = 1 << 28
"""Of one file: four hundred bytes may say that they are billions, and would fill the memory of whoever reads them."""

Class = bool | int | float | str


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predicted:
    """What was predicted of each example, and what is true of it.

    Attributes:
        ids: shape (n,), text: which examples. One that was predicted twice is there twice.
        values: shape (n,): a label or a number for each; shape (n, k): a score for each class; or what else a metric
            takes, with n as its first axis.
        truth: shape (n,): the true label or number; None where a metric needs none, or the file has none.
        labels: shape (n,): the class that was decided for, where scores are the values and their greatest did not
            decide; else None.
        groups: shape (n,), text: what belongs together (a patient, a document); else None.
        classes: what the columns of the scores stand for; None where there are no scores of classes.
    """

    ids: np.ndarray
    values: np.ndarray
    truth: np.ndarray | None = None
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None
    classes: tuple[Class, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)


def dump(predicted: Predicted) -> bytes:
    """The file of these predictions. The same ones make the same file with one release of Arrow.

    Raises:
        UsageError: an id or a label is no text of Unicode.
    """
    try:
        return _dump(predicted)
    except UnicodeEncodeError as error:
        raise UsageError(
            f"an id or a label is no text: {error.object!r:.80}", why="it has half of a character in it"
        ) from error


def _dump(predicted: Predicted) -> bytes:
    import pyarrow as pa

    columns: dict[str, Any] = {_ID: pa.array([str(each) for each in predicted.ids])}
    notes: dict[bytes, bytes] = {}
    for name, found in ((_TRUTH, predicted.truth), (_LABEL, predicted.labels), (_GROUP, predicted.groups)):
        if found is not None:
            columns[name] = pa.array(found.tolist())
    values = predicted.values
    if values.ndim == 1:
        columns[_VALUE] = pa.array(values.tolist())
    else:
        rows = values.reshape(len(values), -1)
        columns |= {f"{_VALUE}/{place}": pa.array(rows[:, place]) for place in range(rows.shape[1])}
        notes[_SHAPE] = ",".join(map(str, values.shape[1:])).encode()
    if predicted.classes is not None:
        notes[_CLASSES] = json.dumps(list(predicted.classes), ensure_ascii=False).encode()
    return table_bytes(pa.table(columns).replace_schema_metadata(notes or None))


def load(data: bytes, *, source: str) -> Predicted:
    """Read such a file, of this release or an earlier one.

    Raises:
        Damaged: it is no such file.
    """
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    try:
        about = parquet.read_metadata(pa.BufferReader(data))
        if about.num_rows * about.num_columns > VALUES_AT_MOST:
            raise ValueError(f"{about.num_rows} rows of {about.num_columns} columns are more than are read")
        table = parquet.read_table(pa.BufferReader(data))
        found = {name: _array(table, name) for name in (_TRUTH, _LABEL, _GROUP) if name in table.column_names}
        return Predicted(
            ids=np.array(table.column(_ID).to_pylist(), dtype=str),
            values=_values(table),
            truth=found.get(_TRUTH),
            labels=found.get(_LABEL),
            groups=found.get(_GROUP),
            classes=_classes(table.schema.metadata or {}),
        )
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise Damaged(f"{source} holds no predictions", why=str(error)[:300]) from error


def dump_predictions(ids: np.ndarray, values: np.ndarray) -> bytes:
    """The file of predictions alone.

    Args:
        ids: shape (n,), text.
        values: shape (n,) or (n, ...): labels, numbers, or a row of scores for each example.
    """
    return dump(Predicted(ids=ids, values=values))


def load_predictions(data: bytes, *, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids and values, in the shapes they were dumped in.

    Raises:
        Damaged: it is no such file.
    """
    found = load(data, source=source)
    return found.ids, found.values


def _array(table: Any, name: str) -> np.ndarray:
    import numpy as np

    return np.asarray(table.column(name).to_pylist())


def _values(table: Any) -> np.ndarray:
    import numpy as np

    names = [name for name in table.column_names if name == _VALUE or name.startswith(f"{_VALUE}/")]
    columns = [_array(table, name) for name in names]
    if names == [_VALUE]:
        return columns[0]
    width = [int(each) for each in (table.schema.metadata or {})[_SHAPE].split(b",")]
    rows: np.ndarray = np.stack(columns, axis=1)
    return rows.reshape(len(rows), *width)


def _classes(notes: Mapping[bytes, bytes]) -> tuple[Class, ...] | None:
    if _CLASSES not in notes:
        return None
    found = json.loads(notes[_CLASSES])
    if not isinstance(found, list) or not all(isinstance(each, bool | int | float | str) for each in found):
        raise ValueError("its classes are no list of labels")
    return tuple(found)
