"""A store remote on a web server, to read only: static files, and a range of them where a connection was cut."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NoReturn, final
from urllib.parse import quote, urljoin, urlsplit

from ....errors import RemoteError
from ..driver import PIECE_BYTES, KeyMissing, Listed, NoListing, checked_key, checked_prefix
from .connections import Connections

_TIMEOUT_SECONDS: Final = 30.0
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.2
_PAUSE_SECONDS_AT_MOST: Final = 10.0
_REDIRECTS_AT_MOST: Final = 5
_REDIRECTED: Final = (301, 302, 303, 307, 308)
_GONE: Final = (404, 410)
_TRY_AGAIN: Final = (408, 425, 429, 500, 502, 503, 504)
_RANGE: Final = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)")
_KEPT_IN_URLS: Final = "/%:@!$&'()*+,;=~"


class _Retry(Exception):
    """The server or the network failed in a way that may have passed by the next try."""

    def __init__(self, why: str, *, pause_seconds: float = 0.0) -> None:
        super().__init__(why)
        self.pause_seconds = pause_seconds


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a server answered, and the connection that it comes by."""

    response: http.client.HTTPResponse
    connection: http.client.HTTPConnection


@final
class HttpDriver:
    """Reads keys below a URL, over connections that are kept. Proxies are those that the environment names."""

    def __init__(self, url: str, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        parts = urlsplit(url)
        self.url = url
        self.read_only = True
        self.parallel = 8
        self._base = f"{parts.scheme.lower()}://{parts.netloc}{quote(parts.path.rstrip('/'), safe=_KEPT_IN_URLS)}"
        self._connections = Connections(timeout_seconds)

    # -- the driver

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        checked_key(key)
        if length == 0:
            self._must_be_there(key)
            return
        at, end, tries = start, None if length is None else start + length, 0
        while end is None or at < end:
            before = at
            try:
                for part in self._body(key, at, end):
                    yield part
                    at += len(part)
                return
            except _Retry as error:
                tries = 1 if at > before else tries + 1
                self._pause(key, error, tries)

    def size(self, key: str) -> int | None:
        checked_key(key)
        try:
            answer = self._ask("HEAD", key, {})
        except KeyMissing:
            return None
        length = answer.response.headers.get("Content-Length", "")
        self._finish(answer)
        if answer.response.status == 200 and length.isdecimal():
            return int(length)
        # Some servers know no HEAD, or say no length: then the bytes say it.
        return sum(map(len, self.read(key)))

    def list(self, prefix: str) -> Iterator[Listed]:
        raise NoListing(checked_prefix(prefix))

    def write(self, key: str, parts: Iterable[bytes | memoryview], size_bytes: int) -> None:  # noqa: ARG002
        raise self._read_only()

    def delete(self, keys: Iterable[str]) -> None:  # noqa: ARG002
        raise self._read_only()

    def close(self) -> None:
        self._connections.close()

    # -- one body

    def _must_be_there(self, key: str) -> None:
        if self.size(key) is None:
            raise KeyMissing(key)

    def _body(self, key: str, at: int, end: int | None) -> Iterator[bytes]:
        """What the server has from `at` to before `end`. Raises _Retry when it ends too early."""
        asked = {} if at == 0 and end is None else {"Range": f"bytes={at}-{'' if end is None else end - 1}"}
        answer = self._ask("GET", key, asked)
        try:
            status = answer.response.status
            if status == 416:
                return
            if status not in (200, 206):
                self._refused(key, answer.response)
            begins = self._begin(key, answer.response, at) if status == 206 else 0
            yield from self._parts(answer.response, skip=at - begins, wanted=None if end is None else end - at)
        finally:
            self._finish(answer)

    def _begin(self, key: str, response: http.client.HTTPResponse, at: int) -> int:
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != at:
            raise self._error(key, f"the server sent {response.headers.get('Content-Range')!r:.80} for the range {at}-")
        return at

    def _parts(self, response: http.client.HTTPResponse, *, skip: int, wanted: int | None) -> Iterator[bytes]:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise RemoteError(f"{self.url} sends other bytes than it has", why="it encodes them", do="let it not do so")
        whole = response.length  # None where the server does not say
        read_bytes = 0
        while wanted is None or wanted > 0:
            part = _received(response)
            read_bytes += len(part)
            if not part:
                if whole is not None and read_bytes < whole:
                    raise _Retry(f"the connection ended after {read_bytes} of {whole} bytes")
                return
            skipped, skip = min(skip, len(part)), max(0, skip - len(part))
            part = part[skipped:] if wanted is None else part[skipped : skipped + wanted]
            wanted = None if wanted is None else wanted - len(part)
            if part:
                yield part

    # -- one request

    def _ask(self, method: str, key: str, headers: dict[str, str]) -> _Answer:
        """The answer to a request, after redirects. Raises KeyMissing, _Retry in a GET, RemoteError."""
        tries = 0
        while True:
            try:
                return self._follow(method, key, headers)
            except _Retry as error:
                if method == "GET":
                    raise
                tries += 1
                self._pause(key, error, tries)

    def _follow(self, method: str, key: str, headers: dict[str, str]) -> _Answer:
        url = f"{self._base}/{key}"
        for _ in range(_REDIRECTS_AT_MOST + 1):
            answer = self._send(method, url, key, headers)
            status = answer.response.status
            if status in _REDIRECTED:
                url = self._redirected(url, key, answer)
                continue
            if status in _GONE:
                self._finish(answer)
                raise KeyMissing(key)
            if status in _TRY_AGAIN:
                self._finish(answer)
                raise _Retry(f"{status} {answer.response.reason}", pause_seconds=_asked_pause(answer.response))
            return answer
        raise self._error(key, f"more than {_REDIRECTS_AT_MOST} redirects")

    def _redirected(self, url: str, key: str, answer: _Answer) -> str:
        """Where a redirect leads; only to a web server, and not from a safe connection to an open one."""
        target = urljoin(url, answer.response.headers.get("Location", ""))
        self._finish(answer)
        allowed = ("https",) if url.startswith("https:") else ("http", "https")
        parts = urlsplit(target)
        if parts.scheme not in allowed or not parts.hostname:
            raise self._error(key, f"it redirects to {target!r:.200}, which is not followed")
        return target

    def _send(self, method: str, url: str, key: str, headers: dict[str, str]) -> _Answer:
        headers = {"Accept-Encoding": "identity", "User-Agent": "gitrepro", **headers}
        try:
            connection, response = self._connections.request(method, url, headers)
        except (ssl.SSLCertVerificationError, socket.gaierror) as error:
            raise self._error(key, str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise _Retry(str(error) or type(error).__name__) from error
        return _Answer(response, connection)

    def _finish(self, answer: _Answer) -> None:
        self._connections.give_back(answer.connection, answer.response)

    # -- errors

    def _pause(self, key: str, error: _Retry, tries: int) -> None:
        if tries >= _TRIES:
            raise self._error(key, str(error)) from error
        time.sleep(error.pause_seconds or _PAUSE_SECONDS * 4 ** (tries - 1))

    def _refused(self, key: str, response: http.client.HTTPResponse) -> NoReturn:
        raise self._error(key, f"the server says {response.status} {response.reason}")

    def _error(self, key: str, why: str) -> RemoteError:
        do = "look whether the address is right and the network is up, then run the command again"
        return RemoteError(f"{key} cannot be read from {self.url}", why=why, do=do)

    def _read_only(self) -> RemoteError:
        return RemoteError(
            f"{self.url} can only be read",
            why="it is a web server",
            do="push to the folder, the machine or the bucket that it hands out",
        )


def _received(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(PIECE_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _Retry(str(error) or type(error).__name__) from error


def _asked_pause(response: http.client.HTTPResponse) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), _PAUSE_SECONDS_AT_MOST) if text.isdecimal() else 0.0
