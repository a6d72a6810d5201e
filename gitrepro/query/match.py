"""A query as a test in Python, for runs that no index holds. It answers as the SQL does."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from ..records.facts import Facts
from ..records.term import Scalar
from .nodes import AllOf, Among, AnyOf, Compare, Contains, Glob, Node, Not, Present, Text

_ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(node: Node, facts: Facts) -> bool:
    """Whether a run with these facts is meant."""
    match node:
        case AllOf(parts):
            return all(matches(part, facts) for part in parts)
        case AnyOf(parts):
            return any(matches(part, facts) for part in parts)
        case Not(part):
            return not matches(part, facts)
        case Text(words):
            return all(_has_word(facts, word) for word in words)
    return any(_holds(node, value) for value in facts.values(node.term))


def _has_word(facts: Facts, word: str) -> bool:
    if word.endswith("*"):
        return any(each.startswith(word[:-1]) for each in facts.words)
    return word in facts.words


def _holds(node: Compare | Among | Glob | Contains | Present, value: Scalar) -> bool:
    match node:
        case Compare(_, "==", other):
            return _equal(value, other)
        case Compare(_, "!=", other):
            return not _equal(value, other)
        case Compare(_, op, other):
            return isinstance(value, str) == isinstance(other, str) and _ORDER[op](value, other)
        case Among(_, others):
            return any(_equal(value, other) for other in others)
        case Glob(_, pattern):
            return isinstance(value, str) and like(value, pattern)
        case Contains(_, text):
            return isinstance(value, str) and text in value
    return True


def _equal(value: Scalar, other: Scalar) -> bool:
    if isinstance(value, float) and isinstance(other, float) and math.isnan(value):
        return math.isnan(other)
    return value == other


def like(text: str, pattern: str) -> bool:
    """Whether the whole text matches: `*` is any text, `?` one character."""
    first, *rest = _pieces(pattern)
    if not rest:
        return bool(first.fullmatch(text))
    start = first.match(text)
    if start is None:
        return False
    at = start.end()
    # Each piece as early as it can be: no other choice leaves more room for the next.
    for piece in rest[:-1]:
        found = piece.search(text, at)
        if found is None:
            return False
        at = found.end()
    length = len(pattern.rpartition("*")[2])
    return len(text) - length >= at and bool(rest[-1].fullmatch(text, len(text) - length))


@lru_cache(maxsize=64)
def _pieces(pattern: str) -> list[re.Pattern[str]]:
    return [
        re.compile("".join("." if character == "?" else re.escape(character) for character in piece), re.DOTALL)
        for piece in pattern.split("*")
    ]
