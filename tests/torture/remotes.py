"""The judge of a store remote: reads its files by what FORMAT.md says of them, and imports nothing of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import blake3

from .stores import ENTRY, TRAILER

TEMPORARIES_AT_MOST = 8
"""So many a writer of several threads may leave behind each time it is killed."""
Contents = Mapping[str, bytes]


def contents_of(folder: Path) -> dict[str, bytes]:
    """The keys of a store remote in a folder, and what lies under them."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {key: path.read_bytes() for key, path in found.items() if not key.startswith("incoming/")}


def temporaries(folder: Path) -> int:
    return sum(1 for _ in folder.glob("incoming/*"))


def blobs(contents: Contents) -> dict[str, bytes]:
    """Every blob by its name that a reader could find: as a file, by a table, by a recipe. Raises KeyError."""
    found = {f"b3:{_digest(key)}": data for key, data in contents.items() if key.startswith("objects/")}
    for key in contents:
        if key.startswith("index/"):
            found |= dict(_packed(contents, key))
    for key, data in contents.items():
        if key.startswith("recipes/"):
            found[f"b3:{_digest(key)}"] = b"".join(found[name] for name in _pieces(data))
    return found


def judge(contents: Contents, promised: Iterable[str] = (), *, twice_at_most: int = 1) -> list[str]:
    """What is wrong: names with other bytes, names of what is not there, promises that are not kept, blobs twice.

    Args:
        twice_at_most: in so many packs a blob may lie: those who send at once do not know of each other.
    """
    try:
        found = blobs(contents)
    except KeyError as error:
        return [f"something names what is not there: {error}"]
    problems = [
        f"{name[:15]} has other bytes than its name says" for name, data in found.items() if not _is(name, data)
    ]
    problems += [f"{name[:15]} was promised and is not there" for name in promised if name not in found]
    problems += [f"{key} names {name[:40]}, which is not there" for key, name in _led_to(contents)]
    packed = [name for key in contents if key.startswith("index/") for name, _ in _packed(contents, key)]
    problems += [
        f"{name[:15]} lies in {packed.count(name)} packs" for name in {*packed} if packed.count(name) > twice_at_most
    ]
    return problems


def _packed(contents: Contents, key: str) -> Iterable[tuple[str, bytes]]:
    pack, table = contents[key.replace("index/", "packs/").replace(".idx", ".pack")], contents[key]
    if not pack.startswith(b"gRpack1\n") or not pack.endswith(table) or not _names(key, table):
        raise KeyError(f"a whole pack of {key}")
    for name, offset, size_bytes in ENTRY.iter_unpack(table[: -TRAILER.size]):
        yield f"b3:{name.hex()}", pack[offset : offset + size_bytes]


def _names(key: str, table: bytes) -> bool:
    rows, trailer = table[: -TRAILER.size], table[-TRAILER.size :]
    count, name, end = TRAILER.unpack(trailer)
    sound = end == b"gRpend1\n" and count * ENTRY.size == len(rows) and blake3.blake3(rows).digest() == name
    return bool(sound and key == f"index/{name.hex()}.idx")


def _led_to(contents: Contents) -> Iterable[tuple[str, str]]:
    """What roots name that is not there."""
    places = {"pack": "index/{}.idx", "object": "objects/{}/{}", "recipe": "recipes/{}/{}"}
    for key, data in contents.items():
        for line in data.decode().splitlines() if key.startswith("roots/") else ():
            kind, _, name = line.partition(" ")
            parts = (name,) if kind == "pack" else (name[:2], name[2:])
            if kind in places and places[kind].format(*parts) not in contents:
                yield key, line


def _pieces(recipe: bytes) -> list[str]:
    return [f"b3:{line.split()[0].decode()}" for line in recipe.splitlines()[3:-1]]


def _digest(key: str) -> str:
    return "".join(key.split("/")[1:])


def _is(name: str, data: bytes) -> bool:
    return f"b3:{blake3.blake3(data).hexdigest()}" == name
