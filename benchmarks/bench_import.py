"""`import gitrepro` beside an interpreter that does nothing."""

from __future__ import annotations

import os
import sys

from benchmarks.measure import Added, child_cpu_ms, in_turns, report, row

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "21"))
# Compiled once and kept, as on a user's machine.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main() -> None:
    floors, values = in_turns(
        lambda: child_cpu_ms([sys.executable, "-c", "pass"], env=ENVIRONMENT),
        lambda: child_cpu_ms([sys.executable, "-c", "import gitrepro"], env=ENVIRONMENT),
        rounds=ROUNDS,
    )
    report(row("import gitrepro", values, floors=floors, budget=Added(40)))


if __name__ == "__main__":
    main()
