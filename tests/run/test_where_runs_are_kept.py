"""Repositories of every kind, and none at all: a program is never stopped, and its run is never lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUN = "with gitrepro.record() as run: run.log({'loss': 0.5})\nprint('trained')"


def adopted(cli, into: Path) -> list[dict]:
    done = cli("recover", "--into", str(into), "--all", "--json", cwd=into)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


def test_without_a_repository_the_run_waits_and_is_adopted(script, cli, repo, outside, shown):
    done = script(RUN, cwd=outside)

    assert (done.returncode, done.stdout) == (0, "trained\n")
    assert "has no repository" in done.stderr
    assert "recover --into" in done.stderr
    assert [run["summary"] for run in adopted(cli, repo)] == [{"loss": 0.5}]
    assert shown()["code"] is None
    assert adopted(cli, repo) == []


def test_recover_says_where_other_runs_wait(script, cli, repo, outside):
    script(RUN, cwd=outside)

    assert "recover --into" in cli("recover", cwd=repo).stderr


def test_a_folder_may_be_named_for_runs_without_a_repository(script, outside, tmp_path):
    script(RUN, cwd=outside, env={"GITREPRO_DIR": str(tmp_path / "kept")})

    assert len(list((tmp_path / "kept" / "live").iterdir())) == 1


@pytest.mark.parametrize("kind", ["bare", "sha256", "reftable", "not git at all"])
def test_a_repository_that_cannot_be_written_stops_the_command_and_not_the_program(
    script, cli, repo, outside, git, kind
):
    if kind == "bare":
        git(outside, "init", "--bare", "-q")
    elif kind == "sha256":
        git(outside, "init", "-q", "--object-format=sha256")
    elif kind == "reftable":
        git(outside, "init", "-q")
        with (outside / ".git" / "config").open("a") as config:
            config.write("[extensions]\n\trefstorage = reftable\n")
    else:
        (outside / ".git").write_text("gitdir: /nowhere\n")

    command = cli("record", "--", "touch", "started", cwd=outside)
    assert command.returncode == 2
    assert not (outside / "started").exists()
    assert "error:" in command.stderr
    assert "do:" in command.stderr

    program = script(RUN, cwd=outside)
    assert (program.returncode, program.stdout) == (0, "trained\n")
    assert [run["summary"] for run in adopted(cli, repo)] == [{"loss": 0.5}]


@pytest.mark.parametrize("state", ["unborn", "detached", "nameless"])
def test_an_odd_repository_is_recorded_into(script, cli, repo, outside, git, shown, state):
    place = repo
    if state == "detached":
        git(repo, "checkout", "-q", "--detach")
    elif state == "unborn":
        place = outside
        git(place, "init", "-q", "-b", "main")
    else:
        git(repo, "config", "--unset", "user.name")
        git(repo, "config", "--unset", "user.email")

    assert script(RUN, cwd=place).stderr == ""
    assert cli("record", "--", "true", cwd=place).returncode == 0
    found = [shown("@last", cwd=place), shown("@{-2}", cwd=place)]
    assert [run["status"] for run in found] == ["finished", "finished"]
    assert all(run["actor"]["name"] for run in found)
    if state == "unborn":
        assert found[0]["code"]["commit"] is None
    if state == "detached":
        assert found[0]["code"]["branch"] is None


def test_a_merge_conflict_under_way_is_recorded_as_dirty(script, repo, git, shown):
    git(repo, "checkout", "-q", "-b", "other")
    (repo / "train.py").write_text("other\n")
    git(repo, "commit", "-qam", "other")
    git(repo, "checkout", "-q", "main")
    (repo / "train.py").write_text("mine\n")
    git(repo, "commit", "-qam", "mine")
    subprocess.run(["git", "merge", "-q", "other"], cwd=repo, capture_output=True)

    assert script(RUN).returncode == 0
    assert shown()["code"]["dirty"] is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_read_only_repository_is_recorded_elsewhere(repo, cli, tmp_path):
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    (tmp_path / "train.py").write_text("import gitrepro\n" + RUN)
    command = f"""
        mount --bind {repo} {repo} && mount -o remount,ro,bind {repo} && cd {repo} &&
        {sys.executable} {tmp_path}/train.py && {sys.executable} -m gitrepro record -- echo recorded;
        echo exit $?; {sys.executable} -m gitrepro ls; echo exit $?
    """
    done = subprocess.run(["unshare", "-m", "sh", "-c", command], capture_output=True, text=True)

    assert done.stdout.count("exit 0") == 2
    assert "trained\nrecorded\n" in done.stdout
    assert "Traceback" not in done.stderr
    assert "read-only" in done.stderr
    assert len(adopted(cli, repo)) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("size", ["0", "200k"])
def test_a_full_disk_loses_nothing_that_was_logged(cli, git, tmp_path, size):
    full = tmp_path / "full"
    full.mkdir()
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    (tmp_path / "train.py").write_text(
        "import gitrepro\nwith gitrepro.record() as run:\n"
        "    for step in range(30000): run.log({'loss': 0.5}, step=step)\nprint('trained')"
    )
    command = f"""
        mount -t tmpfs -o size=2m none {full} && cd {full} && git init -q -b main . &&
        git config user.name A && git config user.email a@x && git commit -q --allow-empty -m first
        dd if=/dev/zero of=filler bs=1k count=4096 2>/dev/null; echo filler > .git/info/exclude
        truncate -s -{size} filler
        {sys.executable} {tmp_path}/train.py; echo exit $?
        {sys.executable} -m gitrepro record -- sh -c 'echo ran; exit 4'; echo exit $?
        rm filler; {sys.executable} -m gitrepro recover; {sys.executable} -m gitrepro recover --into .; echo exit $?
        {sys.executable} -m gitrepro ls --json > {tmp_path}/found.json; git fsck --connectivity-only 2>&1
    """
    done = subprocess.run(["unshare", "-m", "sh", "-c", command], capture_output=True, text=True)

    assert "trained\nexit 0\nran\nexit 4\n" in done.stdout
    assert done.stdout.count("exit 0") == 2, done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    statuses = sorted(run["status"] for run in found)
    assert len(found) == 2
    assert statuses in (["failed", "finished"], ["failed", "incomplete"], ["crashed", "failed"], ["crashed", "crashed"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_repository_that_git_does_not_trust_is_not_written_to(script, cli, repo, git):
    for path in (repo, *repo.rglob("*")):
        shutil.chown(path, 65534)
    before = sorted(repo.rglob("*"))
    done = script(RUN)

    assert (done.returncode, done.stdout) == (0, "trained\n")
    assert "belongs to user 65534" in done.stderr
    assert cli("record", "--", "true", cwd=repo).returncode == 2
    assert "safe.directory" in cli("ls", cwd=repo).stderr
    assert sorted(repo.rglob("*")) == before


def test_without_git_on_the_path_the_program_still_runs_and_logs(script, cli, repo, shown, tmp_path):
    (tmp_path / "empty").mkdir()
    done = script(RUN, env={"PATH": str(tmp_path / "empty")})

    assert (done.returncode, done.stdout) == (0, "trained\n")
    assert "no `git` program" in done.stderr
    cli("recover", cwd=repo)
    assert shown()["summary"] == {"loss": 0.5}


def test_a_current_folder_that_is_gone_is_no_reason_to_stop(script, tmp_path):
    done = script("import os, tempfile\ngone = tempfile.mkdtemp()\nos.chdir(gone)\nos.rmdir(gone)\n" + RUN)

    assert (done.returncode, done.stdout) == (0, "trained\n"), done.stderr
    assert "GitreproWarning" in done.stderr


def test_nowhere_to_write_costs_the_record_and_not_the_program(script, outside):
    (outside / "file").touch()
    done = script(RUN, cwd=outside, env={"GITREPRO_DIR": str(outside / "file" / "below")})

    assert (done.returncode, done.stdout) == (0, "trained\n")
    assert "nothing of this run is recorded" in done.stderr
