"""Trials of checks as runs on record, and what checks found as a field of a record."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import gitrepro
from gitrepro.checks.task import Predictions
from gitrepro.checks.trials import Outcome, Trial
from gitrepro.errors import Damaged, NotFound, TaskFailed
from gitrepro.records import yaml
from gitrepro.records.predictions import FILE, dump_predictions, load_predictions
from gitrepro.records.result import Verdict
from gitrepro.records.run import load_run
from gitrepro.records.sanity import Checked, Example
from gitrepro.rerun.trials import predictions_of, put_on_record, recording
from gitrepro.run.sane import EXAMPLES_AT_MOST, checked, plain
from gitrepro.store import repository as repositories

PREDICTIONS = Predictions(ids=np.array(["a", "b"]), values=np.array([1, 0]), score=0.5, extra={"train/accuracy": 1.0})


@pytest.fixture
def place(repo, monkeypatch):
    monkeypatch.chdir(repo)
    return repositories.find(repo, {})


def trial(act, **given):
    return Trial(kind="shuffle", arm="labels", seed=3, act=act, settings={"share": 0.1, "names": ("x",)}, **given)


def line(**given):
    told = {"rule": "shuffle", "name": "shuffle.labels", "verdict": Verdict.FAIL, "algorithm": 1, "why": "it leaks"}
    return Checked(**{**told, **given})


def test_a_trial_is_a_run_with_its_kind_seed_settings_numbers_and_curves(place):
    outcome = recording("g", config={"task": "digits"})(
        trial(lambda: Outcome(metrics={"loss": 0.25}, curves={"a": [1.0, 2.0], "b": [3.0]}, predictions=PREDICTIONS))
    )
    (found,) = gitrepro.runs(group="g")

    assert (found.id, found.metadata["kind"], found.metadata["labels"]) == (outcome.run_id, "shuffle", ("labels",))
    assert found.metadata["seeds"]["requested"] == 3
    assert found.config == {"task": "digits", "trial": {"arm": "labels", "names": ["x"], "share": 0.1}}
    assert {**found.summary}.items() >= {"loss": 0.25, "score": 0.5, "train/accuracy": 1.0}.items()
    assert found.metrics()["a"].to_pylist() == [1.0, 2.0]
    assert found.metrics()["b"].to_pylist() == [3.0, None]
    assert outcome.seconds > 0


def test_what_a_trial_predicted_is_kept_and_can_be_nominated(place):
    outcome = recording("g", config={})(trial(lambda: Outcome(predictions=PREDICTIONS, files={"pairs.tsv": b"a\tb\n"})))
    run_id, found, seconds = predictions_of(place, outcome.run_id[-8:])

    assert (run_id, found.ids.tolist(), found.values.tolist()) == (outcome.run_id, ["a", "b"], [1, 0])
    assert seconds > 0
    assert {each["name"] for each in gitrepro.runs()[0].metadata["artifacts"]} == {FILE, "pairs.tsv"}


def test_a_run_without_predictions_cannot_be_nominated(place):
    outcome = recording("g", config={})(trial(Outcome))

    with pytest.raises(NotFound, match="no predictions"):
        predictions_of(place, outcome.run_id)


def test_a_trial_that_fails_is_on_record_as_failed_and_raises(place):
    def act():
        raise ValueError("no such column")

    with pytest.raises(TaskFailed, match="no such column"):
        recording("g", config={})(trial(act))

    assert [(run.status, run.metadata["kind"]) for run in gitrepro.runs(group="g")] == [("failed", "shuffle")]


def test_a_trial_without_numbers_and_without_names_is_no_trouble(place):
    outcome = recording("g", config={})(trial(lambda: Outcome(curves={"empty": []})))

    assert gitrepro.runs()[0].id == outcome.run_id


def test_who_watches_is_told_before_and_after_each_trial(place):
    told = []
    recording("g", config={}, told=lambda trial, outcome: told.append((trial.arm, outcome is None)))(trial(Outcome))

    assert told == [("labels", True), ("labels", False)]


def test_what_checks_found_stands_in_the_record_of_the_run_that_closes_them(place):
    examples = tuple(Example(ids=(f"i{k}",), parts=("val",), says="look") for k in range(30))
    found = line(observed={"p": np.float64(0.001), "n": np.int64(30), "nan": float("nan")}, examples=examples)
    put_on_record([found], group="g", config={"task": "digits"}, seed=0, what="checks of digits")
    (run,) = gitrepro.runs(group="g")
    (kept,) = run.metadata["checked"]

    assert (run.metadata["kind"], run.summary["shuffle.labels"]) == ("data-check", "FAIL")
    assert (kept["verdict"], kept["observed"]["p"], kept["observed"]["n"]) == ("FAIL", 0.001, 30)
    assert (len(kept["examples"]), kept["examples_found"]) == (EXAMPLES_AT_MOST, 30)
    assert [each["name"] for each in run.metadata["artifacts"]] == ["checked.json"]


def test_a_record_without_checks_has_no_such_field(place):
    with gitrepro.record() as run:
        run.log({"a": 1.0})

    assert "checked" not in yaml.load(_record_of(place, run.id), source="run.yaml")


def test_a_record_whose_checks_are_no_maps_is_damaged(place):
    with gitrepro.record() as run:
        run.log({"a": 1.0})
    document = yaml.load(_record_of(place, run.id), source="run.yaml")

    with pytest.raises(Damaged, match="checked"):
        load_run(yaml.dump({**document, "checked": ["PASS"]}), source="run.yaml")


def _record_of(place, run_id):
    from gitrepro.store.runs import RunTree

    with RunTree(place) as tree:
        return tree.objects.read(tree.run_files(run_id)["run.yaml"].oid, "blob")


def test_what_was_told_last_stands():
    events = [{"op": "checked", "lines": [{"name": "a"}]}, {"op": "end"}, {"op": "checked", "lines": [{"name": "b"}]}]

    assert checked(events) == ({"name": "b"},)
    assert checked([]) == ()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | arrays(np.float32, 3) | st.just(np.int8(3)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
    max_leaves=20,
)


@given(ANYTHING)
def test_whatever_a_check_observed_is_plain_afterwards_and_stays_so(value):
    once = plain(value)

    assert json.dumps(plain(once)) == json.dumps(once)


@given(arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3))), st.booleans())
def test_predictions_come_back_as_they_were(values, flat):
    kept = values.reshape(len(values), -1)[:, 0] if flat else values
    ids = np.array([f"i{k}" for k in range(len(values))])
    names, found = load_predictions(dump_predictions(ids, kept), source="f")

    assert names.tolist() == ids.tolist()
    assert np.array_equal(found, kept, equal_nan=True)


@given(st.lists(st.text(), min_size=1))
def test_predicted_words_come_back_as_they_were(words):
    values = np.array(words, dtype=object)
    _, found = load_predictions(dump_predictions(np.arange(len(words)), values), source="f")

    assert found.tolist() == np.array(words).tolist()


@pytest.mark.parametrize("data", [b"", b"PAR1", dump_predictions(np.arange(2), np.arange(2))[:-9]])
def test_a_file_that_holds_no_predictions_is_told(data):
    with pytest.raises(Damaged):
        load_predictions(data, source="f")
