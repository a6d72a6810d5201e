"""`gitrepro record -- CMD`: the program must not notice, and everything must be on record."""

from __future__ import annotations

import json
import os
import pty
import random
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gitrepro.launch import Order, Program

PYTHON = sys.executable


def shown(cli, repo: Path, run: str = "@last") -> dict:
    done = cli("show", run, "--json", cwd=repo)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def start(repo: Path, *command: str, **more) -> subprocess.Popen[str]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **more}
    return subprocess.Popen([PYTHON, "-m", "gitrepro", "record", "--", *command], cwd=repo, text=True, **streams)


@pytest.mark.parametrize(
    ("command", "code", "status"),
    [
        ("true", 0, "finished"),
        ("exit 3", 3, "failed"),
        ("exit 255", 255, "failed"),
        ("kill -INT $$", 130, "interrupted"),
        ("kill -TERM $$", 143, "preempted"),
        ("kill -KILL $$", 137, "crashed"),
        ("kill -SEGV $$", 139, "crashed"),
        ("echo 'RuntimeError: CUDA out of memory. Tried to allocate 2 GiB' >&2; exit 1", 1, "out_of_memory"),
        (f"{PYTHON} -c 'raise MemoryError'", 1, "out_of_memory"),
    ],
)
def test_the_exit_code_is_the_programs_own(cli, repo, command, code, status):
    done = cli("record", "--", "sh", "-c", command, cwd=repo)

    assert done.returncode == code
    assert shown(cli, repo)["status"] == status
    if code:
        assert shown(cli, repo)["reason"]["exit_code"] == code


def test_a_program_limited_in_memory_is_out_of_memory(cli, repo):
    done = cli("record", "--", "sh", "-c", f"ulimit -v 400000; {PYTHON} -c 'x = bytearray(1 << 30)'", cwd=repo)

    assert done.returncode == 1
    reason = shown(cli, repo)["reason"]
    assert shown(cli, repo)["status"] == "out_of_memory"
    assert reason["peak_memory_bytes"] > 0
    assert "batch size" in reason["do"]
    assert "MemoryError" in reason["last_output"]


def test_input_output_and_errors_pass_through_unchanged(cli, repo):
    done = cli("record", "--", "sh", "-c", "cat; printf 'no newline'; echo oops >&2", cwd=repo, input="one\ntwo\n")

    assert done.stdout == "one\ntwo\nno newline"
    assert "oops\n" in done.stderr
    assert [item["name"] for item in shown(cli, repo)["artifacts"]] == ["output.log", "errors.log"]
    assert cli("show", "--output", cwd=repo).stdout == "one\ntwo\nno newline\noops\n"


def test_bytes_that_are_no_text_pass_through_unchanged(repo):
    command = [PYTHON, "-m", "gitrepro", "record", "--", "printf", r"\377\000\200\n"]
    done = subprocess.run(command, cwd=repo, capture_output=True, check=True)

    assert done.stdout == b"\xff\x00\x80\n"


def test_a_program_that_says_nothing_leaves_no_logs(cli, repo):
    cli("record", "--", "true", cwd=repo)

    assert shown(cli, repo)["artifacts"] == []


def test_output_and_errors_keep_their_order_where_they_go_the_same_way(cli, repo):
    code = "import os\nfor i in range(200): os.write(1 + i % 2, b'%d\\n' % i)"
    command = [PYTHON, "-m", "gitrepro", "record", "--", PYTHON, "-c", code]
    done = subprocess.run(command, cwd=repo, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)

    lines = [int(line) for line in done.stdout.splitlines() if line.isdigit()]
    assert lines == list(range(200))
    assert [item["name"] for item in shown(cli, repo)["artifacts"]] == ["output.log"]


def test_a_secret_is_shown_to_the_user_and_not_kept(cli, repo):
    secret = "AKIA" + "IOSFODNN7EXAMPLQ"
    done = cli("record", "--", "echo", f"key: {secret}", cwd=repo)

    assert done.stdout == f"key: {secret}\n"
    assert secret not in cli("show", "--output", cwd=repo).stdout
    assert secret not in cli("show", "--json", cwd=repo).stdout
    kept = [path for path in (repo / ".git" / "gitrepro").rglob("*") if path.is_file()]
    assert not [path for path in kept if secret.encode() in path.read_bytes()]


def test_a_secret_in_a_config_that_was_overridden_is_not_kept(cli, repo):
    (repo / "config.yaml").write_text("api_key: hunter2hunter2\n")
    cli("record", "--config", "config.yaml", "--set", "api_key=hunter3hunter3", "--", "true", cwd=repo)

    assert "hunter" not in cli("show", "--config", cwd=repo).stdout
    assert "hunter" not in cli("show", "--json", cwd=repo).stdout


def test_the_log_has_a_limit_and_the_user_sees_all(cli, repo):
    command = "head -c 70000000 /dev/zero | tr '\\0' 'x' | fold -w 1000; echo end"
    done = cli("record", "--", "sh", "-c", command, cwd=repo)

    assert done.returncode == 0
    assert done.stdout.endswith("xend\n")
    found = shown(cli, repo)
    assert found["status"] == "finished"
    assert found["artifacts"][0]["size_bytes"] <= 64 << 20
    assert [loss["kind"] for loss in found["losses"]] == ["limit"]


def test_a_reader_that_leaves_does_not_end_the_program(cli, repo):
    code = "import time\nfor i in range(2000): print(i, flush=True)\nopen('ended', 'w').close()"
    done = subprocess.run(
        f'{PYTHON} -m gitrepro record -- {PYTHON} -c "{code}" | head -n 1',
        shell=True,
        cwd=repo,
        capture_output=True,
        text=True,
    )

    assert done.stdout == "0\n"
    assert (repo / "ended").exists()
    assert "Traceback" not in done.stderr
    assert shown(cli, repo)["status"] == "finished"


def test_a_grandchild_that_lives_on_is_neither_waited_for_nor_ended(cli, repo):
    (repo / ".gitignore").write_text("alive\n")
    code = "trap '' HUP; (sleep 4; echo still here; echo yes > alive) & echo main done"
    child = start(repo, "sh", "-c", code)
    child.wait(60)

    assert not (repo / "alive").exists()
    assert shown(cli, repo)["duration_seconds"] < 4
    assert child.communicate(timeout=60)[0] == "main done\nstill here\n"
    assert (repo / "alive").exists()


def test_a_stream_that_is_closed_harms_nothing(cli, repo):
    for closed in (">&-", "2>&-", "<&-", ">&- 2>&- <&-"):
        command = f"{PYTHON} -m gitrepro record -- sh -c 'echo out; exit 3' {closed}"
        assert subprocess.run(command, shell=True, cwd=repo, capture_output=True).returncode == 3
        assert shown(cli, repo)["status"] == "failed"
        assert shown(cli, repo)["journal"]["damaged_bytes"] == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, "preempted"), (signal.SIGINT, "interrupted")])
def test_a_signal_is_passed_on_and_the_program_may_clean_up(cli, repo, number, status):
    child = start(
        repo, "sh", "-c", f"trap 'echo cleaning; exit 9' {number.name[3:]}; echo up; while :; do sleep 0.1; done"
    )
    assert child.stdout.readline() == "up\n"
    child.send_signal(number)
    out, err = child.communicate(timeout=60)

    assert (child.returncode, out) == (9, "cleaning\n")
    assert "Traceback" not in err
    assert shown(cli, repo)["status"] == status


def test_a_signal_that_comes_when_the_program_has_just_ended_does_not_take_its_exit_code(tmp_path):
    program = Program(Order(argv=("sh", "-c", "exit 9"), environ=dict(os.environ)), None, root=tmp_path)
    program._start()
    os.waitid(os.P_PID, program._child.pid, os.WEXITED | os.WNOWAIT)
    program._arrived(signal.SIGTERM, None)

    assert program._wait() == 9
    assert program.usage["peak_memory_bytes"] > 0


def test_a_signal_that_does_not_wake_the_waiting_thread_reaches_the_program_at_once(tmp_path):
    # As when it comes just before the wait begins: the kernel gives it to another thread, and nothing is interrupted.
    up = tmp_path / "up"
    script = f"trap 'exit 9' TERM; : > {up}; for i in $(seq 100); do sleep 0.1; done; exit 7"
    program = Program(Order(argv=("sh", "-c", script), environ=dict(os.environ)), None, root=tmp_path)

    def send() -> None:
        while not up.exists():
            time.sleep(0.01)
        time.sleep(0.3)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    sender = threading.Thread(target=send)
    with program.signals_passed_on():
        sender.start()
        assert program.run() == 9
    sender.join()


def test_a_program_that_goes_in_good_order_when_it_must_was_preempted(cli, repo):
    child = start(repo, "sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done")
    assert child.stdout.readline() == "up\n"
    child.terminate()

    assert child.wait(60) == 0
    assert shown(cli, repo)["status"] == "preempted"


def test_killing_the_recorder_loses_no_row_of_the_program(cli, repo):
    (repo / "train.py").write_text(
        "import gitrepro, os, time\nrun = gitrepro.record()\nfor i in range(50): run.log({'i': float(i)})\n"
        "print('logged', flush=True)\nos.kill(os.getppid(), 9)\nos.kill(os.getpid(), 9)\n"
    )
    child = start(repo, PYTHON, "train.py")
    assert child.wait(60) == -signal.SIGKILL

    assert "50 rows" in cli("recover", cwd=repo).stdout
    assert shown(cli, repo)["status"] == "crashed"


def test_ctrl_c_at_any_moment_is_130_and_loses_nothing(cli, repo, seed):
    draw = random.Random(seed)
    for _ in range(6):
        child = start(repo, "sleep", "0.3")
        time.sleep(0.15 + draw.random() * 0.7)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
        if "recording" in err:
            assert child.returncode in (0, 130, -signal.SIGINT)  # the last: in the very last steps of Python itself
        assert cli("recover", cwd=repo).returncode == 0
    assert not list((repo / ".git" / "gitrepro" / "live").glob("[0-9]*"))


# -- a terminal


def in_terminal(command: list[str], cwd: Path, *, columns: int = 80, keys: bytes = b"") -> tuple[int, str]:
    """Run a command on a terminal of its own; its exit code, and what the terminal got."""
    import fcntl
    import struct
    import termios

    child, master = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.execvp(command[0], command)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    seen = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([master], [], [], 1)[0]:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            seen += data
            # The whole line: a run may be called ready-something.
            if keys and b"ready\r\n" in seen:
                os.write(master, keys)
                keys = b""
    _, status = os.waitpid(child, 0)
    os.close(master)
    return os.waitstatus_to_exitcode(status), seen.decode(errors="replace")


def test_a_program_keeps_its_terminal(cli, repo):
    code = "import os; print(os.isatty(1), os.isatty(2), os.isatty(0), os.get_terminal_size().columns)"
    exit_code, seen = in_terminal([PYTHON, "-m", "gitrepro", "record", "--", PYTHON, "-c", code], repo, columns=97)

    assert exit_code == 0
    assert "True True True 97\r\n" in seen
    assert cli("show", "--output", cwd=repo).stdout == "True True True 97\n"


def test_ctrl_c_on_the_terminal_reaches_the_program_once(cli, repo):
    (repo / "train.py").write_text(
        "import signal, time\nseen = []\nsignal.signal(signal.SIGINT, lambda *_: seen.append(1))\n"
        "print('ready', flush=True)\nend = time.monotonic() + 2\n"
        "while time.monotonic() < end: time.sleep(0.1)\n"
        "print('seen', len(seen))\nraise SystemExit(130)\n"
    )
    exit_code, seen = in_terminal([PYTHON, "-m", "gitrepro", "record", "--", PYTHON, "train.py"], repo, keys=b"\x03")

    assert exit_code == 130
    assert "seen 1\r\n" in seen
    assert shown(cli, repo)["status"] == "interrupted"


# -- seeds

DRAW = "import random\nimport numpy as np\nprint(random.random(), np.random.rand(), hash('a'))"


def test_one_seed_makes_two_runs_agree(cli, repo):
    first, second, other = (
        cli("record", "--seed", seed, "--", PYTHON, "-c", DRAW, cwd=repo).stdout for seed in ("7", "7", "8")
    )

    assert first == second != other


def test_a_drawn_seed_is_said_and_on_record_and_makes_the_run_again(cli, repo):
    first = cli("record", "--", PYTHON, "-c", DRAW, cwd=repo)
    seeds = shown(cli, repo)["seeds"]

    assert f"seed {seeds['requested']} (drawn)" in first.stderr
    assert seeds["source"] == "drawn"
    assert cli("record", "--seed", str(seeds["requested"]), "--", PYTHON, "-c", DRAW, cwd=repo).stdout == first.stdout


def test_no_seed_touches_nothing(cli, repo):
    done = cli(
        "record", "--no-seed", "--", PYTHON, "-c", "import os; print(os.environ.get('PYTHONHASHSEED'))", cwd=repo
    )

    assert done.stdout == "None\n"
    seeds = shown(cli, repo)["seeds"]
    assert (seeds["requested"], seeds["source"]) == (None, None)


def test_the_programs_own_seeding_is_seen(cli, repo):
    cli("record", "--seed", "7", "--", PYTHON, "-c", "import random; random.seed(5); random.random()", cwd=repo)

    seeds = shown(cli, repo)["seeds"]
    assert (seeds["requested"], seeds["effective"]["python"]) == (7, 5)


def test_recording_can_be_turned_off(cli, repo, tmp_path):
    done = cli(
        "record", "--seed", "7", "--", "sh", "-c", "echo ran; exit 3", cwd=tmp_path, env={"GITREPRO_MODE": "disabled"}
    )

    assert (done.returncode, done.stdout) == (3, "ran\n")
    assert "recording is off" in done.stderr
    assert not (tmp_path / ".git").exists()


def test_a_run_without_a_repository_is_taken_in_later(cli, repo, tmp_path):
    done = cli("record", "--no-repo", "--", "sh", "-c", "echo ran; exit 3", cwd=tmp_path)

    assert done.returncode == 3
    assert "recover --into" in done.stderr
    assert "recovered" in cli("recover", "--into", ".", "--all", cwd=repo).stdout
    assert shown(cli, repo)["reason"]["exit_code"] == 3
