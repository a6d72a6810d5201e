"""Run ids: ULIDs in lower case, and the folders that records stand in."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.errors import UsageError
from gitrepro.records.ids import is_id, new_id, shard, time_of

LAST_MS = 2**48 - 1


@given(st.integers(0, LAST_MS))
def test_an_id_keeps_its_time(now_ms):
    assert time_of(new_id(now_ms=now_ms)) == now_ms / 1000


@given(st.integers(0, LAST_MS), st.integers(0, LAST_MS))
def test_ids_sort_by_their_time(first, second):
    if first != second:
        assert (new_id(now_ms=first) < new_id(now_ms=second)) == (first < second)


def test_an_id_is_a_ulid_in_lower_case():
    assert new_id(now_ms=0).startswith("0000000000")
    assert new_id(now_ms=LAST_MS).startswith("7zzzzzzzzz")
    assert new_id(now_ms=1_469_918_176_385).startswith("01aryz6s41")
    assert all(is_id(new_id()) for _ in range(100))


def test_ids_made_in_the_same_millisecond_differ_even_with_one_seed():
    ids = set()
    for _ in range(1000):
        random.seed(0)
        ids.add(new_id(now_ms=5))

    assert len(ids) == 1000


def test_the_clock_is_the_systems_unless_given():
    before = time.time()
    made = time_of(new_id())

    assert before - 0.001 <= made <= time.time()


@pytest.mark.parametrize("now_ms", [-1, LAST_MS + 1])
def test_a_time_that_no_id_can_hold_is_refused(now_ms):
    with pytest.raises(UsageError, match="no id for the time"):
        new_id(now_ms=now_ms)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "01arynx",
        "01ARYZ6S41TSV4RRFFQ69G5FAV",
        "81aryz6s41tsv4rrffq69g5fav",
        "01aryz6s41tsv4rrffq69g5fai",
        "01aryz6s41tsv4rrffq69g5fau",
        "01aryz6s41tsv4rrffq69g5fav\n",
        "01aryz6s41tsv4rrffq69g5favv",
        "0١aryz6s41tsv4rrffq69g5fav",
    ],
)
def test_what_only_looks_like_an_id_is_none(text):
    assert not is_id(text)
    with pytest.raises(UsageError):
        time_of(text)


def test_an_id_is_filed_under_its_last_letters_and_a_digest_under_its_first():
    assert shard("01aryz6s41tsv4rrffq69g5fav") == "f/a/v"
    assert shard("b3:" + "c0ffee" + "0" * 58) == "c/0/f"
    assert shard("beef" + "0" * 60) == "b/e/e"
    assert shard("abc" + "0" * 37) == "a/b/c"


@pytest.mark.parametrize("name", ["", "../..", "b3:abc", "b3:" + "g" * 64, "A" * 40, "0" * 41, "b3:" + "0" * 40])
def test_any_other_name_has_no_folder(name):
    with pytest.raises(UsageError, match="neither a run id nor a digest"):
        shard(name)
