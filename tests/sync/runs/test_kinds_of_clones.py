"""Clones that are not whole, have no work tree, or share one repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitrepro.store.repository import find
from gitrepro.sync.runs import pull, push
from tests.recorded_runs import commit_file, opened, record_run

from .team import Team, git, runs_of, tree_of


@pytest.fixture
def run_id(team: Team) -> str:
    """A run of Ada's, pushed with its code; the code has a history."""
    ada = team.clone("ada")
    for number in range(3):
        commit_file(ada, "model.py", f"{number}\n")
    git(ada, "push", "--quiet", "origin", "HEAD:main")
    found = record_run(ada)
    push(opened(ada), code=True)
    return found


@pytest.mark.parametrize(
    "options", [("--depth=1",), ("--filter=blob:none",), ("--bare",), ("--depth=1", "--filter=tree:0")], ids=str
)
def test_each_kind_of_clone_gets_the_runs_and_sends_its_own(team: Team, run_id: str, options: tuple[str, ...]) -> None:
    git(team.hub, "config", "uploadpack.allowFilter", "true")
    clone = team.clone("other", *options)

    assert pull(opened(clone)).runs == (run_id,)
    assert runs_of(clone) == [run_id]
    if "--bare" in options:
        return
    own = record_run(clone)
    pushed = push(opened(clone), code=True)

    assert pushed.runs == (own,)
    assert team.tree() == tree_of(clone)
    assert git(team.hub, "fsck", "--connectivity-only") == ""


def test_a_shallow_clone_stays_shallow(team: Team, run_id: str) -> None:
    assert run_id
    clone = team.clone("other", "--depth=1")
    before = (clone / ".git" / "shallow").read_text()

    pull(opened(clone))
    git(clone, "fetch", "--quiet")

    assert (clone / ".git" / "shallow").read_text() == before


def test_the_runs_in_a_partial_clone_are_here_and_not_fetched_one_by_one(team: Team, run_id: str) -> None:
    git(team.hub, "config", "uploadpack.allowFilter", "true")
    clone = team.clone("other", "--filter=blob:none")
    pull(opened(clone))
    team.hub.rename(team.folder / "away.git")

    missing = git(clone, "rev-list", "--objects", "--missing=print", "refs/gitrepro/runs")

    assert "?" not in missing and run_id in missing


def test_a_linked_worktree_pushes_what_the_clone_has(team: Team, run_id: str) -> None:
    clone = team.clone("other")
    git(clone, "worktree", "add", "--quiet", "-b", "side", "../side")
    side = team.folder / "side"
    pull(opened(side))
    own = record_run(side)

    assert push(opened(side)).runs == (own,)
    assert runs_of(clone) == sorted([run_id, own])


def test_a_submodule_has_runs_of_its_own(team: Team, run_id: str, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "--quiet")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", team.url, "inner")

    assert pull(opened(outer / "inner")).runs == (run_id,)
    assert git(outer, "for-each-ref") == ""


def test_a_path_with_spaces_and_a_relative_url_are_found_from_anywhere(team: Team, run_id: str) -> None:
    clone = team.clone("with space")
    git(clone, "remote", "set-url", "origin", "../hub.git")
    below = clone / "a" / "b"
    below.mkdir(parents=True)

    assert pull(find(below, {})).runs == (run_id,)
