"""Pushing result tags under our hook, with the real git and a bare repository on the other side."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitrepro import hooks
from gitrepro.audit import gate
from gitrepro.records import ids
from gitrepro.records.result import Result, result_path
from gitrepro.store.annotate import annotate
from gitrepro.store.fold import Pending, enqueue, fold
from gitrepro.store.runs import RunTree
from tests.recorded_runs import ADA, NOW, commit_file, opened, record_run, seeded, try_git

if TYPE_CHECKING:
    from tests.conftest import Git

RUNS = ("refs/gitrepro/runs", "refs/gitrepro/code")


@pytest.fixture
def guarded(repo: Path, git: Git, tmp_path: Path) -> Path:
    """A repository with a remote `origin`, a sound run, the hooks, and the result tag `result/x`."""
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(repo, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(repo, "push", "--quiet", "origin", "main")
    run = record_run(repo)
    hooks.install(opened(repo), python=sys.executable)
    gate.declare(opened(repo), "result/x", [run], identity=ADA, now=NOW)
    return repo


def tags_there(git: Git, root: Path) -> list[str]:
    return [line.split("\t")[1] for line in git(root, "ls-remote", "--refs", "--tags", "origin").splitlines()]


def unguarded(git: Git, root: Path, *args: str) -> str:
    return git(root, "-c", "core.hooksPath=/dev/null", *args)


def test_a_result_whose_runs_are_not_there_is_refused_with_the_command(guarded: Path, git: Git) -> None:
    done = try_git(guarded, "push", "origin", "result/x")

    assert done.returncode == 1
    assert "the remote does not hold the runs" in done.stderr
    assert "`gitrepro push origin`" in done.stderr
    assert "Traceback" not in done.stderr
    assert tags_there(git, guarded) == []


def test_runs_that_were_pushed_before_make_the_push_pass(guarded: Path, git: Git) -> None:
    assert try_git(guarded, "push", "origin", *RUNS).returncode == 0
    done = try_git(guarded, "push", "origin", "result/x")

    assert done.returncode == 0, done.stderr
    assert tags_there(git, guarded) == ["refs/tags/result/x"]


def test_a_push_that_carries_the_runs_itself_passes(guarded: Path) -> None:
    done = try_git(guarded, "push", "--atomic", "origin", "result/x", *RUNS)

    assert done.returncode == 0, done.stderr


def test_a_push_that_carries_an_older_run_ref_is_refused(guarded: Path) -> None:
    assert try_git(guarded, "push", "origin", "result/x", "refs/gitrepro/runs^:refs/gitrepro/runs").returncode == 1


def test_a_remote_that_has_the_run_and_not_the_result_is_refused(guarded: Path, git: Git) -> None:
    git(guarded, "push", "--quiet", "origin", "refs/gitrepro/runs^:refs/gitrepro/runs")

    assert try_git(guarded, "push", "origin", "result/x").returncode == 1


def test_a_tracking_copy_that_holds_the_runs_is_believed(guarded: Path, git: Git) -> None:
    git(guarded, "update-ref", "refs/gitrepro-remotes/origin/runs", "refs/gitrepro/runs")

    assert try_git(guarded, "push", "origin", "result/x").returncode == 0


def test_a_remote_run_ref_that_is_not_known_here_tells_what_is_unknown(guarded: Path, git: Git, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(tmp_path / "origin.git"), "other")
    record_run(tmp_path / "other")
    git(tmp_path / "other", "push", "--quiet", "origin", "refs/gitrepro/runs")

    done = try_git(guarded, "push", "origin", "result/x")

    assert done.returncode == 1
    assert "whether the remote holds the runs is not known" in done.stderr


def test_a_push_to_a_url_is_judged_by_what_is_there(guarded: Path, tmp_path: Path) -> None:
    url = str(tmp_path / "origin.git")

    assert try_git(guarded, "push", url, "result/x").returncode == 1
    assert try_git(guarded, "push", url, *RUNS).returncode == 0
    assert try_git(guarded, "push", url, "result/x").returncode == 0


def test_a_tag_made_around_the_hook_is_refused_at_push(guarded: Path, git: Git) -> None:
    unguarded(git, guarded, "tag", "result/y")

    done = try_git(guarded, "push", "origin", "result/y", *RUNS)

    assert done.returncode == 1
    assert "no result is on record for the tag result/y" in done.stderr
    assert "`git tag -d result/y`" in done.stderr


def test_a_tag_moved_around_the_hook_is_refused_at_push(guarded: Path, git: Git) -> None:
    git(guarded, "push", "--quiet", "origin", *RUNS)
    commit_file(guarded, "other.py", "pass")
    unguarded(git, guarded, "tag", "-f", "result/x")

    assert try_git(guarded, "push", "--force", "origin", "result/x").returncode == 1


def test_a_tag_object_forged_around_the_hook_is_refused_at_push(guarded: Path, git: Git) -> None:
    text = git(guarded, "cat-file", "tag", "result/x")
    body = text.partition("\n\n")[2]
    commit_file(guarded, "other.py", "pass")
    unguarded(git, guarded, "tag", "-a", "-f", "-m", body, "result/x")

    done = try_git(guarded, "push", "--force", "origin", "result/x", *RUNS)

    assert done.returncode == 1
    assert "its result stands at commit" in done.stderr


def test_an_audit_digest_that_was_changed_in_the_tag_is_refused(guarded: Path, git: Git) -> None:
    body = git(guarded, "cat-file", "tag", "result/x").partition("\n\n")[2]
    head, _, _ = body.rpartition("b3:")
    unguarded(git, guarded, "tag", "-a", "-f", "-m", f"{head}b3:{'0' * 64}", "result/x")

    assert "not the one the tag was made after" in try_git(guarded, "push", "origin", "result/x", *RUNS).stderr


def test_a_run_that_was_removed_since_is_refused(guarded: Path, git: Git) -> None:
    repository = opened(guarded)
    run = gate.select(repository, ["@last"])[0]
    annotate(repository, run, "remove", None, identity=ADA, at="2026-01-02T03:04:05.678901Z")

    done = try_git(guarded, "push", "origin", "result/x", *RUNS)

    assert done.returncode == 1
    assert "it was removed" in done.stderr


def test_a_lightweight_tag_with_a_result_passes(guarded: Path, git: Git) -> None:
    git(guarded, "tag", "result/light")

    assert try_git(guarded, "push", "origin", "result/light", *RUNS).returncode == 0


def test_another_name_on_the_other_side_is_the_name_that_counts(guarded: Path) -> None:
    done = try_git(guarded, "push", "origin", "refs/tags/result/x:refs/tags/result/renamed", *RUNS)

    assert done.returncode == 1
    assert "was declared as result/x" in done.stderr


def test_one_bad_tag_refuses_the_push_of_all(guarded: Path, git: Git) -> None:
    unguarded(git, guarded, "tag", "result/y")

    assert try_git(guarded, "push", "origin", "--tags", *RUNS).returncode == 1
    assert tags_there(git, guarded) == []


def test_branches_and_ordinary_tags_pass(guarded: Path, git: Git) -> None:
    git(guarded, "tag", "v1")
    commit_file(guarded, "other.py", "pass")

    assert try_git(guarded, "push", "origin", "main", "v1").returncode == 0


def test_a_tag_that_is_there_already_passes(guarded: Path, git: Git) -> None:
    unguarded(git, guarded, "push", "--quiet", "origin", "result/x")

    assert try_git(guarded, "push", "origin", "main", "result/x").returncode == 0


def test_a_deletion_passes(guarded: Path, git: Git) -> None:
    unguarded(git, guarded, "push", "--quiet", "origin", "result/x")

    assert try_git(guarded, "push", "origin", "--delete", "result/x").returncode == 0
    assert tags_there(git, guarded) == []


def test_a_missing_interpreter_refuses_result_tags_and_nothing_else(guarded: Path, git: Git) -> None:
    git(guarded, "config", "gitrepro.python", "/nowhere/python")

    done = try_git(guarded, "push", "origin", "result/x", *RUNS)

    assert done.returncode == 1
    assert "the Python that checks it is missing" in done.stderr
    assert try_git(guarded, "push", "origin", "main", *RUNS).returncode == 0


def test_a_hook_that_was_there_sees_the_same_and_its_refusal_stands(guarded: Path, git: Git, tmp_path: Path) -> None:
    hooks.remove(opened(guarded))
    own = guarded / ".git" / "hooks" / "pre-push"
    own.write_text(f'#!/bin/sh\necho "$@" >"{tmp_path}/seen"\ncat >>"{tmp_path}/seen"\nexit 1\n')
    own.chmod(0o755)
    hooks.install(opened(guarded), python=sys.executable)

    assert try_git(guarded, "push", "origin", "HEAD:refs/heads/topic").returncode == 1

    head = git(guarded, "rev-parse", "HEAD")
    first, second = (tmp_path / "seen").read_text().splitlines()
    assert first == f"origin {tmp_path / 'origin.git'}"
    assert second == f"HEAD {head} refs/heads/topic {'0' * 40}"


def test_modules_of_the_repository_are_never_run(guarded: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    (guarded / "json.py").write_text(f"open({str(seen)!r}, 'a').write(__name__)\n")

    assert try_git(guarded, "push", "origin", "result/x", env={"PYTHONPATH": "."}).returncode == 1
    assert not seen.exists()


def test_several_results_are_all_judged(guarded: Path, git: Git) -> None:
    run = record_run(guarded, seeds=seeded(1))
    gate.declare(opened(guarded), "result/two", [run], identity=ADA, now=NOW)

    assert try_git(guarded, "push", "origin", "result/x", "result/two", *RUNS).returncode == 0
    assert tags_there(git, guarded) == ["refs/tags/result/two", "refs/tags/result/x"]


MANY = 200


@pytest.fixture
def many(guarded: Path, git: Git) -> list[str]:
    """Two hundred results of one run, tagged."""
    [run] = gate.select(opened(guarded), ["@last"])
    with RunTree(opened(guarded)) as tree:
        audits = [gate.judge_runs(tree, [run], tag=f"result/n{number}") for number in range(MANY)]
    for number, audit in enumerate(audits):
        # As `gate.declare` does, with one fold for all of them.
        result = Result(
            id=ids.new_id(), tag=f"result/n{number}", level=audit.level, runs=audit.runs, as_of=audit.as_of,
            policy=audit.policy, commit=str(audit.commit), code_tree=str(audit.code_tree), actor={},
            created_at="2026-01-02T03:04:05.678901Z", algorithms=audit.algorithms,
        )  # fmt: skip
        folder = result_path(result.id)
        files = {f"{folder}/audit.yaml": audit.dump().decode(), f"{folder}/result.yaml": result.dump().decode()}
        enqueue(opened(guarded), Pending(kind="result", subject=result.id, line=result.tag, files=files))
    fold(opened(guarded), identity=ADA)
    head = git(guarded, "rev-parse", "HEAD")
    names = [f"result/n{number}" for number in range(MANY)]
    moves = "".join(f"create refs/tags/{name} {head}\n" for name in names)
    command = ["git", "-c", "core.hooksPath=/dev/null", "update-ref", "--stdin"]
    subprocess.run(command, cwd=guarded, input=moves, text=True, check=True)
    return names


def test_two_hundred_results_are_judged_and_the_remote_is_asked_once(
    guarded: Path, git: Git, many: list[str], tmp_path: Path
) -> None:
    git(guarded, "push", "--quiet", "origin", *RUNS)
    asked = tmp_path / "asked"

    done = try_git(guarded, "push", "origin", *many, env={"GIT_TRACE": str(asked)})

    assert done.returncode == 0, done.stderr
    assert len(tags_there(git, guarded)) == MANY
    assert len([line for line in asked.read_text().splitlines() if "built-in: git ls-remote" in line]) == 1


def test_one_bad_result_among_two_hundred_is_found_and_named(guarded: Path, git: Git, many: list[str]) -> None:
    git(guarded, "push", "--quiet", "origin", *RUNS)
    commit_file(guarded, "other.py", "pass")
    unguarded(git, guarded, "tag", "-f", "result/n150")

    done = try_git(guarded, "push", "origin", *many)

    assert done.returncode == 1
    assert "the push of tag result/n150 is refused" in done.stderr
    assert tags_there(git, guarded) == []
