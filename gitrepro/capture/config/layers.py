"""Layers of values merged into one configuration that remembers where each value came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from .values import Value, dotted, from_object, leaves, split_key

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Values from one place: `default`, `file:conf.yaml`, `env`, `cli`, `code`."""

    source: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The effective configuration and how it came about.

    Attributes:
        values: nested plain values.
        sources: dotted key → the source of its value.
        overridden: dotted key → what it was before, oldest first, as `{source, value}`.
    """

    values: dict[str, Value]
    sources: dict[str, str]
    overridden: dict[str, list[dict[str, Value]]]

    def document(self) -> dict[str, Value]:
        """The content of `config.yaml`."""
        return {
            "format": FORMAT,
            "values": self.values,
            "sources": dict(self.sources),
            "overridden": {key: list(before) for key, before in self.overridden.items()},
        }


@dataclass(frozen=True, slots=True)
class _Leaf:
    value: Value
    source: str


_Node: TypeAlias = "dict[str, _Node] | _Leaf"


def merge(layers: Iterable[Layer]) -> Config:
    """One configuration from layers; a later layer wins, key by key.

    Mappings are merged; anything else replaces what stood there whole. An equal value is not an override.
    """
    tree: dict[str, _Node] = {}
    overridden: dict[str, list[dict[str, Value]]] = {}
    for layer in layers:
        _lay(tree, from_object(layer.values), layer.source, (), overridden)
    sources = {dotted(path): leaf.source for path, leaf in _leaves_of(tree, ())}
    return Config(values=_values_of(tree), sources=sources, overridden=overridden)


def _lay(
    tree: dict[str, _Node],
    values: Mapping[str, Value],
    source: str,
    path: tuple[str, ...],
    overridden: dict[str, list[dict[str, Value]]],
) -> None:
    for key, value in values.items():
        here, old = (*path, key), tree.get(key)
        if isinstance(value, dict):
            if isinstance(old, _Leaf):
                _remember(overridden, {key: old}, path)
            inner = old if isinstance(old, dict) else {}
            tree[key] = inner
            _lay(inner, value, source, here, overridden)
            continue
        if old is not None and not (isinstance(old, _Leaf) and _same(old.value, value)):
            _remember(overridden, {key: old}, path)
        tree[key] = _Leaf(value, source)


def _remember(overridden: dict[str, list[dict[str, Value]]], node: dict[str, _Node], path: tuple[str, ...]) -> None:
    for where, leaf in _leaves_of(node, path):
        overridden.setdefault(dotted(where), []).append({"source": leaf.source, "value": leaf.value})


def _leaves_of(tree: dict[str, _Node], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], _Leaf]]:
    for key, node in tree.items():
        if isinstance(node, _Leaf):
            yield (*path, key), node
        else:
            yield from _leaves_of(node, (*path, key))


def _values_of(tree: dict[str, _Node]) -> dict[str, Value]:
    return {key: node.value if isinstance(node, _Leaf) else _values_of(node) for key, node in tree.items()}


def _same(one: Value, other: Value) -> bool:
    """Equal and of one type, so that 1, 1.0 and True differ and NaN is itself."""
    return type(one) is type(other) and repr(one) == repr(other)


def layers_of(document: Mapping[str, Any]) -> list[Layer]:
    """The layers that a document was merged from, as far as it still tells: what an equal value replaced is gone."""
    said: dict[str, list[tuple[tuple[str, ...], Value]]] = {}
    sources, overridden = document["sources"], document["overridden"]
    for key, entries in overridden.items():
        for before in entries:
            said.setdefault(before["source"], []).append((split_key(key), before["value"]))
    for path, value in leaves(document["values"]):
        said.setdefault(sources.get(dotted(path), "default"), []).append((path, value))
    return [Layer(source=source, values=nested(values)) for source, values in said.items()]


def nested(values: Iterable[tuple[Sequence[str], Value]]) -> dict[str, Value]:
    """Nested values from leaves and their paths; a leaf that stands where a mapping must be gives way."""
    found: dict[str, Value] = {}
    for (*folders, name), value in values:
        place = found
        for folder in folders:
            below = place.get(folder)
            if not isinstance(below, dict):
                below = place[folder] = {}
            place = below
        place[name] = value
    return found
