"""`gitrepro record` on programs that nobody edited: what is on record of their configuration, code and preparation."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

PROGRAMS = Path(__file__).parent.parent / "programs"
Recorded = Callable[..., dict[str, Any]]


@pytest.fixture
def recorded(repo, cli, git) -> Recorded:
    """`recorded("code", "--lr", "1")`: the files of the run of a script under `gitrepro record`."""

    def run(
        code: str | None, *args: str, options: tuple[str, ...] = ("--seed", "7"), direct: bool = False
    ) -> dict[str, Any]:
        if code is not None:
            (repo / "train.py").write_text(textwrap.dedent(code))
        command = [sys.executable, "train.py", *args]
        if direct:
            done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=120)
        else:
            done = cli("record", *options, "--", *command, cwd=repo)
        assert done.returncode == 0, done.stderr
        names = git(repo, "ls-tree", "-r", "--name-only", "refs/gitrepro/runs").splitlines()
        newest = max(name.split("/")[4] for name in names if name.startswith("runs/"))
        found = {"stderr": done.stderr}
        for name in (name for name in names if newest in name and name.endswith(".yaml")):
            found[Path(name).stem] = yaml.safe_load(git(repo, "cat-file", "blob", f"refs/gitrepro/runs:{name}"))
        return found

    return run


ARGPARSE = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--api-key")
args = parser.parse_args()
"""


def test_the_config_of_a_program_with_argparse_is_whole(recorded):
    config = recorded(ARGPARSE, "--lr", "0.5")["config"]

    assert config["values"] == {"lr": 0.5, "epochs": 3, "api_key": None}
    assert config["sources"] == {"lr": "argv", "epochs": "default", "api_key": "default"}
    assert config["observed_by"] == ["argparse"]


def test_a_hidden_option_is_named_on_record_and_its_value_is_nowhere(recorded, repo):
    secret = "k3yk3yk3yk3y"
    found = recorded(ARGPARSE, "--api-key", secret)

    assert found["config"]["values"]["api_key"] == "<redacted:api_key>"
    assert found["run"]["recorder"]["hidden"] == ["api_key"]
    common = repo / ".git" / "gitrepro"
    assert not [path for path in common.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_a_hydra_program_is_on_record_as_composed(recorded, repo, git):
    pytest.importorskip("hydra")
    shutil.copytree(PROGRAMS / "hydra_app", repo, dirs_exist_ok=True)
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "app")
    found = recorded(None, "optim=adam", "model.depth=5", options=("--seed", "7", "--set", "epochs=3"))

    assert found["config"]["values"]["optim"]["betas"] == [0.9, 0.999]
    sources = found["config"]["sources"]
    assert (sources["model.depth"], sources["epochs"]) == ("argv", "set")
    assert sources["optim.lr"] == "file:conf/optim/adam.yaml"
    assert {each["path"] for each in found["config"]["config_files"]} == {
        "conf/config.yaml", "conf/optim/adam.yaml", "conf/model/small.yaml",
    }  # fmt: skip


def test_of_several_programs_the_first_with_a_configuration_counts(recorded, repo):
    (repo / "tool.py").write_text(ARGPARSE.replace("0.1", "9.9"))
    code = ARGPARSE + "import subprocess, sys\nsubprocess.run([sys.executable, 'tool.py'], check=True)\n"

    assert recorded(code)["config"]["values"]["lr"] == 0.1


def test_a_program_whose_config_has_no_room_is_recorded_with_what_the_start_knew(recorded):
    code = (
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--x')\nargs = parser.parse_args()\n"
    )
    config = recorded(code + "setattr(args, 'k' * 300, 1)\n", "--x", "2")["config"]

    assert config["values"]["x"] in (2, "2")


def test_a_config_given_in_code_stands_over_what_was_observed(recorded):
    code = ARGPARSE + "import gitrepro\nwith gitrepro.record(config={'lr': args.lr * 2, 'heads': 4}): pass\n"
    config = recorded(code, "--lr", "0.5")["config"]

    assert (config["values"]["lr"], config["sources"]["lr"]) == (1.0, "code")
    assert config["overridden"]["lr"][-1] == {"source": "argv", "value": 0.5}
    assert (config["values"]["heads"], config["values"]["epochs"]) == (4, 3)


@pytest.mark.parametrize("direct", [True, False])
def test_settings_that_nobody_read_and_settings_changed_later_are_on_record(recorded, direct):
    code = """
    import gitrepro
    config = {"lr": 0.1, "dropuot": 0.5, "model": {"depth": 2}}
    with gitrepro.record(config=config, seed=0) as run:
        run.log({"x": run.config.lr * run.config.model.depth})
        config["lr"] = 0.2
    """
    config = recorded(code, direct=direct)["config"]

    assert config["never_read"] == ["dropuot"]
    assert (config["values"]["lr"], config["sources"]["lr"]) == (0.2, "code")
    assert config["overridden"] == {"lr": [{"source": "code", "value": 0.1}]}


def test_a_program_that_reads_its_own_object_has_no_unread_settings(recorded):
    code = "import gitrepro\nwith gitrepro.record(config={'lr': 0.1}): pass\n"

    assert "never_read" not in recorded(code, direct=True)["config"]


def test_the_audit_warns_of_a_change_and_not_of_an_override(recorded, cli, repo):
    recorded(ARGPARSE, "--lr", "0.5")
    assert "changed lr" not in cli("audit", "@last", "--json", cwd=repo).stdout

    recorded(ARGPARSE + "args.lr /= 10\n", "--lr", "0.5")
    assert "changed lr" in cli("audit", "@last", "--json", cwd=repo).stdout


@pytest.mark.parametrize("direct", [True, False])
def test_imported_modules_have_the_digests_of_what_ran(recorded, repo, git, direct):
    (repo / "net.py").write_text("DEPTH = 2\n")
    beside = repo.parent / "beside"
    beside.mkdir()
    (beside / "shared.py").write_text("SHARED = 1\n")
    before = git(repo, "hash-object", "net.py")
    code = f"""
    import sys
    sys.path.append({str(beside)!r})
    import gitrepro, net, shared
    with gitrepro.record(seed=0):
        open("net.py", "a").write("DEPTH = 3\\n")
    """
    found = recorded(code, direct=direct)["run"]["code"]

    assert found["module_digests"]["net.py"] == before
    assert found["module_digests"]["train.py"] == git(repo, "hash-object", "train.py")
    assert found["outside_modules"] == {"../beside/shared.py": git(repo, "hash-object", str(beside / "shared.py"))}
    assert "net.py" in found["edited"]


PREPARED = """
import gitrepro
class Crop:
    def __init__(self, size):
        self.size = size
    def __call__(self, x):
        return x[: self.size]
with gitrepro.record(preprocess=[Crop({size})]) as run:
    run.preprocess(Crop(8), name="val")
"""


@pytest.mark.parametrize("direct", [True, False])
def test_the_preparation_of_the_data_is_on_record_by_its_digest(recorded, direct):
    first, again, other = (
        recorded(PREPARED.format(size=size), direct=direct)["run"]["preprocess"] for size in (4, 4, 5)
    )

    assert first == again
    assert first["digest"].startswith("b3:") and first["digest"] != other["digest"]
    assert [(part["name"], part["type"]) for part in first["parts"]] == [
        ("data", "__main__.Crop"),
        ("val", "__main__.Crop"),
    ]
    assert first["parts"][1] == other["parts"][1]


def test_a_preparation_that_fails_to_describe_itself_warns_and_the_run_goes_on(recorded):
    code = """
    import gitrepro
    class Hostile:
        @property
        def transforms(self):
            raise RuntimeError("no")
    with gitrepro.record(preprocess=Hostile()) as run:
        run.log({"x": 1})
    """
    found = recorded(code, direct=True)

    assert "the preprocessing is not recorded: RuntimeError" in found["stderr"]
    assert (found["run"]["status"], found["run"]["preprocess"]) == ("finished", None)
