"""LightGBM: rows, settings, models and rules, from trainings of a few trees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lightgbm")
pytest.importorskip("sklearn")

import lightgbm
from sklearn.datasets import load_breast_cancer

import gitrepro
from gitrepro import EarlyStopping
from gitrepro.errors import UsageError
from gitrepro.integrations.lightgbm import GitreproCallback
from gitrepro.store.objects import BlobStore
from tests.integrations.conftest import known

PARAMS = {"objective": "binary", "learning_rate": 0.5, "num_leaves": 4, "num_threads": 1, "seed": 0, "verbosity": -1}
LOSS = ("val/binary_logloss", "min")


@pytest.fixture
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo)
    return repo


def fit(*callbacks: Any, rounds: int = 4, **more: Any) -> tuple[lightgbm.Booster, dict[str, Any]]:
    x, y = load_breast_cancer(return_X_y=True)
    train, seen = lightgbm.Dataset(x[::2], y[::2]), dict[str, Any]()
    val = lightgbm.Dataset(x[1::2], y[1::2], reference=train)
    made = lightgbm.train({**PARAMS, **more}, train, rounds, valid_sets=[train, val], valid_names=["train", "val"],
                          callbacks=[lightgbm.record_evaluation(seen), *callbacks])  # fmt: skip
    return made, seen


def artifacts(repo: Path) -> set[str]:
    return {each["name"] for each in known(repo)[0].record.get("artifacts", [])}


def test_each_iteration_is_a_row_with_what_lightgbm_reports(here: Path) -> None:
    with gitrepro.record():
        _, seen = fit(GitreproCallback())
    [found] = known(here)

    assert found.curve("train/binary_logloss") == list(enumerate(seen["train"]["binary_logloss"]))
    assert found.curve("val/binary_logloss") == list(enumerate(seen["val"]["binary_logloss"]))


def test_settings_in_force_are_the_config_with_the_defaults(here: Path) -> None:
    with gitrepro.record():
        fit(GitreproCallback())
    [found] = known(here)

    assert (found.config["num_leaves"], found.config["learning_rate"], found.config["min_data_in_leaf"]) == (4, 0.5, 20)
    assert found.config["objective"] == "binary"


def test_the_best_and_the_last_model_are_artifacts(here: Path) -> None:
    with gitrepro.record() as run:
        fit(GitreproCallback(run=run, metric=LOSS))

    assert artifacts(here) == {"models/best.txt", "models/last.txt"}


def test_the_best_model_has_the_iterations_up_to_its_best_and_the_last_has_all(here: Path) -> None:
    with gitrepro.record():
        _, seen = fit(GitreproCallback(metric=LOSS), rounds=25, learning_rate=1.0)
    store, losses = BlobStore(here / ".git" / "gitrepro" / "store"), seen["val"]["binary_logloss"]
    blobs = {each["name"]: each["blob"] for each in known(here)[0].record["artifacts"]}
    best, last = (
        lightgbm.Booster(model_str=store.get(blob).decode())
        for blob in (blobs["models/best.txt"], blobs["models/last.txt"])
    )

    assert best.current_iteration() == losses.index(min(losses)) + 1 < last.current_iteration() == 25


def test_without_a_metric_only_the_last_model_is_kept(here: Path) -> None:
    with gitrepro.record():
        fit(GitreproCallback())

    assert artifacts(here) == {"models/last.txt"}


def test_no_best_model_is_kept_where_later_iterations_change_the_earlier(here: Path) -> None:
    with gitrepro.record(), pytest.warns(match="first iterations of dart"):
        fit(GitreproCallback(metric=LOSS), boosting="dart")

    assert artifacts(here) == {"models/last.txt"}


def test_a_rule_stops_the_training_and_the_record_says_why(here: Path) -> None:
    with gitrepro.record():
        made, _ = fit(
            GitreproCallback(EarlyStopping("val/binary_logloss", patience=2, min_delta=10.0), metric=LOSS), rounds=30
        )
    [found] = known(here)

    assert len(found.rows) == 3 >= made.current_iteration()
    assert found.record["stopping"]["reason"]["rule"] == "EarlyStopping"


def test_the_iteration_at_which_early_stopping_ends_is_recorded_and_what_it_leaves_is_kept_when_told(
    here: Path,
) -> None:
    early = lightgbm.early_stopping(1, min_delta=10.0, verbose=False)
    callback = GitreproCallback(metric=LOSS)
    with gitrepro.record():
        made, _ = fit(early, callback, rounds=30)
        callback.keep(made)

    assert (len(known(here)[0].rows), made.current_iteration()) == (2, 1)
    assert artifacts(here) == {"models/best.txt"}


def test_what_a_rule_stops_predicts_with_its_best_iteration(here: Path) -> None:
    with gitrepro.record():
        made, seen = fit(GitreproCallback(EarlyStopping(LOSS[0], patience=2, min_delta=10.0), metric=LOSS), rounds=30)
    losses = seen["val"]["binary_logloss"]

    assert made.best_iteration == losses.index(min(losses)) + 1
    assert made.best_score["val"]["binary_logloss"] == min(losses)


def test_cross_validation_has_means_and_spreads(here: Path) -> None:
    x, y = load_breast_cancer(return_X_y=True)
    with gitrepro.record():
        table = lightgbm.cv(PARAMS, lightgbm.Dataset(x, y), 2, nfold=2, callbacks=[GitreproCallback()])
    [found] = known(here)

    assert [value for _, value in found.curve("valid/binary_logloss")] == table["valid binary_logloss-mean"]
    assert [value for _, value in found.curve("valid/binary_logloss_std")] == table["valid binary_logloss-stdv"]
    assert artifacts(here) == set()


def test_without_a_run_it_is_a_clear_error(here: Path) -> None:
    with pytest.raises(UsageError, match="GitreproCallback has no run"):
        fit(GitreproCallback())


@pytest.mark.parametrize("inside", [False, True])
def test_with_gitrepro_disabled_the_training_goes_on(here: Path, monkeypatch: Any, inside: bool) -> None:
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    run = gitrepro.record() if inside else None
    made, _ = fit(GitreproCallback(EarlyStopping("val/binary_logloss"), run=run, metric=LOSS))
    if run is not None:
        run.finish()

    assert made.current_iteration() == 4
    assert not (here / ".git" / "gitrepro").exists()
