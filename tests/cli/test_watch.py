"""`gitrepro watch`: beside real recordings, on a terminal and in a pipe."""

from __future__ import annotations

import json
import math
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitrepro.cli.watch import sparkline
from gitrepro.store.live import live_runs
from gitrepro.store.repository import find

SEEN = {"schema", "id", "name", "status", "elapsed_seconds", "step", "steps_per_second", "metrics", "output"}

# Logs until a file says that it may end.
PROGRAM = """
import os, time
import gitrepro
run = gitrepro.record()
step = 0
while not os.path.exists("enough"):
    run.log({"train/loss": 1 / (step + 1), "val/acc": step / 10}, step=step)
    print("epoch", step, "\\x1b[31m", flush=True)
    step += 1
    time.sleep(0.05)
"""


@pytest.fixture
def under_way(repo: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that logs until `enough` is there."""
    (repo / "train.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "gitrepro", "record", "--name", "watched", "--", sys.executable, "train.py"]
    recorder = subprocess.Popen(command, cwd=repo, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    _wait_for(lambda: _output(repo) > 0)
    yield recorder
    (repo / "enough").touch()
    recorder.wait()


def _output(repo: Path) -> int:
    return sum(path.stat().st_size for path in (repo / ".git" / "gitrepro" / "live").glob("*/output.log"))


def _wait_for(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come about within a minute")


def watching(repo: Path, *args: str, **streams) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "gitrepro", "watch", *args], cwd=repo, text=True, **streams)


def test_json_lines_follow_a_run_to_its_end(repo, under_way):
    watch = watching(repo, "--json", stdout=subprocess.PIPE)
    first = json.loads(watch.stdout.readline())
    second = json.loads(watch.stdout.readline())
    (repo / "enough").touch()
    last = json.loads(watch.stdout.read().splitlines()[-1])

    assert watch.wait() == 0
    assert first.keys() == SEEN
    assert (first["name"], first["status"]) == ("watched", "running")
    assert second["step"] > first["step"]
    assert second["metrics"]["val/acc"] == second["step"] / 10
    assert second["steps_per_second"] > 0
    assert re.fullmatch(r"epoch \d+ \x1b\[31m", second["output"])
    assert (last["status"], last["id"]) == ("finished", first["id"])
    assert last["metrics"]["train/loss"] == 1 / (last["step"] + 1)


def test_once_shows_how_things_stand_and_writes_nothing(cli, repo, under_way):
    folder = live_runs(find(repo, os.environ).home)[0].folder
    names = sorted(path.name for path in folder.iterdir())
    done = cli("watch", "watched", "--once", cwd=repo)

    header, row = done.stdout.splitlines()
    cells = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    assert done.returncode == 0
    assert (cells["name"], cells["status"]) == ("watched", "running")
    assert "train/loss=" in cells["metrics"]
    assert "\x1b" not in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == names


def test_ctrl_c_ends_the_watching_and_not_the_run(repo, under_way):
    watch = watching(repo, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    watch.stdout.readline()
    watch.send_signal(signal.SIGINT)

    _, said = watch.communicate()
    assert (watch.returncode, said) == (130, "")
    assert under_way.poll() is None


def test_on_a_terminal_the_block_is_drawn_anew_in_its_place(repo, under_way):
    master, end = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "60", "LINES": "20"}
    watch = watching(repo, stdin=end, stdout=end, stderr=end, env=env)
    os.close(end)
    seen = b""
    while seen.count(b"running") < 2:
        seen += os.read(master, 65536)
    (repo / "enough").touch()
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        seen += data
    os.close(master)

    text = seen.decode().replace("\r\n", "\n")
    assert watch.wait() == 0
    assert re.search(r"\x1b\[4A\x1b\[J", text)
    assert "finished" in text.rpartition("\x1b[J")[2]
    assert re.search(r"val/acc +[\d.]+ +[▁▂▃▄▅▆▇█]+", text)
    assert re.search(r"\| epoch \d+ \?\[31m", text)
    assert all(len(re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", line)) < 60 for line in text.splitlines())


def test_what_a_program_writes_to_tensorboard_is_seen_while_it_runs(repo):
    (repo / "train.py").write_text(
        "import os, time\nfrom tensorboardX import SummaryWriter\nwriter = SummaryWriter('runs/x')\nstep = 0\n"
        "while not os.path.exists('enough'):\n    writer.add_scalar('loss', 0.5, step)\n    writer.flush()\n"
        "    step += 1\n    time.sleep(0.1)\n"
    )
    command = [sys.executable, "-m", "gitrepro", "record", "--", sys.executable, "train.py"]
    recorder = subprocess.Popen(command, cwd=repo, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_for(lambda: live_runs(find(repo, os.environ).home))
    watch = watching(repo, "--json", stdout=subprocess.PIPE)
    seen = next(found for line in watch.stdout if (found := json.loads(line))["metrics"])
    (repo / "enough").touch()
    last = json.loads(watch.stdout.read().splitlines()[-1])

    assert (recorder.wait(), watch.wait()) == (0, 0)
    assert seen["metrics"] == last["metrics"] == {"loss": 0.5}
    assert (seen["status"], last["status"]) == ("running", "finished")


def test_a_run_that_has_ended_is_told_at_once(cli, repo):
    cli("record", "--name", "over", "--", "false", cwd=repo)
    done = cli("watch", "over", "--json", cwd=repo)

    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "failed"


def test_without_a_run_under_way_it_says_so(cli, repo):
    done = cli("watch", cwd=repo)

    assert (done.returncode, done.stdout) == (3, "")
    assert "no run is under way here" in done.stderr
    assert cli("watch", "nonsense", cwd=repo).returncode == 3


def test_a_run_that_died_without_a_word_is_told(cli, repo):
    command = [sys.executable, "-m", "gitrepro", "record", "--name", "dies", "--", "sleep", "100"]
    recorder = subprocess.Popen(command, cwd=repo, stderr=subprocess.DEVNULL, start_new_session=True)
    _wait_for(lambda: live_runs(find(repo, os.environ).home))
    watch = watching(repo, "--json", stdout=subprocess.PIPE)
    assert json.loads(watch.stdout.readline())["status"] == "running"
    os.killpg(recorder.pid, signal.SIGKILL)
    recorder.wait()

    assert json.loads(watch.stdout.read().splitlines()[-1])["status"] == "died"
    assert watch.wait() == 0


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([1.0, 1.0], "▁▁"),
        ([0.0, 1.0], "▁█"),
        ([0.0, math.nan, 1.0], "▁·█"),
        ([math.inf], "·"),
        ([-1e308, 1e308], "▁▁"),
    ],
)
def test_a_curve_is_drawn_from_its_lowest_to_its_highest(values, drawn):
    assert sparkline(values) == drawn


def test_a_long_curve_fits_its_width():
    assert len(sparkline([float(number) for number in range(1000)])) <= 24
