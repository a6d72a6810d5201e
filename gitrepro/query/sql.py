"""A query as SQL. Nothing a user wrote is in the text of it: values are bound, columns are given by the index."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from ..records.term import Term
from ..records.used import DATA, SPLIT
from .nodes import AllOf, Among, AnyOf, Compare, Contains, Glob, Node, Not, Present, Text

Place: TypeAlias = Callable[[Term], str]
"""The column, or the expression, in which a field, metric or config leaf stands in `runs`."""

NAN: Final = b"nan"
"""How NaN lies in a column: SQLite takes it for NULL, and no number or text is equal to these bytes."""


def compiled(node: Node, place: Place) -> tuple[str, list[Any]]:
    """A condition on `runs`, and the values bound in it. NULL stands for false."""
    match node:
        case AllOf(parts) | AnyOf(parts):
            word = " AND " if isinstance(node, AllOf) else " OR "
            inside = [compiled(part, place) for part in parts]
            return f"({word.join(text for text, _ in inside)})", [value for _, values in inside for value in values]
        case Not(part):
            text, values = compiled(part, place)
            return f"NOT coalesce({text}, 0)", values
        case Text(words):
            match = " ".join(f'"{word[:-1]}"*' if word.endswith("*") else f'"{word}"' for word in words)
            return "runs.row IN (SELECT rowid FROM search WHERE search MATCH ?)", [match]
    if node.term.kind == "label":
        text, values = _test(node, "label")
        return f"runs.row IN (SELECT labels.row FROM labels WHERE {text})", values
    if node.term.kind in (DATA, SPLIT):
        text, values = _test(node, "value")
        named = f"SELECT number FROM data_names WHERE kind = ? AND what = ? AND {text}"
        found = f"runs.row IN (SELECT uses.row FROM uses WHERE uses.number IN ({named}))"
        return found, [node.term.kind, node.term.key, *values]
    return _test(node, place(node.term))


def _test(node: Compare | Among | Glob | Contains | Present, column: str) -> tuple[str, list[Any]]:
    match node:
        case Compare(_, op, value):
            return _compare(column, op, value), [_bound(value)]
        case Among(_, values):
            return f"{column} IN ({', '.join('?' * len(values))})", [_bound(value) for value in values]
        case Glob(_, pattern):
            return f"(typeof({column}) = 'text' AND {column} GLOB ?)", [pattern.replace("[", "[[]")]
        case Contains(_, text):
            return f"(typeof({column}) = 'text' AND instr({column}, ?) > 0)", [text]
    return f"{column} IS NOT NULL", []


def _compare(column: str, op: str, value: Any) -> str:
    plain = f"{column} {'=' if op == '==' else '<>' if op == '!=' else op} ?"
    if op in ("==", "!="):
        return plain
    # SQLite puts numbers before text, and text before the bytes of NaN: a border is quicker to ask than the type.
    if isinstance(value, str):
        return f"({plain} AND {column} >= '')" if op in ("<", "<=") else f"({plain} AND {column} < x'')"
    return plain if op in ("<", "<=") else f"({plain} AND {column} < '')"


def _bound(value: Any) -> Any:
    return NAN if isinstance(value, float) and math.isnan(value) else value


def ordering(column: str, *, descending: bool) -> str:
    """Terms of an ORDER BY: numbers before text, what is missing or NaN last either way."""
    direction = "DESC" if descending else "ASC"
    return f"({column} IS NULL OR {column} >= x''), {column} >= '', {column} {direction}"
