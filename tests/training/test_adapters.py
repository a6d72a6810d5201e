"""Frameworks behind one protocol: each that is installed answers the same questions. The others are skipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gitrepro
from gitrepro.errors import UsageError
from gitrepro.store import repository
from gitrepro.store.runs import RunTree
from gitrepro.training.adapters import ADAPTERS, Adapter, adapter
from gitrepro.training.streams import seed_for

SEED = seed_for(7, "init")


@pytest.fixture(params=sorted(ADAPTERS))
def framework(request: pytest.FixtureRequest) -> tuple[str, Adapter]:
    pytest.importorskip(request.param)
    return request.param, adapter(request.param)


def drawn(name: str, generator: Any) -> list[float]:
    if name == "torch":
        import torch

        return list(torch.rand(4, generator=generator).tolist())
    if name == "jax":
        import jax

        return list(map(float, jax.random.uniform(generator, (4,))))
    numbers = generator.random(4) if name == "numpy" else generator.uniform((4,)).numpy()
    return list(map(float, numbers))


def test_a_generator_is_a_function_of_its_seed(framework: tuple[str, Adapter]) -> None:
    name, found = framework
    numbers = drawn(name, found.generator(SEED))

    assert drawn(name, found.generator(SEED)) == numbers
    assert drawn(name, found.generator(seed_for(8, "init"))) != numbers


def test_the_upper_half_of_a_seed_counts(framework: tuple[str, Adapter]) -> None:
    name, found = framework
    low = SEED & 0xFFFFFFFF
    if name == "torch":
        pytest.skip("torch's generator on the CPU takes the lower 32 bits of a seed")

    assert drawn(name, found.generator(low)) != drawn(name, found.generator(low | 1 << 40))


def test_the_digest_of_weights_sees_one_unit_in_the_last_place(framework: tuple[str, Adapter]) -> None:
    name, found = framework
    weights: dict[str, Any] = {"layer": np.ones((2, 3), "float32")}
    other = {"layer": weights["layer"].copy()}
    other["layer"][1, 2] = np.nextafter(np.float32(1), np.float32(2))
    if name == "torch":
        import torch

        weights, other = ({key: torch.as_tensor(value) for key, value in each.items()} for each in (weights, other))
    elif name != "numpy":
        import importlib

        make = importlib.import_module("jax.numpy").asarray if name == "jax" else importlib.import_module(name).Variable
        weights, other = ({key: make(value) for key, value in each.items()} for each in (weights, other))

    assert found.weights_digest(weights) == found.weights_digest(dict(weights))
    assert found.weights_digest(weights) != found.weights_digest(other)


def test_flags_can_be_kept(framework: tuple[str, Adapter]) -> None:
    name, found = framework

    assert json.loads(json.dumps(found.flags())) == found.flags()
    assert bool(found.flags()) is (name != "numpy")


def test_a_framework_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="no framework 'abacus'"):
        adapter("abacus")


def test_a_framework_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(UsageError, match="jax is not installed"):
        adapter("jax")


def test_a_run_gives_out_generators_of_a_stream_for_each(
    framework: tuple[str, Adapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, found = framework
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    run = gitrepro.record(seed=7)

    assert drawn(name, run.generator("init", kind=name)) == drawn(name, found.generator(SEED))


SWITCHED = {
    "jax": ("jax", "xla_flags", "--xla_gpu_deterministic_ops=true"),
    "tensorflow": ("tensorflow", "op_determinism", True),
}


@pytest.mark.parametrize("name", sorted(SWITCHED))
def test_determinism_is_switched_as_the_framework_is_imported(repo: Path, name: str) -> None:
    pytest.importorskip(name)
    library, flag, value = SWITCHED[name]
    (repo / "train.py").write_text(f"import gitrepro\nwith gitrepro.record(determinism='on'):\n    import {library}\n")
    environ = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run([sys.executable, "train.py"], cwd=repo, env=environ, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    # Not through the index: TensorFlow brings an SQLite of its own into this process, which cannot search text.
    with RunTree(repository.find(repo, os.environ)) as tree:
        [run_id] = tree.run_ids()
        flags = (tree.run(run_id).determinism or {})["flags"]
    assert flags[name][flag] == value
