"""What `Run.checkpoint` adds: values and steps from the journal, provenance, and what is on record afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gitrepro
from gitrepro.errors import GitreproWarning, UsageError
from gitrepro.store import repository as repositories
from gitrepro.store.objects import digest_of
from gitrepro.store.place import store_of
from gitrepro.store.runs import RunTree

ARRAY = {"w": np.arange(6.0)}


@pytest.fixture
def run(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.chdir(repo)
    with warnings.catch_warnings():
        warnings.simplefilter("error", GitreproWarning)
        with gitrepro.record(config={"lr": 0.1}, seed=0) as made:
            yield made


def recorded(repo: Path) -> dict[str, Any]:
    metadata: dict[str, Any] = gitrepro.runs(repo=repo)[0].metadata
    return metadata


def test_the_value_and_the_step_are_those_logged_last(run: Any, repo: Path) -> None:
    run.log({"val/loss": 0.5, "lr": 1}, step=10)
    run.log({"val/loss": 0.25}, step=11)
    run.log({"train/loss": 9.0}, step=12)
    run.checkpoint(model=ARRAY, metric=("val/loss", "min"))
    run.finish()

    [entry] = recorded(repo)["checkpoints"]
    assert (entry["step"], entry["metric"]["value"], entry["roles"]) == (12, 0.25, ["best", "last"])


def test_a_value_that_still_lies_on_a_device_is_waited_for(run: Any, repo: Path) -> None:
    class OnDevice:
        """A stand-in for a CUDA tensor: `log` must not read it in the caller's thread."""

        device = type("Device", (), {"type": "cuda"})()
        shape = ()

        def detach(self) -> OnDevice:
            return self

        clone = detach

        def item(self) -> float:
            return 0.125

    run.log({"val/loss": OnDevice()}, step=3)
    run.checkpoint(model=ARRAY, metric=("val/loss", "min"))
    run.finish()

    assert recorded(repo)["checkpoints"][0]["metric"]["value"] == 0.125


def test_a_checkpoint_knows_its_run_code_config_and_metrics(run: Any, repo: Path) -> None:
    run.log({"val/loss": 0.5}, step=1)
    run.checkpoint(model=ARRAY, extra={"epoch": 3})
    run.finish()

    record, found = recorded(repo), gitrepro.load_checkpoint(run.id)
    known = found.provenance
    assert (known["run"], known["run_name"], known["step"]) == (run.id, run.name, 1)
    assert (known["commit"], known["tree"], known["dirty"]) == tuple(
        record["code"][name] for name in ("commit", "tree", "dirty")
    )
    assert known["config"] == record["recorder"]["start_config"]
    assert (found.metrics, found.extra) == ({"val/loss": 0.5}, {"epoch": 3})
    assert known["weights"] == record["checkpoints"][0]["weights"]
    assert record["checkpoints"][0]["provenance"] == {name: known[name] for name in ("run", "commit", "tree", "config")}
    assert known["rng"] == sorted(found.state["rng"])


def test_the_bytes_in_the_store_have_the_hash_on_record(run: Any, repo: Path) -> None:
    run.checkpoint(model={"w": np.ones(300_000)})
    run.finish()

    blob = recorded(repo)["checkpoints"][0]["blob"]
    assert digest_of([store_of(repositories.find(repo, {})).get(blob)]) == blob


def test_choosing_by_a_training_metric_warns_and_is_on_record(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    with gitrepro.record() as run, pytest.warns(GitreproWarning, match="Choose by a validation metric"):
        run.log({"train/loss": 0.5})
        run.checkpoint(model=ARRAY, metric=("train/loss", "min"))

    assert recorded(repo)["checkpoints"][0]["metric"]["part"] == "train"


def test_an_unknown_metric_warns_and_it_is_the_last_only(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    with gitrepro.record() as run, pytest.warns(GitreproWarning, match="'val/los' has no value yet"):
        run.log({"val/loss": 0.5})
        run.checkpoint(model=ARRAY, metric=("val/los", "min"))

    assert recorded(repo)["checkpoints"][0]["roles"] == ["last"]


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gitrepro.store.objects import BlobStore

    def full(_store: BlobStore, _data: bytes) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.chdir(repo)
    with pytest.warns(GitreproWarning, match="step 4 is not saved: .*No space left"), gitrepro.record() as run:
        with monkeypatch.context() as patch:
            patch.setattr(BlobStore, "put", full)
            run.checkpoint(model=ARRAY, step=4)
            run._checkpointing.wait()
        run.checkpoint(model=ARRAY, step=5)

    record = recorded(repo)
    assert record["status"] == "incomplete"
    assert [loss["what"] for loss in record["losses"]] == ["the checkpoint of step 4"]
    assert [entry["step"] for entry in record["checkpoints"]] == [5]


@pytest.mark.parametrize(
    "wrong", [{"model": None}, {"metric": "x"}, {"every_steps": 0}, {"path": "x", "model": ARRAY}, {"path": "gone"}]
)
def test_a_wrong_argument_is_told_where_it_was_given(wrong: dict[str, Any], run: Any) -> None:
    with pytest.raises(UsageError):
        run.checkpoint(**{"model": None if "path" in wrong else ARRAY, **wrong})


def test_steps_go_on_where_the_earlier_attempt_stopped(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    with gitrepro.record() as first:
        first.log({"val/loss": 1.0}, step=40)
    with gitrepro.record(resume=first.id) as second:
        second.checkpoint(model=ARRAY)

    assert recorded(repo)["checkpoints"][0]["step"] == 40


def test_of_too_many_checkpoints_the_oldest_go_and_that_is_said(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gitrepro.checkpoints import keep, saving

    for module in (keep, saving):
        monkeypatch.setattr(module, "KEPT_AT_MOST", 6)
    monkeypatch.chdir(repo)
    with pytest.warns(GitreproWarning, match="at most 6 checkpoints"), gitrepro.record() as run:
        for step in range(10):
            run.checkpoint(model={"w": np.full(3, step)}, rng=False, every_steps=1, step=step)

    found = repositories.find(repo, {})
    with RunTree(found) as tree:
        kept = tree.run(run.id).checkpoints
    assert [entry["step"] for entry in kept] == [5, 6, 7, 8, 9]
