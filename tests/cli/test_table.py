"""`gitrepro table`: rows out of the record, and papers held against it."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.recorded_runs import commit_file, record_run, seeded

if TYPE_CHECKING:
    from tests.conftest import Cli

BY_MODEL = ("table", "group == study", "--by", "config.model", "--metric", "val/accuracy")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models with three seeds each, one of them with a seed that failed; `result/cnn` is declared."""
    root = tmp_path_factory.mktemp("study")
    for args in (["init", "--quiet", "--initial-branch=main"], ["config", "user.name", "Ada"]):
        subprocess.run(["git", *args], cwd=root, check=True)
    subprocess.run(["git", "config", "user.email", "ada@example.org"], cwd=root, check=True)
    commit_file(root, "train.py", "print()\n")
    draw = random.Random(0)
    for model, accuracy in (("cnn_v2", 0.91), ("mlp & co", 0.87), ("linear", 0.868)):
        for seed in range(3):
            trained(root, model, seed, accuracy + draw.gauss(0, 0.004))
    trained(root, "linear", 7, 0.1, status="failed")
    return root


def trained(root: Path, model: str, seed: int, value: float, **changes: Any) -> str:
    values = {"model": model, "lr": 0.1, "seed": seed, **changes.pop("config", {})}
    facts = {"count": 1, "last": value, "goal": "max"}
    return record_run(
        root,
        **{
            "group": "study",
            "seeds": seeded(seed),
            "summary": {"val/accuracy": value, "val/loss": 1 - value},
            "metrics": {"val/accuracy": facts, "val/loss": {"count": 1, "last": 1 - value}},
            "config": {"values": values, "sources": {}, "overridden": {}, "format": 1},
            **changes,
        },
    )


def test_a_row_is_a_configuration_and_the_clear_winner_is_marked(study: Path, warm_cli: Cli) -> None:
    done = warm_cli(*BY_MODEL, "--metric", "val/loss", "--json", cwd=study)

    made = json.loads(done.stdout)
    assert [row["labels"] for row in made["rows"]] == [["cnn_v2"], ["linear"], ["mlp & co"]]
    assert [row["cells"]["val/accuracy"]["best"] for row in made["rows"]] == [True, False, False]
    assert [row["cells"]["val/loss"]["best"] for row in made["rows"]] == [None, None, None]
    assert [len(row["failed"]) for row in made["rows"]] == [0, 1, 0]
    assert all(row["cells"]["val/accuracy"]["n"] == 3 for row in made["rows"])
    assert "1 of 4 seeds did not finish" in done.stderr
    assert "val/loss: nobody said whether it is better greater or smaller" in done.stderr


def test_a_row_within_the_noise_is_not_marked(study: Path, warm_cli: Cli) -> None:
    query = "group == study and config.model in (linear, 'mlp & co')"
    done = warm_cli("table", query, "--by", "config.model", "-m", "val/accuracy", "--format", "latex", cwd=study)

    assert "mathbf" not in done.stdout
    assert "no row is marked as best: against" in done.stderr


def test_several_configurations_in_a_row_are_refused_with_what_differs(study: Path, warm_cli: Cli) -> None:
    done = warm_cli("table", "group == study", "--by", "group", "--metric", "val/accuracy", cwd=study)

    assert done.returncode == 2
    assert "the row study has 3 configurations" in done.stderr
    assert "differ in config.model" in done.stderr
    assert "--by config.model" in done.stderr
    pooled = warm_cli("table", "group == study", "--by", "group", "-m", "val/accuracy", "--pool", "--json", cwd=study)
    (row,) = json.loads(pooled.stdout)["rows"]
    assert (row["cells"]["val/accuracy"]["n"], row["configurations"]) == (9, 3)
    assert "this is no spread over seeds" in pooled.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("table", "group == study"), 2, "no metric is named"),
        (("table", "--metric", "val/acuracy"), 3, "nearest: val/accuracy"),
        (("table", "group == nobody", "--metric", "val/accuracy"), 3, "no run matches"),
        (("table", "--by", "config.lr", "--by", "config.nothing", "--metric", "val/accuracy"), 2, "config.nothing"),
        (("table", "--check", "nowhere.tex"), 3, "there is no file nowhere.tex"),
        (("table", "--check", "train.py"), 3, "says of no number where it is from"),
        (("table", "group == study", "--check", "train.py"), 2, "--check takes a paper"),
    ],
)
def test_what_cannot_be_made_is_told(study: Path, warm_cli: Cli, words: tuple[str, ...], code: int, said: str) -> None:
    done = warm_cli(*words, cwd=study)

    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_a_table_is_true_until_a_digit_is_changed(study: Path, warm_cli: Cli, tmp_path: Path) -> None:
    table = warm_cli(*BY_MODEL, "--format", "latex", cwd=study).stdout
    paper = tmp_path / "paper.tex"
    paper.write_text(table)
    assert warm_cli("table", "--check", str(paper), cwd=study).returncode == 0

    mean = json.loads(warm_cli(*BY_MODEL, "--json", cwd=study).stdout)["rows"][2]["cells"]["val/accuracy"]["mean"]
    paper.write_text(table.replace(f"{mean:.4f}", f"{mean + 0.01:.4f}"))
    done = warm_cli("table", "--check", str(paper), "--json", cwd=study)

    assert done.returncode == 1
    numbers = json.loads(done.stdout)["numbers"]
    assert [each["ok"] for each in numbers] == [True, True, True, True, False, True]
    assert f"the mean on record is {mean:.4f}" in numbers[4]["why"]
    assert "5 of 6 printed numbers are those on record" in done.stderr


def test_a_row_that_was_declared_is_cited_by_its_tag_and_follows_it(repo: Path, warm_cli: Cli, tmp_path: Path) -> None:
    runs = [trained(repo, "cnn", seed, value) for seed, value in enumerate((0.91, 0.92, 0.93))]
    warm_cli("tag", "result/cnn", *runs, cwd=repo)
    paper = tmp_path / "paper.md"
    paper.write_text(warm_cli(*BY_MODEL, "--format", "md", cwd=repo).stdout)

    assert (
        "| cnn | 0.920 ± 0.010 <!-- gitrepro val/accuracy of result/cnn --> | 3 <!-- gitrepro n*" in paper.read_text()
    )
    assert warm_cli("table", "--check", str(paper), cwd=repo).returncode == 0

    # The tag is declared again, on other runs: the paper is behind.
    subprocess.run(["git", "tag", "--delete", "result/cnn"], cwd=repo, check=True, capture_output=True)
    assert warm_cli("table", "--check", str(paper), cwd=repo).returncode == 1
    warm_cli("tag", "result/cnn", *runs, trained(repo, "cnn", 3, 0.8), cwd=repo)
    done = warm_cli("table", "--check", str(paper), cwd=repo)
    assert done.returncode == 1
    assert "the mean on record is 0.8900" in done.stdout


def test_a_number_whose_run_was_taken_off_the_list_does_not_stand(repo: Path, warm_cli: Cli, tmp_path: Path) -> None:
    runs = [trained(repo, "cnn", seed, 0.9) for seed in range(2)]
    paper = tmp_path / "paper.tex"
    paper.write_text(f"We reach \\gitrepro{{val/accuracy of {runs[0]} {runs[1]}}}{{$0.9 \\pm 0.0$}}.")
    assert warm_cli("table", "--check", str(paper), cwd=repo).returncode == 0

    warm_cli("rm", runs[1], "--yes", cwd=repo)
    done = warm_cli("table", "--check", str(paper), cwd=repo)

    assert done.returncode == 1
    assert "was taken off the list" in done.stdout
