"""`run.artifact`: what a program wants kept is in the store under its digest, and on record with what it is."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import gitrepro
from gitrepro.errors import GitreproWarning, UsageError
from gitrepro.records.run import RunRecord
from gitrepro.run.artifacts import given, media_type_of
from gitrepro.store.objects import BlobStore, digest_of
from gitrepro.store.place import store_of
from gitrepro.store.runs import RunTree
from gitrepro.store.trees import entries
from tests.recorded_runs import opened


@pytest.fixture
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo)
    return repo


def newest(repo: Path) -> RunRecord:
    with RunTree(opened(repo)) as tree:
        return tree.run(tree.run_ids()[-1])


def kept(repo: Path) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in newest(repo).artifacts}


def store(repo: Path) -> BlobStore:
    return store_of(opened(repo))


def test_bytes_are_kept_under_their_digest(here: Path) -> None:
    with gitrepro.record() as run:
        digest = run.artifact(b"three", "notes/three.txt")

    assert digest == digest_of([b"three"])
    assert kept(here)["notes/three.txt"] == {
        "blob": digest, "kind": "artifact", "media_type": "text/plain", "name": "notes/three.txt", "size_bytes": 5,
    }  # fmt: skip
    assert store(here).get(str(digest)) == b"three"


def test_a_file_is_kept_as_it_is_large_or_small(here: Path, tmp_path: Path) -> None:
    contents = {"small.bin": b"x" * 10, "large.bin": os.urandom(3 << 20)}
    with gitrepro.record() as run:
        for name, data in contents.items():
            (tmp_path / name).write_bytes(data)
            run.artifact(tmp_path / name, name)

    assert {name: store(here).get(each["blob"]) for name, each in kept(here).items()} == contents


def test_a_folder_is_kept_as_a_tree_whose_files_are_in_the_store(here: Path, tmp_path: Path) -> None:
    for name in ("a.txt", "below/b.txt"):
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text(name)
    with gitrepro.record() as run:
        run.artifact(tmp_path / "out", "out")

    entry = kept(here)["out"]
    assert (entry["kind"], entry["files"]) == ("folder", 2)
    found = {each.path: store(here).get(each.digest) for each in entries(store(here), entry["blob"])}
    assert found == {b"a.txt": b"a.txt", b"below/b.txt": b"below/b.txt"}


def test_a_dict_is_kept_as_json_that_any_reader_takes(here: Path) -> None:
    with gitrepro.record() as run:
        run.artifact({"b": float("nan"), "a": [np.float64(0.5), np.arange(2)], "c": "é"}, "scores")

    entry = kept(here)["scores"]
    assert entry["media_type"] == "application/json"
    found = json.loads(store(here).get(entry["blob"]), parse_constant=lambda word: pytest.fail(word))
    assert found == {"b": "NaN", "a": [0.5, [0, 1]], "c": "é"}


def test_an_arrow_table_is_kept_as_parquet(here: Path) -> None:
    table = pa.table({"id": ["a", "b"], "score": [0.5, None]})
    with gitrepro.record() as run:
        run.artifact(table, "predictions")

    entry = kept(here)["predictions"]
    assert entry["media_type"] == "application/vnd.apache.parquet"
    assert parquet.read_table(pa.BufferReader(store(here).get(entry["blob"]))).equals(table)


def test_a_pandas_frame_is_kept_as_parquet(here: Path) -> None:
    pandas = pytest.importorskip("pandas")
    with gitrepro.record() as run:
        run.artifact(pandas.DataFrame({"x": [1, 2]}), "frame")
        run.artifact(pandas.Series([1, 2], name="x"), "series")

    for entry in kept(here).values():
        assert parquet.read_table(pa.BufferReader(store(here).get(entry["blob"])))["x"].to_pylist() == [1, 2]


def test_a_table_whose_name_ends_in_csv_is_kept_as_csv(here: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": [1, 2], "y": ["a", "b"]})
    with gitrepro.record() as run:
        run.artifact(frame, "frame.csv")
        run.artifact(frame.set_index("y"), "by/y.tsv")
        run.artifact(pa.table({"x": [1], "y": ["a"]}), "arrow.csv")

    found = {name: (store(here).get(each["blob"]), each["media_type"]) for name, each in kept(here).items()}
    assert found == {
        "frame.csv": (b"x,y\n1,a\n2,b\n", "text/csv"),
        "by/y.tsv": (b"y\tx\na\t1\nb\t2\n", "text/tab-separated-values"),
        "arrow.csv": (b'"x","y"\n1,"a"\n', "text/csv"),
    }


def test_an_array_is_kept_without_pickle(here: Path, tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    with gitrepro.record() as run:
        run.artifact(array, "weights")
        with pytest.warns(GitreproWarning, match="Object arrays"):
            assert run.artifact(np.array([object()]), "objects") is None

    path = tmp_path / "a.npy"
    path.write_bytes(store(here).get(kept(here)["weights"]["blob"]))
    assert np.array_equal(np.load(path, allow_pickle=False), array)


class Figure:
    """As matplotlib's: it draws itself into a file."""

    def savefig(self, file: Any, *, format: str) -> None:
        file.write(f"a {format}".encode())


class Axes:
    figure = Figure()


class Plotly:
    def to_plotly_json(self) -> dict[str, Any]:
        return {}

    def to_json(self) -> str:
        return '{"data": []}'


@pytest.mark.parametrize(
    ("thing", "data", "media_type"),
    [
        (Figure(), b"a png", "image/png"),
        (Axes(), b"a png", "image/png"),
        (Plotly(), b'{"data": []}', "application/vnd.plotly.v1+json"),
    ],
)
def test_a_figure_is_kept_as_what_it_draws(here: Path, thing: Any, data: bytes, media_type: str) -> None:
    with gitrepro.record() as run:
        run.artifact(thing, "plot.png")

    assert store(here).get(kept(here)["plot.png"]["blob"]) == data
    assert kept(here)["plot.png"]["media_type"] == media_type


def test_a_figure_is_drawn_as_its_name_says(here: Path) -> None:
    with gitrepro.record() as run:
        run.artifact(Figure(), "plot.svg")
        run.artifact(Figure(), "plot.pdf")

    found = {name: (store(here).get(each["blob"]), each["media_type"]) for name, each in kept(here).items()}
    assert found == {"plot.svg": (b"a svg", "image/svg+xml"), "plot.pdf": (b"a pdf", "application/pdf")}


def test_an_image_is_kept_as_png(here: Path) -> None:
    image = pytest.importorskip("PIL.Image").new("RGB", (2, 2))
    with gitrepro.record() as run:
        run.artifact(image, "pixel.png")

    assert store(here).get(kept(here)["pixel.png"]["blob"]).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.csv", "text/csv"), ("a.parquet", "application/vnd.apache.parquet"), ("a.png", "image/png"),
        ("A.PNG", "image/png"), ("a.json", "application/json"), ("a", "application/octet-stream"),
        ("model.safetensors", "application/vnd.safetensors"), ("a.b/c", "application/octet-stream"),
    ],
)  # fmt: skip
def test_a_name_tells_the_media_type(name: str, media_type: str) -> None:
    assert media_type_of(name) == media_type


def test_what_is_said_of_the_media_type_stands_over_what_the_name_tells() -> None:
    assert given(b"", "a.csv", "text/x-mine").media_type == "text/x-mine"


def test_the_suffix_of_a_file_tells_where_the_name_does_not(tmp_path: Path) -> None:
    assert given(tmp_path / "a.csv", "table").media_type == "text/csv"


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a/", "a\nb", 3, None, "x" * 201])
def test_a_name_that_cannot_be_is_an_error(here: Path, name: Any) -> None:
    with gitrepro.record() as run, pytest.raises(UsageError):
        run.artifact(b"", name)


@pytest.mark.parametrize(
    "thing",
    [None, object(), 3, {1, 2}, {"a": object()}],
    ids=["nothing", "object", "number", "set", "dict of an object"],
)
def test_a_thing_nobody_knows_how_to_keep_is_an_error(here: Path, thing: Any) -> None:
    with gitrepro.record() as run, pytest.raises(UsageError):
        run.artifact(thing, "thing")


def test_what_cannot_be_kept_is_a_warning_and_on_record(here: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with gitrepro.record() as run:
        for path in (tmp_path / "nowhere", tmp_path / "pipe"):
            with pytest.warns(GitreproWarning, match="is not kept"):
                assert run.artifact(path, path.name) is None

    record = newest(here)
    assert record.status == "incomplete"
    assert [loss["what"] for loss in record.losses] == ["artifact nowhere", "artifact pipe"]


def test_a_figure_that_cannot_draw_itself_does_not_end_the_training(here: Path) -> None:
    class Broken:
        def savefig(self, _file: Any, *, format: str) -> None:
            raise RuntimeError("no display")

    with gitrepro.record() as run, pytest.warns(GitreproWarning, match="no display"):
        assert run.artifact(Broken(), "plot.png") is None


def test_a_store_that_cannot_be_written_does_not_end_the_training(here: Path) -> None:
    with gitrepro.record() as run:
        (here / ".git" / "gitrepro" / "store").write_bytes(b"a file, where a folder should be")
        with pytest.warns(GitreproWarning, match="is not kept"):
            assert run.artifact(b"x" * (1 << 20), "big") is None
        (here / ".git" / "gitrepro" / "store").unlink()

    assert newest(here).status == "incomplete"


@pytest.mark.filterwarnings("ignore:.*(has no repository|waits in)")
def test_without_a_repository_an_artifact_is_told_as_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.warns(GitreproWarning, match="is not kept"), gitrepro.record() as run:
        assert run.artifact(b"x", "x") is None


def test_with_recording_off_nothing_is_kept_and_nothing_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    with gitrepro.record() as run:
        assert run.artifact(b"x", "x") is None


def test_a_program_under_the_command_keeps_its_artifacts_in_the_run_of_the_command(here: Path, cli: Any) -> None:
    (here / "train.py").write_text('import gitrepro\ngitrepro.record().artifact(b"x", "x.txt")\n')
    cli("record", "--", sys.executable, "train.py", cwd=here)

    assert "x.txt" in kept(here)
