"""Numbers as a paper prints them, and whether they are those on record, rounded.

`0.912 ± 0.004`, `$\\mathbf{91.2} \\pm 0.4$`, `0.912(4)`, `1.2 \\times 10^{-3}` and `91.2 (n = 5)` are all read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

from ...records.seedset import Spread
from .rounding import fixed

SLACK: Final = 1e-9
"""Beyond half a unit in the last place, as a share of the number: floats printed and read again."""

_NUMBER: Final = r"[-+]?(?:\d[\d,]*(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?"
_TOKEN: Final = re.compile(rf"(?P<role>±|\bn\s*=|\()?\s*(?P<number>{_NUMBER}|[-+]?inf\b|nan\b)", re.IGNORECASE)
_PLAIN: Final = (
    (re.compile(r"\\(?:pm|textpm)\b|\+/?-(?=\s*[\d.])|&plusmn;|&#177;"), "±"),
    (re.compile(r"\\(?:times|cdot)\s*10\s*\^\s*\{?\s*([-−+]?\d+)\s*\}?"), r"e\1"),
    (re.compile(r"\s*×\s*10\^\{?\s*([-−+]?\d+)\}?"), r"e\1"),
    (re.compile(r"\\infty\b|∞"), "inf"),
    (re.compile(r"\\[,;:! ]|~|&nbsp;|\u00a0|\u2009|\u202f"), " "),
    (re.compile(r"\\[a-zA-Z]+\*?(?:\[[^\]]*\])?"), " "),
    (re.compile(r"[{}$_^*\\]|</?\w+[^>]*>"), ""),
    (re.compile(r"−|–(?=\s*[\d.])"), "-"),
    (re.compile(r"(?<![\w.])-\s+(?=[\d.])"), "-"),
    (re.compile(r"(\d)\s+e([-+]?\d)"), r"\1e\2"),
)
# What a comment in Markdown speaks of: the last number before it, with what belongs to it.
_LAST: Final = re.compile(
    rf"(?:{_NUMBER}|[-+]?inf|nan)\s*%?(?:\s*±\s*{_NUMBER}\s*%?)?(?:\s*\([^()]*\))?\s*$", re.IGNORECASE
)


@final
@dataclass(frozen=True, slots=True)
class _Token:
    role: str
    text: str


def plain(text: str) -> str:
    """What a reader sees of a number in LaTeX or HTML."""
    for pattern, instead in _PLAIN:
        text = pattern.sub(instead, text)
    return " ".join(text.split())


def last_of(text: str) -> str:
    """The number at the end of a line of prose, with what belongs to it."""
    found = _LAST.search(plain(text))
    return found[0].strip() if found else ""


def difference(text: str, spread: Spread, *, scale: int = 1) -> str:
    """In what a printed text is not what the record holds; empty where it is.

    Args:
        text: as `plain` gives it.
        scale: by which the numbers were multiplied before printing; a text with a percent sign is of 100.
    """
    tokens = list(_tokens(text))
    if not tokens:
        return "no number is printed"
    scale = 100 if "%" in text else scale
    first, *others = tokens
    if first.role or not _is(first.text, spread.mean * scale):
        return f"the mean on record is {_shown(spread.mean * scale, first.text)}"
    return next((fault for token in others if (fault := _other(token, first, spread, scale))), "")


def miscounted(text: str, spread: Spread) -> str:
    """In what a printed count is not how many runs a number is of; empty where it is."""
    tokens = [token.text for token in _tokens(text)]
    return "" if tokens == [str(spread.n)] else f"the record has n = {spread.n}"


def _other(token: _Token, first: _Token, spread: Spread, scale: int) -> str:
    std = None if spread.std is None else spread.std * scale
    is_std = std is not None and _is(token.text, std)
    is_count = _is(token.text, float(spread.n)) and token.text.isdigit()
    match token.role:
        case "±":
            told = "none: it is of one run" if std is None else _shown(std, token.text)
            return "" if is_std else f"the standard deviation on record is {told}"
        case "n":
            return "" if is_count else f"the record has n = {spread.n}"
        case "(":
            return "" if is_std or is_count or _in_last_place(token, first, std) else _neither(token, spread, std)
    return f"{token.text} stands behind the number, and nothing says what it is"


def _neither(token: _Token, spread: Spread, std: float | None) -> str:
    shown = "" if std is None else f", and the standard deviation {_shown(std, token.text)}"
    return f"the record has n = {spread.n}{shown}, and ({token.text}) is neither"


def _in_last_place(token: _Token, first: _Token, std: float | None) -> bool:
    """Whether `0.912(4)` says that the standard deviation is 0.004."""
    if std is None or not token.text.isdigit():
        return False
    return abs(int(token.text) * 10.0 ** -_decimals(first.text) - std) <= 0.5 * 10.0 ** -_decimals(first.text) + SLACK


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(text):
        role = (found["role"] or "").lower()
        yield _Token("n" if role.startswith("n") else role, found["number"].rstrip(",").lower())


def _is(text: str, value: float) -> bool:
    """Whether a printed number is a value, rounded to as many decimals as are printed."""
    for number in _readings(text):
        try:
            printed = float(number)
        except ValueError:
            continue
        if not (math.isfinite(printed) and math.isfinite(value)):
            if printed == value or (math.isnan(printed) and math.isnan(value)):
                return True
        elif abs(printed - value) <= 0.5 * 10.0 ** -_decimals(number) + SLACK * abs(value):
            return True
    return False


def _readings(text: str) -> list[str]:
    """A comma stands before thousands, or before decimals."""
    if "," not in text:
        return [text]
    decimal = [text.replace(",", ".")] if text.count(",") == 1 and "." not in text else []
    thousands = [text.replace(",", "")] if re.fullmatch(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?", text) else []
    return [*thousands, *decimal]


def _decimals(number: str) -> int:
    mantissa, _, exponent = number.lower().replace(",", ".").partition("e")
    return len(mantissa.partition(".")[2]) - int(exponent or 0)


def _shown(value: float, like: str) -> str:
    """A value with as many decimals as another number has, and one more."""
    return fixed(value, min(max(_decimals(like) + 1, 1), 15)) if math.isfinite(value) else fixed(value, 0)
