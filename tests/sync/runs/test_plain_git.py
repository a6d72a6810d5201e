"""Git's own push, fetch, clone and prune: they do what they did, and neither lose nor publish our refs."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitrepro.sync.runs import pull, push
from tests.recorded_runs import commit_file, opened, record_run

from .team import ANCHOR, RUNS, Team, git, refs_of, runs_of


def ours(folder: Path) -> dict[str, str]:
    return {name: oid for name, oid in refs_of(folder).items() if name.startswith("refs/gitrepro")}


@pytest.fixture
def ada(team: Team) -> Path:
    """A clone with a run that was pushed, and one that was not."""
    clone = team.clone("ada")
    record_run(clone)
    push(opened(clone))
    pull(opened(clone))
    record_run(clone)
    return clone


@pytest.mark.parametrize("how", [(), ("--all",), ("--follow-tags",), ("--tags",)], ids=str)
def test_git_push_sends_branches_and_nothing_of_ours(team: Team, ada: Path, how: tuple[str, ...]) -> None:
    before, there = ours(ada), ours(team.hub)
    head = commit_file(ada, "more.py", "2\n")

    git(ada, "push", "--quiet", *(how or ("origin",)))

    assert (team.ref("refs/heads/main") == head) is (how != ("--tags",))
    assert (ours(ada), ours(team.hub)) == (before, there)


@pytest.mark.parametrize("how", [("--prune",), ("--all", "--prune"), ("--prune", "--prune-tags", "--force")], ids=str)
def test_git_fetch_with_prune_leaves_our_refs(ada: Path, how: tuple[str, ...]) -> None:
    before = ours(ada)

    git(ada, "fetch", "--quiet", *how)

    assert ours(ada) == before
    assert len(runs_of(ada)) == 2


def test_git_clone_brings_the_code_and_none_of_the_runs(team: Team, ada: Path) -> None:
    assert ada.is_dir()
    clone = team.clone("fresh")

    assert ours(clone) == {}
    assert refs_of(clone).keys() == {"refs/heads/main", "refs/remotes/origin/main", "refs/remotes/origin/HEAD"}


def test_the_configuration_of_remotes_and_what_git_remembers_is_untouched(team: Team) -> None:
    clone = team.clone("ada")
    record_run(clone)
    git(clone, "fetch", "--quiet", "origin", "main")
    watched = [clone / ".git" / name for name in ("config", "FETCH_HEAD", "HEAD", "index")]
    before = [path.read_bytes() for path in watched]

    push(opened(clone))
    pull(opened(clone))

    assert [path.read_bytes() for path in watched] == before
    assert git(clone, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    "settings",
    [
        {"push.followTags": "true"},
        {"push.gpgSign": "if-asked"},
        {"push.pushOption": "ci.skip"},
        {"push.default": "nothing"},
        {"fetch.prune": "true", "remote.origin.prune": "true", "fetch.pruneTags": "true"},
        {"remote.origin.mirror": "true"},
        {"remote.origin.push": "refs/heads/main:refs/heads/main"},
        {"core.hooksPath": "hooks-that-say-no"},
        {"remote.origin.tagOpt": "--tags"},
        {"transfer.fsckObjects": "true"},
        {"submodule.recurse": "true", "push.recurseSubmodules": "on-demand"},
        {"protocol.version": "0"},
        {"protocol.version": "1"},
    ],
    ids=lambda settings: ",".join(settings),
)
def test_settings_of_people_change_nothing(team: Team, settings: dict[str, str]) -> None:
    ada, ben = team.clone("ada"), team.clone("ben")
    git(ada, "tag", "--annotate", "--message=v1", "v1")
    for clone in (ada, ben):
        for key, value in settings.items():
            git(clone, "config", key, value)
    hook = ada / "hooks-that-say-no" / "pre-push"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    run_id = record_run(ada)

    push(opened(ada))
    pull(opened(ben))

    assert runs_of(ben) == [run_id]
    assert refs_of(team.hub).keys() == {"refs/heads/main", RUNS, ANCHOR}


def test_runs_of_a_second_remote_stay_apart(team: Team, ada: Path) -> None:
    lab = team.folder / "lab.git"
    git(team.folder, "init", "--quiet", "--bare", str(lab))
    git(ada, "remote", "add", "lab", str(lab))

    sent = push(opened(ada), "lab")

    assert len(sent.runs) == 2
    assert git(lab, "rev-parse", RUNS) == git(ada, "rev-parse", "refs/gitrepro-remotes/lab/runs")
    assert team.ref() == git(ada, "rev-parse", "refs/gitrepro-remotes/origin/runs") != git(lab, "rev-parse", RUNS)
