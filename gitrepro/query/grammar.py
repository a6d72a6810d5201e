"""From the text of a query to its parts.

query:     part { ("and" | "or") part } | "not" part | "(" query ")"
part:      TERM OP VALUE                      OP is == != < <= > >=   (= is ==)
           TERM "in" ( VALUE ".." VALUE | "(" VALUE { "," VALUE } ")" )        "not in" as well
           TERM ( "~" | "!~" ) GLOB | TERM "contains" TEXT
           TERM "exists" | TERM "is" [ "not" ] "missing"
           "text" WORDS | FLAG                FLAG is dirty or removed
"""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Final, NoReturn

from ..records.term import Scalar, Term
from ..records.used import DATA, SPLIT
from ..records.words import words_of
from .lex import Token, bare_word, fault, tokens
from .many import MANY, meant, one_is
from .names import TYPES, Names, term_of
from .nodes import AllOf, Among, AnyOf, Compare, Contains, Glob, Node, Not, Present, Text
from .values import Moment, content, duration, moment, nothing, plain

DEPTH_AT_MOST: Final = 50
CONDITIONS_AT_MOST: Final = 200
VALUES_AT_MOST: Final = 500
_STARS_AT_MOST: Final = 8
_WORDS_AT_MOST: Final = 50
_ORDERED: Final = ("<", "<=", ">", ">=")
_EXPECTED: Final = "expected == != < <= > >= ~, in, contains, exists or is missing"


class Parser:
    """One reading of one query."""

    def __init__(self, query: str, names: Names, now: datetime.datetime) -> None:
        self._query = query
        self._tokens = tokens(query)
        self._names = names
        self._now = now
        self._place = 0
        self._depth = 0
        self._conditions = 0
        self._values = 0

    def whole(self) -> Node | None:
        """The query; None when there is nothing in it, which every run matches."""
        if self._next.kind == "end":
            return None
        node = self._or()
        if self._next.kind != "end":
            self._fail(self._next, f"{self._next.text!r:.80} is not expected here", "expected `and`, `or` or the end")
        return node

    # -- how conditions are joined

    def _or(self) -> Node:
        parts = [self._and()]
        while self._take_word("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _and(self) -> Node:
        parts = [self._not()]
        while self._take_word("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _not(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH_AT_MOST:
            self._fail(self._next, "the query is nested too deep", f"at most {DEPTH_AT_MOST} levels are read")
        try:
            if self._take_word("not"):
                return Not(self._not())
            if opening := self._take("("):
                node = self._or()
                if not self._take(")"):
                    self._fail(self._next, "a bracket is not closed", f"it opens at character {opening.at + 1}")
                return node
            return self._condition()
        finally:
            self._depth -= 1

    # -- one condition

    def _condition(self) -> Node:
        self._conditions += 1
        token = self._word("a field, a metric or a config key")
        if self._conditions > CONDITIONS_AT_MOST:
            self._fail(token, "the query has too many conditions", f"at most {CONDITIONS_AT_MOST} are read")
        if token.bare.lower() == "text" and self._next.kind == "word" and not self._is_verb(self._next):
            return self._text(self._word("words in quotes"))
        if token.bare.lower() in ("and", "or", "in", "is", "contains", "exists"):
            self._fail(token, f"{token.text!r} is not expected here", "expected a field, a metric or a config key")
        return self._about(token, term_of(self._query, token, self._names))

    def _is_verb(self, token: Token) -> bool:
        return token.bare.lower() in ("in", "is", "not", "contains", "exists", "and", "or")

    def _about(self, token: Token, term: Term) -> Node:
        if operator := self._take("==", "=", "!=", "<", "<=", ">", ">="):
            return self._compare(term, "==" if operator.text == "=" else operator.text)
        if operator := self._take("~", "!~"):
            glob = self._glob(term, self._word("a pattern"))
            return glob if operator.text == "~" else _unlike(term, glob)
        if self._take_word("contains"):
            return self._contains(term, self._word("a text"))
        if self._take_word("exists"):
            return Present(term)
        if self._take_word("is"):
            return self._missing(term)
        if self._take_word("in"):
            return self._in(term)
        if self._next.bare.lower() == "not" and self._after.bare.lower() == "in":
            self._place += 2
            return _unlike(term, self._in(term))
        if _type_of(term) == "flag":
            return Compare(term, "==", 1)
        return self._fail(self._next, f"there is no condition on {token.text!r:.80}", _EXPECTED)

    def _missing(self, term: Term) -> Node:
        negated = self._take_word("not")
        if not self._take_word("missing"):
            self._fail(self._next, f"{self._next.text!r:.80} is not expected here", "expected `missing`")
        return Present(term) if negated else Not(Present(term))

    def _text(self, token: Token) -> Node:
        found = [
            f"{word}*" if piece.endswith("*") and word == words[-1] else word
            for piece in content(token).split()
            if (words := words_of(piece))
            for word in words
        ]
        if not found or len(found) > _WORDS_AT_MOST:
            why = "a word is letters and digits" if not found else f"at most {_WORDS_AT_MOST} are looked for"
            self._fail(token, f"there are {len(found)} words to look for", why)
        return Text(tuple(found))

    # -- with values

    def _compare(self, term: Term, op: str) -> Node:
        token = self._word("a value")
        value = self._value(term, token, ordered=op in _ORDERED)
        if isinstance(value, Moment):
            return _compare_time(term, op, value)
        if _type_of(term) == "commit" and op in ("==", "!="):
            glob = Glob(term, f"{value}*" if len(str(value)) < 40 else str(value))
            return glob if op == "==" else _unlike(term, glob)
        if term.kind not in MANY:
            return Compare(term, op, value)
        if op in _ORDERED:
            self._fail(token, f"{MANY[term.kind]} have no order", "expected == != ~ in")
        # A run has many labels: `label != x` is a run that has not that one.
        node = one_is(term, str(value))
        return Not(node) if op == "!=" else node

    def _value(self, term: Term, token: Token, *, ordered: bool) -> Scalar | Moment:
        self._values += 1
        if self._values > VALUES_AT_MOST:
            self._fail(token, "the query has too many values", f"at most {VALUES_AT_MOST} are read")
        match _type_of(term):
            case "text" | "commit":
                if term.kind in (DATA, SPLIT):
                    nothing(self._query, token)
                return content(token)
            case "time":
                return moment(self._query, token, self._now)
            case "duration":
                return duration(self._query, token)
            case "flag":
                if token.text not in ("true", "false", "True", "False", "1", "0"):
                    self._fail(token, f"{token.text!r:.80} is not true or false", "expected true or false")
                return int(token.text in ("true", "True", "1"))
        return plain(self._query, token, ordered=ordered)

    def _in(self, term: Term) -> Node:
        if not self._take("("):
            return self._range(term)
        found: list[Node] = []
        values: list[Scalar] = []
        while True:
            node = self._compare(term, "==")
            if isinstance(node, Compare):
                values.append(node.value)
            else:
                found.append(node)
            if self._take(")"):
                break
            if not self._take(","):
                self._fail(self._next, f"{self._next.text!r:.80} is not expected here", "expected `,` or `)`")
        if values:
            found.append(Among(term, tuple(values)))
        return found[0] if len(found) == 1 else AnyOf(tuple(found))

    def _range(self, term: Term) -> Node:
        first, last = self._ends()
        if _type_of(term) in ("text", "commit", "flag"):
            self._fail(first, "a range is of numbers or times", "expected a list in brackets, as `in (a, b)`")
        low, high = (self._value(term, token, ordered=True) for token in (first, last))
        if isinstance(low, Moment) and isinstance(high, Moment):
            return AllOf((_compare_time(term, ">=", low), _compare_time(term, "<=", high)))
        if isinstance(low, str) or isinstance(high, str) or isinstance(low, Moment) or isinstance(high, Moment):
            self._fail(first, "a range is of numbers or times", "as 0..4, 1e-4..1e-2, 2026-11-01..2026-11-07")
        if low > high:
            self._fail(first, f"the range {low}..{high} is empty", "it begins with the smaller number")
        return AllOf((Compare(term, ">=", low), Compare(term, "<=", high)))

    def _ends(self) -> tuple[Token, Token]:
        token = self._word("a range as 0..4, or a list in brackets")
        low, dots, high = token.bare.partition("..")
        if not dots and self._next.bare.startswith(".."):
            token, low, dots = replace(self._next, at=token.at), token.bare, ".."
            high = self._next.bare[2:]
            self._place += 1
        if dots and not high and self._next.kind == "word":
            high = self._word("the end of the range").bare
        if not (dots and low and high):
            self._fail(token, f"{token.text!r:.80} is no range", "expected a range as 0..4, or a list as (1, 2, 3)")
        return bare_word(low, token.at), bare_word(high, token.at)

    def _glob(self, term: Term, token: Token) -> Node:
        pattern = content(token)
        if pattern.count("*") > _STARS_AT_MOST:
            self._fail(token, "the pattern has too many stars", f"at most {_STARS_AT_MOST} are read")
        self._only_of_text(term, token)
        return Glob(meant(term, pattern), pattern)

    def _contains(self, term: Term, token: Token) -> Node:
        self._only_of_text(term, token)
        if not content(token):
            self._fail(token, "every text contains nothing", "expected some text")
        return Contains(meant(term, content(token)), content(token))

    def _only_of_text(self, term: Term, token: Token) -> None:
        if _type_of(term) in ("time", "duration", "flag"):
            self._fail(token, "this is no text", "expected == != < <= > >= or in")

    # -- tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    @property
    def _after(self) -> Token:
        return self._tokens[min(self._place + 1, len(self._tokens) - 1)]

    def _take(self, *operators: str) -> Token | None:
        token = self._next
        if token.kind != "operator" or token.text not in operators:
            return None
        self._place += 1
        return token

    def _take_word(self, word: str) -> bool:
        if self._next.bare.lower() != word:
            return False
        self._place += 1
        return True

    def _word(self, expected: str) -> Token:
        token = self._next
        if token.kind == "end":
            self._fail(token, "the query ends here", f"expected {expected}")
        if token.kind != "word":
            self._fail(token, f"{token.text!r} is not expected here", f"expected {expected}")
        self._place += 1
        return token

    def _fail(self, token: Token, what: str, why: str) -> NoReturn:
        raise fault(self._query, token.at, what, why)


def _type_of(term: Term) -> str:
    if term.kind in MANY:
        return "text"
    return TYPES[term.key] if term.kind == "field" else "any"


def _unlike(term: Term, node: Node) -> Node:
    """The opposite of a condition, among the runs that have a value; of what a run has many of, among all."""
    return Not(node) if term.kind in MANY else AllOf((Present(term), Not(node)))


def _compare_time(term: Term, op: str, when: Moment) -> Node:
    match op:
        case "==":
            return AllOf((Compare(term, ">=", when.low), Compare(term, "<", when.high)))
        case "!=":
            return AnyOf((Compare(term, "<", when.low), Compare(term, ">=", when.high)))
        case "<" | ">=":
            return Compare(term, op, when.low)
    return Compare(term, ">=" if op == ">" else "<", when.high)


def parsed(query: str, names: Names, now: datetime.datetime) -> Node | None:
    """The parts of a query.

    Raises:
        QueryError: it cannot be read, or names what no run has.
    """
    return Parser(query, names, now.astimezone(datetime.UTC)).whole()
