"""What a program writes: passed on as it is, and kept for the record without its secrets."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from ..capture import secrets

OUTPUT_BYTES: Final = 64 << 20
_CHUNK_BYTES: Final = 64 << 10
_LAST_WORDS_BYTES: Final = 16 << 10


def connect(fd: int, log: Path | None) -> tuple[int, Stream]:
    """A stream for a child in place of our `fd`: a terminal where ours is one, so that progress bars stay."""
    if os.isatty(fd):
        master, child_end = pty.openpty()
        _make_raw(child_end)
        stream = Stream(master, fd, log, terminal=True)
        stream.resize()
        return child_end, stream
    reader, child_end = os.pipe()
    return child_end, Stream(reader, fd, log)


def _make_raw(terminal: int) -> None:
    import termios

    try:
        # Without this every newline would reach our own terminal as two characters more than the program wrote.
        mode = termios.tcgetattr(terminal)
        mode[1] &= ~termios.OPOST
        termios.tcsetattr(terminal, termios.TCSANOW, mode)
    except OSError:
        pass  # an odd terminal


@final
class Stream:
    """Copies what the child writes: as it is to our own stream, redacted and limited into the log of the run.

    Attributes:
        dropped_bytes: what the log of the run does not hold, for its limit or for a fault of the disk.
        trouble: the fault, if it was one.
    """

    def __init__(self, source: int, target: int, log: Path | None, *, terminal: bool = False) -> None:
        self._source = source
        self._target: int | None = target
        self._terminal = terminal
        self._kept = _Log(log)
        self._tail = b""
        self._stop_reader, self._stop_writer = os.pipe()
        self._thread = threading.Thread(target=self._pump, name="gitrepro-output", daemon=True)

    @property
    def last_words(self) -> str:
        return self._tail.decode(errors="replace")

    @property
    def dropped_bytes(self) -> int:
        return self._kept.dropped_bytes

    @property
    def trouble(self) -> str:
        return self._kept.trouble

    def start(self) -> None:
        self._thread.start()

    def resize(self) -> None:
        """Give the child's terminal the size of ours."""
        import fcntl
        import termios

        if self._terminal and self._target is not None:
            try:
                size = fcntl.ioctl(self._target, termios.TIOCGWINSZ, b"\0" * 8)
                fcntl.ioctl(self._source, termios.TIOCSWINSZ, size)
            except OSError:
                pass  # a terminal without a size

    def finish(self, *, patience_seconds: float) -> None:
        """Take what is left. A grandchild that lives on keeps its way out; what it says now is not part of the run."""
        self._thread.join(timeout=patience_seconds)
        if self._thread.is_alive():
            os.write(self._stop_writer, b"x")
            self._thread.join()
            self._hand_over()
        self._kept.close()
        for fd in (self._source, self._stop_reader, self._stop_writer):
            os.close(fd)

    def _pump(self) -> None:
        for chunk in self._chunks():
            self._forward(chunk)
            self._tail = (self._tail + chunk)[-_LAST_WORDS_BYTES:]
            self._kept.add(chunk)

    def _chunks(self) -> Iterator[bytes]:
        waiting = select.poll()
        waiting.register(self._source, select.POLLIN)
        waiting.register(self._stop_reader, select.POLLIN)
        while True:
            ready = {fd for fd, _ in waiting.poll()}
            if self._stop_reader in ready:
                return
            try:
                chunk = os.read(self._source, _CHUNK_BYTES)
            except OSError:
                return  # Linux reports the end of a terminal as an error
            if not chunk:
                return
            yield chunk

    def _forward(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view and self._target is not None:
            try:
                view = view[os.write(self._target, view) :]
            except BlockingIOError:
                select.select([], [self._target], [])  # somebody made our stream non-blocking
            except OSError:
                self._target = None  # our reader is gone; the program and its log go on

    def _hand_over(self) -> None:
        # With us its pipe would break, and end a server that the program left behind on purpose.
        target = subprocess.DEVNULL if self._target is None else self._target
        try:
            subprocess.Popen(
                ["cat"], stdin=self._source, stdout=target, stderr=subprocess.DEVNULL, start_new_session=True
            )
        except OSError:
            pass


@final
class _Log:
    """The log file of a stream: whole lines, secrets taken out, up to `OUTPUT_BYTES`."""

    def __init__(self, path: Path | None) -> None:
        self._fd: int | None = None
        self._line = b""
        self._redactor = secrets.LineRedactor()
        self._room = OUTPUT_BYTES
        self.dropped_bytes = 0
        self.trouble = ""
        if path is not None:
            try:
                self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            except OSError as error:
                self.trouble = error.strerror or str(error)

    def add(self, chunk: bytes) -> None:
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            self._keep(line + b"\n")
        if len(self._line) > _CHUNK_BYTES:
            self._keep(self._line)
            self._line = b""

    def close(self) -> None:
        self._keep(self._line)
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _keep(self, line: bytes) -> None:
        if self._fd is None or self.dropped_bytes:
            # A log with holes would mislead: behind the first line that did not fit there is nothing.
            self.dropped_bytes += len(line)
            return
        try:
            clean = self._redactor.feed(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
            if len(clean) > self._room:
                self.dropped_bytes += len(line)
                return
            self._write(clean)
        except Exception as error:  # noqa: BLE001 - the child would stand still if the copying stopped
            self.dropped_bytes += len(line)
            self.trouble = str(error)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.write(self._fd or -1, view)
            self._room -= written
            view = view[written:]
