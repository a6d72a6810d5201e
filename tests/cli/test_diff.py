"""`diff`: what differs is named, what does not is not, and the exit code tells which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitrepro.records.metrics import TableBuilder
from tests.recorded_runs import commit_file, record_run, seeded

SAME = {"metrics": {}, "summary": {}}


def curve(values: list[float], *, name: str = "loss", late: float = 0.0) -> dict[str, bytes]:
    table = TableBuilder()
    for step, value in enumerate(values):
        table.add(seq=step, step=step, time_seconds=step + late, values={name: value})
    return table.files()


def config(**values: object) -> dict[str, object]:
    return {"values": values, "sources": {}, "overridden": {}, "format": 1}


@pytest.fixture
def diff(cli, repo: Path):
    def run(*args: str) -> tuple[int, dict[tuple[str, str], dict]]:
        done = cli("diff", "--json", *args, cwd=repo)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, {
            (each["section"], each["key"]): each for each in json.loads(done.stdout)["differences"]
        }

    return run


def test_two_runs_of_the_same_thing_do_not_differ(repo: Path, cli, diff) -> None:
    one = record_run(repo, files=curve([1.0, float("nan"), 0.25]), **SAME)
    other = record_run(repo, files=curve([1.0, float("nan"), 0.25], late=9.5), duration_seconds=1.0, **SAME)

    assert diff(one, other) == (0, {})
    assert cli("diff", one, other, cwd=repo).stdout == "nothing differs\n"


def test_every_side_of_a_run_is_compared(repo: Path, diff) -> None:
    commit_file(repo, "train.py", "lr = 1\n")
    one = record_run(repo, config=config(lr=0.1, model={"depth": 2}, gone=1), summary={"acc": 0.5}, metrics={})
    commit_file(repo, "train.py", "lr = 2\n")
    commit_file(repo, "model.py", "")
    other = record_run(
        repo,
        config=config(lr=0.2, model={"depth": 2}, new=None),
        files={"env.yaml": b'packages:\n  numpy: "2.0"\n'},
        summary={"acc": 0.75},
        metrics={},
        seeds=seeded(3),
        argv=("python", "train.py", "--lr", "0.2"),
        preprocess={"digest": "b3:00"},
    )

    code, found = diff(one, other)

    assert code == 1
    assert (found["config", "lr"]["left"], found["config", "lr"]["right"]) == (0.1, 0.2)
    assert found["config", "gone"]["right"] is None
    assert ("config", "new") in found  # null here and absent there are two things
    assert ("config", "model.depth") not in found
    assert found["code", "train.py"]["note"] == "changed"
    assert found["code", "model.py"]["note"] == "only in the second"
    assert found["env", "packages.numpy"]["right"] == "2.0"
    assert found["metrics", "acc"]["change"] == 0.25
    assert found["seeds", "requested"]["right"] == 3
    assert found["data", "preprocess"]["right"] == "b3:00"
    assert ("command", "argv") in found


def test_equal_code_is_equal_whatever_commit_holds_it(repo: Path, diff, git) -> None:
    one = record_run(repo, **SAME)
    git(repo, "commit", "--allow-empty", "-m", "nothing")
    other = record_run(repo, **SAME)

    assert diff(one, other) == (0, {})


@pytest.mark.parametrize(
    ("left", "right", "note"),
    [
        ([1.0, 0.5, 0.25], [1.0, 0.5, 0.125], "the curves part at step 2"),
        ([1.0, 0.5], [1.0, 0.5, 0.25], "equal for 2 values, of 2 and 3"),
        ([1.0, float("nan")], [1.0, 0.5], "the curves part at step 1"),
    ],
)
def test_where_two_curves_part_is_said(repo: Path, diff, left, right, note) -> None:
    one, other = (record_run(repo, files=curve(values), metrics={"loss": {}}, summary={}) for values in (left, right))

    code, found = diff(one, other)

    assert (code, found["metrics", "loss"]["note"]) == (1, note)


def test_a_curve_that_is_not_here_is_said_and_no_end_of_it(repo: Path, diff) -> None:
    away = [{"blob": f"b3:{'0' * 64}", "kind": "metrics", "name": "metrics.parquet", "size_bytes": 9}]
    one = record_run(repo, files=curve([1.0]), metrics={"loss": {}}, summary={"loss": 1.0})
    other = record_run(repo, metrics={"loss": {}}, summary={"loss": 1.0}, artifacts=away, name="far")

    code, found = diff(one, other)

    assert code == 1
    assert found["metrics", "loss"]["note"].startswith("the curve of far is not here")


def test_only_the_sections_asked_for_decide(repo: Path, diff, cli) -> None:
    one = record_run(repo, config=config(lr=0.1), **SAME)
    other = record_run(repo, config=config(lr=0.2), **SAME)

    assert diff("--only", "code,metrics", one, other) == (0, {})
    assert diff("--only", "config", one, other)[0] == 1
    wrong = cli("diff", "--only", "colour", one, other, cwd=repo)
    assert wrong.returncode == 2
    assert "there is no section 'colour'" in wrong.stderr


def test_the_code_is_shown_line_by_line_when_asked_and_harmless(repo: Path, cli) -> None:
    commit_file(repo, "train.py", "lr = 1\n")
    one = record_run(repo, **SAME)
    commit_file(repo, "train.py", "lr = 2  # \x1b[31mred\n")
    other = record_run(repo, **SAME)

    shown = cli("diff", "--patch", one, other, cwd=repo)

    assert shown.returncode == 1
    assert "-lr = 1" in shown.stdout
    assert "+lr = 2  # ?[31mred" in shown.stdout


def test_a_run_nobody_knows_is_not_found(repo: Path, cli) -> None:
    one = record_run(repo, **SAME)

    assert cli("diff", one, "nothing-like-it", cwd=repo).returncode == 3
