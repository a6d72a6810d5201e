"""`gitrepro waive` and `gitrepro rm`, as programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gitrepro.audit import gate
from gitrepro.audit.waivers import check_waiver
from gitrepro.errors import Refused, UsageError
from gitrepro.policy import FLOOR, RULES
from tests.recorded_runs import ADA, NOW, commit_file, opened, record_run

if TYPE_CHECKING:
    from tests.conftest import Cli, Git


def checks(cli: Cli, root: Path, target: str) -> dict[str, dict[str, Any]]:
    found = json.loads(cli("audit", target, "--json", cwd=root).stdout)["checks"]
    return {check["rule"]: check for check in found}


def listed(cli: Cli, root: Path, *options: str) -> list[str]:
    return [run["id"] for run in json.loads(cli("ls", "--json", *options, cwd=root).stdout)]


# -- waive


def test_a_waiver_lifts_a_rule_until_it_is_withdrawn_and_both_stay(repo: Path, cli: Cli) -> None:
    run = record_run(repo, metrics={})
    assert checks(cli, repo, run)["curves"]["verdict"] == "INCONCLUSIVE"

    assert cli("waive", "curves", run[-6:], "--reason", "a single step", cwd=repo).returncode == 0
    assert checks(cli, repo, run)["curves"]["verdict"] == "WAIVED"
    page = cli("audit", run, cwd=repo).stdout
    assert "waived by Ada Lovelace: a single step" in page

    assert cli("waive", "curves", run, "--withdraw", "--reason", "it has curves now", cwd=repo).returncode == 0
    after = checks(cli, repo, run)["curves"]
    assert after["verdict"] == "INCONCLUSIVE"
    assert after["evidence"]["waivers"][0]["withdrawn"] == {"by": "Ada Lovelace", "reason": "it has curves now"}
    page = cli("audit", run, cwd=repo).stdout
    assert "a single step; withdrawn by Ada Lovelace: it has curves now" in page
    shown = cli("show", run, cwd=repo).stdout
    assert "a single step (withdrawn)" in shown
    assert "it has curves now (the withdrawal)" in shown


def test_a_waiver_stands_in_the_tag_and_the_audit_of_the_result(repo: Path, git: Git, cli: Cli) -> None:
    commit_file(repo, ".gitrepro.yaml", 'version: 1\nresults: {"result/*": standard}\n')
    run = record_run(repo)
    for rule in ("data", "batch", "precision", "baseline", "repeats"):
        cli("waive", rule, run, "--reason", f"no {rule} yet", cwd=repo)

    gate.declare(opened(repo), "result/x", [run], identity=ADA, now=NOW)

    assert "baseline: INCONCLUSIVE: no evidence of this kind is on record; waived by Ada Lovelace: no baseline yet" in (
        git(repo, "cat-file", "tag", "result/x")
    )
    assert {rule for rule, check in checks(cli, repo, "result/x").items() if check["verdict"] == "WAIVED"} == {
        "data", "batch", "precision", "baseline", "repeats",
    }  # fmt: skip


def test_waivers_of_a_result_are_listed_by_its_tag(repo: Path, cli: Cli) -> None:
    gate.declare(opened(repo), "result/x", [record_run(repo)], identity=ADA, now=NOW)
    cli("waive", "baseline", "result/x", "--reason", "nothing to compare with", cwd=repo)

    found = json.loads(cli("waive", "--list", "result/x", "--json", cwd=repo).stdout)

    assert [(each["rule"], each["holds"], each["reason"]) for each in found["waivers"]] == [
        ("baseline", True, "nothing to compare with")
    ]
    assert [*found] == ["schema", "subject", "waivers"]
    assert checks(cli, repo, "result/x")["baseline"]["verdict"] == "WAIVED"


@pytest.mark.parametrize("rule", sorted(FLOOR))
def test_a_rule_of_the_floor_is_refused_with_the_reason(rule: str) -> None:
    with pytest.raises(Refused, match="are the floor"):
        check_waiver(rule, "we are in a hurry")


@pytest.mark.parametrize("rule", sorted(set(RULES) - FLOOR))
def test_every_other_rule_may_be_waived_for_a_reason_and_not_without(rule: str) -> None:
    check_waiver(rule, "agreed in review")
    with pytest.raises(UsageError, match="has no reason"):
        check_waiver(rule, "  ")


def test_a_misspelt_rule_is_a_usage_error_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'baseline'"):
        check_waiver("basline", "x")
    with pytest.raises(UsageError, match="at most 1000"):
        check_waiver("baseline", "x" * 1001)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("seeds", "@last", "--reason", "x"), 1),
        (("curves", "@last"), 2),
        (("curves",), 2),
        (("curves", "no-such-run", "--reason", "x"), 3),
        (("curves", "@last", "--withdraw", "--reason", "x"), 3),
    ],
)
def test_waive_exits_with_the_code_of_the_fault_and_writes_nothing(
    repo: Path, git: Git, cli: Cli, words: tuple[str, ...], code: int
) -> None:
    record_run(repo)
    before = git(repo, "rev-parse", "refs/gitrepro/runs")

    assert cli("waive", *words, cwd=repo).returncode == code
    assert git(repo, "rev-parse", "refs/gitrepro/runs") == before


def test_a_reason_steers_no_terminal(repo: Path, cli: Cli) -> None:
    run = record_run(repo, metrics={})
    cli("waive", "curves", run, "--reason", "a\x1b[31mb", cwd=repo)

    for command in (("audit", run), ("show", run), ("waive", "--list", run)):
        assert "\x1b" not in cli(*command, cwd=repo).stdout


# -- rm


def test_a_removed_run_is_off_the_list_until_it_is_put_back(repo: Path, git: Git, cli: Cli) -> None:
    kept, gone = record_run(repo), record_run(repo)

    done = cli("rm", gone[-8:], "--yes", cwd=repo)

    assert (done.returncode, done.stdout.split("\t")[0]) == (0, gone[-8:])
    assert "stay in history" in done.stderr
    assert listed(cli, repo) == [kept]
    assert gone in git(repo, "ls-tree", "-r", "--name-only", "refs/gitrepro/runs")
    assert cli("rm", "--undo", gone[-8:], cwd=repo).returncode == 0
    assert set(listed(cli, repo)) == {kept, gone}


def test_several_runs_are_removed_in_one_commit(repo: Path, git: Git, cli: Cli) -> None:
    runs = [record_run(repo) for _ in range(3)]
    before = git(repo, "rev-parse", "refs/gitrepro/runs")

    done = cli("rm", *runs, "--yes", "--json", cwd=repo)

    assert [(run["removed"], run["changed"]) for run in json.loads(done.stdout)["runs"]] == [(True, True)] * 3
    assert git(repo, "rev-parse", "refs/gitrepro/runs^") == before
    assert listed(cli, repo) == []


def test_a_dry_run_counts_and_changes_nothing(repo: Path, git: Git, cli: Cli) -> None:
    run = record_run(repo)
    before = git(repo, "rev-parse", "refs/gitrepro/runs")

    done = cli("rm", run, "--dry-run", cwd=repo)

    assert done.returncode == 0
    assert "would take 1 run of " in done.stderr
    assert git(repo, "rev-parse", "refs/gitrepro/runs") == before


def test_removing_what_is_removed_says_so_and_writes_nothing(repo: Path, git: Git, cli: Cli) -> None:
    run = record_run(repo)
    cli("rm", run, "--yes", cwd=repo)
    before = git(repo, "rev-parse", "refs/gitrepro/runs")

    done = cli("rm", run, cwd=repo)

    assert (done.returncode, "1 was removed already" in done.stderr) == (0, True)
    assert git(repo, "rev-parse", "refs/gitrepro/runs") == before


def test_without_a_terminal_it_wants_to_be_told(repo: Path, cli: Cli) -> None:
    run = record_run(repo)

    done = cli("rm", run, cwd=repo)

    assert (done.returncode, "add --yes" in done.stderr) == (2, True)
    assert listed(cli, repo) == [run]


def test_a_run_that_a_result_cites_stays_and_the_result_is_named(repo: Path, git: Git, cli: Cli) -> None:
    run, other = record_run(repo), record_run(repo)
    gate.declare(opened(repo), "result/x", [run], identity=ADA, now=NOW)
    git(repo, "tag", "--delete", "result/x")

    done = cli("rm", other, run, "--yes", cwd=repo)

    assert done.returncode == 1
    assert "result result/x" in done.stderr
    assert set(listed(cli, repo)) == {run, other}


def test_one_unknown_run_removes_none(repo: Path, cli: Cli) -> None:
    run = record_run(repo)

    assert cli("rm", run, "no-such-run", "--yes", cwd=repo).returncode == 3
    assert listed(cli, repo) == [run]
