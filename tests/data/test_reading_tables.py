"""Rows of CSV, JSON lines and Parquet: types, ids, labels, and what is wrong with files."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.data.reading import kind_of, open_items
from gitrepro.data.reading.items import ROWS_AT_ONCE
from gitrepro.data.reading.table import rebatched
from gitrepro.errors import Damaged, GitreproError, NotFound, UsageError

Write = Callable[[str, "str | bytes"], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def columns(path: Path, kind: str | None = None) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = open_items(path, kind or kind_of(path)).table().to_pydict()
    return found


def types(path: Path) -> dict[str, str]:
    return {field.name: str(field.type) for field in open_items(path, kind_of(path)).table().schema}


# -- which kind


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.csv", "a,b\n1,2\n", "csv"),
        ("a.TSV", "a\tb\n1\t2\n", "csv"),
        ("a.jsonl", '{"a": 1}\n', "jsonl"),
        ("a.ndjson", '{"a": 1}\n', "jsonl"),
        ("a.npz", b"PK\x03\x04", "npz"),
        ("a.npy", b"\x93NUMPY\x01\x00", "npz"),
        ("a", b"\x93NUMPY\x01\x00", "npz"),
        ("a.parquet", b"PAR1", "parquet"),
        ("a.bin", b"PAR1....", "parquet"),
        ("a.txt", "a,b\n", "file"),
        ("a.pkl", b"\x80\x04", "file"),
        ("a", b"", "file"),
    ],
)
def test_the_kind_of_a_file_is_told_by_its_suffix_and_its_first_bytes(
    write: Write, name: str, content: str | bytes, kind: str
) -> None:
    assert kind_of(write(name, content)) == kind


def test_nothing_at_the_path_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing at"):
        kind_of(tmp_path / "gone.csv")


def test_an_unknown_kind_names_the_kinds(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="parquet"):
        open_items(tmp_path, "excel")


# -- CSV


def test_a_csv_has_columns_typed_by_all_of_their_values(write: Write) -> None:
    path = write("a.csv", "i,f,b,t,s\n1,2,true,2024-01-02,x\n-3,2.5,False,2024-01-03 10:00,\n")

    assert types(path) == {"i": "int64", "f": "double", "b": "bool", "t": "timestamp[us]", "s": "string"}
    assert columns(path)["f"] == [2.0, 2.5]
    assert columns(path)["s"] == ["x", None]


def test_a_word_far_behind_the_first_block_makes_the_column_text(write: Write) -> None:
    rows = "".join(f"{number},{'x' * 40}\n" for number in range(150_000))
    path = write("a.csv", f"n,pad\n{rows}oops,x\n")

    assert types(path)["n"] == "string"
    assert columns(path)["n"][-2:] == ["149999", "oops"]


def test_a_fraction_behind_whole_numbers_makes_the_column_float(write: Write) -> None:
    assert types(write("a.csv", "n\n1\n2\n0.5\n")) == {"n": "double"}


@pytest.mark.parametrize("word", ["", "NA", "nan", "NULL", " ", " n/a"])
def test_a_missing_value_does_not_change_the_type(write: Write, word: str) -> None:
    path = write("a.csv", f"n,m\n1,1\n{word},2\n")

    assert types(path)["n"] in ("int64", "double")
    assert columns(path)["n"][0] == 1
    assert columns(path)["n"][1] is None or np.isnan(columns(path)["n"][1])


def test_na_among_words_is_a_word(write: Write) -> None:
    assert columns(write("a.csv", "country,n\nDE,1\nNA,2\n"))["country"] == ["DE", "NA"]


def test_a_column_of_gaps_only_has_no_type(write: Write) -> None:
    path = write("a.csv", "a,b\n,1\nNA,2\n")

    assert types(path)["a"] == "null"
    assert columns(path)["a"] == [None, None]


def test_whole_numbers_beyond_64_bits_become_doubles(write: Write) -> None:
    assert columns(write("a.csv", "n\n1\n99999999999999999999\n"))["n"] == [1.0, 1e20]


def test_spaces_around_numbers_and_names_are_no_part_of_them(write: Write) -> None:
    assert columns(write("a.csv", "a, b\n1, 2\n")) == {"a": [1], "b": [2]}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_told_by_the_header(write: Write, separator: str) -> None:
    assert columns(write("a.csv", f"a{separator}b\n1{separator}2\n"), "csv") == {"a": [1], "b": [2]}


def test_quoted_line_ends_are_part_of_a_field(write: Write) -> None:
    path = write("a.csv", 'a,b\n"x\ny",1\n')

    assert len(open_items(path, "csv")) == 1
    assert columns(path)["a"] == ["x\ny"]


def test_a_byte_order_mark_is_no_part_of_the_first_name(write: Write) -> None:
    assert columns(write("a.csv", b"\xef\xbb\xbfa,b\n1,2\n")) == {"a": [1], "b": [2]}


def test_an_unnamed_column_gets_a_name_from_its_place(write: Write) -> None:
    assert columns(write("a.csv", ",b\n0,2\n")) == {"unnamed_0": [0], "b": [2]}


@pytest.mark.parametrize("content", ["a,b", "a,b\n", "a,b\r\n", "\ufeffa,b\n"])
def test_a_header_alone_is_a_table_without_rows(write: Write, content: str) -> None:
    items = open_items(write("a.csv", content), "csv")

    assert len(items) == 0
    assert list(items.ids()) == []
    assert columns(write("b.csv", content)) == {"a": [], "b": []}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("a,b\n1,2\n3\n", "row 3 has 1 fields, the header 2"),
        ("a,b\n1,2,3\n", "row 2 has 3 fields"),
        ('a,b\n"1,2\n', "fields"),
        ("a,b\n1,ü\n".encode("latin1"), "line 2 is not UTF-8"),
        ("ä,b\n1,2\n".encode("latin1"), "line 1 is not UTF-8"),
        ("a,b\n1,2\nü\n".encode("latin1"), "row 3 has 1 fields"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"a,b\n1,\0\n", "zero bytes"),
    ],
)
def test_a_file_that_is_no_csv_is_refused_with_the_place(write: Write, content: str | bytes, why: str) -> None:
    with pytest.raises(Damaged, match=why) as caught:
        columns(write("a.csv", content))

    assert caught.value.do


def test_two_columns_of_one_name_are_refused(write: Write) -> None:
    with pytest.raises(UsageError, match="two columns named 'a'"):
        columns(write("a.csv", "a,b,a\n1,2,3\n"))


def test_a_row_longer_than_a_block_is_read(write: Write) -> None:
    path = write("a.csv", "a,b\n" + "x" * 9_000_000 + ",1\n")

    assert columns(path)["b"] == [1]


# -- ids and labels


def test_rows_are_named_by_their_number(write: Write) -> None:
    assert list(open_items(write("a.csv", "a\n5\n6\n"), "csv", id="row").ids()) == ["0", "1"]


def test_ids_and_labels_are_the_text_that_was_written(write: Write) -> None:
    items = open_items(write("a.csv", "id,y\n007,01\n8,1\n9,\n"), "csv", id="column:id", label="y")

    assert list(items.ids()) == ["007", "8", "9"]
    assert list(items.labels() or ()) == ["01", "1", None]


@pytest.mark.parametrize(
    ("content", "what"), [("id\na\nb\na\n", "row 2 .* has the id 'a'"), ("id,x\na,1\n,2\n", "row 1 .* has no id")]
)
def test_an_id_column_with_a_value_twice_or_none_names_the_first(write: Write, content: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        open_items(write("a.csv", content), "csv", id="column:id").ids()


@pytest.mark.parametrize(("id", "label"), [("column:c", None), ("row", "c")])
def test_a_column_that_is_not_there_is_refused_with_those_that_are(write: Write, id: str, label: str | None) -> None:
    with pytest.raises(UsageError, match="no column 'c'") as caught:
        open_items(write("a.csv", "a,b\n1,2\n"), "csv", id=id, label=label)

    assert "a, b" in caught.value.why


@pytest.mark.parametrize("id", ["path", "column:", "rows", ""])
def test_an_id_rule_that_does_not_fit_is_refused(write: Write, id: str) -> None:
    with pytest.raises(UsageError, match="does not fit"):
        open_items(write("a.csv", "a,b\n1,2\n"), "csv", id=id or "x")


# -- JSON lines


def test_objects_in_objects_become_columns(write: Write) -> None:
    path = write("a.jsonl", '{"a": {"b": 1, "c": {"d": "x"}}, "e": [1, 2]}\n{"a": {"b": 2}}\n')

    assert columns(path) == {"a.b": [1, 2], "a.c.d": ["x", None], "e": [[1, 2], None]}


def test_keys_that_come_late_are_columns_too(write: Write) -> None:
    rows = [json.dumps({"a": number, "pad": "x" * 90}) for number in range(120_000)]
    path = write("a.jsonl", "\n".join([*rows, '{"late": 2.5}']))

    found = columns(path)
    assert (len(found["a"]), found["late"][-1], found["late"][0]) == (120_001, 2.5, None)


@pytest.mark.parametrize(
    ("lines", "values", "kind"),
    [
        (['{"a": 1}', '{"a": "x"}'], ["1", "x"], "string"),
        (['{"a": 1}', '{"a": {"b": 1}}'], [1, None], "int64"),
        (['{"a": true}', '{"a": 1.5}'], ["true", "1.5"], "string"),
        (['{"a": 1}', '{"a": 2.5}'], [1.0, 2.5], "double"),
        (['{"a": 1, "b": "x"}', '{"a": 2, "b": 1}'], [1, 2], "int64"),
        (['{"a": 1, "b": "x"}', '{"a": 1e400, "b": 1}'], [1.0, float("inf")], "double"),
        (['{"a": [1]}', '{"a": "x"}'], ["[1]", "x"], "string"),
    ],
)
def test_a_field_of_mixed_types_is_text_and_the_others_keep_theirs(
    write: Write, lines: list[str], values: list[Any], kind: str
) -> None:
    path = write("a.jsonl", "\n".join(lines))

    assert columns(path)["a"] == values
    assert types(path)["a"] == kind


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        ('{"a": 1}\n{"a": 1', "line 2"),
        ('{"a": 1}\n[1]\n', "line 2 is no object but list"),
        ("3\n", "line 1 is no object but int"),
        (b'{"a": "\xff"}\n', "line 1"),
        ('{"a": 1}{"a": 2}\n', "line 1"),
        ('{"a": 1}\n{"\\ud800": 1}\n', "line 2"),
    ],
)
def test_a_line_that_is_no_object_is_named(write: Write, content: str | bytes, why: str) -> None:
    with pytest.raises(Damaged, match=why):
        columns(write("a.jsonl", content))


def test_deep_nesting_brings_nothing_down(write: Write) -> None:
    deep = '{"a":' * 30 + "1" + "}" * 30
    with_word = f'{deep}\n{{"a": "x"}}\n'

    assert len(open_items(write("a.jsonl", deep), "jsonl")) == 1
    assert len(columns(write("b.jsonl", with_word))) == 2
    with pytest.raises(GitreproError):
        columns(write("c.jsonl", "[" * 200_000))
    with pytest.raises(Damaged, match="more than 100 deep"):
        columns(write("d.jsonl", f'{{"a": {"[" * 5000}{"]" * 5000}}}\n'))


# -- Parquet


def test_structs_of_parquet_become_columns(tmp_path: Path) -> None:
    table = pa.table({"a": [{"x": 1, "y": "u"}, None], "b": [[1.0], []], "d": pa.array(["p", "q"]).dictionary_encode()})
    pq.write_table(table, tmp_path / "a.parquet")
    items = open_items(tmp_path / "a.parquet", "parquet", label="d")

    assert columns(tmp_path / "a.parquet") == {"a.x": [1, None], "a.y": ["u", None], "b": [[1.0], []], "d": ["p", "q"]}
    assert list(items.labels() or ()) == ["p", "q"]


def test_a_single_flat_column_of_a_struct_can_be_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [{"x": 1, "y": "u"}], "ab": [2]}), tmp_path / "a.parquet")
    items = open_items(tmp_path / "a.parquet", "parquet", id="column:a.y")

    assert list(items.ids()) == ["u"]


@pytest.mark.parametrize("keep", [0, 3, 4, 100, -1, -8])
def test_a_parquet_file_cut_off_is_damaged(tmp_path: Path, keep: int) -> None:
    pq.write_table(pa.table({"a": np.arange(1000.0)}), tmp_path / "a.parquet")
    path = tmp_path / "a.parquet"
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(Damaged, match="cannot be read as parquet"):
        columns(path, "parquet")


def test_a_flipped_byte_in_a_page_is_found_by_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"a": np.random.default_rng(0).standard_normal(1000)})
    pq.write_table(table, path, write_page_checksum=True, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[2000] ^= 1
    path.write_bytes(data)

    with pytest.raises(Damaged):
        columns(path)


def test_text_in_parquet_that_is_not_utf_8_is_damaged(tmp_path: Path) -> None:
    bad = pa.array([b"ok", b"\xff\xfe"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"a": bad}), tmp_path / "a.parquet")

    with pytest.raises(Damaged):
        columns(tmp_path / "a.parquet")


def test_something_else_named_parquet_is_damaged(write: Write) -> None:
    with pytest.raises(Damaged):
        columns(write("a.parquet", gzip.compress(b"x" * 1000)))


# -- batches


@given(sizes=st.lists(st.integers(0, 30), max_size=12), rows=st.integers(1, 20))
def test_batches_get_one_size_and_keep_every_row(sizes: list[int], rows: int) -> None:
    every = np.arange(sum(sizes))
    cuts = np.split(every, np.cumsum(sizes)[:-1]) if sizes else []
    found = [batch.column(0).to_pylist() for batch in rebatched(map(_batch, cuts), rows)]

    assert [value for part in found for value in part] == every.tolist()
    assert all(len(part) == rows for part in found[:-1])


def _batch(values: Any) -> pa.RecordBatch:
    return pa.record_batch({"a": pa.array(values)})


def test_every_batch_but_the_last_has_the_same_rows(write: Write) -> None:
    path = write("a.csv", "a\n" + "1\n" * (ROWS_AT_ONCE + 5))
    items = open_items(path, "csv")

    assert [batch.num_rows for batch in items.batches()] == [ROWS_AT_ONCE, 5]  # type: ignore[union-attr]


# -- damage


CSV = b"a,b,c,t\n" + b"".join(b"%d,%f,w%d,2024-01-%02d\n" % (n, n / 3, n % 4, n % 28 + 1) for n in range(40))
LINES = b"".join(b'{"a": %d, "b": {"c": %f, "d": [%d]}, "s": "w%d"}\n' % (n, n / 3, n, n) for n in range(40))
PIECES = st.sampled_from(
    [b'"', b"\n", b"\0", b",", b"1e999", b"\xef\xbb\xbf", b"[", b"\r", b"\xed\xa0\x80", b"\\ud800"]
)


@given(
    kind=st.sampled_from(["csv", "jsonl", "parquet"]),
    places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), PIECES | st.binary(max_size=6)), max_size=4),
)
def test_a_spoilt_table_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    places: list[tuple[float, int, bytes]],
) -> None:
    path = tmp_path_factory.getbasetemp() / f"spoilt.{kind}"
    pq.write_table(pa.table({"a": range(50), "s": ["x", "y"] * 25, "l": [[1], []] * 25}), path)
    spoilt = bytearray({"csv": CSV, "jsonl": LINES}.get(kind) or path.read_bytes())
    for share, length, piece in places:
        place = int(share * len(spoilt))
        spoilt[place : place + length] = piece
    path.write_bytes(spoilt)

    try:
        items = open_items(path, kind)
        assert len(columns(path, kind)) == 0 or len(next(iter(columns(path, kind).values()))) == len(items)
    except GitreproError as error:
        assert error.what
