"""Deterministic torch: what is switched, what is read back, and what the record says of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitrepro.errors import UsageError
from gitrepro.run.deterministic import check_mode, determinism
from gitrepro.training import determinism as switches

from ..warm import Warm

SAY = """
import json, torch
from gitrepro.training import determinism
print(json.dumps(determinism.flags()))
"""


def told(repo: Path, code: str, *command: str) -> Any:
    """What a program prints last, as JSON."""
    (repo / "train.py").write_text(code)
    done = subprocess.run([*command, sys.executable, "train.py"], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    made = Warm("torch", "gitrepro.run.handle", "gitrepro.run.recorder")
    yield made
    made.close()


def warmly(warm: Warm, repo: Path, code: str) -> tuple[int, Any]:
    """As `told`, where torch is imported before the program begins; with the exit code."""
    (repo / "train.py").write_text(code)
    warm.start([str(repo / "train.py")], folder=repo)
    exit_code = warm.wait()
    lines = warm.printed("out").splitlines()
    assert lines or exit_code < 0, warm.printed("err")
    return exit_code, json.loads(lines[-1]) if lines else None


def newest(repo: Path) -> Any:
    import gitrepro

    return gitrepro.runs(repo=repo)[0].metadata["determinism"]


RECORD = [sys.executable, "-m", "gitrepro", "record", "--determinism"]


@pytest.mark.parametrize(("mode", "fills"), [("on", False), ("debug", True)])
def test_a_command_switches_torch_before_the_program_sees_it(repo: Path, mode: str, fills: bool) -> None:
    flags = told(repo, SAY, *RECORD, mode, "--")

    assert flags["deterministic_algorithms"] is True
    assert (flags["cudnn_benchmark"], flags["cudnn_deterministic"]) == (False, True)
    assert flags["fill_uninitialized_memory"] is fills
    assert newest(repo) == {"mode": mode, "flags": flags}


def test_a_program_switches_torch_that_it_has_imported(warm: Warm, repo: Path) -> None:
    code = f"import torch, gitrepro\nrun = gitrepro.record(determinism='on')\n{SAY}run.finish()"
    _, flags = warmly(warm, repo, code)

    assert flags["deterministic_algorithms"] is True
    assert newest(repo) == {"mode": "on", "flags": flags}


def test_off_switches_nothing_and_says_what_is_in_force(warm: Warm, repo: Path) -> None:
    _, flags = warmly(warm, repo, f"import gitrepro\nrun = gitrepro.record(determinism='off')\n{SAY}run.finish()")

    assert (flags["deterministic_algorithms"], flags["cudnn_deterministic"]) == (False, False)
    assert newest(repo) == {"mode": "off", "flags": flags}


def test_what_the_program_switches_back_is_on_record(repo: Path) -> None:
    undo = "torch.use_deterministic_algorithms(False)\n"
    told(repo, f"import gitrepro\nrun = gitrepro.record(determinism='on')\n{SAY}{undo}run.finish()")

    assert newest(repo)["changed"] == {"deterministic_algorithms": False}


def test_a_killed_run_keeps_what_was_in_force(warm: Warm, repo: Path) -> None:
    code = f"import gitrepro, os\nrun = gitrepro.record(determinism='on')\n{SAY}os.kill(os.getpid(), 9)"
    assert warmly(warm, repo, code)[0] == -9
    subprocess.run([sys.executable, "-m", "gitrepro", "recover"], cwd=repo, capture_output=True, check=True)

    assert newest(repo)["flags"]["deterministic_algorithms"] is True


def test_a_program_without_torch_says_only_what_was_asked_for(repo: Path) -> None:
    told(repo, "import gitrepro\nwith gitrepro.record(determinism='on'): pass\nprint(1)")

    assert newest(repo) == {"mode": "on", "flags": {}}


def test_nobody_asked_and_nothing_is_switched_or_said(warm: Warm, repo: Path) -> None:
    import gitrepro

    _, flags = warmly(warm, repo, f"import gitrepro\nrun = gitrepro.record()\n{SAY}run.finish()")

    assert flags["deterministic_algorithms"] is False
    assert "determinism" not in gitrepro.runs(repo=repo)[0].metadata


@pytest.mark.parametrize("mode", ["strict", "", True, 1])
def test_a_mode_that_is_none_is_refused(mode: object) -> None:
    with pytest.raises(UsageError, match="determinism"):
        check_mode(mode)


class OldTorch:
    """A torch that knows none of the switches, such as one from years ago."""

    __version__ = "1.4.0"

    def use_deterministic_algorithms(self, wanted: bool) -> None:
        raise AttributeError("is_deterministic")


def test_what_a_torch_cannot_switch_is_a_trouble_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    troubles = switches.switch("on", OldTorch())

    assert [trouble.partition(":")[0] for trouble in troubles] == [
        "deterministic algorithms", "filling of memory", "cudnn.benchmark", "cudnn.deterministic",
    ]  # fmt: skip


@pytest.mark.parametrize(("version", "expected"), [("1.4.0", ":4096:8"), ("2.9.1+cu126", ":4096:8"), ("2.10.0", None)])
def test_an_older_torch_needs_a_word_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, version: str, expected: str | None
) -> None:
    import os

    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(OldTorch, "__version__", version)
    switches.switch("on", OldTorch())
    found = os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)

    assert found == expected


def test_the_word_of_the_program_stands_over_that_of_the_command() -> None:
    event = {"op": "determinism", "seen": {"mode": "debug", "flags": {"threads": 1}}}
    observed = [{"determinism": {"mode": "on", "flags": {"threads": 2}}}]

    assert determinism([event], observed) == {"mode": "debug", "flags": {"threads": 1}}
    assert determinism([], observed) == {"mode": "on", "flags": {"threads": 2}}
    assert determinism([], [{}]) is None


@pytest.mark.gpu
def test_deterministic_matrix_products_repeat_on_a_device(repo: Path) -> None:
    code = """
import json, torch, gitrepro
with gitrepro.record(seed=0, determinism="on"):
    x = torch.randn(512, 512, device="cuda")
    index = torch.randint(0, 64, (512,), device="cuda")
    same = all(torch.equal(torch.zeros(64, 512, device="cuda").index_add(0, index, x @ x),
                           torch.zeros(64, 512, device="cuda").index_add(0, index, x @ x)) for _ in range(20))
print(json.dumps(same))
"""
    assert told(repo, code) is True
