"""What every bridge promises: the same training leaves the same record, however it is written and however it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
for library in ("sklearn", "lightning", "transformers", "accelerate", "tensorboard"):
    pytest.importorskip(library)

from tests.integrations.conftest import PROGRAM, Known, known  # noqa: E402

BRIDGES = ("plain", "fabric", "lightning", "huggingface", "accelerate", "tensorboard", "wandb")
TRAINERS = ("lightning", "huggingface")
# A trainer counts in its own way: that of transformers from 1.
FIRST_STEP = {"huggingface": 1}
VALIDATED_AT = {"huggingface": [10, 20]}
MORE = {
    "lightning": {"epoch"},
    "huggingface": {"epoch", "train/learning_rate", "train/grad_norm", "val/loss"},
}
CONFIG = {"lr": 0.1, "epochs": 2, "batch_size": 128}
Program = Callable[..., Any]


@pytest.fixture(scope="module")
def reference() -> dict[str, list[float]]:
    """The values of each metric, from the plain loop, without a run."""
    from tests.integrations.program import loop

    values: dict[str, list[float]] = {}

    def log(row: dict[str, Any], _step: int) -> None:
        for name, value in row.items():
            values.setdefault(name, []).append(float(value))

    loop(log, lambda _step: None)
    return values


def recorded(program: Program, repo: Path, bridge: str, whose: str, ends: str) -> Known:
    done = program(PROGRAM, bridge, whose, ends)
    assert (done.code == 0) == (ends == "well"), done.err
    [found] = known(repo)
    return found


@pytest.mark.parametrize(
    ("bridge", "whose"),
    [("plain", "given"), *((bridge, "own") for bridge in BRIDGES[1:]), *((bridge, "given") for bridge in TRAINERS)],
)
def test_the_same_training_leaves_the_same_record(
    program: Program, repo: Path, bridge: str, whose: str, reference: dict[str, list[float]]
) -> None:
    found = recorded(program, repo, bridge, whose, "well")
    names = {name for row in found.rows for name, value in row.items() if name[0] != "_" and value is not None}
    first = FIRST_STEP.get(bridge, 0)

    assert found.record["status"] == "finished"
    assert found.config.items() >= CONFIG.items()
    assert names == {"train/loss", "val/accuracy"} | MORE.get(bridge, set())
    assert [step for step, _ in found.curve("train/loss")] == list(range(first, first + 20))
    assert [step for step, _ in found.curve("val/accuracy")] == VALIDATED_AT.get(bridge, [9, 19])
    for name in ("train/loss", "val/accuracy"):
        assert [value for _, value in found.curve(name)] == pytest.approx(reference[name], rel=1e-5)


@pytest.mark.parametrize(
    ("bridge", "whose"),
    # Only the trainers catch what breaks a training, and so may tell the run of somebody else about it.
    [*((bridge, "own") for bridge in BRIDGES[1:]), *((bridge, "given") for bridge in TRAINERS)],
)
@pytest.mark.parametrize(("ends", "status"), [("fails", "failed"), ("interrupts", "interrupted")])
def test_a_training_that_breaks_off_says_so_and_keeps_what_it_said(
    program: Program, repo: Path, bridge: str, whose: str, ends: str, status: str
) -> None:
    found = recorded(program, repo, bridge, whose, ends)

    assert found.record["status"] == status
    assert len(found.curve("train/loss")) == 5
    if status == "failed":
        assert found.record["reason"]["message"] == "the batch is broken"


@pytest.mark.parametrize("bridge", BRIDGES)
def test_with_gitrepro_disabled_the_training_goes_on_and_nothing_is_recorded(
    program: Program, repo: Path, bridge: str
) -> None:
    done = program(PROGRAM, bridge, "own", "well", GITREPRO_MODE="disabled")

    assert done.code == 0, done.err
    assert not (repo / ".git" / "gitrepro").exists()
    assert known(repo) == []
