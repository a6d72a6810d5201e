"""Searches with Optuna: a run for each trial, fair pruning, and what is on record of both."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

optuna = pytest.importorskip("optuna")

import gitrepro  # noqa: E402
from gitrepro.errors import GitreproWarning, UsageError  # noqa: E402
from gitrepro.integrations.optuna import FairPruner, recorded  # noqa: E402
from tests.integrations.conftest import Known, known  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Always(optuna.pruners.BasePruner):  # type: ignore[misc]
    """Gives up everything as soon as it is asked."""

    def prune(self, study: Any, trial: Any) -> bool:
        return True


@pytest.fixture
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo)
    return repo


def search(objective: Any, *, trials: int = 3, pruner: Any = None, catch: Any = (), **options: Any) -> Any:
    study = optuna.create_study(
        study_name="s", direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0),
        pruner=pruner or optuna.pruners.NopPruner(),
    )  # fmt: skip
    study.optimize(recorded(objective, metric="val/accuracy", **options), n_trials=trials, catch=catch)
    return study


def climbing(trial: Any, run: gitrepro.Run) -> float:
    """Ten reports; the trials with an odd number are given up where the pruner says so."""
    x = trial.suggest_float("x", 0, 1)
    for step in range(10):
        trial.report(x * step, step)
        if trial.number % 2 and trial.should_prune():
            raise optuna.TrialPruned
    return float(x * 9)


def by_number(repo: Path) -> list[Known]:
    return sorted(known(repo), key=lambda each: str(each.record["note"]))


def test_each_trial_is_a_run_with_its_parameters_reports_and_value(here: Path) -> None:
    study = search(climbing, seed=0)
    found = by_number(here)

    assert [(each.record["group"], each.record["labels"], each.record["status"]) for each in found] == [
        ("s", ["trial"], "finished")
    ] * 3
    for trial, each in zip(study.trials, found, strict=True):
        assert each.config == trial.params
        assert each.curve("val/accuracy") == [(step, trial.params["x"] * step) for step in range(10)]
        assert each.record["summary"]["val/accuracy"] == trial.value
        assert each.record["metrics"]["val/accuracy"]["goal"] == "max"
        assert each.record["seeds"]["requested"] == 0


def test_a_trial_that_is_given_up_is_counted_and_marked(here: Path) -> None:
    study = search(climbing, trials=4, pruner=FairPruner(Always(), budget_steps=40))
    found = by_number(here)

    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "COMPLETE", "PRUNED"]
    assert [each.record["status"] for each in found] == ["finished", "pruned", "finished", "pruned"]
    assert found[1].record["reason"] == {
        "kind": "pruned", "message": "given up at step 4 by Always, not before step 4 of 40"
    }  # fmt: skip
    assert len(found[1].rows) == 5


def test_a_trial_that_was_given_up_is_in_no_seed_set_of_what_finished(here: Path) -> None:
    from gitrepro.records.seedset import seed_set

    search(climbing, trials=2, pruner=FairPruner(Always(), budget_steps=10), seed=0)
    listings = [run.listing for run in gitrepro.runs(repo=here)]
    made = seed_set("k", listings)

    assert sorted(listing["status"] for listing in listings) == ["finished", "pruned"]
    assert made.unfinished == tuple(each["id"] for each in listings if each["status"] == "pruned")
    assert len(made.draws) == 1


@given(budget=st.integers(1, 10_000), warmup=st.integers(0, 10_000), step=st.integers(0, 20_000))
def test_no_trial_is_given_up_before_a_tenth_of_its_budget_or_its_warm_up(budget: int, warmup: int, step: int) -> None:
    pruner = FairPruner(Always(), budget_steps=budget, lr_warmup_steps=warmup)
    trial = optuna.trial.create_trial(value=0.0, intermediate_values={step: 0.0})

    assert pruner.prune(None, trial) == (step >= max(math.ceil(budget / 10), warmup))  # type: ignore[arg-type]


def test_a_trial_that_has_reported_nothing_is_not_given_up() -> None:
    trial = optuna.trial.create_trial(value=0.0)

    assert not FairPruner(Always(), budget_steps=1).prune(None, trial)  # type: ignore[arg-type]


@pytest.mark.parametrize(("budget", "warmup"), [(0, 0), (-3, 0), (10, -1)])
def test_a_budget_that_cannot_be_is_refused(budget: int, warmup: int) -> None:
    with pytest.raises(UsageError, match="budget"):
        FairPruner(Always(), budget_steps=budget, lr_warmup_steps=warmup)


def test_a_pruner_without_a_floor_is_warned_of_once(here: Path) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        search(climbing, trials=2, pruner=optuna.pruners.MedianPruner())
    told = [str(each.message) for each in seen if issubclass(each.category, GitreproWarning)]

    assert len(told) == 1 and told[0].startswith("MedianPruner may give a trial up at its first step")


def test_a_trial_that_fails_is_a_failed_run_and_the_search_goes_on(here: Path) -> None:
    def broken(trial: Any, run: gitrepro.Run) -> float:
        if trial.number == 0:
            raise ValueError("no such layer")
        return 1.0

    search(broken, trials=2, catch=(ValueError,))

    assert [each.record["status"] for each in by_number(here)] == ["failed", "finished"]


def test_under_the_command_the_run_of_the_command_is_that_of_the_search(here: Path, tmp_path: Path) -> None:
    script = tmp_path / "search.py"
    script.write_text(
        "import optuna\n"
        "from gitrepro.integrations.optuna import recorded\n"
        "study = optuna.create_study(study_name='s', pruner=optuna.pruners.NopPruner())\n"
        "study.optimize(recorded(lambda trial, run: trial.suggest_float('x', 0, 1)), n_trials=2)\n"
    )
    argv = [sys.executable, "-m", "gitrepro", "record", "--", sys.executable, str(script)]
    done = subprocess.run(argv, cwd=here, env={**os.environ}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = [each for each in known(here) if "trial" not in each.record["labels"]]

    assert len(known(here)) == 3
    assert [len(each.rows) for each in found] == [2]
    assert json.loads(json.dumps(found[0].record["summary"]))["trials/finished"] == 2
