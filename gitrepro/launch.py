"""`gitrepro record -- CMD`: run any program and put the run on record, without changing what becomes of the program."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final, final

from .capture import config as configs
from .capture import environment, hardware, secrets
from .errors import GitreproError, NotFound
from .records import ids
from .records.run import RunRecord, Status
from .run import commit
from .run.compose import stamp
from .run.names import check_name, name_for
from .run.place import Place
from .run.recorder import capture_code, open_recording
from .run.recording import Recording
from .store.live import ERRORS, OUTPUT

OUTPUT_BYTES: Final = 64 << 20
_CHUNK_BYTES: Final = 64 << 10
_LAST_WORDS_BYTES: Final = 16 << 10
_BOOTSTRAP: Final = Path(__file__).parent / "bootstrap"
_OUT_OF_MEMORY: Final = ("OutOfMemoryError", "CUDA out of memory", "\nMemoryError")


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
        UsageError: an argument is wrong; nothing was recorded.
    """
    if shutil.which(order.argv[0], path=order.environ.get("PATH")) is None:
        raise NotFound(
            f"there is no program {order.argv[0]!r:.200}",
            why="it is neither on PATH nor a file that may be executed",
            do="check the spelling; for a script: `gitrepro record -- python script.py`",
        )
    record, config = _describe(order, where)
    recording = open_recording(where, record, config, _surroundings(), supervised=True)
    say(_greeting(order, record, recording))
    root = where.repository.work_tree if where.repository else None
    program = _Program(order, recording, root=root or Path.cwd())
    exit_code = program.run()
    if recording is None:
        return Outcome(exit_code=_shell_code(exit_code), run_id=record.id, record=None, trouble="nothing was recorded")
    return _close(program, recording, where, exit_code)


def _describe(order: Order, where: Place) -> tuple[RunRecord, dict[str, Any]]:
    run_id = ids.new_id()
    argv = secrets.redact_argv(list(order.argv))
    merged = configs.merge([*order.config, configs.Layer(source="argv", values=configs.from_argv(order.argv))])
    config, hidden = secrets.redact_document(merged.document())
    identity = where.identity
    named = [*order.argv, *(str(value) for value in configs.flatten(merged.values).values())]
    record = RunRecord(
        id=run_id,
        name=check_name(order.name) if order.name is not None else name_for(run_id),
        kind=order.kind,
        status=Status.RUNNING,
        started_at=stamp(time.time()),
        actor={"email": identity.email, "name": identity.name},
        host=environment.host(),
        argv=tuple(argv),
        code=capture_code(where, named=named),
        seeds={"requested": order.seed, "source": _seed_source(order)},
        group=None if order.group is None else check_name(order.group, what="group"),
        labels=tuple(sorted({check_name(label, what="label") for label in order.labels})),
        note=order.note,
        recorder={"version": _version(), "hidden": hidden},
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
    return f"recording {record.name} ({record.short_id}), {seed}{dirty}{lost}"


def _version() -> str:
    from . import __version__

    return __version__


# -- the program


@final
class _Program:
    """The child: its environment, its streams, the signals meant for it, and what it cost."""

    def __init__(self, order: Order, recording: Recording | None, *, root: Path) -> None:
        self._order = order
        self._root = root
        self._recording = recording
        self._signals: list[int] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._streams: list[_Stream] = []
        self.usage: dict[str, Any] = {}
        self._kills_before = hardware.cgroup_oom_kills()

    def run(self) -> int:
        """Start it, pass on what it says and what it is sent, wait; return its code, negative for a signal."""
        before = {
            number: signal.signal(number, self._arrived) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
        }
        try:
            self._start()
            return self._wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

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

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)
        # A terminal sends Ctrl-C to the whole foreground group; sent again, it would be a second one.
        if self._child is None or (number == signal.SIGINT and os.isatty(0)):
            return
        try:
            self._child.send_signal(number)
        except ProcessLookupError:
            pass

    def _start(self) -> None:
        folder = self._recording.folder if self._recording else None
        out_end, out = _connect(1, folder and folder / OUTPUT)
        error_end = subprocess.STDOUT
        self._streams = [out]
        if not _same_file(1, 2):
            error_end, error = _connect(2, folder and folder / ERRORS)
            self._streams.append(error)
        self._child = subprocess.Popen(self._order.argv, env=self._environment(), stdout=out_end, stderr=error_end)
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
        for stream in self._streams:
            stream.finish()
        return code


def _same_file(one: int, other: int) -> bool:
    try:
        a, b = os.fstat(one), os.fstat(other)
    except OSError:
        return False
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def _connect(fd: int, log: Path | None) -> tuple[int, _Stream]:
    """A stream for the child in place of our `fd`: a terminal where ours is one, so that progress bars stay."""
    if os.isatty(fd):
        master, child_end = pty.openpty()
        try:
            import fcntl
            import termios

            # Without this every newline would reach our own terminal as two characters more than the program wrote.
            mode = termios.tcgetattr(child_end)
            mode[1] &= ~termios.OPOST
            termios.tcsetattr(child_end, termios.TCSANOW, mode)
            fcntl.ioctl(child_end, termios.TIOCSWINSZ, fcntl.ioctl(fd, termios.TIOCGWINSZ, b"\0" * 8))
        except OSError:
            pass  # a terminal without a size
        return child_end, _Stream(master, fd, log)
    reader, child_end = os.pipe()
    return child_end, _Stream(reader, fd, log)


@final
class _Stream:
    """Copies what the child writes: as it is to our own stream, redacted and limited into the log of the run."""

    def __init__(self, source: int, target: int, log: Path | None) -> None:
        self._source = source
        self._target: int | None = target
        self._log: int | None = None
        if log is not None:
            try:
                self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            except OSError:
                self._log = None
        self._line = b""
        self._redactor = secrets.LineRedactor()
        self._room = OUTPUT_BYTES
        self._tail = b""
        self.dropped_bytes = 0
        self._thread = threading.Thread(target=self._pump, name="gitrepro-output", daemon=True)

    @property
    def last_words(self) -> str:
        return self._tail.decode(errors="replace")

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        # A grandchild that lives on may hold the stream open; what it says later is not part of the run.
        self._thread.join(timeout=2)
        if self._log is not None:
            self._keep(self._line)
            os.close(self._log)
            self._log = None

    def _pump(self) -> None:
        while chunk := self._read():
            self._forward(chunk)
            self._tail = (self._tail + chunk)[-_LAST_WORDS_BYTES:]
            *lines, self._line = (self._line + chunk).split(b"\n")
            for line in lines:
                self._keep(line + b"\n")
            if len(self._line) > _CHUNK_BYTES:
                self._keep(self._line)
                self._line = b""

    def _read(self) -> bytes:
        try:
            return os.read(self._source, _CHUNK_BYTES)
        except OSError:
            return b""  # Linux reports the end of a terminal as an error

    def _forward(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view and self._target is not None:
            try:
                view = view[os.write(self._target, view) :]
            except OSError:
                self._target = None  # our reader is gone; the program and its log go on

    def _keep(self, line: bytes) -> None:
        if self._log is None or not line:
            return
        clean = self._redactor.feed(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        if len(clean) > self._room:
            self.dropped_bytes += len(clean)
            return
        try:
            os.write(self._log, clean)
            self._room -= len(clean)
        except OSError:
            self.dropped_bytes += len(clean)


# -- the end


def _close(program: _Program, recording: Recording, where: Place, exit_code: int) -> Outcome:
    status, reason = _verdict(program, exit_code)
    if program.dropped_bytes:
        recording.event(
            "lost", what=f"{program.dropped_bytes} bytes of output", why="the log is full or the disk refused"
        )
    kept = recording.end(status, reason=reason, cost=program.usage)
    code = _shell_code(exit_code)
    trouble = "" if kept else f"its end is not on disk: {recording.journal.last_error}"
    if where.repository is None or recording.folder.parent.parent != where.home:
        recording.release()
        return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=f"it waits in {recording.folder}")
    try:
        record = commit.commit_run(where.repository, recording.folder, identity=where.identity)
        return Outcome(exit_code=code, run_id=recording.run_id, record=record, trouble=trouble)
    except (OSError, GitreproError) as error:
        return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=f"it is not committed: {error}")
    finally:
        recording.release()


def _verdict(program: _Program, exit_code: int) -> tuple[Status, dict[str, Any] | None]:
    if exit_code == 0:
        return Status.FINISHED, None
    number = -exit_code if exit_code < 0 else exit_code - 128
    name = signal.Signals(number).name if number in [*signal.Signals] else ""
    words = secrets.redact_text(program.last_words[-4000:])
    reason = {"exit_code": _shell_code(exit_code), "kind": "signal" if name else "exit", "last_output": words}
    reason["message"] = f"killed by {name}" if name else f"exit code {exit_code}"
    if program.killed_for_memory or any(sign in "\n" + program.last_words for sign in _OUT_OF_MEMORY):
        return Status.OUT_OF_MEMORY, {**reason, **program.usage}
    if signal.SIGINT in program.received or name == "SIGINT":
        return Status.INTERRUPTED, reason
    if signal.SIGTERM in program.received or name == "SIGTERM":
        return Status.PREEMPTED, reason
    return (Status.CRASHED if exit_code < 0 else Status.FAILED), reason


def _shell_code(exit_code: int) -> int:
    return exit_code if exit_code >= 0 else 128 - exit_code


def draw_seed() -> int:
    """A seed for a run that was given none."""
    return int.from_bytes(os.urandom(4), "little")


def command_line(argv: Sequence[str]) -> str:
    """The program as one would type it."""
    import shlex

    return shlex.join(argv)
