"""A run that only evaluates: what is asked of a training is asked of the runs whose checkpoints it loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gitrepro.audit import gate
from gitrepro.records.result import Audit, Check
from gitrepro.store.runs import RunTree
from tests.audit.test_rules import check, code, run
from tests.recorded_runs import commit_file, opened, record_run, seeded

CURVE = {"val/accuracy": {"count": 10, "nonfinite": 0}}


def evaluated(*trainings: Any, **changes: Any) -> Any:
    """A run that has one number, of what these runs trained."""
    parents = tuple(each.id for each in trainings)
    found = run(kind="eval", parents=parents, metrics={"test/accuracy": {"count": 1, "nonfinite": 0}}, **changes)
    return replace(found, trained=trainings)


@pytest.mark.parametrize("rule", ["curves", "batch", "precision", "stopping"])
def test_a_rule_about_training_looks_at_what_was_loaded(rule: str) -> None:
    trained = run(
        metrics=CURVE,
        batch={"micro_batch": 8, "accumulation_steps": 1, "world_size": 1, "effective_batch": 8, "unit": "samples"},
        precision={"asked": "fp32", "device": "cpu", "nonfinite": {"loss": 0, "steps": 9}},
        stopping={"rules": [{"rule": "Budget", "parameters": {"steps": 9}}]},
    )
    found = check(rule, evaluated(trained))

    assert (found.verdict, list(found.evidence)) == ("PASS", [trained.id])
    assert check(rule, evaluated(run(metrics={}))).verdict == "INCONCLUSIVE"


def test_five_trainings_behind_five_evaluations_are_repeats() -> None:
    of = [evaluated(run(seeds=seeded(seed))) for seed in range(5)]

    assert check("repeats", *of, level="strict").verdict == "PASS"
    assert check("repeats", *[evaluated(of[0].trained[0]) for _ in range(5)], level="strict").verdict == "INCONCLUSIVE"


def test_a_training_that_ran_dirty_fails_the_code_of_its_evaluation() -> None:
    dirty = run(code=code(dirty=True, changes=["modified train.py"], changes_count=1))

    assert "uncommitted" in check("code", evaluated(dirty)).why
    assert check("code", evaluated(run())).verdict == "PASS"


def test_a_training_may_have_run_at_an_earlier_commit_than_its_evaluation() -> None:
    earlier = run(of={"commit_tree": "8" * 40}, code=code(commit="d" * 40, tree="8" * 40))

    assert check("code", evaluated(earlier)).verdict == "PASS"
    assert check("code", earlier).verdict == "FAIL"


def test_a_generator_that_nobody_seeded_in_a_training_fails_its_evaluation() -> None:
    assert check("seeds", evaluated(run(seeds={}))).verdict == "FAIL"


# -- on record


def row(audit: Audit, rule: str) -> Check:
    return next(check for check in audit.checks if check.rule == rule)


def test_a_result_cites_the_trainings_behind_its_runs(repo: Path) -> None:
    commit_file(repo, "train.py", "print()\n")
    trained = record_run(repo)
    run = record_run(repo, kind="eval", parents=(trained,))
    with RunTree(opened(repo)) as tree:
        audit = gate.judge_runs(tree, [run], tag="result/x")

    assert [cited.id for cited in audit.evidence] == [trained]
    assert row(audit, "audit").evidence["trained"] == {trained: audit.evidence[0].tree}
    assert audit.ok


def test_a_training_that_is_not_on_record_keeps_its_evaluation_from_being_a_result(repo: Path) -> None:
    commit_file(repo, "train.py", "print()\n")
    run = record_run(repo, kind="eval", parents=("01kq0000000000000000000001",))
    with RunTree(opened(repo)) as tree:
        found = row(gate.judge_runs(tree, [run], tag="result/x"), "audit")

    assert found.verdict == "FAIL"
    assert "the training 00000001 cannot be evidence" in found.why
