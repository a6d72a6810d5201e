"""`gitrepro check all` and its parts: real experiments, handed over in a file."""

from __future__ import annotations

import json
import sys

import pytest

from gitrepro.checks.loading import load_task
from gitrepro.checks.trials import Trial, predicting
from gitrepro.rerun.trials import recording

pytest.importorskip("sklearn")

SMALL = """
import sys
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from gitrepro.checks.estimator import from_arrays
print("told on the way")
X, y = (part[50:] for part in load_iris(return_X_y=True))
patients = range(100)
if "--twins" in sys.argv:
    patients = [number % 39 for number in range(100)]
    parts = {"train": list(range(0, 100, 2)), "val": list(range(1, 100, 2))}
else:
    parts = None
task = from_arrays(LogisticRegression(max_iter=300), X, y, groups=list(patients), parts=parts, name="iris")
"""

CRASHES = (
    SMALL
    + """
class Crashes:
    name, kind, metric = task.name, task.kind, task.metric
    data = staticmethod(task.data)
    def predict(self, data, *, seed, share):
        raise RuntimeError("out of luck")
crashes = Crashes()
"""
)

INTERRUPTED = (
    SMALL
    + """
import os, signal
class Interrupted:
    name, kind, metric = task.name, task.kind, task.metric
    data = staticmethod(task.data)
    def predict(self, data, *, seed, share):
        if data.train.labels.tolist() != task.data().train.labels.tolist() and len(data.train) > 40:
            os.kill(os.getpid(), signal.SIGINT)
        return task.predict(data, seed=seed, share=share)
interrupted = Interrupted()
"""
)


@pytest.fixture
def place(repo):
    (repo / "checks.py").write_text(CRASHES)
    return repo


def names(done):
    return {each["name"]: each["verdict"] for each in json.loads(done.stdout)["checks"]}


def test_a_sound_split_passes_and_a_torn_one_fails_with_the_run_that_has_it_on_record(place, cli):
    sound = cli("check", "data", "--json", "checks.py", cwd=place)
    torn = cli("check", "data", "--json", "--html", "found.html", "checks.py", "--", "--twins", cwd=place)

    assert sound.returncode == 0, sound.stderr
    assert names(sound)["separation.groups"] == "PASS"
    assert torn.returncode == 1, torn.stderr
    assert names(torn)["separation.groups"] == "FAIL"
    shown = json.loads(cli("show", "--json", json.loads(torn.stdout)["run"], cwd=place).stdout)
    assert (shown["kind"], shown["summary"]["separation.groups"]) == ("data-check", "FAIL")
    assert shown["config"]["args"] == ["--twins"]
    assert "separation.groups" in cli("show", json.loads(torn.stdout)["run"], cwd=place).stdout.partition("Checked")[2]
    page = (place / "found.html").read_text()
    assert "separation.groups" in page and "<script" not in page and "http" not in page


def test_a_task_that_crashes_ends_with_6_and_what_was_found_is_printed_and_on_record(place, cli):
    done = cli("check", "all", "--json", "checks.py:crashes", cwd=place)
    document = json.loads(done.stdout)

    assert done.returncode == 6, done.stderr
    assert "out of luck" in done.stderr and "in predict" in done.stderr and "Traceback" not in done.stderr
    assert names(done)["separation.groups"] == "PASS"
    assert (document["ok"], document["errors"][0]["code"]) == (False, "task-failed")
    kinds = json.loads(cli("ls", "--json", cwd=place).stdout)
    assert {(run["kind"], run["status"]) for run in kinds} >= {("train", "failed"), ("data-check", "finished")}


def test_control_c_in_the_middle_ends_with_130_and_keeps_what_was_found(repo, cli):
    (repo / "checks.py").write_text(INTERRUPTED)
    done = cli("check", "all", "--json", "checks.py:interrupted", cwd=repo)
    rules = {name.partition(".")[0] for name in names(done)}
    runs = json.loads(cli("ls", "--all", "--json", cwd=repo).stdout)
    kept = json.loads(cli("show", "--json", json.loads(done.stdout)["run"], cwd=repo).stdout)

    assert (done.returncode, "Traceback" in done.stderr) == (130, False), done.stderr
    assert rules == {"separation", "distribution", "overfit", "baseline"}
    assert {name: kept["summary"][name] for name in names(done)} == names(done)
    # The trial under way is on record as what it was, and no run is left open.
    assert [run["status"] for run in runs if run["labels"] == ["labels"]] == ["interrupted"]
    assert {run["status"] for run in runs} == {"finished", "interrupted"}


def test_a_check_prints_a_line_for_each_thing_and_nothing_of_the_tasks_own(place, cli):
    done = cli("check", "shuffle", "--no-record", "checks.py", cwd=place)
    header, *lines = done.stdout.splitlines()

    assert done.returncode == 0, done.stderr
    assert header.split("\t") == ["verdict", "check", "why", "repair"]
    assert [line.split("\t")[1] for line in lines] == ["shuffle.labels", "shuffle.inputs"]
    assert "told on the way" in done.stderr
    assert json.loads(cli("ls", "--json", cwd=place).stdout) == []


def test_the_template_runs_as_it_stands_and_is_never_written_over(repo, cli):
    made = cli("check", "init", cwd=repo)
    done = cli("check", "overfit", "--no-record", "checks.py", cwd=repo)
    again = cli("check", "init", cwd=repo)

    assert (made.returncode, made.stdout) == (0, "checks.py\n")
    assert done.returncode in (0, 1), done.stderr
    assert (again.returncode, "there already" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["all", "nowhere.py"], 3, "there is no file"),
        (["all", "train.py"], 2, "has no task"),
        (["all", "--html", "no/such/place.html", "checks.py"], 2, "no folder"),
        (["baseline", "--baseline", "nobody", "checks.py"], 3, "nobody"),
        (["shuffle", "--full", "--budget", "0.1", "checks.py"], 2, "--full and --budget"),
    ],
)
def test_what_cannot_be_checked_is_told(place, cli, argv, code, says):
    done = cli("check", *argv, cwd=place)

    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr


def test_without_a_repository_nothing_is_run_unless_nothing_is_recorded(tmp_path, cli):
    (tmp_path / "checks.py").write_text("raise SystemExit('it ran')")
    done = cli("check", "data", "checks.py", cwd=tmp_path)

    assert (done.returncode, "it ran" in done.stderr) == (2, False)


def test_the_policy_makes_a_check_stricter(place, cli):
    (place / ".gitrepro.yaml").write_text("version: 1\nthresholds: {baseline.least_examples: 61}\n")
    done = cli("check", "baseline", "--no-record", "--json", "checks.py", cwd=place)
    (line,) = json.loads(done.stdout)["checks"]

    assert (line["verdict"], line["parameters"]["least_examples"]) == ("INCONCLUSIVE", 61), done.stderr


def test_a_policy_that_makes_a_check_laxer_is_refused_before_anything_is_run(place, cli):
    (place / ".gitrepro.yaml").write_text("version: 1\nthresholds: {baseline.least_examples: 3}\n")
    done = cli("check", "baseline", "checks.py:crashes", cwd=place)

    assert (done.returncode, "only makes it stricter" in done.stderr) == (2, True), done.stderr
    assert json.loads(cli("ls", "--json", cwd=place).stdout) == []


def test_a_run_on_record_is_one_more_to_beat(place, cli, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [*sys.path])
    task = load_task("checks.py")
    act = predicting(task, task.data(), seed=0, share=1.0)
    before = recording("before", config={})(Trial(kind="train", arm="task", seed=0, act=act))
    done = cli("check", "baseline", "--json", "--baseline", before.run_id, "checks.py", cwd=place)

    assert done.returncode in (0, 1), done.stderr
    assert set(names(done)) == {"baseline.beaten", "baseline.nominated"}
