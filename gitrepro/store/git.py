"""The `git` program, called so that a repository's own configuration cannot make it run anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..errors import ChildFailed, UsageError

if TYPE_CHECKING:
    import subprocess

# Repository configuration names programs; for our own calls none of them runs.
_NEUTRAL = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "core.pager=cat",
    "-c", "protocol.ext.allow=never",
    "-c", "submodule.recurse=false",
    "-c", "gc.auto=0",
    "-c", "maintenance.auto=false",
)  # fmt: skip

# What a caller's Git (a hook, an alias) says of *its* command; it must not steer ours.
_FOREIGN = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_NAMESPACE",
    "GIT_EXTERNAL_DIFF", "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_REFLOG_ACTION", "GIT_REPLACE_REF_BASE",
)  # fmt: skip


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for one `git` call: no prompts, no replaced objects or grafts, no writes to the user's index."""
    env = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    env.update(GIT_NO_REPLACE_OBJECTS="1", GIT_GRAFT_FILE=os.devnull)
    env.update(GIT_TERMINAL_PROMPT="0", GIT_OPTIONAL_LOCKS="0", LC_ALL="C")
    return {**env, **(extra or {})}


def attempt(
    args: Sequence[str],
    *,
    cwd: Path,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run `git` and return what came of it, success or not.

    Raises:
        UsageError: there is no `git` program.
    """
    # Here, because a command that starts no Git should not pay for the means to.
    import subprocess

    try:
        return subprocess.run(
            ["git", *_NEUTRAL, *args],
            cwd=cwd,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            env=environment(env),
            check=False,
        )
    except FileNotFoundError as error:
        raise _no_git() from error


def watched(
    args: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None, heard: Callable[[bytes], None]
) -> subprocess.CompletedProcess[bytes]:
    """As `attempt`; what `git` says on its standard error is also handed to `heard` as it comes, in pieces."""
    import subprocess
    import tempfile

    with tempfile.TemporaryFile() as told:
        try:
            child = subprocess.Popen(
                ["git", *_NEUTRAL, *args],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=subprocess.PIPE,
                env=environment(env),
            )
        except FileNotFoundError as error:
            raise _no_git() from error
        assert child.stderr
        said = bytearray()
        with child:
            while piece := os.read(child.stderr.fileno(), 4096):
                said += piece
                heard(piece)
        told.seek(0)
        return subprocess.CompletedProcess(child.args, child.returncode, told.read(), bytes(said))


@contextmanager
def answering(args: Sequence[str], *, cwd: Path, stdin: IO[bytes]) -> Iterator[IO[bytes]]:
    """Run `git` beside us, reading the file `stdin`; inside, its answers are read as they come. Its end is not judged.

    Raises:
        UsageError: there is no `git` program.
    """
    import subprocess

    try:
        child = subprocess.Popen(
            ["git", *_NEUTRAL, *args],
            cwd=cwd,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
    except FileNotFoundError as error:
        raise _no_git() from error
    assert child.stdout
    try:
        yield child.stdout
    finally:
        child.stdout.close()
        child.kill()
        child.wait()


def _no_git() -> UsageError:
    return UsageError("there is no `git` program on PATH", do="install Git 2.30 or newer")


def run(
    args: Sequence[str],
    *,
    cwd: Path,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> bytes:
    """The standard output of one `git` command.

    Raises:
        ChildFailed: it exited with another code than 0; the error holds its last words.
    """
    return _output(attempt(args, cwd=cwd, input=input, env=env), args, cwd)


def config(args: Sequence[str], *, cwd: Path, git_dir: Path | None = None) -> bytes:
    """What `git config` tells; nothing where no such setting is made.

    Raises:
        ChildFailed: it did not get to tell: it was killed, or the configuration cannot be read.
    """
    asked = [*([f"--git-dir={git_dir}"] if git_dir else []), "config", *args]
    result = attempt(asked, cwd=cwd)
    return b"" if result.returncode == 1 else _output(result, asked, cwd)


def _output(result: subprocess.CompletedProcess[bytes], args: Sequence[str], cwd: Path) -> bytes:
    if result.returncode:
        words = result.stderr.decode(errors="replace").strip().splitlines()
        named = (arg for before, arg in zip(["", *args], args, strict=False) if before != "-c")
        verb = next((arg for arg in named if not arg.startswith("-")), "git")
        raise ChildFailed(f"git {verb} failed in {cwd}", why=words[-1] if words else f"exit code {result.returncode}")
    return result.stdout
