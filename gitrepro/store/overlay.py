"""Code as it lay on disk, where Git would give back other bytes or none: commits of raw files, laid over a checkout.

Line ends, filters and encodings make the bytes of a file differ from those of its blob; an ignored module that ran is
in no commit at all. Such files are kept as they are. Equal files make equal commits.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import ChildFailed, Damaged
from . import fs, worktree
from .fold import Identity, commit_tree
from .gitobjects import Entry, GitObjects, name_of
from .repository import Repository

# A checkout made with these gives the same bytes whatever the user's own line ends are.
NEUTRAL: Final = ("-c", "core.autocrlf=false", "-c", "core.eol=lf", "-c", "core.safecrlf=false")
OVERLAY_TEXT: Final = "files as they were on disk\n"
_NOBODY: Final = Identity(name="gitrepro", email="gitrepro")
_IN_ONE_CALL: Final = 500
_EXECUTABLE: Final = 0o100755
_PLAIN_MODES: Final = ("100644", "100755")
_CHANGING: Final = ("eol", "filter", "ident", "working-tree-encoding")
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """A commit of raw files, None when there are none, and the files it leaves out, each with the reason."""

    commit: str | None
    kept: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blob:
    """What a tree says of a file."""

    oid: str
    size_bytes: int


def converted(repository: Repository, commit: str, *, changed: Iterable[str], attributes: bool) -> list[str]:
    """Files whose bytes on disk are not those that a checkout of `commit` gives.

    Source and configuration files are looked at, and the `changed` ones whatever they are called. A notebook is not:
    a filter that strips its outputs changes none of its code.

    Args:
        attributes: a `.gitattributes` is among the files that Git knows, wherever it lies.

    Raises:
        ChildFailed: Git cannot tell.
    """
    if repository.work_tree is None or not (attributes or _converts(repository)):
        return []
    wanted = {*changed}
    files = {
        path: blob
        for path, blob in _files(repository, commit)
        if (path in wanted or worktree.is_code(path)) and not path.endswith(".ipynb")
    }
    special = _special(repository, files)
    # Of the others Git removes carriage returns at most, and puts none back: a file of the same size is the same.
    shrunk = [
        path
        for path in files.keys() - special
        if _size(repository.work_tree / path) not in (None, files[path].size_bytes)
    ]
    return sorted([*shrunk, *_changing(repository, {path: files[path].oid for path in special})])


def _special(repository: Repository, paths: Iterable[str]) -> set[str]:
    """The files that a checkout changes on their way to the disk."""
    names = "\0".join(paths).encode("utf-8", "surrogateescape")
    answer = repository.git("check-attr", "-z", "--stdin", *_CHANGING, input=names).decode("utf-8", "surrogateescape")
    fields = iter(answer.split("\0"))
    found = set()
    for path, name, value in zip(fields, fields, fields, strict=False):
        if value not in ("unspecified", "unset") and (name, value) != ("eol", "lf"):
            found.add(path)
    return found


def _changing(repository: Repository, files: dict[str, str]) -> list[str]:
    """Those of these files that do not lie there as a checkout would give them."""
    assert repository.work_tree is not None
    present = {path: data for path in files if (data := _bytes(repository.work_tree / path)) is not None}
    given = _given(repository, {path: files[path] for path in present})
    return [path for path, data in present.items() if given.get(path, files[path]) != name_of("blob", data)]


def _converts(repository: Repository) -> bool:
    """Whether Git may change bytes at all: without attributes and line-end settings it does not."""
    assert repository.work_tree is not None
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path(os.environ.get("HOME", "/")) / ".config")
    places = (repository.common_dir / "info", config / "git", repository.work_tree, Path("/etc"))
    names = ("attributes", "attributes", ".gitattributes", "gitattributes")
    if any((place / name).exists() for place, name in zip(places, names, strict=True)):
        return True
    # How Git ends lines, where it is told to.
    settings = map(repository.setting, ("core.autocrlf", "core.eol", "core.attributesfile"))
    return any(value not in (None, "false", "lf") for value in settings)


def _files(repository: Repository, commit: str) -> Iterator[tuple[str, _Blob]]:
    listing = repository.git("ls-tree", "-r", "-l", "-z", "--full-tree", commit).decode("utf-8", "surrogateescape")
    for entry in filter(None, listing.split("\0")):
        facts, path = entry.split("\t", 1)
        mode, _, oid, size = facts.split()
        if mode in _PLAIN_MODES:
            yield path, _Blob(oid=oid, size_bytes=int(size))


def _size(path: Path) -> int | None:
    """The size of a plain file that may be kept; None for anything else."""
    try:
        facts = path.lstat()
    except OSError:
        return None
    return facts.st_size if stat.S_ISREG(facts.st_mode) and facts.st_size <= worktree.MAX_FILE_BYTES else None


def _bytes(path: Path) -> bytes | None:
    try:
        return None if _size(path) is None else path.read_bytes()
    except OSError:
        return None


def _given(repository: Repository, files: dict[str, str]) -> dict[str, str]:
    """For each file, the name that its bytes would have after a checkout; those Git cannot convert are not in it."""
    asked = [path for path in files if "\n" not in path]
    mark = secrets.token_hex(16)
    lines = "".join(f"{files[path]} {path}\n" for path in asked).encode("utf-8", "surrogateescape")
    try:
        # The sizes that `--batch` tells are those before the conversion; the mark shows where a file ends.
        answer = repository.git(*NEUTRAL, "cat-file", "--filters", f"--batch={mark}", input=lines)
    except ChildFailed:
        return {}
    parts = [part.removesuffix(b"\n") for part in answer.split(f"{mark}\n".encode())[1:]]
    if len(parts) != len(asked):
        return {}
    return {path: name_of("blob", part) for path, part in zip(asked, parts, strict=True)}


def ignored(repository: Repository, paths: Iterable[str]) -> list[str]:
    """Which of these files Git ignores and does not track."""
    found: list[str] = []
    names = sorted(paths)
    for at in range(0, len(names), _IN_ONE_CALL):
        part = names[at : at + _IN_ONE_CALL]
        args = ("--literal-pathspecs", "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--")
        listing = repository.git(*args, *part).decode("utf-8", "surrogateescape")
        found += [path for path in listing.split("\0") if path]
    return sorted({*found} & {*names})


def keep(repository: Repository, paths: Sequence[str], *, forbidden: Callable[[str, bytes], str | None]) -> Overlay:
    """Commit files of the work tree as they are, byte for byte, within the limits of a snapshot."""
    kept, left_out = worktree.choose(repository, paths, forbidden)
    commit = _commit(repository, kept) if kept else None
    return Overlay(commit=commit, kept=tuple(kept), left_out=tuple(left_out))


def _commit(repository: Repository, paths: Sequence[str]) -> str:
    assert repository.work_tree is not None
    lines = []
    for path, oid in zip(paths, _blobs(repository, paths), strict=True):
        mode = _PLAIN_MODES[os.access(repository.work_tree / path, os.X_OK)]
        lines.append(f"{mode} {oid}\t{path}\0")
    with tempfile.TemporaryDirectory(prefix="gitrepro-index-") as folder:
        index = {"GIT_INDEX_FILE": os.path.join(folder, "index")}
        entries = "".join(lines).encode("utf-8", "surrogateescape")
        worktree.durable(repository, ["update-index", "-z", "--index-info"], index, entries)
        tree = worktree.durable(repository, ["write-tree"], index)
    return worktree.commit_files(repository, tree, None, OVERLAY_TEXT, identity=_NOBODY, now=0)


def _blobs(repository: Repository, paths: Sequence[str]) -> list[str]:
    found: list[str] = []
    for at in range(0, len(paths), _IN_ONE_CALL):
        part = paths[at : at + _IN_ONE_CALL]
        found += worktree.durable(repository, ["hash-object", "-w", "--no-filters", "--", *part]).split()
    return found


def lay(repository: Repository, commit: str, folder: Path) -> list[str]:
    """Write the files of an overlay into `folder`, over what lies there. No link is followed, no odd name taken.

    Raises:
        Damaged: an object is not what its name says, or names a file that has no place in a checkout.
        NotFound: an object is not here.
        StorageError: the disk said no.
    """
    with GitObjects(repository.common_dir) as objects, fs.explained(f"cannot write into {folder}"):
        written = []
        for path, entry in _walk(objects, commit_tree(objects.read(commit, "commit")), ""):
            _write(folder, path, objects.read(entry.oid, "blob"), entry.mode)
            written.append(path)
        return written


def same(repository: Repository, commit: str, folder: Path) -> bool:
    """Whether the files of an overlay lie in `folder` as they should."""
    with GitObjects(repository.common_dir) as objects:
        files = dict(_walk(objects, commit_tree(objects.read(commit, "commit")), ""))
    there = {path: _bytes(folder / path) for path in files}
    return all(data is not None and name_of("blob", data) == files[path].oid for path, data in there.items())


_ODD: Final = re.compile(r"\.{0,2}|\.git|git~\d+|.*[/\0].*", re.IGNORECASE | re.DOTALL)


def _walk(objects: GitObjects, tree: str, above: str) -> Iterator[tuple[str, Entry]]:
    for name, entry in objects.tree(tree).items():
        if _ODD.fullmatch(name):
            raise Damaged(f"tree {tree[:12]} names {above + name!r:.200}", why="no file of a checkout is called so")
        if entry.is_tree:
            yield from _walk(objects, entry.oid, f"{above}{name}/")
        elif f"{entry.mode:o}" in _PLAIN_MODES:
            yield above + name, entry
        else:
            raise Damaged(f"{above + name!r:.200} has mode {entry.mode:o}", why="an overlay holds plain files alone")


def _write(folder: Path, path: str, data: bytes, mode: int) -> None:
    *parents, name = path.split("/")
    place = os.open(folder, _DIRECTORY)
    for parent in parents:
        place = _step(place, parent)
    try:
        try:
            os.unlink(name, dir_fd=place)
        except FileNotFoundError:
            pass
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o777 if mode == _EXECUTABLE else 0o666, dir_fd=place)
        try:
            fs.write_all(fd, data)
        finally:
            os.close(fd)
    finally:
        os.close(place)


def _step(place: int, name: str) -> int:
    """The folder `name` in the folder `place`, made where it is missing; `place` is closed."""
    try:
        try:
            os.mkdir(name, dir_fd=place)
        except FileExistsError:
            pass
        return os.open(name, _DIRECTORY, dir_fd=place)
    finally:
        os.close(place)
