"""A store remote in a folder of another machine, reached by the `ssh` that a person uses.

Where gitrepro is installed there it is asked (`gitrepro serve-store`), else the SFTP server. ssh reads its own config,
asks its agent, and jumps over other machines, as it always does.
"""

from __future__ import annotations

import os
import re
import shlex
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, final
from urllib.parse import unquote, urlsplit

from ....errors import RemoteError, UsageError
from ..driver import Listed, checked_key, checked_prefix
from .ssh_line import Address, Cut, Line, Nonsense
from .ssh_session import FramedSession, Session

HELPER: Final = "gitrepro"
"""What is run there; the option `helper` of the remote names another, or `none` for SFTP at once."""
_PARALLEL: Final = 4
_WAIT_SECONDS: Final = 300
# A ProxyCommand puts these into a shell.
_NAME: Final = re.compile(r"[A-Za-z0-9_.\[\]:%][A-Za-z0-9_.\[\]:%-]*")


def open_url(url: str, options: Mapping[str, str], *, may_ask: bool | None = None) -> SshDriver:
    """The driver for `ssh://[user@]host[:port]/path` or `[user@]host:path`; nobody is called yet.

    Args:
        options: `helper` is what to run there in place of `gitrepro`, or `none`.
        may_ask: whether ssh may ask a person; by default, whether there is a terminal.

    Raises:
        UsageError: the URL names no host and folder, or one that could do harm.
    """
    address, path = _parsed(url)
    asks = os.isatty(2) if may_ask is None else may_ask
    return SshDriver(url, address, path, helper=options.get("helper", HELPER), may_ask=asks)


@final
class SshDriver:
    """Keeps up to four lines, each opened when it is wanted and used by one thread at a time.

    Only the first may ask a person for something. Where further ones do not come about, their users wait for those
    that are there.
    """

    def __init__(self, url: str, address: Address, path: str, *, helper: str, may_ask: bool) -> None:
        self.url = url
        self.read_only = False
        self.parallel = _PARALLEL
        self._address = address
        self._path = path
        self._helper: str | None = None if helper == "none" else helper
        self._may_ask = may_ask
        self._lock = threading.Condition()
        self._calling = threading.Lock()
        self._idle: list[Session] = []
        self._in_use = 0
        self.via = ""
        """Who answers there, once somebody has: `gitrepro` or `sftp`."""

    # -- what a driver does

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        with self._session(f"cannot read {checked_key(key)}") as session:
            yield from session.read(key, start, length)

    def size(self, key: str) -> int | None:
        with self._session(f"cannot read {checked_key(key)}") as session:
            return session.size(key)

    def write(self, key: str, parts: Iterable[bytes | memoryview], size_bytes: int) -> None:
        with self._session(f"cannot write {checked_key(key)}") as session:
            session.write(key, parts, size_bytes)

    def list(self, prefix: str) -> Iterator[Listed]:
        with self._session("cannot list what is") as session:
            yield from session.list(checked_prefix(prefix))

    def delete(self, keys: Iterable[str]) -> None:
        checked = [checked_key(key) for key in keys]
        if checked:
            with self._session("cannot delete") as session:
                session.delete(checked)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.line.close()

    # -- lines

    @contextmanager
    def _session(self, what: str) -> Iterator[Session]:
        session = self._take()
        try:
            yield session
        except Cut:
            session.is_idle = False
            raise session.line.broken(f"{what} in the store remote {self.url}: the line broke") from None
        except Nonsense:
            session.is_idle = False
            raise
        finally:
            self._give_back(session)

    def _take(self) -> Session:
        if (session := self._idle_one()) is None:
            # One at a time: a server turns away who calls too often at once, and a person is asked one question.
            with self._calling:
                session = self._idle_one() or self._new_one()
        return session

    def _idle_one(self) -> Session | None:
        with self._lock:
            while self._idle:
                session = self._idle.pop()
                # Nothing was asked: what is heard now is the end of the line.
                if not session.line.hears():
                    self._in_use += 1
                    return session
                session.line.close()
        return None

    def _new_one(self) -> Session:
        with self._lock:
            first = self._in_use == 0
        try:
            session = self._call(may_ask=self._may_ask and first)
        except RemoteError:
            waited = self._wait_for_another()
            if waited is None:
                raise
            return waited
        with self._lock:
            self._in_use += 1
        return session

    def _wait_for_another(self) -> Session | None:
        """A session that somebody gives back; None where nobody has one, or nobody does for minutes."""
        with self._lock:
            self._lock.wait_for(lambda: self._idle or not self._in_use, _WAIT_SECONDS)
        return self._idle_one()

    def _give_back(self, session: Session) -> None:
        with self._lock:
            self._in_use -= 1
            keep = session.is_idle and len(self._idle) < _PARALLEL
            if keep:
                self._idle.append(session)
            self._lock.notify_all()
        if not keep:
            session.line.close()

    def _call(self, *, may_ask: bool) -> Session:
        if self._helper is not None:
            session = self._call_helper(self._helper, may_ask=may_ask)
            if session is not None:
                return session
            self._helper = None
        from .sftp import SftpSession

        line = Line(self._address, "sftp", subsystem=True, may_ask=may_ask)
        session = SftpSession(line, self._path)
        try:
            session.greet()
        except Cut:
            raise line.broken(f"cannot reach the store remote {self.url}") from None
        except RemoteError:
            line.close()
            raise
        self.via = "sftp"
        return session

    def _call_helper(self, helper: str, *, may_ask: bool) -> Session | None:
        """A session with gitrepro there; None where ssh got there and gitrepro did not answer."""
        path = self._path if self._path.startswith("/") else f"./{self._path}"
        line = Line(self._address, f"{helper} serve-store {shlex.quote(path)}", may_ask=may_ask)
        session = FramedSession(line)
        if session.greet():
            self.via = "gitrepro"
            return session
        if line.failed_in_ssh():
            raise line.broken(f"cannot reach the store remote {self.url}")
        line.close()
        return None


def _parsed(url: str) -> tuple[Address, str]:
    if url.lower().startswith("ssh://"):
        parts = urlsplit(url)
        user, at, host = parts.netloc.rpartition("@")
        host = parts.hostname or ""
        name = f"{user}{at}{host}"
        path = unquote(parts.path)
        path = path[1:] if path.startswith("/~") else path
        port = parts.port
    else:
        name, _, path = url.partition(":")
        port = None
    return Address(host=_checked_name(url, name), port=port), _checked_path(url, path)


def _checked_name(url: str, name: str) -> str:
    user, at, host = name.rpartition("@")
    if not _NAME.fullmatch(host) or (at and not _NAME.fullmatch(user)):
        raise UsageError(
            f"{url!r:.200} names no host that ssh could safely be given",
            why="user and host are letters, digits, `.`, `_` and `-`, with no `-` first",
            do="give it a name in ~/.ssh/config, and use that",
        )
    return name


def _checked_path(url: str, path: str) -> str:
    path = path.removeprefix("~/") if path != "~" else "."
    path = path.rstrip("/") or path[:1]
    if not path or path.startswith("~") or not path.isprintable():
        raise UsageError(
            f"{url!r:.200} names no folder there",
            why="~ stands for your own home only, and the path is of letters one can see",
            do="give ssh://HOST/PATH, ssh://HOST/~/PATH or HOST:PATH",
        )
    return path
