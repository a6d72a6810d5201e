"""constraints.txt pins what pyproject.toml asks for, inside its ranges, and everything those need in turn."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
# What only the environment of `make frameworks` has.
APART = {"h5py", "keras", "lightgbm", "ml-dtypes", "namex", "optree", "xgboost"}


def pins(text: str) -> dict[str, str]:
    """Canonical name → version, for each line of a constraints file that is not a comment."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def outside(requirements: Iterable[str], pinned: Mapping[str, str]) -> list[str]:
    """The requirements that have no pin, or a pin outside their range."""
    return [each for each in requirements if not _is_met(Requirement(each), pinned)]


def _is_met(requirement: Requirement, pinned: Mapping[str, str]) -> bool:
    name = canonicalize_name(requirement.name)
    return name == "gitrepro" or (name in pinned and requirement.specifier.contains(pinned[name], prereleases=True))


def _pinned() -> dict[str, str]:
    return pins((ROOT / "constraints.txt").read_text())


def _asked_for() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *(each for group in project["optional-dependencies"].values() for each in group)]


def test_every_direct_dependency_is_pinned_inside_its_range() -> None:
    assert outside(_asked_for(), _pinned()) == []


def test_everything_they_need_in_turn_is_pinned() -> None:
    # torch pins its own CUDA and Triton wheels, to the exact version.
    needed = {name for name in _needed_by(_pinned()) if not re.match(r"nvidia-|cuda-|triton$", name)}

    assert needed - _pinned().keys() == set()


def test_constraints_name_no_host_and_no_path() -> None:
    assert re.findall(r"(?m)^[^#]*(?:/|@|--)", (ROOT / "constraints.txt").read_text()) == []


def test_a_pin_outside_the_range_is_found() -> None:
    assert outside(["click>=8.2", "numpy>=1.26"], {"click": "8.1.7", "numpy": "2.0"}) == ["click>=8.2"]


def test_a_missing_pin_is_found() -> None:
    assert outside(["blake3>=1.0"], {}) == ["blake3>=1.0"]


def _needed_by(names: Iterable[str]) -> set[str]:
    """What the installed distributions `names` need on this machine, their extras aside."""
    requirements = [Requirement(each) for name in names for each in _requires(name)]
    return {
        str(canonicalize_name(each.name))
        for each in requirements
        if each.marker is None or each.marker.evaluate({"extra": ""})
    }


def _requires(name: str) -> list[str]:
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        if name in APART:
            return []
        raise
