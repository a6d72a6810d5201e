"""A task against cheap models: on the same examples, by the same metric, and with what the examples allow to say."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from gitrepro.checks.baseline import Nominated, Settings, check_baseline, judge
from gitrepro.checks.baseline.comparison import groups_of
from gitrepro.checks.direct import direct
from gitrepro.checks.task import Data, Metric, Predictions
from gitrepro.checks.trials import Outcome, Trial
from gitrepro.errors import UsageError
from gitrepro.records.result import Verdict
from tests.checks.baseline_tasks import (
    ABSOLUTE_ERROR,
    LOGISTIC,
    QUICK,
    Experiment,
    cancer,
    checked,
    constant,
    diabetes,
    digits,
    fitted,
    iris,
    parts,
    replaced,
)
from tests.torture.cases.intervals import balanced_accuracy


def test_a_task_that_beats_every_baseline_passes_with_gain_interval_and_price() -> None:
    line = checked(Experiment(given=digits(), model=fitted(SVC())), Settings(only=("majority", "linear")))

    assert (line.rule, line.name, line.verdict) == ("baseline", "baseline.beaten", Verdict.PASS)
    assert line.repair == ""
    assert line.why.startswith("+") and " points [" in line.why
    assert " over linear for ×" in line.why and line.why.endswith(", 2 baselines tried")
    assert line.observed["low"] > 0


def test_a_task_that_always_says_the_same_fails_with_the_advice_to_look_at_the_data_first() -> None:
    line = checked(Experiment(given=digits(), model=constant(3)))

    assert line.verdict is Verdict.FAIL
    assert "does not beat it" in line.why
    assert "look at the data, the labels, the features, leakage and bugs before the model" in line.repair


def test_labels_in_a_wrong_order_fail() -> None:
    model = fitted(LOGISTIC)
    line = checked(Experiment(given=iris(), model=lambda data, seed: model(data, seed)[::-1]))

    assert line.verdict is Verdict.FAIL


def test_a_gain_that_may_be_none_is_a_warning_that_says_how_many_examples_are_needed() -> None:
    line = checked(Experiment(given=digits(val=0.2, seed=1), model=fitted(SVC())))

    assert line.verdict is Verdict.WARN
    assert "the interval includes 0, about " in line.why
    assert line.observed["needed"] > line.observed["count"]


def test_a_task_that_is_level_with_a_cheap_model_is_a_warning_with_the_advice_to_look_at_the_data_first() -> None:
    line = checked(Experiment(given=digits(seed=1), model=fitted(KNeighborsClassifier(7))))

    assert line.verdict is Verdict.WARN
    assert line.observed["ceiling"] >= 0 >= line.observed["gain"]
    assert "the task does not beat it" in line.why
    assert "leakage and bugs before the model" in line.repair


def test_a_task_that_is_level_with_one_that_looks_at_no_input_fails() -> None:
    rng = np.random.default_rng(0)
    data = parts(rng.normal(size=(4000, 3)), rng.integers(0, 2, size=4000))
    line = checked(Experiment(given=data, model=constant(int(np.bincount(data.train.labels).argmax()))), Settings())

    assert line.verdict is Verdict.FAIL
    assert line.observed["ceiling"] > 0


def test_a_deep_tree_behind_a_linear_model_fails() -> None:
    line = checked(Experiment(given=digits(), model=fitted(DecisionTreeClassifier())))

    assert line.verdict is Verdict.FAIL
    assert line.observed["ceiling"] < 0


def test_too_few_examples_are_inconclusive_and_the_number_needed_is_told() -> None:
    line = checked(Experiment(given=iris(val=0.1), model=fitted(SVC())))

    assert line.verdict is Verdict.INCONCLUSIVE
    assert "15 examples do not settle it, about 30 are needed" in line.why


def test_a_task_that_is_one_of_the_baselines_is_no_failure_and_no_pass() -> None:
    line = checked(Experiment(given=cancer(), model=fitted(LOGISTIC)), Settings(only=("majority", "linear")))

    assert line.verdict is Verdict.WARN
    assert "predicts exactly the same" in line.why


def test_a_regression_is_compared_where_less_is_better() -> None:
    only = Settings(only=("mean", "boosting"))
    better = checked(
        Experiment(given=diabetes(), model=fitted(Ridge(0.1)), metric=ABSOLUTE_ERROR, kind="regression"), only
    )
    worse = checked(Experiment(given=diabetes(), model=constant(0.0), metric=ABSOLUTE_ERROR, kind="regression"), only)

    assert better.verdict is Verdict.PASS and better.observed["best"] == "boosting"
    assert worse.verdict is Verdict.FAIL and "points" not in worse.why


def test_a_metric_that_is_no_mean_over_examples_has_an_interval_too() -> None:
    metric = Metric(name="balanced accuracy", function=balanced_accuracy)
    good = checked(Experiment(given=cancer(), model=fitted(LOGISTIC), metric=metric), Settings(only=("majority",)))
    bad = checked(Experiment(given=cancer(), model=constant(1), metric=metric))

    assert (good.observed["method"], bad.verdict) == ("bootstrap", Verdict.FAIL)
    assert good.observed["low"] > 0


def test_where_only_trivial_baselines_were_tried_a_gain_is_a_warning() -> None:
    line = checked(Experiment(given=iris(), model=fitted(LOGISTIC)), Settings(only=("majority",)))

    assert line.verdict is Verdict.WARN
    assert "none of them looked at the inputs" in line.why


def test_without_scikit_learn_the_trivial_ones_still_run_and_a_line_says_so(monkeypatch) -> None:
    task = Experiment(given=iris(), model=lambda data, seed: data.judged.labels)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    line = checked(task, Settings())

    assert line.verdict is Verdict.WARN
    assert list(line.observed["baselines"]) == ["majority", "stratified"]
    assert "pip install 'gitrepro[checks]'" in line.repair
    assert line.observed["left_out"].keys() == {"linear", "boosting", "neighbours"}


def test_each_baseline_is_a_trial_on_the_very_data_and_metric_of_the_task() -> None:
    trials: list[Trial] = []

    def recording(trial: Trial) -> Outcome:
        trials.append(trial)
        return replace(direct(trial), run_id=f"run-{trial.arm}")

    task = Experiment(given=iris(), model=fitted(LOGISTIC))
    [line] = check_baseline(task, replace(QUICK, seed=5), recording)

    assert [(trial.kind, trial.arm, trial.seed) for trial in trials] == [
        ("train", "task", 5),
        ("baseline", "majority", 5),
        ("baseline", "linear", 5),
        ("baseline", "neighbours", 5),
    ]
    assert set(line.runs) == {"run-task", "run-majority", "run-linear", "run-neighbours"}
    outcome = trials[2].act()
    assert outcome.metrics == {"val/accuracy": line.observed["baselines"]["linear"]["score"]}
    assert outcome.predictions.ids.tolist() == task.given.judged.ids.tolist()
    assert trials[2].settings["train_examples"] == 75
    assert set(line.inputs) == {"train", "val"}


def test_a_run_of_the_task_that_is_there_is_not_repeated() -> None:
    task = Experiment(given=iris(), model=fitted(LOGISTIC))
    own = Outcome(predictions=task.predict(task.given, seed=0, share=1.0), seconds=3.0, run_id="mine")
    line = checked(task, own=own)

    assert task.calls == [0]
    assert line.observed["seconds"] == 3.0 and line.runs == ("mine",)


def test_a_nominated_run_gets_a_line_of_its_own() -> None:
    task = Experiment(given=digits(), model=fitted(LOGISTIC))
    before = Predictions(ids=task.given.judged.ids[::-1], values=fitted(SVC())(task.given, 0)[::-1])
    nominated = Nominated(name="the model before", predictions=before, run_id="before")
    _, line = check_baseline(task, QUICK, direct, nominated=nominated)

    assert (line.name, line.verdict) == ("baseline.nominated", Verdict.FAIL)
    assert "over the model before, " in line.why
    assert "before" in line.runs


def test_a_nominated_run_of_other_examples_is_an_error() -> None:
    task = Experiment(given=iris(), model=fitted(LOGISTIC))
    nominated = Nominated(name="other", predictions=Predictions(ids=np.array(["x"]), values=np.array([1])))
    with pytest.raises(UsageError, match="other predicted 1 examples"):
        check_baseline(task, QUICK, direct, nominated=nominated)


def test_predictions_in_another_order_are_put_in_order() -> None:
    model = fitted(SVC())

    def turned(data: Data, seed: int) -> Predictions:
        return Predictions(ids=data.judged.ids[::-1], values=model(data, seed)[::-1])

    lines = [checked(Experiment(given=iris(), model=each)) for each in (model, turned)]
    assert lines[0].observed["score"] == lines[1].observed["score"] > 0.9


def test_the_examples_to_look_at_are_those_that_a_cheap_model_gets_right() -> None:
    data = digits()
    line = checked(Experiment(given=data, model=constant(3)))
    labels = dict(zip(data.judged.ids.tolist(), data.judged.labels.tolist(), strict=True))

    assert 0 < len(line.examples) <= 20
    assert all(labels[example.ids[0]] != 3 for example in line.examples)
    assert f"it is {labels[line.examples[0].ids[0]]}: " in line.examples[0].says


def test_the_verdict_can_be_drawn_again_from_what_is_on_record() -> None:
    for model in (constant(0), fitted(SVC()), fitted(LOGISTIC)):
        document = json.loads(json.dumps(checked(Experiment(given=iris(), model=model)).document()))
        assert judge(document["observed"], document["parameters"]) == document["verdict"]


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.integers(1, 200), st.integers(0, 2), st.booleans())
@settings(max_examples=200, deadline=None)
def test_no_verdict_is_better_than_its_numbers(gain, below, above, count, learners, same) -> None:
    observed = {"gain": gain, "low": gain - below, "high": gain + above, "ceiling": gain + 1.3 * above}
    observed |= {"count": count, "units": count, "learners": learners, "same": same, "room": 0.9}
    observed |= {"over_trivial": gain if learners == 0 else 1.0}
    verdict = judge(observed, Settings().document())

    if count < 30:
        assert verdict is Verdict.INCONCLUSIVE
    elif verdict is Verdict.PASS:
        assert gain - below > 0 and learners
    elif verdict is Verdict.FAIL:
        assert gain <= 0 and (gain + 1.3 * above < 0 or (learners == 0 and gain + above < 0.045))
    assert not (gain < 0 and verdict is Verdict.PASS)


def test_examples_that_belong_together_count_once() -> None:
    data = iris(val=0.4)
    grouped = replaced(data, groups=np.arange(60) // 12)
    line = checked(Experiment(given=grouped, model=fitted(SVC())))

    assert line.verdict is Verdict.INCONCLUSIVE
    assert "5 groups of 60 examples do not settle it, about 120 are needed" in line.why


def test_where_parts_are_split_by_time_stretches_of_it_are_the_sample() -> None:
    data = parts(np.zeros((800, 1)), np.zeros(800), times=np.arange(800.0)[::-1], iid=False)
    found = groups_of(data)

    assert len(np.unique(found)) == 20
    assert (np.diff(found) <= 0).all()
    assert groups_of(replace(data, iid=True)) is None
