"""The rules on how a run was made and what its numbers stand on: stopping, batch, precision, efficiency, separation,
repeats."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitrepro.analysis.recomputed import Recomputed
from gitrepro.audit.evidence import RunEvidence
from gitrepro.data.holdouts import Log
from gitrepro.data.holdouts.log import Held
from gitrepro.policy import Stage
from gitrepro.records import ids
from gitrepro.records.holdout import Entry
from tests.audit.claims import SPLIT, accuracy, check, checks, run, scored, split_of, verdict
from tests.recorded_runs import seeded

# -- stopping


def guarded(*rules: dict[str, Any], **changes: Any) -> RunEvidence:
    told = {"rules": list(rules), "stopped": False, "reason": None, "warnings": [], **changes}
    return run(stopping=told)


def early(metric: str) -> dict[str, Any]:
    return {"rule": "EarlyStopping", "parameters": {"metric": metric, "patience": 5}}


BUDGET = {"rule": "Budget", "parameters": {"steps": 100}}
DIVERGENCE = {"rule": "Divergence", "parameters": {"window": 20}}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([early("val/loss")], "PASS"),
        ([BUDGET], "PASS"),
        ([early("train/loss")], "WARN"),
        ([early("test/accuracy")], "FAIL"),
        ([BUDGET, early("test_acc")], "FAIL"),
        ([DIVERGENCE], "INCONCLUSIVE"),
    ],
)
def test_when_to_stop_is_decided_on_validation_data_or_by_a_budget(rules: list[dict[str, Any]], expected: str) -> None:
    assert verdict("stopping", guarded(*rules)) == expected


def test_a_length_that_the_configuration_states_is_a_rule() -> None:
    config = {"values": {"train": {"epochs": 30}}, "sources": {"train.epochs": "file"}, "overridden": {}, "format": 1}
    changed = {**config, "sources": {"train.epochs": "code"}, "overridden": {"train.epochs": [10]}}

    assert verdict("stopping", run(of={"config": config})) == "PASS"
    assert verdict("stopping", run(of={"config": changed})) == "INCONCLUSIVE"
    assert verdict("stopping", run()) == "INCONCLUSIVE"


def test_a_rule_without_effect_is_a_warning() -> None:
    ignored = {"rule": "EarlyStopping", "code": "not-stopped", "effect": "warn"}

    assert verdict("stopping", guarded(early("val/loss"), warnings=[ignored])) == "WARN"


# -- batch


def batched(**changes: Any) -> dict[str, Any]:
    found = {"micro_batch": 8, "accumulation_steps": 4, "world_size": 2, "effective_batch": 64, "unit": "samples"}
    return {**found, "said_by": "observed", **changes}


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (batched(), "PASS"),
        (batched(said_by="config"), "WARN"),
        (batched(observed={"empty_windows": 3}), "WARN"),
        (batched(effective_batch=128), "FAIL"),
        (batched(micro_batch=None, effective_batch=None), "INCONCLUSIVE"),
        (batched(micro_batch="8"), "INCONCLUSIVE"),
        (None, "INCONCLUSIVE"),
    ],
)
def test_a_batch_is_on_record_and_adds_up(batch: dict[str, Any] | None, expected: str) -> None:
    assert verdict("batch", run(batch=batch)) == expected


def test_runs_of_different_effective_batches_make_no_one_number() -> None:
    other = batched(accumulation_steps=8, effective_batch=128)

    assert verdict("batch", run(batch=batched()), run(batch=batched())) == "PASS"
    assert verdict("batch", run(batch=batched()), run(batch=other)) == "FAIL"


def test_more_processes_than_the_batch_was_told_for_is_a_warning() -> None:
    assert verdict("batch", run(batch=batched(), ranks={"world_size": 4})) == "WARN"


# -- precision


def precise(asked: str = "fp32", **changes: Any) -> dict[str, Any]:
    effective = {"flags": {"matmul": "ieee"}, "parameters": {"torch.float32": 10}}
    return {
        "asked": asked, "device": "cpu", "effective": effective, "nonfinite": {"loss": 0, "steps": 20}, **changes,
    }  # fmt: skip


def test_what_was_computed_in_is_on_record_and_one_for_all_runs() -> None:
    one = run(precision=precise())
    flags = {"flags": {"matmul": "tf32"}, "parameters": {"torch.float32": 10}}

    assert verdict("precision", one, run(precision=precise())) == "PASS"
    assert verdict("precision", one, run(precision=precise("bf16"))) == "FAIL"
    found = check("precision", one, run(precision=precise(effective=flags)))
    assert (str(found.verdict), "other flags" in found.why) == ("FAIL", True)


def test_losses_that_were_not_finite_and_a_precision_that_was_never_used_are_warnings() -> None:
    assert verdict("precision", run(precision=precise(nonfinite={"loss": 2, "steps": 20}))) == "WARN"
    assert verdict("precision", run(precision=precise(nonfinite={"loss": 0, "steps": 0}))) == "WARN"


def test_where_nothing_with_modes_was_loaded_there_is_nothing_to_set() -> None:
    assert verdict("precision", run(of={"frameworks": ("numpy", "sklearn")})) == "WARN"
    assert verdict("precision", run(of={"frameworks": ("numpy", "torch")})) == "INCONCLUSIVE"
    assert verdict("precision", run()) == "INCONCLUSIVE"


# -- efficiency


def test_a_training_that_waits_for_its_data_is_a_warning() -> None:
    assert verdict("efficiency", run(efficiency={"wait_share": 0.02, "steps": 100})) == "PASS"
    assert verdict("efficiency", run(efficiency={"wait_share": 0.4, "steps": 100})) == "WARN"
    assert verdict("efficiency", run(efficiency={"wait_share": "much", "input_test": 3})) == "PASS"


# -- separation


FITTED = {"name": "mean_std", "part": "train", "ids": SPLIT, "blob": SPLIT}


def same(value: float = 0.9) -> Recomputed:
    return Recomputed(metric="accuracy", recorded=0.9, recomputed=value, agrees=value == 0.9, why="so it is")


OWN = Recomputed(metric="own", recorded=0.9, recomputed=None, agrees=None, why="not recomputable")


def evaluated(
    *, fitted: tuple[Any, ...] = (FITTED,), more: dict[str, Any] | None = None, **changes: Any
) -> RunEvidence:
    """A run with one evaluation, whose predictions come to the number on record."""
    told = {"here": True, "metrics_again": (same(),), **changes}
    return run(fitted=fitted, of={"scored": scored(**told), "named": split_of()}, **(more or {}))


def test_numbers_that_anybody_computes_again_pass() -> None:
    found = check("separation", evaluated())

    assert str(found.verdict) == "PASS"
    [facts] = found.evidence["evaluations"].values()
    assert facts[0]["metrics"] == {"accuracy": {"agrees": True, "recorded": 0.9}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"metrics_again": (same(0.8),)}, "FAIL"),
        ({"faults": ("examples_digest is another",)}, "FAIL"),
        ({"trouble": "they are no predictions"}, "FAIL"),
        ({"remarks": ("3 of the 100 predictions are of examples that have one already",)}, "WARN"),
        ({"here": False, "metrics_again": ()}, "INCONCLUSIVE"),
        ({"metrics_again": (OWN,)}, "WARN"),
        ({"metrics_again": (same(), OWN)}, "PASS"),
    ],
)
def test_numbers_are_what_their_predictions_come_to(changes: dict[str, Any], expected: str) -> None:
    assert verdict("separation", evaluated(**changes)) == expected


def test_a_server_that_holds_no_predictions_warns_and_others_tell_how_to_get_them() -> None:
    absent = evaluated(here=False, metrics_again=())

    assert verdict("separation", absent, stage=Stage.SERVER) == "WARN"
    assert "gitrepro pull --blobs" in check("separation", absent).repair


def test_a_summary_that_no_evaluation_came_to_is_told() -> None:
    assert verdict("separation", evaluated(more={"summary": {"val/accuracy": 0.9}})) == "PASS"
    assert verdict("separation", evaluated(more={"summary": {"val/accuracy": 0.95}})) == "WARN"


def test_what_is_fitted_is_fitted_on_train() -> None:
    assert verdict("separation", evaluated(fitted=({**FITTED, "part": "test"},))) == "FAIL"
    assert verdict("separation", evaluated(fitted=({**FITTED, "part": "val"},))) == "WARN"
    assert verdict("separation", evaluated(fitted=())) == "WARN"


def test_a_choice_by_test_data_fails() -> None:
    best = {"name": "best", "roles": ["best"], "metric": {"name": "test/loss", "goal": "min"}}

    assert verdict("separation", evaluated(more={"checkpoints": (best,)})) == "FAIL"
    assert verdict("separation", evaluated(more={"stopping": {"rules": [early("test/loss")]}})) == "FAIL"


def test_ids_on_both_sides_of_the_split_fail() -> None:
    line = {
        "rule": "separation",
        "name": "separation.groups",
        "verdict": "FAIL",
        "algorithm": 1,
        "observed": {"parts": ["train", "val"], "torn": 2, "groups": 9, "torn_of_train": 2, "examples": {"val": 4}},
        "parameters": {"a": 1},
    }
    found = check("separation", evaluated(), beside=[checks(line, of={"named": split_of()})])

    assert str(found.verdict) in ("FAIL", "WARN")
    assert "separation.groups" in found.why


# -- separation: the holdout log


def entry(op: str, **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "id": ids.new_id(),
        "op": op,
        "split": SPLIT,
        "dataset": "digits",
        "name": "default",
        "version": "v1",
        "part": "test",
    }
    return Entry(**{**values, **changes})


def log_of(*entries: Entry) -> Log:
    """A log of entries, each after the one before."""
    held: list[Held] = []
    for number, each in enumerate(entries, 1):
        chained = replace(each, number=number, prev=(held[-1].digest,) if held else ())
        held.append(Held(chained, chained.digest))
    return Log(split=SPLIT, held=tuple(held))


def opening(of: RunEvidence) -> Entry:
    return entry("open", run=of.id, purpose="confirm", reason="the final number")


def test_an_opening_after_the_choice_passes_and_one_before_it_does_not() -> None:
    trained = evaluated()
    chosen = entry("select", runs=(trained.id,))
    after, before = log_of(chosen, opening(trained)), log_of(opening(trained), chosen)

    assert verdict("separation", trained, holdouts={SPLIT: after}, level="strict") == "PASS"
    assert verdict("separation", trained, holdouts={SPLIT: before}) == "WARN"
    assert verdict("separation", trained, holdouts={SPLIT: before}, level="strict") == "FAIL"
    never = check("separation", trained, holdouts={SPLIT: log_of(opening(trained))}, level="strict")
    assert (str(never.verdict), "no entry says when" in never.why) == ("FAIL", True)


def test_a_test_part_that_was_scored_or_read_without_an_opening_is_told() -> None:
    scored_test = evaluated(name="test", part="test")
    splits = [{"name": "default", "digest": SPLIT, "reads": {"train": 100, "test": 30}}]
    read = evaluated(more={"data": ({"name": "digits", "splits": splits},)})

    for trained in (scored_test, read):
        assert verdict("separation", trained) == "WARN"
        assert verdict("separation", trained, level="strict") == "FAIL"
        logged = log_of(entry("select", runs=(trained.id,)), opening(trained))
        assert verdict("separation", trained, holdouts={SPLIT: logged}, level="strict") == "PASS"


def test_an_opening_that_is_not_on_the_log_fails() -> None:
    assert verdict("separation", evaluated(part="test", opening=ids.new_id())) == "FAIL"


def test_a_log_that_was_cut_fails() -> None:
    trained = evaluated()
    whole = log_of(entry("select", runs=(trained.id,)), opening(trained))
    cut = Log(split=SPLIT, held=whole.held[1:])
    anchored = evaluated(more={"holdouts": ({"split": SPLIT, "head": list(whole.heads), "count": 2},)})

    assert verdict("separation", trained, holdouts={SPLIT: cut}) == "FAIL"
    found = check("separation", anchored, holdouts={SPLIT: Log(split=SPLIT, held=whole.held[:1])})
    assert (str(found.verdict), "has seen entry" in found.why) == ("FAIL", True)


def test_many_openings_are_told_with_the_optimism_to_expect() -> None:
    trained = evaluated()
    log = log_of(entry("select", runs=(trained.id,)), *(opening(trained) for _ in range(3)))
    found = check("separation", trained, holdouts={SPLIT: log})

    assert str(found.verdict) == "WARN"
    assert "opened 3 times" in found.why


# -- repeats


def beaten(gain: float) -> dict[str, Any]:
    """A baseline line that need not be judged for its gain to be read."""
    return {
        "rule": "baseline",
        "name": "baseline.beaten",
        "verdict": "PASS",
        "algorithm": 1,
        "observed": {"metric": "accuracy", "gain": gain},
        "parameters": {},
    }


def seeds_with(*values: float) -> list[RunEvidence]:
    return [
        run(seeds=seeded(seed), of={"scored": scored(metrics={"accuracy": accuracy(value)}), "named": split_of()})
        for seed, value in enumerate(values)
    ]


def test_a_gain_that_the_seeds_do_not_resolve_is_a_warning() -> None:
    runs = seeds_with(0.90, 0.94, 0.86)
    tied = {"named": split_of()}

    assert verdict("repeats", *runs) == "PASS"
    assert verdict("repeats", *runs, beside=[checks(beaten(0.5), of=tied)]) == "PASS"
    found = check("repeats", *runs, beside=[checks(beaten(0.02), of=tied)])
    assert str(found.verdict) == "WARN"
    assert found.evidence["gain"]["resolved"] == pytest.approx(4.303 * 0.04 / 3**0.5, rel=1e-3)


def test_two_seeds_are_enough_below_strict_where_the_gain_is_far_more_than_they_leave_open() -> None:
    runs, tied = seeds_with(0.900, 0.901), {"named": split_of()}

    assert verdict("repeats", *runs) == "INCONCLUSIVE"
    assert verdict("repeats", *runs, beside=[checks(beaten(0.2), of=tied)]) == "WARN"
    assert verdict("repeats", *runs, beside=[checks(beaten(0.2), of=tied)], level="strict") == "INCONCLUSIVE"
    assert verdict("repeats", *runs, beside=[checks(beaten(0.001), of=tied)]) == "INCONCLUSIVE"
    # One run says nothing of how far the number moves.
    assert verdict("repeats", runs[0], beside=[checks(beaten(0.2), of=tied)]) == "INCONCLUSIVE"
