"""The recording API: `with gitrepro.record(config=cfg, seed=0) as run: run.log({"loss": loss})`."""

from __future__ import annotations

import atexit
import math
import os
import re
import sys
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, final

from ..capture import config as configs
from ..capture import environment, hardware, secrets
from ..errors import GitreproError, GitreproWarning, UsageError
from ..records import ids
from ..records.run import Kind, RunRecord, Status
from ..store import worktree
from ..store.journal import Number
from ..training.seeds import SeedWatch
from . import commit, place
from .compose import stamp
from .names import check_name, name_for
from .place import Place
from .recording import Recording, begin, join
from .signals import Preempted, preemptable

Goal = Literal["min", "max"]
_METRIC_NAME: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,256}")
_REJECTED_NAMES_AT_MOST: Final = 1000
_TRACEBACK_CHARACTERS: Final = 20_000


def record(
    config: object = None,
    *,
    name: str | None = None,
    group: str | None = None,
    labels: Iterable[str] = (),
    note: str | None = None,
    seed: int | None = None,
    kind: str = "train",
    repo: str | os.PathLike[str] | None = None,
) -> Run:
    """Start a run. Use it as a context manager, or call `finish()`.

    Under `gitrepro record -- ...` the first call joins the run that the command started; a later one, after the
    first has finished, starts a run of its own.

    Args:
        config: dict, dataclass, Namespace or the like; what code reads goes on record as its source.
        name: for people; one is made up when there is none.
        group: a label of yours that puts runs together.
        labels: free words.
        note: free text.
        seed: seeds Python, NumPy and torch, now and when they are imported. Without it nothing is touched, and the
            seeding calls of your code are observed.
        kind: `train`, `eval`, `baseline`, `shuffle`, `overfit`, `data-check` or `reproduction`.
        repo: a folder in the repository of the code; the current folder by default.

    Raises:
        UsageError: an argument is wrong. Nothing else is raised: without a repository or on a full disk the run is
            kept in the state folder, with a warning.
    """
    wish = _Wish(
        config=configs.from_object(config),
        name=None if name is None else check_name(name),
        group=None if group is None else check_name(group, what="group"),
        labels=tuple(check_name(label, what="label") for label in labels),
        note=_check_note(note),
        seed=_check_seed(seed),
        kind=_check_kind(kind),
        start=Path(repo) if repo is not None else Path.cwd(),
    )
    if os.environ.get("GITREPRO_MODE", "online") == "disabled":
        return Run(None, wish, run_id=ids.new_id(), where=None)
    joined = _join(wish)
    return joined if joined is not None else _start(wish)


class _Wish:
    """The checked arguments of `record`."""

    def __init__(self, **values: Any) -> None:
        self.config: dict[str, Any] = values["config"]
        self.name: str | None = values["name"]
        self.group: str | None = values["group"]
        self.labels: tuple[str, ...] = values["labels"]
        self.note: str | None = values["note"]
        self.seed: int | None = values["seed"]
        self.kind: str = values["kind"]
        self.start: Path = values["start"]


def _check_seed(seed: object) -> int | None:
    if seed is None:
        return None
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise UsageError(f"seed {seed!r:.60} is not an integer", do="give an int from 0 to 4294967295")
    number = int(seed.__index__())
    if not 0 <= number < 2**32:
        raise UsageError(
            f"seed {number} is out of range", why="NumPy takes 0 to 4294967295", do="give an int in that range"
        )
    return number


def _check_kind(kind: object) -> str:
    if kind not in [str(known) for known in Kind]:
        raise UsageError(f"there is no kind {kind!r:.60}", do=f"give one of {', '.join(Kind)}")
    return str(kind)


def _check_note(note: object) -> str | None:
    if note is not None and not isinstance(note, str):
        raise UsageError(f"note {note!r:.60} is not text", do="give a str")
    return note


# -- starting

_joined = False


def _join(wish: _Wish) -> Run | None:
    """Take part in the run that a parent process started, if there is one and it still runs."""
    global _joined
    run_id, folder = os.environ.get("GITREPRO_RUN", ""), os.environ.get("GITREPRO_LIVE", "")
    if _joined or not ids.is_id(run_id) or not folder:
        return None
    try:
        rank = int(os.environ.get("RANK", "0") or 0)
        recording = join(Path(folder), boot_id=environment.host().get("boot_id", ""), rank=rank)
    except (OSError, GitreproError, ValueError):
        return None
    _joined = True
    run = Run(recording, wish, run_id=run_id, where=None)
    clean, _ = secrets.redact_tree(wish.config)
    for key, value in configs.flatten(clean).items():
        recording.event("config", key=key, value=value, source="code")
    return run


def _start(wish: _Wish) -> Run:
    where = place.find(wish.start, os.environ)
    run_id = ids.new_id()
    parent = os.environ.get("GITREPRO_RUN", "")
    host = environment.host()
    clean, hidden = secrets.redact_tree(wish.config)
    record = RunRecord(
        id=run_id,
        name=wish.name or name_for(run_id),
        kind=wish.kind,
        status=Status.RUNNING,
        started_at=stamp(time.time()),
        actor=_actor(where),
        host=host,
        argv=tuple(secrets.redact_argv(list(sys.orig_argv))),
        code=capture_code(where, named=[*sys.argv, *map(str, _leaves(wish.config))]),
        seeds={"requested": wish.seed, "source": None if wish.seed is None else "code"},
        group=wish.group,
        labels=tuple(sorted(set(wish.labels))),
        note=wish.note,
        parents=(parent,) if ids.is_id(parent) else (),
        recorder={"version": _version(), "hidden": hidden},
    )
    config = configs.merge([configs.Layer(source="code", values=clean)]).document()
    surroundings = {"format": 1, **environment.describe(), "hardware": hardware.describe(), "frameworks": {}}
    recording = open_recording(where, record, config, surroundings, supervised=False)
    return Run(recording, wish, run_id=run_id, where=where, name=record.name)


def open_recording(
    where: Place,
    record: RunRecord,
    config: Mapping[str, Any],
    surroundings: Mapping[str, Any],
    *,
    supervised: bool,
) -> Recording | None:
    """Open a live run where it belongs, else in the state folder; None, with a warning, when neither can be written."""
    variables, _ = secrets.redact_tree(surroundings.get("variables", {}))
    surroundings = {**surroundings, "variables": variables}
    boot_id = str(record.host.get("boot_id", ""))
    homes = [where.home]
    if where.repository is not None:
        homes.append(place.state_folder(os.environ))
    else:
        _warn(f"this run has no repository: {where.trouble}; it is kept in {where.home}")
    trouble: Exception | None = None
    for home in homes:
        try:
            recording = begin(
                home, record, config=config, environment=surroundings, boot_id=boot_id, supervised=supervised
            )
        except UsageError:
            raise
        except (OSError, GitreproError) as error:
            trouble = trouble or error
            continue
        if trouble:
            _warn(f"{where.home} cannot be written ({trouble}); the run is kept in {home}")
        return recording
    _warn(f"nothing of this run is recorded: {trouble}")
    return None


def capture_code(where: Place, *, named: Iterable[str]) -> dict[str, Any] | None:
    """The `code` field of a run that starts now; None without a repository. A fault of Git is told in it."""
    if where.repository is None:
        return None
    try:
        state = worktree.look(where.repository, named=_relative(where, named))
        taken = None
        if state.dirty:
            taken = worktree.snapshot(
                where.repository, state, identity=where.identity, now=time.time(), forbidden=secrets.secret_file
            )
    except (OSError, GitreproError) as error:
        _warn(f"the state of the code is not on record: {error}")
        return {"commit": None, "dirty": None, "snapshot": None, "tree": None, "trouble": str(error)}
    return worktree.document(state, taken)


def _relative(where: Place, named: Iterable[str]) -> list[str]:
    """Words that name files, as paths from the top of the work tree."""
    assert where.repository is not None
    top = where.repository.work_tree or where.repository.git_dir
    words = []
    for word in named:
        if 0 < len(word) < 4096 and "\0" not in word and "\n" not in word:
            full = os.path.normpath(Path.cwd() / word)
            if full.startswith(f"{top}{os.sep}"):
                words.append(os.path.relpath(full, top))
    return words


def _actor(where: Place) -> dict[str, Any]:
    identity = where.identity
    return {"email": identity.email, "name": identity.name}


def _leaves(values: object) -> Iterator[object]:
    if isinstance(values, Mapping):
        for below in values.values():
            yield from _leaves(below)
    elif isinstance(values, (list, tuple)):
        for below in values:
            yield from _leaves(below)
    elif isinstance(values, str):
        yield values


def _version() -> str:
    from .. import __version__

    return __version__


def _warn(message: str) -> None:
    warnings.warn(message, GitreproWarning, stacklevel=4)


# -- the run


@final
class Run:
    """A run under way. Made by `gitrepro.record`; every method may be called from any thread.

    Attributes:
        id: the run's id, a lower-case ULID.
        name: for people.
        config: the effective config; items and attributes, changes go on record.
        summary: numbers and words that stand for the run; by default the last value of each metric, or the best of
            those with a goal.
    """

    def __init__(
        self, recording: Recording | None, wish: _Wish, *, run_id: str, where: Place | None, name: str | None = None
    ) -> None:
        self.id = run_id
        self.name = name or wish.name or name_for(run_id)
        self.config = configs.LiveConfig(wish.config, on_change=self._config_changed)
        self.summary = Summary(self)
        self.status = Status.RUNNING
        self._recording = recording
        self._where = where
        self._step = -1
        self._rejected: dict[str, list[Any]] = {}
        self._late: list[tuple[int, str, Any]] = []
        self._lock = threading.RLock()
        self._row = recording.row if recording else _nowhere
        self._seeds: SeedWatch | None = None
        self._signals = preemptable() if recording else None
        if recording:
            self._watch_seeds(recording, wish)
            _open_runs.add(self)
            _install_hooks()

    # The hot path: a dict of floats costs one look-up, one struct, one checksum, one write.
    def log(self, values: Mapping[str, Any], *, step: int | None = None) -> None:
        """Append one row of metrics. It is safe from a kill once this returns.

        A value that is no number is not recorded: it warns once a name and the record says so; the other values of
        the call are kept.

        Args:
            values: numbers by name: int, float, bool, a NumPy or torch scalar. NaN and infinities are kept as they are.
            step: an int; by default one more than the last. Steps may repeat and go back.

        Raises:
            UsageError: `values` is no mapping, or the step is no integer.
        """
        if step is None:
            step = self._step + 1
        try:
            self._row(values, step)
        except (UsageError, AttributeError, TypeError):
            self._log_with_care(values, step)
            return
        self._step = step

    def define_metric(self, name: str, *, goal: Goal) -> None:
        """Say whether a metric is better when it is greater (`max`) or smaller (`min`).

        The summary then shows its best value, and `@best:name` finds the run.
        """
        if goal not in ("min", "max"):
            raise UsageError(f"the goal of {name} is {goal!r}", do='give goal="min" or goal="max"')
        self._event("define", name=_check_metric(name), goal=goal)

    def finish(self, status: str = "finished", *, reason: str | None = None) -> None:
        """End the run and commit it. A second call does nothing.

        Waits for the disk and for Git, never for a network. If the commit fails, the journal keeps the run and
        `gitrepro recover` commits it later.

        Args:
            status: `finished`, `failed`, `interrupted`, `preempted` or `out_of_memory`.
            reason: why, for people.
        """
        if status not in _END_STATES:
            raise UsageError(f"there is no end state {status!r:.60}", do=f"give one of {', '.join(_END_STATES)}")
        self._finish(Status(status), {"kind": status, "message": reason} if reason else None)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish(*outcome_of(error))

    def __repr__(self) -> str:
        return f"<Run {self.name} {self.id} {self.status}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # A spawned worker gets a run that writes its own journal into the same folder.
        if self._recording is None:
            raise UsageError(f"run {self.name} is not being recorded and cannot be sent to another process")
        return _rejoin, (str(self._recording.folder), self.id, self.name, self._recording.rank, self.config.as_dict())

    # -- inside

    def _log_with_care(self, values: Mapping[str, Any], step: Any) -> None:
        if not isinstance(values, Mapping):
            raise UsageError(f"log() takes a mapping of names to numbers, not {values!r:.60}", do='log({"loss": 0.5})')
        step = _check_step(step)
        with self._lock:
            kept, waiting = self._sort(values)
            if kept or waiting:
                self._row(kept, step)
                self._step = step
                self._wait_for(waiting)

    def _sort(self, values: Mapping[str, Any]) -> tuple[dict[str, Number], dict[str, Any]]:
        """Numbers to write now, and device values to write when they can be had without stopping the device."""
        kept: dict[str, Number] = {}
        waiting: dict[str, Any] = {}
        for name, value in values.items():
            try:
                _check_metric(name)
                if _on_device(value):
                    waiting[name] = value.detach().clone()
                else:
                    kept[name] = _number(value)
            except (UsageError, TypeError, ValueError, OverflowError) as error:
                self._reject(name, value, str(error))
        return kept, waiting

    def _wait_for(self, waiting: Mapping[str, Any]) -> None:
        if waiting and self._recording:
            row = self._recording.journal.last_sequence
            self._late += [(row, name, value) for name, value in waiting.items()]

    def _resolve_late(self) -> None:
        """Read device values, in the background thread: the training thread never waits for the device."""
        with self._lock:
            late, self._late = self._late, []
        for row, name, value in late:
            try:
                self._event("late", row=row, values={name: _number(value)})
            except (UsageError, TypeError, ValueError, RuntimeError) as error:
                self._reject(name, value, str(error))

    def _reject(self, name: object, value: object, why: str) -> None:
        key = f"{name!s:.256}"
        known = self._rejected.get(key)
        if known:
            known[0] += 1
        elif len(self._rejected) < _REJECTED_NAMES_AT_MOST:
            self._rejected[key] = [1, why]
            kind = type(value).__name__
            warnings.warn(
                f"metric {key!r} of type {kind} is not recorded: {why}; the other metrics are",
                GitreproWarning,
                stacklevel=5,
            )

    def _event(self, op: str, **content: Any) -> None:
        if self._recording and not self._recording.ended:
            self._recording.event(op, **content)

    def _config_changed(self, key: str, value: Any) -> None:
        self._event("config", key=key, value=secrets.redact_value(key, value), source="code")

    def _summary_changed(self, values: Mapping[str, Any]) -> None:
        self._event("summary", values=values)

    def _watch_seeds(self, recording: Recording, wish: _Wish) -> None:
        # Under `gitrepro record -- python` the start-up hook watches already; two watchers would report twice.
        watched = os.environ.get("GITREPRO_SEEDING") and self._where is None
        if not watched or wish.seed is not None:
            self._seeds = SeedWatch(
                requested=wish.seed,
                seed_now=wish.seed is not None,
                on_event=lambda event: self._event("seeds", generators=event.get("generators", {})),
            )
            self._seeds.start()
        recording.each_second(self._resolve_late)

    def _finish(self, status: Status, reason: Mapping[str, Any] | None) -> None:
        recording = self._recording
        with self._lock:
            if self.status is not Status.RUNNING or recording is None or not recording.ours:
                self.status = status if self.status is Status.RUNNING else self.status
                return
            self.status = status
        self._row = self._after_the_end
        _open_runs.discard(self)
        if self._signals:
            self._signals.restore()
        try:
            self._close(recording, status, reason)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end a training that went well
            _warn(f"run {self.name} is journalled and not committed: {error!r}; `gitrepro recover` commits it")
            recording.release()

    def _close(self, recording: Recording, status: Status, reason: Mapping[str, Any] | None) -> None:
        for name, (count, why) in self._rejected.items():
            self._event("lost", what=f"metric {name}: {count} values", why=why)
        kept = recording.end(status, reason=reason, **self._closing_facts())
        self._save(recording, kept)

    def _closing_facts(self) -> dict[str, Any]:
        generators = None
        if self._seeds:
            generators = self._seeds.generators()
            self._seeds.stop()
        facts: dict[str, Any] = {"cost": hardware.usage(), "frameworks": environment.frameworks()}
        if generators is not None:
            facts["generators"] = generators
        if self._where and self._where.repository and self._where.repository.work_tree:
            facts["code"] = self._code_at_end(self._where)
        return facts

    def _code_at_end(self, where: Place) -> dict[str, Any]:
        assert where.repository is not None
        return {"modules": environment.local_modules(str(where.repository.work_tree))}

    def _save(self, recording: Recording, kept: bool) -> None:
        if not kept:
            _warn(f"the end of run {self.name} is not on disk: {recording.journal.last_error}")
        where = self._where
        if where is None:
            recording.release()
            return
        if where.repository is None or recording.folder.parent.parent != where.home:
            recording.release()
            _warn(f"run {self.name} waits in {recording.folder}; `gitrepro recover --into REPOSITORY` takes it in")
            return
        try:
            commit.commit_run(where.repository, recording.folder, identity=where.identity)
        except (OSError, GitreproError) as error:
            _warn(f"run {self.name} is journalled and not committed: {error}; `gitrepro recover` commits it")
        finally:
            recording.release()

    def _after_the_end(self, _values: Mapping[str, Any], _step: int) -> None:
        warnings.warn(f"run {self.name} has ended: this is not recorded", GitreproWarning, stacklevel=3)

    def _after_fork(self) -> None:
        """In a forked child: the run goes on in a journal of the child's own, opened when it first logs."""
        recording = self._recording
        if recording is None:
            return
        recording.after_fork()
        self._lock = threading.RLock()
        self._late = []
        self._seeds = None

        def first_row(values: Mapping[str, Number], step: int) -> None:
            try:
                own = join(recording.folder, boot_id=environment.host().get("boot_id", ""), rank=recording.rank)
            except (OSError, GitreproError) as error:
                self._row = _nowhere
                _warn(f"process {os.getpid()} cannot log into run {self.name}: {error}")
                return
            self._recording, self._row = own, own.row
            own.row(values, step)

        self._where = None  # the parent commits the run
        self._row = first_row


def _nowhere(values: Mapping[str, Number], step: int) -> None:
    """Where rows of a disabled run go."""


_END_STATES: Final = ("finished", "failed", "interrupted", "preempted", "out_of_memory")


def _rejoin(folder: str, run_id: str, name: str, rank: int, config: dict[str, Any]) -> Run:
    wish = _Wish(
        config=config, name=name, group=None, labels=(), note=None, seed=None, kind="train", start=Path(folder)
    )
    recording = join(Path(folder), boot_id=environment.host().get("boot_id", ""), rank=rank)
    return Run(recording, wish, run_id=run_id, where=None, name=name)


class Summary(MutableMapping[str, Any]):
    """`run.summary`: what you set stands over what gitrepro computes at the end."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        clean = configs.from_object({check_name(name, what="summary name"): value})
        self._values.update(clean)
        self._run._summary_changed(clean)

    def __delitem__(self, name: str) -> None:
        raise UsageError(f"summary {name!r} stays on record", do="set it to another value")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Summary({self._values!r})"


# -- values


def _check_metric(name: object) -> str:
    if not isinstance(name, str):
        raise UsageError(f"metric name {name!r:.60} is not text")
    if not _METRIC_NAME.fullmatch(name) or name.startswith("_"):
        raise UsageError(
            f"metric name {name!r:.80} cannot be kept",
            why="a name has 1 to 256 characters, none of them a control character, and does not begin with _",
        )
    return name


def _check_step(step: object) -> int:
    try:
        number = int(step.__index__())  # type: ignore[attr-defined]
    except (AttributeError, TypeError) as error:
        raise UsageError(f"step {step!r:.60} is not an integer", do="give an int, or leave it away") from error
    if not -(2**63) <= number < 2**63:
        raise UsageError(f"step {number} is beyond 64 bits")
    return number


def _on_device(value: Any) -> bool:
    device = getattr(value, "device", None)
    return getattr(device, "type", "cpu") != "cpu" and hasattr(value, "detach")


def _number(value: Any) -> Number:
    """`value` as an int within 64 bits or a float."""
    if isinstance(value, (str, bytes, complex)) or value is None:
        raise UsageError(f"{type(value).__name__} is not a number")
    if not isinstance(value, (int, float)):
        value = _scalar(value)
    if isinstance(value, float):
        return float(value)
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise UsageError("the integer is beyond 64 bits; log it as a float")
    return number


def _scalar(value: Any) -> int | float:
    item = getattr(value, "item", None)
    if item is not None:
        if math.prod(getattr(value, "shape", ())) != 1:
            raise UsageError(f"shape {tuple(value.shape)} is not one number; log its mean, or one name for each")
        value = item()
    elif hasattr(value, "__float__"):
        value = float(value)
    if not isinstance(value, (int, float)):
        raise UsageError(f"{type(value).__name__} is not a number")
    return value


# -- how it ended


def outcome_of(error: BaseException | None) -> tuple[Status, dict[str, Any] | None]:
    """The end state and the reason that an exception stands for."""
    if error is None or (isinstance(error, SystemExit) and not isinstance(error, Preempted) and not error.code):
        return Status.FINISHED, None
    if isinstance(error, Preempted):
        return Status.PREEMPTED, {"kind": "signal", "message": "SIGTERM"}
    if isinstance(error, KeyboardInterrupt):
        return Status.INTERRUPTED, {"kind": "signal", "message": "Ctrl-C"}
    reason = {
        "kind": type(error).__name__,
        "message": secrets.redact_text(str(error))[:2000],
        "traceback": secrets.redact_text(_traceback(error)),
    }
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return Status.OUT_OF_MEMORY, {**reason, **hardware.usage(), "do": _LESS_MEMORY}
    return Status.FAILED, reason


_LESS_MEMORY: Final = (
    "halve the batch size and accumulate gradients over two steps; use bf16 or activation checkpointing; "
    "look for tensors kept across steps"
)


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-_TRACEBACK_CHARACTERS:]


# -- the process

_open_runs: weakref.WeakSet[Run] = weakref.WeakSet()
_hooks_installed = False


def _install_hooks() -> None:
    """End runs nobody finished: at a normal exit as finished, after an uncaught exception as failed."""
    global _hooks_installed
    if _hooks_installed:
        return
    _hooks_installed = True
    atexit.register(_at_exit)
    os.register_at_fork(after_in_child=_in_child)
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        for run in list(_open_runs):
            run._finish(*outcome_of(error))
        before(kind, error, trace)

    sys.excepthook = hook


def _at_exit() -> None:
    for run in list(_open_runs):
        run._finish(Status.FINISHED, None)


def _in_child() -> None:
    for run in list(_open_runs):
        run._after_fork()
