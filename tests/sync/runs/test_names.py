"""Which remote is meant, and what is not taken for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitrepro.errors import UsageError
from gitrepro.sync.runs import find_remote
from tests.recorded_runs import opened

from .team import git


def test_without_a_word_it_is_where_the_branch_is_pushed_to(repo: Path) -> None:
    for name in ("origin", "lab"):
        git(repo, "remote", "add", name, f"/srv/{name}.git")
    git(repo, "config", "branch.main.remote", "lab")

    assert find_remote(opened(repo)).name == "lab"


def test_a_setting_stands_over_the_branch(repo: Path) -> None:
    for name in ("origin", "lab"):
        git(repo, "remote", "add", name, f"/srv/{name}.git")
    git(repo, "config", "gitrepro.remote", "lab")

    assert find_remote(opened(repo)).name == "lab"


def test_else_it_is_origin_and_else_the_only_one(repo: Path) -> None:
    git(repo, "remote", "add", "lab", "/srv/lab.git")
    assert find_remote(opened(repo)).name == "lab"

    git(repo, "remote", "add", "origin", "/srv/origin.git")
    assert find_remote(opened(repo)).name == "origin"


def test_of_several_none_is_guessed(repo: Path) -> None:
    for name in ("lab", "home"):
        git(repo, "remote", "add", name, f"/srv/{name}.git")

    with pytest.raises(UsageError, match="home, lab"):
        find_remote(opened(repo))


def test_no_remote_at_all_says_how_to_add_one(repo: Path) -> None:
    with pytest.raises(UsageError, match="git remote add"):
        find_remote(opened(repo))


@pytest.mark.parametrize(
    "wanted", ["--upload-pack=touch gone", "-o", "ext::sh -c touch% gone", "fd::17", "", "a\nb", "nobody"]
)
def test_what_would_run_a_program_or_is_no_remote_is_refused(repo: Path, wanted: str) -> None:
    git(repo, "remote", "add", "origin", "/srv/origin.git")

    with pytest.raises(UsageError):
        find_remote(opened(repo), wanted)


def test_a_remote_whose_url_would_run_a_program_is_refused(repo: Path) -> None:
    git(repo, "remote", "add", "origin", "ext::sh -c touch% gone")

    with pytest.raises(UsageError, match="would run a program"):
        find_remote(opened(repo))


def test_a_password_in_a_url_is_not_shown(repo: Path) -> None:
    assert "geheim" not in find_remote(opened(repo), "https://ada:geheim@example.org/x.git").shown


def test_the_copies_of_one_remote_are_never_among_those_of_another(repo: Path) -> None:
    git(repo, "remote", "add", "a", "/srv/a.git")
    git(repo, "config", "remote.a/runs.url", "/srv/b.git")

    folders = {find_remote(opened(repo), name).copies for name in ("a", "a/runs", "/srv/a.git", "host:a")}

    assert len(folders) == 4
    assert all(len(Path(folder).parts) == 3 for folder in folders)


@pytest.mark.parametrize("ref", ["refs/heads/runs", "runs", "refs/heads/../runs", "refs/heads/x", "--x/runs"])
def test_a_place_for_the_run_ref_that_is_none_is_refused(repo: Path, ref: str) -> None:
    git(repo, "remote", "add", "origin", "/srv/origin.git")
    git(repo, "config", "gitrepro.ref", ref)

    with pytest.raises(UsageError, match=r"gitrepro\.ref"):
        find_remote(opened(repo))
