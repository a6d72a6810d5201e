"""What a store remote behind ssh and its visitor say to each other: a greeting, then frames.

The near side begins with HELLO, the far side with GREETING, which the near side looks for: a shell may have spoken
first. A frame is its kind, one byte, the length of what follows, four bytes, big end first, and at most a mebibyte.
Each request has one answer, and the next request waits for it. JSON is UTF-8.

    request                                      answer
    R {"key", "start", "length"}                 D…, then E; or M, there is nothing; or F
    S key                                        N and the size in decimals; or M; or F
    W {"key", "size_bytes"}, D…, then E or A     E, it is there; A, it was called back; or F, which may come early
    L prefix                                     D…, lines "<size> <seconds> <key>"; then E; or F
    X keys, a line each                          E or F

F is a fault: {"kind", "what", "why", "do"}. A is the end of bytes that are not to be kept. Where a line is cut, what
was being written is not kept.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final, Protocol

HELLO: Final = b"gitrepro-store 1\n"
"""Its first bytes are a length that no SFTP server takes: one that runs whatever is asked for ends at once."""
GREETING: Final = b"\0gitrepro-store 1\n"
MOST_BYTES: Final = 1 << 20

READ, SIZE, WRITE, LIST, DELETE = b"R", b"S", b"W", b"L", b"X"
DATA, END, CALLED_BACK = b"D", b"E", b"A"
MISSING, NUMBER, FAULT = b"M", b"N", b"F"

_HEAD: Final = struct.Struct(">cI")


class NoFrame(Exception):
    """The bytes are no frame."""


class Sink(Protocol):
    """Where frames go."""

    def write(self, data: bytes | memoryview, /) -> object: ...


def send(sink: Sink, kind: bytes, data: bytes | memoryview = b"") -> None:
    """Write one frame; the caller flushes."""
    sink.write(_HEAD.pack(kind, len(data)))
    if data:
        sink.write(data)


def receive(exactly: Callable[[int], bytes]) -> tuple[bytes, bytes]:
    """The kind and the bytes of the next frame. `exactly(n)` gives n bytes, and raises where there are no more.

    Raises:
        NoFrame: it would be longer than a frame may be.
    """
    kind, size_bytes = _HEAD.unpack(exactly(_HEAD.size))
    if size_bytes > MOST_BYTES:
        raise NoFrame(f"a frame of {size_bytes} bytes")
    return kind, exactly(size_bytes) if size_bytes else b""


def pieces(part: bytes | memoryview) -> Iterator[bytes | memoryview]:
    """A part in pieces that fit a frame each; none where it is empty."""
    if len(part) <= MOST_BYTES:
        if len(part):
            yield part
        return
    view = memoryview(part)
    for start in range(0, len(view), MOST_BYTES):
        yield view[start : start + MOST_BYTES]
