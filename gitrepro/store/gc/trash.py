"""The trash: what a collection took, for a day. `trash/<time>/<kind>/`, and what others retire directly in `trash/`."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ...errors import GitreproError
from .. import fs, pruned, reach
from ..objects import BlobStore, digest_of
from .plan import DAY_SECONDS, Old, Trashed

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_RETIRED: Final = re.compile(r"(packs|[0-9a-f]{2})[.](.*)[.][0-9a-f]{8}")
_RECIPE: Final = b"gitrepro recipe "
_LINKING_DENIED: Final = (errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What is to be done with the trash."""

    expired: tuple[Trashed, ...]
    wanted: tuple[Trashed, ...]
    waiting: int
    waiting_bytes: int


def folder(root: Path, began: float) -> Path:
    """Where a collection puts what it takes."""
    return root / "trash" / datetime.fromtimestamp(began, UTC).strftime(_STAMP)


def look(store: BlobStore, needed: set[bytes], *, began: float, cutoff_ns: int) -> Settled:
    """Judge what lies in the trash.

    What is needed and nowhere else goes back, and so does what somebody wanted after it was judged: a collection was
    killed before it could do that itself. Of the rest, what has lain there for a day can be deleted.
    """
    expired, wanted, waiting, waiting_bytes = [], [], 0, 0
    for each, taken_at, judged in _trashed(store):
        if not _is_let_go(store, each, judged) and _is_wanted(store, each, needed, cutoff_ns if judged else None):
            wanted.append(each)
        elif taken_at <= began - DAY_SECONDS:
            expired.append(each)
        else:
            waiting += 1
            waiting_bytes += each.old.size_bytes
    return Settled(expired=tuple(expired), wanted=tuple(wanted), waiting=waiting, waiting_bytes=waiting_bytes)


def _is_wanted(store: BlobStore, each: Trashed, needed: set[bytes], cutoff_ns: int | None) -> bool:
    # What a collection takes is old. Made young, it was wanted, and is to go back; others take young files too.
    if cutoff_ns is not None and each.old.mtime_ns >= cutoff_ns and not os.path.lexists(each.home):
        return True
    return any(name in needed and f"b3:{name.hex()}" not in store for name in _names(each))


def _is_let_go(store: BlobStore, each: Trashed, judged: bool) -> bool:
    """Whether a person let go of it, though records name it."""
    if judged or each.home.parent.name == "packs":
        return False  # only whole files are let go of, and no collection has a part in it
    return any(pruned.told(store, f"b3:{name.hex()}") is not None for name in _names(each))


def contents(store: BlobStore) -> dict[bytes, Trashed]:
    """Which blobs lie in the trash that nobody has let go of on purpose, and where."""
    found = ((each, judged) for each, _, judged in _trashed(store))
    return {name: each for each, judged in found if not _is_let_go(store, each, judged) for name in _names(each)}


def put_back(each: Trashed) -> bool:
    """Give a file its place again; whether it needed to be. One that is there meanwhile stands."""
    fs.make_directories(each.home.parent)
    try:
        os.link(each.old.path, each.home, follow_symlinks=False)
    except FileExistsError:
        fs.remove_quietly(each.old.path)
        return False
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _LINKING_DENIED:
            raise
        # Files of other users may be renamed here and not linked; what lies there has the same content.
        os.rename(each.old.path, each.home)
    fs.remove_quietly(each.old.path)
    fs.sync_directory(each.home.parent)
    return True


def put_back_all(place: Path, home: Path) -> None:
    """Give a file its place again that was just taken from it."""
    for name in _listed(place):
        if name.startswith(f"{home.parent.name}.{home.name}."):
            found = os.lstat(place / name)
            put_back(Trashed(Old(place / name, found.st_mtime_ns, found.st_size), home))


def tidy(root: Path) -> None:
    """Remove empty folders of past collections."""
    for place in sorted((root / "trash").glob("*"), reverse=True):
        for each in (*(place / kind for kind in ("objects", "packs", "recipes")), place):
            try:
                each.rmdir()
            except OSError:
                continue


# -- what lies there


def _trashed(store: BlobStore) -> Iterator[tuple[Trashed, float, bool]]:
    """What was retired, when it was taken, and whether a collection did so."""
    root = store.root / "trash"
    for place, kind, taken_at in _places(root):
        for name in _listed(place):
            path = place / name
            match = _RETIRED.fullmatch(name)
            try:
                found = os.lstat(path)
            except FileNotFoundError:
                continue
            if match and (home := _home(store, path, match, kind)):
                old = Old(path, found.st_mtime_ns, found.st_size)
                yield Trashed(old, home), found.st_ctime if taken_at is None else taken_at, taken_at is not None


def _places(root: Path) -> Iterator[tuple[Path, str, float | None]]:
    yield root, "", None
    for name in _listed(root):
        try:
            taken_at = datetime.strptime(name, _STAMP).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
        for kind in ("objects", "packs", "recipes"):
            yield root / name / kind, kind, taken_at


def _listed(place: Path) -> list[str]:
    try:
        return sorted(os.listdir(place))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _home(store: BlobStore, path: Path, match: re.Match[str], kind: str) -> Path | None:
    """Where a retired file was."""
    folder, name = match[1], match[2]
    if folder == "packs":
        return store.root / "packs" / name
    if not re.fullmatch("[0-9a-f]{62}", name):
        return None
    return store.root / (kind or _kind(path, folder + name)) / folder / name


def _kind(path: Path, hexadecimal: str) -> str:
    """Whether a file that was retired without a word is a blob or a recipe. A recipe has not the name of its bytes."""
    with open(path, "rb") as reader:
        if reader.read(len(_RECIPE)) != _RECIPE:
            return "objects"
        reader.seek(0)
        return "objects" if digest_of([reader.read()]) == f"b3:{hexadecimal}" else "recipes"


def _names(each: Trashed) -> list[bytes]:
    """The blobs that come back with a file."""
    if each.home.parent.name != "packs":
        return [bytes.fromhex(each.home.parent.name + each.home.name)]
    try:
        return [entry.hash for entry in reach.table_of(each.old.path)]
    except (GitreproError, OSError):
        return []
