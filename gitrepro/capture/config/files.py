"""The YAML, JSON and TOML files that people write. Limits come first, and a fault has a line and a column."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any, final

from gitrepro.errors import ConfigError, NotFound, StorageError, UsageError

from .values import MAX_VALUES, Value, from_object

MAX_FILE_DEPTH = 64
MAX_FILE_BYTES = 1 << 20


def from_file(path: str | PathLike[str]) -> dict[str, Value]:
    """The values of a YAML, JSON or TOML file that a person wrote.

    YAML means what `yaml.safe_load` makes of it, but that `1e-3` is a number, dates and keys stay as written, and
    duplicate keys, tags and oversized aliases are refused.

    Raises:
        ConfigError: it does not parse; the message begins with file:line:column.
        NotFound: there is no such file.
    """
    name = fspath(path)
    text = _text_of(name, _read(name))
    suffix = Path(name).suffix.lower()
    parse = {".json": _parse_json, ".toml": _parse_toml}.get(suffix, _parse_yaml)
    try:
        return from_object(parse(name, text))
    except ConfigError:
        raise
    except UsageError as error:
        raise ConfigError(f"{name}: {error.what}", why=error.why, do=error.do) from error


def _read(name: str) -> bytes:
    try:
        with open(name, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFound(f"there is no configuration file {name}", do="check the path") from error
    except OSError as error:
        raise StorageError(f"cannot read {name}", why=error.strerror or str(error)) from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{name} is larger than {MAX_FILE_BYTES} bytes", do="keep data out of the configuration")
    return data


def _text_of(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        why = f"byte {data[error.start]:#04x} is not UTF-8"
        raise _fault(name, before, len(before), why, do="save the file as UTF-8") from error


def _fault(name: str, text: str, offset: int, why: str, *, do: str = "") -> ConfigError:
    line = text.count("\n", 0, offset) + 1
    return _fault_at(name, line, offset - text.rfind("\n", 0, offset), why, do=do)


def _fault_at(name: str, line: int, column: int, why: str, *, do: str = "") -> ConfigError:
    return ConfigError(
        f"{name}:{line}:{column}: the configuration does not parse", why=why, do=do or "correct the file"
    )


def _parse_json(name: str, text: str) -> object:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in pairs:
            if key in found:
                raise _duplicate_in_json(name, text, key)
            found[key] = value
        return found

    try:
        return _named(name, json.loads(text, object_pairs_hook=unique) if text.strip() else {})
    except json.JSONDecodeError as error:
        raise _fault_at(name, error.lineno, error.colno, error.msg) from error
    except RecursionError as error:
        raise _fault_at(name, 1, 1, f"it is nested deeper than {MAX_FILE_DEPTH} levels") from error
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise _fault_at(name, 1, 1, str(error)) from error


def _duplicate_in_json(name: str, text: str, key: str) -> ConfigError:
    places = [match.start() for match in re.finditer(re.escape(json.dumps(key)) + r"\s*:", text)]
    return _fault(name, text, places[-1] if places else 0, f"the key {key!r} stands twice", do="keep one of them")


def _parse_toml(name: str, text: str) -> object:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (int(place[1]), int(place[2])) if place else (text.count("\n") + 1, 1)
        raise _fault_at(name, line, column, str(error).split(" (at ")[0]) from error
    except (RecursionError, ValueError) as error:
        raise _fault_at(name, 1, 1, str(error)) from error


def _named(name: str, value: object) -> object:
    if isinstance(value, dict):
        return value
    raise _fault_at(name, 1, 1, "the file holds no `name: value` pairs at its top", do="name each value")


def _parse_yaml(name: str, text: str) -> object:
    import yaml

    class Loader(yaml.SafeLoader):
        """PyYAML's own reading, with `1e-3` a number as everyone expects."""

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?(?:\d[\d_]*)(?:\.[\d_]*)?[eE][-+]?\d+$"), list("-+0123456789")
    )
    try:
        return _named(name, _YamlBuilder(name, Loader(io.StringIO(text)), yaml).document())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _fault_at(name, line, column, error.problem or error.context or "bad YAML") from error
    except yaml.reader.ReaderError as error:
        why = f"character {error.character:#x} is not allowed" if isinstance(error.character, int) else error.reason
        raise _fault(name, text, error.position, why) from error


@dataclass(slots=True)
class _Open:
    """A block of YAML whose end has not come yet."""

    value: dict[str, Any] | list[Any]
    anchor: str | None
    first: int
    key: str | None = None
    merged: list[Any] = field(default_factory=list)


@final
class _YamlBuilder:
    """Values straight from the parser's events: depth and size are known before anything is built on them."""

    def __init__(self, name: str, loader: Any, yaml: Any) -> None:
        self.name = name
        self.loader = loader
        self.yaml = yaml
        self.open: list[_Open] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.count = 0
        self.result: Any = {}

    def document(self) -> Any:
        documents = 0
        while (event := self.loader.get_event()) is not None:
            documents += isinstance(event, self.yaml.DocumentStartEvent)
            if documents > 1:
                raise self.fault(event, "a second document begins", do="keep one document in the file")
            self.take(event)
        return {} if self.result is None else self.result

    def take(self, event: Any) -> None:
        if isinstance(event, self.yaml.AliasEvent):
            self.alias(event)
        elif isinstance(event, self.yaml.NodeEvent):
            self.node(event)
        elif isinstance(event, self.yaml.MappingEndEvent | self.yaml.SequenceEndEvent):
            self.close(event)

    def node(self, event: Any) -> None:
        if event.tag is not None:
            raise self.fault(event, f"the tag {event.tag!r} is not allowed", do="write a plain value")
        self.grow(event, 1)
        if isinstance(event, self.yaml.ScalarEvent):
            is_key = bool(self.open) and isinstance(self.open[-1].value, dict) and self.open[-1].key is None
            value = event.value if is_key else self.scalar(event)
            self.remember(event.anchor, value, self.count - 1)
            self.place(event, value)
            return
        if len(self.open) >= MAX_FILE_DEPTH:
            raise self.fault(event, f"it is nested deeper than {MAX_FILE_DEPTH} levels")
        self.refuse_as_key(event)
        mapping = isinstance(event, self.yaml.MappingStartEvent)
        self.open.append(_Open(value={} if mapping else [], anchor=event.anchor, first=self.count - 1))

    def close(self, event: Any) -> None:
        done = self.open.pop()
        for source in done.merged:
            self.merge(event, done.value, source)
        self.remember(done.anchor, done.value, done.first)
        self.place(event, done.value)

    def merge(self, event: Any, into: Any, source: Any) -> None:
        """`<<: *defaults`: what the block does not say itself, the first source that does."""
        for each in source if isinstance(source, list) else [source]:
            if not isinstance(each, dict):
                raise self.fault(event, "`<<` needs a mapping or a list of mappings")
            for key, value in each.items():
                into.setdefault(key, value)

    def alias(self, event: Any) -> None:
        if event.anchor not in self.anchors:
            raise self.fault(event, f"the alias *{event.anchor} has no anchor before it")
        value, size = self.anchors[event.anchor]
        if not isinstance(value, str):
            self.refuse_as_key(event)
        self.grow(event, size)
        self.place(event, value)

    def place(self, event: Any, value: Any) -> None:
        if not self.open:
            self.result = value
            return
        parent = self.open[-1]
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.key is None:
            self.key(event, parent, value)
        else:
            self.assign(parent, value)

    def key(self, event: Any, parent: _Open, key: str) -> None:
        if key in parent.value:
            raise self.fault(event, f"the key {key!r} stands twice", do="keep one of them")
        parent.key = key

    @staticmethod
    def assign(parent: _Open, value: Any) -> None:
        if parent.key == "<<":
            parent.merged.append(value)
        elif isinstance(parent.value, dict) and parent.key is not None:
            parent.value[parent.key] = value
        parent.key = None

    def refuse_as_key(self, event: Any) -> None:
        if self.open and isinstance(self.open[-1].value, dict) and self.open[-1].key is None:
            raise self.fault(event, "a key is a list or a mapping", do="write a plain key")

    def remember(self, anchor: str | None, value: Any, first: int) -> None:
        if anchor is not None:
            self.anchors[anchor] = (value, self.count - first)

    def grow(self, event: Any, size: int) -> None:
        self.count += size
        if self.count > MAX_VALUES:
            raise self.fault(event, f"it unfolds to more than {MAX_VALUES} values", do="use fewer aliases")

    def scalar(self, event: Any) -> Any:
        tag = self.loader.resolve(self.yaml.ScalarNode, event.value, event.implicit)
        if tag.rsplit(":", 1)[-1] not in ("bool", "int", "float", "null"):
            return event.value
        try:
            return self.loader.construct_object(self.yaml.ScalarNode(tag, event.value, event.start_mark))
        except ValueError as error:
            raise self.fault(event, str(error)) from error

    def fault(self, event: Any, why: str, *, do: str = "") -> ConfigError:
        mark = event.start_mark
        return _fault_at(self.name, mark.line + 1, mark.column + 1, why, do=do)
