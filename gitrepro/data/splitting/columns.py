"""Parts that the data name themselves, in a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from ...errors import UsageError
from ...records.split import check_name

if TYPE_CHECKING:
    import numpy as np

_PARTS_AT_MOST: Final = 1_000


def by_column(values: Sequence[str | None], *, parts_of: Mapping[str, str] | None = None) -> dict[str, np.ndarray]:
    """Let the values of a column name the parts. An item without a value is in no part.

    Args:
        values: of each item, as text.
        parts_of: the part of each value; "" leaves its items out. Without it a value is the name of its part.

    Raises:
        UsageError: a value has no part, cannot name one, or there are more than 1,000 of them.
    """
    import numpy as np

    different = sorted({value for value in values if value is not None})
    if len(different) > _PARTS_AT_MOST:
        raise UsageError(
            f"the column has {len(different):,} different values",
            why=f"each would be a part; for example {', '.join(map(repr, different[:3]))}",
            do="name the column that holds the parts, such as train and test",
        )
    names = _mapped(different, parts_of) if parts_of is not None else {value: value for value in different}
    places: dict[str, list[int]] = {_named(value, name): [] for value, name in names.items() if name}
    for at, value in enumerate(values):
        if value is not None and names[value]:
            places[names[value]].append(at)
    return {name: np.array(places[name], dtype=np.int64) for name in sorted(places)}


def _mapped(different: list[str], parts_of: Mapping[str, str]) -> dict[str, str]:
    lost = [value for value in different if value not in parts_of]
    unused = [value for value in parts_of if value not in set(different)]
    if lost or unused:
        found, why = (lost, "have no part") if lost else (unused, "do not occur in the column")
        raise UsageError(
            f"{len(found)} values {why}",
            why=f"for example {', '.join(map(repr, found[:3]))}",
            do="map each value that occurs; VALUE= leaves its items out",
        )
    return {value: parts_of[value] for value in different}


def _named(value: str, name: str) -> str:
    try:
        return check_name(name, "a part")
    except UsageError as error:
        raise UsageError(error.what, why=error.why, do=f"map it to a name: {value}=NAME") from None
