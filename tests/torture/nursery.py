"""A process with everything loaded, that forks a fresh child for each job: a trial costs no imports.

Its standard input takes one JSON request a line, its standard output answers each with one.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, final

NOT_PLANTED = 99  # as in `mutants`, which loads gitrepro
ROOT = Path(__file__).parents[2]


@final
class Nursery:
    """The driver's side. Use as a context manager."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(ROOT),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.nursery"],
            cwd=home,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self._process.stdout.readline()

    def start(
        self,
        job: str,
        *args: str,
        cwd: Path,
        errors: Path,
        hold: bool = False,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> int:
        """Fork a child for `job` and return its process id. With `hold` it waits for SIGCONT before it begins."""
        request = {"job": job, "args": args, "options": options, "cwd": str(cwd), "errors": str(errors), "hold": hold}
        return int(self._ask({**request, "env": dict(env or {})})["pid"])

    def wait(self, pid: int, *, seconds: float = 60) -> int | None:
        """The exit code of a child, negative for a signal; None when it had to be killed after `seconds`."""
        code = self._ask({"wait": pid, "seconds": seconds})["code"]
        if code == NOT_PLANTED:
            raise RuntimeError("a defect could not be planted: the code that it replaces has changed")
        return None if code is None else int(code)

    def run(self, job: str, *args: str, cwd: Path, errors: Path, seconds: float = 60, **options: Any) -> int | None:
        return self.wait(self.start(job, *args, cwd=cwd, errors=errors, **options), seconds=seconds)

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the nursery is gone")
        return dict(json.loads(answer))

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def _serve() -> None:
    from tests.torture import jobs

    jobs.preload()
    # A child then leaves what it inherits alone: collecting it at exit costs as much as the work.
    gc.freeze()
    print("ready", flush=True)
    while line := sys.stdin.readline():
        request = json.loads(line)
        if "wait" in request:
            answer = {"code": _wait(request["wait"], request["seconds"])}
        elif pid := os.fork():
            # Both sides set it: whoever kills the group must find it, however early.
            _own_group(pid)
            answer = {"pid": pid}
        else:
            _become(request)
            jobs.JOBS[request["job"]](*request["args"], **request["options"])
            _leave(request)
        print(json.dumps(answer), flush=True)


def _become(request: Mapping[str, Any]) -> None:
    """In the child: its own group, streams, folder and environment."""
    _own_group(0)
    null = os.open(os.devnull, os.O_RDWR)
    errors = os.open(request["errors"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((null, 0), (errors, 1), (errors, 2)):
        os.dup2(source, target)
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    if request["hold"]:
        os.kill(os.getpid(), signal.SIGSTOP)


def _leave(request: Mapping[str, Any]) -> NoReturn:
    """End as a program does. One that is traced ends with everything Python does at exit, any other without."""
    if request["hold"] or request["job"] == "command":
        sys.exit()
    sys.stdout.flush()
    os._exit(0)


def _own_group(pid: int) -> None:
    try:
        os.setpgid(pid, pid)
    except ProcessLookupError:
        return  # it has ended already


def _wait(pid: int, seconds: float) -> int | None:
    deadline = time.monotonic() + seconds
    pause_seconds = 0.001
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(pause_seconds)
        pause_seconds = min(pause_seconds * 1.5, 0.01)


if __name__ == "__main__":
    _serve()
