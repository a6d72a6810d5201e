"""A query as tokens, each with its place for the caret of an error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..errors import QueryError

CHARACTERS_AT_MOST: Final = 10_000

_OPERATOR = re.compile(r"==|!=|!~|<=|>=|[=<>~(),]")
# A word goes on to the next space, quote, bracket, comma or operator: `val/accuracy`, `-7d`, `0..4`, `otter*`.
_BARE = re.compile(r"(?:[^\s'\"(),=<>~!]|!(?![=~]))+")
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'", re.DOTALL)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a word: bare, or in quotes."""

    text: str
    quoted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An operator, or a word. `config."a b".c` is one word of three parts."""

    kind: str  # "operator", "word", "end"
    text: str
    at: int
    parts: tuple[Part, ...] = ()

    @property
    def bare(self) -> str:
        """The word, if no part of it is in quotes; else nothing."""
        return "" if any(part.quoted for part in self.parts) else self.text

    @property
    def quoted(self) -> bool:
        """The whole word is in quotes."""
        return len(self.parts) == 1 and self.parts[0].quoted


def bare_word(text: str, at: int) -> Token:
    """A word of one bare part."""
    return Token(kind="word", text=text, at=at, parts=(Part(text=text, quoted=False),))


def tokens(query: str) -> list[Token]:
    """The tokens of a query; the last one is its end.

    Raises:
        QueryError: it is too long, or a quote has no end.
    """
    if len(query) > CHARACTERS_AT_MOST:
        raise fault(query, 0, f"the query has {len(query)} characters", f"at most {CHARACTERS_AT_MOST} are read")
    found: list[Token] = []
    at = 0
    while at < len(query):
        if space := _SPACE.match(query, at):
            at = space.end()
        elif operator := _OPERATOR.match(query, at):
            found.append(Token(kind="operator", text=operator[0], at=at))
            at = operator.end()
        else:
            word = _word(query, at)
            found.append(word)
            at += len(word.text)
    return [*found, Token(kind="end", text="", at=len(query))]


def _word(query: str, start: int) -> Token:
    parts: list[Part] = []
    at = start
    while True:
        if quoted := _QUOTED.match(query, at):
            inside = quoted[1] if quoted[1] is not None else quoted[2]
            parts.append(Part(text=re.sub(r"\\(.)", r"\1", inside, flags=re.DOTALL), quoted=True))
            at = quoted.end()
            goes_on = query[at : at + 1] == "."
        elif bare := _BARE.match(query, at):
            parts.append(Part(text=bare[0], quoted=False))
            at = bare.end()
            goes_on = bare[0].endswith(".") and query[at : at + 1] in ("'", '"')
        else:
            raise fault(query, at, "this quote has no end", "the same quote at the end of the text is missing")
        if not goes_on:
            return Token(kind="word", text=query[start:at], at=start, parts=tuple(parts))


_BEFORE: Final = 50
_SHOWN: Final = 100


def fault(query: str, at: int, what: str, why: str, do: str = "") -> QueryError:
    """An error that shows the query with a caret under the fault."""
    start = max(at - _BEFORE, 0)
    shown = "".join(" " if character.isspace() else character for character in query[start : start + _SHOWN])
    before, after = "…" if start else "", "…" if start + _SHOWN < len(query) else ""
    caret = " " * (at - start + len(before)) + "^"
    return QueryError(
        f"{what}\n{before}{shown}{after}\n{caret}", why=why, do=do or "`gitrepro ls --help` shows what a query may say"
    )
