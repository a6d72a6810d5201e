"""Bad input: what, why, what to do, and the right exit code; the same as JSON; never a traceback."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

BAD = [
    (["nonsense"], 2, "usage"),
    (["lss"], 2, "usage"),
    (["ls", "--nonsense"], 2, "usage"),
    (["ls", "--limit", "0"], 2, "usage"),
    (["ls", "--limit", "x"], 2, "usage"),
    (["show", "nope"], 3, "not-found"),
    (["show", ""], 3, "not-found"),
    (["show", "@nope"], 3, "not-found"),
    (["show", "@{-99}"], 3, "not-found"),
    (["show", "@{-0}"], 3, "not-found"),
    (["show", "@best:nope"], 3, "not-found"),
    (["show", "x\x1b[31my"], 3, "not-found"),
    (["show", "' OR 1=1 --"], 3, "not-found"),
    (["show", "x" * 100_000], 3, "not-found"),
    (["show", "twin"], 3, "ambiguous"),
    (["show", "twin", "--output"], 3, "ambiguous"),
    (["label", "nope", "word"], 3, "not-found"),
    (["label", "@last", ""], 2, "usage"),
    (["label", "@last", "a\nb"], 2, "usage"),
    (["label", "@last", "--remove", "absent"], 2, "usage"),
    (["label", "@last"], 2, "usage"),
    (["note", "@last", ""], 2, "usage"),
    (["note", "@last", "x" * 100_001], 2, "usage"),
    (["note", "nope", "text"], 3, "not-found"),
    (["recover", "--into", "/nonexistent/folder"], 2, "no-repository"),
    (["record"], 2, "usage"),
    (["record", "--"], 2, "usage"),
    (["record", "--nonsense", "--", "true"], 2, "usage"),
    (["record", "--", "no-such-program"], 3, "not-found"),
    (["record", "--", ""], 3, "not-found"),
    (["record", "--", "/"], 3, "not-found"),
    (["record", "--", "./plain.txt"], 3, "not-found"),
    (["record", "--", "./not-a-program"], 2, "usage"),
    (["record", "--seed", "-1", "--", "true"], 2, "usage"),
    (["record", "--seed", "x", "--", "true"], 2, "usage"),
    (["record", "--seed", "1", "--no-seed", "--", "true"], 2, "usage"),
    (["record", "--kind", "trane", "--", "true"], 2, "usage"),
    (["record", "--name", "", "--", "true"], 2, "usage"),
    (["record", "--name", "a\x1bb", "--", "true"], 2, "usage"),
    (["record", "--name", "x" * 300, "--", "true"], 2, "usage"),
    (["record", "--label", " ", "--", "true"], 2, "usage"),
    (["record", "--note", "x" * 100_001, "--", "true"], 2, "usage"),
    (["record", "--set", "novalue", "--", "true"], 2, "config"),
    (["record", "--set", "=3", "--", "true"], 2, "config"),
    (["record", "--set", "a..b=3", "--", "true"], 2, "config"),
    (["record", "--config", "absent.yaml", "--", "true"], 2, "config"),
    (["record", "--config", "broken.yaml", "--", "true"], 2, "config"),
    (["record", "--config", "list.yaml", "--", "true"], 2, "config"),
    (["record", "--config", "deep.yaml", "--", "true"], 2, "config"),
    (["record", "--config", "bytes.yaml", "--", "true"], 2, "config"),
    (["record", "--config", ".", "--", "true"], 2, "config"),
    (["record", "--config", "fifo", "--", "true"], 2, "config"),
    (["-C", "/nonexistent", "ls"], 2, "usage"),
]


@pytest.fixture(scope="module")
def used(tmp_path_factory, git, cli) -> Path:
    repo = tmp_path_factory.mktemp("used")
    git(repo, "init", "-q", "-b", "main")
    for _ in range(2):
        assert (
            cli("record", "--name", "twin", "--", "true", cwd=repo, env={"GIT_CONFIG_GLOBAL": "/dev/null"}).returncode
            == 0
        )
    (repo / "broken.yaml").write_text("a: [1\n")
    (repo / "list.yaml").write_text("- 1\n")
    (repo / "deep.yaml").write_text("[" * 100_000)
    (repo / "bytes.yaml").write_bytes(b"a: \xff\xfe\n")
    (repo / "plain.txt").write_text("x\n")
    (repo / "not-a-program").write_bytes(b"\x00\x01\x02")
    (repo / "not-a-program").chmod(0o755)
    os.mkfifo(repo / "fifo")
    return repo


@pytest.mark.parametrize(("args", "exit_code", "code"), BAD, ids=lambda value: str(value)[:50])
def test_bad_input_is_told_in_words(used, cli, args, exit_code, code):
    done = cli(*args, cwd=used)

    assert done.returncode == exit_code, done.stderr
    assert done.stdout == ""
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert len(done.stderr) < 2_000


@pytest.mark.parametrize(("args", "exit_code", "code"), BAD[2:22], ids=lambda value: str(value)[:50])
def test_bad_input_is_told_as_json(used, cli, args, exit_code, code):
    done = cli(args[0], "--json", *args[1:], cwd=used)

    document = json.loads(done.stderr)
    assert (done.returncode, list(document)) == (exit_code, ["error"])
    assert list(document["error"]) == ["code", "what", "why", "do"]
    assert document["error"]["code"] == code


@pytest.mark.parametrize("group", ["hooks", "index"])
def test_a_group_without_one_of_its_commands_is_told_in_a_line(used, cli, group):
    done = cli(group, cwd=used)

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: `gitrepro {group}` wants one of its commands",
        f"  do:  `gitrepro {group} --help`",
    ]


def test_nothing_was_recorded_by_all_that(used, cli):
    for args, _, _ in BAD:
        if args[0] == "record":
            cli(*args, cwd=used)

    assert [run["name"] for run in json.loads(cli("ls", "--json", cwd=used).stdout)] == ["twin", "twin"]
    assert not list((used / ".git" / "gitrepro" / "live").iterdir())


@pytest.mark.parametrize(
    "args", [["ls"], ["show"], ["recover"], ["label", "x", "y"], ["note", "x", "y"], ["record", "--", "true"]]
)
def test_outside_a_repository_every_command_says_so(cli, tmp_path, args):
    done = cli(*args, cwd=tmp_path)

    assert done.returncode == 2
    assert done.stderr.startswith("error: no Git repository")
    assert "do:" in done.stderr


def test_a_name_that_two_runs_have_lists_both(used, cli):
    done = cli("show", "twin", cwd=used)

    assert "means 2 runs" in done.stderr
    for run in json.loads(cli("ls", "--json", cwd=used).stdout):
        assert run["id"][-8:] in done.stderr


def test_a_misspelt_name_or_command_names_the_nearest(used, cli):
    assert "twin" in cli("show", "twln", cwd=used).stderr
    assert "nearest is recover" in cli("recovr", cwd=used).stderr


def test_a_fault_of_ours_is_said_in_words_and_is_no_answer(used, cli):
    # A directory in the place of a file that only this program writes.
    (used / ".git" / "gitrepro" / "live").rename(used / ".git" / "gitrepro" / "aside")
    (used / ".git" / "gitrepro" / "live").write_text("")
    try:
        done = cli("record", "--", "echo", "ran", cwd=used)
        assert (done.returncode, done.stdout) == (0, "ran\n")
        assert "Traceback" not in done.stderr
        assert cli("ls", cwd=used).returncode == 0
    finally:
        (used / ".git" / "gitrepro" / "live").unlink()
        (used / ".git" / "gitrepro" / "aside").rename(used / ".git" / "gitrepro" / "live")


def test_a_current_folder_that_is_gone_is_told_in_words(tmp_path):
    command = f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -P -m gitrepro ls"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode in (2, 4)
    assert "Traceback" not in done.stderr


# -- recovering


def died(repo: Path, rows: int = 3) -> str:
    """The id of a run whose process is gone."""
    code = (
        "import gitrepro, os\nrun = gitrepro.record()\n"
        f"for i in range({rows}): run.log({{'i': float(i)}})\nprint(run.id, flush=True)\nos.kill(os.getpid(), 9)"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=repo, capture_output=True, text=True).stdout.strip()


def test_a_journal_of_a_newer_format_is_left_as_it_is_and_the_others_are_recovered(repo, cli):
    from gitrepro.store import journal

    newer, other = died(repo), died(repo)
    folder = repo / ".git" / "gitrepro" / "live" / newer
    (path,) = folder.glob("journal.*")
    header = journal._frame(
        journal.NO_PLACE, b"H" + json.dumps({"format": 99, "run": newer, "rank": 0, "pid": 1, "segment": 0}).encode()
    )
    path.write_bytes(header)
    done = cli("recover", cwd=repo)

    assert done.returncode == 4
    assert newer[-8:] in done.stderr
    assert "upgrade" in done.stderr
    assert other[-8:] in done.stdout
    assert path.read_bytes() == header


def test_a_start_record_that_is_damaged_is_left_and_the_others_are_recovered(repo, cli):
    damaged, other = died(repo), died(repo)
    (repo / ".git" / "gitrepro" / "live" / damaged / "start.yaml").write_text("- nonsense\n")
    done = cli("recover", cwd=repo)

    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert other[-8:] in done.stdout
    assert cli("ls", cwd=repo).returncode == 0
    assert cli("show", damaged, cwd=repo).returncode in (3, 4)


def test_two_recoveries_at_once_recover_each_run_once(repo, cli):
    expected = {died(repo) for _ in range(4)}
    command = [sys.executable, "-m", "gitrepro", "recover"]
    together = [
        subprocess.Popen(command, cwd=repo, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    told = [child.communicate(timeout=120) for child in together]

    assert [child.returncode for child in together] == [0, 0, 0], told
    assert sorted(run["id"] for run in json.loads(cli("ls", "--json", cwd=repo).stdout)) == sorted(expected)


def test_ctrl_c_that_python_wrapped_into_another_error_is_still_ctrl_c(tmp_path):
    program = """
        import sys, gitrepro.cli.main as cli

        class Interrupts:
            def __set_name__(self, owner, name):
                raise KeyboardInterrupt

        def load(*args, **options):
            class Library:
                attribute = Interrupts()

        cli.gitrepro.main = load
        cli.main([])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (130, "interrupted; run it again to go on\n")


@pytest.mark.parametrize("command", ["ls", "recover"])
def test_ctrl_c_at_any_moment_is_130_and_may_be_followed_by_another_try(repo, cli, seed, command):
    draw = random.Random(seed)
    expected = {died(repo) for _ in range(3)}
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-m", "gitrepro", command],
            cwd=repo,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        time.sleep(0.08 + draw.random() * 0.2)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
        # Before our first line runs, and while it makes classes, the interpreter has the word; a shell sees 130 alike.
        assert child.returncode in (0, 130, -signal.SIGINT) or "import" in err or "site" in err, err
    assert cli("recover", cwd=repo).returncode == 0
    assert {run["id"] for run in json.loads(cli("ls", "--json", cwd=repo).stdout)} == expected
