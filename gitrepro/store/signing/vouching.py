"""What could not be signed when it was committed waits here; a later commit vouches for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import GitreproError, StorageError
from ...records import ids, yaml
from .. import fs
from ..fold import Identity, commit_text, commit_tree
from ..gitobjects import Entry, GitObjects
from ..gitrefs import list_refs, read_ref
from ..lead import lead
from ..repository import RUNS_REF, Repository
from .making import sign
from .statements import SUBJECT, VOUCHES, subject_of
from .text import sign_commit

PAUSE_SECONDS: Final = 60.0
_SLOW_SECONDS: Final = 5.0
_FOLDER: Final = "unsigned"
_HUNG: Final = "signer-hung"
_COPIES: Final = "refs/gitrepro-remotes/"
_AT_ONCE: Final = 5_000
_TRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What one commit brought without a signature: paths and trees, why, and the commit that vouches for it by now."""

    file: Path
    what: Mapping[str, str]
    why: str
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A commit, signed or not; `why` says what kept it from being signed."""

    data: bytes
    why: str = ""


def try_to_sign(repository: Repository, text: bytes, *, identity: Identity) -> Attempt:
    """The commit `text` with a signature, or without one where that cannot be had unattended and in a few seconds."""
    hung = repository.home / _HUNG
    try:
        # One that hung is left alone for a while: a hundred short runs are not to wait for it a hundred times.
        if 0 <= time.time() - hung.stat().st_mtime < PAUSE_SECONDS:
            return Attempt(text, "the program that signs did not answer a moment ago")
    except OSError:
        pass
    begun = time.monotonic()
    try:
        return Attempt(sign_commit(text, sign(repository, text, identity=identity)))
    except (GitreproError, OSError) as error:
        if time.monotonic() - begun > _SLOW_SECONDS:
            _mark(hung)
        return Attempt(
            text, ": ".join(filter(None, (error.what, error.why))) if isinstance(error, GitreproError) else str(error)
        )


def _mark(path: Path) -> None:
    try:
        path.write_bytes(b"")
        os.utime(path)
    except OSError:
        return


def keep_note(repository: Repository, objects: GitObjects, top: str, changes: Mapping[str, Entry], why: str) -> None:
    """Note the runs and results among `changes`, which are in the tree `top`, to be vouched for later."""
    what = {}
    for path in dict.fromkeys(subject_of(path) for path in changes):
        found = objects.entry(top, path) if path else None
        if found is not None and found.is_tree:
            what[path] = found.oid
    if what:
        _write(Note(file=repository.home / _FOLDER / f"{ids.new_id()}.yaml", what=what, why=why))


def _write(note: Note) -> None:
    document = {"commit": note.commit, "format": 1, "what": dict(note.what), "why": note.why}
    with fs.explained(f"cannot note in {note.file.parent} what is not signed"):
        fs.make_directories(note.file.parent)
        fs.write_file(note.file, yaml.dump(document))


def notes(repository: Repository) -> list[Note]:
    """All notes, oldest first; one that cannot be read is passed over."""
    folder = repository.home / _FOLDER
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".yaml"))
    except OSError:
        return []
    return [note for name in names if (note := _read(folder / name))]


def _read(file: Path) -> Note | None:
    try:
        document = yaml.load(file.read_bytes(), source=file.name)
        what = {str(path): str(oid) for path, oid in document["what"].items()}
        return Note(file=file, what=what, why=str(document["why"]), commit=document["commit"])
    except (GitreproError, OSError, KeyError, TypeError, AttributeError):
        return None


def waiting(repository: Repository) -> dict[str, str]:
    """What this clone committed without the signature that was asked for, and nobody vouches for yet: path and tree."""
    tip = read_ref(repository.common_dir, RUNS_REF)
    if tip is None:
        return {}
    found: dict[str, str] = {}
    for note in notes(repository):
        if note.commit is None or not repository.is_ancestor(note.commit, of=tip):
            found |= note.what
    return _still_there(repository, tip, found)


def _still_there(repository: Repository, tip: str, what: Mapping[str, str]) -> dict[str, str]:
    with GitObjects(repository.common_dir) as objects:
        root = commit_tree(objects.read(tip, "commit"))
        there = {path: objects.entry(root, path) for path in what}
    return {path: oid for path, oid in what.items() if (entry := there[path]) and entry.oid == oid}


def vouch_waiting(repository: Repository, *, identity: Identity, prompts: bool = False) -> dict[str, str]:
    """Sign all that waits; return it. Raises as `vouch` does."""
    if not notes(repository):
        return {}
    what = waiting(repository)
    commit = vouch(repository, what, identity=identity, prompts=prompts) if what else None
    for note in notes(repository):
        _settle(repository, note, what, commit)
    return what


def _settle(repository: Repository, note: Note, what: Mapping[str, str], commit: str | None) -> None:
    """Write down who vouches for what is noted; a note of which a remote has the signature is let go."""
    if note.commit and _is_sent(repository, note.commit):
        fs.remove_quietly(note.file)
    elif commit and note.what.items() <= what.items():
        _write(Note(file=note.file, what=note.what, why=note.why, commit=commit))


def _is_sent(repository: Repository, commit: str) -> bool:
    copies = (oid for ref, oid in list_refs(repository.common_dir, _COPIES).items() if ref.endswith("/runs"))
    return any(repository.is_ancestor(commit, of=oid) for oid in copies)


def vouch(repository: Repository, what: Mapping[str, str], *, identity: Identity, prompts: bool = False) -> str | None:
    """Commit, signed and on top of the run ref, that these folders are as the user says; return the commit.

    Args:
        what: paths of runs and results on the run ref, each with the Git tree that stands there.
        prompts: somebody is there to be asked for a passphrase.

    Raises:
        UsageError: no key is named, or there is no program to sign with.
        ChildFailed: it does not sign, or not in time. Nothing is changed.
        StorageError: the disk refuses, or the ref keeps moving.
    """
    commit = None
    paths = sorted(what)
    for start in range(0, len(paths), _AT_ONCE):
        named = [f"{VOUCHES}: {what[path]} {path}" for path in paths[start : start + _AT_ONCE]]
        message = "\n".join([SUBJECT, "", "Gitrepro-Format: 1", *named]) + "\n"
        commit = _on_top(repository, message, identity, prompts=prompts)
    return commit


def _on_top(repository: Repository, message: str, identity: Identity, *, prompts: bool) -> str:
    """Sign outside of the lock: whoever types a passphrase keeps no run waiting."""
    with GitObjects(repository.common_dir) as objects:
        for _ in range(_TRIES):
            tip = read_ref(repository.common_dir, RUNS_REF)
            if tip is None:
                break
            tree = commit_tree(objects.read(tip, "commit"))
            text = commit_text(tree, [tip], identity.line(time.time()), message)
            signature = sign(repository, text, identity=identity, prompts=prompts)
            commit = objects.write([("commit", sign_commit(text, signature))])[0]
            if lead(repository, RUNS_REF, _if_still(tip, commit), objects=objects).after == commit:
                return commit
    raise StorageError(f"{RUNS_REF} keeps moving", why="runs are recorded meanwhile", do="run the command again")


def _if_still(tip: str, commit: str) -> Callable[[str | None], str | None]:
    return lambda now: commit if now == tip else None
