"""`gitrepro show result/x`, and the page and the statement of its audit."""

from __future__ import annotations

import hashlib
import html
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import blake3
import numpy as np
import pytest

import gitrepro
from gitrepro.audit import gate
from gitrepro.audit.results import write_result
from gitrepro.cli.page.audit import audit_page
from gitrepro.data.holdouts import append
from gitrepro.policy import RULES
from gitrepro.records import ids
from gitrepro.records.result import Audit, Check, Cited, Need, Result, Verdict
from gitrepro.store.runs import RunTree
from tests.recorded_data import AT, digits
from tests.recorded_runs import ADA, commit_file, opened, record_run, seeded

if TYPE_CHECKING:
    from tests.conftest import Cli, Git

EVIL = "<script>alert(1)</script>\x1b[31m"


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Three seeds of one configuration, which may be declared."""
    root = tmp_path_factory.mktemp("declared")
    for name, value in (("user.name", "Ada"), ("user.email", "ada@example.org")):
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=root, check=True)
        subprocess.run(["git", "config", name, value], cwd=root, check=True)
    commit_file(root, "train.py", "print()\n")
    runs = [trained(root, seed, value) for seed, value in enumerate((0.91, 0.92, 0.93))]
    return root, runs


def trained(root: Path, seed: int, value: float, **changes: Any) -> str:
    measured = {"value": value, "goal": "max", "function": "accuracy@1", "digest": f"b3:{'0' * 64}"}
    evaluation = {"name": "test", "part": "test", "distinct": 400, "examples": 400, "metrics": {"accuracy": measured}}
    facts = {"test/accuracy": {"count": 1, "last": value, "goal": "max"}, "train/loss": {"count": 5, "last": 0.1}}
    return record_run(
        root,
        **{
            "seeds": seeded(seed),
            "summary": {"train/loss": 0.1, "test/accuracy": value},
            "metrics": facts,
            "evaluations": (evaluation,),
            **changes,
        },
    )


def test_a_result_reads_like_an_abstract(declared: tuple[Path, list[str]], warm_cli: Cli) -> None:
    root, runs = declared
    warm_cli("tag", "result/vit", *runs, "--note", "the number of the paper", cwd=root)
    warm_cli("waive", "data", "result/vit", "--reason", "it is public", cwd=root)

    text = warm_cli("show", "result/vit", cwd=root).stdout

    assert (
        "test/accuracy is 0.920 ± 0.010 (95 % interval over seeds 0.895 … 0.945), 3 seeds; "
        "it passes the audit at level minimal." in text
    )
    assert re.search(r"test/accuracy +0\.920 ± 0\.010 .* n = 3 +greater is better", text)
    assert "the choice of 400 examples gives it a standard error of 0.014" in text
    assert "no opening of a test set is on record" in text
    assert re.search(r"data +Ada: it is public", text)
    assert re.search(r"time +3 m 0 s, 3 runs together", text)
    assert "the number of the paper" in text
    assert text.index("test/accuracy ") < text.index("train/loss")


def test_a_result_is_shown_as_json(declared: tuple[Path, list[str]], warm_cli: Cli) -> None:
    root, runs = declared
    result = json.loads(warm_cli("tag", "result/json", *runs, "--json", cwd=root).stdout)

    found = json.loads(warm_cli("show", "result/json", "--json", cwd=root).stdout)

    assert found["id"] == result["id"]
    assert [run["id"] for run in found["runs"]] == runs
    metric = found["metrics"]["test/accuracy"]
    assert (metric["n"], metric["goal"], metric["examples"]) == (3, "max", 400)
    assert metric["low"] < metric["mean"] < metric["high"]
    assert found["audit"]["verdicts"].keys() == RULES.keys()
    assert json.loads(warm_cli("show", result["id"], "--json", cwd=root).stdout) == found


def test_a_run_and_an_ordinary_tag_are_shown_as_ever(declared: tuple[Path, list[str]], warm_cli: Cli) -> None:
    root, runs = declared
    subprocess.run(["git", "tag", "v1"], cwd=root, check=True)

    assert json.loads(warm_cli("show", runs[0], "--json", cwd=root).stdout)["id"] == runs[0]
    assert warm_cli("show", "v1", cwd=root).returncode == 3
    assert "no result is on record for the tag v1" in warm_cli("show", "v1", cwd=root).stderr


def test_one_diverged_seed_is_no_interval(repo: Path, warm_cli: Cli) -> None:
    runs = [trained(repo, 0, 0.9), trained(repo, 1, float("nan"))]
    warm_cli("tag", "result/nan", *runs, cwd=repo)

    text = warm_cli("show", "result/nan", cwd=repo).stdout

    assert "test/accuracy is NaN" in text
    assert "interval over seeds" not in text.splitlines()[2]


def test_a_result_whose_runs_are_gone_or_were_changed_says_so(repo: Path, warm_cli: Cli, tmp_path: Path) -> None:
    run = trained(repo, 0, 0.9)
    result = forged(repo, Cited(id=run, tree="0" * 40, commit=None), Cited(id=ids.new_id(), tree="1" * 40, commit=None))
    paper = tmp_path / "paper.tex"
    paper.write_text(f"\\gitrepro{{test/accuracy of {result}}}{{0.9}}")

    shown, checked = warm_cli("show", result, cwd=repo), warm_cli("table", "--check", str(paper), cwd=repo)

    assert shown.returncode == 0
    assert "The records of 1 run cannot be read" in shown.stdout
    assert "is blocked by" in shown.stdout
    assert checked.returncode == 1
    assert "is not what it was when the result was declared" in checked.stdout


def forged(root: Path, *runs: Cited) -> str:
    """Put a result on record that no gate has seen. Returns its id."""
    repository = opened(root)
    with RunTree(repository) as tree:
        honest = gate.judge_runs(tree, [runs[0].id], tag="result/forged")
    result = Result(
        id=ids.new_id(), tag="result/forged", level="minimal", runs=runs, as_of=None, policy=honest.policy,
        commit=honest.commit or "", code_tree=honest.code_tree or "", actor={"name": "Eve"}, created_at=AT,
    )  # fmt: skip
    write_result(repository, result, honest, identity=ADA)
    return result.id


# -- the page


def checked(*verdicts: Verdict, why: str = "it is so") -> Audit:
    checks = tuple(
        Check(
            rule=rule,
            verdict=verdict,
            required=Need.REQUIRED,
            why=why,
            repair="`gitrepro check all`",
            evidence={why: 1},
        )
        for rule, verdict in zip(RULES, verdicts, strict=True)
    )
    return Audit(
        tag="result/vit", level="strict", stage="tag", runs=(), commit="c", code_tree="t", as_of="r", policy="b3:00",
        algorithms=dict.fromkeys(RULES, 1), checks=checks,
    )  # fmt: skip


def test_the_page_has_sixteen_rules_with_evidence_and_is_the_same_each_time() -> None:
    audit = checked(*[Verdict.PASS] * 15, Verdict.FAIL)

    page = "".join(audit_page(audit, title="result/vit"))

    assert page == "".join(audit_page(audit, title="result/vit"))
    assert all(f'<h3 id="{rule}">' in page for rule in RULES)
    assert all(html.escape(asked) in page for asked in RULES.values())
    assert "is blocked by audit at level strict" in page
    assert page.count("To repair: <code>gitrepro check all</code>") == 1


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    page = "".join(audit_page(checked(*[Verdict.INCONCLUSIVE] * 16, why=EVIL), title=EVIL))

    assert "<script" not in page
    assert "\x1b" not in page
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert "url(" not in page and "@import" not in page


def test_the_page_of_a_result_holds_its_number(declared: tuple[Path, list[str]], warm_cli: Cli, tmp_path: Path) -> None:
    root, runs = declared
    warm_cli("tag", "result/page", *runs, cwd=root)

    done = warm_cli("audit", "result/page", "--html", str(tmp_path / "audit.html"), cwd=root)

    page = (tmp_path / "audit.html").read_text()
    assert done.returncode == 0
    assert "0.920 ± 0.010" in page
    assert "passes at level minimal" in page
    assert warm_cli("audit", "--html", str(tmp_path / "no" / "folder.html"), cwd=root).returncode == 4


# -- the statement


def test_the_statement_names_the_result_by_the_digests_of_its_record(
    declared: tuple[Path, list[str]], warm_cli: Cli, git: Git
) -> None:
    root, runs = declared
    result = json.loads(warm_cli("tag", "result/stated", *runs, "--json", cwd=root).stdout)
    path = f"results/{result['id']}/result.yaml"
    record = f"{git(root, 'show', f'refs/gitrepro/runs:{path}')}\n".encode()

    done = warm_cli("audit", "result/stated", "--in-toto", cwd=root)
    found = json.loads(done.stdout, parse_constant=pytest.fail)

    digest = {"blake3": blake3.blake3(record).hexdigest(), "sha256": hashlib.sha256(record).hexdigest()}
    assert (found["_type"], found["subject"]) == (
        "https://in-toto.io/Statement/v1",
        [{"name": path, "digest": digest}],
    )
    assert [check["rule"] for check in found["predicate"]["checks"]] == list(RULES)
    assert [run["name"] for run in found["predicate"]["runs"]] == [f"run {run}" for run in runs]
    assert found["predicate"]["ok"] is (done.returncode == 0)
    assert done.stdout == warm_cli("audit", "result/stated", "--in-toto", cwd=root).stdout


def test_the_statement_of_runs_names_their_records(declared: tuple[Path, list[str]], warm_cli: Cli, git: Git) -> None:
    root, runs = declared

    found = json.loads(warm_cli("audit", runs[0], "--in-toto", cwd=root).stdout)

    (subject,) = found["subject"]
    assert git(root, "cat-file", "-t", subject["digest"]["gitTree"]) == "tree"


def test_a_page_or_a_statement_of_many_results_is_refused(repo: Path, warm_cli: Cli) -> None:
    assert warm_cli("audit", "--ci", "--in-toto", cwd=repo).returncode == 2


# -- what stands beside a test number


def test_every_opening_of_the_test_set_stands_beside_the_number(
    repo: Path, warm_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo)
    split = digits(repo)[1]
    for seed in range(2):
        with gitrepro.record(dataset="digits", seed=seed, group="study") as run:
            part = run.open_test("the number of the paper")
            run.evaluate(np.zeros(len(part)), split=part, truth=np.arange(len(part)) % 2, metrics=["accuracy"])
    runs = [each.id for each in gitrepro.runs("group == study")]
    append(opened(repo), op="select", split=split, part="test", runs=runs, identity=ADA, at=AT)
    assert warm_cli("tag", "result/digits", "study", cwd=repo).returncode == 0

    text = warm_cli("show", "result/digits", cwd=repo).stdout
    table = warm_cli("table", "--by", "group", "--metric", "test/accuracy", cwd=repo)

    said = "test of digits/default@v1 was opened 2 times"
    assert said in text
    assert "2 of them before these runs were chosen" in text
    assert "the choice of 11 examples gives it a standard error of" in text
    assert said in table.stderr
