"""One run, several ranks: torchrun, srun, mpirun, or a script that sets RANK and WORLD_SIZE itself."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gitrepro.run.launchkey import launch_of
from gitrepro.run.outcome import culprit

PROGRAMS = Path(__file__).parent.parent / "programs" / "torchrun_ddp"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
STEP = {"SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2"}


@pytest.fixture
def torchrun(repo: Path, git: Any) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program of `tests/programs/torchrun_ddp` on two ranks."""
    for program in PROGRAMS.glob("*.py"):
        shutil.copy(program, repo)
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "programs")

    def run(*words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        command = [*before, *TORCHRUN, "--master-port", str(_free_port()), *words]
        return subprocess.run(
            command, cwd=repo, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=180
        )

    return run


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Ranks:
    """Processes of one program, each with the environment that a launcher would give it."""

    def __init__(self, repo: Path) -> None:
        self._repo = repo
        self._script = repo.parent / "rank.py"

    def start(
        self, code: str, *environments: Mapping[str, str], before: tuple[str, ...] = (), cwd: Path | None = None
    ) -> list[subprocess.Popen[str]]:
        self._script.write_text("import gitrepro, os, signal, sys, time\n" + textwrap.dedent(code))
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return [
            subprocess.Popen(
                [*before, sys.executable, str(self._script)],
                cwd=cwd or self._repo,
                env={**os.environ, **environment},
                text=True,
                **pipes,
            )
            for environment in environments
        ]

    def run(self, code: str, *environments: Mapping[str, str], **more: Any) -> list[tuple[int, str, str]]:
        return [ended(child) for child in self.start(code, *environments, **more)]


@pytest.fixture
def ranks(repo: Path) -> Ranks:
    return Ranks(repo)


def ended(child: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = child.communicate("go\n", timeout=120)
    return child.returncode, out, err


def slurm(rank: int, **more: str) -> dict[str, str]:
    return {**STEP, "SLURM_PROCID": str(rank), **more}


# Each rank is there before any of them goes on, as a barrier would have it.
TOGETHER = """
    run = gitrepro.record(config={"lr": 0.1})
    print(run.id, flush=True)
    sys.stdin.readline()
    rank = int(os.environ.get("SLURM_PROCID", os.environ.get("RANK", "0")))
    for step in range(3): run.log({"loss": rank + step / 10}, step=step)
    run.finish()
"""


def together(children: list[subprocess.Popen[str]]) -> tuple[list[str], list[tuple[int, str, str]]]:
    """The ids that the ranks say once all of them have begun, and how they ended."""
    ids = [child.stdout.readline().strip() for child in children if child.stdout]
    return ids, [ended(child) for child in children]


def series(repo: Path, rank: int) -> list[float]:
    import gitrepro

    return gitrepro.runs(repo=repo)[0].metrics(rank=rank).column("loss").to_pylist()


# -- torchrun


def test_the_ranks_of_torchrun_are_one_run_with_a_table_each(torchrun, runs, repo):
    done = torchrun("train_recorded.py")

    assert done.returncode == 0, done.stderr
    [run] = runs()
    assert (run["status"], run["losses"]) == ("finished", ())
    assert {name: run["ranks"][name] for name in ("launcher", "seen", "silent", "world_size")} == {
        "launcher": "torchrun",
        "seen": [0, 1],
        "silent": [],
        "world_size": 2,
    }
    assert series(repo, 0) == series(repo, 1) == [1.0, 1 / 2, 1 / 3]
    assert run["metrics"]["sum"]["last"] == 1.0
    assert [process["python"]["effective"] for process in run["seeds"]["processes"]] == [0, 1]


def test_a_rank_that_is_killed_fails_the_run_and_the_others_keep_their_points(torchrun, runs, repo):
    done = torchrun("train_recorded.py", "killed", "1")

    assert done.returncode == 1
    [run] = runs()
    assert (run["status"], run["reason"]["rank"]) == ("failed", 1)
    assert "rank 1 died" in run["reason"]["message"]
    assert run["ranks"]["silent"] == [1]
    assert series(repo, 0)[:2] == series(repo, 1) == [1.0, 1 / 2]


def test_what_one_rank_finds_stops_all_at_one_step_and_each_is_traced(torchrun, runs, repo, git):
    done = torchrun("aborted.py")

    assert done.returncode == 0, done.stderr
    assert sorted(line for line in done.stdout.splitlines() if line.startswith("rank")) == [
        "rank 0 stops at 6",
        "rank 1 stops at 6",
    ]
    [run] = runs()
    assert (run["status"], run["reason"]["message"]) == ("aborted", "train/loss is nan at step 6")
    assert (run["trace"]["rows"], run["trace"]["ranks"]) == (7, [0, 1])
    assert run["batch"]["effective_batch"] == 4
    names = git(repo, "ls-tree", "-r", "--name-only", "refs/gitrepro/runs").splitlines()
    assert {name.rpartition("/")[2] for name in names} >= {"trace.parquet", "trace.rank-1.parquet"}


def test_an_elastic_restart_is_a_new_attempt_of_the_same_lineage(torchrun, runs):
    done = torchrun("--max-restarts", "1", "train_recorded.py", "raises-once", "1")

    assert done.returncode == 0, done.stderr
    second, first = runs()
    assert (first["status"], first["reason"]["rank"], first["reason"]["kind"]) == ("failed", 1, "ValueError")
    assert (second["status"], second["resumes"], second["lineage"]) == ("finished", first["id"], first["id"])
    assert (first["ranks"]["restart"], second["ranks"]["restart"]) == (0, 1)


def test_an_unedited_program_under_torchrun_is_one_run_that_names_the_rank_that_was_killed(torchrun, runs):
    before = (sys.executable, "-m", "gitrepro", "record", "--")
    done = torchrun("train.py", "--fail-rank", "1", before=before)

    assert done.returncode == 1
    [run] = runs()
    assert (run["status"], run["reason"]["rank"]) == ("failed", 1)
    assert run["reason"]["message"] == "rank 1 was killed by signal 9"
    assert (run["ranks"]["seen"], run["ranks"]["world_size"]) == ([0, 1], 2)
    assert 1 in run["ranks"]["silent"]


def test_the_culprit_is_read_from_what_torchrun_says():
    text = (
        "Root Cause (first observed failure):\n[0]:\n  time      : 2026-01-01_00:00:00\n  host      : a\n"
        "  rank      : 3 (local_rank: 1)\n  exitcode  : 7 (pid: 11) \n  error_file: <N/A>\n"
    )

    assert culprit(text) == {"rank": 3, "message": "rank 3 ended with exit code 7"}
    assert culprit("Root Cause (first observed failure):\n[0]:\n  rank      : x\n") == {}


# -- srun, and everything else that sets variables


def test_the_tasks_of_a_step_are_one_run(ranks, runs, repo):
    ids, done = together(ranks.start(TOGETHER, slurm(0), slurm(1)))

    assert [code for code, _, _ in done] == [0, 0]
    assert len(set(ids)) == 1
    [run] = runs()
    assert (run["status"], run["ranks"]["launcher"], run["ranks"]["seen"]) == ("finished", "slurm", [0, 1])
    assert (series(repo, 0), series(repo, 1)) == ([0.0, 0.1, 0.2], [1.0, 1.1, 1.2])
    assert not list((repo / ".git" / "gitrepro" / "live").glob("0*"))


@pytest.mark.parametrize(
    "environments",
    [
        [{"RANK": str(n), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29999"} for n in range(2)],
        [{"RANK": str(n), "WORLD_SIZE": "2"} for n in range(2)],
        [
            {"OMPI_COMM_WORLD_RANK": str(n), "OMPI_COMM_WORLD_SIZE": "2", "PMIX_NAMESPACE": "prterun-7@1"}
            for n in range(2)
        ],
    ],
    ids=["an address", "one parent", "mpirun"],
)
def test_other_launchers_make_one_run_too(ranks, runs, environments):
    ids, _ = together(ranks.start(TOGETHER, *environments))

    assert len(set(ids)) == 1
    assert [run["ranks"]["seen"] for run in runs()] == [[0, 1]]


def test_programs_side_by_side_in_a_job_of_one_task_are_runs_of_their_own(ranks, runs):
    job = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}
    step = {**job, "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"}
    batch = {**job, "SLURM_STEP_ID": "4294967291", "SLURM_NTASKS": "4"}
    ids, _ = together(ranks.start(TOGETHER, job, job, step, step, batch, batch))

    assert len(set(ids)) == 6
    assert [run.get("ranks") for run in runs()] == [None] * 6


def test_the_next_launch_with_the_same_key_is_a_run_of_its_own(ranks, runs):
    together(ranks.start(TOGETHER, slurm(0), slurm(1)))
    together(ranks.start(TOGETHER, slurm(0), slurm(1)))

    assert [run["ranks"]["seen"] for run in runs()] == [[0, 1], [0, 1]]


def test_two_processes_that_say_they_are_one_rank_are_two_runs_that_name_each_other(ranks, runs):
    ids, done = together(ranks.start(TOGETHER, slurm(0), slurm(0)))

    assert len(set(ids)) == 2
    assert sum("rank 0 of this launch is another process already" in err for _, _, err in done) == 1
    found = {run["id"]: run for run in runs()}
    assert [found[run_id]["ranks"]["rivals"] for run_id in ids] == [[ids[1]], [ids[0]]]
    assert [found[run_id]["metrics"]["loss"]["count"] for run_id in ids] == [3, 3]


def test_the_last_rank_to_leave_commits_the_rows_of_all(ranks, runs, repo):
    code = """
        run = gitrepro.record()
        print(run.id, flush=True)
        sys.stdin.readline()
        run.log({"loss": 1.0})
        run.finish()
        print("left", flush=True)
    """
    first, last = ranks.start(code, slurm(0), slurm(1))
    for child in (first, last):
        child.stdout.readline()
    ended(first)
    assert runs() == []
    ended(last)

    assert [run["ranks"]["seen"] for run in runs()] == [[0, 1]]
    assert (series(repo, 0), series(repo, 1)) == ([1.0], [1.0])


def test_a_rank_that_dies_last_is_told_by_recover(ranks, runs, cli, repo):
    children = ranks.start(TOGETHER, slurm(0), slurm(1))
    for child in children:
        child.stdout.readline()
    assert ended(children[0])[0] == 0
    children[1].kill()
    children[1].communicate(timeout=30)

    assert "failed" in cli("recover", cwd=repo).stdout
    [run] = runs()
    assert (run["reason"]["rank"], run["ranks"]["silent"]) == (1, [1])
    assert series(repo, 0) == [0.0, 0.1, 0.2]


def test_a_job_that_is_told_to_stop_is_preempted_in_every_rank(ranks, runs):
    code = """
        with gitrepro.record() as run:
            run.log({"loss": 1.0})
            print("ready", flush=True)
            time.sleep(60)
    """
    children = ranks.start(code, slurm(0), slurm(1))
    for child in children:
        child.stdout.readline()
    for child in children:
        child.send_signal(signal.SIGTERM)

    assert [ended(child)[0] for child in children] == [143, 143]
    assert [run["status"] for run in runs()] == ["preempted"]


def test_a_job_that_is_killed_after_its_grace_is_preempted_once_it_is_recovered(ranks, runs, cli, repo):
    code = """
        with gitrepro.record() as run:
            try:
                run.log({"loss": 1.0})
                print("ready", flush=True)
                time.sleep(60)
            finally:
                print("unwinding", flush=True)
                time.sleep(60)
    """
    [child] = ranks.start(code, {})
    assert child.stdout.readline() == "ready\n"
    child.terminate()
    assert child.stdout.readline() == "unwinding\n"
    child.kill()
    child.communicate(timeout=30)

    assert cli("recover", cwd=repo).returncode == 0
    assert [(run["status"], run["reason"]["kind"]) for run in runs()] == [("preempted", "signal")]


def test_a_second_run_of_a_rank_is_one_of_its_own(ranks, runs):
    code = """
        with gitrepro.record(): pass
        with gitrepro.record(name="evaluation"): pass
    """
    ranks.run(code, slurm(0))

    assert [run.get("ranks", {}).get("seen") for run in runs()] == [None, [0]]


def test_srun_before_the_command_is_one_run_with_the_output_of_every_task(ranks, runs, cli, repo):
    code = """
        rank = os.environ["SLURM_PROCID"]
        print("task", rank, flush=True)
        sys.stdin.readline()
        with gitrepro.record() as run: run.log({"loss": float(rank)})
    """
    before = (sys.executable, "-m", "gitrepro", "record", "--")
    children = ranks.start(code, slurm(0), slurm(1), before=before)
    for child in children:
        child.stdout.readline()
    done = [ended(child) for child in children]

    assert [code for code, _, _ in done] == [0, 0], done
    [run] = runs()
    assert (run["status"], run["ranks"]["seen"]) == ("finished", [0, 1])
    assert (series(repo, 0), series(repo, 1)) == ([0.0], [1.0])
    assert {"output.log", "output.rank-1.log"} <= {item["name"] for item in run["artifacts"]}


def test_a_task_that_fails_under_srun_says_why(ranks, runs):
    code = """
        print("task", flush=True)
        sys.stdin.readline()
        with gitrepro.record():
            if os.environ["SLURM_PROCID"] == "1": raise ValueError("no such layer")
    """
    before = (sys.executable, "-m", "gitrepro", "record", "--")
    children = ranks.start(code, slurm(0), slurm(1), before=before)
    for child in children:
        child.stdout.readline()
    done = [ended(child) for child in children]

    assert [code for code, _, _ in done] == [0, 1]
    [run] = runs()
    assert (run["status"], run["reason"]["rank"], run["reason"]["kind"]) == ("failed", 1, "ValueError")


def test_without_a_repository_the_ranks_are_one_run_as_well(ranks, tmp_path, hermetic):
    outside = tmp_path / "outside"
    outside.mkdir()
    ids, done = together(ranks.start(TOGETHER, slurm(0), slurm(1), cwd=outside))

    assert [code for code, _, _ in done] == [0, 0]
    assert len(set(ids)) == 1
    [folder] = (hermetic / "state" / "gitrepro" / "live").glob(ids[0])
    assert {path.name.split(".")[1] for path in folder.glob("journal.*")} == {"rank-0", "rank-1"}


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, None),
        ({"RANK": "0"}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "7", "WORLD_SIZE": "4"}, None),
        ({"RANK": "-1", "WORLD_SIZE": "4"}, None),
        ({"RANK": "²", "WORLD_SIZE": "4"}, None),
        ({"RANK": "9" * 40, "WORLD_SIZE": "9" * 41}, None),
        ({"RANK": "3", "WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "none", "MASTER_PORT": "1"}, ("torchrun", 3, 4)),
        ({"RANK": "3", "WORLD_SIZE": "4", "MASTER_PORT": "1", **slurm(3)}, ("ranks", 3, 4)),
        (slurm(1), ("slurm", 1, 2)),
        ({"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "x", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),
    ],
)
def test_a_launch_is_read_from_the_environment(environ, found):
    launch = launch_of(environ)

    assert (launch and (launch.launcher, launch.rank, launch.world_size)) == found


def test_launches_that_differ_have_keys_that_differ():
    base = {"RANK": "0", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "none", "MASTER_ADDR": "a", "MASTER_PORT": "1"}
    others = [
        {"MASTER_PORT": "2"},
        {"MASTER_ADDR": "b"},
        {"TORCHELASTIC_RUN_ID": "x"},
        {"TORCHELASTIC_RESTART_COUNT": "1"},
    ]
    keys = {launch_of({**base, **other}).key for other in [{}, *others]}

    assert len(keys) == 5
    assert launch_of({**base, "RANK": "1"}).key == launch_of(base).key
