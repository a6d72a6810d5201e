"""`ls`, `show`, `label`, `note`: shapes that programs rely on, and what people see."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from gitrepro.records import ids
from gitrepro.records.run import RunRecord, run_path
from gitrepro.store import repository as repositories
from gitrepro.store.fold import Identity, Pending, enqueue, fold

LISTED = {
    "schema", "id", "name", "kind", "status", "started_at", "duration_seconds", "actor", "group", "labels", "config",
    "summary", "seeds", "code", "data", "split",
}  # fmt: skip
SHOWN = LISTED | {
    "recorded", "ended_at", "reason", "argv", "host", "config_sources", "metrics", "cost", "env",
    "checkpoints", "artifacts", "losses", "journal", "notes", "events", "parents", "resumes", "lineage", "attempts",
    "ranks", "adopted", "cells", "config_never_read", "preprocess", "watched", "fitted",
    "streams", "determinism", "stopping", "curves", "efficiency", "trace", "batch", "precision",
    "evaluations",
}  # fmt: skip


def in_terminal(*args: str, cwd: Path, columns: int = 80, env: dict[str, str] | None = None) -> str:
    """What a person sees of `gitrepro ARGS` on a terminal of that width."""
    master, end = pty.openpty()
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), **(env or {})}
    command = [sys.executable, "-m", "gitrepro", *args]
    child = subprocess.Popen(command, cwd=cwd, env=variables, stdin=end, stdout=end, stderr=subprocess.DEVNULL)
    os.close(end)
    seen = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        seen += data
    os.close(master)
    assert child.wait() == 0
    return seen.decode().replace("\r\n", "\n")


def plain(text: str) -> str:
    import re

    return re.sub(r"\x1b\[\d*m", "", text)


def add_record(repo: Path, data: bytes | None = None, *, run_id: str | None = None, **fields) -> str:
    """Put a record on the ref as another program could: `data` as it stands, or one with odd fields."""
    found = repositories.find(repo, os.environ)
    run_id = run_id or ids.new_id()
    known = {"id": run_id, "name": "odd", "kind": "train", "status": "finished", "started_at": "2026-01-02T03:04:05Z"}
    if data is None:
        data = RunRecord(**{**known, **fields}).dump()
    files = {f"{run_path(run_id)}/run.yaml": data.decode()}
    enqueue(found, Pending(kind="event", subject=run_id, line="odd", files=files))
    fold(found, identity=Identity(name="Eve", email="eve@example.org"))
    return run_id


@pytest.fixture
def two_runs(repo: Path, cli) -> Path:
    (repo / "train.py").write_text(
        "import gitrepro, sys\nwith gitrepro.record(config={'lr': float(sys.argv[1])}) as run:\n"
        "    for step in range(5): run.log({'train/loss': 1 / (step + 1), 'val/acc': step / 5}, step=step)\n"
    )
    for lr in ("0.1", "0.2"):
        assert (
            cli("record", "--seed", "7", "--group", "g", "--", sys.executable, "train.py", lr, cwd=repo).returncode == 0
        )
    return repo


def test_ls_as_json_has_the_promised_keys(two_runs, cli):
    runs = json.loads(cli("ls", "--json", cwd=two_runs).stdout)

    assert [run["config"]["lr"] for run in runs] == [0.2, 0.1]
    assert all(set(run) == LISTED for run in runs)
    assert set(runs[0]["code"]) == {"commit", "dirty"}
    assert runs[0]["summary"] == {"train/loss": 0.2, "val/acc": 0.8}


def test_show_as_json_has_the_promised_keys(two_runs, cli):
    assert set(json.loads(cli("show", "--json", cwd=two_runs).stdout)) == SHOWN


THOROUGH = """
import sys; sys.path.insert(0, "../beside")
import gitrepro, sklearn.linear_model, shared, _version
def scaled(x): return 2 * x
with gitrepro.record(config={"lr": 0.1, "unused": 1}, preprocess=scaled) as run:
    run.watch(sklearn.linear_model.Ridge(alpha=0.5))
    run.log({"loss": run.config.lr})
    open("out.csv", "w").write("a,b")
    sys.exit(3)
"""


def test_show_tells_all_that_is_on_record(repo, cli):
    files = {"train.py": THOROUGH, "_version.py": "", ".gitignore": "_version.py\n*.csv\n", "../beside/shared.py": ""}
    for name, text in files.items():
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text(text)
    for _ in range(2):
        assert (
            cli("record", "--resume", "auto", "--out", "*.csv", "--", sys.executable, "train.py", cwd=repo).returncode
            == 3
        )
    page = in_terminal("show", cwd=repo)
    shown = json.loads(cli("show", "--json", cwd=repo).stdout)
    first, second = shown["attempts"]

    assert (shown["id"], shown["resumes"], shown["lineage"]) == (second, first, first)
    assert shown["config_never_read"] == ["unused"]
    for row in (
        f"attempts  {first[-8:]}  failed",
        f"{second[-8:]}  failed",
        "takes in  outputs *.csv",
        "ignored   _version.py  Git ignores it; kept beside the commit",
        "outside   ../beside/shared.py  imported from beside the work tree",
        "unused  1  (code, never read)",
        f"digest  {shown['preprocess']['digest']}",
        "data    __main__.scaled  (local)",
        "model  Ridge",
        "a file of the program, taken in",
    ):
        assert row in plain(page)
    assert max(map(len, plain(page).splitlines())) <= 80


def test_the_events_of_a_run_are_in_its_json(two_runs, cli):
    cli("label", "@last", "baseline", cwd=two_runs)
    (event,) = json.loads(cli("show", "--json", cwd=two_runs).stdout)["events"]

    assert (event["op"], event["value"], event["actor"]["name"]) == ("label", "baseline", "Ada Lovelace")


def test_names_longer_than_a_terminal_and_wide_characters_fit_it(repo, cli):
    long = "a/metric/" + "name/" * 20
    code = f"import gitrepro\nwith gitrepro.record() as run: run.log({{{long!r}: 1.0, 'x': 2.0}})"
    wide = "実験データ" * 20
    cli("record", "--set", f"データ={wide}", "--note", wide, "--", sys.executable, "-c", code, cwd=repo)
    for command in ("ls", "show"):
        lines = plain(in_terminal(command, cwd=repo)).splitlines()

        assert max(len(line) + sum(map("実験データ".count, line)) for line in lines) <= 80


def test_a_run_under_way_is_listed_and_shown(repo, cli):
    code = (
        "import gitrepro\nwith gitrepro.record(name='alive') as run:\n"
        "    run.log({'a': 1.0})\n    print('ready', flush=True)\n    input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child.stdout.readline()
    (listed,) = json.loads(cli("ls", "--json", cwd=repo).stdout)
    known = json.loads(cli("show", "alive", "--json", cwd=repo).stdout)
    recovered = cli("recover", cwd=repo)
    child.communicate("\n")

    assert (listed["status"], known["status"], known["recorded"]) == ("running", "running", False)
    assert set(listed) == LISTED
    assert "still running" in recovered.stderr


def test_the_output_of_a_run_under_way_can_be_seen(repo, cli):
    code = "echo so far; read line"
    child = subprocess.Popen(
        [sys.executable, "-m", "gitrepro", "record", "--name", "alive", "--", "sh", "-c", code],
        cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    child.stdout.readline()
    seen = cli("show", "alive", "--output", cwd=repo).stdout
    child.communicate("\n")

    assert seen == "so far\n"


def test_a_pipe_gets_tabs_and_no_colour(two_runs, cli):
    header, *rows = [line.split("\t") for line in cli("ls", cwd=two_runs).stdout.splitlines()]

    assert header[:4] == ["id", "name", "kind", "status"]
    assert header[-2:] == ["val/acc", "train/loss"]
    assert [row[header.index("seed")] for row in rows] == ["7", "7"]
    assert all(len(row) == len(header) for row in rows)
    assert "\x1b" not in cli("show", cwd=two_runs).stdout


def test_a_pipe_gets_long_values_whole(repo, cli):
    cli("record", "--set", f"text={'word ' * 500}", "--", "true", cwd=repo)

    assert "word " * 499 in cli("show", cwd=repo).stdout


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", ["ls", "show"])
def test_a_terminal_gets_lines_that_fit(two_runs, cli, command, columns):
    long = "a-rather-long-name-of-a-run-that-somebody-gave"
    cli("record", "--name", long, "--note", "word " * 100, "--label", "baseline", "--", "true", cwd=two_runs)
    seen = in_terminal(command, cwd=two_runs, columns=columns)

    assert "\x1b[32mfinished" in seen
    assert max(map(len, plain(seen).splitlines())) <= columns


def test_no_colour_where_it_is_not_wanted(two_runs):
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in in_terminal("ls", cwd=two_runs, env=env)
        assert "\x1b" not in in_terminal("show", cwd=two_runs, env=env)


EVIL = "\x1b]0;owned\x07\x1b[31mred\u202egnp\r\n\x9b2J"


def test_no_control_character_of_a_record_reaches_the_terminal(repo, cli, git):
    add_record(
        repo,
        name=EVIL, kind=EVIL, status=EVIL, started_at=EVIL, group=EVIL, labels=(EVIL,), note=EVIL,
        argv=(EVIL,), reason={"message": EVIL}, summary={EVIL: EVIL, f"{EVIL}2": 1.0},
        host={"hostname": EVIL, "cwd": EVIL},
        actor={"name": EVIL, "email": EVIL}, seeds={"requested": EVIL, "source": EVIL},
        losses=({"what": EVIL, "why": EVIL},),
        code={"commit": EVIL, "branch": EVIL, "dirty": True, "changes": [EVIL], "snapshot": EVIL},
        artifacts=({"name": EVIL, "blob": EVIL, "size_bytes": 3},),
        metrics={EVIL: {"last": 1.0, "count": 1, "goal": EVIL}},
    )  # fmt: skip

    for text in (
        in_terminal("ls", cwd=repo, columns=300), in_terminal("show", cwd=repo, columns=300),
        cli("ls", cwd=repo).stdout, cli("show", cwd=repo).stdout, cli("show", "nope", cwd=repo).stderr,
    ):  # fmt: skip
        assert set(plain(text)) & set("\x1b\x07\x9b\r\u202e") == set(), text


def test_output_is_shown_without_its_control_characters(repo, cli):
    cli("record", "--", "printf", r"\033]0;owned\007 text\n", cwd=repo)

    assert cli("show", "--output", cwd=repo).stdout == "?]0;owned? text\n"


@pytest.mark.parametrize(
    "fields",
    [
        {"duration_seconds": "long"},
        {"summary": {"a": [1, {"b": None}]}},
        {"seeds": {"effective": {"python": [1, 2]}, "processes": ["x", {"python": 3}]}},
        {"seeds": {"effective": None}},
        {"metrics": {"a": 3}},
        {"cost": {"cpu_user_seconds": "much"}},
        {"artifacts": ("x", {"kind": "output"})},
        {"losses": ("x", {})},
        {"labels": (3, None)},
        {"argv": (3, None)},
        {"reason": {}},
        {"code": {"commit": 3, "dirty": True, "changes": 3, "left_out": [3]}},
        {"actor": {"name": None}, "host": {"hostname": 3}},
        {"group": 3, "note": 4, "parents": (5,)},
        {"started_at": ""},
    ],
    ids=str,
)
def test_a_record_of_odd_shape_is_shown_or_called_damaged(repo, cli, fields):
    cli("record", "--name", "good", "--", "true", cwd=repo)
    run_id = add_record(repo, **fields)

    listed = cli("ls", cwd=repo)
    assert listed.returncode == 0
    assert "good" in listed.stdout
    shown = cli("show", run_id, cwd=repo)
    assert shown.returncode in (0, 4), shown.stderr
    assert "gitrepro itself failed" not in listed.stderr + shown.stderr
    assert cli("ls", "--json", cwd=repo).returncode == 0
    assert cli("show", run_id, "--json", cwd=repo).returncode in (0, 4)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe", b"- 1\n", b"format: 1\n", b'id: "x"\nformat: 99\n', b"a: " * 5000, b"[" * 100_000]
)
def test_a_damaged_record_is_named_and_the_others_are_listed(repo, cli, data):
    cli("record", "--name", "good", "--", "true", cwd=repo)
    found = repositories.find(repo, os.environ)
    run_id = ids.new_id()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        pytest.skip("this way in takes text only")
    enqueue(found, Pending(kind="event", subject=run_id, line="odd", files={f"{run_path(run_id)}/run.yaml": text}))
    fold(found, identity=Identity(name="Eve", email="eve@example.org"))

    listed = cli("ls", cwd=repo)
    assert listed.returncode == 0
    assert "good" in listed.stdout
    assert f"damaged: {run_path(run_id)}" in listed.stderr
    for command in (["show", run_id], ["show", run_id, "--json"], ["show", run_id, "--metrics"]):
        done = cli(*command, cwd=repo)
        assert done.returncode in (3, 4), done.stderr
        assert "Traceback" not in done.stderr


def test_labels_are_put_on_and_taken_off(two_runs, cli):
    assert cli("label", "@last", "good", "paper", cwd=two_runs).returncode == 0
    assert json.loads(cli("label", "@last", "good", "--remove", "--json", cwd=two_runs).stdout)["labels"] == ["paper"]
    assert [run["labels"] for run in json.loads(cli("ls", "--label", "paper", "--json", cwd=two_runs).stdout)] == [
        ["paper"]
    ]


def test_one_wrong_label_leaves_all_as_they_were(two_runs, cli):
    cli("label", "@last", "good", cwd=two_runs)

    assert cli("label", "@last", "--remove", "good", "bad", cwd=two_runs).returncode == 2
    assert cli("label", "@last", "fine", "a\x1bb", cwd=two_runs).returncode == 2
    assert json.loads(cli("show", "--json", cwd=two_runs).stdout)["labels"] == ["good"]


def test_a_note_of_several_lines_stays_one(two_runs, cli):
    cli("note", "@last", "-", cwd=two_runs, input="first line\nsecond line\n")

    assert "first line\n" in cli("show", cwd=two_runs).stdout
    assert "second line\n" in cli("show", cwd=two_runs).stdout


def test_every_row_can_be_had_unrounded(two_runs, cli):
    lines = cli("show", "--metrics", cwd=two_runs).stdout.splitlines()

    assert lines[0].split("\t") == ["_seq", "_step", "_time_seconds", "train/loss", "val/acc"]
    assert lines[3].split("\t")[3] == repr(1 / 3)


def test_numbers_that_are_not_finite_are_json(repo, cli):
    (repo / "train.py").write_text("import gitrepro\nwith gitrepro.record() as run: run.log({'a': float('nan')})\n")
    cli("record", "--", sys.executable, "train.py", cwd=repo)

    assert json.loads(cli("ls", "--json", cwd=repo).stdout, parse_constant=pytest.fail)[0]["summary"] == {"a": "NaN"}


def test_a_reader_that_has_seen_enough_is_no_error(two_runs):
    done = subprocess.run(
        f"{sys.executable} -m gitrepro show --env | head -n 1", shell=True, cwd=two_runs, capture_output=True, text=True
    )

    assert done.stderr == ""
