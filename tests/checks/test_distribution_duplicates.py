"""Examples that are there more than once, what they do to the score, and labels that contradict each other."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_sample_image
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from gitrepro.checks.direct import direct
from gitrepro.checks.distribution import DataSettings, check_data, repeated
from gitrepro.checks.distribution.pairs import pairs_of
from gitrepro.checks.distribution.repeated import groups_of
from gitrepro.checks.task import Data, Part, Predictions
from gitrepro.checks.trials import Outcome, Trial
from gitrepro.errors import TaskFailed, UsageError
from gitrepro.records.result import Verdict
from tests.checks.distribution_tasks import ERROR, Scaled, checked, part_of, split, with_val

DIGITS, IRIS, DIABETES = load_digits(), load_iris(), load_diabetes()
OPTIONS = DataSettings(near=False)
LINE, LABELS = "distribution.duplicates", "distribution.label_conflicts"


class Nearest(Scaled):
    """Remembers train, as models do that see an example again."""

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        kind = KNeighborsRegressor if self.kind == "regression" else KNeighborsClassifier
        model = kind(1).fit(data.train.inputs, data.train.labels)
        return Predictions(ids=data.judged.ids, values=model.predict(data.judged.inputs))


def noisy_digits() -> Part:
    """Digits of which a third has a wrong label: what is learnt by heart shows in the score."""
    labels = DIGITS.target.copy()
    labels[::3] = (labels[::3] + 1) % 10
    return part_of(DIGITS.data, labels)


def copied(data: Data, count: int) -> Data:
    """With `count` scored examples in train as well, under other ids."""
    extra, train = data.parts["val"].take(np.arange(count)), data.train
    ids = np.array([f"copy{k}" for k in range(count)])
    joined = Part(
        ids=np.concatenate([train.ids, ids]),
        inputs=np.concatenate([train.inputs, extra.inputs]),
        labels=np.concatenate([train.labels, extra.labels]),  # type: ignore[arg-type]
    )
    return data.with_parts(train=joined)


def test_digits_have_no_duplicates() -> None:
    task = Scaled(split(part_of(DIGITS.data, DIGITS.target)))

    assert checked(task, LINE).verdict is Verdict.PASS
    assert checked(task, LABELS).verdict is Verdict.PASS
    assert task.calls == []


def test_scored_examples_that_train_has_fail_when_the_score_comes_from_them() -> None:
    line = checked(Nearest(copied(split(noisy_digits()), 200)), LINE)

    assert line.verdict is Verdict.FAIL
    metric = line.observed["metric"]["exact"]
    assert metric["left_out"] == 200
    assert metric["score"] - metric["score_without"] > metric["error"]


def test_the_score_without_them_is_that_of_the_others() -> None:
    data = copied(split(noisy_digits()), 200)
    predictions = Nearest(data).predict(data, seed=0, share=1.0)

    line = checked(Nearest(data), LINE, predictions=predictions)

    others = predictions.values[200:] == data.judged.labels[200:]  # type: ignore[index]
    assert line.observed["metric"]["exact"]["score_without"] == pytest.approx(others.mean())


def test_a_few_that_do_not_move_the_score_are_a_warning_with_both_numbers() -> None:
    line = checked(Nearest(copied(split(part_of(DIGITS.data, DIGITS.target)), 5)), LINE)

    metric = line.observed["metric"]["exact"]
    assert line.verdict is Verdict.WARN
    assert f"{metric['score']:.4g}" in line.why
    assert f"{metric['score_without']:.4g}" in line.why


def test_iris_holds_an_example_twice() -> None:
    data = split(part_of(IRIS.data, IRIS.target))

    assert [(pair.a, pair.b) for pair in pairs_of(data, "other", OPTIONS).exact] in (
        [("i101", "i142")],
        [("i142", "i101")],
    )


def test_pairs_between_train_and_the_scored_part_are_shown_first() -> None:
    data = copied(split(noisy_digits()), 3)
    twice = data.train.take(np.r_[0:10, 0 : len(data.train)])
    ids = np.array([f"t{k}" for k in range(len(twice))])

    line = checked(Nearest(data.with_parts(train=replace(twice, ids=ids))), LINE)

    assert [each.parts for each in line.examples[:3]] == [("train", "val")] * 3
    assert line.observed["within"] == {"train": 10, "val": 0}


def test_predictions_that_are_given_spare_a_run_of_the_experiment() -> None:
    data = copied(split(noisy_digits()), 100)
    task = Nearest(data)
    predictions = task.predict(data, seed=0, share=1.0)
    ran: list[str] = []

    def runner(trial: Trial) -> Outcome:
        ran.append(f"{trial.kind} {trial.arm}")
        return direct(trial)

    check_data(task, DataSettings(predictions=predictions, influence=False), runner)
    assert ran == ["data-check data"]

    check_data(task, DataSettings(influence=False), runner)
    assert ran[1:] == ["data-check data", "train duplicates"]


def test_a_task_that_crashes_leaves_open_what_duplicates_do() -> None:
    class Crashing(Scaled):
        def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
            raise ZeroDivisionError("in the middle")

    line = checked(Crashing(copied(split(noisy_digits()), 20)), LINE)

    assert line.verdict is Verdict.INCONCLUSIVE
    assert "in the middle" in line.why


def test_a_scored_part_that_is_all_in_train_fails() -> None:
    data = split(part_of(DIGITS.data[:400], DIGITS.target[:400]))

    assert checked(Nearest(copied(data, 95)), LINE).verdict is Verdict.FAIL


def test_a_part_that_repeats_itself_is_a_warning() -> None:
    whole = part_of(np.concatenate([IRIS.data, IRIS.data[:60]]), np.concatenate([IRIS.target, IRIS.target[:60]]))
    inside = Data(parts={"train": whole.take(np.r_[0:110, 150:210]), "val": whole.take(np.arange(110, 150))})

    line = checked(Scaled(inside), LINE)

    assert line.observed["within"]["train"] == 60
    assert line.verdict is Verdict.WARN


def test_a_part_that_is_not_scored_is_a_warning() -> None:
    whole = part_of(DIGITS.data, DIGITS.target)
    test = replace(whole.take(np.r_[0:20, 1500:1700]), ids=np.array([f"t{k}" for k in range(220)]))
    data = Data(parts={"train": whole.take(np.arange(1200)), "val": whole.take(np.arange(1200, 1500)), "test": test})

    line = checked(Scaled(data), LINE)

    assert line.verdict is Verdict.WARN
    assert line.observed["across"] == {"test+train": {"exact": 20, "near": 0}}


def test_regressions_are_scored_without_duplicates_too() -> None:
    data = copied(split(part_of(DIABETES.data, DIABETES.target)), 60)

    line = checked(Nearest(data, kind="regression", metric=ERROR), LINE)

    assert line.verdict is Verdict.FAIL
    assert line.observed["metric"]["exact"]["score_without"] > line.observed["metric"]["exact"]["score"]


# -- what counts as the same


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Straße  A", "strasse a", True),
        ("caf\u00e9", "cafe\u0301", True),
        ("a b", "ab", False),
        ("", "  \n", False),
        (np.float64(0.1) * np.ones(3), np.float32(0.1) * np.ones(3, np.float32), True),
        (np.zeros((2, 6)), np.zeros((3, 4)), False),
        (np.array([0.0]), np.array([-0.0]), True),
        ([16777216, 1], [16777217, 1], False),
        (["red", 1], ["red", 1], True),
        ({"x": 1}, {"x": 2}, False),
    ],
)
def test_what_counts_as_the_same_content(one: Any, other: Any, equal: bool) -> None:
    data = Data(parts={"train": part_of([one], prefix="a"), "val": part_of([other], prefix="b")})

    assert bool(pairs_of(data, "other", OPTIONS).exact) is equal


def test_images_of_several_sizes_can_be_told_apart() -> None:
    images = [np.zeros((k, 6 + k % 2, 3), np.uint8) for k in (5, 6, 5, 7)]
    data = Data(parts={"train": part_of(images[:2], prefix="a"), "val": part_of(images[2:], prefix="b")})

    assert [(pair.a, pair.b) for pair in pairs_of(data, "other", OPTIONS).exact] == [("a0", "b0")]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["train", "val", "test"]), st.integers(0, 4)), min_size=3, max_size=40))
def test_groups_of_equal_examples_are_those_of_equal_contents(items: list[tuple[str, int]]) -> None:
    items = [("train", 9), ("val", 8), *items]
    parts = {
        name: part_of([[float(content)] for part, content in items if part == name], prefix=name)
        for name in {part for part, _ in items}
    }
    found = sorted(len(members) for members in groups_of(pairs_of(Data(parts=parts), "other", OPTIONS).exact))

    counts = Counter(content for _, content in items)
    assert found == sorted(count for count in counts.values() if count > 1)


# -- labels


def conflicting(count: int) -> Data:
    """Digits of which some are there again with another label."""
    data = split(part_of(DIGITS.data, DIGITS.target))
    extra = data.train.take(np.arange(count))
    labels = (extra.labels + 1) % 10  # type: ignore[operator]
    joined = Part(
        ids=np.concatenate([data.train.ids, np.array([f"again{k}" for k in range(count)])]),
        inputs=np.concatenate([data.train.inputs, extra.inputs]),
        labels=np.concatenate([data.train.labels, labels]),  # type: ignore[arg-type]
    )
    return data.with_parts(train=joined)


def test_equal_inputs_of_other_labels_fail_and_are_shown() -> None:
    line = checked(Scaled(conflicting(120)), LABELS)

    assert line.verdict is Verdict.FAIL
    assert line.observed["least_errors"] == 120
    assert "labelled" in line.examples[0].says


def test_a_few_of_them_are_a_warning() -> None:
    assert checked(Scaled(conflicting(4)), LABELS).verdict is Verdict.WARN


def test_coarse_inputs_may_contradict_each_other_by_nature() -> None:
    generator = np.random.default_rng(0)
    answers = generator.integers(3, size=(600, 3))
    labels = (answers.sum(axis=1) + generator.integers(2, size=600)) % 2

    line = checked(Scaled(split(part_of(answers.astype(float), labels))), LABELS)

    assert line.verdict is Verdict.WARN
    assert "coarse" in line.why


def test_numbers_as_labels_do_not_contradict_each_other() -> None:
    task = Scaled(split(part_of(DIABETES.data, DIABETES.target)), kind="regression", metric=ERROR)

    assert checked(task, LABELS).verdict is Verdict.NOT_APPLICABLE


def test_parts_without_labels_leave_nothing_to_contradict() -> None:
    data = split(part_of(IRIS.data, IRIS.target))

    assert checked(Scaled(with_val(data, labels=None)), LABELS).verdict is Verdict.NOT_APPLICABLE


# -- nearly the same


@cache
def photographs() -> Part:
    """Crops of two photographs, with noisy labels: 1 for the flower, or a slip of the hand."""
    crops = [
        load_sample_image(name)[top : top + 48, left : left + 48]
        for name in ("china.jpg", "flower.jpg")
        for top in range(0, 380, 64)
        for left in range(0, 580, 52)
    ]
    labels = np.repeat([0, 1], len(crops) // 2)
    labels[::3] = 1 - labels[::3]
    return part_of(np.stack(crops), labels)


class Looking(Nearest):
    """The nearest picture by its pixels."""

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        flat = {
            name: replace(part, inputs=part.inputs.reshape(len(part), -1).astype(float))
            for name, part in data.parts.items()
        }
        return super().predict(data.with_parts(**flat), seed=seed, share=share)


def test_photographs_augmented_before_the_split_fail() -> None:
    data = split(photographs(), share=0.4)
    assert checked(Looking(data), LINE).verdict is not Verdict.FAIL

    extra = data.parts["val"].take(np.arange(40))
    brighter = np.clip(extra.inputs * 1.1 + 4, 0, 255).astype(np.uint8)
    train = data.train
    joined = Part(
        ids=np.concatenate([train.ids, np.array([f"bright{k}" for k in range(40)])]),
        inputs=np.concatenate([train.inputs, brighter]),
        labels=np.concatenate([train.labels, extra.labels]),  # type: ignore[arg-type]
    )
    line = checked(Looking(data.with_parts(train=joined)), LINE)

    assert line.verdict is Verdict.FAIL
    assert line.observed["in_train"]["near"] > 20
    assert line.examples[0].says == "nearly the same (image)"


def test_digits_are_like_each_other_and_no_near_duplicates() -> None:
    line = checked(Looking(split(part_of(DIGITS.images, DIGITS.target))), LINE)

    assert line.verdict is Verdict.PASS
    assert "perceptual hashes" in line.why


def test_vectors_that_are_given_are_used_where_inputs_are_something_else() -> None:
    generator = np.random.default_rng(0)
    data = split(part_of([{"k": k} for k in range(200)], np.arange(200) % 2))
    vectors = {name: generator.normal(size=(len(part), 24)) for name, part in data.parts.items()}
    vectors["val"][:7] = vectors["train"][:7] * 2 + 1e-3

    line = checked(Memory(data), LINE, embeddings=vectors)

    assert line.observed["in_train"] == {"exact": 0, "near": 7}
    assert line.verdict is Verdict.WARN


class Memory(Scaled):
    """Predicts the first class."""

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        return Predictions(ids=data.judged.ids, values=np.zeros(len(data.judged), dtype=int))


def test_vectors_of_some_parts_only_are_an_error() -> None:
    data = split(part_of([{"k": k} for k in range(100)]))

    with pytest.raises(UsageError, match="no embeddings of val"):
        checked(Memory(data, kind="other"), LINE, embeddings={"train": np.ones((75, 3))})


def test_documents_that_are_quoted_in_train_are_found() -> None:
    words = "the a of red green blue dog cat house tree runs sits sees under over near with some any all".split()
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(words, size=60)) for _ in range(160)]
    texts[150:] = [text.replace("dog", "wolf", 1) for text in texts[:10]]
    whole = part_of(texts, np.arange(160) % 2)
    data = Data(parts={"train": whole.take(np.arange(100)), "val": whole.take(np.arange(100, 160))})

    line = checked(Memory(data), LINE)

    assert line.observed["in_train"] == {"exact": 0, "near": 10}
    assert {each.ids[1] for each in line.examples} == {f"i{k}" for k in range(150, 160)}


def test_near_duplicates_are_not_looked_for_when_they_are_not_wanted() -> None:
    data = split(photographs())

    assert "hashes" not in checked(Looking(data), LINE, near=False).why


def sentences(count: int = 60) -> Data:
    words = "the a of red green blue dog cat house tree runs sits sees under over near with some any all".split()
    generator = np.random.default_rng(0)
    return split(part_of([" ".join(generator.choice(words, size=30)) for _ in range(count)], np.arange(count) % 2))


@pytest.mark.parametrize(
    ("library", "says", "repair"),
    [
        (None, "not installed", "pip install"),
        (SimpleNamespace(RMinHash=int), "gitrepro itself failed: AttributeError", "report"),
    ],
)
def test_near_duplicates_that_could_not_be_looked_for_are_no_pass_and_no_fault_of_the_task(
    library: Any, says: str, repair: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rensa", library)
    line = checked(Memory(sentences()), LINE)

    assert (line.verdict, repair in line.repair) == (Verdict.INCONCLUSIVE, True), line
    assert says in line.why and "near ones were not looked for" in line.why
    assert repeated.judge(line.observed, line.parameters).verdict is Verdict.INCONCLUSIVE
    assert checked(Memory(sentences()), LINE, near=False).verdict is Verdict.PASS


class Unreadable(list[str]):
    """Texts of which one cannot be read, each time it is asked for."""

    def __iter__(self) -> Any:
        for place in range(len(self)):
            yield self[place]

    def __getitem__(self, place: Any) -> Any:
        if place == 5:
            raise OSError("the disk is gone")
        return super().__getitem__(place)


def test_inputs_that_the_users_code_cannot_read_are_told_as_such() -> None:
    data = sentences()
    broken = data.with_parts(val=replace(data.judged, inputs=Unreadable(data.judged.inputs)))

    with pytest.raises((OSError, TaskFailed), match="the disk is gone"):
        check_data(Memory(broken), DataSettings(), direct)
