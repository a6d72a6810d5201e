"""What is seen of a program's configuration, and the one report it becomes."""

from __future__ import annotations

import sys

from .plain import is_opaque

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType
    from typing import Any

    Layers = list[tuple[str, dict[str, Any]]]

# Library → the file beside this one that knows it.
LIBRARIES = {
    "argparse": "arguments",
    "click.core": "commands",
    "typer._click.core": "commands",
    "omegaconf": "composed",
    "hydra.core.utils": "composed",
    "yaml": "files",
    "json": "files",
    "tomllib": "files",
    "tomli": "files",
}
_SIGHTINGS_AT_MOST = 8
_REPORTS_AT_MOST = 24
_HERE = __file__.rpartition("/")[0]


class ConfigWatch:
    """Sees the configuration of this process where it is made, and tells it.

    Args:
        tell: is given the whole of what is known, each time it has grown.
        own: knows the program's own files: `OwnCode` of modules.py.
        blob_name: the digest of a file.
        helper: loads a file beside this one by its name.
        secrets: loads what hides them: tree.py of the folder `secrets`. Nothing is told without it.
    """

    def __init__(
        self,
        *,
        tell: Callable[[dict[str, Any]], None],
        own: Any,
        blob_name: Callable[[str], str | None],
        helper: Callable[[str], Any],
        secrets: Callable[[], Any],
    ) -> None:
        self._tell = tell
        self._helper = helper
        self._secrets = secrets
        self.own = own
        self.blob_name = blob_name
        self.reading: Any = None
        self._sightings: list[Sighting] = []
        self._files: dict[str, dict[str, Any]] = {}
        self._notes: dict[str, None] = {}
        self._notes_told = 0
        self._reports = 0

    def meet(self, library: str, module: Any, *, fresh: bool = True) -> None:  # noqa: ARG002 - as `Finder` calls it
        """A library is here: watch the functions of it that make configurations."""
        self.quietly(lambda: self._helper(LIBRARIES[library]).watch(self, library, module))

    def add(self, by: str, layers: Layers, *, command_line: bool, rest: Sequence[str] = ()) -> Sighting | None:
        """A configuration was made; see `Sighting`."""
        if len(self._sightings) >= _SIGHTINGS_AT_MOST:
            self.note(f"only the first {_SIGHTINGS_AT_MOST} configurations are told")
            return None
        sighting = Sighting(by, layers, command_line=command_line, rest=list(rest))
        self._sightings.append(sighting)
        self.report()
        return sighting

    def drop(self, sighting: Sighting) -> None:
        """A configuration turned out to be a part of the next."""
        if sighting in self._sightings:
            self._sightings.remove(sighting)

    def add_file(self, path: str, facts: dict[str, Any]) -> None:
        self._files[path] = facts
        self.report()

    def note(self, words: str) -> None:
        self._notes[words] = None

    def end(self) -> None:
        """Look at the program's own objects once more: what it changed since is told."""
        grown = [self.quietly(sighting.look_again) for sighting in list(self._sightings)]
        if any(grown) or len(self._notes) > self._notes_told:
            self._reports = 0
            self.report()

    def report(self) -> None:
        self._reports += 1
        if self._reports <= _REPORTS_AT_MOST:
            self.quietly(lambda: self._tell(self._document()))

    def _document(self) -> dict[str, Any]:
        hidden: list[str] = []
        self._notes_told = len(self._notes)
        said = {
            "sightings": [self._sighting(each, hidden) for each in self._sightings],
            "files": [self._file(path, facts, hidden) for path, facts in self._files.items()],
            "notes": list(self._notes),
        }
        return {**said, "hidden": sorted(set(hidden))}

    def _sighting(self, sighting: Sighting, hidden: list[str]) -> dict[str, Any]:
        return {
            "by": sighting.by,
            "command_line": sighting.command_line,
            "rest": self._secrets().redact_argv(sighting.rest),
            "layers": [[source, self._clean(values, hidden)] for source, values in sighting.layers],
            "changes": self._clean(sighting.changes, hidden),
        }

    def _file(self, path: str, facts: dict[str, Any], hidden: list[str]) -> dict[str, Any]:
        return {**facts, "path": path, "values": self._clean(facts["values"], hidden)}

    def _clean(self, values: dict[str, Any], hidden: list[str]) -> dict[str, Any]:
        clean, found = self._secrets().redact_tree(values)
        hidden += found
        return dict(clean)

    def is_own(self, file: str) -> bool:
        return bool(self.own.place(file))

    def caller(self, frame: FrameType | None, skip: tuple[str, ...]) -> tuple[FrameType | None, bool]:
        """The nearest frame outside of `skip` and of this folder, and whether any beyond is the program's own."""
        while frame is not None and frame.f_code.co_filename.startswith((_HERE, *skip)):
            frame = frame.f_back
        nearest = frame
        while frame is not None and not self.is_own(frame.f_code.co_filename):
            frame = frame.f_back
        return nearest, frame is not None

    def quietly(self, act: Callable[[], Any]) -> Any:
        """We are a guest: what goes wrong here is a note on the record, and nobody else hears of it."""
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - whatever a stranger's object raises stays here
            self.note(f"{type(error).__name__} while the configuration was looked at")
            return None


class Sighting:
    """One configuration, and how to read the program's own object again at the end.

    Args:
        by: the library it was seen in.
        layers: nested plain values by their source, the weakest first.
        command_line: whether it speaks for the command line of the program.
        rest: words of that which it left to others.
    """

    def __init__(self, by: str, layers: Layers, *, command_line: bool, rest: list[str]) -> None:
        self.by = by
        self.layers = layers
        self.command_line = command_line
        self.rest = rest
        self.changes: dict[str, Any] = {}
        self._read: Any = None
        self._before: dict[str, Any] = {}

    def compare(self, read: Callable[[], dict[str, Any]]) -> None:
        """From here on, what `read` gives another value for was changed by the program."""
        self._read = read
        self._before = read()

    def look_again(self) -> bool:
        if self._read is None:
            return False
        changes = changed(self._before, self._read())
        grown = changes != self.changes
        self.changes = changes
        return grown


def changed(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The leaves of `now` that are new or other than before, nested; what only its type is known of counts not."""
    found: dict[str, Any] = {}
    for key, value in now.items():
        old = before.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            inner = changed(old, value)
            if inner:
                found[key] = inner
        elif not _same(old, value, known=key in before) and not is_opaque(value):
            found[key] = value
    return found


def _same(old: Any, value: Any, *, known: bool) -> bool:
    return known and type(old) is type(value) and repr(old) == repr(value)


def replace(home: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Put `make(original)` in the place of a function, with the looks of the original."""
    original = getattr(home, name, None)
    if original is None or getattr(original, "_gitrepro_watched", False):
        return
    ours = make(original)
    dress(ours, original)
    ours._gitrepro_watched = True
    # A static method is looked up on its class bare, and would be bound there if it were put back so.
    static = isinstance(home, type) and isinstance(vars(home).get(name), staticmethod)
    setattr(home, name, staticmethod(ours) if static else ours)


def dress(ours: Any, original: Any) -> None:
    """Give our function the looks of the original; functools.wraps would do, but its import costs a millisecond."""
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
        if hasattr(original, name):
            setattr(ours, name, getattr(original, name))
    ours.__wrapped__ = original


def command_line() -> list[str]:
    return list(sys.argv[1:])
