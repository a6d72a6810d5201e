"""Blobs named by the BLAKE3 of their bytes: alone in a file, in a pack of small ones, or as a recipe of others."""

from .batch import Batch
from .blobs import BlobStore
from .names import digest_of

__all__ = ["Batch", "BlobStore", "digest_of"]
