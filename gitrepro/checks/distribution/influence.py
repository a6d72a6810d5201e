"""Whether examples of the scored part have a say in what is predicted of others of it.

The experiment is run with a little of its budget on the data as they are, twice; then with half of the scored inputs
replaced by copies of one; then with most scored labels replaced by wrong ones. What is predicted of the examples that
were left alone must not change: a model that has learnt from train alone knows nothing of the others. This is the
non-interference of information flow (Goguen and Meseguer 1982), tested on an input that moves every statistic. It
is far from all others where the form of the inputs allows, so that even a class that is predicted turns; where it is
not and only classes are predicted, that none turns says little.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np

from ...errors import GitreproError, UsageError
from ...records.result import Verdict
from ..task import Data, Kind, Part, Predictions, Task
from ..trials import Runner, Trial, predicting
from .contents import digests_of
from .replacing import copies, far_inputs, other_labels
from .settings import INFLUENCE_LEAST, DataSettings, Judged

INPUTS_LEFT_ALONE: Final = 2
LABELS_LEFT_ALONE: Final = 8
"""One scored example of so many is left alone and compared, where inputs are replaced, and where labels are."""
_NOISE: Final = 1e-4
"""Deviations of the predictions below which numbers are equal: rounding differs with the rows beside."""
_CHOOSES: Final = ("val", "valid", "validation", "dev", "development")


def look(task: Task, data: Data, runner: Runner, settings: DataSettings) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What `judge` is given, and the ids of the runs."""
    observed: dict[str, Any] = {"examples": len(data.judged), "kind": task.kind, "scored": data.scored}
    observed["chooses"] = data.scored.lower() in _CHOOSES
    if len(data.judged) < INFLUENCE_LEAST or task.kind in ("self-supervised", "reinforcement"):
        return observed, ()
    alone, others = _sides(len(data.judged), settings.seed)
    digests, runs = digests_of(data), Runs(task, runner, settings)
    found = {"plain": runs.of("plain", data), "again": runs.of("again", data)}
    if digests_of(data) != digests:
        return observed | {"mutates": True}, tuple(runs.ids)
    found["inputs"], observed["far"] = _of_other_inputs(data, task.kind, others, runs)
    labels = data.judged.labels
    compared = dict.fromkeys(("again", "inputs"), alone)
    if labels is not None and labels.ndim == 1:
        # Most labels have to be wrong before a choice that is made by them turns.
        compared["labels"] = alone[:: LABELS_LEFT_ALONE // INPUTS_LEFT_ALONE]
        others = np.setdiff1d(np.arange(len(data.judged)), compared["labels"])
        found["labels"] = runs.of("labels", _with(data, other_labels(data.judged, task.kind, others)))
    observed["alone"] = {arm: len(places) for arm, places in compared.items()}
    observed["changed"] = {
        arm: _changed(found["plain"], found[arm], [str(data.judged.ids[k]) for k in places.tolist()])
        for arm, places in compared.items()
    }
    values = np.asarray(found["plain"].values)
    observed["fine"] = values.dtype.kind == "f" and (values.ndim > 1 or task.kind != "classification")
    return observed, tuple(runs.ids)


@final
class Runs:
    """Runs of the experiment with a little of its budget."""

    def __init__(self, task: Task, runner: Runner, settings: DataSettings) -> None:
        self._task, self._runner, self._settings = task, runner, settings
        self.ids: list[str] = []

    def of(self, arm: str, data: Data) -> Predictions:
        """Raises UsageError where a run predicts nothing."""
        seed, share = self._settings.seed, self._settings.influence_share
        act = predicting(self._task, data, seed=seed, share=share)
        outcome = self._runner(
            Trial(kind="data-check", arm=f"influence-{arm}", seed=seed, act=act, settings={"arm": arm, "share": share})
        )
        self.ids += [outcome.run_id] if outcome.run_id else []
        if not isinstance(outcome.predictions, Predictions):
            raise UsageError(f"{self._task.name} gave a {type(outcome.predictions).__name__}", do="return Predictions")
        return outcome.predictions


def _of_other_inputs(data: Data, kind: Kind, others: np.ndarray, runs: Runs) -> tuple[Predictions, bool]:
    """What is predicted with other inputs, and whether they are far from all there were."""
    part, is_far = far_inputs(data, kind, others)
    if is_far:
        try:
            return runs.of("inputs", _with(data, part)), True
        except GitreproError:
            pass  # values it has no place for, as a number that stands for a word
    return runs.of("inputs", _with(data, copies(data.judged, others))), False


def _sides(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(count)
    alone = count // INPUTS_LEFT_ALONE
    return np.sort(order[:alone]), np.sort(order[alone:])


def _with(data: Data, part: Part) -> Data:
    return data.with_parts(**{data.scored: part})


def _changed(one: Predictions, other: Predictions, ids: list[str]) -> int:
    """Of how many of these ids something else is predicted."""
    left, right = _by_id(one), _by_id(other)
    shared = [each for each in ids if each in left and each in right]
    if not shared:
        return 0
    a, b = np.asarray(one.values)[[left[k] for k in shared]], np.asarray(other.values)[[right[k] for k in shared]]
    if a.shape != b.shape:
        return len(shared)
    if a.dtype.kind != "f" or b.dtype.kind != "f":
        differ = a != b
    else:
        spread = float(np.nanstd(a)) or 1.0
        differ = ~np.isclose(a, b, rtol=0.0, atol=_NOISE * spread, equal_nan=True)
    return int(differ.reshape(len(shared), -1).any(axis=1).sum())


def _by_id(predictions: Predictions) -> dict[str, int]:
    return {str(each): k for k, each in enumerate(predictions.ids)}


def judge(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> Judged:
    """FAIL where inputs of other scored examples matter; WARN where their labels do, in a part that one chooses by."""
    if observed["kind"] in ("self-supervised", "reinforcement"):
        return Judged(Verdict.NOT_APPLICABLE, f"a task of kind {observed['kind']} may learn from all it sees")
    if observed["examples"] < parameters["influence_least"]:
        why = f"{observed['scored']} has {observed['examples']} examples, too few to replace most of them"
        return Judged(Verdict.INCONCLUSIVE, why, f"{parameters['influence_least']} are the least")
    if observed.get("mutates"):
        why = "the task changes the data that it is given, so that no two of its runs are on the same"
        return Judged(Verdict.INCONCLUSIVE, why, "copy what is changed in place")
    changed = observed["changed"]
    if changed["again"]:
        many = f"{changed['again']:,} of {observed['alone']['again']:,} examples"
        why = f"two runs with one seed on the same data predict otherwise of {many}"
        return Judged(Verdict.INCONCLUSIVE, why, "seed everything that is drawn")
    return _by_what(observed, changed)


def _by_what(observed: Mapping[str, Any], changed: Mapping[str, int]) -> Judged:
    if changed.get("labels"):
        why = f"{_said(observed, 'labels')} {changed['labels']:,} are predicted otherwise when those of others change"
        if observed["chooses"]:
            return Judged(Verdict.WARN, why, "fine if the model is chosen by it: then report another part's score")
        return Judged(Verdict.FAIL, why, "see where labels of the scored part are read: encodings, features, stopping")
    if changed["inputs"]:
        why = f"{_said(observed, 'inputs')} {changed['inputs']:,} are predicted otherwise when those of others change"
        return Judged(Verdict.FAIL, why, "fit scaling and the like on train alone, and switch to eval() to predict")
    if not observed["fine"] and not observed["far"]:
        why = f"{_said(observed, 'inputs')} none is predicted otherwise; but classes, all there is, turn last"
        return Judged(Verdict.INCONCLUSIVE, why, "predict a score for each class")
    what = "inputs and labels" if "labels" in changed else "inputs"
    return Judged(Verdict.PASS, f"{_said(observed, what)} none is predicted otherwise when those of others change")


def _said(observed: Mapping[str, Any], what: str) -> str:
    alone = observed["alone"]["labels" if what == "labels" else "inputs"]
    return f"of {alone:,} examples of {observed['scored']} whose {what} were left alone,"
