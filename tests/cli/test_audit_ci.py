"""`gitrepro audit --ci`: what a job prints, and how it ends."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gitrepro.audit import gate
from gitrepro.store.annotate import annotate
from tests.recorded_runs import ADA, NOW, commit_file, opened, record_run, seeded
from tests.warm import WarmCli

if TYPE_CHECKING:
    from tests.conftest import Git

EXAMPLES = Path(__file__).parents[2] / "examples" / "ci"
AT = "2026-01-02T03:04:05.678901Z"


@pytest.fixture
def job(repo: Path, git: Git) -> Path:
    """A clone as a job finds it: with a sound result tag at HEAD, and the remote known to hold its run."""
    run = record_run(repo, name="brisk-otter")
    gate.declare(opened(repo), "result/x", [run], identity=ADA, now=NOW)
    seen(git, repo)
    return repo


def seen(git: Git, repo: Path) -> None:
    git(repo, "update-ref", "refs/gitrepro-remotes/origin/runs", "refs/gitrepro/runs")


def removed(git: Git, repo: Path) -> None:
    """The run of the result is taken off the list, so that the result is blocked."""
    run = gate.select(opened(repo), ["@last"])[0]
    annotate(opened(repo), run, "remove", None, identity=ADA, at=AT)
    seen(git, repo)


def test_a_sound_result_at_head_passes(job: Path, warm_cli: WarmCli) -> None:
    done = warm_cli("audit", "--ci", cwd=job)

    assert (done.returncode, done.stdout) == (0, "ok PASS  result/x passes at level minimal\n")
    assert done.stderr == ""


def test_a_blocked_result_fails_the_job_with_its_rule(job: Path, warm_cli: WarmCli, git: Git) -> None:
    removed(git, job)
    done = warm_cli("audit", "--ci", cwd=job)

    assert done.returncode == 1
    assert "x  FAIL  result/x is blocked by audit at level minimal\n" in done.stdout
    assert "it was removed" in done.stdout
    assert "::error" not in done.stderr


def test_a_tag_without_a_result_fails_the_job(job: Path, warm_cli: WarmCli, git: Git) -> None:
    git(job, "-c", "core.hooksPath=/dev/null", "tag", "result/none")
    commit_file(job, "other.py", "pass")
    git(job, "-c", "core.hooksPath=/dev/null", "tag", "result/other")
    done = warm_cli("audit", "--ci", "result/other", "result/x", cwd=job)

    assert done.returncode == 1
    assert "no result is on record for the tag result/other" in done.stdout
    assert "ok PASS  result/x" in done.stdout


def test_a_forged_tag_fails_the_job(job: Path, warm_cli: WarmCli, git: Git) -> None:
    body = git(job, "cat-file", "tag", "result/x").partition("\n\n")[2]
    commit_file(job, "other.py", "pass")
    git(job, "tag", "-a", "-f", "-m", body, "result/x")

    assert "its result stands at commit" in warm_cli("audit", "--ci", cwd=job).stdout


def test_a_result_whose_runs_the_remote_was_not_seen_with_fails_the_job(job: Path, warm_cli: WarmCli, git: Git) -> None:
    git(job, "update-ref", "-d", "refs/gitrepro-remotes/origin/runs")
    done = warm_cli("audit", "--ci", cwd=job)

    assert (done.returncode, "whether the remote holds the runs is not known" in done.stdout) == (1, True)


def test_no_result_at_head_is_no_failure(job: Path, warm_cli: WarmCli, git: Git) -> None:
    commit_file(job, "other.py", "pass")
    git(job, "tag", "v1")
    done = warm_cli("audit", "--ci", cwd=job)

    assert (done.returncode, done.stdout) == (0, "")
    assert "no result tag at this commit" in done.stderr


def test_a_tag_may_be_named_as_github_names_it(job: Path, warm_cli: WarmCli) -> None:
    commit_file(job, "other.py", "pass")

    assert "ok PASS  result/x" in warm_cli("audit", "--ci", "refs/tags/result/x", cwd=job).stdout


def test_a_name_that_is_no_tag_fails_the_job(job: Path, warm_cli: WarmCli) -> None:
    done = warm_cli("audit", "--ci", "result/typo", cwd=job)

    assert (done.returncode, "there is no tag 'result/typo'" in done.stdout) == (1, True)


def test_a_job_may_ask_for_more_than_the_policy(job: Path, warm_cli: WarmCli) -> None:
    done = warm_cli("audit", "--ci", "--level", "standard", cwd=job)

    assert (done.returncode, "at level standard" in done.stdout) == (1, True)


def test_json_holds_all_checks(job: Path, warm_cli: WarmCli) -> None:
    said: dict[str, Any] = json.loads(warm_cli("audit", "--ci", "--json", cwd=job).stdout)
    [result] = said["results"]

    assert (said["schema"], said["ok"], result["tag"], result["stage"]) == (1, True, "result/x", "server")
    assert {check["rule"]: check["verdict"] for check in result["checks"]}["code"] == "PASS"


# -- GitHub


def test_github_gets_an_annotation_for_each_thing_that_blocks(job: Path, warm_cli: WarmCli, git: Git) -> None:
    removed(git, job)
    done = warm_cli("audit", "--ci", cwd=job, env={"GITHUB_ACTIONS": "true"})
    [found] = [text for text in done.stderr.splitlines() if text.startswith("::")]

    assert re.fullmatch(r"::error title=result/x%3A audit::FAIL: .*it was removed; .*", found)


def test_github_gets_a_summary_that_is_added_to_what_was_there(job: Path, warm_cli: WarmCli, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    warm_cli("audit", "--ci", cwd=job, env={"GITHUB_STEP_SUMMARY": str(summary)})
    said = summary.read_text().splitlines()

    assert said[0] == "before"
    assert "| result/x | passes | passes at level minimal |" in said
    assert any(text.startswith("| code | PASS | ") for text in said)


def test_a_summary_that_cannot_be_written_changes_no_verdict(job: Path, warm_cli: WarmCli, tmp_path: Path) -> None:
    done = warm_cli("audit", "--ci", cwd=job, env={"GITHUB_STEP_SUMMARY": str(tmp_path / "none" / "s.md")})

    assert (done.returncode, "the job summary was not written" in done.stderr) == (0, True)


def test_text_of_a_record_is_no_command_and_no_markup(repo: Path, warm_cli: WarmCli, git: Git, tmp_path: Path) -> None:
    name = "a\n::set-env name=PATH::/evil %0A | <img src=x> [x](http://evil)"
    runs = [record_run(repo, seeds=seeded(number), name=name) for number in range(2)]
    gate.declare(opened(repo), "result/x", runs, identity=ADA, now=NOW)
    removed(git, repo)
    summary = tmp_path / "summary.md"
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    done = warm_cli("audit", "--ci", cwd=repo, env=env)
    said = summary.read_text()

    commands = [text for text in (done.stdout + done.stderr).splitlines() if text.startswith("::")]
    assert [text.startswith("::error title=result/x") for text in commands] == [True]
    assert "%0A" not in done.stderr
    assert "a?::set\\-env" in said
    assert "<img" not in said.replace("\\<", "")
    assert "](http" not in said.replace("\\]", "").replace("\\(", "")
    assert all(len(re.findall(r"(?<!\\)\|", text)) in (0, 4, 5) for text in said.splitlines())


# -- how it is asked for


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--ci", "--stage", "tag"), "--ci and --stage tag are given"),
        (("result/x", "result/y"), "2 targets are given"),
        (("--level", "strict"), "--level is what a job asks"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    job: Path, warm_cli: WarmCli, args: tuple[str, ...], words: str
) -> None:
    done = warm_cli("audit", *args, cwd=job)

    assert (done.returncode, words in done.stderr) == (2, True)


# -- the examples


def commands_of(name: str) -> list[str]:
    document = yaml.safe_load((EXAMPLES / name).read_text())
    if name == "github.yml":
        steps = document["jobs"]["audit"]["steps"]
        return [text for step in steps for text in step.get("run", "").splitlines()]
    return list(document["audit results"]["script"])


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
@pytest.mark.parametrize("sound", [True, False])
def test_the_commands_of_the_examples_judge_what_was_pushed(
    repo: Path, git: Git, tmp_path: Path, name: str, sound: bool
) -> None:
    run = record_run(repo)
    gate.declare(opened(repo), "result/x", [run], identity=ADA, now=NOW)
    if not sound:
        annotate(opened(repo), run, "remove", None, identity=ADA, at=AT)
    git(tmp_path, "init", "--quiet", "--bare", "host.git")
    git(repo, "push", "--quiet", str(tmp_path / "host.git"), "main", "result/x", "refs/gitrepro/*:refs/gitrepro/*")
    git(tmp_path, "clone", "--quiet", "host.git", "job", "--branch", "main")
    git(tmp_path / "job", "config", "user.name", "job")
    git(tmp_path / "job", "config", "user.email", "job@example.org")

    codes = [in_a_job(command, tmp_path / "job") for command in commands_of(name) if "pip install" not in command]

    assert codes == [0, 0, 0 if sound else 1]


def in_a_job(command: str, folder: Path) -> int:
    words = shlex.split(command.replace("$GITHUB_REF", "refs/tags/result/x").replace("$CI_COMMIT_TAG", "result/x"))
    if words[0] == "gitrepro":
        words = [sys.executable, "-m", "gitrepro", *words[1:]]
    return subprocess.run(words, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL).returncode
