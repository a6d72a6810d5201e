"""`show` of what a run was made from and what it left: data, splits, what was fitted, checkpoints, artifacts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.recorded_runs import record_run

DIGITS, SPLIT, BEST, LAST = (f"b3:{character * 64}" for character in "abcd")
DATA = {
    "checked": "stat", "digest": DIGITS, "items": 1797, "kind": "npz", "linked": True, "name": "digits",
    "size_bytes": 460_000, "version": "v1",
    "splits": [{
        "digest": SPLIT, "name": "default", "parts": {"test": 180, "train": 1437}, "reads": {"train": 14370},
        "version": "v2",
    }],
}  # fmt: skip
METRIC = {"name": "val/loss", "goal": "min", "value": 0.25, "part": "val"}
CHECKPOINTS = (
    {"blob": BEST, "name": "step-400", "step": 400, "roles": ["best"], "size_bytes": 2048, "metric": METRIC},
    {"blob": LAST, "name": "step-900", "step": 900, "roles": ["last"], "size_bytes": 2048, "metric": None},
)
ARTIFACTS = (
    {"blob": DIGITS, "kind": "artifact", "media_type": "image/png", "name": "plots/loss.png", "size_bytes": 3},
    {"blob": DIGITS, "kind": "folder", "media_type": "inode/directory", "name": "out", "size_bytes": 9, "files": 2},
)
FITTED = {
    "blob": DIGITS, "count": 1437, "data": DIGITS, "ids": SPLIT, "method": "mean_std", "name": "pixels",
    "part": "train", "split": SPLIT,
}  # fmt: skip


@pytest.fixture
def held(repo: Path) -> str:
    return record_run(repo, data=(DATA,), checkpoints=CHECKPOINTS, artifacts=ARTIFACTS, fitted=(FITTED,))


def section(page: str, title: str) -> list[str]:
    """The lines of one section of a page."""
    found = page.split(f"\n{title}\n")[1].split("\n\n")[0]
    return [" ".join(line.split()) for line in found.splitlines()]


def test_the_page_says_which_data_and_what_was_read_of_it(repo: Path, cli: Any, held: str) -> None:
    page = cli("show", held, cwd=repo).stdout

    assert section(page, "Data") == [
        f"digits@v1 {DIGITS[:15]} 1,797 items 449.2 KiB npz linked checked by stat",
        f"default@v2 {SPLIT[:15]} test 180, train 1,437 (14,370 read)",
    ]
    assert section(page, "Fitted") == ["pixels mean_std on 1,437 items of train"]


def test_the_page_names_the_best_and_the_last_checkpoint(repo: Path, cli: Any, held: str) -> None:
    best, last = section(cli("show", held, cwd=repo).stdout, "Checkpoints")

    assert best == f"best step 400 val/loss 0.25 (min) 2.0 KiB {BEST[:15]}"
    assert last == f"last step 900 2.0 KiB {LAST[:15]}"


def test_the_page_says_of_what_kind_each_artifact_is(repo: Path, cli: Any, held: str) -> None:
    plot, folder = section(cli("show", held, cwd=repo).stdout, "Artifacts")

    assert plot.endswith("image/png")
    assert "2 files" in folder


def test_json_has_all_of_it_by_full_digests(repo: Path, cli: Any, held: str) -> None:
    found = json.loads(cli("show", held, "--json", cwd=repo).stdout)

    assert found["data"] == [DATA]
    assert found["split"] == {"dataset": "digits", "data": DIGITS, **DATA["splits"][0]}
    assert found["checkpoints"] == [*CHECKPOINTS]
    assert found["artifacts"] == [*ARTIFACTS]
    assert found["fitted"] == [FITTED]


def test_a_run_that_names_none_of_it_has_no_such_sections(repo: Path, cli: Any) -> None:
    run_id = record_run(repo)
    page = cli("show", run_id, cwd=repo).stdout
    found = json.loads(cli("show", run_id, "--json", cwd=repo).stdout)

    assert not {"Data", "Fitted", "Checkpoints", "Artifacts"} & {*page.splitlines()}
    assert (found["data"], found["split"], found["checkpoints"]) == ([], None, [])


EVIL = "\x1b[31mred\u202e\r\n"


def test_no_control_character_of_these_reaches_the_terminal(repo: Path, cli: Any) -> None:
    split = {"name": EVIL, "digest": EVIL, "version": EVIL, "parts": {EVIL: 3}, "reads": {EVIL: 3}}
    run_id = record_run(
        repo,
        data=({"name": EVIL, "digest": EVIL, "version": EVIL, "kind": EVIL, "checked": EVIL, "splits": [split]},),
        checkpoints=({"blob": EVIL, "name": EVIL, "roles": [EVIL], "metric": {"name": EVIL}, "path": EVIL},),
        fitted=({"name": EVIL, "method": EVIL, "part": EVIL},),
        artifacts=({"name": EVIL, "blob": EVIL, "media_type": EVIL},),
    )

    assert not {*cli("show", run_id, cwd=repo).stdout} & {*"\x1b\r\u202e"}
