"""Hooks put in, looked at, taken out; and the canary that proves they fire."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitrepro import hooks
from gitrepro.errors import ConfigError, GitreproError, Refused, UsageError
from tests.recorded_runs import NOW, opened, record_run, try_git

if TYPE_CHECKING:
    from tests.conftest import Git

OWN = "#!/bin/sh\nexit 0\n"
ROOT = Path(__file__).parents[2]


def install(root: Path) -> hooks.Report:
    return hooks.install(opened(root), python=sys.executable)


def write_hook(folder: Path, kind: str, text: str = OWN) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / kind
    path.write_text(text)
    path.chmod(0o755)
    return path


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    found = (path for path in folder.iterdir() if not path.name.endswith(".sample"))
    return {path.name: (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) for path in found}


def test_install_puts_both_hooks_in_and_sets_what_they_read(repo: Path, git: Git) -> None:
    report = install(repo)

    assert report.ok
    assert report.installed == ["reference-transaction", "pre-push"]
    assert git(repo, "config", "gitrepro.python") == sys.executable
    assert git(repo, "config", "gitrepro.resultTags") == "result/*"
    assert all(os.access(hook.path, os.X_OK) for hook in report.hooks)


def test_install_twice_is_install_once(repo: Path) -> None:
    write_hook(repo / ".git" / "hooks", "pre-push")
    first = install(repo)
    before = contents(first.folder)

    assert install(repo) == first
    assert contents(first.folder) == before


def test_remove_puts_back_what_was_there(repo: Path, git: Git) -> None:
    folder = repo / ".git" / "hooks"
    write_hook(folder, "pre-push", "#!/bin/sh\n# mine\n")
    write_hook(folder, "commit-msg")
    before, config = contents(folder), (repo / ".git" / "config").read_text()

    install(repo)
    assert {hook.name: hook.chained for hook in hooks.status(opened(repo)).hooks}["pre-push"]
    report = hooks.remove(opened(repo))

    assert contents(folder) == before
    assert report.installed == []
    assert "python" not in config + (repo / ".git" / "config").read_text()


def test_remove_without_hooks_does_nothing(repo: Path) -> None:
    own = write_hook(repo / ".git" / "hooks", "pre-push")

    hooks.remove(opened(repo))

    assert own.read_text() == OWN


def test_a_hook_that_is_a_link_is_kept_as_a_link(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").write_text(OWN)
    folder = repo / ".git" / "hooks"
    folder.mkdir(exist_ok=True)
    (folder / "pre-push").symlink_to(tmp_path / "shared")

    install(repo)
    assert (tmp_path / "shared").read_text() == OWN
    hooks.remove(opened(repo))

    assert (folder / "pre-push").is_symlink()


def test_a_hook_put_over_ours_is_not_lost_and_not_mixed_up(repo: Path) -> None:
    folder = repo / ".git" / "hooks"
    write_hook(folder, "pre-push", "#!/bin/sh\n# first\n")
    install(repo)
    write_hook(folder, "pre-push", "#!/bin/sh\n# second\n")

    with pytest.raises(UsageError, match="is taken"):
        install(repo)

    assert (folder / "pre-push").read_text() == "#!/bin/sh\n# second\n"
    assert (folder / "pre-push.gitrepro-prev").read_text() == "#!/bin/sh\n# first\n"


def test_a_script_of_an_older_version_is_replaced(repo: Path) -> None:
    path = write_hook(repo / ".git" / "hooks", "pre-push", "#!/bin/sh\n# gitrepro hook 0\nexit 1\n")
    assert hooks.status(opened(repo)).hooks[1].state == "outdated"

    report = install(repo)

    assert report.ok
    assert not (path.parent / "pre-push.gitrepro-prev").exists()


@pytest.mark.parametrize("named", [".git/own hooks", "{tmp}/shared hooks", "~/hooks"])
def test_the_users_hooks_path_is_honoured_and_left_alone(
    repo: Path, git: Git, tmp_path: Path, hermetic: Path, named: str
) -> None:
    named = named.replace("{tmp}", str(tmp_path))
    git(repo, "config", "core.hooksPath", named)

    report = install(repo)

    where = Path(named.replace("~", str(hermetic)))
    assert report.folder == (where if where.is_absolute() else repo / where)
    assert git(repo, "config", "core.hooksPath") == named
    assert not (repo / ".git" / "hooks" / "pre-push").exists()
    assert try_git(repo, "tag", "result/x").returncode == 128


def test_a_hooks_path_that_is_no_folder_is_a_usage_error(repo: Path, git: Git) -> None:
    git(repo, "config", "core.hooksPath", "/dev/null")

    with pytest.raises(UsageError, match="no folder"):
        install(repo)


def test_install_from_a_worktree_guards_them_all(repo: Path, git: Git, tmp_path: Path) -> None:
    git(repo, "worktree", "add", "--quiet", str(tmp_path / "wt"))

    report = install(tmp_path / "wt")

    assert report.folder == repo / ".git" / "hooks"
    assert try_git(repo, "tag", "result/x").returncode == 128


def test_install_reads_the_patterns_of_the_policy_each_time(repo: Path, git: Git) -> None:
    install(repo)
    (repo / ".gitrepro.yaml").write_text('version: 1\nresults: {"paper/*": minimal, "final-*": strict}\n')
    assert "the policy at paper/* final-*" in hooks.status(opened(repo)).trouble

    assert install(repo).patterns == ("paper/*", "final-*")
    assert git(repo, "config", "gitrepro.resultTags") == "paper/* final-*"


def test_a_policy_that_does_not_parse_installs_nothing(repo: Path) -> None:
    (repo / ".gitrepro.yaml").write_text("version: 1\nresult: {}\n")

    with pytest.raises(ConfigError):
        install(repo)
    assert hooks.status(opened(repo)).installed == []


def test_a_python_without_gitrepro_installs_nothing(repo: Path, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho 'No module named gitrepro' >&2\nexit 1\n")
    bare.chmod(0o755)

    with pytest.raises(UsageError, match="No module named gitrepro"):
        hooks.install(opened(repo), python=str(bare))
    with pytest.raises(UsageError, match="does not start"):
        hooks.install(opened(repo), python="/nowhere/python")
    assert hooks.status(opened(repo)).installed == []


def test_a_virtual_environment_that_was_removed_holds_up_result_tags_alone(
    repo: Path, git: Git, tmp_path: Path
) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(venv)], check=True)
    packages = next((venv / "lib").glob("python*")) / "site-packages"
    (packages / "here.pth").write_text("\n".join(entry for entry in [str(ROOT), *sys.path] if entry))
    hooks.install(opened(repo), python=str(venv / "bin" / "python"))
    record_run(repo)
    assert try_git(repo, "tag", "result/x").returncode == 0

    shutil.rmtree(venv)

    refused = try_git(repo, "tag", "result/y")
    assert (refused.returncode, "`gitrepro hooks install`" in refused.stderr) == (128, True)
    for passes in (
        ["tag", "v1"],
        ["branch", "topic"],
        ["tag", "-d", "result/x"],
        ["commit", "--allow-empty", "-m", "x"],
    ):
        assert try_git(repo, *passes).returncode == 0
    assert "does not start" in hooks.status(opened(repo)).trouble
    assert install(repo).ok


@pytest.mark.parametrize("spoil", ["python", "mode"])
def test_status_says_what_is_out_of_order(repo: Path, git: Git, spoil: str) -> None:
    report = install(repo)
    if spoil == "python":
        git(repo, "config", "gitrepro.python", "/nowhere/python")
    else:
        report.hooks[0].path.chmod(0o644)

    report = hooks.status(opened(repo))

    assert not report.ok
    assert report.trouble


# -- canary


def leftovers(git: Git, root: Path) -> str:
    return git(root, "for-each-ref") + git(root, "count-objects", "-v") + git(root, "status", "--porcelain")


def test_the_canary_sees_hooks_that_fire_and_leaves_nothing(repo: Path, git: Git) -> None:
    install(repo)
    record_run(repo)
    before = leftovers(git, repo)

    fires, detail = hooks.canary(opened(repo))

    assert fires, detail
    assert leftovers(git, repo) == before


@pytest.mark.parametrize("how", ["never installed", "removed", "another path", "not executable", "let through"])
def test_the_canary_sees_hooks_that_do_not_fire_and_leaves_nothing(
    repo: Path, git: Git, tmp_path: Path, how: str
) -> None:
    if how != "never installed":
        folder = install(repo).folder
    if how == "removed":
        (folder / "reference-transaction").unlink()
    if how == "another path":
        git(repo, "config", "core.hooksPath", str(tmp_path))
    if how == "not executable":
        (folder / "reference-transaction").chmod(0o644)
    if how == "let through":
        write_hook(folder, "reference-transaction")
    before = leftovers(git, repo)

    fires, detail = hooks.canary(opened(repo))

    assert not fires
    assert detail
    assert leftovers(git, repo) == before


def test_the_canary_is_not_fooled_by_a_missing_interpreter(repo: Path, git: Git) -> None:
    install(repo)
    git(repo, "config", "gitrepro.python", "/nowhere/python")

    fires, detail = hooks.canary(opened(repo))

    assert not fires
    assert "missing" in detail


def test_the_canary_is_not_fooled_by_a_hook_that_refuses_everything(repo: Path, git: Git) -> None:
    folder = install(repo).folder
    write_hook(folder, "reference-transaction", "#!/bin/sh\nexit 1\n")

    assert not hooks.canary(opened(repo))[0]


# -- deciding


def test_a_fault_of_ours_refuses_in_words(repo: Path) -> None:
    code, said = hooks.handle("reference-transaction", ["prepared"], b"one two\n", opened(repo), now=NOW)

    assert code == hooks.REFUSES
    assert "gitrepro's check failed" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("argv", [["aborted"], ["preparing"], []])
def test_other_phases_decide_nothing(repo: Path, argv: list[str]) -> None:
    line = f"{'0' * 40} {'1' * 40} refs/tags/result/x\n".encode()

    assert hooks.handle("reference-transaction", argv, line, opened(repo), now=NOW) == (hooks.PASSES, "")


@pytest.mark.parametrize("error", [Refused("a\x1b[31mb", why="c\nd\x07e", do="f" * 5000)])
def test_a_message_steers_no_terminal_and_fits_a_screen(error: GitreproError) -> None:
    said = hooks.message(error)

    assert said.splitlines()[:3] == ["gitrepro: a?[31mb", "  why: c", "       d?e"]
    assert len(said) < 600
