"""Which objects are ours to pack: what the run ref holds, the commits that keep code alive, snapshots."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ...errors import GitreproError
from .. import git
from ..fold import EMPTY_TREE, commit_parents
from ..gitobjects import GitObjects
from ..gitrefs import read_ref
from ..overlay import OVERLAY_TEXT
from ..repository import CODE_REF, RUNS_REF, Repository
from ..worktree import SNAPSHOT_TEXT

_TEXTS = {text.strip().encode() for text in (SNAPSHOT_TEXT, OVERLAY_TEXT)}


def tips_of(repository: Repository) -> dict[str, str]:
    """Where our refs are now."""
    found = {ref: read_ref(repository.common_dir, ref) for ref in (RUNS_REF, CODE_REF)}
    return {ref: tip for ref, tip in found.items() if tip}


def loose_of_ours(repository: Repository, tips: Mapping[str, str], packed: Mapping[str, str]) -> bytes:
    """Our objects that came after the tips `packed`, as `git pack-objects` reads them: a name, a path, a line each."""
    with GitObjects(repository.common_dir) as objects:
        code, snapshots = _code(objects, tips.get(CODE_REF), packed.get(CODE_REF))
        wanted = [*snapshots, *([tips[RUNS_REF]] if RUNS_REF in tips else [])]
        # A tip may be gone: the ref was begun anew.
        known = [tip for tip in packed.values() if objects.has(tip)]
        theirs = [parent for commit in snapshots for parent in commit_parents(objects.read(commit, "commit"))]
    lines = [*wanted, *(f"^{oid}" for oid in [*known, *theirs])]
    args = ["rev-list", "--objects", "--unpacked", "--exclude-promisor-objects", "--stdin"]
    listed = git.run(args, cwd=repository.common_dir, input="".join(f"{line}\n" for line in lines).encode())
    return "".join(f"{oid}\n" for oid in code).encode() + listed if wanted else b""


def _code(objects: GitObjects, tip: str | None, packed: str | None) -> tuple[list[str], list[str]]:
    """The commits of the code ref that came after `packed`, and the snapshots they keep. No commit of the user's."""
    ours, snapshots = [], []
    while tip and tip != packed:
        data = objects.read(tip, "commit")
        if not data.startswith(f"tree {EMPTY_TREE}\n".encode()):
            break
        ours.append(tip)
        parents = commit_parents(data)
        snapshots += [parent for parent in parents if _is_snapshot(objects, parent)]
        tip = parents[0] if parents else None
    return [*ours, EMPTY_TREE] if ours else [], snapshots


def _is_snapshot(objects: GitObjects, oid: str) -> bool:
    if not os.path.exists(objects.loose_path(oid)):
        return False  # in a pack already, and all it names with it
    try:
        return objects.read(oid, "commit").partition(b"\n\n")[2].strip() in _TEXTS
    except GitreproError:
        return False


def names_in(index: Path) -> list[str]:
    """The objects in a pack, by its index."""
    listed = git.run(["show-index"], cwd=index.parent, input=index.read_bytes())
    return [line.split()[1] for line in listed.decode("ascii").splitlines()]
