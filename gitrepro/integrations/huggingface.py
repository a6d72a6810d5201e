"""Hugging Face: a callback for the `Trainer` of transformers, and a training of it for the checks.

trainer = Trainer(model, args, train_dataset=..., callbacks=[GitreproCallback(EarlyStopping("val/loss"))])
task = gitrepro.integrations.huggingface.task(make_trainer)  # for `gitrepro check`
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from transformers import TrainerCallback

from ..run.handle import Run
from ..run.warning import warn
from .target import Target, declared, take_config, target_for
from .tasks.huggingface import task as task

if TYPE_CHECKING:
    from ..run.guarding import Guard, Rule

# Said once, at the end: they stand for the training as a whole.
_TOTALS: Final = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos", "train_loss")
# How long an evaluation took is no curve of it.
_SPEEDS: Final = ("/runtime", "/samples_per_second", "/steps_per_second")


@final
class GitreproCallback(TrainerCallback):
    """Writes what a `Trainer` logs into a run, and stops it when a rule says so.

    `eval_loss` is recorded as `val/loss`, `test_loss` as `test/loss`, `loss` as `train/loss`, by the trainer's own
    steps; training arguments are the config, those of the model below `model`. Totals of the training go to the
    summary. A run of its own ends with the process or by `callback.run.finish()`: an evaluation may follow.

    Args:
        rules: as for `run.guard`; they hear what the trainer logs, as often as it does (`logging_steps`).
        run: by default the run that the program has open; without one a new one is begun with the training.
        show_nan: switch off the trainer's filter, which leaves NaN and infinities out of the losses that it logs. The
            training itself is the same. Without it a row whose loss was replaced warns, as far as that can be seen.
        checkpoints: put the folders that the trainer saves on record, where they lie; `"copy"` keeps copies as well.
        options: of `gitrepro.record`, for a new run.

    Raises:
        UsageError: `run` is no run, or has ended.
    """

    def __init__(
        self,
        *rules: Rule,
        run: Run | None = None,
        show_nan: bool = False,
        checkpoints: bool | str = True,
        **options: Any,
    ) -> None:
        self._rules, self._options = rules, options
        self._show_nan, self._checkpoints = show_nan, checkpoints
        self._target: Target | None = target_for(run, **options) if run is not None else None
        self._told_filter = False
        self.guard: Guard | None = None

    @property
    def run(self) -> Run:
        """The run itself, for all else that it can do."""
        if self._target is None:
            self._target = target_for(**self._options)
        return self._target.run

    def on_train_begin(self, args: Any, state: Any, _control: Any, **trained: Any) -> None:
        if self._show_nan:
            args.logging_nan_inf_filter = False
        if not state.is_world_process_zero:
            return
        model = trained.get("model")
        take_config(self.run, args.to_sanitized_dict())
        if config := getattr(model, "config", None):
            take_config(self.run, {"model": config.to_dict() if hasattr(config, "to_dict") else config})
        declared(self.run, model, trained.get("optimizer"), trained.get("lr_scheduler"))
        if self._rules:
            self.guard = self.run.guard(*self._rules)
            self.guard.watch(model=model, optimizer=trained.get("optimizer"), scheduler=trained.get("lr_scheduler"))
            if args.logging_nan_inf_filter:
                warn("the trainer leaves NaN and infinite losses out of what it logs, so that no rule sees them; "
                     "give GitreproCallback(show_nan=True), or NonFinite(), which looks at the gradients")  # fmt: skip

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **_more: Any) -> None:
        if not state.is_world_process_zero or not logs:
            return
        if "train_runtime" in logs:
            totals = {_shown(name): logs[name] for name in _TOTALS if name in logs}
            totals["train/mean_loss"] = totals.pop("train/loss", None)  # over all steps; the name is that of a curve
            self.run.summary.update({name: value for name, value in totals.items() if value is not None})
            return
        self._doubt(args, logs)
        numbers = {_shown(name): value for name, value in logs.items() if isinstance(value, (int, float))}
        speeds = {name: numbers.pop(name) for name in list(numbers) if name.endswith(_SPEEDS)}
        self.run.summary.update(speeds)
        self.run.log(numbers, step=state.global_step)
        self._ask(control)

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_more: Any) -> None:
        self._ask(control)

    def on_save(self, args: Any, state: Any, _control: Any, **_more: Any) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if self._checkpoints and state.is_world_process_zero and folder.is_dir():
            self.run.checkpoint(path=folder, copy=self._checkpoints == "copy", step=state.global_step)

    def _ask(self, control: Any) -> None:
        if self.guard is not None and self.guard.should_stop():
            control.should_training_stop = True

    def _doubt(self, args: Any, logs: Mapping[str, Any]) -> None:
        """Say so where the loss of a row cannot be what was computed."""
        loss, norm = logs.get("loss"), logs.get("grad_norm")
        hidden = loss is not None and norm is not None and math.isfinite(loss) and not math.isfinite(norm)
        if args.logging_nan_inf_filter and hidden and not self._told_filter:
            self._told_filter = True
            warn(f"the gradients are {norm}, and the loss is logged as {loss}: logging_nan_inf_filter hides what it "
                 "was; give GitreproCallback(show_nan=True)")  # fmt: skip


def _shown(name: str) -> str:
    for theirs, ours in (("eval_", "val/"), ("test_", "test/"), ("train_", "train/")):
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return name if name == "epoch" else f"train/{name}"
