"""A training that is killed goes on from its last checkpoint and ends with the very weights it would have had."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..warm import Warm

if TYPE_CHECKING:
    from ..conftest import Cli

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

EXAMPLE = Path(__file__).parents[2] / "examples" / "resume.py"
EPOCHS = 10
STEPS_AN_EPOCH = 23
ARGV = ("resume.py", "--epochs", str(EPOCHS))


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    server = Warm("sklearn.datasets", "torch", "torch._dynamo")
    yield server
    server.close()


def finish(repo: Path, warm: Warm) -> None:
    warm.start(ARGV, folder=repo)
    assert warm.wait() == 0, warm.printed("err")


def finish_in_a_process_of_its_own(repo: Path) -> None:
    done = subprocess.run([sys.executable, *ARGV], cwd=repo, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()


def kill_after(repo: Path, steps: int, warm: Warm) -> bool:
    """Start the training and kill it once it has logged `steps` steps of its own; whether it was killed in time."""
    from gitrepro.store.follow_journal import JournalFollower

    before = {path.name for path in (repo / ".git/gitrepro/live").glob("*")}
    child = warm.start(ARGV, folder=repo)
    followers: dict[str, JournalFollower] = {}
    seen = 0
    while warm.is_running() and seen < steps:
        for folder in (repo / ".git/gitrepro/live").glob("[0-9a-z]*"):
            if folder.name not in before and folder.name != "by-launch":
                news = followers.setdefault(folder.name, JournalFollower(folder)).news()
                seen += sum("train/loss" in each.values for each in news)
        # Until there is something to follow, nobody is in a hurry.
        time.sleep(0.001 if seen else 0.01)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    return warm.wait() == -signal.SIGKILL


def repository(parent: Path, name: str, template: Path) -> Path:
    shutil.copytree(template, parent / name, symlinks=True)
    shutil.copy(EXAMPLE, parent / name)
    return parent / name


uninterrupted = ""
"""The digest of the weights at the end of a training that nobody killed, once it is known."""


def whole_weights(parent: Path, template: Path, warm: Warm) -> str:
    finish(whole := repository(parent, "whole", template), warm)
    return str(last_state(whole).provenance["weights"])


def last_state(repo: Path) -> Any:
    import gitrepro

    return gitrepro.load_checkpoint("@last:last", repo=repo)


def bits(value: Any) -> Any:
    """A state with each tensor as its bytes."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), bytes(value.reshape(-1).view(torch.uint8).numpy())
    if isinstance(value, dict):
        return {key: bits(each) for key, each in value.items()}
    return [bits(each) for each in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.slow
def test_a_training_killed_at_random_steps_ends_with_the_weights_of_one_that_was_not(
    repo: Path, tmp_path: Path, cli: Cli, seed: int, warm: Warm
) -> None:
    whole, cut = (repository(tmp_path, name, repo) for name in ("whole", "cut"))
    finish(whole, warm)
    draw = random.Random(seed)
    # Somewhere in the first half, then anywhere in what is left of the next two epochs.
    steps = [draw.randrange(1, EPOCHS * STEPS_AN_EPOCH // 2), draw.randrange(1, 2 * STEPS_AN_EPOCH)]
    for place, each in enumerate(steps):
        assert kill_after(cut, each, warm), f"the training was over before step {each}"
        if place == 0:
            assert cli("recover", cwd=cut).returncode == 0
    finish_in_a_process_of_its_own(cut)

    expected, found = last_state(whole), last_state(cut)
    listed = json.loads(cli("ls", "--attempts", "--json", cwd=cut).stdout)

    assert [each["status"] for each in listed] == ["finished", "crashed", "crashed"], steps
    assert found.step == expected.step == EPOCHS * STEPS_AN_EPOCH - 1
    for part in ("model", "optimizer", "scheduler", "extra"):
        assert bits(found.state[part]) == bits(expected.state[part]), f"{part} differs; killed after {steps} steps"
    assert bits(found.state["rng"]["torch"]) == bits(expected.state["rng"]["torch"])
    assert found.provenance["weights"] == expected.provenance["weights"]
    global uninterrupted
    uninterrupted = expected.provenance["weights"]


def test_a_training_that_restores_no_generators_ends_elsewhere(repo: Path, tmp_path: Path, warm: Warm) -> None:
    """The control: with the same kills and without the generators, the weights differ."""
    cut = repository(tmp_path, "cut", repo)
    text = (cut / "resume.py").read_text()
    (cut / "resume.py").write_text(text.replace('extra={"order": order})\n', "rng=False)\n", 1))
    assert (cut / "resume.py").read_text() != text
    assert kill_after(cut, 2 * STEPS_AN_EPOCH + 5, warm)
    finish(cut, warm)

    assert last_state(cut).provenance["weights"] != (uninterrupted or whole_weights(tmp_path, repo, warm))


def test_the_best_of_an_attempt_that_was_killed_is_still_the_best_of_the_run(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gitrepro

    monkeypatch.chdir(repo)
    losses = [[0.5, 0.2, 0.4], [0.3, 0.25]]
    before = None
    for attempt, values in enumerate(losses):
        run = gitrepro.record(resume=before)
        for step, loss in enumerate(values, 3 * attempt):
            run.log({"val/loss": loss}, step=step)
            run.checkpoint(model={"w": torch.full((2,), loss)}, metric=("val/loss", "min"))
        run.finish("failed")
        before = run.id

    found = {which: gitrepro.load_checkpoint(f"{before}{which}").step for which in ("", ":best", ":last", ":step-2")}
    assert found == {"": 1, ":best": 1, ":last": 4, ":step-2": 2}


def test_what_a_run_saves_can_be_loaded_before_it_ends(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gitrepro

    monkeypatch.chdir(repo)
    with gitrepro.record() as run:
        for step, loss in enumerate([0.5, 0.1, 0.4]):
            run.log({"val/loss": loss}, step=step)
            run.checkpoint(model={"w": torch.full((500_000,), loss)}, metric=("val/loss", "min"))
        best = gitrepro.load_checkpoint(run)

    assert (best.step, best.metrics) == (1, {"val/loss": 0.1})
    assert best.provenance["run"] == run.id
    assert best.provenance["commit"] == gitrepro.runs(repo=repo)[0].metadata["code"]["commit"]


def test_a_disabled_run_takes_checkpoints_and_keeps_none(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gitrepro

    monkeypatch.chdir(repo)
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    with gitrepro.record() as run:
        run.checkpoint(model={"w": torch.ones(2)})

    assert not (repo / ".git" / "gitrepro").exists()
