"""`gitrepro doctor` tells what the traffic with remotes has left behind, and of a Git that is too old."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from gitrepro.records.run import run_path
from gitrepro.store.gitobjects import FILE_MODE, Entry, GitObjects
from gitrepro.sync.runs import pull
from tests.conftest import Cli, Git
from tests.recorded_runs import opened, record_run, try_git

INBOX = "refs/gitrepro/inbox/01k00000000000000000000000"


@pytest.fixture
def hub(tmp_path: Path, repo: Path, git: Git) -> Path:
    git(tmp_path, "init", "--quiet", "--bare", "hub.git")
    git(repo, "remote", "add", "origin", str(tmp_path / "hub.git"))
    return tmp_path / "hub.git"


def told(cli: Cli, root: Path, what: str) -> list[dict[str, Any]]:
    done = cli("doctor", "--json", cwd=root)
    return [each for each in json.loads(done.stdout) if each["what"] == what and each["verdict"] == "WARN"]


def test_a_clone_in_which_nothing_waits_is_told_nothing(repo: Path, hub: Path, git: Git, warm_cli: Cli) -> None:
    record_run(repo)
    assert warm_cli("push", cwd=repo).returncode == 0
    pull(opened(repo))

    assert told(warm_cli, repo, "remote origin") == []
    assert told(warm_cli, repo, "runs") == []
    assert told(warm_cli, hub, "inboxes") == []


def test_records_that_stand_aside_are_named(repo: Path, warm_cli: Cli, git: Git) -> None:
    run_id = record_run(repo)
    tip = git(repo, "rev-parse", "refs/gitrepro/runs")
    with GitObjects(opened(repo).common_dir) as objects:
        [oid] = objects.write([("blob", b"another\n")])
        aside = f"{run_path(run_id)}/config.yaml~{oid[:8]}"
        tree, made = objects.graft(git(repo, "rev-parse", f"{tip}^{{tree}}"), {aside: Entry(FILE_MODE, oid)})
        objects.write(made)
    commit = git(repo, "commit-tree", tree, "-p", tip, "-m", "union")
    git(repo, "update-ref", "refs/gitrepro/runs", commit)

    [finding] = told(warm_cli, repo, "runs")

    assert aside in finding["detail"] and "1 record " in finding["detail"]
    assert git(repo, "show", f"refs/gitrepro/runs:{aside}") == "another"
    assert f"git show refs/gitrepro/runs:{aside}" in finding["do"]


def test_inboxes_that_wait_are_told_on_the_server_and_in_a_clone_that_has_seen_them(
    repo: Path, hub: Path, git: Git, warm_cli: Cli
) -> None:
    record_run(repo)
    assert warm_cli("push", cwd=repo).returncode == 0
    git(repo, "push", "--quiet", "origin", f"refs/gitrepro/runs:{INBOX}")
    pull(opened(repo))

    [there] = told(warm_cli, hub, "inboxes")
    [here] = told(warm_cli, repo, "remote origin")
    assert "1 inbox waits" in there["detail"] and "1 inbox waits" in here["detail"]
    assert "`gitrepro push origin`" in here["do"]
    assert warm_cli("push", cwd=repo).returncode == 0
    assert told(warm_cli, repo, "remote origin") == told(warm_cli, hub, "inboxes") == []


def test_runs_that_were_fetched_and_never_taken_in_are_told(repo: Path, hub: Path, git: Git, warm_cli: Cli) -> None:
    record_run(repo)
    git(repo, "update-ref", "refs/gitrepro-remotes/origin/incoming/runs", "HEAD")

    [finding] = told(warm_cli, repo, "remote origin")

    assert "never taken in" in finding["detail"] and "`gitrepro pull origin`" in finding["do"]


def test_the_policy_of_a_server_that_its_hook_does_not_know_is_told(
    repo: Path, hub: Path, git: Git, warm_cli: Cli
) -> None:
    assert warm_cli("hooks", "install", "--server", cwd=hub).returncode == 0
    (repo / ".gitrepro.yaml").write_text('version: 1\nresults: {"final/*": strict}\n')
    git(repo, "add", ".gitrepro.yaml")
    git(repo, "commit", "--quiet", "-m", "policy")
    git(repo, "push", "--quiet", "origin", f"HEAD:{git(hub, 'symbolic-ref', 'HEAD')}")

    [finding] = told(warm_cli, hub, "pre-receive")
    assert "final/*" in finding["detail"] and "`gitrepro hooks install --server`" in finding["do"]
    git(repo, "tag", "v1")
    assert try_git(repo, "push", "--quiet", "origin", "v1").returncode == 0
    assert told(warm_cli, hub, "pre-receive") == []


@pytest.mark.parametrize(("version", "verdict"), [("2.29.3", "FAIL"), ("2.30.0", "PASS"), ("3.0.rc1", "PASS")])
def test_a_git_that_is_too_old_is_told(repo: Path, cli: Cli, tmp_path: Path, version: str, verdict: str) -> None:
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    git = shutil.which("git")
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *--version) echo "git version {version}" ;; *) exec {git} "$@" ;; esac\n'
    )
    wrapper.chmod(0o755)

    done = cli("doctor", "--json", cwd=repo, env={"PATH": f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"})

    [finding] = [each for each in json.loads(done.stdout) if each["what"] == "git"]
    assert (finding["verdict"], version in finding["detail"]) == (verdict, True)
    assert ("2.30" in finding["do"]) == (verdict == "FAIL")
