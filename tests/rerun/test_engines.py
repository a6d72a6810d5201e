"""What every engine must do. A new one is added to ENGINES, and this file is its specification."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.errors import Damaged, UsageError
from gitrepro.records import ids
from gitrepro.records.run import RunRecord
from gitrepro.rerun import job as jobs
from gitrepro.rerun.checkout import record_of
from gitrepro.rerun.engines import Engine, Handle
from gitrepro.rerun.engines.local import LocalEngine
from gitrepro.rerun.job import JobSpec, load_result, load_spec
from gitrepro.store.repository import Repository, find
from tests.conftest import Git

ENGINES: dict[str, Callable[[Repository], Engine]] = {
    "local": lambda repository: LocalEngine(repository, at_once=2),
}

# Says that it runs, and goes on once it is told to: no test has to guess how long a start takes.
WAITS = """
import os
with open(os.environ["RUNS"], "w") as runs:
    runs.write(f"{os.getpid()} {os.getppid()}")
with open(os.environ["GO_ON"]) as go_on:
    go_on.read()
"""


@pytest.fixture
def opened(repo: Path) -> Repository:
    return find(repo, {})


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, opened: Repository) -> Iterator[Engine]:
    made = ENGINES[request.param](opened)
    yield made
    made.close()


@pytest.fixture
def spec(repo: Path, git: Git) -> Callable[..., JobSpec]:
    def spec(program: str = "", **more: object) -> JobSpec:
        argv = (sys.executable, "-c", program)
        base = JobSpec(id=ids.new_id(), repository=str(repo), commit=git(repo, "rev-parse", "HEAD"), argv=argv)
        return replace(base, **more)  # type: ignore[arg-type]

    return spec


@pytest.fixture
def waiting(spec: Callable[..., JobSpec], tmp_path: Path) -> Callable[[], tuple[JobSpec, Path, Path]]:
    def waiting() -> tuple[JobSpec, Path, Path]:
        runs, go_on = tmp_path / f"runs-{ids.new_id()}", tmp_path / f"go-on-{ids.new_id()}"
        os.mkfifo(runs)
        os.mkfifo(go_on)
        return spec(WAITS, env={"RUNS": str(runs), "GO_ON": str(go_on)}), runs, go_on

    return waiting


def run_of(opened: Repository, handle: Handle) -> RunRecord:
    result = jobs.result_of(handle.folder)
    assert result.run_id is not None, result.trouble
    return record_of(opened, result.run_id)


def test_every_job_is_over_once_and_its_run_is_on_record(
    engine: Engine, opened: Repository, spec: Callable[..., JobSpec]
) -> None:
    handles = [engine.submit(spec("import random", seed=seed, group="study")) for seed in (3, 4, 5)]
    over = list(engine.as_completed(handles))

    assert sorted(handle.id for handle in over) == sorted(handle.id for handle in handles)
    runs = [run_of(opened, handle) for handle in handles]
    assert [run.seeds["requested"] for run in runs] == [3, 4, 5]
    assert {(run.status, run.group, (run.code or {})["dirty"]) for run in runs} == {("finished", "study", False)}


def test_a_program_that_fails_is_over_like_any_other(
    engine: Engine, opened: Repository, spec: Callable[..., JobSpec]
) -> None:
    handle = engine.submit(spec("import sys; sys.exit(7)"))

    assert list(engine.as_completed([handle])) == [handle]
    assert jobs.result_of(handle.folder).exit_code == 7
    assert run_of(opened, handle).status == "failed"


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        ({"argv": ("no-such-program",)}, "no-such-program"),
        ({"commit": "0" * 40}, "git worktree"),
        ({"folder": "../.."}, "no folder of its code"),
        ({"folder": "missing"}, "no folder of its code"),
        ({"links": {"../out": "/etc"}}, "leads out"),
        ({"links": {"train.py": "/etc/passwd"}}, "part of the code"),
    ],
)
def test_a_job_that_cannot_start_says_why_and_leaves_no_checkout(
    opened: Repository, spec: Callable[..., JobSpec], git: Git, change: dict[str, object], trouble: str
) -> None:
    engine = LocalEngine(opened)
    handle = engine.submit(spec(**change))
    list(engine.as_completed([handle]))
    engine.close()

    result = jobs.result_of(handle.folder)
    assert result.run_id is None
    assert trouble in result.trouble
    assert not (handle.folder / jobs.TREE).exists()
    assert git(opened.common_dir.parent, "worktree", "list").count("\n") == 0


def test_a_job_whose_turn_has_not_come_is_cancelled_without_a_trace(
    opened: Repository, waiting: Callable[[], tuple[JobSpec, Path, Path]], spec: Callable[..., JobSpec]
) -> None:
    engine = LocalEngine(opened, at_once=1)
    first, runs, go_on = waiting()
    handles = [engine.submit(first), engine.submit(spec())]
    runs.read_text()
    engine.cancel(handles[1])
    go_on.write_text("")

    assert len(list(engine.as_completed(handles))) == 2
    assert run_of(opened, handles[0]).status == "finished"
    assert jobs.result_of(handles[1].folder).run_id is None
    engine.close()


def test_a_job_at_work_is_cancelled_and_its_run_is_interrupted(
    engine: Engine, opened: Repository, waiting: Callable[[], tuple[JobSpec, Path, Path]]
) -> None:
    job, runs, _ = waiting()
    handle = engine.submit(job)
    runs.read_text()
    engine.cancel(handle)
    engine.cancel(handle)

    assert list(engine.as_completed([handle])) == [handle]
    assert run_of(opened, handle).status == "interrupted"
    assert not (handle.folder / jobs.TREE).exists()
    engine.cancel(handle)


def test_a_job_that_is_killed_is_over_and_leaves_no_checkout(
    engine: Engine, opened: Repository, waiting: Callable[[], tuple[JobSpec, Path, Path]], git: Git
) -> None:
    job, runs, go_on = waiting()
    handle = engine.submit(job)
    _program, launcher = map(int, runs.read_text().split())
    os.kill(launcher, signal.SIGKILL)
    go_on.write_text("")

    assert list(engine.as_completed([handle])) == [handle]
    assert "no word of its end" in jobs.result_of(handle.folder).trouble
    assert git(opened.common_dir.parent, "worktree", "list").count("\n") == 0


def test_closing_stops_what_is_under_way(
    engine: Engine, opened: Repository, waiting: Callable[[], tuple[JobSpec, Path, Path]]
) -> None:
    job, runs, _ = waiting()
    handle = engine.submit(job)
    runs.read_text()
    engine.close()

    assert run_of(opened, handle).status == "interrupted"


def test_a_job_sees_its_own_run_and_not_that_of_its_submitter(
    engine: Engine,
    opened: Repository,
    spec: Callable[..., JobSpec],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name in ("GITREPRO_RUN", "GITREPRO_LIVE", "GITREPRO_ROOT", "GITREPRO_SEED", "GITREPRO_RESUMES"):
        monkeypatch.setenv(name, "of another run")
    report = tmp_path / "report.json"
    program = "import json, os; json.dump([dict(os.environ), os.getcwd()], open(os.environ['REPORT'], 'w'))"
    parent = ids.new_id()
    handle = engine.submit(
        spec(program, seed=8, parent=parent, env={"REPORT": str(report), "CODE": "{tree}/src"}, keep=True)
    )
    list(engine.as_completed([handle]))

    environ, cwd = json.loads(report.read_text())
    run = run_of(opened, handle)
    tree = jobs.result_of(handle.folder).tree
    assert (environ["GITREPRO_RUN"], environ["GITREPRO_SEED"]) == (run.id, "8")
    assert "of another run" not in environ.values()
    assert (cwd, environ["PWD"], environ["CODE"]) == (tree, tree, f"{tree}/src")
    assert run.parents == (parent,)


def test_what_a_killed_job_left_is_swept_and_what_is_kept_stays(
    opened: Repository, waiting: Callable[[], tuple[JobSpec, Path, Path]], spec: Callable[..., JobSpec], git: Git
) -> None:
    root = opened.common_dir.parent
    kept = jobs.prepare(jobs.jobs_folder(opened), spec(keep=True))
    left = jobs.prepare(jobs.jobs_folder(opened), spec())
    for folder in (kept, left):
        git(root, "worktree", "add", "--quiet", "--detach", str(folder / jobs.TREE))
    (kept / jobs.RESULT).write_bytes(jobs.JobResult(tree=str(kept / jobs.TREE)).dump())
    jobs.sweep(opened)

    assert (kept / jobs.TREE / "train.py").exists()
    assert not (left / jobs.TREE).exists()


def test_a_job_is_carried_out_once(opened: Repository, spec: Callable[..., JobSpec]) -> None:
    engine = LocalEngine(opened)
    handle = engine.submit(spec())
    list(engine.as_completed([handle]))
    engine.close()

    with pytest.raises(UsageError, match="done"):
        jobs.perform(handle.folder, say=lambda _: None)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
specs = st.builds(
    JobSpec,
    id=words,
    repository=words,
    commit=words,
    argv=st.lists(words, min_size=1, max_size=4).map(tuple),
    seed=st.none() | st.integers(0, 2**32 - 1),
    overlays=st.lists(words, max_size=2).map(tuple),
    folder=words,
    env=st.dictionaries(words, words, max_size=3),
    config=st.lists(
        st.fixed_dictionaries({"source": words, "values": st.dictionaries(words, st.integers() | words, max_size=3)}),
        max_size=2,
    ).map(tuple),
    takes_in=st.dictionaries(words, st.lists(words, max_size=2) | st.booleans(), max_size=2),
    links=st.dictionaries(words, words, max_size=2),
    kind=words,
    group=st.none() | words,
    parent=st.none() | words,
    keep=st.booleans(),
    resources=st.dictionaries(words, st.integers(0, 99), max_size=2),
)


@given(specs)
def test_a_job_comes_back_from_its_json_as_it_was(job: JobSpec) -> None:
    assert load_spec(job.dump(), source="spec.json") == job


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"format": 2}', b'{"format": 1}', b'{"format": 1, "argv": ["x"], "surprise": 1}', b"\xff"],
)
def test_what_is_no_job_is_refused(data: bytes) -> None:
    with pytest.raises(Damaged):
        load_spec(data, source="spec.json")
    if data != b'{"format": 1}':
        with pytest.raises(Damaged):
            load_result(data, source="result.json")


def test_an_argument_that_is_no_text_to_json_comes_back(opened: Repository, spec: Callable[..., JobSpec]) -> None:
    job = spec(argv=("printf", os.fsdecode(b"latin-\xe9"), "two\nlines", "$(touch /tmp/x)"))

    assert load_spec(job.dump(), source="spec.json").argv == job.argv
