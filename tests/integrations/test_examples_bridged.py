"""The examples of bridges, each run as its first lines say, in a repository that holds them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cli, Git

for library in ("torch", "sklearn", "lightning", "transformers", "optuna", "hydra"):
    pytest.importorskip(library)

from tests.integrations.conftest import Done, Known, known  # noqa: E402

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
Example = Callable[..., Done]


@pytest.fixture
def example(repo: Path, git: Git, program: Callable[..., Done]) -> Example:
    """`example("wandb_script.py", ...)`: run one that is committed in the repository."""

    def run(name: str, *args: str) -> Done:
        (repo / "examples").mkdir()
        shutil.copy(EXAMPLES / name, repo / "examples" / name)
        git(repo, "add", "examples")
        git(repo, "commit", "--quiet", "--message=example")
        done = program(f"examples/{name}", *args)
        assert done.code == 0, done.err
        return done

    return run


def only(repo: Path) -> Known:
    [found] = known(repo)
    assert (found.record["status"], found.record["code"]["dirty"]) == ("finished", False)
    return found


def test_the_wandb_script_is_on_record_with_its_table_and_its_weights(example: Example, repo: Path) -> None:
    example("wandb_script.py")
    found = only(repo)

    assert (found.record["group"], found.config["hidden"]) == ("digits", 32)
    assert found.record["summary"]["val/accuracy"] > 0.9
    assert {"files/model.pt"} < {each["name"] for each in found.record["artifacts"]}


def test_the_lightning_trainer_stops_by_itself_and_keeps_its_best_checkpoint(example: Example, repo: Path) -> None:
    example("lightning_trainer.py", "--epochs", "3")
    found = only(repo)

    assert (found.config["lr"], len(found.curve("val/accuracy"))) == (0.01, 3)
    assert found.record["stopping"]["rules"][0]["rule"] == "EarlyStopping"
    assert found.record["checkpoints"]


def test_the_transformers_trainer_is_on_record_with_the_config_of_its_model(example: Example, repo: Path) -> None:
    example("huggingface_trainer.py", "--epochs", "1")
    found = only(repo)

    assert (found.config["model"]["hidden_size"], found.config["learning_rate"]) == (32, 0.003)
    assert len(found.curve("val/accuracy")) == 1


def test_the_search_counts_what_it_gave_up_and_trains_the_winner_anew(example: Example, repo: Path) -> None:
    said = example("optuna_pruning.py", "--trials", "8", "--seeds", "1").out.splitlines()
    trials = [each for each in known(repo) if each.record["group"] == "digits-search"]
    winners = [each for each in known(repo) if each.record["group"] == "digits-winner"]
    pruned = [each for each in trials if each.record["status"] == "pruned"]

    assert said[0] == f"8 trials: {8 - len(pruned)} finished, {len(pruned)} pruned"
    assert pruned and all(len(each.rows) >= 4 for each in pruned)
    assert [each.record["seeds"]["requested"] for each in winners] == [1]


def test_five_seeds_are_one_seed_set(example: Example, repo: Path, cli: Cli) -> None:
    example("five_seeds.py", "--epochs", "1", "--seeds", "3")
    [made] = json.loads(cli("ls", "--sets", "--json", cwd=repo).stdout)

    assert [each.record["seeds"]["requested"] for each in known(repo)] == [0, 1, 2]
    assert made["metrics"]["val/accuracy"]["n"] == 3


def test_each_job_of_the_hydra_app_is_a_run(example: Example, repo: Path) -> None:
    callback = "+hydra.callbacks.gitrepro._target_=gitrepro.integrations.hydra.GitreproCallback"
    example("hydra_app.py", "-m", "optim.lr=0.02,0.1", "epochs=1", callback, f"hydra.sweep.dir={repo.parent}/out")

    assert [each.config["optim"] for each in known(repo)] == [{"lr": lr, "momentum": 0.9} for lr in (0.02, 0.1)]


def test_under_the_command_the_hydra_app_needs_no_callback(repo: Path, cli: Cli, git: Git) -> None:
    shutil.copy(EXAMPLES / "hydra_app.py", repo / "app.py")
    git(repo, "add", "app.py")
    git(repo, "commit", "--quiet", "--message=app")
    command = [sys.executable, "app.py", "optim.lr=0.02", "epochs=1", f"hydra.run.dir={repo.parent}/out"]
    argv = [sys.executable, "-m", "gitrepro", "record", "--", *command]
    done = subprocess.run(argv, cwd=repo, env={**os.environ}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    assert only(repo).config == {"epochs": 1, "hidden": 16, "optim": {"lr": 0.02, "momentum": 0.9}}
