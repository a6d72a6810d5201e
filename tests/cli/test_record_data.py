"""`record --data --split`: found and checked before the program starts, on record, and handed to the program."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.recorded_data import add_data, add_split, digits, write_table
from tests.recorded_runs import commit_file, opened, record_run

PYTHON = sys.executable
OPENS = """
import gitrepro, numpy as np
with gitrepro.record() as run:
    assert run.dataset().version == "v1"
    run.split("train").take(np.arange(100))
"""


def shown(cli: Any, repo: Path, run: str = "@last") -> dict[str, Any]:
    done = cli("show", run, "--json", cwd=repo)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_program_that_knows_nothing_of_gitrepro_has_its_data_on_record(repo: Path, cli: Any) -> None:
    record, split = digits(repo)
    done = cli("record", "--data", "digits@v1", "--split", "default", "--", "true", cwd=repo)

    assert done.returncode == 0
    assert "digits@v1" in done.stderr
    [entry] = shown(cli, repo)["data"]
    assert (entry["digest"], entry["checked"]) == (record.digest, "stat")
    assert [each["digest"] for each in entry["splits"]] == [split.digest]


def test_the_program_inside_finds_what_the_command_named_and_its_reads_join_it(repo: Path, cli: Any) -> None:
    digits(repo)
    add_data(repo, write_table(repo.parent / "newer.npz", seed=1))
    done = cli("record", "--data", "digits@v1", "--split", "default", "--", PYTHON, "-c", OPENS, cwd=repo)

    assert done.returncode == 0, done.stderr
    [entry] = shown(cli, repo)["data"]
    [split] = entry["splits"]
    assert split["reads"] == {"train": split["parts"]["train"]}


def test_the_words_of_the_command_stand_over_those_of_the_program(repo: Path, cli: Any) -> None:
    digits(repo)
    add_data(repo, write_table(repo.parent / "newer.npz", seed=1))
    program = "import gitrepro; assert gitrepro.record(dataset='digits@v2').dataset().version == 'v1'"
    done = cli("record", "--data", "digits@v1", "--", PYTHON, "-c", program, cwd=repo)

    assert done.returncode == 0, done.stderr
    assert [entry["version"] for entry in shown(cli, repo)["data"]] == ["v1"]


def test_a_second_run_of_the_program_has_the_data_on_its_own_record(repo: Path, cli: Any) -> None:
    digits(repo)
    program = "import gitrepro\nfor name in ('first', 'second'): gitrepro.record(name=name).finish()"
    done = cli("record", "--data", "digits", "--", PYTHON, "-c", program, cwd=repo)

    assert done.returncode == 0, done.stderr
    assert [entry["name"] for entry in shown(cli, repo, "second")["data"]] == ["digits"]


def test_the_environment_names_data_as_the_options_do(repo: Path, cli: Any) -> None:
    digits(repo)
    env = {"GITREPRO_DATA": "digits", "GITREPRO_SPLIT": "default"}

    assert cli("record", "--", "true", cwd=repo, env=env).returncode == 0
    assert shown(cli, repo)["split"]["name"] == "default"


def test_several_data_sets_have_each_its_own_split(repo: Path, cli: Any) -> None:
    digits(repo)
    add_data(repo, write_table(repo.parent / "words.npz", seed=3), "words")
    add_split(repo, "words", "halves")
    options = ("--data", "digits", "--data", "words", "--split", "default", "--split", "words/halves")

    assert cli("record", *options, "--", "true", cwd=repo).returncode == 0
    found = {entry["name"]: [split["name"] for split in entry["splits"]] for entry in shown(cli, repo)["data"]}
    assert found == {"digits": ["default"], "words": ["halves"]}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--data", "nosuch"), 3),
        (("--data", "digits@v9"), 3),
        (("--data", "digits", "--split", "nosuch"), 3),
        (("--split", "default"), 2),
        (("--data", "no such"), 2),
        (("--data", "digits", "--split", "other/default"), 2),
        (("--data", "digits", "--no-repo"), 2),
    ],
    ids=str,
)
def test_data_that_is_not_there_is_said_before_anything_runs(
    repo: Path, cli: Any, options: tuple[str, ...], code: int
) -> None:
    digits(repo)
    done = cli("record", *options, "--", "touch", "ran", cwd=repo)

    assert done.returncode == code, done.stderr
    assert not (repo / "ran").exists()
    assert cli("ls", cwd=repo).stdout.count("\n") <= 1


def test_linked_data_that_changed_is_damage_before_anything_runs(repo: Path, cli: Any) -> None:
    path = write_table(repo.parent / "linked.npz")
    add_data(repo, path, link=True)
    path.write_bytes(b"other")
    done = cli("record", "--data", "digits", "--", "touch", "ran", cwd=repo)

    assert done.returncode == 4, done.stderr
    assert not (repo / "ran").exists()


def test_with_recording_off_the_program_gets_its_data_all_the_same(repo: Path, cli: Any) -> None:
    digits(repo)
    options = ("--data", "digits@v1", "--split", "default")
    done = cli("record", *options, "--", PYTHON, "-c", OPENS, cwd=repo, env={"GITREPRO_MODE": "disabled"})

    assert done.returncode == 0, done.stderr


def test_a_repeat_names_the_same_data(repo: Path, cli: Any) -> None:
    digits(repo)
    commit_file(repo, "train.py", OPENS)
    options = ("--data", "digits@v1", "--split", "default", "--seed", "1")
    assert cli("record", *options, "--", PYTHON, "train.py", cwd=repo).returncode == 0
    add_data(repo, write_table(repo.parent / "newer.npz", seed=1))
    done = cli("repeat", "@last", "--seeds", "5", "--yes", cwd=repo)

    assert done.returncode == 0, done.stderr
    assert "digits@" in done.stderr
    [again] = shown(cli, repo)["data"]
    assert again["version"] == "v1"
    assert again["splits"][0]["reads"] == {"train": again["splits"][0]["parts"]["train"]}


def test_a_checkout_says_how_to_get_the_data(repo: Path, cli: Any, tmp_path: Path) -> None:
    record, _ = digits(repo)
    cli("record", "--data", "digits", "--", "true", cwd=repo)
    done = cli("checkout", "@last", str(tmp_path / "again"), cwd=repo)

    assert f"gitrepro data get digits@{record.digest}" in done.stderr


def test_a_checkout_of_a_run_with_strange_names_says_nothing_strange(repo: Path, cli: Any, tmp_path: Path) -> None:
    run_id = record_run(repo, data=({"name": "x'; rm -rf /\x1b", "digest": "y", "version": None},))
    assert opened(repo)
    done = cli("checkout", run_id, str(tmp_path / "again"), cwd=repo)

    assert "\x1b" not in done.stderr
    assert "`gitrepro data get 'x'\"'\"'; rm -rf /?@y' FOLDER`" in done.stderr
