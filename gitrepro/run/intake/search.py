"""Finding the event files that the program of a run writes: those it is seen to open, and those that appear."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, final

_NAME: Final = re.compile(r"events\.out\.tfevents\.(\d{9,12})\.(.+)")
_PROCESS: Final = re.compile(r"(.+)\.(\d{1,10})\.\d+(?:\..+)?")
_FOLDERS_AT_MOST: Final = 5_000
_ENTRIES_AT_MOST: Final = 20_000
_NOT_LOOKED_INTO: Final = {"node_modules", "site-packages", "__pycache__"}
_SETTLED_SECONDS: Final = 2.0


@final
class Search:
    """Looks for event files again and again, at little cost: a folder is listed when it has changed.

    Args:
        run_id: the run; its processes have the id in their environment.
        live: its live folder, where Python processes leave word of event files they open.
        roots: the folders to look below, the first one first.
        since: a Unix time; files that were last written before were there before.
        alone: whether no other run is under way beside this one.
    """

    def __init__(self, *, run_id: str, live: Path, roots: list[Path], since: float, alone: Callable[[], bool]) -> None:
        self._run_id = run_id
        self._live = live
        self._since = since
        self._alone = alone
        self._folders: dict[str, _Folder] = {}
        self._waiting: deque[str] = deque(map(str, roots))
        self._decided: set[tuple[int, int]] = set()
        self._read: dict[Path, int] = {}
        self.unclear: list[str] = []
        self.cut_short = False

    def new(self) -> list[Path]:
        """Event files of this run that were not there the last time."""
        found = [path for path in self._told() if self._first_seen(path)]
        for text in self._appeared():
            path = Path(text)
            if self._first_seen(path, unless_foreign=True):
                found.append(path)
        return found

    def _first_seen(self, path: Path, *, unless_foreign: bool = False) -> bool:
        try:
            stat = path.stat()
        except OSError:
            return False
        key = (stat.st_dev, stat.st_ino)
        if key in self._decided:
            return False
        self._decided.add(key)
        # The name tells a whole second: an earlier run may have ended within it.
        return not unless_foreign or (stat.st_mtime >= self._since and self._ours(path))

    # -- files that a process is seen to open

    def _told(self) -> Iterator[Path]:
        for report in self._live.glob("observed-*.jsonl"):
            for line in self._new_lines(report):
                if b'"opened"' in line:
                    yield from _opened(line)

    def _new_lines(self, report: Path) -> list[bytes]:
        start = self._read.get(report, 0)
        try:
            with report.open("rb") as reader:
                reader.seek(start)
                lines = reader.read().splitlines(keepends=True)
        except OSError:
            return []
        whole = [line for line in lines if line.endswith(b"\n")]
        self._read[report] = start + sum(map(len, whole))
        return whole

    # -- files that appear below the roots

    def _appeared(self) -> Iterator[str]:
        for text, folder in list(self._folders.items()):
            if folder.changed(text):
                yield from self._list(text)
        while self._waiting and not self.cut_short:
            text = self._waiting.popleft()
            if text not in self._folders:
                yield from self._list(text)

    def _list(self, text: str) -> Iterator[str]:
        folder = self._folders[text] = _Folder(text)
        self.cut_short = self.cut_short or len(self._folders) >= _FOLDERS_AT_MOST
        for name, is_folder in folder.entries(text):
            path = f"{text}{os.sep}{name}"
            if is_folder and path not in self._folders:
                self._waiting.append(path)
            elif not is_folder and (match := _NAME.fullmatch(name)) and int(match[1]) >= int(self._since):
                yield path

    def _ours(self, path: Path) -> bool:
        """Whether a process of this run writes it; two runs may share a work tree."""
        match = _NAME.fullmatch(path.name)
        named = _PROCESS.fullmatch(match[2]) if match else None
        if named and named[1] == socket.gethostname():
            if any(self._live.glob(f"observed-{int(named[2])}-*.jsonl")):
                return True
            belongs = _belongs(int(named[2]), self._run_id)
            if belongs is not None:
                return belongs
        if self._alone():
            return True
        self.unclear.append(str(path))
        return False


class _Folder:
    """A folder that was listed, and when it last changed."""

    __slots__ = ("_changed_ns",)

    def __init__(self, path: str) -> None:
        self._changed_ns = _changed_ns(path)

    def changed(self, path: str) -> bool:
        return _changed_ns(path) != self._changed_ns

    def entries(self, path: str) -> Iterator[tuple[str, bool]]:
        # A change in the tick of the clock in which it is listed would not show later.
        if time.time() - self._changed_ns / 1e9 < _SETTLED_SECONDS:
            self._changed_ns = -1
        try:
            with os.scandir(path) as listing:
                for number, entry in enumerate(listing):
                    if number >= _ENTRIES_AT_MOST:
                        return
                    if not entry.name.startswith(".") and entry.name not in _NOT_LOOKED_INTO:
                        yield entry.name, entry.is_dir(follow_symlinks=False)
        except OSError:
            return


def _changed_ns(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


def _opened(line: bytes) -> Iterator[Path]:
    try:
        report = json.loads(line)
    except ValueError:
        return
    if isinstance(report, dict) and isinstance(path := report.get("opened"), str) and "\0" not in path:
        yield Path(path)


def _belongs(pid: int, run_id: str) -> bool | None:
    """Whether that process was started by the run; None where it is gone or not ours to ask."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    return f"GITREPRO_RUN={run_id}".encode() in environ.split(b"\0")
