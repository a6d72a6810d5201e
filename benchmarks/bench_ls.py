"""`gitrepro ls` in a repository of many runs, and questions to it, beside an interpreter that only imports click."""

from __future__ import annotations

import os
import sys
from functools import partial

from benchmarks.generate import indexed, scratch
from benchmarks.measure import Added, Budget, Open, child_cpu_ms, in_turns, report, row

RUNS = int(os.environ.get("BENCH_RUNS", "100000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))

# Compiled once and kept, as on a user's machine.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
QUESTIONS: dict[str, tuple[list[str], Budget]] = {
    "the newest 50": ([], Added(60)),
    "filter, the best 10": (
        ["val/accuracy > 0.9 and config.lr < 0.01", "--sort", "-val/accuracy", "--limit", "10"],
        Open(),
    ),
    "a group and a label": (["group == 'wd-study' and label == 'reviewed'"], Open()),
    "words": (["text 'cosine schedule'"], Open()),
    "seed sets of a group": (["group == 'scaling'", "--sets"], Open()),
}


def main() -> None:
    with scratch() as folder:
        repo = indexed(RUNS, folder / "repo")
        for what, (words, budget) in QUESTIONS.items():
            ls = partial(child_cpu_ms, [sys.executable, "-m", "gitrepro", "ls", *words], cwd=repo, env=ENVIRONMENT)
            floors, values = in_turns(_floor, ls, rounds=ROUNDS)
            report(row(f"ls, {what}, {RUNS:,} runs", values, floors=floors, budget=budget))


def _floor() -> float:
    return child_cpu_ms([sys.executable, "-c", "import click"], env=ENVIRONMENT)


if __name__ == "__main__":
    main()
