"""One file that is followed, from the moment it can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import final

from ...capture.written import Point
from ..compose import NOT_TAKEN_IN
from .follow import Followed, Loss, NotPlain, follow

_State = tuple[int, int, int]  # inode, size in bytes, time of the last change


@final
class File:
    """One file that is followed, from the moment it can be read."""

    def __init__(self, path: Path, *, name: str, found: bool) -> None:
        self.path = path
        self.name = name
        self.found = found
        self.kind = ""
        self.rows = 0
        self.followed: Followed | None = None
        self._before: _State | None = None
        self._plain = True
        self._trouble = ""

    @property
    def place(self) -> str:
        return str(Path(self.name).parent) if self.kind == "tensorboard" else self.name

    def open(self, *, last: bool) -> bool:
        if self.followed is None:
            try:
                known = follow(self.path, last=last)
            except FileNotFoundError:
                return False
            except NotPlain:
                self._plain = False
                return False
            except OSError as error:
                self._trouble = error.strerror or str(error)
                return False
            if known:
                self.kind, self.followed = known
        return self.followed is not None

    def pass_over(self) -> None:
        """Leave out what an earlier run wrote."""
        self._before = _state(self.path)
        if self._before and self._before[1] and self.open(last=True) and self.followed:
            try:
                self.followed.pass_over(self._before[1])
            except OSError as error:
                self._trouble = error.strerror or str(error)

    def touched(self) -> bool:
        """Whether the program has written it. One that did not grow then was begun anew, and all of it is the run's."""
        state = _state(self.path)
        if state is None or state == self._before:
            return False
        if self._before and state[1] <= self._before[1]:
            self.followed = None
        return True

    def points(self, *, last: bool) -> Iterator[list[Point]]:
        if not self.open(last=last) or self.followed is None:
            return
        try:
            for points in self.followed.points(last=last):
                self.rows += len(points)
                yield points
            self._trouble = ""
        except FileNotFoundError:
            return  # taken away again: what was in it is taken in
        except NotPlain:
            self._plain = False
        except OSError as error:
            self._trouble = error.strerror or str(error)

    def losses(self) -> Iterator[Loss]:
        if not self._plain:
            yield Loss(what=self.name, why="it is no plain file", kind=NOT_TAKEN_IN)
        if self._trouble:
            yield Loss(what=self.name, why=self._trouble)
        if self.followed is not None:
            yield from self.followed.losses(self.name)


def _state(path: Path) -> _State | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
