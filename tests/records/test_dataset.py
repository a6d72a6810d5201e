"""The record of a data set: its bytes, what it refuses, and the names that people type."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.errors import Damaged, TooNew, UsageError
from gitrepro.records import dataset as records
from gitrepro.records.dataset import DatasetRecord, DatasetRef, load_dataset, next_version, parse_ref

DIGEST = "b3:" + "12ab" * 16
GOLDEN = b"""\
actor:
  email: "ada@example.org"
  name: "Ada Lovelace"
created_at: "2026-03-04T05:06:07.000008Z"
digest: "b3:12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab12ab"
files: 1
format: 1
id: "column:name"
ignore:
  - "*.tmp"
items: 1797
kind: "csv"
label: "digit"
linked: false
name: "digits"
note: null
size_bytes: 493656
source: "data/digits.csv"
version: "v1"
"""
RECORD = DatasetRecord(
    name="digits",
    version="v1",
    digest=DIGEST,
    kind="csv",
    items=1797,
    files=1,
    size_bytes=493_656,
    linked=False,
    source="data/digits.csv",
    id="column:name",
    label="digit",
    ignore=("*.tmp",),
    created_at="2026-03-04T05:06:07.000008Z",
    actor={"name": "Ada Lovelace", "email": "ada@example.org"},
)

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True)
texts = st.text(max_size=40)


def test_a_record_has_these_bytes():
    assert RECORD.dump() == GOLDEN
    assert load_dataset(GOLDEN, source="golden") == RECORD


def test_a_record_stands_under_its_name_and_digest():
    assert RECORD.path == f"datasets/digits/{'12ab' * 16}.yaml"
    assert records.statistics_path("digits", DIGEST, 3) == f"datasets/digits/{'12ab' * 16}.statistics-3.yaml"


@given(
    st.builds(
        DatasetRecord,
        name=names,
        version=names,
        digest=st.binary(min_size=32, max_size=32).map(lambda raw: f"b3:{raw.hex()}"),
        kind=st.sampled_from(records.KINDS),
        items=st.integers(0, 2**70),
        files=st.integers(0, 2**70),
        size_bytes=st.integers(0, 2**70),
        linked=st.booleans(),
        source=st.text(st.characters(), max_size=40),
        id=st.sampled_from(["path", "row"]) | texts.filter(bool).map(lambda name: f"column:{name}"),
        label=st.none() | texts,
        ignore=st.lists(texts, max_size=3).map(tuple),
        created_at=texts,
        actor=st.dictionaries(texts, texts, max_size=2),
        note=st.none() | texts,
        unknown=st.dictionaries(st.sampled_from(["later", "zebra"]), st.integers(), max_size=2),
    )
)
def test_a_record_comes_back_as_it_was(record):
    assert load_dataset(record.dump(), source="here") == record


def test_a_field_of_a_later_program_is_kept():
    later = GOLDEN + b"witness: 1\n"

    assert load_dataset(later, source="here").unknown == {"witness": 1}
    assert load_dataset(later, source="here").dump() == later


def test_a_later_format_is_refused_and_not_guessed_at():
    with pytest.raises(TooNew, match="format 2"):
        load_dataset(GOLDEN.replace(b"format: 1", b"format: 2"), source="here")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"format: 1\n", b""),
        (b"format: 1\n", b"format: true\n"),
        (b'name: "digits"', b'name: "../digits"'),
        (b'version: "v1"', b'version: ""'),
        (b'digest: "b3:12', b'digest: "b3:XX'),
        (b"items: 1797", b"items: -1"),
        (b"items: 1797", b"items: true"),
        (b"files: 1\n", b"files: 1.0\n"),
        (b'kind: "csv"', b'kind: "pickle"'),
        (b'id: "column:name"', b'id: "column:"'),
        (b'id: "column:name"', b'id: "name"'),
        (b"linked: false", b'linked: "false"'),
        (b'  - "*.tmp"', b"  - 3"),
        (b"note: null\n", b""),
        (b'label: "digit"', b"label: 3"),
    ],
)
def test_a_field_that_is_missing_or_of_another_kind_is_damage(old, new):
    assert old in GOLDEN
    with pytest.raises(Damaged, match="here"):
        load_dataset(GOLDEN.replace(old, new), source="here")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("digits", DatasetRef(name="digits")),
        ("digits@v1", DatasetRef(name="digits", version="v1")),
        ("digits@2026.03-x_y", DatasetRef(name="digits", version="2026.03-x_y")),
        ("digits@b3:12ab", DatasetRef(name="digits", digest="b3:12ab")),
        ("b3:12ab", DatasetRef(name=None, digest="b3:12ab")),
        (DIGEST, DatasetRef(name=None, digest=DIGEST)),
    ],
)
def test_a_reference_is_taken_apart(text, meant):
    assert parse_ref(text) == meant


@pytest.mark.parametrize(
    "text", ["", "@v1", "digits@", ".hidden", "a/b", "a b", "digits@../v", "digits@v1@v2", "b3:12g", "x" * 101, "a\n"]
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(UsageError):
        parse_ref(text)


def test_the_next_version_is_one_above_the_highest():
    assert next_version([]) == "v1"
    assert next_version(["v1", "final", "v10", "v2", "v03"]) == "v11"


def test_two_records_of_other_labels_have_other_bytes_and_one_path():
    other = replace(RECORD, version="v2")

    assert other.path == RECORD.path
    assert other.dump() != RECORD.dump()
