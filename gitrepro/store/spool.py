"""A spool: where runs wait that were recorded on a host which cannot lock or write the repository.

Such a host writes the folder of its run, as everywhere, and when the run is over, a note in `ready/`: each under a name
of its own, by a rename, without a lock. Another host takes the run in: it copies the folder into the repository's live
folder and commits it as any other. The spool may belong to strangers, so only plain files of known names are copied.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..errors import Damaged
from ..records import ids, yaml
from . import fs
from .live import LiveRun, live_runs, set_aside

_FILE: Final = re.compile(r"(start|config|env)\.yaml|(journal|observed)[A-Za-z0-9._-]{1,100}|(output|errors)\.log")
_PART_BYTES: Final = 1 << 20


def hand_over(spool: Path, run_id: str) -> None:
    """Say that the run is over, and anybody may take it in. Durable once this returns."""
    with fs.explained(f"cannot hand over run {run_id} in {spool}"):
        fs.make_directories(spool / "ready")
        fs.write_file(spool / "ready" / f"{run_id}.yaml", yaml.dump({"format": 1, "run": run_id}))


def is_ready(spool: Path, run_id: str) -> bool:
    return (spool / "ready" / f"{run_id}.yaml").exists()


def waiting(spool: Path) -> Iterator[LiveRun]:
    """The runs of a spool, oldest first. A link in place of a folder is none."""
    for run in live_runs(spool):
        if not run.folder.is_symlink():
            yield run


def take_in(run: LiveRun, home: Path) -> Path:
    """Copy the folder of a run into `home`, a repository's; it appears there whole. Repeated, it is made again.

    Raises:
        Damaged: there is something else than plain files in it, or files that no run has.
        StorageError: the disk refuses.
    """
    target = home / "live" / run.id
    with fs.explained(f"cannot take {run.folder} into {home}"):
        fs.make_directories(target.parent)
        making = target.parent / f".new-{run.id}.{os.getpid()}"
        shutil.rmtree(making, ignore_errors=True)
        try:
            making.mkdir()
            for name in _names(run.folder):
                _copy(run.folder, name, making / name)
            fs.sync_directory(making)
            _appear(making, target)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return target


def _names(folder: Path) -> list[str]:
    names = [name for name in sorted(os.listdir(folder)) if not name.startswith((".tmp-", "lease."))]
    strange = [name for name in names if not _FILE.fullmatch(name)]
    if strange:
        raise Damaged(
            f"{folder} holds {strange[0]!r:.80}",
            why="no run writes a file of that name",
            do="move it away, then fold again",
        )
    return names


def _copy(folder: Path, name: str, target: Path) -> None:
    try:
        # No link is followed, and no pipe waited for.
        source = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Damaged(f"{folder / name} is no plain file", why=error.strerror or "", do="it is left alone") from error
    with open(source, "rb") as reader:
        if not stat.S_ISREG(os.fstat(reader.fileno()).st_mode):
            raise Damaged(f"{folder / name} is no plain file", do="it is left alone")
        with open(target, "xb") as writer:
            shutil.copyfileobj(reader, writer, _PART_BYTES)
            writer.flush()
            os.fsync(writer.fileno())


def _appear(making: Path, target: Path) -> None:
    try:
        making.rename(target)
    except OSError:
        # Taken in before, by a fold that was killed or one that runs beside us: what lies there is the same.
        if not target.is_dir():
            raise
    fs.sync_directory(target.parent)


def let_go(spool: Path, run_id: str) -> bool:
    """Set a run that is on the run ref aside in the spool; False where we may not: it is met again, and skipped."""
    try:
        set_aside(spool, run_id)
        fs.remove_quietly(spool / "ready" / f"{run_id}.yaml")
        return True
    except OSError:
        return False


def forget_strays(spool: Path) -> None:
    """Remove the notes of runs that are gone: a kill came between the two steps of `let_go`."""
    try:
        names = os.listdir(spool / "ready")
        for name in names:
            run_id = name.removesuffix(".yaml")
            if ids.is_id(run_id) and not (spool / "live" / run_id).exists():
                fs.remove_quietly(spool / "ready" / name)
    except OSError:
        pass
