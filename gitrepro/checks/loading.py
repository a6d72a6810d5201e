"""A task out of a file of the user's: `task.py`, or `task.py:name`."""

from __future__ import annotations

import inspect
import runpy
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ..errors import GitreproError, NotFound, UsageError
from .direct import failed
from .functions import from_module
from .guarded import guarded_task
from .task import Task

NAME: Final = "task"
_FUNCTIONS: Final = ("data", "build")


def load_task(where: str, *, argv: Sequence[str] = ()) -> Task:
    """Run the user's file, and take its task.

    The file runs in this process, with its folder first in `sys.path`, as `python task.py` has it; `__name__` is
    `__gitrepro__`, so that what it guards by `if __name__ == "__main__"` does not run.

    Args:
        where: the path of the file; after a colon the name of the task, or of a function that makes it; by default the
            object `task`, and without one the functions `data` and `build` that `gitrepro check init` writes.
        argv: what the file sees in `sys.argv` after its own path.

    Raises:
        NotFound: there is no such file, or no such name in it.
        TaskFailed: the file raised something.
        UsageError: what it has is no task.
    """
    path, name = _parsed(where)
    if not path.is_file():
        raise NotFound(f"there is no file {str(path)!r:.200}", do="`gitrepro check init` writes a task to start from")
    with _as_program(path, argv):
        return guarded_task(_task_in(_names(path), path, name))


def _parsed(where: str) -> tuple[Path, str]:
    before, colon, after = where.rpartition(":")
    return (Path(before), after) if colon and after.isidentifier() and before else (Path(where), "")


@contextmanager
def _as_program(path: Path, argv: Sequence[str]) -> Iterator[None]:
    """The arguments are put back; the folder stays, since functions of the file may import from it later."""
    before = sys.argv
    sys.argv = [str(path), *argv]
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.argv = before


def _names(path: Path) -> Mapping[str, Any]:
    try:
        return runpy.run_path(str(path), run_name="__gitrepro__")
    except GitreproError:
        raise
    except (Exception, SystemExit) as failure:
        raise failed(failure, doing=f"the file {path.name}") from failure


def _task_in(names: Mapping[str, Any], path: Path, name: str) -> Any:
    if name and name not in names:
        raise NotFound(f"{path} has no {name!r:.60}", do=f"name what it has: `{path}:task`")
    if chosen := name or (NAME if NAME in names else ""):
        found = names[chosen]
        return _made(found, chosen, path) if inspect.isfunction(found) or inspect.isclass(found) else found
    if any(each not in names for each in _FUNCTIONS):
        raise UsageError(
            f"{path} has no task",
            why="looked for are an object `task`, or functions `data` and `build`",
            do="`gitrepro check init` writes one to start from",
        )
    return from_module(names, name=path.stem)


def _made(make: Any, name: str, path: Path) -> Any:
    try:
        return make()
    except GitreproError:
        raise
    except (Exception, SystemExit) as failure:
        raise failed(failure, doing=f"{name}() of {path.name}") from failure
