"""Going on with an earlier run: by name, by `auto`, and when a scheduler starts the job again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

# It dies on its first attempt and ends well on the second.
TRAIN = """
with gitrepro.record(config={"lr": 0.1}, resume=%s) as run:
    run.log({"loss": 1.0}); run.log({"loss": 0.5})
    if run.resumes is None: raise RuntimeError("lost the node")
"""


def steps(repo: Path, run_id: str) -> list[int]:
    import gitrepro

    [run] = [run for run in gitrepro.runs(repo=repo) if run.id == run_id]
    return run.metrics().column("_step").to_pylist()


def test_a_named_run_is_resumed_and_its_steps_are_counted_on(script, runs, repo):
    script("with gitrepro.record(name='base') as run: [run.log({'loss': 1.0}) for _ in range(3)]")
    done = script("with gitrepro.record(resume='base') as run: run.log({'loss': 0.5}); print(run.resumes)")

    second, first = runs()
    assert (done.stdout, done.stderr) == (f"{first['id']}\n", "")
    assert (second["resumes"], second["lineage"]) == (first["id"], first["id"])
    assert (first["resumes"], first["lineage"]) == (None, None)
    assert second["metrics"]["loss"]["first_step"] == 3


def test_an_attempt_at_an_attempt_keeps_the_first_of_the_lineage(script, runs):
    script("with gitrepro.record(name='one'): pass")
    script("with gitrepro.record(name='two', resume='one'): pass")
    script("with gitrepro.record(name='three', resume='two'): pass")

    three, two, one = runs()
    assert (three["resumes"], three["lineage"]) == (two["id"], one["id"])


def test_auto_goes_on_with_the_newest_that_did_not_finish(script, runs):
    for _ in range(3):
        script(TRAIN % "'auto'")

    third, second, first = runs()
    assert [run["status"] for run in (first, second, third)] == ["failed", "finished", "failed"]
    assert second["resumes"] == first["id"]
    assert second["metrics"]["loss"]["first_step"] == 2
    assert third["resumes"] is None


def test_auto_goes_on_with_a_run_that_was_killed_and_not_yet_recovered(script, runs):
    code = """
        import os
        run = gitrepro.record(resume="auto")
        run.log({"loss": 1.0})
        if run.resumes is None: os._exit(1)
    """
    script(code)
    assert runs() == []
    script(code)

    second, first = runs()
    assert (first["status"], second["status"], second["resumes"]) == ("crashed", "finished", first["id"])


@pytest.mark.parametrize("change", ["config", "command", "folder"])
def test_auto_does_not_go_on_with_another_experiment(script, runs, repo, change):
    code = "with gitrepro.record(config={%s}, resume='auto') as run: raise RuntimeError"
    (repo / "below").mkdir()
    script(code % "'lr': 0.1")
    script(
        code % ("'lr': 0.2" if change == "config" else "'lr': 0.1"),
        args=("--x",) if change == "command" else (),
        cwd=repo / "below" if change == "folder" else repo,
    )

    assert [run["resumes"] for run in runs()] == [None, None]


def test_a_run_that_is_not_known_warns_and_the_training_starts(script, runs):
    done = script("with gitrepro.record(resume='nowhere') as run: print('trained', run.resumes)")

    assert (done.returncode, done.stdout) == (0, "trained None\n")
    assert "'nowhere'" in done.stderr
    assert [run["resumes"] for run in runs()] == [None]


@pytest.mark.parametrize("resume", ["3", "''", "b'x'", "True"])
def test_what_is_no_run_at_all_is_refused(script, runs, resume):
    done = script(f"gitrepro.record(resume={resume})")

    assert "UsageError" in done.stderr
    assert runs() == []


# -- on the command line


def test_the_command_resumes_and_the_program_inside_counts_on(cli, repo, script, runs):
    script("with gitrepro.record(name='base') as run: [run.log({'loss': 1.0}) for _ in range(3)]")
    code = (
        "import os, gitrepro\nwith gitrepro.record() as run: run.log({'a': 1}); print(os.environ['GITREPRO_RESUMES'])"
    )
    (repo / "train.py").write_text(code)
    done = cli("record", "--resume", "base", "--", sys.executable, "train.py", cwd=repo)

    second, first = runs()
    assert done.stdout == f"{first['id']}\n"
    assert f"resuming {first['id'][-8:]}" in done.stderr
    assert (second["resumes"], second["metrics"]["a"]["first_step"]) == (first["id"], 3)


def test_the_command_does_not_start_without_the_run_it_is_to_resume(cli, repo, runs):
    done = cli("record", "--resume", "nowhere", "--", "touch", "started", cwd=repo)

    assert done.returncode == 3
    assert "there is no run 'nowhere'" in done.stderr
    assert not (repo / "started").exists()
    assert runs() == []


def test_the_command_finds_what_to_resume_by_itself(cli, repo, runs):
    command = ("record", "--no-seed", "--resume", "auto", "--", "sh", "-c", 'test -n "$GITREPRO_RESUMES"')
    assert [cli(*command, cwd=repo).returncode for _ in range(3)] == [1, 0, 1]

    third, second, first = runs()
    assert (first["resumes"], second["resumes"], third["resumes"]) == (None, first["id"], None)


def test_a_run_that_goes_on_is_not_resumed(script, cli, repo):
    done = script("""
        import subprocess, sys
        with gitrepro.record(name="busy"):
            command = [sys.executable, "-m", "gitrepro", "record", "--resume", "busy", "--", "true"]
            print(subprocess.run(command, capture_output=True, text=True).stderr)
    """)

    assert "still runs" in done.stdout


# -- started again by a scheduler


def test_a_requeued_job_goes_on_with_what_it_had_begun(script, runs):
    code = "with gitrepro.record() as run: run.log({'loss': 1.0}); raise RuntimeError"
    script(code, env={"SLURM_JOB_ID": "7"})
    script(code, env={"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "1"})
    script(code, env={"SLURM_JOB_ID": "8", "SLURM_RESTART_COUNT": "1"})

    other, second, first = runs()
    assert (first["resumes"], second["resumes"], other["resumes"]) == (None, first["id"], None)


def test_the_ranks_of_a_requeued_job_are_one_attempt(script, runs):
    step = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}
    script("with gitrepro.record(): raise RuntimeError", env=step)
    script("with gitrepro.record(): pass", env={**step, "SLURM_RESTART_COUNT": "1"})

    second, first = runs()
    assert (second["resumes"], second["ranks"]["restart"]) == (first["id"], 1)


def test_show_names_what_a_run_resumes(script, cli, repo):
    script("with gitrepro.record(name='one'): pass")
    script("with gitrepro.record(name='two', resume='one'): pass")

    one, two = (json.loads(cli("show", name, "--json", cwd=repo).stdout) for name in ("one", "two"))
    assert (two["resumes"], two["lineage"]) == (one["id"], one["id"])
