"""One run to be made: plain JSON, carried out by `gitrepro job` in a worktree and a process of its own.

A job's folder holds all there is of it, so an engine passes on a path and waits:

    spec.json     what to run
    output.log    what the program printed, and the job itself
    tree/         the worktree, for as long as it runs
    result.json   the run it made, written last and whole

What the run measured is on record like any other run; it never comes back through the engine.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ..capture import config as configs
from ..errors import Damaged, GitreproError, NotFound, UsageError
from ..launch import Order, launch
from ..records import ids
from ..run import place
from ..run.intake.files import Wanted
from ..run.named import NamedData
from ..store import fs, repository, worktrees
from ..store.lease import Lease, Life, life
from ..store.repository import Repository
from .checkout import Source, lay_out

FORMAT: Final = 1
SPEC: Final = "spec.json"
RESULT: Final = "result.json"
OUTPUT: Final = "output.log"
TREE: Final = "tree"
# What else begins so is of the run that starts the job, and not of the one it makes.
_OURS: Final = ("GITREPRO_DEBUG", "GITREPRO_DIR", "GITREPRO_SPOOL")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """What to run, where and with what. Round-trips through JSON.

    Attributes:
        repository: a folder in the repository that holds the code and takes the run in.
        commit, overlays: the code, as `checkout.Source` has it.
        folder: where in the work tree to start, `.` for the top.
        parent: the run this one repeats.
        env: variables beside those the job finds; a value may hold `{tree}`, the worktree.
        config: layers of configuration from outside the command line, each `source` and `values`.
        takes_in: which files of the program belong to its run: patterns for `metrics` and `outputs`, and `tensorboard`.
        data: `datasets` and `splits` that the command named.
        links: paths in the worktree, and what each links to.
        resources: what an engine that schedules is asked for: `cpus`, `gpus`, `memory_bytes`, `seconds`.
    """

    id: str
    repository: str
    commit: str
    argv: tuple[str, ...]
    seed: int | None = None
    overlays: tuple[str, ...] = ()
    folder: str = "."
    env: Mapping[str, str] = field(default_factory=dict)
    config: tuple[Mapping[str, Any], ...] = ()
    takes_in: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    kind: str = "train"
    group: str | None = None
    parent: str | None = None
    keep: bool = False
    resources: Mapping[str, float] = field(default_factory=dict)

    def dump(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2, sort_keys=True).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What became of a job.

    Attributes:
        run_id: the run it made; None when it came to none.
        exit_code: of the program; None when it was not started.
        trouble: why there is no run, or none on record yet; empty when all is well.
        tree: the worktree, where it was kept.
    """

    run_id: str | None = None
    exit_code: int | None = None
    trouble: str = ""
    tree: str | None = None

    def dump(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=2, sort_keys=True).encode()


def load_spec(data: bytes, *, source: str) -> JobSpec:
    """Read a `spec.json`.

    Raises:
        Damaged: it is not one.
    """
    document = _load(data, source)
    for name in ("argv", "overlays", "config"):
        document[name] = tuple(document.get(name) or ())
    try:
        spec = JobSpec(**document)
    except TypeError as error:
        raise Damaged(f"{source} is no job", why=str(error)) from error
    if not spec.argv or not all(isinstance(word, str) for word in spec.argv):
        raise Damaged(f"{source} is no job", why="it names no command")
    return spec


def load_result(data: bytes, *, source: str) -> JobResult:
    """Read a `result.json`. Raises as `load_spec` does."""
    try:
        return JobResult(**_load(data, source))
    except TypeError as error:
        raise Damaged(f"{source} is no result of a job", why=str(error)) from error


def _load(data: bytes, source: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError as error:
        raise Damaged(f"{source} does not parse", why=str(error)) from error
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise Damaged(f"{source} is not of format {FORMAT}", do="use the same gitrepro on both sides")
    return document


def jobs_folder(repository: Repository) -> Path:
    return repository.home / "jobs"


def prepare(folder: Path, spec: JobSpec) -> Path:
    """The folder of a new job below `folder`, with its spec in it."""
    with fs.explained(f"cannot prepare a job in {folder}"):
        place = folder / spec.id
        fs.make_directories(place)
        fs.write_file(place / SPEC, spec.dump())
    return place


def command(folder: Path) -> list[str]:
    """The command that carries out the job in `folder`."""
    return [sys.executable, "-m", "gitrepro", "job", str(folder)]


def result_of(folder: Path) -> JobResult:
    """What became of the job in `folder`, once its process is gone."""
    try:
        return load_result((folder / RESULT).read_bytes(), source=str(folder / RESULT))
    except FileNotFoundError:
        return JobResult(trouble="the job left no word of its end")
    except GitreproError as error:
        return JobResult(trouble=str(error))


def perform(folder: Path, *, say: Callable[[str], None]) -> JobResult:
    """Carry out the job in `folder`: lay out its code, run and record its program, take the code away again.

    For a process of its own: it changes the current folder. The result is on disk when this returns.

    Raises:
        Damaged, NotFound: there is no job in `folder`.
        UsageError: it was carried out already, or is at work.
    """
    spec = load_spec(_spec_bytes(folder), source=str(folder / SPEC))
    if (folder / RESULT).exists() or life(folder) is Life.ALIVE:
        raise UsageError(f"the job in {folder} is done, or at work", do="submit a new one")
    lease = Lease(folder, boot_id="")
    result = JobResult(trouble="it was interrupted before the program was started")
    try:
        result = _perform(spec, folder / TREE, say)
    except (GitreproError, OSError) as error:
        result = JobResult(trouble=str(error))
    finally:
        fs.write_file(folder / RESULT, result.dump())
        lease.release()
    return result


def _spec_bytes(folder: Path) -> bytes:
    try:
        return (folder / SPEC).read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"there is no job in {folder}") from error


def _perform(spec: JobSpec, tree: Path, say: Callable[[str], None]) -> JobResult:
    found = repository.find(Path(spec.repository), {})
    try:
        lay_out(found, _source(spec), tree)
        _link(tree, spec.links)
        os.chdir(_inside(tree, spec.folder))
        environ = _environ(spec, tree)
        outcome = launch(_order(spec, environ), where=place.find(Path.cwd(), {}), say=say)
    finally:
        os.chdir(found.common_dir)
        if not spec.keep:
            worktrees.remove(found, tree)
    kept = str(tree) if spec.keep else None
    return JobResult(run_id=outcome.run_id, exit_code=outcome.exit_code, trouble=outcome.trouble, tree=kept)


def _source(spec: JobSpec) -> Source:
    return Source(
        run_id=spec.parent or spec.id,
        name="",
        commit=spec.commit,
        overlays=spec.overlays,
        folder=spec.folder,
        tree=None,
        incomplete=(),
    )


def _inside(tree: Path, folder: str) -> Path:
    """A folder of the worktree: what a record names may lead out of it."""
    there = (tree / folder).resolve()
    if not there.is_relative_to(tree.resolve()) or not there.is_dir():
        raise NotFound(
            f"the run was started in {folder!r:.200}, which is no folder of its code",
            why="it held no file that was kept, or leads out of the work tree",
            do="`gitrepro checkout` lays out what there is",
        )
    return there


def _link(tree: Path, links: Mapping[str, str]) -> None:
    for name, target in links.items():
        there = tree / name
        if not there.parent.resolve().is_relative_to(tree.resolve()):
            raise UsageError(f"{name!r:.200} leads out of the checkout", do="name a path inside the repository")
        if os.path.lexists(there):
            raise UsageError(f"{name!r:.200} is part of the code", do="link only what Git ignores")
        with fs.explained(f"cannot link {there}"):
            there.parent.mkdir(parents=True, exist_ok=True)
            there.symlink_to(target)


def _environ(spec: JobSpec, tree: Path) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GITREPRO_") or name in _OURS}
    environ.update({name: value.replace("{tree}", str(tree)) for name, value in spec.env.items()})
    environ["PWD"] = str(Path.cwd())
    if spec.parent is not None and ids.is_id(spec.parent):
        environ["GITREPRO_RUN"] = spec.parent
    return environ


def _order(spec: JobSpec, environ: Mapping[str, str]) -> Order:
    layers = [configs.Layer(source=str(layer["source"]), values=dict(layer["values"])) for layer in spec.config]
    return Order(
        argv=spec.argv,
        group=spec.group,
        kind=spec.kind,
        seed=spec.seed,
        seeding=spec.seed is not None,
        config=tuple(layers),
        files=_wanted(spec.takes_in),
        data=NamedData(**{name: tuple(map(str, spec.data.get(name) or ())) for name in ("datasets", "splits")}),
        environ=environ,
    )


def _wanted(takes_in: Mapping[str, Any]) -> Wanted:
    metrics, outputs = (tuple(map(str, takes_in.get(name) or ())) for name in ("metrics", "outputs"))
    return Wanted(metrics=metrics, outputs=outputs, tensorboard=takes_in.get("tensorboard", True) is True)


def tidy(repository: Repository, folder: Path) -> None:
    """Take away the worktree of a job that is over and could not do so itself, as after a kill."""
    if (folder / TREE).is_dir() and result_of(folder).tree is None and life(folder) is Life.DEAD:
        worktrees.remove(repository, folder / TREE)


def sweep(repository: Repository) -> None:
    """Take away what killed jobs left behind."""
    for folder in sorted(jobs_folder(repository).glob("*")):
        tidy(repository, folder)


def clear(folder: Path) -> None:
    """Take away the folder of a job whose run is on record."""
    shutil.rmtree(folder, ignore_errors=True)
