"""Exact duplicates, the words searches share, and vectors."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gitrepro.data.duplicates import Items, Pair, exact, near_vectors
from gitrepro.data.duplicates.equal import firsts
from gitrepro.data.duplicates.pairs import KEPT_PER_PART, Candidates, Rows
from gitrepro.errors import UsageError


def items(contents: object, prefix: str = "") -> Items:
    return Items(ids=[f"{prefix}{k}" for k in range(len(contents))], contents=contents)  # type: ignore[arg-type]


def named(pairs: tuple[Pair, ...]) -> list[tuple[str, str]]:
    return [(f"{each.part_a}:{each.a}", f"{each.part_b}:{each.b}") for each in pairs]


def test_texts_are_equal_after_case_composition_and_spaces() -> None:
    texts = ["Caf\u00e9  noir\n", "cafe\u0301 NOIR", "cafe noir", "Straße", "STRASSE"]

    assert named(exact({"all": items(texts)}).pairs) == [("all:0", "all:1"), ("all:3", "all:4")]


def test_empty_texts_are_left_out_and_counted() -> None:
    found = exact({"all": items(["", " \n", "a", ""])})

    assert (found.pairs, found.examples, found.left_out) == ((), 1, {"empty": 3})


def test_an_image_equals_its_lossless_copy_in_another_container_and_palette() -> None:
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    packed = picture.quantize(16)
    saved = io.BytesIO()
    packed.convert("RGB").save(saved, "BMP")

    found = exact({"train": items([picture, packed]), "test": items([Image.open(saved), picture])})

    # Sixteen colours, so the palette loses nothing.
    assert named(found.pairs)[:2] == [("train:0", "train:1"), ("train:0", "test:0")]
    assert len(found.pairs) == 4


def test_images_of_other_shapes_with_the_same_bytes_differ() -> None:
    flat = np.zeros((2, 8), np.uint8)

    assert exact({"all": items([flat, flat.reshape(4, 4), flat.reshape(8, 2)])}).pairs == ()


def test_rows_of_numbers_are_equal_across_types_zeros_and_gaps() -> None:
    one = np.array([[0.0, np.nan, 1.5], [1, 2, 3]], np.float64)
    other = np.array([[-0.0, -np.nan, 1.5], [1, 2, 3]], np.float32)

    assert named(exact({"a": items(one), "b": items(other)}).pairs) == [("a:0", "b:0"), ("a:1", "b:1")]


def test_large_whole_numbers_that_a_float_cannot_tell_apart_differ() -> None:
    assert exact({"all": items(np.array([[2**40], [2**40 + 1]]))}).pairs == ()


def test_a_group_of_equal_examples_gives_one_pair_each_and_part() -> None:
    found = exact({"train": items(np.zeros((20_000, 2))), "test": items(np.zeros((3, 2)))})

    assert len(found.pairs) == 19_999 + 3 + 2
    assert {each.a for each in found.pairs} == {"0"}


def test_a_part_with_more_ids_than_contents_is_refused() -> None:
    with pytest.raises(UsageError, match="2 ids and 1 contents"):
        exact({"all": Items(ids=["a", "b"], contents=["x"])})


def test_no_parts_and_empty_parts_have_no_pairs() -> None:
    assert exact({}).pairs == ()
    assert exact({"train": items([]), "test": items(np.zeros((0, 4)))}).pairs == ()


def test_progress_is_told_up_to_the_last_example() -> None:
    told: list[tuple[str, int, int]] = []

    exact({"a": items(np.zeros((5000, 1))), "b": items(["x"])}, tell=lambda *each: told.append(each))

    assert told[-1] == ("contents", 5001, 5001)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=40))
def test_each_row_comes_with_the_first_equal_one_of_each_part_up_to_its_own(examples: list[tuple[int, int]]) -> None:
    examples = sorted(examples, key=lambda each: each[0])
    part = np.array([each[0] for each in examples], np.int32)
    keys = np.array([each[1] for each in examples], np.int64)
    naive = set()
    for row, (own, key) in enumerate(examples):
        for wanted in range(own + 1):
            first = next((k for k, each in enumerate(examples) if each == (wanted, key)), row)
            if first < row:
                naive.add((row, first))

    later, earlier = firsts(np.arange(len(examples)), part, keys)

    assert len(later) == len(naive)
    assert set(zip(later.tolist(), earlier.tolist(), strict=True)) == naive


def test_of_many_candidates_the_nearest_few_of_each_part_are_kept() -> None:
    rows = Rows({"a": items(range(50)), "b": items(range(50))})
    kept = Candidates(rows)
    for distance in (9, 3):
        kept.add(np.full(50, 99), np.arange(50), np.arange(50) + distance)
    kept.add(np.array([99]), np.array([60]), np.array([1]))

    found = kept.best()

    assert found[:, 0].tolist() == [99] * (KEPT_PER_PART + 1)
    assert found[:, 1].tolist() == [*range(KEPT_PER_PART), 60]
    assert found[:KEPT_PER_PART, 2].tolist() == [3, 4, 5, 6]


# -- vectors


def test_each_vector_comes_with_its_nearest_neighbour_in_each_part() -> None:
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(1500, 16)), rng.normal(size=(1200, 16))
    test[1100] = train[1234] * 3 + 0.001
    test[40] = test[1099] + 0.001

    found = near_vectors({"train": items(train), "test": items(test)}, cosine=0.999)

    assert named(found.pairs) == [("test:40", "test:1099"), ("train:1234", "test:1100")]
    assert all(0 <= each.distance < 0.001 for each in found.pairs)
    everything = train / np.linalg.norm(train, axis=1, keepdims=True)
    ours = test / np.linalg.norm(test, axis=1, keepdims=True)
    assert found.numbers["test in train: 0.5"] == pytest.approx(np.median((ours @ everything.T).max(axis=1)), abs=1e-5)


def test_vectors_without_a_direction_are_left_out_and_counted() -> None:
    vectors = np.array([[1.0, 2.0], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0], [2.0, 4.1]])

    found = near_vectors({"all": items(vectors)})

    assert named(found.pairs) == [("all:0", "all:4")]
    assert (found.examples, found.left_out) == (2, {"zero": 1, "not finite": 2})


def test_equal_vectors_are_left_to_the_exact_search() -> None:
    assert near_vectors({"all": items(np.ones((4, 3)))}).pairs == ()


@pytest.mark.parametrize("contents", [np.ones(3), ["a", "b"], [[1.0], [1.0, 2.0]], np.ones((2, 0))])
def test_what_is_no_vector_is_refused(contents: object) -> None:
    with pytest.raises(UsageError, match="no vectors"):
        near_vectors({"all": items(contents)})


def test_vectors_of_several_widths_are_refused() -> None:
    with pytest.raises(UsageError, match="a 2, b 3"):
        near_vectors({"a": items(np.ones((2, 2))), "b": items(np.ones((2, 3)))})
