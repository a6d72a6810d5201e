"""What `wandb.init` is asked for, by its arguments and by the environment, in the words of gitrepro."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ...capture.config import from_file
from ...errors import UsageError
from ...run.warning import warn

_MODES: Final = ("online", "offline", "dryrun", "run", "shared", "disabled")
_TRUE: Final = ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call of `wandb.init`.

    Attributes:
        project, run_group: become the group of the run, `project/group` where both are given.
        job_type, tags: become labels.
        disabled: nothing is recorded.
        resume: an id, or `auto`, or None.
    """

    project: str | None = None
    run_group: str | None = None
    job_type: str | None = None
    name: str | None = None
    notes: str | None = None
    tags: tuple[str, ...] = ()
    disabled: bool = False
    resume: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """As `gitrepro.record` takes it."""
        group = "/".join(part for part in (self.project, self.run_group) if part)
        labels = [*self.tags, *([self.job_type] if self.job_type else [])]
        return {"config": dict(self.config), "name": self.name, "group": group or None, "labels": labels,
                "note": self.notes, "resume": self.resume}  # fmt: skip


def asked_of(given: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Asked:
    """What the arguments of `wandb.init` say, and for those left out the environment.

    Raises:
        UsageError: the mode is none that wandb has, or the config cannot be read.
    """

    def said(name: str, variable: str) -> str | None:
        value = given.get(name) if given.get(name) is not None else environ.get(variable)
        return str(value) if value else None

    return Asked(
        project=said("project", "WANDB_PROJECT"),
        run_group=said("group", "WANDB_RUN_GROUP"),
        job_type=said("job_type", "WANDB_JOB_TYPE"),
        name=said("name", "WANDB_NAME"),
        notes=said("notes", "WANDB_NOTES"),
        tags=_tags(given.get("tags"), environ.get("WANDB_TAGS")),
        disabled=_disabled(said("mode", "WANDB_MODE"), environ),
        resume=_resume(given.get("resume", environ.get("WANDB_RESUME")), said("id", "WANDB_RUN_ID")),
        config=_config(given),
    )


def _tags(given: Any, variable: str | None) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    if isinstance(given, Iterable):
        return tuple(str(tag) for tag in given)
    return tuple(tag.strip() for tag in (variable or "").split(",") if tag.strip())


def _disabled(mode: str | None, environ: Mapping[str, str]) -> bool:
    if mode is not None and mode not in _MODES:
        raise UsageError(f"wandb.init(mode={mode!r:.40})", why=f"known are {', '.join(_MODES)}")
    return mode == "disabled" or environ.get("WANDB_DISABLED", "").lower() in _TRUE


def _resume(resume: Any, run_id: str | None) -> str | None:
    if resume in (None, False, "never", ""):
        return None
    # `allow` without an id means a new run; the others mean the last one of this command.
    return run_id or (None if resume == "allow" else "auto")


def _config(given: Mapping[str, Any]) -> dict[str, Any]:
    config = given.get("config")
    if isinstance(config, (str, Path)):
        config = from_file(config)
    plain = plain_config(config)
    if keep := given.get("config_include_keys"):
        plain = {key: value for key, value in plain.items() if key in keep}
    for key in given.get("config_exclude_keys") or ():
        plain.pop(key, None)
    return plain


def plain_config(config: Any) -> dict[str, Any]:
    """A mapping, a namespace, a dataclass or absl's FLAGS as a mapping of its first level."""
    from ...capture.config import from_object

    if config is None:
        return {}
    if hasattr(config, "flag_values_dict"):
        return dict(config.flag_values_dict())
    if isinstance(config, Mapping):
        return {str(key): value for key, value in config.items()}
    try:
        return from_object(config)
    except UsageError as error:
        warn(f"the config is not recorded: {error.what}")
        return {}
