"""Guards in recorded runs: how the run ends, what is on record of it, and what is kept of a training that breaks."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import gitrepro
from gitrepro import Budget, Divergence, EarlyStopping, NoLearning, NonFinite
from gitrepro.errors import GitreproWarning, UsageError
from gitrepro.records.run import RunRecord
from gitrepro.store.runs import RunTree
from tests.recorded_runs import opened
from tests.warm import WarmCli

if TYPE_CHECKING:
    from conftest import Git

torch = pytest.importorskip("torch")


@pytest.fixture
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo)
    return repo


@pytest.fixture(scope="module")
def warm_cli() -> Iterator[WarmCli]:
    warm = WarmCli()
    yield warm
    warm.close()


def newest(repo: Path) -> RunRecord:
    with RunTree(opened(repo)) as tree:
        return tree.run(tree.run_ids()[-1])


def told(found: list[warnings.WarningMessage]) -> list[str]:
    return [str(each.message) for each in found if issubclass(each.category, GitreproWarning)]


def train(*rules: Any, loss: Callable[[int], float], steps: int = 100, name: str = "loss") -> gitrepro.Run:
    """A run that logs a loss and asks its guard, in a plain loop."""
    with warnings.catch_warnings(), gitrepro.record(seed=0) as run:
        warnings.simplefilter("ignore", GitreproWarning)
        guard = run.guard(*rules)
        for step in range(steps):
            run.log({name: loss(step)}, step=step)
            if guard.should_stop():
                break
    return run


# -- how a run ends


def test_a_run_that_stops_early_finishes_and_says_why(here: Path) -> None:
    run = train(EarlyStopping("val/loss", patience=3), loss=lambda step: abs(step - 5.0), name="val/loss")
    record = newest(here)

    assert (run.status, record.status, record.reason) == ("finished", "finished", None)
    assert record.stopping is not None
    assert (record.stopping["stopped"], record.stopping["reason"]["step"]) == (True, 8)
    assert record.stopping["reason"]["seen"]["best_step"] == 5
    assert record.stopping["rules"][0]["parameters"]["patience"] == 3


def test_a_run_whose_loss_becomes_nan_is_aborted_with_a_reason(here: Path) -> None:
    run = train(NonFinite(), loss=lambda step: math.nan if step == 7 else 1.0)
    record = newest(here)

    assert (run.status, record.status) == ("aborted", "aborted")
    assert record.reason is not None
    assert {name: record.reason[name] for name in ("kind", "rule", "code", "step")} == {
        "kind": "guard", "rule": "NonFinite", "code": "nonfinite-loss", "step": 7,
    }  # fmt: skip
    assert record.metrics["loss"]["count"] == 8


def test_a_run_whose_loss_is_nan_from_its_first_step_is_aborted_there(here: Path) -> None:
    train(Divergence(), NoLearning(), NonFinite(), loss=lambda _step: math.nan)
    record = newest(here)

    assert record.status == "aborted"
    assert "never finite" in record.reason["message"]  # type: ignore[index]


def test_a_run_that_goes_on_after_it_was_told_to_stop_says_so_and_is_aborted(here: Path) -> None:
    with warnings.catch_warnings(record=True) as found, gitrepro.record() as run:
        warnings.simplefilter("always")
        guard = run.guard(NonFinite())
        for _ in range(3):
            run.log({"loss": math.nan})
            guard.should_stop()

    assert len([each for each in told(found) if "given up" in each]) == 1
    assert newest(here).status == "aborted"


def test_a_run_that_never_asks_its_guard_finishes_and_the_record_says_so(here: Path) -> None:
    with warnings.catch_warnings(record=True) as found, gitrepro.record() as run:
        warnings.simplefilter("always")
        run.guard(NonFinite())
        run.log({"loss": math.nan})
    record = newest(here)

    assert record.status == "finished"
    assert record.stopping is not None
    assert record.stopping["stopped"] is False
    assert [each["code"] for each in record.stopping["warnings"]] == ["not-stopped"]
    assert [each["code"] for each in record.stopping["also"]] == ["nonfinite-loss"]
    assert any("nobody asked" in each for each in told(found))


def test_a_program_that_fails_after_the_guard_spoke_has_failed(here: Path) -> None:
    with pytest.raises(RuntimeError), pytest.warns(GitreproWarning), gitrepro.record() as run:
        guard = run.guard(NonFinite())
        run.log({"loss": math.nan})
        assert guard.should_stop()
        raise RuntimeError("loss is nan")

    assert newest(here).status == "failed"
    assert newest(here).stopping["stopped"] is True  # type: ignore[index]


def test_a_run_without_a_guard_has_no_such_field(here: Path) -> None:
    with gitrepro.record() as run:
        run.log({"loss": 1.0})

    assert (newest(here).stopping, newest(here).curves) == (None, None)


# -- what people are told


def test_the_warning_says_what_was_seen_what_to_do_and_the_risk_at_the_line_of_the_program(here: Path) -> None:
    with warnings.catch_warnings(record=True) as found, gitrepro.record() as run:
        warnings.simplefilter("always")
        guard = run.guard(NonFinite())
        run.log({"loss": math.nan})
        guard.should_stop()
    [said] = [each for each in found if "given up" in str(each.message)]

    assert said.filename == __file__
    for part in ("loss is nan at step 0", "do: ", "otherwise: "):
        assert part in str(said.message)


def test_a_metric_that_is_never_logged_is_warned_of_at_the_end(here: Path) -> None:
    with (
        pytest.warns(GitreproWarning, match=r"val/loss was in none of 3 rows; nearest are val/los"),
        gitrepro.record() as run,
    ):
        run.guard(EarlyStopping("val/loss"))
        for _ in range(3):
            run.log({"val/los": 1.0})

    assert newest(here).stopping["warnings"][0]["code"] == "never-logged"  # type: ignore[index]


def test_a_goal_that_was_defined_tells_the_rule_what_is_better(here: Path) -> None:
    with gitrepro.record() as run:
        run.define_metric("quality", goal="max")
        guard = run.guard(EarlyStopping("quality", patience=2))
        run.log({"quality": 1.0})
        run.log({"quality": 2.0})
        assert not guard.should_stop()
        with pytest.raises(UsageError, match="mode="):
            run.guard(EarlyStopping("other"))

    assert newest(here).stopping["rules"] == [  # type: ignore[index]
        {"parameters": {"after": 0, "metric": "quality", "min_delta": 0.0, "patience": 2}, "rule": "EarlyStopping"}
    ]


def test_a_budget_of_money_takes_the_prices_of_the_policy(here: Path) -> None:
    with gitrepro.record() as run:
        with pytest.raises(UsageError, match="prices"):
            run.guard(Budget(cost=1))
        (here / ".gitrepro.yaml").write_text("version: 1\nprices: {machine: 3.6e+9}\n")
        guard = run.guard(Budget(cost=1))  # an hour costs so much that a second is beyond it
        with pytest.warns(GitreproWarning, match="the budget of 1 of the currency"):
            while not guard.should_stop():
                pass

    assert newest(here).stopping["reason"]["code"] == "budget-cost"  # type: ignore[index]


def test_show_tells_the_rules_the_reason_and_what_to_do(here: Path, warm_cli: WarmCli) -> None:
    train(EarlyStopping("val/loss", patience=3), loss=lambda step: abs(step - 30.0), name="val/loss")
    page = warm_cli("show", cwd=here)
    document = json.loads(warm_cli("show", "--json", cwd=here).stdout)

    assert "EarlyStopping  metric val/loss  patience 3" in page.stdout
    assert "val/loss has not improved for 3 evaluations: best 0 at step 30, last 3" in page.stdout
    assert (
        "best 0.0 at step 30  last 3.0 at step 33" in page.stdout
        or "best 0 at step 30  last 3 at step 33" in page.stdout
    )
    assert document["stopping"]["reason"]["rule"] == "EarlyStopping"
    assert document["curves"]["metrics"]["val/loss"]["best"] == {"step": 30, "value": 0.0}


def test_an_aborted_run_is_listed_as_such(here: Path, warm_cli: WarmCli) -> None:
    train(NonFinite(), loss=lambda _step: math.nan)
    [listed] = json.loads(warm_cli("ls", "--status", "aborted", "--json", cwd=here).stdout)

    assert listed["status"] == "aborted"
    assert "try     " in warm_cli("show", cwd=here).stdout


# -- what is kept of a training that breaks


def broken(run: gitrepro.Run, show: Callable[[gitrepro.Run, Any, Any, Any], None]) -> Any:
    """A model that is trained for some steps and then breaks."""
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    guard = run.guard(NonFinite())
    show(run, guard, model, optimizer)
    for step in range(6):
        torch.nn.init.constant_(model.weight, step)
        run.log({"val/loss": math.nan if step == 5 else abs(step - 2.0)}, step=step)
        if step < 5:
            run.checkpoint(model=model, metric=("val/loss", "min"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GitreproWarning)
            if guard.should_stop():
                break
    return model


SHOWN: dict[str, Callable[..., None]] = {
    "guard.watch": lambda run, guard, model, optimizer: guard.watch(model, optimizer),
    "run.watch": lambda run, guard, model, optimizer: run.watch(model, optimizer),
    "run.checkpoint": lambda run, guard, model, optimizer: None,
}


@pytest.mark.parametrize("way", SHOWN)
def test_an_abort_leaves_a_checkpoint_of_its_own_and_the_best_one(here: Path, way: str) -> None:
    with gitrepro.record() as run:
        broken(run, SHOWN[way])
    record = newest(here)
    by_name = {each["name"]: each for each in record.checkpoints}

    assert record.stopping["checkpoint"] == "crash"  # type: ignore[index]
    # Whoever goes on with the best or the last one goes on with what was healthy.
    assert {name: (each["step"], each["roles"]) for name, each in by_name.items()} == {
        "step-2": (2, ["best"]), "step-4": (4, ["last"]), "crash": (5, ["kept"]),
    }  # fmt: skip
    loaded = torch.nn.Linear(2, 1)
    gitrepro.load_checkpoint(f"{record.name}:crash").restore(model=loaded, rng=False)
    assert loaded.weight.tolist() == [[5.0, 5.0]]


def test_the_ids_of_the_last_batches_are_on_record(here: Path) -> None:
    data = torch.utils.data.TensorDataset(torch.arange(100.0))
    with gitrepro.record(seed=0) as run, warnings.catch_warnings():
        warnings.simplefilter("ignore", GitreproWarning)
        guard = run.guard(NonFinite())
        loader = torch.utils.data.DataLoader(data, batch_size=5, shuffle=True)
        for step, (batch,) in enumerate(loader):  # noqa: B007
            run.log({"loss": math.nan if step == 3 else 1.0})
            if guard.should_stop():
                break
    batches = newest(here).stopping["batches"]  # type: ignore[index]

    assert len(batches) == 4
    assert json.loads(batches[-1]["ids"]) == [int(value) for value in batch]


def test_an_abort_without_a_model_in_sight_still_ends_well(here: Path) -> None:
    train(NonFinite(), loss=lambda _step: math.nan)

    assert "checkpoint" not in newest(here).stopping  # type: ignore[operator]


def test_the_ids_of_our_own_loader_are_seen_whatever_fetches_them(here: Path) -> None:
    data = torch.utils.data.TensorDataset(torch.arange(40.0))
    told = []
    for workers in (0, 2):
        with gitrepro.record(seed=0) as run, warnings.catch_warnings():
            warnings.simplefilter("ignore", GitreproWarning)
            guard = run.guard(NonFinite())
            loader = run.loader(data, batch_size=4, shuffle=True, num_workers=workers)
            for step, (batch,) in enumerate(loader):  # noqa: B007
                run.log({"loss": math.nan if step == 5 else 1.0})
                if guard.should_stop():
                    break
        told.append([json.loads(each["ids"]) for each in newest(here).stopping["batches"]])  # type: ignore[index]

    assert told[0] == told[1]
    assert told[0][-1] == [int(value) for value in batch]


def test_of_two_guards_that_fire_at_once_the_run_has_one_reason(here: Path) -> None:
    with gitrepro.record() as run, warnings.catch_warnings():
        warnings.simplefilter("ignore", GitreproWarning)
        first, second = run.guard(Budget(steps=1)), run.guard(NonFinite())
        run.log({"loss": math.nan})
        assert first.should_stop() and second.should_stop()
    record = newest(here)

    assert record.status == "aborted"
    assert (record.stopping["reason"]["code"], [each["code"] for each in record.stopping["also"]]) == (  # type: ignore[index]
        "nonfinite-loss", ["budget-steps"],
    )  # fmt: skip


# -- other ways to run


TRAIN = """
import math, os, signal, sys, warnings
warnings.simplefilter("ignore")
from gitrepro import EarlyStopping, NonFinite, NoLearning
with gitrepro.record() as run:
    guard = run.guard(NonFinite(), EarlyStopping("val/loss", patience=2))
    for step in range(50):
        run.log({"loss": math.nan if step == 30 else 1.0, "val/loss": 1.0 / (step + 1)})
        if guard.should_stop():
            break
    if "--kill" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
print(run.status, step)
"""


def test_under_the_command_the_run_is_aborted_though_the_program_ended_well(
    repo: Path, script: Any, warm_cli: WarmCli
) -> None:
    (repo.parent / "script.py").write_text("import gitrepro\n" + TRAIN)
    done = warm_cli("record", "--", sys.executable, str(repo.parent / "script.py"), cwd=repo)
    record = newest(repo)

    assert (done.returncode, done.stdout) == (0, "aborted 30\n")
    assert (record.status, record.reason["code"]) == ("aborted", "nonfinite-loss")  # type: ignore[index]


def test_a_run_that_is_killed_keeps_what_its_guard_said(repo: Path, script: Any, warm_cli: WarmCli) -> None:
    done = script(TRAIN, args=("--kill",))
    warm_cli("recover", cwd=repo)
    record = newest(repo)

    assert done.returncode == -signal.SIGKILL
    assert record.status == "crashed"
    assert record.stopping["reason"]["code"] == "nonfinite-loss"  # type: ignore[index]


def test_with_recording_disabled_guards_work_and_nothing_is_written(repo: Path, script: Any, git: Git) -> None:
    done = script(TRAIN, env={"GITREPRO_MODE": "disabled"})

    assert (done.returncode, done.stdout) == (0, "aborted 30\n"), done.stderr
    assert git(repo, "for-each-ref", "refs/gitrepro") == ""


def test_a_forked_worker_has_no_guard_of_its_own(here: Path) -> None:
    with gitrepro.record() as run:
        guard = run.guard(NonFinite())
        if (child := os.fork()) == 0:
            run.log({"loss": math.nan})
            os._exit(0)
        os.waitpid(child, 0)
        run.log({"loss": 1.0})

        assert not guard.should_stop()
    assert newest(here).status == "finished"


def test_the_door_names_the_rules_without_loading_anything_heavy() -> None:
    heavy = "{'torch', 'numpy', 'pyarrow', 'yaml'} & {*sys.modules}"
    code = f"import sys; from gitrepro import Budget, EarlyStopping; print(*{heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""


def test_a_long_loss_is_judged_at_the_end_with_its_inputs(here: Path) -> None:
    with gitrepro.record() as run:
        for step in range(600):
            run.log({"train/loss": 2.0 + (step * 7919 % 100) / 100})
    curves = newest(here).curves

    assert curves is not None
    verdict = curves["metrics"]["train/loss"]["verdicts"]["not-falling"]
    assert verdict["found"] is True
    assert (verdict["seen"]["values"], curves["parameters"]["not-falling"]["alpha"]) == (500, 0.01)


# -- the examples

EXAMPLES = Path(gitrepro.__file__).parent.parent / "examples"


def example(name: str, *args: str, repo: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(EXAMPLES / name), *args]
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(argv, cwd=repo, env=environ, capture_output=True, text=True, timeout=240, check=True)


def test_the_example_of_early_stopping_stops_when_it_overfits(repo: Path) -> None:
    done = example("early_stopping.py", repo=repo)
    record = newest(repo)

    assert done.stdout.endswith(": overfitting\n")
    assert (record.status, record.stopping["reason"]["rule"]) == ("finished", "EarlyStopping")  # type: ignore[index]
    assert "best" in [role for each in record.checkpoints for role in each["roles"]]


def test_the_example_of_divergence_is_aborted_with_too_large_a_rate_alone(repo: Path) -> None:
    lost = example("divergence.py", repo=repo)
    broken = newest(repo)
    well = example("divergence.py", "--lr", "0.1", "--epochs", "3", repo=repo)

    assert ": aborted, train/loss is inf" in lost.stdout
    assert (broken.status, broken.stopping["checkpoint"]) == ("aborted", "crash")  # type: ignore[index]
    assert well.stdout.endswith(": finished\n")
