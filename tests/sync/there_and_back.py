"""What moves blobs, over a driver under test."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from gitrepro.store.objects import BlobStore
from gitrepro.sync.blobs import Driver, fetch, send


def filled(root: Path, *, seed: int = 0) -> tuple[BlobStore, dict[str, list[str]]]:
    """A store with small blobs and larger ones, and the one root that needs them all."""
    draw, store = random.Random(seed), BlobStore(root)
    digests = [store.put(draw.randbytes(size)) for size in (1, 9, 3000, *range(100, 130), 300_000, 1_000_000)]
    return store, {digests[0]: digests}


def assert_blobs_go_and_come_back(place: Callable[[], Driver], folder: Path) -> None:
    store, roots = filled(folder / "mine")
    first = send(store, place(), roots)
    again = send(store, place(), roots)
    other = BlobStore(folder / "other")
    fetched = fetch(other, [place()], roots)

    (digests,) = roots.values()
    assert (first.blobs, again.blobs) == (len(digests), 0)
    assert (fetched.missing, fetched.wrong) == ((), ())
    assert all(other.get(digest) == store.get(digest) for digest in digests)
