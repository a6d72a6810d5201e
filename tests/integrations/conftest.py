"""Programs that use the bridges, each a process of its own; what is slow to import is imported once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import gitrepro
from tests.warm import Warm

PROGRAM = Path(__file__).parent / "program.py"
HEAVY = (
    "torch", "torch._dynamo", "sklearn.datasets", "lightning.pytorch", "transformers", "transformers.trainer",
    "accelerate",
    "torch.utils.tensorboard", "optuna", "hydra", "pyarrow.parquet", "gitrepro.run.recorder", "gitrepro.run.guarding",
    "gitrepro.integrations.lightning", "gitrepro.integrations.huggingface", "gitrepro.integrations.accelerate",
    "gitrepro.integrations.tensorboard", "gitrepro.integrations.optuna", "gitrepro.integrations.hydra",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A program that has ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    # Read when torch is loaded. Nets as small as these lose by a second thread.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        started = Warm(*HEAVY)
    yield started
    started.close()


@pytest.fixture
def program(warm: Warm, repo: Path) -> Callable[..., Done]:
    """`program(path, *args)`: run a Python file in the repository."""

    def run(path: Path | str, *args: str, cwd: Path = repo, **env: str) -> Done:
        quiet = {"TQDM_DISABLE": "1", "PYTHONWARNINGS": "default"}
        warm.start([str(path), *args], folder=cwd, environ={**os.environ, **quiet, **env})
        code = warm.wait()
        return Done(code=code, out=warm.printed("out"), err=warm.printed("err"))

    return run


@pytest.fixture
def script(program: Callable[..., Done], repo: Path) -> Callable[..., Done]:
    """`script("...")`: run Python code from a file that is not in the repository."""

    def run(code: str, *args: str, **env: str) -> Done:
        path = repo.parent / "script.py"
        path.write_text(code)
        return program(path, *args, **env)

    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is on record of one run."""

    record: dict[str, Any]
    config: dict[str, Any]
    rows: list[dict[str, Any]]

    def curve(self, name: str) -> list[tuple[int, float]]:
        """Steps and values of one metric, in their order."""
        return [(row["_step"], row[name]) for row in self.rows if row.get(name) is not None]


def known(repo: Path) -> list[Known]:
    """Every run, oldest first."""
    found = []
    for run in reversed(list(gitrepro.runs(repo=repo))):
        document = json.loads(json.dumps(run.metadata, default=str))
        found.append(Known(record=document, config=run.config, rows=run.metrics().to_pylist()))
    return found
