"""Proof that bytes are there and right: of what a run or a data set names, or of a whole store.

    fast     it is there, with the right size
    hash     its bytes are hashed: the default
    full     every blob of the store, the tables of its packs, and its index: `whole`

Wrong bytes are set aside and never deleted. What a collection took too early is put back.
"""

from .checker import Checker
from .named import verify_blob, verify_data, verify_run
from .proof import DAMAGED, FAST, HASH, NOT_AVAILABLE, OK, Proof, worst
from .whole import Report, verify_store

__all__ = [
    "DAMAGED",
    "FAST",
    "HASH",
    "NOT_AVAILABLE",
    "OK",
    "Checker",
    "Proof",
    "Report",
    "verify_blob",
    "verify_data",
    "verify_run",
    "verify_store",
    "worst",
]
