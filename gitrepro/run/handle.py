"""A run under way, as the program that is recorded holds it: `run.log({"loss": loss})`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, final

from ..capture import config as configs
from ..capture import environment, hardware, secrets
from ..errors import UsageError
from ..records import ids
from ..records.run import Status
from ..store.journal import Number
from ..training.seeds import SeedWatch
from . import notebook, process
from .batching import Batched
from .data import LookedUp
from .declared import Declarations
from .deterministic import Determinism
from .evaluating import Evaluating
from .joining import rejoin
from .keeper import Keeper
from .loaders import Seeded, Streams
from .materials import Materials
from .measured import Measured
from .mixed import MixedRows
from .named import NamedData
from .names import name_for
from .opening import Opening
from .outcome import END_STATES, Reason, outcome_of
from .precise import Precise
from .recording import Recording
from .signals import Preempted, preemptable
from .stopped import abort_reason
from .summary import Summary
from .values import check_metric, check_step, check_values
from .warning import warn
from .wish import Wish

if TYPE_CHECKING:
    from .guarding import Guard, Guarding, Rule

Goal = Literal["min", "max"]


@final
class Run(Batched, Precise, Measured, Seeded, Materials, Evaluating, Opening):
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
        keeper: Keeper | None = None,
        worker: bool = False,
        run_id: str | None = None,
        cell: str | None = None,
        data: LookedUp | None = None,
    ) -> None:
        self.id = recording.run_id if recording else run_id or ids.new_id()
        self.name = recording.name if recording else asked.name or name_for(self.id)
        self.status = Status.RUNNING
        self.config = configs.LiveConfig(asked.config, on_change=self._config_changed)
        self.summary = Summary(on_change=self._summary_changed)
        self._recording = recording
        self._parent: Recording | None = None
        data = data or LookedUp(named=asked.data)
        super().__init__(data, asked.start)
        self._data.holdouts.guard = asked.guard
        self._keeper = keeper
        self._worker = worker
        self.resumes = recording.resumes.id if recording and recording.resumes else None
        self._step = recording.resumes.last_step if recording and recording.resumes else -1
        self._given = configs.Given(asked.given)
        self._declarations = Declarations(tell=self._event, warn=warn)
        self._mixed = MixedRows(tell=self._event, check_name=self._check_name)
        self._lock = threading.RLock()
        self._goals: dict[str, Goal] = {}
        self._guarding: Guarding | None = None
        self._row: Callable[[Mapping[str, Any], int], int] = recording.row if recording else _nowhere
        self._streams = Streams(asked.seed, tell=self._event)
        self._determinism = Determinism(None if worker else asked.determinism, tell=self._event)
        self._seeds = None if worker else self._watch_seeds(asked.seed)
        self.cell = cell
        self._cells = self._watch_cells() if recording and not worker else None
        preempted = self._ended_by_sigterm if self._cells else None
        self._signals = preemptable(self._sigterm, end=preempted) if recording and not worker else None
        if recording:
            recording.each_second(self._mixed.resolve)
            recording.each_second(self._data.beat)
            process.opened(self)
            self._data.tell_known(data.entries)
            if not worker:
                self._begin_measuring()
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
        else:
            self._step = step
        if self._guarding is not None:
            self._guarding.see(values, self._step)

    def _log_with_care(self, values: Any, step: Any) -> None:
        values, step = check_values(values), check_step(step)
        with self._lock:
            kept, waiting = self._mixed.sort(values)
            if kept or waiting:
                self._mixed.wait(self._row(kept, step), waiting)
                self._step = step

    def _check_name(self, name: str) -> None:
        check_metric(name) if self._recording is None else self._recording.names.check(name)

    def define_metric(self, name: str, *, goal: Goal) -> None:
        """Say whether a metric is better when it is greater (`max`) or smaller (`min`).

        The summary then shows its best value, and `@best:name` finds the run.
        """
        if goal not in ("min", "max"):
            raise UsageError(f"the goal of {name} is {goal!r:.60}", do='give goal="min" or goal="max"')
        self._event("define", name=check_metric(name), goal=goal)
        self._goals[name] = goal

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
            self._trained.watched(objects)
            self._declarations.watch(objects, name=name)

    def guard(self, *rules: Rule) -> Guard:
        """Let rules watch what is logged from now on, and ask `guard.should_stop()` in the loop.

        What a rule warns of is told on stderr and on record. A training that it ends finishes; one that it aborts is
        on record as `aborted`, with the ids of its last batches and, where the program has shown us its model, a
        checkpoint named `crash`; the best one stays. With `GITREPRO_MODE=disabled` guards work, and nothing is kept.

        Args:
            rules: `EarlyStopping`, `NoLearning`, `Divergence`, `NonFinite`, `Budget`, the most important first.

        Raises:
            UsageError: a rule cannot work here, or is none.
        """
        if self._guarding is None:
            from .guarding import Guarding

            self._guarding = Guarding(
                tell=self._event, settle=self._settle, save=self._save_crash, trained=self._trained,
                goals=self._goals, start=self._start,
            )  # fmt: skip
        return self._guarding.guard(rules)

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
            status: `finished`, `failed`, `interrupted`, `preempted`, `out_of_memory` or `pruned`. By default
                `finished`, or what the exception stands for that is being handled: `finally: run.finish()` tells the
                truth.
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
        given = (self.config.snapshot(), self._data.named, self._start, self._streams.known)
        return _in_worker, (folder, self.id, self.name, rank, *given)

    # -- what guards ask for

    def _settle(self) -> None:
        self._mixed.resolve()
        if self._recording:
            self._recording.journal.sync()

    def _save_crash(self, name: str, trained: Mapping[str, Any]) -> bool:
        if self._saving() is None:
            return False
        self.checkpoint(**trained, name=name)
        return True

    def _close_guards(self, status: Status, reason: Reason | None) -> tuple[Status, Reason | None]:
        """How the run ends: in good order, unless a guard found that all was lost and the program heeded it."""
        if self._guarding is None:
            return status, reason
        self._guarding.close()
        aborted = self._guarding.aborted
        if aborted is None or status is not Status.FINISHED:
            return status, reason
        return Status.ABORTED, abort_reason(aborted.document())

    # -- facts beside the rows

    def _resolve(self) -> None:
        self._mixed.resolve()

    @property
    def _measuring(self) -> bool:
        return self.status is Status.RUNNING and self._own() is not None

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
        # Outside the lock: a guard has one of its own, and may want ours while it holds that.
        status, reason = self._close_guards(status, reason)
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
            self._mixed.resolve()
            self._mixed.tell_rejected(recording)
            self._tell_declared(recording)
            self._end_measuring()
            self._end_batch()
            self._end_precision()
            self._materials_end()
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

    def _tell_declared(self, recording: Recording) -> None:
        """What became of what the program gave us: optimizers, and the config that it holds itself."""
        self._declarations.end()
        if self._worker:
            return
        for key, value in self._given.changes().items():
            self._config_changed(key, value)
        self._determinism.end()
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
        self._seeds, self._signals = None, None
        self._mixed = MixedRows(tell=self._event, check_name=self._check_name)
        self._declarations = Declarations(tell=self._event, warn=warn)
        self._guarding = None
        self._materials_after_fork()
        self._measuring_after_fork()
        self._accumulation = self._precision = None
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
                    self._recording.each_second(self._mixed.resolve)
                else:
                    warn(f"process {os.getpid()} cannot log into run {self.name}: it is over, or the disk refuses")
            return self._recording


def _in_worker(
    folder: str | None,
    run_id: str,
    name: str,
    rank: int,
    config: dict[str, Any],
    data: NamedData,
    start: Path | None,
    seed: int | None,
) -> Run:
    """What a run becomes in the process it was sent to."""
    for run in process.open_runs():
        if run.id == run_id:
            return run  # type: ignore[no-any-return]
    recording = rejoin(Path(folder), rank=rank) if folder else None
    if folder and recording is None:
        warn(f"process {os.getpid()} cannot log into run {name}: it is over, or the disk refuses")
    return Run(recording, Wish(config=config, name=name, data=data, start=start, seed=seed), worker=True, run_id=run_id)


def _nowhere(_values: Mapping[str, Number], _step: int) -> int:
    """Where rows go that nobody keeps."""
    return -1
