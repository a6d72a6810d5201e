"""What a start may load. Seconds are measured by `make bench`; what costs them is named here."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Git

HEAVY = {"torch", "pyarrow", "numpy", "pandas", "dulwich", "yaml", "scipy", "blake3", "zstandard", "psutil"}

# Runs the command as its entry point would, then says which modules are there and which of them define commands.
PROBE = """
import contextlib, io, json, sys
code = 0
with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
    try:
        {act}
    except SystemExit as stop:
        code = stop.code or 0
loaded = sorted(sys.modules)
click = sys.modules.get("click")
commands = [
    name for name in loaded
    if name.startswith("gitrepro.cli.") and name != "gitrepro.cli.main"
    and any(isinstance(value, click.Command) for value in vars(sys.modules[name]).values())
]
print(json.dumps(dict(code=code, loaded=loaded, commands=commands)))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What one fresh interpreter had loaded when it was done."""

    code: int
    loaded: frozenset[str]
    commands: tuple[str, ...]

    def libraries(self) -> set[str]:
        return {name.partition(".")[0] for name in self.loaded}


def _start(act: str, *, cwd: Path) -> Start:
    done = subprocess.run([sys.executable, "-c", PROBE.format(act=act)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return Start(code=found["code"], loaded=frozenset(found["loaded"]), commands=tuple(found["commands"]))


def _command(*args: str, cwd: Path) -> Start:
    act = f"sys.argv = {['gitrepro', *args]!r}; from gitrepro.cli.main import main; main()"
    return _start(act, cwd=cwd)


def test_importing_the_package_loads_nothing_heavy(tmp_path: Path) -> None:
    start = _start("import gitrepro", cwd=tmp_path)

    assert "gitrepro" in start.loaded
    assert start.libraries() & (HEAVY | {"click", "sqlite3"}) == set()


def test_help_loads_no_command_and_nothing_heavy(tmp_path: Path) -> None:
    start = _command("--help", cwd=tmp_path)

    assert (start.code, start.commands) == (0, ())
    assert start.libraries() & (HEAVY | {"sqlite3"}) == set()


def test_the_version_loads_no_command_and_nothing_heavy(tmp_path: Path) -> None:
    start = _command("--version", cwd=tmp_path)

    assert (start.code, start.commands) == (0, ())
    assert start.libraries() & (HEAVY | {"sqlite3"}) == set()


def test_completion_of_a_verb_loads_no_command_and_nothing_heavy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_GITREPRO_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "gitrepro l")
    monkeypatch.setenv("COMP_CWORD", "1")
    start = _command(cwd=tmp_path)

    assert start.commands == ()
    assert start.libraries() & HEAVY == set()


def test_listing_no_runs_loads_nothing_heavy(repo: Path) -> None:
    start = _command("ls", cwd=repo)

    assert start.code == 0
    assert start.libraries() & {"numpy", "pandas", "pyarrow", "dulwich", "yaml", "scipy", "torch"} == set()


def test_listing_where_there_is_a_commit_and_a_run_loads_nothing_heavy(repo: Path, git: Git) -> None:
    recorded = [sys.executable, "-m", "gitrepro", "record", "--", sys.executable, "train.py"]
    subprocess.run(recorded, cwd=repo, check=True, capture_output=True)
    start = _command("ls", cwd=repo)

    assert git(repo, "for-each-ref", "--format=%(refname)", "refs/gitrepro/runs") == "refs/gitrepro/runs"
    assert start.libraries() & {"numpy", "pandas", "pyarrow", "dulwich", "yaml", "scipy", "torch"} == set()


def test_a_heavy_import_is_seen(tmp_path: Path) -> None:
    assert "yaml" in _start("import gitrepro, yaml", cwd=tmp_path).libraries() & HEAVY


def test_a_loaded_command_is_seen(tmp_path: Path) -> None:
    act = (
        "import types, click; planted = types.ModuleType('gitrepro.cli.planted'); "
        "planted.ls = click.Command('ls'); sys.modules['gitrepro.cli.planted'] = planted"
    )

    assert _start(act, cwd=tmp_path).commands == ("gitrepro.cli.planted",)
