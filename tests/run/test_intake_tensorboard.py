"""TensorBoard under `gitrepro record`: the program is not edited, and its scalars are the run's."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from gitrepro.capture.written.crc32c import masked
from gitrepro.run.intake.naming import Source, shown_names
from gitrepro.store import journal_reader

APP = Path(__file__).parent.parent / "programs" / "tensorboard_app" / "train.py"


@pytest.fixture
def app(repo: Path, git) -> Path:
    """The training of tests/programs, committed in the repository."""
    shutil.copy(APP, repo / "train.py")
    git(repo, "commit", "--quiet", "--all", "--message=app")
    return repo


def record(cli, repo: Path, *args: str, options: tuple[str, ...] = ()) -> None:
    done = cli("record", "--seed", "1", *options, "--", sys.executable, *args, cwd=repo)
    assert done.returncode == 0, done.stderr


def losses(document: dict) -> list[str]:
    return [loss["what"] for loss in document["losses"]]


def test_scalars_of_an_unedited_program_are_its_metrics(cli, app, shown, rows):
    record(cli, app, "train.py", "runs/x")

    found = shown()
    assert found["status"] == "finished"
    assert {name: facts["count"] for name, facts in found["metrics"].items()} == {
        "train/loss": 4,
        "train/lr": 4,
        "val/loss": 4,
    }
    assert [row["val/loss"] for row in rows() if row["val/loss"] is not None] == [2.0, 1.0, pytest.approx(2 / 3), 0.5]
    assert [row["_step"] for row in rows() if row["train/loss"] is not None] == [0, 1, 2, 3]
    assert losses(found) == ["TensorBoard histograms: 1"]


def test_the_time_of_a_row_is_that_of_its_event(cli, app, shown):
    import gitrepro

    record(cli, app, "train.py", "runs/x", "3", "0.4")

    table = gitrepro.runs(repo=app)[0].metrics()
    times = [row["_time_seconds"] for row in table.to_pylist() if row["train/loss"] is not None]
    assert all(later - earlier > 0.3 for earlier, later in pairwise(times))
    assert 0 <= times[0] <= times[-1] <= shown()["duration_seconds"]


def test_a_lone_writer_needs_no_prefix_and_one_elsewhere_is_found_too(cli, app, shown, tmp_path):
    elsewhere = tmp_path / "scratch"
    (app / "train.py").write_text(
        "import sys\nfrom torch.utils.tensorboard import SummaryWriter\n"
        "with SummaryWriter(sys.argv[1]) as writer:\n    writer.add_scalar('loss', 0.5, 3)\n"
    )
    record(cli, app, "train.py", str(elsewhere))

    found = shown()
    assert found["metrics"]["loss"]["last"] == 0.5
    assert found["metrics"]["loss"]["last_step"] == 3


def test_no_tensorboard_takes_nothing_in(cli, app, shown):
    record(cli, app, "train.py", "runs/x", options=("--no-tensorboard",))

    found = shown()
    assert found["metrics"] == {}
    assert found["losses"] == []


def test_files_of_earlier_runs_are_not_taken_for_those_of_this_one(cli, app, shown):
    record(cli, app, "train.py", "runs/one")
    record(cli, app, "train.py", "runs/two", "2")

    assert {facts["count"] for facts in shown()["metrics"].values()} == {2}


def test_metrics_that_the_program_logs_itself_stay_apart(cli, app, shown):
    (app / "train.py").write_text(
        "import gitrepro\nfrom tensorboardX import SummaryWriter\nrun = gitrepro.record()\n"
        "with SummaryWriter('runs/x') as writer:\n    writer.add_scalar('loss', 0.5, 0)\n"
        "    run.log({'loss': 7.0})\n"
    )
    record(cli, app, "train.py")

    assert {name: facts["last"] for name, facts in shown()["metrics"].items()} == {"loss": 7.0, "tensorboard/loss": 0.5}


def test_hyperparameters_join_the_config(cli, app, shown):
    (app / "train.py").write_text(
        "from tensorboardX import SummaryWriter\n"
        "with SummaryWriter('runs/x') as writer:\n"
        "    writer.add_hparams({'lr': 0.1, 'layers': 3, 'api_key': 'hunter2'}, {'m': 1.0})\n"
    )
    done = cli("record", "--set", "layers=3", "--", sys.executable, "train.py", cwd=app)
    assert done.returncode == 0

    found = shown()
    assert found["config"]["lr"] == 0.1
    assert {key: found["config_sources"][key] for key in ("lr", "layers")} == {"lr": "tensorboard", "layers": "set"}
    assert type(found["config"]["layers"]) is int
    assert "hunter2" not in str(found)


def test_a_kill_of_the_recorder_leaves_the_scalars_on_record(cli, app, shown, hermetic):
    command = [sys.executable, "-m", "gitrepro", "record", "--", sys.executable, "train.py", "runs/x", "1000", "0.1"]
    recorder = subprocess.Popen(
        command, cwd=app, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait_for(lambda: _rows_in_journals(app) > 5)
    finally:
        os.killpg(recorder.pid, signal.SIGKILL)
        recorder.wait()
    assert cli("recover", cwd=app).returncode == 0

    found = shown()
    assert found["status"] == "crashed"
    assert found["metrics"]["train/loss"]["count"] > 2


def _rows_in_journals(repo: Path) -> int:
    live = (repo / ".git" / "gitrepro" / "live").glob("*")
    return sum(journal.row_count for folder in live for journal in journal_reader.read(folder))


def _wait_for(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come about within a minute")


def test_two_runs_in_one_work_tree_keep_their_files_apart(cli, app):
    import gitrepro

    command = [sys.executable, "-m", "gitrepro", "record", "--", sys.executable, "train.py"]
    quiet = {"cwd": app, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    both = [subprocess.Popen([*command, f"runs/{steps}", str(steps), "0.3"], **quiet) for steps in (5, 9)]
    assert [each.wait() for each in both] == [0, 0]

    counts = [{facts["count"] for facts in run.metadata["metrics"].values()} for run in gitrepro.runs(repo=app)]
    assert sorted(counts, key=str) == [{5}, {9}]


def test_a_damaged_record_is_a_loss_and_the_others_are_kept(cli, app, shown):
    (app / "train.py").write_text(
        "from pathlib import Path\nfrom tensorboardX import SummaryWriter\n"
        "with SummaryWriter('runs/x') as writer:\n"
        "    for step in range(4):\n        writer.add_scalar('loss', step, step)\n"
        "path = next(Path('runs/x').iterdir())\ndata = bytearray(path.read_bytes())\n"
        "data[-20] ^= 1\npath.write_bytes(data)\n"
    )
    record(cli, app, "train.py")

    found = shown()
    assert found["status"] == "incomplete"
    assert found["metrics"]["loss"]["count"] == 3
    assert "1 records" in found["losses"][0]["why"]


def test_a_file_that_is_no_event_file_harms_nobody(cli, app, shown):
    (app / "train.py").write_text(
        "import os, time\nos.makedirs('runs')\nos.mkfifo(f'runs/events.out.tfevents.{int(time.time())}.pipe')\n"
        "open(f'runs/events.out.tfevents.{int(time.time())}.noise', 'wb').write(bytes(range(256)) * 50)\n"
    )
    record(cli, app, "train.py")

    found = shown()
    assert found["metrics"] == {}
    assert found["status"] == "incomplete"


def test_a_step_and_a_time_out_of_bounds_are_kept_within_them(cli, app, shown):
    wall = struct.pack("<d", float("nan"))
    value = b"\n\x04loss" + b"\x15" + struct.pack("<f", 0.5)
    event = (
        b"\x09"
        + wall
        + b"\x10"
        + b"\xff" * 9
        + b"\x01"
        + b"*"
        + bytes([len(value) + 2])
        + b"\n"
        + bytes([len(value)])
        + value
    )
    head = struct.pack("<Q", len(event))
    data = head + struct.pack("<I", masked(head)) + event + struct.pack("<I", masked(event))
    (app / "train.py").write_text(
        "import time\nopen(f'events.out.tfevents.{int(time.time())}.odd', 'wb').write(" + repr(data) + ")\n"
    )
    record(cli, app, "train.py")

    found = shown()
    assert found["metrics"]["loss"]["last"] == 0.5
    assert found["metrics"]["loss"]["last_step"] == -1


def names(sources: Iterator[Source] | list[Source], *journalled: str, own: tuple[str, ...] = ()) -> list[str]:
    return list(shown_names(sources, journalled, own).values())


def test_folders_are_told_apart_from_where_they_part():
    folders = [Source(number=n, kind="tensorboard", place=f"runs/x{end}") for n, end in enumerate(["", "/a", "/b/c"])]

    assert names(folders, "0/loss", "1/loss", "2/loss") == ["loss", "a/loss", "b/c/loss"]
    assert names(folders, "1/loss") == ["loss"]
    assert names(folders, "1/loss", own=("loss", "tensorboard/loss")) == ["tensorboard/tensorboard/loss"]


def test_names_stay_apart_whatever_the_places_are_called():
    odd = [
        Source(number=0, kind="csv", place="a.csv"),
        Source(number=1, kind="csv", place="a.tsv"),
        Source(number=2, kind="csv", place="/elsewhere/a\n.csv"),
        Source(number=3, kind="json", place="_hidden/" + "x" * 400 + ".json"),
        Source(number=4, kind="json", place="b.json"),
    ]
    shown = names(odd, *(f"{number}/loss" for number in range(5)))

    assert len(set(shown)) == 5
    assert all(name.isprintable() and not name.startswith("_") and len(name.encode()) <= 500 for name in shown)
