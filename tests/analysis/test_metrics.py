"""The metrics: those of scikit-learn on real data, laws that hold for any, and the digest that names each."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as theirs
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import LinearRegression
from sklearn.naive_bayes import GaussianNB

from gitrepro.analysis.metrics import NAMES, chosen, named, own, registered, source_of, usual
from gitrepro.errors import UsageError
from gitrepro.records.predictions import Predicted


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities of ten classes."""
    inputs, labels = load_digits(return_X_y=True)
    return labels[900:], GaussianNB(var_smoothing=0.05).fit(inputs[:900], labels[:900]).predict_proba(inputs[900:])


@functools.cache
def tumours() -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities of two classes."""
    inputs, labels = load_breast_cancer(return_X_y=True)
    return labels[300:], GaussianNB().fit(inputs[:300, :4], labels[:300]).predict_proba(inputs[300:, :4])


THEIRS = {
    "accuracy": theirs.accuracy_score,
    "balanced_accuracy": theirs.balanced_accuracy_score,
    "f1": functools.partial(theirs.f1_score, average="macro", zero_division=0),
    "precision": functools.partial(theirs.precision_score, average="macro", zero_division=0),
    "recall": functools.partial(theirs.recall_score, average="macro", zero_division=0),
}


@pytest.mark.parametrize("name", THEIRS)
def test_metrics_of_labels_are_those_of_scikit_learn(name: str) -> None:
    for truth, scores in (digits(), tumours()):
        assert registered(name)(truth, scores) == pytest.approx(THEIRS[name](truth, scores.argmax(axis=1)), rel=1e-12)


@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
def test_of_one_class_they_are_those_of_scikit_learn_too(name: str) -> None:
    truth, scores = tumours()
    score = getattr(theirs, f"{name}_score")
    for positive in (0, 1):
        found = registered(name, positive=positive)(truth, scores.argmax(axis=1))
        assert found == pytest.approx(score(truth, scores.argmax(axis=1), pos_label=positive), rel=1e-12)


def test_metrics_of_scores_are_those_of_scikit_learn() -> None:
    truth, scores = digits()
    assert registered("auc")(truth, scores) == pytest.approx(
        theirs.roc_auc_score(truth, scores, multi_class="ovr"), rel=1e-12
    )
    assert registered("log_loss")(truth, scores) == pytest.approx(theirs.log_loss(truth, scores), rel=1e-9)
    for k in (1, 2, 5):
        found = registered("top_k", k=k)(truth, scores)
        assert found == pytest.approx(theirs.top_k_accuracy_score(truth, scores, k=k), rel=1e-12)
    of_two, probabilities = tumours()
    assert registered("auc")(of_two, probabilities) == pytest.approx(
        theirs.roc_auc_score(of_two, probabilities[:, 1]), rel=1e-12
    )


def test_metrics_of_numbers_are_those_of_scikit_learn() -> None:
    inputs, truth = load_diabetes(return_X_y=True)
    found = LinearRegression().fit(inputs[:200], truth[:200]).predict(inputs[200:])
    known = {
        "mae": theirs.mean_absolute_error,
        "rmse": theirs.root_mean_squared_error,
        "r2": theirs.r2_score,
    }
    for name, score in known.items():
        assert registered(name)(truth[200:], found) == pytest.approx(score(truth[200:], found), rel=1e-12)


def test_the_calibration_error_is_that_of_its_paper_reckoned_bin_by_bin() -> None:
    truth, scores = digits()
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == truth
    edges = np.linspace(0, 1, 16)
    expected = 0.0
    for low, high in itertools.pairwise(edges):
        own_bin = (confidence > low) & (confidence <= high)
        if own_bin.any():
            expected += own_bin.mean() * abs(right[own_bin].mean() - confidence[own_bin].mean())

    assert registered("calibration_error")(truth, scores) == pytest.approx(expected, rel=1e-9)
    assert registered("calibration_error", bins=1)(truth, scores) == pytest.approx(
        abs(right.mean() - confidence.mean()), rel=1e-9
    )


# -- laws


@settings(max_examples=40)
@given(arrays(np.float64, st.integers(2, 40), elements=st.integers(0, 5).map(float)), st.data())
def test_the_area_under_the_curve_with_ties_is_that_of_scikit_learn(scores: np.ndarray, data: st.DataObject) -> None:
    truth = data.draw(arrays(np.int64, len(scores), elements=st.integers(0, 1)))
    found = registered("auc")(truth, np.stack([-scores, scores], axis=1), classes=np.array([0, 1]))
    if len(np.unique(truth)) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(theirs.roc_auc_score(truth, scores), abs=1e-12)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=40))
def test_of_any_labels_the_means_over_classes_are_those_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    truth, found = np.array(pairs).T
    for name in ("f1", "precision", "recall"):
        assert registered(name)(truth, found) == pytest.approx(THEIRS[name](truth, found), abs=1e-12)


@settings(max_examples=40)
@given(arrays(np.float64, st.tuples(st.integers(1, 20), st.just(4)), elements=st.floats(-9, 9)), st.data())
def test_top_1_is_the_accuracy_and_more_never_find_less(scores: np.ndarray, data: st.DataObject) -> None:
    truth = data.draw(arrays(np.int64, len(scores), elements=st.integers(0, 3)))
    classes = np.arange(4)
    found = [registered("top_k", k=k)(truth, scores, classes=classes) for k in (1, 2, 3, 4)]

    assert found[0] == registered("accuracy")(truth, scores, classes=classes)
    assert found == sorted(found) and found[-1] == 1.0


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary() -> None:
    tokens = np.array([3.0, 10.0, 1.0])
    assert registered("perplexity")(None, np.stack([tokens * np.log(50), tokens], axis=1)) == pytest.approx(50)


def test_intersections_and_unions_add_up_over_images_and_a_class_that_is_nowhere_does_not_count() -> None:
    counts = np.array([[[1, 2], [0, 0]], [[3, 6], [0, 0]]])
    assert registered("mean_iou")(None, counts) == 0.5
    assert registered("mean_iou")(None, np.array([[[1, 2], [3, 3]]])) == 0.75
    assert np.isnan(registered("mean_iou")(None, np.zeros((2, 3, 2))))


def test_the_classes_stand_in_the_order_that_is_given() -> None:
    truth, scores = np.array(["b", "a"]), np.array([[0.9, 0.1], [0.2, 0.8]])
    classes = np.array(["b", "a"])
    assert registered("accuracy")(truth, scores, classes=classes) == 1.0
    assert registered("log_loss")(truth, scores, classes=classes) == pytest.approx(-np.log([0.9, 0.8]).mean())


def test_a_certain_error_costs_much_and_a_label_that_is_no_class_as_much() -> None:
    scores = np.array([[1.0, 0.0], [1.0, 0.0]])
    wrong = registered("log_loss")(np.array([0, 1]), scores, classes=np.array([0, 1]))
    strange = registered("log_loss")(np.array([0, 7]), scores, classes=np.array([0, 1]))
    assert wrong == strange == pytest.approx(-np.log(np.finfo(float).eps) / 2)


@pytest.mark.parametrize("name", ["accuracy", "auc", "log_loss", "calibration_error", "mae", "r2"])
def test_what_is_missing_in_predictions_is_missing_in_the_metric(name: str) -> None:
    values = np.array([[0.5, 0.5], [np.nan, 0.5]]) if name not in ("mae", "r2") else np.array([1.0, np.nan])
    assert np.isnan(registered(name)(np.array([0, 1]), values))


def test_metrics_that_are_not_defined_are_no_numbers() -> None:
    same = np.array([2.0, 2.0])
    assert np.isnan(registered("r2")(same, same))
    assert np.isnan(registered("auc")(np.array([1, 1]), np.array([[0.5, 0.5]] * 2), classes=np.array([0, 1])))


# -- names and digests


def test_each_metric_has_a_version_a_goal_and_a_digest_of_its_own() -> None:
    found = [registered(name, **({"k": 2} if name == "top_k" else {})) for name in NAMES]
    assert len({each.digest for each in found}) == len(NAMES)
    assert all(each.function == f"{each.key}@{each.version}" for each in found)
    assert {each.key for each in found if each.goal == "min"} == {
        "log_loss", "calibration_error", "mae", "rmse", "perplexity",
    }  # fmt: skip


def test_settings_are_in_the_name() -> None:
    assert named("top_5").settings == {"k": 5}
    assert registered("f1", positive="very spam").name == "f1_very_spam"


def threshold_error(truth: np.ndarray, found: np.ndarray) -> float:
    return float((np.abs(truth - found) > LIMIT).mean())


LIMIT = 0.5


def test_the_digest_of_a_function_is_that_of_its_text_and_of_what_it_leans_on(monkeypatch: pytest.MonkeyPatch) -> None:
    before = own(threshold_error)
    assert "LIMIT = 0.5" in source_of(threshold_error) and before.function == f"own:{__name__}.threshold_error"
    assert (before.goal, before.version) == ("min", 0)
    monkeypatch.setitem(globals(), "LIMIT", 0.6)
    assert own(threshold_error).digest != before.digest


def test_a_function_without_a_text_still_has_a_digest() -> None:
    names: dict[str, object] = {}
    exec("def loss(t, p): return 1.0\ndef other_loss(t, p): return 2.0", names)
    one, other = own(names["loss"]), own(names["other_loss"])  # type: ignore[arg-type]
    assert one.digest != other.digest and one.goal == "min"


def test_a_function_that_needs_labels_is_given_those_with_the_greatest_score() -> None:
    truth, scores = digits()
    found = own(theirs.cohen_kappa_score, goal="max")(truth, scores)
    assert found == theirs.cohen_kappa_score(truth, scores.argmax(axis=1))


@pytest.mark.parametrize(
    ("metrics", "what"),
    [
        ("acuracy", "no metric 'acuracy'"),
        (["accuracy", "accuracy"], "one name"),
        ([], "names none"),
        (3, "no function"),
        ({"my/metric": len}, "nobody knows|cannot be called"),
        (threshold_error.__class__, "no goal"),
    ],
)
def test_what_is_no_metric_is_told(metrics: object, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        chosen(metrics)


@pytest.mark.parametrize("settings", [{"k": 0}, {"k": True}, {}, {"k": 2, "j": 1}])
def test_settings_that_cannot_be_are_told(settings: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        registered("top_k", **settings)


def predicted(truth: object, values: object, classes: tuple[int, ...] | None = None) -> Predicted:
    return Predicted(ids=np.array(["a", "b"]), truth=np.array(truth), values=np.array(values), classes=classes)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (predicted([0, 1], [0, 1]), "accuracy balanced_accuracy"),
        (predicted(["x", "y"], ["y", "x"]), "accuracy balanced_accuracy"),
        (predicted([0.0, 1.0], [1.0, 1.0]), "accuracy balanced_accuracy"),
        (predicted([3, 7], [3.5, 6.5]), "mae rmse r2"),
        (predicted([0.5, 1.5], [1, 2]), "mae rmse r2"),
        (predicted([0, 1], [[3.0, -1.0], [0.0, 0.0]], (0, 1)), "accuracy balanced_accuracy"),
        (
            predicted([0, 1], [[0.3, 0.7], [0.5, 0.5]], (0, 1)),
            "accuracy balanced_accuracy log_loss calibration_error",
        ),
    ],
)
def test_the_usual_metrics_are_those_of_what_is_predicted(given: Predicted, names: str) -> None:
    assert " ".join(each.name for each in usual(given)) == names


def test_probabilities_in_place_of_labels_are_asked_about() -> None:
    with pytest.raises(UsageError, match="probabilities"):
        usual(predicted([0, 1], [0.2, 0.8]))
