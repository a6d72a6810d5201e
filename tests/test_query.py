"""Queries: what they say, what they find, and that the SQL and the plain test answer alike."""

from __future__ import annotations

import datetime
import math
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cache, partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gitrepro.query
from gitrepro.errors import QueryError
from gitrepro.query import Query, parse, term
from gitrepro.query.grammar import CONDITIONS_AT_MOST, DEPTH_AT_MOST
from gitrepro.query.match import like
from gitrepro.query.nodes import AllOf, Among, AnyOf, Compare, Contains, Glob, Node, Not, Present, Text
from gitrepro.records.facts import Facts
from gitrepro.records.term import Term, scalar, text
from gitrepro.records.used import DIGEST, Used, used
from gitrepro.records.words import vocabulary
from gitrepro.store.index import schema
from gitrepro.store.index.rows import Row, put
from gitrepro.store.index.terms import expression

NOW = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)


class Known:
    """The names that some runs have."""

    def __init__(self, metrics: Iterable[str] = (), config: Iterable[str] = ()) -> None:
        self.names = {"metric": list(metrics), "config": list(config)}

    def has(self, kind: str, key: str) -> bool:
        return key in self.names[kind]

    def all(self, kind: str) -> Iterator[str]:
        return iter(self.names[kind])


def run(metrics=(), config=(), labels=(), words="", data=(), **fields) -> Facts:
    return Facts(
        fields={"status": "finished", "removed": 0, **fields},
        metrics=dict(metrics),
        config=dict(config),
        labels=tuple(labels),
        words=vocabulary([words]),
        used=used(data),
    )


def data_set(name: str | None, version: str | None, digit: str, *splits: str) -> dict[str, Any]:
    """An entry of `data`; the digest is one digit over and over."""
    parts = [{"name": split, "version": "v1", "digest": f"b3:{'5' * 63}{at}"} for at, split in enumerate(splits)]
    return {"name": name, "version": version, "digest": f"b3:{digit * 64}", "splits": parts}


RUNS = {
    "a": run({"val/acc": 0.9, "loss": 0.1}, {"lr": 0.1, "model.depth": 12, "opt": "adam", "amp": 1}, group="wd-study",
             name="brisk-otter", seed=0, dirty=0, duration_seconds=7300.0, started_at="2026-11-01T23:59:59.999999Z"),
    "b": run({"val/acc": math.nan, "loss": 0.2}, {"lr": 0.01, "model.depth": 6, "opt": "sgd", "lrs": "[0.1, 0.2]"},
             labels=("keep", "v1"), name="calm-otter", seed=4, dirty=1,
             data=[data_set("digits", "v1", "1", "default")], started_at="2026-11-02T00:00:00.000000Z"),
    "c": run({"val/acc": math.inf}, {"lr": "auto", "version": "3", r"weird\.key": 1}, labels=("drop",), seed=5,
             name="[c]", status="failed", duration_seconds=60.0, note="a Cosine schedule", words="a Cosine schedule",
             data=[data_set("digits", "v2", "2"), data_set("bees", None, "3", "fold-0", "fold-1")],
             started_at="2026-11-20T12:00:00.000000Z", commit_id="9fceb02d0ae598e95dc970b74767f19372d61af8"),
    "d": run({"x y": 3, "config.odd": 1}, {"version": 3, "val/acc": 7}, words="café Über", started_at="?",
             data=[{"digest": f"b3:{'4' * 64}"}]),
}  # fmt: skip
NAMES = Known(
    {name for run in RUNS.values() for name in run.metrics}, {key for run in RUNS.values() for key in run.config}
)


def database(runs: dict[str, Facts]) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    schema.create(db)
    rows = [
        Row(id=name, facts=Facts(fields={**facts.fields, "id": name}, metrics=facts.metrics, config=facts.config,
                                 labels=facts.labels, words=facts.words, used=facts.used), goals={}, listing="{}")
        for name, facts in runs.items()
    ]  # fmt: skip
    put(db, rows)
    return db


@cache
def the_database() -> sqlite3.Connection:
    return database(RUNS)


def by_sql(query: Query, db: sqlite3.Connection) -> str:
    where, values = query.sql(partial(expression, db))
    return "".join(row[0] for row in db.execute(f"SELECT id FROM runs WHERE {where} ORDER BY id", values))


def by_test(query: Query, runs: dict[str, Facts]) -> str:
    return "".join(name for name, facts in sorted(runs.items()) if query.matches(facts))


def found(query: str) -> str:
    """The runs that a query finds, by SQL and by test alike."""
    parsed = parse(query, names=NAMES, now=NOW)
    assert by_sql(parsed, the_database()) == by_test(parsed, RUNS)
    return by_test(parsed, RUNS)


@pytest.mark.parametrize(
    ("query", "runs"),
    [
        ("", "abcd"),
        ("group == 'wd-study' and val/acc > 0.8", "a"),
        ("group = wd-study", "a"),
        ("seed in 0..4", "ab"),
        ("seed in 0 .. 4", "ab"),
        ("seed in (4, 5, 6)", "bc"),
        ("seed not in (4, 5)", "a"),
        ("config.lr < 0.05", "b"),
        ("lr<5e-2", "b"),
        ("lr in 1e-3..1e-1", "ab"),
        ("config.model.depth >= 12", "a"),
        ("status == finished", "abd"),
        ("status in (failed, crashed)", "c"),
        ("opt == adam or opt == sgd and dirty", "ab"),
        ("(opt == adam or opt == sgd) and dirty", "b"),
        ("not dirty", "acd"),
        ("dirty == false", "a"),
        ("label == keep", "b"),
        ("labels ~ 'v*'", "b"),
        ("label in (keep, drop)", "bc"),
        ("label is missing", "ad"),
        ("label != keep", "acd"),
        ("name ~ *otter", "ab"),
        ("name !~ *otter", "c"),
        ("name ~ [c]", "c"),
        ("name ~ ?????-otter", "a"),
        ("note contains 'Cosine s'", "c"),
        ("text 'SCHEDULE cosine'", "c"),
        ("text sched*", "c"),
        ("text cafe and text uber", "d"),
        ("duration > 2h", "a"),
        ("duration == 1m", "c"),
        ("duration in 30s..1h30m", "c"),
        ("started == 2026-11-01", "a"),
        ("started in 2026-11-01..2026-11-02", "ab"),
        ("started > 2026-11-01", "bcd"),
        ("started <= 2026-11", "abc"),
        ("started > -7d", "cd"),
        ("started >= 2026-11-20T12:00", "cd"),
        ("commit == 9fceb02", "c"),
        ("'x y' == 3", "d"),
        ('metric."x y" >= 3', "d"),
        ('config."weird.key" == 1', "c"),
        (r"config.weird\.key exists", "c"),
        ("metric.config.odd == 1", "d"),
        ("config.val/acc == 7", "d"),
        ("config.amp == true", "a"),
        ("config.lrs contains '0.2'", "b"),
        ("data == digits@v1", "b"),
        ("data == 'digits'", "bc"),
        ("data in (bees, digits@v1)", "bc"),
        ("data ~ dig*", "bc"),
        ("data ~ 'd*@v2'", "c"),
        ("data contains igi", "bc"),
        ("data ~ b*", "cd"),  # of what has no name, the digest is one
        ("data == digit", ""),
        ("data == digits@v", ""),
        ("data == dig*", ""),
        ("data == 'b3:1*'", ""),
        ("data == b3:1", "b"),
        ("data == b3:11112", ""),
        (f"data == b3:{'2' * 64}", "c"),
        ("data == digits@b3:22", "c"),
        ("data == bees@b3:22", ""),
        ("data in (b3:22, b3:4)", "cd"),
        ("data ~ 'b3:?2*'", "c"),
        ("data contains b3:4", "d"),
        ("data exists", "bcd"),
        ("data is missing", "a"),
        ("not data exists", "a"),
        ("data != digits@v1", "acd"),
        ("data != digits", "ad"),
        ("data not in (digits, bees)", "ad"),
        ("data !~ '*@*'", "ad"),
        ("data != b3:1", "acd"),
        ("split == default", "b"),
        ("split == default@v1", "b"),
        ("split == digits/default", "b"),
        ("split == digits/default@v1", "b"),
        ("split == bees/default", ""),
        ("split ~ fold-* and not split == fold-2", "c"),
        ("split == b3:5555", "bc"),
        (f"split == b3:{'5' * 63}1", "c"),
        ("split == digits", ""),
        ("data == default", ""),
        ("split is missing", "ad"),
    ],
)
def test_a_query_finds(query: str, runs: str) -> None:
    assert found(query) == runs


@pytest.mark.parametrize(
    ("query", "runs"),
    [
        ("loss != 0.1", "b"),
        ("not loss == 0.1", "bcd"),
        ("loss is missing", "cd"),
        ("loss is not missing and loss exists", "ab"),
        ("not (loss > 5)", "abcd"),
        ("group != x", "a"),
    ],
)
def test_what_is_missing_matches_no_condition_and_not_turns_the_answer_over(query: str, runs: str) -> None:
    assert found(query) == runs


@pytest.mark.parametrize(
    ("query", "runs"),
    [
        ("val/acc == nan", "b"),
        ("val/acc != nan", "ac"),
        ("val/acc == inf", "c"),
        ("val/acc > 0.5", "ac"),
        ("val/acc < inf", "a"),
        ("not val/acc > 0", "bd"),
        ("val/acc in (nan, 0.9)", "ab"),
    ],
)
def test_nan_is_neither_less_nor_greater_and_infinity_is(query: str, runs: str) -> None:
    assert found(query) == runs


@pytest.mark.parametrize(
    ("query", "runs"),
    [
        ("version == 3", "d"),
        ("version == '3'", "c"),
        ("lr == auto", "c"),
        ("lr > 0", "ab"),
        ("lr > 'a'", "c"),
        ("lr != 0.1", "bc"),
    ],
)
def test_text_that_looks_like_a_number_is_text(query: str, runs: str) -> None:
    assert found(query) == runs


@pytest.mark.parametrize(
    ("query", "at", "said"),
    [
        ("lr <", 4, "a value"),
        ("lr < x", 5, "no number"),
        ("lr < nan", 5, "NaN"),
        ("lr == null", 6, "is missing"),
        ("(lr < 1", 7, "opens at character 1"),
        ("lr < 1)", 6, "`and`, `or`"),
        ("lr", 2, "expected =="),
        ("and lr", 0, "expected a field"),
        ("name == 'x", 8, "has no end"),
        ("lr ! 3", 3, "expected =="),
        ("seed in 4..0", 8, "smaller"),
        ("seed in 4", 8, "range"),
        ("seed in (1 2)", 11, "`,`"),
        ("started > yesterday", 10, "2026-11-01"),
        ("started > 2026-13-01", 10, "month"),
        ("started > -99999999999w", 10, ""),
        ("duration > soon", 11, "1h30m"),
        ("dirty == maybe", 9, "true or false"),
        ("label < b", 8, "no order"),
        ("data < b", 7, "data sets have no order"),
        ("split in 0..4", 9, "list in brackets"),
        ("data == null", 8, "is missing"),
        ("not data", 8, "is missing"),
        ("dta == x", 0, "data"),
        ("duration ~ 2*", 11, "expected =="),
        ("name ~ **********", 7, "stars"),
        ("text '!?'", 5, "letters and digits"),
        ("gruop == x", 0, "group"),
        ("config.lrr > 1", 0, "config.lr"),
        ("metric.val/ac > 1", 0, "metric.val/acc"),
        ("val/accc > 1", 0, "val/acc"),
        ("config.model > 1", 0, "model.depth"),
        ("not " * 100 + "dirty", 4 * DEPTH_AT_MOST, "at most"),
        ("(" * 100 + "dirty" + ")" * 100, DEPTH_AT_MOST, "at most"),
        (" or ".join(["dirty"] * (CONDITIONS_AT_MOST + 1)), 9 * CONDITIONS_AT_MOST, "at most"),
        ("x" * 20_000, 0, "at most"),
    ],
)
def test_an_error_shows_its_place_and_says_what_was_expected(query: str, at: int, said: str) -> None:
    with pytest.raises(QueryError) as error:
        parse(query, names=NAMES, now=NOW)

    _, shown, caret = error.value.what.split("\n")
    assert said in str(error.value)
    # Of a long query a part is shown, with the caret under the same character.
    assert shown[caret.index("^") :].strip("…") in query[at:]
    if len(query) <= 100:
        assert (shown, caret.index("^")) == (query, at)


def test_a_long_chain_is_read_and_compiled() -> None:
    query = parse(" and ".join(["(dirty or seed in 0..9)"] * (CONDITIONS_AT_MOST // 2)), names=NAMES, now=NOW)
    with closing(database(RUNS)) as db:
        assert by_sql(query, db) == by_test(query, RUNS) == "abc"


def test_a_bare_name_is_a_metric_before_it_is_a_key_of_the_config() -> None:
    assert term("val/acc", names=NAMES) == Term("metric", "val/acc")
    assert term("config.val/acc", names=NAMES) == Term("config", "val/acc")
    assert term("lr", names=NAMES) == Term("config", "lr")


def test_where_nothing_is_on_record_nothing_is_misspelt() -> None:
    assert not parse("val/acc > 0.9 and config.lr < 1", names=Known(), now=NOW).matches(run())


def test_reading_a_query_leaves_the_name_it_is_read_by() -> None:
    # A module of that name would take the place of the function when it is first imported.
    parse("dirty", names=NAMES, now=NOW)
    assert gitrepro.query.parse is parse
    assert gitrepro.query.term is term


def test_nothing_a_user_wrote_is_in_the_sql() -> None:
    evil = "'; DROP TABLE runs; --"
    names = Known([evil], [evil])
    facts = {"a": run({evil: 1}, {evil: "x"})}
    quoted = evil.replace("'", "\\'")
    query = parse(f"metric.'{quoted}' == 1 and config.'{quoted}' != '{quoted}'", names=names, now=NOW)
    with closing(database(facts)) as db:
        where, values = query.sql(partial(expression, db))
        assert "DROP" not in where
        assert evil in values
        assert by_sql(query, db) == "a"


# -- both ways answer alike, whatever is asked

CHARACTERS = st.sampled_from("ab*?[]^\\'\"% _-.0éß\n\ud800\0Aİ")
TEXTS = st.text(CHARACTERS, max_size=6).map(text)
VALUES = st.one_of(
    st.integers(-3, 3),
    st.integers(2**53 - 1, 2**53 + 1),
    st.integers(2**63 - 2, 2**64),
    st.floats(),
    st.sampled_from([0.1, 1.0, 2.0**53, math.inf, -math.inf, math.nan, -0.0]),
    TEXTS,
).map(scalar)
TERMS = st.sampled_from(
    [Term("metric", "m"), Term("metric", "it's \"m\""), Term("config", "a.b"), Term("config", "M"),
     Term("field", "name"), Term("field", "seed"), Term("label", ""),
     Term("data", ""), Term("data", DIGEST), Term("split", ""), Term("split", DIGEST)]
)  # fmt: skip
USED = st.builds(
    Used, st.sampled_from(["data", "split"]), TEXTS, st.one_of(st.just(""), TEXTS), TEXTS, dataset=TEXTS
).filter(lambda each: each.shown)
FACTS = st.builds(
    lambda metrics, config, name, seed, labels, words, held: Facts(
        fields={"removed": 0, **name, **seed},
        metrics=metrics,
        config=config,
        labels=labels,
        words=vocabulary([words]),
        used=held,
    ),
    st.dictionaries(st.sampled_from(["m", 'it\'s "m"']), VALUES),
    st.dictionaries(st.sampled_from(["a.b", "M"]), VALUES),
    st.fixed_dictionaries({}, optional={"name": TEXTS}),
    st.fixed_dictionaries({}, optional={"seed": VALUES}),
    st.lists(TEXTS, max_size=3, unique=True).map(tuple),
    st.text(CHARACTERS, max_size=12),
    st.lists(USED, max_size=3, unique=True).map(tuple),
)
ORDERED = VALUES.filter(lambda value: value == value)
WORDS = st.sampled_from(["a", "b", "ab", "0", "e", "ss", "i", "a*", "e*"])
LEAVES: st.SearchStrategy[Node] = st.one_of(
    st.builds(Compare, TERMS, st.sampled_from(["==", "!="]), VALUES),
    st.builds(Compare, TERMS, st.sampled_from(["<", "<=", ">", ">="]), ORDERED),
    st.builds(Among, TERMS, st.lists(VALUES, min_size=1, max_size=3).map(tuple)),
    st.builds(Glob, TERMS, TEXTS),
    st.builds(Contains, TERMS, TEXTS.filter(bool)),
    st.builds(Present, TERMS),
    st.builds(Text, st.lists(WORDS, min_size=1, max_size=2).map(tuple)),
)
NODES = st.recursive(
    LEAVES,
    lambda parts: st.one_of(
        st.builds(Not, parts),
        st.builds(AllOf, st.lists(parts, min_size=2, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(parts, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@given(st.lists(FACTS, max_size=6), st.lists(NODES, min_size=1, max_size=8), st.booleans())
@settings(max_examples=150)
def test_the_sql_and_the_test_find_the_same_runs(facts: list[Facts], nodes: list[Node], spilled: bool) -> None:
    runs = {chr(ord("a") + place): each for place, each in enumerate(facts)}
    with pytest.MonkeyPatch.context() as patch:
        # As it is for the metric that comes after the 1,500th.
        patch.setattr(schema, "WIDE_AT_MOST", 1 if spilled else 1500)
        db = database(runs)
    with closing(db):
        for node in nodes:
            query = Query(text="", node=node)
            assert by_sql(query, db) == by_test(query, runs), node


@given(st.text(st.one_of(CHARACTERS, st.characters())))
def test_any_text_is_a_query_or_a_query_error(query: str) -> None:
    try:
        parse(query, names=NAMES, now=NOW)
    except QueryError as error:
        assert error.what.count("\n") == 2


PIECES = st.sampled_from(
    "seed lr val/acc label data split digits@v1 b3:1"
    " started duration dirty name 'x y' 0..4 .. 1 -7d 2h 2026-11-01 nan inf true null in not and"
    " or is missing exists contains text ( ) , == != < <= > >= ~ !~ = ! '".split()
)


@given(st.lists(PIECES, max_size=12))
@settings(max_examples=500)
def test_any_row_of_words_is_a_query_that_both_ways_answer_alike_or_a_query_error(pieces: list[str]) -> None:
    query = " ".join(pieces)
    try:
        found(query)  # asks both ways, and compares
    except QueryError as error:
        assert error.what.strip()


@given(TEXTS, TEXTS)
def test_a_pattern_matches_as_sqlite_has_it(value: str, pattern: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        expected = db.execute("SELECT ? GLOB ?", (value, pattern.replace("[", "[[]"))).fetchone()[0]

    assert like(value, pattern) == bool(expected)
