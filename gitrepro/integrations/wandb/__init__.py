"""wandb, as far as a training script uses it, over a run of gitrepro: nothing leaves this machine.

    import gitrepro.integrations.wandb as wandb

`project` and `group` are the group of the run, tags its labels, notes its note. What has no home here is accepted and
said once not to be kept; what a script cannot go on without (`wandb.Api`, sweeps) is a clear error. The environment
counts as with wandb: WANDB_MODE, WANDB_PROJECT, WANDB_NAME, WANDB_RUN_GROUP, WANDB_TAGS, WANDB_NOTES, WANDB_JOB_TYPE.
"""

from __future__ import annotations

import sys
import types
from enum import Enum
from typing import Any, NoReturn

from ... import errors as _errors
from ...run.handle import Run as _Recorded
from ...run.wish import Wish as _Wish
from ..target import Target as _Target
from ..target import open_run, started
from .media import Artifact, Audio, Histogram, Html, Image, NotKept, Table, Video
from .run import Run
from .settings import asked_of

__version__ = "0.22.0"  # scripts compare it; the interface is that of this release
Error = CommError = UsageError = _errors.UsageError
Object3D = Molecule = Plotly = Bokeh = Graph = NotKept
run: Run | None = None


class AlertLevel(Enum):
    """How urgent an alert is."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class Settings(dict[str, Any]):
    """Settings of wandb; `mode` and `disabled` count, the others have no meaning here."""

    def __init__(self, **values: Any) -> None:
        super().__init__(values)


def init(
    entity: str | None = None,  # noqa: ARG001 - there is no server where it would mean something
    project: str | None = None,
    *,
    reinit: bool | str | None = None,
    settings: Any = None,
    **given: Any,
) -> Run:
    """Begin a run; while one goes on that is the answer, unless `reinit` is given.

    Args:
        given: as for wandb: `config`, `name`, `group`, `tags`, `notes`, `job_type`, `mode`, `id`, `resume`; others are
            taken and mean nothing here.

    Raises:
        UsageError: an argument is wrong. A run to resume that is not there is a warning, and a new run.
    """
    global run
    if run is not None and run.recorded.status == "running":
        if reinit in (None, False, "default", "return_previous"):
            return run
        if reinit != "create_new":
            run.finish()
    if isinstance(settings, dict):
        given = {**{key: settings[key] for key in ("mode", "project") if key in settings}, **given}
    asked = asked_of({**given, "project": project or given.get("project")})
    run = Run(_target(asked), asked)
    return run


def _target(asked: Any) -> _Target:
    if asked.disabled:
        return _Target(run=_Recorded(None, _Wish(config=dict(asked.config))), own=True)
    if (found := open_run()) is not None:
        from ..target import take_config

        take_config(found, asked.config)
        return _Target(run=found, own=False)
    return _Target(run=started(**asked.options()), own=True)


def _now() -> Run:
    if run is None:
        raise Error("wandb.init() was not called", do="call wandb.init() before")
    return run


def log(data: Any, step: int | None = None, commit: bool | None = None, sync: Any = None) -> None:
    """See `Run.log`."""
    _now().log(data, step=step, commit=commit, sync=sync)


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """End the run, if there is one."""
    global run
    ended, run = run, None
    if ended is not None:
        ended.finish(exit_code, quiet)


join = teardown = finish


def _of_run(name: str) -> Any:
    def call(*args: Any, **options: Any) -> Any:
        return getattr(_now(), name)(*args, **options)

    call.__name__, call.__doc__ = name, getattr(Run, name).__doc__
    return call


alert, define_metric, log_artifact, log_model, save, unwatch, use_artifact, watch = map(
    _of_run, ("alert", "define_metric", "log_artifact", "log_model", "save", "unwatch", "use_artifact", "watch")
)


def login(*_args: Any, **_options: Any) -> bool:
    """There is nobody to log in to."""
    return True


def setup(*_args: Any, **_options: Any) -> None:
    """Nothing is to be set up."""


def termlog(string: str = "", **_options: Any) -> None:
    """Say something on stderr."""
    sys.stderr.write(f"wandb: {string}\n")


termwarn = termerror = termlog


def _no_server(name: str) -> Any:
    def call(*_args: Any, **_options: Any) -> NoReturn:
        raise Error(f"wandb.{name} needs a server, and there is none",
                    do="`gitrepro.runs(...)` has the runs, `gitrepro.integrations.optuna` searches")  # fmt: skip

    return call


Api, sweep, agent, controller, launch, restore = map(
    _no_server, ("Api", "sweep", "agent", "controller", "launch", "restore")
)


class _Plots(types.ModuleType):
    """`wandb.plot`: charts that only its server draws."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return NotKept


plot = _Plots("plot")


def __getattr__(name: str) -> Any:
    if name in ("config", "summary"):
        return getattr(_now(), name)
    raise AttributeError(f"gitrepro's stand-in for wandb has no {name!r}")


__all__ = [
    "AlertLevel", "Api", "Artifact", "Audio", "Error", "Histogram", "Html", "Image", "Run", "Settings", "Table",
    "Video", "agent", "alert", "define_metric", "finish", "init", "log", "log_artifact", "log_model", "login", "plot",
    "run", "save", "setup", "sweep", "termlog", "unwatch", "use_artifact", "watch",
]  # fmt: skip
