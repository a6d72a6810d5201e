"""Blobs named by the BLAKE3 of their bytes: alone in a file, in a pack of small ones, or as a recipe of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .blobs import BlobStore
from .names import digest_of

if TYPE_CHECKING:
    from .batch import Batch

__all__ = ["Batch", "BlobStore", "digest_of"]


def __getattr__(name: str) -> Any:
    # A run that puts no batch does not load what makes one.
    if name != "Batch":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .batch import Batch

    return Batch
