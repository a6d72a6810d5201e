"""A wire on loopback that can be cut after so many bytes."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import final


@final
class Proxy:
    """Passes what comes to `port` on to another port of this machine, until it is cut; then all connections end.

    `cut_after(n)` lets n more bytes pass, in both directions together, and then cuts once; new connections live on.
    `cut()` does so at once. `cuts` and `connections` are how many there were; more than `most` are turned away.
    """

    def __init__(self, target: int, *, most: int = 1_000_000) -> None:
        self._target = target
        self._most = most
        self._lock = threading.Lock()
        self._sockets = set[socket.socket]()
        self._left: int | None = None
        self.cuts = 0
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, size_bytes: int | None) -> None:
        """Cut after so many bytes; None for never."""
        with self._lock:
            self._left = size_bytes

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
                allowed, is_cut = self._allowed(len(data))
                other.sendall(data[:allowed])
                if is_cut:
                    return self.cut()
            other.shutdown(socket.SHUT_WR)
        return None

    def _allowed(self, size_bytes: int) -> tuple[int, bool]:
        with self._lock:
            if self._left is None:
                return size_bytes, False
            if size_bytes < self._left:
                self._left -= size_bytes
                return size_bytes, False
            allowed, self._left = self._left, None
            self.cuts += 1
            return allowed, True

    def cut(self) -> None:
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            with suppress(OSError):
                # A reset, as a router that has forgotten the connection sends it.
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
