"""`load_checkpoint`: from what people type to a state that was verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import NoRepository
from ..store.objects import BlobStore
from ..store.repository import Repository
from . import fetching, places, reading, saving
from .checkpoint import Checkpoint


def load_checkpoint(
    repository: Repository | None, ref: str, *, store: BlobStore | None = None, map_location: Any = "cpu", rank: int = 0
) -> Checkpoint:
    """Read a checkpoint. Its whole hash is checked before anything in it is looked at, and nothing in it is run.

    Args:
        ref: `RUN` (its best, else its last), `RUN:best`, `RUN:last`, `RUN:step-400`, `RUN:name`, `b3:...`, or a file.
        store: where its bytes are kept.
        map_location: the device for the model and the optimizers; all else stays on the CPU.
        rank: whose, of a run of several processes that each saved their own.

    Raises:
        NotFound, Ambiguous: it means no checkpoint, or several.
        BlobMissing, NotAvailable: its bytes are not here, and in no store remote.
        Damaged: they are not what is on record, or no whole checkpoint.
        Unsafe: to load it would be to run code in it.
    """
    # What this process saves may still be on its way.
    saving.wait_for_all()
    if places.is_path(ref):
        return reading.from_file(Path(ref).expanduser(), map_location=map_location)
    if repository is None or store is None:
        raise NoRepository(f"there is no file {ref!r:.80}, and no repository here", do="change into the repository")
    if places.is_blob(ref):
        fetching.fetch(repository, store, ref)
        return reading.from_store(store, ref, map_location=map_location)
    found = places.find(repository, ref, rank=rank)
    found, _ = fetching.fetch_found(repository, store, found, named=ref)
    if found.path is not None:
        return reading.from_file(
            found.path, expected=None if found.path.is_dir() else found.digest, map_location=map_location
        )
    return reading.from_store(store, found.digest, map_location=map_location)
