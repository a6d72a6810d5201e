"""Keras on torch: epochs, settings, weights and rules, from a small net."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
for library in ("torch", "sklearn", "keras"):
    pytest.importorskip(library)

import keras  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402

import gitrepro  # noqa: E402
from gitrepro import EarlyStopping  # noqa: E402
from gitrepro.errors import UsageError  # noqa: E402
from gitrepro.integrations.keras import GitreproCallback  # noqa: E402
from tests.integrations.conftest import known  # noqa: E402


@pytest.fixture
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo)
    return repo


def fit(*callbacks: Any, epochs: int = 2) -> dict[str, list[float]]:
    x, y = load_iris(return_X_y=True)
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(keras.optimizers.SGD(0.25), "sparse_categorical_crossentropy", metrics=["accuracy"])
    val = (x[1::2], y[1::2])
    seen = model.fit(x[::2], y[::2], 25, epochs, verbose=0, validation_data=val, callbacks=list(callbacks))
    return dict(seen.history)


def artifacts(repo: Path) -> set[str]:
    return {each["name"] for each in known(repo)[0].record.get("artifacts", [])}


def test_each_epoch_is_a_row_with_what_keras_reports(here: Path) -> None:
    with gitrepro.record():
        history = fit(GitreproCallback())
    [found] = known(here)

    assert found.curve("train/loss") == list(enumerate(history["loss"]))
    assert found.curve("val/accuracy") == list(enumerate(history["val_accuracy"]))


def test_the_settings_of_the_optimizer_are_the_config_with_the_defaults(here: Path) -> None:
    with gitrepro.record():
        fit(GitreproCallback())
    [found] = known(here)

    optimizer = found.config["optimizer"]
    assert (optimizer["type"], optimizer["learning_rate"], optimizer["momentum"]) == ("SGD", 0.25, 0.0)
    assert (found.config["epochs"], found.config["loss"]) == (2, "sparse_categorical_crossentropy")


def test_the_best_and_the_last_weights_are_artifacts(here: Path) -> None:
    with gitrepro.record() as run:
        fit(GitreproCallback(run=run))

    assert artifacts(here) == {"models/best.weights.h5", "models/last.weights.h5"}


def test_without_a_metric_only_the_last_weights_are_kept(here: Path) -> None:
    with gitrepro.record():
        fit(GitreproCallback(metric=None))

    assert artifacts(here) == {"models/last.weights.h5"}


def test_a_rule_stops_the_training_and_the_record_says_why(here: Path) -> None:
    with gitrepro.record():
        history = fit(GitreproCallback(EarlyStopping("val/loss", patience=2, min_delta=10.0)), epochs=30)
    [found] = known(here)

    assert len(found.rows) == len(history["loss"]) < 30
    assert found.record["stopping"]["reason"]["rule"] == "EarlyStopping"


def test_without_a_run_it_is_a_clear_error(here: Path) -> None:
    with pytest.raises(UsageError, match="GitreproCallback has no run"):
        fit(GitreproCallback())


def test_a_metric_that_is_no_pair_is_a_clear_error(here: Path) -> None:
    with gitrepro.record(), pytest.raises(UsageError, match="nothing to be best by"):
        fit(GitreproCallback(metric="val/loss"))  # type: ignore[arg-type]


@pytest.mark.parametrize("inside", [False, True])
def test_with_gitrepro_disabled_the_training_goes_on(here: Path, monkeypatch: Any, inside: bool) -> None:
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    run = gitrepro.record() if inside else None
    history = fit(GitreproCallback(EarlyStopping("val/loss"), run=run))
    if run is not None:
        run.finish()

    assert len(history["loss"]) == 2
    assert not (here / ".git" / "gitrepro").exists()
