"""`gitrepro tag`, `gitrepro audit` and `gitrepro hooks`, as programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitrepro.policy import RULES
from tests.recorded_runs import commit_file, record_run, seeded

if TYPE_CHECKING:
    from tests.conftest import Cli, Git


def test_tag_declares_a_result(repo: Path, git: Git, cli: Cli) -> None:
    run = record_run(repo)

    done = cli("tag", "result/vit", run[-8:], "--note", "the first", "--json", cwd=repo)

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["tag"], found["level"], found["note"]) == ("result/vit", "minimal", "the first")
    assert [each["id"] for each in found["runs"]] == [run]
    assert git(repo, "cat-file", "-t", "result/vit") == "tag"


def test_tag_refuses_with_reasons_and_exits_1(repo: Path, git: Git, cli: Cli) -> None:
    run = record_run(repo, seeds={})

    done = cli("tag", "result/vit", run, cwd=repo)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == "error: tag result/vit is refused: 1 rule is not met at level minimal"
    assert "why: seeds FAIL: no seed is on record" in done.stderr
    assert "do:  seeds: run it again" in done.stderr
    assert git(repo, "tag") == ""


@pytest.mark.parametrize(
    ("words", "code"), [(("result/vit", "nope"), 3), (("v1", "@last"), 2), (("result/a b", "@last"), 2), (("x",), 2)]
)
def test_tag_exits_with_the_code_of_the_fault(repo: Path, cli: Cli, words: tuple[str, ...], code: int) -> None:
    record_run(repo)

    assert cli("tag", *words, cwd=repo).returncode == code


def test_audit_judges_the_last_run_by_default(repo: Path, cli: Cli) -> None:
    record_run(repo)

    done = cli("audit", cwd=repo)

    assert done.returncode == 0
    assert "@last passes at level minimal" in done.stderr
    assert "PASS" in done.stdout


def test_audit_exits_1_when_it_blocks_and_says_what_to_do(repo: Path, cli: Cli) -> None:
    record_run(repo, seeds={})

    done = cli("audit", cwd=repo)

    assert done.returncode == 1
    assert "is blocked by seeds at level minimal" in done.stderr
    assert "gitrepro record --seed" in done.stdout


def test_audit_as_json_has_the_promised_shape(repo: Path, cli: Cli) -> None:
    run = record_run(repo, metrics={"loss": {"count": 3, "last": float("nan"), "nonfinite": 1}})
    result = json.loads(cli("tag", "result/vit", run, "--json", cwd=repo).stdout)

    found = json.loads(cli("audit", "result/vit", "--json", cwd=repo).stdout)

    assert [*found] == ["schema", "result", "level", "stage", "ok", "checks"]
    assert (found["schema"], found["result"], found["stage"], found["ok"]) == (1, result["id"], "tag", True)
    assert [check["rule"] for check in found["checks"]] == list(RULES)
    assert {tuple(check) for check in found["checks"]} == {("rule", "verdict", "required", "why", "evidence", "repair")}


def test_audit_takes_a_tag_a_result_and_a_run_alike(repo: Path, cli: Cli) -> None:
    run = record_run(repo)
    result = json.loads(cli("tag", "result/vit", run, "--json", cwd=repo).stdout)

    for target in ("result/vit", result["id"], run, run[-6:]):
        assert cli("audit", target, cwd=repo).returncode == 0


@pytest.mark.parametrize("target", ["no-such-thing", "../../config", "result/none", "@{-9}"])
def test_audit_of_nothing_is_not_found(repo: Path, cli: Cli, target: str) -> None:
    record_run(repo)

    assert cli("audit", target, cwd=repo).returncode == 3


def test_audit_at_push_asks_for_the_runs_on_a_remote(repo: Path, git: Git, cli: Cli) -> None:
    cli("tag", "result/vit", record_run(repo), cwd=repo)

    assert cli("audit", "result/vit", "--stage", "push", cwd=repo).returncode == 1
    git(repo, "update-ref", "refs/gitrepro-remotes/origin/runs", "refs/gitrepro/runs")
    assert cli("audit", "result/vit", "--stage", "push", cwd=repo).returncode == 0


def test_audit_judges_by_the_policy_of_the_commit(repo: Path, cli: Cli) -> None:
    commit_file(repo, ".gitrepro.yaml", 'version: 1\nresults: {"result/*": strict}\n')
    record_run(repo)

    found = json.loads(cli("audit", "--json", cwd=repo).stdout)

    assert (found["level"], found["ok"]) == ("strict", False)


def test_a_group_of_three_seeds_passes_the_rule_on_repeats(repo: Path, cli: Cli) -> None:
    for number in range(3):
        record_run(repo, group="study", seeds=seeded(number))
    cli("tag", "result/study", "study", cwd=repo)

    checks = json.loads(cli("audit", "result/study", "--json", cwd=repo).stdout)["checks"]

    assert {check["rule"]: check["verdict"] for check in checks}["repeats"] == "PASS"


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--no-seed",), 1)])
def test_a_program_that_was_really_recorded_is_judged_by_its_seeds(
    repo: Path, cli: Cli, options: tuple[str, ...], code: int
) -> None:
    commit_file(repo, "train.py", "import random\nprint(random.random())\n")
    cli("record", *options, "--", sys.executable, "train.py", cwd=repo)

    done = cli("tag", "result/vit", "@last", cwd=repo)

    assert done.returncode == code, done.stderr
    assert ("python was drawn from, and nobody seeded it" in done.stderr) is bool(code)


def test_hooks_are_installed_shown_and_removed(repo: Path, cli: Cli) -> None:
    assert cli("hooks", "status", cwd=repo).returncode == 1
    assert cli("hooks", "install", cwd=repo).returncode == 0
    shown = json.loads(cli("hooks", "status", "--json", cwd=repo).stdout)
    assert shown["ok"]
    assert [hook["state"] for hook in shown["hooks"]] == ["installed", "installed"]
    assert cli("hooks", "remove", cwd=repo).returncode == 0
    assert cli("hooks", "status", cwd=repo).returncode == 1


def test_the_internal_command_refuses_with_3_and_stays_out_of_help(repo: Path, git: Git, cli: Cli) -> None:
    head = git(repo, "rev-parse", "HEAD")
    lines = f"{'0' * 40} {head} refs/tags/result/x\n"

    done = cli("hook", "reference-transaction", "prepared", cwd=repo, input=lines)

    assert (done.returncode, done.stdout) == (3, "")
    assert "is refused" in done.stderr
    assert "  hook " not in cli("--help", cwd=repo).stdout


def test_the_internal_command_outside_a_repository_refuses_in_words(tmp_path: Path, cli: Cli) -> None:
    done = cli("hook", "reference-transaction", "prepared", cwd=tmp_path, input="")

    assert done.returncode == 3
    assert "no Git repository" in done.stderr
