"""`gitrepro split`, as a program, on real data: digits, wine and iris as CSV files, and a folder of small files."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sklearn.datasets import load_digits, load_iris, load_wine

if TYPE_CHECKING:
    from tests.conftest import Cli, Git
    from tests.warm import WarmCli


def write_table(path: Path, found: Any) -> None:
    with path.open("w", newline="") as writer:
        rows = csv.writer(writer)
        rows.writerow([*(str(name).replace(" ", "_") for name in found.feature_names), "label", "day", "batch"])
        for at, (values, label) in enumerate(zip(found.data, found.target, strict=True)):
            day = f"2026-{1 + at * 12 // len(found.data):02d}-01"
            rows.writerow([*values, f"class-{label}", day, f"b{at // 5}"])


@pytest.fixture(scope="module")
def cli(warm_cli: WarmCli) -> WarmCli:
    return warm_cli


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory, cli: Cli, git: Git) -> Path:
    """A repository with the digits as `digits` and the wines as `wine`, both as tables."""
    root = tmp_path_factory.mktemp("added")
    git(root, "init", "--quiet")
    for name, found in (("digits", load_digits()), ("wine", load_wine())):
        write_table(root / f"{name}.csv", found)
        done = cli("data", "add", f"{name}.csv", name, "--label", "label", "--no-stats", cwd=root)
        assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def digits(added: Path, tmp_path: Path) -> Path:
    """Such a repository for each test, without splits."""
    return Path(shutil.copytree(added, tmp_path / "repo"))


def made(cli: Cli, root: Path, *args: str) -> dict[str, Any]:
    done = cli("split", "make", *args, "--json", cwd=root)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_split_is_made_shown_listed_and_checked(digits: Path, cli: Cli) -> None:
    done = cli("split", "make", "digits@v1", "default", "--stratify", cwd=digits)

    assert done.returncode == 0, done.stderr
    header, *rows = [each.split("\t") for each in done.stdout.splitlines()]
    assert header[:3] == ["part", "items", "share"]
    assert {row[0]: int(row[1]) for row in rows} == {"train": 1438, "val": 179, "test": 180}
    assert [row[0] for row in rows] == ["train", "val", "test"]
    assert len(header) == 13
    assert "default@v1 of digits@v1, b3:" in done.stderr
    assert "items may change their part" in done.stderr

    page = cli("split", "show", "digits", "default", cwd=digits)
    assert "hash, stratify label" in page.stdout
    assert cli("split", "ls", cwd=digits).stdout.count("digits@v1\tdefault@v1\t") == 1
    assert cli("split", "show", "digits", cwd=digits).stdout == cli("split", "ls", "digits@v1", cwd=digits).stdout
    check = cli("split", "check", "digits", "default", cwd=digits)
    assert (check.returncode, check.stdout.count("PASS")) == (0, 5)


def test_the_json_of_each_command_holds_the_record(digits: Path, cli: Cli) -> None:
    document = made(cli, digits, "digits", "--train", "0.5", "--part", "rest=0.5", "--seed", "7")

    record = document["split"]
    assert [*document] == ["schema", "new", "left_out", "split"]
    assert (document["new"], document["left_out"], record["seed"], record["stable"]) == (True, 0, 7, True)
    assert record["parts"].keys() == {"rest", "train"} == record["classes"].keys()
    show = json.loads(cli("split", "show", "digits", "default", "--json", cwd=digits).stdout)
    assert show == {"schema": 1, "split": record}
    assert json.loads(cli("split", "ls", "--json", cwd=digits).stdout) == [{"schema": 1, **record}]
    check = json.loads(cli("split", "check", "digits", "--json", cwd=digits).stdout)
    assert [*check] == ["schema", "ok", "dataset", "split", "checks"]
    assert (check["ok"], check["split"]["digest"]) == (True, record["digest"])


def test_made_again_it_says_which_it_is_and_other_parts_are_the_next_version(digits: Path, cli: Cli) -> None:
    first = made(cli, digits, "digits")

    again = cli("split", "make", "digits", cwd=digits)
    other = cli("split", "make", "digits", "--seed", "1", cwd=digits)

    assert (again.returncode, other.returncode) == (0, 0)
    assert "on record already: default@v1 of digits@v1" in again.stderr
    assert "the parts are not those of v1: this is default@v2 of digits@v1" in other.stderr
    assert made(cli, digits, "digits")["split"] == first["split"]


def test_ids_of_parts_are_printed_and_taken_over_again(digits: Path, cli: Cli) -> None:
    record = made(cli, digits, "digits")["split"]
    for part in record["parts"]:
        (digits / f"{part}.txt").write_text(cli("split", "show", "digits", "default", "--ids", part, cwd=digits).stdout)

    parts = [word for part in record["parts"] for word in ("--part", f"{part}={part}.txt")]
    done = cli("split", "import", "digits", "official", *parts, "--json", cwd=digits)

    assert done.returncode == 0, done.stderr
    taken = json.loads(done.stdout)["split"]
    assert (taken["parts"], taken["classes"]) == (record["parts"], record["classes"])
    assert taken["rule"]["by"] == "import"


def test_folds_times_columns_and_groups_on_a_real_table(digits: Path, cli: Cli) -> None:
    repo = digits
    folds = made(cli, repo, "wine", "folds", "--folds", "5", "--group", "batch")["split"]
    months = made(cli, repo, "wine", "months", "--time", "day", "--cuts", "2026-07-01,2026-10-01")["split"]
    late = made(cli, repo, "wine", "late", "--time", "day", "--train", "0.75", "--test", "0.25")["split"]
    batches = made(cli, repo, "wine", "batches", "--group", "batch", "--stratify")["split"]
    by_label = made(
        cli, repo, "wine", "open", "--column", "label",
        "--map", "class-0=train", "--map", "class-1=train", "--map", "class-2=novel",
    )["split"]  # fmt: skip

    assert folds["parts"].keys() == {f"fold-{at}" for at in range(5)}
    assert months["parts"] == {"train": 89, "val": 45, "test": 44}
    assert late["rule"]["cuts"] == ["2026-10-01T00:00:00+00:00"]
    assert batches["deviation"] < 0.1
    assert by_label["parts"] == {"novel": 48, "train": 130}
    for name in ("folds", "batches"):
        assert cli("split", "check", "wine", name, cwd=repo).returncode == 0
    torn = cli("split", "check", "wine", "months", "--group", "label", cwd=repo)
    assert torn.returncode == 1
    assert "FAIL\tgroups" in torn.stdout


def test_files_of_a_folder_are_split_by_path_and_by_folder(repo: Path, cli: Cli) -> None:
    iris = load_iris()
    for at, (values, label) in enumerate(zip(iris.data, iris.target, strict=True)):
        path = repo / "flowers" / str(iris.target_names[label]) / f"plant-{at // 3}" / f"{at}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join(map(str, values)))
    assert cli("data", "add", "flowers", "flowers", "--label", "folder", "--no-stats", cwd=repo).returncode == 0

    made(cli, repo, "flowers", "--group", r"plant-(\d+)/")
    ids = cli("split", "show", "flowers", "default", "--ids", "test", cwd=repo).stdout.splitlines()

    assert ids
    assert all((repo / "flowers" / each).is_file() for each in ids)
    assert "PASS\tgroups\teach of 50 groups is in one part" in cli("split", "check", "flowers", cwd=repo).stdout
    assert made(cli, repo, "flowers", "leaves", "--group", "folder")["split"]["group"] == "folder"


def test_a_later_version_is_checked_against_the_split_of_the_one_before(digits: Path, cli: Cli) -> None:
    made(cli, digits, "digits")
    text = (digits / "digits.csv").read_text().splitlines()
    (digits / "digits.csv").write_text("\n".join([*text, text[-1]]) + "\n")
    assert cli("data", "add", "digits.csv", "digits", "--label", "label", "--no-stats", cwd=digits).returncode == 0

    check = cli("split", "check", "digits@v2", "default", cwd=digits)

    assert check.returncode == 0
    assert "WARN\tcovering\t1 item is in no part: '1797'" in check.stdout
    assert "default@v1 was made of v1; looked at digits@v2" in check.stderr
    grown = cli("split", "make", "digits@v2", cwd=digits)
    assert "this is default@v2 of digits@v2" in grown.stderr
    assert cli("split", "ls", "digits", cwd=digits).stdout.count("default@") == 2
    assert cli("split", "ls", "digits@v1", cwd=digits).stdout.count("default@") == 1


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["make", "didgits"], 3, "there is no data set 'didgits'"),
        (["make", "digits", "--train", "0.9"], 2, "the fractions sum to 0.9"),
        (["make", "digits", "a/b"], 2, "cannot name a split"),
        (["make", "digits", "--part", "x=many"], 2, "'many' is no fraction"),
        (["make", "digits", "--part", "x=0.5", "--part", "x=0.5"], 2, "given twice"),
        (["make", "digits", "--train", "0.5", "--part", "train=0.5"], 2, "given twice"),
        (["make", "digits", "--group", "colour"], 2, "colour"),
        (["import", "digits", "--part", "train=none.txt"], 3, "there is no file none.txt"),
        (["show", "digits", "defualt"], 3, "has no split 'defualt'"),
        (["show", "digits", "--ids", "test"], 2, "which split is meant"),
        (["check", "digits", "nope"], 3, "has no split 'nope'"),
    ],
)
def test_what_cannot_be_done_is_told_with_its_exit_code(
    added: Path, cli: Cli, args: list[str], code: int, says: str
) -> None:
    done = cli("split", *args, cwd=added)

    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr


def test_without_a_split_the_list_says_how_to_make_one(added: Path, cli: Cli) -> None:
    done = cli("split", "ls", "digits", cwd=added)

    assert done.returncode == 0
    assert "no split of digits is on record; `gitrepro split make digits` makes one" in done.stderr
