"""Which run a bridge writes into, and how it gives it what other tools call a config."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gitrepro

from ..errors import UsageError
from ..run import process
from ..run.handle import Run
from ..run.warning import warn

# A second logger of one program must not write into the run of the first.
_of_bridges: weakref.WeakSet[Run] = weakref.WeakSet()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The run that a bridge writes into.

    Attributes:
        run: the run.
        own: whether the bridge began it, so that it is the bridge's to end.
    """

    run: Run
    own: bool

    def interrupted(self) -> None:
        """Called while an exception is handled: end our own run with it, and any run that Ctrl-C ends.

        Some frameworks turn Ctrl-C into an exit code, and whoever opened the run would take it for a failure.
        """
        error = sys.exc_info()[1]
        if error is not None and (self.own or isinstance(error, KeyboardInterrupt)):
            self.run.finish()


def target_for(run: Run | None = None, **options: Any) -> Target:
    """The run given, else the newest that the program has open, else a new one.

    Args:
        run: a run under way.
        options: of `gitrepro.record`, for a new one.

    Raises:
        UsageError: `run` is no run, or it has ended, or there are options for a run that is there already.
    """
    if run is None:
        run = open_run()
    elif not isinstance(run, Run):
        raise UsageError(f"run={run!r:.60} is no run", do="give what `gitrepro.record()` returned, or nothing")
    if run is None:
        return Target(run=started(**options), own=True)
    if run.status != "running":
        raise UsageError(f"run {run.name} has ended", do="use the bridge inside `with gitrepro.record() as run:`")
    if options:
        raise UsageError(f"{', '.join(options)} given for run {run.name}, which goes on already",
                         do="give them to `gitrepro.record`")  # fmt: skip
    return Target(run=run, own=False)


def started(**options: Any) -> Run:
    """A run that a bridge begins; it ends with the process where nobody ends it before."""
    run = gitrepro.record(**options)
    _of_bridges.add(run)
    return run


def open_run() -> Run | None:
    mine = [run for run in process.open_runs() if run not in _of_bridges]
    return max(mine, key=lambda run: run.id, default=None)


def take_config(run: Run, values: Mapping[str, Any], *, under: str = "") -> None:
    """Put settings on record, key by key: one that cannot be kept costs only itself."""
    for key, value in values.items():
        name = f"{under}{key}"
        try:
            run.config[name] = value
        except UsageError as error:
            warn(f"config {name!r} is not recorded: {error.what}")


def declared(run: Run, *objects: object) -> None:
    """Put model, optimizer and scheduler on record, those that are there."""
    there = [each for each in objects if each is not None]
    if there:
        run.watch(*there)
