"""Start and finish of a run that logs nothing, imports aside, beside `git commit` of three files.

Both count the processor time of the processes they start.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from benchmarks.generate import copy, scratch
from benchmarks.measure import Times, child_cpu_ms, family_cpu_ms, in_turns, report, row
from benchmarks.repositories import repository

RUNS = int(os.environ.get("BENCH_RUNS", "100000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))


def main() -> None:
    with scratch() as folder:
        theirs = repository(folder / "theirs")
        for name, ours in (
            ("in a new repository", repository(folder / "ours")),
            (f"at {RUNS:,} runs", copy(RUNS, folder / "many")),
        ):
            floors, values = in_turns(partial(_commit, theirs), partial(_record, ours), rounds=ROUNDS)
            report(row(f"record start + finish of an empty run, {name}", values, floors=floors, budget=Times(5)))


def _commit(repo: Path) -> float:
    for name in ("train.py", "model.py", "data.py"):
        (repo / name).write_text(f"print({os.urandom(8).hex()!r})\n")
    return child_cpu_ms(["git", "commit", "--quiet", "--all", "--message=next"], cwd=repo)


def _record(repo: Path) -> float:
    import gitrepro

    os.chdir(repo)
    return family_cpu_ms(lambda: gitrepro.record(name="empty").finish())


if __name__ == "__main__":
    main()
