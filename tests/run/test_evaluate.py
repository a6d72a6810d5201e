"""`run.evaluate`: predictions of single examples on record, and the metrics that anybody can compute of them again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.naive_bayes import GaussianNB

import gitrepro
from gitrepro.analysis.recomputed import Examined, examine
from gitrepro.cli.page.evaluated import evaluated
from gitrepro.data.datasets import Wish, add_dataset
from gitrepro.errors import GitreproWarning, Sealed, UsageError
from gitrepro.records.evaluation import text_digest
from gitrepro.records.predictions import Predicted, load
from gitrepro.records.run import RunRecord
from gitrepro.records.split import SplitRecord
from gitrepro.store.fsck.named import verify_run
from gitrepro.store.place import store_of
from gitrepro.store.runs import RunTree
from gitrepro.sync.needs import needs
from tests.recorded_data import AT, add_split, write_table
from tests.recorded_runs import ADA, opened

INPUTS, LABELS = load_digits(return_X_y=True)
SCORES = GaussianNB(var_smoothing=0.05).fit(INPUTS[:1000], LABELS[:1000]).predict_proba(INPUTS[1000:1200])
TRUTH = LABELS[1000:1200]


@pytest.fixture
def here(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repo)
    return repo


def labelled(repo: Path) -> SplitRecord:
    """`digits@v1`, rows of which the labels are 0 and 1 in turn, and its split `default`."""
    path = write_table(repo.parent / "digits.npz")
    wish = Wish(path=path, source=str(path), name="digits", describe=False, label="y")
    add_dataset(opened(repo), wish, identity=ADA, at=AT)
    return add_split(repo)


def newest(repo: Path) -> RunRecord:
    with RunTree(opened(repo)) as tree:
        return tree.run(tree.run_ids()[-1])


def only(repo: Path) -> dict[str, Any]:
    [entry] = newest(repo).evaluations
    return dict(entry)


def kept(repo: Path, entry: dict[str, Any]) -> bytes:
    return store_of(opened(repo)).get(entry["predictions"])


def again(repo: Path, entry: dict[str, Any]) -> Examined:
    return examine(entry, kept(repo, entry), source="f")


# -- what is on record


def test_an_evaluation_is_on_record_and_comes_out_the_same_from_what_is_kept(here: Path) -> None:
    with gitrepro.record() as run:
        run.log({"loss": 0.5}, step=7)
        found = run.evaluate(SCORES, truth=TRUTH)

    record, entry = newest(here), only(here)
    assert found["accuracy"] == np.mean(SCORES.argmax(axis=1) == TRUTH)
    assert list(found) == ["accuracy", "balanced_accuracy", "log_loss", "calibration_error"]
    assert {name: record.summary[f"val/{name}"] for name in found} == found
    assert (
        record.metrics["val/log_loss"]["goal"] == "min" and record.metrics["val/accuracy"]["last"] == found["accuracy"]
    )
    assert (entry["name"], entry["part"], entry["step"], entry["split"]) == ("val", "val", 7, None)
    assert (entry["examples"], entry["distinct"], entry["expected"]) == (200, 200, None)
    assert entry["classes"] == list(range(10)) and entry["metrics"]["accuracy"]["function"] == "accuracy@1"
    assert {"predictions.val.parquet": entry["predictions"]} == {
        each["name"]: each["blob"] for each in record.artifacts
    }
    examined = again(here, entry)
    assert [each.agrees for each in examined.metrics] == [True] * 4 and examined.faults == ()


def test_of_a_split_that_is_open_the_ids_and_the_truth_are_looked_up(here: Path) -> None:
    split = labelled(here)
    with gitrepro.record() as run:
        part = run.split("val", dataset="digits")
        by_name = run.evaluate(np.zeros(len(part), dtype=int))
        assert by_name == run.evaluate(np.zeros(len(part), dtype=int), split=part, name="again")

    entry, _ = newest(here).evaluations
    assert entry["split"] == {"dataset": "digits", "digest": split.digest, "name": "default", "version": "v1"}
    assert entry["expected"] == entry["distinct"] == split.parts["val"]
    found = load(kept(here, dict(entry)), source="f")
    assert found.truth is not None and found.ids.tolist() == list(part.ids)
    assert found.truth.tolist() == [int(each) % 2 for each in part.ids]
    assert by_name["accuracy"] == np.mean(found.truth == 0)


def test_ids_may_come_in_any_order_and_scores_of_two_classes_as_one_number(here: Path) -> None:
    labelled(here)
    with gitrepro.record() as run:
        part = run.split("val", dataset="digits")
        ids = list(reversed(part.ids))
        right = np.array([float(int(each) % 2) for each in ids])
        assert run.evaluate(scores=right, ids=ids, metrics=["accuracy", "auc"]) == {"accuracy": 1.0, "auc": 1.0}


def test_the_predictions_are_what_the_run_needs_and_travel_with_it(here: Path) -> None:
    with gitrepro.record() as run:
        run.evaluate([1, 1, 0], truth=[1, 0, 0])
    assert only(here)["predictions"] in needs(opened(here), [newest(here).id]).roots


@gitrepro.metric("cost", goal="min")
def cost(truth: np.ndarray, found: np.ndarray) -> float:
    return float(np.abs(truth - found).sum())


def test_a_metric_of_the_program_is_kept_with_its_text_and_not_recomputed(here: Path) -> None:
    with gitrepro.record() as run:
        found = run.evaluate([1, 3], truth=[1, 1], metrics=["mae", cost])

    entry, record = only(here), newest(here)
    assert found == {"mae": 1.0, "cost": 2.0} and entry["metrics"]["cost"]["function"] == f"own:{__name__}.cost"
    text = next(each for each in record.artifacts if each["name"] == "metrics/cost.py")
    assert text["blob"] == entry["metrics"]["cost"]["digest"]
    assert b"np.abs(truth - found)" in store_of(opened(here)).get(text["blob"])
    assert [each.agrees for each in again(here, entry).metrics] == [None, True]


def test_the_checkpoint_of_the_same_step_is_named(here: Path) -> None:
    with gitrepro.record() as run:
        run.log({"loss": 1.0}, step=3)
        run.checkpoint(model={"w": np.zeros(3)})
        run.evaluate([1, 0], truth=[1, 0], step=3)
        run.evaluate([1, 0], truth=[1, 0], step=4, name="late")

    record = newest(here)
    assert [each["checkpoint"] for each in record.evaluations] == [record.checkpoints[0]["blob"], None]


def test_of_evaluations_of_one_name_the_best_and_the_last_stay(here: Path) -> None:
    with gitrepro.record() as run:
        for step, right in enumerate([1, 3, 4, 2, 3]):
            run.evaluate([0] * right + [1] * (4 - right), truth=[0] * 4, step=step)

    record = newest(here)
    assert [each["step"] for each in record.evaluations] == [2, 4]
    assert record.summary["val/accuracy"] == 0.75
    wanted = {each["predictions"] for each in record.evaluations}
    assert wanted <= {*needs(opened(here), [record.id]).roots}
    assert wanted <= {proof.digest for proof in verify_run(opened(here), store_of(opened(here)), record.id)}
    assert [name for name, _ in evaluated(record)] == ["val", "val"]
    assert "accuracy 1  " in evaluated(record)[0][1] and "of 4 examples, step 4" in evaluated(record)[1][1]
    assert all(all(each.agrees for each in again(here, dict(entry)).metrics) for entry in record.evaluations)


def test_what_was_evaluated_stands_over_what_was_logged_and_a_goal_keeps_the_best(here: Path) -> None:
    with gitrepro.record() as run:
        run.define_metric("val/accuracy", goal="max")
        run.log({"val/accuracy": 0.99}, step=0)
        run.evaluate([0, 0, 1, 1], truth=[0] * 4, step=1)
        run.evaluate([0, 1, 1, 1], truth=[0] * 4, step=2)

    assert newest(here).summary["val/accuracy"] == 0.5


def test_of_a_test_set_the_entry_of_its_log_is_named_and_its_absence_too(here: Path) -> None:
    labelled(here)
    with gitrepro.record() as run:
        found = run.open_test("the last number", dataset="digits")
        run.evaluate([0] * len(found), split="test")
    with gitrepro.record(guard="warn") as run:
        run.split("val", dataset="digits")
        with pytest.warns(GitreproWarning, match="without having been opened"):
            run.evaluate([0] * len(found), split="test")
    with RunTree(opened(here)) as tree:
        first, second = (tree.run(each) for each in tree.run_ids())

    assert first.evaluations[0]["opening"] == found.opening is not None
    assert second.evaluations[0]["opening"] is None
    with gitrepro.record(guard="strict") as run, pytest.raises(Sealed):
        run.split("val", dataset="digits")
        run.evaluate([0] * len(found), split="test")


# -- in whatever form they come


def test_tensors_lists_of_batches_and_tables_are_one(here: Path) -> None:
    torch = pytest.importorskip("torch")
    table = pa.table({"id": list("abc"), "truth": ["x", "y", "x"], "prediction": ["x", "x", "x"]})
    scored = {"id": list("abc"), "truth": [0, 1, 0], "score/0": [0.9, 0.8, 0.7], "score/1": [0.1, 0.2, 0.3]}
    logits = torch.tensor([[2.0, 0.0], [1.0, 0.5], [3.0, 0.0]], dtype=torch.bfloat16, requires_grad=True)
    with gitrepro.record() as run:
        every = [
            run.evaluate(table, metrics="accuracy"),
            run.evaluate(table.to_pandas(), metrics="accuracy") if _has_pandas() else {"accuracy": 2 / 3},
            run.evaluate(scored, metrics="accuracy"),
            run.evaluate(logits, truth=torch.tensor([0, 1, 0]), metrics="accuracy"),
            run.evaluate([logits[:2], logits[2:]], truth=[torch.tensor(0)] * 1 + [torch.tensor(1), torch.tensor(0)],
                         metrics="accuracy"),
            run.evaluate(logits, truth=["cat", "dog", "cat"], classes=["cat", "dog"], metrics="accuracy"),
            run.evaluate(logits, truth=[0, 1, 0], classes=["cat", "dog"], metrics="accuracy"),
            run.evaluate([0, 0, 0], scores=logits, truth=[0.0, 1.0, 0.0], metrics="accuracy"),
        ]  # fmt: skip
    assert every == [{"accuracy": 2 / 3}] * len(every)


def _has_pandas() -> bool:
    try:
        import pandas  # noqa: F401
    except ImportError:
        return False
    return True


def test_a_decision_stands_over_the_greatest_score(here: Path) -> None:
    inputs, truth = load_breast_cancer(return_X_y=True)
    scores = GaussianNB().fit(inputs[:300, :4], truth[:300]).predict_proba(inputs[300:, :4])[:, 1]
    decided = (scores > 0.9).astype(int)
    with gitrepro.record() as run:
        found = run.evaluate(decided, scores=scores, truth=truth[300:], metrics=["accuracy", "auc"])

    assert found["accuracy"] == np.mean(decided == truth[300:]) != np.mean((scores > 0.5) == truth[300:])
    assert [each.agrees for each in again(here, only(here)).metrics] == [True, True]


def test_counts_need_no_truth(here: Path) -> None:
    with gitrepro.record() as run:
        found = run.evaluate([[7.0, 7.0], [3.0, 3.0]], metrics="perplexity")
        assert found == {"perplexity": pytest.approx(np.e)}
        assert run.evaluate(np.ones((2, 3, 2)), metrics=["mean_iou"], name="seg") == {"mean_iou": 1.0}
    assert all(all(each.agrees for each in again(here, dict(entry)).metrics) for entry in newest(here).evaluations)


def test_without_a_recording_the_metrics_are_computed_all_the_same(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITREPRO_MODE", "disabled")
    with gitrepro.record() as run:
        assert run.evaluate([1, 0], truth=[1, 1], metrics="accuracy") == {"accuracy": 0.5}


def test_a_run_ends_well_where_the_predictions_cannot_be_kept(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gitrepro.record() as run:
        store = here / ".git" / "gitrepro" / "store"
        store.parent.mkdir(parents=True, exist_ok=True)
        store.write_text("no folder")
        with pytest.warns(GitreproWarning, match="is not kept"):
            assert run.evaluate([1, 0], truth=[1, 1], metrics="accuracy") == {"accuracy": 0.5}
        store.unlink()
    record = newest(here)
    assert record.evaluations == () and any("predictions.val" in each["what"] for each in record.losses)


def test_evaluations_beyond_the_room_of_a_record_are_told(here: Path) -> None:
    from gitrepro.run.evaluated import ENTRIES_AT_MOST, evaluations

    entry = {"name": "", "metrics": {"m": {"value": 1.0, "goal": "max"}}, "step": 0}
    losses: list[dict[str, Any]] = []
    events = [{"op": "evaluated", "entry": {**entry, "name": f"e{k}"}} for k in range(ENTRIES_AT_MOST + 5)]
    found = evaluations(events, (), losses)
    assert [each["name"] for each in found] == [f"e{k}" for k in range(5, ENTRIES_AT_MOST + 5)]
    assert losses[0]["what"] == "5 evaluations more"


# -- doubts


def test_padded_and_missing_examples_are_noticed(here: Path) -> None:
    labelled(here)
    with gitrepro.record() as run:
        part = run.split("val", dataset="digits")
        ids = [*part.ids][:-2]
        padded = [*ids, ids[0]]
        with pytest.warns(GitreproWarning) as told:
            run.evaluate([0] * len(padded), ids=padded)
    entry = only(here)
    assert entry["examples"] - 1 == entry["distinct"] == entry["expected"] - 2
    words = " ".join(str(each.message) for each in told)
    assert "1 of the" in words and "2 of the" in words and "DistributedSampler" in words


def test_predictions_that_are_missing_make_no_number(here: Path) -> None:
    with gitrepro.record() as run, pytest.warns(GitreproWarning, match="1 of the 2 predictions of val are NaN"):
        found = run.evaluate([0.5, float("nan")], truth=[0.4, 0.6])
    assert all(np.isnan(value) for value in found.values())
    assert all(each.agrees for each in again(here, only(here)).metrics)


def test_truth_of_one_class_is_told_of(here: Path) -> None:
    with gitrepro.record() as run, pytest.warns(GitreproWarning, match="auc of val is not defined"):
        run.evaluate(scores=[0.2, 0.3], truth=[1, 1], classes=[0, 1], metrics=["auc", "accuracy"])


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "no predictions"),
    "an empty list": ({"predictions": []}, "no predictions"),
    "no truth": ({"predictions": [1, 2]}, "truth of part val is not known"),
    "lengths": ({"predictions": [1, 2], "truth": [1]}, "2 predictions and 1 truth"),
    "ids too few": ({"predictions": [1, 2], "truth": [1, 2], "ids": ["a"]}, "2 predictions and 1 ids"),
    "two truths": ({"predictions": [1, 2], "truth": [1, 2], "ids": ["a", "a"]}, "'a' has two truths: 1 and 2"),
    "missing truth": ({"predictions": [1.0, 2.0], "truth": [1.0, None]}, "truth of 1 examples is missing"),
    "missing label": ({"predictions": ["a", "b"], "truth": ["a", None]}, "1 are missing"),
    "text and numbers": ({"predictions": [1, 2], "truth": ["1", "2"]}, "truth is text"),
    "ragged": ({"predictions": [[1, 2], [3]], "truth": [1, 2]}, "cannot be made an array|several kinds"),
    "times": ({"predictions": np.array(["2020"], "M8[D]"), "truth": [1]}, "datetime64"),
    "a scalar": ({"predictions": 3, "truth": [1]}, "the predictions is 3"),
    "too many columns": ({"predictions": [[0.1, 0.2, 0.7]], "truth": [1], "classes": [0, 1]}, "3 columns"),
    "unknown columns": ({"predictions": [[0.1, 0.9]] * 3, "truth": [1, 5, 9]}, "what the columns stand for"),
    "a truth that is no class": ({"predictions": [[0.1, 0.9]], "truth": [7], "classes": [0, 1]}, "no class"),
    "a class twice": ({"predictions": [[0.1, 0.9]], "truth": [0], "classes": [0, 0]}, "each class once"),
    "logits": ({"predictions": [[9.0, -9.0]], "truth": [0], "classes": [0, 1], "metrics": "log_loss"}, "softmax"),
    "probabilities": ({"predictions": [0.3, 0.6], "truth": [0, 1]}, "scores="),
    "scores of labels": ({"predictions": [1, 0], "truth": [1, 0], "metrics": "auc"}, "give scores="),
    "numbers for labels": ({"predictions": [1.5, 0.2], "truth": [1, 0], "metrics": "f1"}, "are numbers"),
    "labels for numbers": ({"predictions": ["a"], "truth": ["b"], "metrics": "mae"}, "it is of numbers"),
    "one number of logits": ({"scores": [3.0, -2.0], "truth": [1, 0]}, "sigmoid"),
    "no such part": ({"predictions": [1], "truth": [1], "split": "../val"}, "cannot name a part"),
    "a part that is none": ({"predictions": [1], "truth": [1], "split": 3}, "split= is 3"),
    "no such name": ({"predictions": [1], "truth": [1], "name": "a/b"}, "cannot name an evaluation"),
    "no such metric": ({"predictions": [1], "truth": [1], "metrics": ["acc"]}, "no metric 'acc'"),
    "a metric that fails": ({"predictions": [1], "truth": [1], "metrics": {"error": lambda t, p: 1 / 0}}, "Division"),
    "a metric that is none": ({"predictions": [1], "truth": [1], "metrics": {"error": lambda t, p: "x"}}, "failed"),
    "a table without predictions": ({"predictions": {"id": ["a"], "truth": [1]}}, "has no predictions"),
    "ids twice given": ({"predictions": {"id": ["a"], "prediction": [1]}, "ids": ["a"]}, "column of the table"),
    "counts of another shape": ({"predictions": [[1.0, 2.0, 3.0]], "metrics": "perplexity"}, "nats and tokens"),
    "no counts": ({"predictions": [1.0], "metrics": "mean_iou"}, "shape"),
    "a step": ({"predictions": [1], "truth": [1], "step": "last"}, "not an integer"),
}  # fmt: skip


@pytest.fixture(scope="module")
def unrecorded() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITREPRO_MODE", "disabled")
        with gitrepro.record() as run:
            yield run


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_told(what: str, unrecorded: Any) -> None:
    given, told = WRONG[what]
    with pytest.raises(UsageError, match=told):
        unrecorded.evaluate(**given)


def test_ids_of_another_part_and_too_few_predictions_are_told(here: Path) -> None:
    labelled(here)
    with gitrepro.record() as run:
        part = run.split("val", dataset="digits")
        foreign = run.split("train", dataset="digits").ids[0]
        with pytest.raises(UsageError, match="1 of the ids are not in the part"):
            run.evaluate([0], ids=[foreign])
        with pytest.raises(UsageError, match=f"2 predictions, and part val has {len(part)}"):
            run.evaluate([0, 1])
    assert newest(here).evaluations == ()


# -- other processes, and earlier releases


def test_of_several_ranks_the_first_one_evaluates_and_the_others_are_told(repo: Path) -> None:
    code = "with gitrepro.record() as run:\n    run.evaluate([1, 0, 1], truth=[1, 1, 1])\n"
    (repo.parent / "rank.py").write_text(f"import gitrepro\n{code}")
    children = [
        subprocess.Popen(
            [sys.executable, str(repo.parent / "rank.py")], cwd=repo, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2",
                 "SLURM_PROCID": str(rank)},
        )
        for rank in (0, 1)
    ]  # fmt: skip
    told = [child.communicate(timeout=120)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0], told
    assert "gather the predictions" in told[1] and "gather" not in told[0]
    assert only(repo)["metrics"]["accuracy"]["value"] == pytest.approx(2 / 3)


def test_predictions_of_the_last_release_are_still_read() -> None:
    from gitrepro.records.predictions import dump_predictions

    found = load(dump_predictions(np.array(["a", "b"]), np.array([[0.1, 0.9], [0.6, 0.4]])), source="f")
    assert isinstance(found, Predicted) and found.truth is None and found.values.shape == (2, 2)


def test_the_text_of_a_metric_is_what_its_digest_names() -> None:
    assert cost.digest == text_digest(cost.source or "") and cost([1], [3]) == 2.0  # type: ignore[arg-type]
