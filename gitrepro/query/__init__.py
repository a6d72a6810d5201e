"""Finding runs: `group == 'wd-study' and val/accuracy > 0.9 and not dirty`.

A query becomes SQL for the index and a plain test for runs under way; both answer alike.

- A condition on a value that is missing is false: `x != 1` finds runs that have an x other than 1. `not` turns the
  answer over: `not x == 1` finds these, and the runs without an x.
- A bare name is a field; else a metric, when there is one of that name; else a key of the config. `metric.x` and
  `config.x` say which; `config."a.b"` is a key with a dot in it.
- A number is equal to a number, text to text: `config.version == "3"` is not `config.version == 3`. Text needs quotes
  only where it has spaces or looks like a number. A list is its JSON text.
- `data` and `split` are what a run has on record: `data == digits` is any version of it, `data == digits@v1` that one,
  `data == b3:2555` its content, by the beginning of the digest. `data != digits` finds runs without it, as of labels.
- Times are UTC, and a date is its whole day: `started == 2026-11-01`, `started > -7d`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..records.term import Scalar, Term

if TYPE_CHECKING:
    import datetime

    from ..records.facts import Facts
    from .names import Names
    from .nodes import Node
    from .sql import Place

# What reads and compiles is imported where it is used: a list of all runs needs none of it.


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which runs are meant. One without a node means all."""

    text: str
    node: Node | None

    def sql(self, place: Place) -> tuple[str, list[Any]]:
        """A condition on the table `runs` of the index, and the values bound in it."""
        if self.node is None:
            return "1", []
        from .sql import compiled

        return compiled(self.node, place)

    def matches(self, facts: Facts) -> bool:
        """Whether a run with these facts is meant."""
        if self.node is None:
            return True
        from .match import matches

        return matches(self.node, facts)

    def narrowed(self, fields: dict[str, Scalar], *, label: str | None = None) -> Query:
        """The same with further conditions: fields that have these values, and a label."""
        if not fields and label is None:
            return self
        from .nodes import AllOf, Compare

        wanted: list[Node] = [Compare(Term("field", name), "==", value) for name, value in fields.items()]
        if label is not None:
            wanted.append(Compare(Term("label", ""), "==", label))
        return Query(text=self.text, node=AllOf((*wanted, *([self.node] if self.node else []))))


def parse(text: str, *, names: Names, now: datetime.datetime) -> Query:
    """Read a query.

    Args:
        names: the metrics and config keys that runs have.
        now: what `-7d` counts from; it has a time zone.

    Raises:
        QueryError: it cannot be read, or names what no run has.
    """
    if not text.strip():
        return Query(text=text, node=None)
    # Not `parse.py`: importing that would put the module in the place of this very function.
    from .grammar import parsed

    return Query(text=text, node=parsed(text, names, now))


def term(text: str, *, names: Names) -> Term:
    """What one name of a query stands for, as in `ls --sort NAME`. Raises as `parse` does."""
    from .lex import fault, tokens
    from .names import term_of

    token, *rest = tokens(text)
    if token.kind != "word" or len(rest) != 1:
        raise fault(text, token.at, f"{text!r:.80} is no name", "one with spaces is put in quotes: metric.'val acc'")
    return term_of(text, token, names)
