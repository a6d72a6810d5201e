"""Where the blobs of a repository lie: in `<home>/store`, or in a folder that `gitrepro.store` names."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

from ..errors import StorageError, Unsafe
from . import fs, git
from .objects import BlobStore
from .pruned import FOLDER as PRUNED
from .repository import Repository

SETTING: Final = "gitrepro.store"
PINS: Final = "pins"
_FOLDERS: Final = ("objects", "recipes", "packs", "incoming", "quarantine", "trash", PINS, PRUNED)
_SHARED_MODE: Final = 0o2775
# What Git is told by its environment is in no file.
_GIVEN: Final = ("GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT")


def store_of(repository: Repository) -> BlobStore:
    """The store of a repository. Starts no process unless a configuration file names one.

    Raises:
        StorageError: the folder that `gitrepro.store` names is not there, or is no store.
    """
    folder = named(repository)
    if folder is None:
        return BlobStore(own(repository))
    if not (folder / "objects").is_dir():
        raise _no_store(folder)
    return BlobStore(folder)


def own(repository: Repository) -> Path:
    """The place of a store that nobody shares."""
    return repository.home / "store"


def is_shared(repository: Repository) -> bool:
    """Whether other clones may keep their blobs in the same store."""
    folder = named(repository)
    return folder is not None and folder.resolve() != own(repository).resolve()


def named(repository: Repository) -> Path | None:
    """The folder that `gitrepro.store` names, absolute; None where nothing does.

    A relative path is seen from the top of the work tree, and `~` is the home of the user.
    """
    files = tuple(_signature(path) for path in _files(repository.common_dir))
    given = tuple(os.environ.get(name, "") for name in _GIVEN)
    if not any(given) and not any(_may_name(*each) for each in files):
        return None
    text = _asked(repository.work_tree or repository.git_dir, files, given)
    return folder_of(repository, text) if text else None


def folder_of(repository: Repository, text: str) -> Path:
    """The folder that a person means by `text`."""
    return Path(os.path.normpath((repository.work_tree or repository.git_dir) / Path(text).expanduser()))


def _files(common_dir: Path) -> Iterator[Path]:
    """The files in which Git looks for its configuration."""
    yield common_dir / "config"
    if chosen := os.environ.get("GIT_CONFIG_GLOBAL"):
        yield Path(chosen)
    else:
        home = os.environ.get("HOME", "")
        yield Path(os.environ.get("XDG_CONFIG_HOME") or f"{home}/.config") / "git" / "config"
        yield Path(home) / ".gitconfig"
    if not os.environ.get("GIT_CONFIG_NOSYSTEM"):
        yield Path(os.environ.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig"))


def _signature(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), found.st_mtime_ns, found.st_size


@lru_cache(maxsize=64)
def _may_name(path: str, _mtime_ns: int, size_bytes: int) -> bool:
    """Whether a configuration file may name a store; one that includes others may."""
    if not size_bytes:
        return False
    try:
        text = Path(path).read_bytes().lower()
    except OSError:
        return False
    return (b"gitrepro" in text and b"store" in text) or b"[include" in text


@lru_cache(maxsize=64)
def _asked(place: Path, _files: object, _given: object) -> str:
    # By the last word: a clone's own setting stands over that of its user.
    return git.config(["-z", "--get", SETTING], cwd=place).decode(errors="surrogateescape").rstrip("\0")


def _no_store(folder: Path) -> StorageError:
    if not folder.is_dir():
        why = f"{SETTING} names it; it was removed, or its file system is not mounted"
        return StorageError(
            f"the store {folder} is not there", why=why, do=f"mount it, or `gitrepro init --store {folder}`"
        )
    why = f"{SETTING} names it, and it holds no objects; a file system may not be mounted there"
    return StorageError(f"{folder} is no store", why=why, do=f"mount it, or `gitrepro init --store {folder}`")


# -- making one


def prepare(folder: Path, *, shared: bool) -> None:
    """Make the folders of a store.

    All that may ever be needed are made for a shared one: who makes a folder later makes it with a mask of their own,
    and the others could not write into it.

    Raises:
        StorageError: the disk refuses.
    """
    with fs.explained(f"cannot make a store in {folder}"):
        for path in _folders(folder) if shared else [folder / "objects"]:
            new = not path.is_dir()
            fs.make_directories(path)
            if shared and new:
                path.chmod(_SHARED_MODE)


def _folders(folder: Path) -> Iterator[Path]:
    yield folder
    for name in _FOLDERS:
        yield folder / name
        if name in ("objects", "recipes", PRUNED):
            yield from (folder / name / f"{number:02x}" for number in range(256))


def check_writers(folder: Path) -> None:
    """Refuse a store into which everybody may write.

    Raises:
        Unsafe: others may replace what lies there.
    """
    for path in (folder, folder / "objects", folder / "packs"):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise Unsafe(
                f"everybody may write into {path}",
                why="whoever can log in here could remove or replace what your runs are made of",
                do=f"`chmod o-w {path}`; or take it as it is with --yes: what is read from it is hashed",
            )
