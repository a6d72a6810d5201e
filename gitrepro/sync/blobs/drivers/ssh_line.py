"""One running `ssh`, and the bytes that go through it."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from typing import Final, final

from ....errors import RemoteError, UsageError

_BUFFER_BYTES: Final = 1 << 20
_WORDS_BYTES: Final = 4000
_FAILED_IN_SSH: Final = 255
_SILENCE_SECONDS: Final = 120
# What a person's own settings may hold for shells of theirs, and would be in the way here. A line that is dead is
# noticed after a minute; without this it would be waited for as long as TCP does, or for ever.
_SETTINGS: Final = (
    "-T", "-x",
    "-o", "ClearAllForwardings=yes",
    "-o", "RemoteCommand=none",
    "-o", "ConnectTimeout=20",
    "-o", "ServerAliveInterval=15",
    "-o", "ServerAliveCountMax=4",
)  # fmt: skip
_REPAIR: Final = (
    ("Permission denied", "`{try_it}` must work first: name the user in the URL, and give ssh its key (`ssh-add -l`)"),
    ("Host key verification failed", "run `{try_it}` yourself once, and compare the key that it shows"),
    ("REMOTE HOST IDENTIFICATION", "ask who runs that machine whether its key has changed, then `{try_it}`"),
    ("Could not resolve", "check the name: `{try_it}`"),
    ("ubsystem request failed", "install gitrepro there, or let its sshd offer sftp"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Who is called: `[user@]host`, and the port where it is another than ssh would take."""

    host: str
    port: int | None = None

    @property
    def try_it(self) -> str:
        """The command by which a person sees whether ssh itself gets there."""
        return shlex.join(["ssh", *([] if self.port is None else ["-p", str(self.port)]), self.host, "true"])


class Cut(Exception):
    """The line has ended before all was said."""


class Nonsense(RemoteError):
    """What is heard makes no sense; nothing more can be said over this line."""


@final
class Line:
    """A running `ssh`. Closing kills it.

    Args:
        address: who is called.
        command: what is run there; or the name of a subsystem.
        may_ask: whether ssh may ask a person for a passphrase, a password, or about a key it has not seen.

    Raises:
        UsageError: there is no `ssh` program.
    """

    def __init__(self, address: Address, command: str, *, subsystem: bool = False, may_ask: bool = False) -> None:
        self.address = address
        self._may_ask = may_ask
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - until the line is closed
        port = [] if address.port is None else ["-p", str(address.port)]
        quiet = [] if may_ask else ["-o", "BatchMode=yes"]
        kind = ["-s"] if subsystem else []
        try:
            self._ssh = subprocess.Popen(
                ["ssh", *_SETTINGS, *quiet, *port, *kind, "--", address.host, command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
                bufsize=_BUFFER_BYTES,
            )
        except FileNotFoundError as error:
            self._words.close()
            raise UsageError("there is no `ssh` program on PATH", do="install OpenSSH's client") from error

    def write(self, data: bytes | memoryview, /) -> None:
        """Say these bytes, sooner or later; `flush` says them now. Raises Cut."""
        assert self._ssh.stdin
        try:
            self._ssh.stdin.write(data)
        except OSError as error:
            raise Cut from error

    def flush(self) -> None:
        assert self._ssh.stdin
        try:
            self._ssh.stdin.flush()
        except OSError as error:
            raise Cut from error

    def exactly(self, size_bytes: int) -> bytes:
        """The next bytes that are heard, as many as these. Raises Cut."""
        assert self._ssh.stdout
        data = self._ssh.stdout.read(size_bytes)
        if len(data) < size_bytes:
            raise Cut
        return data

    def hears(self) -> bool:
        """Whether there is something to hear, or the line has ended. Nothing of what came may be half read."""
        assert self._ssh.stdout
        poll = select.poll()  # select() knows no file descriptor beyond 1023
        poll.register(self._ssh.stdout, select.POLLIN)
        return bool(poll.poll(0))

    def find(self, mark: bytes, *, within_bytes: int) -> bool:
        """Hear up to the end of a mark, and say whether it came.

        What runs there may be waiting for something else than us: it has two minutes, where no person may be asked.
        """
        heard = b""
        patience = threading.Timer(_SILENCE_SECONDS, self._ssh.kill)
        if not self._may_ask:
            patience.start()
        try:
            while not heard.endswith(mark) and len(heard) < within_bytes:
                heard += self.exactly(1)
        except Cut:
            return False
        finally:
            patience.cancel()
        return heard.endswith(mark)

    def broken(self, what: str) -> RemoteError:
        """The error for a line that is cut, with the words of ssh itself; the line is closed."""
        self._hang_up()
        words = self.words()
        do = "run the command again; what has arrived is kept" if not words else f"`{self.address.try_it}` shows more"
        repair = next((repair for sign, repair in _REPAIR if sign in words), do)
        why = words or f"ssh ended with {self._ssh.wait()}"
        error = RemoteError(what, why=why, do=repair.format(try_it=self.address.try_it))
        self.close()
        return error

    def failed_in_ssh(self) -> bool:
        """Whether it was ssh that failed, and has said why; else it was what should run there. Waits for the end."""
        self._hang_up()
        return self._ssh.wait() == _FAILED_IN_SSH and bool(self.words())

    def words(self) -> str:
        """The last that ssh, or what runs there, has said besides."""
        if self._words.closed:
            return ""
        size_bytes = os.fstat(self._words.fileno()).st_size
        said = os.pread(self._words.fileno(), _WORDS_BYTES, max(0, size_bytes - _WORDS_BYTES))
        lines = (line.strip() for line in said.decode(errors="replace").splitlines())
        return "; ".join([line for line in lines if line and not line.startswith("Warning: Permanently added")][-4:])

    def _hang_up(self) -> None:
        """Say no more, and give ssh time for its last words."""
        assert self._ssh.stdin
        try:
            self._ssh.stdin.close()
        except OSError:
            pass  # it has gone
        try:
            self._ssh.wait(10)
        except subprocess.TimeoutExpired:
            self._ssh.kill()

    def close(self) -> None:
        self._ssh.kill()
        self._ssh.wait()
        for pipe in (self._ssh.stdin, self._ssh.stdout):
            assert pipe
            try:
                pipe.close()
            except OSError:
                pass  # what could not be said any more
        self._words.close()
