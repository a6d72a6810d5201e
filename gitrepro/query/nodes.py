"""What a query is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ..records.term import Scalar, Term


@dataclass(frozen=True, slots=True)
class Compare:
    """`term op value`; op is one of == != < <= > >=. False where the value is missing."""

    term: Term
    op: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class Among:
    """The value is one of these."""

    term: Term
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Glob:
    """The value is text and matches: `*` is any text, `?` any character, nothing else is special."""

    term: Term
    pattern: str


@dataclass(frozen=True, slots=True)
class Contains:
    """The value is text and holds this text."""

    term: Term
    text: str


@dataclass(frozen=True, slots=True)
class Present:
    """There is a value."""

    term: Term


@dataclass(frozen=True, slots=True)
class Text:
    """The run has all these words; one that ends in `*` is the beginning of a word."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Every run that the part does not match."""

    part: Node


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part matches."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part or more matches."""

    parts: tuple[Node, ...]


Node: TypeAlias = "Compare | Among | Glob | Contains | Present | Text | Not | AllOf | AnyOf"
