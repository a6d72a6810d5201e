"""Letting go of the bytes of checkpoints. Their records stay; a note in the store says that it was on purpose."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ChildFailed, NotAvailable
from ..store import fs, pins, pruned, roots
from ..store.objects import BlobStore
from ..store.objects.names import raw
from ..store.objects.retire import retire
from ..store.repository import RUNS_REF, Repository
from .places import Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Prunable:
    """A checkpoint whose bytes may go: how many bytes the file has, and the files of the store that go at once."""

    found: Found
    size_bytes: int
    files: tuple[tuple[Path, int], ...]


def prunable(store: BlobStore, found: Iterable[Found], *, keep: Sequence[str]) -> list[Prunable]:
    """Those of `found` that have none of the roles `keep` and lie in the store as files of their own."""
    chosen = []
    for each in found:
        if each.path is not None or set(each.entry["roles"]) & set(keep):
            continue
        if files := tuple(_files(store, each.digest)):
            chosen.append(Prunable(found=each, size_bytes=int(each.entry["size_bytes"]), files=files))
    return chosen


def _files(store: BlobStore, digest: str) -> Iterable[tuple[Path, int]]:
    for path in (store.loose_path(raw(digest)), store.recipe_path(raw(digest))):
        try:
            yield path, os.lstat(path).st_mtime_ns
        except FileNotFoundError:
            continue


def prune(repository: Repository, store: BlobStore, one: Prunable, *, at: str, actor: Mapping[str, Any]) -> bool:
    """Let go of one. The note comes first: what is missing is then never a riddle. Whether it went.

    The pieces that no other file is made of are found and freed by `gc`.
    """
    if _named_elsewhere(repository, store, one.found):
        return False
    note = {"actor": dict(actor), "at": at, "blob": one.found.digest, "format": 1, "run": one.found.run}
    with fs.explained(f"cannot prune {one.found.digest[:15]} in {store.root}"):
        pruned.note(store, one.found.digest, note)
        gone = [retire(file, seen_mtime_ns=seen_ns, trash=store.root / "trash") for file, seen_ns in one.files]
    if not any(gone):
        pruned.forget(store, one.found.digest)
    return any(gone)


def _named_elsewhere(repository: Repository, store: BlobStore, found: Found) -> bool:
    """Whether another run names the same bytes. A file of ours names its run; one that was copied in may recur."""
    if found.entry.get("format") != "file":
        return False
    name = raw(found.digest)
    others = [each for each in pins.clones(store.root) if each != pins.clone_id(repository)]
    if name in roots.under_way(repository) or any(name in pins.read(store.root, each) for each in others):
        return True
    try:
        told = repository.git("grep", "--name-only", "--fixed-strings", "-e", found.digest, RUNS_REF).decode()
    except ChildFailed:
        return True
    return any(found.run not in line for line in told.splitlines())


def was_pruned(ref: str, note: Mapping[str, Any]) -> NotAvailable:
    who = (note.get("actor") or {}).get("name", "somebody")
    return NotAvailable(
        f"the bytes of {ref!r:.80} were pruned here",
        why=f"by {who!s:.80} at {note.get('at')!s:.40}",
        do="another clone, or a remote, may have them still",
    )
