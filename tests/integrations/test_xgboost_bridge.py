"""XGBoost: rows, settings, models and rules, from trainings of a few trees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("xgboost")
pytest.importorskip("sklearn")

import xgboost
from sklearn.datasets import load_breast_cancer

import gitrepro
from gitrepro import EarlyStopping
from gitrepro.errors import UsageError
from gitrepro.integrations.xgboost import GitreproCallback
from gitrepro.store.objects import BlobStore
from tests.integrations.conftest import known

PARAMS = {"objective": "binary:logistic", "eta": 0.5, "max_depth": 2, "nthread": 1, "seed": 0}
LOSS = ("val/logloss", "min")


@pytest.fixture
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo)
    return repo


def fit(*callbacks: Any, rounds: int = 4, **more: Any) -> tuple[xgboost.Booster, dict[str, Any]]:
    x, y = load_breast_cancer(return_X_y=True)
    train, val = xgboost.DMatrix(x[::2], y[::2]), xgboost.DMatrix(x[1::2], y[1::2])
    seen: dict[str, Any] = {}
    evals = [(train, "train"), (val, "val")]
    made = xgboost.train({**PARAMS, **more}, train, rounds, evals=evals, evals_result=seen, verbose_eval=False,
                         callbacks=list(callbacks))  # fmt: skip
    return made, seen


def artifacts(repo: Path) -> set[str]:
    return {each["name"] for each in known(repo)[0].record.get("artifacts", [])}


def test_each_iteration_is_a_row_with_what_xgboost_reports(here: Path) -> None:
    with gitrepro.record():
        _, seen = fit(GitreproCallback())
    [found] = known(here)

    assert found.curve("train/logloss") == list(enumerate(seen["train"]["logloss"]))
    assert found.curve("val/logloss") == list(enumerate(seen["val"]["logloss"]))


def test_settings_in_force_are_the_config_with_the_defaults(here: Path) -> None:
    with gitrepro.record():
        fit(GitreproCallback())
    [found] = known(here)

    assert (found.config["max_depth"], found.config["eta"], found.config["min_child_weight"]) == (2, 0.5, 1)
    assert found.config["objective"] == "binary:logistic"


def test_the_best_and_the_last_model_are_artifacts(here: Path) -> None:
    with gitrepro.record() as run:
        fit(GitreproCallback(run=run, metric=LOSS))

    assert artifacts(here) == {"models/best.ubj", "models/last.ubj"}


def test_the_best_model_has_the_iterations_up_to_its_best_and_the_last_has_all(here: Path) -> None:
    with gitrepro.record():
        _, seen = fit(GitreproCallback(metric=LOSS), rounds=25, eta=1.0)
    store, losses = BlobStore(here / ".git" / "gitrepro" / "store"), seen["val"]["logloss"]
    blobs = {each["name"]: each["blob"] for each in known(here)[0].record["artifacts"]}
    best, last = (
        xgboost.Booster(model_file=bytearray(store.get(blob)))
        for blob in (blobs["models/best.ubj"], blobs["models/last.ubj"])
    )

    assert best.num_boosted_rounds() == losses.index(min(losses)) + 1 < last.num_boosted_rounds() == 25


def test_without_a_metric_only_the_last_model_is_kept(here: Path) -> None:
    with gitrepro.record():
        fit(GitreproCallback())

    assert artifacts(here) == {"models/last.ubj"}


def test_no_best_model_is_kept_where_later_iterations_change_the_earlier(here: Path) -> None:
    with gitrepro.record(), pytest.warns(match="first iterations of dart"):
        fit(GitreproCallback(metric=LOSS), booster="dart")

    assert artifacts(here) == {"models/last.ubj"}


def test_a_rule_stops_the_training_and_the_record_says_why(here: Path) -> None:
    with gitrepro.record():
        made, _ = fit(
            GitreproCallback(EarlyStopping("val/logloss", patience=2, min_delta=10.0), metric=LOSS), rounds=30
        )
    [found] = known(here)

    assert len(found.rows) == made.num_boosted_rounds() < 30
    assert found.record["stopping"]["reason"]["rule"] == "EarlyStopping"


def test_the_iteration_at_which_another_callback_stops_is_recorded_too(here: Path) -> None:
    early = xgboost.callback.EarlyStopping(rounds=1, min_delta=10.0)
    with gitrepro.record():
        made, _ = fit(early, GitreproCallback(), rounds=30)

    assert len(known(here)[0].rows) == made.num_boosted_rounds() == 2


def test_cross_validation_has_means_and_spreads(here: Path) -> None:
    x, y = load_breast_cancer(return_X_y=True)
    with gitrepro.record():
        table = xgboost.cv(PARAMS, xgboost.DMatrix(x, y), 2, nfold=2, callbacks=[GitreproCallback()], as_pandas=False)
    [found] = known(here)

    assert [value for _, value in found.curve("test/logloss")] == table["test-logloss-mean"]
    assert [value for _, value in found.curve("test/logloss_std")] == table["test-logloss-std"]
    assert artifacts(here) == set()


def test_without_a_run_it_is_a_clear_error(here: Path) -> None:
    with pytest.raises(UsageError, match="GitreproCallback has no run"):
        fit(GitreproCallback())


@pytest.mark.parametrize("inside", [False, True])
def test_with_gitrepro_disabled_the_training_goes_on(here: Path, monkeypatch: Any, inside: bool) -> None:
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    run = gitrepro.record() if inside else None
    made, _ = fit(GitreproCallback(EarlyStopping("val/logloss"), run=run, metric=LOSS))
    if run is not None:
        run.finish()

    assert made.num_boosted_rounds() == 4
    assert not (here / ".git" / "gitrepro").exists()
