"""The rules, on evidence written out by hand: each verdict has the evidence that brings it about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitrepro import audit as judging
from gitrepro.audit.evidence import Claim, Evidence, Promoted, RunEvidence
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
    told = {name: changes.pop(name) for name in ("pushed", "standing") if name in changes}
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


@pytest.mark.parametrize(
    ("ranks", "said"),
    [
        ({"world_size": 2, "seen": [0, 1]}, "PASS"),
        ({"world_size": 4, "seen": [0, 1]}, "WARN"),
        ({"world_size": 256, "seen": list(range(100))}, "PASS"),
        ({"world_size": None, "seen": "?"}, "PASS"),
    ],
)
def test_ranks_that_nobody_saw_are_a_warning(ranks: dict[str, Any], said: str) -> None:
    assert verdict("seeds", run(ranks=ranks)) == said


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


def test_a_seed_set_is_of_one_preprocessing_too() -> None:
    runs = [*_seeded_runs(0, 1), run(seeds=seeded(2), preprocess={"digest": "b3:00", "parts": []})]

    assert verdict("repeats", *runs) == "INCONCLUSIVE"


def test_a_run_whose_seed_is_not_known_counts_for_no_repeat() -> None:
    assert verdict("repeats", *_seeded_runs(0, 1), run(seeds={"requested": None})) == "INCONCLUSIVE"


# -- one reason of many runs


def test_a_reason_that_all_runs_share_is_told_once() -> None:
    found = check("config", *[run(of={"config": None}) for _ in range(3)])

    assert found.why == "3 runs: no configuration is on record"


def test_a_reason_that_some_runs_share_names_them() -> None:
    bare = [run(of={"config": None}) for _ in range(5)]
    found = check("config", run(), *bare)

    named = ", ".join(each.id[-8:] for each in bare[:3])
    assert found.why == f"5 of 6 runs ({named} and 2 more): no configuration is on record"


# -- data, config, imports


def test_runs_that_prepared_their_data_differently_fail() -> None:
    one, other = (run(preprocess={"digest": f"b3:{number}", "parts": []}) for number in range(2))

    assert verdict("data", one, one) == "INCONCLUSIVE"
    assert verdict("data", one, other) == "FAIL"
    assert verdict("data", one, run()) == "FAIL"


def test_a_configuration_the_program_never_read_is_a_warning() -> None:
    found = check("config", run(of={"config": config(never_read=["lr_schedule"])}))

    assert found.verdict is Verdict.WARN
    assert "never read lr_schedule" in found.why


def test_an_imported_module_that_no_commit_holds_fails() -> None:
    found = check("code", run(of={"unheld": ("generated.py",)}))

    assert found.verdict is Verdict.FAIL
    assert "imported generated.py, which its commit does not hold" in found.why


def test_an_imported_module_that_git_ignores_is_a_warning_that_names_it() -> None:
    found = check("code", run(of={"ignored": ("pkg/_version.py",)}))

    assert found.verdict is Verdict.WARN
    assert "imported pkg/_version.py, which Git ignores" in found.why
    assert "git add --force pkg/_version.py" in found.repair


def test_a_module_that_git_ignores_hides_none_that_nothing_holds() -> None:
    assert verdict("code", run(of={"ignored": ("pkg/_version.py",), "unheld": ("generated.py",)})) == "FAIL"


def test_a_built_module_that_no_commit_holds_is_a_warning() -> None:
    assert verdict("code", run(of={"unheld": ("fast.cpython-311-x86_64-linux-gnu.so",)})) == "WARN"


def test_a_module_imported_with_other_bytes_is_a_warning() -> None:
    assert verdict("code", run(of={"converted": ("model.py",)})) == "WARN"


# -- promoted


def dirty(**changes: Any) -> RunEvidence:
    """A dirty run whose snapshot was promoted to the commit of the result."""
    of = changes.pop("of", {})
    promoted = Promoted(commit=COMMIT, branch="promoted/brisk-otter", tree=TREE, reachable=True)
    named = {"commit": "b" * 40, "dirty": True, "snapshot": "5" * 40, "changes": ["modified train.py"], "left_out": []}
    return run(code=code(**{**named, **changes}), of={"commit_tree": "8" * 40, "promoted": promoted, **of})


def test_promoted_code_passes_and_says_that_it_came_later() -> None:
    found = check("code", dirty())

    assert found.verdict is Verdict.WARN
    assert "dirty at start, committed later as cccccccccccc" in found.why
    assert found.evidence[next(iter(found.evidence))]["promoted"]["commit"] == COMMIT


def test_strict_wants_code_that_was_committed_before() -> None:
    found = check("code", dirty(), level="strict")

    assert found.verdict is Verdict.FAIL
    assert "strict wants it committed before" in found.why


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"left_out": [{"path": "big.py", "why": "over 1 MiB"}]}, "its snapshot leaves out big.py"),
        ({"edited": ["model.py"]}, "model.py changed while it ran"),
        ({"of": {"unheld": ("generated.py",)}}, "imported generated.py"),
        ({"tree": "9" * 40}, "holds other code than ran"),
    ],
)
def test_promoted_code_that_is_not_all_that_ran_fails(changes: dict[str, Any], said: str) -> None:
    found = check("code", dirty(**changes))

    assert found.verdict is Verdict.FAIL
    assert said in found.why


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reachable": False}, "is on no branch: promoted/brisk-otter moved"),
        ({"tree": None}, "is not in this repository"),
        ({"tree": "9" * 40}, "holds other code than ran"),
    ],
)
def test_a_promotion_that_does_not_hold_any_more_fails(changes: dict[str, Any], said: str) -> None:
    known = {"commit": COMMIT, "branch": "promoted/brisk-otter", "tree": TREE, "reachable": True}
    found = check("code", dirty(of={"promoted": Promoted(**{**known, **changes})}))

    assert found.verdict is Verdict.FAIL
    assert said in found.why


def test_promoted_code_of_another_commit_than_the_result_fails() -> None:
    assert verdict("code", dirty(), commit="d" * 40, code_tree="9" * 40) == "FAIL"


def test_a_dirty_run_is_told_of_promote_only_where_it_helps() -> None:
    plain = {"of": {"promoted": None}}

    assert "gitrepro promote" in check("code", dirty(**plain)).repair
    assert "gitrepro promote" not in check("code", dirty(**plain), level="strict").repair
    assert "gitrepro promote" not in check("code", dirty(**plain, edited=["model.py"])).repair


# -- lineages


def attempt(**changes: Any) -> RunEvidence:
    return run(**{"status": "preempted", **changes})


def test_a_resumed_run_with_all_its_attempts_passes() -> None:
    found = audit_of(run(of={"earlier": (attempt(), attempt(status="crashed"))}))

    assert found.ok
    assert next(iter(found.checks[-1].evidence["attempts"].values())) != []


def test_a_missing_attempt_blocks_with_its_name() -> None:
    found = check("audit", run(of={"lost_attempt": "01k3v9m2h8q4w5x6y7z8a9b0cd"}))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert "z8a9b0cd" in found.why
    assert "git fetch" in found.repair


def test_an_attempt_that_cannot_be_read_blocks() -> None:
    damaged = RunEvidence(id=ids.new_id(), tree=RECORD, record=None, trouble="bad bytes")

    assert verdict("audit", run(of={"earlier": (damaged,)})) == "INCONCLUSIVE"


def test_an_attempt_that_was_removed_fails() -> None:
    gone = attempt(of={"standing": Standing(removed=True)})

    assert verdict("audit", run(of={"earlier": (gone,)})) == "FAIL"


def test_an_attempt_is_not_cited_beside_the_one_that_resumes_it() -> None:
    first = run()
    found = check("audit", first, run(of={"earlier": (first,)}))

    assert found.verdict is Verdict.FAIL
    assert "cite the newest attempt" in found.repair


def test_every_attempt_had_to_run_the_code_of_the_result() -> None:
    other = attempt(code=code(commit="d" * 40, tree="8" * 40), of={"commit_tree": "8" * 40})

    assert verdict("code", run(of={"earlier": (other,)})) == "FAIL"


def test_every_attempt_had_to_be_seeded() -> None:
    unseeded = attempt(seeds=seeds(process(torch=generator(seeded_by="nobody", effective=None))))

    assert verdict("seeds", run(of={"earlier": (unseeded,)})) == "FAIL"


def test_an_attempt_that_was_killed_before_it_could_tell_is_a_warning() -> None:
    assert verdict("seeds", run(of={"earlier": (attempt(status="crashed", seeds=seeds(requested=7)),)})) == "WARN"


# -- waivers


def _event(op: str, value: object, **changes: Any) -> Event:
    known: dict[str, Any] = {
        "id": ids.new_id(now_ms=int(NOW)),
        "subject": ids.new_id(),
        "op": op,
        "value": value,
        "actor": {"name": "Grace", "email": "grace@example.org"},
        "at": "2026-01-02T03:04:05.678901Z",
        "clock": 1,
    }
    return Event(**{**known, **changes})


def _waiver(rule: str, **value: Any) -> Event:
    return _event("waive", {"rule": rule, "reason": "agreed in review", **value})


def _withdrawal(*waivers: Event) -> Event:
    observed = tuple(waiver.id for waiver in waivers)
    return _event("unwaive", {"rule": "baseline", "reason": "not any more"}, observed=observed)


def test_a_waiver_of_the_result_lifts_a_rule_and_stays_visible() -> None:
    found = check("baseline", run(), standing=Standing(waivers=(_waiver("baseline"),)))

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
    assert verdict(rule, run(**bad), standing=Standing(waivers=(_waiver(rule),))) == "FAIL"


def test_a_waiver_without_a_reason_is_none() -> None:
    found = Standing(waivers=(_waiver("baseline", reason=""),))

    assert verdict("baseline", run(), standing=found) == "INCONCLUSIVE"


def test_a_waiver_that_was_withdrawn_lifts_nothing_and_stays_visible() -> None:
    waiver = _waiver("baseline")
    found = check("baseline", run(), standing=Standing(waivers=(waiver,), withdrawals=(_withdrawal(waiver),)))

    assert found.verdict is Verdict.INCONCLUSIVE
    [told] = found.evidence["waivers"]
    assert (told["reason"], told["withdrawn"]) == ("agreed in review", {"by": "Grace", "reason": "not any more"})


def test_a_waiver_made_elsewhere_outlives_the_withdrawal_of_another() -> None:
    one, other = _waiver("baseline"), _waiver("baseline")
    standing = Standing(waivers=(one, other), withdrawals=(_withdrawal(one),))

    assert verdict("baseline", run(), standing=standing) == "WAIVED"


def test_a_waiver_that_is_not_needed_stays_visible() -> None:
    found = check("curves", run(), standing=Standing(waivers=(_waiver("curves"),)))

    assert found.verdict is Verdict.PASS
    assert [waiver["by"] for waiver in found.evidence["waivers"]] == ["Grace"]


def test_an_audit_with_waivers_names_no_clock_and_comes_back_from_its_bytes() -> None:
    found = audit_of(run(), standing=Standing(waivers=(_waiver("baseline"),)))

    assert b"2026-01-02T" not in found.dump()
    assert load_audit(found.dump(), source="audit.yaml") == found
