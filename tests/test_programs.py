"""Programs that nobody edited for us, run as their users would, twice: what is on record is what they did.

Each is compared with what the program itself printed or wrote. They lie in `tests/programs/`.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import shutil
import socket
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Cli, Git

PROGRAMS = Path(__file__).parent / "programs"
Place = Callable[[str], Path]


@pytest.fixture
def place(repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Place:
    """`place("hydra_app")`: the repository with that program in it, committed, and its tools on PATH."""

    def lay(name: str) -> Path:
        shutil.copytree(PROGRAMS / name, repo, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        git(repo, "add", "--all")
        git(repo, "commit", "--quiet", "--message", name)
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        return repo

    return lay


def recorded(cli: Cli, repo: Path, *words: str) -> tuple[str, dict[str, Any]]:
    """What the program printed, and its run as `gitrepro show --json` gives it."""
    done = cli("record", *words, cwd=repo)
    assert done.returncode == 0, done.stderr
    return done.stdout, shown(cli, repo)


def shown(cli: Cli, repo: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli("show", "--json", cwd=repo).stdout)
    return found


def table(cli: Cli, repo: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of each metric, from the table that people get."""
    rows = list(csv.DictReader(cli("show", "--metrics", cwd=repo).stdout.splitlines(), delimiter="\t"))
    names = [name for name in (rows[0] if rows else ()) if not name.startswith("_")]
    return {name: [(int(row["_step"]), float(row[name])) for row in rows if row[name]] for name in names}


def draws(cli: Cli, repo: Path) -> list[int]:
    """Of each seed set, how many of its runs count as draws."""
    return [each["n"] for each in json.loads(cli("ls", "--sets", "--json", cwd=repo).stdout)]


def finished_from(run: dict[str, Any], repo: Path, git: Git) -> None:
    """The run finished, with nothing lost, from a clean tree of the commit that is checked out."""
    assert (run["status"], run["reason"], run["losses"]) == ("finished", None, [])
    code = run["code"]
    assert (code["commit"], code["branch"], code["folder"]) == (git(repo, "rev-parse", "HEAD"), "main", ".")
    assert (code["dirty"], code["changes"], code["snapshot"], code["edited"]) == (False, [], None, [])
    modules = code.get("module_digests", {})
    assert modules == {path: git(repo, "rev-parse", f"HEAD:{path}") for path in modules}
    assert run["env"]["python"]["version"] == platform.python_version()
    assert run["env"]["packages"]["numpy"] == version("numpy")


@pytest.mark.slow
def test_a_plain_torch_program_is_on_record_with_its_options_its_own_seed_and_what_it_wrote(
    place: Place, cli: Cli, git: Git
) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    blake3 = pytest.importorskip("blake3").blake3
    repo = place("plain_torch")
    words = ("--out", "*.pt", "--", "python", "main.py", "--epochs", "2", "--seed", "3", "--save-model")
    printed, run = recorded(cli, repo, *words)

    finished_from(run, repo, git)
    assert run["argv"] == list(words[3:])
    assert run["config"] == {
        "batch_size": 64, "dropout": 0.25, "epochs": 2, "log_interval": 10, "lr": 0.01, "save_model": True, "seed": 3,
        "workers": 2,
    }  # fmt: skip
    given = {key for key, source in run["config_sources"].items() if source == "argv"}
    assert given == {"epochs", "seed", "save_model"}
    assert {run["config_sources"][key] for key in run["config"].keys() - given} == {"default"}
    assert (run["seeds"]["source"], run["seeds"]["effective"]) == ("drawn", {"torch": 3})
    [process] = run["seeds"]["processes"]
    assert (process["torch"]["requested"], process["torch"]["seeded_by"]) == (run["seeds"]["requested"], "user")
    assert (process["python"]["used"], process["numpy"]["used"]) == (False, False)
    assert list(run["code"]["module_digests"]) == ["main.py"]
    assert run["env"]["frameworks"]["torch"]["version"] == torch.__version__
    assert "sklearn" in run["env"]["frameworks"]
    assert (run["metrics"], run["ranks"]) == ({}, None)
    assert re.findall(r"Accuracy: (\d+)/360", printed), "the program trains"
    assert cli("show", "--output", cwd=repo).stdout == printed
    assert {each["name"]: each["blob"] for each in run["artifacts"]} == {
        "output.log": f"b3:{blake3(printed.encode()).hexdigest()}",
        "digits.pt": f"b3:{blake3((repo / 'digits.pt').read_bytes()).hexdigest()}",
    }

    again, second = recorded(cli, repo, *words)
    assert again == printed
    assert second["seeds"]["requested"] != run["seeds"]["requested"]
    assert draws(cli, repo) == [1], "its own seed is in force, so the second run is no second draw"


def test_a_hydra_program_is_on_record_as_it_was_composed(place: Place, cli: Cli, git: Git) -> None:
    pytest.importorskip("hydra")
    repo = place("hydra_app")
    words = ("--seed", "9", "--", "python", "train.py", "optim=adam", "optim.lr=0.5", "model.depth=5")
    printed, run = recorded(cli, repo, *words)

    finished_from(run, repo, git)
    config = run["config"]
    assert config == {
        "epochs": 3,
        "model": {"depth": 5, "width": 32},
        "optim": {"betas": [0.9, 0.999], "lr": 0.5, "name": "adam"},
        "run_name": "adam-5",
    }
    told = (config["optim"]["name"], config["optim"]["lr"], config["model"]["depth"], config["run_name"])
    assert printed.split() == [str(each) for each in told]
    sources = run["config_sources"]
    assert (sources["optim.lr"], sources["model.depth"]) == ("argv", "argv")
    assert (sources["model.width"], sources["epochs"]) == ("file:conf/model/small.yaml", "file:conf/config.yaml")
    assert run["seeds"]["requested"] == run["seeds"]["effective"]["python"] == 9
    assert (run["seeds"]["source"], run["metrics"]) == ("command line", {})
    assert cli("show", "--output", cwd=repo).stdout == printed

    again, second = recorded(cli, repo, *words)
    assert (again, second["config"]) == (printed, config)


@pytest.mark.slow
def test_a_tensorboard_program_has_the_points_that_tensorboard_itself_reads(place: Place, cli: Cli, git: Git) -> None:
    pytest.importorskip("tensorboardX")
    repo = place("tensorboard_app")

    def once(logs: str, seed: str) -> tuple[dict[str, Any], dict[str, list[tuple[int, float]]]]:
        words = ("--seed", seed, "--", "python", "train.py", logs, "5", "--noise", "0.5")
        printed, run = recorded(cli, repo, *words)
        assert printed == "".join(f"step {step}\n" for step in range(5))
        return run, table(cli, repo)

    run, points = once("logs/first", "9")
    assert (run["status"], [loss["kind"] for loss in run["losses"]]) == ("finished", ["not-taken-in"])
    assert run["config"] == {"logdir": "logs/first", "steps": 5, "pause_seconds": 0.0, "noise": 0.5}
    assert run["seeds"]["effective"] == {"python": 9}
    assert points == written_by_tensorboard(repo / "logs/first")
    assert {name: facts["count"] for name, facts in run["metrics"].items()} == dict.fromkeys(points, 5)

    assert once("logs/second", "9")[1] == points
    assert once("logs/third", "10")[1] != points


def written_by_tensorboard(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The scalars below a folder, as TensorBoard reads them."""
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = {}
    for part in sorted(folder.iterdir()):
        events = module.EventAccumulator(str(part)).Reload()
        for tag in events.Tags()["scalars"]:
            found[f"{part.name}/{tag}"] = [(each.step, each.value) for each in events.Scalars(tag)]
    return found


def executed(repo: Path) -> tuple[list[str], str]:
    """The sources of a notebook's code cells, and what it prints when a kernel of its own runs it."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.read(repo / "train.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(repo)}}).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell.source for cell in cells], "".join(
        each.text for cell in cells for each in cell.outputs if each.name == "stdout"
    )


def cells_of(run: dict[str, Any], repo: Path, git: Git) -> list[str]:
    [path] = [
        name
        for name in git(repo, "ls-tree", "-r", "--name-only", "refs/gitrepro/runs").splitlines()
        if run["id"] in name and name.endswith("/cells.yaml")
    ]
    document = yaml.safe_load(git(repo, "cat-file", "blob", f"refs/gitrepro/runs:{path}"))
    return [cell["source"] for cell in document["cells"]]


@pytest.mark.slow
def test_a_notebook_is_on_record_whether_its_kernel_was_recorded_or_recorded_itself(
    place: Place, cli: Cli, git: Git
) -> None:
    pytest.importorskip("sklearn")
    repo = place("notebook")
    sources, printed = executed(repo)
    points = {"val/accuracy": [(int(step), float(value)) for step, value in map(str.split, printed.splitlines())]}
    assert len(points["val/accuracy"]) == 4

    def check(run: dict[str, Any]) -> None:
        finished_from(run, repo, git)
        assert table(cli, repo) == points
        assert run["summary"] == {"val/accuracy": max(value for _, value in points["val/accuracy"])}
        assert (run["config"], run["group"]) == ({"alpha": 0.0001, "eta0": 0.01, "epochs": 4}, "notebook")
        assert set(run["config_sources"].values()) == {"code"}
        assert run["seeds"]["effective"]["numpy"] == 5
        assert run["env"]["frameworks"]["sklearn"]["version"] == version("scikit-learn")
        assert cells_of(run, repo, git) == sources

    alone = shown(cli, repo)
    check(alone)
    assert (alone["seeds"]["requested"], alone["seeds"]["source"]) == (5, "code")

    words = ("jupyter", "execute", "train.ipynb")
    _, under = recorded(cli, repo, "--seed", "1", "--", *words)
    check(under)
    assert (under["argv"], under["seeds"]["requested"]) == (list(words), 1)
    assert executed(repo)[1] == printed


@pytest.mark.slow
def test_the_ranks_of_torchrun_are_on_record_with_the_seeds_that_they_set_themselves(
    place: Place, cli: Cli, git: Git
) -> None:
    torch = pytest.importorskip("torch")
    repo = place("torchrun_ddp")

    def said(text: str) -> list[str]:
        # Two ranks share one pipe, and each writes a line and its end apart: lines may run into each other.
        return sorted(re.findall(r"rank \d step \d loss \d+\.\d+(?:e-?\d+)?", text))

    def once() -> tuple[list[str], dict[str, Any]]:
        launcher = ("python", "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port())
        printed, run = recorded(cli, repo, "--seed", "9", "--", *launcher, "train.py", "--steps", "2", "--lr", "0.2")
        return said(printed), run

    printed, run = once()
    assert [line.split(" loss ")[0] for line in printed] == [
        f"rank {rank} step {step}" for rank in (0, 1) for step in (0, 1)
    ]
    finished_from(run, repo, git)
    assert run["config"] == {"steps": 2, "lr": 0.2, "fail_rank": -1}
    assert run["config_sources"] == {"steps": "argv", "lr": "argv", "fail_rank": "default"}
    ranks = {name: run["ranks"][name] for name in ("launcher", "restart", "seen", "silent", "world_size")}
    assert ranks == {"launcher": "torchrun", "restart": 0, "seen": [0, 1], "silent": [], "world_size": 2}
    assert (run["seeds"]["requested"], run["seeds"]["effective"]) == (9, {"torch": 0})
    drew = [process["torch"] for process in run["seeds"]["processes"] if process.get("torch", {}).get("used")]
    assert sorted((each["effective"], each["seeded_by"]) for each in drew) == [(0, "user"), (1, "user")]
    assert list(run["code"]["module_digests"]) == ["train.py"]
    assert run["env"]["frameworks"]["torch"]["version"] == torch.__version__
    assert said(cli("show", "--output", cwd=repo).stdout) == printed

    again, second = once()
    assert (again, second["seeds"]["effective"]) == (printed, {"torch": 0})


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
