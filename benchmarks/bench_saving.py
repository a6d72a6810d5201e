"""A loop that saves a model of 100 MB every ten seconds, beside the same loop that saves nothing: wall time.

The loop trains for real, on one processor. Each pair of loops does the same steps for about `BENCH_SAVING_SECONDS`, one
of them with one save in it; what that costs is counted as if the loop had gone on for ten seconds. The median of many
short pairs stands firmer on a shared machine than that of a few long ones.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from benchmarks.generate import scratch
from benchmarks.measure import AtMost, Open, Times, in_turns, report, row
from benchmarks.repositories import repository

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "15"))
SECONDS = float(os.environ.get("BENCH_SAVING_SECONDS", "1.5"))
EVERY_SECONDS = 10.0
SIDE = 1250  # 16 square matrices of float32 are 100 MB
LAYERS = 16


def main() -> None:
    try:
        import torch
    except ImportError:
        return
    import gitrepro

    with scratch() as folder:
        os.chdir(repository(Path(folder) / "repo"))
        run = gitrepro.record(name="saving")
        torch.set_num_threads(1)
        model = torch.nn.Sequential(*[torch.nn.Linear(SIDE, SIDE) for _ in range(LAYERS)])
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
        batch = torch.randn(16, SIDE)
        steps = _steps_in(SECONDS, model, optimizer, batch)
        held: list[float] = []
        used: dict[bool, list[float]] = {False: [], True: []}

        def loop(saving: bool) -> float:
            before = time.process_time()
            taken = _loop(steps, model, optimizer, batch, run=run if saving else None, held=held)
            used[saving].append((time.process_time() - before) * 1e3)
            return taken

        floors, values = in_turns(lambda: loop(False), lambda: loop(True), rounds=ROUNDS)
        costs = [value - floor for floor, value in zip(floors, values, strict=True)]
        values = [EVERY_SECONDS * 1e3 + cost for cost in costs]
        floors = [EVERY_SECONDS * 1e3] * len(costs)
        report(row("a loop that saves 100 MB every 10 s", values, floors=floors, budget=Times(1.02)))
        report(row("a save of 100 MB holds the loop for", held, budget=AtMost(200)))
        report(row("a save of 100 MB costs the loop in all", costs, budget=Open()))
        pairs = zip(used[False], used[True], strict=True)
        report(
            row(
                "processor time of a save of 100 MB",
                [with_it - without for without, with_it in pairs],
                budget=AtMost(200),
            )
        )
        os._exit(0)


def _steps_in(seconds: float, *training: Any) -> int:
    began = time.perf_counter()
    _loop(5, *training)
    return max(5, int(5 * seconds / (time.perf_counter() - began)))


def _loop(
    steps: int, model: Any, optimizer: Any, batch: Any, *, run: Any = None, held: list[float] | None = None
) -> float:
    """The wall milliseconds of so many steps; with a run, one save in the first fifth of them."""
    began = time.perf_counter()
    for step in range(steps):
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
        if run is not None and held is not None and step == steps // 5:
            before = time.perf_counter()
            run.checkpoint(model=model, step=step, metric=("val/loss", "min"), value=1.0)
            held.append((time.perf_counter() - before) * 1e3)
    return (time.perf_counter() - began) * 1e3


if __name__ == "__main__":
    main()
