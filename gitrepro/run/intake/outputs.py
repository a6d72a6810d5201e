"""Output files: what the program wrote or changed, kept in the store and named on the record."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from ...errors import GitreproError
from ...store.objects import BlobStore
from ...store.recipes import WHOLE_BELOW_BYTES, put_split
from ..compose import NOT_TAKEN_IN
from ..tabulate import LIMIT
from .follow import Loss

FILES_AT_MOST: Final = 1_000
TOTAL_BYTES: Final = 20 << 30
_ROOM_BYTES: Final = 200 << 10  # of the record, which has no more than 1 MiB
_ENTRY_BYTES: Final = 150

State = tuple[int, int, int, int]


def matches(patterns: Iterable[str], here: Path) -> Iterator[Path]:
    """What the patterns name, seen from `here`, but for folders; each once, in order."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        for name in _globbed(pattern, here):
            found[Path(os.path.normpath(here / name))] = None
    yield from (path for path in found if not path.is_dir())


def _globbed(pattern: str, here: Path) -> list[str]:
    hidden = _names_hidden(pattern)
    # Not `Path.glob`: it takes no absolute pattern, and finds hidden files for everyone.
    return sorted(glob.glob(pattern, root_dir=here, recursive=True, include_hidden=hidden))  # noqa: PTH207


def _names_hidden(pattern: str) -> bool:
    return any(part.startswith(".") and part not in (".", "..") for part in pattern.split("/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    path: Path
    name: str
    state: State


@final
class Outputs:
    """The output files of one run.

    Made before the program starts: a file that is then as it was is not an output of this run.

    Args:
        patterns: what `--out` was given.
        here: the folder they are seen from.
        root: the top of the work tree; links inside it that lead out of it are not followed.
        hidden: folders none of whose files are outputs, as Git's own.
    """

    def __init__(self, patterns: Sequence[str], *, here: Path, root: Path, hidden: Sequence[Path]) -> None:
        self._patterns = patterns
        self._here = here
        self._root = root
        self._hidden = [os.path.realpath(path) for path in hidden]
        self._before = {path: state for path in matches(patterns, here) if (state := _state(path))}
        self.losses: list[Loss] = []

    def keep(self, blobs: BlobStore | None, told: Callable[[dict[str, Any]], None]) -> None:
        """Put what was written since into `blobs`, and tell of each file once it is safe there."""
        room, total_bytes, count = _ROOM_BYTES, 0, 0
        for output in self._written():
            size_bytes = output.state[2]
            cost = _ENTRY_BYTES + len(ascii(output.name))
            if blobs is None:
                self._lost(output, "there is no repository whose store could keep it")
            elif count >= FILES_AT_MOST or room < cost:
                self._lost(output, f"a run keeps at most {FILES_AT_MOST} output files", kind=LIMIT)
            elif total_bytes + size_bytes > TOTAL_BYTES:
                self._lost(output, f"a run keeps at most {TOTAL_BYTES >> 30} GiB of output files", kind=LIMIT)
            elif artifact := self._put(output, blobs):
                told(artifact)
                room, total_bytes, count = room - cost, total_bytes + size_bytes, count + 1

    def _written(self) -> Iterator[_Output]:
        for pattern in self._patterns:
            if next(matches([pattern], self._here), None) is None:
                self.losses.append(Loss(what=f"output {pattern:.200}", why="there is no such file", kind=NOT_TAKEN_IN))
        for path in matches(self._patterns, self._here):
            state = _state(path)
            if state is None or state == self._before.get(path) or self._is_hidden(path):
                continue
            output = _Output(path=path, name=self._name(path), state=state)
            if self._leads_out(path):
                self._lost(output, "it is a link that leads out of the work tree", kind=NOT_TAKEN_IN)
            else:
                yield output

    def _put(self, output: _Output, blobs: BlobStore) -> dict[str, Any] | None:
        try:
            blob, size_bytes = _kept(blobs, output)
        except (GitreproError, OSError) as error:
            self._lost(output, str(error))
            return None
        if _state(output.path) != output.state:
            self._lost(output, f"it was being written while it was read; {size_bytes} bytes of it are kept")
        return {"blob": blob, "kind": "output-file", "name": output.name, "size_bytes": size_bytes}

    def _lost(self, output: _Output, why: str, *, kind: str | None = None) -> None:
        what = f"output {output.name:.300} of {output.state[2]} bytes"
        self.losses.append(Loss(what=what, why=why, kind=kind))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix() if path.is_relative_to(self._root) else str(path)

    def _leads_out(self, path: Path) -> bool:
        return path.is_relative_to(self._root) and not _inside(os.path.realpath(path), os.path.realpath(self._root))

    def _is_hidden(self, path: Path) -> bool:
        real = os.path.realpath(path)
        return any(_inside(real, hidden) for hidden in self._hidden)


def _kept(blobs: BlobStore, output: _Output) -> tuple[str, int]:
    """Put a file; a checkpoint of some size in pieces, so that what two of them share is stored once."""
    if output.state[2] < WHOLE_BELOW_BYTES:
        return blobs.put_file(output.path)
    with open(output.path, "rb") as reader, blobs.batch() as batch:
        return put_split(batch, reader, os.fstat(reader.fileno()).st_size)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _state(path: Path) -> State | None:
    """What shows that a plain file was written; None for anything else."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
