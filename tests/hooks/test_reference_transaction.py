"""Plain `git tag` and its relatives under our hook, with the real git."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitrepro import hooks
from gitrepro.audit import gate
from gitrepro.audit.results import results_of
from gitrepro.store.runs import RunTree
from tests.recorded_runs import ADA, NOW, commit_file, opened, record_run, seeded, try_git

if TYPE_CHECKING:
    from tests.conftest import Git

REFUSED = 128
UNSEEDED = {"requested": None, "source": None}


@pytest.fixture
def guarded(repo: Path) -> Path:
    """A repository with the hooks installed."""
    hooks.install(opened(repo), python=sys.executable)
    return repo


def tags_of(git: Git, root: Path) -> list[str]:
    return git(root, "for-each-ref", "--format=%(refname:short)", "refs/tags").split()


def results(root: Path, tag: str) -> list[list[str]]:
    """The runs of each result that is on record under a tag name."""
    with RunTree(opened(root)) as tree:
        return [[run.id for run in result.runs] for result in results_of(tree, tag=tag)]


# -- granted


@pytest.mark.parametrize("how", [("tag", "result/x"), ("tag", "-a", "-m", "a result", "result/x")])
def test_a_sound_run_gets_its_tag_and_a_result(guarded: Path, git: Git, how: tuple[str, ...]) -> None:
    run = record_run(guarded)

    done = try_git(guarded, *how)

    assert (done.returncode, tags_of(git, guarded)) == (0, ["result/x"])
    assert results(guarded, "result/x") == [[run]]
    assert "result result/x is on record" in done.stderr


def test_update_ref_is_granted_alike(guarded: Path) -> None:
    run = record_run(guarded)

    assert try_git(guarded, "update-ref", "refs/tags/result/x", "HEAD").returncode == 0
    assert results(guarded, "result/x") == [[run]]


def test_all_sound_runs_of_the_commit_stand_in_the_result(guarded: Path) -> None:
    runs = [record_run(guarded, seeds=seeded(number)) for number in range(3)]

    assert try_git(guarded, "tag", "result/x").returncode == 0
    assert results(guarded, "result/x") == [sorted(runs)]


def test_a_tag_made_again_where_it_is_makes_no_second_result(guarded: Path) -> None:
    record_run(guarded)
    try_git(guarded, "tag", "result/x")

    assert try_git(guarded, "tag", "-f", "result/x").returncode == 0
    assert len(results(guarded, "result/x")) == 1


def test_a_tag_moved_to_a_sound_commit_gets_a_result_there(guarded: Path) -> None:
    record_run(guarded)
    try_git(guarded, "tag", "result/x")
    commit_file(guarded, "train.py", "print('better')")
    second = record_run(guarded)

    assert try_git(guarded, "tag", "-f", "result/x").returncode == 0
    assert results(guarded, "result/x")[0] == [second]


def test_a_tag_of_our_own_can_be_put_back_by_its_object(guarded: Path, git: Git) -> None:
    run = record_run(guarded)
    gate.declare(opened(guarded), "result/x", [run], identity=ADA, now=NOW)
    oid = git(guarded, "rev-parse", "result/x")
    git(guarded, "tag", "--delete", "result/x")

    assert try_git(guarded, "update-ref", "refs/tags/result/x", oid).returncode == 0
    assert len(results(guarded, "result/x")) == 1


def test_a_tag_is_deleted_freely(guarded: Path, git: Git) -> None:
    record_run(guarded)
    try_git(guarded, "tag", "result/x")
    git(guarded, "pack-refs", "--all")

    assert try_git(guarded, "tag", "-d", "result/x").returncode == 0
    assert tags_of(git, guarded) == []


@pytest.mark.parametrize("name", ["v1.0", "results", "result", "my/result/x", "Result/x"])
def test_ordinary_tags_pass(guarded: Path, git: Git, name: str) -> None:
    assert try_git(guarded, "tag", name).returncode == 0
    assert try_git(guarded, "tag", "-a", "-f", "-m", "again", name).returncode == 0
    assert tags_of(git, guarded) == [name]


def test_branches_commits_and_stashes_pass(guarded: Path, git: Git) -> None:
    (guarded / "train.py").write_text("more")
    git(guarded, "stash")
    git(guarded, "branch", "result/x")
    git(guarded, "commit", "--quiet", "--allow-empty", "--message=more")

    assert git(guarded, "log", "-1", "--format=%s") == "more"
    assert git(guarded, "rev-parse", "result/x") == git(guarded, "rev-parse", "HEAD~1")
    assert git(guarded, "stash", "list") != ""


# -- refused


@pytest.mark.parametrize(
    "how",
    [
        ("tag", "result/x"),
        ("tag", "-a", "-m", "a result", "result/x"),
        ("tag", "-f", "result/x"),
        ("update-ref", "refs/tags/result/x", "HEAD"),
    ],
)
def test_an_unseeded_run_is_refused_with_reason_and_way_out(guarded: Path, git: Git, how: tuple[str, ...]) -> None:
    record_run(guarded, seeds=UNSEEDED)

    done = try_git(guarded, *how)

    assert (done.returncode, tags_of(git, guarded)) == (REFUSED, [])
    assert "gitrepro: tag result/x is refused" in done.stderr
    assert "why: seeds FAIL: no seed is on record" in done.stderr
    assert "do:  seeds: run it again with `gitrepro record --seed N" in done.stderr
    assert len(done.stderr.splitlines()) < 24
    assert "Traceback" not in done.stderr


def test_a_commit_without_a_run_is_refused(guarded: Path, git: Git) -> None:
    done = try_git(guarded, "tag", "result/x")

    assert (done.returncode, tags_of(git, guarded)) == (REFUSED, [])
    assert "no finished run of commit" in done.stderr


def test_a_dirty_run_is_refused_and_named(guarded: Path) -> None:
    (guarded / "train.py").write_text("changed")
    run = record_run(guarded)

    done = try_git(guarded, "tag", "result/x")

    assert done.returncode == REFUSED
    assert run[-8:] in done.stderr
    assert "with uncommitted changes" in done.stderr
    assert f"`gitrepro promote {run[-8:]}`" in done.stderr


def test_a_run_of_another_commit_is_named_as_the_nearest(guarded: Path) -> None:
    run = record_run(guarded)
    commit_file(guarded, "other.py", "pass")

    done = try_git(guarded, "tag", "result/x")

    assert done.returncode == REFUSED
    assert f"`gitrepro tag result/x {run[-8:]}`" in done.stderr


def test_a_run_that_failed_is_no_run_of_the_commit(guarded: Path) -> None:
    record_run(guarded, status="failed")

    assert "no finished run" in try_git(guarded, "tag", "result/x").stderr


def test_one_unsound_run_refuses_and_the_sound_ones_are_offered(guarded: Path) -> None:
    sound = record_run(guarded)
    record_run(guarded, seeds=UNSEEDED)

    done = try_git(guarded, "tag", "result/x")

    assert done.returncode == REFUSED
    assert f"`gitrepro tag result/x {sound[-8:]}`" in done.stderr


def test_the_sound_runs_that_are_offered_can_be_tagged(guarded: Path) -> None:
    sound = record_run(guarded)
    record_run(guarded, seeds=UNSEEDED)

    result = gate.declare(opened(guarded), "result/x", [sound[-8:]], identity=ADA, now=NOW)

    assert [run.id for run in result.runs] == [sound]


def test_a_tag_moved_to_an_unsound_commit_stays_where_it_was(guarded: Path, git: Git) -> None:
    record_run(guarded)
    git(guarded, "tag", "result/x")
    before = git(guarded, "rev-parse", "result/x")
    commit_file(guarded, "other.py", "pass")

    assert try_git(guarded, "tag", "-f", "result/x").returncode == REFUSED
    assert git(guarded, "rev-parse", "result/x") == before


def test_a_tag_of_a_file_is_refused(guarded: Path) -> None:
    assert "it leads to no commit" in try_git(guarded, "tag", "result/x", "HEAD:train.py").stderr


def test_a_tag_object_of_another_result_is_refused(guarded: Path, git: Git) -> None:
    run = record_run(guarded)
    gate.declare(opened(guarded), "result/x", [run], identity=ADA, now=NOW)
    oid = git(guarded, "rev-parse", "result/x")

    done = try_git(guarded, "update-ref", "refs/tags/result/y", oid)

    assert done.returncode == REFUSED
    assert "was declared as result/x" in done.stderr


def test_a_tag_object_that_cites_a_result_nobody_recorded_is_refused(guarded: Path) -> None:
    record_run(guarded)
    message = "a result\n\nGitrepro-Result: 01k3v9m2h8q4w5x6y7z8a9b0cd"

    assert try_git(guarded, "tag", "-a", "-m", message, "result/x").returncode == REFUSED


def test_one_bad_tag_holds_up_the_transaction_it_is_part_of(guarded: Path, git: Git) -> None:
    head = git(guarded, "rev-parse", "HEAD")
    moves = f"create refs/tags/v1 {head}\ncreate refs/tags/result/x {head}\n"
    (guarded / "moves").write_text(moves)

    done = try_git(guarded, "-c", "alias.both=!git update-ref --stdin <moves", "both")

    assert done.returncode != 0
    assert tags_of(git, guarded) == []


def _together(root: Path, *moves: str) -> subprocess.CompletedProcess[str]:
    """Several refs in one transaction."""
    text = "".join(f"{move}\n" for move in ["start", *moves, "prepare", "commit"])
    return subprocess.run(["git", "update-ref", "--stdin"], cwd=root, input=text, capture_output=True, text=True)


def test_several_sound_tags_of_one_transaction_all_get_results(guarded: Path, git: Git) -> None:
    run, head = record_run(guarded), git(guarded, "rev-parse", "HEAD")
    names = ("refs/tags/result/a", "refs/tags/v1", "refs/tags/result/b", "refs/heads/topic")

    done = _together(guarded, *(f"create {name} {head}" for name in names))

    assert done.returncode == 0, done.stderr
    assert results(guarded, "result/a") == results(guarded, "result/b") == [[run]]
    assert tags_of(git, guarded) == ["result/a", "result/b", "v1"]


def test_a_transaction_that_deletes_one_tag_and_makes_another_is_judged_by_the_other(guarded: Path, git: Git) -> None:
    record_run(guarded)
    git(guarded, "tag", "result/a")
    head = git(guarded, "rev-parse", "HEAD")
    elsewhere = commit_file(guarded, "other.py", "pass")

    refused = _together(guarded, f"delete refs/tags/result/a {head}", f"create refs/tags/result/b {elsewhere}")
    granted = _together(guarded, f"delete refs/tags/result/a {head}", f"create refs/tags/result/b {head}")

    assert (refused.returncode, granted.returncode) == (REFUSED, 0)
    assert tags_of(git, guarded) == ["result/b"]


def test_the_policy_of_the_commit_says_which_tags_count(guarded: Path, git: Git) -> None:
    commit_file(guarded, ".gitrepro.yaml", "version: 1\nresults: {paper/*: minimal}\n")
    hooks.install(opened(guarded), python=sys.executable)

    assert try_git(guarded, "tag", "result/x").returncode == 0
    assert try_git(guarded, "tag", "paper/x").returncode == REFUSED
    assert try_git(guarded, "tag", "paper/x", "HEAD~1").returncode == 0


def test_a_policy_that_does_not_parse_refuses_result_tags_only(guarded: Path) -> None:
    record_run(guarded)
    commit_file(guarded, ".gitrepro.yaml", "version: 1\nresults: {result/*: minimul}\n")

    done = try_git(guarded, "tag", "result/x")

    assert done.returncode == REFUSED
    assert ":2: 'minimul' is no level" in done.stderr
    assert try_git(guarded, "tag", "v1").returncode == 0


# -- the Python behind it


@pytest.mark.parametrize("python", ["/nowhere/python", ""])
def test_a_missing_interpreter_refuses_result_tags_and_nothing_else(guarded: Path, git: Git, python: str) -> None:
    record_run(guarded)
    git(guarded, "config", "gitrepro.python", python)

    done = try_git(guarded, "tag", "result/x")

    assert done.returncode == REFUSED
    assert "the Python that checks it is missing" in done.stderr
    assert "gitrepro hooks install" in done.stderr
    assert try_git(guarded, "tag", "v1").returncode == 0
    assert try_git(guarded, "commit", "--allow-empty", "-m", "x").returncode == 0


def test_an_interpreter_without_gitrepro_refuses_and_says_so(guarded: Path, git: Git, tmp_path: Path) -> None:
    record_run(guarded)
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho 'No module named gitrepro' >&2\nexit 1\n")
    bare.chmod(0o755)
    git(guarded, "config", "gitrepro.python", str(bare))

    done = try_git(guarded, "tag", "result/x")

    assert done.returncode == REFUSED
    assert "the check did not run" in done.stderr


def test_an_interpreter_in_a_folder_with_spaces_is_started(guarded: Path, git: Git, tmp_path: Path) -> None:
    record_run(guarded)
    link = tmp_path / "my tools" / "python 3"
    link.parent.mkdir()
    link.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    link.chmod(0o755)
    git(guarded, "config", "gitrepro.python", str(link))

    assert try_git(guarded, "tag", "result/x").returncode == 0


def test_modules_of_the_repository_are_never_run(guarded: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    spy = f"open({str(seen)!r}, 'a').write(__name__ + '\\n')\n"
    for name in ("json.py", "click.py", "dulwich.py", "sitecustomize.py", "usercustomize.py"):
        (guarded / name).write_text(spy)
    (guarded / "gitrepro").mkdir()
    for name in ("__init__.py", "__main__.py"):
        (guarded / "gitrepro" / name).write_text(spy)

    done = try_git(guarded, "tag", "result/x", env={"PYTHONPATH": f".:{guarded}"})

    assert done.returncode == REFUSED
    assert "no finished run of commit" in done.stderr
    assert not seen.exists()


def test_a_repository_that_was_never_set_up_is_let_pass(repo: Path, guarded: Path, git: Git) -> None:
    git(guarded, "config", "--unset", "gitrepro.python")
    git(guarded, "config", "--unset", "gitrepro.resultTags")

    assert try_git(guarded, "tag", "result/x").returncode == 0


# -- where it runs


def test_a_linked_worktree_has_the_same_hook(guarded: Path, git: Git, tmp_path: Path) -> None:
    git(guarded, "worktree", "add", "--quiet", str(tmp_path / "wt"))

    assert try_git(tmp_path / "wt", "tag", "result/x").returncode == REFUSED
    record_run(guarded)
    assert try_git(tmp_path / "wt", "tag", "result/x").returncode == 0
    assert tags_of(git, guarded) == ["result/x"]


def test_a_path_with_spaces_and_quotes_does_no_harm(tmp_path: Path, git: Git) -> None:
    root = tmp_path / "my 'own' $HOME repo"
    root.mkdir()
    git(root, "init", "--quiet")
    git(root, "config", "user.name", "Ada Lovelace")
    git(root, "config", "user.email", "ada@example.org")
    commit_file(root, "train.py", "pass")
    hooks.install(opened(root), python=sys.executable)

    assert try_git(root, "tag", "result/x").returncode == REFUSED
    record_run(root)
    assert try_git(root, "tag", "result/x").returncode == 0


def test_a_linked_worktree_is_judged_by_what_it_has_checked_out(guarded: Path, git: Git, tmp_path: Path) -> None:
    run = record_run(guarded)
    git(guarded, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "wt"))
    commit_file(tmp_path / "wt", "train.py", "print('other')")

    assert try_git(tmp_path / "wt", "tag", "result/other").returncode == REFUSED
    assert try_git(guarded, "tag", "result/main").returncode == 0
    assert results(tmp_path / "wt", "result/main") == [[run]]
    record_run(tmp_path / "wt", seeds=seeded(1))
    assert try_git(tmp_path / "wt", "tag", "-a", "-m", "other", "result/other").returncode == 0


def test_a_submodule_has_hooks_and_runs_of_its_own(repo: Path, git: Git, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(repo), "library")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tmp_path / "library"), "lib")
    git(repo, "commit", "--quiet", "--message=a submodule")
    inner = repo / "lib"
    for name, value in (("user.name", "Ada Lovelace"), ("user.email", "ada@example.org")):
        git(inner, "config", name, value)

    report = hooks.install(opened(inner), python=sys.executable)

    assert report.folder == repo / ".git" / "modules" / "lib" / "hooks"
    assert try_git(inner, "tag", "result/x").returncode == REFUSED
    assert try_git(repo, "tag", "result/x").returncode == 0
    run = record_run(inner)
    assert try_git(inner, "tag", "result/x").returncode == 0
    assert results(inner, "result/x") == [[run]]


def test_a_bare_repository_is_guarded(guarded: Path, git: Git, tmp_path: Path) -> None:
    run = record_run(guarded)
    git(tmp_path, "clone", "--quiet", "--bare", str(guarded), "bare.git")
    bare = tmp_path / "bare.git"
    hooks.install(opened(bare), python=sys.executable)

    assert try_git(bare, "tag", "result/x").returncode == REFUSED
    git(bare, "fetch", "--quiet", "origin", "refs/gitrepro/*:refs/gitrepro/*")
    done = try_git(bare, "tag", "result/x")

    assert done.returncode == 0, done.stderr
    assert results(bare, "result/x") == [[run]]


def test_a_git_directory_named_by_the_environment_is_used(guarded: Path, tmp_path: Path) -> None:
    where = {"GIT_DIR": str(guarded / ".git"), "GIT_WORK_TREE": str(guarded)}

    assert try_git(tmp_path, "tag", "result/x", env=where).returncode == REFUSED
    record_run(guarded)
    assert try_git(tmp_path, "tag", "result/x", env=where).returncode == 0


def test_a_tag_made_in_a_folder_of_the_work_tree_is_checked(guarded: Path) -> None:
    (guarded / "src").mkdir()

    assert try_git(guarded / "src", "tag", "result/x").returncode == REFUSED


# -- what others made


@pytest.fixture
def elsewhere(repo: Path, git: Git, tmp_path: Path) -> Path:
    """Another repository of the same history, with a result tag nobody audited."""
    git(tmp_path, "clone", "--quiet", str(repo), "elsewhere")
    git(tmp_path / "elsewhere", "tag", "result/bad")
    return tmp_path / "elsewhere"


FETCHES: list[tuple[str, ...]] = [
    ("fetch", "--tags"),
    ("-c", "core.abbrev=8", "fetch", "--atomic", "--tags"),
    ("-C", ".", "--no-pager", "fetch", "--tags"),
    ("pull", "--tags", "--no-rebase", "other", "main"),
    ("-c", "alias.up=fetch --tags", "up", "other"),
    ("remote", "update"),
]


@pytest.mark.parametrize("how", FETCHES, ids=" ".join)
def test_a_fetch_that_brings_an_unsound_tag_succeeds(
    guarded: Path, git: Git, elsewhere: Path, how: tuple[str, ...]
) -> None:
    git(guarded, "remote", "add", "other", str(elsewhere))
    git(guarded, "config", "remote.other.tagOpt", "--tags")

    done = try_git(guarded, *how, *(["other"] if how[-1] == "--tags" else []))

    assert done.returncode == 0, done.stderr
    assert tags_of(git, guarded) == ["result/bad"]


def test_a_clone_that_brings_an_unsound_tag_succeeds(guarded: Path, git: Git, elsewhere: Path, tmp_path: Path) -> None:
    template = tmp_path / "template"
    (template / "hooks").mkdir(parents=True)
    for kind in hooks.KINDS:
        script = template / "hooks" / kind
        script.write_bytes((guarded / ".git" / "hooks" / kind).read_bytes())
        script.chmod(0o755)
    settings = ["-c", f"gitrepro.python={sys.executable}", "-c", "gitrepro.resultTags=result/*"]

    done = try_git(tmp_path, *settings, "clone", f"--template={template}", str(elsewhere), "third")

    assert done.returncode == 0, done.stderr
    assert tags_of(git, tmp_path / "third") == ["result/bad"]
    assert try_git(tmp_path / "third", *settings, "tag", "result/own").returncode == REFUSED


def test_a_push_into_a_guarded_repository_is_not_held_up(guarded: Path, git: Git, elsewhere: Path) -> None:
    assert try_git(elsewhere, "push", str(guarded), "result/bad").returncode == 0


def test_packing_refs_is_not_held_up(guarded: Path, git: Git, elsewhere: Path) -> None:
    git(guarded, "fetch", "--quiet", "--tags", str(elsewhere))

    assert try_git(guarded, "pack-refs", "--all").returncode == 0
    assert try_git(guarded, "gc", "--quiet").returncode == 0
    assert tags_of(git, guarded) == ["result/bad"]


# -- chained


@pytest.fixture
def chained(repo: Path) -> Callable[[str], Path]:
    """Puts a hook of the user's own in place, then installs ours."""

    def put(script: str) -> Path:
        own = repo / ".git" / "hooks" / "reference-transaction"
        own.parent.mkdir(exist_ok=True)
        own.write_text(script)
        own.chmod(0o755)
        hooks.install(opened(repo), python=sys.executable)
        return repo

    return put


def test_the_hook_that_was_there_runs_first_with_the_same_input(
    chained: Callable[[str], Path], tmp_path: Path, git: Git
) -> None:
    root = chained(f'#!/bin/sh\necho "$@" >>"{tmp_path}/seen"\ncat >>"{tmp_path}/seen"\n')

    assert try_git(root, "tag", "result/x").returncode == REFUSED
    assert try_git(root, "tag", "v1").returncode == 0

    head = git(root, "rev-parse", "HEAD")
    zero = "0" * 40
    seen = (tmp_path / "seen").read_text().splitlines()
    assert seen[:2] == ["prepared", f"{zero} {head} refs/tags/result/x"]
    assert seen[-4:] == ["prepared", f"{zero} {head} refs/tags/v1", "committed", f"{zero} {head} refs/tags/v1"]
    assert "aborted" in seen


def test_the_refusal_of_the_hook_that_was_there_stands(chained: Callable[[str], Path], git: Git) -> None:
    root = chained("#!/bin/sh\necho 'never on a Friday' >&2\nexit 1\n")

    done = try_git(root, "branch", "topic")

    assert done.returncode == REFUSED
    assert "never on a Friday" in done.stderr


def test_a_hook_that_was_there_and_reads_nothing_does_no_harm(chained: Callable[[str], Path]) -> None:
    root = chained("#!/bin/sh\nexit 0\n")

    assert try_git(root, "tag", "v1").returncode == 0
    assert try_git(root, "tag", "result/x").returncode == REFUSED
    record_run(root)
    assert try_git(root, "tag", "result/x").returncode == 0


def test_a_sound_tag_is_recorded_behind_a_chained_hook(chained: Callable[[str], Path]) -> None:
    root = chained("#!/bin/sh\ncat >/dev/null\n")
    run = record_run(root)

    assert try_git(root, "tag", "result/x").returncode == 0
    assert results(root, "result/x") == [[run]]


# -- what it costs


def test_nothing_is_started_until_a_result_tag_moves(guarded: Path, requires_strace: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"

    def started(*args: str) -> list[str]:
        command = [requires_strace, "-f", "-e", "trace=execve", "-o", str(trace), "git", *args]
        subprocess.run(command, cwd=guarded, check=True, capture_output=True)
        lines = [line for line in trace.read_text().splitlines() if "execve(" in line and "= 0" in line]
        return [line.split('"')[1].rsplit("/", 1)[-1] for line in lines]

    assert set(started("update-ref", "refs/heads/topic", "HEAD")) == {"git", "reference-transaction"}
    assert sorted(started("tag", "v1")) == ["git"] + ["reference-transaction"] * 2
    # A setting that Git quotes is left to Git: one `git config` in each of the two phases, and no Python.
    git = ["git", "-C", str(guarded), "config"]
    subprocess.run([*git, "gitrepro.resultTags", 'result/* # "all"'], check=True)
    assert sorted(started("tag", "v2")) == ["git"] * 3 + ["reference-transaction"] * 2


def test_fetching_results_starts_nothing(
    guarded: Path, git: Git, elsewhere: Path, requires_strace: str, tmp_path: Path
) -> None:
    git(guarded, "remote", "add", "other", str(elsewhere))  # a quoted section beside ours
    trace = tmp_path / "trace"
    fetch = ["git", "fetch", "--quiet", "other", "refs/tags/*:refs/tags/*"]
    command = [requires_strace, "-f", "-e", "trace=execve", "-o", str(trace), *fetch]
    subprocess.run(command, cwd=guarded, check=True, capture_output=True)

    assert tags_of(git, guarded) == ["result/bad"]
    started = [line for line in trace.read_text().splitlines() if "execve(" in line and "= 0" in line]
    assert any("/reference-transaction" in line for line in started)
    assert [line for line in started if '/tr"' in line or '"config"' in line or "python" in line] == []


def test_a_command_that_only_begins_like_a_fetch_is_checked(guarded: Path) -> None:
    own = ["-c", "alias.fetched=!git tag result/x", "-c", "alias.fetchtag=tag result/x"]

    assert try_git(guarded, *own, "fetched").returncode != 0
    assert try_git(guarded, *own, "fetchtag").returncode != 0
    assert not (guarded / ".git/refs/tags/result/x").exists()


def test_settings_are_found_where_the_hooks_lie_elsewhere(guarded: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared hooks"
    shared.mkdir()
    (shared / "reference-transaction").write_bytes((guarded / ".git/hooks/reference-transaction").read_bytes())
    (shared / "reference-transaction").chmod(0o755)
    subprocess.run(["git", "-C", str(guarded), "config", "core.hooksPath", str(shared)], check=True)

    assert try_git(guarded, "tag", "result/x").returncode == REFUSED
    assert try_git(guarded, "tag", "v1").returncode == 0
