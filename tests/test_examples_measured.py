"""The examples on cost and on the first difference, each run as its first lines say."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cli, Git

EXAMPLES = Path(__file__).parent.parent / "examples"

pytest.importorskip("torch")
pytest.importorskip("sklearn")


@pytest.fixture
def place(repo: Path, git: Git) -> Path:
    """A repository with the two examples committed."""
    (repo / "examples").mkdir()
    for name in ("efficiency.py", "first_difference.py"):
        shutil.copy(EXAMPLES / name, repo / "examples")
    git(repo, "add", "examples")
    git(repo, "commit", "--quiet", "--message=examples")
    return repo


def run(*argv: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, *argv], cwd=cwd, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_a_training_costs_is_measured_and_told(place: Path, cli: Cli) -> None:
    said = run("examples/efficiency.py", cwd=place)
    known = json.loads(cli("show", "--json", cwd=place).stdout)["efficiency"]
    front = cli("ls", "--pareto", "val/accuracy:step_seconds", "--json", cwd=place)

    assert "times as fast" in said
    assert known["steps"] == 4 * 23
    assert known["flops_per_step"] == 2 * 64 * (64 * 32 * 2 + 32 * 10 * 3)
    assert [point["front"] for point in json.loads(front.stdout)["points"]] == [True]


def test_the_step_of_the_first_difference_is_found_and_its_cause_named(place: Path, cli: Cli) -> None:
    run("examples/first_difference.py", cwd=place)
    run("examples/first_difference.py", "--debug-print", cwd=place)
    found = json.loads(cli("diff", "@{-2}", "@last", "--trace", "--json", cwd=place).stdout)["trace"]["parts"]

    assert (found["step"], found["cause"]) == (30, "extra-draw")
