"""Each kind of data and of predictions gets the cheap models that fit it."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from gitrepro.checks.baseline import Settings
from gitrepro.checks.baseline.features import columns, material_of, pixels
from gitrepro.checks.task import Metric, Part
from gitrepro.records.result import Verdict
from tests.checks.baseline_tasks import (
    ABSOLUTE_ERROR,
    CROSS_ENTROPY,
    LOG_LOSS,
    LOGISTIC,
    Experiment,
    cancer,
    checked,
    constant,
    diabetes,
    digits,
    fitted,
    iris,
    paragraphs,
    parts,
    replaced,
    windows,
)
from tests.torture.cases.intervals import area


def test_tables_get_constants_a_linear_model_boosting_and_neighbours() -> None:
    line = checked(Experiment(given=iris(), model=constant(0)), Settings())

    assert list(line.observed["baselines"]) == ["majority", "stratified", "linear", "boosting", "neighbours"]
    assert line.observed["baselines"]["linear"]["score"] > 0.9


def test_images_get_a_linear_model_and_neighbours_of_their_pixels() -> None:
    line = checked(Experiment(given=digits(images=True), model=constant(0)), Settings())

    assert line.observed["material"] == "images"
    assert list(line.observed["baselines"]) == ["majority", "stratified", "linear", "neighbours"]
    assert line.observed["baselines"]["neighbours"]["score"] > 0.95


def test_texts_get_a_linear_model_of_their_words() -> None:
    line = checked(Experiment(given=paragraphs(), model=constant("textwrap")), Settings())

    assert line.observed["material"] == "texts"
    assert line.observed["baselines"]["linear"]["score"] > 0.8


def test_numbers_get_mean_and_median() -> None:
    data = diabetes()
    line = checked(Experiment(given=data, model=constant(0.0), metric=ABSOLUTE_ERROR, kind="regression"), Settings())
    found = {name: each["score"] for name, each in line.observed["baselines"].items()}

    assert list(found) == ["mean", "median", "linear", "boosting", "neighbours"]
    expected = np.abs(data.judged.labels - np.median(data.train.labels)).mean()
    assert found["median"] == pytest.approx(expected)


def test_what_has_times_gets_the_last_value_before_each_example() -> None:
    walk = np.cumsum(np.random.default_rng(0).normal(size=400))
    data = parts(np.zeros((400, 1)), walk, times=np.arange(400.0))
    task = Experiment(given=data, model=constant(0.0), metric=ABSOLUTE_ERROR, kind="regression")
    found = checked(task, Settings(only=("mean", "last"))).observed["baselines"]

    assert found["last"]["score"] < 0.3 * found["mean"]["score"]
    before = np.searchsorted(data.train.times, data.judged.times, side="right") - 1
    expected = np.abs(data.train.labels[np.maximum(before, 0)] - data.judged.labels).mean()
    assert found["last"]["score"] == pytest.approx(expected)


def test_tokens_get_unigrams_and_bigrams_in_the_form_of_the_task() -> None:
    data = windows()
    count = int(max(part.inputs.max() for part in data.parts.values())) + 1
    level = np.full((*data.judged.labels.shape, count), 1 / count)
    found = {}
    for name, values, metric in (
        ("tokens", np.zeros_like(data.judged.labels), Metric(name="accuracy", function=lambda y, p: (y == p).mean())),
        ("probabilities", level, LOG_LOSS),
        ("logits", level * 7 - 3, CROSS_ENTROPY),
    ):
        task = Experiment(given=data, model=lambda _data, _seed, values=values: values, metric=metric, kind="language")
        line = checked(task, Settings())
        found[name] = {each: arm["score"] for each, arm in line.observed["baselines"].items()}
        assert (line.verdict, line.observed["best"]) == (Verdict.FAIL, "bigram")

    assert found["probabilities"]["bigram"] < found["probabilities"]["unigram"] < np.log(count)
    assert found["logits"] == pytest.approx(found["probabilities"])
    assert found["tokens"]["bigram"] > found["tokens"]["unigram"]


def test_one_next_token_an_example_is_a_form_of_language_too() -> None:
    data = windows()
    data = data.with_parts(
        **{name: replace(part, labels=part.labels[:, -1].copy()) for name, part in data.parts.items()}
    )
    line = checked(Experiment(given=data, model=constant(0), kind="language"), Settings())

    assert line.verdict is Verdict.FAIL
    assert line.observed["baselines"]["bigram"]["score"] > line.observed["baselines"]["unigram"]["score"]


def test_probabilities_are_compared_with_probabilities() -> None:
    task = Experiment(given=digits(), model=fitted(LOGISTIC, "predict_proba"), metric=LOG_LOSS)
    line = checked(task, Settings(only=("prior", "linear")))
    found = line.observed["baselines"]

    assert found["linear"]["score"] == pytest.approx(line.observed["score"], rel=1e-3)
    assert found["prior"]["score"] == pytest.approx(np.log(10), rel=0.02)


def test_one_score_of_two_classes_is_a_form_too() -> None:
    metric = Metric(name="AUC", function=area)
    line = checked(Experiment(given=cancer(), model=fitted(LOGISTIC, "decision_function"), metric=metric), Settings())

    assert line.observed["baselines"]["prior"]["score"] == 0.5
    assert line.observed["baselines"]["linear"]["score"] > 0.98
    assert line.verdict is not Verdict.FAIL


def test_inputs_that_nothing_is_known_of_get_the_trivial_ones() -> None:
    labels = np.arange(200) % 2
    data = parts([{"a": int(label)} for label in labels], labels)
    line = checked(Experiment(given=data, model=lambda data, _: [each["a"] for each in data.judged.inputs]), Settings())

    assert line.observed["material"] == "other"
    assert line.verdict is Verdict.WARN


def test_text_columns_missing_values_and_constants_are_no_hindrance() -> None:
    rng = np.random.default_rng(0)
    colour = rng.choice(["red", "green", "blue"], size=300)
    size = np.where(rng.random(300) < 0.2, None, rng.normal(size=300))
    inputs = np.array([[a, b, 7, None] for a, b in zip(colour, size, strict=True)], dtype=object)
    line = checked(Experiment(given=parts(inputs, colour), model=constant("red")), Settings())

    assert line.observed["failed"] == {}
    assert line.observed["baselines"]["linear"]["score"] == 1.0


def test_columns_are_numbers_or_text() -> None:
    numbers, texts = columns(np.array([[1, "a", None], [np.inf, "b", 2.5]], dtype=object))

    np.testing.assert_array_equal(numbers, [[1, np.nan], [np.nan, 2.5]])
    assert texts.tolist() == [["a"], ["b"]]


@pytest.mark.parametrize("shape", [(3, 40, 24), (3, 40, 24, 3), (3, 3, 40, 24), (3, 16, 17), (3, 20, 5, 1)])
def test_images_become_16_by_16_means_that_keep_the_brightness(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 255, size=shape, dtype=np.uint8)
    found = pixels(images)

    channels = found.shape[1] // 256
    assert found.shape == (3, 256 * channels)
    assert found.mean() == pytest.approx(images.mean(), rel=0.05)


def test_images_of_several_sizes_and_channels_have_the_same_columns() -> None:
    images = [np.full((30, 40), 7.0), np.full((8, 90, 3), 9.0), np.full((16, 16), 1.0)]

    assert material_of(images, language=False) == "images"
    assert pixels(images).shape == (3, 768)
    assert pixels(images).mean(axis=1).tolist() == [7, 9, 1]


def test_a_single_column_and_flags_are_a_table() -> None:
    assert material_of(np.zeros(5), language=False) == "table"
    assert material_of(np.zeros((5, 2), dtype=bool), language=False) == "table"
    assert material_of(np.zeros((5, 2), dtype=np.int64), language=True) == "tokens"
    assert material_of([[1.0, 2.0]] * 5, language=False) == "table"
    assert material_of(Part(ids=np.array(["a"]), inputs=["text"]).inputs, language=False) == "texts"


def test_many_examples_of_many_classes_need_no_matrix_of_both() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, size=2_000)
    data = parts(rng.normal(size=(2_000, 1)), labels)
    tracemalloc.start()
    line = checked(Experiment(given=data, model=constant(1)), Settings(only=("majority", "stratified")))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert line.verdict is Verdict.FAIL or line.verdict is Verdict.INCONCLUSIVE
    assert peak_bytes < 2_000 * 1000


def test_scores_of_the_classes_that_can_be_learnt_are_a_form_too() -> None:
    data = iris()
    one = data.judged.labels.copy()
    one[:3] = 7
    model = fitted(LOGISTIC, "predict_proba")
    first = Metric(name="accuracy", function=lambda labels, values: float(np.mean(labels == values.argmax(axis=1))))
    line = checked(Experiment(given=replaced(data, labels=one), model=model, metric=first), Settings(only=("linear",)))

    assert line.observed["gain"] == 0
