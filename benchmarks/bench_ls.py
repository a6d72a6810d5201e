"""`gitrepro ls` in a repository of many runs, beside an interpreter that has only imported click."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Added, child_cpu_ms, in_turns, report, row
from benchmarks.repositories import repository, with_runs

RUNS = int(os.environ.get("BENCH_RUNS", "1000"))

# Compiled once and kept, as on a user's machine.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        repo = with_runs(repository(Path(folder) / "repo"), RUNS)
        ls = [sys.executable, "-m", "gitrepro", "ls"]
        child_cpu_ms(ls, cwd=repo, env=ENVIRONMENT)  # the first one builds the index
        floors, values = in_turns(
            lambda: child_cpu_ms([sys.executable, "-c", "import click"], env=ENVIRONMENT),
            lambda: child_cpu_ms(ls, cwd=repo, env=ENVIRONMENT),
            rounds=21,
        )
        report(row(f"gitrepro ls, {RUNS:,} runs", values, floors=floors, budget=Added(60)))


if __name__ == "__main__":
    main()
