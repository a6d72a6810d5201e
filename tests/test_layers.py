"""Imports point down. This file holds the list, and the home of every library that is not ours.

A room is a module or a folder directly under `gitrepro/`. It may import the rooms of the rows below its own; rooms on
one row do not know each other. An import inside a function, under `TYPE_CHECKING` or by `import_module("...")` is an
import too. A new room, or a new library, enters here first.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gitrepro"

DOOR = "gitrepro"  # gitrepro/__init__.py

ROWS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("ui", "integrations"),
    ("rerun", "report", "hooks", "demo"),
    (DOOR,),
    ("launch",),
    ("run",),
    ("audit",),
    ("checks",),
    ("data", "checkpoints"),
    ("sync",),
    ("store",),
    ("training", "capture", "analysis"),
    ("policy", "query"),
    ("records",),
    ("errors",),
    ("bootstrap",),
)

# Rooms that may see less than everything below them.
ONLY = {
    "__main__": {"cli"},
    DOOR: {"run", "records", "errors"},
    "bootstrap": set[str](),  # runs in strangers' interpreters
}

ABOVE_STORE = {"rerun", "report", "demo", "ui", "integrations", "run", "audit", "checks", "data", "checkpoints"}
HOMES: dict[str, set[str]] = {
    "PIL": {"checks", "data", "integrations"},
    "accelerate": {"integrations"},
    "blake3": {"store", "records", "training"},
    "click": {"cli"},
    "dulwich": {"store"},
    "h5py": {"integrations"},
    "hydra": {"integrations"},
    "keras": {"integrations"},
    "lightgbm": {"integrations"},
    "lightning": {"integrations"},
    "obstore": {"sync"},
    "omegaconf": {"integrations"},
    "optuna": {"integrations"},
    "jax": {"training"},
    "numpy": ABOVE_STORE | {"training", "capture", "analysis", "records"},
    "pandas": {"records"},
    "psutil": {"capture", "run", "launch"},
    "pyarrow": {"records", "data", "analysis", "store"},
    "pynvml": {"training"},
    "pyrage": {"data"},
    "rensa": {"data"},
    "scipy": {"analysis"},
    "sklearn": {"checks", "data", "demo", "integrations"},
    "starlette": {"ui"},
    "tensorflow": {"training"},
    "threadpoolctl": {"capture", "checks"},
    "torch": {"training", "checks", "checkpoints", "integrations", "rerun", "data", "demo"},
    "transformers": {"integrations"},
    "xgboost": {"integrations"},
    "yaml": {"policy", "capture"},
    "zstandard": {"store"},
}
IMPORT_NAMES = {"nvidia-ml-py": "pynvml", "pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}

# Loaded by path into interpreters where gitrepro is not installed, from Python 3.8 on.
BY_PATH = (
    "bootstrap/sitecustomize.py",
    "training/determinism.py",
    "training/probing.py",
    "training/seeds.py",
    *(f"training/{name}.py" for name in ("fingerprints", "inforce", "meters", "power", "steps", "tracing")),
    *(f"capture/{name}.py" for name in ("environment", "hardware", "modules")),
    *(f"capture/observing/{name}.py" for name in "arguments commands composed files plain watch".split()),
    *(f"capture/secrets/{name}.py" for name in ("names", "text", "tree")),
)
# Folders of which the files are loaded under one name, so that they find each other.
TOGETHER = ("gitrepro.capture.observing.", "gitrepro.capture.secrets.", "gitrepro.training.")
YOUNGER_THAN_3_8 = {"graphlib", "tomllib", "zoneinfo"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import as it stands in a source file."""

    line: int
    name: str  # absolute and dotted: "gitrepro.records.yaml", "numpy.linalg"
    at_load: bool  # runs when the module is loaded, not when a function is called

    @property
    def library(self) -> str:
        return self.name.partition(".")[0]

    @property
    def room(self) -> str:
        return _room(self.name)


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in _row_of() else DOOR


def _row_of() -> dict[str, int]:
    return {room: row for row, rooms in enumerate(ROWS) for room in rooms}


def imports_of(source: str, *, module: str, is_package: bool = False) -> list[Import]:
    """Every import in `source`, the source of the dotted `module`, in the order of the lines."""
    package = module if is_package else module.rpartition(".")[0]
    found = [
        Import(line=node.lineno, name=name, at_load=at_load)
        for node, at_load in _nodes(ast.parse(source), at_load=True)
        for name in _names(node, package)
    ]
    return sorted(found, key=lambda each: each.line)


def _nodes(tree: ast.AST, *, at_load: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom | ast.Call, bool]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Call):
            yield node, at_load
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _nodes(node, at_load=at_load and not inside)


def _names(node: ast.Import | ast.ImportFrom | ast.Call, package: str) -> list[str]:
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            base = _absolute(node.module or "", level=node.level, package=package)
            # `from gitrepro import store` names a room, `from gitrepro.store import fs` a module of one.
            return [f"{base}.{alias.name}" if base == "gitrepro" else base for alias in node.names]
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return [name]
    return []


def _absolute(name: str, *, level: int, package: str) -> str:
    if level == 0:
        return name
    above = package.split(".")[: len(package.split(".")) - (level - 1)]
    return ".".join([*above, name] if name else above)


def faults(source: str, *, module: str, is_package: bool = False) -> list[str]:
    """What is wrong with the imports of one file, a line each."""
    here = _room(module)
    found = []
    for each in imports_of(source, module=module, is_package=is_package):
        fault = _fault_of_ours(here, each) if each.library == "gitrepro" else _fault_of_theirs(here, each.library)
        if fault:
            found.append(f"{module}:{each.line}: {fault}")
    return found


def _fault_of_ours(here: str, each: Import) -> str:
    # The version is a constant, and the door has always been loaded before any module behind it.
    if each.room == here or each.name == "gitrepro.__version__":
        return ""
    if here in ONLY and each.room not in ONLY[here]:
        return f"{here} may not import {each.name}, only {sorted(ONLY[here]) or 'the standard library'}"
    if _row_of()[each.room] <= _row_of()[here]:
        return f"{here} may not import {each.name}, which is not on a row below it"
    return ""


def _fault_of_theirs(here: str, library: str) -> str:
    if library in sys.stdlib_module_names:
        return ""
    if library not in HOMES:
        return f"{library} has no home"
    return "" if here in HOMES[library] else f"{library} is not at home in {here}, only in {sorted(HOMES[library])}"


def _modules() -> list[tuple[Path, str]]:
    return [(path, _module(path)) for path in sorted(PACKAGE.rglob("*.py"))]


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_import_in_the_package_points_down() -> None:
    found = [
        fault
        for path, module in _modules()
        for fault in faults(path.read_text(), module=module, is_package=path.name == "__init__.py")
    ]

    assert found == []


def test_every_room_has_a_row() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path, _ in _modules()} - {"__init__"}

    assert rooms - _row_of().keys() == set()


def test_no_room_is_named_twice() -> None:
    assert len(_row_of()) == sum(len(rooms) for rooms in ROWS)


def test_every_home_is_a_room_and_every_dependency_has_a_home() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(each for name in extras if name not in ("dev", "all") for each in extras[name]),
    ]
    names = {re.split(r"[\s\[<>=!~;]", each, maxsplit=1)[0].lower() for each in wanted}

    assert {room for rooms in HOMES.values() for room in rooms} - _row_of().keys() == set()
    assert {IMPORT_NAMES.get(name, name) for name in names} - HOMES.keys() == set()


@pytest.mark.parametrize("name", BY_PATH)
def test_what_strangers_load_by_path_needs_only_the_standard_library(name: str) -> None:
    assert _foreign_at_load((PACKAGE / name).read_text(), module=_module(PACKAGE / name)) == []


@pytest.mark.parametrize("name", BY_PATH)
def test_what_strangers_load_by_path_parses_as_python_3_8(name: str) -> None:
    ast.parse((PACKAGE / name).read_text(), feature_version=(3, 8))


def _foreign_at_load(source: str, *, module: str) -> list[str]:
    known = sys.stdlib_module_names - YOUNGER_THAN_3_8
    beside = next((folder for folder in TOGETHER if module.startswith(folder)), None)
    return [
        f"{module}:{each.line}: {each.name}"
        for each in imports_of(source, module=module)
        # Ours is missing there in any case; a library may be there, and is asked for inside a function.
        if each.library not in known and (each.at_load or each.library == "gitrepro")
        if beside is None or not each.name.startswith(beside)
    ]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gitrepro.store.fs", "from gitrepro.run import record"),
        ("gitrepro.store.fs", "from gitrepro import run"),
        ("gitrepro.store.fs", "import gitrepro"),
        ("gitrepro.store.fs", "from ..run import record"),
        ("gitrepro.store.fs", "from .. import run"),
        ("gitrepro.records.yaml", "def load():\n    from gitrepro.store import fs"),
        ("gitrepro.records.yaml", "if TYPE_CHECKING:\n    from gitrepro.store import fs"),
        ("gitrepro.records.yaml", "import importlib\nimportlib.import_module('gitrepro.store.fs')"),
        ("gitrepro.__main__", "from gitrepro.run import record"),
        ("gitrepro", "from gitrepro.store import fs"),
        ("gitrepro.bootstrap.sitecustomize", "from gitrepro.errors import Damaged"),
    ],
)
def test_an_import_that_points_up_is_found(module: str, source: str) -> None:
    assert len(faults(source, module=module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gitrepro.training.seeds", "from gitrepro.capture import config"),
        ("gitrepro.data.splits", "def run():\n    import gitrepro.checkpoints.keep"),
        ("gitrepro.query", "from gitrepro.policy import RULES"),
    ],
)
def test_an_import_of_a_neighbour_is_found(module: str, source: str) -> None:
    assert len(faults(source, module=module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gitrepro.records.metrics", "import torch"),
        ("gitrepro.run", "def log():\n    import dulwich.repo"),
        ("gitrepro.store.objects", "import numpy as np"),
        ("gitrepro.store.objects", "import a_library_nobody_named"),
        ("gitrepro.errors", "from click import ClickException"),
        ("gitrepro.run", "__import__('scipy.stats')"),
    ],
)
def test_a_library_away_from_home_is_found(module: str, source: str) -> None:
    assert len(faults(source, module=module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gitrepro.cli.main", "import click\nfrom gitrepro.run import record\nfrom gitrepro.cli import style"),
        ("gitrepro.store.fs", "from gitrepro.store.git import Git\nfrom . import git\nfrom gitrepro import errors"),
        ("gitrepro.run", "from gitrepro import __version__\nimport os, json"),
        ("gitrepro", "def __getattr__(name):\n    from gitrepro import run"),
        ("gitrepro.demo", "import gitrepro"),
    ],
)
def test_an_import_that_points_down_is_let_pass(module: str, source: str) -> None:
    assert faults(source, module=module) == []


def test_a_library_at_load_time_is_found_where_strangers_load_by_path() -> None:
    source = "import os\nimport numpy\ndef later():\n    import torch\n    from gitrepro import errors"

    assert _foreign_at_load(source, module="m") == ["m:2: numpy", "m:5: gitrepro.errors"]


def test_files_that_strangers_load_together_may_import_each_other_and_no_others() -> None:
    source = "from .plain import plain\nfrom ..modules import OwnCode"

    assert _foreign_at_load(source, module="gitrepro.capture.observing.m") == [
        "gitrepro.capture.observing.m:2: gitrepro.capture.modules"
    ]
