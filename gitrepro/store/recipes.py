"""Files kept in pieces: what two of them share is stored once. Put in, and read out as one.

The hash of a file is made of the very bytes that its pieces are made of, so whatever is proposed as a cut, and whatever
happens to the file meanwhile, its name is the hash of what its recipe gives back.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, final

from ..errors import BlobMissing, Damaged
from ..records.recipe import Recipe, Segment
from .objects import copying
from .splitters import propose, segment_lengths

if TYPE_CHECKING:
    from .objects import Batch, BlobStore

WHOLE_BELOW_BYTES: Final = 1 << 20
"""A smaller file is not worth a recipe."""
_TRIES: Final = 3
_DEPTH_AT_MOST: Final = 4
_HASHED_AT_ONCE_BYTES: Final = 256 << 10


def put_parts(batch: Batch, parts: Iterable[bytes | memoryview]) -> tuple[str, int]:
    """Take a file given as parts, such as a header and its tensors; its name, and its size in bytes.

    What comes first is a header and stays alone, and so does every part of 64 KiB or more. Runs of smaller parts are
    kept together, and parts above 64 MiB are cut: where, depends on the sizes of a run or a part alone.

    Args:
        parts: contiguous buffers of any type. All are held, and must stay as they are, until this returns.
    """
    views = [memoryview(part).cast("B") for part in parts if memoryview(part).nbytes]
    size_bytes = sum(map(len, views))
    if size_bytes < WHOLE_BELOW_BYTES:
        return batch.put(b"".join(views)), size_bytes
    # In memory this costs nothing more than to hash it on the way, and a file that is here is not cut up again.
    whole = copying.hasher()
    for view in views:
        whole.update(view)
    digest = f"b3:{whole.hexdigest()}"
    if digest in batch:
        return digest, size_bytes
    segments = _put_segments(batch, _Parts(views), segment_lengths(map(len, views), size_bytes))
    return _finish(batch, digest, size_bytes, segments)


def put_split(batch: Batch, reader: BinaryIO, size_bytes: int, *, cuts: Sequence[int] | None = None) -> tuple[str, int]:
    """Take an open file, cut where it repeats what an earlier one had; its name, and its size in bytes.

    A file that no splitter knows becomes one blob, or pieces of 64 MiB where `reader` is no file of the system.

    Args:
        reader: seekable; it is read from its beginning.
        size_bytes: how long it is.
        cuts: offsets to cut at, any; what lies outside the file is ignored. None to ask the splitters.

    Raises:
        SourceChanged: it was written to again and again while it was read, or has not `size_bytes`.
    """
    fd = _descriptor(reader)
    for _ in range(_TRIES):
        before = copying.state(fd) if fd is not None else None
        found = propose(reader, size_bytes) if cuts is None and size_bytes >= WHOLE_BELOW_BYTES else cuts
        if found is None and fd is not None:
            return batch.put_open(fd, named=_name(reader))
        taken = _put_file(batch, reader, size_bytes, found or ())
        if taken is not None and (fd is None or copying.state(fd) == before):
            return taken, size_bytes
    raise copying.changed(_name(reader))


def _put_file(batch: Batch, reader: BinaryIO, size_bytes: int, cuts: Iterable[int]) -> str | None:
    """The name of the file; None where it has not `size_bytes`."""
    borders = [0, *sorted({cut for cut in cuts if 0 < cut < size_bytes}), size_bytes]
    lengths = [size_bytes]
    if size_bytes >= WHOLE_BELOW_BYTES:
        lengths = segment_lengths((end - begin for begin, end in pairwise(borders)), size_bytes)
    whole = copying.hasher()
    try:
        source = _File(reader, max(lengths))
        segments = _put_segments(batch, source, lengths, whole)
        source.end()
    except EOFError:
        return None
    return _finish(batch, f"b3:{whole.hexdigest()}", size_bytes, segments)[0]


def _finish(batch: Batch, digest: str, size_bytes: int, segments: Sequence[Segment]) -> tuple[str, int]:
    # One piece is the file itself: a recipe of it would name itself.
    if len(segments) > 1:
        recipe = Recipe(size_bytes=size_bytes, digest=digest, segments=tuple(segments))
        batch.put_recipe(digest, recipe.dump())
    return digest, size_bytes


def _put_segments(batch: Batch, source: _Source, lengths: Iterable[int], whole: Any = None) -> list[Segment]:
    segments = []
    for length in lengths:
        view = source.take(length)
        segments.append(Segment(batch.put_named(_hash(view, whole), view), length))
    return segments


def _hash(view: memoryview, whole: Any) -> bytes:
    """The hash of a piece. `whole`, where there is one, goes on while the bytes are near the processor."""
    piece = copying.hasher()
    for begin in range(0, len(view), _HASHED_AT_ONCE_BYTES):
        chunk = view[begin : begin + _HASHED_AT_ONCE_BYTES]
        piece.update(chunk)
        if whole is not None:
            whole.update(chunk)
    digest: bytes = piece.digest()
    return digest


# -- where the bytes come from


class _Source(Protocol):
    def take(self, length: int) -> memoryview:
        """The next bytes, good until the next call. Raises EOFError when there are not so many."""


@final
class _Parts:
    """Views in memory, one after another; not copied where a segment lies in one of them."""

    def __init__(self, views: Iterable[memoryview]) -> None:
        self._views = iter(views)
        self._rest = memoryview(b"")

    def take(self, length: int) -> memoryview:
        first = self._next(length)
        if len(first) == length:
            return first
        joined = bytearray(first)
        while len(joined) < length:
            joined += self._next(length - len(joined))
        return memoryview(joined)

    def _next(self, length: int) -> memoryview:
        if not self._rest:
            self._rest = next(self._views)
        found, self._rest = self._rest[:length], self._rest[length:]
        return found


@final
class _File:
    """An open file from its beginning, read into one buffer again and again."""

    def __init__(self, reader: BinaryIO, length_at_most: int) -> None:
        self._reader = reader
        self._buffer = memoryview(bytearray(length_at_most))
        reader.seek(0)

    def take(self, length: int) -> memoryview:
        view = self._buffer[:length]
        at = 0
        while at < length:
            count: int = self._reader.readinto(view[at:])  # type: ignore[attr-defined]
            if not count:
                raise EOFError
            at += count
        return view

    def end(self) -> None:
        """Raises EOFError where the file goes on."""
        if self._reader.read(1):
            raise EOFError


def _descriptor(reader: BinaryIO) -> int | None:
    """The descriptor behind a reader that gives the very bytes of a file; None for all others, such as `gzip`'s."""
    raw: object = reader.raw if isinstance(reader, io.BufferedReader) else reader
    return raw.fileno() if type(raw) is io.FileIO else None


def _name(reader: BinaryIO) -> str:
    return str(getattr(reader, "name", "the file"))


# -- out again


@final
class RecipeReader(io.RawIOBase):
    """A file out of its pieces, seekable, in small memory; what it gives is not verified.

    Reading raises BlobMissing where a piece is not in the store, and Damaged where one has not its length.
    """

    def __init__(self, store: BlobStore, recipe: Recipe) -> None:
        super().__init__()
        self._store = store
        self._recipe = recipe
        self._begins = list(accumulate((segment.size_bytes for segment in recipe.segments), initial=0))
        self._at = 0
        self._number = -1
        self._piece: BinaryIO | None = None
        self._depth = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._recipe.size_bytes}[whence]
        if origin + offset < 0:
            raise ValueError("before the beginning")
        self._at = origin + offset
        return self._at

    def readinto(self, into: object) -> int:
        view = memoryview(into).cast("B")  # type: ignore[arg-type]
        wanted = min(len(view), max(0, self._recipe.size_bytes - self._at))
        done = 0
        while done < wanted:
            done += self._read_piece(view[done:wanted])
        return done

    def close(self) -> None:
        self._leave()
        super().close()

    def _read_piece(self, view: memoryview) -> int:
        """Read from the piece at the place, at least a byte."""
        number = bisect_right(self._begins, self._at) - 1
        segment = self._recipe.segments[number]
        if number != self._number:
            self._leave()
            self._piece, self._number = self._open(segment), number
        assert self._piece is not None
        inside = self._at - self._begins[number]
        self._piece.seek(inside)
        count: int = self._piece.readinto(view[: segment.size_bytes - inside])  # type: ignore[attr-defined]
        if not count:
            raise self._damaged(f"its piece {segment.digest[:15]} is shorter than {segment.size_bytes} bytes")
        self._at += count
        return count

    def _open(self, segment: Segment) -> BinaryIO:
        try:
            reader = self._store.open(segment.digest)
        except BlobMissing as error:
            raise BlobMissing(
                f"{self._recipe.digest[:15]} is not whole in {self._store.root}",
                why=f"its piece {segment.digest[:15]} is missing",
                do=error.do,
            ) from error
        inner: object = reader
        if isinstance(inner, RecipeReader):
            inner._depth = self._depth + 1
            if inner._depth > _DEPTH_AT_MOST:
                raise self._damaged("its pieces are made of pieces, and so on")
        return reader

    def _damaged(self, why: str) -> Damaged:
        do = "`gitrepro verify` says what else is; put the file again, or pull it"
        return Damaged(f"{self._recipe.digest[:15]} cannot be read from {self._store.root}", why=why, do=do)

    def _leave(self) -> None:
        piece, self._piece, self._number = self._piece, None, -1
        if piece is not None:
            piece.close()
