"""Connections to web servers, kept for the next request; by the proxies that the environment names."""

from __future__ import annotations

import base64
import http.client
import threading
import urllib.request
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import SplitResult, unquote, urlsplit

if TYPE_CHECKING:
    import ssl

_PORTS: Final = {"http": 80, "https": 443}
_DRAINED_BYTES: Final = 64 << 10
"""So much of a body that nobody wants is read to keep its connection."""

_Place = tuple[str, str, int]


class _Response(http.client.HTTPResponse):
    """An answer with a whole head: Python takes one that is cut for one of no length, or of a smaller one."""

    def begin(self) -> None:
        whole: Any = self.fp
        self.fp = _Head(whole)  # type: ignore[assignment]
        try:
            super().begin()
        finally:
            if self.fp is not None:
                self.fp = whole


@final
class _Head:
    """The lines of a head, each with its end."""

    def __init__(self, lines: Any) -> None:
        self._lines = lines
        self._read = 0

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._lines.readline(limit)
        # No line at all is how a server closes a connection: http.client has a word of its own for that.
        if (self._read or line) and not line.endswith(b"\n") and len(line) != limit:
            raise http.client.IncompleteRead(line)
        self._read += 1
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lines, name)


@final
class Connections:
    """Idle connections by place. Any number of threads may ask."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._idle: dict[_Place, list[http.client.HTTPConnection]] = defaultdict(list)
        self._places: dict[int, _Place] = {}
        self._lock = threading.Lock()

    def request(
        self, method: str, url: str, headers: dict[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send a request; the connection, to be given back, and the answer, of which the body is yet to be read.

        Raises:
            OSError, http.client.HTTPException: the network fails, or the server speaks otherwise.
        """
        parts = urlsplit(url)
        place = parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]
        while (kept := self._take(place)) is not None:
            try:
                return self._request(kept, method, parts, headers)
            except (ConnectionError, http.client.BadStatusLine):
                # The server may have closed it while it was idle: that is no failure of this request.
                continue
        return self._request(self._open(place), method, parts, headers)

    def _request(
        self, connection: http.client.HTTPConnection, method: str, parts: SplitResult, headers: dict[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        proxy = _proxy(parts.scheme, parts.hostname or "")
        if proxy is not None and parts.scheme == "http":
            target = f"http://{parts.netloc}{target}"
            headers = {**headers, "Host": parts.netloc, **_authorization(proxy)}
        try:
            connection.request(method, target, headers=headers)
            return connection, connection.getresponse()
        except BaseException:
            self._drop(connection)
            raise

    def give_back(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        """Keep a connection for the next request, or close it where the answer was not read to its end."""
        if response.length is not None and response.length <= _DRAINED_BYTES and not response.isclosed():
            try:
                response.read()
            except (OSError, http.client.HTTPException):
                pass  # it is closed below
        keep = response.isclosed() and not response.will_close
        with self._lock:
            place = self._places.get(id(connection))
            if keep and place is not None:
                self._idle[place].append(connection)
                return
        response.close()
        self._drop(connection)

    def close(self) -> None:
        with self._lock:
            found = [each for idle in self._idle.values() for each in idle]
            self._idle.clear()
        for connection in found:
            self._drop(connection)

    def _take(self, place: _Place) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle[place].pop() if self._idle[place] else None

    def _open(self, place: _Place) -> http.client.HTTPConnection:
        scheme, host, port = place
        proxy = _proxy(scheme, host)
        if proxy is None:
            connection = self._connection(scheme, host, port)
        else:
            connection = self._connection(scheme, proxy.hostname or "", proxy.port or _PORTS["http"])
            if scheme == "https":
                connection.set_tunnel(host, port, headers=_authorization(proxy))
        with self._lock:
            self._places[id(connection)] = place
        return connection

    def _connection(self, scheme: str, host: str, port: int) -> http.client.HTTPConnection:
        made: http.client.HTTPConnection
        if scheme == "https":
            made = http.client.HTTPSConnection(host, port, timeout=self._timeout_seconds, context=_context())
        else:
            made = http.client.HTTPConnection(host, port, timeout=self._timeout_seconds)
        made.response_class = _Response
        return made

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            self._places.pop(id(connection), None)
        connection.close()


@cache
def _context() -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context()


def _proxy(scheme: str, host: str) -> SplitResult | None:
    """The proxy that the environment names for a host."""
    found = urllib.request.getproxies().get(scheme)
    if not found or urllib.request.proxy_bypass(host):
        return None
    return urlsplit(found if "://" in found else f"http://{found}")


def _authorization(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    text = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(text).decode()}"}
