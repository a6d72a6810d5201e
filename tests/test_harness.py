"""The fixtures that every other test stands on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from conftest import Cli, Git


def test_the_repository_has_one_commit_and_a_clean_tree(repo: Path, git: Git) -> None:
    assert git(repo, "rev-list", "--count", "HEAD") == "1"
    assert git(repo, "status", "--porcelain") == ""


def test_git_reads_no_settings_but_those_of_the_repository(repo: Path, git: Git) -> None:
    origins = {line.split("\t")[0] for line in git(repo, "config", "--list", "--show-origin").splitlines()}

    assert origins == {"file:.git/config"}


def test_a_failing_git_command_is_not_overlooked(repo: Path, git: Git) -> None:
    with pytest.raises(AssertionError, match="no-such-branch"):
        git(repo, "rev-parse", "--verify", "no-such-branch")


def test_no_variable_of_a_recording_or_a_launcher_reaches_a_test() -> None:
    left = {name for name in os.environ if name.startswith(("GITREPRO_", "SLURM_"))} | ({"RANK"} & set(os.environ))

    assert left == set()


def test_home_and_state_are_inside_an_empty_folder(hermetic: Path) -> None:
    assert Path.home() == hermetic
    assert os.environ["XDG_STATE_HOME"].startswith(str(hermetic))


@given(st.integers())
def test_properties_and_the_empty_home_go_together(number: int) -> None:
    assert isinstance(number, int)


def test_the_command_runs_in_the_given_folder_with_the_given_environment(repo: Path, cli: Cli) -> None:
    done = cli("--version", cwd=repo, env={"NO_COLOR": "1", "LC_ALL": None})

    assert (done.returncode, done.stderr) == (0, "")
