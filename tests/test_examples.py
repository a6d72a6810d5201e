"""The examples, each run as its first lines say, in a real repository that holds them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Cli, Git

EXAMPLES = Path(__file__).parent.parent / "examples"

pytest.importorskip("torch")
pytest.importorskip("sklearn")


@pytest.fixture
def place(repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the examples committed, and `python` and `gitrepro` on PATH."""
    shutil.copytree(EXAMPLES, repo / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    git(repo, "add", "examples")
    git(repo, "commit", "--quiet", "--message=examples")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return repo


def run(*argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def runs(cli: Cli, place: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(cli("ls", "--json", cwd=place).stdout)
    return listed


PLAIN = ("record", "--seed", "0", "--", "python", "examples/plain_torch.py", "--epochs", "2")


def test_a_plain_script_is_recorded_with_its_arguments_seeds_and_output(place: Path, cli: Cli) -> None:
    said = cli(*PLAIN, cwd=place)
    known = json.loads(cli("show", "--json", cwd=place).stdout)

    assert said.returncode == 0, said.stderr
    assert (known["status"], known["config"]["epochs"], known["code"]["dirty"]) == ("finished", 2, False)
    assert known["seeds"]["effective"]["torch"] == 0
    assert cli("show", "--output", cwd=place).stdout.splitlines() == said.stdout.splitlines()


def test_a_plain_script_prints_the_same_numbers_again_with_the_same_seed(place: Path, cli: Cli) -> None:
    assert cli(*PLAIN, cwd=place).stdout == cli(*PLAIN, cwd=place).stdout


def test_a_loop_records_itself_step_by_step(place: Path, cli: Cli) -> None:
    run("python", "examples/loop.py", "--seed", "3", cwd=place)
    known = json.loads(cli("show", "--json", cwd=place).stdout)

    assert (known["group"], known["seeds"]["requested"]) == ("digits-loop", 3)
    assert {name: facts["count"] for name, facts in known["metrics"].items()} == {"train/loss": 20, "val/accuracy": 20}
    assert known["metrics"]["val/accuracy"]["goal"] == "max"
    assert known["summary"]["test/accuracy"] > 0.9


def test_a_loop_under_the_command_joins_the_run_of_the_command(place: Path, cli: Cli) -> None:
    said = cli("record", "--name", "joined", "--", "python", "examples/loop.py", "--epochs", "2", cwd=place)
    found = runs(cli, place)

    assert said.returncode == 0, said.stderr
    assert [(each["name"], each["config"]["epochs"]) for each in found] == [("joined", 2)]
    assert "test/accuracy" in found[0]["summary"]


def test_the_baseline_is_a_run_of_kind_baseline(place: Path, cli: Cli) -> None:
    run("python", "examples/sklearn_baseline.py", cwd=place)
    found = runs(cli, place)

    assert [each["kind"] for each in found] == ["baseline"]
    assert found[0]["summary"]["val/accuracy"] > 0.9


def test_the_shell_script_records_each_seed_and_the_baseline_and_ends_with_the_table(place: Path, cli: Cli) -> None:
    done = run("sh", "examples/run.sh", "4", "5", cwd=place)
    found = runs(cli, place)

    assert [(each["kind"], each["seeds"]["requested"]) for each in found] == [
        ("baseline", 0),
        ("train", 5),
        ("train", 4),
    ]
    assert {each["group"] for each in found} == {"digits"}
    assert [line.split("\t")[0] for line in done.stdout.splitlines()[-3:]] == [each["id"][-8:] for each in found]


def test_what_an_example_records_may_be_called_a_result(place: Path, cli: Cli, git: Git) -> None:
    cli(*PLAIN, cwd=place)
    said = cli("tag", "result/plain", "@last", cwd=place)

    assert said.returncode == 0, said.stderr
    assert git(place, "tag", "--list") == "result/plain"


def test_the_examples_leave_the_work_tree_as_it_was(place: Path, git: Git) -> None:
    run("python", "examples/loop.py", "--epochs", "1", cwd=place)

    assert git(place, "status", "--porcelain") == ""


def test_every_example_is_in_the_list() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    names = [path.name for path in EXAMPLES.iterdir() if path.is_file() and path.name != "README.md"]

    assert [name for name in names if f"[{name}]({name})" not in listed] == []
