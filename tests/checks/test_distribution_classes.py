"""Classes of the parts: their counts, and whether the mix is the same."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_iris

from gitrepro.checks.distribution import classes
from gitrepro.checks.task import Data
from gitrepro.records.result import Verdict
from tests.checks.distribution_tasks import ERROR, Scaled, checked, part_of, split, with_val

DIGITS, IRIS, DIABETES = load_digits(), load_iris(), load_diabetes()
LINE = "distribution.classes"


def digits(seed: int = 0, **more: object) -> Data:
    return split(part_of(DIGITS.data, DIGITS.target), seed=seed, **more)


@pytest.mark.parametrize("seed", range(5))
def test_random_parts_hold_the_same_classes(seed: int) -> None:
    judged = classes.judge(classes.look(digits(seed), "classification", seed=0), classes.PARAMETERS)

    assert judged.verdict is Verdict.PASS


def test_the_counts_of_each_class_and_part_are_on_record() -> None:
    line = checked(Scaled(digits()), LINE)

    counts = line.observed["counts"]
    assert sum(counts["train"].values()) + sum(counts["val"].values()) == len(DIGITS.target)
    assert {name: counts["train"][name] + counts["val"][name] for name in counts["train"]} == {
        str(k): int((DIGITS.target == k).sum()) for k in range(10)
    }


def test_another_mix_than_chance_makes_is_a_warning() -> None:
    whole = part_of(DIGITS.data, DIGITS.target)
    order = np.argsort(DIGITS.target % 2 + np.random.default_rng(0).normal(size=len(whole)), kind="stable")
    data = Data(parts={"train": whole.take(order[:1200]), "val": whole.take(order[1200:])})

    line = checked(Scaled(data), LINE)

    assert line.verdict is Verdict.WARN
    assert line.observed["parts"]["val"]["total_variation"] > 0.05


def test_a_class_that_train_has_nothing_of_fails() -> None:
    whole = part_of(DIGITS.data, DIGITS.target)
    seen, new = np.flatnonzero(DIGITS.target != 7), np.flatnonzero(DIGITS.target == 7)
    data = Data(parts={"train": whole.take(seen[:900]), "val": whole.take(np.concatenate([seen[900:], new]))})

    line = checked(Scaled(data), LINE)

    assert line.verdict is Verdict.FAIL
    assert "'7'" in line.why


def test_where_parts_are_said_to_differ_a_new_class_is_a_warning() -> None:
    whole = part_of(IRIS.data, IRIS.target)
    data = Data(parts={"train": whole.take(np.arange(100)), "val": whole.take(np.arange(20, 150))}, iid=False)

    judged = classes.judge(classes.look(data, "classification", seed=0), classes.PARAMETERS)

    assert judged.verdict is Verdict.WARN


def test_one_class_only_fails() -> None:
    line = checked(Scaled(split(part_of(IRIS.data, np.zeros(150, dtype=int)))), LINE)

    assert line.verdict is Verdict.FAIL
    assert "nothing can be told apart" in line.why


def test_labels_that_are_all_different_are_no_classes() -> None:
    line = checked(Scaled(split(part_of(IRIS.data, np.arange(150)))), LINE)

    assert line.verdict is Verdict.FAIL
    assert "kind='regression'" in line.repair


def test_few_examples_in_another_mix_are_not_enough_to_tell() -> None:
    whole = part_of(IRIS.data, IRIS.target)
    data = Data(parts={"train": whole.take(np.arange(0, 150, 2)), "val": whole.take(np.r_[1:3, 51:55, 101:107])})

    judged = classes.judge(classes.look(data, "classification", seed=0), classes.PARAMETERS)

    assert judged.verdict is Verdict.INCONCLUSIVE
    assert "are needed" in judged.repair


def test_numbers_have_no_classes() -> None:
    task = Scaled(split(part_of(DIABETES.data, DIABETES.target)), kind="regression", metric=ERROR)

    assert checked(task, LINE).verdict is Verdict.NOT_APPLICABLE


def test_classes_of_groups_may_lump_by_chance() -> None:
    generator = np.random.default_rng(3)
    groups = np.repeat(np.arange(30), 40)
    labels = generator.integers(2, size=30)[groups]
    whole = part_of(np.zeros((1200, 1)), labels, groups=groups.astype(str))
    data = Data(
        parts={"train": whole.take(np.flatnonzero(groups < 22)), "val": whole.take(np.flatnonzero(groups > 21))}
    )

    found = classes.look(data, "classification", seed=0)["parts"]["val"]

    # Were they single examples, chance would make no more than a tenth of it.
    assert found["by_chance"] > 0.3


def test_text_and_number_labels_with_missing_ones_are_counted_and_not_lost() -> None:
    labels = IRIS.target_names[IRIS.target].astype(object)
    labels[::10] = None
    data = split(part_of(IRIS.data, labels))

    found = classes.look(data, "classification", seed=0)

    assert sum(map(sum, (each.values() for each in found["counts"].values()))) == 135


def test_a_scored_part_of_one_class_fails() -> None:
    data = split(part_of(IRIS.data, IRIS.target))
    one = with_val(data, labels=np.zeros(len(data.parts["val"]), dtype=int))

    assert checked(Scaled(one), LINE).verdict is Verdict.FAIL
