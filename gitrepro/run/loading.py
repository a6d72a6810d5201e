"""`gitrepro.load_checkpoint`: the door to what was saved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import NoRepository
from ..store import repository as repositories
from ..store.place import store_of
from ..store.repository import Repository
from .parents import tell_parent

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import Checkpoint


def load_checkpoint(
    ref: str | os.PathLike[str] | Any,
    *,
    map_location: Any = "cpu",
    rank: int = 0,
    repo: str | os.PathLike[str] | None = None,
) -> Checkpoint:
    """Read a checkpoint: verified by its hash before anything in it is looked at, and nothing in it is run.

        checkpoint = gitrepro.load_checkpoint("brisk-otter:best")
        checkpoint.restore(model=model, optimizer=optimizer, scheduler=scheduler)

    Args:
        ref: `RUN` (its best, or else its last), `RUN:best`, `RUN:last`, `RUN:step-400`, `RUN:name`, `b3:...`, a file
            (`./model.safetensors`, `./model.pt`), or a run itself. RUN is an id or its end, a name, `@last`.
        map_location: the device for the model and the optimizers.
        rank: of which process, where each of several saved its own.
        repo: a folder in the repository of the run; the current folder by default.

    Raises:
        NotFound, Ambiguous: it means no checkpoint, or several.
        BlobMissing, NotAvailable: its bytes are not here; they were pruned, or have not been fetched.
        Damaged: the bytes are not those on record, or no whole checkpoint.
        Unsafe: it is a pickle that wants to run code. It did not.
    """
    from ..checkpoints.loading import load_checkpoint as load

    text = os.fspath(ref) if isinstance(ref, (str, os.PathLike)) else str(ref.id)
    repository = _repository(Path(repo) if repo is not None else Path.cwd())
    store = store_of(repository) if repository else None
    loaded = load(repository, text, store=store, map_location=map_location, rank=rank)
    tell_parent(loaded.provenance.get("run"))
    return loaded


def _repository(start: Path) -> Repository | None:
    try:
        return repositories.find(start, os.environ)
    except NoRepository:
        return None  # a file can be read anywhere
