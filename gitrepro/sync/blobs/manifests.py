"""From a manifest that has come to what it names: so a tree is brought that nobody here knows yet."""

from __future__ import annotations

import re
from typing import Final

from ...errors import Damaged
from ...records.manifest import FOLDER, ShardRef
from ...store import trees
from ...store.objects import BlobStore

ROOT: Final = "root"
"""A blob that may be the manifest of a tree or of a split."""
SHARD: Final = "shard"
LEAF: Final = "leaf"
"""A blob that leads nowhere."""
_TREE: Final = b"gitrepro tree 1\n"
_SPLIT: Final = b"gitrepro split 1\n"
_DATA: Final = re.compile(rb"^data b3:([0-9a-f]{64})\n", re.MULTILINE)
_SPLIT_HEAD_BYTES: Final = 64 << 10


def named_by(store: BlobStore, digest: str, kind: str) -> dict[str, str]:
    """What a blob names that is here, and the kind of each; nothing, where it is no manifest, or a broken one."""
    try:
        if kind == SHARD:
            found = trees.read_shard(store, ShardRef(digest, 0, 0, b""))
            return {entry.digest: LEAF for entry in found if entry.mode != FOLDER}
        return _named_by_root(store, digest) if kind == ROOT else {}
    except Damaged:
        return {}  # who lays the tree out says what is wrong with it


def _named_by_root(store: BlobStore, digest: str) -> dict[str, str]:
    with store.open(digest) as reader:
        head = reader.read(_SPLIT_HEAD_BYTES) or b""
    if head.startswith(_TREE):
        return {ref.digest: SHARD for ref in trees.read_root(store, digest).shards}
    if head.startswith(_SPLIT):
        return {f"b3:{found[1].decode()}": ROOT for found in _DATA.finditer(head.partition(b"\npart ")[0] + b"\n")}
    return {}
