"""A run as scripts for wandb use it."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Any, Final, final

from ...errors import UsageError
from ...run.handle import Run as Recorded
from ...run.values import check_step
from ...run.warning import warn
from ..target import Target, declared
from .media import MEDIA, Artifact, Image, Media, NotKept
from .settings import Asked
from .views import Config, Summary

_GOALS: Final = {"minimize": "min", "maximize": "max", "min": "min", "max": "max"}


@final
class Run:
    """What `wandb.init` returns.

    Attributes:
        recorded: the run of gitrepro behind it, for all else that it can do.
        config, summary: as in wandb.
    """

    def __init__(self, target: Target, asked: Asked) -> None:
        self.recorded: Recorded = target.run
        self._target, self._asked = target, asked
        self.config, self.summary = Config(target.run), Summary(target.run)
        self.start_time = time.time()
        self.step = target.run._step + 1  # a run that is resumed, or that logs by itself as well, has a last step
        self._goals: dict[str, str] = {}
        self._known: set[str] = set()
        self._told: set[str] = set()
        self._folder: Path | None = None

    # -- what it is

    id = property(lambda self: self.recorded.id)
    name = property(lambda self: self.recorded.name)
    project = property(lambda self: self._asked.project)
    group = property(lambda self: self._asked.run_group)
    job_type = property(lambda self: self._asked.job_type)
    notes = property(lambda self: self._asked.notes)
    tags = property(lambda self: self._asked.tags)
    disabled = property(lambda self: self._asked.disabled)
    offline = property(lambda self: not self._asked.disabled)
    resumed = property(lambda self: self.recorded.resumes is not None)
    path = property(lambda self: self.recorded.id)
    entity = url = sweep_id = property(lambda _self: None)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("name", "notes", "tags"):
            self._tell_once(name, f"run.{name} is given once, to init; `gitrepro label` and `gitrepro note` add")
            return
        object.__setattr__(self, name, value)

    def get_url(self) -> None:
        """There is no server."""

    get_project_url = get_sweep_url = get_url

    def project_name(self) -> str | None:
        """The project, which is the group of the run."""
        return self._asked.project

    @property
    def dir(self) -> str:
        """A folder; what lies in it at the end is kept with the run, below `files/`."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="gitrepro-"))
            # Many scripts never call finish. What is registered later comes earlier: the run is still open then.
            atexit.register(self._keep_folder)
        return str(self._folder)

    # -- what happens

    def log(
        self,
        data: Mapping[str, Any],
        step: int | None = None,
        commit: bool | None = None,
        sync: Any = None,  # noqa: ARG002
    ) -> None:
        """Record a row. Without `commit` the next call goes on with the same step.

        Args:
            data: numbers, nested as one likes: `{"val": {"loss": 1}}` is `val.loss`. Media become artifacts, words the
                summary.
            step: not below the last one; such a row is left out with a warning, as in wandb.
            commit: whether the step is over; by default it is where no `step` is given.

        Raises:
            UsageError: `data` is no mapping, or `step` no integer.
        """
        if not isinstance(data, Mapping):
            raise UsageError(f"log() takes a mapping of names to values, not {data!r:.60}", do='log({"loss": 0.5})')
        step = None if step is None else check_step(step)
        if step is not None and step < self.step:
            self._tell_once("step", f"step {step} is below {self.step}: the row is not recorded, as in wandb")
            return
        self.step = self.step if step is None else step
        self._row(dict(_flat(data)))
        if commit if commit is not None else step is None:
            self.step += 1

    def _row(self, values: Mapping[str, Any]) -> None:
        numbers = {name: value for name, value in values.items() if not isinstance(value, (Media, str, list, tuple))}
        self.summary.saw(numbers)
        self._set_goals(numbers)
        if numbers:
            self.recorded.log(numbers, step=self.step)
        for name, value in values.items():
            if name not in numbers:
                self._other(name, value)

    def _other(self, name: str, value: Any) -> None:
        many = value if isinstance(value, (list, tuple)) else [value]
        if isinstance(value, str):
            self.summary[name] = value
        elif many and all(isinstance(each, Media) for each in many):
            for place, each in enumerate(many):
                self._media(name, each, f"-{place}" if len(many) > 1 else "")
        else:
            self._tell_once(name, f"{name} is a {type(value).__name__}, and not recorded: log numbers or media")

    def _media(self, name: str, media: Media, place: str) -> None:
        if isinstance(media, NotKept):
            self._tell_once(name, f"{name} is something to show, and is not kept; log a figure as wandb.Image(figure)")
            return
        try:
            self.recorded.artifact(media.content(), f"{MEDIA}/{name}-{self.step}{place}{media.suffix}")
        except Exception as error:  # noqa: BLE001 - a stranger's picture: the training goes on
            self._tell_once(name, f"{name} is not kept: {error!s:.300}")

    def define_metric(self, name: str, step_metric: Any = None, *_more: Any, **options: Any) -> None:  # noqa: ARG002
        """Take the goal of a metric, from `goal` or from `summary="min"`. A `*` stands for any name."""
        goal = _GOALS.get(str(options.get("goal") or options.get("summary") or "").split(",")[0])
        if goal is None:
            return
        if "*" in name:
            self._goals[name] = goal
        else:
            self.recorded.define_metric(name, goal=goal)  # type: ignore[arg-type]

    def _set_goals(self, names: Mapping[str, Any]) -> None:
        for name in names.keys() - self._known if self._goals else ():
            self._known.add(name)
            for pattern, goal in self._goals.items():
                if fnmatchcase(name, pattern):
                    self.recorded.define_metric(name, goal=goal)  # type: ignore[arg-type]

    def watch(self, models: Any, *_more: Any, **_options: Any) -> None:
        """Put models on record. Histograms of gradients and weights are not kept."""
        declared(self.recorded, *(models if isinstance(models, (list, tuple)) else [models]))

    def unwatch(self, models: Any = None) -> None:
        """Nothing hangs on a model."""

    def save(self, glob_str: Any = None, base_path: Any = None, policy: str = "live") -> list[str]:  # noqa: ARG002
        """Keep the files of a pattern as they are now, by their names below `base_path`."""
        if glob_str is None:
            return []
        pattern = Path(glob_str)
        base = Path(base_path) if base_path else pattern.parent
        found = sorted(path for path in pattern.parent.glob(pattern.name) if path.is_file())
        for path in found:
            self.recorded.artifact(path, f"files/{path.relative_to(base)}")
        return [str(path) for path in found]

    def log_artifact(
        self, artifact_or_path: Any, name: str | None = None, type: str | None = None, **_: Any
    ) -> Artifact:
        """Keep what an artifact holds, or a file or folder."""
        artifact = artifact_or_path
        if not isinstance(artifact, Artifact):
            path = Path(artifact_or_path)
            artifact = Artifact(name or f"run-{self.id[-8:]}-{path.name}", type or "unspecified")
            (artifact.add_dir if path.is_dir() else artifact.add_file)(str(path))
        for entry, what in artifact.entries.items():
            self.recorded.artifact(what, f"{artifact.name}/{entry}")
        about = {"type": artifact.type, "description": artifact.description, "metadata": artifact.metadata}
        if any(about.values()):
            self.recorded.artifact(about, f"{artifact.name}/artifact.json")
        return artifact

    upsert_artifact = finish_artifact = log_artifact

    def log_model(self, path: str, name: str | None = None, **_more: Any) -> None:
        """Keep a file or folder as a model."""
        self.log_artifact(path, name=name, type="model")

    def use_artifact(self, artifact_or_name: Any, *_more: Any, **_options: Any) -> Artifact:
        """An artifact made here. Those of a server are not to be had.

        Raises:
            UsageError: a name is given.
        """
        if isinstance(artifact_or_name, Artifact):
            return artifact_or_name
        raise UsageError(f"there is no server to fetch {artifact_or_name!r:.80} from",
                         do="use a data set of gitrepro: run.recorded.dataset(NAME)")  # fmt: skip

    def log_code(self, *_args: Any, **_options: Any) -> None:
        """The code is on record already."""

    def link_artifact(self, *_args: Any, **_options: Any) -> None:
        """There is no registry."""
        self._tell_once("link", "artifacts are linked nowhere: there is no registry")

    def mark_preempting(self) -> None:
        """SIGTERM is seen without it."""

    def alert(self, title: str, text: str = "", level: Any = None, wait_duration: Any = None) -> None:  # noqa: ARG002
        """Say it on stderr; nobody else is told."""
        warn(f"alert: {title}: {text}")

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:  # noqa: ARG002
        """End the run: as failed where the exit code is not 0, else by what is happening."""
        self._keep_folder()
        if not self._target.own:
            return
        self.recorded.finish(*(["failed"] if exit_code else []), reason=f"exit code {exit_code}" if exit_code else None)

    join = finish

    def _keep_folder(self) -> None:
        folder, self._folder = self._folder, None
        if folder is None:
            return
        atexit.unregister(self._keep_folder)
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            self.recorded.artifact(path, f"files/{path.relative_to(folder)}")
        shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._keep_folder()
        if self._target.own:
            self.recorded.ended_by(error)

    def _tell_once(self, about: str, message: str) -> None:
        if about not in self._told:
            self._told.add(about)
            warn(message)


def _flat(data: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        full = f"{under}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{full}.")
        else:
            yield full, _shown(value)


def _shown(value: Any) -> Any:
    return Image(value) if hasattr(value, "savefig") or type(value).__module__.startswith("PIL.") else value
