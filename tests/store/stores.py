"""What the tests of collection and verification share: stores with something in every form, and ways to harm them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from gitrepro.records.recipe import Recipe, Segment
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.objects.packfile import SMALL_BYTES, PackWriter

DAY = 86_400
LARGE = SMALL_BYTES + 1


def raw(digest: str) -> bytes:
    return bytes.fromhex(digest.removeprefix("b3:"))


def large(seed: int) -> bytes:
    """Bytes of a blob that gets a file of its own."""
    return seed.to_bytes(8, "big") * (LARGE // 8 + 1)


def put_large(store: BlobStore, seed: int = 0) -> str:
    return store.put(large(seed))


def put_packed(store: BlobStore, *blobs: bytes) -> list[str]:
    """Small blobs, together in a pack of their own."""
    with store.batch() as batch:
        return [batch.put(blob) for blob in blobs]


def put_pieces(store: BlobStore, *parts: bytes) -> str:
    """A file that lies in pieces."""
    whole = digest_of(parts)
    segments = tuple(Segment(digest_of([part]), len(part)) for part in parts)
    recipe = Recipe(size_bytes=sum(map(len, parts)), digest=whole, segments=segments)
    with store.batch() as batch:
        for part in parts:
            batch.put(part)
        batch.put_recipe(whole, recipe.dump())
    return whole


def put_tree(store: BlobStore, files: dict[str, bytes]) -> str:
    """A tree of one shard, and its files."""
    with store.batch() as batch:
        named = {name: batch.put(data) for name, data in sorted(files.items())}
        lines = [f"{digest[3:]} {len(files[name])} 100644 {name}\n" for name, digest in named.items()]
        shard = batch.put("".join(["gitrepro tree-shard 1\n", *lines]).encode())
        size_bytes = sum(map(len, files.values()))
        head = f"gitrepro tree 1\nfiles {len(files)}\nsize {size_bytes}\n"
        return batch.put(f"{head}{shard[3:]} {len(files)} {size_bytes} {min(files)}\n".encode())


def plain_file(store: BlobStore, data: bytes) -> Path:
    """A blob in a file of its own, as a writer leaves it, without the time that it takes to make it durable."""
    path = store.path(digest_of([data]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o444)
    return path


def plain_pack(store: BlobStore, *blobs: bytes) -> Path:
    """A pack, likewise."""
    (store.root / "packs").mkdir(parents=True, exist_ok=True)
    pack = PackWriter(str(store.root / "packs" / f".new-{os.urandom(4).hex()}"))
    for blob in blobs:
        pack.add(raw(digest_of([blob])), blob)
    path = store.pack_path(pack.close()[0])
    Path(pack.path).rename(path)
    return path


def files_of(store: BlobStore) -> list[Path]:
    """Every blob's file, every pack and every recipe."""
    kinds = ("objects/??/*", "packs/*", "recipes/??/*")
    return sorted(path for kind in kinds for path in store.root.glob(kind))


def age(paths: Iterable[Path], *, days: float) -> None:
    """Let files be as old as if nobody had wanted them for so long."""
    then = time.time() - days * DAY
    for path in paths:
        os.utime(path, (then, then))


def age_all(store: BlobStore, *, days: float = 30) -> None:
    age(files_of(store), days=days)


def age_trash(store: BlobStore, *, days: float = 2) -> None:
    """Let what is in the trash have lain there for so long."""
    for number, folder in enumerate(sorted((store.root / "trash").glob("2*"))):
        then = time.gmtime(time.time() - days * DAY - number)
        folder.rename(folder.with_name(time.strftime("%Y%m%dT%H%M%SZ", then)))


def spoil(path: Path, *, at: int = 0) -> None:
    """Flip a byte."""
    path.chmod(0o644)
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0xFF]))


def truncate(path: Path, size_bytes: int) -> None:
    path.chmod(0o644)
    os.truncate(path, size_bytes)
