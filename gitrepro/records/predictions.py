"""Predictions of single examples as the bytes of a file: `id`, and `value` or a column for each class."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..errors import Damaged
from .parquet import table_bytes

FILE: Final = "predictions.parquet"
_ID: Final = "id"
_VALUE: Final = "value"
_SHAPE: Final = b"shape"


def dump_predictions(ids: np.ndarray, values: np.ndarray) -> bytes:
    """The file of these predictions.

    Args:
        ids: shape (n,), text.
        values: shape (n,) or (n, ...): labels, numbers, or a row of scores for each example.
    """
    import pyarrow as pa

    names = pa.array([str(each) for each in ids])
    if values.ndim == 1:
        return table_bytes(pa.table({_ID: names, _VALUE: pa.array(values.tolist())}))
    rows = values.reshape(len(values), -1)
    columns = {f"{_VALUE}/{place}": pa.array(rows[:, place]) for place in range(rows.shape[1])}
    shape = ",".join(map(str, values.shape[1:])).encode()
    return table_bytes(pa.table({_ID: names, **columns}).replace_schema_metadata({_SHAPE: shape}))


def load_predictions(data: bytes, *, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids and values, in the shapes they were dumped in.

    Raises:
        Damaged: it is no such file.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(pa.BufferReader(data))
        ids = np.array(table.column(_ID).to_pylist(), dtype=str)
        names = [name for name in table.column_names if name == _VALUE or name.startswith(f"{_VALUE}/")]
        columns = [np.asarray(table.column(name).to_pylist()) for name in names]
        return ids, _shaped(columns, names, table.schema.metadata)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise Damaged(f"{source} holds no predictions", why=str(error)[:300]) from error


def _shaped(columns: list[np.ndarray], names: list[str], metadata: Any) -> np.ndarray:
    if names == [_VALUE]:
        return columns[0]
    width = [int(each) for each in (metadata or {})[_SHAPE].split(b",")]
    rows: np.ndarray = np.stack(columns, axis=1)
    return rows.reshape(len(rows), *width)
