"""The rules, on evidence written out by hand: each verdict has the evidence that brings it about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitrepro import audit as judging
from gitrepro.audit.evidence import Claim, Evidence, RunEvidence
from gitrepro.audit.rules import ALGORITHMS, ALL
from gitrepro.policy import DEFAULT, LEVELS, RULES, Policy, Stage
from gitrepro.records import ids
from gitrepro.records.event import Event, Standing
from gitrepro.records.result import Audit, Check, Cited, Need, Verdict, load_audit
from gitrepro.records.run import RunRecord
from tests.recorded_runs import NOW, generator, process, seeded, seeds

COMMIT, TREE, RECORD = "c" * 40, "7" * 40, "e" * 40


def code(**changes: Any) -> dict[str, Any]:
    return {"commit": COMMIT, "dirty": False, "changes": [], "changes_count": 0, "tree": TREE, **changes}


def config(**changes: Any) -> dict[str, Any]:
    return {"values": {"lr": 0.1}, "sources": {"lr": "cli"}, "overridden": {}, "format": 1, **changes}


def run(*, of: dict[str, Any] | None = None, **changes: Any) -> RunEvidence:
    """The evidence of a sound run; `changes` are of its record, `of` of the evidence."""
    values: dict[str, Any] = {
        "id": ids.new_id(),
        "name": "brisk-otter",
        "kind": "train",
        "status": "finished",
        "started_at": "2026-01-02T03:04:05.678901Z",
        "duration_seconds": 1.0,
        "argv": ("python", "train.py"),
        "code": code(),
        "seeds": seeded(),
        "metrics": {"loss": {"count": 10, "nonfinite": 0}},
        "cost": {"cpu_user_seconds": 1.0, "cpu_system_seconds": 0.1, "peak_memory_bytes": 1000},
    }
    record = RunRecord(**{**values, **changes})
    found = RunEvidence(id=record.id, tree=RECORD, record=record, config=config(), commit_tree=TREE)
    return replace(found, **(of or {}))


def audit_of(*runs: RunEvidence, policy: Policy = DEFAULT, **changes: Any) -> Audit:
    told = {name: changes.pop(name) for name in ("pushed", "waivers") if name in changes}
    cited = tuple(Cited(id=each.id, tree=each.tree or "", commit=COMMIT) for each in runs)
    claim = Claim(runs=cited, commit=COMMIT, code_tree=TREE, level="minimal", stage=Stage.TAG, tag="result/x")
    return judging.audit(replace(claim, **changes), Evidence(runs=runs, as_of="a" * 40, **told), policy)


def check(rule: str, *runs: RunEvidence, **changes: Any) -> Check:
    return next(each for each in audit_of(*runs, **changes).checks if each.rule == rule)


def verdict(rule: str, *runs: RunEvidence, **changes: Any) -> str:
    return str(check(rule, *runs, **changes).verdict)


def with_seeds(*processes: dict[str, Any], **changes: Any) -> RunEvidence:
    return run(seeds=seeds(*processes, **changes))


# -- all of them


def test_a_sound_run_passes_the_floor() -> None:
    found = audit_of(run())

    assert found.ok
    assert {each.rule for each in found.checks if each.required is Need.REQUIRED} == {"seeds", "code", "audit"}


def test_every_rule_speaks_once_in_order_and_has_a_version() -> None:
    assert [each.rule for each in audit_of(run()).checks] == list(RULES) == list(ALL) == list(ALGORITHMS)


@pytest.mark.parametrize("rule", RULES)
def test_nothing_on_record_is_never_a_pass(rule: str) -> None:
    bare = run(code=None, seeds={}, metrics={}, cost={}, duration_seconds=None, status="crashed", of={"config": None})

    assert verdict(rule, bare) in ("FAIL", "INCONCLUSIVE")


@pytest.mark.parametrize("rule", RULES)
def test_no_run_at_all_is_never_a_pass(rule: str) -> None:
    assert verdict(rule) in ("FAIL", "INCONCLUSIVE")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("rule", RULES)
def test_what_does_not_pass_says_why_and_what_to_do(rule: str, level: str) -> None:
    found = check(
        rule, run(code=None, seeds={}, metrics={}, cost={}, status="failed", of={"config": None}), level=level
    )

    assert found.why
    assert found.repair


@pytest.mark.parametrize("level", ["standard", "strict"])
def test_rules_without_evidence_block_where_they_are_required(level: str) -> None:
    found = audit_of(run(), level=level)

    assert not found.ok
    assert "baseline" in {each.rule for each in found.blocking}


def test_the_gravest_run_decides_and_is_named() -> None:
    bad = run(seeds={}, name="lazy-owl")
    found = check("seeds", run(), bad, run())

    assert found.verdict is Verdict.FAIL
    assert "lazy-owl" in found.why
    assert "brisk-otter" not in found.why


def test_a_run_whose_record_cannot_be_read_stands_in_no_result() -> None:
    damaged = RunEvidence(id=ids.new_id(), tree=RECORD, record=None, trouble="its record cannot be read: bad bytes")
    found = audit_of(run(), damaged)

    assert {each.rule for each in found.blocking} == {"seeds", "code", "audit"}
    assert damaged.id[-8:] in check("audit", run(), damaged).why
    assert "bad bytes" in check("audit", run(), damaged).why


def test_an_audit_comes_back_from_its_bytes() -> None:
    found = audit_of(run(), run(seeds={}))

    assert load_audit(found.dump(), source="audit.yaml") == found


# -- seeds


def test_a_generator_in_use_that_nobody_seeded_fails() -> None:
    found = check("seeds", with_seeds(process(torch=generator(), numpy=generator(seeded_by="nobody", effective=None))))

    assert found.verdict is Verdict.FAIL
    assert "numpy was drawn from, and nobody seeded it" in found.why
    assert "gitrepro record --seed" in found.repair


@pytest.mark.parametrize("by", ["unknown", None, "a later word"])
def test_a_generator_in_use_of_unknown_seeding_fails(by: object) -> None:
    assert verdict("seeds", with_seeds(process(torch=generator(seeded_by=by)))) == "FAIL"


def test_a_generator_that_nobody_seeded_and_nobody_used_does_no_harm() -> None:
    idle = generator(seeded_by="nobody", effective=None, used=False)

    assert verdict("seeds", with_seeds(process(torch=generator(), numpy=idle))) == "PASS"


def test_a_generator_drawn_from_before_it_was_seeded_fails() -> None:
    found = check("seeds", with_seeds(process(torch=generator(drawn_unseeded=True))))

    assert found.verdict is Verdict.FAIL
    assert "before it was seeded" in found.why


def test_one_process_of_many_is_enough_to_fail() -> None:
    bad = process(python=generator(seeded_by="nobody", effective=None))

    assert verdict("seeds", with_seeds(process(torch=generator()), bad)) == "FAIL"


def test_default_rng_without_a_seed_fails_and_is_named_by_its_place() -> None:
    made: dict[str, Any] = {"seeded": 1, "unseeded": 2, "unseeded_at": ["augment:12"]}
    found = check("seeds", with_seeds({**process(torch=generator()), "numpy.default_rng": made}))

    assert found.verdict is Verdict.FAIL
    assert "augment:12" in found.why


def test_default_rng_with_seeds_passes() -> None:
    made = {"seeded": 3, "unseeded": 0, "unseeded_at": []}

    assert verdict("seeds", with_seeds({**process(), "numpy.default_rng": made})) == "PASS"


def test_no_seed_on_record_fails_even_when_nothing_was_seen() -> None:
    assert verdict("seeds", with_seeds(requested=None)) == "FAIL"
    assert verdict("seeds", with_seeds(process(), requested=None)) == "FAIL"
    assert verdict("seeds", run(seeds={})) == "FAIL"


def test_a_seed_that_the_program_set_itself_is_a_seed() -> None:
    own = generator(requested=None, effective=42, seeded_by="user")

    assert verdict("seeds", with_seeds(process(torch=own), requested=None)) == "PASS"


def test_a_seed_asked_for_and_nothing_observed_is_inconclusive() -> None:
    assert verdict("seeds", with_seeds(requested=7)) == "INCONCLUSIVE"


@pytest.mark.parametrize(
    "argv",
    [("./train", "--seed", "7"), ("./train", "--seed=7"), ("./train", "trainer.seed=7"), ("x", "--random_seed", "7")],
)
def test_a_seed_handed_to_the_program_and_not_observed_is_a_warning(argv: tuple[str, ...]) -> None:
    found = check("seeds", run(seeds=seeds(requested=7), argv=argv, of={"config": config(values={})}))

    assert found.verdict is Verdict.WARN
    assert "declared, not observed" in found.why


@pytest.mark.parametrize("argv", [("./train", "--seed", "8"), ("./train", "--seedling", "7"), ("./train", "7")])
def test_another_number_on_the_command_line_declares_no_seed(argv: tuple[str, ...]) -> None:
    assert verdict("seeds", run(seeds=seeds(requested=7), argv=argv)) == "INCONCLUSIVE"


def test_a_seed_in_the_configuration_is_declared() -> None:
    told = {"config": config(values={"trainer": {"seed": 7}})}

    assert verdict("seeds", run(seeds=seeds(requested=7), of=told)) == "WARN"


def test_another_seed_than_was_asked_for_is_a_warning() -> None:
    found = check("seeds", with_seeds(process(torch=generator(effective=42, seeded_by="user"))))

    assert found.verdict is Verdict.WARN
    assert "torch ran with seed 42, and 0 was asked for" in found.why


def test_random_string_hashes_are_a_warning() -> None:
    randomised = {"hash": {"PYTHONHASHSEED": None, "randomised": True}, "torch": generator()}

    assert verdict("seeds", with_seeds(randomised)) == "WARN"


def test_a_seed_that_is_no_integer_is_a_warning() -> None:
    assert verdict("seeds", with_seeds(process(python=generator(effective=None, seeded_by="user")))) == "WARN"


@pytest.mark.parametrize("rows", [{"torch": 3}, {"numpy.default_rng": "x"}, {"hash": None}, {"torch": {}}])
def test_a_strange_record_is_judged_and_does_not_break(rows: dict[str, Any]) -> None:
    assert verdict("seeds", run(seeds={"requested": 0, "effective": 3, "processes": [rows, 4]})) in list(Verdict)


# -- code


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"dirty": True, "changes": ["modified train.py"], "changes_count": 1},
            "uncommitted changes: modified train.py",
        ),
        ({"dirty": None}, "not on record"),
        ({"commit": None, "dirty": None, "trouble": "git is away"}, "no commit is on record for it: git is away"),
        ({"tree": "8" * 40}, "names another code tree"),
    ],
)
def test_code_that_the_commit_does_not_hold_fails(changed: dict[str, Any], said: str) -> None:
    found = check("code", run(code=code(**changed)))

    assert found.verdict is Verdict.FAIL
    assert said in found.why


def test_a_run_without_a_repository_fails() -> None:
    assert verdict("code", run(code=None)) == "FAIL"


def test_at_most_ten_changed_files_are_named() -> None:
    changes = [f"modified f{number}.py" for number in range(12)]
    found = check("code", run(code=code(dirty=True, changes=changes, changes_count=12)))

    assert "f9.py and 2 more" in found.why
    assert "f10.py" not in found.why


def test_code_that_changed_while_it_ran_is_a_warning() -> None:
    found = check("code", run(code=code(edited=["model.py"])))

    assert found.verdict == "WARN"
    assert "model.py changed while it ran" in found.why


def test_a_commit_that_is_not_here_fails() -> None:
    assert verdict("code", run(of={"commit_tree": None})) == "FAIL"


def test_another_commit_with_other_code_fails() -> None:
    elsewhere = run(code=code(commit="d" * 40, tree="8" * 40), of={"commit_tree": "8" * 40})
    found = check("code", elsewhere)

    assert found.verdict is Verdict.FAIL
    assert "dddddddddddd" in found.why


def test_another_commit_with_the_same_code_passes() -> None:
    assert verdict("code", run(code=code(commit="d" * 40))) == "PASS"


# -- registration


@pytest.mark.parametrize("status", ["failed", "crashed", "running", "interrupted", "incomplete", "out_of_memory"])
def test_a_run_that_did_not_finish_is_no_result(status: str) -> None:
    assert verdict("audit", run(status=status)) == "FAIL"


@pytest.mark.parametrize("kind", ["baseline", "shuffle", "overfit", "data-check", "reproduction"])
def test_a_run_of_another_kind_is_no_result(kind: str) -> None:
    assert verdict("audit", run(kind=kind)) == "FAIL"


def test_an_evaluation_may_be_a_result() -> None:
    assert verdict("audit", run(kind="eval")) == "PASS"


def test_a_removed_run_is_no_result() -> None:
    assert verdict("audit", run(of={"standing": Standing(removed=True)})) == "FAIL"


def test_a_record_other_than_the_one_cited_fails() -> None:
    found = run()
    cited = (Cited(id=found.id, tree="f" * 40, commit=COMMIT),)

    assert verdict("audit", found, runs=cited) == "FAIL"


def test_events_that_cannot_be_read_fail() -> None:
    assert verdict("audit", run(of={"trouble": "an event of it cannot be read"})) == "FAIL"


@pytest.mark.parametrize("stage", [Stage.PUSH, Stage.SERVER])
@pytest.mark.parametrize(("pushed", "said"), [(True, "PASS"), (False, "FAIL"), (None, "INCONCLUSIVE")])
def test_at_push_and_server_the_remote_must_hold_the_runs(stage: Stage, pushed: bool | None, said: str) -> None:
    assert verdict("audit", run(), stage=stage, pushed=pushed) == said


def test_at_tag_nobody_asks_whether_it_was_pushed() -> None:
    assert verdict("audit", run(), pushed=False) == "PASS"


# -- config, curves, efficiency


def test_a_configuration_the_program_changed_is_a_warning() -> None:
    changed = config(sources={"lr": "code"}, overridden={"lr": [{"source": "cli", "value": 1}]})
    found = check("config", run(of={"config": changed}))

    assert found.verdict is Verdict.WARN
    assert "lr" in found.why


def test_a_configuration_that_the_command_line_overrode_passes() -> None:
    settled = config(sources={"lr": "cli"}, overridden={"lr": [{"source": "file:a.yaml", "value": 1}]})

    assert verdict("config", run(of={"config": settled})) == "PASS"


def test_a_configuration_with_hidden_secrets_is_a_warning() -> None:
    assert verdict("config", run(recorder={"hidden": ["wandb.api_key"]})) == "WARN"


@pytest.mark.parametrize("found", [None, {}, config(values={}), {"values": 3}])
def test_no_configuration_is_inconclusive(found: dict[str, Any] | None) -> None:
    assert verdict("config", run(of={"config": found})) == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ({"loss": {"count": 2, "nonfinite": 0}}, "PASS"),
        ({"loss": {"count": 1, "nonfinite": 0}}, "INCONCLUSIVE"),
        ({"loss": {"count": 9, "nonfinite": 1}}, "WARN"),
        ({"loss": "?"}, "INCONCLUSIVE"),
        ({}, "INCONCLUSIVE"),
    ],
)
def test_curves_need_several_points_all_finite(metrics: dict[str, Any], said: str) -> None:
    assert verdict("curves", run(metrics=metrics)) == said


def test_a_policy_may_ask_for_longer_curves() -> None:
    assert verdict("curves", run(), policy=Policy(thresholds={"curves.steps": 11})) == "INCONCLUSIVE"


@pytest.mark.parametrize("cost", [{}, {"cpu_user_seconds": 1.0}, {"cpu_user_seconds": "1"}])
def test_a_cost_with_parts_missing_is_inconclusive(cost: dict[str, Any]) -> None:
    assert verdict("efficiency", run(cost=cost)) == "INCONCLUSIVE"


# -- repeats


def _seeded_runs(*numbers: int, **changes: Any) -> list[RunEvidence]:
    return [run(seeds=seeded(number), **changes) for number in numbers]


@pytest.mark.parametrize(
    ("level", "count", "said"),
    [("standard", 3, "PASS"), ("standard", 2, "INCONCLUSIVE"), ("strict", 5, "PASS"), ("strict", 4, "INCONCLUSIVE")],
)
def test_repeats_count_distinct_seeds(level: str, count: int, said: str) -> None:
    assert verdict("repeats", *_seeded_runs(*range(count)), level=level) == said


def test_one_seed_three_times_is_one_seed() -> None:
    assert verdict("repeats", *_seeded_runs(1, 1, 1)) == "INCONCLUSIVE"


def test_the_seed_in_force_counts_and_not_the_one_asked_for() -> None:
    same = [
        run(seeds=seeds(process(torch=generator(effective=42, seeded_by="user")), requested=number))
        for number in range(3)
    ]

    assert verdict("repeats", *same) == "INCONCLUSIVE"


def test_runs_that_differ_by_more_than_the_seed_are_no_repeats() -> None:
    other = run(seeds=seeded(2), of={"config": config(values={"lr": 0.2})})

    assert verdict("repeats", *_seeded_runs(0, 1), other) == "INCONCLUSIVE"
    assert verdict("repeats", *_seeded_runs(0, 1), run(seeds=seeded(2), code=code(tree="8" * 40))) == "INCONCLUSIVE"


def test_the_seed_in_the_configuration_does_not_make_it_another() -> None:
    runs = [run(seeds=seeded(n), of={"config": config(values={"lr": 0.1, "seed": n})}) for n in range(3)]

    assert verdict("repeats", *runs) == "PASS"


def test_without_a_configuration_the_command_line_tells_repeats_apart() -> None:
    bare = {"config": None}
    runs = [run(seeds=seeded(n), argv=("./train", "--seed", str(n)), of=bare) for n in range(3)]
    wider = run(seeds=seeded(2), argv=("./train", "--seed", "2", "--wide"), of=bare)

    assert verdict("repeats", *runs) == "PASS"
    assert verdict("repeats", *runs[:2], wider) == "INCONCLUSIVE"


# -- waivers


def _waiver(rule: str, **value: Any) -> Event:
    return Event(
        id=ids.new_id(now_ms=int(NOW)),
        subject=ids.new_id(),
        op="waive",
        value={"rule": rule, "reason": "agreed in review", **value},
        actor={"name": "Grace", "email": "grace@example.org"},
        at="2026-01-02T03:04:05.678901Z",
        clock=1,
    )


def test_a_waiver_of_the_result_lifts_a_rule_and_stays_visible() -> None:
    found = check("baseline", run(), waivers=(_waiver("baseline"),))

    assert found.verdict is Verdict.WAIVED
    assert "Grace: agreed in review" in found.why
    assert "INCONCLUSIVE" in found.why


def test_a_waiver_of_runs_has_to_cover_every_run() -> None:
    waived = {"standing": Standing(waivers=(_waiver("baseline"),))}

    assert verdict("baseline", run(of=waived), run(of=waived)) == "WAIVED"
    assert verdict("baseline", run(of=waived), run()) == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("rule", "bad"), [("seeds", {"seeds": {}}), ("code", {"code": None}), ("audit", {"kind": "x"})]
)
def test_the_floor_cannot_be_waived(rule: str, bad: dict[str, Any]) -> None:
    assert verdict(rule, run(**bad), waivers=(_waiver(rule),)) == "FAIL"


def test_a_waiver_without_a_reason_is_none() -> None:
    assert verdict("baseline", run(), waivers=(_waiver("baseline", reason=""),)) == "INCONCLUSIVE"
