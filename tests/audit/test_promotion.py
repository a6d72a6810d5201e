"""Promoting a dirty run: its snapshot becomes a commit on a branch, and nothing else of the user's moves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gitrepro import hooks
from gitrepro.audit import gate
from gitrepro.audit.promotion import Promotion, promote
from gitrepro.audit.results import results_of
from gitrepro.errors import NotFound, Refused, UsageError
from gitrepro.policy import Stage
from gitrepro.store import worktree
from gitrepro.store.runs import RunTree
from tests.recorded_runs import ADA, NOW, commit_file, opened, record_run, seeded, try_git

if TYPE_CHECKING:
    from tests.conftest import Cli, Git

AT = "2026-01-02T03:04:05.678901Z"


def record_dirty(root: Path, **changes: Any) -> str:
    """Record a run of the files as they lie there, with a snapshot of them."""
    repository = opened(root)
    state = worktree.look(repository)
    taken = worktree.snapshot(repository, state, identity=ADA, now=NOW, forbidden=lambda *_: None)
    code = {**worktree.document(state, taken), **changes.pop("code", {})}
    return record_run(root, code=code, **changes)


@pytest.fixture
def edited(repo: Path) -> Path:
    """A repository with an edited file and an untracked one."""
    (repo / "train.py").write_text("print('edited')\n")
    (repo / "new.py").write_text("x = 1\n")
    return repo


def do(root: Path, run: str, **options: Any) -> Promotion:
    return promote(opened(root), run, identity=ADA, at=AT, **options)


def state_of(git: Git, root: Path) -> list[str]:
    index = (root / ".git" / "index").read_bytes().hex()
    looks = [("status", "--porcelain"), ("symbolic-ref", "HEAD"), ("rev-parse", "main"), ("stash", "list")]
    return [index, *(git(root, *look) for look in looks)]


def test_what_ran_is_a_commit_on_a_new_branch_and_nothing_else_moves(edited: Path, git: Git) -> None:
    run = record_dirty(edited, name="brisk-otter")
    before = state_of(git, edited)

    done = do(edited, run)

    assert (done.branch, done.made) == ("promoted/brisk-otter", True)
    assert state_of(git, edited) == before
    assert git(edited, "rev-parse", "promoted/brisk-otter") == done.commit
    assert git(edited, "rev-parse", f"{done.commit}^") == git(edited, "rev-parse", "main")
    assert git(edited, "show", f"{done.commit}:new.py") == "x = 1"
    assert git(edited, "show", "-s", "--format=%an %ae %ad", "--date=iso-strict-local", done.commit).startswith(
        "Ada Lovelace ada@example.org 2026-01-02T03:04:05"
    )
    assert git(edited, "show", "-s", "--format=%(trailers)", done.commit).strip() == f"Gitrepro-Run: {run}"
    assert git(edited, "fsck", "--no-dangling", "--strict") == ""


def test_a_promoted_run_may_stand_in_a_result_at_its_commit(edited: Path, git: Git) -> None:
    run = record_dirty(edited)
    with pytest.raises(Refused, match="gitrepro promote"):
        gate.declare(opened(edited), "result/x", [run], identity=ADA, now=NOW)
    done = do(edited, run)

    result = gate.declare(opened(edited), "result/x", [run], identity=ADA, now=NOW)

    assert result.commit == done.commit == git(edited, "rev-parse", "result/x^{commit}")
    assert "code: dirty at start, committed later as" in git(edited, "cat-file", "tag", "result/x")
    assert gate.declare(opened(edited), "result/x", [run], identity=ADA, now=NOW) == result


def test_strict_refuses_a_promoted_run(repo: Path) -> None:
    commit_file(repo, ".gitrepro.yaml", 'version: 1\nresults: {"result/*": strict}\n')
    (repo / "train.py").write_text("edited")
    run = record_dirty(repo)
    do(repo, run)

    with pytest.raises(Refused, match="strict wants it committed before"):
        gate.declare(opened(repo), "result/x", [run], identity=ADA, now=NOW)


def test_a_plain_tag_at_the_promoted_commit_is_a_result_of_the_run(edited: Path, git: Git) -> None:
    run = record_dirty(edited)
    hooks.install(opened(edited), python=sys.executable)
    assert try_git(edited, "tag", "result/x").returncode == 128
    done = do(edited, run)

    assert try_git(edited, "tag", "result/x").returncode == 128
    granted = try_git(edited, "tag", "result/x", done.branch)

    assert granted.returncode == 0, granted.stderr
    with RunTree(opened(edited)) as tree:
        assert [[each.id for each in result.runs] for result in results_of(tree, tag="result/x")] == [[run]]


def test_a_commit_that_only_says_it_holds_a_run_is_not_believed(edited: Path, git: Git) -> None:
    run = record_dirty(edited)
    hooks.install(opened(edited), python=sys.executable)
    git(edited, "commit", "--quiet", "--all", f"--message=mine\n\nGitrepro-Run: {run}")

    assert try_git(edited, "tag", "result/x").returncode == 128


def test_clean_and_promoted_runs_of_one_code_stand_together(edited: Path, git: Git) -> None:
    first = record_dirty(edited)
    do(edited, first)
    git(edited, "add", "--all")
    git(edited, "commit", "--quiet", "--message=the same files")
    second = record_run(edited, seeds=seeded(1))

    result = gate.declare(opened(edited), "result/x", [first, second], identity=ADA, now=NOW)

    assert result.commit == git(edited, "rev-parse", "main")


def test_again_it_is_a_no_op_that_says_so(edited: Path, git: Git) -> None:
    run = record_dirty(edited)
    first = do(edited, run)
    before = git(edited, "for-each-ref")

    again = do(edited, run)

    assert (again.commit, again.branch, again.made) == (first.commit, first.branch, False)
    assert git(edited, "for-each-ref") == before


def test_whoever_promotes_a_run_makes_the_same_commit(edited: Path, git: Git, tmp_path: Path) -> None:
    run = record_dirty(edited)
    git(tmp_path, "clone", "--quiet", str(edited), "other")
    git(tmp_path / "other", "fetch", "--quiet", "origin", "refs/gitrepro/*:refs/gitrepro/*")

    assert do(tmp_path / "other", run).commit == do(edited, run).commit


def test_a_promotion_that_was_killed_before_its_event_is_finished_by_the_next(
    edited: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = record_dirty(edited)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("gitrepro.audit.promotion.annotate", _interrupt)
        do(edited, run)
    branch = git(edited, "for-each-ref", "--format=%(refname:short)", "refs/heads/promoted")

    done = do(edited, run)

    assert (done.branch, done.made) == (branch, True)
    assert gate.declare(opened(edited), "result/x", [run], identity=ADA, now=NOW).commit == done.commit


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_a_branch_that_is_gone_fails_the_rule_by_name_until_it_is_promoted_again(
    edited: Path, git: Git, how: str
) -> None:
    run = record_dirty(edited, name="brisk-otter")
    done = do(edited, run)
    if how == "deleted":
        git(edited, "branch", "-D", done.branch)
    else:
        git(edited, "branch", "--force", done.branch, "main")

    with pytest.raises(Refused, match="is on no branch: promoted/brisk-otter moved"):
        gate.declare(opened(edited), "result/x", [run], identity=ADA, now=NOW)

    again = do(edited, run)
    assert (again.commit, again.made) == (done.commit, True)
    assert (again.branch == done.branch) is (how == "deleted")
    assert gate.declare(opened(edited), "result/x", [run], identity=ADA, now=NOW).commit == done.commit


def test_a_result_that_stands_keeps_its_commit_by_its_own_tag(edited: Path, git: Git) -> None:
    run = record_dirty(edited)
    done = do(edited, run)
    result = gate.declare(opened(edited), "result/x", [run], identity=ADA, now=NOW)
    git(edited, "branch", "-D", done.branch)

    with RunTree(opened(edited)) as tree:
        assert gate.judge_result(tree, result, stage=Stage.TAG).ok


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ({"left_out": [{"path": "big.bin", "why": "over 1 MiB"}]}, "its snapshot leaves out big.bin"),
        ({"edited": ["train.py"]}, "train.py changed while it ran"),
        (
            {"modules": ["generated.py", "train.py"], "module_digests": {"generated.py": "b3:00"}},
            "it imported generated.py, which its commit does not hold",
        ),
    ],
)
def test_a_snapshot_that_is_not_all_that_ran_is_refused(
    edited: Path, git: Git, code: dict[str, Any], said: str
) -> None:
    run = record_dirty(edited, code=code)

    with pytest.raises(Refused) as caught:
        do(edited, run)

    assert said in caught.value.why
    assert git(edited, "branch", "--list", "promoted/*") == ""


def test_a_clean_run_needs_no_promotion(repo: Path) -> None:
    with pytest.raises(UsageError, match="needs no promotion"):
        do(repo, record_run(repo))


def test_a_run_without_a_repository_cannot_be_promoted(repo: Path) -> None:
    with pytest.raises(Refused, match="its code is not on record"):
        do(repo, record_run(repo, code=None))


def test_a_snapshot_that_was_not_fetched_is_not_found(edited: Path, git: Git, tmp_path: Path) -> None:
    run = record_dirty(edited)
    git(tmp_path, "clone", "--quiet", "--no-local", str(edited), "other")
    git(tmp_path / "other", "fetch", "--quiet", "origin", "refs/gitrepro/runs:refs/gitrepro/runs")

    with pytest.raises(NotFound, match="refs/gitrepro/code"):
        do(tmp_path / "other", run)


def test_a_run_before_the_first_commit_can_be_promoted(tmp_path: Path, git: Git) -> None:
    root = tmp_path / "unborn"
    root.mkdir()
    git(root, "init", "--quiet")
    (root / "train.py").write_text("pass\n")
    run = record_dirty(root)

    done = do(root, run)

    assert git(root, "log", "--format=%H", done.branch) == done.commit
    assert gate.declare(opened(root), "result/x", [run], identity=ADA, now=NOW).commit == done.commit


# -- branches


def test_the_branch_may_be_named(edited: Path, git: Git) -> None:
    done = do(edited, record_dirty(edited), branch="fix/lr")

    assert git(edited, "rev-parse", "fix/lr") == done.commit


@pytest.mark.parametrize("name", ["main", "main/sub", "a b", "-x", "a..b", "HEAD"])
def test_a_branch_that_cannot_be_made_is_a_usage_error(edited: Path, git: Git, name: str) -> None:
    run = record_dirty(edited)
    before = git(edited, "for-each-ref")

    with pytest.raises(UsageError):
        do(edited, run, branch=name)
    assert git(edited, "for-each-ref") == before


def test_a_taken_name_gets_the_end_of_the_id(edited: Path, git: Git) -> None:
    run = record_dirty(edited, name="brisk-otter")
    git(edited, "branch", "promoted/brisk-otter")

    assert do(edited, run).branch == f"promoted/brisk-otter-{run[-8:]}"


def test_another_branch_for_a_promoted_run_is_made_beside_the_first(edited: Path, git: Git) -> None:
    run = record_dirty(edited)
    first = do(edited, run)

    second = do(edited, run, branch="keep/this")

    assert (second.commit, second.made) == (first.commit, True)
    assert git(edited, "rev-parse", first.branch) == git(edited, "rev-parse", "keep/this")


def test_a_hostile_record_steers_no_commit_and_no_terminal(edited: Path, git: Git) -> None:
    run = record_dirty(edited, name="a\x1b[31m\n\nGitrepro-Run: b", actor={"name": "x\nparent y", "email": "<e>"})

    done = do(edited, run)

    text = git(edited, "cat-file", "commit", done.commit)
    assert "\x1b" not in text
    assert text.count("\nGitrepro-Run: ") == 1
    assert text.partition("\n\n")[0].count("parent ") == 1 + text.count("x?parent y") + text.count("x parent y")
    assert git(edited, "fsck", "--no-dangling", "--strict") == ""


# -- as a command


def test_promote_prints_commit_and_branch(edited: Path, cli: Cli) -> None:
    run = record_dirty(edited, name="brisk-otter")

    first = json.loads(cli("promote", run[-6:], "--json", cwd=edited).stdout)
    again = cli("promote", "brisk-otter", cwd=edited)

    assert (first["run"], first["branch"], first["made"]) == (run, "promoted/brisk-otter", True)
    assert again.stdout == f"{first['commit']}\tpromoted/brisk-otter\n"
    assert "was promoted before; nothing is changed" in again.stderr


def test_promote_works_in_a_linked_worktree(edited: Path, git: Git, cli: Cli, tmp_path: Path) -> None:
    run = record_dirty(edited)
    git(edited, "worktree", "add", "--quiet", str(tmp_path / "wt"), "HEAD")

    assert cli("promote", run, cwd=tmp_path / "wt").returncode == 0
    assert subprocess.run(["git", "branch", "--list", "promoted/*"], cwd=edited, capture_output=True).stdout
