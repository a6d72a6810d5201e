"""Live folders and runs of every released format are read for ever, and become the very same record."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitrepro.records.event import fold_events, load_event
from gitrepro.records.metrics import read
from gitrepro.records.run import load_run
from gitrepro.run.compose import compose

GOLDEN = Path(__file__).parent.parent / "golden"
V1 = GOLDEN / "v1"
[LIVE] = (V1 / "live").iterdir()
FILES = sorted(path.name for path in (V1 / "run").iterdir())


def test_a_golden_live_folder_becomes_the_golden_run():
    composed = compose(LIVE, blobs=None)

    assert sorted(composed.files) == FILES
    for name in FILES:
        assert composed.files[name] == (V1 / "run" / name).read_bytes(), name


def test_the_golden_run_says_what_was_logged_before_the_kill():
    record = load_run((V1 / "run" / "run.yaml").read_bytes(), source="run.yaml")

    assert record.status == "crashed"
    assert record.journal["torn_bytes"] == 23
    assert record.journal["rows"] == 8
    assert record.summary["val/accuracy"] == 0.75
    table = read({"metrics.parquet": (V1 / "run" / "metrics.parquet").read_bytes()})
    assert [(step, value) for step, _, value in table.series("n")] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert [(step, value) for step, _, value in table.series("grad")] == [(3, 2.5)]


def test_a_golden_event_is_read_and_written_again_to_the_same_bytes():
    data = (V1 / "event.yaml").read_bytes()
    event = load_event(data, source="event.yaml")

    assert event.dump() == data
    assert fold_events([event]).labels == ("candidate é",)


def test_the_golden_files_are_what_their_script_writes(tmp_path):
    subprocess.run([sys.executable, GOLDEN / "make_run.py", tmp_path], check=True)

    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {name: (V1 / name).read_bytes() for name in made}
    assert len(made) == len(FILES) + 5


@pytest.mark.parametrize("name", ["config.yaml", "env.yaml", "start.yaml", "journal.rank-0.4242.0"])
def test_a_change_of_any_file_changes_the_digest_of_the_run(tmp_path, name):
    folder = tmp_path / LIVE.name
    shutil.copytree(LIVE, folder)
    before = compose(folder, blobs=None).record.journal["digest"]
    path = folder / name
    path.write_bytes(
        path.read_bytes().replace(b"0.1", b"0.2", 1) if name.endswith("yaml") else path.read_bytes() + b"\0"
    )
    if path.read_bytes() == (LIVE / name).read_bytes():
        path.write_bytes(path.read_bytes().replace(b"Linux", b"Other").replace(b"Ada", b"Eve"))

    assert compose(folder, blobs=None).record.journal["digest"] != before
