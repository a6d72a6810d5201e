"""Our hooks beside those of other managers, with the real programs; each is skipped where it is not installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitrepro import hooks
from gitrepro.errors import UsageError
from tests.recorded_runs import opened, try_git

if TYPE_CHECKING:
    from tests.conftest import Cli, Git

PRE_COMMIT = """
repos:
  - repo: local
    hooks:
      - id: seen
        name: seen
        entry: sh -c 'echo ran >>{seen}'
        language: system
        always_run: true
        pass_filenames: false
        stages: [pre-push]
"""
LEFTHOOK = "pre-push:\n  commands:\n    seen:\n      run: echo ran >>{seen}\n"


@dataclass(frozen=True)
class Manager:
    """A repository in which another manager has a pre-push hook that leaves a line in `seen`."""

    name: str
    root: Path
    seen: Path
    command: tuple[str, ...]

    def install(self) -> None:
        done = subprocess.run(self.command, cwd=self.root, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def folder(self) -> Path:
        return hooks.hooks_folder(opened(self.root))

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.folder.iterdir() if path.is_file() and not path.name.endswith(".sample"))
        return {path.name: path.read_bytes() for path in found}

    def runs(self) -> int:
        return len(self.seen.read_text().splitlines()) if self.seen.exists() else 0


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _pre_commit(root: Path, seen: Path) -> Manager:
    command = (program("pre-commit"), "install", "--hook-type", "pre-push")
    (root / ".pre-commit-config.yaml").write_text(PRE_COMMIT.format(seen=seen))
    return Manager("pre-commit", root, seen, command)


def _lefthook(root: Path, seen: Path) -> Manager:
    command = (program("lefthook"), "install")
    (root / "lefthook.yml").write_text(LEFTHOOK.format(seen=seen))
    return Manager("lefthook", root, seen, command)


def _husky(root: Path, seen: Path) -> Manager:
    command = (program("husky"),)
    (root / ".husky").mkdir()
    (root / ".husky" / "pre-push").write_text(f"echo ran >>{seen}\n")
    return Manager("husky", root, seen, command)


MANAGERS: list[Callable[[Path, Path], Manager]] = [_pre_commit, _lefthook, _husky]


@pytest.fixture(params=MANAGERS, ids=lambda make: make.__name__.strip("_"))
def other(request: pytest.FixtureRequest, repo: Path, git: Git, tmp_path: Path) -> Manager:
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(repo, "remote", "add", "origin", str(tmp_path / "origin.git"))
    manager: Manager = request.param(repo, tmp_path / "seen")
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "--allow-empty", "--message=a manager of hooks")
    return manager


def install(other: Manager) -> hooks.Report:
    return hooks.install(opened(other.root), python=sys.executable)


def check_that_both_fire(other: Manager, git: Git) -> None:
    """Ours refuses a tag and a push, and theirs is run once for each push."""
    assert try_git(other.root, "tag", "result/x").returncode == 128
    git(other.root, "-c", "core.hooksPath=/dev/null", "tag", "--force", "result/bad")
    pushed = try_git(other.root, "push", "origin", "result/bad")
    assert (pushed.returncode, "no result is on record for the tag result/bad" in pushed.stderr) == (1, True)
    check_that_theirs_fires(other)
    assert hooks.status(opened(other.root)).ok
    assert hooks.canary(opened(other.root))[0]


def check_that_theirs_fires(other: Manager) -> None:
    # pre-commit runs nothing for commits that the remote has.
    try_git(other.root, "commit", "--allow-empty", "--message=more")
    before = other.runs()
    done = try_git(other.root, "push", "origin", "HEAD:refs/heads/topic")
    assert (done.returncode, other.runs()) == (0, before + 1), done.stderr


def test_theirs_then_ours(other: Manager, git: Git) -> None:
    other.install()
    before = other.files()

    install(other)

    check_that_both_fire(other, git)
    hooks.remove(opened(other.root))
    assert other.files() == before
    check_that_theirs_fires(other)


def test_ours_then_theirs_then_ours_again(other: Manager, git: Git) -> None:
    install(other)
    other.install()

    install(other)

    check_that_both_fire(other, git)
    hooks.remove(opened(other.root))
    assert not [name for name, data in other.files().items() if b"# gitrepro hook" in data or "gitrepro" in name]
    check_that_theirs_fires(other)


def test_theirs_put_over_ours_are_noticed_and_mended(other: Manager, git: Git) -> None:
    other.install()
    before = other.files()
    install(other)
    other.install()

    report = hooks.status(opened(other.root))

    reached = {hook.name: hook.state for hook in report.hooks}["pre-push"]
    # pre-commit alone goes on to run what it replaced.
    assert reached == ("called" if other.name == "pre-commit" else "foreign")
    install(other)
    check_that_both_fire(other, git)
    hooks.remove(opened(other.root))
    assert other.files() == before
    check_that_theirs_fires(other)


def test_installing_again_and_again_changes_nothing(other: Manager) -> None:
    other.install()
    install(other)
    once = other.files()

    install(other)
    assert other.files() == once
    other.install()
    install(other)
    twice = other.files()
    other.install()
    install(other)
    assert other.files() == twice


def test_the_canary_sees_that_husky_leads_past_ours(repo: Path, tmp_path: Path) -> None:
    husky = _husky(repo, tmp_path / "seen")
    install(husky)
    husky.install()

    fires, _ = hooks.canary(opened(repo))

    assert not fires
    install(husky)
    assert hooks.canary(opened(repo))[0]


# -- hooks that are files of the user's own


@pytest.fixture
def committed(repo: Path, git: Git) -> Path:
    """A repository whose hooks are committed, one that is there and one that is not."""
    (repo / ".githooks").mkdir()
    (repo / ".githooks" / "pre-push").write_text("#!/bin/sh\necho mine >&2\n")
    (repo / ".githooks" / "pre-push").chmod(0o755)
    git(repo, "config", "core.hooksPath", ".githooks")
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "--message=hooks")
    return repo


def test_committed_hooks_are_not_touched_and_the_lines_are_told(committed: Path, git: Git) -> None:
    report = hooks.install(opened(committed), python=sys.executable)

    assert git(committed, "status", "--porcelain") == ""
    assert not report.ok
    assert [path.name for path, _ in report.by_hand] == ["reference-transaction", "pre-push"]
    assert not hooks.canary(opened(committed))[0]


def paste(report: hooks.Report) -> None:
    for path, line in report.by_hand:
        path.write_text((path.read_text() if path.exists() else "#!/bin/sh\n") + line + "\n")
        path.chmod(0o755)


def test_the_lines_that_are_told_make_committed_hooks_call_ours(committed: Path, git: Git, tmp_path: Path) -> None:
    paste(hooks.install(opened(committed), python=sys.executable))

    report = hooks.status(opened(committed))
    assert (report.ok, report.by_hand) == (True, ())
    assert [hook.state for hook in report.hooks] == ["called", "called"]
    assert hooks.canary(opened(committed))[0]
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(committed, "-c", "core.hooksPath=/dev/null", "tag", "result/bad")
    refused = try_git(committed, "push", str(tmp_path / "origin.git"), "result/bad")
    assert (refused.returncode, "mine" in refused.stderr) == (1, True)
    assert "no result is on record" in refused.stderr


def test_the_lines_do_no_harm_in_a_clone_that_was_never_set_up(committed: Path, git: Git, tmp_path: Path) -> None:
    paste(hooks.install(opened(committed), python=sys.executable))
    git(committed, "add", ".")
    git(committed, "commit", "--quiet", "--message=call gitrepro")
    git(tmp_path, "clone", "--quiet", str(committed), "clone")
    git(tmp_path / "clone", "config", "core.hooksPath", ".githooks")

    assert try_git(tmp_path / "clone", "tag", "result/x").returncode == 0


def test_removing_ours_leaves_committed_hooks_as_they_are(committed: Path, git: Git) -> None:
    paste(hooks.install(opened(committed), python=sys.executable))
    before = {path.name: path.read_bytes() for path in (committed / ".githooks").iterdir()}

    hooks.remove(opened(committed))

    assert {path.name: path.read_bytes() for path in (committed / ".githooks").iterdir()} == before
    assert try_git(committed, "tag", "result/x").returncode == 0


def test_committed_hooks_call_ours_in_a_linked_worktree_too(committed: Path, git: Git, tmp_path: Path) -> None:
    paste(hooks.install(opened(committed), python=sys.executable))
    git(committed, "add", ".")
    git(committed, "commit", "--quiet", "--message=call gitrepro")
    git(committed, "worktree", "add", "--quiet", str(tmp_path / "wt"))

    assert try_git(tmp_path / "wt", "tag", "result/x").returncode == 128


def test_the_commands_tell_the_lines_until_they_are_there(committed: Path, cli: Cli) -> None:
    said = cli("init", cwd=committed)
    assert (said.returncode, "hooks: none yet" in said.stderr) == (0, True)
    told = cli("hooks", "install", cwd=committed)
    assert told.returncode == 1
    assert told.stderr.count("is yours; put this into it") == 2
    assert "/gitrepro/hooks/pre-push" in told.stderr

    by_hand = json.loads(cli("hooks", "status", "--json", cwd=committed).stdout)["by_hand"]
    findings = {each["what"]: each for each in json.loads(cli("doctor", "--json", cwd=committed).stdout)}

    assert [Path(each["path"]).name for each in by_hand] == ["reference-transaction", "pre-push"]
    assert findings["hooks"]["verdict"] == findings["pre-push"]["verdict"] == "WARN"
    assert by_hand[0]["line"] in findings["hooks"]["do"]
    paste(hooks.status(opened(committed)))
    assert cli("hooks", "install", cwd=committed).returncode == 0


def test_doctor_sees_a_pre_push_that_was_put_over_ours_and_tells_what_mends_it(repo: Path, cli: Cli) -> None:
    folder = hooks.install(opened(repo), python=sys.executable).folder
    (folder / "pre-push").write_text("#!/bin/sh\nexit 0\n")

    findings = {each["what"]: each for each in json.loads(cli("doctor", "--json", cwd=repo).stdout)}

    assert findings["hooks"]["verdict"] == "PASS"
    assert (findings["pre-push"]["verdict"], findings["pre-push"]["do"]) == ("WARN", "`gitrepro hooks install`")


# -- a path of one worktree alone


def test_a_hooks_path_of_one_worktree_is_that_worktrees(repo: Path, git: Git, tmp_path: Path) -> None:
    git(repo, "config", "extensions.worktreeConfig", "true")
    git(repo, "worktree", "add", "--quiet", str(tmp_path / "wt"))
    git(tmp_path / "wt", "config", "--worktree", "core.hooksPath", str(tmp_path / "own hooks"))

    hooks.install(opened(repo), python=sys.executable)
    assert hooks.canary(opened(repo))[0]
    assert not hooks.canary(opened(tmp_path / "wt"))[0]

    report = hooks.install(opened(tmp_path / "wt"), python=sys.executable)
    assert (report.ok, report.folder) == (True, tmp_path / "own hooks")
    assert hooks.canary(opened(tmp_path / "wt"))[0]
    assert try_git(repo, "tag", "result/x").returncode == 128


# -- without a manager


def test_a_hook_put_over_ours_by_hand_is_never_thrown_away(repo: Path) -> None:
    folder = repo / ".git" / "hooks"
    folder.mkdir(exist_ok=True)
    (folder / "pre-push").write_text("#!/bin/sh\n# first\n")
    hooks.install(opened(repo), python=sys.executable)
    (folder / "pre-push").write_text("#!/bin/sh\n# second\n")

    with pytest.raises(UsageError, match="is taken"):
        hooks.install(opened(repo), python=sys.executable)
