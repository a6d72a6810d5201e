"""The start of a recorded Python: real interpreters, with the bootstrap first on their path."""

from __future__ import annotations

import ast
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gitrepro

PACKAGE = Path(gitrepro.__file__).parent
BOOTSTRAP = PACKAGE / "bootstrap"
Event = dict[str, Any]
Start = Callable[..., subprocess.CompletedProcess[str]]

DRAW = """
import random, json
print(json.dumps([random.random(), random.random()]))
"""
DRAW_ALL = """
import json, random, numpy as np, torch
print(json.dumps([random.random(), np.random.rand(), torch.rand(1).item()]))
"""


@pytest.fixture
def live(tmp_path: Path) -> Path:
    folder = tmp_path / "live"
    folder.mkdir()
    return folder


@pytest.fixture
def start(live: Path, tmp_path: Path) -> Start:
    """Run a script in a child, as `gitrepro record --seed 7` would."""

    def run(
        script: str, *flags: str, python: str = sys.executable, path: str = str(BOOTSTRAP), **variables: str | None
    ) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "train.py"
        file.write_text(textwrap.dedent(script))
        recorded = {
            "GITREPRO_LIVE": str(live),
            "GITREPRO_RUN": "01jd0000000000000000000000",
            "GITREPRO_SEED": "7",
            "GITREPRO_SEEDING": "on",
            "GITREPRO_ROOT": str(tmp_path),
            "PYTHONPATH": path,
        }
        environment = {**os.environ, **recorded, **variables}
        return subprocess.run(
            [python, *flags, str(file)],
            env={name: value for name, value in environment.items() if value is not None},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def reports(live: Path) -> list[list[Event]]:
    """The events of every process that left some, the earliest first."""
    files = sorted(live.iterdir(), key=lambda file: int(file.stem.rpartition("-")[2]))
    return [[json.loads(line) for line in file.read_text().splitlines()] for file in files]


def only_report(live: Path) -> list[Event]:
    (events,) = reports(live)
    return events


def last_generators(events: list[Event]) -> dict[str, Any]:
    told: list[dict[str, Any]] = [event["generators"] for event in events if "generators" in event]
    return told[-1]


def clean(done: subprocess.CompletedProcess[str]) -> str:
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


# Seeding


def test_two_runs_with_one_seed_draw_the_same(start: Start) -> None:
    first = clean(start(DRAW_ALL))
    assert first == clean(start(DRAW_ALL))
    assert first != clean(start(DRAW_ALL, GITREPRO_SEED="8"))
    assert json.loads(first)[:2] == [random.Random(7).random(), np.random.RandomState(7).rand()]


def test_seeding_off_seeds_nothing_and_says_nobody_did(start: Start, live: Path) -> None:
    drawn = [clean(start(DRAW, GITREPRO_SEED=None, GITREPRO_SEEDING="off")) for _ in range(2)]

    assert drawn[0] != drawn[1]
    row = last_generators(reports(live)[0])["python"]
    assert (row["requested"], row["effective"], row["seeded_by"], row["used"]) == (None, None, "nobody", True)


def test_a_users_own_seed_is_effective_and_ours_requested(start: Start, live: Path) -> None:
    clean(start("import torch; torch.manual_seed(3); torch.rand(1)"))

    row = last_generators(only_report(live))["torch"]
    assert (row["requested"], row["effective"], row["seeded_by"], row["used"]) == (7, 3, "user", True)


def test_a_seed_taken_by_name_from_its_module_is_seen(start: Start, live: Path) -> None:
    clean(start("from random import seed; seed(5)"))

    assert last_generators(only_report(live))["python"]["effective"] == 5


def test_reading_the_state_gives_what_the_seed_gives(start: Start) -> None:
    printed = clean(start("import random, json; print(json.dumps(random.getstate()))"))

    assert json.loads(printed) == json.loads(json.dumps(random.Random(7).getstate()))


@pytest.mark.parametrize("seed", ["", "seven", "-1", "99999999999"])
def test_a_seed_that_is_none_harms_nobody(start: Start, seed: str) -> None:
    assert len(json.loads(clean(start(DRAW, GITREPRO_SEED=seed)))) == 2


# What is told


def test_the_report_begins_with_the_process_and_ends_with_its_generators(start: Start, live: Path) -> None:
    clean(start(DRAW))
    events = only_report(live)

    assert [event["event"] for event in events if event["event"] != "environment"] == ["python", "seeds", "end"]
    begin = events[0]
    assert begin["argv"][-1].endswith("train.py")
    assert (begin["ppid"], begin["cwd"]) == (os.getpid(), str(live.parent))
    assert begin["version"] == sys.version.split()[0]
    row = events[-1]["generators"]["python"]
    assert (row["effective"], row["seeded_by"], row["used"]) == (7, "gitrepro", True)


def test_the_environment_is_told_as_soon_as_numpy_is_there(start: Start, live: Path) -> None:
    start("import numpy.random, os; os._exit(0)")
    (environment,) = [event["environment"] for event in only_report(live) if event["event"] == "environment"]

    assert environment["python"]["version"] == sys.version.split()[0]
    assert environment["packages"]["numpy"] == np.__version__


def test_the_end_names_the_users_own_modules_and_what_was_spent(start: Start, live: Path, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("size = 3\n")
    clean(start("import model, numpy"))
    end = only_report(live)[-1]

    assert "model.py" in end["local_modules"]
    assert end["frameworks"]["numpy"]["version"] == np.__version__
    assert end["usage"]["peak_memory_bytes"] > 1_000_000


def test_words_that_are_no_text_are_told(start: Start, live: Path, tmp_path: Path) -> None:
    odd = tmp_path / 'quote " \n ü.py'
    odd.write_text("pass")
    environment = {**os.environ, "GITREPRO_LIVE": str(live), "PYTHONPATH": str(BOOTSTRAP)}
    subprocess.run([sys.executable, str(odd), b"\xff"], env=environment, check=True)

    assert only_report(live)[0]["argv"][-2:] == [str(odd), "\udcff"]


@pytest.mark.parametrize("ending", ["raise ValueError('diverged')", "raise SystemExit(3)"])
def test_an_unhappy_end_is_told_too(start: Start, live: Path, ending: str) -> None:
    done = start(f"import random; random.random(); {ending}")

    assert done.returncode in (1, 3)
    assert only_report(live)[-1]["event"] == "end"


def test_a_traceback_is_the_users_alone(start: Start) -> None:
    script = "import numpy as np; np.random.default_rng(-1)"
    expected = start(script, GITREPRO_LIVE=None, PYTHONPATH=None).stderr
    frames = [line for line in start(script).stderr.splitlines() if "_gitrepro" not in line and "seeds.py" not in line]

    assert frames[-1] == expected.splitlines()[-1]


@pytest.mark.parametrize("ending", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_sudden_death_leaves_the_seeds_on_record(start: Start, live: Path, ending: str) -> None:
    done = start(f"import os, random, signal; random.seed(5); {ending}")
    events = only_report(live)

    assert done.returncode in (0, -signal.SIGKILL)
    assert "end" not in [event["event"] for event in events]
    row = last_generators(events)["python"]
    assert (row["requested"], row["effective"], row["seeded_by"]) == (7, 5, "user")


def test_a_live_folder_that_takes_no_file_keeps_no_seed_from_being_set(start: Start) -> None:
    assert json.loads(clean(start(DRAW, GITREPRO_LIVE="/proc")))[0] == random.Random(7).random()


def test_a_live_folder_that_vanished_harms_nobody(start: Start) -> None:
    script = "import os, shutil; shutil.rmtree(os.environ['GITREPRO_LIVE']); import random; random.seed(3)"
    clean(start(script))


def test_closing_every_descriptor_costs_us_nothing_and_the_user_no_file(
    start: Start, live: Path, tmp_path: Path
) -> None:
    clean(
        start("""
        import os, random
        os.closerange(3, 256)
        own = open("results.txt", "w")
        random.seed(5)
        own.write("accuracy 0.9")
        """)
    )

    assert (tmp_path / "results.txt").read_text() == "accuracy 0.9"
    assert last_generators(only_report(live))["python"]["effective"] == 5


# Whose process is it?


def test_a_forked_child_tells_nothing(start: Start, live: Path) -> None:
    clean(
        start("""
        import os, random, sys
        random.seed(5)
        child = os.fork()
        if child == 0:
            random.seed(6)
            sys.exit(0)
        os.waitpid(child, 0)
        """)
    )

    told = [(event["event"], event.get("argument")) for event in only_report(live) if event["event"] != "environment"]
    assert told == [("python", None), ("seeds", 7), ("seeds", 5), ("end", None)]


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_workers_of_multiprocessing_tell_nothing_and_keep_their_seeds(start: Start, live: Path, method: str) -> None:
    done = start(f"""
        import multiprocessing, random
        def draw(_):
            return random.random()
        if __name__ == "__main__":
            with multiprocessing.get_context({method!r}).Pool(2) as pool:
                print(pool.map(draw, [0], chunksize=1))
    """)

    assert len(reports(live)) == 1
    assert str(random.Random(7).random()) not in clean(done)


def test_a_python_that_the_program_starts_reports_for_itself(start: Start, live: Path) -> None:
    clean(start("import subprocess, sys; subprocess.run([sys.executable, '-c', 'import random'], check=True)"))
    parent, child = reports(live)

    assert child[0]["ppid"] == parent[0]["pid"]
    assert child[0]["argv"][1:] == ["-c", "import random"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "pip", "--version"],
        ["-Im", "pip", "--version"],
        ["-mpip", "--version"],
        ["-W", "ignore", "-X", "utf8", "-m", "ensurepip", "--version"],
        ["-c", "from multiprocessing.resource_tracker import main", "3"],
        ["-m", "joblib.externals.loky.backend.popen_loky_posix"],
        ["-Bc", "from multiprocessing.forkserver import main"],
    ],
)
def test_installers_and_workers_are_left_alone(live: Path, arguments: list[str]) -> None:
    environment = {**os.environ, "GITREPRO_LIVE": str(live), "PYTHONPATH": str(BOOTSTRAP)}
    subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, timeout=60)

    assert reports(live) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "from multiprocessing.pool import Pool"],
        ["-c", "pass # like multiprocessing.spawn"],
        ["-W", "ignore", "-c", "print('pip')"],
    ],
)
def test_programs_that_only_sound_like_them_are_not(live: Path, arguments: list[str]) -> None:
    environment = {**os.environ, "GITREPRO_LIVE": str(live), "PYTHONPATH": str(BOOTSTRAP)}
    subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, timeout=60)

    assert len(reports(live)) == 1


@pytest.mark.parametrize("folder", [None, "", "/nowhere/at/all"])
def test_without_a_live_folder_nothing_happens(start: Start, live: Path, folder: str | None) -> None:
    script = "import sys, random; print([name for name in sys.modules if 'gitrepro' in name], len(sys.meta_path))"
    expected = clean(start(script, PYTHONPATH=None, GITREPRO_LIVE=None))

    assert clean(start(script, GITREPRO_LIVE=folder)) == expected
    assert reports(live) == []


# Python as it was


@pytest.mark.parametrize("flag", ["-S", "-I", "-E"])
def test_a_python_that_takes_no_path_runs_unrecorded(start: Start, live: Path, flag: str) -> None:
    assert len(json.loads(clean(start(DRAW, flag)))) == 2
    assert reports(live) == []


def test_nothing_of_us_is_left_on_the_path(start: Start) -> None:
    script = "import sys; print(sys.path, 'sitecustomize' in sys.modules)"

    assert clean(start(script)) == clean(start(script, PYTHONPATH=None, GITREPRO_LIVE=None))


def test_the_start_imports_nothing_costly(start: Start) -> None:
    costly = {"json", "hashlib", "random", "inspect", "typing", "importlib.util", "threading", "numpy", "dataclasses"}
    script = "import sys; print(*sys.modules)"
    plain = set(clean(start(script, PYTHONPATH=None, GITREPRO_LIVE=None)).split())

    assert not (set(clean(start(script)).split()) - plain) & costly


def test_pythonstartup_is_left_alone(start: Start, tmp_path: Path) -> None:
    startup = tmp_path / "startup.py"
    startup.write_text("print('started')\n")
    script = "import os; print(os.environ['PYTHONSTARTUP'])"

    assert clean(start(script, PYTHONSTARTUP=str(startup))) == f"{startup}\n"


def other(tmp_path: Path, source: str) -> str:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(textwrap.dedent(source))
    return str(folder)


def test_another_sitecustomize_runs_as_ever(start: Start, live: Path, tmp_path: Path) -> None:
    theirs = other(tmp_path, "import sys; sys.path.append('/added'); answer = 42; import random; random.seed(1)")
    script = "import sitecustomize, sys; print(sitecustomize.answer, sitecustomize.__file__, sys.path)"

    with_us = clean(start(script, path=os.pathsep.join([str(BOOTSTRAP), theirs])))
    assert with_us == clean(start(script, path=theirs, GITREPRO_LIVE=None))
    assert last_generators(only_report(live))["python"]["effective"] == 1


@pytest.mark.parametrize("error", ["raise RuntimeError('theirs')", "import no_such_module", "raise SystemExit(4)"])
def test_a_failing_sitecustomize_fails_as_ever(start: Start, tmp_path: Path, error: str) -> None:
    theirs = other(tmp_path, error)
    without_us = start("print('ran')", path=theirs, GITREPRO_LIVE=None)
    with_us = start("print('ran')", path=os.pathsep.join([str(BOOTSTRAP), theirs]))

    assert with_us.returncode == without_us.returncode
    assert with_us.stdout == without_us.stdout
    assert with_us.stderr.splitlines()[-1:] == without_us.stderr.splitlines()[-1:]


def test_another_sitecustomize_runs_without_a_live_folder_too(start: Start, tmp_path: Path) -> None:
    theirs = other(tmp_path, "answer = 42")
    path = os.pathsep.join([str(BOOTSTRAP), theirs])

    assert clean(start("import sitecustomize as s; print(s.answer)", path=path, GITREPRO_LIVE=None)) == "42\n"


# Strangers' interpreters


def test_a_python_with_neither_numpy_nor_gitrepro_is_seeded(start: Start, live: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    script = DRAW + "\ntry:\n    import numpy\nexcept ImportError:\n    print('no numpy')"
    printed = clean(start(script, python=str(tmp_path / "bare" / "bin" / "python")))

    assert json.loads(printed.splitlines()[0])[0] == random.Random(7).random()
    assert printed.splitlines()[1:] == ["no numpy"]
    assert set(only_report(live)[-1]["generators"]) == {"hash", "python"}


@pytest.mark.parametrize("minor", range(8, 16))
def test_every_python_at_hand_is_seeded_and_reports(start: Start, live: Path, minor: int) -> None:
    python = shutil.which(f"python3.{minor}")
    if python is None or subprocess.run([python, "-c", "import random"], capture_output=True).returncode != 0:
        pytest.skip(f"no Python 3.{minor} here")
    printed = clean(start(DRAW, python=python))

    assert json.loads(printed)[0] == random.Random(7).random()
    assert only_report(live)[0]["argv"][-1].endswith("train.py")
    assert only_report(live)[-1]["generators"]["python"]["used"]


def test_the_bootstrap_alone_harms_nobody(start: Start, tmp_path: Path) -> None:
    shutil.copytree(BOOTSTRAP, tmp_path / "lonely" / "bootstrap")

    assert len(json.loads(clean(start(DRAW, path=str(tmp_path / "lonely" / "bootstrap"))))) == 2


def test_a_broken_helper_harms_nobody(start: Start, live: Path, tmp_path: Path) -> None:
    for name in ("bootstrap", "training"):
        shutil.copytree(PACKAGE / name, tmp_path / "copy" / name)
    (tmp_path / "copy" / "capture").mkdir()
    (tmp_path / "copy" / "capture" / "environment.py").write_text("def describe(:\n")
    clean(start(DRAW, path=str(tmp_path / "copy" / "bootstrap")))

    end = only_report(live)[-1]
    assert set(end) == {"event", "generators"}


@pytest.mark.parametrize("name", ["bootstrap/sitecustomize.py", "training/seeds.py"])
def test_what_runs_there_reads_as_python_3_8(name: str) -> None:
    ast.parse((PACKAGE / name).read_text(), feature_version=(3, 8))
