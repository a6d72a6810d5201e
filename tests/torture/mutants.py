"""Planted defects: each takes one promise out of the program, at run time, in the process that is tortured.

A name that is replaced must be there: a defect that hits nothing would be missed by no case.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from gitrepro.run import handle, process, recording
from gitrepro.store import fold, fs, gitobjects, gitrefs, journal, live, repository, rescue, worktree
from gitrepro.store.lease import Life

NOT_PLANTED = 99


def replace(owner: Any, name: str, value: object) -> None:
    assert hasattr(owner, name), f"{owner} has no {name}: the defect would hit nothing"
    setattr(owner, name, value)


class Like:
    """A module, with some of its names replaced."""

    def __init__(self, module: object, **changed: object) -> None:
        for name in changed:
            assert hasattr(module, name)
        self.__dict__.update(changed, _module=module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def buffered() -> None:
    """Rows wait in a buffer of Python before they reach the kernel."""
    waiting: list[tuple[int, bytes]] = []

    def write(fd: int, data: bytes) -> int:
        waiting.append((fd, data))
        if len(waiting) > 100:
            os.write(*waiting.pop(0))
        return len(data)

    replace(journal, "os", Like(os, write=write))


def acknowledged_before_written() -> None:
    """`log()` returns at once; a thread writes."""
    waiting: queue.Queue[tuple[int, bytes]] = queue.Queue()

    def work() -> None:
        while True:
            fd, data = waiting.get()
            time.sleep(0.0002)
            os.write(fd, data)

    def write(fd: int, data: bytes) -> int:
        waiting.put((fd, bytes(data)))
        return len(data)

    threading.Thread(target=work, daemon=True).start()
    replace(journal, "os", Like(os, write=write))


def shared_over_fork() -> None:
    """A forked child goes on in its parent's journal."""
    replace(process, "_in_child", process._let_sigterm)


def no_sync() -> None:
    """Nothing is synced, neither files nor folders."""
    nothing = Like(os, fsync=lambda _: None, fdatasync=lambda _: None)
    for module in (fs, gitobjects, journal):
        replace(module, "os", nothing)
    _dulwich_without_sync()


def _dulwich_without_sync() -> None:
    import dulwich.file

    replace(dulwich.file, "os", Like(os, fsync=lambda _: None))


def sync_after_rename() -> None:
    """Objects and records get their names first and are synced after."""

    def write_file(path: str | Path, data: bytes, *, mode: int = 0o644, **_: bool) -> None:
        temporary = fs.temporary_name(path)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        fs.write_all(fd, data)
        Path(temporary).replace(path)
        time.sleep(0.05)
        os.fsync(fd)
        os.close(fd)

    def write_loose(self: gitobjects.GitObjects, oid: str, content: bytes) -> str:
        path = self.loose_path(oid)
        write_file(path, zlib.compress(content), mode=0o444)
        return str(Path(path).parent)

    replace(fs, "write_file", write_file)
    replace(gitobjects.GitObjects, "_write_loose", write_loose)


def no_folder_sync() -> None:
    """Files are synced, their names are not."""
    replace(fs, "sync_directory", lambda _: None)


def short_writes_ignored() -> None:
    """What a write took is not looked at."""

    def write(fd: int, data: bytes) -> int:
        os.write(fd, data)
        return len(data)

    for module in (fs, journal):
        replace(module, "os", Like(os, write=write))


def same_file_after_failed_sync() -> None:
    """After a failed sync the journal goes on in the same file, as if the data were still on its way."""
    replace(journal.JournalWriter, "_start_over", lambda self: None)


def ref_first() -> None:
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

    replace(gitobjects.GitObjects, "write", write)
    for module in (fold, import_module("gitrepro.store.lead")):
        replace(module, "move_ref", move)


def object_locks() -> None:
    """Objects are written as `<name>.lock`, exclusively: a killed writer stands in the way of the next."""

    def write_loose(self: gitobjects.GitObjects, oid: str, content: bytes) -> str:
        path = Path(self.loose_path(oid))
        lock = path.with_name(f"{path.name}.lock")
        fs.make_directories(path.parent)
        fd = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        fs.write_all(fd, zlib.compress(content))
        os.close(fd)
        lock.rename(path)
        return str(path.parent)

    replace(gitobjects.GitObjects, "_write_loose", write_loose)


def strict_journal() -> None:
    """A refused write reaches the training."""

    def refused(self: journal.JournalWriter, frame: bytes, error: OSError) -> None:
        raise error

    def append(self: journal.JournalWriter, frame: bytes) -> None:
        fs.write_all(self._fd, frame)

    replace(journal.JournalWriter, "_refused", refused)
    replace(journal.JournalWriter, "_append", append)


def no_checksums() -> None:
    """The journal is read without looking at its checksums."""
    from gitrepro.store import journal_reader

    def length_of(self: journal_reader.Frames, head: bytes) -> int:
        if len(head) < journal.HEAD_BYTES:
            return 0 if self._ended else -1
        length = int.from_bytes(head[4:8], "little")
        return length + 16 if head.startswith(journal.MAGIC) and 9 <= length <= journal.MAX_BODY_BYTES else 0

    def look(self: journal_reader.Frames, position: int) -> int:
        length = length_of(self, self._data[position : position + journal.HEAD_BYTES])
        if length <= 0 or position + length <= len(self._data):
            return position + length if length > 0 else length
        return 0 if self._ended else -1

    replace(journal_reader.Frames, "_length", length_of)
    replace(journal_reader.Frames, "_look", look)


def no_magic() -> None:
    """A frame is a length, a body and a checksum of the body: zeros are a frame of nothing."""
    from gitrepro.store import journal_reader

    real = journal_reader.Frames._look

    def look(self: journal_reader.Frames, position: int) -> int:
        nothing = self._data[position : position + 8] == bytes(8)
        return position + 8 if nothing else real(self, position)

    replace(journal_reader.Frames, "_look", look)


def no_compare() -> None:
    """No lock around the fold, and the ref moves whatever it named before."""

    def move(common_dir: Path, ref: str, *, old: str | None, new: str) -> bool:
        fs.make_directories((common_dir / ref).parent)
        fs.write_file(common_dir / ref, new.encode() + b"\n")
        return True

    replace(fold, "move_ref", move)
    replace(fold, "fs", Like(fs, locked=lambda *_, **__: nullcontext(True)))
    replace(fold, "_read_back", lambda *_: None)


def no_lease() -> None:
    """A run is called dead without a look at its lease."""
    replace(live, "life", lambda _: Life.DEAD)


def queue_dropped_first() -> None:
    """The queue forgets its entries before the ref holds them."""
    real = fold._commit

    def commit(found: repository.Repository, *args: Any) -> Any:
        for name in fold.queued(found):
            fs.remove_quietly(found.home / "queue" / name)
        return real(found, *args)

    replace(fold, "_commit", commit)


def no_rescue() -> None:
    """Nothing is read back, and nobody minds a `git gc` that runs beside."""

    @contextmanager
    def unguarded(*_: object) -> Iterator[None]:
        yield

    replace(rescue, "guarded", unguarded)
    replace(fold, "_read_back", lambda *_: None)
    replace(fold, "_load", _load_blindly)


def no_copies() -> None:
    """No copies are kept of what a ref begins to name: only a `git gc` that says so is minded."""
    replace(rescue, "keep", lambda *_, **__: None)


def _load_blindly(objects: Any, folder: Path, names: list[str]) -> tuple[list[fold.Pending], set[str]]:
    from gitrepro.records import yaml

    documents = [yaml.load((folder / name).read_bytes()) for name in names]
    return [fold.Pending(**{k: v for k, v in each.items() if k != "format"}) for each in documents], set()


def written_in_place() -> None:
    """Blobs are written under their own names."""
    from gitrepro.store.objects import batch

    def write(self: batch.Batch, name: bytes, data: Any) -> None:
        path = self._store.loose_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb", buffering=0) as file:
            for at in range(0, len(data), 1 << 16):
                file.write(data[at : at + (1 << 16)])

    replace(batch.Batch, "_write", write)
    replace(batch.Batch, "_pack_up", write)


def record_before_blobs() -> None:
    """A data set is put on record while its large files have no names yet."""
    from gitrepro.data import datasets
    from gitrepro.store.objects import batch

    publish, write_records = batch.Batch.publish, datasets.write_records
    held: list[tuple[batch.Batch, Any, Any]] = []

    def only_packs(self: batch.Batch) -> None:
        held.append((self, self._loose[:], self._recipes[:]))
        self._loose.clear()
        self._recipes.clear()
        self._made = False  # its temporaries are kept
        publish(self)

    def then_the_rest(*args: Any, **options: Any) -> None:
        write_records(*args, **options)
        while held:
            each, each._loose, each._recipes = held.pop()
            each._made = True
            publish(each)

    replace(batch.Batch, "publish", only_packs)
    replace(datasets, "write_records", then_the_rest)


def blobs_not_synced() -> None:
    """Blobs get their names without a sync."""
    from gitrepro.store.objects import batch

    replace(batch.Batch, "_sync", lambda *_: None)


def blobs_synced_late() -> None:
    """Blobs are synced once they have their names."""
    from gitrepro.store.objects import batch

    real, name_blobs = batch.Batch._sync, batch.Batch._name_blobs

    def name_and_sync(self: batch.Batch) -> None:
        name_blobs(self)
        real(self, [str(self._store.pack_path(name)) for _, name, _ in self._packs])

    replace(batch.Batch, "_sync", lambda *_: None)
    replace(batch.Batch, "_name_blobs", name_and_sync)


def names_not_synced() -> None:
    """The folders in which blobs get their names are not synced."""
    from gitrepro.store.objects import batch

    replace(batch.Batch, "_sync_folders", lambda *_: None)


def deleted_before_copied() -> None:
    """A collection takes a pack, and then writes what is needed of it into another one."""
    from gitrepro.store.gc import sweeping

    def repack(self: Any, packs: Any, plan: Any) -> None:
        listed = list(packs)
        needed = [each for pack in listed if pack.live for each in self._needed(pack.old.path, plan)]
        for pack in listed:
            self.take(pack.old, kind="packs")
        with self._store.batch() as batch:
            for name, data in needed:
                batch.put_anew(name, data)

    replace(sweeping._Sweeper, "repack", repack)


def no_second_look() -> None:
    """A collection does not look again whether somebody has come to want what it takes."""
    from gitrepro.store.gc import sweeping

    def take(self: Any, old: Any, *, kind: str) -> None:
        self._between("look", old.path)
        self._between("rename", old.path)
        fs.make_directories(self._place / kind)
        try:
            old.path.rename(self._place / kind / f"{old.path.parent.name}.{old.path.name}.{os.urandom(4).hex()}")
        except FileNotFoundError:
            return
        self._between("look again", old.path)
        self._done.taken += 1

    replace(sweeping._Sweeper, "take", take)


def deleted_at_once() -> None:
    """A collection deletes, as soon as it has found that nothing names a file."""
    from gitrepro.store.gc import sweeping

    def take(self: Any, old: Any, *, kind: str) -> None:
        self._between("look", old.path)
        self._between("rename", old.path)
        fs.remove_quietly(old.path)
        self._between("look again", old.path)
        self._done.taken += 1

    replace(sweeping._Sweeper, "take", take)


def no_grace() -> None:
    """A collection takes what is young as well."""
    from gitrepro.store.gc import looking

    replace(looking._Tally, "is_young", lambda *_: False)


def one_temporary_name() -> None:
    """All writers use one temporary name."""
    replace(fs, "temporary_name", lambda path: f"{path}.tmp")


def stale_index() -> None:
    """The index is read as it was built, whatever the ref names by now."""
    follow = import_module("gitrepro.store.index.follow")
    meta = follow.meta
    replace(follow, "is_current", lambda db, _: bool(meta(db)))


def user_index() -> None:
    """The snapshot of a dirty tree goes through the user's own index."""
    real = worktree._update

    def update(found: repository.Repository, index: dict[str, str], options: list[str], paths: Any) -> None:
        real(found, index, options, paths)
        real(found, {}, options, paths)

    replace(worktree, "_update", update)


def cut_taken_for_the_end() -> None:
    """A line that is cut has said all that it had to say."""
    from gitrepro.errors import RemoteError
    from gitrepro.sync.blobs.counted import Counted
    from gitrepro.sync.blobs.drivers import http
    from gitrepro.sync.runs import transport

    read, write, ask, body = Counted.read, Counted.write, transport._git, http.HttpDriver._body

    def body_so_far(self: http.HttpDriver, *args: Any) -> Iterator[bytes]:
        with suppress(http._Retry):
            yield from body(self, *args)

    def read_what_comes(self: Counted, key: str, **options: Any) -> Iterator[bytes]:
        with suppress(RemoteError):
            yield from read(self, key, **options)

    def write_what_goes(self: Counted, *args: Any) -> None:
        with suppress(RemoteError):
            write(self, *args)

    def never_fails(repository: Any, args: Any, *more: Any) -> Any:
        done = ask(repository, args, *more)
        if done.returncode and args[0] == "-c" and ("fetch" in args or "push" in args):
            done.returncode = 0
            told = [f" \t{spec}\t[new reference]" for spec in args[args.index("--end-of-options") + 2 :]]
            done.stdout = "\n".join(told).encode() if "push" in args else b""
        return done

    replace(Counted, "read", read_what_comes)
    replace(Counted, "write", write_what_goes)
    replace(http.HttpDriver, "_body", body_so_far)
    replace(transport, "_git", never_fails)


def lock_of_the_dead() -> None:
    """Who syncs makes a lock and removes it at the end: one who is killed stands in the way of all who come later."""
    from gitrepro.sync.runs import pulling, pushing

    @contextmanager
    def alone(found: repository.Repository) -> Iterator[None]:
        lock = found.home / "sync.lock"
        lock.unlink(missing_ok=True)
        lock.mkdir()
        yield
        lock.rmdir()

    for module in (pulling, pushing):
        replace(module, "alone", alone)


def ours_alone() -> None:
    """The union of two sides is ours."""
    from gitrepro.sync import union as unions

    real = unions.united
    replace(unions, "united", lambda trees, ours, theirs: real(trees, ours or theirs, ours or theirs))


def written_in_place_there() -> None:
    """A folder that is a store remote gets its files under their own names from the first byte on."""
    from gitrepro.sync.blobs.drivers.directory import DirectoryDriver

    def write(self: DirectoryDriver, key: str, parts: Any, _size_bytes: int) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb", buffering=0) as file:
            for part in parts:
                for at in range(0, len(part), 1 << 14):
                    file.write(part[at : at + (1 << 14)])

    replace(DirectoryDriver, "write", write)


def tables_first() -> None:
    """The table of a pack goes to a store remote before the pack."""
    from gitrepro.sync.blobs import layout, sending

    send_pack = sending._Sending._send_pack

    def table_and_pack(self: Any, planned: Any) -> None:
        self._put(layout.index_key(planned.name), planned.table)
        send_pack(self, planned)

    replace(sending._Sending, "_send_pack", table_and_pack)


def no_sigterm() -> None:
    """SIGTERM ends the program as it does without us."""
    replace(handle, "preemptable", lambda *_, **__: None)


def wall_clock() -> None:
    """Durations and the times of rows are differences of the wall clock."""
    replace(recording, "time", Like(time, monotonic=time.time))
    defaults = journal.JournalWriter.__init__.__kwdefaults__
    assert defaults
    assert defaults["clock"] is time.monotonic
    defaults["clock"] = time.time


def raw_terminal() -> None:
    """What others wrote reaches the terminal as they wrote it."""
    from gitrepro.cli import ls, present, show

    for module in (present, ls, show):
        if hasattr(module, "clean"):
            replace(module, "clean", str)


MUTANTS: dict[str, Callable[[], None]] = {
    "": lambda: None,
    "buffered": buffered,
    "acknowledged before written": acknowledged_before_written,
    "shared over fork": shared_over_fork,
    "no sync": no_sync,
    "sync after rename": sync_after_rename,
    "no folder sync": no_folder_sync,
    "short writes ignored": short_writes_ignored,
    "same file after a failed sync": same_file_after_failed_sync,
    "ref first": ref_first,
    "object locks": object_locks,
    "strict journal": strict_journal,
    "no checksums": no_checksums,
    "no magic": no_magic,
    "no compare": no_compare,
    "no lease": no_lease,
    "queue dropped first": queue_dropped_first,
    "no rescue": no_rescue,
    "no copies": no_copies,
    "written in place": written_in_place,
    "record before blobs": record_before_blobs,
    "blobs not synced": blobs_not_synced,
    "blobs synced late": blobs_synced_late,
    "names not synced": names_not_synced,
    "deleted before copied": deleted_before_copied,
    "no second look": no_second_look,
    "deleted at once": deleted_at_once,
    "no grace": no_grace,
    "one temporary name": one_temporary_name,
    "stale index": stale_index,
    "user index": user_index,
    "cut taken for the end": cut_taken_for_the_end,
    "lock of the dead": lock_of_the_dead,
    "ours alone": ours_alone,
    "written in place there": written_in_place_there,
    "tables first": tables_first,
    "no sigterm": no_sigterm,
    "wall clock": wall_clock,
    "raw terminal": raw_terminal,
}


def plant(mutant: str) -> None:
    """Put the defect into this process, or end it so that nobody takes the crash for a find."""
    try:
        MUTANTS[mutant]()
    except Exception:  # noqa: BLE001 - whatever it is, it must not look like a find
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(NOT_PLANTED)
