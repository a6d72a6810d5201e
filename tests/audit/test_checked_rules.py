"""Rules that stand on checks of the same experiment: each verdict is drawn again from the numbers on record."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from gitrepro.audit.rules.checked import COMMAND, DECIDES
from gitrepro.audit.rules.drawn import drawn_again
from gitrepro.policy import DEFAULT
from gitrepro.run.sane import plain
from tests.audit.claims import check, checks, evaluation, run, scored, split_of, verdict

Lines = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def lines() -> Lines:
    """What the checks find of a sound experiment, by the name of the line, as a record has it."""
    from sklearn.datasets import load_digits
    from sklearn.svm import SVC

    from gitrepro.checks import baseline, distribution, overfit, shuffle
    from gitrepro.checks.direct import direct
    from gitrepro.checks.estimator import from_arrays

    inputs, labels = load_digits(return_X_y=True)
    whole, task = from_arrays(SVC(), inputs, labels), from_arrays(SVC(), inputs[:900], labels[:900])
    found = [
        *baseline.check_baseline(whole, baseline.Settings(only=("majority", "linear")), direct),
        *shuffle.check_shuffle(task, shuffle.Settings(), direct),
        *overfit.check_overfit(task, overfit.Settings(), direct),
        *distribution.check_data(task, distribution.DataSettings(), direct),
    ]
    return {line.name: plain(line.document()) for line in found}


def of_rule(lines: Lines, rule: str) -> list[dict[str, Any]]:
    return [line for line in copy.deepcopy(lines).values() if line["rule"] == rule]


def changed(line: dict[str, Any], **observed: Any) -> dict[str, Any]:
    return {**line, "observed": {**line["observed"], **observed}}


TIED = {"named": split_of()}
RULES = [*DECIDES]


# -- lines, one by one


def test_every_line_that_the_checks_write_is_drawn_again_as_it_was(lines: Lines) -> None:
    drawn = {name: drawn_again(line, {}) for name, line in lines.items()}

    assert {name: str(each.verdict) for name, each in drawn.items()} == {
        name: line["verdict"] for name, line in lines.items()
    }
    assert {line["verdict"] for line in lines.values()} >= {"PASS", "NOT_APPLICABLE"}


def test_a_verdict_that_does_not_follow_from_its_numbers_is_no_evidence(lines: Lines) -> None:
    line = lines["baseline.beaten"]

    assert str(drawn_again({**line, "verdict": "WARN"}, {}).verdict) == "INCONCLUSIVE"
    # The numbers say that the task is behind, and the verdict was left as it was.
    behind = changed(line, gain=-0.2, low=-0.3, high=-0.1, ceiling=-0.1)
    assert str(drawn_again(behind, {}).verdict) == "FAIL"
    assert "on record is PASS, and its numbers come to FAIL" in drawn_again(behind, {}).why


def test_a_line_whose_numbers_were_taken_out_is_no_evidence(lines: Lines) -> None:
    for line in lines.values():
        if line["verdict"] == "PASS":
            assert str(drawn_again({**line, "observed": {}}, {}).verdict) == "INCONCLUSIVE"
    for name in ("baseline.beaten", "shuffle.labels", "shuffle.inputs", "overfit.mini_batch", "distribution.drift"):
        assert str(drawn_again({**lines[name], "parameters": {}}, {}).verdict) == "INCONCLUSIVE"


def test_numbers_of_another_type_are_no_evidence_and_no_crash(lines: Lines) -> None:
    for line in lines.values():
        for name in line["observed"]:
            for odd in (None, "text", [], {}, -1, float("nan")):
                drawn_again(changed(line, **{name: odd}), {})


def test_a_line_of_a_newer_gitrepro_is_not_judged(lines: Lines) -> None:
    found = drawn_again({**lines["shuffle.labels"], "algorithm": 99}, {})

    assert str(found.verdict) == "INCONCLUSIVE"
    assert "upgrade" in found.why


def test_a_lax_threshold_of_the_check_is_held_to_the_default(lines: Lines) -> None:
    line = lines["shuffle.labels"]
    leaking = changed(line, excess=0.3, error=0.01, p=0.5, p_again=None)
    lax = {**leaking, "parameters": {**line["parameters"], "leaked_at_most": 0.9}}

    assert str(drawn_again(lax, {}).verdict) == "INCONCLUSIVE"


def test_a_policy_that_is_stricter_than_the_check_was_decides(lines: Lines) -> None:
    line = lines["baseline.beaten"]
    count = line["observed"]["count"]

    assert str(drawn_again(line, {"baseline.least_examples": count}).verdict) == "PASS"
    assert str(drawn_again(line, {"baseline.least_examples": count + 1}).verdict) == "INCONCLUSIVE"


def test_a_long_list_that_was_cut_counts_as_it_is_on_record_where_that_is_worse(lines: Lines) -> None:
    tensors = [{"name": str(k), "numbers": 1, "gradient": 1.0, "moved": 1.0} for k in range(200)]
    line = {
        "rule": "overfit",
        "name": "overfit.all_move",
        "verdict": "WARN",
        "algorithm": 1,
        "observed": {"tensors": tensors},
        "parameters": {"small_gradient": 1e-6, "still_at_most": 0.1},
    }

    assert str(drawn_again(line, {}).verdict) == "WARN"


# -- rules


@pytest.mark.parametrize("rule", RULES)
def test_a_sound_check_of_the_same_code_and_split_passes(lines: Lines, rule: str) -> None:
    found = check(rule, run(of=TIED), beside=[checks(*of_rule(lines, rule), of=TIED)])

    assert str(found.verdict) == "PASS", found.why
    [told] = found.evidence["checks"].values()
    assert (told["code"], told["data"]) == ("same", "same")
    assert {*DECIDES[rule]} <= {*told["lines"]}


@pytest.mark.parametrize("rule", RULES)
def test_without_a_check_nothing_is_shown_and_the_command_is_told(rule: str) -> None:
    found = check(rule, run(of=TIED))

    assert str(found.verdict) == "INCONCLUSIVE"
    assert COMMAND[rule] in found.repair


@pytest.mark.parametrize("rule", RULES)
def test_what_decides_may_not_be_missing(lines: Lines, rule: str) -> None:
    some = [line for line in of_rule(lines, rule) if line["name"] != DECIDES[rule][0]]
    found = check(rule, run(of=TIED), beside=[checks(*some, of=TIED)])

    assert str(found.verdict) == "INCONCLUSIVE"


def test_a_check_that_fails_blocks_as_a_missing_one_does(lines: Lines) -> None:
    behind = changed(lines["baseline.beaten"], gain=-0.2, low=-0.3, high=-0.1, ceiling=-0.1)
    found = check("baseline", run(of=TIED), beside=[checks({**behind, "verdict": "FAIL"}, of=TIED)])
    missing = check("baseline", run(of=TIED))

    assert str(found.verdict) == "FAIL"
    assert found.blocks and missing.blocks


def test_the_same_examples_tie_a_check_to_a_run(lines: Lines) -> None:
    digest = evaluation().examples_digest
    line = {**lines["baseline.beaten"], "inputs": {"val/examples": digest}}

    assert verdict("baseline", run(of={"scored": scored()}), beside=[checks(line)]) == "PASS"


def test_other_data_are_no_evidence_and_it_is_said(lines: Lines) -> None:
    other = {"named": split_of("b3:" + "6" * 64)}
    found = check("baseline", run(of=TIED), beside=[checks(lines["baseline.beaten"], of=other)])
    line = {**lines["baseline.beaten"], "inputs": {"val/examples": "b3:" + "9" * 64}}

    assert str(found.verdict) == "INCONCLUSIVE"
    assert "other data" in found.why
    assert verdict("baseline", run(of={"scored": scored()}), beside=[checks(line)]) == "INCONCLUSIVE"


def test_data_that_nothing_ties_are_a_warning(lines: Lines) -> None:
    found = check("baseline", run(), beside=[checks(lines["baseline.beaten"])])

    assert str(found.verdict) == "WARN"
    assert "nothing on record says" in found.why


def test_a_check_of_other_code_is_a_warning_and_one_of_the_same_code_comes_first(lines: Lines) -> None:
    older = checks(lines["baseline.beaten"], of=TIED)
    newer = checks(lines["baseline.beaten"], tree="8" * 40, of=TIED)

    assert verdict("baseline", run(of=TIED), beside=[newer]) == "WARN"
    assert verdict("baseline", run(of=TIED), beside=[newer, older]) == "PASS"


def test_a_check_that_was_repeated_until_it_passed_is_a_warning(lines: Lines) -> None:
    behind = {**changed(lines["baseline.beaten"], gain=-0.2, low=-0.3, high=-0.1, ceiling=-0.1), "verdict": "FAIL"}
    passing, failing = checks(lines["baseline.beaten"], of=TIED), checks(behind, of=TIED)
    found = check("baseline", run(of=TIED), beside=[passing, failing])

    assert str(found.verdict) == "WARN"
    assert failing.id[-8:] in found.why


def test_a_companion_that_could_not_tell_is_a_warning_alone(lines: Lines) -> None:
    stopped = {**lines["overfit.gradients"], "verdict": "INCONCLUSIVE", "observed": {"stopped": "out of memory"}}
    some = [line for line in of_rule(lines, "overfit") if line["name"] != "overfit.gradients"]

    assert verdict("overfit", run(of=TIED), beside=[checks(*some, stopped, of=TIED)]) == "WARN"


def test_evidence_that_is_not_what_was_cited_fails_the_audit(lines: Lines) -> None:
    sound = checks(lines["baseline.beaten"], of=TIED)
    gone = replace(sound, tree=None, record=None, trouble="there is no record of it")
    removed = replace(sound, standing=replace(sound.standing, removed=True))

    assert verdict("audit", run(), beside=[sound]) == "PASS"
    assert verdict("audit", run(), beside=[gone]) == "FAIL"
    assert verdict("audit", run(), beside=[removed]) == "FAIL"
    assert verdict("baseline", run(of=TIED), beside=[gone]) == "INCONCLUSIVE"


def test_the_default_policy_has_no_thresholds_that_change_a_verdict(lines: Lines) -> None:
    assert {name: drawn_again(line, DEFAULT.thresholds).verdict for name, line in lines.items()} == {
        name: drawn_again(line, {}).verdict for name, line in lines.items()
    }
