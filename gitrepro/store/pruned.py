"""Notes of blobs that a person let go of: `pruned/ab/<62 hex>.yaml`, so that what is missing is never a riddle.

A note speaks only while its blob is gone: bytes that were put again are as good as any others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..errors import Damaged
from ..records import yaml
from . import fs
from .objects import BlobStore

FOLDER: Final = "pruned"


def path_of(store: BlobStore, digest: str) -> Path:
    return store.root / FOLDER / digest[3:5] / f"{digest[5:]}.yaml"


def note(store: BlobStore, digest: str, content: Mapping[str, Any]) -> None:
    """Say why a blob will be gone, before it goes. Durable once this returns. Raises OSError."""
    path = path_of(store, digest)
    fs.make_directories(path.parent)
    fs.write_file(path, yaml.dump(dict(content)))


def forget(store: BlobStore, digest: str) -> None:
    """The blob is here again, or never went. Raises nothing: a note that stays says nothing while it is here."""
    try:
        fs.remove_quietly(path_of(store, digest))
    except OSError:
        pass


def told(store: BlobStore, digest: str) -> Mapping[str, Any] | None:
    """The note that a blob was let go of; None where there is none, or where the blob is here."""
    path = path_of(store, digest)
    try:
        found = yaml.load(path.read_bytes(), source=str(path))
    except (OSError, Damaged):
        return None
    return None if digest in store else found


def in_words(note: Mapping[str, Any]) -> str:
    """`pruned at 2026-01-02T03:04:05.678901Z by Ada Lovelace`."""
    actor = note.get("actor")
    name = actor.get("name") if isinstance(actor, Mapping) else None
    return f"pruned at {note.get('at')!s:.40} by {name or 'somebody'!s:.80}"
