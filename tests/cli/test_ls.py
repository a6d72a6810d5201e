"""`ls`, `sql`, `index`: which runs are found, in which order, and how a set of seeds is put in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_looking import in_terminal, plain
from tests.conftest import Cli
from tests.recorded_data import digits
from tests.recorded_runs import record_run, seeded


def config(**values: Any) -> dict[str, Any]:
    return {"values": values, "sources": {}, "overridden": {}, "format": 1}


def put(repo: Path, name: str, at: int, **changes: Any) -> str:
    """Put a run on record that began at minute `at`."""
    return record_run(repo, name=name, started_at=f"2026-01-02T03:{at:02}:00.000000Z", **changes)


def listed(cli: Cli, repo: Path, *args: str) -> list[str]:
    done = cli("ls", "--json", *args, cwd=repo)
    assert done.returncode == 0, done.stderr
    return [run["name"] for run in json.loads(done.stdout)]


def rows(cli: Cli, repo: Path, *args: str) -> list[dict[str, str]]:
    done = cli(*args, cwd=repo)
    assert done.returncode == 0, done.stderr
    header, *lines = [line.split("\t") for line in done.stdout.splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


@pytest.fixture
def study(repo: Path) -> Path:
    for at, (lr, accuracy, group) in enumerate([(0.1, 0.7, "a"), (0.01, 0.9, "a"), (0.001, None, "b")]):
        summary = {} if accuracy is None else {"val/acc": accuracy}
        put(repo, f"run{at}", at, summary=summary, config=config(lr=lr, model={"depth": at}), group=group)
    return repo


def test_a_query_says_which_runs_are_listed(study: Path, cli: Cli) -> None:
    assert listed(cli, study, "val/acc > 0.8 or lr < 0.005") == ["run2", "run1"]
    assert listed(cli, study, "group", "==", "a", "and", "not", "val/acc", "in", "0..0.8") == ["run1"]
    assert listed(cli, study, "val/acc exists", "--group", "a", "--limit", "1") == ["run1"]
    assert cli("ls", "lr > 5", cwd=study).stderr == "no run matches\n"


def test_a_query_that_cannot_be_read_shows_where(study: Path, cli: Cli) -> None:
    done = cli("ls", "val/acc > 0.8 and lrr < 1", cwd=study)

    assert (done.returncode, done.stdout) == (2, "")
    what, shown, caret, why, do = done.stderr.splitlines()
    assert "'lrr'" in what
    assert shown[caret.index("^") :].startswith("lrr")
    assert "lr" in why
    assert do
    error = json.loads(cli("ls", "val/acc >", "--json", cwd=study).stderr)["error"]
    assert error["code"] == "query"


def test_runs_are_sorted_by_any_name_and_what_is_missing_comes_last(study: Path, cli: Cli) -> None:
    assert listed(cli, study, "--sort", "val/acc") == ["run0", "run1", "run2"]
    assert listed(cli, study, "--sort", "-val/acc") == ["run1", "run0", "run2"]
    assert listed(cli, study, "--sort", "config.lr", "--reverse") == ["run0", "run1", "run2"]
    assert listed(cli, study, "--reverse") == ["run0", "run1", "run2"]
    assert listed(cli, study, "--sort", "config.lr", "--limit", "1") == ["run2"]


def test_columns_are_chosen_or_added(study: Path, cli: Cli) -> None:
    assert rows(cli, study, "ls", "--columns", "name,config.lr,'val/acc',host", "val/acc exists") == [
        {"name": "run1", "config.lr": "0.01", "'val/acc'": "0.9", "host": ""},
        {"name": "run0", "config.lr": "0.1", "'val/acc'": "0.7", "host": ""},
    ]
    added = rows(cli, study, "ls", "-c", "+model.depth", "--limit", "1")[0]
    assert (added["name"], added["model.depth"]) == ("run2", "2")
    document = json.loads(cli("ls", "-c", "lr,branch", "--json", "--limit", "1", cwd=study).stdout)[0]
    assert document["columns"] == {"lr": 0.001, "branch": "main"}
    assert cli("ls", "--columns", "nothing", cwd=study).returncode == 2


def test_the_attempts_at_a_run_are_one_row_unless_asked_for(repo: Path, cli: Cli) -> None:
    first = put(repo, "first", 0, status="preempted")
    second = put(repo, "second", 1, resumes=first, lineage=first, status="crashed")
    third = put(repo, "third", 2, resumes=second, lineage=first)
    put(repo, "other", 3)

    assert [(row["name"], row["attempts"]) for row in rows(cli, repo, "ls")] == [("other", ""), ("third", "3")]
    assert listed(cli, repo, "--attempts") == ["other", "third", "second", "first"]
    assert listed(cli, repo, "status == crashed") == []
    assert cli("rm", "--yes", third[-10:], cwd=repo).returncode == 0
    assert [(row["name"], row["attempts"]) for row in rows(cli, repo, "ls")] == [("other", ""), ("second", "2")]
    assert listed(cli, repo, "--removed") == ["third"]


def test_a_run_under_way_is_found_sorted_and_hides_the_attempt_it_goes_on_from(repo: Path, cli: Cli) -> None:
    first = put(repo, "first", 0, config=config(lr=0.5))
    put(repo, "other", 1, config=config(lr=0.1))
    code = (
        "import gitrepro\nwith gitrepro.record(name='alive', config={'lr': 0.3, 'warmup': 7}):\n"
        "    print('ready', flush=True)\n    input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    child.stdout.readline()
    try:
        assert listed(cli, repo, "lr < 0.4") == ["alive", "other"]
        assert listed(cli, repo, "config.warmup == 7 and status == running") == ["alive"]
        assert listed(cli, repo, "--sort", "-lr") == ["first", "alive", "other"]
        assert listed(cli, repo, "--sort", "-lr", "--limit", "2") == ["first", "alive"]
        assert rows(cli, repo, "ls", "-c", "name,warmup", "status == running") == [{"name": "alive", "warmup": "7"}]
    finally:
        child.communicate("\n")
    assert listed(cli, repo, "text warmup") == ["alive"]
    assert first


def test_a_seed_set_is_one_row_and_repeats_of_a_seed_are_one_draw(repo: Path, cli: Cli) -> None:
    same = {"config": config(lr=0.1, seed=0)}
    for at, (seed, accuracy) in enumerate([(0, 0.7), (1, 0.8), (2, 0.9), (1, 0.1)]):
        put(repo, f"run{at}", at, seeds=seeded(seed), summary={"val/acc": accuracy}, config=config(lr=0.1, seed=seed))
    put(repo, "dead", 4, seeds=seeded(9), summary={"val/acc": 0.0}, status="crashed", **same)
    put(repo, "wild", 5, seeds={}, summary={"val/acc": 0.0}, **same)
    put(repo, "else", 6, seeds=seeded(0), summary={"val/acc": 0.5}, config=config(lr=0.2, seed=0))

    other, one = rows(cli, repo, "ls", "--sets")
    assert (other["name"], other["n"], other["val/acc"]) == ("else", "1", "0.5")
    assert (one["name"], one["runs"], one["n"]) == ("wild", "6", "3")
    assert one["seeds"] == "0 1 2, 1 repeated, 1 not finished, 1 unseeded"
    # Of the two runs with seed 1 the newer one counts.
    assert one["val/acc"] == "0.5667 ± 0.42"

    document = json.loads(cli("ls", "--sets", "--json", "config.lr == 0.1", cwd=repo).stdout)
    assert len(document) == 1
    accuracy = document[0]["metrics"]["val/acc"]
    assert [(value["seed"], value["value"]) for value in accuracy["values"]] == [("0", 0.7), ("1", 0.1), ("2", 0.9)]
    assert (accuracy["n"], accuracy["mean"]) == (3, pytest.approx(1.7 / 3, rel=1e-15))
    assert accuracy["std"] == pytest.approx(0.4163331998932265, rel=1e-12)


def test_a_diverged_run_is_not_left_out_of_the_mean(repo: Path, cli: Cli) -> None:
    for seed, loss in enumerate((0.1, float("nan"))):
        put(repo, f"run{seed}", seed, seeds=seeded(seed), summary={"loss": loss})
    (row,) = rows(cli, repo, "ls", "--sets")
    assert (row["n"], row["loss"]) == ("2", "nan")


def test_a_metric_that_not_every_run_has_shows_how_many_have_it(repo: Path, cli: Cli) -> None:
    for seed in range(3):
        put(
            repo,
            f"run{seed}",
            seed,
            seeds=seeded(seed),
            summary={"loss": 0.11227733990306844, **({"acc": 0.5} if seed else {})},
        )
    (row,) = rows(cli, repo, "ls", "--sets")
    assert (row["loss"], row["acc"]) == ("0.1123 ± 0", "0.5 ± 0 (2)")


def test_code_data_and_preprocessing_part_seed_sets_and_the_seed_on_the_command_line_does_not(
    repo: Path, cli: Cli
) -> None:
    for at, changes in enumerate(
        [
            {"argv": ("python", "train.py", "--seed", "1")},
            {"argv": ("/usr/bin/python", "train.py", "--seed=2", "run.seed=2")},
            {"argv": ("python", "train.py", "--seeds-file", "1")},
            {"argv": ("python", "train.py"), "preprocess": {"digest": "b3:00"}},
            {"argv": ("python", "train.py"), "data": ({"name": "digits", "digest": "b3:11", "seconds": 3.0},)},
            {"argv": ("python", "train.py"), "data": ({"name": "digits", "digest": "b3:11", "seconds": 9.0},)},
            {"argv": ("python", "train.py"), "kind": "baseline"},
        ]
    ):
        put(repo, f"run{at}", at, seeds=seeded(at), config=config(), **changes)
    sets = json.loads(cli("ls", "--sets", "--json", cwd=repo).stdout)
    assert [(each["name"], each["n"]) for each in sets] == [
        ("run6", 1), ("run5", 2), ("run3", 1), ("run2", 1), ("run1", 2),
    ]  # fmt: skip


def test_the_lines_of_sets_fit_a_terminal(study: Path) -> None:
    seen = plain(in_terminal("ls", "--sets", cwd=study, columns=60))
    assert max(map(len, seen.splitlines())) <= 60
    assert "run2" in seen


def data_set(name: str, version: str, digit: str, *splits: str) -> dict[str, Any]:
    found = [{"name": split, "version": "v1", "digest": f"b3:{'5' * 64}", "parts": {"train": 3}} for split in splits]
    return {"name": name, "version": version, "digest": f"b3:{digit * 64}", "items": 4, "splits": found}


@pytest.fixture
def trained(repo: Path) -> Path:
    """Runs on no data, on two versions of one set, and on two sets."""
    put(repo, "none", 0)
    put(repo, "old", 1, data=(data_set("digits", "v1", "1", "default"),))
    put(repo, "new", 2, data=(data_set("digits", "v2", "2", "default", "small"),))
    put(repo, "both", 3, data=(data_set("digits", "v2", "2"), data_set("mnist", "v1", "3", "small")))
    return repo


def test_runs_are_found_by_what_they_were_trained_on(trained: Path, cli: Cli) -> None:
    assert listed(cli, trained, "data == digits") == ["both", "new", "old"]
    assert listed(cli, trained, "data == digits@v1") == ["old"]
    assert listed(cli, trained, "data == b3:22 and split == default") == ["new"]
    assert listed(cli, trained, "data ~ mn* and not split == mnist/default") == ["both"]
    assert listed(cli, trained, "data is missing") == ["none"]
    assert listed(cli, trained, "data != mnist and data exists") == ["new", "old"]
    assert cli("ls", "data == null", cwd=trained).returncode == 2


def test_the_data_of_runs_are_a_column_where_there_are_any(trained: Path, cli: Cli) -> None:
    shown = [(row["name"], row["data"]) for row in rows(cli, trained, "ls")]
    assert shown == [("both", "digits@v2 mnist@v1"), ("new", "digits@v2"), ("old", "digits@v1"), ("none", "")]
    assert "data" not in rows(cli, trained, "ls", "data is missing")[0]
    assert rows(cli, trained, "ls", "-c", "name,data,split", "data ~ *v2", "--sort", "split") == [
        {"name": "new", "data": "digits@v2", "split": "default@v1 small@v1"},
        {"name": "both", "data": "digits@v2 mnist@v1", "split": "small@v1"},
    ]
    assert listed(cli, trained, "--sort", "data") == ["old", "new", "both", "none"]


def test_a_narrow_terminal_leaves_the_data_out_and_a_wide_one_has_them(trained: Path) -> None:
    wide, narrow = (plain(in_terminal("ls", cwd=trained, columns=columns)) for columns in (150, 60))
    assert "digits@v2 mnist@v1" in wide and "DATA" in wide
    assert "DATA" not in narrow and "STARTED" in narrow


def test_json_names_data_and_splits_by_content(trained: Path, cli: Cli) -> None:
    done = cli("ls", "--json", "--columns", "data", cwd=trained)
    both, new, _, none = json.loads(done.stdout)
    first, second = both["data"]
    assert first == {"name": "digits", "version": "v2", "digest": f"b3:{'2' * 64}", "splits": []}
    small = {"name": "small", "version": "v1", "digest": f"b3:{'5' * 64}"}
    assert (second["splits"], both["split"]) == ([small], {"dataset": "mnist", **small})
    assert [split["name"] for split in new["data"][0]["splits"]] == ["default", "small"]
    assert (both["columns"], none["columns"]) == ({"data": "digits@v2 mnist@v1"}, {"data": ""})
    assert (none["data"], none["split"]) == ([], None)
    whole = json.loads(cli("show", "both", "--json", cwd=trained).stdout)
    assert whole["split"].items() >= both["split"].items()


def test_a_run_under_way_is_found_by_the_data_that_it_was_started_with(repo: Path, cli: Cli) -> None:
    digits(repo)
    code = "print('ready', flush=True)\ninput()"
    command = ["record", "--name", "alive", "--data", "digits", "--split", "default", "--", sys.executable, "-c", code]
    child = subprocess.Popen(
        [sys.executable, "-m", "gitrepro", *command], cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    child.stdout.readline()
    try:
        assert listed(cli, repo, "data == digits@v1 and split == digits/default and status == running") == ["alive"]
        assert listed(cli, repo, "data is missing or data == mnist") == []
        assert rows(cli, repo, "ls", "-c", "data,split,status") == [
            {"data": "digits@v1", "split": "default@v1", "status": "running"}
        ]
    finally:
        child.communicate("\n")
    assert listed(cli, repo, "data == digits@v1 and status == finished") == ["alive"]


def test_sql_answers_in_tabs_or_json_and_refuses_to_write(study: Path, cli: Cli) -> None:
    question = 'SELECT name, "config.lr", "val/acc" FROM runs WHERE "val/acc" > 0.8 ORDER BY name'
    assert rows(cli, study, "sql", question) == [{"name": "run1", "config.lr": "0.01", "val/acc": "0.9"}]
    assert json.loads(cli("sql", question, "--json", cwd=study).stdout) == [
        {"name": "run1", "config.lr": 0.01, "val/acc": 0.9}
    ]
    assert "config.model.depth" in cli("sql", "--columns", cwd=study).stdout.splitlines()
    for wrong in (["sql", "DELETE FROM main.runs"], ["sql", 'SELECT "config.lrr" FROM runs'], ["sql"]):
        done = cli(*wrong, cwd=study)
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert done.stderr.startswith("error: ")
    assert listed(cli, study) == ["run2", "run1", "run0"]


def test_a_long_question_is_ended_by_ctrl_c(study: Path) -> None:
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 'begun' UNION ALL SELECT max(i) FROM n"
    )
    script = (
        "import os, signal, sys, threading\nfrom gitrepro.cli.main import main\n"
        "from gitrepro.store.index import ask\nviews = ask._views\n"
        "def late(known):\n"
        "    threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n    return views(known)\n"
        f"ask._views = late\nmain(['sql', {endless!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=study, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (130, ""), done.stderr


def test_the_index_is_shown_and_built_anew(study: Path, cli: Cli) -> None:
    before = json.loads(cli("index", "status", "--json", cwd=study).stdout)
    assert (before["runs"], before["keys"], before["damaged"], before["troubles"]) == (3, 3, 0, [])
    Path(before["path"]).write_bytes(b"not a database")
    after = json.loads(cli("index", "rebuild", "--json", cwd=study).stdout)
    assert {name: after[name] for name in ("runs", "keys", "commit")} == {
        name: before[name] for name in ("runs", "keys", "commit")
    }
    assert "runs" in cli("index", "status", cwd=study).stdout
