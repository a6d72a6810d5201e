"""`gitrepro checkout` and `gitrepro repeat`, as a person uses them."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli, Git

PYTHON = sys.executable

# Draws from seeded generators only, through a package and a settings file that were never committed.
TRAIN = """
    import json, random, sys
    import numpy
    from network.layers import width
    import gitrepro
    settings = json.load(open("settings/net.json"))
    numpy.random.seed(random.getrandbits(32))
    weights = numpy.random.standard_normal((width, settings["depth"]))
    with gitrepro.record(config={"depth": settings["depth"]}) as run:
        run.define_metric("val/accuracy", goal="max")
        for step in range(3):
            run.log({"val/accuracy": float(weights[step, 0])}, step=step)
    print(weights.sum().hex())
"""

NOTHING = "import random; random.random()"


@pytest.fixture
def code(repo: Path) -> Callable[..., None]:
    def code(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = repo / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))

    return code


@pytest.fixture
def recorded(repo: Path, cli: Cli) -> Callable[..., dict[str, Any]]:
    def recorded(*words: str, cwd: Path = repo) -> dict[str, Any]:
        done = cli("record", *words, cwd=cwd)
        assert done.returncode in (0, 1), done.stderr
        return shown(cli, cwd)

    return recorded


def shown(cli: Cli, repo: Path, run: str = "@last") -> dict[str, Any]:
    done = cli("show", run, "--json", cwd=repo)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def listed(cli: Cli, repo: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cli("ls", "--json", "--all", cwd=repo).stdout)
    return found


def repeated(cli: Cli, repo: Path, *words: str, code: int = 0) -> dict[str, Any]:
    done = cli("repeat", "@last", "--yes", "--json", *words, cwd=repo)
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def worktrees(repo: Path, git: Git) -> int:
    return git(repo, "worktree", "list", "--porcelain").count("worktree ")


def at_a_terminal(repo: Path, answer: str, *words: str) -> tuple[int, str]:
    """Run the command with a terminal as its standard input and error, and answer its question."""
    ours, theirs = pty.openpty()
    command = [PYTHON, "-m", "gitrepro", *words]
    child = subprocess.Popen(command, cwd=repo, stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    said, answered = b"", False
    while select.select([ours], [], [], 60)[0]:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        said += part
        if not answered and b"[y/N]" in said:
            os.write(ours, answer.encode())
            answered = True
        if not part:
            break
    os.close(ours)
    return child.wait(60), said.decode()


# -- checkout


def test_a_dirty_run_with_untracked_modules_gives_the_same_numbers_in_another_place(
    repo: Path, cli: Cli, git: Git, code: Callable[..., None]
) -> None:
    code({"train.py": TRAIN, "network/__init__.py": "", "network/layers.py": "width = 4\n"})
    code({"settings/net.json": '{"depth": 3}'})
    ran = cli("record", "--seed", "11", "--", PYTHON, "train.py", cwd=repo)
    assert ran.returncode == 0, ran.stderr
    place = Path(cli("checkout", "@last", cwd=repo).stdout.strip())
    # What is edited afterwards in the user's own tree has no part in it.
    code({"network/layers.py": "width = 5\n", "settings/net.json": '{"depth": 4}'})

    again = cli("record", "--seed", "11", "--", PYTHON, "train.py", cwd=place)
    other = cli("record", "--seed", "12", "--", PYTHON, "train.py", cwd=place)
    assert again.stdout == ran.stdout
    assert other.stdout != ran.stdout
    first, same = listed(cli, repo)[-1], listed(cli, repo)[1]
    assert (same["summary"], same["code"]["dirty"]) == (first["summary"], False)


def test_only_the_path_is_on_standard_output(repo: Path, cli: Cli, recorded: Callable[..., Any]) -> None:
    recorded("--name", "first try", "--", "true")
    done = cli("checkout", "@last", cwd=repo)

    assert done.stdout == f"{repo.parent / 'repo-first-try'}\n"
    assert "git worktree remove" in done.stderr


# -- repeat: the seeds


def test_the_repeats_of_a_run_are_one_seed_set_with_it(
    repo: Path, cli: Cli, git: Git, code: Callable[..., None], recorded: Callable[..., Any]
) -> None:
    code({"train.py": TRAIN, "network/__init__.py": "", "network/layers.py": "width = 4\n"})
    code({"settings/net.json": '{"depth": 3}'})
    first = recorded("--seed", "0", "--group", "width", "--", PYTHON, "train.py")
    # Repeated is what ran, and not what lies in the work tree now.
    code({"network/layers.py": "raise SystemExit(1)\n"})
    before = (git(repo, "status", "--porcelain"), git(repo, "rev-parse", "HEAD"))
    report = repeated(cli, repo, "--seeds", "1..2", "--jobs", "2")

    assert [(each["status"], each["faults"], each["hints"]) for each in report["repeats"]] == [("finished", [], [])] * 2
    assert len(report["runs"]) == 3
    values = [run["summary"]["val/accuracy"] for run in listed(cli, repo)]
    assert len({*values}) == 3
    metric = report["metrics"]["val/accuracy"]
    assert metric["count"] == 3
    assert metric["mean"] == pytest.approx(sum(values) / 3)
    for each in report["repeats"]:
        run = shown(cli, repo, each["id"])
        assert (run["group"], run["seeds"]["requested"]) == ("width", each["seed"])
        assert run["code"]["dirty"] is False
    assert first["id"] in report["runs"]
    assert (git(repo, "status", "--porcelain"), git(repo, "rev-parse", "HEAD")) == before
    assert worktrees(repo, git) == 1
    assert list((repo / ".git" / "gitrepro" / "jobs").iterdir()) == []


def test_a_seed_on_the_command_line_is_replaced(
    repo: Path, cli: Cli, git: Git, code: Callable[..., None], recorded: Callable[..., Any]
) -> None:
    code({"train.py": "import random, sys; random.seed(int(sys.argv[2])); print(random.random())"})
    recorded("--", PYTHON, "train.py", "--seed", "3", "--lr=3")
    report = repeated(cli, repo, "--seeds", "4")

    run = shown(cli, repo, report["repeats"][0]["id"])
    assert run["argv"][1:] == ["train.py", "--seed", "4", "--lr=3"]
    assert run["seeds"]["effective"]["python"] == 4
    assert report["repeats"][0]["faults"] == []


def test_settings_from_outside_the_command_line_come_again(
    repo: Path, cli: Cli, code: Callable[..., None], recorded: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "outside.yaml").write_text("depth: 3\nseed: 5\n")
    words = ("--config", str(tmp_path / "outside.yaml"), "--set", "lr=0.5", "--seed", "5")
    recorded(*words, "--", PYTHON, "-c", NOTHING)
    report = repeated(cli, repo, "--seeds", "6")

    assert shown(cli, repo, report["repeats"][0]["id"])["config"] == {"depth": 3, "lr": 0.5, "seed": 6}
    assert report["repeats"][0]["faults"] == []


def test_files_that_were_taken_in_are_taken_in_again(
    repo: Path, cli: Cli, code: Callable[..., None], recorded: Callable[..., Any]
) -> None:
    write = "import random; open('log.csv', 'w').write(f'step,loss\\n0,{random.random()}\\n')"
    code({"train.py": write})
    recorded("--metrics", "log.csv", "--no-tensorboard", "--seed", "0", "--", PYTHON, "train.py")
    report = repeated(cli, repo, "--seeds", "1")

    assert report["metrics"]["loss"]["count"] == 2
    assert report["metrics"]["loss"]["std"] > 0


def test_a_run_starts_again_in_the_folder_it_was_started_in(
    repo: Path, cli: Cli, code: Callable[..., None], recorded: Callable[..., Any]
) -> None:
    code({"deep/er/train.py": "import os; open('../../train.py'); assert os.getcwd().endswith('deep/er')"})
    run = recorded("--", PYTHON, "train.py", cwd=repo / "deep" / "er")

    assert run["status"] == "finished"
    assert repeated(cli, repo, "-n", "1")["repeats"][0]["status"] == "finished"


def test_a_seed_that_ran_already_is_refused(repo: Path, cli: Cli, recorded: Callable[..., Any]) -> None:
    run = recorded("--seed", "3", "--", PYTHON, "-c", NOTHING)
    done = cli("repeat", "@last", "--yes", "--seeds", "2..4", cwd=repo)

    assert done.returncode == 2
    assert f"3 by {run['id'][-8:]}" in done.stderr
    assert len(listed(cli, repo)) == 1


def test_a_program_that_goes_by_its_own_seed_is_no_new_evidence(
    repo: Path, cli: Cli, code: Callable[..., None], recorded: Callable[..., Any]
) -> None:
    code({"train.py": "import random; random.seed(0); print(random.random())"})
    first = recorded("--", PYTHON, "train.py")
    report = repeated(cli, repo, "-n", "1", code=1)

    assert report["repeats"][0]["faults"] == [f"no new evidence: run {first['id'][-8:]} had the same seeds in force"]
    assert report["runs"] == [first["id"]]


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ("{'stamp': time.time_ns(), 'lr': 1}", "it is not of the same seed set: stamp differ in its config"),
        ("{'seed': 5}", "the program goes by its own seed: seed is 5"),
    ],
)
def test_a_config_that_does_not_follow_the_seed_alone_is_a_fault(
    repo: Path, cli: Cli, code: Callable[..., None], recorded: Callable[..., Any], config: str, fault: str
) -> None:
    code({"train.py": f"import gitrepro, random, time\nwith gitrepro.record(config={config}): random.random()"})
    recorded("--seed", "0", "--", PYTHON, "train.py")
    report = repeated(cli, repo, "--seeds", "1", code=1)

    assert report["repeats"][0]["faults"] == [fault]
    assert len(report["runs"]) == 1


def test_code_that_git_reads_otherwise_by_now_is_a_fault(
    repo: Path, cli: Cli, git: Git, recorded: Callable[..., Any]
) -> None:
    git(repo, "config", "core.autocrlf", "input")
    (repo / "model.py").write_bytes(b"depth = 1\r\n")
    recorded("--", PYTHON, "-c", NOTHING)
    git(repo, "config", "core.autocrlf", "false")
    report = repeated(cli, repo, "-n", "1", code=1)

    assert report["repeats"][0]["faults"] == ["it ran other code: modified model.py"]


def test_another_environment_is_said(repo: Path, cli: Cli, tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        metadata = tmp_path / version / f"net-{version}.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Name: net\nVersion: {version}\n")
    before, now = ({"PYTHONPATH": f"{tmp_path / version}"} for version in ("1.0", "2.0"))
    cli("record", "--", PYTHON, "-c", NOTHING, cwd=repo, env=before)
    done = cli("repeat", "@last", "-n", "1", "--yes", "--json", cwd=repo, env=now)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["repeats"][0]["hints"] == ["the environment is another one: net 1.0 is now 2.0"]


def test_other_code_is_not_passed_off_as_a_repeat(
    repo: Path, cli: Cli, git: Git, code: Callable[..., None], recorded: Callable[..., Any], tmp_path: Path
) -> None:
    """As where a package is found elsewhere: installed, or by an absolute path."""
    code({"train.py": f"import random, sys; sys.path.insert(0, {str(repo)!r}); import src.net; random.random()"})
    code({"src/__init__.py": "", "src/net.py": ""})
    recorded("--", PYTHON, "train.py")
    report = repeated(cli, repo, "-n", "1", code=1)

    assert "src of its code was not imported from the checkout" in report["repeats"][0]["faults"][0]


def test_a_package_installed_in_place_is_taken_from_the_checkout(
    repo: Path, cli: Cli, git: Git, code: Callable[..., None], tmp_path: Path
) -> None:
    code({"src/net/__init__.py": "depth = 1\n", "train.py": "import net, random; random.random(); print(net.depth)"})
    metadata = tmp_path / "site" / "net-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Name: net\nVersion: 1.0\n")
    (metadata / "direct_url.json").write_text(json.dumps({"url": f"file://{repo}", "dir_info": {"editable": True}}))
    env = {"PYTHONPATH": f"{tmp_path / 'site'}:{repo / 'src'}:{os.environ.get('PYTHONPATH', '')}"}
    cli("record", "--", PYTHON, "train.py", cwd=repo, env=env)
    code({"src/net/__init__.py": "depth = 2\n"})
    done = cli("repeat", "@last", "-n", "1", "--yes", "--json", "--keep", cwd=repo, env=env)

    assert done.returncode == 0, done.stderr
    log = Path(json.loads(done.stdout)["repeats"][0]["folder"]).parent / "output.log"
    assert "\n1\n" in log.read_text()


def test_data_that_git_ignores_is_lent_to_the_checkouts(
    repo: Path, cli: Cli, git: Git, code: Callable[..., None], recorded: Callable[..., Any]
) -> None:
    code({".gitignore": "/data\n", "train.py": "import random; random.random(); open('data/x/rows.csv').read()"})
    code({"data/x/rows.csv": "1,2\n"})
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "data")
    recorded("--", PYTHON, "train.py")
    without = repeated(cli, repo, "-n", "1", code=6)

    assert without["repeats"][0]["status"] == "failed"
    assert "`--link data`" in without["repeats"][0]["hints"][0]
    first = listed(cli, repo)[-1]["id"]
    done = cli("repeat", first, "--yes", "--json", "-n", "1", "--link", "data", cwd=repo)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["repeats"][0]["faults"] == []
    assert (repo / "data" / "x" / "rows.csv").read_text() == "1,2\n"


def test_only_what_lies_in_the_work_tree_is_lent(repo: Path, cli: Cli, recorded: Callable[..., Any]) -> None:
    recorded("--", "true")

    for path, code in {"/etc": 2, "..": 2, ".": 2, "missing": 3}.items():
        assert cli("repeat", "@last", "--yes", "-n", "1", "--link", path, cwd=repo).returncode == code
    assert len(listed(cli, repo)) == 1


def test_a_checkout_is_kept_on_request(repo: Path, cli: Cli, git: Git, recorded: Callable[..., Any]) -> None:
    recorded("--", PYTHON, "-c", NOTHING)
    report = repeated(cli, repo, "-n", "1", "--keep")

    assert (Path(report["repeats"][0]["folder"]) / "train.py").exists()
    assert worktrees(repo, git) == 2


def test_a_table_shows_each_seed_and_what_they_say_together(
    repo: Path, cli: Cli, code: Callable[..., None], recorded: Callable[..., Any]
) -> None:
    code({"train.py": "import gitrepro, random\nwith gitrepro.record() as run: run.log({'loss': random.random()})"})
    recorded("--seed", "0", "--", PYTHON, "train.py")
    done = cli("repeat", "@last", "--yes", "--seeds", "1", cwd=repo)

    rows = [row.split("\t") for row in done.stdout.splitlines()]
    assert rows[0][:3] == ["seed", "id", "status"]
    assert [row[0] for row in rows[1:]] == ["0", "1", "mean", "std"]
    assert rows[2][3] == "new"
    assert rows[4][3] == "n = 2"
    assert rows[4][4].startswith("± ")


# -- repeat: consent


def test_without_a_terminal_nothing_runs_unless_it_is_told_to(
    repo: Path, cli: Cli, recorded: Callable[..., Any]
) -> None:
    recorded("--", PYTHON, "-c", NOTHING)
    done = cli("repeat", "@last", "-n", "1", cwd=repo, input="y\n")

    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert len(listed(cli, repo)) == 1


def test_at_a_terminal_the_command_is_shown_and_asked_for(repo: Path, cli: Cli, recorded: Callable[..., Any]) -> None:
    recorded("--", PYTHON, "-c", NOTHING, "--seed", "3")
    code, said = at_a_terminal(repo, "\n", "repeat", "@last", "--seeds", "1,2")

    assert code == 1
    assert "nothing was run" in said
    assert f"{PYTHON} -c '{NOTHING}' --seed SEED" in said
    assert len(listed(cli, repo)) == 1
    code, _ = at_a_terminal(repo, "y\n", "repeat", "@last", "--seeds", "1")
    assert code == 0
    assert len(listed(cli, repo)) == 2


def test_a_hostile_command_is_shown_in_full_and_never_reaches_a_shell(
    repo: Path, cli: Cli, recorded: Callable[..., Any], tmp_path: Path
) -> None:
    hostile = ["$(touch shell)", "`touch shell`", "; touch shell", "\x1b[2K\rtrue", "\u202egnp.exe", "a\nb", "-rf", "~"]
    program = "import json, sys; json.dump(sys.argv[1:], open(sys.argv[-1], 'w'))"
    report = tmp_path / "report.json"
    recorded("--", PYTHON, "-c", program, *hostile, str(report))
    report.unlink()
    done = cli("repeat", "@last", "-n", "1", "--yes", cwd=repo)

    assert done.returncode == 0, done.stderr
    assert json.loads(report.read_text()) == [*hostile, str(report)]
    assert not list(tmp_path.rglob("shell"))
    for shown_as in ("\\x1b[2K\\rtrue", "\\u202egnp.exe", "a\\nb", "'$(touch shell)'"):
        assert shown_as in done.stderr
    assert "\x1b" not in done.stderr + done.stdout
    assert "\u202e" not in done.stderr + done.stdout


def test_a_command_whose_secrets_were_kept_out_is_not_run(repo: Path, cli: Cli, recorded: Callable[..., Any]) -> None:
    recorded("--", PYTHON, "-c", NOTHING, "--password", "hunter2-and-more")
    done = cli("repeat", "@last", "-n", "1", "--yes", cwd=repo)

    assert done.returncode == 2
    assert "a secret in it was kept out" in done.stderr
    assert len(listed(cli, repo)) == 1


@pytest.mark.parametrize("words", [(), ("-n", "1", "--seeds", "2"), ("--seeds", "x"), ("-n", "0")])
def test_it_must_be_said_how_often(repo: Path, cli: Cli, words: tuple[str, ...]) -> None:
    done = cli("repeat", "@last", "--yes", *words, cwd=repo)

    assert done.returncode == 2
    assert "do:" in done.stderr


# -- repeat: the end


def test_a_seed_that_fails_is_shown_and_costs_the_others_nothing(
    repo: Path, cli: Cli, code: Callable[..., None], recorded: Callable[..., Any]
) -> None:
    code({"train.py": "import os, random; random.random(); exit(os.environ['GITREPRO_SEED'] == '2')"})
    recorded("--seed", "0", "--", PYTHON, "train.py")
    report = repeated(cli, repo, "--seeds", "1..3", code=6)

    found = {each["seed"]: (each["status"], each["exit_code"]) for each in report["repeats"]}
    assert found == {1: ("finished", 0), 2: ("failed", 1), 3: ("finished", 0)}
    assert len(report["runs"]) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_it_interrupts_the_runs_and_leaves_no_checkout(
    repo: Path, cli: Cli, git: Git, code: Callable[..., None], recorded: Callable[..., Any], tmp_path: Path, number: int
) -> None:
    os.mkfifo(tmp_path / "runs")
    command = [PYTHON, "-m", "gitrepro", "repeat", "@last", "--yes", "--json", "--seeds", "1..3"]
    code(
        {
            "train.py": """
            import os, time
            if "RUNS" in os.environ:
                open(os.environ["RUNS"], "w").close()
                time.sleep(100)
        """
        }
    )
    recorded("--seed", "0", "--", PYTHON, "train.py")
    child = subprocess.Popen(
        command, cwd=repo, env={**os.environ, "RUNS": str(tmp_path / "runs")}, stdout=subprocess.PIPE, text=True
    )
    (tmp_path / "runs").read_text()
    child.send_signal(number)
    out, _ = child.communicate(timeout=120)

    assert child.returncode == 130
    assert [(each["seed"], each["status"]) for each in json.loads(out)["repeats"]] == [(1, "interrupted")]
    assert len(listed(cli, repo)) == 2
    assert worktrees(repo, git) == 1
