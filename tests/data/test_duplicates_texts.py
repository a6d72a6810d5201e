"""Near duplicates among texts: the paragraphs of Python's own documentation strings, and changes to them."""

from __future__ import annotations

import pydoc_data.topics
import re

import numpy as np
import pytest

from gitrepro.data.duplicates import Items, Pair, near_texts
from gitrepro.data.duplicates.words import Words, grams, words_in
from gitrepro.errors import UsageError


@pytest.fixture(scope="module")
def paragraphs() -> list[str]:
    """Pieces of 120 words of Python's reference, each sentence taken once: it says many of them in several places."""
    text = " ".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics))
    sentences = dict.fromkeys(" ".join(each.split()) for each in re.split(r"(?<=[.:])\s", text))
    words = " ".join(each for each in sentences if len(each.split()) > 7).split()
    return [" ".join(words[start : start + 120]) for start in range(0, 300 * 120, 120)]


def items(texts: list[str] | list[bytes]) -> Items:
    return Items(ids=range(len(texts)), contents=texts)


def edited(text: str, count: int, seed: int) -> str:
    words = text.split()
    for place in np.random.default_rng(seed).choice(len(words), count, replace=False).tolist():
        words[place] = "altered"
    return " ".join(words)


def across(pairs: tuple[Pair, ...]) -> list[Pair]:
    return [each for each in pairs if each.part_a != each.part_b]


@pytest.mark.parametrize(("words", "kinds", "least"), [(1, {"text"}, 0.98), (6, {"text", "passage"}, 0.9)])
def test_texts_with_a_few_words_changed_are_found(
    words: int, kinds: set[str], least: float, paragraphs: list[str]
) -> None:
    copies = [edited(text, words, seed) for seed, text in enumerate(paragraphs)]

    found = across(near_texts({"train": items(paragraphs), "test": items(copies)}, scored="test").pairs)

    assert sum(each.a == each.b for each in found) >= least * len(copies)
    assert {each.kind for each in found} == kinds


def test_the_distance_of_texts_is_that_of_their_sets_of_shingles() -> None:
    one, other = [f"w{k}" for k in range(50)], [f"w{k}" for k in range(3, 50)]

    [pair] = near_texts({"all": items([" ".join(one), " ".join(other)])}).pairs

    assert pair.distance == pytest.approx(1 - 43 / 46)


def test_punctuation_and_case_do_not_count() -> None:
    text = "The quick brown fox jumps over the lazy dog, they said."

    [pair] = near_texts({"all": items([text, text.upper().replace(",", ";")])}).pairs

    assert (pair.kind, pair.distance) == ("text", 0.0)


def test_a_scored_text_inside_a_long_one_is_a_passage(paragraphs: list[str]) -> None:
    long = " ".join(paragraphs[:40])

    found = near_texts({"train": items([long, paragraphs[50]]), "test": items([paragraphs[7]])}, scored="test").pairs

    assert [(each.kind, each.a, each.b, each.distance) for each in found] == [("passage", "0", "0", 0.0)]


def test_passages_are_found_in_parts_after_the_scored_one(paragraphs: list[str]) -> None:
    found = near_texts({"val": items([paragraphs[7]]), "more": items([" ".join(paragraphs[:40])])}, scored="val").pairs

    assert [(each.kind, each.part_a, each.part_b) for each in found] == [("passage", "val", "more")]


def test_a_licence_on_every_text_makes_no_passage(paragraphs: list[str]) -> None:
    licence = " ".join(paragraphs[299].split()[:40])
    texts = [f"{licence} {text}" for text in paragraphs[:200]]

    found = near_texts({"train": items(texts[:100]), "test": items(texts[100:])}, scored="test")

    assert across(found.pairs) == []


def test_different_paragraphs_are_no_pairs(paragraphs: list[str]) -> None:
    found = near_texts({"train": items(paragraphs[:200]), "test": items(paragraphs[200:])}, scored="test")

    shared = [
        len(set(paragraphs[int(each.a)].split()) & set(paragraphs[200 + int(each.b)].split()))
        for each in across(found.pairs)
    ]
    assert len(shared) <= 2
    assert all(each > 20 for each in shared)


def test_equal_texts_are_left_to_the_exact_search(paragraphs: list[str]) -> None:
    texts = paragraphs[:20]

    assert across(near_texts({"train": items(texts), "test": items(texts)}, scored="test").pairs) == []


def test_a_crowd_of_alike_texts_gives_one_pair_each(paragraphs: list[str]) -> None:
    crowd = [f"{paragraphs[0]} number{k}" for k in range(800)]

    found = near_texts({"all": items(crowd)}).pairs

    assert [each.b for each in found] == [str(place) for place in range(1, 800)]


def test_empty_and_short_texts_are_left_out_and_counted() -> None:
    found = near_texts({"train": items(["", "four words are few", "five words are just enough"]), "test": items([""])})

    assert (found.pairs, found.examples, found.left_out) == ((), 1, {"short": 3})


def test_characters_that_stand_without_spaces_are_words() -> None:
    assert words_in("日本語 text, ok") == ["日", "本", "語", "text", "ok"]
    one = "吾輩は猫である名前はまだ無いどこで生れたかとんと見当がつかぬ何でも薄暗いじめじめした所で"

    [pair] = near_texts({"all": items([one, one.replace("薄", "濃")])}).pairs

    assert pair.kind == "text"


def test_runs_of_words_depend_on_their_order_and_stay_in_one_text() -> None:
    words, ends = Words().of(["a b c d", "a b", "", "b a c d", "a b c"])

    values, until = grams(words, ends, 3)

    assert np.diff(until).tolist() == [2, 0, 0, 2, 1]
    assert values[0] == values[4]
    assert len(set(values.tolist())) == 4


def test_bytes_are_read_as_text() -> None:
    text = "one two three four five six seven"

    assert len(near_texts({"a": items([text]), "b": items([f"{text}!".encode()])}).pairs) == 1


@pytest.mark.parametrize(("contents", "options", "says"), [
    ([3, 4], {}, "no text"),
    ([None], {}, "no text"),
    (["a"], {"scored": "test"}, "no part 'test'"),
    (["a"], {"similarity": 0}, "similarity is 0"),
])  # fmt: skip
def test_what_cannot_be_searched_is_refused(contents: list[str], options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        near_texts({"all": items(contents)}, **options)  # type: ignore[arg-type]
