"""Accelerate: a tracker.

accelerator = Accelerator(log_with=GitreproTracker())
accelerator.init_trackers("digits", config=vars(args))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from accelerate.tracking import GeneralTracker, on_main_process

from ..run.handle import Run
from .target import Target, take_config, target_for


@final
class GitreproTracker(GeneralTracker):
    """Writes what `accelerator.log` is given into a run. `accelerator.end_training()` ends a run of its own.

    Args:
        run: by default the run that the program has open; without one a new one is begun with the trackers.
        options: of `gitrepro.record`, for a new run.

    Raises:
        UsageError: `run` is no run, or has ended.
    """

    name = "gitrepro"
    requires_logging_directory = False

    def __init__(self, run: Run | None = None, **options: Any) -> None:
        super().__init__()
        self._options = options
        self._target: Target | None = target_for(run, **options) if run is not None else None

    @property
    def tracker(self) -> Run:
        """The run itself, for all else that it can do."""
        if self._target is None:
            self._target = target_for(**self._options)
        return self._target.run

    @on_main_process
    def store_init_configuration(self, values: Mapping[str, Any]) -> None:
        take_config(self.tracker, values)

    @on_main_process
    def log(self, values: Mapping[str, Any], step: int | None = None, **_more: Any) -> None:
        self.tracker.log(values, step=step)

    @on_main_process
    def finish(self) -> None:
        if self._target is not None and self._target.own:
            self._target.run.finish()
