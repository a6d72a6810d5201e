"""`run.checkpoint`: saved beside the training, on record with what it came out of, read back by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gitrepro
from gitrepro.errors import GitreproWarning, UsageError
from gitrepro.records.run import RunRecord
from gitrepro.store.objects import digest_of
from gitrepro.store.place import store_of
from gitrepro.store.runs import RunTree
from tests.audit.test_rules import check
from tests.recorded_runs import opened

torch = pytest.importorskip("torch")


@pytest.fixture
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo)
    return repo


def newest(repo: Path) -> RunRecord:
    with RunTree(opened(repo)) as tree:
        return tree.run(tree.run_ids()[-1])


def train(metric: str = "val/loss", losses: tuple[float, ...] = (0.5, 0.25, 0.75)) -> Any:
    """A run of some steps of a model whose weight is the step; the model."""
    model = torch.nn.Linear(1, 1)
    with gitrepro.record(config={"lr": 0.1}) as run:
        for step, loss in enumerate(losses):
            torch.nn.init.constant_(model.weight, step)
            run.log({metric: loss}, step=step)
            run.checkpoint(model=model, metric=(metric, "min"))
    return model


def test_the_best_and_the_last_are_on_record_and_in_the_store(here: Path) -> None:
    train()
    record = newest(here)

    assert {tuple(each["roles"]): each["step"] for each in record.checkpoints} == {("best",): 1, ("last",): 2}
    for each in record.checkpoints:
        assert digest_of([store_of(opened(here)).get(each["blob"])]) == each["blob"]
    assert record.checkpoints[0]["metric"]["part"] == "val"


def test_what_was_saved_is_read_back_by_the_name_of_its_run(here: Path) -> None:
    train()
    model = torch.nn.Linear(1, 1)
    gitrepro.load_checkpoint(f"{newest(here).name}:best").restore(model=model, rng=False)

    assert model.weight.item() == 1.0


def test_a_run_that_loads_a_checkpoint_names_the_run_it_came_out_of(here: Path) -> None:
    train()
    first = newest(here)
    with gitrepro.record(kind="eval"):
        gitrepro.load_checkpoint(first.id)
        gitrepro.load_checkpoint(f"{first.name}:best")

    assert newest(here).parents == (first.id,)


def test_a_run_that_resumes_names_it_as_that_alone(here: Path) -> None:
    train()
    first = newest(here)
    with gitrepro.record(resume=first.id):
        gitrepro.load_checkpoint(first.id)

    assert (newest(here).resumes, newest(here).parents) == (first.id, ())


def test_a_checkpoint_says_which_code_and_config_it_came_out_of(here: Path) -> None:
    train()
    record = newest(here)
    origin = record.checkpoints[0]["provenance"]

    assert origin["commit"] == (record.code or {})["commit"]
    assert origin["config"] == record.recorder["start_config"]


def test_the_checkpoints_of_a_run_pass_the_rule_on_code(here: Path) -> None:
    from gitrepro.audit.evidence import gather

    train()
    with RunTree(opened(here)) as tree:
        [evidence] = gather(tree, [newest(here).id]).runs
    found = check("code", evidence, commit=evidence.code["commit"], code_tree=evidence.commit_tree)

    assert "out of another" not in found.why


def test_a_best_chosen_by_the_test_part_is_said_now_and_fails_the_rule_on_curves(here: Path) -> None:
    from gitrepro.audit.evidence import gather

    with pytest.warns(GitreproWarning, match="test"):
        train("test/loss")
    with RunTree(opened(here)) as tree:
        [evidence] = gather(tree, [newest(here).id]).runs

    assert str(check("curves", evidence).verdict) == "FAIL"


def test_a_wrong_argument_is_an_error_and_the_run_goes_on(here: Path) -> None:
    with gitrepro.record() as run:
        with pytest.raises(UsageError):
            run.checkpoint(metric="val/loss")  # type: ignore[arg-type]
        run.log({"loss": 1.0})

    assert newest(here).status == "finished"


@pytest.mark.filterwarnings("ignore:.*(has no repository|waits in)")
def test_without_a_place_for_them_checkpoints_are_told_once_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.warns(GitreproWarning, match="checkpoints is not kept") as told, gitrepro.record() as run:
        for _ in range(3):
            run.checkpoint(model=torch.nn.Linear(1, 1))

    assert sum("not kept" in str(each.message) for each in told) == 1


def test_with_recording_off_nothing_is_saved(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    with gitrepro.record() as run:
        run.checkpoint(model=torch.nn.Linear(1, 1))

    assert not (here / ".git" / "gitrepro" / "store").exists()
