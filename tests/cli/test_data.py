"""`gitrepro data`: the real command, on real files, and on what people give it by mistake."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.cli.data.numbers import beside, natural
from gitrepro.data.datasets import Wish, add_dataset
from gitrepro.records.dataset import DatasetRecord
from gitrepro.run.compose import stamp
from gitrepro.store import repository as repositories
from gitrepro.store.fold import Identity
from tests.cli.test_looking import in_terminal, plain
from tests.conftest import Cli, Git
from tests.warm import WarmCli

RUNS = "refs/gitrepro/runs"
FACTS = {
    "name", "version", "digest", "kind", "items", "files", "size_bytes", "linked", "source", "id", "label", "actor",
    "created_at", "note", "ignore",
}  # fmt: skip


@pytest.fixture(scope="module")
def cli(warm_cli: WarmCli) -> WarmCli:
    return warm_cli


def folder(root: Path, count: int = 6) -> Path:
    """Files of three classes."""
    for number in range(count):
        path = root / f"{number % 3}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number * 100)
    return root


def prices(path: Path, rows: int = 40, *, shift: float = 0.0) -> Path:
    lines = [f"{number},{number * 0.5 + shift},{'ab'[number % 2]}" for number in range(rows)]
    path.write_text("order,price,kind\n" + "\n".join(lines) + "\n")
    return path


def add(cli: Cli, repo: Path, *args: str) -> dict:
    done = cli("data", "add", *args, "--json", cwd=repo)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def put(repo: Path, path: str | Path, name: str, **options) -> DatasetRecord:
    """Add without a process of its own, for what comes after it."""
    wish = Wish(path=repo / path, source=str(path), name=name, **{"describe": False, **options})
    found = repositories.find(repo, os.environ)
    return add_dataset(
        found, wish, identity=Identity(name="Ada", email="ada@example.org"), at=stamp(time.time())
    ).record


def refused(done: subprocess.CompletedProcess, code: int, *words: str) -> None:
    """A clear error: that exit code, the three lines, no traceback."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr and "itself failed" not in done.stderr
    for word in words:
        assert word in done.stderr


# -- the way it is meant


def test_a_folder_is_added_listed_shown_and_fetched(repo: Path, cli: Cli, tmp_path: Path):
    folder(repo / "data" / "digits")
    added = add(cli, repo, "data/digits", "digits", "--label", "folder", "--note", "the first")
    listed = json.loads(cli("data", "ls", "--json", cwd=repo).stdout)
    shown = json.loads(cli("data", "show", "digits", "--json", cwd=repo).stdout)
    got = cli("data", "get", "digits@v1", str(tmp_path / "out"), cwd=repo)

    assert added["new"] and {*added["dataset"]} == FACTS
    assert (added["dataset"]["items"], added["dataset"]["version"]) == (6, "v1")
    assert [each["digest"] for each in listed] == [added["dataset"]["digest"]]
    assert shown["statistics"]["classes"] == {"0": 2, "1": 2, "2": 2}
    assert [place["state"] for place in shown["places"]] == ["unchanged"]
    assert shown["files_missing_from_store"] == 0
    assert got.returncode == 0, got.stderr
    assert not subprocess.run(["diff", "-r", repo / "data" / "digits", tmp_path / "out"]).returncode


def test_a_table_is_added_with_its_rows(repo: Path, cli: Cli):
    prices(repo / "prices.csv")
    facts = add(cli, repo, "prices.csv", "prices@2026-03", "--id", "order", "--label", "kind")["dataset"]

    assert (facts["kind"], facts["items"], facts["files"]) == ("csv", 40, 1)
    assert (facts["id"], facts["label"], facts["version"]) == ("column:order", "kind", "2026-03")


def test_adding_the_same_again_says_which_version_it_is(repo: Path, cli: Cli, git: Git):
    folder(repo / "data")
    put(repo, "data", "digits", describe=True)
    before = git(repo, "rev-parse", RUNS)
    again = cli("data", "add", "data", "digits", cwd=repo)
    labelled = cli("data", "add", "data", "digits@final", cwd=repo)

    assert (again.returncode, again.stdout) == (0, "digits@v1 is this already\n")
    assert (labelled.returncode, labelled.stdout) == (0, "digits@v1 is this already, and not final\n")
    assert git(repo, "rev-parse", RUNS) == before


def test_other_content_is_the_next_version_and_the_newest(repo: Path, cli: Cli):
    folder(repo / "data")
    put(repo, "data", "digits")
    (repo / "data" / "0" / "0.bin").write_bytes(b"other")

    assert add(cli, repo, "data", "digits")["dataset"]["version"] == "v2"
    assert json.loads(cli("data", "show", "digits", "--json", cwd=repo).stdout)["version"] == "v2"


def test_a_difference_names_files_rows_and_what_moved(repo: Path, cli: Cli):
    prices(repo / "prices.csv")
    put(repo, "prices.csv", "prices", id="column:order", describe=True)
    prices(repo / "prices.csv", rows=42, shift=10.0)
    put(repo, "prices.csv", "prices", id="column:order", describe=True)
    done = cli("data", "diff", "prices@v1", "prices@v2", "--json", cwd=repo)
    found = json.loads(done.stdout)

    assert done.returncode == 1, done.stderr
    assert (found["rows"]["by"], found["rows"]["added"], found["rows"]["changed"]) == ("order", 2, 40)
    assert found["files"]["names_changed"] == ["prices.csv"]
    assert {"price"} <= {move["feature"] for move in found["statistics"]}
    assert cli("data", "diff", "prices@v1", "prices@v1", cwd=repo).returncode == 0
    text = cli("data", "diff", "prices@v1", "prices@v2", cwd=repo)
    assert text.returncode == 1 and "rows by order\t40\t42\t2\t0\t40" in text.stdout


def test_a_difference_of_folders_names_the_files(repo: Path, cli: Cli):
    data = folder(repo / "data")
    put(repo, "data", "digits")
    (data / "new.bin").write_bytes(b"new")
    (data / "0" / "0.bin").unlink()
    (data / "1" / "1.bin").write_bytes(b"other")
    put(repo, "data", "digits")
    done = cli("data", "diff", "digits@v1", "digits@v2", cwd=repo)

    assert done.returncode == 1
    assert {"  + new.bin", "  - 0/0.bin", "  ~ 1/1.bin"} <= {*done.stdout.splitlines()}
    assert "statistics were not compared" in done.stderr


def test_a_terminal_gets_pages_with_small_histograms(repo: Path, cli: Cli):
    prices(repo / "prices.csv")
    put(repo, "prices.csv", "prices", label="kind", describe=True)
    page = plain(in_terminal("data", "show", "prices", cwd=repo, columns=120))
    listed = plain(in_terminal("data", "ls", cwd=repo, columns=120))

    assert "prices@v1" in page and "column kind" in page
    assert "█" in page and "50.0%" in page
    assert "unchanged" in page
    assert listed.splitlines()[0].split()[:3] == ["NAME", "VERSION", "KIND"]


def test_features_stand_in_the_order_of_their_numbers_and_the_first_two_dozen_are_shown(repo: Path, cli: Cli):
    np.savez(repo / "digits.npz", images=np.arange(300.0).reshape(10, 30), y=np.arange(10))
    put(repo, "digits.npz", "digits", label="y", describe=True)
    page, every, stats = (
        cli("data", *args, cwd=repo).stdout
        for args in (["show", "digits"], ["show", "digits", "--all"], ["stats", "digits"])
    )

    assert re.findall(r"^images\[(\d+)\]", page, re.MULTILINE) == [str(number) for number in range(24)]
    assert re.findall(r"^images\[(\d+)\]", every, re.MULTILINE) == [str(number) for number in range(30)]
    assert re.findall(r"^([0-9])\t", page, re.MULTILINE) == [str(number) for number in range(10)]
    for text in (page, stats):
        assert "  and 6 more; --all or --json shows those on record\n" in text
    assert "more;" not in every


@given(st.lists(st.integers(0, 10**30)), st.sampled_from(["{}", "images[{}]", "x{}y7"]))
def test_names_are_ordered_as_people_count(numbers: list[int], form: str):
    names = [form.format(number) for number in numbers]
    assert sorted(names, key=natural) == [form.format(number) for number in sorted(numbers)]


def test_a_name_of_very_many_digits_has_its_place_too():
    names = ["10" * 2501, "9" * 5000, "x10", "x9", "0", "x", "x09b", "²", ""]
    assert sorted(names, key=natural) == ["", "0", "9" * 5000, "10" * 2501, "x", "x9", "x09b", "x10", "²"]


def test_statistics_are_computed_later_and_again(repo: Path, cli: Cli):
    prices(repo / "prices.csv")
    add(cli, repo, "prices.csv", "prices", "--no-stats")
    assert json.loads(cli("data", "show", "prices", "--json", cwd=repo).stdout)["statistics"] is None
    later = json.loads(cli("data", "stats", "prices", "--json", cwd=repo).stdout)
    again = cli("data", "stats", "prices", "--again", "--json", cwd=repo)

    assert later["new"] and later["statistics"]["features"]["price"]["max"] == 19.5
    assert again.returncode == 0 and json.loads(again.stdout)["agree"] is True
    assert json.loads(cli("data", "stats", "prices", "--json", cwd=repo).stdout)["statistics"] == later["statistics"]


def test_data_is_fetched_in_part_and_under_another_name(repo: Path, cli: Cli, tmp_path: Path):
    folder(repo / "data")
    prices(repo / "prices.csv")
    put(repo, "data", "digits")
    put(repo, "prices.csv", "prices")
    part = cli("data", "get", "digits", str(tmp_path / "part"), "--only", "*/1.bin", "--only", "2/*", cwd=repo)
    one = cli("data", "get", "prices", str(tmp_path / "mine.csv"), cwd=repo)

    assert part.returncode == one.returncode == 0, part.stderr + one.stderr
    found = sorted(str(path.relative_to(tmp_path / "part")) for path in (tmp_path / "part").rglob("*.bin"))
    assert found == ["1/1.bin", "2/2.bin", "2/5.bin"]
    assert (tmp_path / "mine.csv").read_bytes() == (repo / "prices.csv").read_bytes()


def test_what_is_ignored_is_neither_kept_nor_counted(repo: Path, cli: Cli):
    folder(repo / "data")
    (repo / "data" / "0" / "x.tmp").write_text("x")
    facts = add(cli, repo, "data", "digits", "--ignore", "*.tmp")["dataset"]
    shown = json.loads(cli("data", "show", "digits", "--json", cwd=repo).stdout)

    assert (facts["files"], facts["ignore"]) == (6, ["*.tmp"])
    assert shown["statistics"]["counts"]["items"] == 6


def test_an_empty_folder_is_allowed_and_said(repo: Path, cli: Cli, tmp_path: Path):
    (repo / "data").mkdir()
    done = cli("data", "add", "data", "nothing", cwd=repo)

    assert done.returncode == 0 and "nothing@v1 is empty" in done.stderr
    assert cli("data", "show", "nothing", cwd=repo).returncode == 0
    assert cli("data", "get", "nothing", str(tmp_path / "out"), cwd=repo).returncode == 0
    assert cli("data", "add", "data", "nothing", cwd=repo).stdout == "nothing@v1 is this already\n"


def test_lists_of_runs_know_nothing_of_data_that_no_run_used(repo: Path, cli: Cli):
    folder(repo / "data")
    assert cli("record", "--", sys.executable, "-c", "pass", cwd=repo).returncode == 0
    add(cli, repo, "data", "digits", "--label", "folder")
    listed = cli("ls", "--json", cwd=repo)
    rebuilt = cli("index", "rebuild", "--json", cwd=repo)
    tagged = cli("audit", "@last", cwd=repo)

    assert len(json.loads(listed.stdout)) == 1 and listed.stderr == ""
    assert json.loads(rebuilt.stdout)["troubles"] == [] and rebuilt.stderr == ""
    assert "datasets/" not in tagged.stdout + tagged.stderr and "itself failed" not in tagged.stderr
    assert cli("sql", "SELECT count(*) FROM runs", cwd=repo).stdout.split() == ["count(*)", "1"]


edges = st.integers(-40, 40)


@given(
    sides=st.lists(
        st.tuples(st.sampled_from([0.25, 0.5, 1.0, 4.0]), edges, st.lists(st.integers(0, 9), min_size=1, max_size=20)),
        min_size=2,
        max_size=2,
    )
)
def test_histograms_beside_each_other_stand_on_one_axis(sides):
    histograms = [
        {"edges": [(first + at) * width for at in range(len(counts) + 1)], "counts": counts}
        for width, first, counts in sides
    ]
    found = beside(*histograms)

    assert found is not None and len(found[0]) == len(found[1]) <= 20
    assert beside(histograms[0], histograms[0]) == (beside(histograms[0], histograms[0]) or ("",))[:1] * 2
    for shown, (_, _, counts) in zip(found, sides, strict=True):
        assert bool(shown.strip()) == any(counts)


def test_a_histogram_of_one_value_stands_beside_another():
    one, two = {"edges": [3.0, 3.0], "counts": [7]}, {"edges": [0.0, 4.0, 8.0], "counts": [2, 1]}

    assert beside(one, two) is not None and beside(one, one) is not None
    assert beside({}, two) is None and beside({"edges": [], "counts": []}, two) is None


# -- by reference


def test_linked_data_are_not_copied_and_are_fetched_from_where_they_lie(repo: Path, cli: Cli, tmp_path: Path):
    data = folder(tmp_path / "big")
    facts = add(cli, repo, str(data), "big", "--link")
    shown = json.loads(cli("data", "show", "big", "--json", cwd=repo).stdout)
    got = cli("data", "get", "big", str(tmp_path / "out"), cwd=repo)

    assert facts["dataset"]["linked"] is True and facts["linked_because"] is None
    assert shown["files_missing_from_store"] == 6
    assert got.returncode == 0, got.stderr
    assert not subprocess.run(["diff", "-r", data, tmp_path / "out"]).returncode


def test_linked_data_that_are_gone_are_not_available(repo: Path, cli: Cli, tmp_path: Path):
    data = folder(tmp_path / "big")
    put(repo, data, "big", link=True)
    shutil.move(data, tmp_path / "away")
    done = cli("data", "get", "big", str(tmp_path / "out"), cwd=repo)

    refused(done, 3, "NOT AVAILABLE", "is gone", "do:")
    assert not (tmp_path / "out").exists()
    assert "gone" in cli("data", "show", "big", cwd=repo).stdout
    # Brought back elsewhere, they are found to be what they were.
    assert cli("data", "add", str(tmp_path / "away"), "big", "--link", cwd=repo).stdout == "big@v1 is this already\n"
    assert cli("data", "get", "big", str(tmp_path / "out"), cwd=repo).returncode == 0


def test_linked_data_that_changed_are_damage(repo: Path, cli: Cli, tmp_path: Path):
    data = folder(tmp_path / "big")
    put(repo, data, "big", link=True)
    (data / "1" / "1.bin").write_bytes(b"other")
    done = cli("data", "get", "big", str(tmp_path / "out"), cwd=repo)

    refused(done, 4, "1/1.bin", "has changed", "do:")
    assert not (tmp_path / "out").exists()


def test_data_on_another_file_system_are_linked_by_themselves(repo: Path, cli: Cli):
    elsewhere = Path("/dev/shm")
    if not os.access(elsewhere, os.W_OK) or elsewhere.stat().st_dev == repo.stat().st_dev:
        pytest.skip("there is no other file system to write to")
    data = folder(elsewhere / f"gitrepro-test-{os.getpid()}")
    try:
        linked = cli("data", "add", str(data), "far", cwd=repo)
        copied = add(cli, repo, str(data), "copied", "--copy")
    finally:
        shutil.rmtree(data)

    assert linked.returncode == 0 and "another file system" in linked.stderr and "--copy" in linked.stderr
    assert copied["dataset"]["linked"] is False
    shown = json.loads(cli("data", "show", "copied", "--json", cwd=repo).stdout)
    assert shown["files_missing_from_store"] == 0


# -- by mistake


def test_a_path_that_is_not_there(repo: Path, cli: Cli):
    refused(cli("data", "add", "nowhere", "digits", cwd=repo), 3, "nothing at nowhere")
    (repo / "loop").symlink_to("loop")
    refused(cli("data", "add", "loop", "digits", cwd=repo), 4)


def test_a_pipe_is_no_data_set(repo: Path, cli: Cli):
    os.mkfifo(repo / "pipe")
    refused(cli("data", "add", "pipe", "digits", cwd=repo), 2, "pipe")
    folder(repo / "data")
    os.mkfifo(repo / "data" / "pipe")
    refused(cli("data", "add", "data", "digits", cwd=repo), 2, "pipe")
    assert cli("data", "ls", "--json", cwd=repo).stdout.strip() == "[]"


def as_a_person(repo: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """The command as a user for whom modes of files mean something: root without the right to pass them by."""
    before = []
    if os.geteuid() == 0:
        before = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        if not shutil.which("setpriv") or subprocess.run([*before, "true"]).returncode:
            pytest.skip("root cannot lay down its rights here")
    command = [*before, sys.executable, "-m", "gitrepro", *args]
    return subprocess.run(command, cwd=repo, capture_output=True, text=True)


def test_a_file_that_cannot_be_read(repo: Path):
    folder(repo / "data")
    (repo / "data" / "0" / "0.bin").chmod(0)

    refused(as_a_person(repo, "data", "add", "data", "digits"), 4, "0/0.bin", "Permission denied", "do:")
    (repo / "data" / "0" / "0.bin").chmod(0o644)
    (repo / "data" / "1").chmod(0)
    refused(as_a_person(repo, "data", "add", "data", "digits"), 4, "data/1", "Permission denied", "do:")
    (repo / "data" / "1").chmod(0o755)


def test_a_repository_that_may_only_be_read_still_shows_and_gives(repo: Path, tmp_path: Path):
    folder(repo / "data")
    put(repo, "data", "digits", describe=True)
    (repo / "data" / "more.bin").write_bytes(b"more")
    subprocess.run(["chmod", "-R", "a-w", repo], check=True)
    try:
        shown = as_a_person(repo, "data", "show", "digits", "--json")
        got = as_a_person(repo, "data", "get", "digits", str(tmp_path / "mine"))
        added = as_a_person(repo, "data", "add", "data", "digits")
    finally:
        subprocess.run(["chmod", "-R", "u+w", repo], check=True)

    assert shown.returncode == 0 and json.loads(shown.stdout)["files_missing_from_store"] == 0, shown.stderr
    assert got.returncode == 0 and len([*(tmp_path / "mine").rglob("*.bin")]) == 6, got.stderr
    refused(added, 4, "cannot", "do:")


@pytest.mark.parametrize("name", ["a/b", "digits@a b", "digits@b3:12ab"])
def test_a_name_that_cannot_be(repo: Path, cli: Cli, name: str):
    folder(repo / "data")
    refused(cli("data", "add", "data", name, cwd=repo), 2, "name")


def test_a_label_means_one_content_for_ever(repo: Path, cli: Cli):
    folder(repo / "data")
    first = put(repo, "data", "digits", version="final")
    (repo / "data" / "more.bin").write_bytes(b"more")
    done = cli("data", "add", "data", "digits@final", cwd=repo)

    refused(done, 2, first.digest[:15], "one content", "do:")
    assert len(json.loads(cli("data", "ls", "--json", cwd=repo).stdout)) == 1


def test_a_version_keeps_the_id_and_the_label_it_has(repo: Path, cli: Cli):
    prices(repo / "prices.csv")
    put(repo, "prices.csv", "prices", id="column:order")

    assert add(cli, repo, "prices.csv", "prices")["new"] is False
    refused(cli("data", "add", "prices.csv", "prices", "--label", "kind", cwd=repo), 2, "written once")


def test_a_column_that_is_not_there_is_told_before_anything_is_kept(repo: Path, cli: Cli, git: Git):
    prices(repo / "prices.csv")
    refused(cli("data", "add", "prices.csv", "prices", "--label", "colour", cwd=repo), 2, "colour", "price")
    refused(cli("data", "add", "prices.csv", "prices", "--id", "kind", cwd=repo), 2, "kind")
    folder(repo / "data")
    refused(cli("data", "add", "data", "digits", "--label", "colour", cwd=repo), 2, "colour")
    assert git(repo, "for-each-ref", "refs/gitrepro") == ""


def test_a_table_that_is_none_is_kept_as_a_file_and_said(repo: Path, cli: Cli):
    (repo / "odd.csv").write_text("a,b\n1,2\n3\n")
    (repo / "odd.npz").write_bytes(b"PK\x03\x04 cut short")
    csv = cli("data", "add", "odd.csv", "odd", cwd=repo)
    npz = cli("data", "add", "odd.npz", "other", cwd=repo)

    assert csv.returncode == npz.returncode == 0, csv.stderr + npz.stderr
    assert "plain file" in csv.stderr and "plain file" in npz.stderr
    assert {each["kind"] for each in json.loads(cli("data", "ls", "--json", cwd=repo).stdout)} == {"file"}
    refused(cli("data", "add", "odd.csv", "third", "--label", "a", cwd=repo), 4, "odd.csv")


def test_an_unknown_name_is_answered_with_the_nearest(repo: Path, cli: Cli):
    folder(repo / "data")
    put(repo, "data", "digits")

    for verb in ("show", "get", "stats", "ls"):
        refused(cli("data", verb, "digit", cwd=repo), 3, "nearest: digits")
    refused(cli("data", "diff", "digits@v1", "digits@v7", cwd=repo), 3, "on record: v1")
    error = json.loads(cli("data", "show", "digit", "--json", cwd=repo).stderr)["error"]
    assert error["code"] == "not-found"


def test_a_digest_that_means_two_versions_is_ambiguous(repo: Path, cli: Cli):
    folder(repo / "data")
    digest = put(repo, "data", "digits").digest
    put(repo, "data", "numbers")

    refused(cli("data", "show", digest[:10], cwd=repo), 3, "digits", "numbers")
    assert json.loads(cli("data", "show", f"digits@{digest[:10]}", "--json", cwd=repo).stdout)["name"] == "digits"


def test_files_that_were_changed_are_not_overwritten(repo: Path, cli: Cli, tmp_path: Path):
    folder(repo / "data")
    prices(repo / "prices.csv")
    put(repo, "data", "digits")
    put(repo, "prices.csv", "prices")
    out, mine = tmp_path / "out", tmp_path / "mine.csv"
    assert cli("data", "get", "digits", str(out), cwd=repo).returncode == 0
    (out / "0" / "0.bin").write_bytes(b"my own work")
    mine.write_text("my own table")

    refused(cli("data", "get", "digits", str(out), cwd=repo), 2, "0.bin", "--force")
    refused(cli("data", "get", "prices", str(mine), cwd=repo), 2, "mine.csv", "--force")
    assert (out / "0" / "0.bin").read_bytes() == b"my own work"
    assert mine.read_text() == "my own table"
    assert cli("data", "get", "digits", str(out), "--force", cwd=repo).returncode == 0
    assert cli("data", "get", "prices", str(mine), "--force", cwd=repo).returncode == 0
    assert (out / "0" / "0.bin").read_bytes() == b"0" * 100
    assert mine.read_bytes() == (repo / "prices.csv").read_bytes()


def test_files_that_are_not_in_the_version_are_left_alone_and_named(repo: Path, cli: Cli, tmp_path: Path):
    data, out = folder(repo / "data"), tmp_path / "out"
    (data / "0" / "notes.tmp").write_text("ignored")
    put(repo, "data", "digits", ignore=("*.tmp",))
    (data / "2" / "5.bin").unlink()
    put(repo, "data", "digits", ignore=("*.tmp",))
    fresh = json.loads(cli("data", "get", "digits@v1", str(out), "--json", cwd=repo).stdout)
    (out / "1.tmp").write_text("ignored")
    (out / "empty").mkdir()
    older = cli("data", "get", "digits@v2", str(out), cwd=repo)
    for name in ("0/mine.txt", "\x1b[31m", "z", "zz"):
        (out / name).write_text("mine")
    part = cli("data", "get", "digits@v2", str(out), "--only", "0/*", cwd=repo)
    told = json.loads(cli("data", "get", "digits@v2", str(out), "--json", cwd=repo).stdout)

    assert (fresh["extra"], fresh["extra_more"]) == ([], False)
    assert older.stderr.splitlines()[1:] == ["2/5.bin is not in digits@v2; it is left alone"]
    assert part.stderr.splitlines()[1:] == [
        "5 files are not in digits@v2; they are left alone: \\x1b[31m, 0/mine.txt, 2/5.bin, …"
    ]
    assert told["extra"] == ["\\x1b[31m", "0/mine.txt", "2/5.bin", "z", "zz"]
    assert (out / "2" / "5.bin").read_bytes() == b"5" * 100 and (out / "z").read_text() == "mine"


def test_of_very_many_other_files_the_first_are_listed(repo: Path, cli: Cli, tmp_path: Path):
    folder(repo / "data")
    put(repo, "data", "digits")
    for number in range(1_005):
        (tmp_path / f"{number:04}").touch()
    done = cli("data", "get", "digits", str(tmp_path), cwd=repo)
    told = json.loads(cli("data", "get", "digits", str(tmp_path), "--json", cwd=repo).stdout)

    assert "1,000 files or more are not in digits@v1" in done.stderr
    assert (len(told["extra"]), told["extra"][0], told["extra_more"]) == (1_000, "0000", True)


def test_nothing_is_said_of_what_lies_beside_a_data_set_of_one_file(repo: Path, cli: Cli):
    prices(repo / "prices.csv")
    put(repo, "prices.csv", "prices")
    done = cli("data", "get", "prices", ".", cwd=repo)
    assert done.returncode == 0 and "left alone" not in done.stderr


def test_only_what_is_nowhere_in_the_data(repo: Path, cli: Cli, tmp_path: Path):
    folder(repo / "data")
    put(repo, "data", "digits")
    refused(cli("data", "get", "digits", str(tmp_path / "out"), "--only", "*.png", cwd=repo), 3, "*.png")
    assert not (tmp_path / "out").exists()


def test_no_repository_no_data(tmp_path: Path, cli: Cli):
    folder(tmp_path / "data")
    refused(cli("data", "add", "data", "digits", cwd=tmp_path), 2, "no Git repository")


def test_a_full_disk_says_so_and_leaves_no_record(tmp_path: Path, cli: Cli, git: Git):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk]).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        git(disk, "init", "--quiet", "r")
        data = disk / "r" / "data.bin"
        data.write_bytes(os.urandom(1 << 20))
        big = tmp_path / "big.bin"
        big.write_bytes(os.urandom(8 << 20))
        assert cli("data", "add", "data.bin", "small", cwd=disk / "r").returncode == 0
        done = cli("data", "add", str(big), "big", "--copy", cwd=disk / "r")
        refused(done, 4, "No space left", "do:")
        assert [each["name"] for each in json.loads(cli("data", "ls", "--json", cwd=disk / "r").stdout)] == ["small"]
        data.unlink()
        assert cli("data", "get", "small", "again.bin", cwd=disk / "r").returncode == 0
    finally:
        subprocess.run(["umount", "-l", disk])


@pytest.mark.parametrize("after_seconds", [0.4, 0.7, 1.0])
def test_killed_anywhere_and_run_again_it_ends_the_same(repo: Path, cli: Cli, git: Git, after_seconds: float):
    prices(repo / "prices.csv", rows=20_000)
    command = [sys.executable, "-m", "gitrepro", "data", "add", "prices.csv", "prices", "--label", "kind"]
    child = subprocess.Popen(command, cwd=repo, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after_seconds)
    child.send_signal(signal.SIGKILL)
    child.wait()
    add(cli, repo, "prices.csv", "prices")
    listed = json.loads(cli("data", "ls", "--json", cwd=repo).stdout)
    shown = json.loads(cli("data", "show", "prices", "--json", cwd=repo).stdout)

    assert [each["version"] for each in listed] == ["v1"]
    assert "~" not in git(repo, "ls-tree", "-r", "--name-only", RUNS)
    assert shown["statistics"]["counts"]["items"] == 20_000
