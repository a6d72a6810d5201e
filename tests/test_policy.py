"""The policy file, and the one table of levels, rules and stages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro import policy
from gitrepro.errors import ConfigError
from gitrepro.policy import DEFAULT, FLOOR, LEVELS, RULES, Stage, need, parse
from gitrepro.records.result import Check, Need, Verdict

ORDER = (
    "seeds config data code baseline shuffle overfit distribution curves stopping batch precision efficiency "
    "separation repeats audit"
)


def test_there_are_sixteen_rules_in_their_order_each_with_a_sentence() -> None:
    assert " ".join(RULES) == ORDER
    assert [name for name, why in RULES.items() if not why.endswith(".") or why.count(". ")] == []


def test_without_a_file_results_are_minimal() -> None:
    assert DEFAULT.level_for("result/vit") == "minimal"
    assert DEFAULT.level_for("v1.0") is None


def test_a_whole_file_is_read() -> None:
    found = parse(
        b"""version: 1
results:
  "result/*": standard
  final/*: strict
metrics:
  val/accuracy: {goal: max}
prices: {gpu_hour: 2.5}
thresholds: {curves.steps: 10, shuffle.leaked_at_most: 0.05}
push: {code: always, results: offer, runs: on-finish}
store:
  root: /data/store
  copy: true
  remotes:
    team: s3://bucket/runs
    lab: {url: "s3://lab/runs", endpoint: "https://minio.example.org", anonymous: true}
"""
    )

    assert found.levels == (("result/*", "standard"), ("final/*", "strict"))
    assert found.goals == {"val/accuracy": "max"}
    assert found.prices == {"gpu_hour": 2.5}
    assert found.threshold("curves.steps") == 10
    assert found.thresholds == {"curves.steps": 10, "shuffle.leaked_at_most": 0.05}
    assert found.push == {"code": "always", "results": "offer", "runs": "on-finish"}
    assert found.store == {
        "root": "/data/store",
        "copy": True,
        "remotes": {
            "team": "s3://bucket/runs",
            "lab": {"url": "s3://lab/runs", "endpoint": "https://minio.example.org", "anonymous": True},
        },
    }


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_of_several_patterns_that_match_the_most_demanding_decides(order: tuple[int, ...]) -> None:
    lines = ["  result/final-*: strict\n", "  result/*: minimal\n", "  '*/final-paper': standard\n"]
    found = parse(("version: 1\nresults:\n" + "".join(lines[place] for place in order)).encode())

    assert found.level_for("result/final-1") == "strict"
    assert found.level_for("result/final-paper") == "strict"
    assert found.level_for("other/final-paper") == "standard"
    assert found.level_for("result/a/b") == "minimal"
    assert found.level_for("Result/a") is None


@given(st.lists(st.tuples(st.sampled_from(["*", "r/*", "r/a*", "?/a", "q"]), st.sampled_from(LEVELS)), max_size=5))
def test_a_line_that_is_added_to_the_policy_only_asks_for_more(levels: list[tuple[str, str]]) -> None:
    for name in ("r/a", "r/b", "q"):
        found = [policy.Policy(levels=tuple(levels[:count])).level_for(name) for count in range(len(levels) + 1)]
        ranks = [-1 if level is None else LEVELS.index(level) for level in found]
        assert ranks == sorted(ranks)


def test_an_empty_table_of_results_makes_no_tag_a_result() -> None:
    assert parse(b"version: 1\nresults: {}\n").level_for("result/x") is None


def test_equal_demands_are_equal_bytes() -> None:
    one = parse(b"version: 1\nresults: {result/*: minimal}\npush: {code: ask}\n")
    other = parse(b'# a comment\npush:\n  code: ask\nresults:\n  "result/*": minimal\nversion: 1\n')

    assert one.dump() == other.dump() == DEFAULT.dump()


def test_the_order_of_patterns_is_part_of_the_demand() -> None:
    one = parse(b"version: 1\nresults: {a/*: minimal, b/*: strict}\n")
    other = parse(b"version: 1\nresults: {b/*: strict, a/*: minimal}\n")

    assert one.dump() != other.dump()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: the file is empty"),
        ("results: {}\n", ":1: there is no version"),
        ("version: one\n", ":1: version is 'one'"),
        ("version: true\n", ":1: version is True"),
        ("- version\n", ":1: the policy is no list of"),
        ("version: 1\nresult:\n  a: minimal\n", ":2: there is no setting 'result'; did you mean 'results'?"),
        ("version: 1\nversion: 1\n", ":2: 'version' stands twice"),
        ("version: 1\nresults: {a: minimul}\n", ":2: 'minimul' is no level; did you mean 'minimal'?"),
        ("version: 1\nresults: {a: [minimal]}\n", ":2: a list or a mapping stands where"),
        ("version: 1\nresults: {a b: minimal}\n", ":2: no tag can match the pattern 'a b'"),
        ("version: 1\nresults: {'a[0]': minimal}\n", ":2: no tag can match"),
        ("version: 1\nresults: {refs/tags/a: minimal}\n", ":2: no tag can match"),
        ("version: 1\nresults: {a..b: minimal}\n", ":2: no tag can match"),
        ("version: 1\nresults: {'': minimal}\n", ":2: no tag can match"),
        ("version: 1\nmetrics: {loss: {goal: smaller}}\n", ":2: 'smaller' is no goal"),
        ("version: 1\nmetrics: {loss: {gaol: min}}\n", "did you mean 'goal'?"),
        ("version: 1\nprices: {gpu: -1}\n", ":2: the price 'gpu' is -1"),
        ("version: 1\nprices: {gpu: .inf}\n", ":2: the price 'gpu' is inf"),
        ("version: 1\nthresholds: {curves.step: 3}\n", "did you mean 'curves.steps'?"),
        ("version: 1\nthresholds: {curves.steps: 1}\n", "it is an integer from 2 up"),
        ("version: 1\nthresholds: {curves.steps: 2.5}\n", "it is an integer from 2 up"),
        ("version: 1\nthresholds: {shuffle.leaked_at_most: 0.2}\n", "a policy only makes it stricter"),
        ("version: 1\nthresholds: {shuffle.least_scored: 30.5}\n", "it is an integer"),
        ("version: 1\nthresholds: {shuffle.leaked: 0.05}\n", "did you mean 'shuffle.leaked_at_most'?"),
        ("version: 1\npush: {code: sometimes}\n", ":2: 'sometimes' is no choice"),
        ("version: 1\npush: {results: ask}\n", ":2: 'ask' is no choice"),
        ("version: 1\npush: {runs: onfinish}\n", "did you mean 'on-finish'?"),
        ("version: 1\npush: {run: manual}\n", "did you mean 'runs'?"),
        ("version: 1\npush: on-finish\n", ":2: "),
        ("version: 1\nstore: s3://bucket\n", ":2: "),
        ("version: 1\nstore: {remotes: [s3://bucket]}\n", ":2: "),
        ("version: 1\nstore: {remotes: {team: 7}}\n", ":2: the store remote 'team' has no URL"),
        ("version: 1\nstore: {remotes: {team: {endpoint: x}}}\n", ":2: the store remote 'team' has no URL"),
        ("version: 1\nstore: {remotes: {team: {url: x, a: [1]}}}\n", ":2: the store remote 'team' has no URL"),
        ("version: 1\nstore: &a {b: 1}\n", ":2: aliases are not read here"),
        ("version: 1\nstore: !!python/name:os.system {}\n", ":2: the tag"),
        ("version: 1\n---\nversion: 1\n", "another document"),
        ("version: 1\n\tresults: {}\n", ":2: not YAML"),
        ("version: 1\nresults: {a: 2020-99-99}\n", ":2: '2020-99-99' is no level"),
        ("version: 1\n? [a]\n: b\n", ":2: a name is a list or a mapping"),
        ("a\0b", "not YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "p.yaml")

    assert str(caught.value).startswith("p.yaml")
    assert said in str(caught.value)


@pytest.mark.parametrize(("name", "choice"), [(name, each) for name, all_of in policy.PUSH.items() for each in all_of])
def test_every_choice_of_push_is_read_and_whether_code_goes_is_asked_where_the_file_is_silent(
    name: str, choice: str
) -> None:
    assert dict(parse(f"version: 1\npush: {{{name}: {choice}}}\n".encode()).push) == {"code": "ask", name: choice}
    assert dict(parse(b"version: 1\n").push) == {"code": "ask"}


def test_a_newer_version_is_refused_before_what_it_may_bring() -> None:
    with pytest.raises(ConfigError, match=r"version 2.*upgrade gitrepro"):
        parse(b"version: 2\nsigners: {}\n")


@pytest.mark.parametrize("data", [b"[" * 60_000, b"a: " * 1000 + b"b", b"- " * 30_000, b"\xff", b"x" * 70_000])
def test_a_hostile_file_is_refused_and_does_no_harm(data: bytes) -> None:
    with pytest.raises(ConfigError):
        parse(data)


@given(st.binary(max_size=200) | st.text(alphabet="version: 1\n{}[]*&!#'\"resultsa/-,", max_size=80).map(str.encode))
def test_any_bytes_are_a_policy_or_a_config_error(data: bytes) -> None:
    try:
        parse(data).dump()
    except ConfigError as error:
        assert error.what


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("stage", Stage)
def test_every_level_requires_the_floor_at_every_stage(level: str, stage: Stage) -> None:
    assert {rule for rule in FLOOR if need(level, rule, stage) is not Need.REQUIRED} == set()


def _required(level: str, stage: Stage = Stage.TAG) -> set[str]:
    return {rule for rule in RULES if need(level, rule, stage) is Need.REQUIRED}


def test_minimal_requires_the_floor_and_nothing_else() -> None:
    assert _required("minimal") == {"seeds", "code", "audit"}


def test_standard_requires_what_it_states() -> None:
    added = {"config", "data", "curves", "efficiency", "batch", "precision", "baseline", "repeats"}

    assert _required("standard") == FLOOR | added


def test_strict_requires_all_sixteen() -> None:
    assert _required("strict") == set(RULES)


def test_each_level_requires_what_the_one_below_does_and_more() -> None:
    assert _required("minimal") < _required("standard") < _required("strict")


def test_stages_require_alike_and_a_server_gives_no_advice() -> None:
    for level in LEVELS:
        assert _required(level) == _required(level, Stage.PUSH) == _required(level, Stage.SERVER)
        assert Need.ADVISED not in {need(level, rule, Stage.SERVER) for rule in RULES}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("rule", RULES)
def test_a_check_that_fails_leaves_nobody_worse_off_than_no_check(level: str, stage: Stage, rule: str) -> None:
    def check(verdict: Verdict) -> Check:
        return Check(rule=rule, verdict=verdict, required=need(level, rule, stage), why="")

    assert check(Verdict.FAIL).blocks == check(Verdict.INCONCLUSIVE).blocks
    assert check(Verdict.FAIL).blocks == (need(level, rule, stage) is Need.REQUIRED)


@pytest.mark.parametrize("pattern", ["result/*", "a", "r?n/*", "Ergebnis/ü*", "a.b-c_d+e"])
def test_an_ordinary_pattern_has_no_fault(pattern: str) -> None:
    assert policy.pattern_fault(pattern) == ""
