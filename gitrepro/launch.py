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
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, final

from .capture import config as configs
from .capture import environment, hardware, secrets
from .errors import GitreproError, NotFound, UsageError
from .records import ids
from .records.run import RunRecord, Status
from .run import commit
from .run.compose import LIMIT, read_observed, stamp
from .run.names import check_name, name_for
from .run.outcome import LESS_MEMORY
from .run.place import Place
from .run.recording import Recording
from .run.start import actor, capture_code, check_config, code_at_end, kept_argv, lost_argv, open_recording, version
from .run.streams import OUTPUT_BYTES, Stream, connect
from .run.wish import check_note
from .store.fold import Identity
from .store.live import ERRORS, OUTPUT

_BOOTSTRAP: Final = Path(__file__).parent / "bootstrap"
_OUT_OF_MEMORY: Final = ("OutOfMemoryError", "CUDA out of memory", "\nMemoryError")
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
        NotFound: there is no such program; nothing was recorded.
        UsageError: an argument is wrong, or the program cannot be started; nothing was recorded.
    """
    if shutil.which(order.argv[0], path=order.environ.get("PATH")) is None:
        raise NotFound(
            f"there is no program {order.argv[0]!r:.200}",
            why="it is neither on PATH nor a file that may be executed",
            do="check the spelling; for a script: `gitrepro record -- python script.py`",
        )
    identity = where.identity()
    record, config = _describe(order, where, identity)
    recording = open_recording(where, record, config, _surroundings(), supervised=True) if order.recorded else None
    say(_greeting(order, record, recording))
    root = where.repository.work_tree if where.repository else None
    program = Program(order, recording, root=root or Path.cwd())
    with program.signals_passed_on():
        exit_code = program.run()
        if recording is None:
            trouble = "nothing was recorded" if order.recorded else ""
            return Outcome(exit_code=_shell_code(exit_code), run_id=record.id, record=None, trouble=trouble)
        return _close(order, program, recording, where, identity, exit_code)


def _describe(order: Order, where: Place, identity: Identity) -> tuple[RunRecord, dict[str, Any]]:
    run_id = ids.new_id()
    parent = order.environ.get("GITREPRO_RUN", "")
    argv = secrets.redact_argv(list(order.argv))
    merged = configs.merge([*order.config, configs.Layer(source="argv", values=configs.from_argv(order.argv))])
    config, hidden = secrets.redact_document(merged.document())
    check_config(config)
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
        code=capture_code(where, named=named, identity=identity) if order.recorded else None,
        seeds={"requested": order.seed, "source": _seed_source(order)},
        group=None if order.group is None else check_name(order.group, what="group"),
        labels=tuple(sorted({check_name(label, what="label") for label in order.labels})),
        note=check_note(order.note),
        parents=(parent,) if ids.is_id(parent) else (),
        losses=lost_argv(argv),
        recorder={"version": version(), "hidden": hidden},
    )
    return record, config


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
    return f"recording {record.name} ({record.short_id}), {seed}{dirty}{lost}"


# -- the program


@final
class Program:
    """The child: its environment, its streams, the signals meant for it, and what it cost."""

    def __init__(self, order: Order, recording: Recording | None, *, root: Path) -> None:
        self._order = order
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
    def killed_for_memory(self) -> bool:
        now = hardware.cgroup_oom_kills()
        return now is not None and self._kills_before is not None and now > self._kills_before

    @property
    def dropped_bytes(self) -> int:
        return sum(stream.dropped_bytes for stream in self._streams)

    @property
    def output_trouble(self) -> str:
        return next((stream.trouble for stream in self._streams if stream.trouble), "")

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)
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
        out_end, out = connect(1, folder and folder / OUTPUT)
        error_end = subprocess.STDOUT
        self._streams = [out]
        if not _same_file(1, 2):
            error_end, error = connect(2, folder and folder / ERRORS)
            self._streams.append(error)
        try:
            self._child = subprocess.Popen(self._order.argv, env=self._environment(), stdout=out_end, stderr=error_end)
        finally:
            for end in (out_end, error_end):
                if end >= 0:
                    os.close(end)
        for stream in self._streams:
            stream.start()

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
    order: Order, program: Program, recording: Recording, where: Place, identity: Identity, exit_code: int
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
    code = _shell_code(exit_code)
    trouble = "" if kept else f"its end is not on disk: {recording.journal.last_error}"
    if where.repository is None or recording.folder.parent.parent != where.home:
        recording.release()
        waits = f"it waits in {recording.folder}; `gitrepro recover --into REPOSITORY` takes it in"
        return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=waits)
    try:
        record = commit.commit_run(where.repository, recording.folder, identity=identity)
        return Outcome(exit_code=code, run_id=recording.run_id, record=record, trouble=trouble)
    except (OSError, GitreproError) as error:
        waits = f"it is not committed: {error}; `gitrepro recover` puts it on record"
        return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=waits)
    finally:
        recording.release()


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
    reason = {"exit_code": code, "kind": "signal" if name else "exit"}
    reason["message"] = f"killed by {name}" if exit_code < 0 else f"exit code {code}"
    if exit_code == 0:
        # It cleaned up when it was told to go, and went: not all that it had to do is done.
        return (Status.PREEMPTED, reason) if signal.SIGTERM in program.received else (Status.FINISHED, None)
    reason["last_output"] = secrets.redact_text(program.last_words[-_WORDS_ON_RECORD:])
    if program.killed_for_memory or any(sign in "\n" + program.last_words for sign in _OUT_OF_MEMORY):
        return Status.OUT_OF_MEMORY, {**reason, **program.usage, "do": LESS_MEMORY}
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
