"""Checkpoints in pieces: what five saves and a best that is the last take, and what that costs beside one whole file.

The floor of a time is a file read, hashed and written; of a size, what has to be stored at the very least.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import blake3

from benchmarks.generate import scratch
from benchmarks.measure import Times, in_turns, own_cpu_ms, report, row
from gitrepro.store.objects import BlobStore
from gitrepro.store.recipes import put_parts, put_split

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
MEBIBYTES = int(os.environ.get("BENCH_CHECKPOINT_MIB", "256"))
SAVES: Final = 5
CHANGED: Final = 0.1
WIDTH: Final = 1024
MIB: Final = 1 << 20
CHUNK_BYTES: Final = 1 << 20

State = dict[str, Any]
Save = Callable[[State, Path], None]


def main() -> None:
    with scratch() as folder:
        for suffix, save in (("pt", _save_torch), ("safetensors", _save_safetensors)):
            _room(folder, suffix, save)
            _time(folder, suffix, save)
        _parts(folder)


# -- what is kept


def _state() -> State:
    """Tensors of a network of wide layers: nearly all bytes in matrices of 4 MiB, as many vectors of 4 KiB twice."""
    import torch

    made = torch.Generator().manual_seed(0)
    state = {}
    for layer in range(MEBIBYTES // 4):
        state[f"layers.{layer}.weight"] = torch.randn(WIDTH, WIDTH, generator=made)
        state[f"layers.{layer}.bias"] = torch.randn(WIDTH, generator=made)
        state[f"layers.{layer}.norm"] = torch.randn(WIDTH, generator=made)
    return state


def _trained_on(state: State, save: int) -> State:
    """The same with a tenth of the tensors changed, others at each save."""
    import torch

    made = torch.Generator().manual_seed(save)
    matrices = [name for name in state if name.endswith("weight")]
    names = [*_chosen(matrices, made), *_chosen([name for name in state if name not in matrices], made)]
    return {**state, **{name: torch.randn(state[name].shape, generator=made) for name in names}}


def _chosen(names: list[str], made: Any) -> list[str]:
    import torch

    order = torch.randperm(len(names), generator=made).tolist()
    return [names[number] for number in order[: math.ceil(CHANGED * len(names))]]


def _save_torch(state: State, path: Path) -> None:
    import torch

    torch.save(state, path)


def _save_safetensors(state: State, path: Path) -> None:
    from safetensors.torch import save_file

    save_file(state, path, metadata={"file": path.name})


# -- how much room


def _room(folder: Path, suffix: str, save: Save) -> None:
    with _store(folder) as store:
        state, unique = _state(), {}
        for number in range(SAVES):
            state = _trained_on(state, number) if number else state
            unique |= _tensors(state)
            one = _put_saved(store, state, folder / f"epoch_{number}.{suffix}", save)
        name = f"{SAVES} saves, a tenth of the tensors changed, .{suffix}"
        _report_room(f"{name}: of one save", store, one, 1.5)
        _report_room(f"{name}: of the tensors", store, sum(unique.values()), 1.01)
    with _store(folder) as store:
        for stem in ("best", "last"):
            _put_saved(store, state, folder / f"{stem}.{suffix}", save)
        name = f"best and last of one state, .{suffix}: of the tensors"
        _report_room(name, store, sum(_tensors(state).values()), 1.01)


def _tensors(state: State) -> Mapping[str, int]:
    """Different tensors by hash, and how many bytes each has."""
    arrays = (memoryview(tensor.numpy()).cast("B") for tensor in state.values())
    return {blake3.blake3(array).hexdigest(): array.nbytes for array in arrays}


def _put_saved(store: BlobStore, state: State, path: Path, save: Save) -> int:
    save(state, path)
    _put(store, path)
    size_bytes = path.stat().st_size
    path.unlink()
    return size_bytes


def _report_room(name: str, store: BlobStore, floor_bytes: int, factor: float) -> None:
    stored = sum(path.stat().st_size for path in store.root.rglob("*") if path.is_file())
    report(row(name, [stored / MIB], floors=[floor_bytes / MIB], budget=Times(factor), unit="MiB"))


# -- how fast


def _time(folder: Path, suffix: str, save: Save) -> None:
    source, target = folder / f"best.{suffix}", folder / "copy"
    save(_state(), source)

    def floor() -> float:
        taken = own_cpu_ms(lambda: _copied(source, target))
        target.unlink()
        return taken

    def kept() -> float:
        with _store(folder) as store:
            return own_cpu_ms(lambda: _put(store, source))

    def restored() -> float:
        taken = own_cpu_ms(lambda: _copy_out(store, digest, target))
        target.unlink()
        return taken

    floors, values = in_turns(floor, kept, rounds=ROUNDS)
    report(row(f"keep {MEBIBYTES} MiB in pieces, .{suffix}", values, floors=floors, budget=Times(2)))
    with _store(folder) as store:
        digest = _put(store, source)
        floors, values = in_turns(floor, restored, rounds=ROUNDS)
    report(row(f"restore and verify it, .{suffix}", values, floors=floors, budget=Times(1 / 0.75)))
    source.unlink()


def _parts(folder: Path) -> None:
    """What a training process does beside its steps: the tensors are in memory."""
    parts = [memoryview(tensor.numpy()).cast("B") for tensor in _state().values()]

    def floor() -> float:
        return own_cpu_ms(lambda: _hashed_and_written(parts, folder / "copy"))

    def kept() -> float:
        with _store(folder) as store, store.batch() as batch:
            return own_cpu_ms(lambda: put_parts(batch, [b"a header", *parts]))

    floors, values = in_turns(floor, kept, rounds=ROUNDS)
    report(row(f"keep {MEBIBYTES} MiB in pieces, from memory", values, floors=floors, budget=Times(2)))


def _copied(source: Path, target: Path) -> None:
    sums, view = blake3.blake3(), memoryview(bytearray(CHUNK_BYTES))
    with open(source, "rb", buffering=0) as reader, open(target, "wb", buffering=0) as writer:
        while count := reader.readinto(view):
            sums.update(view[:count])
            writer.write(view[:count])
        os.fsync(writer.fileno())
    assert sums.digest()


def _hashed_and_written(parts: list[memoryview], target: Path) -> None:
    sums = blake3.blake3()
    with open(target, "wb", buffering=0) as writer:
        for part in parts:
            sums.update(part)
            writer.write(part)
    target.unlink()


def _put(store: BlobStore, path: Path) -> str:
    with open(path, "rb", buffering=0) as reader, store.batch() as batch:
        return put_split(batch, reader, path.stat().st_size)[0]  # type: ignore[arg-type]


def _copy_out(store: BlobStore, digest: str, target: Path) -> None:
    fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        store.copy_out(digest, fd)
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _store(folder: Path) -> Iterator[BlobStore]:
    root = folder / "store"
    try:
        yield BlobStore(root)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
