"""What is inside a seal: a table of one part of a split, and the commitment by which it is known from outside.

A hash of labels could be found by trying them, there are few. So the commitment is BLAKE3 in keyed mode, and its key is
drawn for each seal and lies inside, beside what it is the key of. FORMAT.md shows the bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, final

from ..errors import Damaged, TooNew
from . import fields
from .parquet import table_bytes

FIRST_LINE: Final = b"gitrepro sealed 1"
KEY_BYTES: Final = 32
KEYED: Final = "keyed:"
"""Begins a commitment. It names no blob, and so does not begin as the name of one."""
LABELS: Final = "labels"
INPUTS: Final = "inputs"
ID: Final = "id"
LABEL: Final = "label"
CONTENT: Final = "content"
_HEAD_BYTES_AT_MOST: Final = 4096
_HEAD: Final = {"data", "key", "kind", "part", "split"}


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contents:
    """What a seal holds.

    Attributes:
        kind: `labels` or `inputs`.
        data, split: digests of the version of the data set and of the split.
        table: a `pyarrow.Table` with a column `id`, and `label`, or `content`, or the columns of a table.
    """

    kind: str
    data: str
    split: str
    part: str
    table: Any


def dump_sealed(contents: Contents, *, key: bytes) -> tuple[bytes, str]:
    """The bytes to be encrypted, and their commitment.

    Args:
        key: 32 random bytes.

    Raises:
        UsageError: the table has a type that Parquet has not.
    """
    head = {
        "data": contents.data,
        "key": key.hex(),
        "kind": contents.kind,
        "part": contents.part,
        "split": contents.split,
    }
    line = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
    data = b"\n".join([FIRST_LINE, line, table_bytes(contents.table)])
    return data, commitment(data, key)


def load_sealed(data: bytes, *, committed: str, source: str) -> Contents:
    """Read the bytes that were inside a seal.

    Args:
        committed: what the log says of them.

    Raises:
        Damaged: they are others than those that were sealed, or no such bytes.
        TooNew: their format is newer than this program.
    """
    first, _, rest = data.partition(b"\n")
    line, _, body = rest.partition(b"\n")
    if first != FIRST_LINE:
        newer = first.startswith(FIRST_LINE[:-1]) and first[len(FIRST_LINE) - 1 :].isdigit()
        raise (TooNew if newer else Damaged)(
            f"{source} holds {'a newer format' if newer else 'no labels or inputs'}",
            why=f"it begins with {first[:40]!r}",
            do="upgrade gitrepro to read it" if newer else "seal the part anew, from where its labels are kept",
        )
    head = _head(line, source)
    if commitment(data, bytes.fromhex(head.pop("key"))) != committed:
        raise Damaged(
            f"{source} does not hold what was sealed",
            why="its commitment is another than the one in the log",
            do="fetch refs/gitrepro/runs and the blob from a clone that has them; whoever changed it had both",
        )
    return Contents(table=_table(body, source), **head)


def commitment(data: bytes, key: bytes) -> str:
    """`keyed:` and the BLAKE3 of `data` in keyed mode."""
    from blake3 import blake3

    return f"{KEYED}{blake3(data, key=key).hexdigest()}"


def _head(line: bytes, source: str) -> dict[str, str]:
    try:
        head = json.loads(line[:_HEAD_BYTES_AT_MOST])
    except (ValueError, RecursionError):
        head = None
    fits = isinstance(head, dict) and set(head) == _HEAD and all(map(fields.is_text, head.values()))
    if not fits or not _is_key(head["key"]):
        raise Damaged(f"{source} has no head", why="the second line says which part of which split this is")
    return {str(name): str(value) for name, value in head.items()}


def _is_key(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == KEY_BYTES
    except ValueError:
        return False


def _table(body: bytes, source: str) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(pa.BufferReader(body))
    except (pa.ArrowException, ValueError) as error:
        raise Damaged(f"{source} holds no table", why=str(error)[:300]) from error
