"""A run while it lasts: its folder, its journal, and the thread that keeps both safe."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final

from ..records import yaml
from ..records.run import RunRecord, Status
from ..store import live
from ..store.journal import JournalWriter, Number
from ..store.lease import Lease
from ..store.live import START
from ..store.objects import digest_of
from .compose import CONFIG, ENVIRONMENT, stamp
from .launchkey import Launch
from .resumed import Resumed
from .values import Names

SYNC_SECONDS: Final = 1.0
_BEATS: Final = 15


class SeatTaken(Exception):
    """Another living process is this rank of the run."""


@final
class Recording:
    """Everything of a live run that this process writes. Made by `begin` or `join`.

    What the disk refuses is kept in memory and tried again each second; what is lost in the end is told in the
    closing event, and so on the record.
    """

    def __init__(
        self,
        folder: Path,
        *,
        run_id: str,
        name: str,
        started_at: str,
        origin: float,
        leases: Sequence[Lease],
        rank: int,
        resumes: Resumed | None = None,
    ) -> None:
        self.folder = folder
        self.run_id = run_id
        self.name = name
        self.started_at = started_at
        self.origin = origin
        self.rank = rank
        self.resumes = resumes
        self._leases = leases
        self._pid = os.getpid()
        self.names = Names()
        self.journal = JournalWriter(folder, run_id=run_id, rank=rank, origin=origin, check_name=self.names.check)
        self.row: Callable[[Mapping[str, Number], int], int] = self.journal.row
        self.ended = False
        self._ticks: list[Callable[[], None]] = []
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="gitrepro-sync", daemon=True)
        self._thread.start()

    @property
    def elapsed_seconds(self) -> float:
        return time.monotonic() - self.origin

    @property
    def ours(self) -> bool:
        """Whether this is the process that opened it, not one forked from that."""
        return os.getpid() == self._pid

    def each_second(self, act: Callable[[], None]) -> None:
        """Let the background thread call `act` before each sync, and once more at the end."""
        self._ticks.append(act)

    def event(self, op: str, **content: Any) -> None:
        self.journal.event({"op": op, **content})

    def end(self, status: Status, *, reason: Mapping[str, Any] | None = None, **content: Any) -> bool:
        """Write the closing word and bring all to disk. Say whether it all is there."""
        now = time.time()
        return self._close(
            "end",
            status=str(status),
            reason=reason,
            ended_at=stamp(now),
            duration_seconds=self.elapsed_seconds,
            **content,
        )

    def leave(self) -> bool:
        """A worker is done; how the run ends is for others to say. Bring all to disk, and say whether it is there."""
        return self._close("leave")

    def _close(self, op: str, **content: Any) -> bool:
        self._stop_thread()
        self._tick()
        if self.journal.dropped:
            why = f"memory for entries the disk refused was full: {self.journal.last_error}"
            self.event("lost", what=f"{self.journal.dropped} log entries", why=why)
        self.event(op, **content)
        self.ended = True
        kept = self.journal.sync()
        self.journal.close()
        return kept

    def release(self) -> None:
        for lease in self._leases:
            lease.release()

    def after_fork(self) -> None:
        """In a forked child: forget the parent's files; the child gets a journal of its own."""
        self.journal.forget()

    def _stop_thread(self) -> None:
        self._wake.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=10)

    def _keep(self) -> None:
        beats = 0
        while not self._wake.wait(SYNC_SECONDS):
            self._tick()
            self.journal.sync()
            beats += 1
            if beats % _BEATS == 0:
                self._beat()

    def _tick(self) -> None:
        for act in self._ticks:
            try:
                act()
            except Exception as error:  # noqa: BLE001 - the thread that syncs must outlive whatever happens here
                self.event("lost", what="what waited for the background thread", why=repr(error)[:500])

    def _beat(self) -> None:
        try:
            self._leases[0].beat()
        except OSError:
            pass  # a heartbeat is for show; the lock is what counts


def begin(
    home: Path,
    record: RunRecord,
    *,
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
    boot_id: str,
    supervised: bool,
    launch: Launch | None = None,
    resumes: Resumed | None = None,
) -> Recording:
    """Open a new live run under `home`.

    Args:
        record: what is known at the start; its status is `running`.
        config: the document of `config.yaml`.
        environment: the document of `env.yaml`.
        supervised: whether the owner is not the program itself but `gitrepro record -- ...`.
        launch: which rank of several processes this one is.
        resumes: the run that this one goes on with.

    Raises:
        OSError, GitreproError: it could not be written; nothing is left behind.
    """
    origin = time.monotonic()
    start = {
        "boot_id": boot_id,
        "format": 1,
        "origin_seconds": origin,
        "owner": os.getpid(),
        "record": record.document(),
        "supervised": supervised,
        **({"resumes": resumes.document()} if resumes else {}),
    }
    files = {START: yaml.dump(start), CONFIG: yaml.dump(config), ENVIRONMENT: yaml.dump(environment)}
    folder, lease = live.create(home, record.id, files, boot_id=boot_id)
    try:
        recording = _open(folder, lease, start, boot_id=boot_id, origin=origin, launch=launch, rank=0)
    except BaseException:
        # The run begins somewhere else, under the same id: no second folder of it may stay.
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # YAML carries no checksum of its own: this is how damage to these files is noticed.
    recording.event("start", digests={name: digest_of([data]) for name, data in files.items()})
    return recording


def join(folder: Path, *, boot_id: str, rank: int = 0, launch: Launch | None = None) -> Recording:
    """Take part in the live run in `folder`: with a journal and a lease of our own.

    Args:
        launch: as which rank of several processes; without it, as one more process of `rank`.

    Raises:
        SeatTaken: another living process is this rank of the run.
        OSError, GitreproError: there is no such run, or it cannot be written.
    """
    start = yaml.load((folder / START).read_bytes(), source=str(folder / START))
    same_boot = start.get("boot_id") == boot_id
    origin = float(start["origin_seconds"]) if same_boot else time.monotonic()
    lease = Lease(folder, boot_id=boot_id)
    return _open(folder, lease, start, boot_id=boot_id, origin=origin, launch=launch, rank=rank)


def _open(
    folder: Path,
    lease: Lease,
    start: Mapping[str, Any],
    *,
    boot_id: str,
    origin: float,
    launch: Launch | None,
    rank: int,
) -> Recording:
    record = start["record"]
    known = {"run_id": record["id"], "name": record["name"], "started_at": record["started_at"]}
    leases = [lease]
    try:
        if launch:
            leases.append(_seat(folder, launch, boot_id=boot_id))
        rank = launch.rank if launch else rank
        resumes = Resumed.of(start.get("resumes"))
        recording = Recording(folder, **known, origin=origin, leases=leases, rank=rank, resumes=resumes)
    except BaseException:
        for each in leases:
            each.release()
        raise
    if launch:
        recording.event("rank", **launch.document())
    return recording


def _seat(folder: Path, launch: Launch, *, boot_id: str) -> Lease:
    try:
        return Lease(folder, boot_id=boot_id, name=f"rank-{launch.rank}")
    except BlockingIOError as error:
        raise SeatTaken(f"rank {launch.rank} of {folder.name} is another process") from error
    except PermissionError as error:  # as some file systems say that a lock is taken
        raise SeatTaken(f"rank {launch.rank} of {folder.name} is another process") from error
