"""A driver that counts what is asked of the place behind it, and can be stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar, final

from ...errors import RemoteError
from .driver import Driver, Listed

T = TypeVar("T", bytes, bytes | memoryview)
_KEYS_A_PAGE: Final = 1000


@final
class Counted:
    """Passes all on to `driver`, and counts. A listing counts as one request for each thousand keys."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._lock = threading.Lock()
        self.url = driver.url
        self.read_only = driver.read_only
        self.parallel = driver.parallel
        self.requests = 0
        self._stopped = False

    def read(self, key: str, *, start: int = 0, length: int | None = None) -> Iterator[bytes | memoryview]:
        self._count()
        return self._unless_stopped(self._driver.read(key, start=start, length=length))

    def size(self, key: str) -> int | None:
        self._count()
        return self._driver.size(key)

    def write(self, key: str, parts: Iterable[bytes | memoryview], size_bytes: int) -> None:
        self._count()
        self._driver.write(key, self._unless_stopped(parts), size_bytes)

    def list(self, prefix: str) -> Iterator[Listed]:
        self._count()
        for number, found in enumerate(self._driver.list(prefix), start=1):
            yield found
            if number % _KEYS_A_PAGE == 0:
                self._count()

    def delete(self, keys: Iterable[str]) -> None:
        self._count()
        self._driver.delete(keys)

    def close(self) -> None:
        self._driver.close()

    def stop(self) -> None:
        """Let what is under way in other threads end soon, with a RemoteError."""
        self._stopped = True

    def _unless_stopped(self, parts: Iterable[T]) -> Iterator[T]:
        for part in parts:
            if self._stopped:
                raise RemoteError(f"the traffic with {self.url} was stopped")
            yield part

    def _count(self) -> None:
        with self._lock:
            self.requests += 1
