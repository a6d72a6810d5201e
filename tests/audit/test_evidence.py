"""Evidence read from a real run ref: attempts, imported modules, promotions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gitrepro import hooks
from gitrepro.audit import gate
from gitrepro.audit.evidence import RunEvidence, gather
from gitrepro.audit.results import results_of
from gitrepro.errors import Refused
from gitrepro.records import ids
from gitrepro.store import worktree
from gitrepro.store.gitobjects import name_of
from gitrepro.store.runs import RunTree
from tests.recorded_runs import ADA, NOW, commit_file, opened, record_run, try_git

if TYPE_CHECKING:
    from tests.conftest import Cli, Git

LOST = "01k3v9m2h8q4w5x6y7z8a9b0cd"


def evidence(root: Path, run: str) -> RunEvidence:
    with RunTree(opened(root)) as tree:
        return gather(tree, [run]).runs[0]


# -- attempts


def attempts(root: Path, *, before: str | None = None) -> list[str]:
    """Three attempts of one lineage, oldest first; `before` is what the first of them says it resumes."""
    first = record_run(root, status="crashed", resumes=before, lineage=before)
    second = record_run(root, status="preempted", resumes=first, lineage=first)
    return [first, second, record_run(root, resumes=second, lineage=first, group="study")]


def test_the_attempts_of_a_run_are_read_newest_first(repo: Path) -> None:
    first, second, third = attempts(repo)

    found = evidence(repo, third)

    assert [run.id for run in found.earlier] == [second, first]
    assert found.lost_attempt is None


def test_a_result_over_a_lineage_cites_the_newest_attempt(repo: Path) -> None:
    *_, third = attempts(repo)

    result = gate.declare(opened(repo), "result/x", [third], identity=ADA, now=NOW)

    assert [run.id for run in result.runs] == [third]


def test_a_lineage_with_a_missing_attempt_is_refused_by_name(repo: Path) -> None:
    *_, third = attempts(repo, before=LOST)

    assert evidence(repo, third).lost_attempt == LOST
    with pytest.raises(Refused, match=f"attempt {LOST[-8:]} that it goes back to is not on record"):
        gate.declare(opened(repo), "result/x", [third], identity=ADA, now=NOW)


def test_a_lineage_that_bites_its_tail_comes_to_an_end(repo: Path) -> None:
    one, other = ids.new_id(), ids.new_id()
    record_run(repo, id=one, resumes=other)
    record_run(repo, id=other, resumes=one)

    assert [run.id for run in evidence(repo, one).earlier] == [other]


def test_a_group_counts_each_lineage_once(repo: Path) -> None:
    first = record_run(repo, group="study")
    second = record_run(repo, group="study", resumes=first, lineage=first)

    assert gate.select(opened(repo), ["study"]) == [second]


def test_a_plain_tag_counts_each_lineage_once(repo: Path) -> None:
    hooks.install(opened(repo), python=sys.executable)
    first = record_run(repo)
    second = record_run(repo, resumes=first, lineage=first)

    done = try_git(repo, "tag", "result/x")

    assert done.returncode == 0, done.stderr
    with RunTree(opened(repo)) as tree:
        assert [[run.id for run in result.runs] for result in results_of(tree, tag="result/x")] == [[second]]


# -- imported modules


def with_imports(root: Path, modules: list[str], **digests: str) -> str:
    repository = opened(root)
    code: dict[str, Any] = worktree.document(worktree.look(repository), None)
    named = {**dict.fromkeys(modules, "b3:00"), **{path.replace("_py", ".py"): each for path, each in digests.items()}}
    return record_run(root, code={**code, "modules": modules, "module_digests": named})


def test_an_ignored_module_that_was_imported_is_held_by_no_commit(repo: Path) -> None:
    commit_file(repo, ".gitignore", "generated.py\n")
    (repo / "generated.py").write_text("x = 1\n")
    run = with_imports(repo, ["generated.py", "train.py"])

    assert evidence(repo, run).unheld == ("generated.py",)
    with pytest.raises(Refused, match=r"imported generated\.py, which its commit does not hold"):
        gate.declare(opened(repo), "result/x", [run], identity=ADA, now=NOW)


def with_ignored(repo: Path, cli: Cli, train: str) -> str:
    """A real run of `train`, which finds `generated.py` beside it: a module that Git ignores."""
    commit_file(repo, ".gitignore", "generated.py\n__pycache__\n")
    commit_file(repo, "train.py", train)
    (repo / "generated.py").write_text("x = 1\n")
    assert cli("record", "--seed", "1", "--", sys.executable, "train.py", cwd=repo).returncode == 0
    with RunTree(opened(repo)) as tree:
        return tree.run_ids()[0]


def test_an_ignored_module_that_the_run_kept_is_a_warning_on_the_tag(repo: Path, git: Git, cli: Cli) -> None:
    run = with_ignored(repo, cli, "import generated\n")
    found = evidence(repo, run)
    gate.declare(opened(repo), "result/x", [run], identity=ADA, now=NOW)

    assert (found.ignored, found.unheld) == (("generated.py",), ())
    assert "generated.py, which Git ignores" in git(repo, "tag", "-l", "--format=%(contents)", "result/x")


def test_an_ignored_module_that_was_written_again_is_not_what_was_kept(repo: Path, cli: Cli) -> None:
    found = evidence(repo, with_ignored(repo, cli, "import generated\nopen('generated.py', 'w').write('x = 2\\n')\n"))

    assert (found.ignored, found.unheld) == ((), ("generated.py",))


def test_a_module_without_a_digest_was_no_file_and_is_not_missed(repo: Path) -> None:
    code = worktree.document(worktree.look(opened(repo)), None)
    run = record_run(repo, code={**code, "modules": ["_classes.py", "train.py"]})

    assert evidence(repo, run).unheld == ()


def test_a_module_in_a_folder_is_found(repo: Path, git: Git) -> None:
    (repo / "pkg" / "inner").mkdir(parents=True)
    commit_file(repo, "pkg/inner/net.py", "pass\n")

    found = evidence(repo, with_imports(repo, ["pkg/inner/net.py", "pkg/inner/other.py", "train.py/x.py"]))

    assert found.unheld == ("pkg/inner/other.py", "train.py/x.py")


def test_a_module_of_a_submodule_is_the_submodules_own_affair(repo: Path, git: Git, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(repo), "library")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(tmp_path / "library"), "lib")
    git(repo, "commit", "--quiet", "--message=a submodule")

    assert evidence(repo, with_imports(repo, ["lib/train.py"])).unheld == ()


def test_a_module_imported_with_other_bytes_is_seen_by_its_digest(repo: Path) -> None:
    same = name_of("blob", (repo / "train.py").read_bytes())

    assert evidence(repo, with_imports(repo, ["train.py"], train_py=same)).converted == ()
    assert evidence(repo, with_imports(repo, ["train.py"], train_py="0" * 40)).converted == ("train.py",)
    assert evidence(repo, with_imports(repo, ["train.py"], train_py="b3:00")).converted == ()


@pytest.mark.parametrize(
    "code",
    [
        {"tree": "0" * 40, "module_digests": {"a.py": "1"}},
        {"module_digests": 3},
        {"module_digests": {"a": 1}, "tree": 1},
    ],
)
def test_a_strange_code_field_is_read_and_does_not_break(repo: Path, code: dict[str, Any]) -> None:
    assert evidence(repo, record_run(repo, code={"commit": None, "dirty": None, **code})).unheld == ()
