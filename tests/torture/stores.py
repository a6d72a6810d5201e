"""The judge of a content store: reads its files by what FORMAT.md says of them, and imports nothing of ours."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import blake3

from . import oracle

TOKEN = re.compile(rb"b3:[0-9a-f]{64}")
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


def judge(root: Path, promised: Iterable[str], *, strays: int = STALE_AT_MOST, idle_recipes: bool = True) -> list[str]:
    """What is wrong with a store: names with other bytes, promises that are not kept, temporaries beyond measure.

    Args:
        strays: how many temporaries may be left.
        idle_recipes: whether recipes must be whole that nobody was promised.
    """
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
    halves = sorted(recipes - found.keys()) if idle_recipes else []
    problems += [f"the recipe of {name[:15]} names what is not here" for name in halves]
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


# -- what the records of a repository need


def named(repo: Path) -> set[str]:
    """The blobs that records name, those of the queue included."""
    texts = [path.read_bytes() for path in sorted((repo / ".git" / "gitrepro" / "queue").glob("[!.]*"))]
    texts += [data for path, data in oracle.files(repo).items() if not path.endswith(".parquet")]
    return {token.decode() for text in texts for token in TOKEN.findall(text)}


def needed(root: Path, names: Iterable[str]) -> set[str]:
    """`names`, and all that those lead to: shards and files of trees, data of splits, pieces of files."""
    found = blobs(root)
    waiting, known = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in known:
            known.add(name)
            waiting += [*_led_to(found.get(name, b"")), *_pieces(root, name)]
    return known


def _led_to(data: bytes) -> list[str]:
    head, _, rest = data.partition(b"\n")
    if head == b"gitrepro split 1":
        return [rest[5:72].decode()]
    if head not in (b"gitrepro tree 1", b"gitrepro tree-shard 1"):
        return []
    lines = rest.splitlines()[2 if head == b"gitrepro tree 1" else 0 :]
    return [f"b3:{line[:64].decode()}" for line in lines]


def _pieces(root: Path, name: str) -> list[str]:
    path = root / "recipes" / name[3:5] / name[5:]
    return [f"b3:{line.split()[0]}" for line in path.read_text().splitlines()[3:-1]] if path.exists() else []


def judge_records(repo: Path, root: Path, *, excused: Iterable[str] = ()) -> list[str]:
    """What records need and the store lacks."""
    needs = needed(root, named(repo))
    lacking = needs - blobs(root).keys() - set(excused)
    return [f"{name[:15]} is needed by a record and is not here" for name in sorted(lacking)]


def tree(root: Path, name: str) -> dict[str, str]:
    """Path to name of the files of a tree. Raises KeyError where a part of it is missing."""
    found = blobs(root)
    shards = [found[shard] for shard in _led_to(found[name])]
    lines = [line.split(" ", 3) for shard in shards for line in shard.decode().splitlines()[1:]]
    return {path: f"b3:{digest}" for digest, _, _, path in lines}
