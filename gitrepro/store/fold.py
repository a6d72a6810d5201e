"""The queue and the fold: everything recorded since the last commit becomes one commit on `refs/gitrepro/runs`.

A writer first makes its Git objects durable, then renames a small entry into `queue/`. Whoever holds the lock folds
all entries there into one commit, moves the ref, reads the result back, and only then removes the entries. Each step
may be repeated: an entry whose record is already in the tree is skipped.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from ..errors import Damaged, GitreproError, GitreproWarning, NotFound, StorageError
from ..records import ids, yaml
from . import fs, rescue
from .gitobjects import FILE_MODE, TREE_MODE, Entry, GitObjects, name_of
from .gitrefs import move_ref, read_ref
from .pack.due import start_if_due
from .repository import CODE_REF, RUNS_REF, Repository

EMPTY_TREE: Final = name_of("tree", b"")
_TRAILERS_AT_MOST: Final = 50
_CODE_LOOKBACK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who signs the commits on the run ref."""

    name: str
    email: str

    def line(self, seconds: float, zone: str = "+0000") -> str:
        clean = [_one_line(part, strip="<>") for part in (self.name, self.email)]
        return f"{clean[0]} <{clean[1]}> {int(seconds)} {zone}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """One entry of the queue.

    `trees` are Git trees that are already written (a run); `files` are small contents still to be written (an event,
    a result). `line` is how the commit message names it; `code` the commits that must stay alive with it.
    """

    kind: str
    subject: str
    line: str
    trees: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    code: Sequence[str] = ()
    journal: str | None = None

    def document(self) -> dict[str, Any]:
        return {
            "code": list(self.code),
            "files": dict(self.files),
            "format": 1,
            "journal": self.journal,
            "kind": self.kind,
            "line": self.line,
            "subject": self.subject,
            "trees": dict(self.trees),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What one fold did: the commit on the run ref, the entries it holds, and what it had to keep beside them."""

    commit: str | None
    entries: tuple[Pending, ...] = ()
    conflicts: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()
    unsigned: str = ""
    """Why the commit carries no signature although `gitrepro.sign` asks for one."""


def enqueue(repository: Repository, pending: Pending) -> None:
    """Hand an entry to the next fold. Durable once this returns."""
    folder = repository.home / "queue"
    with fs.explained(f"cannot queue {pending.kind} {pending.subject} in {folder}"):
        fs.make_directories(folder)
        # The name says what it is: queueing a run again replaces its entry instead of adding one.
        name = pending.subject if pending.kind == "run" else ids.new_id()
        fs.write_file(folder / f"{pending.kind}.{name}.yaml", yaml.dump(pending.document()))


def queued(repository: Repository) -> list[str]:
    """The names of the entries that wait, oldest id first."""
    try:
        names = os.listdir(repository.home / "queue")
    except FileNotFoundError:
        return []
    return sorted((name for name in names if not name.startswith(".")), key=lambda name: name.split(".")[1:])


def fold(
    repository: Repository,
    *,
    identity: Identity,
    clock: Callable[[], float] = time.time,
    timeout_seconds: float = 60.0,
) -> Folded:
    """Commit everything queued. With nothing queued, nothing is written.

    Of many who wait for the lock at once, the first commits what all of them queued, and the others go on.

    Raises:
        StorageError: the disk refuses, or the lock stays taken; the queue keeps everything.
    """
    waiting = {*queued(repository)}
    if not waiting:
        return Folded(commit=None)

    def still_there() -> bool:
        # An entry is gone once its commit was read back.
        return not waiting.isdisjoint(queued(repository))

    lock = repository.home / "lock"
    with fs.locked(lock, timeout_seconds=timeout_seconds, needed=still_there) as ours, _objects(repository) as objects:
        if not ours:
            return Folded(commit=None)
        with fs.explained(f"cannot commit all that is queued in {repository.home}"):
            rescue.let_go(repository)
            folded = _fold(repository, objects, identity, clock())
    start_if_due(repository)
    if folded.unsigned:
        _say_unsigned(folded.unsigned)
    return folded


def _say_unsigned(why: str) -> None:
    told = f"what was recorded is committed without a signature ({why}); `gitrepro sign` or the next push signs it"
    # Where warnings are made errors, this one is none all the same: it is committed.
    with suppress(GitreproWarning):
        warnings.warn(told, GitreproWarning, stacklevel=3)


def keep_code(
    repository: Repository, commits: Sequence[str], *, identity: Identity, now: float, timeout_seconds: float = 5.0
) -> None:
    """Let `refs/gitrepro/code` name commits at once, as the fold of a run that names them would: a run may take days.

    Raises:
        StorageError: the disk refuses, or the lock stays taken.
    """
    with fs.explained(f"cannot keep the code of a run in {repository.home}"):
        fs.make_directories(repository.home)
    lock = fs.locked(repository.home / "lock", timeout_seconds=timeout_seconds)
    with lock, _objects(repository) as objects:
        _keep_code_alive(repository, objects, commits, identity, now)


def _objects(repository: Repository) -> GitObjects:
    return GitObjects(repository.common_dir, restore=rescue.restorer(repository))


def _fold(repository: Repository, objects: GitObjects, identity: Identity, now: float) -> Folded:
    folder = repository.home / "queue"
    names = queued(repository)
    if not names:
        return Folded(commit=None)
    entries, unusable = _load(objects, folder, names)
    done = _commit(repository, objects, entries, identity, now)
    _read_back(repository, entries)
    for name in names:
        if name not in unusable:
            fs.remove_quietly(folder / name)
    fs.sync_directory(folder)
    return replace(done, entries=tuple(entries), unusable=tuple(sorted(unusable)))


def _load(objects: GitObjects, folder: Path, names: list[str]) -> tuple[list[Pending], set[str]]:
    entries, unusable = [], set()
    for name in names:
        try:
            document = yaml.load((folder / name).read_bytes(), source=f"queue entry {name}")
            document.pop("format")
            pending = Pending(**document)
            # `git gc --prune=now` may have taken what no ref named yet; the run is then composed anew from its journal.
            for tree in pending.trees.values():
                objects.write(objects.closure(tree))
            entries.append(pending)
        except (GitreproError, TypeError, KeyError):
            # Kept where it is and named to the caller: one bad entry must not hold up the others.
            unusable.add(name)
    return entries, unusable


def _commit(
    repository: Repository, objects: GitObjects, entries: list[Pending], identity: Identity, now: float
) -> Folded:
    for _ in range(20):
        tip = read_ref(repository.common_dir, RUNS_REF)
        root = _tree_of(objects, tip)
        changes, conflicts = _changes(objects, root, entries)
        if not changes:
            return Folded(commit=tip, conflicts=conflicts)
        _keep_code_alive(repository, objects, [oid for each in entries for oid in each.code], identity, now)
        if root is None:
            changes["format.yaml"] = _blob(objects, yaml.dump({"epoch": 1, "format": 1}))
        top, trees = objects.graft(root, changes)
        text = commit_text(top, [tip] if tip else [], identity.line(now), _message(entries))
        text, unsigned = _signed(repository, text, identity)
        commit = objects.write([*trees, ("commit", text)])[-1]
        if unsigned:
            _note_unsigned(repository, objects, top, changes, unsigned)
        with rescue.guarded(repository, objects, objects.written):
            moved = move_ref(repository.common_dir, RUNS_REF, old=tip, new=commit)
        if moved:
            return Folded(commit=commit, conflicts=conflicts, unsigned=unsigned)
    raise StorageError(f"{RUNS_REF} keeps moving", why="another program writes it", do="run the command again")


def _signed(repository: Repository, text: bytes, identity: Identity) -> tuple[bytes, str]:
    """The commit with a signature, if one is wished for and to be had; else why not."""
    if not repository.setting("gitrepro.sign"):
        return text, ""
    from .signing import programs, vouching

    attempt = vouching.try_to_sign(repository, text, identity=identity) if programs.is_on(repository) else None
    return (attempt.data, attempt.why) if attempt else (text, "")


def _note_unsigned(
    repository: Repository, objects: GitObjects, top: str, changes: Mapping[str, Entry], why: str
) -> None:
    from .signing.vouching import keep_note

    keep_note(repository, objects, top, changes, why)


def _changes(objects: GitObjects, root: str | None, entries: list[Pending]) -> tuple[dict[str, Entry], tuple[str, ...]]:
    changes: dict[str, Entry] = {}
    conflicts = []
    for pending in entries:
        for path, entry in _wanted(objects, pending).items():
            there = objects.entry(root, path) if root else None
            if there == entry or (there and _same_record(objects, there, pending)):
                continue
            if there:
                # Never overwrite: a record is written once. Both stay, and the caller hears of it.
                conflicts.append(path)
                path = f"{path}~{entry.oid[:8]}"
            changes[path] = entry
    return changes, tuple(conflicts)


def _wanted(objects: GitObjects, pending: Pending) -> dict[str, Entry]:
    wanted = {path: Entry(TREE_MODE, oid) for path, oid in pending.trees.items()}
    for path, text in pending.files.items():
        wanted[path] = _blob(objects, text.encode())
    return wanted


def _blob(objects: GitObjects, data: bytes) -> Entry:
    return Entry(FILE_MODE, objects.write([("blob", data)])[0])


def _same_record(objects: GitObjects, there: Entry, pending: Pending) -> bool:
    """Whether the run in the tree was made from the same journal: then its bytes stand, whatever ours are."""
    if not there.is_tree or pending.journal is None:
        return False
    try:
        held = objects.tree(there.oid)["run.yaml"]
        journal = yaml.load(objects.read(held.oid, "blob"))["journal"]
        return bool(journal["digest"] == pending.journal)
    except (GitreproError, KeyError, TypeError):
        return False


def _keep_code_alive(
    repository: Repository, objects: GitObjects, commits: Sequence[str], identity: Identity, now: float
) -> None:
    """Let `refs/gitrepro/code` reach every commit the runs name, so that a rebase and a gc cannot take it."""
    wanted = dict.fromkeys(commit for commit in commits if objects.has(commit) or objects.restored(commit))
    for _ in range(20):
        tip = read_ref(repository.common_dir, CODE_REF)
        known = _recent_parents(objects, tip)
        missing = [commit for commit in wanted if commit not in known]
        if not missing:
            return
        if tip is None:
            objects.write([("tree", b"")])
        text = commit_text(
            EMPTY_TREE, [*([tip] if tip else []), *missing], identity.line(now), "code of recorded runs\n"
        )
        commit = objects.write([("commit", text)])[0]
        with rescue.guarded(repository, objects, (EMPTY_TREE, commit)):
            moved = move_ref(repository.common_dir, CODE_REF, old=tip, new=commit)
        if moved:
            return
    raise StorageError(f"{CODE_REF} keeps moving", why="another program writes it", do="run the command again")


def _recent_parents(objects: GitObjects, tip: str | None) -> set[str]:
    # Only recent ones: naming a commit twice costs 50 bytes, walking all history costs time on every run.
    known: set[str] = set()
    for _ in range(_CODE_LOOKBACK):
        if tip is None:
            break
        parents = commit_parents(objects.read(tip, "commit"))
        known.update(parents)
        tip = parents[0] if parents and _is_code_commit(objects, parents[0]) else None
    return known


def _is_code_commit(objects: GitObjects, oid: str) -> bool:
    try:
        return objects.read(oid, "commit").startswith(f"tree {EMPTY_TREE}\n".encode())
    except NotFound:
        return False


def commit_text(tree: str, parents: list[str], signature: str, message: str) -> bytes:
    """The bytes of a Git commit."""
    head = [
        f"tree {tree}",
        *(f"parent {parent}" for parent in parents),
        f"author {signature}",
        f"committer {signature}",
    ]
    return ("\n".join(head) + "\n\n" + message).encode("utf-8", "replace")


def commit_parents(data: bytes) -> list[str]:
    # By newlines alone: a name may hold other characters that some take for the end of a line.
    head = data.partition(b"\n\n")[0].decode(errors="replace")
    return [line[7:] for line in head.split("\n") if line.startswith("parent ")]


def commit_tree(data: bytes) -> str:
    """The tree a commit names.

    Raises:
        Damaged: the bytes are not a commit.
    """
    if not data.startswith(b"tree ") or len(data) < 46:
        raise Damaged("a commit on the run ref names no tree", do="`git fsck` shows how far it goes")
    return data[5:45].decode("ascii", "replace")


def _tree_of(objects: GitObjects, commit: str | None) -> str | None:
    return commit_tree(objects.read(commit, "commit")) if commit else None


def _message(entries: list[Pending]) -> str:
    lines = [_one_line(pending.line) for pending in entries]
    subject = lines[0] if len(lines) == 1 else f"gitrepro: {_counted(entries)}"
    runs = [pending.subject for pending in entries if pending.kind == "run"]
    body = [] if len(lines) == 1 else ["", *lines[:_TRAILERS_AT_MOST]]
    if len(lines) > _TRAILERS_AT_MOST:
        body.append(f"and {len(lines) - _TRAILERS_AT_MOST} more")
    trailers = ["Gitrepro-Format: 1", *(f"Gitrepro-Run: {run}" for run in runs[:_TRAILERS_AT_MOST])]
    return "\n".join([subject, *body, "", *trailers]) + "\n"


def _counted(entries: list[Pending]) -> str:
    kinds = [pending.kind for pending in entries]
    return ", ".join(
        f"{kinds.count(kind)} {kind}{'s' if kinds.count(kind) > 1 else ''}" for kind in dict.fromkeys(kinds)
    )


def _one_line(text: str, *, strip: str = "") -> str:
    return "".join(
        " " if character in "\n\r\t\0" else character for character in text if character not in strip
    ).strip()


def _read_back(repository: Repository, entries: list[Pending]) -> None:
    """Read through fresh eyes what the ref now names, before the queue forgets it."""
    with _objects(repository) as objects:
        root = _tree_of(objects, read_ref(repository.common_dir, RUNS_REF))
        for pending in entries:
            for path in (*pending.trees, *pending.files):
                found = objects.entry(root, path) if root else None
                if found is None:
                    raise StorageError(
                        f"{path} is not in {RUNS_REF} after it was committed",
                        why="the ref was moved back, or objects were pruned meanwhile",
                        do="run `gitrepro recover`; the queue and the journal keep the run",
                    )
                for _, entry in objects.files(found.oid) if found.is_tree else [(path, found)]:
                    objects.read(entry.oid, "blob")
