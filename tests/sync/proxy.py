"""A wire on loopback that can be cut after so many bytes."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Final, final

RESET: Final = "reset"
CLOSE: Final = "close"
STALL: Final = "stall"
HOW: Final = (RESET, CLOSE, STALL)
"""How a wire is cut: as by a router that has forgotten it, as by a program that ends, and after a silence."""
_SILENCE_SECONDS: Final = 0.15


@final
class Proxy:
    """Passes what comes to `port` on to another port of this machine, until it is cut; then all connections end.

    `cut_after(n)` lets n more bytes pass, in both directions together, and then cuts once; new connections live on.
    `cut_after(n, *more)` cuts again so many bytes later. `cut()` does so at once. `cuts` and `connections` are how
    many there were, and `passed_bytes` how many bytes; more connections than `most` are turned away.
    """

    def __init__(self, target: int, *, most: int = 1_000_000) -> None:
        self._target = target
        self._most = most
        self._lock = threading.Lock()
        self._sockets = set[socket.socket]()
        self._left: int | None = None
        self._later: list[int] = []
        self._how = RESET
        self._may_pass = threading.Event()
        self._may_pass.set()
        self.passed_bytes = 0
        self.cuts = 0
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, size_bytes: int | None, *later: int, how: str = RESET) -> None:
        """Cut after so many bytes, and again so many `later`, each counted from the cut before; None for never."""
        with self._lock:
            self._left, self._later, self._how = size_bytes, list(later), how

    def close(self) -> None:
        # Closing alone does not wake who waits for a connection.
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            try:
                if self.connections == self._most:
                    raise ConnectionRefusedError
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            with self._lock:
                self._sockets |= {near, far}
                self.connections += 1
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                self._may_pass.wait()
                allowed, is_cut = self._allowed(len(data))
                other.sendall(data[:allowed])
                if is_cut:
                    return self._cut_now()
            other.shutdown(socket.SHUT_WR)
        return None

    def _cut_now(self) -> None:
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        if self._how == STALL:
            self._may_pass.clear()
            time.sleep(_SILENCE_SECONDS)
        _end(sockets, reset=self._how != CLOSE)
        self._may_pass.set()

    def _allowed(self, size_bytes: int) -> tuple[int, bool]:
        with self._lock:
            if self._left is None or size_bytes < self._left:
                self.passed_bytes += size_bytes
                self._left = None if self._left is None else self._left - size_bytes
                return size_bytes, False
            allowed, self._left = self._left, self._later.pop(0) if self._later else None
            self.passed_bytes += allowed
            self.cuts += 1
            return allowed, True

    def cut(self) -> None:
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        _end(sockets, reset=True)


def _end(sockets: set[socket.socket], *, reset: bool) -> None:
    for each in sockets:
        with suppress(OSError):
            if reset:
                # As a router that has forgotten the connection: no end is said, and what is under way is lost.
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(OSError):
            # It wakes who waits for more; only the end that is no reset is said to the other side.
            each.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
        each.close()
