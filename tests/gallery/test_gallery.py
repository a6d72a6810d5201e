"""A tenth of the gallery: two seeds of each; `make torture` has twenty, `python -m tests.gallery` the table."""

from __future__ import annotations

import numpy as np
import pytest

from gitrepro.checks.task import check_data
from tests.gallery.__main__ import interval, table
from tests.gallery.experiment import Experiment
from tests.gallery.registry import FAMILIES, RULES, judged, rule_of

SEEDS = (0, 1)
EVERY = [each for experiments in FAMILIES.values() for each in experiments]
SOUND = [each for each in EVERY if not each.broken]
CAUGHT = [each for each in EVERY if each.line]
MISSED = [each for each in EVERY if each.missed]


def named(each: object) -> str:
    return each.name if isinstance(each, Experiment) else str(each)


@pytest.mark.parametrize("experiment", CAUGHT, ids=named)
def test_a_broken_experiment_is_caught_by_its_line(experiment: Experiment) -> None:
    for seed in SEEDS:
        said = judged(experiment, seed)
        assert said.outcome == "caught", f"seed {seed}: {said.lines}"


@pytest.mark.parametrize("experiment", SOUND, ids=named)
def test_a_sound_experiment_is_not_failed(experiment: Experiment) -> None:
    # Trainings cost most, so the second seed is for the checks that need few.
    for seed, rules in zip(SEEDS, (RULES, ("data",)), strict=True):
        said = judged(experiment, seed, rules=rules)
        assert said.outcome == "not failed", f"seed {seed}: {said.lines}"


def test_the_gallery_has_at_least_forty_experiments_half_of_them_sound() -> None:
    assert len(SOUND) >= 20
    assert len(CAUGHT) >= 20
    assert len({each.name for each in EVERY}) == len(EVERY)


@pytest.mark.parametrize("experiment", EVERY, ids=named)
def test_an_experiment_says_what_is_wrong_with_it_or_nothing(experiment: Experiment) -> None:
    assert bool(experiment.broken) == bool(experiment.line or experiment.missed)
    assert not (experiment.line and experiment.missed)
    if experiment.line:
        assert rule_of(experiment.line) in RULES
        assert experiment.verdict in ("FAIL", "WARN")


@pytest.mark.parametrize("experiment", MISSED, ids=named)
def test_what_nothing_finds_is_whole_all_the_same(experiment: Experiment) -> None:
    task = experiment.make(0)
    data = check_data(task.data(), source=experiment.name)
    found = task.predict(data, seed=0, share=1.0)
    assert list(found.ids) == list(data.judged.ids)
    assert np.isfinite(task.metric.function(data.judged.labels, found.values))  # type: ignore[arg-type]


# -- the table


def test_the_table_counts_what_the_torture_has_counted() -> None:
    sound, broken = SOUND[0].name, CAUGHT[0].name
    facts = {f"{sound}: not failed": 20, f"{broken}: caught": 18, f"{broken}: missed": 1, f"{broken}: undecided": 1}
    lines = list(table({"gallery, tables": {"facts": {**facts, "broken: undecided": 1}}}))
    assert f"| {broken} | {CAUGHT[0].broken} | `{CAUGHT[0].line}` | 18 | 1 | 1 | 68% |" in lines
    assert f"| {sound} | 20 | 0 | 0 | 17% |" in lines
    assert lines[-2].startswith("Broken: 18 of 20 caught [68.3%, 98.8%], 1 undecided")
    assert lines[-1].startswith("Sound: 0 of 20 failed [0.0%, 16.8%]")


def test_an_interval_of_a_share_is_that_of_clopper_and_pearson() -> None:
    # Values of R's binom.test(x, 20).
    assert interval(0, 20) == pytest.approx((0.0, 0.1684335), abs=1e-6)
    assert interval(20, 20) == pytest.approx((0.8315665, 1.0), abs=1e-6)
    assert interval(7, 20) == pytest.approx((0.1539092, 0.5921885), abs=1e-6)
    assert interval(0, 0) == (0.0, 1.0)
