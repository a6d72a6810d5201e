"""The program's own source files: which ones Python imported, and what stood in them when it did.

Standard library only, and nothing of gitrepro: this file is also loaded by its path into the interpreter of the program
that is recorded, where gitrepro may not be installed. Nothing here raises: what cannot be read is left out.

A file is named by its Git blob, `sha1("blob <length>\\0" + bytes)`: the name that a commit's tree gives the same bytes,
so the digests of a run are compared with a commit without reading a file.
"""

# pathlib is an import that the program would pay for.
# ruff: noqa: PTH112, PTH113, PTH117, PTH120, PTH206
from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_FOREIGN = frozenset({"site-packages", "dist-packages", "__pycache__", ".venv", "venv", ".tox", ".nox"})
_GITREPRO = os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + os.sep
_FILES_AT_MOST = 2000
_LARGEST_BYTES = 4 << 20


def local_modules(root: str) -> list[str]:
    """The files under `root` that this process has imported, relative to it, sorted.

    Args:
        root: the folder of the program's own code; environments inside it are not the program's own.
    """
    own = OwnCode(root)
    return sorted({own.inside(file) for file in _imported()} - {""})


def blob_name(path: str) -> str | None:
    """The name Git gives the bytes of a file; None where it cannot be read or is no source by its size."""
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except (OSError, ValueError):
        return None
    if len(data) > _LARGEST_BYTES:
        return None
    return str(_sha1()(b"blob %d\0" % len(data) + data).hexdigest())


def _sha1() -> Any:
    # hashlib loads OpenSSL, which costs more than all the rest of this file.
    try:
        return __import__("_sha1").sha1
    except ImportError:
        import hashlib

        return hashlib.sha1


class OwnCode:
    """Which files are the program's own: those of its work tree, and those that no installation put on the path.

    Args:
        root: the top of the work tree.
    """

    def __init__(self, root: str) -> None:
        self.root = os.path.realpath(root)
        self._base = self.root.rstrip(os.sep) + os.sep
        prefixes = {os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
        self._nested = tuple(
            prefix + os.sep for prefix in prefixes if prefix.startswith(self._base) and prefix != self.root
        )
        standard = os.path.dirname(os.path.realpath(os.__file__))
        as_written = {sys.prefix, sys.base_prefix, sys.exec_prefix} - {os.sep}
        self._installed = tuple(
            prefix.rstrip(os.sep) + os.sep for prefix in (*prefixes, *as_written, standard, _GITREPRO) if prefix
        )
        self._known: dict[str, str] = {}

    def inside(self, file: str) -> str:
        """The path of `file` from the top of the work tree; nothing when it is outside, or not the program's own."""
        place = self.place(file)
        return "" if place.startswith("..") else place

    def place(self, file: str) -> str:
        """The path of a file of the program's own from the top of the work tree; beside it, that begins with `..`."""
        place = self._known.get(file)
        if place is None:
            # Most modules are installed ones, and to follow the links in each of their paths takes its time.
            plainly = file.startswith(self._installed) and not file.startswith(self._base)
            place = self._known[file] = "" if plainly else self._look(os.path.realpath(file))
        return place

    def _look(self, file: str) -> str:
        # A module inside a zip file is no file; one that was removed since it was imported was.
        if not os.path.isdir(os.path.dirname(file)):
            return ""
        relative = os.path.relpath(file, self.root)
        if _FOREIGN.intersection(relative.split(os.sep)):
            return ""
        if file.startswith(self._base):
            return "" if file.startswith(self._nested) else relative.replace(os.sep, "/")
        return "" if file.startswith(self._installed) else relative.replace(os.sep, "/")


class ModuleWatch:
    """Digests of the program's own modules, each taken when Python imports it.

    Args:
        root: the top of the work tree.
    """

    def __init__(self, root: str) -> None:
        self.own = OwnCode(root)
        self._blobs: dict[str, str] = {}
        self._replaced: tuple[Any, Any, Any] | None = None

    def start(self) -> None:
        """Take in what is imported by now, and watch the imports from here on."""
        for file in _imported():
            self.note(file)
        _quietly(self._watch)

    def stop(self) -> None:
        """Put the importer back as it was; what was seen stays readable."""
        if self._replaced is not None:
            loader, original, ours = self._replaced
            if loader.path_stats is ours:  # someone else's wrapper around ours stays
                loader.path_stats = original
            self._replaced = None

    def note(self, file: str) -> None:
        """Digest a file, unless it is not the program's own or known already."""
        place = self.own.place(file)
        if place and place not in self._blobs and len(self._blobs) < _FILES_AT_MOST:
            blob = blob_name(file)
            if blob is not None:
                self._blobs[place] = blob

    def document(self) -> dict[str, Any]:
        """What the record says: `local_modules`, their digests, and those of files from beside the work tree."""
        ours = {file for file in _imported() if self.own.place(file)}
        for file in ours:
            self.note(file)
        modules = sorted({self.own.inside(file) for file in ours} - {""})
        blobs = sorted(self._blobs.items())
        said = {
            "module_digests": {path: blob for path, blob in blobs if not path.startswith("..")},
            "outside_modules": {path: blob for path, blob in blobs if path.startswith("..")},
        }
        return {"local_modules": modules, **{name: found for name, found in said.items() if found}}

    def _watch(self) -> None:
        # Python asks for the times of each source file that it is about to import, whether compiled already or not.
        from importlib.machinery import SourceFileLoader

        original: Any = SourceFileLoader.path_stats

        def path_stats(self_: Any, path: Any) -> Any:
            _quietly(self.note, path)
            return original(self_, path)

        path_stats.__doc__ = original.__doc__
        path_stats.__qualname__ = original.__qualname__
        loader: Any = SourceFileLoader
        loader.path_stats = path_stats
        self._replaced = (SourceFileLoader, original, path_stats)


def _imported() -> Iterable[str]:
    for module in list(sys.modules.values()):
        file = _quietly(_file_of, module)
        if isinstance(file, str):
            yield file


def _file_of(module: Any) -> str | None:
    """The file of a module: of an imported one what the importer says, else what it names itself, if that is there."""
    spec: Any = getattr(module, "__spec__", None)
    if getattr(spec, "has_location", False):
        # What an importer found stays true when the file is removed; before Python 3.9 it may be relative.
        return spec.origin if os.path.isabs(spec.origin) or os.path.isfile(spec.origin) else None
    # Libraries make modules up and give them files that never were, as torch does with `_classes.py`. A script, which
    # no importer found either, may be named as it was on the command line.
    named = os.path.isabs(module.__file__) or module is sys.modules.get("__main__")
    return module.__file__ if named and os.path.isfile(module.__file__) else None


def _quietly(act: Callable[..., Any], *args: Any) -> Any:
    try:
        return act(*args)
    except Exception:  # noqa: BLE001 - a stranger's module, in a stranger's process: nothing here may stop the program
        return None
