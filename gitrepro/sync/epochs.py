"""Purging: the history of the run ref begins anew, without what must not be in it.

Nothing else takes bytes out: a removed run is only off the list. The new history is one commit without parents, of an
epoch one higher, and its `format.yaml` names what was purged, so that no older clone brings it back.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ..errors import GitreproError, NotFound
from ..records import yaml
from ..records.result import load_result
from ..store import bulk, fs, rescue
from ..store.fold import Identity, commit_text, commit_tree, fold
from ..store.gitobjects import GitObjects
from ..store.gitrefs import list_refs
from ..store.lead import lead
from ..store.repository import RUNS_REF, Repository
from ..store.runs import RunTree
from . import coderef, stated
from .overlay import EMPTY_TREE, Overlay, Path

_TOKEN: Final = re.compile(rb"b3:[0-9a-f]{64}")
_COMMITS: Final = ("snapshot", "exact", "ignored_files")
"""Fields of a run's code that name commits of ours; `commit` is one of the user's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """What a purge takes out, and what of it stays elsewhere.

    Attributes:
        runs, results: the ids of what goes; `tags` are those of the results, which stay.
        events: how many facts that were added to them go too.
        files, size_bytes: what that is in Git.
        blobs: what they name in the store, where nothing is touched.
        shared: of a run's files, those that are byte for byte in other runs too, and stay with them.
        snapshots: commits of uncommitted code that go; `kept_snapshots` other runs name as well, and they stay.
        remotes: folders of the tracking refs of remotes that were last seen with one of the runs.
        epoch: that of the new history, as far as nobody else is quicker.
        commit: its only commit; None as long as nothing was done.
    """

    runs: tuple[str, ...]
    results: tuple[str, ...]
    tags: tuple[str, ...]
    events: int
    files: int
    size_bytes: int
    blobs: tuple[str, ...]
    shared: tuple[str, ...]
    snapshots: tuple[str, ...]
    kept_snapshots: tuple[str, ...]
    remotes: tuple[str, ...]
    epoch: int
    commit: str | None = None


def look(repository: Repository, run_ids: Sequence[str]) -> Purge:
    """What purging these runs would take out. Nothing is changed.

    Raises:
        NotFound: one of them is not on record.
        Damaged, TooNew: the tree of the run ref cannot be read.
    """
    with RunTree(repository) as tree:
        root = tree.tree
        missing = [run_id for run_id in run_ids if tree.run_tree(run_id) is None]
        if missing or root is None:
            raise NotFound(f"run {missing[0]} is not on record", do="`gitrepro ls --all` lists what is")
        cited = dict(_citing(tree, run_ids))
        trees = Overlay(tree.objects)
        gone = dict(_files(trees, root, [*run_ids, *cited]))
        kept = _kept(repository, root, gone)
        texts = [_text(tree.objects, oid) for path, oid in gone.items() if path.endswith(".yaml")]
        snapshots = _snapshots(tree.objects, gone)
        shared = _named(repository, kept, snapshots)
        return Purge(
            runs=tuple(run_ids),
            results=tuple(cited),
            tags=tuple(sorted(filter(None, cited.values()))),
            events=sum(path.startswith("events/") for path in gone),
            files=len(gone),
            size_bytes=sum(size for _, size in bulk.sizes(repository.common_dir, list(gone.values()))),
            blobs=tuple(sorted({token.decode() for text in texts for token in _TOKEN.findall(text)})),
            shared=tuple(sorted({path.rpartition("/")[2] for path, oid in gone.items() if oid in kept.values()})),
            snapshots=tuple(commit for commit in snapshots if commit not in shared),
            kept_snapshots=tuple(sorted(shared)),
            remotes=tuple(_remotes(repository, run_ids)),
            epoch=max(
                stated.epoch(trees, root) + 1,
                stated.least_epoch(stated.purged(trees, root) | {*run_ids, *cited}),
            ),
        )


def purge(repository: Repository, run_ids: Sequence[str], *, identity: Identity) -> Purge:
    """Begin the history of the run ref anew, without these runs and what hangs on them. It may be cut and repeated.

    With a run go the events about it, the results that cite it, what is kept of its journal, and the snapshot of its
    code where no other run names it. Remotes, other clones, tags and blobs stay as they are.

    Raises:
        NotFound: one of them is not on record.
        Damaged, TooNew: the tree of the run ref cannot be read.
        StorageError: the disk refuses, or the lock stays taken.
    """
    fold(repository, identity=identity)
    found = look(repository, run_ids)
    with GitObjects(repository.common_dir, restore=rescue.restorer(repository)) as objects:
        # The run ref last: cut before, the runs are still there to be purged again.
        coderef.drop(repository, objects, found.snapshots, identity=identity)
        _forget_copies(repository, found.runs)
        moved = lead(repository, RUNS_REF, _anew(objects, found, identity), objects=objects)
    return replace(found, commit=moved.after)


def _anew(objects: GitObjects, found: Purge, identity: Identity) -> Callable[[str | None], str | None]:
    def make(tip: str | None) -> str | None:
        root = commit_tree(objects.read(tip, "commit")) if tip else EMPTY_TREE
        trees = Overlay(objects)
        top = _without(trees, root, found)
        message = f"gitrepro: the history begins anew\n\nGitrepro-Format: 1\nGitrepro-Epoch: {found.epoch}\n"
        text = commit_text(top, [], identity.line(time.time()), message)
        return objects.write([*trees.made_for(top), ("commit", text)])[-1]

    return make


def _without(trees: Overlay, root: str, found: Purge) -> str:
    entry = trees.tree(root).get(stated.FILE)
    document: dict[str, Any] = stated.read(trees.blob(entry.oid)) if entry else {"format": stated.FORMAT, "epoch": 1}
    gone = sorted({*document.get("purged", ()), *found.runs, *found.results})
    epoch = max(document["epoch"] + 1, stated.least_epoch(gone))
    said = trees.put_blob(yaml.dump({**document, "epoch": epoch, "purged": gone}))
    return stated.without_purged(trees, trees.put({**trees.tree(root), stated.FILE: said}).oid)


def _forget_copies(repository: Repository, run_ids: Sequence[str]) -> None:
    """What is kept against a crash or a prune would bring the bytes back."""
    with fs.explained(f"cannot let go of copies in {repository.home}"):
        for run_id in run_ids:
            shutil.rmtree(repository.home / "done" / run_id, ignore_errors=True)
        if rescue.running_gc(repository) is None:
            for path in (repository.home / "rescue").glob("*"):
                fs.remove_quietly(path)


# -- what goes


def _citing(tree: RunTree, run_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The results that name one of the runs, each with its tag; one that cannot be read goes by its bytes."""
    for result_id in tree.result_ids():
        for name in ("result.yaml", "audit.yaml"):
            path = f"results/{result_id}/{name}"
            try:
                data = tree.read(path)
            except GitreproError:
                continue
            if any(run_id.encode() in data for run_id in run_ids):
                yield result_id, _tag(tree, result_id)
                break


def _tag(tree: RunTree, result_id: str) -> str:
    try:
        return load_result(tree.read(f"results/{result_id}/result.yaml"), source=result_id).tag
    except GitreproError:
        return ""


def _files(trees: Overlay, root: str, subjects: Sequence[str]) -> Iterator[tuple[str, str]]:
    for subject in subjects:
        for path in stated.paths_of(trees, root, subject):
            entry = trees.entry(root, path)
            if entry is not None:
                yield from _below(trees, path, entry.oid) if entry.is_tree else [("/".join(path), entry.oid)]


def _below(trees: Overlay, path: Path, oid: str) -> Iterator[tuple[str, str]]:
    for name, entry in trees.tree(oid).items():
        inside = (*path, name)
        yield from _below(trees, inside, entry.oid) if entry.is_tree else [("/".join(inside), entry.oid)]


def _kept(repository: Repository, root: str, gone: dict[str, str]) -> dict[str, str]:
    return {path: oid for path, oid in bulk.list_files(repository.common_dir, root) if path not in gone}


def _text(objects: GitObjects, oid: str) -> bytes:
    try:
        return objects.read(oid, "blob")
    except GitreproError:
        return b""


def _snapshots(objects: GitObjects, gone: dict[str, str]) -> list[str]:
    """The commits of ours that hold the code of these runs."""
    found: list[str] = []
    for path, oid in gone.items():
        if path.endswith("/run.yaml"):
            try:
                code = yaml.load(objects.read(oid, "blob")).get("code") or {}
            except GitreproError:
                continue
            found += [code[name] for name in _COMMITS if isinstance(code.get(name), str)]
    return list(dict.fromkeys(found))


def _named(repository: Repository, kept: dict[str, str], commits: Sequence[str]) -> set[str]:
    """Those of the commits that runs which stay name too."""
    wanted = [oid for path, oid in kept.items() if path.endswith("/run.yaml")] if commits else []
    texts = (data for data in bulk.blobs(repository.common_dir, wanted) if isinstance(data, bytes))
    return {commit for data in texts for commit in commits if commit.encode() in data}


def _remotes(repository: Repository, run_ids: Sequence[str]) -> Iterator[str]:
    seen = set()
    for ref, tip in list_refs(repository.common_dir, "refs/gitrepro-remotes/").items():
        name = ref.split("/")[2]
        if name not in seen and not ref.endswith(("/code", "/anchor")) and _has(repository, tip, run_ids):
            seen.add(name)
            yield name


def _has(repository: Repository, tip: str, run_ids: Sequence[str]) -> bool:
    try:
        with RunTree(repository, commit=tip) as tree:
            return any(tree.run_tree(run_id) for run_id in run_ids)
    except GitreproError:
        return False
