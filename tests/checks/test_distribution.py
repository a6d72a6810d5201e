"""The data checks as a whole: their lines, their evidence, and whatever a task hands over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris

import gitrepro
from gitrepro.checks.direct import direct
from gitrepro.checks.distribution import DataSettings, alike, check_data, classes, overlaps, proof, repeated, schema
from gitrepro.checks.task import Data, Predictions
from gitrepro.checks.trials import Outcome, Trial
from gitrepro.errors import TaskFailed, UsageError
from gitrepro.records import yaml
from gitrepro.records.result import Verdict
from gitrepro.records.sanity import Checked
from tests.checks.distribution_tasks import Scaled, part_of, split, with_val

DIGITS, IRIS = load_digits(), load_iris()
JUDGES = {
    "distribution.classes": classes.judge,
    "distribution.drift": alike.judge,
    "distribution.duplicates": repeated.judge,
    "distribution.label_conflicts": repeated.judge_labels,
    "distribution.schema": schema.judge,
    "separation.fitted": proof.judge,
    "separation.groups": overlaps.judge_groups,
    "separation.ids": overlaps.judge_ids,
    "separation.times": overlaps.judge_times,
}


def digits() -> Data:
    return split(part_of(DIGITS.data, DIGITS.target))


def by_name(lines: list[Checked]) -> dict[str, Checked]:
    return {line.name: line for line in lines}


def test_a_sound_task_has_no_line_that_fails() -> None:
    lines = by_name(check_data(Scaled(digits()), DataSettings(), direct))

    assert lines.keys() == JUDGES.keys()
    assert {line.verdict for line in lines.values()} <= {Verdict.PASS, Verdict.NOT_APPLICABLE}


def test_each_verdict_can_be_drawn_again_from_what_is_on_record() -> None:
    shifted = with_val(digits(), inputs=digits().parts["val"].inputs + 3)
    for task in (Scaled(digits()), Scaled(shifted)):
        for line in check_data(task, DataSettings(), direct):
            kept = yaml.load(yaml.dump(line.document()), source="kept")
            again = JUDGES[line.name](kept["observed"], kept["parameters"])

            assert (str(again.verdict), again.why, again.repair) == (kept["verdict"], kept["why"], kept["repair"])


def test_the_lines_name_the_digests_of_what_they_looked_at() -> None:
    one, other = (check_data(Scaled(data), DataSettings(influence=False), direct) for data in (digits(), digits()))
    changed = digits()
    changed.parts["val"].inputs[0, 0] += 1
    third = check_data(Scaled(changed), DataSettings(influence=False), direct)

    assert one[0].inputs == other[0].inputs
    assert {name for name in one[0].inputs if one[0].inputs[name] != third[0].inputs[name]} == {"val/inputs"}


def test_the_same_task_is_judged_the_same_each_time() -> None:
    one, other = (check_data(Scaled(digits()), DataSettings(), direct) for _ in range(2))

    assert [line.document() for line in one] == [line.document() for line in other]


def test_statistics_and_pairs_are_kept_with_a_run() -> None:
    kept: dict[str, bytes] = {}

    def runner(trial: Trial) -> Outcome:
        outcome = direct(trial)
        kept.update(outcome.files)
        return Outcome(predictions=outcome.predictions, run_id=f"run-{trial.arm}")

    lines = by_name(check_data(Scaled(split(part_of(IRIS.data, IRIS.target))), DataSettings(), runner))

    statistics = json.loads(kept["statistics.json"])
    assert statistics["train"]["x0"]["count"] + statistics["val"]["x0"]["count"] == 150
    assert kept["pairs.tsv"].splitlines()[0] == b"part_a\tid_a\tpart_b\tid_b\tkind\tdistance"
    assert {line.runs[0] for line in lines.values()} == {"run-data"}
    assert len(lines["separation.fitted"].runs) == 5


def documents() -> Data:
    sources = sorted(Path(gitrepro.__file__).parent.glob("*.py"))
    texts = [line for path in sources for line in path.read_text().splitlines() if len(line) > 30][:400]
    return split(part_of(texts, np.arange(len(texts)) % 2))


class Constant(Scaled):
    """Predicts the first label of train, whatever the inputs are."""

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        labels = data.train.labels
        first = 0 if labels is None else labels[0]
        return Predictions(ids=data.judged.ids, values=np.full(len(data.judged), first))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (documents(), "classification"),
        (split(part_of(DIGITS.images.astype(np.uint8), DIGITS.target)), "classification"),
        (split(part_of(np.repeat(DIGITS.images[..., None], 3, axis=3), DIGITS.target)), "classification"),
        (split(part_of(np.random.default_rng(0).integers(50, size=(500, 8)))), "language"),
        (split(part_of([list(range(k % 9)) for k in range(300)])), "self-supervised"),
        (split(part_of([{"x": k} for k in range(90)])), "reinforcement"),
        (split(part_of(IRIS.data[:, 0], IRIS.target.astype(str))), "classification"),
        (split(part_of(np.array([[k, None, "a"] for k in range(80)], dtype=object), np.arange(80) % 2)), "other"),
    ],
)
def test_inputs_of_any_kind_have_a_verdict_on_each_line(data: Data, kind: Any) -> None:
    lines = check_data(Constant(data, kind=kind), DataSettings(), direct)

    assert {line.name for line in lines} == JUDGES.keys()
    assert not [line for line in lines if line.verdict is Verdict.FAIL]
    json.dumps([line.document() for line in lines])


@pytest.mark.parametrize(
    "labels",
    [
        np.zeros(150),
        np.full(150, np.nan),
        np.array([None] * 150, dtype=object),
        np.array([1, "a", None] * 50, dtype=object),
        np.arange(150),
        np.arange(150).reshape(150, 1),
    ],
)
def test_labels_of_any_kind_that_cannot_be_learnt_fail(labels: np.ndarray) -> None:
    lines = by_name(check_data(Scaled(split(part_of(IRIS.data, labels))), DataSettings(), direct))

    assert lines.keys() == JUDGES.keys()
    assert Verdict.FAIL in (lines["distribution.classes"].verdict, lines["distribution.schema"].verdict)


@pytest.mark.parametrize("inputs", [np.full((150, 3), np.nan), np.zeros((150, 0)), np.full((150, 3), np.inf)])
def test_inputs_that_hold_nothing_have_a_verdict(inputs: np.ndarray) -> None:
    lines = by_name(check_data(Constant(split(part_of(inputs, IRIS.target))), DataSettings(), direct))

    assert lines["distribution.drift"].verdict is not Verdict.PASS


def test_data_that_cannot_be_had_are_an_error_that_says_where() -> None:
    class Broken(Scaled):
        def data(self) -> Data:
            raise ZeroDivisionError("no such file")

    with pytest.raises(TaskFailed, match="no such file"):
        check_data(Broken(digits()), DataSettings(), direct)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": [0] * 37},
        {"labels": np.zeros(3)},
        {"groups": ["a"] * 37},
        {"times": np.array(["2020-01-01"] * 37, dtype="datetime64[s]")},
        {"ids": list(range(37))},
    ],
)
def test_parts_that_are_not_whole_are_an_error_that_says_which(changes: dict[str, Any]) -> None:
    data = with_val(split(part_of(IRIS.data, IRIS.target)), **changes)

    with pytest.raises(UsageError, match="part 'val'"):
        check_data(Scaled(data), DataSettings(), direct)


def test_a_crash_of_what_tells_the_fitted_numbers_leaves_that_line_open() -> None:
    class Telling(Scaled):
        def fitted(self, data: Data) -> dict[str, Any]:
            raise KeyError("mean")

    lines = by_name(check_data(Telling(digits()), DataSettings(), direct))

    assert lines["separation.fitted"].verdict is Verdict.INCONCLUSIVE
    assert "KeyError" in lines["separation.fitted"].why
