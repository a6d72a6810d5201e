"""What the readers of records share: the shapes that a field may have, and how fields are taken out of a document."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from ..errors import Damaged, TooNew, UsageError

Fits: TypeAlias = Callable[[Any], bool]
"""Whether a value is of the shape that is asked for."""

_NAME = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGEST = re.compile("b3:[0-9a-f]{64}")
_MISSING: Final = object()


def check_format(found: object, *, newest: int, source: str, what: str) -> None:
    """Whether a document of this format can be read.

    Args:
        what: of which kind it is, for the message: `a run record`.

    Raises:
        Damaged: that is no format. TooNew: it is above `newest`.
    """
    if not is_count(found) or found == 0:
        raise Damaged(f"{source}: format is {found!r:.60}", why=f"{what} says which format it has")
    if found > newest:  # type: ignore[operator]
        raise TooNew(
            f"{source} has format {found}", why=f"this gitrepro reads format {newest}", do="upgrade gitrepro to read it"
        )


def take(values: dict[str, Any], name: str, fits: Fits, *, source: str, what: str) -> Any:
    """Take a field out of a document.

    Raises:
        Damaged: it is not there, or has another shape.
    """
    value = values.pop(name, _MISSING)
    if value is _MISSING or not fits(value):
        shown = "missing" if value is _MISSING else f"{value!r:.60}"
        raise Damaged(f"{source}: {name} is {shown}", why=f"it is not what {what} holds there")
    return value


def check_name(name: str, what: str, *, do: str = "") -> str:
    """`name`, when it can name a data set, a version, a split or a part.

    Raises:
        UsageError: it cannot.
    """
    if not is_name(name):
        raise UsageError(
            f"{name!r:.120} cannot name {what}",
            why="a name has 1 to 100 letters, digits, dots, dashes and underscores, a letter or digit first",
            do=do,
        )
    return name


def or_none(fits: Fits) -> Fits:
    """The shape of a field that may be null."""
    return lambda value: value is None or fits(value)


def is_text(value: object) -> bool:
    return isinstance(value, str)


def is_flag(value: object) -> bool:
    return isinstance(value, bool)


def is_map(value: object) -> bool:
    return isinstance(value, dict)


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def are_texts(value: object) -> bool:
    return isinstance(value, list) and all(map(is_text, value))


def are_counts(value: object) -> bool:
    return isinstance(value, dict) and all(map(is_count, value.values()))


def is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def is_digest(value: object) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None
