"""Whether the code tree of a run holds what Python imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from ..errors import GitreproError
from ..store.gitobjects import Entry, GitObjects, Tree

_GITLINK: Final = 0o160000


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Imported files that a tree does not hold, and those that it holds with other bytes.

    `beside` are not in the tree and as they were imported in the one of the ignored files that were kept.
    """

    missing: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    other: tuple[str, ...] = ()


@final
class Imports:
    """Looks imported files up in code trees; the runs of a claim mostly share one, so folders are kept."""

    def __init__(self, objects: GitObjects) -> None:
        self._objects = objects
        self._folders: dict[str, Tree] = {}

    def compare(self, code: Mapping[str, Any], *, ignored: str | None = None) -> Held:
        """What the `code` field of a run says was read, against the tree it names. No tree, no answer.

        Digests count and not the names in `modules`: libraries name files there that never were.

        Args:
            ignored: the tree of the files that Git ignores and the run kept.
        """
        root, digests = code.get("tree"), code.get("module_digests")
        if not isinstance(root, str) or not isinstance(digests, dict):
            return Held()
        try:
            found = {str(path): (self._entry(root, str(path)), digest) for path, digest in digests.items()}
            missing = [path for path, (entry, digest) in found.items() if entry is None and digest]
            kept = {path: self._entry(ignored, path) for path in missing} if ignored else {}
        except GitreproError:
            return Held()
        other = tuple(path for path, (entry, digest) in found.items() if entry and _differs(entry, digest))
        beside = tuple(path for path, entry in kept.items() if entry and not _differs(entry, found[path][1]))
        return Held(missing=tuple(path for path in missing if path not in beside), beside=beside, other=other)

    def _entry(self, root: str, path: str) -> Entry | None:
        *folders, name = path.split("/")
        for folder in folders:
            below = self._tree(root).get(folder)
            if below is None or below.mode == _GITLINK:
                # What a submodule holds is known to the submodule.
                return below
            if not below.is_tree:
                return None
            root = below.oid
        return self._tree(root).get(name)

    def _tree(self, oid: str) -> Tree:
        if oid not in self._folders:
            self._folders[oid] = self._objects.tree(oid)
        return self._folders[oid]


def _differs(entry: Entry, digest: object) -> bool:
    # Of the digests on record only Git's own can be held against a tree.
    return isinstance(digest, str) and len(digest) == 40 and entry.mode != _GITLINK and digest != entry.oid
