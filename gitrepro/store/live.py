"""Runs that are not in the run ref yet: one folder each, whole from the moment it can be seen."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import GitreproError
from ..records import ids, yaml
from . import fs
from .lease import Lease, Life, life

START: Final = "start.yaml"
ADOPTED: Final = "adopted.yaml"
OUTPUT: Final = "output.log"
ERRORS: Final = "errors.log"
KEPT_DAYS: Final = 7
_HALF_MADE_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRun:
    """A folder of `live/`: the run's id, what was known at its start, and whether a process of it lives."""

    id: str
    folder: Path
    start: Mapping[str, Any]
    life: Life
    error: GitreproError | None = None


def create(home: Path, run_id: str, files: Mapping[str, bytes], *, boot_id: str) -> tuple[Path, Lease]:
    """Make the folder of a run, with the files of its start written and its lease held, and let it appear at once.

    Raises:
        OSError: the disk refuses; nothing is left behind.
    """
    live = home / "live"
    fs.make_directories(live)
    # Readers skip names that begin with a dot; the rename shows the folder whole.
    making = live / f".new-{run_id}"
    making.mkdir()
    lease = None
    try:
        lease = Lease(making, boot_id=boot_id)
        for name, data in files.items():
            fs.write_file(making / name, data, sync_name=False)
        fs.sync_directory(making)
        os.rename(making, live / run_id)
        lease.moved(live / run_id)
        fs.sync_directory(live)
    except BaseException:
        if lease:
            lease.release()
        shutil.rmtree(making, ignore_errors=True)
        # The rename may have been done and its sync refused: the run begins elsewhere, so none of it stays here.
        shutil.rmtree(live / run_id, ignore_errors=True)
        raise
    return live / run_id, lease


def live_runs(home: Path) -> list[LiveRun]:
    """Every run that is under way or was left behind, oldest first."""
    return [_read(folder) for folder in _folders(home / "live")]


def _folders(place: Path) -> list[Path]:
    try:
        names = os.listdir(place)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [place / name for name in sorted(names) if ids.is_id(name)]


def _read(folder: Path) -> LiveRun:
    try:
        start: Mapping[str, Any] = yaml.load((folder / START).read_bytes(), source=str(folder / START))
        error = None
    except FileNotFoundError:
        start, error = {}, GitreproError(f"{folder} has no {START}")
    except GitreproError as trouble:
        start, error = {}, trouble
    return LiveRun(id=folder.name, folder=folder, start=start, life=life(folder), error=error)


def set_aside(home: Path, run_id: str) -> None:
    """Move the folder of a committed run to `done/`, where its journal is kept for some days.

    Raises:
        StorageError: the disk refuses. The run is committed all the same, and the folder is met again.
    """
    done = home / "done"
    with fs.explained(f"run {run_id} is committed, and its folder cannot be moved to {done}"):
        fs.make_directories(done)
        try:
            os.rename(home / "live" / run_id, done / run_id)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            # It was set aside before: a second recovery composed the same run from a copy.
            shutil.rmtree(home / "live" / run_id, ignore_errors=True)
        fs.sync_directory(done)
        fs.sync_directory(home / "live")


def sweep(home: Path, *, now: float | None = None) -> None:
    """Drop journals set aside over 7 days ago, and folders that a killed start left half made."""
    now = time.time() if now is None else now
    for folder in _folders(home / "done"):
        if _age_seconds(folder, now) > KEPT_DAYS * 86400:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in (home / "live").glob(".new-*"):
        if _age_seconds(folder, now) > _HALF_MADE_SECONDS and life(folder) is Life.DEAD:
            shutil.rmtree(folder, ignore_errors=True)


def _age_seconds(folder: Path, now: float) -> float:
    try:
        return now - folder.stat().st_mtime
    except FileNotFoundError:
        return 0.0  # just now a start was done with it, or another sweep
