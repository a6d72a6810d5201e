"""Results that cite their evidence: found by itself, put on record, and judged again from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import gitrepro
from gitrepro.audit import gate
from gitrepro.audit.candidates import judge_plain
from gitrepro.audit.curved import curves_of
from gitrepro.audit.predicted import PredictedOf
from gitrepro.audit.results import read_result
from gitrepro.errors import Refused, UsageError
from gitrepro.policy import Stage
from gitrepro.records.result import Audit, Check, Result, load_audit, load_result
from gitrepro.records.run import RunRecord
from gitrepro.store.annotate import annotate
from gitrepro.store.place import store_of
from gitrepro.store.runs import RunTree
from tests.recorded_runs import ADA, NOW, commit_file, opened, record_run

if TYPE_CHECKING:
    from tests.conftest import Cli

BEATEN: dict[str, Any] = {
    "rule": "baseline",
    "name": "baseline.beaten",
    "verdict": "PASS",
    "algorithm": 1,
    "observed": {
        "baselines": {}, "best": "linear", "ceiling": 0.05, "cost_ratio": 2.0, "count": 300, "gain": 0.03, "high": 0.05,
        "learners": 1, "low": 0.01, "metric": "accuracy", "needed": None, "over_trivial": 0.8, "points": True,
        "room": 0.9, "same": False, "tried": 2, "units": 300,
    },
    "parameters": {"least_examples": 30, "least_groups": 10, "worth": 0.05},
}  # fmt: skip
POLICY = 'results: {"result/*": standard}\nversion: 1\n'


@pytest.fixture
def asked(repo: Path) -> Path:
    """A repository that asks for evidence."""
    commit_file(repo, ".gitrepro.yaml", POLICY)
    return repo


def audit_of(root: Path, run: str, **options: Any) -> Audit:
    with RunTree(opened(root)) as tree:
        return gate.judge_runs(tree, [run], tag="result/x", **options)


def row(audit: Audit, rule: str) -> Check:
    return next(check for check in audit.checks if check.rule == rule)


def checked(root: Path, **changes: Any) -> str:
    return record_run(root, kind="data-check", checked=(BEATEN,), group="check-abc", **changes)


def declared(root: Path, run: str, **options: Any) -> Result:
    for rule in ("data", "batch", "precision", "repeats"):
        reason = {"reason": "not what this test is about", "rule": rule}
        annotate(opened(root), run, "waive", reason, identity=ADA, at="2026-01-02T03:04:05.678901Z")
    return gate.declare(opened(root), "result/x", [run], identity=ADA, now=NOW, **options)


def test_checks_of_the_same_code_are_found_by_themselves(asked: Path) -> None:
    check = checked(asked)
    commit_file(asked, "train.py", "print()\n")
    run = record_run(asked)
    same = checked(asked)
    audit = audit_of(asked, run)

    assert [cited.id for cited in audit.evidence] == [same]
    assert row(audit, "baseline").verdict == "WARN"
    assert check not in row(audit, "baseline").evidence["checks"]


def test_a_check_of_other_code_counts_where_it_is_named_and_it_is_said(asked: Path) -> None:
    other = checked(asked)
    commit_file(asked, "train.py", "print()\n")
    run = record_run(asked)

    assert row(audit_of(asked, run), "baseline").verdict == "INCONCLUSIVE"
    assert "another than that of" in row(audit_of(asked, run, checks=[other]), "baseline").why


def test_a_level_that_asks_for_no_check_cites_none(repo: Path) -> None:
    checked(repo)
    run = record_run(repo)
    audit = audit_of(repo, run)

    assert audit.evidence == ()
    assert b"\nevidence:" not in audit.dump()


def test_records_keep_what_they_cite(asked: Path) -> None:
    run, check = record_run(asked), checked(asked)
    audit = audit_of(asked, run)

    assert load_audit(audit.dump(), source="here").evidence == audit.evidence
    assert [cited.id for cited in audit.evidence] == [check]


def test_a_declared_result_cites_its_evidence_and_is_judged_by_that_alone(asked: Path) -> None:
    run, check = record_run(asked), checked(asked)
    result = declared(asked, run, evidence=["check-abc"])
    failing = {**BEATEN, "verdict": "FAIL", "observed": {**BEATEN["observed"], "gain": -1.0, "low": -1.1, "high": -0.9}}
    record_run(asked, kind="data-check", checked=(failing,))

    with RunTree(opened(asked)) as tree:
        found = read_result(tree, result.id)
        again = gate.judge_result(tree, found, stage=Stage.TAG)
    assert [cited.id for cited in found.evidence] == [check]
    assert load_result(found.dump(), source="here") == found
    assert row(again, "baseline").verdict == "WARN"
    assert again.evidence == found.evidence


def test_what_is_named_as_evidence_has_to_be_a_check(asked: Path) -> None:
    run = record_run(asked)

    with pytest.raises(UsageError, match="is no check"):
        gate.declare(opened(asked), "result/x", [run], identity=ADA, now=NOW, evidence=[run])


def test_a_group_of_a_check_is_the_run_that_closes_it(asked: Path) -> None:
    record_run(asked, kind="data-check", group="check-abc")
    closing = checked(asked)

    with RunTree(opened(asked)) as tree:
        assert gate.check_runs(tree, ["check-abc"]) == [closing]


def test_a_plain_tag_does_not_speak_for_the_trials_of_checks(repo: Path) -> None:
    trained = record_run(repo)
    trial = {"values": {"trial": {"arm": "task"}}, "sources": {}, "overridden": {}, "format": 1}
    record_run(repo, config=trial)

    with RunTree(opened(repo)) as tree:
        commit = str(tree.run(trained).code["commit"])  # type: ignore[index]
        assert [run.id for run in judge_plain(tree, "result/x", commit).runs] == [trained]


def test_a_failing_check_and_a_missing_one_are_refused_alike(asked: Path) -> None:
    run = record_run(asked)
    with pytest.raises(Refused, match="baseline INCONCLUSIVE"):
        declared(asked, run)
    worse = {**BEATEN["observed"], "gain": -0.03, "low": -0.05, "high": -0.01, "ceiling": -0.01}
    record_run(asked, kind="data-check", checked=({**BEATEN, "verdict": "FAIL", "observed": worse},))
    with pytest.raises(Refused, match="baseline FAIL"):
        declared(asked, run)


def test_tag_takes_evidence_and_shows_it(cli: Cli, asked: Path) -> None:
    run, check = record_run(asked), checked(asked)
    assert cli("tag", "result/x", run, "--evidence", "nothing-of-that-name", cwd=asked).returncode == 3
    declared(asked, run)
    again = cli("tag", "result/x", run, "--evidence", "check-abc", "--json", cwd=asked)
    assert again.returncode == 0
    assert check in again.stdout
    assert cli("rm", check, "--yes", cwd=asked).returncode == 1


def test_predictions_are_computed_again_from_the_store(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(asked)
    truth = np.arange(50) % 5
    with gitrepro.record({"lr": 0.1}, seed=0) as run:
        run.evaluate(np.where(np.arange(50) < 40, truth, 0), split="val", truth=truth)
    audit = audit_of(asked, run.id)
    [facts] = row(audit, "separation").evidence["evaluations"].values()

    assert facts[0]["metrics"]["accuracy"] == {"agrees": True, "recorded": pytest.approx(0.84)}
    assert row(audit, "separation").verdict == "WARN"

    blob = store_of(opened(asked)).root / "objects"
    for path in [*blob.rglob("*"), *(blob.parent / "packs").rglob("*")]:
        if path.is_file():
            path.unlink()
    absent = row(audit_of(asked, run.id), "separation")
    assert (absent.verdict, "gitrepro pull --blobs" in absent.repair) == ("INCONCLUSIVE", True)
    assert row(audit_of(asked, run.id, stage=Stage.SERVER), "separation").verdict == "WARN"


def test_curves_are_judged_again_from_their_table(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(asked)
    with gitrepro.record({"lr": 0.1}, seed=0) as run:
        for step in range(200):
            run.log({"train/loss": 2.0**-step if step < 60 else 1e-3 * 1.1**step}, step=step)
    found = row(audit_of(asked, run.id), "curves")

    assert (found.verdict, found.why) == ("WARN", "train/loss: divergence")
    with RunTree(opened(asked)) as tree:
        record = tree.run(run.id)
        assert record.curves is not None
        record.curves["metrics"]["train/loss"]["verdicts"]["divergence"]["found"] = False
        told = curves_of(tree, record)
        shorter = curves_of(tree, replace(record, metrics={"train/loss": {"count": 100, "nonfinite": 0}}))
    assert told and "the table of metrics shows divergence" in told.faults[0]
    assert shorter and "has 200" in shorter.faults[0]


def test_every_number_of_an_evaluation_that_is_changed_is_noticed(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(asked)
    truth = np.arange(50) % 5
    with gitrepro.record({"lr": 0.1}, seed=0) as run:
        run.evaluate(np.where(np.arange(50) < 40, truth, 0), split="val", truth=truth)
    with RunTree(opened(asked)) as tree:
        record = tree.run(run.id)
        [sound] = record.evaluations
        reader = PredictedOf(tree.repository)
        edits = [
            {"examples": 51},
            {"distinct": 49},
            {"size_bytes": 1},
            {"examples_digest": "b3:" + "0" * 64},
            {"metrics": {**sound["metrics"], "accuracy": {**sound["metrics"]["accuracy"], "value": 0.85}}},
            {"metrics": {**sound["metrics"], "accuracy": {**sound["metrics"]["accuracy"], "goal": "min"}}},
            {"metrics": {**sound["metrics"], "f1": sound["metrics"]["accuracy"]}},
            {"metrics": "none"},
        ]
        assert not _faults(reader, record)
        for edit in edits:
            assert _faults(reader, replace(record, evaluations=({**sound, **edit},))), edit
        other = replace(record, evaluations=({**sound, "predictions": "b3:" + "0" * 64},))
        assert not reader.of(other)[0].here


def _faults(reader: PredictedOf, record: RunRecord) -> list[Any]:
    [scored] = reader.of(record)
    wrong = [each for each in scored.metrics if each.agrees is False]
    return [*scored.faults, *wrong, *([scored.trouble] if scored.trouble else [])]
