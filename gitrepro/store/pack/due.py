"""When to pack: judged as Git judges it, by the files in one of 256 folders, and begun earlier than Git would."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

from ...errors import GitreproError, StorageError
from .. import fs, git
from ..repository import Repository
from .known import read_packs

SAMPLES: Final = 256
_SAMPLE: Final = "17"
_SHARE: Final = 3
"""We begin at a third of what Git lets be."""
_QUIET_SECONDS: Final = 5.0
_BOOTSTRAP: Final = Path(__file__).parent.parent.parent / "bootstrap"


def start_if_due(repository: Repository) -> bool:
    """Start packing in a process of its own where enough loose objects lie. Waits for nothing and never raises."""
    try:
        if not is_due(repository) or not _take_turn(repository.home / "pack.lock"):
            return False
        return _start(repository)
    except (OSError, GitreproError):
        return False  # loose objects are as safe as packed ones


def is_due(repository: Repository) -> bool:
    """Whether so many loose objects have come together that Git's own gc draws near."""
    count = loose_sample(repository.common_dir)
    if count < 2:
        return False
    known = read_packs(repository.home)
    limit = max(1, -(-known.limit // SAMPLES))
    # What others left loose fills the room too: then we begin the earlier.
    room = limit - known.left if known.left < limit else limit
    return count - known.left >= max(1, room // _SHARE)


def loose_sample(common_dir: Path) -> int:
    """How many loose objects lie in the folder by which Git estimates their number."""
    try:
        return sum(len(name) == 38 for name in os.listdir(common_dir / "objects" / _SAMPLE))
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _take_turn(lock: Path) -> bool:
    """Whether nobody packs or began to a moment ago: of many writers, one starts it."""
    try:
        if 0 <= time.time() - lock.stat().st_mtime < _QUIET_SECONDS:
            return False
    except FileNotFoundError:
        pass
    try:
        with fs.locked(lock, timeout_seconds=0):
            os.utime(lock)
            return True
    except StorageError:
        return False


def _start(repository: Repository) -> bool:
    import subprocess

    if not sys.executable:
        return False
    # The shell is gone at once: the caller has no child to wait for, and its terminal no job.
    shell = ["/bin/sh", "-c", 'nice -n 10 "$@" </dev/null >/dev/null 2>&1 &', "gitrepro"]
    argv = [*shell, sys.executable, "-P", "-m", "gitrepro", "fold", "--pack"]
    subprocess.run(
        argv, cwd=repository.common_dir, env=detached_environment(repository), start_new_session=True, check=False
    )
    return True


def detached_environment(repository: Repository) -> dict[str, str]:
    """The environment of a process of ours that outlives the one that starts it: nothing of a run is in it."""
    env = {name: value for name, value in git.environment().items() if not name.startswith("GITREPRO_")}
    # Under `gitrepro record` the start-up hook is on this path: the packing is no part of the run.
    path = [entry for entry in env.pop("PYTHONPATH", "").split(os.pathsep) if entry and Path(entry) != _BOOTSTRAP]
    return {**env, **({"PYTHONPATH": os.pathsep.join(path)} if path else {}), "GIT_DIR": str(repository.common_dir)}
