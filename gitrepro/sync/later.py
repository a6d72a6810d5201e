"""Pushing by itself when a run is over, where the policy says so: in a process of its own that holds nothing up.

Whoever ends a run leaves a wish; one process at a time takes it and pushes. A wish that comes meanwhile is taken next.
Where the network is down the runs wait for the next push, as they always do.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .. import policy
from ..errors import GitreproError
from ..store import fs
from ..store.pack.due import detached_environment
from ..store.repository import Repository
from .offline import switched_off

LIMIT_SECONDS: Final = 600
LOG: Final = "push.log"
_LOG_BYTES_AT_MOST: Final = 1 << 20
_WISH: Final = "push.wanted"
_LOCK: Final = "push.lock"
_ON_FINISH: Final = b"on-finish"


def push_when_over(repository: Repository) -> bool:
    """Begin a push in a process of its own, where the policy wants one; whether one was begun.

    Waits for nothing and never raises: a run that is over is on record already.
    """
    try:
        return _is_wanted(repository) and _wish(repository.home / _WISH) and _start(repository)
    except (OSError, GitreproError):
        return False


def _is_wanted(repository: Repository) -> bool:
    if repository.work_tree is None:
        return False
    data = (repository.work_tree / policy.FILE).read_bytes()
    wanted = _ON_FINISH in data and policy.parse(data).push.get("runs") == _ON_FINISH.decode()
    return wanted and not switched_off(repository)


def _wish(path: Path) -> bool:
    """Leave a wish; False where one waits already, and with it somebody who is about to take it."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        return True
    except FileExistsError:
        stale = time.time() - path.stat().st_mtime > LIMIT_SECONDS
        os.utime(path)
        return stale


def _start(repository: Repository) -> bool:
    import subprocess

    if not sys.executable:
        return False
    log = repository.home / LOG
    if log.exists() and log.stat().st_size > _LOG_BYTES_AT_MOST:
        log.unlink()
    # The shell is gone at once: the caller has no child to wait for, and its terminal no job.
    shell = ["/bin/sh", "-c", 'log=$1; shift; nice -n 10 "$@" </dev/null >>"$log" 2>&1 &', "gitrepro", str(log)]
    argv = [*shell, sys.executable, "-P", "-m", "gitrepro", "push", "--by-itself"]
    env = detached_environment(repository)
    del env["GIT_DIR"]
    place = repository.work_tree or repository.git_dir
    subprocess.run(argv, cwd=place, env=env, start_new_session=True, check=False)
    return True


def in_turn(repository: Repository, push: Callable[[], int]) -> int:
    """Push as long as there are wishes, unless another process takes them; the code of the last push.

    The whole process, with those it started, ends after `LIMIT_SECONDS`: what is cut is done by the next push.
    """
    wish = repository.home / _WISH
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGKILL))
    signal.alarm(LIMIT_SECONDS)
    code = 0
    with fs.locked(repository.home / _LOCK, timeout_seconds=LIMIT_SECONDS, needed=wish.exists):
        # Taken before it is done: a run that ends from here on leaves a wish of its own.
        while _taken(wish):
            code = push()
    return code


def _taken(wish: Path) -> bool:
    try:
        wish.unlink()
    except FileNotFoundError:
        return False
    return True
