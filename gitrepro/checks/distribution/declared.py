"""What a user declares of columns: read strictly, so that a slip of the pen is no rule that always holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ...errors import UsageError

KEYS: Final = ("allowed", "dtype", "high", "low", "missing")
DTYPES: Final = ("bool", "float", "int", "text")


def check_schema(schema: object) -> None:
    """See that a declared schema can be held against columns.

    Raises:
        UsageError: it is no mapping of mappings, or says something that is not known.
    """
    if not isinstance(schema, Mapping):
        raise UsageError(f"the schema is a {type(schema).__name__}", do="give a mapping of columns to what they hold")
    for column, said in schema.items():
        if not isinstance(said, Mapping):
            raise UsageError(f"the schema of {column!r:.60} is a {type(said).__name__}", do=f"say any of {_known()}")
        for key, value in said.items():
            _check(str(column), str(key), value)


def _check(column: str, key: str, value: Any) -> None:
    if key not in KEYS:
        raise UsageError(f"the schema of {column!r:.60} says {key!r:.40}", do=f"say any of {_known()}")
    if key == "dtype" and value not in DTYPES:
        raise UsageError(f"the dtype of {column!r:.60} is {value!r:.40}", do=f"say one of {', '.join(DTYPES)}")
    if key in ("low", "high") and (isinstance(value, bool) or not isinstance(value, int | float) or value != value):
        raise UsageError(f"the {key} of {column!r:.60} is {value!r:.40}", do="say a number")
    if key == "allowed" and (isinstance(value, str) or not isinstance(value, Sequence)):
        raise UsageError(f"what is allowed of {column!r:.60} is {value!r:.40}", do="say a list of values")
    if key == "missing" and not isinstance(value, bool):
        raise UsageError(f"missing of {column!r:.60} is {value!r:.40}", do="say true or false")


def _known() -> str:
    return ", ".join(KEYS)
