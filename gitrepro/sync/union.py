"""The union of two trees of the run ref: what all who recorded agree on, in whatever order they hear of each other.

No common ancestor is needed, so a shallow clone merges as well as any. Union is commutative, associative and
idempotent: who pulls from whom, and how often, makes no difference to the tree that all end with.

Records are written once. Where two sides hold different bytes at one path all the same, both stay: the higher object
name stands at the path, each other one at `<name>~<first 8 digits of its object name>`. A run is one record, its folder
is not mixed with another: results cite the name of that tree.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, final

from ..store.gitobjects import Entry, GitObjects, Tree
from . import stated
from .overlay import EMPTY_TREE, Made, Overlay, Path

_COPY: Final = re.compile(r"(.+)~([0-9a-f]{8,40})", re.DOTALL)
_SHORT: Final = 8
_RUN_DEPTH: Final = 4
"""How many folders stand above that of a run: `runs/x/y/z`."""

Claims = dict[str, set[Entry]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Union:
    """The tree that holds both sides, the objects to write before it is named, and the paths that are there twice."""

    tree: str
    made: Made
    conflicts: tuple[str, ...] = ()


def union(objects: GitObjects, ours: str | None, theirs: str | None) -> Union:
    """The union of two trees of the run ref, of which either may be missing. Nothing is written.

    What either side has purged is not in it.

    Raises:
        NotFound, Damaged: a folder that the two sides have in different states cannot be read.
    """
    return united(Overlay(objects), ours, theirs)


def epoch(objects: GitObjects, tree: str | None) -> int:
    """How often the history of the tree was begun anew: 1 is never; 0 where there is no tree.

    Raises:
        Damaged: `format.yaml` does not say. TooNew: the tree is laid out in a way of later.
    """
    return stated.epoch(Overlay(objects), tree)


def purged(objects: GitObjects, tree: str | None) -> frozenset[str]:
    """The ids of runs and results that were taken out of the history: nobody is to bring them back."""
    return stated.purged(Overlay(objects), tree)


def ours_only(
    objects: GitObjects, ours: str | None, known: str | None, *, purged: Collection[str] = ()
) -> dict[str, Entry]:
    """The files, by path, that the tree `ours` has and `known` has not, but those of runs and results in `purged`.

    `format.yaml` is none of them: the tree that they are put into has its own.
    """
    if ours is None:
        return {}
    return {
        path: entry
        for path, entry in objects.changed(known, ours)
        if path != stated.FILE and not stated.is_of(path.split("/"), purged)
    }


def carried(objects: GitObjects, onto: str, ours: str | None, known: str | None) -> Union:
    """The tree `onto`, of a later epoch, with what is ours alone: in `ours`, not in `known`, and not purged.

    `known` is what the remote was last seen with: what it had then and has not now was taken away on purpose. Nothing
    is written.
    """
    wanted = ours_only(objects, ours, known)
    if not wanted:
        return Union(tree=onto, made=[])
    trees = Overlay(objects)
    top, made = objects.graft(None, wanted)
    trees.learn(made)
    return united(trees, onto, top)


def united(trees: Overlay, ours: str | None, theirs: str | None) -> Union:
    """As `union`, of trees that may not be written yet."""
    merger = _Merger(trees)
    top = stated.without_purged(trees, merger.root(ours, theirs))
    return Union(tree=top, made=trees.made_for(top), conflicts=tuple(sorted(merger.conflicts)))


@final
class _Merger:
    def __init__(self, trees: Overlay) -> None:
        self._trees = trees
        self.conflicts: list[str] = []

    def root(self, ours: str | None, theirs: str | None) -> str:
        if ours is None or theirs is None or ours == theirs:
            return ours or theirs or EMPTY_TREE
        mine, other = self._trees.tree(ours), self._trees.tree(theirs)
        said = stated.join(self._trees, mine.get(stated.FILE), other.get(stated.FILE))
        merged = self._names(_but_stated(mine), _but_stated(other), ())
        return self._trees.put(merged | ({stated.FILE: said} if said else {})).oid

    def _folder(self, mine: Entry | None, other: Entry | None, path: Path) -> Entry:
        if mine is None or other is None or mine == other:
            found = mine or other
            assert found is not None
            return found
        return self._trees.put(self._names(self._trees.tree(mine.oid), self._trees.tree(other.oid), path))

    def _names(self, mine: Tree, other: Tree, path: Path) -> Tree:
        whole = len(path) == _RUN_DEPTH and path[0] == "runs"
        files, folders = _claims(mine, whole=whole)
        their_files, their_folders = _claims(other, whole=whole)
        merged = {
            name: self._folder(folders.get(name), their_folders.get(name), (*path, name))
            for name in folders.keys() | their_folders.keys()
        }
        joined = _joined(files, their_files)
        for base, claims in joined.items():
            sides = [
                (held.get(base), base in inside) for held, inside in ((files, folders), (their_files, their_folders))
            ]
            if (len(claims) > 1 or base in merged) and sides[0] != sides[1]:
                self.conflicts.append("/".join((*path, base)))
        return _laid_out(joined, merged)


def _but_stated(tree: Tree) -> Tree:
    # Of what the tree says of itself there is one, and none stands aside.
    return {name: entry for name, entry in tree.items() if base_of(name, entry.oid) != stated.FILE}


# -- several records at one path


def base_of(name: str, oid: str) -> str:
    """The name that an object claims: its own, without the `~<digits>` by which it stands aside."""
    while (copy := _COPY.fullmatch(name)) and oid.startswith(copy[2]):
        name = copy[1]
    return name


def _claims(tree: Tree, *, whole: bool) -> tuple[Claims, Tree]:
    """Who claims which name, and the folders that are merged. With `whole`, folders are claims as files are."""
    files: Claims = {}
    folders: Tree = {}
    for name, entry in tree.items():
        if entry.is_tree and not whole:
            folders[name] = entry
        else:
            files.setdefault(base_of(name, entry.oid), set()).add(entry)
    return files, folders


def _joined(mine: Claims, other: Claims) -> Claims:
    return {base: mine.get(base, set()) | other.get(base, set()) for base in mine.keys() | other.keys()}


def _laid_out(claims: Claims, folders: Tree) -> Tree:
    """Each claim under a name that `base_of` reads as the same claim again: a function of what is claimed alone."""
    tree = dict(folders)
    aside: list[tuple[str, str, int]] = []
    for base, entries in claims.items():
        ordered = sorted((base, entry.oid, entry.mode) for entry in entries)
        if base not in folders:
            _, oid, mode = ordered.pop()
            tree[base] = Entry(mode, oid)
        aside += ordered
    for base, oid, mode in sorted(aside):
        tree[_free(tree, base, oid)] = Entry(mode, oid)
    return tree


def _free(tree: Tree, base: str, oid: str) -> str:
    name = f"{base}~{oid[:_SHORT]}"
    # Taken by an object whose name begins alike, or by something that somebody called so.
    while name in tree:
        name = base = f"{base}~{oid}"
    return name
