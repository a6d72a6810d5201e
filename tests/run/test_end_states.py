"""How a run ends, each way produced for real."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def test_a_with_block_that_ends_is_finished(script, shown):
    assert script("with gitrepro.record() as run: run.log({'loss': 1.0})").returncode == 0

    assert (shown()["status"], shown()["reason"]) == ("finished", None)


def test_a_run_nobody_finished_is_finished_by_the_end_of_the_process(script, shown):
    script("run = gitrepro.record()\nrun.log({'loss': 1.0})")

    assert shown()["status"] == "finished"


def test_an_exception_fails_the_run_and_leaves_the_program_as_it_would(script, shown):
    done = script("with gitrepro.record() as run: raise ValueError('no such layer')")

    assert done.returncode == 1
    assert "ValueError: no such layer" in done.stderr
    assert shown()["status"] == "failed"
    assert shown()["reason"]["kind"] == "ValueError"
    assert "no such layer" in shown()["reason"]["traceback"]


def test_an_exception_outside_any_with_block_fails_the_run(script, shown):
    done = script("run = gitrepro.record()\nraise RuntimeError('later')")

    assert done.returncode == 1
    assert (shown()["status"], shown()["reason"]["message"]) == ("failed", "later")


def test_finish_in_a_finally_block_says_what_is_in_flight(script, shown):
    done = script("""
        run = gitrepro.record()
        try:
            raise KeyError("x")
        finally:
            run.finish()
    """)

    assert done.returncode == 1
    assert shown()["status"] == "failed"


def test_the_secret_in_an_exception_is_not_on_record(script, shown):
    script("with gitrepro.record(): raise ValueError('password=hunter2hunter2 refused')")

    assert "hunter2hunter2" not in str(shown())


@pytest.mark.parametrize("how", ["with gitrepro.record(): sys.exit({})", "run = gitrepro.record(); sys.exit({})"])
@pytest.mark.parametrize(("code", "status"), [("0", "finished"), ("None", "finished"), ("3", "failed")])
def test_an_exit_code_decides(script, shown, how, code, status):
    done = script(f"import sys\n{how.format(code)}")

    assert done.returncode == (3 if code == "3" else 0)
    assert shown()["status"] == status


def test_an_exit_that_was_caught_decides_nothing(script, shown):
    script("""
        import sys
        with gitrepro.record() as run:
            try:
                sys.exit(3)
            except SystemExit:
                pass
    """)

    assert shown()["status"] == "finished"


def test_an_exit_without_a_word_is_a_crash_once_it_is_recovered(script, shown, cli, repo):
    done = script("import os\nrun = gitrepro.record()\nfor i in range(5): run.log({'i': i})\nos._exit(0)")

    assert done.returncode == 0
    assert cli("ls", "--json", cwd=repo).stdout.strip() == "[]"
    assert "5 rows" in cli("recover", cwd=repo).stdout
    assert (shown()["status"], shown()["journal"]["rows"]) == ("crashed", 5)


def started(repo: Path, code: str) -> subprocess.Popen[str]:
    path = repo.parent / "started.py"
    path.write_text("import gitrepro, os, signal, sys, time\n" + code)
    child = subprocess.Popen([sys.executable, str(path)], cwd=repo, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


_WAIT = "    run.log({'loss': 1.0})\n    print('ready', flush=True)\n    time.sleep(60)\n"


@pytest.mark.parametrize(
    ("number", "status", "code"), [(signal.SIGINT, "interrupted", -2), (signal.SIGTERM, "preempted", 143)]
)
def test_a_signal_ends_the_run_and_then_the_program(repo, shown, number, status, code):
    child = started(repo, "with gitrepro.record() as run:\n" + _WAIT)
    child.send_signal(number)

    assert child.wait(30) == code
    assert shown()["status"] == status
    assert shown()["summary"] == {"loss": 1.0}


def test_sigterm_outside_a_with_block_preempts_too(repo, shown):
    child = started(repo, "run = gitrepro.record()\nif True:\n" + _WAIT)
    child.terminate()

    assert child.wait(30) == 143
    assert shown()["status"] == "preempted"


def test_a_handler_of_the_users_own_is_called_and_the_run_is_preempted(repo, shown):
    own = "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'saved\\n'), sys.exit(0)))\n"
    child = started(repo, own + "with gitrepro.record() as run:\n" + _WAIT)
    child.terminate()

    assert child.wait(30) == 0
    assert child.stdout.read() == "saved\n"
    assert shown()["status"] == "preempted"


def test_a_handler_that_lets_the_program_go_on_is_left_alone(repo, shown):
    own = "signal.signal(signal.SIGTERM, lambda *_: None)\n"
    loop = (
        "with gitrepro.record() as run:\n    print('ready', flush=True)\n"
        "    while not run._signals.arrived: time.sleep(0.01)\n"
    )
    child = started(repo, own + loop + "    run.log({'after': 1.0})\n")
    child.terminate()

    assert child.wait(30) == 0
    assert (shown()["status"], shown()["summary"]) == ("preempted", {"after": 1.0})


def test_sigterm_after_the_run_kills_as_it_does_without_us(script):
    done = script("""
        import os, signal, threading
        run = gitrepro.record()
        thread = threading.Thread(target=run.finish)
        thread.start()
        thread.join()
        os.kill(os.getpid(), signal.SIGTERM)
    """)

    assert done.returncode == -signal.SIGTERM


def test_a_kill_is_a_crash_and_loses_no_row(repo, cli, shown):
    child = started(repo, "with gitrepro.record() as run:\n" + _WAIT)
    child.kill()
    child.wait(30)

    assert cli("recover", cwd=repo).returncode == 0
    assert (shown()["status"], shown()["summary"]) == ("crashed", {"loss": 1.0})


def test_running_out_of_memory_is_said_with_what_to_try(script, shown):
    done = script("""
        import resource
        with gitrepro.record() as run:
            run.log({"loss": 1.0})
            used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
            try:
                held = bytearray(1 << 30)
            finally:
                resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    """)

    assert done.returncode == 1
    assert shown()["status"] == "out_of_memory"
    assert shown()["reason"]["peak_memory_bytes"] > 0
    assert "batch size" in shown()["reason"]["do"]


def test_what_the_disk_refused_makes_a_run_incomplete(script, shown):
    # A limit on file size is a disk that is full for this process alone. Memory for what waits is 64 MiB.
    done = script("""
        import resource, signal
        import gitrepro.store.journal as journal
        journal.SPOOL_BYTES = 4096
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with gitrepro.record() as run:
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
            for step in range(2000):
                run.log({"loss": 1.0}, step=step)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    """)

    assert done.returncode == 0, done.stderr
    found = shown()
    assert found["status"] == "incomplete"
    assert any("log entries" in loss["what"] for loss in found["losses"])
    assert 0 < found["metrics"]["loss"]["count"] < 2000


def test_a_state_and_a_reason_of_the_callers_own(script, shown):
    script("run = gitrepro.record()\nrun.finish('failed', reason='the loss is NaN')")

    assert (shown()["status"], shown()["reason"]["message"]) == ("failed", "the loss is NaN")


def test_finish_twice_is_finish_once(script, shown):
    done = script("run = gitrepro.record()\nrun.finish()\nrun.finish('failed')\nprint(run.status)")

    assert done.stdout == "finished\n"
    assert shown()["status"] == "finished"


def test_an_unknown_end_state_is_refused(script):
    done = script("gitrepro.record().finish('won')")

    assert "there is no end state 'won'" in done.stderr


def test_what_is_said_after_the_end_warns_and_changes_nothing(script, shown):
    done = script("""
        run = gitrepro.record()
        run.log({"a": 1.0})
        run.finish()
        run.log({"a": 2.0})
        run.config["b"] = 1
        run.summary["c"] = 1
    """)

    assert done.returncode == 0
    assert done.stderr.count("has ended: this is not recorded") == 3
    assert "script.py:6" in done.stderr
    assert (shown()["summary"], shown()["config"]) == ({"a": 1.0}, {})


def test_ctrl_c_at_any_moment_leaves_a_run_that_can_be_had(repo, cli, shown, seed):
    draw = random.Random(seed)
    for _ in range(4):
        child = started(
            repo,
            "print('ready', flush=True)\n"
            "with gitrepro.record() as run:\n    for i in range(200000): run.log({'loss': 1.0})\n",
        )
        time.sleep(draw.random() * 0.5)
        os.kill(child.pid, signal.SIGINT)
        child.wait(60)
        assert cli("recover", cwd=repo).returncode == 0
    assert {run["status"] for run in json.loads(cli("ls", "--json", cwd=repo).stdout)} <= {
        "interrupted",
        "finished",
        "crashed",
    }
