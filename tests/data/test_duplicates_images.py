"""Near duplicates among images: crops of photographs, and written digits, where nothing is to be found."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits, load_sample_images

from gitrepro.data.duplicates import Items, near_images
from gitrepro.data.duplicates.hamming import _all_with_all, near_words, popcount
from gitrepro.data.duplicates.hashes import hashed
from gitrepro.errors import UsageError

SIDE = 96
Crop = tuple[Image.Image, int, int, int]


@pytest.fixture(scope="module")
def crops() -> list[Crop]:
    """Crops of both photographs that have some texture, with the photograph and the place of each."""
    rng = np.random.default_rng(0)
    photographs = [Image.fromarray(each) for each in load_sample_images().images]
    found: list[Crop] = []
    while len(found) < 120:
        which = int(rng.integers(2))
        x, y = (int(rng.integers(size - SIDE)) for size in photographs[which].size)
        crop = photographs[which].crop((x, y, x + SIDE, y + SIDE))
        if hashed(np.asarray(crop.convert("L"), np.float32)[None]).texture[0] > 2:
            found.append((crop, which, x, y))
    return found


def items(images: object) -> Items:
    return Items(ids=range(len(images)), contents=images)  # type: ignore[arg-type]


def jpeg(image: Image.Image) -> Image.Image:
    saved = io.BytesIO()
    image.save(saved, "JPEG", quality=50)
    return Image.open(saved)


CHANGES: dict[str, tuple[Callable[[Image.Image], Image.Image], float]] = {
    "JPEG": (jpeg, 0.95),
    "half the size": (lambda image: image.resize((48, 48)), 0.95),
    "twice the size": (lambda image: image.resize((192, 192)), 0.95),
    "another shape": (lambda image: image.resize((100, 70)), 0.95),
    "brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.2), 0.9),
    "more contrast": (lambda image: ImageEnhance.Contrast(image).enhance(1.3), 0.95),
    "gray": (lambda image: image.convert("L"), 0.95),
    "mirrored": (lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 0.95),
    "upside down": (lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM), 0.95),
    "turned": (lambda image: image.rotate(180), 0.95),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_copies_are_found(name: str, crops: list[Crop]) -> None:
    change, least = CHANGES[name]
    plain = [each[0] for each in crops]

    found = near_images({"train": items(plain), "test": items([change(each) for each in plain])})

    across = [each for each in found.pairs if each.part_a != each.part_b]
    assert sum(each.a == each.b for each in across) >= least * len(plain)
    assert sum(each.a != each.b and apart(crops, each.a, each.b) for each in across) == 0


def apart(crops: list[Crop], one: str, other: str) -> bool:
    """Whether two crops have no pixel in common."""
    (_, a, *here), (_, b, *there) = crops[int(one)], crops[int(other)]
    return a != b or max(abs(x - y) for x, y in zip(here, there, strict=True)) >= SIDE


def test_crops_without_a_common_pixel_are_no_pairs(crops: list[Crop]) -> None:
    found = near_images({"all": items([each[0] for each in crops])})

    assert [each for each in found.pairs if apart(crops, each.a, each.b)] == []


def test_digits_by_several_writers_are_hardly_ever_taken_for_copies() -> None:
    digits = load_digits().images.astype(np.uint8) * 15
    large = np.stack([np.asarray(Image.fromarray(each).resize((32, 32), Image.Resampling.BILINEAR)) for each in digits])

    found = near_images({"train": items(large[:1200]), "test": items(large[1200:])})

    assert found.examples > 1700
    assert len(found.pairs) <= 2


def test_images_equal_by_pixels_are_left_to_the_exact_search(crops: list[Crop]) -> None:
    plain = [each[0] for each in crops[:20]]

    found = near_images({"train": items(plain), "test": items([*plain, jpeg(plain[3])])})

    across = {(each.a, each.b) for each in found.pairs if each.part_a != each.part_b}
    assert across == {("3", "20")}


def test_a_crowd_of_alike_images_gives_one_pair_each(crops: list[Crop]) -> None:
    rng = np.random.default_rng(1)
    first = np.asarray(crops[0][0].convert("L").resize((32, 32))).astype(np.int16)
    crowd = np.clip(first + rng.integers(-2, 3, (1500, 32, 32)), 0, 255).astype(np.uint8)

    found = near_images({"all": items(crowd)})

    assert [each.b for each in found.pairs] == [str(place) for place in range(1, 1500)]


def test_images_that_say_nothing_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (32, 32)).astype(np.float32)
    broken = noise.copy()
    broken[0, 0] = np.nan
    contents = [noise, np.full((32, 32), 7.0), np.full((40, 20), 9.0), broken, rng.random((8, 8))]

    found = near_images({"all": items(contents)})

    assert (found.examples, found.left_out) == (1, {"too small": 1, "not finite": 1, "low texture": 2})


def test_channels_may_come_first_and_numbers_may_be_between_0_and_1(crops: list[Crop]) -> None:
    plain = np.stack([np.asarray(each[0].convert("RGB")) for each in crops[:30]])
    floats = (np.moveaxis(plain, 3, 1) / 255).astype(np.float32)

    found = near_images({"train": items(plain[:, :, ::-1] / 255), "test": items(floats)})

    assert sum(each.a == each.b for each in found.pairs) == 30


@pytest.mark.parametrize("contents", [["a text"], [np.zeros((2, 2, 2, 2))], np.zeros((4, 5)), np.zeros((2, 0, 3))])
def test_what_is_no_image_is_refused(contents: object) -> None:
    with pytest.raises(UsageError, match="no image"):
        near_images({"all": items(contents)})


def test_no_images_have_no_pairs() -> None:
    assert near_images({"train": items([]), "test": items(np.zeros((0, 32, 32)))}).pairs == ()


def test_more_bits_than_can_be_looked_up_are_refused() -> None:
    with pytest.raises(UsageError, match="0 to 15"):
        near_images({}, bits=16)


# -- hashes and their search


@given(st.integers(0, 2**32 - 1), st.integers(16, 70), st.integers(16, 70))
@settings(max_examples=30, deadline=None)
def test_the_hash_of_a_flip_is_the_hash_of_the_flipped_image(seed: int, height: int, width: int) -> None:
    image = np.random.default_rng(seed).random((1, height, width), np.float32)
    flipped = [image, image[:, :, ::-1], image[:, ::-1], image[:, ::-1, ::-1]]

    found = hashed(image)

    for flip, other in enumerate(flipped):
        again = hashed(np.ascontiguousarray(other))
        # A coefficient at the median may fall to either side by rounding.
        assert popcount(found.phash[flip] ^ again.phash[0])[0] <= 2
        assert popcount(found.dhash[flip] ^ again.dhash[0])[0] <= 1


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 3, 4, 8, 11, 15]))
@settings(max_examples=25, deadline=None)
def test_the_look_up_finds_what_comparing_all_with_all_finds(seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**64, 3000, np.uint64)
    others = words[:1500].copy()
    for _ in range(bits + 1):
        others ^= np.uint64(1) << rng.integers(0, 64, 1500).astype(np.uint64)

    def pairs(found: object) -> set[tuple[int, int, int]]:
        return {each for one, two, apart in found for each in zip(one.tolist(), two.tolist(), apart.tolist())}  # type: ignore[attr-defined]  # noqa: B905

    quick = pairs(near_words(words, others, bits=bits, step=lambda share: None))

    assert quick == pairs(_all_with_all(words, others, bits, lambda share: None))


def test_bits_are_counted_as_by_python() -> None:
    words = np.random.default_rng(0).integers(0, 2**64, 1000, np.uint64)

    assert popcount(words).tolist() == [int(each).bit_count() for each in words.tolist()]
