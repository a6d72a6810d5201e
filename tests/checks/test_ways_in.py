"""How an experiment is handed over: arrays, functions of a file, a command; and what is said of one that fails."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as theirs
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from gitrepro.checks import metrics
from gitrepro.checks.arrays import split_of
from gitrepro.checks.baseline import Settings as Baselines
from gitrepro.checks.baseline import check_baseline
from gitrepro.checks.command import from_command
from gitrepro.checks.direct import direct
from gitrepro.checks.estimator import fresh, from_arrays
from gitrepro.checks.functions import from_module
from gitrepro.checks.guarded import guarded_task
from gitrepro.checks.loading import load_task
from gitrepro.checks.overfit import Settings as Overfits
from gitrepro.checks.overfit import check_overfit
from gitrepro.checks.shown import shown, thumbnail
from gitrepro.checks.shuffle import Settings as Shuffles
from gitrepro.checks.shuffle import check_shuffle
from gitrepro.checks.task import check_data
from gitrepro.checks.trials import Outcome, Trial, predicting
from gitrepro.errors import NotFound, TaskFailed, UsageError
from gitrepro.rerun.suite import CHECKS, Asked, run_suite

IRIS = load_iris(return_X_y=True)
LINEAR = make_pipeline(StandardScaler(), LogisticRegression())


def predicted(task, *, seed=0, share=1.0):
    return task.predict(task.data(), seed=seed, share=share)


# -- an estimator and arrays


def test_an_estimator_and_arrays_are_a_task_that_predicts():
    task = from_arrays(LINEAR, *IRIS)

    assert check_data(task.data(), source="iris")
    assert (task.kind, len(task.data().train), len(task.data().judged)) == ("classification", 120, 30)
    assert predicted(task).score > 0.9


def test_the_type_of_the_labels_tells_what_is_predicted():
    task = from_arrays(Ridge(), *load_diabetes(return_X_y=True))

    assert (task.kind, task.metric.name) == ("regression", "r2")
    assert 0.2 < predicted(task).score < 0.7


def test_a_split_keeps_each_class_in_both_parts():
    labels = np.array([0] * 90 + [1] * 10)
    places = split_of(labels, share=0.2, groups=None, times=None, seed=3)

    assert [np.bincount(labels[places[name]]).tolist() for name in ("train", "val")] == [[72, 8], [18, 2]]


def test_groups_are_split_as_a_whole_and_times_by_their_order():
    X, y = IRIS
    groups = from_arrays(LINEAR, X, y, groups=np.arange(150) // 5).data()
    times = from_arrays(LINEAR, X, y, times=np.arange(150)[::-1]).data()

    assert not set(groups.train.groups) & set(groups.judged.groups)
    assert times.train.times.max() < times.judged.times.min()
    assert (groups.iid, times.iid) == (True, False)


def test_every_random_state_follows_the_seed_and_the_share_takes_trees_away():
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(n_estimators=40))
    model = fresh(pipeline, seed=7, share=0.1)

    assert (model[-1].random_state, model[-1].n_estimators) == (7, 4)
    assert (pipeline[-1].random_state, pipeline[-1].n_estimators) == (None, 40)


def test_only_what_learns_step_by_step_gets_fewer_iterations():
    assert fresh(MLPClassifier(max_iter=100), seed=0, share=0.1).max_iter == 10
    assert fresh(LogisticRegression(max_iter=100), seed=0, share=0.1).max_iter == 100


def test_a_data_frame_reaches_the_estimator_with_its_names_and_types():
    frame = load_iris(as_frame=True).data
    chosen = ColumnTransformer([("petals", StandardScaler(), ["petal length (cm)", "petal width (cm)"])])
    task = from_arrays(make_pipeline(chosen, LogisticRegression()), frame, IRIS[1])

    assert list(task.data().features) == list(frame.columns)
    assert predicted(task).score > 0.9


def test_probabilities_have_a_column_for_a_class_that_train_has_not():
    X, y = IRIS
    task = from_arrays(LINEAR, X, y, metric="log_loss", parts={"train": np.flatnonzero(y < 2), "val": np.arange(150)})

    assert predicted(task).values.shape == (150, 3)
    assert predicted(task).score > 5


def test_texts_are_a_list():
    task = from_arrays(LINEAR, ["a word", "two words"] * 20, ["one", "two"] * 20)

    assert task.data().train.inputs[0] in ("a word", "two words")


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([1, "a"] * 10, "several types"),
        ([float("nan")] * 20, "NaN"),
        (np.ones((20, 2)), "shape"),
        (np.ones(19), "19 labels and 20 inputs"),
    ],
)
def test_labels_that_cannot_be_are_told(labels, says):
    with pytest.raises(UsageError, match=says):
        from_arrays(LINEAR, np.ones((20, 2)), labels)


def test_parts_that_name_what_is_not_there_are_told():
    with pytest.raises(UsageError, match="not there"):
        from_arrays(LINEAR, *IRIS, parts={"train": [0, 1], "val": [150]})


# -- metrics


@given(arrays(np.int64, 30, elements=st.integers(0, 3)), arrays(np.int64, 30, elements=st.integers(0, 3)))
def test_metrics_of_classes_are_those_of_scikit_learn(labels, values):
    assert metrics.metric("accuracy").function(labels, values) == theirs.accuracy_score(labels, values)
    recalls = theirs.recall_score(labels, values, labels=np.unique(labels), average="macro")
    assert metrics.metric("balanced_accuracy").function(labels, values) == pytest.approx(recalls)


@given(arrays(np.float64, 20, elements=st.floats(-9, 9)), arrays(np.float64, 20, elements=st.floats(-9, 9)))
def test_metrics_of_numbers_are_those_of_scikit_learn(labels, values):
    assert metrics.metric("mae").function(labels, values) == pytest.approx(theirs.mean_absolute_error(labels, values))
    assert metrics.metric("rmse").function(labels, values) == pytest.approx(
        theirs.root_mean_squared_error(labels, values)
    )
    if np.ptp(labels) > 0.1:
        assert metrics.metric("r2").function(labels, values) == pytest.approx(theirs.r2_score(labels, values))


def test_the_logarithmic_loss_is_that_of_scikit_learn():
    values = np.random.default_rng(0).dirichlet([1, 1, 1], 150)

    assert metrics.metric("log_loss").function(IRIS[1], values) == pytest.approx(theirs.log_loss(IRIS[1], values))


def test_a_metric_nobody_knows_is_told():
    with pytest.raises(UsageError, match="f7"):
        metrics.metric("f7")


# -- functions of a file


def build_net(seed):
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


def test_functions_with_a_torch_model_are_trained_and_repeat_with_their_seed():
    faster = {"optimizer": lambda model: torch.optim.Adam(model.parameters(), lr=0.02), "EPOCHS": 15}
    task = from_module({"data": lambda: IRIS, "build": build_net, **faster})
    one, again, other = (predicted(task, seed=seed) for seed in (0, 0, 1))

    assert one.score > 0.8
    assert np.array_equal(one.values, again.values)
    assert task.learner().loss_floor == 0.0
    assert other.score > 0.5


def test_a_loss_of_ones_own_has_no_known_floor_unless_it_is_said():
    given = {"data": lambda: IRIS, "build": build_net, "loss": lambda model, batch: model(batch[0]).square().mean()}

    assert from_module(given).learner().loss_floor is None
    assert from_module({**given, "LOSS_FLOOR": 0.5}).learner().loss_floor == 0.5


class LikeLightning(nn.Module):
    """Has what a LightningModule has."""

    def __init__(self):
        super().__init__()
        self.net = build_net(0)
        self.steps = 0

    def forward(self, inputs):
        return self.net(inputs)

    def training_step(self, batch, _place):
        self.steps += 1
        return {"loss": nn.functional.cross_entropy(self(batch[0]), batch[1])}

    def configure_optimizers(self):
        return [torch.optim.SGD(self.parameters(), lr=0.25)], []


def test_a_module_that_says_itself_how_it_is_trained_is_asked():
    task = from_module({"data": lambda: IRIS, "build": lambda seed: LikeLightning(), "EPOCHS": 5})
    learner = task.learner()
    model = learner.build(0)
    optimizer = learner.optimizer(model)
    learner.step(model, optimizer, learner.batch(task.data().train))

    assert (model.steps, optimizer.defaults["lr"]) == (1, 0.25)


def test_an_estimator_that_is_built_with_the_seed_needs_nothing_else():
    seeds = []

    def build(seed):
        seeds.append(seed)
        return LogisticRegression()

    assert predicted(from_module({"data": lambda: IRIS, "build": build}), seed=5).score > 0.8
    assert seeds[-1] == 5


def test_numbers_of_ones_own_may_come_as_a_mapping():
    told = {"metrics": lambda labels, values: {"errors": float((labels != values).sum())}, "GOAL": "min"}
    task = from_module({"data": lambda: IRIS, "build": lambda seed: LINEAR, **told})

    assert task.metric.goal == "min"
    assert predicted(task).score <= 3


def test_a_training_that_diverges_is_told_at_its_step():
    task = from_module(
        {
            "data": lambda: IRIS,
            "build": build_net,
            "optimizer": lambda model: torch.optim.SGD(model.parameters(), lr=1e30),
        }
    )

    with pytest.raises(TaskFailed, match="loss of step"):
        predicted(task)


# -- a command

COMMAND = """
import csv, sys
import numpy as np
from sklearn.linear_model import LogisticRegression
folder, out, seed = sys.argv[1:]
train, val = (np.load(f"{folder}/{name}.npz") for name in ("train", "val"))
model = LogisticRegression(max_iter=500, random_state=int(seed)).fit(train["inputs"], train["labels"])
with open(out, "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["id", "value"])
    writer.writerows(zip(val["ids"], model.predict(val["inputs"])))
"""


def test_a_command_reads_its_examples_and_writes_what_it_predicts(tmp_path):
    (tmp_path / "train.py").write_text(COMMAND)
    argv = [sys.executable, str(tmp_path / "train.py"), "{data}", "{predictions}", "{seed}"]
    found = predicted(from_command(argv, *IRIS))

    assert found.score > 0.9
    assert found.values.dtype.kind == "i"


def test_a_command_without_python_gets_a_table_of_text(tmp_path):
    argv = ["sh", "-c", "(echo id,value; tail -n +2 {data}/val.csv | cut -d, -f1,2) > {predictions}"]
    found = predicted(from_command(argv, *IRIS, form="csv"))

    assert found.score == 1.0, "it copied the labels"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo gone wrong; exit 3", "ended with 3"),
        ("true", "wrote no predictions"),
        ("echo a,b > {predictions}; echo 1,2 >> {predictions}", "cannot be read"),
        ("echo id,value > {predictions}; echo i1,much >> {predictions}", "no number"),
    ],
)
def test_a_command_that_fails_is_told(script, says):
    task = from_command(["sh", "-c", script, "{data}", "{predictions}"], *IRIS, form="csv")

    with pytest.raises(TaskFailed, match=says):
        predicted(task)


def test_a_command_without_a_place_for_its_predictions_is_told():
    with pytest.raises(UsageError, match="predictions"):
        from_command(["train", "{data}"], *IRIS)


# -- a file

SMALLEST = """
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from gitrepro.checks.estimator import from_arrays
task = from_arrays(LogisticRegression(max_iter=500), *load_iris(return_X_y=True))
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(text: str) -> str:
        path = tmp_path / "checks.py"
        path.write_text(text)
        return str(path)

    return write


def test_a_file_with_a_task_is_loaded(file):
    assert predicted(load_task(file(SMALLEST))).score > 0.9


def test_a_file_may_have_several_tasks_and_functions_that_make_one(file):
    where = file(
        SMALLEST + "def other():\n    import sys\n    task_of = task\n    print(sys.argv)\n    return task_of\n"
    )

    assert load_task(f"{where}:other").name == "LogisticRegression"
    with pytest.raises(NotFound, match="third"):
        load_task(f"{where}:third")


def test_a_file_sees_its_arguments_and_the_program_its_own_again(file):
    before = list(sys.argv)
    where = file("import sys\nseen = sys.argv[1:]\n" + SMALLEST + "import dataclasses\n"
                 "task = dataclasses.replace(task, name=' '.join(seen))\n")  # fmt: skip

    assert load_task(where, argv=["--broken", "all"]).name == "--broken all"
    assert sys.argv == before


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("raise SystemExit(3)", TaskFailed, "SystemExit: 3"),
        ("import no_such_library", TaskFailed, "no_such_library"),
        ("def broken(:", TaskFailed, "SyntaxError"),
        ("x = 1", UsageError, "has no task"),
        ("task = 3", UsageError, "is no task"),
    ],
)
def test_a_file_that_gives_no_task_is_told(file, text, error, says):
    with pytest.raises(error, match=says):
        load_task(file(text))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(NotFound):
        load_task(str(tmp_path / "none.py"))


# -- what fails


class Broken:
    name, kind, metric = "broken", "classification", metrics.metric("accuracy")

    def __init__(self, act):
        self.act = act

    def data(self):
        return from_arrays(LINEAR, *IRIS).data()

    def predict(self, data, *, seed, share):
        return self.act()


def trial(task):
    return Trial(kind="train", arm="task", seed=0, act=predicting(task, task.data(), seed=0, share=1.0))


def test_what_the_users_code_raises_is_told_with_its_place():
    def act():
        return {}["missing"]

    with pytest.raises(TaskFailed, match="KeyError") as failed:
        direct(trial(guarded_task(Broken(act))))

    assert Path(__file__).name in failed.value.why
    assert 'return {}["missing"]' in failed.value.why
    assert failed.value.exit_code == 6


@pytest.mark.parametrize("found", [None, np.zeros(30)])
def test_predictions_that_are_none_are_told(found):
    with pytest.raises(TaskFailed, match="predict"):
        direct(trial(guarded_task(Broken(lambda: found))))


def test_a_task_without_a_learner_has_none():
    assert guarded_task(Broken(lambda: None)).learner() is None


def test_an_interrupt_is_no_fault_of_the_task():
    def act():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        direct(trial(guarded_task(Broken(act))))


def test_a_fault_in_gitrepros_own_part_of_a_check_is_not_told_as_the_tasks():
    act = partial(int, "no number")  # no line of the user's is under way

    with pytest.raises(ValueError, match="invalid literal"):
        direct(Trial(kind="data-check", arm="data", seed=0, act=act, ours=True))
    with pytest.raises(TaskFailed, match="invalid literal"):
        direct(Trial(kind="train", arm="task", seed=0, act=act))
    with pytest.raises(TaskFailed, match="invalid literal"):
        direct(Trial(kind="data-check", arm="data", seed=0, act=lambda: act(), ours=True))


def test_a_fault_in_one_check_keeps_none_of_the_others():
    def runner(trial):
        if trial.kind == "data-check":
            raise ZeroDivisionError
        return direct(trial)

    task = guarded_task(from_arrays(LINEAR, *IRIS))
    *_, found = run_suite(task, Asked(names=("data", "overfit")), runner)

    assert isinstance(found.fault, ZeroDivisionError) and found.errors == []
    assert {line.rule for line in found.lines} == {"overfit"}


def test_each_check_is_held_to_the_thresholds_of_the_policy():
    wanted = {
        "distribution.part_least": 40, "separation.influence_least": 31, "overfit.fit_from": 1.0,
        "baseline.worth": 0.5, "shuffle.least_units": 31,
    }  # fmt: skip
    task = guarded_task(from_arrays(LINEAR, *IRIS))
    *_, found = run_suite(task, Asked(names=tuple(CHECKS), thresholds=wanted), direct)
    verdicts = {line.name: line.verdict for line in found.lines}

    for name, value in wanted.items():
        rule, _, key = name.partition(".")
        assert {line.parameters[key] for line in found.lines if line.rule == rule and key in line.parameters} == {value}
    few = ("distribution.drift", "separation.fitted", "shuffle.labels", "shuffle.inputs")
    assert {verdicts[name] for name in few} == {"INCONCLUSIVE"}


def test_data_that_cannot_be_made_are_told_in_the_same_words_by_every_check():
    class Dark(Broken):
        def data(self):
            raise OSError("the disk is gone")

    *_, found = run_suite(guarded_task(Dark(None)), Asked(names=tuple(CHECKS)), direct)
    told = []
    for check, settings in ((check_baseline, Baselines()), (check_shuffle, Shuffles()), (check_overfit, Overfits())):
        with pytest.raises(TaskFailed) as failed:
            check(Dark(None), settings, direct)
        told.append((failed.value.what, failed.value.why))

    assert [(error.what, error.why) for error in found.errors][:1] == [*set(told)]
    assert len(found.errors) == 1 and "data()" in found.errors[0].what


def test_a_trial_is_timed():
    outcome = direct(Trial(kind="train", arm="task", seed=0, act=Outcome))

    assert outcome.run_id is None
    assert 0 < outcome.seconds < 60


# -- what there is to look at


@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.float32])
def test_images_are_thumbnails_and_rows_are_numbers(dtype):
    image = np.arange(8 * 8 * 3, dtype=dtype).reshape(8, 8, 3)

    assert thumbnail(image)[:8] == b"\x89PNG\r\n\x1a\n"
    assert thumbnail(np.full((20, 300), np.nan))[:4] == b"\x89PNG"
    data = from_arrays(LINEAR, *IRIS).data()
    one = shown(data, str(data.judged.ids[0]), "val")
    assert one.png is None and one.text.count(",") == 3
    assert shown(data, "nobody", "val") is None


def test_a_long_text_is_cut():
    data = from_arrays(LINEAR, ["word " * 200] * 10, ["a", "b"] * 5).data()

    assert shown(data, str(data.train.ids[0]), "train").text.endswith("…")


def test_a_data_frame_without_numbers_in_its_labels_is_no_trouble():
    frame = pd.DataFrame({"a": range(40), "b": ["x", "y"] * 20})
    task = from_arrays(LINEAR, frame[["a"]], frame["b"])

    assert (task.kind, sorted(set(task.data().train.labels))) == ("classification", ["x", "y"])
