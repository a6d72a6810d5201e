"""What the tortured processes do. Each job runs in a forked child of the nursery and ends as a program would."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gitrepro
from gitrepro.run import commit, place
from gitrepro.store import fold, fs, gitobjects, gitrefs, journal, live, repository, worktree
from gitrepro.store.fold import Identity

IDENTITY = Identity(name="Ada Lovelace", email="ada@example.org")


def say(path: str, line: str) -> None:
    """Append a line to a file so that it survives a kill."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    print_to(fd, line)
    os.close(fd)


def print_to(fd: int, line: str) -> None:
    """By `writev`: the sweeps break `write`."""
    os.writev(fd, [line.encode() + b"\n"])


def life(acks: str, *, steps: int, mutant: str = "", warned: str = "", number: int = 0, pause: bool = False) -> None:
    """Start, log, finish and commit one run by the Python API, saying after each step that it returned.

    With `pause` it waits before it finishes, to be killed.
    """
    _plant(mutant)
    if warned:
        # Opened now: later the disk may refuse.
        heard = os.open(warned, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        warnings.showwarning = lambda message, *_, **__: print_to(heard, str(message).replace("\n", " "))
        warnings.simplefilter("always")
    fd = os.open(acks, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with gitrepro.record(config={"lr": 0.1, "steps": steps}, name=f"life {number}", seed=7) as run:
        os.writev(fd, [f"start {run.id}\n".encode()])
        for step in range(steps):
            run.log({"loss": step / 4, "count": step}, step=step)
            os.writev(fd, [b"%d\n" % step])
        if pause:
            signal.pause()
    os.writev(fd, [b"finish\n"])


def lives(acks: str, *, runs: int, mutant: str = "") -> None:
    """Several short runs, one after the other. A commit that cannot be made now is left to the recovery."""
    for number in range(runs):
        life(acks, steps=3, mutant=mutant if number == 0 else "", number=number)


def recover(result: str, *, mutant: str = "") -> None:
    """`gitrepro recover`, and after it what was kept outside; says what came of it as JSON."""
    _plant(mutant)
    found = repository.find(Path.cwd(), os.environ)
    for run in live.live_runs(place.state_folder(os.environ)):
        if run.error is None:
            commit.adopt(found, run.folder)
    done = commit.recover(found, identity=IDENTITY)
    document = {
        "committed": [record.id for record in done.committed],
        "failed": {run_id: str(error) for run_id, error in done.failed},
        "left": dict(done.left),
    }
    say(result, json.dumps(document))


def listing(result: str) -> None:
    """What `gitrepro ls --json` reads: brings the index up to date."""
    from gitrepro.store.index import Index

    with Index(repository.find(Path.cwd(), os.environ)) as index:
        say(result, json.dumps({"ids": [run["id"] for run in index.listings()], "troubles": index.troubles()}))


def command(*argv: str, acks: str = "") -> None:
    """The real command line, `gitrepro record -- ...` among them."""
    from gitrepro.cli.main import main

    os.environ["TORTURE_ACKS"] = acks
    main(list(argv))


# -- planted faults, one for each promise


def _replace(owner: object, name: str, value: object) -> None:
    setattr(owner, name, value)


def _buffered() -> None:
    """Rows wait in a buffer of Python before they reach the kernel."""
    waiting: list[tuple[int, bytes]] = []
    write = os.write

    class Buffered:
        """`os`, whose `write` keeps the last hundred back."""

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def write(self, fd: int, data: bytes) -> int:
            waiting.append((fd, data))
            if len(waiting) > 100:
                write(*waiting.pop(0))
            return len(data)

    _replace(journal, "os", Buffered())


def _ref_first() -> None:
    """The ref moves before what it names is written."""
    real_write, real_move = gitobjects.GitObjects.write, gitrefs.move_ref
    held: list[tuple[gitobjects.GitObjects, list[tuple[str, bytes]]]] = []

    def write(self: gitobjects.GitObjects, objects: Any) -> list[str]:
        listed = list(objects)
        if any(kind == "commit" for kind, _ in listed):
            held.append((self, listed))
            return [gitobjects.name_of(kind, data) for kind, data in listed]
        return real_write(self, listed)

    def move(*args: Any, **kwargs: Any) -> bool:
        moved = real_move(*args, **kwargs)
        while held:
            real_write(*held.pop())
        return moved

    _replace(gitobjects.GitObjects, "write", write)
    _replace(fold, "move_ref", move)


def _object_locks() -> None:
    """Objects are written as `<name>.lock`, exclusively: a killed writer stands in the way of the next."""

    def write_loose(self: gitobjects.GitObjects, oid: str, content: bytes) -> str:
        path = Path(self._loose_path(oid))
        lock = path.with_name(f"{path.name}.lock")
        fs.make_directories(path.parent)
        fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        fs.write_all(fd, zlib.compress(content))
        os.close(fd)
        lock.rename(path)
        return str(path.parent)

    _replace(gitobjects.GitObjects, "_write_loose", write_loose)


def _strict_journal() -> None:
    """A refused write reaches the training."""

    def refused(self: journal.JournalWriter, frame: bytes, error: OSError) -> None:
        raise error

    def append(self: journal.JournalWriter, frame: bytes) -> None:
        fs.write_all(self._fd, frame)

    _replace(journal.JournalWriter, "_refused", refused)
    _replace(journal.JournalWriter, "_append", append)


def _no_checksums() -> None:
    """The journal is read without looking at its checksums."""

    def whole(data: bytes, position: int) -> int | None:
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        end = position + 16 + length
        return end if data.startswith(journal.MAGIC, position) and length < len(data) and end <= len(data) else None

    _replace(journal, "_whole_frame", whole)


def _no_compare() -> None:
    """No lock around the fold, and the ref moves whatever it named before."""
    from contextlib import nullcontext

    def move(common_dir: Path, ref: str, *, old: str | None, new: str) -> bool:
        fs.make_directories((common_dir / ref).parent)
        fs.write_file(common_dir / ref, new.encode() + b"\n")
        return True

    class Unlocked:
        """`fs`, whose lock locks nothing."""

        def __getattr__(self, name: str) -> Any:
            return getattr(fs, name)

        def locked(self, *_: object, **__: object) -> Any:
            return nullcontext()

    _replace(fold, "move_ref", move)
    _replace(fold, "fs", Unlocked())
    _replace(fold, "_read_back", lambda *_: None)


def _user_index() -> None:
    """The snapshot of a dirty tree goes through the user's own index."""
    real = worktree._update

    def update(found: repository.Repository, index: dict[str, str], options: list[str], paths: Any) -> None:
        real(found, index, options, paths)
        real(found, {}, options, paths)

    _replace(worktree, "_update", update)


MUTANTS: dict[str, Callable[[], None]] = {
    "": lambda: None,
    "buffered": _buffered,
    "ref first": _ref_first,
    "object locks": _object_locks,
    "strict journal": _strict_journal,
    "no checksums": _no_checksums,
    "no compare": _no_compare,
    "user index": _user_index,
}


def _plant(mutant: str) -> None:
    MUTANTS[mutant]()


JOBS: dict[str, Callable[..., None]] = {
    "life": life,
    "lives": lives,
    "recover": recover,
    "listing": listing,
    "command": command,
}


def preload() -> None:
    """Load what the jobs load on their way, so that a child's system calls are its work and not its imports."""
    import blake3
    import dulwich.object_store
    import dulwich.refs
    import pyarrow.parquet

    import gitrepro.cli.main
    import gitrepro.cli.record
    import gitrepro.run.found
    import gitrepro.run.recorder

    assert blake3 and dulwich and pyarrow and gitrepro.cli
    sys.stdout.flush()
