"""Out of memory: recognised where it ended the run, and nowhere else; with what shows it and what to try."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitrepro.capture import memory

CUDA = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.10 GiB "
    "of which 1.25 GiB is free. Of the allocated memory 70.00 GiB is allocated by PyTorch"
)
TRACEBACK = 'Traceback (most recent call last):\n  File "train.py", line 3, in <module>\n'


def judged(output: str, *, killed: bool = False, kernel_kills: int = 0) -> memory.Evidence:
    return memory.of_program(output, killed=killed, kernel_kills=kernel_kills)


@pytest.mark.parametrize(
    ("output", "where"),
    [
        (TRACEBACK + CUDA, memory.GPU),
        (TRACEBACK + "RuntimeError: CUDA error: out of memory", memory.GPU),
        (TRACEBACK + "torch.cuda.OutOfMemoryError: HIP out of memory.", memory.GPU),
        (TRACEBACK + "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory", memory.GPU),
        (TRACEBACK + "MemoryError", memory.HOST),
        (TRACEBACK + "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8.0 TiB", memory.HOST),
        (TRACEBACK + "RuntimeError: [enforce fail at x.cpp:1] DefaultCPUAllocator: can't allocate memory", memory.HOST),
        (TRACEBACK + "OSError: [Errno 12] Cannot allocate memory", memory.HOST),
        (f"[rank1]: {TRACEBACK}[rank1]: {CUDA}\n[rank0]: RuntimeError: Connection reset by peer\n", memory.GPU),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.0. Some task was OOM Killed.", "host"),
        ("srun: error: node1: task 0: Out Of Memory", memory.HOST),
        (
            TRACEBACK
            + "RuntimeError: DataLoader worker (pid 31) is killed by signal: Killed. \n\nThe above exception was the "
            "direct cause of the following exception:\n\n"
            + TRACEBACK
            + "RuntimeError: DataLoader worker (pid(s) 31) exited unexpectedly",
            memory.HOST,
        ),
    ],
)  # fmt: skip
def test_a_program_that_ended_for_lack_of_memory_is_seen(output, where):
    found = judged(output + "\n")

    assert found.memory == where
    assert found.seen


@pytest.mark.parametrize(
    "output",
    [
        "",
        "WARNING: out of memory, batch skipped\n",
        "CUDA out of memory. Tried to allocate 2.00 GiB\nretrying with half the batch\n",
        f"{TRACEBACK}{CUDA}\nretrying\n{TRACEBACK}ValueError: no such layer\n",
        f"{TRACEBACK}ValueError: cannot handle CUDA out of memory\n",
        f"{TRACEBACK}KeyError: 'MemoryError'\n",
        f"caught MemoryError: went on\n{TRACEBACK}AssertionError\n",
        "srun: error: node1: task 0: Exited with exit code 1\n",
        f"{TRACEBACK}RuntimeError: DataLoader worker (pid(s) 31) exited unexpectedly\n",
    ],
)
def test_a_program_that_failed_of_something_else_is_not(output):
    assert judged(output).memory is None


def test_words_about_memory_are_kept_as_a_hint():
    found = judged(f"CUDA out of memory, retrying\n{TRACEBACK}ValueError: x\n")

    assert (found.memory, found.seen) == (None, ("CUDA out of memory, retrying",))


def test_a_count_of_the_kernel_decides_for_what_was_killed_and_for_nothing_else():
    torchrun = "  rank      : 1 (local_rank: 1)\n  exitcode  : -9 (pid: 11)\n"

    assert judged("", killed=True, kernel_kills=1).memory == memory.HOST
    assert judged(torchrun, kernel_kills=1).memory == memory.HOST
    assert judged("", killed=True).memory is None
    assert judged(torchrun).memory is None
    neighbour = judged(TRACEBACK + "ValueError: x\n", kernel_kills=2)
    assert (neighbour.memory, neighbour.seen) == (
        None,
        ("the kernel killed 2 processes of its cgroup for memory",),
    )


def test_the_sizes_of_a_message_are_read():
    assert memory.amounts(CUDA) == {
        "gpu_allocated_bytes": 70 << 30,
        "gpu_free_bytes": 5 << 28,
        "gpu_total_bytes": int(79.10 * (1 << 30)),
        "tried_to_allocate_bytes": 5 << 29,
    }


@pytest.mark.parametrize(
    ("values", "world_size", "effective"),
    [
        ({"batch_size": 32}, 1, 32),
        ({"train.batch-size": 8, "train.gradient_accumulation_steps": 4}, 2, 64),
        ({"per_device_train_batch_size": 4, "batch_size": 999}, 8, 32),
        ({"eval_batch_size": 64}, 1, None),
        ({"batch_size": "auto"}, 1, None),
        ({"batch_size": True}, 1, None),
    ],
)
def test_the_effective_batch_is_that_of_all_processes_and_steps(values, world_size, effective):
    found = memory.batch(values, world_size=world_size)

    assert (found and found["effective"]) == effective


# -- on record


def test_a_program_says_how_large_its_batch_was_and_what_to_try(cli, repo, shown):
    (repo / "train.py").write_text(f"import sys\nprint({CUDA!r}, file=sys.stderr)\nsys.exit(1)\n")
    words = ("--set", "batch_size=16", "--set", "accumulate_grad_batches=2")
    done = cli("record", *words, "--", sys.executable, "train.py", cwd=repo)

    assert done.returncode == 1
    found = shown()
    assert (found["status"], found["reason"]["memory"]) == ("out_of_memory", "gpu")
    assert found["reason"]["batch"] == {"accumulation_steps": 2, "effective": 32, "per_process": 16, "world_size": 1}
    assert found["reason"]["tried_to_allocate_bytes"] == 5 << 29
    assert found["reason"]["peak_gpu_memory_bytes"] == 70 << 30
    assert found["reason"]["peak_memory_bytes"] > 0
    assert "accumulate gradients" in found["reason"]["do"]
    assert "CUDA out of memory" in found["reason"]["evidence"][0]


def test_a_program_that_speaks_of_memory_and_fails_otherwise_has_failed(cli, repo, shown):
    code = "print('CUDA out of memory, retrying'); raise ValueError('no such layer')"
    cli("record", "--", sys.executable, "-c", code, cwd=repo)

    assert shown()["status"] == "failed"
    assert shown()["reason"]["memory_hints"] == ["CUDA out of memory, retrying"]


def test_an_exception_raised_from_a_lack_of_memory_is_one(script, shown):
    script("""
        with gitrepro.record(config={"batch_size": 8}):
            try: raise MemoryError("no room")
            except MemoryError as error: raise RuntimeError("step failed") from error
    """)

    found = shown()
    assert (found["status"], found["reason"]["memory"], found["reason"]["kind"]) == (
        "out_of_memory",
        "host",
        "RuntimeError",
    )
    assert found["reason"]["batch"]["effective"] == 8
    assert "loader workers" in found["reason"]["do"]


def test_an_exception_after_a_lack_of_memory_that_was_handled_is_not(script, shown):
    script("""
        with gitrepro.record():
            try: raise MemoryError
            except MemoryError: pass
            raise KeyError("out of memory")
    """)

    assert shown()["status"] == "failed"


@pytest.fixture
def cgroup(tmp_path: Path) -> Iterator[Path]:
    """A cgroup of ours with 256 MiB of memory, below the one we are in; skipped where none can be made."""
    folder = _make_cgroup(tmp_path.name)
    yield folder
    folder.rmdir()


def _make_cgroup(name: str) -> Path:
    if os.geteuid() != 0:
        pytest.skip("only root may make a cgroup")
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        version_2 = number == "0" and not controllers
        base = Path("/sys/fs/cgroup") / ("" if version_2 else "memory") / path.lstrip("/")
        limit = "memory.max" if version_2 else "memory.limit_in_bytes"
        if not version_2 and controllers != "memory":
            continue
        folder = base / f"gitrepro-{name}"
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / limit).write_text(str(256 << 20))
        except OSError:
            folder.rmdir()
            continue
        return folder
    pytest.skip("no cgroup with a limit on memory can be made here")


# It lives long enough to be seen where it is.
EATER = "import time\ntime.sleep(2.5)\nheld = []\nwhile True: held.append(bytearray(8 << 20))\n"


@pytest.mark.parametrize("inside", ["the program", "gitrepro too"])
def test_a_program_that_the_kernel_kills_for_memory_is_out_of_memory(cgroup, repo, shown, inside):
    (repo / "eat.py").write_text(EATER)
    enter = f'echo $$ > {cgroup}/cgroup.procs; exec "$0" "$@"'
    program = [sys.executable, "eat.py"]
    command = [sys.executable, "-m", "gitrepro", "record", "--"]
    entering = ["sh", "-c", enter]
    words = [*entering, *command, *program] if inside == "gitrepro too" else [*command, *entering, *program]
    done = subprocess.run(words, cwd=repo, capture_output=True, text=True, timeout=120)

    assert done.returncode == 137, done.stderr
    found = shown()
    assert (found["status"], found["reason"]["memory"]) == ("out_of_memory", "host")
    assert found["reason"]["evidence"] == ["the kernel killed 1 process of its cgroup for memory"]
    assert found["reason"]["peak_memory_bytes"] > 64 << 20


def test_a_kill_by_hand_is_no_lack_of_memory(cli, repo, shown):
    cli("record", "--", "sh", "-c", "kill -9 $$", cwd=repo)

    assert (shown()["status"], "memory" in shown()["reason"]) == ("crashed", False)


def test_memory_that_the_program_limits_itself_runs_out_with_every_sign(cli, repo, shown):
    (repo / "train.py").write_text(
        textwrap.dedent("""
            import resource
            resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
            held = bytearray(4 << 30)
        """)
    )
    cli("record", "--", sys.executable, "train.py", cwd=repo)

    found: dict[str, Any] = shown()
    assert (found["status"], found["reason"]["memory"], found["reason"]["evidence"]) == (
        "out_of_memory",
        "host",
        ["MemoryError"],
    )
