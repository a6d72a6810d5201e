"""The configuration of programs that know nothing of gitrepro, seen from inside: real interpreters, real libraries."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import gitrepro
from gitrepro.capture.config import Layer, from_argv, merge, with_observed

BOOTSTRAP = Path(gitrepro.__file__).parent / "bootstrap"
PROGRAMS = Path(__file__).parent.parent / "programs"
Observe = Callable[..., dict[str, Any]]


def _other_pythons() -> list[str]:
    """Interpreters of other versions that start here; the bootstrap promises 3.8 and later."""
    found = [shutil.which(f"python3.{minor}") for minor in (8, 9, 10, 12, 13, 14)]
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [str(path) for minor in (8, 13) for path in sorted(kept.glob(f"3.{minor}.*/bin/python"))[-1:]]
    return [path for path in found if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def told(work: Path, tmp_path: Path) -> Observe:
    """`told("code", "--lr", "1")`: what the process of a script in the work tree tells of its configuration."""

    def run(
        code: str | None = None, *args: str, script: str = "train.py", python: str = sys.executable, **variables: str
    ) -> dict[str, Any]:
        if code is not None:
            (work / script).write_text(textwrap.dedent(code))
        live = tmp_path / "live"
        shutil.rmtree(live, ignore_errors=True)
        live.mkdir()
        recorded = {"GITREPRO_LIVE": str(live), "GITREPRO_ROOT": str(work), "PYTHONPATH": str(BOOTSTRAP)}
        done = subprocess.run(
            [python, script, *args],
            cwd=work,
            env={**os.environ, **recorded, **variables},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        [report] = live.iterdir()
        found = {"stdout": done.stdout, "text": report.read_text()}
        for line in found["text"].splitlines():
            found.update(json.loads(line))
        return found

    return run


@pytest.fixture
def observed(told: Observe) -> Observe:
    """`observed("code", "--lr", "1")`: the config document that comes of it, as `gitrepro record` makes it."""

    def run(code: str | None = None, *args: str, **more: str) -> dict[str, Any]:
        words = ["python", "train.py", *args]
        start = merge([Layer(source="argv", values=from_argv(words))]).document()
        return with_observed(start, told(code, *args, **more).get("config", {}))

    return run


ARGPARSE = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("-b", "--batch-size", type=int, default="32", dest="batch")
parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True)
parser.add_argument("--layers", type=int, nargs="+", default=[4, 4])
parser.add_argument("--limit", type=float, default=float("inf"))
args = parser.parse_args()
"""


def test_argparse_tells_every_option_and_which_stood_on_the_command_line(observed):
    document = observed(ARGPARSE, "--lr", "0.5", "--no-amp", "--layers", "8", "9")

    assert document["values"] == {"lr": 0.5, "batch": 32, "amp": False, "layers": [8, 9], "limit": float("inf")}
    assert document["sources"] == {
        "lr": "argv", "amp": "argv", "layers": "argv", "batch": "default", "limit": "default",
    }  # fmt: skip
    assert document["overridden"]["lr"] == [{"source": "default", "value": 0.1}]
    assert document["observed_by"] == ["argparse"]


def test_an_option_that_repeats_its_default_stood_on_the_command_line_all_the_same(observed):
    document = observed(ARGPARSE, "--lr", "0.1")

    assert document["sources"]["lr"] == "argv"
    assert "lr" not in document["overridden"]


@pytest.mark.parametrize("python", _other_pythons())
def test_other_pythons_tell_the_same(told, python):
    code = ARGPARSE.replace("argparse.BooleanOptionalAction", '"store_false"')
    [sighting] = told(code, "--lr", "0.5", python=python)["config"]["sightings"]

    assert sighting["layers"][1] == ["argv", {"lr": 0.5}]


def test_the_guess_from_the_words_gives_way_to_what_was_parsed(observed):
    document = observed(ARGPARSE, "-b", "8")

    assert document["values"]["batch"] == 8
    assert "b" not in document["values"]


def test_a_subcommand_has_its_options_with_those_of_the_program(observed):
    code = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    commands = parser.add_subparsers(dest="command")
    fit = commands.add_parser("fit")
    fit.add_argument("--depth", type=int, default=2)
    fit.set_defaults(rounds=5)
    parser.parse_args()
    """
    document = observed(code, "fit", "--depth", "3")

    assert document["values"] == {"seed": 0, "command": "fit", "depth": 3, "rounds": 5}
    assert {key for key, source in document["sources"].items() if source == "argv"} == {"command", "depth"}


def test_of_two_parsers_both_count_and_words_for_neither_are_guessed(observed):
    code = """
    import argparse
    one = argparse.ArgumentParser(add_help=False)
    one.add_argument("--lr", type=float, default=0.1)
    _, rest = one.parse_known_args()
    two = argparse.ArgumentParser()
    two.add_argument("--depth", type=int, default=2)
    two.parse_known_args(rest)
    """
    document = observed(code, "--lr", "0.2", "--depth", "7", "--width=5")

    assert document["values"] == {"lr": 0.2, "depth": 7, "width": 5}


def test_a_parser_that_is_not_the_programs_own_tells_nothing(told):
    report = told('import calendar; calendar.main(["calendar", "2024", "1"])', "--lr", "0.1")

    assert "January 2024" in report["stdout"]
    assert "config" not in report


def test_what_the_program_changes_after_parsing_is_told_with_the_value_before(observed):
    document = observed(ARGPARSE + "args.lr = args.lr * 4\nargs.model = object()\nargs.world = 2\n", "--lr", "0.5")

    assert document["values"]["lr"] == 2.0
    assert document["sources"]["lr"] == "code"
    assert document["overridden"]["lr"][-1] == {"source": "argv", "value": 0.5}
    assert document["values"]["world"] == 2
    assert "model" not in document["values"]


def test_an_unchanged_program_has_changed_nothing(observed):
    document = observed(ARGPARSE + "args.lr = float(str(args.lr))\n", "--lr", "0.5")

    assert "code" not in document["sources"].values()


def test_the_namespace_the_program_gets_is_its_own_and_pickles(told):
    code = ARGPARSE + "import pickle\nprint(type(args) is argparse.Namespace, pickle.loads(pickle.dumps(args)) == args)"

    assert told(code)["stdout"] == "True True\n"


def test_secrets_are_hidden_before_they_leave_the_process(told):
    code = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--api-key")
    parser.add_argument("--url")
    args, _ = parser.parse_known_args()
    args.password = "correct-horse-battery"
    """
    words = ["--api-key", "k3yk3yk3yk3y", "--url", "postgres://ada:lovelace1815@db/x", "--token", "hunter2hunter2"]
    report = told(code, *words)
    config = next(line for line in reversed(report["text"].splitlines()) if '"config"' in line)

    for secret in ("k3yk3yk3yk3y", "lovelace1815", "hunter2hunter2", "correct-horse-battery"):
        assert secret not in config
    assert set(report["config"]["hidden"]) == {"api_key", "url", "password"}


def test_a_parser_with_a_name_for_every_sample_is_told_within_bounds(told):
    code = """
    import argparse
    parser = argparse.ArgumentParser()
    for i in range(5000):
        parser.add_argument(f"--option{i}", default="x" * 100)
    parser.parse_args()
    """
    report = told(code)

    assert report["config"]["sightings"] == []
    assert report["config"]["notes"] == ["TooLarge while the configuration was looked at"]


def test_an_error_of_ours_never_reaches_the_program(told):
    code = """
    import argparse
    class Hostile(dict):
        def items(self): raise ValueError
        def __repr__(self): raise ValueError
        def __getattr__(self, name): raise RuntimeError("no " + name)
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", default=Hostile())
    args = parser.parse_args()
    args.y = Hostile()
    print("trained")
    """

    assert told(code)["stdout"] == "trained\n"


def test_click_tells_where_each_parameter_came_from(observed):
    code = """
    import click
    @click.group()
    @click.option("--verbose", is_flag=True)
    def main(verbose): pass
    @main.command()
    @click.option("--lr", default=0.1)
    @click.option("--epochs", default=3)
    @click.option("--data", envvar="APP_DATA")
    @click.argument("name")
    def train(**options): pass
    main(default_map={"train": {"epochs": 9}})
    """
    document = observed(code, "train", "--lr", "0.5", "mnist", APP_DATA="/data")

    assert document["values"] == {"verbose": False, "lr": 0.5, "epochs": 9, "data": "/data", "name": "mnist"}
    assert document["sources"] == {
        "verbose": "default", "lr": "argv", "epochs": "file", "data": "env", "name": "argv",
    }  # fmt: skip
    assert document["overridden"]["lr"] == [{"source": "default", "value": 0.1}]


def test_typer_is_read_as_click_is(observed):
    pytest.importorskip("typer")
    code = """
    import typer
    def main(lr: float = 0.1, depth: int = 2): pass
    typer.run(main)
    """
    document = observed(code, "--depth", "5")

    assert document["values"] == {"lr": 0.1, "depth": 5}
    assert document["sources"] == {"lr": "default", "depth": "argv"}


def test_a_click_command_of_a_library_tells_nothing(told):
    code = """
    import click
    from click.testing import CliRunner
    CliRunner().invoke(click.version_option("1")(click.Command("x", callback=click.echo, params=[])), [])
    """

    assert "config" not in told(code)


@pytest.fixture
def hydra_app(work: Path) -> Path:
    pytest.importorskip("hydra")
    shutil.copytree(PROGRAMS / "hydra_app", work, dirs_exist_ok=True)
    return work


def test_hydra_tells_the_composed_config_its_files_and_the_overrides(observed, hydra_app):
    document = observed(None, "optim=adam", "optim.lr=0.01", "+model.dropout=0.5")

    assert document["values"] == {
        "epochs": 3,
        "run_name": "adam-2",
        "optim": {"name": "adam", "lr": 0.01, "betas": [0.9, 0.999]},
        "model": {"depth": 2, "width": 32, "dropout": 0.5},
    }
    sources = document["sources"]
    assert (sources["optim.lr"], sources["model.dropout"]) == ("argv", "argv")
    assert document["overridden"] == {"optim.lr": [{"source": "file:conf/optim/adam.yaml", "value": 0.001}]}
    assert sources["optim.betas"] == "file:conf/optim/adam.yaml"
    assert sources["model.depth"] == "file:conf/model/small.yaml"
    assert sources["epochs"] == "file:conf/config.yaml"
    assert document["observed_by"] == ["hydra"]
    assert "optim" not in [key for key, source in sources.items() if source == "argv"]


def test_what_a_hydra_program_changes_is_told(observed, hydra_app):
    document = observed(None, CHANGES="1")

    assert document["values"]["optim"]["lr"] == pytest.approx(0.01)
    assert document["sources"]["optim.lr"] == "code"
    assert document["overridden"]["optim.lr"][-1]["value"] == 0.1


def test_of_a_hydra_sweep_the_first_job_is_told_and_that_there_were_more(observed, hydra_app):
    document = observed(None, "--multirun", "epochs=1,2", "hydra.sweep.dir=.", "hydra.sweep.subdir=.")

    assert document["values"]["epochs"] == 1
    assert document["notes"] == ["Hydra ran several jobs in this process: the configuration is that of the first"]


OMEGACONF = """
from omegaconf import OmegaConf
base = OmegaConf.create({"lr": 0.1, "model": {"depth": 2}, "out": "${oc.env:OUT_DIR,here}/${model.depth}"})
file = OmegaConf.load("conf/base.yaml")
cfg = OmegaConf.merge(base, file, OmegaConf.from_cli())
other = OmegaConf.merge(OmegaConf.create({"vocabulary": 5}), {"size": 1})
"""


@pytest.fixture
def base(work: Path) -> Path:
    (work / "conf").mkdir()
    path = work / "conf" / "base.yaml"
    path.write_text("model: {depth: 4, width: 8}\n")
    return path


def test_omegaconf_tells_the_merge_of_file_and_command_line(observed, base):
    pytest.importorskip("omegaconf")
    document = observed(OMEGACONF, "lr=0.3")

    assert document["values"] == {"lr": 0.3, "model": {"depth": 4, "width": 8}, "out": "here/4"}
    assert document["sources"] == {
        "lr": "argv",
        "model.depth": "file:conf/base.yaml",
        "model.width": "file:conf/base.yaml",
        "out": "default",
    }


def test_an_interpolation_that_runs_code_of_the_program_is_told_as_written(told):
    pytest.importorskip("omegaconf")
    code = """
    from omegaconf import OmegaConf
    calls = []
    OmegaConf.register_new_resolver("draw", lambda: calls.append(1) or 5)
    cfg = OmegaConf.merge(OmegaConf.create({"a": "${draw:}", "b": "${a}"}), OmegaConf.from_cli())
    print(len(calls))
    """
    report = told(code)

    assert report["stdout"] == "0\n"
    assert report["config"]["sightings"][0]["layers"][0][1] == {"a": "${draw:}", "b": "${a}"}


def test_a_changed_omegaconf_is_told(observed, base):
    pytest.importorskip("omegaconf")
    document = observed(OMEGACONF + "cfg.model.width = 16\n")

    assert document["sources"]["model.width"] == "code"


READ = "import yaml\nwith open({!r}) as file:\n    config = yaml.safe_load(file)\n"


def test_a_file_in_a_folder_for_configurations_is_the_config(observed, base):
    document = observed(READ.format("conf/base.yaml"))

    assert document["values"] == {"model": {"depth": 4, "width": 8}}
    assert set(document["sources"].values()) == {"file:conf/base.yaml"}
    blob = subprocess.run(["git", "hash-object", base], capture_output=True, text=True, check=True).stdout.strip()
    assert document["config_files"] == [{"blob": blob, "path": "conf/base.yaml"}]


def test_the_only_yaml_beside_the_script_is_the_config_and_one_of_two_is_not(observed, work):
    (work / "settings.yaml").write_text("lr: 0.1\n")
    assert observed(READ.format("settings.yaml"))["values"] == {"lr": 0.1}

    (work / "labels.yaml").write_text("cat: 1\n")
    assert observed(READ.format("settings.yaml"))["values"] == {}


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("a.yaml", "lr: 1e-3\n", "import yaml; yaml.safe_load(open(path))"),
        ("a.yaml", "lr: 1e-3\n", "import yaml, pathlib; yaml.safe_load(pathlib.Path(path).read_text())"),
        ("params.json", '{"lr": "1e-3"}', "import json; json.load(open(path))"),
        ("a.toml", 'lr = "1e-3"', "import tomllib; tomllib.load(open(path, 'rb'))"),
    ],
)
def test_a_file_that_the_command_line_names_is_the_config(observed, work, name, text, read):
    (work / "elsewhere").mkdir()
    (work / "elsewhere" / name).write_text(text)
    code = f"import sys; path = sys.argv[-1]\n{read}\n"

    document = observed(code, "--input", f"elsewhere/{name}")

    assert document["values"]["lr"] == "1e-3"
    assert document["sources"]["lr"] == f"file:elsewhere/{name}"


def test_data_is_no_configuration(observed, work):
    (work / "images.json").write_text('{"cat": 1}')
    document = observed("import json, sys; json.load(open(sys.argv[-1]))", "--data", "images.json")

    assert document["values"] == {"data": "images.json"}
    assert document["config_files"][0]["path"] == "images.json"


def test_the_command_line_stands_over_the_file_and_the_file_over_the_default(observed, base):
    code = ARGPARSE + "import yaml\nyaml.safe_load(open('conf/over.yaml'))\n"
    base.with_name("over.yaml").write_text("lr: 0.7\nbatch: 64\n")
    document = observed(code, "--lr", "0.5")

    assert (document["values"]["lr"], document["sources"]["lr"]) == (0.5, "argv")
    assert (document["values"]["batch"], document["sources"]["batch"]) == (64, "file:conf/over.yaml")
    assert [each["source"] for each in document["overridden"]["lr"]] == ["default", "file:conf/over.yaml"]


def test_a_program_that_copies_a_file_into_its_options_changed_nothing(observed, base):
    code = ARGPARSE + "import yaml\nfor name, value in yaml.safe_load(open('conf/over.yaml')).items():\n"
    base.with_name("over.yaml").write_text("batch: 64\n")
    document = observed(code + "    setattr(args, name, value)\n")

    assert (document["values"]["batch"], document["sources"]["batch"]) == (64, "file:conf/over.yaml")


def test_values_set_by_hand_stand_over_defaults_and_under_what_the_program_was_told(told):
    by_hand = Layer(source="set", values={"lr": 0.9, "batch": 8, "fold": 3})
    start = merge([by_hand, Layer(source="argv", values={"lr": 0.5})]).document()
    document = with_observed(start, told(ARGPARSE, "--lr", "0.5")["config"])

    values, sources = document["values"], document["sources"]
    assert (values["lr"], values["batch"], values["fold"]) == (0.5, 8, 3)
    assert (sources["lr"], sources["batch"], sources["fold"]) == ("argv", "set", "set")


def test_the_hooks_are_where_functions_were_with_their_names_and_signatures(told):
    code = """
    import argparse, inspect, json, yaml
    print(argparse.ArgumentParser.parse_known_args.__qualname__, list(inspect.signature(json.load).parameters)[:1],
          yaml.load.__name__, list(inspect.signature(argparse.ArgumentParser.parse_known_args).parameters))
    """

    assert told(code)["stdout"] == "ArgumentParser.parse_known_args ['fp'] load ['self', 'args', 'namespace']\n"


def test_a_document_and_its_layers_are_one_thing():
    layers = [
        Layer(source="file:a.yaml", values={"a": {"b": 1, "c": 2}, "d": [1]}),
        Layer(source="argv", values={"a": 3}),
    ]
    document = merge(layers).document()

    assert with_observed(document, {}) == document
    assert yaml.safe_load(yaml.safe_dump(document)) == document
