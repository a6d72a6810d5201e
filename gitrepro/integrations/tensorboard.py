"""TensorBoard: a `SummaryWriter` that writes its event files as ever, and its scalars into a run as well.

from gitrepro.integrations.tensorboard import SummaryWriter
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, final

from torch.utils import tensorboard

from ..run.handle import Run
from .target import Target, take_config, target_for


@final
class SummaryWriter(tensorboard.SummaryWriter):  # type: ignore[misc,no-untyped-call,unused-ignore]
    """The writer of torch, and a run. Images, histograms and all else stay in the event files.

    Under `gitrepro record` the command takes the event files in by itself, and this writer adds nothing, so that no
    number is on record twice. A run of its own ends with `close()`.

    Args:
        log_dir, more: as for torch's writer.
        run: by default the run that the program has open; without one a new one is begun.

    Raises:
        UsageError: `run` is no run, or has ended.
    """

    def __init__(self, log_dir: str | None = None, *more: Any, run: Run | None = None, **options: Any) -> None:
        super().__init__(log_dir, *more, **options)
        taken_in = bool(os.environ.get("GITREPRO_LIVE")) and run is None
        self._target: Target | None = None if taken_in else target_for(run)

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: int | None = None, *more: Any, **options: Any
    ) -> None:
        super().add_scalar(tag, scalar_value, global_step, *more, **options)
        self._log({tag: scalar_value}, global_step)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: int | None = None, *more: Any
    ) -> None:
        super().add_scalars(main_tag, tag_scalar_dict, global_step, *more)
        self._log({f"{main_tag}/{tag}": value for tag, value in tag_scalar_dict.items()}, global_step)

    def add_hparams(
        self, hparam_dict: Mapping[str, Any], metric_dict: Mapping[str, Any], *more: Any, **options: Any
    ) -> None:
        super().add_hparams(hparam_dict, metric_dict, *more, **options)
        if self._target:
            take_config(self._target.run, hparam_dict)
            self._target.run.summary.update({name: float(value) for name, value in metric_dict.items()})

    def close(self) -> None:
        super().close()
        if self._target and self._target.own:
            self._target.run.finish()

    def _log(self, values: Mapping[str, Any], step: int | None) -> None:
        if self._target:
            self._target.run.log(values, step=step)
