"""The demo: told once as a stranger would start it, and each of its own checks where it has to fail."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gitrepro.demo.stage import Stage, Voice, environment
from gitrepro.demo.story import _captured, _comparison, _Story, require_parts
from gitrepro.errors import GitreproError, UsageError

if TYPE_CHECKING:
    from conftest import Cli, Git

pytest.importorskip("torch")
pytest.importorskip("sklearn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The demo after its end."""

    folder: Path
    output: str
    errors: str
    code: int

    @property
    def commands(self) -> list[str]:
        return [line.removeprefix("$ ") for line in self.output.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The whole demo, from an empty home, where Git knows nobody, and from inside another repository's hook."""
    folder = tmp_path_factory.mktemp("told") / "a folder" / "demo"
    home = tmp_path_factory.mktemp("nobody")
    done = subprocess.run(
        [sys.executable, "-m", "gitrepro", "demo", str(folder)],
        cwd=home,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "GIT_DIR": "/nowhere", "GITREPRO_MODE": "disabled"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    return Told(folder=folder, output=done.stdout, errors=done.stderr, code=done.returncode)


def test_the_demo_ends_well(told: Told) -> None:
    assert (told.code, told.errors.count("error:")) == (0, 0), told.output[-2000:] + told.errors


def test_it_says_where_it_is_and_how_to_look_around(told: Told) -> None:
    assert told.output.startswith(f"A scratch repository: {told.folder}\n")
    assert f"  cd '{told.folder}'\n" in told.output
    assert f"  rm -rf '{told.folder}'\n" in told.output


def test_every_command_is_shown(told: Told) -> None:
    verbs = {tuple(command.split()[:2]) for command in told.commands}

    assert {("gitrepro", verb) for verb in ("init", "record", "recover", "tag", "audit", "ls")} <= verbs
    assert {("git", verb) for verb in ("init", "config", "add", "commit", "tag", "log", "show")} <= verbs


def test_nothing_acknowledged_was_lost(told: Told) -> None:
    found = re.search(r"Acknowledged before the kill: (\d+)\. On record: (\d+)\. Lost: (\d+)\.", told.output)

    assert found is not None
    acknowledged, recovered, lost = map(int, found.groups())
    assert acknowledged > 100
    assert recovered >= acknowledged
    assert lost == 0


def test_both_refusals_are_shown_with_their_reason(told: Told) -> None:
    refusals = told.output.split("$ git tag result/wide\n")[1:]

    assert ["uncommitted" in refusals[0], "seeds FAIL" in refusals[1]] == [True, True]


def test_what_is_left_is_what_was_told(told: Told, cli: Cli, git: Git) -> None:
    listed: list[dict[str, Any]] = json.loads(cli("ls", "--json", cwd=told.folder).stdout)

    assert [run["status"] for run in listed].count("crashed") == 1
    assert [run["kind"] for run in listed].count("baseline") == 1
    assert {run["seeds"]["requested"] for run in listed if run["group"] == "digits"} == {0, 1, 2}
    assert git(told.folder, "tag", "--list").split() == ["result/digits", "result/wide"]
    assert git(told.folder, "status", "--porcelain") == ""
    assert git(told.folder, "config", "--local", "user.name") == "Demo"


def test_the_mean_in_the_table_is_that_of_the_runs(told: Told, cli: Cli) -> None:
    listed = json.loads(cli("ls", "--group", "digits", "--json", cwd=told.folder).stdout)
    scores = [run["summary"]["test/accuracy"] for run in listed if run["kind"] == "train"]

    assert f"3  {sum(scores) / 3:.4f} ± " in told.output


def test_a_pipe_gets_no_colours(told: Told) -> None:
    assert "\x1b" not in told.output


def test_every_line_of_its_own_fits_a_terminal(told: Told) -> None:
    own = [line for line in told.output.splitlines() if not line.startswith("  ") and str(told.folder) not in line]

    assert [line for line in own if len(line) > 80] == []


def test_a_lost_row_would_be_found(told: Told) -> None:
    stage = stage_in(told.folder)
    crashed = stage.ask("ls", "--status", "crashed")[0]
    known = stage.ask("show", crashed["id"])

    with pytest.raises(GitreproError, match="every acknowledged row"):
        _Story(stage, python="python")._compare(dict.fromkeys(range(150), ("0.0000", "0.0000")), known)


# -- the checks themselves


def stage_in(folder: Path, *, said: list[tuple[Voice, str]] | None = None, **options: Any) -> Stage:
    lines = [] if said is None else said
    return Stage(
        folder=folder,
        python=sys.executable,
        environ=environment(os.environ, python=sys.executable),
        say=lambda voice, text: lines.append((voice, text)),
        **options,
    )


def test_a_refusal_that_does_not_happen_is_an_error(repo: Path) -> None:
    with pytest.raises(GitreproError, match="went through, and should not have") as error:
        _Story(stage_in(repo), python="python")._refused("seeds")

    assert error.value.exit_code == 1


def test_a_command_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GitreproError, match="ended with 3"):
        stage_in(tmp_path).run("sh", "-c", "exit 3")


def test_an_outcome_that_does_not_come_is_an_error(tmp_path: Path) -> None:
    stage_in(tmp_path).expect(True, "all is well")
    with pytest.raises(GitreproError, match="not so: all is well"):
        stage_in(tmp_path).expect(False, "all is well")


def test_a_command_is_shown_before_what_it_prints(tmp_path: Path) -> None:
    said: list[tuple[Voice, str]] = []
    printed = stage_in(tmp_path, said=said).run("sh", "-c", "echo one; echo two >&2; printf three", lines=2)

    assert printed == "one\ntwo\nthree"
    assert said == [
        (Voice.COMMAND, "sh -c 'echo one; echo two >&2; printf three'"),
        (Voice.OUTPUT, "one"),
        (Voice.OUTPUT, "two"),
        (Voice.OUTPUT, "... and 1 more"),
    ]


def test_a_command_does_not_outlive_a_demo_that_is_interrupted(tmp_path: Path) -> None:
    def say(voice: Voice, text: str) -> None:
        if voice is Voice.OUTPUT:
            raise KeyboardInterrupt

    stage = Stage(folder=tmp_path, python=sys.executable, environ=os.environ, say=say)
    with pytest.raises(KeyboardInterrupt):
        stage.run("sh", "-c", "echo $$ > pid; echo one; sleep 60; echo late > late")

    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
    assert not (tmp_path / "late").exists()


def test_a_command_sees_a_terminal_of_our_size_where_ours_is_one(tmp_path: Path) -> None:
    stage = stage_in(tmp_path, terminal=(31, 77))

    assert stage.run("sh", "-c", "test -t 1 && stty size <&1") == "31 77"
    assert stage.run("printf", "\\033[31mred\\033[0m\\n") == "red"


def test_settings_that_would_take_part_stay_out() -> None:
    given = {"GIT_DIR": "/x", "GITREPRO_RUN": "y", "RANK": "3", "SLURM_JOB_ID": "4", "LANG": "C", "PATH": "/bin"}
    kept = environment(given, python="/opt/python/bin/python3")

    assert {"GIT_DIR", "GITREPRO_RUN", "RANK", "SLURM_JOB_ID"} & kept.keys() == set()
    assert (kept["LANG"], kept["PATH"]) == ("C", f"/opt/python/bin{os.pathsep}/bin")
    assert kept["GIT_CONFIG_GLOBAL"] == os.devnull


def test_a_missing_library_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(UsageError, match="trains with torch,") as error:
        require_parts(path=os.environ["PATH"])
    assert "pip install 'gitrepro[torch,checks]'" in error.value.do


def test_without_git_nothing_is_begun(tmp_path: Path, cli: Cli) -> None:
    done = cli("demo", str(tmp_path / "demo"), cwd=tmp_path, env={"PATH": str(tmp_path)})

    assert (done.returncode, "git is not on PATH" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    done = cli("demo", str(tmp_path), cwd=tmp_path)

    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_path_that_is_a_file_is_refused(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "file").write_text("mine")
    done = cli("demo", str(tmp_path / "file"), cwd=tmp_path)

    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def test_the_spread_is_that_of_a_sample_and_one_run_has_none() -> None:
    lines = _comparison({"network": [0.1, 0.2, 0.3], "baseline": [0.5]})

    assert lines[1].split() == ["network", "3", "0.2000", "±", "0.1000"]
    assert lines[2].split() == ["baseline", "1", "0.5000"]


def test_only_the_wanted_items_of_a_record_are_listed(told: Told) -> None:
    known = stage_in(told.folder).ask("show", "@last")

    assert [line.split()[0] for line in _captured(known, only=("seeds", "cost"))] == ["seeds", "cost"]
    assert len(_captured(known)) == 7
