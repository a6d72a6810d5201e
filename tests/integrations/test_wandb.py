"""Scripts that were written for wandb, with the one line of their import changed."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gitrepro
import gitrepro.integrations.wandb as wandb
from gitrepro.errors import GitreproWarning, UsageError
from tests.integrations.conftest import Known, known


@pytest.fixture(autouse=True)
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(repo)
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_NAME", "WANDB_TAGS", "WANDB_RUN_GROUP", "WANDB_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    yield repo
    wandb.finish()


def newest(repo: Path) -> Known:
    return known(repo)[-1]


def rows(found: Known) -> list[dict[str, Any]]:
    shown = [
        {name: value for name, value in row.items() if name not in ("_seq", "_time_seconds")} for row in found.rows
    ]
    return [{name: value for name, value in row.items() if value is not None} for row in shown]


def warned(act: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        act()
    return [str(each.message) for each in seen if issubclass(each.category, GitreproWarning)]


# -- beginning and end


def test_what_init_is_told_becomes_group_labels_note_and_config(repo: Path) -> None:
    wandb.init(
        entity="us", project="digits", group="adam", name="first", tags=["a", "b"], notes="why", job_type="train",
        config={"lr": 0.1, "net": {"depth": 2}}, dir="/tmp", save_code=True, anonymous="allow",
    )  # fmt: skip
    wandb.finish()
    found = newest(repo)

    assert {name: found.record[name] for name in ("name", "group", "labels", "note", "status")} == {
        "name": "first",
        "group": "digits/adam",
        "labels": ["a", "b", "train"],
        "note": "why",
        "status": "finished",
    }
    assert found.config == {"lr": 0.1, "net": {"depth": 2}}


def test_the_environment_stands_in_for_arguments_that_are_not_given(repo: Path, monkeypatch: Any) -> None:
    for name, value in {"PROJECT": "from-env", "NAME": "named", "TAGS": "x,y"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    wandb.init(name="said")
    wandb.finish()
    found = newest(repo).record

    assert (found["group"], found["name"], found["labels"]) == ("from-env", "said", ["x", "y"])


@pytest.mark.parametrize("how", ["argument", "WANDB_MODE", "WANDB_DISABLED"])
def test_a_disabled_run_goes_through_everything_and_leaves_nothing(repo: Path, monkeypatch: Any, how: str) -> None:
    if how != "argument":
        monkeypatch.setenv(how, "disabled" if how == "WANDB_MODE" else "true")
    with wandb.init(config={"lr": 0.1}, **({"mode": "disabled"} if how == "argument" else {})) as run:
        run.log({"loss": 1.0, "hist": wandb.Histogram([1, 2])})
        run.summary["best"] = 1
        assert (run.disabled, run.config.lr, wandb.config["lr"]) == (True, 0.1, 0.1)

    assert known(repo) == []


def test_a_run_in_a_with_block_ends_as_the_block_does(repo: Path) -> None:
    with pytest.raises(ValueError, match="broken"), wandb.init():
        raise ValueError("broken")

    assert newest(repo).record["status"] == "failed"


def test_an_exit_code_other_than_0_is_a_failure(repo: Path) -> None:
    wandb.init()
    wandb.finish(exit_code=3)

    assert newest(repo).record["status"] == "failed"


def test_a_second_init_answers_with_the_run_that_goes_on_and_reinit_begins_another(repo: Path) -> None:
    first = wandb.init()
    again = wandb.init()
    other = wandb.init(reinit=True)

    assert (again is first, other.id != first.id, first.recorded.status) == (True, True, "finished")


def test_a_run_that_the_program_has_open_is_used_and_left_open(repo: Path) -> None:
    with gitrepro.record(config={"lr": 0.1}) as run:
        wandb.init(config={"depth": 2})
        wandb.log({"loss": 1.0})
        wandb.finish()
        assert run.status == "running"

    assert (newest(repo).config, len(known(repo))) == ({"lr": 0.1, "depth": 2}, 1)


def test_a_run_is_resumed_by_its_id_and_its_steps_go_on(repo: Path) -> None:
    first = wandb.init()
    wandb.log({"a": 1.0})
    wandb.finish(exit_code=1)
    again = wandb.init(id=first.id, resume="must")
    wandb.log({"a": 2.0})
    wandb.finish()

    assert (again.resumed, newest(repo).record["resumes"]) == (True, first.id)
    assert [row["_step"] for row in newest(repo).rows] == [0, 1]


def test_without_init_a_call_says_what_is_missing() -> None:
    with pytest.raises(wandb.Error, match=r"wandb\.init"):
        wandb.log({"loss": 1.0})
    with pytest.raises(wandb.Error, match=r"wandb\.init"):
        _ = wandb.config


# -- config and summary


def test_config_is_read_and_written_as_items_attributes_and_by_update(repo: Path) -> None:
    import argparse

    wandb.init(config=argparse.Namespace(lr=0.1, layers=[1, 2]))
    wandb.config.epochs = 3
    wandb.config["batch"] = 8
    wandb.config.update({"lr": 0.2, "net": {"depth": 1}}, allow_val_change=True)
    wandb.config.update(argparse.Namespace(seedling=1))
    wandb.config.setdefaults({"epochs": 9, "new": 1})
    read = (wandb.config.lr, wandb.config["epochs"], wandb.config.get("none", 5), wandb.config.net["depth"])
    wandb.finish()

    assert read == (0.2, 3, 5, 1)
    assert newest(repo).config == {
        "lr": 0.2, "layers": [1, 2], "epochs": 3, "batch": 8, "net": {"depth": 1}, "seedling": 1, "new": 1
    }  # fmt: skip


def test_the_summary_shows_the_last_values_and_keeps_what_the_script_sets(repo: Path) -> None:
    run = wandb.init()
    run.log({"loss": 0.5})
    run.log({"loss": 0.25})
    last = run.summary["loss"]
    wandb.summary["best_accuracy"] = 0.9
    run.summary.update({"params": 650})
    run.summary.words = "good"
    wandb.finish()

    assert last == 0.25
    assert newest(repo).record["summary"].items() >= {"best_accuracy": 0.9, "params": 650, "words": "good"}.items()


# -- log


def test_steps_count_by_themselves_and_without_commit_the_step_goes_on(repo: Path) -> None:
    wandb.init()
    wandb.log({"a": 1.0})
    wandb.log({"a": 2.0}, commit=False)
    wandb.log({"b": 3.0})
    wandb.log({"a": 4.0})
    wandb.finish()

    assert rows(newest(repo)) == [
        {"_step": 0, "a": 1.0}, {"_step": 1, "a": 2.0}, {"_step": 1, "b": 3.0}, {"_step": 2, "a": 4.0}
    ]  # fmt: skip


def test_a_given_step_stays_open_for_more_and_one_below_it_is_left_out_aloud(repo: Path) -> None:
    wandb.init()
    wandb.log({"a": 1.0}, step=5)
    wandb.log({"b": 2.0}, step=5)
    told = warned(lambda: wandb.log({"a": 9.0}, step=4))
    wandb.log({"a": 3.0}, step=7)
    wandb.finish()

    assert rows(newest(repo)) == [{"_step": 5, "a": 1.0}, {"_step": 5, "b": 2.0}, {"_step": 7, "a": 3.0}]
    assert len(told) == 1 and "step 4 is below 5" in told[0]


def test_nested_values_are_flattened_and_words_go_to_the_summary(repo: Path) -> None:
    wandb.init()
    wandb.log({"val": {"loss": 1.0, "by": {"class": 2.0}}, "phase": "warm-up"})
    wandb.finish()

    assert rows(newest(repo)) == [{"_step": 0, "val.loss": 1.0, "val.by.class": 2.0}]
    assert newest(repo).record["summary"]["phase"] == "warm-up"


def test_what_is_no_mapping_is_an_error() -> None:
    wandb.init()
    with pytest.raises(UsageError, match="mapping"):
        wandb.log(3.0)
    with pytest.raises(UsageError, match="not an integer"):
        wandb.log({"a": 1.0}, step="first")  # type: ignore[arg-type]


def test_a_goal_is_taken_from_define_metric_also_for_a_pattern(repo: Path) -> None:
    wandb.init()
    wandb.define_metric("val/accuracy", summary="max")
    wandb.define_metric("loss/*", step_metric="epoch", goal="minimize")
    wandb.define_metric("epoch")
    for value in (0.5, 0.9, 0.7):
        wandb.log({"val/accuracy": value, "loss/train": 1 - value, "epoch": 1})
    wandb.finish()
    metrics = newest(repo).record["metrics"]

    assert (metrics["val/accuracy"]["goal"], metrics["loss/train"]["goal"]) == ("max", "min")
    assert newest(repo).record["summary"]["val/accuracy"] == 0.9


# -- media and files


def test_images_tables_histograms_and_pages_become_artifacts(repo: Path) -> None:
    pytest.importorskip("PIL")
    wandb.init()
    table = wandb.Table(columns=["id", "guess"], data=[[1, "a"]])
    table.add_data(2, "b")
    wandb.log({
        "picture": wandb.Image(np.zeros((4, 4))), "grid": [wandb.Image(np.ones((4, 4, 3)), caption="x")] * 2,
        "table": table, "weights": wandb.Histogram(np.arange(10.0), num_bins=5), "page": wandb.Html("<p>hi</p>"),
    })  # fmt: skip
    wandb.finish()
    names = {each["name"] for each in newest(repo).record["artifacts"]}

    assert names == {
        "media/picture-0.png", "media/grid-0-0.png", "media/grid-0-1.png", "media/table-0.table.json",
        "media/weights-0.histogram.json", "media/page-0.html",
    }  # fmt: skip


def test_what_only_the_server_draws_is_said_once_not_to_be_kept() -> None:
    wandb.init()
    told = warned(lambda: [wandb.log({"curve": wandb.plot.line_series(xs=[1], ys=[[2]])}) for _ in range(3)])

    assert len(told) == 1 and "curve is something to show" in told[0]


def test_files_are_kept_by_save_by_artifacts_and_by_the_folder_of_the_run(repo: Path) -> None:
    folder = repo.parent / "out"
    (folder / "deep").mkdir(parents=True)
    for name in ("model.pt", "deep/a.txt"):
        (folder / name).write_text(name)
    run = wandb.init()
    wandb.save(str(folder / "*.pt"))
    artifact = wandb.Artifact("net", type="model", metadata={"layers": 2})
    artifact.add_file(str(folder / "model.pt"))
    artifact.add_dir(str(folder / "deep"), name="deep")
    with artifact.new_file("notes.txt") as file:
        file.write("good")
    run.log_artifact(artifact)
    (Path(run.dir) / "late.txt").write_text("late")
    wandb.finish()
    names = {each["name"] for each in newest(repo).record["artifacts"]}

    assert names == {
        "files/model.pt",
        "files/late.txt",
        "net/model.pt",
        "net/deep",
        "net/notes.txt",
        "net/artifact.json",
    }


def test_a_model_that_is_watched_is_on_record(repo: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(3, 2)
    with wandb.init() as run:
        run.watch(model, log="all", log_freq=10)

    assert newest(repo).record["watched"][0]["model"]["elements"] == 8


def test_an_alert_is_said_and_what_needs_a_server_is_a_clear_error() -> None:
    wandb.init()

    assert warned(lambda: wandb.alert("low", text="accuracy", level=wandb.AlertLevel.WARN)) == ["alert: low: accuracy"]
    with pytest.raises(wandb.Error, match="needs a server"):
        wandb.Api()
    with pytest.raises(wandb.Error, match="no server"):
        wandb.use_artifact("data:latest")
    with pytest.raises(AttributeError, match="no_such"):
        _ = wandb.no_such


def test_a_script_under_the_command_is_the_run_of_the_command(repo: Path, cli: Any) -> None:
    (repo / "train.py").write_text(
        "import sys\n"
        "import gitrepro.integrations.wandb as wandb\n"
        "wandb.init(project='p', config={'lr': 0.1})\n"
        "wandb.log({'loss': 1.0})\n"
        "open(wandb.run.dir + '/late.txt', 'w').write('kept without a word of finish')\n"
    )
    done = cli("record", "--name", "outer", "--", sys.executable, "train.py", cwd=repo)
    assert done.returncode == 0, done.stderr
    [found] = known(repo)

    assert (found.record["name"], found.record["status"]) == ("outer", "finished")
    assert (found.config, found.curve("loss")) == ({"lr": 0.1}, [(0, 1.0)])
    assert [each["name"] for each in found.record["artifacts"]] == ["files/late.txt"]
