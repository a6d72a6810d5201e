"""Meters and trace beside a training step of 25 million parameters: the CPU time of what we do in it, and of the step.

The two are measured in the same steps: what is ours is clocked each time torch calls it. The rows are those of a trace
that keeps every row; the weights, which are read at steps 0, 1, 2, 4, 8, ... alone, are a row of their own.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

from benchmarks.measure import Open, Times, report, row

STEPS = int(os.environ.get("BENCH_STEPS", "12"))
LAYERS = int(os.environ.get("BENCH_LAYERS", "8"))
TOKENS = (8, 64)


def main() -> None:
    import torch

    import gitrepro
    from gitrepro.training.steps import shared

    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(512, 8, 2048, batch_first=True)
    net = torch.nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    data = torch.utils.data.TensorDataset(torch.randn(STEPS * TOKENS[0], TOKENS[1], 512))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "--quiet", folder], check=True)
        with gitrepro.record(name="bench", repo=folder) as run:
            run.trace(net, optimizer)
            clocks = {name: _Clock() for name in ("meters", "trace")}
            _clocked(shared(), clocks)
            taken = _train(net, optimizer, torch.utils.data.DataLoader(data, batch_size=TOKENS[0]), clocks)
    _report(taken, count=sum(each.numel() for each in net.parameters()))


class _Clock:
    """CPU milliseconds, all threads, of the calls of one part of ours in this step."""

    def __init__(self) -> None:
        self.ms = 0.0

    def around(self, act: Callable[..., None]) -> Callable[..., None]:
        def clocked(*args: Any) -> None:
            before = time.process_time_ns()
            act(*args)
            self.ms += (time.process_time_ns() - before) / 1e6

        return clocked

    def read(self) -> float:
        ms, self.ms = self.ms, 0.0
        return ms


def _clocked(steps: Any, clocks: dict[str, _Clock]) -> None:
    for known in (steps._before, steps._after, steps._fetched, steps._indexed):
        known[:] = [
            clocks["meters" if type(act.__self__).__name__ == "Meter" else "trace"].around(act) for act in known
        ]


def _train(net: Any, optimizer: Any, loader: Any, clocks: dict[str, _Clock]) -> list[dict[str, float]]:
    taken = []
    began = time.process_time_ns()
    for (batch,) in loader:
        optimizer.zero_grad()
        net(batch).square().mean().backward()
        optimizer.step()
        now = time.process_time_ns()
        ours = {name: clock.read() for name, clock in clocks.items()}
        taken.append({**ours, "step": (now - began) / 1e6 - sum(ours.values())})
        began = time.process_time_ns()
    return taken


def _report(taken: list[dict[str, float]], *, count: int) -> None:
    steady = [each for number, each in enumerate(taken) if number > 1 and number & (number - 1)]
    weighed = [each for number, each in enumerate(taken) if number > 1 and not number & (number - 1)]
    floors = [each["step"] for each in steady]
    of = f"of a step of {count / 1e6:.0f} M parameters"
    report(row(f"meters, share {of}", [each["meters"] for each in steady], floors=floors, budget=Times(0.01)))
    report(row(f"trace, share {of}", [each["trace"] for each in steady], floors=floors, budget=Times(0.02)))
    both = [each["meters"] + each["trace"] for each in steady]
    report(row(f"meters and trace, share {of}", both, floors=floors, budget=Times(0.03)))
    floors = [each["step"] for each in weighed]
    report(
        row("trace of a step that reads the weights", [each["trace"] for each in weighed], floors=floors, budget=Open())
    )


if __name__ == "__main__":
    main()
