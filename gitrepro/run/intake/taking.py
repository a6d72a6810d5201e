"""The thread that takes what a program writes into its run, while it runs."""

from __future__ import annotations

import datetime
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, final

from ...store import live
from ...store.lease import Life
from ..compose import NOT_TAKEN_IN
from ..recording import Recording
from ..tabulate import LIMIT
from .file import File
from .follow import FollowedEvents, Loss
from .outputs import matches
from .search import Search
from .writer import Writer

LOOK_SECONDS: Final = 2.0
_GLANCE_SECONDS: Final = 0.1
_DRAIN_SECONDS: Final = 60.0
_FILES_AT_MOST: Final = 1_000


@final
class Intake:
    """Follows the files of a run and writes their points into the run's folder.

    Made before the program starts, so that what stands in its files then is not taken for its own. All reading and
    writing is done by one thread; what it cannot do is told on the record and reaches nobody else.

    Args:
        recording: the run.
        root: the top of the work tree.
        here: where the program starts; patterns are seen from there.
        patterns: what `--metrics` was given.
        tensorboard: whether to look for event files.
    """

    def __init__(
        self, recording: Recording, *, root: Path, here: Path, patterns: Sequence[str] = (), tensorboard: bool = True
    ) -> None:
        self._recording = recording
        self._root, self._here = root, here
        self._patterns = patterns
        self._writer = Writer(recording)
        self._search = self._searching() if tensorboard else None
        self._files: dict[Path, File] = {}
        self._over: set[str] = set()
        self._untouched = self._pass_over(matches(patterns, here))
        self._stopping = threading.Event()
        self._deadline = math.inf
        self._thread = threading.Thread(target=self._keep_looking, name="gitrepro-intake", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """The program has ended: take what is left, and say what was not taken."""
        self._deadline = time.monotonic() + _DRAIN_SECONDS
        self._stopping.set()
        self._thread.join(timeout=_DRAIN_SECONDS + 10)
        if self._thread.is_alive():
            self._recording.event("lost", what="metrics in files", why="their disk does not answer")

    def _searching(self) -> Search:
        roots = [self._here, self._root]
        folder = self._recording.folder
        started = datetime.datetime.fromisoformat(self._recording.started_at).timestamp()
        return Search(
            run_id=self._recording.run_id,
            live=folder,
            roots=roots,
            since=started,
            alone=lambda: all(
                run.id == folder.name or run.life is not Life.ALIVE for run in live.live_runs(folder.parent.parent)
            ),
        )

    def _pass_over(self, paths: Iterable[Path]) -> list[File]:
        files = [file for path in paths if (file := self._file(path))]
        for file in files:
            file.pass_over()
        return files

    # -- the thread

    def _keep_looking(self) -> None:
        try:
            while not self._wait_for_next_look():
                self._look(last=False)
            self._look(last=True)
            for loss in self._losses():
                self._writer.lost(loss)
        except Exception as error:  # noqa: BLE001 - the run goes on, and its record says what it lacks
            # In the run's own journal, which waits for the disk where ours may not have been begun.
            self._recording.event("lost", what="metrics in files", why=repr(error)[:500])
        finally:
            self._writer.close()

    def _wait_for_next_look(self) -> bool:
        """Wait, and glance at files of earlier runs: one that is begun anew is seen while it is still short."""
        until = time.monotonic() + LOOK_SECONDS
        while (left := until - time.monotonic()) > 0:
            if self._stopping.wait(min(left, _GLANCE_SECONDS) if self._untouched else left):
                return True
            self._untouched = [file for file in self._untouched if not file.touched()]
        return self._stopping.is_set()

    def _look(self, *, last: bool) -> None:
        self._untouched = [file for file in self._untouched if not file.touched()]
        for path in self._search.new() if self._search else ():
            self._file(path, found=True)
        for path in matches(self._patterns, self._here):
            self._file(path)
        for known in list(self._files.values()):
            for points in known.points(last=last):
                self._writer.take(known, points)
                if time.monotonic() > self._deadline:
                    why = f"more was left than {_DRAIN_SECONDS:.0f} s are enough for"
                    self._writer.lost(Loss(what=f"the end of {known.name}", why=why))
                    break
        self._writer.sync()

    def _file(self, path: Path, *, found: bool = False) -> File | None:
        file = self._files.get(path)
        if file is None and len(self._files) < _FILES_AT_MOST:
            file = self._files[path] = File(path, name=self._name(path), found=found)
        elif file is None:
            self._over.add(self._name(path))
        return file

    def _name(self, path: Path) -> str:
        return os.path.relpath(path, self._root) if path.is_relative_to(self._root) else str(path)

    def _losses(self) -> Iterator[Loss]:
        for file in self._files.values():
            yield from file.losses()
        yield from _others(self._files.values())
        yield from self._writer.losses()
        if self._over:
            why = f"a run follows at most {_FILES_AT_MOST}"
            yield Loss(what=f"{len(self._over)} files of metrics", why=why, kind=LIMIT)
        for pattern in self._patterns:
            known = [self._files.get(path) for path in matches([pattern], self._here)]
            if not any(file.rows for file in known if file):
                yield Loss(what=f"metrics in {pattern:.200}", why="nothing was written there", kind=NOT_TAKEN_IN)
        yield from self._not_found()

    def _not_found(self) -> Iterator[Loss]:
        if self._search is None:
            return
        for path in self._search.unclear:
            why = "another run was under way here, and nothing says which of them wrote it"
            yield Loss(what=self._name(Path(path)), why=why, kind=NOT_TAKEN_IN)
        if self._search.cut_short and any(file.found for file in self._files.values()):
            why = "the folders are too many to look into all; name the files with --metrics"
            yield Loss(what="TensorBoard files further down", why=why, kind=LIMIT)


def _others(files: Iterable[File]) -> Iterator[Loss]:
    counts: dict[str, int] = {}
    for file in files:
        if isinstance(file.followed, FollowedEvents):
            for kind, count in file.followed.events.others.items():
                counts[kind] = counts.get(kind, 0) + count
    for kind, count in sorted(counts.items()):
        yield Loss(what=f"TensorBoard {kind}: {count}", why="scalars are taken in, and nothing else", kind=NOT_TAKEN_IN)
