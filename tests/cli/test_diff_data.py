"""`diff` of what two runs were made from and what they left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gitrepro.records.manifest import FileEntry
from gitrepro.store.place import store_of
from gitrepro.store.trees import write_tree
from tests.recorded_runs import opened, record_run

ONE, TWO, SPLIT, OTHER = (f"b3:{character * 64}" for character in "abcd")
Found = dict[tuple[str, str], dict[str, Any]]
Diff = Callable[..., Found]


@pytest.fixture
def diff(cli: Any, repo: Path) -> Diff:
    """`diff(left, right)`: what differs, by section and key, of two runs recorded with these fields."""

    def compare(left: dict[str, Any], right: dict[str, Any]) -> Found:
        runs = [record_run(repo, metrics={}, summary={}, **fields) for fields in (left, right)]
        done = cli("diff", "--json", *runs, cwd=repo)
        found = {(each["section"], each["key"]): each for each in json.loads(done.stdout)["differences"]}
        assert done.returncode == bool(found), done.stderr
        return found

    return compare


def split(digest: str = SPLIT, **changes: Any) -> dict[str, Any]:
    known = {"digest": digest, "name": "default", "version": "v1", "parts": {"train": 80, "test": 20}, "reads": {}}
    return {**known, **changes}


def data(digest: str = ONE, **changes: Any) -> dict[str, Any]:
    known = {"digest": digest, "name": "digits", "version": "v1", "checked": "stat", "splits": [split()]}
    return {"data": ({**known, **changes},)}


def tree(repo: Path, **files: str) -> str:
    """A manifest in the store of the repository, of files with these texts; its digest."""
    store = store_of(opened(repo))
    with store.batch() as batch:
        entries = [
            FileEntry(path=name.encode(), digest=batch.put(text.encode()), size_bytes=len(text), mode=0o100644)
            for name, text in sorted(files.items())
        ]
        return str(write_tree(batch, entries).digest)


def test_the_same_data_under_another_label_is_no_difference(diff: Diff) -> None:
    right = data(version="v7", checked="full", splits=[split(version="v3", reads={"train": 800})])

    assert diff(data(), right) == {}


def test_another_version_is_named_with_what_changed_in_it(repo: Path, diff: Diff) -> None:
    old = tree(repo, a="1", b="2", c="3")
    new = tree(repo, a="1", b="two", d="4", e="5")
    found = diff(data(old), data(new, version="v2"))["data", "digits"]

    assert (found["left"], found["right"]) == ({"version": "v1", "digest": old}, {"version": "v2", "digest": new})
    assert found["note"] == "files: 2 added, 1 removed, 1 changed"


def test_what_changed_in_a_version_that_is_not_here_is_not_known_and_no_end_of_it(diff: Diff) -> None:
    assert diff(data(ONE), data(TWO))["data", "digits"]["note"].startswith("what changed is not known here")


def test_data_that_one_run_has_not_differs(diff: Diff) -> None:
    found = diff({}, data())

    assert found["data", "digits"]["left"] is None
    assert found["data", "digits/default"]["right"]["digest"] == SPLIT


def test_another_split_says_how_its_parts_moved(diff: Diff) -> None:
    right = data(splits=[split(OTHER, version="v2", parts={"train": 70, "test": 20, "val": 10})])
    found = diff(data(), right)

    assert found.keys() == {("data", "digits/default")}
    assert found["data", "digits/default"]["note"] == "train 80 to 70, val 0 to 10"


def test_another_split_of_the_same_sizes_says_so(diff: Diff) -> None:
    found = diff(data(), data(splits=[split(OTHER)]))

    assert found["data", "digits/default"]["note"] == "parts of the same sizes, with other items"


def test_what_was_fitted_differs_by_the_items_it_was_fitted_on(diff: Diff) -> None:
    fitted = {"name": "pixels", "method": "mean_std", "part": "train", "count": 80, "ids": ONE, "blob": ONE}
    found = diff({"fitted": (fitted,)}, {"fitted": ({**fitted, "ids": TWO},)})

    assert found.keys() == {("data", "fitted.pixels")}


def checkpoint(step: int, blob: str, weights: str | None = None, role: str = "best") -> dict[str, Any]:
    return {"blob": blob, "step": step, "roles": [role], "name": f"step-{step}", "size_bytes": 3, "weights": weights}


def test_checkpoints_of_equal_weights_do_not_differ_though_their_files_do(diff: Diff) -> None:
    left, right = ({"checkpoints": (checkpoint(4, blob, weights=SPLIT),)} for blob in (ONE, TWO))

    assert diff(left, right) == {}


def test_checkpoints_differ_by_their_weights_or_their_step(diff: Diff) -> None:
    left = {"checkpoints": (checkpoint(4, ONE, SPLIT), checkpoint(9, ONE, role="last"))}
    right = {"checkpoints": (checkpoint(6, TWO, SPLIT), checkpoint(9, TWO, role="last"))}
    found = diff(left, right)

    assert found["checkpoints", "best"]["note"] == "the same weights"
    assert found["checkpoints", "last"]["note"] is None
    assert found["checkpoints", "last"]["right"] == {"step": 9, "digest": TWO}


def test_artifacts_differ_by_content_and_the_output_of_the_program_does_not_count(diff: Diff) -> None:
    def kept(plot: str, output: str) -> dict[str, Any]:
        entries = [("plot.png", "artifact", plot), ("output.log", "output", output)]
        return {
            "artifacts": tuple(
                {"name": name, "kind": kind, "blob": blob, "size_bytes": 3} for name, kind, blob in entries
            )
        }

    assert diff(kept(ONE, ONE), kept(ONE, TWO)) == {}
    assert diff(kept(ONE, ONE), kept(TWO, TWO)).keys() == {("artifacts", "plot.png")}


def test_the_table_shortens_digests_and_names_the_versions(repo: Path, cli: Any) -> None:
    runs = [record_run(repo, metrics={}, summary={}, **fields) for fields in (data(), data(TWO, version="v2"))]
    shown = cli("diff", *runs, cwd=repo).stdout

    assert f"v1 {ONE[:15]}\tv2 {TWO[:15]}" in shown


def test_one_section_can_be_asked_for(repo: Path, cli: Any) -> None:
    left, right = ({"checkpoints": (checkpoint(4, blob),)} for blob in (ONE, TWO))
    runs = [record_run(repo, metrics={}, summary={}, **fields) for fields in (left, right)]

    assert cli("diff", "--only", "data,artifacts", *runs, cwd=repo).returncode == 0
    assert cli("diff", "--only", "checkpoints", *runs, cwd=repo).returncode == 1
