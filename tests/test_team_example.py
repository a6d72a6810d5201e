"""The scene of `examples/team/`: told once, whole; and its own checks where they have to fail."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Git

SCENE = Path(__file__).parents[1] / "examples" / "team" / "scene.py"

pytest.importorskip("sklearn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The scene after its end."""

    folder: Path
    output: str
    errors: str
    code: int

    @property
    def checks(self) -> list[str]:
        return [line.removeprefix("  ok  ") for line in self.output.splitlines() if line.startswith("  ok  ")]

    def after(self, command: str) -> str:
        """What is printed after a command."""
        return self.output.partition(f"$ {command}\n")[2]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Told from an empty home, where Git knows nobody, and from inside another repository's hook."""
    folder = tmp_path_factory.mktemp("team") / "a folder"
    home = tmp_path_factory.mktemp("nobody")
    done = subprocess.run(
        [sys.executable, str(SCENE), str(folder)],
        cwd=home,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "GIT_DIR": "/nowhere", "GITREPRO_MODE": "disabled"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    return Told(folder=folder, output=done.stdout, errors=done.stderr, code=done.returncode)


@pytest.fixture(scope="module")
def scene() -> Any:
    found = importlib.util.spec_from_file_location("scene", SCENE)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_scene_ends_well(told: Told) -> None:
    assert (told.code, told.errors) == (0, ""), told.output[-3000:] + told.errors


def test_five_report_between_88_and_91_percent(told: Told) -> None:
    reported = [float(check.split()[-1]) for check in told.checks if " reports " in check]

    assert len(reported) == 5
    assert all(0.88 <= each <= 0.91 for each in reported)


def test_all_push_and_all_see_all(told: Told) -> None:
    assert len([check for check in told.checks if check.startswith("the push of ")]) == 5
    assert len([check for check in told.checks if check.endswith(" sees 5 runs")]) == 5


def test_one_line_names_the_config_and_the_commit_of_the_best(told: Told) -> None:
    lines = told.after("gitrepro ls --sort=-val/accuracy --columns name,val/accuracy,lr,epochs,commit").splitlines()
    best = dict(zip(lines[0].split(), lines[1].split(), strict=True))
    commits = [check.split()[-1] for check in told.checks if check.startswith("its code is commit ")]

    assert (best["lr"], best["epochs"]) == ("0.04", "8")
    assert [best["commit"][:12]] == commits


def test_a_dirty_result_is_refused_by_every_hook_on_its_way(told: Told) -> None:
    for command in ("git tag result/best", "git push origin result/best", "git push --no-verify origin result/best"):
        assert "ok  it is refused" in told.after(command).partition(" $ ")[0]


def test_the_server_holds_the_sound_result_with_its_runs(told: Told, git: Git) -> None:
    server = told.folder / "server.git"

    assert git(server, "tag", "--list") == "result/best"
    assert git(server, "cat-file", "-t", "result/best") == "tag"
    assert len(git(server, "ls-tree", "-r", "--name-only", "refs/gitrepro/runs", "results/").splitlines()) == 2


def test_a_sixth_clone_has_the_bytes_of_the_winner(told: Told) -> None:
    bytes_of = [(told.folder / name).read_bytes() for name in ("fran/best.safetensors", "winner.safetensors")]

    assert bytes_of[0] == bytes_of[1]
    assert len(bytes_of[0]) > 1000
    assert "verified" in told.after("gitrepro checkpoint get result/best best.safetensors")


def test_the_work_trees_hold_what_was_committed(told: Told, git: Git) -> None:
    dirty = {name: git(told.folder / name, "status", "--porcelain") for name in ("ada", "cleo", "dan", "eve")}

    assert set(dirty.values()) == {""}


# -- the checks themselves


def test_a_refusal_that_does_not_happen_ends_the_scene(repo: Path, scene: Any) -> None:
    with pytest.raises(SystemExit, match="it went through: git status"):
        scene.Place(repo, "ada").refused("git status", "")


def test_a_refusal_for_another_reason_ends_the_scene(repo: Path, scene: Any) -> None:
    with pytest.raises(SystemExit, match="not so: it says why: uncommitted changes"):
        scene.Place(repo, "ada").refused("git checkout nowhere", "uncommitted changes")


def test_a_command_that_fails_ends_the_scene(repo: Path, scene: Any) -> None:
    with pytest.raises(SystemExit, match="ended with 1"):
        scene.Place(repo, "ada").run("git checkout nowhere")


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    done = subprocess.run([sys.executable, str(SCENE), str(tmp_path)], capture_output=True, text=True)

    assert (done.returncode, "is not empty" in done.stderr) == (1, True)
