"""Recipes: the bytes that say of which blobs a file is the concatenation, and what is refused in their place."""

from __future__ import annotations

import blake3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.errors import Damaged, TooNew, UsageError
from gitrepro.records.recipe import (
    RECIPE_BYTES_AT_MOST,
    SEGMENT_BYTES_AT_MOST,
    SEGMENTS_AT_MOST,
    Recipe,
    Segment,
    load_recipe,
)


def name_of(data: bytes) -> str:
    return f"b3:{blake3.blake3(data).hexdigest()}"


PIECES = (b"the header\n", b"weights " * 4, b"the header\n")
RECIPE = Recipe(
    size_bytes=sum(map(len, PIECES)),
    digest=name_of(b"".join(PIECES)),
    segments=tuple(Segment(name_of(piece), len(piece)) for piece in PIECES),
)
GOLDEN = b"""\
gitrepro recipe 1
size 54
b3 4df332406c54bd8f599de63ab7e266fc0fe28e8701b8bc99769eff316a3ecf61
f1f33412c56a9a098d53ea21e3cc74b0dee5f609ffbbc3b4e64f566e3d2044ca 11
e6c0bf31eec200adbccaef2a351d0ff2028bc86fb81fc9a1406904ee135e42e2 32
f1f33412c56a9a098d53ea21e3cc74b0dee5f609ffbbc3b4e64f566e3d2044ca 11
check 823248f6f4061ecf2dda64a46b11fb35e036845b7a287b144d77953add243114
"""


def checked(text: bytes) -> bytes:
    """`text` with the last line that makes it pass for whole."""
    return text + f"check {blake3.blake3(text).hexdigest()}\n".encode()


def body(recipe: Recipe = RECIPE) -> bytes:
    return recipe.dump().rpartition(b"check ")[0]


def test_the_bytes_of_a_recipe_are_these() -> None:
    assert RECIPE.dump() == GOLDEN


names = st.binary(min_size=32, max_size=32).map(lambda raw: f"b3:{raw.hex()}")
segments = st.builds(Segment, names, st.integers(1, SEGMENT_BYTES_AT_MOST))


@given(names, st.lists(segments, min_size=1, max_size=20))
def test_a_recipe_that_is_written_is_read_as_it_was(digest: str, pieces: list[Segment]) -> None:
    recipe = Recipe(size_bytes=sum(each.size_bytes for each in pieces), digest=digest, segments=tuple(pieces))
    if any(each.digest == digest for each in pieces):
        return
    assert load_recipe(recipe.dump()) == recipe


def test_a_recipe_cut_short_anywhere_is_damaged() -> None:
    for length in range(len(RECIPE.dump())):
        with pytest.raises(Damaged, match="recipes/ab"):
            load_recipe(RECIPE.dump()[:length], source="recipes/ab")


@given(st.integers(0, len(RECIPE.dump()) - 1), st.integers(1, 255))
def test_a_recipe_with_one_wrong_byte_is_not_read(at: int, flipped: int) -> None:
    data = bytearray(RECIPE.dump())
    data[at] ^= flipped
    with pytest.raises(Damaged):
        load_recipe(bytes(data))


@given(st.binary(max_size=400).flatmap(lambda end: st.sampled_from([end, body() + end, body()[: len(end)]])))
def test_bytes_with_a_right_last_line_are_read_as_they_would_be_written_or_refused(text: bytes) -> None:
    try:
        recipe = load_recipe(checked(text))
    except Damaged:
        return
    assert recipe.dump() == checked(text)


A, B = RECIPE.segments[0], RECIPE.segments[1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (body().replace(b"size 54", b"size 55"), "54 bytes, the file 55"),
        (body().replace(b"size 54", b"size 054"), "of which file"),
        (body().replace(b"b3 ", b"b3:"), "of which file"),
        (body().replace(b" 32\n", b" 0\n"), "no piece"),
        (body().replace(b" 32\n", b" -32\n"), "no piece"),
        (body().replace(b" 32\n", b" 67108865\n").replace(b"size 54", b"size 67108887"), "67108865 bytes"),
        (body().replace(A.digest[3:].encode(), A.digest[3:].upper().encode()), "no piece"),
        (body().replace(A.digest[3:].encode(), RECIPE.digest[3:].encode()), "itself"),
        (body() + b"\n", "no piece"),
        (body()[:-1], "last line"),
        (body().replace(b"\n", b"\r\n"), "begin"),
        (b"\n".join(body().split(b"\n")[:3]) + b"\n", "0 pieces"),
        (b"gitrepro tree 1\n", "begin"),
        (b"", "begin"),
    ],
)
def test_a_recipe_that_says_what_cannot_be_is_damaged(text: bytes, why: str) -> None:
    with pytest.raises(Damaged) as found:
        load_recipe(checked(text))
    assert why in found.value.why


def test_a_recipe_of_a_newer_gitrepro_asks_for_it() -> None:
    with pytest.raises(TooNew, match="update gitrepro"):
        load_recipe(checked(body().replace(b"recipe 1", b"recipe 2")))


def test_more_lines_than_a_recipe_may_have_are_not_looked_at() -> None:
    with pytest.raises(Damaged, match="more than"):
        load_recipe(checked(body() + b"\n" * (SEGMENTS_AT_MOST + 1)))
    with pytest.raises(Damaged, match="more than"):
        load_recipe(bytes(RECIPE_BYTES_AT_MOST + 1))


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(size_bytes=1, digest=RECIPE.digest, segments=()),
        Recipe(size_bytes=12, digest=RECIPE.digest, segments=(A,)),
        Recipe(size_bytes=0, digest=RECIPE.digest, segments=(Segment(A.digest, 0),)),
        Recipe(size_bytes=11, digest=A.digest, segments=(A,)),
        Recipe(size_bytes=11, digest="b3:1", segments=(A,)),
        Recipe(size_bytes=11, digest=RECIPE.digest, segments=(Segment("b3:" + "A" * 64, 11),)),
    ],
)
def test_what_could_not_be_read_again_is_not_written(recipe: Recipe) -> None:
    with pytest.raises(UsageError):
        recipe.dump()
