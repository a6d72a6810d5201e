"""Many Git objects at once, by one `git` process: what a tree holds, how two differ, the bytes of blobs.

A process costs milliseconds and an object then microseconds; one at a time it is the other way round. What comes back
is hashed here, as everywhere.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from ..errors import GitreproError
from . import git
from .gitobjects import GitObjects, decode_tree, name_of

_GONE = "0" * 40
# Said, and not left to Git to find: from a folder that it cannot read for a moment it looks in the one above, where the
# same words mean another part of the tree.
_HERE = ("--git-dir=.",)


def list_files(common_dir: Path, root: str) -> Iterator[tuple[str, str]]:
    """Every file below a tree or commit: path and object.

    Raises:
        ChildFailed: Git cannot read all of it.
    """
    for entry in _entries(
        git.run([*_HERE, "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", root], cwd=common_dir)
    ):
        meta, _, path = entry.partition("\t")
        yield path, meta.split()[2]


def changed_files(common_dir: Path, old: str, new: str) -> Iterator[tuple[str, str | None]]:
    """Files that differ between two trees or commits: path and new object, None where there is none any more.

    Raises:
        ChildFailed: Git cannot read all of it.
    """
    args = [*_HERE, "diff-tree", "-r", "-z", "--no-renames", "--end-of-options", old, new]
    fields = _entries(git.run(args, cwd=common_dir))
    for meta, path in zip(fields, fields, strict=True):
        oid = meta.split()[3]
        yield path, None if oid == _GONE else oid


def _entries(listed: bytes) -> Iterator[str]:
    return iter(listed.decode("utf-8", "surrogateescape").split("\0")[:-1])


def folders(common_dir: Path, root: str, paths: Sequence[str]) -> Iterator[dict[str, str]]:
    """What stands in each of the folders `paths` below `root`: names and objects; nothing where there is no folder."""
    for _, kind, data in _read(common_dir, [f"{root}:{path}" for path in paths]):
        yield {name: entry.oid for name, entry in decode_tree(data).items()} if kind == "tree" else {}


def sizes(common_dir: Path, oids: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The kind and the bytes of each object, in the order asked for; `("", 0)` where there is none."""
    with tempfile.TemporaryFile() as request:
        request.write("".join(f"{oid}\n" for oid in oids).encode())
        request.seek(0)
        with git.answering([*_HERE, "cat-file", "--batch-check", "--buffer"], cwd=common_dir, stdin=request) as answers:
            for _ in oids:
                head = answers.readline().decode("ascii", "replace").split()
                yield (head[1], int(head[2])) if len(head) == 3 and head[2].isdigit() else ("", 0)


def blobs(common_dir: Path, oids: Sequence[str]) -> Iterator[bytes | GitreproError]:
    """The bytes of each blob, in the order asked for; where one cannot be had, the error that says why."""
    start = 0
    while start < len(oids):
        for oid, kind, data in _read(common_dir, oids[start:]):
            yield data if kind == "blob" and name_of("blob", data) == oid else _trouble(common_dir, oid)
            start += 1
        if start < len(oids):
            # Git gives up at the first object that is damaged in its eyes; we go on behind it.
            yield _trouble(common_dir, oids[start])
            start += 1


def _trouble(common_dir: Path, oid: str) -> bytes | GitreproError:
    with GitObjects(common_dir) as objects:
        try:
            return objects.read(oid, "blob")
        except GitreproError as error:
            return error


def _read(common_dir: Path, names: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    """Each object by name: the name, its kind (empty where there is none), its bytes. Ends early where Git does."""
    with tempfile.TemporaryFile() as request:
        request.write("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))
        request.seek(0)
        with git.answering([*_HERE, "cat-file", "--batch", "--buffer"], cwd=common_dir, stdin=request) as answers:
            for name in names:
                found = _next(answers)
                if found is None:
                    return
                yield name, *found


def _next(answers: IO[bytes]) -> tuple[str, bytes] | None:
    head = answers.readline().split()
    if not head or len(head) == 2 or not head[-1].isdigit():
        return ("", b"") if head else None  # "<name> missing"
    size = int(head[2])
    data = answers.read(size + 1)
    return (head[1].decode("ascii"), data[:-1]) if len(data) == size + 1 else None
