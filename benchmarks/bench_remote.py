"""Blobs to a store remote in a folder and back: 1 GiB beside a copy that is hashed and synced, and 10,000 small blobs.

Wall time is told and not judged: on a shared machine it is the neighbours'.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.generate import scratch
from benchmarks.measure import AtMost, Open, Times, in_turns, own_cpu_ms, report, row
from gitrepro.store.objects import BlobStore, copying
from gitrepro.sync.blobs import fetch, send
from gitrepro.sync.blobs.drivers.directory import DirectoryDriver

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
MEBIBYTES = int(os.environ.get("BENCH_REMOTE_MIB", "1024"))
BLOBS = int(os.environ.get("BENCH_REMOTE_BLOBS", "10000"))
SMALL_BYTES: Final = 8 << 10
MIB: Final = 1 << 20


def main() -> None:
    # On a disk, not in memory: there a copy costs nothing, and what is hashed cannot keep up with nothing.
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_STORE"), prefix="gitrepro-bench-") as folder:
        _large(Path(folder))
    with scratch() as place:
        _small(place)


def _large(folder: Path) -> None:
    store, remote = BlobStore(folder / "store"), DirectoryDriver(folder / "remote")
    source, walls = folder / "source", dict[str, list[float]]()
    rng = random.Random(0)
    with open(source, "wb") as file:
        for _ in range(MEBIBYTES):
            file.write(rng.randbytes(MIB))
    digest, _ = store.put_file(source)

    def pushed() -> float:
        shutil.rmtree(remote.root, ignore_errors=True)
        return _both("push", walls, lambda: send(store, remote, {digest: []}))

    def pulled() -> float:
        shutil.rmtree(folder / "other", ignore_errors=True)
        return _both("pull", walls, lambda: fetch(BlobStore(folder / "other"), [remote], {digest: []}))

    def copied() -> float:
        (folder / "copy").unlink(missing_ok=True)
        return _both("copy", walls, lambda: _copy(source, folder / "copy"))

    for name, act, budget in (("push", pushed, 2.0), ("pull", pulled, 3.5)):
        walls |= {"push": [], "pull": [], "copy": []}
        floors, values = in_turns(copied, act, rounds=ROUNDS)
        title = f"{name} {MEBIBYTES} MiB, folder (floor: hash, copy, sync)"
        report(row(title, values, floors=floors, budget=Times(budget)))
        report(row(f"{title}, wall", walls[name][1:], floors=walls["copy"][1:], budget=Open()))


def _both(name: str, walls: dict[str, list[float]], act: Callable[[], object]) -> float:
    """The CPU milliseconds of a call; its wall milliseconds are noted."""
    began = time.perf_counter()
    found = own_cpu_ms(act)
    walls[name].append((time.perf_counter() - began) * 1e3)
    return found


def _small(folder: Path) -> None:
    store, remote = BlobStore(folder / "store"), DirectoryDriver(folder / "remote")
    with store.batch() as batch:
        digests = [batch.put(os.urandom(SMALL_BYTES)) for _ in range(BLOBS)]
    roots = {digests[0]: digests}
    requests: dict[str, list[float]] = {"push": [], "pull": []}
    costs: dict[str, list[float]] = {"push": [], "pull": []}
    for _ in range(ROUNDS):
        for each in ("remote", "other"):
            shutil.rmtree(folder / each, ignore_errors=True)
        for name, act in (
            ("push", lambda: send(store, remote, roots).requests),
            ("pull", lambda: fetch(BlobStore(folder / "other"), [remote], roots).requests),
        ):
            costs[name].append(own_cpu_ms(lambda: requests[name].append(act())) * 1e3 / BLOBS)  # noqa: B023 - at once
    for name in costs:
        title = f"{name} {BLOBS} blobs of 8 KiB"
        report(row(f"{title}: requests", requests[name], budget=AtMost(BLOBS / 100), unit="requests"))
        report(row(f"{title}: a blob", costs[name], budget=AtMost(40), unit="µs"))


def _copy(source: Path, target: Path) -> None:
    with open(source, "rb", buffering=0) as reader, open(target, "wb", buffering=0) as writer:
        copying.hashed_copy(reader.fileno(), writer.fileno())
        os.fsync(writer.fileno())


if __name__ == "__main__":
    main()
