"""Hydra: a callback that makes each job a run, also those of a multirun.

    hydra:
      callbacks:
        gitrepro:
          _target_: gitrepro.integrations.hydra.GitreproCallback

A single job needs nothing of this: `gitrepro record -- python app.py model=small` reads the composed config by itself.
"""

from __future__ import annotations

from typing import Any, final

from hydra.core.utils import JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import gitrepro

from ..run.handle import Run

_running: list[Run] = []


def running() -> Run | None:
    """The run of the job that is under way; None where the callback is not in the config."""
    return _running[-1] if _running else None


@final
class GitreproCallback(Callback):
    """Begins a run when a job begins, with the composed config, and ends it as the job ends.

    The job finds its run by `running()` of this module; it calls no `gitrepro.record` of its own.

    Args:
        options: of `gitrepro.record`, such as `group` and `seed`. The jobs of a multirun are a group by the name of
            the job where none is given.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options

    def on_job_start(self, config: DictConfig, **_more: Any) -> None:
        options = dict(self._options)
        if str(OmegaConf.select(config, "hydra.mode")).endswith("MULTIRUN"):
            options.setdefault("group", config.hydra.job.name)
        _running.append(gitrepro.record(config=_plain(config), **options))

    def on_job_end(self, config: DictConfig, job_return: Any, **_more: Any) -> None:  # noqa: ARG002 - Hydra's names
        if not _running:
            return
        ended = _running.pop()
        # Its property `return_value` would print the error as well as raise it.
        failed = job_return.status is JobStatus.FAILED
        ended.ended_by(job_return._return_value if failed else None)


def _plain(config: DictConfig) -> dict[str, Any]:
    """The composed config without Hydra's own part, resolved as far as it can be."""
    return {str(key): _value(config, key) for key in config if key != "hydra"}


def _value(config: DictConfig, key: Any) -> Any:
    try:
        value = config[key]
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except OmegaConfBaseException:
        # A value that is missing, or points nowhere, is an error only for a program that reads it.
        node = config._get_node(key)
        return OmegaConf.to_container(node) if OmegaConf.is_config(node) else str(node._value())
