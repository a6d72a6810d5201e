"""The code of a run: the commit, what differs from it, and a snapshot of that. The user's index is never touched."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from ..capture import cells
from ..errors import ChildFailed
from . import fs, rescue
from .fold import Identity, commit_tree
from .gitobjects import GitObjects
from .repository import Repository, settings_at

MAX_FILE_BYTES: Final = 1 << 20
MAX_SNAPSHOT_BYTES: Final = 20 << 20
SNAPSHOT_TEXT: Final = "snapshot of uncommitted changes\n"
_LISTED_AT_MOST: Final = 100
_IN_ONE_CALL: Final = 500

# fmt: off
SOURCE_SUFFIXES: Final = frozenset({
    ".py", ".pyi", ".pyx", ".pxd", ".ipynb", ".c", ".cc", ".cpp", ".cxx", ".cu", ".cuh", ".h", ".hpp", ".rs", ".go",
    ".java", ".js", ".ts", ".r", ".jl", ".lua", ".m", ".sh", ".bash", ".zsh", ".sql", ".proto",
})
# JSON is not here: it is what programs write. A JSON file that the command line or the config names counts.
CONFIG_SUFFIXES: Final = frozenset({
    ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".gin", ".jsonnet", ".libsonnet",
})
# fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path that is not as committed.

    `what` is `modified`, `added`, `deleted`, `untracked`, `submodule`, or `hidden` (an edit Git was told not to see).
    """

    path: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkTree:
    """The code at one moment.

    `dirty` holds what makes the commit not the code that ran; `untracked` the other untracked files, which are
    listed and do not.
    """

    commit: str | None
    branch: str | None
    tree: str | None
    dirty: tuple[Change, ...]
    untracked: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    """Notebooks that differ from the commit in nothing but what their cells put out."""
    attributes: bool = False
    """Git has a `.gitattributes` among its files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A commit of the files as they are, and the files it leaves out, each with the reason."""

    commit: str
    tree: str
    left_out: tuple[tuple[str, str], ...]


def look(repository: Repository, *, named: Iterable[str] = (), written: Container[str] = ()) -> WorkTree:
    """The state of the work tree.

    Args:
        named: words of the command line and the config; an untracked file among them is part of the code.
        written: untracked files that the program writes; these are no part of it.

    Raises:
        ChildFailed: Git cannot tell.
        Damaged, NotFound: the commit that is checked out cannot be read.
    """
    head = repository.git(
        "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--ignore-submodules=none"
    )
    commit, branch, changes = _parse_status(head)
    known = _known_files(repository)
    changes += [Change(path=path, what="hidden") for path in _hidden_edits(repository, known)]
    outputs = _only_outputs(repository, commit, changes)
    changes = [change for change in changes if change.path not in outputs]
    wanted = {str(PurePosixPath(word)) for word in named}
    rest = [
        change.path
        for change in changes
        if change.what == "untracked" and (change.path in written or not _is_code(change.path, wanted))
    ]
    harmless = set(rest)
    dirty = [change for change in changes if change.what != "untracked" or change.path not in harmless]
    with GitObjects(repository.common_dir) as objects:
        tree = commit_tree(objects.read(commit, "commit")) if commit else None
    return WorkTree(
        commit=commit,
        branch=branch,
        tree=tree,
        dirty=tuple(dirty),
        untracked=tuple(rest),
        outputs=outputs,
        attributes=any(path.endswith(".gitattributes") for _, path in known),
    )


def _known_files(repository: Repository) -> list[tuple[str, str]]:
    """The files in Git's index, each with the letter that says how it looks at it."""
    listing = repository.git("ls-files", "-v", "-z").decode("utf-8", "surrogateescape")
    return [(entry[0], entry[2:]) for entry in listing.split("\0") if entry]


def _only_outputs(repository: Repository, commit: str | None, changes: Iterable[Change]) -> tuple[str, ...]:
    if commit is None or repository.work_tree is None:
        return ()
    notebooks = [change.path for change in changes if change.what == "modified" and change.path.endswith(".ipynb")]
    return tuple(path for path in notebooks if _same_cells(repository, commit, path))


def _same_cells(repository: Repository, commit: str, path: str) -> bool:
    """Whether the notebook has the cells that were committed; False too where that cannot be told."""
    assert repository.work_tree is not None
    full = repository.work_tree / path
    try:
        if not _plain(full) or full.stat().st_size > cells.LARGEST_BYTES:
            return False
        return cells.same_sources(full.read_bytes(), repository.git("cat-file", "blob", f"{commit}:{path}"))
    except (OSError, ChildFailed):
        return False


def _parse_status(output: bytes) -> tuple[str | None, str | None, list[Change]]:
    commit: str | None = None
    branch: str | None = None
    changes: list[Change] = []
    fields = iter(output.decode("utf-8", "surrogateescape").split("\0"))
    for line in fields:
        match line[:1]:
            case "#":
                _, key, value = line.split(" ", 2)
                if key == "branch.oid" and value != "(initial)":
                    commit = value
                if key == "branch.head" and value != "(detached)":
                    branch = value
            case "1":
                parts = line.split(" ", 8)
                changes.append(Change(path=parts[8], what=_meaning(parts[1], parts[2])))
            case "2":
                changes.append(Change(path=line.split(" ", 9)[9], what="added"))
                changes.append(Change(path=next(fields), what="deleted"))
            case "u":
                changes.append(Change(path=line.split(" ", 10)[10], what="modified"))
            case "?":
                changes.append(Change(path=line[2:], what="untracked"))
    return commit, branch, changes


def _meaning(codes: str, submodule: str) -> str:
    if submodule.startswith("S"):
        return "submodule"
    if "D" in codes:
        return "deleted"
    return "added" if "A" in codes else "modified"


def _hidden_edits(repository: Repository, known: Iterable[tuple[str, str]]) -> list[str]:
    """Edits that the user told Git not to look at: files marked assume-unchanged, or skip-worktree and still there."""
    marked = [path for letter, path in known if letter.islower() or letter == "S"]
    # A sparse checkout marks what it leaves out; those files are not there and differ from nothing.
    present = [path for path in marked if repository.work_tree and _plain(repository.work_tree / path)]
    if not present:
        return []
    staged = repository.git("--literal-pathspecs", "ls-files", "-s", "-z", "--", *present)
    entries = [entry for entry in staged.decode("utf-8", "surrogateescape").split("\0") if "\t" in entry]
    committed = {entry.split("\t", 1)[1]: entry.split(" ", 2)[1] for entry in entries}
    return [path for path, oid in zip(present, _hashes(repository, present), strict=True) if committed.get(path) != oid]


def _hashes(repository: Repository, paths: Sequence[str]) -> list[str]:
    # Names as arguments: on standard input a newline would end one.
    found: list[str] = []
    for at in range(0, len(paths), _IN_ONE_CALL):
        found += repository.git("hash-object", "--", *paths[at : at + _IN_ONE_CALL]).decode().split()
    return found


def _plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def is_code(path: str) -> bool:
    """Whether a file of this name is source or configuration."""
    return PurePosixPath(path).suffix.lower() in SOURCE_SUFFIXES | CONFIG_SUFFIXES


def edited_since(work_tree: Path, paths: Iterable[str], moment: float) -> list[str]:
    """Which of these files were written after `moment`, a Unix time, or are gone; at most 100, in order."""
    found = []
    for path in sorted(paths):
        try:
            edited = os.stat(work_tree / path).st_mtime > moment
        except FileNotFoundError:
            edited = True
        except OSError:
            continue
        if edited:
            found.append(path)
    return found[:_LISTED_AT_MOST]


def _is_code(path: str, named: set[str]) -> bool:
    return is_code(path) or path in named or PurePosixPath(path).name in named


def snapshot(
    repository: Repository,
    state: WorkTree,
    *,
    identity: Identity,
    now: float,
    forbidden: Callable[[str, bytes], str | None],
) -> Snapshot:
    """Commit the files as they are, on top of the recorded commit, through an index of our own.

    Modified, deleted and untracked files that Git does not ignore go in, with their modes; a file over 1 MiB, files
    beyond 20 MiB in all, and what `forbidden(path, head)` names a reason for stay out. The commit is reachable from
    nothing until `keep_code`, or the fold of a run that names it.
    """
    with tempfile.TemporaryDirectory(prefix="gitrepro-index-") as folder:
        index = {"GIT_INDEX_FILE": os.path.join(folder, "index")}
        if state.commit:
            repository.git("read-tree", state.commit, env=index)
        changed = [change.path for change in state.dirty if change.what != "submodule"]
        present, gone = _split(repository, [*changed, *state.untracked])
        kept, left_out = choose(repository, present, forbidden)
        # First, so that a file which is a folder now, or the reverse, stands in nobody's way.
        _update(repository, index, ["--force-remove"], gone)
        left_out += _add(repository, index, kept)
        tree = durable(repository, ["write-tree"], env=index)
    commit = commit_files(repository, tree, state.commit, SNAPSHOT_TEXT, identity=identity, now=now)
    left_out += [(change.path, "a submodule with changes") for change in state.dirty if change.what == "submodule"]
    return Snapshot(commit=commit, tree=tree, left_out=tuple(sorted(left_out)))


def commit_files(
    repository: Repository, tree: str, parent: str | None, text: str, *, identity: Identity, now: float
) -> str:
    """A commit of `tree`, durable once this returns, and reachable from nothing."""
    parents = ["-p", parent] if parent else []
    commit = durable(repository, ["commit-tree", *parents, "-m", text, tree], env=_signed(identity, now))
    _keep_new_objects(repository, commit, parent)
    return commit


def _split(repository: Repository, paths: Sequence[str]) -> tuple[list[str], list[str]]:
    assert repository.work_tree is not None
    there = {path for path in paths if _is_there(repository.work_tree, path)}
    return sorted(there), sorted(set(paths) - there)


def _is_there(top: Path, path: str) -> bool:
    """Whether `path` itself is there: not a folder in place of a file, nor a file that a linked folder leads to."""
    full = top / path
    if not os.path.lexists(full) or (full.is_dir() and not full.is_symlink() and not path.endswith("/")):
        return False
    return not any((top / folder).is_symlink() for folder in PurePosixPath(path).parents[:-1])


def choose(
    repository: Repository, paths: Iterable[str], forbidden: Callable[[str, bytes], str | None]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Which of these files may be kept, and why the others may not."""
    kept: list[str] = []
    left_out: list[tuple[str, str]] = []
    total_bytes = 0
    for path in sorted(paths):
        why, size_bytes = _objection(repository, path, forbidden)
        if not why and total_bytes + size_bytes > MAX_SNAPSHOT_BYTES:
            why = f"the snapshot would be over {MAX_SNAPSHOT_BYTES >> 20} MiB"
        if why:
            left_out.append((path, why))
        else:
            kept.append(path)
            total_bytes += size_bytes
    return kept, left_out


def _objection(
    repository: Repository, path: str, forbidden: Callable[[str, bytes], str | None]
) -> tuple[str | None, int]:
    assert repository.work_tree is not None
    full = repository.work_tree / path
    try:
        if full.is_symlink():
            return None, 0
        if not full.is_file():
            return "a repository of its own" if full.is_dir() else "not a plain file", 0
        size_bytes = full.stat().st_size
        if size_bytes > MAX_FILE_BYTES:
            return f"{size_bytes} bytes, over {MAX_FILE_BYTES >> 20} MiB", size_bytes
        with open(full, "rb") as reader:
            return forbidden(path, reader.read(MAX_FILE_BYTES)), size_bytes
    except OSError as error:
        return error.strerror or str(error), 0


def _add(repository: Repository, index: dict[str, str], paths: Sequence[str]) -> list[tuple[str, str]]:
    """Put files into the index; what comes back are those that Git will not take, each with the reason."""
    try:
        _update(repository, index, ["--add", "--replace"], paths)
        return []
    except ChildFailed as error:
        if len(paths) == 1:
            return [(paths[0], f"Git does not take it: {error.why}")]
    # One of them is to blame, such as a file whose filter is not installed: it must not cost the others.
    half = len(paths) // 2
    return _add(repository, index, paths[:half]) + _add(repository, index, paths[half:])


def _update(repository: Repository, index: dict[str, str], options: list[str], paths: Sequence[str]) -> None:
    if paths:
        names = "\0".join(paths).encode("utf-8", "surrogateescape") + b"\0"
        # A line end that the way back would change is kept beside the snapshot; it is no reason to take no snapshot.
        durable(repository, ["-c", "core.safecrlf=false", "update-index", *options, "-z", "--stdin"], index, names)


def durable(
    repository: Repository, args: list[str], env: dict[str, str] | None = None, input: bytes | None = None
) -> str:
    """The words of one `git` command whose objects outlast a power cut."""
    # Without these Git syncs no loose object, and a power cut could leave a run naming an empty one.
    durable = ("-c", "core.fsync=all", "-c", "core.fsyncMethod=fsync")
    return repository.git(*durable, *args, env=env, input=input).decode().strip()


def _signed(identity: Identity, now: float) -> dict[str, str]:
    date = f"@{int(now)} +0000"
    env = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    for role in ("AUTHOR", "COMMITTER"):
        env[f"GIT_{role}_NAME"] = identity.name
        env[f"GIT_{role}_EMAIL"] = identity.email
    return env


def _keep_new_objects(repository: Repository, commit: str, base: str | None) -> None:
    """Make the names of new objects durable, and copy the objects: no ref names them yet."""
    # Git syncs the files; their names are durable once their folders are.
    known = [f"^{base}"] if base else []
    listing = repository.git("rev-list", "--objects", commit, *known).decode("utf-8", "surrogateescape")
    names = [line[:40] for line in listing.splitlines()]
    for folder in sorted({oid[:2] for oid in names}):
        if (repository.common_dir / "objects" / folder).is_dir():
            fs.sync_directory(repository.common_dir / "objects" / folder)
    with GitObjects(repository.common_dir) as objects:
        rescue.keep(repository, {oid: objects.read_any(oid) for oid in names})


def document(state: WorkTree, taken: Snapshot | None) -> dict[str, Any]:
    """The `code` field of a run record."""
    return {
        "branch": state.branch,
        "changes": [f"{change.what} {change.path}" for change in state.dirty[:_LISTED_AT_MOST]],
        "changes_count": len(state.dirty),
        "commit": state.commit,
        "dirty": bool(state.dirty),
        **({"notebooks_with_outputs": list(state.outputs[:_LISTED_AT_MOST])} if state.outputs else {}),
        "left_out": [{"path": path, "why": why} for path, why in (taken.left_out if taken else ())],
        "snapshot": taken.commit if taken else None,
        "tree": taken.tree if taken else state.tree,
        "untracked": list(state.untracked[:_LISTED_AT_MOST]),
        "untracked_count": len(state.untracked),
    }


def identity(repository: Repository | None, *, fallback: Identity) -> Identity:
    """Who the user is to Git; `fallback` for what Git does not know."""
    known = repository.setting if repository else settings_at(Path.cwd()).get
    return Identity(
        name=os.environ.get("GIT_AUTHOR_NAME") or known("user.name") or fallback.name,
        email=os.environ.get("GIT_AUTHOR_EMAIL") or known("user.email") or fallback.email,
    )
