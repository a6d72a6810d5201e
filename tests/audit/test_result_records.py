"""Results and audits as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.errors import Damaged, TooNew
from gitrepro.records import yaml
from gitrepro.records.result import Audit, Check, Cited, Need, Result, Verdict, load_audit, load_result, result_path

RESULT = Result(
    id="01k3v9m2h8q4w5x6y7z8a9b0cd",
    tag="result/vit",
    level="minimal",
    runs=(Cited(id="01k3v9m2h8q4w5x6y7z8a9b0ce", tree="a" * 40, commit="b" * 40),),
    as_of="c" * 40,
    policy="b3:" + "d" * 64,
    commit="b" * 40,
    code_tree="e" * 40,
    actor={"email": "ada@example.org", "name": "Ada Lovelace"},
    created_at="2026-01-02T03:04:05.678901Z",
    note="good",
    algorithms={"seeds": 1},
)


def test_a_result_comes_back_from_its_bytes() -> None:
    assert load_result(RESULT.dump(), source="r") == RESULT


def test_a_result_stands_in_a_folder_of_its_own() -> None:
    assert result_path(RESULT.id) == "results/01k3v9m2h8q4w5x6y7z8a9b0cd"


def test_fields_of_a_later_time_are_kept() -> None:
    document = yaml.load(RESULT.dump())
    found = load_result(yaml.dump({**document, "signature": "xyz"}), source="r")

    assert found.unknown == {"signature": "xyz"}
    assert yaml.load(found.dump())["signature"] == "xyz"


def test_a_newer_format_is_too_new() -> None:
    with pytest.raises(TooNew, match="format 2"):
        load_result(yaml.dump({**yaml.load(RESULT.dump()), "format": 2}), source="r")


@pytest.mark.parametrize("name", [*yaml.load(RESULT.dump())])
def test_a_field_that_is_missing_or_of_another_type_is_damage(name: str) -> None:
    document = yaml.load(RESULT.dump())
    without = {key: value for key, value in document.items() if key != name}

    with pytest.raises(Damaged):
        load_result(yaml.dump({**document, name: 3.5}), source="r")
    with pytest.raises(Damaged):
        load_result(yaml.dump(without), source="r")


def test_an_id_that_is_none_is_damage() -> None:
    with pytest.raises(Damaged, match="not a result id"):
        load_result(yaml.dump({**yaml.load(RESULT.dump()), "id": "../../x"}), source="r")


def test_a_check_with_a_verdict_nobody_knows_is_damage() -> None:
    check = {"rule": "seeds", "verdict": "FINE", "required": "required", "why": "", "evidence": {}, "repair": ""}
    audit = _audit(())

    with pytest.raises(Damaged, match="a check does not parse"):
        load_audit(yaml.dump({**yaml.load(audit.dump()), "checks": [check]}), source="a")


def _audit(checks: tuple[Check, ...]) -> Audit:
    return Audit(
        tag="result/vit",
        level="minimal",
        stage="tag",
        runs=RESULT.runs,
        commit=RESULT.commit,
        code_tree=RESULT.code_tree,
        as_of=RESULT.as_of,
        policy=RESULT.policy,
        algorithms={"seeds": 1},
        checks=checks,
    )


CHECKS = st.builds(
    Check,
    rule=st.text(),
    verdict=st.sampled_from(Verdict),
    required=st.sampled_from(Need),
    why=st.text(),
    evidence=st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text(), max_size=3),
    repair=st.text(),
)


@given(st.lists(CHECKS, max_size=3))
def test_any_audit_comes_back_from_its_bytes(checks: list[Check]) -> None:
    audit = _audit(tuple(checks))

    assert load_audit(audit.dump(), source="a") == audit


@given(st.lists(CHECKS, max_size=4))
def test_an_audit_is_ok_when_no_required_check_fails_or_is_inconclusive(checks: list[Check]) -> None:
    blocked = [each for each in checks if each.required == "required" and each.verdict in ("FAIL", "INCONCLUSIVE")]

    assert _audit(tuple(checks)).ok is not bool(blocked)
    assert yaml.load(_audit(tuple(checks)).dump())["ok"] is not bool(blocked)
