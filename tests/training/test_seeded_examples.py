"""The examples on workers, resuming and several processes, each run as its first lines say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import gitrepro

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(repo: Path, git: Any) -> Any:
    for name in ("workers_and_resume.py", "ddp.py"):
        shutil.copy(EXAMPLES / name, repo)
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "examples")

    def run(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run([sys.executable, *words], cwd=repo, env=environ, capture_output=True, text=True, **more)

    return run


def test_workers_are_no_part_of_the_result(example: Any, repo: Path) -> None:
    for workers in ("0", "2"):
        done = example("workers_and_resume.py", "--epochs", "1", "--workers", workers)
        assert done.returncode == 0, done.stderr
    found = [run.metadata for run in gitrepro.runs(repo=repo)]

    assert len({each["summary"]["weights"] for each in found}) == 1
    assert [each["streams"]["loaders"][0]["num_workers"] for each in found] == [2, 0]


def test_ranks_are_one_run(example: Any, repo: Path) -> None:
    done = example("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "ddp.py", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    [run] = gitrepro.runs(repo=repo)

    assert run.metadata["ranks"]["seen"] == [0, 1]
    assert run.metadata["streams"]["loaders"][0]["batches"] == 29
    # The lines of two processes may meet on one.
    assert sorted(re.findall(r"rank \d", done.stdout)) == ["rank 0", "rank 1"]


def test_without_a_launcher_it_trains_in_one_process(example: Any, repo: Path) -> None:
    done = example("ddp.py", "--epochs", "1")
    [run] = gitrepro.runs(repo=repo)

    assert done.returncode == 0, done.stderr
    assert (run.metadata["status"], run.metadata["streams"]["loaders"][0]["batches"]) == ("finished", 57)
