"""The program that is recorded, while it runs: nothing of it is changed but where its output goes."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, final

from ..capture import hardware
from ..errors import UsageError
from ..run.launchkey import Launch
from ..run.recording import Recording
from ..run.streams import Stream, connect
from ..store.live import ERRORS, OUTPUT
from .alarm import Alarm
from .order import Order

_BOOTSTRAP: Final = Path(__file__).parent.parent / "bootstrap"
_GRANDCHILD_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 1.0


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
        self._forked = False
        self._child: subprocess.Popen[bytes] | None = None
        self._streams: list[Stream] = []
        self._alarm = Alarm()
        self.usage: dict[str, Any] = {}
        self._kills_before = hardware.cgroup_oom_kills()

    @contextmanager
    def signals_passed_on(self) -> Iterator[None]:
        """What we are sent is meant for the child; it does not end us before the run is on record."""
        numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
        before = {number: signal.signal(number, self._arrived) for number in numbers}
        before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, self._resized)
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        try:
            with self._alarm.rung_by_signals():
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
            self._send(number)
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
        if self._sent_by_the_terminal_too(number):
            return
        if self._child is None:
            self._pending.append(number)
        else:
            self._send(number)

    def _sent_by_the_terminal_too(self, number: int) -> bool:
        # A terminal sends Ctrl-C to the whole foreground group; sent again, it would be a second one.
        return number == signal.SIGINT and self._forked and _in_foreground()

    def _send(self, number: int) -> None:
        # Not `send_signal`: it would collect a child that has just ended, and what it cost with it.
        if self._child and self._child.returncode is None:
            try:
                os.kill(self._child.pid, number)
            except ProcessLookupError:
                pass  # it has just been collected

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
        self._forked = True
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
        env.update(self._order.data.variables())
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
        ended = 0
        while not ended:
            # Not in one call: a signal that comes just before it, or to another thread, would wait for its end.
            ended, status, usage = os.wait4(self._child.pid, os.WNOHANG)
            if not ended:
                self._alarm.wait(_LOOK_SECONDS)
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
