"""What a run, or a version of a data set, names: each with its proof."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ...errors import BlobMissing, ChildFailed, Damaged, GitreproError
from ...records.run import RunRecord
from .. import bulk, git
from ..objects import BlobStore
from ..repository import Repository
from ..runs import RunTree
from .checker import FETCH, Checker
from .proof import DAMAGED, FAST, HASH, NOT_AVAILABLE, OK, Proof, worst

_DIGEST: Final = re.compile("b3:[0-9a-f]{64}")
_COMMIT: Final = re.compile("[0-9a-f]{40}")
_LISTED: Final = re.compile(rb"[0-9]{6} blob ([0-9a-f]{40})\t")
_KINDS: Final = {"output": "output", "metrics": "metric table", "output-file": "file"}
_CODE: Final = ("commit", "snapshot")
_PUT_BACK: Final = "put back what lay there; `run.checkpoint(path=..., copy=True)` keeps a copy of the next one"


@dataclass(frozen=True, slots=True)
class Lying:
    """A place on this machine where the bytes of a data set lay, and how it was made up of them."""

    path: Path
    follow: bool = False
    ignore: tuple[str, ...] = ()


Places = Callable[[str], Sequence[Lying]]


def _nowhere(_digest: str) -> Sequence[Lying]:
    return ()


def verify_run(
    repository: Repository,
    store: BlobStore,
    run_id: str,
    level: str = HASH,
    *,
    places: Places = _nowhere,
    checker: Checker | None = None,
) -> list[Proof]:
    """Look at every byte that a run names: its record and its code in Git, its data, splits, checkpoints, artifacts.

    Args:
        level: FAST or HASH.
        places: where a data set that was not copied into the store lies on this machine.
        checker: that of the command, so that what several runs name is looked at once.

    Raises:
        NotFound: there is no such run.
        Damaged: its record cannot be read.
    """
    look = checker or Checker(store, level=level)
    with RunTree(repository) as tree:
        record = tree.run(run_id)
        proofs = [_record(tree, run_id)]
    proofs += _code(repository, record, level)
    for what, entry in _data(record):
        proofs.append(verify_data(repository, look, what, entry, places=places))
    proofs += [_stored(look, what, entry) for what, entry in _blobs(record)]
    return _once(proofs)


def verify_data(
    repository: Repository, look: Checker, what: str, entry: Mapping[str, Any], *, places: Places = _nowhere
) -> Proof:
    """Look at a data set: in the store, or, when it was not copied, where it lies."""
    digest = str(entry["digest"])
    if not _DIGEST.fullmatch(digest):
        return Proof(what=what, digest=digest, size_bytes=None, state=DAMAGED, why="the record names no blob")
    if not entry.get("linked"):
        return look.tree(what, digest)
    top = look.blob(digest)
    if top.state != OK:
        return look.proof(what, digest, replace(top, why=f"the list of its files: {top.why}"))
    return _in_place(repository, look, what, entry, places(digest))


def verify_blob(look: Checker, digest: str) -> Proof:
    """Look at one blob; at all its files, where it is a tree."""
    looked = look.blob(digest)
    if looked.state == OK and _is_tree(look.store, digest):
        return look.tree("tree", digest)
    return look.proof("blob", digest, looked)


def _is_tree(store: BlobStore, digest: str) -> bool:
    with store.open(digest) as reader:
        return bool(re.match(rb"gitrepro tree [0-9]+\n", reader.read(64) or b""))


# -- where it lies


def _in_place(
    repository: Repository, look: Checker, what: str, entry: Mapping[str, Any], lying: Sequence[Lying]
) -> Proof:
    digest, size_bytes = str(entry["digest"]), entry.get("size_bytes")
    do = "`gitrepro data add` of the same files, where they are now"
    there = [each for each in lying if each.path.exists()]
    if not there:
        why = f"it was not copied, and is no more at {lying[0].path}" if lying else "it was not copied into the store"
        return Proof(what=what, digest=digest, size_bytes=size_bytes, state=NOT_AVAILABLE, why=why, do=do)
    proofs = [_compared(repository, look, what, digest, size_bytes, each) for each in there]
    return min(proofs, key=lambda proof: (proof.state != OK, proof.state != DAMAGED))


def _compared(
    repository: Repository, look: Checker, what: str, digest: str, size_bytes: int | None, lying: Lying
) -> Proof:
    from ..restore import compare_tree
    from ..statcache import StatCache

    proof = Proof(what=f"{what}, at {lying.path}", digest=digest, size_bytes=size_bytes, state=OK)
    try:
        cache = StatCache.of(repository)
        found = compare_tree(look.store, cache, digest, lying.path, how="stat" if look.level == FAST else "full")
    except BlobMissing as error:
        return replace(proof, state=NOT_AVAILABLE, why=str(error), do=FETCH)
    except (GitreproError, OSError) as error:
        return replace(proof, state=DAMAGED, why=str(error))
    do = "put back what it was, or `gitrepro data add` it as a new version"
    if found.changed:
        return replace(proof, state=DAMAGED, why=_files("changed", found.changed), do=do)
    if found.missing:
        return replace(proof, state=NOT_AVAILABLE, why=_files("gone", found.missing), do=do)
    return proof


def _files(how: str, paths: Iterable[Any]) -> str:
    named = [_path_of(each) for each in paths]
    more = ", ..." if len(named) > 3 else ""
    return f"{len(named):,} {'file' if len(named) == 1 else 'files'} {how}: {', '.join(named[:3])}{more}"


def _path_of(each: Any) -> str:
    path = getattr(each, "path", each)
    return path.decode(errors="replace") if isinstance(path, bytes) else str(path)


# -- what a run names


def _data(record: RunRecord) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for entry in record.data:
        if isinstance(entry, dict) and entry.get("digest"):
            yield f"data {_ref(entry)}", entry


def _ref(entry: Mapping[str, Any]) -> str:
    return "@".join(str(part) for part in (entry.get("name"), entry.get("version")) if part) or "?"


def _blobs(record: RunRecord) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for data in record.data:
        for split in (data.get("splits") or ()) if isinstance(data, dict) else ():
            yield f"split {_ref(split)} of {data.get('name')}", {"blob": split.get("digest")}
    for entry in record.fitted:
        if entry.get("blob"):
            yield f"fitted {entry.get('name')}", {"blob": entry["blob"]}
    for entry in record.checkpoints:
        if isinstance(entry, dict):
            yield _checkpoint(entry), entry
    for entry in record.artifacts:
        yield _artifact(entry), entry
    yield from _predictions(record)


def _predictions(record: RunRecord) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Those of evaluations that are no artifact any more, as another of their name took the place."""
    known = {entry.get("blob") for entry in record.artifacts}
    for entry in record.evaluations:
        if entry.get("predictions") not in known:
            named = {"blob": entry.get("predictions"), "size_bytes": entry.get("size_bytes")}
            yield f"predictions of evaluation {entry.get('name')}", named


def _checkpoint(entry: Mapping[str, Any]) -> str:
    named = entry.get("name") or ("" if entry.get("step") is None else f"step-{entry['step']}")
    roles = ", ".join(map(str, entry.get("roles") or ()))
    return f"checkpoint {named or '?'}{f' ({roles})' if roles else ''}"


def _artifact(entry: Mapping[str, Any]) -> str:
    kind = {"output": "output", "metrics": "metric table", "output-file": "file"}.get(
        str(entry.get("kind")), "artifact"
    )
    return f"{kind} {entry.get('name')}"


def _stored(look: Checker, what: str, entry: Mapping[str, Any]) -> Proof:
    digest = str(entry.get("blob"))
    if not _DIGEST.fullmatch(digest):
        return Proof(what=what, digest=digest, size_bytes=None, state=DAMAGED, why="the record names no blob")
    size_bytes = entry.get("size_bytes")
    if entry.get("files") is not None or entry.get("kind") in ("folder", "tree"):
        return look.tree(what, digest)
    path = entry.get("path")
    looked = look.blob(digest, size_bytes)
    if looked.state == NOT_AVAILABLE and isinstance(path, str):
        return _adopted(what, digest, size_bytes, Path(path), level=look.level)
    return look.proof(what, digest, looked)


def _adopted(what: str, digest: str, size_bytes: int | None, path: Path, *, level: str) -> Proof:
    """A file that was recorded where it lies, and not copied."""
    from ..objects import copying

    proof = Proof(what=f"{what}, at {path}", digest=digest, size_bytes=size_bytes, state=OK)
    gone = "it was not copied into the store, and is no more where it was"
    changed = "it was not copied into the store, and has other bytes now"
    try:
        with open(copying.open_source(path), "rb", buffering=0) as reader:
            found = reader.seek(0, 2)
            if size_bytes in (None, found) and level == FAST:
                return replace(proof, size_bytes=found)
            reader.seek(0)
            fine = size_bytes in (None, found) and f"b3:{copying.hashed(reader.fileno()).hash.hex()}" == digest
    except (FileNotFoundError, NotADirectoryError):
        return replace(proof, state=NOT_AVAILABLE, why=gone, do=_PUT_BACK)
    except (GitreproError, OSError) as error:
        return replace(proof, state=NOT_AVAILABLE, why=str(error), do=FETCH)
    return replace(proof, size_bytes=found) if fine else replace(proof, state=DAMAGED, why=changed, do=_PUT_BACK)


def _once(proofs: Iterable[Proof]) -> list[Proof]:
    return list({(proof.what, proof.digest): proof for proof in proofs}.values())


# -- Git


def _record(tree: RunTree, run_id: str) -> Proof:
    """The files of the record: Git's own names prove them."""
    oid = tree.run_tree(run_id) or ""
    size_bytes, wrong = 0, []
    for name, entry in sorted(tree.run_files(run_id).items()):
        try:
            size_bytes += len(tree.objects.read(entry.oid, "blob"))
        except GitreproError as error:
            wrong.append(f"{name}: {error}")
    state = DAMAGED if wrong else OK
    do = "`gitrepro recover` writes again what is kept; a clone may have the rest" if wrong else ""
    return Proof(what="record", digest=oid, size_bytes=size_bytes, state=state, why="; ".join(wrong[:3]), do=do)


def _code(repository: Repository, record: RunRecord, level: str) -> Iterator[Proof]:
    for name in _CODE:
        commit = str((record.code or {}).get(name) or "")
        if _COMMIT.fullmatch(commit):
            yield _commit(repository, f"code, {name}", commit, level)


def _commit(repository: Repository, what: str, commit: str, level: str) -> Proof:
    proof = Proof(what=what, digest=commit, size_bytes=None, state=OK)
    do = "`git fetch` it from a clone that has it"
    args = ["--git-dir=.", "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit]
    try:
        listed = git.run(args, cwd=repository.common_dir)
    except ChildFailed as error:
        return replace(proof, state=NOT_AVAILABLE, why=error.why, do=do)
    if level == FAST:
        return proof
    size_bytes, states, why = 0, [OK], ""
    oids = list(dict.fromkeys(found[1].decode() for found in _LISTED.finditer(listed)))
    for data in bulk.blobs(repository.common_dir, oids):
        if isinstance(data, GitreproError):
            states.append(DAMAGED if isinstance(data, Damaged) else NOT_AVAILABLE)
            why = why or str(data)
        else:
            size_bytes += len(data)
    state = worst(states)
    return replace(proof, size_bytes=size_bytes, state=state, why=why, do="" if state == OK else do)
