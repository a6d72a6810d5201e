"""Real scripts in a real repository, and what is on record of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]
Shown = Callable[..., dict[str, Any]]


@pytest.fixture
def script(repo: Path) -> Script:
    """`script("...")`: run Python code after `import gitrepro`, from a file that is not in the repository."""

    def run(
        code: str, *, cwd: Path = repo, env: Mapping[str, str] | None = None, args: tuple[str, ...] = (), **more: Any
    ) -> subprocess.CompletedProcess[str]:
        path = repo.parent / "script.py"
        path.write_text("import gitrepro\n" + textwrap.dedent(code))
        return subprocess.run(
            [sys.executable, str(path), *args],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=120,
            **more,
        )

    return run


@pytest.fixture
def shown(repo: Path, cli: Any) -> Shown:
    """`shown()`: the newest run as `gitrepro show --json` has it."""

    def show(run: str = "@last", *, cwd: Path = repo) -> dict[str, Any]:
        done = cli("show", run, "--json", cwd=cwd)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    return show


@pytest.fixture
def rows(repo: Path) -> Callable[[], list[dict[str, Any]]]:
    """`rows()`: every row of the newest run, without its time and place in line."""

    def read() -> list[dict[str, Any]]:
        import gitrepro

        table = gitrepro.runs(repo=repo)[0].metrics().to_pylist()
        return [{key: value for key, value in row.items() if key not in ("_seq", "_time_seconds")} for row in table]

    return read


@pytest.fixture
def runs(repo: Path) -> Callable[[], list[dict[str, Any]]]:
    """`runs()`: the record of every run, each attempt by itself, newest first."""

    def read() -> list[dict[str, Any]]:
        from gitrepro.store import repository
        from gitrepro.store.runs import RunTree

        with RunTree(repository.find(repo, os.environ)) as tree:
            return [tree.run(run_id).document() for run_id in sorted(tree.run_ids(), reverse=True)]

    return read
