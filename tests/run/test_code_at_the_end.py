"""Code that changes while a run goes on is on record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Cli, Git


@pytest.fixture
def commit(repo: Path, git: Git) -> Any:
    def commit(**files: str) -> None:
        for name, text in files.items():
            (repo / f"{name}.py").write_text(textwrap.dedent(text))
        git(repo, "add", "--all")
        git(repo, "commit", "--quiet", "--message", "code")

    return commit


def code_of(repo: Path, cli: Cli) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli("show", "--json", cwd=repo).stdout)["code"]
    return found


def test_a_module_edited_while_a_program_ran_is_named(repo: Path, cli: Cli, commit: Any) -> None:
    edit = "import model, pathlib; pathlib.Path('model.py').write_text('depth = 2')"
    commit(model="depth = 1", train=edit)
    assert cli("record", "--", sys.executable, "train.py", cwd=repo).returncode == 0

    code = code_of(repo, cli)
    assert (code["edited"], code["dirty"]) == (["model.py"], False)
    assert "model.py  while it ran" in cli("show", cwd=repo).stdout


def test_a_module_removed_while_a_run_went_on_is_named(repo: Path, cli: Cli, commit: Any) -> None:
    commit(
        model="depth = 1",
        train="""
            import gitrepro, pathlib, model
            with gitrepro.record(seed=0):
                pathlib.Path("model.py").unlink()
        """,
    )
    subprocess.run([sys.executable, "train.py"], cwd=repo, check=True, env=dict(os.environ))

    assert code_of(repo, cli)["edited"] == ["model.py"]


def test_the_script_itself_counts_though_python_read_it_long_ago(repo: Path, cli: Cli, commit: Any) -> None:
    commit(train="open(__file__, 'a').write('#')")
    cli("record", "--", sys.executable, "train.py", cwd=repo)

    assert code_of(repo, cli)["edited"] == ["train.py"]


def test_what_a_program_writes_as_it_was_told_is_no_edit(repo: Path, cli: Cli, commit: Any) -> None:
    commit(model="depth = 1", train="import model, sys; open(sys.argv[1], 'w').write('{}')")
    cli("record", "--", sys.executable, "train.py", "result.json", cwd=repo)

    code = code_of(repo, cli)
    assert code["edited"] == []
    assert code["modules"] == ["model.py"]
