"""What type a column of written fields has, and its fields as that type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pyarrow as pa

MISSING: Final = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "none", "#N/A", "n/a", "-")
"""What stands for a missing value among numbers, dates and yes-or-no; among text only the empty field does."""
_WIDER: Final = {"int": "float", "float": "text", "bool": "text", "time": "text", "zoned": "text"}
_FIRST_TRIED: Final = ("bool", "int", "float", "time", "zoned")


def widened(column: pa.Array, kind: str) -> str:
    """The narrowest type, no narrower than `kind`, that holds the column; "" while nothing but gaps was seen."""
    import pyarrow.compute as pc

    if kind == "text":
        return kind
    if not kind:
        if pc.all(pc.is_in(pc.utf8_trim_whitespace(column), value_set=_missing())).as_py() is not False:
            return ""
        return next((each for each in _FIRST_TRIED if _fits(column, each)), "text")
    while kind != "text" and not _fits(column, kind):
        kind = _WIDER[kind]
    return kind


def _fits(column: pa.Array, kind: str) -> bool:
    import pyarrow as pa

    try:
        cast(column, kind)
    except pa.ArrowInvalid:
        return False
    return True


def cast(column: pa.Array, kind: str) -> pa.Array:
    """Text as `kind`; what stands for a missing value is null.

    Raises:
        pyarrow.ArrowInvalid: a value is no `kind`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not kind:
        return pa.nulls(len(column))
    if kind == "text":
        return pc.if_else(pc.equal(column, ""), None, column)
    try:
        return _plain_cast(column, kind)
    except pa.ArrowInvalid:
        gaps = pc.is_in(pc.utf8_trim_whitespace(column), value_set=_missing())
        return _plain_cast(pc.if_else(gaps, None, pc.utf8_trim_whitespace(column)), kind)


def _plain_cast(column: pa.Array, kind: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if (
        kind == "bool"
        and not pc.all(pc.is_in(pc.utf8_lower(column), value_set=pa.array(["true", "false", None]))).as_py()
    ):
        raise pa.ArrowInvalid("neither true nor false")
    return pc.cast(column, arrow_type(kind))


def _missing() -> pa.Array:
    import pyarrow as pa

    return pa.array(MISSING)


def arrow_type(kind: str) -> pa.DataType:
    import pyarrow as pa

    return {
        "": pa.null(),
        "bool": pa.bool_(),
        "int": pa.int64(),
        "float": pa.float64(),
        "time": pa.timestamp("us"),
        "zoned": pa.timestamp("us", "UTC"),
        "text": pa.string(),
    }[kind]
