"""The values of a query: numbers, text, times, durations, and what each may stand beside."""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass
from typing import Final

from ..records.term import Scalar, scalar, text
from .lex import Token, fault

_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?\.?(?:inf|nan)", re.IGNORECASE)
_INTEGER = re.compile(r"[-+]?\d{1,4000}")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|sec|min|s|m|h|d|w))+")
_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|sec|min|s|m|h|d|w)")
_UNITS: Final = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_DATE = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(\.\d{1,6})?)?Z?)?)?")
_WORDS: Final = {"true": 1, "True": 1, "false": 0, "False": 0}
_NOTHING: Final = ("null", "None", "none")
_MICROSECOND: Final = datetime.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch of time as ISO text: from `low`, up to and without `high`. A date is its whole day."""

    low: str
    high: str


def number_of(word: str) -> Scalar | None:
    """The number a word stands for, if it is one."""
    if not _NUMBER.fullmatch(word):
        return None
    if _INTEGER.fullmatch(word):
        return scalar(int(word))
    return float(word.lower().replace(".inf", "inf").replace(".nan", "nan"))


def plain(query: str, token: Token, *, ordered: bool) -> Scalar:
    """A value for a metric, a config key or a seed: a number, `true` or `false`, or text.

    Raises:
        QueryError: `null`; and where values are put in an order, NaN, or a word that may be a misspelt number.
    """
    word = content(token)
    if token.quoted:
        return word
    if not ordered:
        nothing(query, token)
    found = _WORDS.get(word, number_of(word))
    if not ordered:
        return word if found is None else found
    if found is None:
        raise fault(query, token.at, f"{word!r:.80} is no number", "text is put in quotes to be compared by its order")
    if isinstance(found, float) and math.isnan(found):
        raise fault(query, token.at, "nothing is less or greater than NaN", "`== nan` finds where a value is NaN")
    return found


def nothing(query: str, token: Token) -> None:
    """Refuse a bare `null`: it asks whether there is a value. Raises `QueryError`."""
    if content(token) in _NOTHING and not token.quoted:
        why = "a value that is null counts as missing"
        raise fault(
            query, token.at, f"{content(token)} is no value", why, "say `is missing`, or put the word in quotes"
        )


def duration(query: str, token: Token) -> Scalar:
    """Seconds: a number, or a number with a unit as `2h`, `90min`, `1h30m`."""
    word = content(token)
    if _DURATION.fullmatch(word):
        return _seconds(word)
    found = number_of(word)
    if found is None or (isinstance(found, float) and math.isnan(found)):
        raise fault(query, token.at, f"{word!r:.80} is no duration", "as 90, 90s, 15min, 2h, 1h30m, 3d")
    return found


def _seconds(word: str) -> float:
    return math.fsum(float(piece[1]) * _UNITS[piece[2]] for piece in _PIECE.finditer(word))


def moment(query: str, token: Token, now: datetime.datetime) -> Moment:
    """A time, UTC: `2026-11-01`, `2026-11`, `2026-11-01T12:30`, or how long ago: `-7d`, `-2h`."""
    word = content(token)
    try:
        if word.startswith("-") and _DURATION.fullmatch(word[1:]):
            low = now - datetime.timedelta(seconds=_seconds(word[1:]))
            return Moment(_iso(low), _iso(low + _MICROSECOND))
        if date := _DATE.fullmatch(word):
            return Moment(*map(_iso, _span(date)))
    except (ValueError, OverflowError) as error:
        raise fault(query, token.at, f"{word!r:.80} is no time", str(error)) from error
    raise fault(query, token.at, f"{word!r:.80} is no time", "as 2026-11-01, 2026-11-01T12:30 (UTC), -7d, -2h")


def _span(date: re.Match[str]) -> tuple[datetime.datetime, datetime.datetime]:
    year, month, day, hour, minute, second, fraction = date.groups()
    low = datetime.datetime(
        int(year), int(month), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=datetime.UTC
    )
    if day is None:
        return low, (low + datetime.timedelta(days=31)).replace(day=1)
    if fraction:
        low += datetime.timedelta(microseconds=int(fraction[1:].ljust(6, "0")))
        return low, low + _MICROSECOND
    return low, low + datetime.timedelta(seconds=1 if second else 60 if minute else 86400)


def _iso(moment: datetime.datetime) -> str:
    # strftime does not pad the years before 1000.
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S.%f}Z"


def content(token: Token) -> str:
    """The text of a value, without its quotes."""
    return text("".join(part.text for part in token.parts))
