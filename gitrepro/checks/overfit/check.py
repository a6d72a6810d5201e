"""The check: training on a handful of examples alone, and the training looked at in pieces."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ...errors import GitreproError, TaskFailed
from ...records.result import Verdict
from ...records.sanity import Checked, Example
from ..baseline.digests import digest_of
from ..guarded import guarded_task, whole_data
from ..task import Data, Learner, Part, Task
from ..trials import Outcome, Runner
from . import wording
from .choice import mini_batch
from .memorise import Bench, attempt
from .pieces import FILE, looking
from .predicted import learn_by_predicting
from .scoring import open_entropy
from .settings import Settings, check_settings
from .verdict import ALGORITHM, by_heart, judge

RULE: Final = "overfit"
_NAMES: Final = ("mini_batch", "initial_loss", "all_move", "gradients", "independence", "modes", "future")
_CURVE_POINTS: Final = 50
_NO_LEARNER: Final = "the task shows no torch model, so that its training cannot be looked into"
_CROSS_ENTROPY: Final = ("classification", "language")


def check_overfit(task: Task, settings: Settings, runner: Runner) -> list[Checked]:
    """Whether the model learns a mini-batch by heart, and whether its training is what it should be.

    On 32 fixed examples with dropout, weight decay and label smoothing off, the loss has to come down to its floor and
    the outputs have to say all labels, within 500 steps; with the configured optimizer, else with AdamW at other rates
    (Karpathy 2019, "A recipe for training neural networks"; Lightning's `overfit_batches`). Companions: the loss of the
    untrained model is about ln K; every trainable tensor has a gradient and moves; the gradient of a batch is the same
    whatever came before (missing `zero_grad`); an example's outputs do not depend on the others of its batch; train
    and evaluation mode agree; a language model's outputs do not depend on later tokens.

    A task without a learner is run whole, with the mini-batch as train part and as scored part.

    Returns:
        `overfit.mini_batch`, `.initial_loss`, `.all_move`, `.gradients`, `.independence`, `.modes`, `.future`.

    Raises:
        UsageError: the data are not whole, or a setting is out of range.
        TaskFailed: the task fails before anything is trained.
    """
    check_settings(settings)
    task = guarded_task(task)
    data = whole_data(task)
    part = mini_batch(data.train, count=settings.examples, seed=settings.seed)
    lines = _Lines(settings, {"mini_batch": digest_of(part)} if len(part) else {})
    learner = task.learner()
    if learner is None:
        return _without_learner(task, data, part, lines, runner)
    if len(part) < 2:
        stopped = {"stopped": f"the train part has {len(part)} examples that can be used; {settings.least} are needed"}
        return [lines.line(name, stopped) for name in _NAMES]
    return _with_learner(_bench(task, learner, part, settings), lines, runner)


class _Lines:
    """Makes the lines: what they have in common."""

    def __init__(self, settings: Settings, inputs: Mapping[str, str]) -> None:
        self.settings = settings
        self.parameters = settings.document()
        self.inputs = inputs

    def line(
        self, what: str, observed: Mapping[str, Any], *, runs: tuple[str, ...] = (), part: Part | None = None
    ) -> Checked:
        name = f"{RULE}.{what}"
        verdict = judge(name, observed, self.parameters)
        shown = part is not None and verdict not in (Verdict.PASS, Verdict.NOT_APPLICABLE)
        return Checked(
            rule=RULE,
            name=name,
            verdict=verdict,
            algorithm=ALGORITHM,
            why=wording.why(name, verdict, observed, self.parameters),
            repair=wording.repair(name, verdict, observed),
            parameters=self.parameters,
            inputs=self.inputs,
            observed=observed,
            examples=_examples(part) if shown and part is not None else (),
            runs=runs,
        )


def _examples(part: Part) -> tuple[Example, ...]:
    return tuple(Example(ids=(str(each),), parts=("train",), says="of the mini-batch") for each in part.ids[:100])


def _without_learner(task: Task, data: Data, part: Part, lines: _Lines, runner: Runner) -> list[Checked]:
    rest = [lines.line(name, {"not_applicable": _NO_LEARNER}) for name in _NAMES[1:]]
    if part.labels is None or part.labels.ndim != 1 or task.kind not in ("classification", "regression"):
        reason = f"{_NO_LEARNER}, and what it predicts is no label that could be learnt by heart"
        return [lines.line("mini_batch", {"not_applicable": reason}), *rest]
    observed, runs = learn_by_predicting(task, data, part, lines.settings, runner)
    return [lines.line("mini_batch", observed, runs=runs, part=part), *rest]


def _bench(task: Task, learner: Learner, part: Part, settings: Settings) -> Bench:
    """With the floor that the learner tells, and what tokens leave open of those that follow."""
    floor, reach = learner.loss_floor, 1.0
    if task.kind == "language" and (known := open_entropy(part)) is not None:
        floor, reach = max(known[0], floor or 0.0), known[1]
    return Bench(learner=learner, kind=task.kind, part=part, settings=settings, floor=floor, reach=reach)


def _with_learner(bench: Bench, lines: _Lines, runner: Runner) -> list[Checked]:
    heart, runs = _mini_batch(bench, runner)
    found: dict[str, dict[str, Any]] = {"mini_batch": heart, "modes": _modes(heart)}
    seen, run = _pieces(bench, runner)
    found |= seen
    _expect(bench, found["initial_loss"])
    evidence = {**dict.fromkeys(_NAMES, run), "mini_batch": runs, "modes": runs}
    return [
        lines.line(name, found[name], runs=evidence[name], part=bench.part if name == "mini_batch" else None)
        for name in _NAMES
    ]


# -- known by heart


def _mini_batch(bench: Bench, runner: Runner) -> tuple[dict[str, Any], tuple[str, ...]]:
    observed = _known(bench)
    runs: list[str] = []
    # With an unknown floor, another rate would tell nothing more.
    for rate in (None, *(bench.settings.rates if bench.floor is not None else ())):
        try:
            outcome = runner(attempt(bench, rate))
        except TaskFailed as error:
            if rate is None:
                return {**observed, "stopped": _told(error)}, ()
            break
        runs += [outcome.run_id] if outcome.run_id else []
        observed["attempts"].append(_attempt_of(outcome, rate))
        observed |= {"numbers": int(outcome.metrics["numbers"]), "off": json.loads(outcome.files["off.json"])}
        if by_heart(observed["attempts"][-1], observed, bench.settings.document()):
            break
    best = wording.best_of(observed)
    observed["curve"] = best["curve"]
    observed["attempts"] = [{key: each[key] for key in each if key != "curve"} for each in observed["attempts"]]
    return observed, tuple(runs)


def _known(bench: Bench) -> dict[str, Any]:
    labelled = bench.part.labels is not None or bench.kind == "language"
    declared = bench.learner.loss_floor is not None
    return {
        "attempts": [],
        "count": len(bench.part),
        "fit_name": "R2" if bench.kind == "regression" else "accuracy",
        "floor": bench.floor,
        "floor_from": "declared" if declared else None if bench.floor is None else "entropy of the mini-batch",
        "kind": bench.kind,
        "labelled": labelled and bench.kind in ("classification", "regression", "language"),
        "labels": None if bench.part.labels is None else _different(bench.part.labels),
        "ids": [str(each) for each in bench.part.ids],
        "reach": bench.reach,
    }


def _different(labels: np.ndarray) -> int:
    return len(np.unique(labels))


def _attempt_of(outcome: Outcome, rate: float | None) -> dict[str, Any]:
    metrics, curve = outcome.metrics, outcome.curves["loss"]
    kept = ("loss", "fit", "loss_eval", "fit_eval", "rate")
    initial = metrics.get("initial", math.nan)
    return {
        "arm": "configured" if rate is None else "adamw",
        "initial": initial if math.isfinite(initial) else None,
        "steps": int(metrics["steps"]),
        "falling": _falling(curve),
        "curve": _thinned(curve),
        **{name: metrics.get(name) for name in kept},
    }


def _falling(curve: list[float]) -> float | None:
    """The median loss of the last fifth of the steps to that of the fifth before it."""
    fifth = len(curve) // 5
    if fifth < 2 or not np.isfinite(curve[-2 * fifth :]).all():
        return None
    last, before = np.median(curve[-fifth:]), np.median(curve[-2 * fifth : -fifth])
    return float(last / before) if before > 0 else None


def _thinned(curve: list[float]) -> list[float | None]:
    places = {int(each) for each in np.linspace(0, len(curve) - 1, _CURVE_POINTS)} if curve else set()
    return [curve[place] if math.isfinite(curve[place]) else None for place in sorted(places)]


def _modes(heart: Mapping[str, Any]) -> dict[str, Any]:
    """Of the training that came farthest: its loss in both modes."""
    if "stopped" in heart:
        return {"stopped": heart["stopped"]}
    best = wording.best_of(heart)
    keys = ("initial", "loss", "loss_eval", "fit", "fit_eval")
    return {"floor": heart["floor"] if heart["floor"] is not None else 0.0, **{key: best.get(key) for key in keys}}


# -- pieces


def _pieces(bench: Bench, runner: Runner) -> tuple[dict[str, dict[str, Any]], tuple[str, ...]]:
    try:
        outcome = runner(looking(bench))
    except TaskFailed as error:
        return {name: {"stopped": _told(error)} for name in _NAMES if name not in ("mini_batch", "modes")}, ()
    found: dict[str, dict[str, Any]] = json.loads(outcome.files[FILE])
    if bench.kind != "language":
        found["future"] = {"not_applicable": "only a language model must not see the tokens that follow"}
    return found, (outcome.run_id,) if outcome.run_id else ()


def _expect(bench: Bench, observed: dict[str, Any]) -> None:
    """Add what the loss of guessing is: ln K where the loss may be taken for cross-entropy."""
    classes = observed.get("classes")
    known = bench.kind == "language" or bench.learner.loss_floor is not None
    if "stopped" not in observed:
        observed["expected"] = math.log(classes) if classes and known and bench.kind in _CROSS_ENTROPY else None


def _told(error: GitreproError) -> str:
    return "; ".join(part for part in (error.what, error.why) if part)
