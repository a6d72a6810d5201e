"""`gitrepro record --metrics GLOB`: tables and JSON that programs write, as they grow and as they are rewritten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gitrepro.capture.written import Delimited
from gitrepro.run.intake.follow import PIECE_BYTES, FollowedDocument, FollowedTable, Fresh, Tail, follow


def record(cli, repo: Path, code: str, *patterns: str, exit_code: int = 0) -> str:
    (repo / "train.py").write_text(code)
    options = [word for pattern in patterns for word in ("--metrics", pattern)]
    done = cli("record", "--seed", "1", "--no-tensorboard", *options, "--", sys.executable, "train.py", cwd=repo)
    assert done.returncode == exit_code, done.stderr
    return str(done.stderr)


def counts(document: dict) -> dict[str, int]:
    return {name: facts["count"] for name, facts in document["metrics"].items()}


def told(document: dict) -> dict[str, str]:
    return {loss["what"]: loss["why"] for loss in document["losses"]}


LIGHTNING = """
import csv
rows = []
def save():
    names = sorted({name for row in rows for name in row})
    with open("metrics.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows(rows)
for step in range(4):
    rows.append({"step": step, "train_loss": 1 / (step + 1)})
    save()
    if step % 2:
        rows.append({"step": step, "val_loss": 2 / (step + 1), "note": "x"})
        save()
"""


def test_a_table_that_is_rewritten_with_new_columns_gives_each_row_once(cli, repo, shown, rows):
    record(cli, repo, LIGHTNING, "metrics.csv")

    found = shown()
    assert counts(found) == {"train_loss": 4, "val_loss": 2}
    assert [row["_step"] for row in rows() if row["val_loss"] is not None] == [1, 3]
    assert told(found) == {"note of metrics.csv: 2 values": "they are no numbers"}
    assert found["status"] == "finished"


def test_the_same_table_written_by_the_next_run_is_the_next_runs(cli, repo, shown):
    for _ in range(2):
        record(cli, repo, LIGHTNING, "metrics.csv")

        assert counts(shown()) == {"train_loss": 4, "val_loss": 2}


def test_rows_of_an_earlier_run_in_the_same_file_are_not_counted_again(cli, repo, shown):
    code = "with open('log.jsonl', 'a') as file:\n    file.write('{\"step\": %d, \"loss\": 0.5}\\n' * 3)\n"
    for step in (1, 2):
        record(cli, repo, code.replace("%d", str(step)), "log.jsonl")

        assert counts(shown()) == {"loss": 3}
        assert shown()["metrics"]["loss"]["last_step"] == step


def test_a_trainer_state_is_read(cli, repo, shown):
    state = {"log_history": [{"loss": 2.0, "step": 10, "epoch": 0.5}, {"eval_loss": 1.5, "step": 20, "epoch": 1.0}]}
    (repo / "state.json").write_text(json.dumps(state, indent=2))
    code = (
        "import os\nos.makedirs('out/checkpoint-20')\nos.rename('state.json', 'out/checkpoint-20/trainer_state.json')"
    )
    record(cli, repo, code, "out/**/trainer_state.json")

    found = shown()
    assert counts(found) == {"epoch": 2, "eval_loss": 1, "loss": 1}
    assert found["metrics"]["eval_loss"]["last_step"] == 20


def test_several_files_are_told_apart_by_their_names(cli, repo, shown):
    code = "for name in ('a', 'b'):\n    open(f'{name}.csv', 'w').write('step,loss\\n1,2\\n')"
    record(cli, repo, code, "*.csv")

    assert counts(shown()) == {"a/loss": 1, "b/loss": 1}


def test_a_pattern_that_nothing_answers_to_is_on_record_and_the_run_finished(cli, repo, shown):
    said = record(cli, repo, "pass", "never.csv")

    found = shown()
    assert told(found) == {"metrics in never.csv": "nothing was written there"}
    assert found["status"] == "finished"
    assert "1 thing was not kept" in said


def test_what_is_damaged_or_foreign_is_named_and_ends_nothing(cli, repo, shown):
    code = (
        "import os\nos.mkfifo('pipe.csv')\nos.mkdir('folder.csv')\nopen('bad.json', 'w').write('{\"a\":')\n"
        "open('wide.csv', 'w', encoding='utf-16').write('step,loss\\n1,2\\n')\n"
        "open('cut.csv', 'w').write('step,loss\\n1,0.5\\n2,0.25')\nopen('empty.csv', 'w')\n"
        "open('names.jsonl', 'w').write('{\"_x\": 1, \"a\\\\u0007\": 1, \"ok\": 1}\\n')\n"
    )
    record(cli, repo, code, "*.csv", "*.json", "*.jsonl")

    found = told(shown())
    assert "it is no JSON" in found["bad.json"]
    assert "UTF-16" in found["wide.csv"]
    assert found["cut.csv"] == "1 last lines without an end"
    assert found["pipe.csv"] == "it is no plain file"
    assert "folder.csv" not in found
    assert shown()["status"] == "finished"
    assert {"metric _x: 1 values", "metric a\x07: 1 values"} <= found.keys()
    assert counts(shown()) == {"loss": 1, "ok": 1}


def test_ten_thousand_sets_of_names_cost_no_more_than_their_names(cli, repo, shown):
    code = (
        "import json\nwith open('log.jsonl', 'w') as file:\n    for row in range(3000):\n"
        "        file.write(json.dumps({'step': row, f'a{row % 60}': 1, f'b{row % 61}': 2}) + '\\n')\n"
    )
    record(cli, repo, code, "log.jsonl")

    assert sum(counts(shown()).values()) == 6000


def test_a_file_that_was_there_and_is_dirty_by_its_name_is_no_code_when_it_is_named_here(cli, repo, shown, git):
    git(repo, "add", "train.py")
    (repo / "metrics.csv").write_text("step,loss\n0,9\n")
    done = cli("record", "--metrics", "metrics.csv", "--", sys.executable, "train.py", "metrics.csv", cwd=repo)

    assert done.returncode == 0
    assert shown()["code"]["dirty"] is False
    assert shown()["metrics"] == {}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.csv"


def steps(file: FollowedTable | FollowedDocument, *, last: bool = False) -> list[int]:
    return [point.step for points in file.points(last=last) for point in points]


def test_a_growing_table_is_read_on(path):
    file = FollowedTable(Tail(path), Delimited)
    path.write_text("step,loss\n1,0.5\n2,0.")

    assert steps(file) == [1]
    with path.open("a") as more:
        more.write("4\n3,0.3\n")
    assert steps(file) == [2, 3]
    assert steps(file) == []


def test_a_table_seen_half_rewritten_repeats_nothing(path):
    file = FollowedTable(Tail(path), Delimited)
    path.write_text("step,loss\n1,0.5\n2,0.4\n3,0.3\n")
    assert steps(file) == [1, 2, 3]

    path.write_text("loss,new,step\n0.5,,1\n")
    assert steps(file) == []
    path.write_text("loss,new,step\n0.5,,1\n0.4,,2\n0.3,,3\n0.2,7,4\n")
    assert steps(file) == [4]


def test_a_table_that_is_begun_anew_is_new_from_the_first_row_that_differs(path):
    file = FollowedTable(Tail(path), Delimited)
    path.write_text("step,loss\n1,0.5\n2,0.4\n")
    assert steps(file) == [1, 2]

    path.write_text("step,loss\n1,0.9\n2,0.4\n")
    assert steps(file) == [1, 2]


def test_a_table_that_another_takes_the_place_of_is_read_on(path):
    file = FollowedTable(Tail(path), Delimited)
    path.write_text("step,loss\n1,0.5\n")
    assert steps(file) == [1]

    other = path.with_name("other")
    other.write_text("step,loss\n1,0.5\n2,0.4\n")
    other.replace(path)
    assert steps(file) == [2]


def test_a_document_that_is_half_written_is_waited_for(path):
    file = FollowedDocument(path)
    path.write_text('[{"step": 1, "a": 1}')
    assert steps(file) == []

    path.write_text('[{"step": 1, "a": 1}, {"step": 2, "a": 1}]')
    assert steps(file) == [1, 2]
    assert list(file.losses("x")) == []


def test_of_a_large_table_that_was_there_only_what_is_added_is_read(path):
    line = "7,0.123456789,0.123456789\n"
    path.write_text("step,loss,acc\n" + line * (PIECE_BYTES // len(line)))
    file = FollowedTable(Tail(path), Delimited)
    file.pass_over(path.stat().st_size)

    with path.open("a") as more:
        more.write("8,0.5,0.5\n")
    assert steps(file) == [8]


def test_nan_rows_are_known_again():
    from gitrepro.capture.written import Point

    fresh = Fresh()
    assert len(fresh.of([Point(step=1, values={"a": float("nan")})])) == 1
    fresh.again()
    assert fresh.of([Point(step=1, values={"a": float("nan")})]) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"a": 1}\n{"a": 2}\n', "FollowedTable"),
        ('{\n "a": 1\n}\n', "FollowedDocument"),
        ('{"log_history": []}\n', "FollowedDocument"),
        ("[1]", "FollowedDocument"),
        ("step,loss\n", "FollowedTable"),
    ],
)
def test_what_a_file_is_shows_in_its_first_line(path, text, kind):
    path.write_text(text)

    found = follow(path, last=False)
    assert found is not None
    assert type(found[1]).__name__ == kind


def test_a_recorder_that_cannot_write_what_it_takes_in_says_so_and_the_program_ends_well(repo, shown):
    script = (
        "import sys\nfrom gitrepro.run.intake import writer\n"
        "def refuse(*_, **__): raise OSError(28, 'No space left on device')\n"
        "writer.JournalWriter = refuse\nfrom gitrepro.cli.main import main\n"
        "main(['record', '--metrics', 'a.csv', '--', 'sh', '-c', 'printf \"step,loss\\\\n1,2\\\\n\" > a.csv'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=repo, capture_output=True, text=True)

    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    found = shown()
    assert found["status"] == "incomplete"
    assert "No space left" in told(found)["metrics in files"]
