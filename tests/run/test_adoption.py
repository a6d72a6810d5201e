"""Runs that were kept outside a repository: which of them are taken in, and what is said of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

RUN = "with gitrepro.record(name={name!r}) as run: run.log({{'loss': 0.5}})"


@pytest.fixture
def kept(script, repo: Path, tmp_path: Path):
    """Three runs that wait: of the repository's folder, of one inside it, and of another project."""
    inside, other = repo / "src", tmp_path / "other"
    inside.mkdir()
    other.mkdir()
    for name, folder in (("here", repo), ("inside", inside), ("elsewhere", other)):
        done = script(RUN.format(name=name), cwd=folder, env={"GIT_DIR": "/nowhere"})
        assert "has no repository" in done.stderr
    return other


def names(done) -> list[str]:
    assert done.returncode == 0, done.stderr
    return sorted(run["name"] for run in json.loads(done.stdout))


def test_a_repository_takes_in_what_ran_in_its_folder_and_lists_the_rest(kept, cli, repo, runs):
    done = cli("recover", "--into", ".", "--json", cwd=repo)

    assert names(done) == ["here", "inside"]
    assert "2 of 3 runs" in done.stderr
    assert "elsewhere" in done.stderr
    assert str(kept) in done.stderr
    assert {run["name"] for run in runs()} == {"here", "inside"}
    assert names(cli("recover", "--into", ".", "--json", cwd=repo)) == []


def test_what_was_taken_in_says_so(kept, cli, repo, runs, hermetic):
    cli("recover", "--into", ".", cwd=repo)

    for run in runs():
        assert run["adopted"]["from"] == str(hermetic / "state" / "gitrepro")
        assert run["adopted"]["at"] > run["started_at"]
        assert run["code"] is None


def test_a_run_that_is_named_is_taken_in_wherever_it_ran(kept, cli, repo):
    assert names(cli("recover", "--into", ".", "elsewhere", "--json", cwd=repo)) == ["elsewhere"]
    assert names(cli("recover", "--into", ".", "--json", cwd=repo)) == ["here", "inside"]


def test_all_takes_in_everything(kept, cli, repo):
    assert names(cli("recover", "--into", ".", "--all", "--json", cwd=repo)) == ["elsewhere", "here", "inside"]


def test_a_run_that_does_not_wait_is_not_found_and_nothing_is_taken_in(kept, cli, repo, runs):
    done = cli("recover", "--into", ".", "here", "nosuchrun", cwd=repo)

    assert done.returncode == 3
    assert "nosuchrun" in done.stderr
    assert runs() == []


@pytest.mark.parametrize("words", [["--all"], ["--into", ".", "--all", "here"]])
def test_all_without_a_repository_or_with_names_is_refused(kept, cli, repo, words):
    done = cli("recover", *words, cwd=repo)

    assert done.returncode == 2
    assert "error:" in done.stderr


def test_recover_may_be_told_which_run(script, cli, repo, runs):
    for name in ("one", "two"):
        script(f"gitrepro.record(name={name!r}).log({{'a': 1.0}})\nimport os; os._exit(0)")
    assert names(cli("recover", "two", "--json", cwd=repo)) == ["two"]

    assert [run["name"] for run in runs()] == ["two"]
    assert names(cli("recover", "--json", cwd=repo)) == ["one"]


def test_a_word_that_means_two_runs_is_ambiguous(script, cli, repo):
    for _ in range(2):
        script("gitrepro.record(name='twin')\nimport os; os._exit(0)")
    done = cli("recover", "twin", cwd=repo)

    assert done.returncode == 3
    assert "means 2 runs" in done.stderr
