"""A bare repository with the hook of a server, and real pushes to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitrepro import hooks
from gitrepro.audit import gate, tags
from gitrepro.audit.promotion import promote
from gitrepro.audit.results import audit_digest
from gitrepro.errors import UsageError
from gitrepro.records import ids
from gitrepro.records.run import run_path
from gitrepro.store import worktree
from gitrepro.store.annotate import annotate
from gitrepro.store.fold import EMPTY_TREE
from gitrepro.store.gitobjects import FILE_MODE, Entry, GitObjects, encode_tree
from gitrepro.store.runs import RunTree
from tests.recorded_runs import ADA, NOW, a_run, commit_file, opened, record_run, seeds, try_git

if TYPE_CHECKING:
    from tests.conftest import Cli, Git

RUNS = ("refs/gitrepro/runs", "refs/gitrepro/code")
Push = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def server(repo: Path, git: Git, tmp_path: Path) -> Path:
    """A bare repository with the hook, and `repo` as a clone of it without hooks of its own."""
    bare = tmp_path / "server.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", bare.name)
    hooks.install_server(opened(bare), python=sys.executable)
    git(repo, "remote", "add", "origin", str(bare))
    return bare


@pytest.fixture
def push(repo: Path) -> Push:
    """Plain git, as somebody pushes who has no hooks, or goes around them."""
    return lambda *args, **more: try_git(repo, "push", "--no-verify", "origin", *args, **more)


def declared(repo: Path, name: str = "result/x", **changes: object) -> str:
    """A sound run and its result tag. Returns the run."""
    run = record_run(repo, **changes)  # type: ignore[arg-type]
    gate.declare(opened(repo), name, [run], identity=ADA, now=NOW)
    return run


def refs(git: Git, root: Path) -> dict[str, str]:
    listed = git(root, "for-each-ref", "--format=%(objectname) %(refname)").splitlines()
    return {ref: oid for oid, ref in map(str.split, listed)}


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done.stderr
    assert "remote: gitrepro: " in done.stderr
    assert "remote:   do:  " in done.stderr
    assert "Traceback" not in done.stderr
    for each in words:
        assert each in done.stderr


def passed(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr


# -- result tags


def test_a_sound_result_passes_with_its_runs_in_one_push(repo: Path, server: Path, push: Push, git: Git) -> None:
    declared(repo)

    passed(push("main", "result/x", *RUNS))

    assert {"refs/tags/result/x", "refs/gitrepro/runs", "refs/heads/main"} <= refs(git, server).keys()


def test_a_sound_result_passes_after_its_runs(repo: Path, server: Path, push: Push) -> None:
    declared(repo)

    passed(push(*RUNS))
    passed(push("result/x"))


def test_a_result_without_its_runs_is_refused(repo: Path, server: Path, push: Push, git: Git) -> None:
    declared(repo)

    refused(push("main", "result/x"), "its result and runs are not on this server", "`gitrepro push`")
    assert refs(git, server) == {}


def test_a_result_whose_runs_came_later_passes_then(repo: Path, server: Path, push: Push) -> None:
    declared(repo)
    push("result/x")
    push(*RUNS)

    passed(push("result/x"))


def test_a_result_with_the_run_ref_of_before_is_refused(repo: Path, server: Path, push: Push) -> None:
    declared(repo)

    refused(push("result/x", "refs/gitrepro/runs^:refs/gitrepro/runs"), "not on this server")


def forced(repo: Path, run: str) -> None:
    """A result and its tag, made as `gate.declare` makes them, of a run that it would refuse."""
    repository = opened(repo)
    with RunTree(repository) as tree:
        audit = gate.judge_runs(tree, [run], tag="result/x")
    assert not audit.ok
    result = gate.put_on_record(repository, audit, identity=ADA, now=NOW)
    with RunTree(repository) as tree:
        digest = audit_digest(tree, result.id)
    tags.create(repository, result, digest, identity=ADA, now=NOW)


def test_a_result_of_dirty_code_is_refused_with_its_rule(repo: Path, server: Path, push: Push, git: Git) -> None:
    (repo / "train.py").write_text("print('other')\n")
    forced(repo, record_run(repo))

    refused(push("main", "result/x", *RUNS), "tag result/x is refused", "code FAIL: it ran with uncommitted changes")
    assert refs(git, server) == {}


def test_a_result_without_seeds_is_refused_with_its_rule(repo: Path, server: Path, push: Push) -> None:
    forced(repo, record_run(repo, seeds=seeds(requested=None)))

    refused(push("main", "result/x", *RUNS), "1 rule is not met at level minimal", "seeds ")


def test_a_dirty_tag_made_by_plain_git_is_refused(repo: Path, server: Path, push: Push, git: Git) -> None:
    (repo / "train.py").write_text("print('other')\n")
    record_run(repo)
    git(repo, "tag", "result/dirty")

    refused(push("result/dirty", *RUNS), "tag result/dirty is refused")


def test_a_record_other_than_the_one_that_was_cited_is_refused(repo: Path, server: Path, push: Push, git: Git) -> None:
    run = declared(repo)
    git(repo, "update-ref", "refs/gitrepro/runs", swapped(repo, run, duration_seconds=1.0))

    refused(push("result/x", *RUNS), "not the one that was declared")


def swapped(repo: Path, run: str, **changes: object) -> str:
    """A commit on the run ref in which the record of a run is another one."""
    repository = opened(repo)
    record = a_run(repository, id=run, **changes)
    return grafted(repo, {f"{run_path(run)}/run.yaml": record.dump()})


def grafted(repo: Path, files: dict[str, bytes | None], *, parent: str = "refs/gitrepro/runs") -> str:
    """A commit on top of the run ref that holds other files, or lacks some."""
    index = {"GIT_INDEX_FILE": str(repo / ".git" / "grafting")}
    env = {**os.environ, **index}

    def git(*args: str, input: bytes = b"") -> str:
        done = subprocess.run(["git", *args], cwd=repo, env=env, input=input, capture_output=True, check=True)
        return done.stdout.decode().strip()

    git("read-tree", parent)
    for path, data in files.items():
        if data is None:
            git("rm", "-r", "--cached", "--quiet", "--", path)
        else:
            oid = git("hash-object", "-w", "--stdin", input=data)
            git("update-index", "--add", "--cacheinfo", f"100644,{oid},{path}")
    return git("commit-tree", git("write-tree"), "-p", parent, "-m", "grafted")


def test_a_forged_citation_is_refused(repo: Path, server: Path, push: Push, git: Git) -> None:
    declared(repo)
    body = git(repo, "cat-file", "tag", "result/x").partition("\n\n")[2]
    commit_file(repo, "other.py", "pass")
    git(repo, "tag", "-a", "-f", "-m", body, "result/x")

    refused(push("result/x", *RUNS), "its result stands at commit")


def test_a_removed_run_is_refused(repo: Path, server: Path, push: Push) -> None:
    run = declared(repo)
    annotate(opened(repo), run, "remove", None, identity=ADA, at="2026-01-02T03:04:05.678901Z")

    refused(push("result/x", *RUNS), "it was removed")


def test_a_promoted_run_passes_although_its_branch_comes_in_the_same_push(repo: Path, server: Path, push: Push) -> None:
    (repo / "train.py").write_text("print('other')\n")
    repository = opened(repo)
    state = worktree.look(repository)
    taken = worktree.snapshot(repository, state, identity=ADA, now=NOW, forbidden=lambda *_: None)
    run = record_run(repo, code=worktree.document(state, taken))
    promote(repository, run, identity=ADA, at="2026-01-02T03:04:05.678901Z")
    gate.declare(repository, "result/x", [run], identity=ADA, now=NOW)

    passed(push("refs/heads/*", "result/x", *RUNS))


def test_a_tag_that_leads_to_no_code_is_refused(repo: Path, server: Path, push: Push, git: Git) -> None:
    git(repo, "tag", "result/tree", "HEAD^{tree}")

    refused(push("result/tree"), "it leads to no commit")


def test_one_bad_tag_refuses_the_whole_push(repo: Path, server: Path, push: Push, git: Git) -> None:
    declared(repo)
    git(repo, "tag", "result/bad")

    refused(push("main", "--tags", *RUNS), "result/bad")
    assert refs(git, server) == {}


def test_the_policy_of_the_tagged_commit_is_asked(repo: Path, server: Path, push: Push, git: Git) -> None:
    commit_file(repo, ".gitrepro.yaml", 'version: 1\nresults: {"result/*": strict}\n')
    record_run(repo)
    git(repo, "tag", "result/x")

    refused(push("result/x", *RUNS), "result/x")


def test_the_minimum_of_the_server_stands_over_a_milder_policy(repo: Path, server: Path, push: Push, git: Git) -> None:
    declared(repo)
    hooks.install_server(opened(server), python=sys.executable, level="standard")

    refused(push("result/x", *RUNS), "not met at level standard")


def test_a_policy_that_makes_no_result_of_the_name_does_not_get_around_the_server(
    repo: Path, server: Path, push: Push, git: Git
) -> None:
    commit_file(repo, ".gitrepro.yaml", 'version: 1\nresults: {"final/*": minimal}\n')
    git(repo, "tag", "result/none")

    refused(push("result/none"), "result/none")


def test_a_broken_policy_at_the_commit_is_refused_with_its_line(repo: Path, server: Path, push: Push, git: Git) -> None:
    commit_file(repo, ".gitrepro.yaml", "version: 1\nresults: 7\n")
    git(repo, "tag", "result/x")

    refused(push("result/x"), ".gitrepro.yaml at", ":2:")


def test_a_level_of_the_server_that_is_none_is_told(repo: Path, server: Path, push: Push, git: Git) -> None:
    declared(repo)
    git(server, "config", "gitrepro.level", "lax")

    refused(push("result/x", *RUNS), "gitrepro.level of this server is 'lax'")


def test_a_result_tag_may_be_deleted_and_ordinary_tags_pass(repo: Path, server: Path, push: Push, git: Git) -> None:
    declared(repo)
    push("result/x", *RUNS)
    git(repo, "tag", "v1")

    passed(push("--delete", "result/x"))
    passed(push("v1", "main"))


def test_many_objects_come_as_a_pack_and_are_judged_the_same(repo: Path, server: Path, push: Push, git: Git) -> None:
    git(server, "config", "receive.unpackLimit", "1")
    declared(repo)

    passed(push("main", "result/x", *RUNS))


# -- the run ref


def test_the_run_ref_may_go_on(repo: Path, server: Path, push: Push) -> None:
    record_run(repo)
    passed(push(*RUNS))
    record_run(repo)

    passed(push(*RUNS))


def test_a_rewind_of_the_run_ref_is_refused(repo: Path, server: Path, push: Push, git: Git) -> None:
    record_run(repo)
    record_run(repo)
    push(*RUNS)
    before = refs(git, server)

    refused(push("--force", "refs/gitrepro/runs^:refs/gitrepro/runs"), "it would lose what it holds", "`gitrepro pull`")
    assert refs(git, server) == before


def test_another_history_of_the_run_ref_is_refused(repo: Path, server: Path, push: Push, git: Git) -> None:
    record_run(repo)
    push(*RUNS)
    git(repo, "update-ref", "-d", "refs/gitrepro/runs")
    record_run(repo)

    refused(push("--force", "refs/gitrepro/runs"), "it would lose what it holds")


@pytest.mark.parametrize("name", ["runs", "code", "anchor"])
def test_our_refs_are_not_deleted(repo: Path, server: Path, push: Push, git: Git, name: str) -> None:
    record_run(repo)
    push(*RUNS, "refs/gitrepro/runs:refs/gitrepro/anchor")

    refused(push("--delete", f"refs/gitrepro/{name}"), "is not deleted")
    assert f"refs/gitrepro/{name}" in refs(git, server)


def test_a_mirror_without_runs_deletes_none(repo: Path, server: Path, push: Push, git: Git) -> None:
    record_run(repo)
    push(*RUNS)
    for ref in RUNS:
        git(repo, "update-ref", "-d", ref)

    refused(push("--mirror"), "is not deleted")
    assert "refs/gitrepro/runs" in refs(git, server)


@pytest.mark.parametrize("name", ["code", "anchor"])
def test_code_and_anchor_only_go_on(repo: Path, server: Path, push: Push, git: Git, name: str) -> None:
    record_run(repo)
    commit_file(repo, "other.py", "pass")
    record_run(repo)
    source = "refs/gitrepro/code" if name == "code" else "refs/gitrepro/runs"
    passed(push(f"{source}:refs/gitrepro/{name}"))

    refused(push("--force", f"{source}^:refs/gitrepro/{name}"), "it would lose what it holds")


def test_a_code_ref_with_files_is_refused(repo: Path, server: Path, push: Push) -> None:
    refused(push("main:refs/gitrepro/code"), "holds files")


def test_a_commit_on_top_that_lacks_a_run_is_refused(repo: Path, server: Path, push: Push, git: Git) -> None:
    run = record_run(repo)
    record_run(repo)
    push(*RUNS)
    git(repo, "update-ref", "refs/gitrepro/runs", grafted(repo, {run_path(run): None}))

    refused(push("refs/gitrepro/runs"), "it would lose what it holds", run_path(run))


def test_a_commit_on_top_that_changes_a_run_is_refused(repo: Path, server: Path, push: Push, git: Git) -> None:
    run = record_run(repo)
    push(*RUNS)
    git(repo, "update-ref", "refs/gitrepro/runs", swapped(repo, run, duration_seconds=1.0))

    refused(push("refs/gitrepro/runs"), "it would lose what it holds")


def test_a_record_that_does_not_parse_is_refused(repo: Path, server: Path, push: Push, git: Git) -> None:
    record_run(repo)
    bad = ids.new_id()
    git(repo, "update-ref", "refs/gitrepro/runs", grafted(repo, {f"{run_path(bad)}/run.yaml": b"id: [\n"}))

    refused(push("refs/gitrepro/runs"), "not valid", bad)
    assert refs(git, server) == {}


def test_a_run_ref_that_is_no_commit_is_refused(repo: Path, server: Path, push: Push) -> None:
    refused(push("HEAD^{tree}:refs/gitrepro/runs"))


def test_a_later_epoch_is_refused_and_taken_where_it_is_allowed(repo: Path, server: Path, push: Push, git: Git) -> None:
    record_run(repo)
    push(*RUNS)
    git(repo, "update-ref", "refs/gitrepro/runs", anew(repo))

    refused(push("--force", "refs/gitrepro/runs"), "gitrepro.allowPurge is not set")
    git(server, "config", "gitrepro.allowPurge", "true")
    passed(push("--force", "refs/gitrepro/runs"))


def anew(repo: Path) -> str:
    """A history that begins again, of a later epoch."""
    repository = opened(repo)
    with GitObjects(repository.common_dir) as objects:
        blob = objects.write([("blob", b"epoch: 2\nformat: 1\n")])[0]
        tree = objects.write([("tree", encode_tree({"format.yaml": Entry(FILE_MODE, blob)}))])[0]
    command = ["git", "commit-tree", tree, "-m", "anew"]
    return subprocess.run(command, cwd=repo, capture_output=True, text=True, check=True).stdout.strip()


# -- inboxes


INBOX = f"refs/gitrepro/inbox/{'ab' * 16}"


def test_an_inbox_may_come_move_and_go(repo: Path, server: Path, push: Push) -> None:
    record_run(repo)
    passed(push(f"refs/gitrepro/runs:{INBOX}"))
    record_run(repo)
    passed(push("--force", f"refs/gitrepro/runs^:{INBOX}"))

    passed(push("--delete", INBOX))


def test_runs_and_the_end_of_an_inbox_go_in_one_push(repo: Path, server: Path, push: Push) -> None:
    record_run(repo)
    push(f"refs/gitrepro/runs:{INBOX}")

    passed(push("--atomic", "refs/gitrepro/runs", f":{INBOX}"))


def test_an_inbox_with_a_bad_record_is_refused(repo: Path, server: Path, push: Push) -> None:
    record_run(repo)
    bad = grafted(repo, {f"{run_path(ids.new_id())}/run.yaml": b"id: [\n"})

    refused(push(f"{bad}:{INBOX}"), "not valid")


def test_an_inbox_of_a_later_epoch_is_refused(repo: Path, server: Path, push: Push) -> None:
    record_run(repo)
    push(*RUNS)

    refused(push(f"{anew(repo)}:{INBOX}"), "it purges runs")


# -- branches only


def test_where_runs_are_a_branch_the_branch_is_guarded(repo: Path, server: Path, push: Push, git: Git) -> None:
    git(server, "config", "gitrepro.ref", "refs/heads/gitrepro/runs")
    declared(repo)
    there = "refs/gitrepro/runs:refs/heads/gitrepro/runs"
    passed(push("result/x", there))

    refused(push("--force", "refs/gitrepro/runs^:refs/heads/gitrepro/runs"), "it would lose what it holds")
    refused(push("--delete", "refs/heads/gitrepro/runs"), "is not deleted")


# -- what it costs, and what it does without Python


@pytest.fixture
def starts(server: Path, git: Git, tmp_path: Path) -> Callable[[], int]:
    """How often the hook has started Python."""
    counted = tmp_path / "starts"
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\necho x >>"{counted}"\nexec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    git(server, "config", "gitrepro.python", str(wrapper))
    return lambda: len(counted.read_text().split()) if counted.exists() else 0


def test_a_push_that_does_not_concern_us_starts_no_python(
    repo: Path, push: Push, git: Git, starts: Callable[[], int]
) -> None:
    git(repo, "tag", "v1")
    passed(push("main", "v1", "HEAD:refs/heads/result/x", "HEAD:refs/notes/gitrepro"))

    assert starts() == 0


def test_a_push_starts_python_once_however_much_it_brings(
    repo: Path, push: Push, git: Git, starts: Callable[[], int]
) -> None:
    declared(repo)
    declared(repo, "result/y")
    passed(push("main", "result/x", "result/y", *RUNS, f"refs/gitrepro/runs:{INBOX}"))

    assert starts() == 1


@pytest.mark.parametrize("python", ["/nowhere/python", None])
def test_without_python_what_concerns_us_is_refused_and_the_rest_passes(
    repo: Path, server: Path, push: Push, git: Git, python: str | None
) -> None:
    declared(repo)
    git(repo, "tag", "v1")
    git(server, "config", *(["gitrepro.python", python] if python else ["--unset", "gitrepro.python"]))

    refused(push("result/x"), "the Python that checks it is missing", "`gitrepro hooks install --server`")
    refused(push(*RUNS), "the Python that checks it is missing")
    passed(push("main", "v1"))


def test_a_python_without_gitrepro_refuses_with_the_repair(
    repo: Path, server: Path, push: Push, git: Git, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No module named gitrepro' >&2\nexit 1\n")
    python.chmod(0o755)
    git(server, "config", "gitrepro.python", str(python))
    record_run(repo)

    refused(push(*RUNS), "the check did not run on this server", "No module named gitrepro")


def test_modules_of_the_repository_are_never_run(repo: Path, server: Path, push: Push, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    (server / "json.py").write_text(f"open({str(seen)!r}, 'a').write(__name__)\n")
    record_run(repo)

    passed(push(*RUNS, env={"PYTHONPATH": "."}))
    assert not seen.exists()


# -- putting it in and taking it out


def test_a_hook_that_was_there_goes_first_and_its_refusal_stands(
    repo: Path, server: Path, push: Push, tmp_path: Path
) -> None:
    hooks.remove(opened(server))
    own = server / "hooks" / "pre-receive"
    own.write_text(f'#!/bin/sh\ncat >>"{tmp_path}/seen"\n[ ! -e "{tmp_path}/closed" ]\n')
    own.chmod(0o755)
    report = hooks.install_server(opened(server), python=sys.executable)
    record_run(repo)

    assert [hook.chained for hook in report.hooks] == [True]
    passed(push(*RUNS))
    (tmp_path / "closed").touch()
    assert push("main").returncode == 1
    assert [line.split()[2] for line in (tmp_path / "seen").read_text().splitlines()] == [*RUNS, "refs/heads/main"]

    hooks.remove(opened(server))
    assert own.read_text().startswith("#!/bin/sh\ncat")


def test_install_says_what_it_set_and_status_knows_it(server: Path, git: Git) -> None:
    report = hooks.status(opened(server))

    assert (report.ok, report.installed, report.level) == (True, ["pre-receive"], "minimal")
    assert git(server, "config", "gitrepro.resultTags") == "result/*"
    assert git(server, "config", "gitrepro.python") == sys.executable


def test_install_again_keeps_the_level(server: Path) -> None:
    hooks.install_server(opened(server), python=sys.executable, level="strict")

    assert hooks.install_server(opened(server), python=sys.executable).level == "strict"


def test_remove_takes_all_of_it_out(server: Path, git: Git) -> None:
    report = hooks.remove(opened(server))

    assert report.installed == []
    assert not (server / "hooks" / "pre-receive").exists()
    assert try_git(server, "config", "--get-regexp", "^gitrepro").stdout == ""


def test_patterns_of_the_policy_on_the_default_branch_are_looked_at(
    repo: Path, server: Path, push: Push, git: Git
) -> None:
    commit_file(repo, ".gitrepro.yaml", 'version: 1\nresults: {"final/*": strict}\n')
    push("main")

    assert "the policy at result/* final/*" in hooks.status(opened(server)).trouble
    report = hooks.install_server(opened(server), python=sys.executable)
    assert (report.ok, report.patterns) == (True, ("result/*", "final/*"))
    git(repo, "tag", "final/x")
    refused(push("final/x"), "final/x")


def test_a_clone_is_no_server(repo: Path) -> None:
    with pytest.raises(UsageError, match="is not bare"):
        hooks.install_server(opened(repo), python=sys.executable)


def test_an_empty_tree_is_what_the_code_ref_holds(repo: Path, git: Git) -> None:
    record_run(repo)

    assert git(repo, "rev-parse", "refs/gitrepro/code^{tree}") == EMPTY_TREE


def test_an_event_of_another_clone_passes(repo: Path, server: Path, push: Push) -> None:
    run = record_run(repo)
    push(*RUNS)
    annotate(opened(repo), run, "note", "good", identity=ADA, at="2026-01-02T03:04:05.678901Z")

    passed(push("refs/gitrepro/runs"))


# -- the commands


def test_the_canary_is_refused_and_leaves_nothing_behind(server: Path, git: Git) -> None:
    fires, said = hooks.server_canary(opened(server))

    assert (fires, said.endswith("was refused")) == (True, True)
    assert refs(git, server) == {}


def test_the_canary_tells_a_hook_that_does_not_run(server: Path, git: Git) -> None:
    (server / "hooks" / "pre-receive").chmod(0o644)

    assert hooks.server_canary(opened(server))[0] is False
    assert refs(git, server) == {}
    assert "not executable" in hooks.status(opened(server)).trouble


def test_install_is_told_which_repository_by_git_dir_or_by_the_folder(server: Path, cli: Cli, tmp_path: Path) -> None:
    hooks.remove(opened(server))
    by_name = cli("hooks", "install", "--server", "--json", cwd=tmp_path, env={"GIT_DIR": str(server)})
    by_folder = cli("hooks", "install", "--server", "--level", "strict", cwd=server)

    assert [hook["state"] for hook in json.loads(by_name.stdout)["hooks"]] == ["installed"]
    assert (by_folder.returncode, "result tags: result/*, at least strict" in by_folder.stderr) == (0, True)
    assert not (tmp_path / "hooks").exists()


def test_doctor_proves_the_hook_of_a_server(server: Path, cli: Cli) -> None:
    assert "pre-receive: the tag result/canary-" in cli("doctor", cwd=server).stdout
    (server / "hooks" / "pre-receive").unlink()
    said = cli("doctor", cwd=server).stdout

    assert "!  WARN  pre-receive: the tag" in said
    assert "do: `gitrepro hooks install --server`" in said


def test_a_level_without_a_server_is_a_usage_error(repo: Path, cli: Cli) -> None:
    done = cli("hooks", "install", "--level", "strict", cwd=repo)

    assert (done.returncode, "--level is what a server asks" in done.stderr) == (2, True)


# -- what the server learns, and what does not count yet


def test_a_policy_that_is_new_on_the_default_branch_is_taken_up_without_installing_again(
    repo: Path, server: Path, push: Push, git: Git, starts: Callable[[], int]
) -> None:
    commit_file(repo, ".gitrepro.yaml", 'version: 1\nresults: {"final/*": strict}\n')
    passed(push("main"))
    git(repo, "tag", "final/x")
    git(repo, "tag", "v1")

    refused(push("final/x"), "tag final/x is refused")
    assert git(server, "config", "gitrepro.resultTags") == "result/* final/*"
    assert hooks.status(opened(server)).ok
    before = starts()
    passed(push("v1"))
    assert starts() == before


def test_a_pattern_that_is_new_at_the_tagged_commit_alone_is_asked_and_not_taken_up(
    repo: Path, server: Path, push: Push, git: Git
) -> None:
    passed(push("main"))
    commit_file(repo, ".gitrepro.yaml", 'version: 1\nresults: {"*": minimal}\n')
    git(repo, "tag", "v1")

    refused(push("v1"), "tag v1 is refused")
    assert git(server, "config", "gitrepro.resultTags") == "result/*"


def test_a_policy_that_does_not_parse_takes_back_nothing(repo: Path, server: Path, push: Push, git: Git) -> None:
    first = git(repo, "rev-parse", "HEAD")
    commit_file(repo, ".gitrepro.yaml", 'version: 1\nresults: {"final/*": strict}\n')
    passed(push("main"))
    hooks.install_server(opened(server), python=sys.executable)
    commit_file(repo, ".gitrepro.yaml", "results: [")
    passed(push("main"))
    git(repo, "tag", "final/x", first)

    refused(push("final/x"), "tag final/x is refused")
    assert git(server, "config", "gitrepro.resultTags") == "result/* final/*"


def test_a_replaced_policy_does_not_hide_a_new_one(repo: Path, server: Path, push: Push, git: Git) -> None:
    commit_file(repo, ".gitrepro.yaml", 'version: 1\nresults: {"final/*": strict}\n')
    passed(push("main"))
    blob = git(repo, "rev-parse", "HEAD:.gitrepro.yaml")
    other = git(server, "hash-object", "-w", "-t", "blob", "/dev/null")
    git(server, "config", "gitrepro.policy", other)
    git(server, "update-ref", f"refs/replace/{blob}", other)
    git(repo, "tag", "final/x")

    refused(push("final/x"), "tag final/x is refused")


@pytest.mark.parametrize("together", [False, True])
def test_a_result_whose_runs_wait_in_an_inbox_is_refused_with_the_command_that_takes_them_in(
    repo: Path, server: Path, push: Push, together: bool
) -> None:
    declared(repo)
    inbox = f"refs/gitrepro/runs:{INBOX}"
    if not together:
        passed(push(inbox))

    refused(
        push("result/x", *([inbox] if together else [])), f"wait in an inbox, {INBOX}", "`gitrepro push` takes them"
    )
    passed(push("--atomic", "refs/gitrepro/runs", f":{INBOX}", "result/x"))


def test_where_runs_are_a_branch_those_by_the_usual_name_stay_guarded(
    repo: Path, server: Path, push: Push, git: Git
) -> None:
    record_run(repo)
    record_run(repo)
    passed(push(*RUNS))
    git(server, "config", "gitrepro.ref", "refs/heads/gitrepro/runs")

    refused(push("--delete", "refs/gitrepro/runs"), "is not deleted")
    refused(push("--force", "refs/gitrepro/runs^:refs/gitrepro/runs"), "it would lose what it holds")
    passed(push("refs/gitrepro/runs:refs/heads/gitrepro/runs"))
