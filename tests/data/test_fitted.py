"""What is fitted on one part: the numbers, where they came from, and the bytes they are kept as."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.datasets import load_digits, load_wine
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from gitrepro.data.fitted import METHODS, Fitted, fit, load_fitted
from gitrepro.data.parts import Part
from gitrepro.data.splitting.dividing import Wish
from gitrepro.errors import Damaged, GitreproError, TooNew, UsageError
from tests.data.in_memory import Table, split_of

WINE = load_wine().data


def part_of(count: int, name: str = "train") -> Part:
    dataset = Table(columns={"x": list(range(count))})
    return split_of(dataset, Wish(exact=True, fractions={"train": 0.8, "test": 0.2})).part(name)


def whole(count: int) -> Part:
    return split_of(Table(columns={"x": list(range(count))}), Wish(fractions={"all": 1.0})).part("all")


@pytest.mark.parametrize(
    ("method", "theirs"), [("mean_std", StandardScaler()), ("min_max", MinMaxScaler()), ("robust", RobustScaler())]
)
def test_the_numbers_are_those_of_scikit_learn(method: str, theirs: Any) -> None:
    part = part_of(len(WINE))
    theirs.fit(WINE[part.indices])

    ours = fit(method, WINE, part=part)

    np.testing.assert_allclose(ours.apply(WINE), theirs.transform(WINE), rtol=1e-9, atol=1e-12)


def test_values_of_the_part_and_values_of_all_items_give_the_same() -> None:
    part = part_of(len(WINE))

    of_all, of_part = fit("mean_std", WINE, part=part), fit("mean_std", part.take(WINE), part=part)

    assert of_all == replace(of_part, params=of_all.params, taken=True)
    assert (of_all.params["mean"] == of_part.params["mean"]).all()
    assert (of_all.taken, of_part.taken) == (True, False)
    assert of_all.ids_digest == part.ids_digest
    assert of_all.count == len(part)


def test_fitting_on_train_is_not_fitting_on_everything() -> None:
    train, test = (fit("mean_std", WINE, part=part_of(len(WINE), name)) for name in ("train", "test"))

    assert train.ids_digest != test.ids_digest
    assert not np.isclose(train.params["mean"], WINE.mean(axis=0), rtol=1e-6).all()
    np.testing.assert_allclose(
        (train.params["mean"] * train.count + test.params["mean"] * test.count) / len(WINE), WINE.mean(axis=0)
    )


def test_taking_the_part_counts_as_reading_it() -> None:
    part = part_of(len(WINE))

    fit("mean_std", WINE, part=part)

    assert part.reads == len(part)


@pytest.mark.parametrize("length", [0, 1, 177, 179])
def test_values_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(UsageError, match="values for the 142 items of train"):
        fit("mean_std", WINE[:1].repeat(length, axis=0), part=part_of(len(WINE)))


def test_images_are_normalised_by_channel_and_a_single_image_too() -> None:
    images = np.random.default_rng(0).integers(0, 255, (50, 3, 4, 5)).astype(np.uint8)
    images[:, 1] //= 4

    fitted = fit("mean_std", images, part=whole(50), axis=1)

    np.testing.assert_allclose(fitted.params["mean"], images.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(fitted.params["std"], images.std(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(fitted.apply(images)[7], fitted.apply(images[7]), rtol=1e-12)
    with pytest.raises(UsageError, match="fitted on 3 features in axis -3"):
        fitted.apply(images[:, :2])


def test_one_mean_over_everything_where_there_is_no_axis_of_features() -> None:
    images = load_digits().images
    part = whole(len(images))

    over_all, column = fit("mean_std", images, part=part, axis=None), fit("mean_std", images[:, 2, 3], part=part)

    assert over_all.params["mean"].shape == column.params["std"].shape == ()
    assert over_all.params["mean"] == pytest.approx(images.mean())
    assert over_all.apply(images).std() == pytest.approx(1)


@pytest.mark.parametrize("axis", [0, -2, 2, -3])
def test_an_axis_that_holds_no_features_is_refused(axis: int) -> None:
    with pytest.raises(UsageError, match=f"axis {axis} holds no features"):
        fit("mean_std", WINE, part=part_of(len(WINE)), axis=axis)


def test_a_large_offset_costs_no_digits() -> None:
    spread = np.random.default_rng(1).normal(size=(1000, 1))

    fitted = fit("mean_std", spread + 1e9, part=whole(1000))

    assert fitted.params["std"][0] == pytest.approx(spread.std(), rel=1e-6)
    assert fitted.params["mean"][0] - 1e9 == pytest.approx(spread.mean(), abs=1e-6)


def test_float32_values_are_summed_as_float64() -> None:
    values = np.full((100_000, 1), 0.1, dtype=np.float32)

    assert fit("mean_std", values, part=whole(100_000)).params["mean"][0] == pytest.approx(np.float32(0.1), rel=1e-12)


def test_the_size_of_a_chunk_does_not_show_in_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    part, at_once = part_of(len(WINE)), {}
    for bytes_at_once in (1, 1000, 1 << 20):
        monkeypatch.setattr("gitrepro.data.fitting._AT_ONCE_BYTES", bytes_at_once)
        at_once[bytes_at_once] = {method: fit(method, WINE, part=part) for method in METHODS[:3]}

    for method in METHODS[:3]:
        for name, expected in at_once[1 << 20][method].params.items():
            for found in at_once.values():
                np.testing.assert_allclose(found[method].params[name], expected, rtol=1e-13)


def test_missing_values_are_left_out() -> None:
    values = np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, 7.0]])
    part = whole(3)

    assert fit("mean_std", values, part=part).params["mean"].tolist() == [2.0, 6.0]
    assert fit("min_max", values, part=part).params["max"].tolist() == [3.0, 7.0]
    assert fit("robust", values, part=part).params["median"].tolist() == [2.0, 6.0]


def test_what_does_not_vary_stays_where_it_is() -> None:
    for method in METHODS[:3]:
        assert fit(method, np.full((5, 1), 3.0), part=whole(5)).apply([[3.0], [4.0]]).tolist() == [[0.0], [1.0]]


@pytest.mark.parametrize("method", METHODS[:3])
@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.array([[1.0, np.nan]] * 3), "feature 1 has no value"),
        (np.array([[np.nan]] * 3), "nothing to fit"),
        (np.zeros((3, 0)), "nothing to fit"),
        (np.array([["a"]] * 3), "the values are <U1"),
        (np.array([[1.0], [np.inf], [2.0]]), "is not finite"),
    ],
)
def test_values_that_fit_nothing_are_refused(method: str, values: Any, says: str) -> None:
    if says == "is not finite" and method == "robust":
        values = np.full((3, 1), np.inf)
    with pytest.raises(UsageError, match=says):
        fit(method, values, part=whole(3))


def test_a_torch_tensor_is_as_good_as_an_array() -> None:
    part = part_of(len(WINE))

    ours = fit("mean_std", torch.from_numpy(WINE), part=part)

    assert (ours.params["mean"] == fit("mean_std", WINE, part=part).params["mean"]).all()


def test_a_method_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="no method 'zscore'") as caught:
        fit("zscore", WINE, part=part_of(len(WINE)))
    assert "mean_std" in caught.value.why


# -- vocabularies


def test_a_vocabulary_counts_tokens_the_most_frequent_first() -> None:
    texts = [text.split() for text in ("the cat", "the dog sat", "a dog", "the end", "so it was")]

    fitted = fit("vocabulary", texts, part=whole(5), min_count=2)

    assert fitted.params["tokens"].tolist() == ["the", "dog"]
    assert fitted.params["counts"].tolist() == [3, 2]
    assert [each.tolist() for each in fitted.apply([["dog", "the", "moon"], []])] == [[1, 0, -1], []]


def test_values_that_are_text_are_tokens_themselves() -> None:
    fitted = fit("vocabulary", ["b", "a", "b", "c"], part=whole(4), max_size=2)

    assert fitted.apply(["a", "b", "c"]).tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("values", "says"), [([1, 2], "1 is no token"), ([["a"], [3]], "3 is no token"), (["a", "b"], "empty")]
)
def test_what_has_no_tokens_makes_no_vocabulary(values: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        fit("vocabulary", values, part=whole(2), min_count=2)


# -- bytes


@given(
    st.sampled_from(METHODS[:3]),
    arrays.arrays(np.float64, (5, 2), elements=st.floats(-1e150, 1e150)),
    st.sampled_from([None, -1]),
)
def test_numbers_come_back_exactly_as_they_were_written(method: str, values: Any, axis: int | None) -> None:
    fitted = fit(method, values, part=whole(5), axis=axis)

    back = load_fitted(fitted.dump(), source="it")

    assert back.document() == fitted.document()
    assert all((back.params[name] == each).all() for name, each in fitted.params.items())
    assert back.apply(values).tobytes() == fitted.apply(values).tobytes()


@given(st.lists(st.text(max_size=4), min_size=1, max_size=20))
def test_a_vocabulary_comes_back_as_it_was_written(tokens: list[str]) -> None:
    fitted = fit("vocabulary", tokens, part=whole(len(tokens)))

    back = load_fitted(fitted.dump(), source="it")

    assert back.document() == fitted.document()
    assert back.apply(tokens).tolist() == fitted.apply(tokens).tolist()


def small() -> Fitted:
    return fit("mean_std", np.array([[1.0], [3.0]]), part=whole(2))


def test_the_bytes_are_these() -> None:
    ids = small().ids_digest

    assert small().dump().decode() == (
        'gitrepro fitted 1\n{"axis":-1,"count":2,"ids":"' + ids + '","method":"mean_std","options":{},'
        '"params":{"mean":[2.0],"std":[1.0]},"taken":false}\n'
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"gitrepro fitted 1", b"gitrepro fitted"),
        (b"2.0", b"NaN"),
        (b"2.0", b"2"),
        (b"2.0", b"2.00"),
        (b"[2.0]", b"[2.0,1.0]"),
        (b"[2.0]", b"[" * 100_000),
        (b"mean_std", b"robust"),
        (b"mean_std", b"exec"),
        (b'"count":2', b'"count":true'),
        (b'"axis":-1', b'"axis":0'),
        (b'"axis":-1', b'"axis":null'),
        (b"b3:", b"b4:"),
        (b"}\n", b"}"),
        (b'"taken":false', b'"taken":0'),
    ],
)
def test_changed_bytes_are_damage(old: bytes, new: bytes) -> None:
    data = small().dump().replace(old, new, 1)
    assert data != small().dump()

    with pytest.raises(Damaged):
        load_fitted(data, source="it")


def test_newer_bytes_ask_for_an_upgrade() -> None:
    with pytest.raises(TooNew):
        load_fitted(small().dump().replace(b"fitted 1", b"fitted 2"), source="it")


@given(st.binary(max_size=30), st.integers(0, 200), st.integers(0, 30))
def test_any_bytes_are_read_or_refused(patch: bytes, at: int, cut: int) -> None:
    good = small().dump()
    data = good[:at] + patch + good[at + cut :]
    try:
        assert load_fitted(data, source="it").dump() == data
    except GitreproError:
        pass
