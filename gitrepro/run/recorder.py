"""The recording API: `with gitrepro.record(config=cfg, seed=0) as run: run.log({"loss": loss})`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, final

from ..capture import config as configs
from ..capture import environment, hardware, secrets
from ..capture.modules import ModuleWatch
from ..errors import GitreproError, UsageError
from ..records import ids
from ..records.run import Status
from ..store import launches, spool
from ..store.fold import Identity
from ..store.journal import Number
from ..store.lease import Life, life
from ..training.seeds import SeedWatch
from . import commit, notebook, place, process
from .declared import Declarations
from .launchkey import Launch, launch_of
from .names import name_for
from .outcome import END_STATES, Reason, outcome_of
from .place import Place
from .recording import Recording
from .resumed import Resumed
from .signals import Preempted, preemptable
from .start import code_at_end, join_parent, rejoin, remember, start, start_or_join, warn
from .summary import Summary
from .values import check_metric, check_step, check_values, detached, number, on_device
from .wish import Wish
from .wish import wish as check_arguments

Goal = Literal["min", "max"]
_REJECTED_NAMES_AT_MOST: Final = 100
_joined = False


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
    resume: str | None = None,
    preprocess: object = None,
) -> Run:
    """Start a run. Use it as a context manager, or call `finish()`.

    Under `gitrepro record -- ...` the first call joins the run that the command started; a later one starts a run of
    its own. The processes of one launch (torchrun, srun, mpirun, or RANK and WORLD_SIZE) are ranks of one run. With
    `GITREPRO_MODE=disabled` nothing is recorded; seeds are set all the same.

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
        resume: the run that this one goes on with: an id or its end, a name, or `auto` for the newest run of the same
            command, folder and config that did not finish. Steps are counted on from its last one.
        preprocess: the transform that prepares the data, or a list of them; see `Run.preprocess`.

    Raises:
        UsageError: an argument is wrong. Nothing else is raised: without a repository or on a full disk the run is
            kept in the state folder, with a warning.
    """
    asked = check_arguments(
        config=config, name=name, group=group, labels=labels, note=note, seed=seed, kind=kind, repo=repo, resume=resume
    )
    if _disabled():
        return Run(None, asked)
    asked = replace(asked, given=config, preprocess=preprocess)
    return _join(asked) or _start(asked)


def _disabled() -> bool:
    mode = os.environ.get("GITREPRO_MODE", "online")
    if mode not in ("online", "disabled"):
        warn(f"GITREPRO_MODE={mode!r:.40} means nothing; known are online and disabled. This run is recorded")
    return mode == "disabled"


def _join(asked: Wish) -> Run | None:
    global _joined
    recording = None if _joined else join_parent(asked)
    if recording is None:
        return None
    _joined = True
    return Run(recording, asked)


def _start(asked: Wish) -> Run:
    global _joined
    # A process is one rank of its launch once: a second run of its own stands beside that.
    launch = None if _joined else launch_of(os.environ)
    if launch is None and (found := notebook.shell()):
        return _start_in_cell(asked, found)
    try:
        where = place.find(asked.start, os.environ)
        identity = where.identity()
        if launch:
            recording = start_or_join(asked, where, launch, identity=identity)
        else:
            recording = start(asked, where, identity=identity)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - a fault of ours must not keep a training from starting
        warn(f"nothing of this run is recorded: {error!r:.500}")
        return Run(None, asked)
    _joined = _joined or launch is not None
    return Run(recording, asked, keeper=_Keeper(where, identity, launch))


def _start_in_cell(asked: Wish, found: Any) -> Run:
    """Start the run of a notebook's cell. Run again, or after a restart of the kernel, it is the next attempt."""
    try:
        cell = notebook.seat(found)
        before = next((run for run in process.open_runs() if run.cell == cell), None)
        if before is not None:
            before.process_ended(None)
        where = place.find(asked.start, os.environ)
        identity = where.identity()
        resumes = Resumed.of({**launches.known(where.home, cell), "last_step": -1})
        recording = start(asked, where, identity=identity, resumes=resumes)
        if recording:
            remember(where.home, cell, recording)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - a fault of ours must not keep a training from starting
        warn(f"nothing of this run is recorded: {error!r:.500}")
        return Run(None, asked)
    return Run(recording, asked, keeper=_Keeper(where, identity), cell=cell)


@final
class _Keeper:
    """What it takes to commit a run: the process that started it has one, and so has each rank of a launch."""

    def __init__(self, where: Place, identity: Identity, launch: Launch | None = None) -> None:
        self._where = where
        self._identity = identity
        self._launch = launch
        work_tree = where.repository.work_tree if where.repository else None
        self._modules = ModuleWatch(str(work_tree)) if work_tree else None
        if self._modules:
            self._modules.start()

    def code_at_end(self, recording: Recording) -> dict[str, Any]:
        seen = self._modules.document() if self._modules else {}
        modules = seen.pop("local_modules", [])
        if self._modules:
            self._modules.stop()
        code = code_at_end(self._where, named=sys.argv, modules=modules, started_at=recording.started_at)
        return {"code": {**code, **seen}}

    def forget(self, cell: str) -> None:
        """The run of a notebook's cell is over: the next one there goes on with nothing."""
        launches.forget(self._where.home, cell)

    def commit(self, recording: Recording, name: str) -> None:
        """Put the run on the ref; where that fails, say how to do it later. Of several ranks the last to go does it."""
        if self._launch is None:
            self._commit(recording, name)
            return
        # Nobody waits for anybody: whoever finds no other process of the run when he leaves is the last.
        with launches.held(self._where.home, self._launch.key):
            recording.release()
            if recording.folder.exists() and life(recording.folder) is Life.DEAD:
                self._commit(recording, name)

    def _commit(self, recording: Recording, name: str) -> None:
        repository = self._where.repository
        if repository is None or recording.folder.parent.parent != self._where.home:
            how = f"`gitrepro recover --into REPOSITORY {recording.run_id[-8:]}` takes it in"
            warn(f"run {name} waits in {recording.folder}; {how}")
            return
        try:
            if self._where.spooled:
                spool.hand_over(self._where.home, recording.run_id)
                return
            commit.commit_run(repository, recording.folder, identity=self._identity)
        except (OSError, GitreproError) as error:
            warn(f"run {name} is journalled and not committed: {error}; `gitrepro recover` commits it")


@final
class Run:
    """A run under way. Made by `gitrepro.record`; every method may be called from any thread.

    A run sent to another process, by fork or by pickle, is the same run with a journal of that process.

    Attributes:
        id: the run's id, a lower-case ULID.
        name: for people.
        status: `running`, and from the end on how it ended.
        resumes: the id of the run that this one goes on with, or None.
        config: the effective config; items and attributes, changes go on record.
        summary: numbers and words that stand for the run; by default the last value of each metric, or the best of
            those with a goal.
    """

    def __init__(
        self,
        recording: Recording | None,
        asked: Wish,
        *,
        keeper: _Keeper | None = None,
        worker: bool = False,
        run_id: str | None = None,
        cell: str | None = None,
    ) -> None:
        self.id = recording.run_id if recording else run_id or ids.new_id()
        self.name = recording.name if recording else asked.name or name_for(self.id)
        self.status = Status.RUNNING
        self.config = configs.LiveConfig(asked.config, on_change=self._config_changed)
        self.summary = Summary(on_change=self._summary_changed)
        self._recording = recording
        self._parent: Recording | None = None
        self._keeper = keeper
        self._worker = worker
        self.resumes = recording.resumes.id if recording and recording.resumes else None
        self._step = recording.resumes.last_step if recording and recording.resumes else -1
        self._given = configs.Given(asked.given)
        self._declarations = Declarations(tell=self._event, warn=warn)
        self._rejected: dict[str, list[Any]] = {}
        self._late: list[tuple[int, str, Any]] = []
        self._lock = threading.RLock()
        self._row: Callable[[Mapping[str, Any], int], int] = recording.row if recording else _nowhere
        self._seeds = None if worker else self._watch_seeds(asked.seed)
        self.cell = cell
        self._cells = self._watch_cells() if recording and not worker else None
        preempted = self._ended_by_sigterm if self._cells else None
        self._signals = preemptable(self._sigterm, end=preempted) if recording and not worker else None
        if recording:
            recording.each_second(self._resolve_late)
            process.opened(self)
        if asked.preprocess is not None:
            self.preprocess(asked.preprocess)

    # The hot path: a dict of floats costs one look-up, one struct, one checksum, one write.
    def log(self, values: Mapping[str, Any], *, step: int | None = None) -> None:
        """Append one row of metrics. It is safe from a kill once this returns.

        A value that is no number, or whose name cannot be kept, is not recorded: it warns once a name and the record
        says so; the other values of the call are kept. A tensor on a device is read in the background, within about a
        second, so that the caller does not wait for the device; until then a kill costs it.

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
            raise UsageError(f"the goal of {name} is {goal!r:.60}", do='give goal="min" or goal="max"')
        self._event("define", name=check_metric(name), goal=goal)

    def watch(self, *objects: object, name: str | None = None) -> None:
        """Put on record what is trained and by what, now and once more when the run ends.

        Of a model: its type, its parameters by number, type and size, its kinds of modules. Of optimizers: each group
        of parameters with the values in force. Of schedulers: their state. Parameters that want a gradient and are in
        no optimizer warn. Only weak references are kept, a training step costs nothing more, and nothing is raised.

        Args:
            objects: a model, and any number of optimizers and schedulers, in any order.
            name: tells several watched models apart; `model`, `model-2`, ... when left out.
        """
        with self._declaring("what is watched"):
            self._declarations.watch(objects, name=name)

    def preprocess(self, transform: object, *, name: str = "data") -> None:
        """Put on record how the data is prepared: a digest that changes with the parameters, the code and the versions.

        Args:
            transform: a function, a `Compose` or `Pipeline`, any object that keeps its parameters, or a list of them.
            name: tells several apart, such as `train` and `val`; a later one of the same name takes its place.
        """
        with self._declaring("the preprocessing"):
            self._declarations.preprocess(transform, name=name)

    @contextmanager
    def _declaring(self, what: str) -> Iterator[None]:
        try:
            yield
        except UsageError:
            raise
        except Exception as error:  # noqa: BLE001 - a stranger's object may raise anything when it is looked at
            warn(f"{what} is not recorded: {error!r:.300}")

    def finish(self, status: str | None = None, *, reason: str | None = None) -> None:
        """End the run and commit it. A second call does nothing.

        Waits for the disk and for Git, never for a network. If the commit fails, the journal keeps the run and
        `gitrepro recover` commits it later.

        Args:
            status: `finished`, `failed`, `interrupted`, `preempted` or `out_of_memory`. By default `finished`, or what
                the exception stands for that is being handled: `finally: run.finish()` tells the truth.
            reason: why, for people.
        """
        if status is None:
            self._forget_cell()
            ended, cause = outcome_of(sys.exc_info()[1], sigterm=self._preempted())
            self._finish(ended, {"kind": str(ended), **(cause or {}), "message": reason} if reason else cause)
        elif status in END_STATES:
            self._forget_cell()
            self._finish(Status(status), {"kind": status, "message": reason} if reason else None)
        else:
            raise UsageError(f"there is no end state {status!r:.60}", do=f"give one of {', '.join(END_STATES)}")

    def process_ended(self, error: BaseException | None) -> None:
        """End the run with the process, or with the cell that began it: a notebook has no other end."""
        if self._cells:
            self._finish(*self._cells.outcome)
        else:
            self.ended_by(error)

    def ended_by(self, error: BaseException | None) -> None:
        """End the run with what ended the program: an exception, or nothing."""
        self._finish(*outcome_of(error, sigterm=self._preempted()))

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget_cell()
        self.ended_by(error)

    def __repr__(self) -> str:
        return f"<Run {self.name} {self.id} {self.status}>"

    def __copy__(self) -> Run:
        return self

    def __deepcopy__(self, _memo: object) -> Run:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # A spawned worker gets a run that writes its own journal into the same folder.
        recording = self._recording or self._parent
        folder, rank = (str(recording.folder), recording.rank) if recording else (None, 0)
        return _in_worker, (folder, self.id, self.name, rank, self.config.snapshot())

    # -- rows that need a closer look

    def _log_with_care(self, values: Any, step: Any) -> None:
        values = check_values(values)
        step = check_step(step)
        with self._lock:
            kept, waiting = self._sort(values)
            if kept or waiting:
                place_in_line = self._row(kept, step)
                self._step = step
                self._late += [(place_in_line, name, value) for name, value in waiting.items()]

    def _sort(self, values: Mapping[str, Any]) -> tuple[dict[str, Number], dict[str, Any]]:
        """Numbers to write now, and device values to write when they can be had without stopping the device."""
        kept: dict[str, Number] = {}
        waiting: dict[str, Any] = {}
        for name, value in values.items():
            try:
                self._check_name(name)
                if on_device(value):
                    waiting[name] = detached(value)
                else:
                    kept[name] = number(value)
            except Exception as error:  # noqa: BLE001 - a stranger's `item()` or `__float__` may raise anything
                self._reject(name, value, error)
        return kept, waiting

    def _check_name(self, name: str) -> None:
        check_metric(name) if self._recording is None else self._recording.names.check(name)

    def _resolve_late(self) -> None:
        """Read device values, in the background thread: the training thread never waits for the device."""
        with self._lock:
            late, self._late = self._late, []
        for row, name, value in late:
            try:
                self._event("late", row=row, values={name: number(value)})
            except Exception as error:  # noqa: BLE001 - a device may fail in ways of its own
                self._reject(name, value, error)

    def _reject(self, name: object, value: object, error: Exception) -> None:
        key = _printable(name)
        known = self._rejected.get(key)
        if known:
            known[0] += 1
        elif len(self._rejected) < _REJECTED_NAMES_AT_MOST:
            why = error.what if isinstance(error, GitreproError) else f"{type(error).__name__}: {error!s:.200}"
            self._rejected[key] = [1, why]
            warn(f"metric {key!r} of type {type(value).__name__} is not recorded: {why}; the other metrics are")
        else:
            self._rejected.setdefault("(others)", [0, f"of over {_REJECTED_NAMES_AT_MOST} names"])[0] += 1

    # -- facts beside the rows

    def _event(self, op: str, **content: Any) -> None:
        recording = self._own()
        if recording and recording.ended:
            self._after_the_end({}, 0)
        elif recording:
            recording.event(op, **content)

    def _config_changed(self, key: str, value: Any) -> None:
        self._event("config", key=key, value=secrets.redact_value(key, value), source="code")

    def _summary_changed(self, values: Mapping[str, Any]) -> None:
        self._event("summary", values=secrets.redact_tree(values)[0])

    def _watch_seeds(self, seed: int | None) -> SeedWatch | None:
        # Under `gitrepro record -- python` the start-up hook watches already; two watchers would report twice.
        watched = self._recording is None or (self._keeper is None and os.environ.get("GITREPRO_SEEDING"))
        if watched and seed is None:
            return None
        watch = SeedWatch(
            requested=seed,
            seed_now=seed is not None,
            on_event=lambda event: self._seeds_seen(event.get("generators", {})),
        )
        watch.start()
        return watch

    def _seeds_seen(self, generators: Mapping[str, Any]) -> None:
        # A worker draws and seeds on its own; the record speaks of the program.
        if self._recording and not self._worker and not self._recording.ended:
            self._recording.event("seeds", generators=generators)

    # -- the end

    def _watch_cells(self) -> notebook.Cells | None:
        found = notebook.shell()
        if found is None:
            return None
        cells = notebook.Cells(found, self._event)
        try:
            cells.start()
        except Exception as error:  # noqa: BLE001 - another IPython than we know
            warn(f"the cells of this notebook are not on record: {error!r:.300}")
        return cells

    def _ended_by_sigterm(self) -> None:
        # IPython would catch what unwinds a program, and the kernel would live on.
        self._finish(*outcome_of(Preempted()))

    def _forget_cell(self) -> None:
        # It ended as it was told to: to run the cell again begins something new.
        if self.cell and self._keeper:
            self._keeper.forget(self.cell)

    def _sigterm(self) -> None:
        # What follows the signal, at the end of the grace it gives, is a kill.
        if self._recording and not self._recording.ended:
            self._recording.event("signal", number=int(signal.SIGTERM))

    def _preempted(self) -> bool:
        return self._signals is not None and self._signals.arrived

    def _finish(self, status: Status, reason: Reason | None) -> None:
        with self._lock:
            if self.status is not Status.RUNNING:
                return
            self.status = status
        self._row = self._after_the_end if self._recording else _nowhere
        process.closed(self)
        if self._cells:
            self._cells.stop()
        try:
            with self._signals.held() if self._signals else nullcontext():
                self._close(status, reason)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end a training that went well
            warn(f"run {self.name} is journalled and not committed: {error!r:.500}; `gitrepro recover` commits it")

    def _close(self, status: Status, reason: Reason | None) -> None:
        recording = self._recording
        generators = self._stop_seeds()
        if recording is None or not recording.ours:
            return
        try:
            self._resolve_late()
            self._tell_rejected(recording)
            self._tell_declared(recording)
            if self._worker:
                kept = recording.leave()
            else:
                kept = recording.end(status, reason=reason, **generators, **self._closing_facts(recording))
            if not kept:
                warn(f"the end of run {self.name} is not on disk: {recording.journal.last_error}")
            if self._keeper:
                self._keeper.commit(recording, self.name)
        finally:
            recording.release()

    def _stop_seeds(self) -> dict[str, Any]:
        watch, self._seeds = self._seeds, None
        if watch is None:
            return {}
        generators = watch.generators()
        watch.stop()
        return {"generators": generators}

    def _tell_rejected(self, recording: Recording) -> None:
        for name, (count, why) in self._rejected.items():
            many = "1 value" if count == 1 else f"{count} values"
            recording.event("lost", kind="rejected", what=f"metric {name}: {many}", why=why)

    def _tell_declared(self, recording: Recording) -> None:
        """What became of what the program gave us: optimizers, and the config that it holds itself."""
        self._declarations.end()
        if self._worker:
            return
        for key, value in self._given.changes().items():
            self._config_changed(key, value)
        if never_read := self.config.never_read():
            recording.event("never_read", keys=never_read)

    def _closing_facts(self, recording: Recording) -> dict[str, Any]:
        seen = self._keeper.code_at_end(recording) if self._keeper else {}
        return {"cost": hardware.usage(), "frameworks": environment.frameworks(), **seen}

    def _after_the_end(self, _values: Mapping[str, Any], _step: int) -> int:
        warn(f"run {self.name} has ended: this is not recorded")
        return -1

    # -- other processes

    def after_fork(self) -> None:
        """In a forked child: the run goes on in a journal of the child's own, opened with the first word it says."""
        if self._signals:
            self._signals.restore()  # a child that is terminated dies as it would without us
        parent, self._recording = self._recording or self._parent, None
        self._keeper, self._worker = None, True
        self._lock = threading.RLock()
        self._late, self._rejected, self._seeds, self._signals = [], {}, None, None
        self._declarations = Declarations(tell=self._event, warn=warn)
        if parent and self.status is Status.RUNNING:
            parent.after_fork()
            self._parent, self._row = parent, self._first_row

    def _first_row(self, values: Mapping[str, Number], step: int) -> int:
        recording = self._own()
        return recording.row(values, step) if recording else -1

    def _own(self) -> Recording | None:
        """The journal of this process, or None where nothing is recorded."""
        with self._lock:
            parent, self._parent = self._parent, None
            if parent:
                self._recording = rejoin(parent.folder, rank=parent.rank)
                self._row = self._recording.row if self._recording else _nowhere
                if self._recording:
                    self._recording.each_second(self._resolve_late)
                else:
                    warn(f"process {os.getpid()} cannot log into run {self.name}: it is over, or the disk refuses")
            return self._recording


def _in_worker(folder: str | None, run_id: str, name: str, rank: int, config: dict[str, Any]) -> Run:
    """What a run becomes in the process it was sent to."""
    for run in process.open_runs():
        if run.id == run_id:
            return run  # type: ignore[no-any-return]
    recording = rejoin(Path(folder), rank=rank) if folder else None
    if folder and recording is None:
        warn(f"process {os.getpid()} cannot log into run {name}: it is over, or the disk refuses")
    return Run(recording, Wish(config=config, name=name), worker=True, run_id=run_id)


def _nowhere(_values: Mapping[str, Number], _step: int) -> int:
    """Where rows go that nobody keeps."""
    return -1


def _printable(name: object) -> str:
    return name[:256] if isinstance(name, str) else f"({type(name).__name__})"
