"""Check runs of every released format: the same bytes again, read from the page alone, and judged again alike."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from gitrepro.checks import baseline, overfit, shuffle
from gitrepro.checks.distribution import alike, classes, overlaps, proof, repeated, schema
from gitrepro.errors import Damaged
from gitrepro.records.predictions import load_predictions
from gitrepro.run.compose import compose

GOLDEN = Path(__file__).parent.parent / "golden"
V1 = GOLDEN / "v1" / "checks"
BLOBS = V1 / "blobs"
TRIAL, CLOSING = sorted(path.name for path in (V1 / "live").iterdir())
LINES = json.loads((BLOBS / "checked.json").read_bytes())
PREDICTIONS = ("predictions.parquet", "scores.parquet", "words.parquet")
Judge = Callable[[Mapping[str, Any], Mapping[str, Any]], str]


def told(run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((V1 / "runs" / run_id / "run.yaml").read_bytes())
    return found


@pytest.mark.parametrize("run_id", [TRIAL, CLOSING])
def test_a_golden_live_folder_of_a_check_becomes_the_golden_run(run_id: str) -> None:
    composed = compose(V1 / "live" / run_id, blobs=None)

    assert {path.name for path in (V1 / "runs" / run_id).iterdir()} == set(composed.files)
    for name, data in composed.files.items():
        assert data == (V1 / "runs" / run_id / name).read_bytes(), name


def test_the_golden_files_of_checks_are_what_their_script_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, GOLDEN / "make_checks.py", tmp_path], check=True)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    writers = {parquet.ParquetFile(path / "blobs" / "words.parquet").metadata.created_by for path in (tmp_path, V1)}
    # Parquet names its writer in the file.
    kept = {name: data for name, data in made.items() if len(writers) == 1 or name.suffix != ".parquet"}

    assert len(made) == 16
    assert kept == {name: (V1 / name).read_bytes() for name in kept}


# -- from the page alone


FIELDS = {
    "algorithm", "examples", "inputs", "name", "observed", "parameters", "repair", "rule", "runs", "verdict", "why",
}  # fmt: skip


def test_the_lines_in_the_record_are_those_of_the_artifact_with_ten_examples_each() -> None:
    for short, line in zip(told(CLOSING)["checked"], LINES, strict=True):
        assert set(line) == FIELDS
        assert set(short) == FIELDS | {"examples_found"}
        assert short["examples_found"] == len(line["examples"])
        assert short["examples"] == line["examples"][:10]
        assert {name: short[name] for name in FIELDS - {"examples"}} == {
            name: line[name] for name in FIELDS - {"examples"}
        }


def test_the_summary_of_the_closing_run_has_each_verdict() -> None:
    assert told(CLOSING)["summary"] == {line["name"]: line["verdict"] for line in LINES}
    assert (told(CLOSING)["kind"], told(TRIAL)["kind"]) == ("data-check", "shuffle")


def table(name: str) -> Any:
    return parquet.read_table(pa.BufferReader((BLOBS / name).read_bytes()))


def test_predictions_have_the_columns_of_the_page() -> None:
    assert table("predictions.parquet").schema.names == ["id", "value"]
    assert table("words.parquet").to_pydict() == {"id": ["a", "b", "é", ""], "value": ["cat", "dog", "dög", "cat"]}
    scores = table("scores.parquet")
    assert scores.schema.names == ["id", "value/0", "value/1", "value/2"]
    assert scores.schema.metadata[b"shape"] == b"3"
    assert scores.column("value/0").to_pylist()[:3] == [0.5, 0.0, 1e-300]
    assert np.isnan(scores.column("value/0")[3].as_py())


def test_the_score_of_a_shuffle_trial_can_be_computed_again_from_its_two_files() -> None:
    rows = list(csv.DictReader((BLOBS / "labels.csv").read_text(encoding="utf-8").splitlines()))
    found = table("predictions.parquet").to_pydict()
    line = next(line for line in LINES if line["name"] == "shuffle.labels")
    score = np.mean([int(row["label"]) == value for row, value in zip(rows, found["value"], strict=True)])

    assert [row["id"] for row in rows] == found["id"]
    assert score == told(TRIAL)["summary"]["val/accuracy"] == line["observed"]["scores"][0]


def test_other_files_of_checks_have_the_form_of_the_page() -> None:
    observed = {line["name"]: line["observed"] for line in LINES}
    pieces = json.loads((BLOBS / "pieces.json").read_bytes())
    header, *pairs = (BLOBS / "pairs.tsv").read_text(encoding="utf-8").splitlines()
    statistics = json.loads((BLOBS / "statistics.json").read_bytes())

    assert (BLOBS / "ids.txt").read_text(encoding="utf-8").splitlines() == observed["overfit.mini_batch"]["ids"]
    assert json.loads((BLOBS / "off.json").read_bytes()) == observed["overfit.mini_batch"]["off"]
    for name in ("all_move", "gradients", "independence"):
        assert pieces[name] == observed[f"overfit.{name}"]
    assert pieces["initial_loss"].items() <= observed["overfit.initial_loss"].items()
    assert header.split("\t") == ["part_a", "id_a", "part_b", "id_b", "kind", "distance"]
    assert [pair.split("\t")[4:] for pair in pairs] == [["exact", "0.0"]] * 11
    assert set(statistics) == {"train", "val"}


# -- read and judged by this release


def test_golden_predictions_come_back_in_their_shapes() -> None:
    ids, scores = load_predictions((BLOBS / "scores.parquet").read_bytes(), source="scores")
    _, words = load_predictions((BLOBS / "words.parquet").read_bytes(), source="words")
    _, classes_said = load_predictions((BLOBS / "predictions.parquet").read_bytes(), source="predictions")

    assert (ids.tolist(), scores.shape) == (["a", "b", "é", ""], (4, 3))
    assert np.array_equal(scores[3], [np.nan, np.inf, -np.inf], equal_nan=True) and np.signbit(scores[1, 2])
    assert words.tolist() == ["cat", "dog", "dög", "cat"]
    assert classes_said.dtype.kind == "i" and classes_said.shape == (32,)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_golden_predictions_that_were_cut_are_told(name: str) -> None:
    data = (BLOBS / name).read_bytes()
    for length in range(0, len(data), 41):
        with pytest.raises(Damaged):
            load_predictions(data[:length], source=name)


def judged(judge: Callable[..., Any]) -> Judge:
    return lambda observed, parameters: str(judge(observed, parameters).verdict)


JUDGES: dict[str, Judge] = {
    "baseline.beaten": lambda observed, parameters: str(baseline.verdict.judge(observed, parameters)),
    "distribution.classes": judged(classes.judge),
    "distribution.drift": judged(alike.judge),
    "distribution.duplicates": judged(repeated.judge),
    "distribution.label_conflicts": judged(repeated.judge_labels),
    "distribution.schema": judged(schema.judge),
    "separation.fitted": judged(proof.judge),
    "separation.groups": judged(overlaps.judge_groups),
    "separation.ids": judged(overlaps.judge_ids),
    "separation.times": judged(overlaps.judge_times),
    "shuffle.inputs": lambda observed, parameters: str(shuffle.judge(observed, parameters)),
    "shuffle.labels": lambda observed, parameters: str(shuffle.judge(observed, parameters)),
}


@pytest.mark.parametrize("line", LINES, ids=[line["name"] for line in LINES])
def test_a_line_that_is_on_record_is_judged_again_alike(line: dict[str, Any]) -> None:
    kept = next(each for each in told(CLOSING)["checked"] if each["name"] == line["name"])
    for each in (line, kept):
        if line["rule"] == "overfit":
            found = str(overfit.verdict.judge(line["name"], each["observed"], each["parameters"]))
        else:
            found = JUDGES[line["name"]](each["observed"], each["parameters"])

        assert found == line["verdict"]
