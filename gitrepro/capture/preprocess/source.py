"""The code behind a function or class: where it is from, what it names, and how it prints."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import re
import sys
import sysconfig
import types
from collections.abc import Iterable
from typing import Any, Final

_REPR_CHARACTERS: Final = 200
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


def is_function(value: Any) -> bool:
    kinds = (types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)
    return isinstance(value, kinds) or type(value).__name__ in ("ufunc", "_ArrayFunctionDispatcher")


def cells(function: types.FunctionType) -> list[tuple[str, Any]]:
    return list(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))


def names_in(code: types.CodeType) -> Iterable[str]:
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from names_in(each)


def lambdas_in(source: str) -> list[str]:
    """The lambdas in some lines of source, each as written; none where the lines do not parse on their own."""
    for text in (source, f"({source.strip().rstrip(',')})", f"({source.strip()}", f"_ {source.strip()}"):
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        found = [ast.get_source_segment(text, node) for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
        return [each for each in found if each]
    return []


def bytecode(code: types.CodeType) -> Any:
    constants = [bytecode(each) if isinstance(each, types.CodeType) else repr(each) for each in code.co_consts]
    version = "{}.{}".format(*sys.version_info[:2])
    return ["bytecode", version, hashlib.sha256(code.co_code).hexdigest(), list(code.co_names), constants]


# -- where code is from


def origin(thing: Any) -> str | None:
    """`package version` of what is installed; None for the program's own."""
    module = getattr(thing, "__module__", None) or getattr(getattr(thing, "__self__", None), "__module__", None)
    if type(thing).__name__ == "ufunc":
        module = "numpy"
    if not isinstance(module, str):
        return f"python {sys.version_info[0]}.{sys.version_info[1]}" if not hasattr(thing, "__code__") else None
    top = module.partition(".")[0]
    if top in sys.builtin_module_names or top in sys.stdlib_module_names - {"__main__"}:
        return f"python {sys.version_info[0]}.{sys.version_info[1]}"
    file = getattr(sys.modules.get(module), "__file__", None) or getattr(sys.modules.get(top), "__file__", None)
    if not isinstance(file, str) or not _installed(file):
        return None
    return f"{top} {version_of(top) or '?'}"


def _installed(file: str) -> bool:
    folders = {sysconfig.get_paths()[name] for name in ("purelib", "platlib")}
    return file.startswith(tuple(f"{folder}/" for folder in folders)) or "/dist-packages/" in file


@functools.lru_cache(maxsize=256)
def version_of(module: str) -> str | None:
    top = module.partition(".")[0]
    version = getattr(sys.modules.get(top), "__version__", None)
    if isinstance(version, str):
        return version
    try:
        return importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        return None


def qualified(thing: Any) -> str:
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None) or type(thing).__qualname__
    module = getattr(thing, "__module__", None)
    return f"{module}.{name}" if module else str(name)


def printed(value: Any) -> str:
    try:
        text = _ADDRESS.sub("", repr(value))
    except Exception as error:  # noqa: BLE001 - the repr of a stranger's object may raise anything
        text = f"<{qualified(type(value))} without a repr: {type(error).__name__}>"
    return text if len(text) <= _REPR_CHARACTERS else text[: _REPR_CHARACTERS - 1] + "…"
