"""Declaring a result: what is written, what is refused, and what a kill in between leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gitrepro.audit import gate
from gitrepro.audit.evidence import gather
from gitrepro.audit.results import audit_digest, read_result
from gitrepro.audit.tags import follow
from gitrepro.errors import Ambiguous, ConfigError, NotFound, Refused, UsageError
from gitrepro.policy import Stage
from gitrepro.records import yaml
from gitrepro.records.result import Result, load_audit
from gitrepro.records.run import run_path
from gitrepro.store.annotate import annotate
from gitrepro.store.gitrefs import read_ref
from gitrepro.store.runs import RunTree
from tests.recorded_runs import ADA, NOW, commit_file, opened, record_run, seeded

if TYPE_CHECKING:
    from tests.conftest import Git


def declare(root: Path, name: str, *runs: str, **options: Any) -> Result:
    return gate.declare(opened(root), name, list(runs), identity=ADA, now=NOW, **options)


def tags_of(git: Git, root: Path) -> list[str]:
    return git(root, "for-each-ref", "--format=%(refname:short)", "refs/tags").split()


def test_a_sound_run_becomes_a_tag_with_its_result(repo: Path, git: Git) -> None:
    run = record_run(repo)

    result = declare(repo, "result/vit", run, note="the first")

    head = git(repo, "rev-parse", "HEAD")
    assert git(repo, "cat-file", "-t", "result/vit") == "tag"
    assert git(repo, "rev-parse", "result/vit^{commit}") == head == result.commit
    assert result.code_tree == git(repo, "rev-parse", "HEAD^{tree}")
    assert (result.tag, result.level, result.note) == ("result/vit", "minimal", "the first")
    with RunTree(opened(repo)) as tree:
        assert read_result(tree, result.id) == result


def test_the_tag_cites_result_runs_trees_and_audit(repo: Path, git: Git) -> None:
    runs = sorted([record_run(repo), record_run(repo, seeds=seeded(1))])

    result = declare(repo, "result/vit", *runs, note="Gitrepro-Run: not this one")

    repository = opened(repo)
    with RunTree(repository) as tree:
        target = follow(tree.objects, str(read_ref(repository.common_dir, "refs/tags/result/vit")))
        assert target.trailers == {
            "Gitrepro-Result": (result.id,),
            "Gitrepro-Run": tuple(runs),
            "Gitrepro-Tree": tuple(tree.run_tree(run) for run in runs),
            "Gitrepro-Audit": (audit_digest(tree, result.id),),
        }
    assert git(repo, "fsck", "--strict") == ""


def test_git_itself_reads_the_trailers(repo: Path, git: Git) -> None:
    result = declare(repo, "result/vit", record_run(repo))

    body = git(repo, "for-each-ref", "--format=%(contents:body)", "refs/tags/result/vit")
    assert body.splitlines()[0] == f"Gitrepro-Result: {result.id}"


def test_the_audit_is_the_same_bytes_in_a_fresh_clone(repo: Path, git: Git, tmp_path: Path) -> None:
    runs = [record_run(repo), record_run(repo, seeds=seeded(1))]
    result = declare(repo, "result/vit", *runs)
    git(tmp_path, "clone", "--quiet", str(repo), "elsewhere")
    git(tmp_path / "elsewhere", "fetch", "--quiet", "origin", "refs/gitrepro/*:refs/gitrepro/*")

    other = opened(tmp_path / "elsewhere")
    at_the_time = git(tmp_path / "elsewhere", "rev-parse", "refs/gitrepro/runs^")
    with RunTree(other, commit=at_the_time) as tree:
        again = gate.judge_runs(tree, sorted(runs), tag="result/vit").dump()
    with RunTree(other) as tree:
        assert again == tree.read(f"results/{result.id}/audit.yaml")
        assert load_audit(again, source="audit.yaml").ok


def test_an_audit_names_no_clock_host_or_path(repo: Path) -> None:
    result = declare(repo, "result/vit", record_run(repo, host={"name": "machine-of-ada"}))

    with RunTree(opened(repo)) as tree:
        text = tree.read(f"results/{result.id}/audit.yaml").decode()
    assert str(repo) not in text
    assert "machine-of-ada" not in text
    assert "2026-01-02T" not in text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": {"requested": None}}, "seeds FAIL: no seed is on record"),
        ({"code": None}, "code FAIL: it was recorded without a repository"),
        ({"status": "failed"}, "audit FAIL: it is failed, not finished"),
        ({"kind": "overfit"}, "audit FAIL: a run of kind overfit"),
    ],
)
def test_an_unsound_run_is_refused_and_nothing_is_written(
    repo: Path, git: Git, changes: dict[str, Any], said: str
) -> None:
    run = record_run(repo, **changes)
    before = git(repo, "rev-parse", "refs/gitrepro/runs")

    with pytest.raises(Refused) as caught:
        declare(repo, "result/vit", run)

    assert said in caught.value.why
    assert caught.value.do
    assert tags_of(git, repo) == []
    assert git(repo, "rev-parse", "refs/gitrepro/runs") == before


def test_a_dirty_run_is_refused_with_its_files(repo: Path) -> None:
    (repo / "train.py").write_text("changed")
    run = record_run(repo)

    with pytest.raises(Refused) as caught:
        declare(repo, "result/vit", run)

    assert "modified train.py" in caught.value.why
    assert "commit the changes" in caught.value.do


def test_runs_of_one_code_at_two_commits_stand_together(repo: Path, git: Git) -> None:
    first = record_run(repo)
    git(repo, "commit", "--quiet", "--allow-empty", "--message=same code")
    second = record_run(repo, seeds=seeded(1))

    result = declare(repo, "result/vit", first, second)

    assert result.commit == git(repo, "rev-parse", "HEAD")


def test_runs_of_two_codes_are_refused(repo: Path) -> None:
    first = record_run(repo)
    commit_file(repo, "train.py", "print('other')")
    second = record_run(repo, seeds=seeded(1))

    with pytest.raises(Refused, match="which is other code"):
        declare(repo, "result/vit", first, second)


def test_a_run_whose_commit_is_gone_is_refused(repo: Path) -> None:
    code = {"commit": "9" * 40, "dirty": False, "tree": "8" * 40, "changes": []}

    with pytest.raises(Refused, match="is not in this repository"):
        declare(repo, "result/vit", record_run(repo, code=code))


def test_a_damaged_run_is_refused_by_name(repo: Path, git: Git) -> None:
    run = record_run(repo)
    oid = git(repo, "rev-parse", f"refs/gitrepro/runs:{run_path(run)}/run.yaml")
    path = repo / ".git" / "objects" / oid[:2] / oid[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")

    with RunTree(opened(repo)) as tree:
        audit = gate.judge_runs(tree, [run], tag="result/vit")

    assert not audit.ok
    assert f"run {run[-8:]} cannot stand in a result" in audit.checks[-1].why


def test_a_removed_run_is_refused(repo: Path) -> None:
    run = record_run(repo)
    annotate(opened(repo), run, "remove", None, identity=ADA, at="2026-01-02T03:04:05.678901Z")

    with pytest.raises(Refused, match="it was removed"):
        declare(repo, "result/vit", run)


@pytest.mark.parametrize("name", ["result/a b", "result/..", "result/", "-result/x", "result/a\nb", "result/é\x7f"])
def test_what_git_takes_for_no_tag_is_a_usage_error(repo: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no tag name"):
        declare(repo, name, record_run(repo))


def test_a_name_that_makes_no_result_tells_the_patterns(repo: Path) -> None:
    with pytest.raises(UsageError, match=r"result/\*"):
        declare(repo, "v1.0", record_run(repo))


def test_a_name_below_another_tag_is_a_usage_error(repo: Path, git: Git) -> None:
    run = record_run(repo)
    git(repo, "tag", "result")

    with pytest.raises(UsageError, match="cannot stand beside tag result"):
        declare(repo, "result/vit", run)


def test_a_taken_name_is_a_usage_error(repo: Path, git: Git) -> None:
    first, second = record_run(repo), record_run(repo, seeds=seeded(1))
    declare(repo, "result/vit", first)
    git(repo, "tag", "result/plain")

    with pytest.raises(UsageError, match="there is a tag result/vit already"):
        declare(repo, "result/vit", second)
    with pytest.raises(UsageError, match="there is a tag result/plain already"):
        declare(repo, "result/plain", first)


def test_declaring_the_same_again_is_the_same_result(repo: Path, git: Git) -> None:
    run = record_run(repo)
    first = declare(repo, "result/vit", run)
    before = git(repo, "rev-parse", "refs/gitrepro/runs", "result/vit")

    assert declare(repo, "result/vit", run) == first
    assert git(repo, "rev-parse", "refs/gitrepro/runs", "result/vit") == before


def test_an_unknown_run_is_not_found(repo: Path) -> None:
    record_run(repo)

    with pytest.raises(NotFound):
        declare(repo, "result/vit", "no-such-run")


def test_runs_are_named_as_people_type_them(repo: Path) -> None:
    run = record_run(repo, name="brisk-otter")

    assert declare(repo, "result/a", run[-6:]).runs == declare(repo, "result/b", "brisk-otter").runs


def test_a_group_stands_for_its_finished_runs(repo: Path) -> None:
    runs = [record_run(repo, group="study", seeds=seeded(number)) for number in range(2)]
    record_run(repo, group="study", status="failed")
    record_run(repo, group="study", kind="baseline")
    record_run(repo)

    result = declare(repo, "result/vit", "study")

    assert [run.id for run in result.runs] == sorted(runs)


def test_a_word_that_is_a_run_and_a_group_is_ambiguous(repo: Path) -> None:
    record_run(repo, name="study")
    record_run(repo, group="study")

    with pytest.raises(Ambiguous):
        declare(repo, "result/vit", "study")


# -- policy


def test_the_policy_of_the_runs_commit_decides(repo: Path) -> None:
    commit_file(repo, ".gitrepro.yaml", 'version: 1\nresults: {"paper/*": standard}\n')
    run = record_run(repo)

    with pytest.raises(UsageError, match=r"paper/\*"):
        declare(repo, "result/vit", run)
    with pytest.raises(Refused, match="at level standard"):
        declare(repo, "paper/table-1", run)


def test_a_policy_that_is_not_committed_does_not_count(repo: Path, git: Git) -> None:
    run = record_run(repo)
    (repo / ".gitrepro.yaml").write_text("version: 1\nresults: {}\n")

    assert declare(repo, "result/vit", run).level == "minimal"


def test_a_newer_policy_refuses_gate_verbs(repo: Path) -> None:
    commit_file(repo, ".gitrepro.yaml", "version: 2\n")

    with pytest.raises(ConfigError, match="version 2"):
        declare(repo, "result/vit", record_run(repo))


def test_a_policy_that_is_a_link_is_refused(repo: Path, git: Git) -> None:
    (repo / ".gitrepro.yaml").symlink_to("/etc/hostname")
    git(repo, "add", ".gitrepro.yaml")
    git(repo, "commit", "--quiet", "--message=a link")

    with pytest.raises(ConfigError, match="no plain file"):
        declare(repo, "result/vit", record_run(repo))


# -- judged again


def test_a_result_that_was_declared_passes_again(repo: Path) -> None:
    result = declare(repo, "result/vit", record_run(repo))

    with RunTree(opened(repo)) as tree:
        assert gate.judge_result(tree, result, stage=Stage.TAG).ok
        assert gate.judge_result(tree, result, stage=Stage.PUSH, pushed=True).ok
        assert not gate.judge_result(tree, result, stage=Stage.PUSH, pushed=False).ok


def test_a_result_whose_run_was_replaced_does_not_pass_again(repo: Path, git: Git) -> None:
    run = record_run(repo)
    result = declare(repo, "result/vit", run)
    repository = opened(repo)
    with RunTree(repository) as tree:
        record = yaml.load(tree.read(f"{run_path(run)}/run.yaml"))
        text = yaml.dump({**record, "summary": {"val/accuracy": 1.0}})
        from gitrepro.store.gitobjects import FILE_MODE, Entry

        blob = tree.objects.write([("blob", text)])[0]
        top, trees = tree.objects.graft(tree.tree, {f"{run_path(run)}/run.yaml": Entry(FILE_MODE, blob)})
        tree.objects.write(trees)
    commit = git(repo, "commit-tree", top, "-m", "a better number")
    git(repo, "update-ref", "refs/gitrepro/runs", commit)

    with RunTree(repository) as tree:
        audit = gate.judge_result(tree, result, stage=Stage.TAG)

    assert not audit.ok
    assert "not the one that was declared" in audit.checks[-1].why


def test_evidence_of_a_run_that_is_not_there_says_so(repo: Path) -> None:
    record_run(repo)

    with RunTree(opened(repo)) as tree:
        found = gather(tree, ["01k3v9m2h8q4w5x6y7z8a9b0cd"]).runs[0]

    assert (found.record, found.trouble) == (None, "there is no record of it")


# -- killed in between

# Dies as kill -9 would, right before the named function is called for the n-th time.
_DYING = """
import os, signal, sys
sys.path.insert(0, {root!r})
from gitrepro.audit import gate, results, tags
from tests.recorded_runs import ADA, NOW, opened
from pathlib import Path

module, name = {place!r}.rsplit(".", 1)
module = {{"results": results, "tags": tags, "gate": gate}}[module]
kept = getattr(module, name)
def dying(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(module, name, dying)
gate.declare(opened(Path({repo!r})), "result/vit", [{run!r}], identity=ADA, now=NOW)
"""


@pytest.mark.parametrize("place", ["results.enqueue", "results.fold_queue", "tags.create", "tags.move_ref"])
def test_a_declaration_that_was_killed_is_finished_by_the_next(repo: Path, git: Git, place: str) -> None:
    run = record_run(repo)
    root = str(Path(__file__).parents[2])
    script = _DYING.format(root=root, place=place, repo=str(repo), run=run)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, cwd=root)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert tags_of(git, repo) == []

    result = declare(repo, "result/vit", run)

    assert tags_of(git, repo) == ["result/vit"]
    with RunTree(opened(repo)) as tree:
        assert tree.result_ids() == [result.id]


def test_a_tag_that_was_deleted_is_made_again_for_the_same_result(repo: Path, git: Git) -> None:
    run = record_run(repo)
    first = declare(repo, "result/vit", run)
    git(repo, "tag", "--delete", "result/vit")

    assert declare(repo, "result/vit", run) == first


def test_what_waits_in_the_queue_counts(repo: Path, queued_run: Callable[[Path], str]) -> None:
    run = queued_run(repo)

    assert [cited.id for cited in declare(repo, "result/vit", run).runs] == [run]


@pytest.fixture
def queued_run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], str]:
    """A run that was queued by a recorder which died before it could fold."""

    def queue(root: Path) -> str:
        with monkeypatch.context() as patch:
            patch.setattr("tests.recorded_runs.fold", lambda *_, **__: None)
            return record_run(root)

    return queue
