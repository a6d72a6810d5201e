"""Trees of a repository and beside them trees that are not written yet: what a merge is thought out on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, final

from ..store.gitobjects import FILE_MODE, TREE_MODE, Entry, GitObjects, Tree, decode_tree, encode_tree, name_of

EMPTY_TREE: Final = name_of("tree", b"")

Path = tuple[str, ...]
Made = list[tuple[str, bytes]]


@final
class Overlay:
    """Objects that were thought of, on top of those that are there. Nothing is written here."""

    def __init__(self, objects: GitObjects) -> None:
        self._objects = objects
        self._made: dict[str, tuple[str, bytes]] = {EMPTY_TREE: ("tree", b"")}

    def tree(self, oid: str) -> Tree:
        """The names in a tree; not to be changed. Raises as `GitObjects.tree` does."""
        made = self._made.get(oid)
        return decode_tree(made[1], oid=oid) if made else self._objects.tree(oid)

    def put(self, tree: Tree) -> Entry:
        """A tree with these names, to be written if it is wanted in the end."""
        return Entry(TREE_MODE, self._put("tree", encode_tree(tree)))

    def put_blob(self, data: bytes) -> Entry:
        return Entry(FILE_MODE, self._put("blob", data))

    def blob(self, oid: str) -> bytes:
        made = self._made.get(oid)
        return made[1] if made else self._objects.read(oid, "blob")

    def learn(self, made: Iterable[tuple[str, bytes]]) -> None:
        """Objects, as kind and content, that somebody else thought of."""
        for kind, data in made:
            self._put(kind, data)

    def _put(self, kind: str, data: bytes) -> str:
        oid = name_of(kind, data)
        self._made[oid] = (kind, data)
        return oid

    def entry(self, root: str, path: Path) -> Entry | None:
        """What stands at `path` below the tree `root`, or None."""
        found: Entry | None = Entry(TREE_MODE, root)
        for name in path:
            if found is None or not found.is_tree:
                return None
            found = self.tree(found.oid).get(name)
        return found

    def without(self, root: str, paths: Iterable[Path]) -> str:
        """The tree `root` without what stands at these paths. A folder that this leaves empty goes too."""
        tree = dict(self.tree(root))
        below: dict[str, list[Path]] = {}
        for name, *rest in paths:
            if rest:
                below.setdefault(name, []).append(tuple(rest))
            else:
                tree.pop(name, None)
        for name, inner in below.items():
            entry = tree.get(name)
            if entry is not None and entry.is_tree:
                oid = self.without(entry.oid, inner)
                if oid == EMPTY_TREE:
                    del tree[name]
                else:
                    tree[name] = Entry(TREE_MODE, oid)
        return self.put(tree).oid

    def made_for(self, root: str) -> Made:
        """What of the thought-out objects the tree `root` needs, what is named before what names it."""
        return list(self._needed(root, set()))

    def _needed(self, oid: str, seen: set[str]) -> Iterator[tuple[str, bytes]]:
        made = self._made.get(oid)
        if made is None or oid in seen:
            return
        seen.add(oid)
        for entry in decode_tree(made[1]).values() if made[0] == "tree" else ():
            yield from self._needed(entry.oid, seen)
        yield made
