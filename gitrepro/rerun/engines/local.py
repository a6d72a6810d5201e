"""Jobs on this machine, some at a time: a thread waits for each process."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, final

from ...store.repository import Repository
from .. import job as jobs
from ..job import JobSpec
from . import Handle

# Ctrl-C first, so that the run is recorded as interrupted; then what no program outlives.
_STEPS: Final = ((signal.SIGINT, 10.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, None))


@final
class LocalEngine:
    """Runs up to `at_once` jobs side by side.

    Args:
        started: is given each job as its process starts; called from another thread.
    """

    def __init__(
        self, repository: Repository, *, at_once: int = 1, started: Callable[[Handle], None] = lambda _: None
    ) -> None:
        self._repository = repository
        self._folder = jobs.jobs_folder(repository)
        self._started = started
        self._pool = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="gitrepro-job")
        self._tasks: dict[str, _Task] = {}

    def submit(self, job: JobSpec) -> Handle:
        handle = Handle(id=job.id, folder=jobs.prepare(self._folder, job))
        task = self._tasks[job.id] = _Task(handle)
        task.future = self._pool.submit(self._run, task)
        return handle

    def as_completed(self, handles: Iterable[Handle]) -> Iterator[Handle]:
        over: queue.SimpleQueue[Handle] = queue.SimpleQueue()
        waiting = list(handles)
        for handle in waiting:
            future = self._tasks[handle.id].future
            assert future is not None
            future.add_done_callback(lambda _, handle=handle: over.put(handle))  # type: ignore[misc]
        for _ in waiting:
            yield over.get()

    def cancel(self, handle: Handle) -> None:
        self._tasks[handle.id].cancel()

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        self._pool.shutdown(wait=True)

    def _run(self, task: _Task) -> None:
        folder = task.handle.folder
        try:
            with open(folder / jobs.OUTPUT, "ab") as output:
                if task.start(jobs.command(folder), folder, output.fileno()):
                    self._started(task.handle)
                    task.wait()
        finally:
            jobs.tidy(self._repository, folder)


class _Task:
    """One job: its process, and whether it is still wanted."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.future: Future[None] | None = None
        self._wanted = True
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def start(self, command: list[str], folder: Path, output: int) -> bool:
        """Start it, unless it was cancelled before its turn came."""
        with self._lock:
            if self._wanted:
                # In a session of its own: Ctrl-C is for whoever submitted it, who passes it on once.
                self._process = subprocess.Popen(
                    command,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            return self._wanted

    def wait(self) -> None:
        assert self._process is not None
        self._process.wait()

    def cancel(self) -> None:
        with self._lock:
            first, self._wanted = self._wanted, False
        if first and self._process is not None and self._process.poll() is None:
            threading.Thread(target=_end, args=(self._process,), daemon=True).start()


def _end(process: subprocess.Popen[bytes]) -> None:
    for number, patience_seconds in _STEPS:
        process.send_signal(number)
        try:
            process.wait(patience_seconds)
            return
        except subprocess.TimeoutExpired:
            continue
