"""The code of a run, laid out in another place: the same bytes, modes, links and absences as where it ran."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitrepro.records import ids
from gitrepro.records.run import RunRecord
from gitrepro.rerun.checkout import checkout, source_of
from gitrepro.run import place
from gitrepro.run.code import capture_code
from tests.conftest import Cli, Git

Change = Callable[[Path, Git], None]


def files_of(folder: Path) -> dict[str, str]:
    """Every file and link below `folder`, with its mode and content; what is Git's own stays out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsencode(path.relative_to(folder)).decode("latin-1")
        if name.split("/")[0] == ".git" or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            kind = "x" if os.access(path, os.X_OK) else "-"
            found[name] = f"{kind} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found


def own_files(repo: Path, git: Git) -> dict[str, str]:
    """What a checkout must never touch: refs, HEAD, index, stash, configuration, and the work tree."""
    folder = repo / ".git"
    kept = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("HEAD", "index", "config")
        if (folder / name).exists()
    }
    refs = git(repo, "for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags", "refs/stash")
    return {**kept, "refs": refs, **files_of(repo)}


def recorded(cli: Cli, repo: Path, *command: str) -> dict[str, Any]:
    done = cli("record", "--", *(command or (sys.executable, "-c", "")), cwd=repo)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(cli("show", "--json", cwd=repo).stdout)
    return found


def checked_out(cli: Cli, repo: Path, run: str = "@last") -> Path:
    done = cli("checkout", run, cwd=repo)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.removesuffix("\n"))


def commit(repo: Path, git: Git, **files: str) -> None:
    for name, text in files.items():
        (repo / name).write_bytes(text.encode())
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "more")


def windows_lines(repo: Path, git: Git) -> None:
    git(repo, "config", "core.autocrlf", "input")
    (repo / "model.py").write_bytes(b"depth = 1\r\nwidth = 2\r\n")


def windows_lines_that_git_calls_clean(repo: Path, git: Git) -> None:
    windows_lines(repo, git)
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "lines")
    assert git(repo, "status", "--porcelain") == ""


def windows_lines_that_would_not_come_back(repo: Path, git: Git) -> None:
    windows_lines(repo, git)
    git(repo, "config", "core.safecrlf", "true")


def unix_lines_where_git_would_give_windows_lines(repo: Path, git: Git) -> None:
    git(repo, "config", "core.autocrlf", "true")
    (repo / "model.py").write_bytes(b"depth = 1\n")


def attributes_that_end_lines(repo: Path, git: Git) -> None:
    commit(repo, git, **{".gitattributes": "*.py text eol=crlf\n*.sh text eol=lf\n"})
    (repo / "model.py").write_bytes(b"depth = 1\n")
    (repo / "run.sh").write_bytes(b"true\r\n")


def an_identity_keyword(repo: Path, git: Git) -> None:
    commit(repo, git, **{".gitattributes": "*.py ident\n", "model.py": "# $Id$\n"})
    (repo / "other.py").write_text("# $Id: was here$\n")


def another_encoding(repo: Path, git: Git) -> None:
    commit(repo, git, **{".gitattributes": "*.txt working-tree-encoding=UTF-16\n"})
    (repo / "words.txt").write_bytes("\ufefflr = 0.1\n".encode("utf-16-le"))
    (repo / "train.py").write_text("changed = True\n")


def a_filter_of_the_users_own(repo: Path, git: Git) -> None:
    git(repo, "config", "filter.shout.clean", "tr a-z A-Z")
    git(repo, "config", "filter.shout.smudge", "cat")
    commit(repo, git, **{".gitattributes": "model.py filter=shout\n"})
    (repo / "model.py").write_text("depth = 1\n")


def a_filter_that_is_not_installed(repo: Path, git: Git) -> None:
    commit(repo, git, **{".gitattributes": "*.bin filter=gone\n"})
    (repo / "model.py").write_text("depth = 1\n")


def new_files_of_every_kind(repo: Path, git: Git) -> None:
    (repo / "package").mkdir()
    (repo / "package" / "__init__.py").write_text("")
    (repo / "run.sh").write_text("#!/bin/sh\n")
    (repo / "run.sh").chmod(0o755)
    (repo / "link").symlink_to("train.py")
    (repo / "dangling").symlink_to("../nowhere")


def odd_names(repo: Path, git: Git) -> None:
    git(repo, "config", "core.autocrlf", "input")
    for name in ("two\nlines.py", "-rf.py", "ünï code.py", "tab\t.py", '"quoted".py', "back\\slash.py", ":(top)x.py"):
        (repo / name).write_bytes(b"x = 1\r\n")
    (repo / os.fsdecode(b"latin-\xe9.py")).write_bytes(b"x = 1\r\n")


def modes_changed(repo: Path, git: Git) -> None:
    (repo / "train.py").chmod(0o755)


def a_file_became_a_link(repo: Path, git: Git) -> None:
    commit(repo, git, **{"model.py": "x = 1\n"})
    (repo / "model.py").unlink()
    (repo / "model.py").symlink_to("train.py")


def a_file_became_a_folder(repo: Path, git: Git) -> None:
    commit(repo, git, model="x = 1\n")
    (repo / "model").unlink()
    (repo / "model").mkdir()
    (repo / "model" / "__init__.py").write_text("x = 2\n")


def a_folder_became_a_file(repo: Path, git: Git) -> None:
    (repo / "model").mkdir()
    commit(repo, git, **{"model/a.py": "x = 1\n", "model/b.py": "x = 2\n"})
    shutil.rmtree(repo / "model")
    (repo / "model").write_text("x = 3\n")
    (repo / "train.py").write_text("import model\n")


def a_folder_became_a_link(repo: Path, git: Git) -> None:
    for folder in ("model", "other"):
        (repo / folder).mkdir()
    commit(repo, git, **{"model/a.py": "x = 1\n", "other/a.py": "x = 2\n"})
    shutil.rmtree(repo / "model")
    (repo / "model").symlink_to("other")


def a_name_changed_its_case(repo: Path, git: Git) -> None:
    commit(repo, git, **{"Model.py": "x = 1\n"})
    (repo / "Model.py").rename(repo / "model.py")


def meant_to_be_added(repo: Path, git: Git) -> None:
    (repo / "model.py").write_text("x = 1\n")
    git(repo, "add", "--intent-to-add", "model.py")


def staged_and_then_edited(repo: Path, git: Git) -> None:
    (repo / "train.py").write_text("staged = 1\n")
    git(repo, "add", "train.py")
    (repo / "train.py").write_text("ran = 1\n")


def staged_and_then_removed(repo: Path, git: Git) -> None:
    (repo / "model.py").write_text("staged = 1\n")
    git(repo, "add", "model.py")
    (repo / "model.py").unlink()


def removed_from_the_index_alone(repo: Path, git: Git) -> None:
    git(repo, "rm", "--quiet", "--cached", "train.py")


def an_edit_git_was_told_not_to_see(repo: Path, git: Git) -> None:
    git(repo, "update-index", "--assume-unchanged", "train.py")
    (repo / "train.py").write_text("hidden = 1\n")


def deleted(repo: Path, git: Git) -> None:
    commit(repo, git, **{"model.py": "x = 1\n"})
    (repo / "model.py").unlink()


def nothing_changed(repo: Path, git: Git) -> None:
    pass


SITUATIONS: list[Change] = [
    windows_lines,
    windows_lines_that_git_calls_clean,
    windows_lines_that_would_not_come_back,
    unix_lines_where_git_would_give_windows_lines,
    attributes_that_end_lines,
    an_identity_keyword,
    another_encoding,
    a_filter_of_the_users_own,
    a_filter_that_is_not_installed,
    new_files_of_every_kind,
    odd_names,
    modes_changed,
    a_file_became_a_link,
    a_file_became_a_folder,
    a_folder_became_a_file,
    a_folder_became_a_link,
    a_name_changed_its_case,
    meant_to_be_added,
    staged_and_then_edited,
    staged_and_then_removed,
    removed_from_the_index_alone,
    an_edit_git_was_told_not_to_see,
    deleted,
    nothing_changed,
]


@pytest.mark.parametrize("change", SITUATIONS, ids=[change.__name__ for change in SITUATIONS])
def test_what_is_laid_out_is_what_ran_byte_for_byte(repo: Path, git: Git, tmp_path: Path, change: Change) -> None:
    change(repo, git)
    before = own_files(repo, git)
    where = place.find(repo, {})
    assert where.repository is not None
    code = capture_code(where, named=[], identity=where.identity())
    run_id = ids.new_id()
    run = RunRecord(id=run_id, name="run", kind="train", status="finished", started_at="", code=code)
    checkout(where.repository, source_of(run), tmp_path / "there")

    assert code is not None
    assert code["left_out"] == []
    assert files_of(tmp_path / "there") == files_of(repo)
    assert own_files(repo, git) == before


def test_where_the_users_line_ends_change_later_the_bytes_stay_those_that_ran(repo: Path, git: Git, cli: Cli) -> None:
    windows_lines(repo, git)
    recorded(cli, repo)
    ran = files_of(repo)
    git(repo, "config", "core.autocrlf", "true")

    assert files_of(checked_out(cli, repo)) == ran


def test_a_file_that_git_will_not_take_costs_the_snapshot_nothing_else(repo: Path, git: Git, cli: Cli) -> None:
    git(repo, "config", "filter.gone.clean", "no-such-program")
    git(repo, "config", "filter.gone.required", "true")
    commit(repo, git, **{".gitattributes": "*.dat filter=gone\n"})
    (repo / "model.py").write_text("depth = 1\n")
    for name in "abcde":
        (repo / f"{name}.dat").write_text("x\n")
    run = recorded(cli, repo)

    assert [item["path"] for item in run["code"]["left_out"]] == [f"{name}.dat" for name in "abcde"]
    assert (checked_out(cli, repo) / "model.py").read_text() == "depth = 1\n"


def test_a_repository_inside_is_named_as_left_out(repo: Path, git: Git, cli: Cli) -> None:
    git(repo, "init", "--quiet", "library")
    (repo / "library" / "lib.py").write_text("x = 1\n")
    (repo / "model.py").write_text("depth = 1\n")
    recorded(cli, repo)
    done = cli("checkout", "@last", cwd=repo)

    assert "library/: a repository of its own" in done.stderr
    assert not (Path(done.stdout.strip()) / "library").exists()


def test_what_is_too_large_or_secret_is_named_with_what_to_do(repo: Path, cli: Cli) -> None:
    (repo / "train.py").write_text("print(1)\n")
    (repo / "large.py").write_bytes(b"#" * (2 << 20))
    (repo / ".env").write_text("TOKEN=1\n")
    recorded(cli, repo)
    done = cli("checkout", "@last", "--json", cwd=repo)
    document = json.loads(done.stdout)

    assert {item["path"] for item in document["incomplete"]} == {"large.py", ".env"}
    assert "copy or correct these by hand" in done.stderr


def test_an_ignored_module_that_ran_is_laid_out_too(repo: Path, git: Git, cli: Cli) -> None:
    commit(repo, git, **{".gitignore": "local_*\n__pycache__\n", "train.py": "import local_paths, sys\n"})
    (repo / "local_paths.py").write_bytes(b"root = '/data'\r\n")
    (repo / "local_unused.py").write_text("never = 1\n")
    (repo / "local_run.yaml").write_text("lr: 0.1\n")
    run = recorded(cli, repo, sys.executable, "train.py", "--config", "local_run.yaml")
    folder = checked_out(cli, repo)

    assert run["code"]["dirty"] is False
    assert [item["path"] for item in run["code"]["ignored"]] == ["local_paths.py", "local_run.yaml"]
    assert (folder / "local_paths.py").read_bytes() == b"root = '/data'\r\n"
    assert (folder / "local_run.yaml").read_text() == "lr: 0.1\n"
    assert not (folder / "local_unused.py").exists()


def test_an_ignored_module_too_large_to_keep_is_named(repo: Path, git: Git, cli: Cli) -> None:
    commit(repo, git, **{".gitignore": "big.py\n__pycache__\n", "train.py": "import big\n"})
    (repo / "big.py").write_bytes(b"#" * (2 << 20))
    recorded(cli, repo, sys.executable, "train.py")

    assert "not as it ran: big.py" in cli("checkout", "@last", cwd=repo).stderr


def test_the_files_stay_reachable_after_the_user_cleans_up(repo: Path, git: Git, cli: Cli) -> None:
    commit(repo, git, **{".gitignore": "local.py\n__pycache__\n", "train.py": "import local\n"})
    git(repo, "config", "core.autocrlf", "input")
    (repo / "local.py").write_text("x = 1\n")
    (repo / "model.py").write_bytes(b"x = 1\r\n")
    recorded(cli, repo, sys.executable, "train.py")
    ran = files_of(repo)
    git(repo, "gc", "--quiet", "--prune=now")

    kept = {name: found for name, found in ran.items() if "__pycache__" not in name}
    assert files_of(checked_out(cli, repo)) == kept


def test_a_second_checkout_finds_the_first(repo: Path, cli: Cli) -> None:
    recorded(cli, repo)
    folder = checked_out(cli, repo)
    (folder / "output.txt").write_text("what a program wrote there\n")

    again = cli("checkout", "@last", "--json", cwd=repo)
    assert json.loads(again.stdout)["folder"] == str(folder)
    assert json.loads(again.stdout)["fresh"] is False


@pytest.mark.parametrize("name", ["train.py", "model.py"])
def test_a_checkout_that_was_changed_is_not_passed_off_as_the_code(repo: Path, git: Git, cli: Cli, name: str) -> None:
    windows_lines(repo, git)
    recorded(cli, repo)
    folder = checked_out(cli, repo)
    # The file that Git converts keeps its meaning to Git, and loses its bytes.
    (folder / name).write_text("depth = 1\nwidth = 2\n" if name == "model.py" else "other = 1\n")
    done = cli("checkout", "@last", cwd=repo)

    assert done.returncode == 2
    assert "was changed since" in done.stderr


def test_a_folder_with_something_in_it_is_refused_and_left_alone(repo: Path, cli: Cli, tmp_path: Path) -> None:
    recorded(cli, repo)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years\n")
    done = cli("checkout", "@last", str(tmp_path / "mine"), cwd=repo)

    assert (done.returncode, done.stdout) == (2, "")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_a_folder_in_the_work_tree_is_refused_unless_git_ignores_it(repo: Path, git: Git, cli: Cli) -> None:
    commit(repo, git, **{".gitignore": "/old/\n"})
    recorded(cli, repo)

    assert cli("checkout", "@last", "inside", cwd=repo).returncode == 2
    assert cli("checkout", "@last", "old/run", cwd=repo).returncode == 0
    assert git(repo, "status", "--porcelain") == ""


def test_no_hook_runs(repo: Path, git: Git, cli: Cli, tmp_path: Path) -> None:
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    recorded(cli, repo)
    checked_out(cli, repo)

    assert not (tmp_path / "hooked").exists()
    git(repo, "worktree", "add", "--quiet", "--detach", str(tmp_path / "by-hand"))
    assert (tmp_path / "hooked").exists()


def test_submodules_are_laid_out_as_far_as_they_are_here(repo: Path, git: Git, cli: Cli, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(repo), "library")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tmp_path / "library"), "lib")
    git(repo, "commit", "--quiet", "--message", "lib")
    shutil.rmtree(tmp_path / "library")
    recorded(cli, repo)
    before = own_files(repo, git)
    folder = checked_out(cli, repo)

    assert (folder / "lib" / "train.py").read_text() == 'print("trained")\n'
    assert git(folder, "status", "--porcelain") == ""
    assert own_files(repo, git) == before
    shutil.rmtree(repo / ".git" / "modules")
    done = cli("checkout", "@last", str(tmp_path / "other"), "--json", cwd=repo)
    assert json.loads(done.stdout)["submodules"] == ["lib"]
    assert "submodule update --init" in done.stderr


def test_code_that_is_not_here_is_not_found(repo: Path, git: Git, cli: Cli, tmp_path: Path) -> None:
    (repo / "train.py").write_text("changed = 1\n")
    recorded(cli, repo)
    git(tmp_path, "clone", "--quiet", "--no-local", str(repo), "clone")
    git(tmp_path / "clone", "fetch", "--quiet", "origin", "refs/gitrepro/runs:refs/gitrepro/runs")
    done = cli("checkout", "@last", cwd=tmp_path / "clone")

    assert done.returncode == 3
    assert "refs/gitrepro/code" in done.stderr
    git(tmp_path / "clone", "fetch", "--quiet", "origin", "refs/gitrepro/code:refs/gitrepro/code")
    assert cli("checkout", "@last", str(tmp_path / "there"), cwd=tmp_path / "clone").returncode == 0
    assert (tmp_path / "there" / "train.py").read_text() == "changed = 1\n"


def test_a_run_without_code_has_nothing_to_lay_out(repo: Path, git: Git, cli: Cli, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "new")
    git(tmp_path / "new", "config", "user.name", "Ada")
    git(tmp_path / "new", "config", "user.email", "ada@example.org")
    recorded(cli, tmp_path / "new", "true")
    done = cli("checkout", "@last", cwd=tmp_path / "new")

    assert done.returncode == 3
    assert "no code on record" in done.stderr


def test_a_name_from_a_record_is_no_path(repo: Path, cli: Cli) -> None:
    cli("record", "--name", "../../.. /etc/x", "--", "true", cwd=repo)

    assert checked_out(cli, repo).parent == repo.parent


def test_a_clean_run_in_a_sparse_checkout_is_laid_out(repo: Path, git: Git, cli: Cli) -> None:
    (repo / "other").mkdir()
    commit(repo, git, **{"other/big.py": "x = 1\n"})
    git(repo, "sparse-checkout", "set", "--cone", "nothing")
    (repo / "train.py").write_text("changed = 1\n")
    recorded(cli, repo)

    assert (checked_out(cli, repo) / "train.py").read_text() == "changed = 1\n"


def test_untracked_files_that_were_taken_for_outputs_are_named(repo: Path, cli: Cli) -> None:
    (repo / "notes.json").write_text("{}\n")
    recorded(cli, repo)
    done = cli("checkout", "@last", cwd=repo)

    assert "untracked when it ran, and not kept: notes.json" in done.stderr
