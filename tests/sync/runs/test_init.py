"""`gitrepro init` in a clone whose remote has runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitrepro.sync.runs import push
from tests.conftest import Cli
from tests.recorded_runs import commit_file, opened, record_run

from .team import Team, git, runs_of


@pytest.fixture
def recorded(team: Team) -> list[str]:
    ada = team.clone("ada")
    found = [record_run(ada), record_run(ada)]
    push(opened(ada))
    return found


def test_a_fresh_clone_gets_the_runs_of_the_team(team: Team, recorded: list[str], cli: Cli) -> None:
    ben = team.clone("ben")

    done = cli("init", "--no-hooks", cwd=ben)

    assert done.returncode == 0
    assert "fetched 2 runs from origin" in done.stderr
    assert runs_of(ben) == recorded
    assert cli("ls", "--json", cwd=ben).stdout.count('"id"') == 2


def test_init_as_json_says_what_was_fetched(team: Team, recorded: list[str], cli: Cli) -> None:
    ben = team.clone("ben")

    told = json.loads(cli("init", "--no-hooks", "--json", cwd=ben).stdout)

    assert told["runs"] == {"remote": "origin", "fetched": len(recorded), "rejected": []}


def test_without_a_network_init_goes_on(team: Team, recorded: list[str], cli: Cli) -> None:
    assert recorded
    ben = team.clone("ben")
    git(ben, "remote", "set-url", "origin", "git://127.0.0.1:1/x.git")

    done = cli("init", "--no-hooks", cwd=ben)

    assert done.returncode == 0
    assert "were not looked for" in done.stderr and "git://127.0.0.1:1" not in done.stdout
    assert runs_of(ben) == []


def test_init_does_not_ask_the_network_where_there_are_runs(team: Team, cli: Cli) -> None:
    ada = team.clone("ada")
    record_run(ada)
    team.hub.rename(team.folder / "away.git")

    done = cli("init", "--no-hooks", cwd=ada)

    assert done.returncode == 0 and "not looked for" not in done.stderr


def test_what_git_log_leaves_out_already_stays_so(repo: Path, cli: Cli) -> None:
    git(repo, "config", "--add", "log.excludeDecoration", "refs/bugs*")

    for _ in range(2):
        assert cli("init", "--no-hooks", cwd=repo).returncode == 0

    assert git(repo, "config", "--get-all", "log.excludeDecoration").split() == ["refs/bugs*", "refs/gitrepro*"]


def test_a_fresh_clone_follows_the_store_remotes_of_the_team(team: Team, cli: Cli) -> None:
    ada = team.clone("ada")
    policy = f"version: 1\nstore:\n  remotes:\n    lab: {team.folder / 'blobs'}\n"
    commit_file(ada, ".gitrepro.yaml", policy)
    git(ada, "push", "--quiet", "origin", "HEAD:main")
    ben = team.clone("ben")

    done = cli("init", "--no-hooks", cwd=ben)

    assert "store remote lab" in done.stderr
    assert git(ben, "config", "gitrepro-remote.lab.url").endswith("/blobs")
