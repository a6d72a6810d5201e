"""The rule `data`, and what checkpoints have to say to the rules `code` and `curves`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitrepro.audit.evidence import Evidence, RunEvidence, gather
from gitrepro.audit.named import Named
from gitrepro.records.dataset import DatasetRecord
from gitrepro.records.result import Verdict
from gitrepro.records.split import SplitRecord
from gitrepro.store.catalog import write_records
from gitrepro.store.fold import Pending, enqueue, fold
from gitrepro.store.runs import RunTree
from tests.audit.test_rules import check, code, run, verdict
from tests.recorded_runs import ADA, NOW, opened, record_run

DIGITS, OTHER, SPLIT, OTHER_SPLIT = (f"b3:{character * 64}" for character in "abcd")
PARTS = {"test": 180, "train": 1437, "val": 180}


def split(digest: str = SPLIT, **changes: Any) -> dict[str, Any]:
    return {"digest": digest, "name": "default", "parts": PARTS, "reads": {}, "version": "v1", **changes}


def data(digest: str = DIGITS, *, splits: tuple[dict[str, Any], ...] = (split(),), **changes: Any) -> dict[str, Any]:
    known = {"checked": "stat", "items": 1797, "kind": "npz", "linked": False, "name": "digits", "size_bytes": 460_000}
    return {**known, "digest": digest, "splits": list(splits), "version": "v1", **changes}


def trained(*entries: dict[str, Any], of: Mapping[str, Any] | None = None, **changes: Any) -> RunEvidence:
    """A run that names its data, all of which is on record."""
    entries = entries or (data(),)
    named = [each for entry in entries for each in _named(entry)]
    return run(data=entries, of={"named": tuple(named), **(of or {})}, **changes)


def _named(entry: Mapping[str, Any]) -> list[Named]:
    own = Named(what=f"{entry['name']}@{entry['version']}", data=entry["name"], digest=entry["digest"])
    splits = (
        replace(own, what=f"default of {own.data}", digest=each["digest"], split=True) for each in entry["splits"]
    )
    return [own, *splits]


# -- one run


def test_a_run_that_names_its_data_and_split_by_content_passes() -> None:
    found = check("data", trained(data(splits=(split(reads={"train": 14370, "test": 180}),))))

    assert found.verdict is Verdict.PASS
    assert "items read: train 14370, test 180" in found.why


def test_what_was_read_of_the_test_part_is_on_record_as_a_fact() -> None:
    one = trained(data(splits=(split(reads={"test": 180}),)))

    assert check("data", one).evidence["data"][one.id][0]["splits"][0]["reads"] == {"test": 180}


def test_a_run_that_names_no_data_is_inconclusive() -> None:
    found = check("data", run())

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "gitrepro data add" in found.repair


def test_data_without_a_split_is_inconclusive() -> None:
    assert verdict("data", trained(data(splits=()))) == "INCONCLUSIVE"


def test_a_second_data_set_needs_no_split_of_its_own() -> None:
    assert verdict("data", trained(data(), data(OTHER, name="words", splits=()))) == "PASS"


@pytest.mark.parametrize(
    ("linked", "checked", "said"),
    [(True, "stat", "WARN"), (True, "sample", "PASS"), (True, "full", "PASS"), (False, "stat", "PASS")],
)
def test_linked_data_of_which_no_byte_was_read_is_a_warning(linked: bool, checked: str, said: str) -> None:
    found = check("data", trained(data(linked=linked, checked=checked)))

    assert str(found.verdict) == said
    assert ("only sizes and times" in found.why) == (said == "WARN")


def test_a_name_without_a_record_is_inconclusive() -> None:
    whole = trained()
    found = check("data", replace(whole, named=(replace(whole.named[0], missing="no record"), whole.named[1])))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "fetch refs/gitrepro/runs" in found.repair


def test_a_record_that_contradicts_the_run_fails() -> None:
    whole = trained()

    assert (
        verdict("data", replace(whole, named=(replace(whole.named[0], fault="other items"), whole.named[1]))) == "FAIL"
    )


# -- several


def test_runs_of_one_version_and_one_split_pass() -> None:
    assert verdict("data", trained(), trained()) == "PASS"


@pytest.mark.parametrize(
    "other",
    [trained(data(OTHER)), trained(data(splits=(split(OTHER_SPLIT),))), trained(preprocess={"digest": "b3:00"})],
    ids=["data", "split", "preprocess"],
)
def test_runs_that_mix_data_splits_or_preprocessing_fail(other: RunEvidence) -> None:
    assert verdict("data", trained(), other) == "FAIL"


def test_two_labels_of_one_content_are_one_version() -> None:
    assert verdict("data", trained(), trained(data(version="v7"))) == "PASS"


def test_one_run_without_data_among_others_is_inconclusive_and_named() -> None:
    found = check("data", trained(), run(name="bare-owl"))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "bare-owl" in found.why


def test_an_attempt_that_died_before_it_read_any_data_says_nothing_against_the_run() -> None:
    assert verdict("data", trained(of={"earlier": (run(status="crashed"),)})) == "PASS"


def test_an_attempt_on_other_data_fails() -> None:
    assert verdict("data", trained(of={"earlier": (trained(data(OTHER), status="crashed"),)})) == "FAIL"


# -- the run ref is asked


@pytest.fixture
def recorded(repo: Path) -> str:
    return record_run(repo, data=(data(),))


def _described(**changes: Any) -> DatasetRecord:
    values: dict[str, Any] = {
        "name": "digits", "version": "v1", "digest": DIGITS, "kind": "npz", "items": 1797, "files": 1,
        "size_bytes": 460_000, "linked": False, "source": "digits.npz", "id": "row",
    }  # fmt: skip
    return DatasetRecord(**{**values, **changes})


def _divided(**changes: Any) -> SplitRecord:
    named = {"digest": DIGITS, "name": "digits", "version": "v1"}
    values: dict[str, Any] = {
        "name": "default", "version": "v1", "digest": SPLIT, "dataset": named, "rule": {}, "parts": PARTS,
    }  # fmt: skip
    return SplitRecord(**{**values, **changes})


def _write(repo: Path, *records: DatasetRecord | SplitRecord) -> None:
    files = {record.path: record.dump() for record in records}
    write_records(opened(repo), files, subject="data", line="data", identity=ADA)


def evidence(repo: Path, *runs: str) -> Evidence:
    with RunTree(opened(repo)) as tree:
        return gather(tree, runs)


def judged(repo: Path, run_id: str) -> str:
    return verdict("data", *evidence(repo, run_id).runs)


def test_both_records_on_the_run_ref_make_it_pass(repo: Path, recorded: str) -> None:
    assert judged(repo, recorded) == "INCONCLUSIVE"
    _write(repo, _described())
    assert judged(repo, recorded) == "INCONCLUSIVE"
    _write(repo, _divided())
    assert judged(repo, recorded) == "PASS"


@pytest.mark.parametrize(
    "records",
    [
        (_described(items=3), _divided()),
        (_described(), _divided(parts={**PARTS, "test": 1})),
        (_described(), _divided(dataset={"digest": OTHER, "name": "digits", "version": "v1"})),
    ],
    ids=["items", "parts", "another data set"],
)
def test_a_record_that_says_otherwise_than_the_run_fails(repo: Path, recorded: str, records: tuple[Any, ...]) -> None:
    _write(repo, *records)

    assert judged(repo, recorded) == "FAIL"


def test_a_record_under_the_path_of_another_digest_fails(repo: Path, recorded: str) -> None:
    _write(repo, _divided())
    files = {_described().path: _described(digest=OTHER).dump().decode()}
    enqueue(opened(repo), Pending(kind="record", subject="data", line="forged", files=files))
    fold(opened(repo), identity=ADA, clock=lambda: NOW)

    assert judged(repo, recorded) == "FAIL"


def test_a_record_that_cannot_be_read_is_inconclusive(repo: Path, recorded: str) -> None:
    _write(repo, _divided())
    enqueue(opened(repo), Pending(kind="record", subject="x", line="x", files={_described().path: "format: 1\n"}))
    fold(opened(repo), identity=ADA, clock=lambda: NOW)

    assert judged(repo, recorded) == "INCONCLUSIVE"


def test_where_two_clones_described_the_same_bytes_one_of_the_records_has_to_agree(repo: Path, recorded: str) -> None:
    _write(repo, _described(items=3), _divided())
    path = f"{_described().path}~00000000"
    enqueue(opened(repo), Pending(kind="record", subject="x", line="x", files={path: _described().dump().decode()}))
    fold(opened(repo), identity=ADA, clock=lambda: NOW)

    assert judged(repo, recorded) == "PASS"


def test_data_that_is_named_by_no_digest_is_inconclusive(repo: Path) -> None:
    run_id = record_run(repo, data=(data("../../results", name="../x"),))

    assert judged(repo, run_id) == "INCONCLUSIVE"


# -- checkpoints


def checkpoint(**changes: Any) -> dict[str, Any]:
    metric = {"name": "val/loss", "goal": "min", "value": 0.5, "part": "val"}
    known = {"blob": OTHER, "name": "step-3", "step": 3, "roles": ["best", "last"], "size_bytes": 9, "metric": metric}
    origin = {"commit": code()["commit"], "config": DIGITS, "data": [DIGITS], "splits": [SPLIT]}
    return {**known, "provenance": origin, **changes}


def saved(*entries: dict[str, Any]) -> RunEvidence:
    return trained(checkpoints=entries or (checkpoint(),), recorder={"start_config": DIGITS})


def test_a_run_with_its_own_checkpoints_chosen_by_validation_passes() -> None:
    assert verdict("code", saved()) == "PASS"
    assert verdict("curves", saved()) == "PASS"


@pytest.mark.parametrize(
    "origin",
    [{"commit": "d" * 40}, {"config": OTHER}, {"data": [DIGITS, OTHER]}, {"splits": [OTHER_SPLIT]}, {"run": "01k3"}],
    ids=str,
)
def test_a_checkpoint_out_of_another_code_config_or_data_fails(origin: dict[str, Any]) -> None:
    found = check("code", saved(checkpoint(provenance=origin)))

    assert found.verdict is Verdict.FAIL
    assert f"another {next(iter(origin))} than its run" in found.why


def test_a_checkpoint_that_says_nothing_of_its_origin_is_not_held_against_the_run() -> None:
    assert verdict("code", saved(checkpoint(provenance=None))) == "PASS"


@pytest.mark.parametrize(
    ("metric", "part", "said"),
    [
        ("val/loss", "val", "PASS"),
        ("test/accuracy", "test", "FAIL"),
        ("train_loss", "train", "FAIL"),
        ("accuracy", "test", "FAIL"),
        ("test/accuracy", "val", "FAIL"),
        ("testLoss", None, "FAIL"),
        ("accuracy", None, "WARN"),
        ("contest/score", None, "WARN"),
    ],
)
def test_the_best_has_to_be_chosen_by_a_validation_metric(metric: str, part: str | None, said: str) -> None:
    told = {"name": metric, "goal": "max", "value": 0.5, "part": part}

    assert verdict("curves", saved(checkpoint(metric=told))) == said


def test_a_metric_of_the_training_part_is_no_matter_where_nothing_was_chosen_by_it() -> None:
    last = checkpoint(roles=["last"], metric={"name": "train/loss", "goal": "min", "value": None, "part": "train"})

    assert verdict("curves", saved(last)) == "PASS"
