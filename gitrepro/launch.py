"""`gitrepro record -- CMD`: run any program and put the run on record, without changing what becomes of the program."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, final

from .capture import config as configs
from .capture import environment, hardware, memory, secrets
from .errors import GitreproError, NotFound, StorageError, UsageError
from .records import ids
from .records.run import RunRecord, Status
from .run import commit
from .run.compose import read_observed, stamp
from .run.intake.files import ProgramFiles, Wanted
from .run.launchkey import Launch, launch_of
from .run.names import check_name, name_for
from .run.outcome import culprit, out_of_memory
from .run.place import Place
from .run.recording import Recording, SeatTaken
from .run.resumed import AUTO, Asked, Resumed
from .run.start import (
    actor,
    begun,
    capture_code,
    check_config,
    code_at_end,
    kept_argv,
    lost_argv,
    open_recording,
    rejoin,
    remember,
    resumed,
    started,
    version,
)
from .run.streams import OUTPUT_BYTES, Stream, connect
from .run.tabulate import LIMIT
from .run.wish import check_note
from .store import launches, spool
from .store.fold import Identity
from .store.lease import Life, life
from .store.live import ERRORS, OUTPUT

_BOOTSTRAP: Final = Path(__file__).parent / "bootstrap"
_GRANDCHILD_SECONDS: Final = 1.0
_WORDS_ON_RECORD: Final = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What `gitrepro record` was asked to do."""

    argv: tuple[str, ...]
    name: str | None = None
    group: str | None = None
    labels: tuple[str, ...] = ()
    note: str | None = None
    kind: str = "train"
    seed: int | None = None
    seeding: bool = True
    drawn: bool = False
    recorded: bool = True
    config: tuple[configs.Layer, ...] = ()
    files: Wanted = field(default_factory=Wanted)
    resume: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the program ended, and its record if there is one yet."""

    exit_code: int
    run_id: str
    record: RunRecord | None
    trouble: str = ""


def launch(order: Order, *, where: Place, say: Callable[[str], None]) -> Outcome:
    """Run the program of `order`, record it in `where`, and commit the run.

    After the program has started, nothing that goes wrong with the recording reaches it.

    Args:
        say: is given one line when the run starts.

    Raises:
        NotFound: there is no such program, or no such run to resume; nothing was recorded.
        Ambiguous: several runs are meant by the one to resume.
        UsageError: an argument is wrong, or the program cannot be started; nothing was recorded.
    """
    if shutil.which(order.argv[0], path=order.environ.get("PATH")) is None:
        raise NotFound(
            f"there is no program {order.argv[0]!r:.200}",
            why="it is neither on PATH nor a file that may be executed",
            do="check the spelling; for a script: `gitrepro record -- python script.py`",
        )
    identity = where.identity()
    rank = launch_of(order.environ) if order.recorded else None
    with _alone(where, rank):
        record, recording = _joined(where, rank) or _opened(order, where, identity, rank)
    say(_greeting(order, record, recording))
    root = where.repository.work_tree if where.repository else None
    program = Program(order, recording, root=root or Path.cwd(), rank=rank)
    with program.signals_passed_on():
        files = ProgramFiles(order.files, recording, where, here=Path.cwd()) if recording else None
        exit_code = program.run()
        if files:
            files.finish()
        if recording is None:
            trouble = "nothing was recorded" if order.recorded else ""
            return Outcome(exit_code=_shell_code(exit_code), run_id=record.id, record=None, trouble=trouble)
        return _close(order, program, recording, where, identity, exit_code, rank)


def _alone(where: Place, rank: Launch | None) -> AbstractContextManager[None]:
    """Of the ranks of one launch (`srun gitrepro record -- ...`), one at a time joins or leaves their run."""
    return launches.held(where.home, rank.key) if rank else nullcontext()


def _joined(where: Place, rank: Launch | None) -> tuple[RunRecord, Recording] | None:
    """The run that another rank of this launch has begun, if it has."""
    folder = begun(where.home, rank) if rank else None
    try:
        recording = rejoin(folder, launch=rank) if folder else None
    except SeatTaken:
        return None
    return (started(recording.folder), recording) if recording else None


def _opened(order: Order, where: Place, identity: Identity, rank: Launch | None) -> tuple[RunRecord, Recording | None]:
    record, config, resumes = _describe(order, where, identity, rank)
    if not order.recorded:
        return record, None
    surroundings = _surroundings()
    recording = open_recording(where, record, config, surroundings, supervised=True, launch=rank, resumes=resumes)
    if rank and recording and begun(where.home, rank) is None:
        remember(where.home, rank.key, recording)
    return record, recording


def _resumed(order: Order, where: Place, identity: Identity, asked: Asked) -> Resumed | None:
    # Named on the command line it must be there; what a launcher starts again goes on with what is found.
    if order.resume is None or order.resume == AUTO:
        return resumed(asked, where, identity=identity)
    from .run import attempts

    return attempts.earlier(asked, where, identity=identity)


def _describe(
    order: Order, where: Place, identity: Identity, rank: Launch | None
) -> tuple[RunRecord, dict[str, Any], Resumed | None]:
    run_id = ids.new_id()
    parent = order.environ.get("GITREPRO_RUN", "")
    argv = secrets.redact_argv(list(order.argv))
    merged = configs.merge([*order.config, configs.Layer(source="argv", values=configs.from_argv(order.argv))])
    config, hidden = secrets.redact_document(merged.document())
    check_config(config)
    asked = Asked(run=order.resume, argv=kept_argv(argv), config=merged.values, environ=order.environ, launch=rank)
    resumes = _resumed(order, where, identity, asked) if order.recorded else None
    named = [*order.argv, *(str(value) for value in configs.flatten(merged.values).values())]
    record = RunRecord(
        id=run_id,
        name=check_name(order.name) if order.name is not None else name_for(run_id),
        kind=order.kind,
        status=Status.RUNNING,
        started_at=stamp(time.time()),
        actor=actor(identity),
        host=environment.host(),
        argv=kept_argv(argv),
        code=_code(order, where, named, identity) if order.recorded else None,
        seeds={"requested": order.seed, "source": _seed_source(order)},
        group=None if order.group is None else check_name(order.group, what="group"),
        labels=tuple(sorted({check_name(label, what="label") for label in order.labels})),
        note=check_note(order.note),
        parents=(parent,) if ids.is_id(parent) else (),
        resumes=resumes.id if resumes else None,
        lineage=resumes.lineage if resumes else None,
        losses=lost_argv(argv),
        recorder={"version": version(), "hidden": hidden, **order.files.document()},
    )
    return record, config, resumes


def _code(order: Order, where: Place, named: list[str], identity: Identity) -> dict[str, Any] | None:
    return capture_code(where, named=named, identity=identity, outputs=order.files.written(Path.cwd()))


def _seed_source(order: Order) -> str | None:
    if order.seed is None:
        return None
    return "drawn" if order.drawn else "command line"


def _surroundings() -> dict[str, Any]:
    # Packages and versions are those of the program, not of the interpreter that runs gitrepro: a Python program
    # reports its own.
    own = environment.describe()
    kept = {name: value for name, value in own.items() if name not in ("python", "packages", "installed_from")}
    return {"format": 1, **kept, "hardware": hardware.describe(), "frameworks": {}}


def _greeting(order: Order, record: RunRecord, recording: Recording | None) -> str:
    seed = "no seed" if order.seed is None else f"seed {order.seed}{' (drawn)' if order.drawn else ''}"
    code = record.code or {}
    dirty = f", {code['changes_count']} uncommitted changes kept as a snapshot" if code.get("dirty") else ""
    lost = "" if recording else "; NOT RECORDED"
    if not order.recorded:
        return f"recording is off, {seed}"
    rank = f", rank {recording.rank}" if recording and recording.rank else ""
    again = f", resuming {record.resumes[-8:]}" if record.resumes else ""
    return f"recording {record.name} ({record.short_id}){rank}{again}, {seed}{dirty}{lost}"


# -- the program


@final
class Program:
    """The child: its environment, its streams, the signals meant for it, and what it cost."""

    def __init__(self, order: Order, recording: Recording | None, *, root: Path, rank: Launch | None = None) -> None:
        self._order = order
        self._rank = rank
        self._root = root
        self._recording = recording
        self._signals: list[int] = []
        self._pending: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._streams: list[Stream] = []
        self.usage: dict[str, Any] = {}
        self._kills_before = hardware.cgroup_oom_kills()

    @contextmanager
    def signals_passed_on(self) -> Iterator[None]:
        """What we are sent is meant for the child; it does not end us before the run is on record."""
        numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
        before = {number: signal.signal(number, self._arrived) for number in numbers}
        before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, self._resized)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def run(self) -> int:
        """Start it, pass on what it says, wait; return its code, negative for a signal.

        Raises:
            UsageError: it cannot be started; of the recording nothing is left.
        """
        try:
            self._start()
        except OSError as error:
            raise self._unstartable(error) from error
        for number in self._pending:
            self._pass_on(number)
        return self._wait()

    def _unstartable(self, error: OSError) -> UsageError:
        if self._recording:
            self._recording.leave()
            self._recording.release()
            shutil.rmtree(self._recording.folder, ignore_errors=True)
        do = "give it a first line such as `#!/bin/sh`, or name its interpreter" if error.errno == errno.ENOEXEC else ""
        return UsageError(f"{self._order.argv[0]!r:.200} cannot be started", why=error.strerror or str(error), do=do)

    @property
    def last_words(self) -> str:
        return "".join(stream.last_words for stream in self._streams)

    @property
    def received(self) -> list[int]:
        return self._signals

    @property
    def memory_kills(self) -> int:
        """How many processes the kernel has killed for memory in our cgroup, and in that the program went to."""
        now = {folder: hardware.oom_kills_in(folder) for folder in self._kills_before}
        return sum(max(0, (count or 0) - self._kills_before[folder]) for folder, count in now.items())

    def _look_where_it_is(self) -> None:
        # A program may enter a cgroup of its own, and when it has ended nothing tells which it was.
        if self._child and self._child.returncode is None:
            for folder, count in hardware.cgroup_oom_kills(process=str(self._child.pid)).items():
                self._kills_before.setdefault(folder, count)

    @property
    def dropped_bytes(self) -> int:
        return sum(stream.dropped_bytes for stream in self._streams)

    @property
    def output_trouble(self) -> str:
        return next((stream.trouble for stream in self._streams if stream.trouble), "")

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)
        if number == signal.SIGTERM and self._recording and not self._recording.ended:
            # What follows may be a SIGKILL, for us too.
            self._recording.event("signal", number=number)
        if self._child is None:
            self._pending.append(number)
        else:
            self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        # A terminal sends Ctrl-C to the whole foreground group; sent again, it would be a second one.
        if self._child is None or (number == signal.SIGINT and _in_foreground()):
            return
        # Not `send_signal`: it would collect a child that has just ended, and what it cost with it.
        if self._child.returncode is None:
            os.kill(self._child.pid, number)

    def _resized(self, _number: int, _frame: FrameType | None) -> None:
        for stream in self._streams:
            stream.resize()

    def _start(self) -> None:
        folder = self._recording.folder if self._recording else None
        out_end, out = connect(1, folder and folder / self._log(OUTPUT))
        error_end = subprocess.STDOUT
        self._streams = [out]
        if not _same_file(1, 2):
            error_end, error = connect(2, folder and folder / self._log(ERRORS))
            self._streams.append(error)
        try:
            self._child = subprocess.Popen(self._order.argv, env=self._environment(), stdout=out_end, stderr=error_end)
        finally:
            for end in (out_end, error_end):
                if end >= 0:
                    os.close(end)
        for stream in self._streams:
            stream.start()
        if self._recording:
            self._recording.each_second(self._look_where_it_is)

    def _log(self, name: str) -> str:
        rank = self._recording.rank if self._recording else 0
        return name if rank == 0 else name.replace(".log", f".rank-{rank}.log")

    def _environment(self) -> dict[str, str]:
        env = dict(self._order.environ)
        if self._order.seed is not None:
            env["GITREPRO_SEED"] = str(self._order.seed)
            env.setdefault("PYTHONHASHSEED", str(self._order.seed))
        if self._recording is None:
            return env
        env["GITREPRO_RUN"] = self._recording.run_id
        env["GITREPRO_LIVE"] = str(self._recording.folder)
        env["GITREPRO_ROOT"] = str(self._root)
        env["GITREPRO_SEEDING"] = "on" if self._order.seeding else "off"
        if self._recording.resumes:
            env["GITREPRO_RESUMES"] = self._recording.resumes.id
        if self._rank:
            env["GITREPRO_RANK"] = str(self._rank.rank)
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(_BOOTSTRAP), env.get("PYTHONPATH", "")]))
        return env

    def _wait(self) -> int:
        assert self._child is not None
        _, status, usage = os.wait4(self._child.pid, 0)
        self._child.returncode = code = os.waitstatus_to_exitcode(status)
        kibi = 1 if sys.platform == "darwin" else 1024
        self.usage = {
            "cpu_system_seconds": usage.ru_stime,
            "cpu_user_seconds": usage.ru_utime,
            "peak_memory_bytes": usage.ru_maxrss * kibi,
        }
        deadline = time.monotonic() + _GRANDCHILD_SECONDS
        for stream in self._streams:
            stream.finish(patience_seconds=max(0.0, deadline - time.monotonic()))
        return code


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _same_file(one: int, other: int) -> bool:
    try:
        a, b = os.fstat(one), os.fstat(other)
    except OSError:
        return False
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


# -- the end


def _close(
    order: Order,
    program: Program,
    recording: Recording,
    where: Place,
    identity: Identity,
    exit_code: int,
    rank: Launch | None,
) -> Outcome:
    status, reason = _verdict(program, exit_code)
    _tell_dropped(program, recording)
    seen = code_at_end(
        where,
        named=order.argv,
        modules=[path for process in read_observed(recording.folder) for path in process.get("local_modules", ())],
        started_at=recording.started_at,
    )
    kept = recording.end(status, reason=reason, cost=program.usage, code=seen)
    trouble = "" if kept else f"its end is not on disk: {recording.journal.last_error}"
    code = _shell_code(exit_code)
    try:
        with _alone(where, rank):
            if rank:
                recording.release()
            if rank and life(recording.folder) is not Life.DEAD:
                # Nobody waits for anybody: the last rank to leave commits the run of all.
                return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=trouble)
            return _commit(recording, where, identity, code, trouble)
    except StorageError as error:
        waits = f"it is not committed: {error}; `gitrepro recover` puts it on record"
        return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=waits)
    finally:
        recording.release()


def _commit(recording: Recording, where: Place, identity: Identity, code: int, trouble: str) -> Outcome:
    if where.repository is None or recording.folder.parent.parent != where.home:
        waits = (
            f"it waits in {recording.folder}; `gitrepro recover --into REPOSITORY {recording.run_id[-8:]}` takes it in"
        )
        return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=waits)
    try:
        if where.spooled:
            spool.hand_over(where.home, recording.run_id)
            waits = f"it waits in {where.home}; `gitrepro fold --from {where.home}` commits it"
            return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=trouble or waits)
        record = commit.commit_run(where.repository, recording.folder, identity=identity)
        return Outcome(exit_code=code, run_id=recording.run_id, record=record, trouble=trouble)
    except (OSError, GitreproError) as error:
        waits = f"it is not committed: {error}; `gitrepro recover` puts it on record"
        return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=waits)


def _tell_dropped(program: Program, recording: Recording) -> None:
    if not program.dropped_bytes:
        return
    what = f"{program.dropped_bytes} bytes of output"
    if program.output_trouble:
        recording.event("lost", what=what, why=program.output_trouble)
    else:
        recording.event("lost", kind=LIMIT, what=what, why=f"{OUTPUT_BYTES >> 20} MiB of each stream are kept")


def _verdict(program: Program, exit_code: int) -> tuple[Status, dict[str, Any] | None]:
    code = _shell_code(exit_code)
    name = _signal_name(exit_code)
    reason: dict[str, Any] = {"exit_code": code, "kind": "signal" if name else "exit"}
    reason["message"] = f"killed by {name}" if exit_code < 0 else f"exit code {code}"
    if exit_code == 0:
        # It cleaned up when it was told to go, and went: not all that it had to do is done.
        return (Status.PREEMPTED, reason) if signal.SIGTERM in program.received else (Status.FINISHED, None)
    reason["last_output"] = secrets.redact_text(program.last_words[-_WORDS_ON_RECORD:])
    reason.update(culprit(program.last_words))
    killed = name == "SIGKILL"
    evidence = memory.of_program(program.last_words, killed=killed, kernel_kills=program.memory_kills)
    if evidence.memory:
        return Status.OUT_OF_MEMORY, out_of_memory(reason, evidence, program.usage)
    if evidence.seen:
        reason["memory_hints"] = [secrets.redact_text(line) for line in evidence.seen]
    if signal.SIGINT in program.received or name == "SIGINT":
        return Status.INTERRUPTED, reason
    if signal.SIGTERM in program.received or name == "SIGTERM":
        return Status.PREEMPTED, reason
    return (Status.CRASHED if exit_code < 0 else Status.FAILED), reason


def _signal_name(exit_code: int) -> str:
    number = -exit_code if exit_code < 0 else exit_code - 128
    return signal.Signals(number).name if number in [*signal.Signals] else ""


def _shell_code(exit_code: int) -> int:
    return exit_code if exit_code >= 0 else 128 - exit_code


def draw_seed() -> int:
    """A seed for a run that was given none."""
    return int.from_bytes(os.urandom(4), "little")
