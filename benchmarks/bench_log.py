"""`run.log()` of four floats, beside what it cannot do without: a dict, and one `os.write` of 48 bytes."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.measure import AtMost, Times, in_turns, own_cpu_ms, report, row

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))
CALLS = 20_000
FRAME = bytes(48)


def main() -> None:
    import gitrepro

    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder)
        subprocess.run(["git", "init", "--quiet", folder], check=True)
        fd = os.open(repo / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        run = gitrepro.record(name="bench", repo=repo)

        def floor() -> None:
            for step in range(CALLS):
                values = {"loss": 0.5, "lr": 1e-3, "norm": step / 3, "accuracy": 0.9}
                os.write(fd, FRAME)
            assert values

        def ours() -> None:
            for step in range(CALLS):
                run.log({"loss": 0.5, "lr": 1e-3, "norm": step / 3, "accuracy": 0.9}, step=step)

        floors, values = in_turns(lambda: own_cpu_ms(floor), lambda: own_cpu_ms(ours), rounds=ROUNDS)
        report(
            row(
                "log() of 4 floats",
                [each * 1e3 / CALLS for each in values],
                floors=[each * 1e3 / CALLS for each in floors],
                budget=Times(5),
                unit="µs",
            )
        )
        report(
            row("log() of 4 floats, 99th percentile of wall time", [_p99(run) for _ in range(ROUNDS)], budget=AtMost(1))
        )
        # What was logged here is thrown away: ending the run is another benchmark's subject.
        os._exit(0)


def _p99(run: object) -> float:
    taken = []
    for step in range(2_000):
        values = {"loss": 0.5, "lr": 1e-3, "norm": step / 3, "accuracy": 0.9}
        before = time.perf_counter_ns()
        run.log(values, step=step)  # type: ignore[attr-defined]
        taken.append(time.perf_counter_ns() - before)
    return sorted(taken)[len(taken) * 99 // 100] / 1e6


if __name__ == "__main__":
    main()
