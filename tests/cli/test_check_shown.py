"""What a person at a terminal sees of a check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Cli

from tests.cli.test_looking import in_terminal, plain

UNLABELLED = """
import numpy as np
from gitrepro.checks.metrics import metric
from gitrepro.checks.task import Data, Part, Predictions

class Clusters:
    name, kind, metric = "clusters", "self-supervised", metric("accuracy")
    def data(self):
        ids = np.array([f"i{number}" for number in range(40)])
        whole = Part(ids=ids, inputs=np.arange(80.0).reshape(40, 2))
        return Data(parts={"train": whole.take(np.arange(30)), "val": whole.take(np.arange(30, 40))})
    def predict(self, data, *, seed, share):
        return Predictions(ids=data.judged.ids, values=np.zeros(10))
    def learner(self):
        return None

task = Clusters()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "checks.py").write_text(UNLABELLED)
    return tmp_path


def test_lines_that_do_not_apply_for_the_same_reason_are_one_line_to_a_person(place: Path, cli: Cli) -> None:
    shown = plain(in_terminal("check", "overfit", "--no-record", "checks.py", cwd=place)).splitlines()
    every = cli("check", "overfit", "--no-record", "checks.py", cwd=place).stdout.splitlines()

    assert [len([line for line in lines if "NOT_APPLICABLE" in line]) for lines in (shown, every)] == [2, 7]
    assert "overfit.initial_loss" in shown[-1] and "overfit.future)" in shown[-1]


def test_outside_of_a_repository_a_check_says_how_it_goes_without_one(place: Path, cli: Cli) -> None:
    done = cli("check", "overfit", "checks.py", cwd=place)

    assert (done.returncode, "--no-record" in done.stderr) == (2, True)
