"""The judge of a content store: reads its files by what FORMAT.md says of them, and imports nothing of ours."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import blake3

ENTRY = struct.Struct(">32sQI")
TRAILER = struct.Struct(">Q32s8s")
STALE_AT_MOST = 1
"""Temporary folders that one kill may leave."""


def blobs(root: Path) -> dict[str, bytes]:
    """Every blob of a store by its name; of a recipe, the pieces put together."""
    found = {name: data for name, data, _ in plain(root)}
    for path in sorted(root.glob("recipes/??/*")):
        lines = path.read_text().splitlines()
        pieces = [line.split() for line in lines[3:-1]]
        if all(f"b3:{piece[0]}" in found for piece in pieces):
            found[f"b3:{path.parent.name}{path.name}"] = b"".join(found[f"b3:{piece[0]}"] for piece in pieces)
    return found


def plain(root: Path) -> Iterator[tuple[str, bytes, Path]]:
    """What has a file of its own, and what lies in packs: name, bytes, file."""
    for path in sorted(root.glob("objects/??/*")):
        yield f"b3:{path.parent.name}{path.name}", path.read_bytes(), path
    for path in sorted(root.glob("packs/*.pack")):
        data = path.read_bytes()
        count, _, _ = TRAILER.unpack(data[-TRAILER.size :])
        table = data[-TRAILER.size - count * ENTRY.size : -TRAILER.size]
        for name, offset, size_bytes in ENTRY.iter_unpack(table):
            yield f"b3:{name.hex()}", data[offset : offset + size_bytes], path


def judge(root: Path, promised: Iterable[str], *, strays: int = STALE_AT_MOST) -> list[str]:
    """What is wrong with a store: names with other bytes, promises that are not kept, temporaries beyond measure."""
    problems = []
    for path in sorted(root.glob("packs/*")):
        problems += _pack(path)
    try:
        found = blobs(root)
    except (struct.error, IndexError, ValueError) as error:
        return [*problems, f"the store cannot be read: {error!r}"]
    problems += [
        f"{name[:15]} has other bytes than its name says"
        for name, data in found.items()
        if f"b3:{blake3.blake3(data).hexdigest()}" != name
    ]
    recipes = {f"b3:{path.parent.name}{path.name}" for path in root.glob("recipes/??/*")}
    problems += [f"the recipe of {name[:15]} names what is not here" for name in sorted(recipes - found.keys())]
    problems += [f"{name[:15]} was promised and is not here" for name in promised if name not in found]
    left = [path.name for path in root.glob("incoming/*")]
    if len(left) > strays:
        problems.append(f"{len(left)} temporaries are left")
    return problems


def _pack(path: Path) -> list[str]:
    data = path.read_bytes()
    if len(data) < 8 + TRAILER.size or not data.startswith(b"gRpack1\n"):
        return [f"{path.name} is no pack"]
    count, name, end = TRAILER.unpack(data[-TRAILER.size :])
    table = data[-TRAILER.size - count * ENTRY.size : -TRAILER.size]
    sound = end == b"gRpend1\n" and blake3.blake3(table).digest() == name and path.name == f"{name.hex()}.pack"
    return [] if sound else [f"{path.name} is not whole"]
