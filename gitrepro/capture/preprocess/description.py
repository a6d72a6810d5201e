"""The canonical description of a transform, built by one walk over it."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import re
import textwrap
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, final

from .source import bytecode, cells, is_function, lambdas_in, names_in, origin, printed, qualified, version_of

_MOST_NODES: Final = 5000
_DEPTH: Final = 16
_ARRAY_BYTES: Final = 64 << 20
_PARTS_AT_MOST: Final = 100
_LIMITS_AT_MOST: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One step of a preparation.

    Attributes:
        type: the qualified name of its class or function.
        text: how it prints, without addresses, at most 200 characters.
        source: where its code is from: `package version`, or `local`.
        canonical: the whole description; equal text is equal preparation.
        limits: what the description does not see.
    """

    type: str
    text: str
    source: str
    canonical: str
    limits: tuple[str, ...]


def describe(transform: object) -> list[Part]:
    """The steps of a transform: of a list, a `Compose` or a `Pipeline` one for each, else one."""
    steps = _steps(transform)
    if len(steps) > _PARTS_AT_MOST:
        steps = [steps]
    return [_part(step) for step in steps]


def _steps(transform: Any) -> list[Any]:
    if isinstance(transform, list | tuple):
        return list(transform)
    for name in ("transforms", "steps"):
        inner = getattr(transform, name, None)
        # Another order of steps is another preparation, and so is what holds them: a Compose applies each, a
        # RandomChoice one of them.
        if isinstance(inner, list | tuple) and type(transform).__name__ in ("Compose", "Sequential", "Pipeline"):
            return list(inner)
    return [transform]


def _part(step: Any) -> Part:
    described = _Description()
    tree = described.of(step, 0)
    named = step[1] if isinstance(step, tuple) and len(step) == 2 and isinstance(step[0], str) else step
    return Part(
        type=qualified(named if isinstance(named, type) or is_function(named) else type(named)),
        text=printed(named),
        source=origin(named if is_function(named) else type(named)) or "local",
        canonical=json.dumps(tree, sort_keys=True, allow_nan=True),
        limits=tuple(dict.fromkeys(described.limits))[:_LIMITS_AT_MOST],
    )


@final
class _Description:
    """One walk over an object: what it has met already is named by its number, so that circles end."""

    def __init__(self) -> None:
        self.limits: list[str] = []
        self._met: dict[int, int] = {}
        self._kept: list[Any] = []  # an id stays one object's own only as long as that lives

    def of(self, value: Any, depth: int) -> Any:
        """`value` as JSON: plain values as they are, all else as a list that begins with its kind."""
        if value is None or (isinstance(value, bool | int | str) and not isinstance(value, Enum)):
            return value
        if isinstance(value, float):
            return ["float", repr(float(value))]
        if (simple := _simple(value)) is not None:
            return simple
        if id(value) in self._met:
            return ["again", self._met[id(value)]]
        if depth > _DEPTH or len(self._met) > _MOST_NODES:
            return self._limit(f"what is nested deeper than {_DEPTH} levels or has over {_MOST_NODES} objects")
        self._met[id(value)] = len(self._met)
        self._kept.append(value)
        return self._compound(value, depth + 1)

    def _limit(self, words: str) -> Any:
        self.limits.append(words)
        return ["unseen"]

    def _compound(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return ["map", *([self.of(key, depth), self.of(item, depth)] for key, item in value.items())]
        if isinstance(value, list | tuple):
            return [type(value).__name__, *(self.of(item, depth) for item in value)]
        if isinstance(value, set | frozenset):
            return ["set", *sorted((self.of(item, depth) for item in value), key=repr)]
        if (array := _array(value)) is not None:
            return array
        if isinstance(value, types.MethodType):
            return ["method", self.of(value.__func__, depth), self.of(value.__self__, depth)]
        if isinstance(value, functools.partial):
            return ["partial", *(self.of(each, depth) for each in (value.func, value.args, value.keywords))]
        if is_function(value):
            return self._function(value, depth)
        return self._class(value, depth) if isinstance(value, type) else self._object(value, depth)

    # -- code

    def _function(self, function: Any, depth: int) -> Any:
        if (package := origin(function)) is not None:
            return ["function", qualified(function), package]
        if not isinstance(function, types.FunctionType):
            return self._limit(f"the code of {qualified(function)}")
        return [
            "function",
            qualified(function),
            self._source(function),
            [self.of(function.__defaults__, depth), self.of(function.__kwdefaults__, depth)],
            [[name, self._cell(cell, depth)] for name, cell in cells(function)],
            self._globals(function, depth),
        ]

    def _source(self, function: types.FunctionType) -> Any:
        try:
            source = textwrap.dedent(inspect.getsource(function))
        except (OSError, TypeError, SyntaxError):
            self.limits.append(f"the source of {qualified(function)}; its byte code is compared, of this Python only")
            return bytecode(function.__code__)
        if function.__name__ != "<lambda>":
            return source
        lambdas = lambdas_in(source)
        # Two on one line have one source; their byte code tells them apart.
        return lambdas[0] if len(lambdas) == 1 else [lambdas or source, bytecode(function.__code__)]

    def _cell(self, cell: Any, depth: int) -> Any:
        try:
            return self.of(cell.cell_contents, depth)
        except ValueError:  # it is empty: a function that closes over its own name, not yet bound
            return ["empty"]

    def _globals(self, function: types.FunctionType, depth: int) -> Any:
        """What the function names of its module: constants, functions and classes; of modules the versions."""
        known = function.__globals__
        names = sorted(set(names_in(function.__code__)) & known.keys())
        return [[name, self._global(known[name], depth)] for name in names]

    def _global(self, value: Any, depth: int) -> Any:
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__, version_of(value.__name__)]
        return self.of(value, depth)

    def _class(self, kind: type, depth: int) -> Any:
        if (package := origin(kind)) is not None:
            return ["class", qualified(kind), package]
        try:
            source = textwrap.dedent(inspect.getsource(kind))
        except (OSError, TypeError, SyntaxError):
            self.limits.append(f"the source of class {qualified(kind)}; the code of its methods is compared")
            source = ""
        bases = [self.of(base, depth) for base in kind.__bases__ if base is not object]
        methods = [each for each in vars(kind).values() if isinstance(each, types.FunctionType)]
        named = [
            [each.__name__, self._globals(each, depth)] for each in methods if not source or names_in(each.__code__)
        ]
        code = [] if source else [[each.__name__, bytecode(each.__code__)] for each in methods]
        return ["class", qualified(kind), source, bases, named, code]

    # -- parameters

    def _object(self, value: Any, depth: int) -> Any:
        described = self.of(type(value), depth)
        if type(value).__name__ in ("Generator", "RandomState", "BitGenerator", "Random", "lock", "RLock"):
            return ["object", described]
        parameters = _parameters(value)
        if parameters is None:
            return ["object", described, self._by_its_print(value)]
        return ["object", described, [[name, self.of(item, depth)] for name, item in sorted(parameters.items())]]

    def _by_its_print(self, value: Any) -> str:
        text = printed(value)
        if text.startswith("<"):
            self.limits.append(f"the parameters of a {qualified(type(value))}, which does not print them")
            return ""
        return text


def _simple(value: Any) -> Any:
    if isinstance(value, bytes):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if isinstance(value, Enum):
        return ["enum", qualified(type(value)), value.name]
    if isinstance(value, complex | PurePath | range | slice | re.Pattern):
        return [type(value).__name__, printed(value)]
    if type(value).__module__ == "torch" and type(value).__name__ in ("dtype", "device"):
        return [type(value).__name__, str(value)]
    return None


def _array(value: Any) -> Any:
    """A NumPy array or a torch tensor by its bytes."""
    if not (hasattr(value, "dtype") and hasattr(value, "shape")) or isinstance(value, type):
        return None
    head = ["array", str(value.dtype), [int(size) for size in value.shape]]
    try:
        plain = value.detach().cpu().numpy() if hasattr(value, "detach") else value
        return [*head, hashlib.sha256(plain.tobytes()).hexdigest() if plain.nbytes <= _ARRAY_BYTES else "large"]
    except Exception:  # noqa: BLE001 - a stranger's array; its type and shape are known
        return head


def _parameters(value: Any) -> dict[str, Any] | None:
    """What a transform was made with; None where it does not tell."""
    if callable(getattr(value, "get_params", None)):
        try:
            return dict(value.get_params(deep=False))
        except Exception:  # noqa: BLE001 - a stranger's method
            pass
    held = getattr(value, "__dict__", None)
    slots = [name for kind in type(value).__mro__ for name in _slots(kind) if hasattr(value, name)]
    if held is None and not slots:
        return None
    found = {**{name: getattr(value, name) for name in slots}, **(held or {})}
    # A torch module keeps hooks and bookkeeping beside what it was made with.
    if "_modules" in found and "_parameters" in found:
        inner = ("_modules", "_parameters", "_buffers")
        return {name: item for name, item in found.items() if name in inner or not name.startswith("_")}
    return found


def _slots(kind: type) -> Iterable[str]:
    slots = vars(kind).get("__slots__", ())
    return [slots] if isinstance(slots, str) else [name for name in slots if name not in ("__dict__", "__weakref__")]
