"""Where the network is switched off nothing asks anybody, and what was asked for by command says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitrepro.errors import BlobMissing
from gitrepro.store.objects import digest_of
from gitrepro.store.place import store_of
from gitrepro.sync.get import ensure
from gitrepro.sync.later import push_when_over
from tests.cli.test_push_pull import a_run, by_itself, clone, follow
from tests.conftest import Cli, Git
from tests.recorded_runs import opened
from tests.store.stores import large


@pytest.fixture
def team(repo: Path, tmp_path: Path, git: Git, warm_cli: Cli) -> Path:
    """A bare repository that has a run of `repo`, whose blobs are in the store remote `store`."""
    server = tmp_path / "server.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    git(repo, "remote", "add", "origin", str(server))
    git(repo, "push", "--quiet", "--set-upstream", "origin", "main")
    follow(warm_cli, repo, tmp_path / "store")
    a_run(repo, store_of(opened(repo)), "brisk-otter")
    assert warm_cli("push", cwd=repo).returncode == 0
    return server


@pytest.fixture(params=["variable", "setting"])
def off(request: pytest.FixtureRequest, repo: Path, git: Git) -> dict[str, str]:
    """The environment in which nothing is asked of anybody."""
    if request.param == "setting":
        git(repo, "config", "gitrepro.offline", "true")
        return {}
    return {"GITREPRO_OFFLINE": "1"}


def test_push_and_pull_say_that_the_network_is_switched_off(
    repo: Path, team: Path, warm_cli: Cli, off: dict[str, str], tmp_path: Path
) -> None:
    team.rename(team.with_name("gone.git"))

    for command in (["push"], ["push", "--dry-run"], ["pull"], ["verify", "brisk-otter", "--remote"]):
        done = warm_cli(*command, cwd=repo, env=off)
        assert done.returncode == 5, done.stderr
        assert "the network is switched off" in done.stderr and "do:" in done.stderr

    bundle = str(tmp_path / "runs.bundle")
    assert warm_cli("push", "--bundle", bundle, cwd=repo, env=off).returncode == 0
    assert warm_cli("pull", bundle, cwd=repo, env=off).returncode == 0


def test_doctor_says_so_and_asks_nobody(repo: Path, team: Path, warm_cli: Cli, off: dict[str, str]) -> None:
    found = json.loads(warm_cli("doctor", "--remote", "--json", cwd=repo, env=off).stdout)

    [remotes] = [each for each in found if each["what"].startswith("remote")]
    assert remotes["verdict"] == "WARN" and "not asked" in remotes["detail"]


def test_a_fresh_clone_is_set_up_and_nothing_is_fetched(team: Path, git: Git, warm_cli: Cli) -> None:
    root = clone(team, git)

    done = warm_cli("init", cwd=root, env={"GITREPRO_OFFLINE": "1"})

    assert done.returncode == 0 and "the network is switched off" in done.stderr
    assert not git(root, "for-each-ref", "refs/gitrepro", "refs/gitrepro-remotes")
    assert "fetched 1 run" in warm_cli("init", cwd=root, env={"GITREPRO_OFFLINE": "0"}).stderr


def test_what_is_not_here_is_asked_of_nobody(repo: Path, team: Path, git: Git, tmp_path: Path) -> None:
    store = store_of(opened(repo))
    name = digest_of([large(2)])
    store.path(name).unlink()
    git(repo, "config", "gitrepro.offline", "true")

    with pytest.raises(BlobMissing) as told:
        ensure(opened(repo), [name])
    assert "switched off" in told.value.why and "gitrepro.offline" in told.value.do

    git(repo, "config", "gitrepro.offline", "false")
    ensure(opened(repo), [name])
    assert name in store


def test_the_variable_stands_over_the_setting(
    repo: Path, team: Path, warm_cli: Cli, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repo, "config", "gitrepro.offline", "true")

    assert warm_cli("push", cwd=repo, env={"GITREPRO_OFFLINE": "0"}).returncode == 0


def test_a_run_that_is_over_waits_and_no_push_is_begun(repo: Path, team: Path, git: Git) -> None:
    by_itself(repo)
    git(repo, "config", "gitrepro.offline", "true")

    assert not push_when_over(opened(repo))
    assert not (opened(repo).home / "push.wanted").exists()
