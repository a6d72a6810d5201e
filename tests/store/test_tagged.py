"""A result tag means the runs that stand behind it, wherever a run is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitrepro.errors import Ambiguous, NotFound
from gitrepro.store.resolve import resolve, resolve_each
from gitrepro.store.tagged import runs_of_tag
from tests.recorded_runs import opened, record_run, seeded

if TYPE_CHECKING:
    from tests.conftest import Cli, Git


def test_the_tag_of_one_run_means_that_run(repo: Path, cli: Cli) -> None:
    run = record_run(repo)
    assert cli("tag", "result/vit", run, cwd=repo).returncode == 0
    record_run(repo)
    assert resolve(opened(repo), "result/vit") == run
    assert resolve_each(opened(repo), "result/vit") == (run,)
    assert run in cli("show", "result/vit", "--json", cwd=repo).stdout


def test_the_tag_of_several_runs_names_them_all(repo: Path, cli: Cli) -> None:
    runs = [record_run(repo, seeds=seeded(seed)) for seed in range(3)]
    assert cli("tag", "result/vit", *runs, cwd=repo).returncode == 0
    with pytest.raises(Ambiguous, match="stands for 3 runs") as caught:
        resolve(opened(repo), "result/vit")
    assert all(run[-8:] in str(caught.value) for run in runs)
    assert set(resolve_each(opened(repo), "result/vit")) == set(runs)


def test_several_runs_of_one_name_are_no_result(repo: Path) -> None:
    for _ in range(2):
        record_run(repo, name="brisk-otter")
    with pytest.raises(Ambiguous, match="means 2 runs"):
        resolve_each(opened(repo), "brisk-otter")


def test_a_packed_tag_is_read_too(repo: Path, git: Git, cli: Cli) -> None:
    run = record_run(repo)
    assert cli("tag", "result/vit", run, cwd=repo).returncode == 0
    git(repo, "pack-refs", "--all")
    assert runs_of_tag(opened(repo), "result/vit") == (run,)


def test_what_only_quotes_the_trailers_stands_for_nothing(repo: Path, git: Git) -> None:
    run = record_run(repo)
    git(repo, "tag", "-a", "v1", "-m", f"release\n\nGitrepro-Run: {run}\n\nis what it is about")
    git(repo, "tag", "light")
    for name in ("v1", "light", "none"):
        assert runs_of_tag(opened(repo), name) == ()
        with pytest.raises(NotFound):
            resolve(opened(repo), name)


@pytest.mark.parametrize("name", ["../../HEAD", "a//b", "a/../b", "-x", "", "a b", "a/", "a.lock", "x/.y", "a\nb"])
def test_what_is_no_name_of_a_tag_is_not_looked_up(repo: Path, name: str) -> None:
    record_run(repo)
    (repo / ".git" / "refs" / "tags" / "x").mkdir(parents=True)
    assert runs_of_tag(opened(repo), name) == ()
