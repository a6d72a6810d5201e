"""Trainings of Lightning and of transformers handed to the checks as they are: small real nets on the digits."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

for library in ("torch", "lightning", "transformers", "sklearn"):
    pytest.importorskip(library)

from tests.warm import Warm  # noqa: E402

PROGRAM = Path(__file__).parent / "checked_trainings.py"
LIBRARIES = ("lightning", "transformers")
BOTH = (
    "repeat {} sound", "relabelled {} sound", "relabelled {} handed", "check overfit {} sound",
    "check overfit {} frozen", "check overfit {} softmax", "check baseline {} sound", "predict {} interrupted",
    "predict {} nan", "predict {} instance", "predict {} no-val",
)  # fmt: skip
QUESTIONS = (
    *(question.format(library) for question in BOTH for library in LIBRARIES),
    "check overfit transformers popping", "check shuffle transformers handed", "check shuffle lightning own-labels",
    "predict lightning silent", "predict lightning endless", "predict lightning stream",
    "predict lightning val-shuffled", "predict lightning stepping", "predict lightning callbacks",
    "learner lightning manual", "check overfit transformers language", "check baseline transformers language",
)  # fmt: skip
Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the program runs."""
    return tmp_path_factory.mktemp("trainings")


@pytest.fixture(scope="module")
def ask(warm: Warm, folder: Path) -> Ask:
    """`ask("predict", "lightning", "sound")`: the answers come from one process, which has loaded all once."""
    quiet = {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    warm.start([str(PROGRAM), *QUESTIONS], folder=folder, environ={**os.environ, **quiet})
    assert warm.wait() == 0, warm.printed("err")
    answers = json.loads(warm.printed("out").strip().splitlines()[-1])
    return lambda *question: answers[" ".join(question)]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_training_is_a_task_that_predicts_follows_its_seed_and_leaves_the_examples_alone(
    ask: Ask, library: str, folder: Path
) -> None:
    found = ask("repeat", library, "sound")

    assert found["score"] > 0.8
    assert (found["same"], found["untouched"]) == ([True, True, False], True)
    assert (found["kind"], found["shape"]) == ("classification", [360, 64])
    assert not [*folder.rglob("checkpoint-*"), *folder.rglob("*.ckpt")]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_sound_training_learns_the_mini_batch_and_its_pieces_are_as_they_should_be(ask: Ask, library: str) -> None:
    found = ask("check", "overfit", library, "sound")

    assert found.pop("overfit.future") == "NOT_APPLICABLE"
    assert set(found.values()) == {"PASS"}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_frozen_body_is_seen(ask: Ask, library: str) -> None:
    assert ask("check", "overfit", library, "frozen")["overfit.all_move"] == "FAIL"


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_softmax_before_the_loss_is_seen(ask: Ask, library: str) -> None:
    assert ask("check", "overfit", library, "softmax")["overfit.mini_batch"] == "FAIL"


def test_a_compute_loss_that_takes_the_labels_out_of_the_batch_is_called_with_a_copy(ask: Ask) -> None:
    found = ask("check", "overfit", "transformers", "popping")

    assert (found["overfit.mini_batch"], found["overfit.independence"]) == ("PASS", "PASS")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_training_is_set_beside_baselines(ask: Ask, library: str) -> None:
    assert ask("check", "baseline", library, "sound")["baseline.beaten"] in ("PASS", "WARN", "FAIL")


@pytest.mark.parametrize("kind", ["sound", "handed"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_labels_that_a_check_has_changed_are_those_that_are_learnt(ask: Ask, library: str, kind: str) -> None:
    found = ask("relabelled", library, kind)

    assert found["right"] < 0.2 < 0.7 < found["next"]


def test_a_sound_training_falls_to_chance(ask: Ask) -> None:
    assert set(ask("check", "shuffle", "transformers", "handed").values()) == {"PASS"}


def test_a_data_module_that_puts_the_validation_part_into_the_train_part_is_caught(ask: Ask) -> None:
    assert ask("check", "shuffle", "lightning", "own-labels")["shuffle.labels"] == "FAIL"


def test_a_language_model_that_predicts_its_own_next_tokens_is_looked_into_and_compared(ask: Ask) -> None:
    found = ask("check", "overfit", "transformers", "language")

    assert (found["overfit.mini_batch"], found["overfit.future"]) == ("PASS", "PASS")
    assert ask("check", "baseline", "transformers", "language")["baseline.beaten"] in ("PASS", "WARN", "FAIL")


# -- what goes wrong


@pytest.mark.parametrize("library", LIBRARIES)
def test_control_c_in_the_training_is_no_failure_of_the_task(ask: Ask, library: str) -> None:
    assert ask("predict", library, "interrupted") == {"stopped": "interrupted"}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_training_that_becomes_nan_fails_and_predicts_nothing(ask: Ask, library: str) -> None:
    found = ask("predict", library, "nan")

    assert (found["error"], "NaN" in found["what"]) == ("TaskFailed", True)


@pytest.mark.parametrize(
    ("library", "kind", "says"),
    [
        ("lightning", "instance", "module is a Calling"),
        ("lightning", "silent", "neither forward nor predict_step"),
        ("lightning", "no-val", "no loaders for validation"),
        ("lightning", "endless", "how long"),
        ("lightning", "stream", "no length"),
        ("lightning", "val-shuffled", "shuffles"),
        ("transformers", "instance", "trainer is a Trainer"),
        ("transformers", "no-val", "no eval_dataset"),
    ],
)
def test_what_is_no_experiment_is_told(ask: Ask, library: str, kind: str, says: str) -> None:
    found = ask("predict", library, kind)

    assert found["error"] == "UsageError"
    assert says in found["what"]
    assert found["do"]


@pytest.mark.parametrize("kind", ["stepping", "callbacks"])
def test_a_module_may_predict_by_its_own_step_and_a_trainer_keep_checkpoints(ask: Ask, folder: Path, kind: str) -> None:
    assert ask("predict", "lightning", kind)["score"] > 0.8
    assert not [*folder.rglob("*.ckpt")]


def test_with_manual_optimization_there_is_nothing_to_look_into(ask: Ask) -> None:
    assert ask("learner", "lightning", "manual") == {"learner": False}
