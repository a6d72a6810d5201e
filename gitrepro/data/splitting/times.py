"""Parts by time: nothing in an earlier part is later than anything in the next one."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from ...errors import UsageError
from .groups import codes_of
from .hashing import positions

if TYPE_CHECKING:
    import numpy as np

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """The times of all items: int64 or float64, shape (n,). Dates are microseconds since 1970, UTC where none is said.

    `dated` says whether they are dates; `aware` whether they say their time zone.
    """

    values: np.ndarray
    dated: bool
    aware: bool = False

    def cut(self, text: str) -> int | float:
        """A cut point as people type it, on the scale of `values`.

        Raises:
            UsageError: it is no date, or no number, whichever the times are.
        """
        value = _read(text)
        if isinstance(value, datetime.datetime) is not self.dated:
            kind = "dates such as 2026-01-31" if self.dated else "numbers"
            raise UsageError(f"the cut {text!r:.80} does not fit the times", why=f"they are {kind}")
        return _microseconds(value) if isinstance(value, datetime.datetime) else value

    def text(self, value: int | float) -> str | int | float:
        """A value of `values` as a record keeps it: a date as ISO 8601."""
        return (_EPOCH + value * _MICROSECOND).isoformat() if self.dated else value


def moments_of(values: Sequence[Any]) -> Moments:
    """Read times: numbers, dates, `datetime` objects, or text of either.

    Raises:
        UsageError: some are missing or no times, or some say their time zone and others do not.
    """
    import numpy as np

    read = [_read(value) for value in values]
    _check_all_times(values, read)
    dates = [each for each in read if isinstance(each, datetime.datetime)]
    if not dates:
        return Moments(values=np.array(read, dtype=_number_type(read)), dated=False)
    zones = {each.tzinfo is not None for each in dates}
    if len(dates) < len(read) or len(zones) > 1:
        mixed = "numbers and dates" if len(dates) < len(read) else "times with and without a time zone"
        raise UsageError(f"the times are {mixed}", do="write all of them in one way")
    return Moments(
        values=np.array([_microseconds(each) for each in dates], dtype=np.int64), dated=True, aware=zones.pop()
    )


def _read(value: Any) -> Any:
    """A number or a datetime; None for what is neither, or missing."""
    if isinstance(value, str):
        return _read_text(value.strip())
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, datetime.date):
        return datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value


def _read_text(text: str) -> Any:
    for kind in (int, float, datetime.datetime.fromisoformat):
        try:
            return _read(kind(text))
        except ValueError:
            continue
    return None


def _check_all_times(values: Sequence[Any], read: Sequence[Any]) -> None:
    lost = [value for value, time in zip(values, read, strict=True) if time is None]
    if lost:
        raise UsageError(
            f"{len(lost)} of {len(values)} items have no time",
            why=f"for example {', '.join(f'{value!r:.40}' for value in lost[:3])}",
            do="numbers and ISO 8601 dates are read; fill in what is missing",
        )


def _number_type(read: Sequence[Any]) -> str:
    fits = all(isinstance(each, int) and -(2**63) <= each < 2**63 for each in read)
    return "int64" if fits else "float64"


def _microseconds(moment: datetime.datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return (aware - _EPOCH) // _MICROSECOND


def cuts_at(times: np.ndarray, shares: Sequence[Fraction]) -> list[int | float]:
    """Where to cut so that the parts, in the order of time, have about these shares.

    Items of one time stay together, in the later part.

    Raises:
        UsageError: too many items have the same time.
    """
    import numpy as np

    ordered = np.sort(times)
    ends = [sum(shares[:count], Fraction(0)) for count in range(1, len(shares))]
    cuts = [ordered[min(math.floor(end * len(ordered) + Fraction(1, 2)), len(ordered) - 1)].item() for end in ends]
    if len(ordered) and any(left >= right for left, right in pairwise([ordered[0].item(), *cuts])):
        raise UsageError(
            "the items cannot be cut into these shares by their time",
            why="too many of them have the same time, and those stay together",
            do="give the cut points yourself",
        )
    return cuts


def by_time(times: np.ndarray, names: Sequence[str], *, cuts: Sequence[int | float]) -> dict[str, np.ndarray]:
    """Cut the items at points in time: each part has those from its cut on, up to before the next one.

    Args:
        times: int64 or float64, shape (n,).
        names: of the parts, the earliest first.
        cuts: ascending, one fewer than `names`.

    Raises:
        UsageError: there are too few or too many cuts, or they do not ascend.
    """
    import numpy as np

    if len(cuts) != len(names) - 1:
        raise UsageError(
            f"{len(cuts)} cuts do not make {len(names)} parts", why="there is one cut between each two parts"
        )
    if any(left >= right for left, right in pairwise(cuts)):
        raise UsageError("the cuts do not ascend", why=", ".join(map(str, cuts)), do="give the earliest first")
    return positions(names, np.searchsorted(np.array(cuts, dtype=times.dtype), times, side="right"))


def latest_of_groups(times: np.ndarray, groups: Sequence[str | None]) -> np.ndarray:
    """Of each item, the latest time in its group: a group then goes, as a whole, where its latest item goes."""
    import numpy as np

    codes, different = codes_of(groups)
    latest = np.full(len(different), times.min(initial=0), dtype=times.dtype)
    np.maximum.at(latest, codes, times)
    alone = np.array([group is None for group in groups], dtype=bool)
    return np.where(alone, times, latest[codes])
