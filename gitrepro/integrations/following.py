"""What the callbacks of Keras, XGBoost and LightGBM share: the run in force, its rows, its rules, and its models."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from ..errors import UsageError
from ..run.handle import Run
from .target import open_run, take_config, target_for

if TYPE_CHECKING:
    from ..run.guarding import Guard, Rule

Metric = tuple[str, Literal["min", "max"]]


@final
class Following:
    """One training that is followed into a run. Without one, under `GITREPRO_MODE=disabled`, nothing is done.

    Args:
        who: the callback, for messages.
        run: by default the run that the program has open.
        rules: as for `run.guard`.
        metric: what is best, as `("val/loss", "min")`; without it there is no best model.

    Raises:
        UsageError: no run is open, or `run` is none, or has ended; or `metric` is no such pair.
    """

    def __init__(self, who: str, run: Run | None, rules: tuple[Rule, ...], metric: Metric | None) -> None:
        self.run = _run_in_force(who, run)
        self.metric = _checked(metric)
        self.best: float | None = None
        self.best_step: int | None = None
        if self.run is not None and self.metric is not None:
            self.run.define_metric(self.metric[0], goal=self.metric[1])  # the rules read it there
        self.guard: Guard | None = self.run.guard(*rules) if rules and self.run is not None else None

    def config(self, values: Mapping[str, Any]) -> None:
        """Put settings on record."""
        if self.run is not None:
            take_config(self.run, values)

    def row(self, values: Mapping[str, float], step: int) -> bool:
        """Log a row; whether it is the best so far. Of equal ones the earliest is, and NaN never."""
        if self.run is not None and values:
            self.run.log(values, step=step)
        if self.metric is None or (value := values.get(self.metric[0])) is None:
            return False
        better = value == value if self.best is None else _is_better(value, self.best, self.metric[1])
        if better:
            self.best, self.best_step = value, step
        return better

    def should_stop(self) -> bool:
        return self.guard is not None and self.guard.should_stop()

    def keep(self, name: str, write: Callable[[str], object]) -> None:
        """Keep the file that `write` makes at the path that it is given, as the artifact `models/NAME`."""
        if self.run is None or _disabled():
            return
        with tempfile.TemporaryDirectory(prefix="gitrepro-") as folder:
            path = Path(folder) / name
            write(str(path))
            self.run.artifact(path, f"models/{name}")


def _run_in_force(who: str, run: Run | None) -> Run | None:
    if run is not None or open_run() is not None:
        return target_for(run).run
    if _disabled():
        return None
    raise UsageError(f"{who} has no run", why="none was given, and the program has none open",
                     do="train inside `with gitrepro.record():`, or give run=")  # fmt: skip


def _disabled() -> bool:
    return os.environ.get("GITREPRO_MODE") == "disabled"


def _checked(metric: Metric | None) -> Metric | None:
    if metric is None or (isinstance(metric, tuple) and len(metric) == 2 and metric[1] in ("min", "max")):
        return metric
    raise UsageError(f"metric={metric!r:.60} names nothing to be best by", do='give metric=("val/loss", "min")')


def _is_better(value: float, best: float, goal: str) -> bool:
    return value < best if goal == "min" else value > best


def number(text: str) -> Any:
    """A setting that a library keeps as text: the number that it is, or else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
