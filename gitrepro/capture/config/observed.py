"""What a program's own libraries made of its configuration, joined with what the command that started it knew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from .argv import from_argv
from .layers import Layer, layers_of, merge, nested
from .values import Value, dotted, flatten, from_object, leaves, split_key

_COMPOSERS: Final = ("hydra", "omegaconf")


def with_observed(document: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    """The document of `config.yaml` with what was observed of the program.

    Where a library read the command line, what it made of that stands in the place of the guess from the words alone.

    Args:
        document: what was known at the start.
        report: what the process told: `sightings`, `files`, `notes`.

    Raises:
        UsageError: the values have no room in a configuration.
    """
    sightings = [_Sighting(each) for each in report.get("sightings") or ()]
    files = _files(report.get("files") or ())
    layers = [*_layers(document, sightings, files)]
    known = merge(layers).values
    changes = [Layer(source="code", values=_news(each.changes, known)) for each in sightings]
    said = {
        "observed_by": list(dict.fromkeys(each.by for each in sightings)),
        "config_files": [{"blob": each.get("blob"), "path": str(each["path"])} for each in report.get("files") or ()],
        "notes": [str(note) for note in report.get("notes") or ()],
    }
    told = {name: value for name, value in said.items() if value}
    return {**document, **merge([*layers, *changes]).document(), **told}


class _Sighting:
    """One configuration that was seen, its values by the strength of their source."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.by = str(told["by"])
        self.command_line = bool(told.get("command_line"))
        self.rest = [str(word) for word in told.get("rest") or ()]
        self.changes = _values(told.get("changes") or {})
        self._layers = [(str(source), _values(values)) for source, values in told["layers"]]

    def defaults(self) -> dict[str, Value]:
        """Where the values in force came with those of the command line among them, the rest of them."""
        values = self.layer("default")
        if self.by not in _COMPOSERS:
            return values
        given = flatten(self.layer("argv"))
        return nested((path, value) for path, value in leaves(values) if dotted(path) not in given)

    def layer(self, source: str) -> dict[str, Value]:
        ours = [values for name, values in self._layers if name == source]
        return nested(leaf for values in ours for leaf in leaves(values))


def _values(told: Mapping[str, Any]) -> dict[str, Value]:
    """Told values as a record has them: numbers that JSON lacks, and dots in a name that nest."""
    plain = from_object(_with_floats(told))
    return nested(([part for key in path for part in _parts(key)], value) for path, value in leaves(plain))


def _with_floats(told: Any) -> Any:
    if isinstance(told, dict):
        is_float = [*told] == ["$float"]
        return float(told["$float"]) if is_float else {key: _with_floats(each) for key, each in told.items()}
    return [_with_floats(each) for each in told] if isinstance(told, list) else told


def _parts(key: str) -> list[str]:
    parts = key.split(".")
    return parts if all(parts) else [key]


def _files(told: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Value]]:
    return {str(each["path"]): _values(each.get("values") or {}) for each in told}


def _layers(
    document: Mapping[str, Any], sightings: Sequence[_Sighting], files: Mapping[str, dict[str, Value]]
) -> Iterator[Layer]:
    """All layers, the weakest first: default < file < environment < `--set` < the program's own command line."""
    start = layers_of(document)
    yield from (Layer(source="default", values=each.defaults()) for each in sightings)
    yield from _file_layers(sightings, files)
    yield from (Layer(source=_file_of(each, files), values=each.layer("file")) for each in sightings)
    yield from (each for each in start if each.source not in ("argv", "set", "code"))
    yield from (Layer(source="env", values=each.layer("env")) for each in sightings)
    yield from (each for each in start if each.source == "set")
    yield Layer(source="argv", values=_guess(start, sightings))
    yield from (Layer(source="argv", values=each.layer("argv")) for each in sightings)
    yield from (each for each in start if each.source == "code")


def _guess(start: Sequence[Layer], sightings: Sequence[_Sighting]) -> dict[str, Value]:
    """What the words of the command line look like, for those of them that nobody was seen to read."""
    readers = [each.rest for each in sightings if each.command_line]
    if readers:
        return from_argv(["program", *min(readers, key=len)])
    return next((dict(each.values) for each in start if each.source == "argv"), {})


def _file_layers(sightings: Sequence[_Sighting], files: Mapping[str, dict[str, Value]]) -> Iterator[Layer]:
    """Of a composed configuration the leaves that a file gave it; else all that the files say."""
    composed = [each for each in sightings if each.by in _COMPOSERS]
    if not composed:
        yield from (Layer(source=f"file:{path}", values=values) for path, values in files.items())
        return
    leaf_of = {path: flatten(values) for path, values in files.items()}
    for each in composed:
        given = flatten(each.layer("argv"))
        for key, value in flatten(each.layer("default")).items():
            for path, said in _givers(key, leaf_of):
                # What the command line overrode was composed away: there the file alone still knows it.
                if key in given or repr(said) == repr(value):
                    yield Layer(source=f"file:{path}", values=nested([(split_key(key), said)]))
                    break


def _givers(key: str, leaf_of: Mapping[str, Mapping[str, Value]]) -> Iterator[tuple[str, Value]]:
    """The files that name this leaf, by its whole name or by the name inside its group; the one read last first."""
    for path, said in reversed([*leaf_of.items()]):
        groups = PurePosixPath(path).parts[:-1]
        prefixes = ["", *(".".join(groups[start:]) + "." for start in range(len(groups)))]
        for prefix in prefixes:
            name = key.removeprefix(prefix)
            if key.startswith(prefix) and name in said:
                yield path, said[name]


def _file_of(sighting: _Sighting, files: Mapping[str, dict[str, Value]]) -> str:
    given = flatten(sighting.layer("file"))
    for path, values in files.items():
        if given and _holds(flatten(values), given):
            return f"file:{path}"
    return "file"


def _holds(values: Mapping[str, Value], part: Mapping[str, Value]) -> bool:
    return all(key in values and values[key] == value for key, value in part.items())


def _news(changes: Mapping[str, Value], known: Mapping[str, Value]) -> dict[str, Value]:
    """Changes that give another value than is known: a program that copies a file into its options changes nothing."""
    before = flatten(known)
    absent = object()
    return nested(
        (path, value) for path, value in leaves(changes) if repr(before.get(dotted(path), absent)) != repr(value)
    )
