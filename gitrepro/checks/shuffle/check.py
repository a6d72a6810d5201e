"""The check: the same experiment with labels at random, and with inputs that tell nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from ...records.result import Verdict
from ...records.sanity import Checked, Example
from ..baseline.digests import digests_of
from ..guarded import whole_data
from ..task import Data, Task
from ..trials import Runner
from . import wording
from .arms import Drawn, Real, observed_of, real_arm, run_arm, unmoved_shares
from .bench import Bench, Stopped
from .blind import Place, blinded, places_of
from .contents import units_of
from .relabel import relabelled
from .settings import Settings, check_settings
from .twins import twins
from .verdict import ALGORITHM, judge, leak_of

RULE: Final = "shuffle"
_SHOWN: Final = 20
Examples = tuple[Example, ...]
_ARMS: Final[tuple[wording.Arm, ...]] = ("labels", "inputs")


def check_shuffle(
    task: Task, settings: Settings, runner: Runner, *, say: Callable[[str], None] | None = None
) -> list[Checked]:
    """Whether the experiment falls to chance when there is nothing to learn, and how much of its gain may be leaked.

    Labels are drawn anew where the data enter, before anything is done to them, for each content and each group once:
    so what sees labels of the scored part (features chosen on all data, encodings, duplicates) keeps its advantage.
    Shuffling in the train loader alone does not show that. Then inputs are dealt out anew, so that only ids, times,
    order and what stands beside the inputs can tell a label. Both against the distribution of the same predictions
    with labels dealt out anew (Ojala and Garriga 2010, "Permutation tests for studying classifier performance").

    By default each training gets a small share of the examples and of the budget, and the task is run once in the same
    way, for the gain that a leak is a share of. How much is counted from the data and the model, and not timed, so that
    a slow or a busy machine comes to the same verdict. What uses no labels, such as scaling on all data, is not seen.

    Args:
        say: called once the first training has told how long one takes, where the others will take a minute or more.

    Returns:
        `shuffle.labels` and `shuffle.inputs`.

    Raises:
        UsageError: the data are not whole, or a setting is out of range.
        TaskFailed: the task could not make its data. What the runner raises when the task fails comes through.
    """
    check_settings(settings)
    if reason := _not_applicable(task):
        return [_bare(arm, settings, Verdict.NOT_APPLICABLE, reason) for arm in _ARMS]
    whole = whole_data(task)
    if whole.train.labels is None or whole.judged.labels is None:
        return [_bare(arm, settings, Verdict.NOT_APPLICABLE, _UNLABELLED) for arm in _ARMS]
    digests = dict(digests_of(whole))
    try:
        _check_labels(whole)
        bench = Bench(task, whole, units_of(whole), settings, runner)
        places = places_of(whole, settings.places)
        real = real_arm(bench)
    except Stopped as error:
        return [_stopped(arm, settings, digests, error) for arm in _ARMS]
    if say is not None and (said := wording.outlook(2 * settings.draws, bench.seconds)):
        say(said)
    return [_labels(bench, real, digests), _inputs(bench, real, places, digests)]


_UNLABELLED: Final = "the examples have no labels that could be drawn anew: what is predicted is in the inputs"


def _not_applicable(task: Task) -> str:
    if task.kind == "self-supervised":
        return "a self-supervised task has no labels: it takes what it predicts from its inputs"
    if task.kind == "reinforcement":
        return "a reinforcement task has no labels: it makes its examples by acting"
    return ""


def _check_labels(data: Data) -> None:
    """Raises:
    Stopped: labels are missing, of several types, or all alike.
    """
    for name in ("train", data.scored):
        labels = np.asarray(data.parts[name].labels)
        if labels.dtype.kind == "f" and not np.isfinite(labels).all():
            raise Stopped(
                f"labels of the part {name!r} are NaN or infinite", do="leave such examples out, or mend them"
            )
        try:
            kinds = len(np.unique(labels, axis=0)) if labels.dtype != object else len(set(labels.tolist()))
            np.sort(labels, axis=0)
        except TypeError:
            raise Stopped(
                f"the labels of the part {name!r} are of several types", do="make them all text, or all whole"
            ) from None
        if kinds < 2:
            raise Stopped(f"all labels of the part {name!r} are alike: there is nothing to tell apart")


def _labels(bench: Bench, real: Real, digests: Mapping[str, str]) -> Checked:
    def make(draw: int) -> Data:
        return relabelled(bench.data, bench.units, seed=bench.settings.seed + draw)

    try:
        arm = run_arm(bench, real, Drawn(name="labels", make=make, by_unit=True), arms_left=2)
    except Stopped as error:
        return _stopped("labels", bench.settings, digests, error)
    pairs = twins(bench.data, bench.units)
    observed = {
        **observed_of(bench, real, arm, units=len(np.unique(arm.trials[0].units))),
        "grouped": bench.units.grouped,
        "keyed_by": bench.units.keyed_by,
        "twins": len(pairs),
        "unmoved": unmoved_shares(arm.trials, real, arm.chance),
    }
    return _line("labels", bench, observed, digests, examples=tuple(pairs[:_SHOWN]))


def _inputs(bench: Bench, real: Real, places: Sequence[Place], digests: Mapping[str, str]) -> Checked:
    def make(draw: int) -> Data:
        return blinded(bench.data, seed=bench.settings.seed + draw, keep={each.column for each in places})

    def make_all(draw: int) -> Data:
        return blinded(bench.data, seed=bench.settings.seed + draw)

    try:
        arm = run_arm(bench, real, Drawn(name="inputs", make=make, by_unit=False), arms_left=1)
        outside = arm
        if places and arm.p_again is not None:
            outside = run_arm(bench, real, Drawn(name="inputs-all", make=make_all, by_unit=False), arms_left=1)
    except Stopped as error:
        return _stopped("inputs", bench.settings, digests, error)
    observed = {
        **observed_of(bench, real, arm, units=len(arm.trials[0].units)),
        "iid": bench.data.iid,
        "kept": [each.name for each in places],
        "kept_because": [each.says for each in places],
        "kept_surely": any(each.sure for each in places),
        "outside": outside.chance.p < bench.settings.warn_below,
    }
    return _line("inputs", bench, observed, digests)


def _line(
    arm: wording.Arm, bench: Bench, observed: dict[str, Any], digests: Mapping[str, str], examples: Examples = ()
) -> Checked:
    parameters = bench.settings.document()
    leak = leak_of(observed)
    observed |= {"leaked": leak.share, "leaked_at_most": leak.at_most, "seen_from": leak.seen_from}
    verdict = judge(observed, parameters)
    return Checked(
        rule=RULE,
        name=f"{RULE}.{arm}",
        verdict=verdict,
        algorithm=ALGORITHM,
        why=wording.why(arm, verdict, observed, parameters),
        repair=wording.repair(arm, verdict, observed, parameters),
        parameters=parameters,
        inputs=digests,
        observed=observed,
        examples=() if verdict is Verdict.PASS else examples,
        runs=bench.runs_of(["real", arm, f"{arm}-all"]),
    )


def _stopped(arm: wording.Arm, settings: Settings, digests: Mapping[str, str], error: Stopped) -> Checked:
    said = "; ".join(part for part in (error.what, error.why) if part)
    return _bare(arm, settings, Verdict.INCONCLUSIVE, said, repair=error.do, inputs=digests)


def _bare(
    arm: wording.Arm, settings: Settings, verdict: Verdict, why: str, *, repair: str = "",
    inputs: Mapping[str, str] | None = None,
) -> Checked:  # fmt: skip
    """A line of a check that has compared nothing."""
    return Checked(
        rule=RULE,
        name=f"{RULE}.{arm}",
        verdict=verdict,
        algorithm=ALGORITHM,
        why=why,
        repair=repair,
        parameters=settings.document(),
        inputs=inputs or {},
        observed={"stopped": why} if verdict is Verdict.INCONCLUSIVE else {},
    )
