"""Labels at random and inputs that tell nothing: real pipelines on real data, sound ones and broken ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import datasets
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest, f_classif
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from gitrepro.checks.direct import direct
from gitrepro.checks.shuffle import Settings, check_shuffle, judge
from gitrepro.checks.shuffle.blind import blinded, places_of
from gitrepro.checks.shuffle.contents import units_of
from gitrepro.checks.shuffle.effort import effort_for, operations_of
from gitrepro.checks.shuffle.relabel import reduced, relabelled
from gitrepro.checks.task import Data, Metric, Part, Predictions
from gitrepro.errors import TaskFailed, UsageError


def accuracy(labels, values):
    return float((labels == values).mean())


def error(labels, values):
    return float(np.abs(labels - values).mean())


def explained(labels, values):
    return float(1 - np.square(labels - values).sum() / np.square(labels - labels.mean()).sum())


ACCURACY = Metric(name="accuracy", function=accuracy)
R2 = Metric(name="r2", function=explained)
MAE = Metric(name="mae", function=error, goal="min")


@dataclass
class Experiment:
    """A task of data and one function that does all of it: data and a seed to the scored part's predictions."""

    all: Data
    act: Callable[[Data, int], Any]
    metric: Metric = ACCURACY
    kind: str = "classification"
    name: str = "experiment"

    def data(self):
        return self.all

    def predict(self, data, *, seed, share):
        found = self.act(data, seed)
        return found if isinstance(found, Predictions) else Predictions(ids=data.judged.ids, values=found)

    def learner(self):
        return None


def split(inputs, labels, *, seed=0, share=0.3, groups=None, times=None, **more):
    """Two parts at random, with the number of its row as the id of each example."""
    order = np.random.default_rng(seed).permutation(len(labels))
    cut = int(len(labels) * (1 - share))
    whole = Part(
        ids=np.array([f"row-{k}" for k in range(len(labels))]), inputs=inputs, labels=labels, groups=groups, times=times
    )
    return Data(parts={"train": whole.take(order[:cut]), "val": whole.take(order[cut:])}, **more)


def fits(make):
    """What a scikit-learn estimator predicts, fitted on the train part."""
    return lambda data, seed: make(seed).fit(data.train.inputs, data.train.labels).predict(data.judged.inputs)


def logistic(seed=0):
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=50))


def noise(seed=0, *, count=200, columns=1000, classes=2):
    """Inputs that have nothing to do with their labels."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, columns)), np.arange(count) % classes


# -- sound experiments


def digits(seed=0):
    inputs, labels = datasets.load_digits(return_X_y=True)
    return Experiment(split(inputs, labels, seed=seed), fits(lambda s: GaussianNB(var_smoothing=0.01)))


def iris(seed=0):
    return Experiment(split(*datasets.load_iris(return_X_y=True), seed=seed), fits(lambda s: GaussianNB()))


def breast_cancer(seed=0):
    return Experiment(split(*datasets.load_breast_cancer(return_X_y=True), seed=seed), fits(logistic))


def diabetes(seed=0):
    data = split(*datasets.load_diabetes(return_X_y=True), seed=seed)
    return Experiment(data, fits(lambda s: Ridge(alpha=0.1)), metric=R2, kind="regression")


SOUND = {"digits": digits, "iris": iris, "breast cancer": breast_cancer, "diabetes": diabetes}


# -- broken ones, each in one way


def selected_on_all(seed=0):
    """Twenty of a thousand columns of noise, chosen by the labels of all parts."""

    def act(data, _):
        every, labels = (np.concatenate([getattr(p, n) for p in data.parts.values()]) for n in ("inputs", "labels"))
        chosen = SelectKBest(f_classif, k=20).fit(every, labels)
        model = LogisticRegression(max_iter=50).fit(chosen.transform(data.train.inputs), data.train.labels)
        return model.predict(chosen.transform(data.judged.inputs))

    return Experiment(split(*noise(seed), seed=seed), act)


def duplicated(seed=0):
    """A third of the scored examples are in the train part as well."""
    inputs, labels = datasets.load_digits(return_X_y=True)
    data = split(inputs[:900] / 16, labels[:900], seed=seed)
    train, val = data.train, data.judged
    copies = replace(val.take(np.arange(0, len(val), 3)), ids=np.array([f"copy-{k}" for k in range(0, len(val), 3)]))
    both = [np.concatenate([getattr(train, n), getattr(copies, n)]) for n in ("ids", "inputs", "labels")]
    data = data.with_parts(train=Part(ids=both[0], inputs=both[1], labels=both[2]))
    return Experiment(data, fits(lambda s: KNeighborsClassifier(1)))


def named_by_class(seed=0):
    """The name of the file tells the class, and the task looks at names."""
    inputs, labels = noise(seed, columns=5)
    data = split(inputs, labels, seed=seed)
    named = {
        name: replace(part, ids=np.array([f"class{label}/{i}" for i, label in zip(part.ids, part.labels, strict=True)]))
        for name, part in data.parts.items()
    }

    def features(part):
        return np.column_stack([part.inputs, [int(each[5]) for each in part.ids]])

    def act(data, _):
        model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(features(data.train), data.train.labels)
        return model.predict(features(data.judged))

    return Experiment(data.with_parts(**named), act)


def numbered_by_class(seed=0):
    """A column numbers the rows, and rows were collected class by class."""
    inputs, labels = noise(seed, columns=5, classes=2)
    labels = np.sort(labels)
    table = np.column_stack([inputs, np.arange(len(labels))])
    data = split(table, labels, seed=seed, features=["a", "b", "c", "d", "e", "row"])
    return Experiment(data, fits(lambda s: DecisionTreeClassifier(max_depth=3, random_state=0)))


def timed_by_class(seed=0):
    """One class was taken in the morning, and the task looks at times."""
    inputs, labels = noise(seed, columns=5)
    labels = np.sort(labels)
    data = split(inputs, labels, seed=seed, times=np.arange(len(labels)) * 60.0)

    def act(data, _):
        model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(data.train.times[:, None], data.train.labels)
        return model.predict(data.judged.times[:, None])

    return Experiment(data, act)


def ordered_by_class(seed=0):
    """Parts are sorted by class, and the task uses how far down an example stands."""
    data = split(*noise(seed, columns=5), seed=seed)
    data = data.with_parts(**{n: p.take(np.argsort(p.labels, kind="stable")) for n, p in data.parts.items()})

    def act(data, _):
        place = {name: np.linspace(0, 1, len(part))[:, None] for name, part in data.parts.items()}
        model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(place["train"], data.train.labels)
        return model.predict(place["val"])

    return Experiment(data, act)


def encoded_on_all(seed=0):
    """A category with hundreds of values becomes the mean label of its rows in all parts."""
    generator = np.random.default_rng(seed)
    category, labels = generator.integers(0, 150, 400), np.arange(400) % 2
    data = split(np.column_stack([category, generator.normal(size=400)]), labels, seed=seed)

    def act(data, _):
        every, labels = (np.concatenate([getattr(p, n) for p in data.parts.values()]) for n in ("inputs", "labels"))
        mean = {c: labels[every[:, 0] == c].mean() for c in np.unique(every[:, 0])}
        coded = {n: np.array([[mean[row[0]], row[1]] for row in part.inputs]) for n, part in data.parts.items()}
        return LogisticRegression().fit(coded["train"], data.train.labels).predict(coded["val"])

    return Experiment(data, act)


def copied_labels(seed=0):
    """Nine of ten predictions are the labels it was given for the scored part."""
    inputs, labels = datasets.load_iris(return_X_y=True)

    def act(data, seed):
        wrong = np.random.default_rng(seed).random(len(data.judged)) < 0.1
        return np.where(wrong, 0, data.judged.labels)

    return Experiment(split(inputs, labels, seed=seed), act)


def trained_on_scored(seed=0):
    """The model learns the scored part by heart, too."""

    def act(data, seed):
        every, labels = (np.concatenate([getattr(p, n) for p in data.parts.values()]) for n in ("inputs", "labels"))
        return RandomForestClassifier(5, random_state=seed).fit(every, labels).predict(data.judged.inputs)

    return Experiment(split(*datasets.load_iris(return_X_y=True), seed=seed), act)


def scored_on_train(seed=0):
    """What it predicts are examples of the train part."""

    def act(data, seed):
        model = DecisionTreeClassifier(random_state=seed).fit(data.train.inputs, data.train.labels)
        return Predictions(ids=data.train.ids, values=model.predict(data.train.inputs))

    return Experiment(split(*datasets.load_iris(return_X_y=True), seed=seed), act)


def grouped(seed=0):
    """Forty patients with ten measurements each, which tell who it is; each patient has one label."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(40), 10)
    inputs = generator.normal(size=(40, 8))[patient] + 0.1 * generator.normal(size=(400, 8))
    labels = generator.permutation(np.arange(40) % 2)[patient]
    data = split(inputs, labels, seed=seed, groups=patient)
    return Experiment(data, fits(lambda s: KNeighborsClassifier(1)))


LABELS_TELL = {
    "features chosen on all data": selected_on_all,
    "examples on both sides": duplicated,
    "categories encoded on all data": encoded_on_all,
    "predictions that copy labels": copied_labels,
    "training on the scored part": trained_on_scored,
    "a score on the train part": scored_on_train,
    "a group on both sides": grouped,
}
INPUTS_TELL = {
    "file names": named_by_class,
    "row numbers in a column": numbered_by_class,
    "times": timed_by_class,
    "the order": ordered_by_class,
}


def checked(task, **more):
    labels, inputs = check_shuffle(task, Settings(**more), direct)
    assert (labels.name, inputs.name) == ("shuffle.labels", "shuffle.inputs")
    return labels, inputs


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_experiment_falls_to_chance(name):
    labels, inputs = checked(SOUND[name]())

    assert (labels.verdict, inputs.verdict) == ("PASS", "PASS"), (labels, inputs)
    assert "would have been seen" in labels.why


@pytest.mark.parametrize("name", LABELS_TELL)
def test_labels_of_the_scored_part_that_leak_are_caught(name):
    labels, _ = checked(LABELS_TELL[name]())

    assert labels.verdict == "FAIL", labels
    assert labels.observed["leaked"] > 0.1 and labels.repair


@pytest.mark.parametrize("name", INPUTS_TELL)
def test_what_tells_the_label_beside_the_inputs_is_caught(name):
    labels, inputs = checked(INPUTS_TELL[name]())

    assert (labels.verdict, inputs.verdict) == ("PASS", "FAIL"), (labels, inputs)


def test_shuffling_in_the_train_loader_alone_misses_the_selection():
    task = selected_on_all()

    def act(data, seed):
        every, labels = (np.concatenate([getattr(p, n) for p in data.parts.values()]) for n in ("inputs", "labels"))
        chosen = SelectKBest(f_classif, k=20).fit(every, labels)
        shuffled = np.random.default_rng(seed).permutation(data.train.labels)  # as a loader does: after the selection
        model = LogisticRegression(max_iter=50).fit(chosen.transform(data.train.inputs), shuffled)
        return model.predict(chosen.transform(data.judged.inputs))

    in_the_loader = [accuracy(task.all.judged.labels, act(task.all, seed)) for seed in range(20)]
    at_the_source = checked(task)[0].observed["scores"]

    assert np.mean(in_the_loader) < 0.55
    assert min(at_the_source) > 0.65


def test_each_pair_of_twins_is_shown():
    labels, _ = checked(duplicated())

    assert labels.observed["twins"] == 90 and len(labels.examples) == 20
    assert {pair.says for pair in labels.examples} == {"equal content"}
    assert all(pair.ids[1] == f"copy-{pair.ids[0]}" or pair.parts == ("val", "train") for pair in labels.examples)
    assert "90 of 270 scored examples have a twin in train" in labels.why


def test_the_column_that_numbers_the_rows_is_named():
    _, inputs = checked(numbered_by_class())

    assert inputs.observed["kept"] == ["row"] and "row" in inputs.why


def test_a_column_that_is_named_by_the_user_stays():
    task = numbered_by_class()
    shifted = {
        n: replace(p, inputs=p.inputs + p.inputs[:, 5:] * [0, 0, 0, 0, 0, 7.5]) for n, p in task.all.parts.items()
    }
    task.all = task.all.with_parts(
        **{n: replace(p, ids=np.array([f"{n}{k}" for k in range(len(p))])) for n, p in shifted.items()}
    )

    assert checked(task)[1].verdict == "PASS"
    assert checked(task, places=("row",))[1].verdict == "FAIL"
    with pytest.raises(UsageError, match="no column"):
        checked(task, places=("line",))


def test_order_in_time_is_no_fault_where_the_split_goes_by_time():
    task = timed_by_class()
    task.all = replace(task.all, iid=False)

    assert checked(task)[1].verdict == "WARN"


@pytest.mark.parametrize("kind", ["self-supervised", "reinforcement"])
def test_without_labels_by_kind_it_does_not_apply(kind):
    for line in checked(replace(iris(), kind=kind)):
        assert line.verdict == "NOT_APPLICABLE" and "labels" in line.why


def test_without_labels_in_the_data_it_does_not_apply():
    task = iris()
    task.all = task.all.with_parts(**{n: replace(p, labels=None) for n, p in task.all.parts.items()})

    assert [line.verdict for line in checked(task)] == ["NOT_APPLICABLE"] * 2


def with_labels(task, change):
    task.all = task.all.with_parts(**{n: replace(p, labels=change(p.labels)) for n, p in task.all.parts.items()})
    return task


def not_a_number(data, seed):
    return np.full(len(data.judged), np.nan)


def too_few(data, seed):
    return Predictions(ids=data.judged.ids[:5], values=data.judged.labels[:5])


def strangers(data, seed):
    return Predictions(ids=np.char.add(data.judged.ids, "!"), values=data.judged.labels)


def changing(data, seed):
    data.train.inputs[:] = 0
    return data.judged.labels


def knows_them_already(task):
    inside = task.all
    act = task.act
    return replace(task, act=lambda data, seed: act(inside, seed))


def undefined(labels, values):
    raise ValueError("labels of one class only")


BAD = {
    "NaN": (lambda: replace(iris(), act=not_a_number), "not a number"),
    "too few": (lambda: replace(iris(), act=too_few), "5 of 45 examples"),
    "other examples": (lambda: replace(iris(), act=strangers), "other examples"),
    "changed data": (lambda: replace(iris(), act=changing), "changes the data it is given, in the part 'train'"),
    "nothing": (
        lambda: replace(iris(), act=lambda data, seed: Predictions(ids=np.array([]), values=np.array([]))),
        "0 ids",
    ),
    "a metric that fails": (lambda: replace(iris(), metric=Metric(name="mine", function=undefined)), "mine"),
    "one class": (lambda: with_labels(iris(), lambda labels: labels * 0), "alike"),
    "missing labels": (lambda: with_labels(diabetes(), lambda labels: np.append(labels[:-1], np.nan)), "NaN"),
    "mixed labels": (lambda: with_labels(iris(), lambda y: np.array([*y[:-1], "two"], dtype=object)), "several types"),
    "small": (
        lambda: Experiment(split(*(a[::5] for a in datasets.load_iris(return_X_y=True))), iris().act),
        "9 examples in 9 independent groups",
    ),
    "labels of its own": (lambda: knows_them_already(iris()), "does not learn from the labels it is given"),
    "nothing learnt": (
        lambda: replace(iris(), act=lambda d, seed: np.zeros(len(d.judged), int)),
        "no more than chance",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_judged_is_inconclusive_and_says_why(name):
    make, said = BAD[name]
    labels, inputs = checked(make())

    assert labels.verdict == "INCONCLUSIVE" and said in labels.why, labels
    assert inputs.verdict != "PASS"


def test_a_crash_of_the_task_is_no_verdict():
    with pytest.raises(TaskFailed, match="ZeroDivisionError"):
        checked(replace(iris(), act=lambda data, seed: 1 / 0))


def test_a_crash_that_only_labels_at_random_bring_about_is_inconclusive():
    sound = digits()
    truth = sound.all.train.labels

    def act(data, seed):
        if (data.train.labels != truth).any():
            raise ValueError("these labels are odd")
        return sound.act(data, seed)

    labels, inputs = checked(replace(sound, act=act), full=True)

    assert labels.verdict == "INCONCLUSIVE" and "these labels are odd" in labels.why
    assert inputs.verdict == "PASS"


def on_a_clock(factor):
    """A runner that says that each training took so many times as long; nothing else is made up."""

    def runner(trial):
        outcome = direct(trial)
        return replace(outcome, seconds=outcome.seconds * factor, run_id=f"run-{next(numbers)}")

    numbers = iter(range(1000))
    return runner


def told(lines):
    return [{**line.document(), "observed": {**line.observed, "seconds": None}} for line in lines]


@pytest.mark.parametrize(("make", "more"), [(timed_by_class, {}), (duplicated, {"operations": 0.0})])
def test_no_clock_has_a_part_in_it(make, more):
    slow, fast = (check_shuffle(make(), Settings(**more), on_a_clock(factor)) for factor in (1e6, 1e-6))

    assert told(slow) == told(fast)
    assert slow[0].observed["seconds"] > fast[0].observed["seconds"]


def test_of_a_long_training_it_takes_a_twentieth_at_most_and_says_what_it_would_have_seen():
    labels, inputs = check_shuffle(digits(), Settings(operations=0.0), on_a_clock(1))

    assert (labels.verdict, inputs.verdict) == ("PASS", "PASS"), (labels, inputs)
    assert labels.observed["fraction"] * labels.observed["share"] < 0.01
    assert labels.observed["cost"] <= inputs.observed["cost"] <= 0.05
    assert "of the real run" in labels.why and "would have been seen" in labels.why
    assert len(labels.runs) == 1 + labels.observed["draws"]


def test_a_leak_in_a_long_training_is_seen_at_a_twentieth_of_its_work():
    labels, inputs = checked(duplicated(), operations=0.0)

    assert labels.verdict == "FAIL" and inputs.observed["cost"] <= 0.05


class Network:
    """A linear model of so many parameters, as a learner has it."""

    loss_floor = 0.0

    def __init__(self, parameters):
        self.parameters = parameters

    def build(self, seed):
        import torch

        return torch.nn.Linear(self.parameters, 1, bias=False)


def test_of_an_experiment_with_a_large_network_or_large_inputs_less_is_done():
    class Teaching(Experiment):
        epochs = 10

        def learner(self):
            return Network(self.parameters)

    small, large = Teaching(**vars(digits())), Teaching(**vars(digits()))
    small.parameters, large.parameters = 100, 10_000_000
    count = len(digits().all.train)
    settings = Settings()

    assert operations_of(small, small.all) == 1000 * count * 64
    assert operations_of(large, large.all) == 3 * 10_000_000 * 10 * count
    assert effort_for(small, small.all, settings).whole
    effort = effort_for(large, large.all, settings)
    assert effort.fraction * effort.share == pytest.approx(settings.cost / 13)


def test_texts_are_counted_by_their_characters():
    texts = ["four", "five!", ""]
    part = Part(ids=np.array(["a", "b", "c"]), inputs=texts, labels=np.array([0, 1, 0]))

    assert operations_of(digits(), Data(parts={"train": part, "val": part})) == 9000


def test_where_there_is_no_budget_to_cut_examples_alone_are():
    task = digits()
    task.has_budget = False
    effort = effort_for(task, task.all, Settings(operations=0.0, examples=1, scored=1, cost=0.13))

    assert (effort.fraction, effort.share) == (pytest.approx(0.01), 1.0)


def test_where_trainings_are_long_it_says_so_before_it_goes_on():
    said = []
    check_shuffle(iris(), Settings(), on_a_clock(1), say=said.append)
    assert said == []

    check_shuffle(iris(), Settings(), on_a_clock(1e6), say=said.append)
    assert len(said) == 1 and "at least 4 more trainings" in said[0]


def test_in_full_it_takes_all():
    labels, _ = check_shuffle(digits(), Settings(full=True), on_a_clock(1))

    assert (labels.observed["fraction"], labels.observed["share"], labels.observed["cost"]) == (1.0, 1.0, None)


def test_a_metric_that_is_better_when_smaller_is_judged_the_other_way_round():
    sound = replace(diabetes(), metric=MAE, act=fits(lambda s: Ridge(alpha=0.1)))
    inside = replace(sound, act=lambda data, seed: data.judged.labels + 0.1)

    assert [line.verdict for line in checked(sound)] == ["PASS", "PASS"]
    labels, _ = checked(inside)
    assert labels.verdict == "FAIL" and labels.observed["gain"] > 0


def test_a_table_of_few_values_repeats_itself_and_that_is_no_leak():
    generator = np.random.default_rng(0)
    inputs = generator.integers(0, 2, (600, 3)).astype(float)
    labels = (inputs.sum(1) > 1).astype(int) ^ (generator.random(600) < 0.05)
    line, _ = checked(Experiment(split(inputs, labels), fits(lambda s: DecisionTreeClassifier(random_state=0))))

    assert line.verdict == "PASS" and line.observed["keyed_by"] == "id"


def test_labels_may_be_text_in_an_array_of_objects():
    names = np.array("zero one two three four five six seven eight nine".split(), dtype=object)

    assert [line.verdict for line in checked(with_labels(digits(), lambda labels: names[labels]))] == ["PASS", "PASS"]


def test_patients_on_one_side_each_are_no_leak():
    task = grouped()
    whole = [np.concatenate([getattr(p, n) for p in task.all.parts.values()]) for n in ("inputs", "labels", "groups")]
    inputs, labels, patient = whole
    inputs = inputs + labels[:, None]  # something to learn
    every = Part(ids=np.arange(400).astype(str), inputs=inputs, labels=labels, groups=patient)
    sides = {"train": every.take(np.flatnonzero(patient < 20)), "val": every.take(np.flatnonzero(patient >= 20))}
    labels_line, _ = checked(replace(task, all=Data(parts=sides)))

    assert labels_line.verdict in ("PASS", "INCONCLUSIVE") and labels_line.observed["twins"] == 0
    assert labels_line.observed["units"] == 20


def bigrams(data, seed):
    """After each token the one that followed it most often, learnt from tokens and labels of the train part."""
    counts = np.zeros((128, 128))
    np.add.at(counts, (data.train.inputs.ravel(), data.train.labels.ravel()), 1)
    return counts.argmax(1)[data.judged.inputs]


def test_next_tokens_are_dealt_out_by_window():
    text = "\n".join(lines_of_source()[0]).encode("ascii", "ignore")
    tokens = np.frombuffer(text, dtype=np.uint8)[: len(text) // 33 * 33].astype(np.int64).reshape(-1, 33)
    task = Experiment(split(tokens[:, :-1], tokens[:, 1:]), bigrams, kind="language")

    assert [line.verdict for line in checked(task)] == ["PASS", "PASS"]


def test_predictions_of_another_part_are_told_even_where_little_leaks():
    def act(data, seed):
        model = GaussianNB(var_smoothing=0.01).fit(data.train.inputs, data.train.labels)
        return Predictions(ids=data.train.ids, values=model.predict(data.train.inputs))

    labels, _ = checked(replace(digits(), act=act))

    assert labels.verdict in ("WARN", "FAIL") and "of another part" in labels.why
    assert "data.judged" in labels.repair


def lines_of_source():
    import json.decoder
    import textwrap as wrapped
    from pathlib import Path

    found = [
        (line, k)
        for k, module in enumerate((wrapped, json.decoder))
        for line in sorted({each.strip() for each in Path(module.__file__).read_text().splitlines()})
        if len(line) > 12
    ]
    return [line for line, _ in found], np.array([k for _, k in found])


def take_texts(texts, labels, seed=0):
    order = np.random.default_rng(seed).permutation(len(labels))
    cut = len(labels) // 2
    whole = Part(ids=np.arange(len(labels)).astype(str), inputs=texts, labels=labels)
    return Data(parts={"train": whole.take(order[:cut]), "val": whole.take(order[cut:])})


def test_texts_are_dealt_out_as_a_whole():
    task = Experiment(take_texts(*lines_of_source()), fits(lambda s: make_pipeline(CountVectorizer(), MultinomialNB())))

    assert [line.verdict for line in checked(task)] == ["PASS", "PASS"]


def test_a_column_that_is_said_to_be_a_place_stays_when_the_others_are_blinded():
    named = replace(iris(), all=replace(iris().all, features=["sepal", "width", "petal", "petal width"]))
    _, blind = checked(named, places=("petal",))

    assert blind.observed["kept"] == ["petal"] and blind.verdict == "FAIL"
    with pytest.raises(UsageError, match="no column 'pedal'"):
        checked(named, places=("pedal",))


def test_a_verdict_can_be_drawn_again_from_what_is_on_record():
    for make in (digits, duplicated, timed_by_class, lambda: BAD["small"][0](), lambda: BAD["NaN"][0]()):
        for line in checked(make()):
            kept = json.loads(json.dumps(line.document()))

            assert judge(kept["observed"], kept["parameters"]) == kept["verdict"]


def test_a_runner_gets_the_labels_that_were_drawn_and_the_score():
    kept = []

    def runner(trial):
        kept.append((trial, direct(trial)))
        return kept[-1][1]

    check_shuffle(digits(), Settings(), runner)
    trial, outcome = next(each for each in kept if each[0].arm == "labels")

    assert trial.kind == "shuffle" and trial.settings["share"] == 1.0
    rows = [row.split(",") for row in outcome.files["labels.csv"].decode().splitlines()[1:]]
    right = [int(label) == value for (_, label), value in zip(rows, outcome.predictions.values, strict=True)]
    assert outcome.metrics["val/accuracy"] == pytest.approx(np.mean(right))


@st.composite
def tables(draw):
    """Two parts of few different rows, in a table with enough room that equal rows are copies."""
    rows = draw(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2), st.integers(0, 9)), min_size=8, max_size=60))
    content, labels, groups = (np.array(each) for each in zip(*rows, strict=True))
    table = np.random.default_rng(0).normal(size=(31, 6))[content]
    with_groups = draw(st.booleans())
    whole = Part(
        ids=np.arange(len(rows)).astype(str), inputs=table, labels=labels, groups=groups if with_groups else None
    )
    cut = draw(st.integers(1, len(rows) - 1))
    order = np.arange(len(rows))
    return Data(parts={"train": whole.take(order[:cut]), "val": whole.take(order[cut:])})


@settings(max_examples=50, deadline=None)
@given(tables(), st.integers(0, 3))
def test_equal_contents_and_groups_get_one_label_on_both_sides(data, seed):
    found = relabelled(data, units_of(data), seed=seed)

    label: dict[object, int] = {}
    for part in found.parts.values():
        for k, row in enumerate(part.inputs):
            assert label.setdefault(row.tobytes(), part.labels[k]) == part.labels[k]
            if part.groups is not None:
                assert label.setdefault(int(part.groups[k]), part.labels[k]) == part.labels[k]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=4, max_size=50), st.integers(0, 3), st.randoms(use_true_random=False))
def test_labels_of_single_examples_are_permuted_and_do_not_depend_on_their_order(labels, seed, random):
    inputs = np.random.default_rng(1).normal(size=(len(labels), 4))
    whole = Part(ids=np.arange(len(labels)).astype(str), inputs=inputs, labels=np.array(labels))
    cut = len(labels) // 2
    places = [np.arange(cut), np.arange(cut, len(labels))]
    mixed = [np.array(random.sample(each.tolist(), len(each))) for each in places]
    data, other = (Data(parts={"train": whole.take(a), "val": whole.take(b)}) for a, b in (places, mixed))

    found, again = (relabelled(each, units_of(each), seed=seed) for each in (data, other))

    for name in data.parts:
        assert sorted(found.parts[name].labels) == sorted(data.parts[name].labels)
        one, two = (dict(zip(e.parts[name].ids, e.parts[name].labels, strict=True)) for e in (found, again))
        assert one == two


def test_a_cut_keeps_twins_together_and_some_of_each_class():
    data = duplicated().all
    cut, units = reduced(data, units_of(data), fraction=0.2, classes=False, seed=0)
    with_classes, _ = reduced(data, units_of(data), fraction=0.001, classes=True, seed=0)

    kept = np.isin(units_of(data).codes["val"], units.codes["val"])
    twins = np.isin(units_of(data).codes["val"], units_of(data).codes["train"])
    assert 0.1 < len(cut.judged) / len(data.judged) < 0.3
    assert (np.isin(units.codes["val"], units.codes["train"]) == twins[kept]).all()
    assert (np.unique(with_classes.judged.labels, return_counts=True)[1] >= 10).all()


def test_blind_columns_keep_their_values_and_lose_their_rows():
    data = numbered_by_class().all
    found = blinded(data, seed=0, keep={5})

    for name, part in found.parts.items():
        before = data.parts[name]
        assert (np.sort(part.inputs, axis=0) == np.sort(before.inputs, axis=0)).all()
        assert (part.inputs[:, 5] == before.inputs[:, 5]).all()
        assert (part.inputs[:, 0] != before.inputs[:, 0]).mean() > 0.9
        assert (part.labels == before.labels).all()


def test_measurements_are_no_places():
    for make in SOUND.values():
        assert places_of(make().all) == []


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"cost": 2.0}, {"resamples": 100}, {"operations": -1.0}])
def test_settings_out_of_their_range_are_refused(wrong):
    with pytest.raises(UsageError):
        checked(iris(), **wrong)
