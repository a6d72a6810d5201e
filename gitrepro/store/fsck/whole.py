"""Every blob of a store, the tables of its packs, and its index. It may be stopped, and goes on where it was."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...errors import BlobMissing, Damaged, GitreproError
from ..gc import Old
from ..gc.looking import seen
from ..objects import BlobStore
from ..objects import recipes as pieces
from . import packs
from .checker import AGAIN, FETCH, mend_index
from .memory import Memory
from .packs import Finding
from .proof import DAMAGED, NOT_AVAILABLE, worst

Told = Callable[[int, int], None]
_CHUNK_BYTES: Final = 1 << 20
_REMEMBERED_SECONDS: Final = 2.0


@dataclass(slots=True)
class Report:
    """What a look at a whole store found. `before` were looked at earlier in this round; `complete` says it is over."""

    began: float = 0.0
    files: int = 0
    looked: int = 0
    before: int = 0
    looked_bytes: int = 0
    complete: bool = False
    findings: list[Finding] = field(default_factory=list)
    strays: list[Path] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        return worst(finding.state for finding in self.findings)


def verify_store(
    store: BlobStore,
    *,
    limit_seconds: float | None = None,
    progress: Told = lambda *_: None,
    clock: Callable[[], float] = time.time,
) -> Report:
    """Look at every file of a store. What was found sound in a round is not looked at again before it is over.

    Args:
        limit_seconds: stop after so long; the next call goes on.
        progress: is told how many of how many bytes were looked at.
    """
    started = clock()
    memory = Memory(store.root, now=started)
    report = Report(began=memory.began)
    if mend_index(store, thorough=True):
        report.mended.append("the index of the packs was damaged, and is made again")
    try:
        until = float("inf") if limit_seconds is None else started + limit_seconds
        _look(store, report, memory, until, progress, clock)
    finally:
        memory.close()
    return report


def _look(
    store: BlobStore, report: Report, memory: Memory, until: float, progress: Told, clock: Callable[[], float]
) -> None:
    todo = list(_files(store, report))
    total = sum(old.size_bytes for old in todo)
    report.files = len(todo)
    done = 0
    saved = clock()
    for old in todo:
        if memory.knows(old):
            report.before += 1
        elif clock() > until:
            return
        else:
            if _is_sound(store, old, report):
                memory.sound(old, now=clock())
            report.looked += 1
            report.looked_bytes += old.size_bytes
            if clock() - saved > _REMEMBERED_SECONDS:
                memory.commit()
                saved = clock()
        done += old.size_bytes
        progress(done, total)
    if packs.mend(store):
        report.mended.append("the index did not say what the packs hold, and is made again")
    report.complete = True
    memory.end()


def _files(store: BlobStore, report: Report) -> Iterator[Old]:
    """Blobs, then packs, then recipes; what does not belong there is told."""
    for kind, depth in (("objects", 2), ("packs", 1), ("recipes", 2)):
        for path in _below(store.root / kind, depth):
            if not packs.is_named(path, kind):
                report.strays.append(path)
            else:
                yield seen(path) or Old(path, 0, 0)


def _below(place: Path, depth: int) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(place))
    except FileNotFoundError:
        return
    for name in names:
        path = place / name
        if depth > 1 and path.is_dir():
            yield from _below(path, depth - 1)
        else:
            yield path


def _is_sound(store: BlobStore, old: Old, report: Report) -> bool:
    kind = old.path.parent.name if old.path.parent.name == "packs" else old.path.parent.parent.name
    before = len(report.findings)
    try:
        if kind == "packs":
            report.findings.extend(packs.look(store, old.path))
        elif kind == "recipes":
            _look_at_recipe(store, old.path)
        else:
            store.verify(f"b3:{old.path.parent.name}{old.path.name}")
    except BlobMissing as error:
        if os.path.lexists(old.path):
            report.findings.append(_finding(old.path, NOT_AVAILABLE, error))
    except (GitreproError, OSError) as error:
        report.findings.append(_finding(old.path, DAMAGED, error))
    return len(report.findings) == before


def _look_at_recipe(store: BlobStore, path: Path) -> None:
    """Hash the file that a recipe describes, also where it lies here whole as well."""
    from ..objects import copying

    digest = f"b3:{path.parent.name}{path.name}"
    sums, view = copying.hasher(), copying.buffer()
    with pieces.open_whole(store, path) as reader:
        while count := reader.readinto(view):  # type: ignore[attr-defined]
            sums.update(view[:count])
    if f"b3:{sums.hexdigest()}" != digest:
        raise pieces.damage_of(store, path, digest)


def _finding(path: Path, state: str, error: Exception) -> Finding:
    name = path.parent.name + path.name
    do = getattr(error, "do", "") or (AGAIN if isinstance(error, Damaged) else FETCH)
    why = "; ".join(part for part in (getattr(error, "what", str(error)), getattr(error, "why", "")) if part)
    return Finding(path=path, digest=f"b3:{name}", state=state, why=why, do=do)
