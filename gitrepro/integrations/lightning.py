"""PyTorch Lightning and Fabric: a logger that writes into a run, and a callback that guards the training.

trainer = Trainer(logger=GitreproLogger(), callbacks=[GitreproCallback(EarlyStopping("val/loss"), Divergence())])
fabric = Fabric(loggers=GitreproLogger())
task = gitrepro.integrations.lightning.task(Net, DataModule, trainer={"max_epochs": 20})  # for `gitrepro check`
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import lightning.pytorch as pl
from lightning.fabric.utilities.logger import _convert_params
from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from ..errors import UsageError
from ..run.handle import Run
from .target import Target, declared, take_config, target_for
from .tasks.lightning import task as task

if TYPE_CHECKING:
    from ..run.guarding import Guard, Rule


@final
class GitreproLogger(Logger):
    """Writes what Lightning or Fabric logs into a run: metrics by the framework's own steps, hyperparameters as config.

    A run of its own ends with an exception of the training, and else with the process or by
    `logger.experiment.finish()`: a test may follow the training. In a distributed training rank 0 logs.

    Args:
        run: by default the run that the program has open; without one a new one is begun at the first word.
        prefix: is put before each metric, with a slash.
        checkpoints: put what `ModelCheckpoint` writes on record, where it lies; `"copy"` keeps copies as well.
        options: of `gitrepro.record`, for a new run.

    Raises:
        UsageError: `run` is no run, or has ended.
    """

    def __init__(
        self, run: Run | None = None, *, prefix: str = "", checkpoints: bool | str = True, **options: Any
    ) -> None:
        super().__init__()
        self._target: Target | None = target_for(run, **options) if run is not None else None
        self._prefix = f"{prefix}/" if prefix else ""
        self._checkpoints = checkpoints
        self._options = options
        self._seen: dict[str, float | None] = {}

    @property
    def target(self) -> Target:
        """The run, and whether it is this logger's own."""
        if self._target is None:
            self._target = target_for(**self._options)
        return self._target

    @property
    @rank_zero_experiment
    def experiment(self) -> Run:
        """The run itself, for all else that it can do."""
        return self.target.run

    @property
    def name(self) -> str:
        """The folder for checkpoints, below the trainer's root folder."""
        return "gitrepro_runs"

    @property
    def version(self) -> str:
        """The id of the run."""
        return self.target.run.id

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        self.target.run.log({f"{self._prefix}{name}": value for name, value in metrics.items()}, step=step)

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any] | Namespace, *_args: Any, **_more: Any) -> None:
        take_config(self.target.run, _convert_params(params))

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Put what a `ModelCheckpoint` has just written on record."""
        if not self._checkpoints:
            return
        best, last = checkpoint_callback.best_model_path, checkpoint_callback.last_model_path
        score = checkpoint_callback.best_model_score
        for path, value in ((best, score), (last, checkpoint_callback.current_score)):
            # The same file again is the same checkpoint, unless it was written anew.
            stamp = Path(path).stat().st_mtime if path and Path(path).exists() else None
            if stamp is not None and self._seen.get(path) != stamp:
                self._seen[path] = stamp
                self._checkpoint(checkpoint_callback, path, value)

    def _checkpoint(self, callback: Any, path: str, value: Any) -> None:
        run, step = self.target.run, getattr(callback, "_last_global_step_saved", None)
        kept: dict[str, Any] = {"path": path, "copy": self._checkpoints == "copy", "step": step}
        if callback.monitor is not None and value is not None:
            kept |= {"metric": (callback.monitor, callback.mode), "value": float(value)}
        run.checkpoint(**kept)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if status != "success" and self._target is not None:
            self._target.interrupted()


@final
class GitreproCallback(pl.Callback):
    """Puts model and optimizers on record, and stops the training when a rule says so.

    The rules hear what a `GitreproLogger` logs, as often as the trainer logs (`log_every_n_steps`).

    Args:
        rules: as for `run.guard`.
        watch: put model, optimizers and schedulers on record.
        ask_every_steps: how often several processes agree whether to stop; one process asks at each step.

    Raises:
        UsageError: when the training begins, where the trainer has no `GitreproLogger`.
    """

    def __init__(self, *rules: Rule, watch: bool = True, ask_every_steps: int = 50) -> None:
        super().__init__()
        self._rules, self._watch, self._every = rules, watch, ask_every_steps
        self.guard: Guard | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        loggers = [each for each in trainer.loggers if isinstance(each, GitreproLogger)]
        if not loggers:
            raise UsageError("GitreproCallback has no run", why="the trainer has no GitreproLogger",
                             do="give Trainer(logger=GitreproLogger(), ...)")  # fmt: skip
        if trainer.global_rank != 0:
            return
        run = loggers[0].target.run
        if self._watch:
            schedulers = [config.scheduler for config in trainer.lr_scheduler_configs]
            declared(run, pl_module, *trainer.optimizers, *schedulers)
        if self._rules:
            self.guard = run.guard(*self._rules)
            if trainer.world_size == 1:
                self.guard.watch(model=pl_module, optimizer=_only(trainer.optimizers))

    def on_train_batch_end(self, trainer: Any, *_more: Any) -> None:
        if trainer.world_size == 1 or trainer.global_step % self._every == 0:
            self._ask(trainer)

    def on_validation_end(self, trainer: Any, *_more: Any) -> None:
        if not trainer.sanity_checking:
            self._ask(trainer)

    def _ask(self, trainer: Any) -> None:
        if not self._rules:
            return
        stop = self.guard is not None and self.guard.should_stop()
        if trainer.world_size > 1:
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        trainer.should_stop = trainer.should_stop or stop


def _only(found: list[Any]) -> Any:
    return found[0] if len(found) == 1 else None
