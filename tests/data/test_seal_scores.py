"""Predictions are committed before they are scored; the log says what was told, and the budget holds."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss

import gitrepro
from gitrepro.data.sealing.checking import check, differences
from gitrepro.data.sealing.judging import bench
from gitrepro.data.sealing.keys import recipients
from gitrepro.data.sealing.predicting import of_run, unscored
from gitrepro.data.sealing.scoring import reveal, spent
from gitrepro.data.sealing.seals import hand_on
from gitrepro.errors import Ambiguous, Damaged, GitreproWarning, NotFound, Refused, UsageError, WrongKey
from gitrepro.records.predictions import load
from gitrepro.store.fold import Pending, enqueue, fold
from gitrepro.store.place import store_of
from gitrepro.store.runs import RunTree
from gitrepro.sync.holdouts import holdout_loads
from gitrepro.sync.remotes import StoreRemote
from gitrepro.sync.travel import deliver
from tests.conftest import Cli, Git
from tests.data.sealed_set import ADAS, AT, BOBS, NAMES, SealedSet, flowers
from tests.recorded_runs import ADA, opened


@pytest.fixture
def test_set(tmp_path: Path) -> SealedSet:
    return flowers(tmp_path)


# -- predictions


def test_predictions_are_on_record_in_the_order_of_the_part_and_say_no_truth(test_set: SealedSet) -> None:
    test_set.seal()
    backwards = replace(test_set, ids=test_set.ids[::-1])

    done = backwards.commit(test_set.wrong(3)[::-1], truth=test_set.truth[::-1])

    found = load(store_of(test_set.repository).get(done.entry.detail["predictions"]), source="it")
    assert (found.ids.tolist(), found.values.tolist(), found.truth) == (
        test_set.ids, test_set.wrong(3).tolist(), None,
    )  # fmt: skip
    assert done.new and unscored(test_set.entries) == [done.entry]


def test_the_very_same_predictions_wait_only_once(test_set: SealedSet) -> None:
    test_set.seal()
    first, again = test_set.commit(test_set.wrong(3)), test_set.commit(test_set.wrong(3))

    assert (again.new, again.entry) == (False, first.entry)


def test_predictions_of_other_examples_are_refused_and_name_them(test_set: SealedSet) -> None:
    test_set.seal()
    ids, values = test_set.ids, test_set.wrong(0)
    scores = np.eye(3)[np.zeros(len(ids), int)]
    scores[2, 1] = np.nan

    for wrong, given, said in (
        (replace(test_set, ids=[*ids[:-1], "9999"]), values, "predicts 1 id .'9999'"),
        (replace(test_set, ids=[*ids[:-1], ids[0]]), values, "repeats 1 id"),
        (replace(test_set, ids=ids[1:]), values[1:], f"no prediction for 1 id .'{ids[0]}'"),
        (test_set, np.where(np.arange(len(ids)) == 5, np.nan, 1.0), f"no prediction for 1 id .'{ids[5]}'"),
        (test_set, scores, f"no prediction for 1 id .'{ids[2]}'"),
    ):
        with pytest.raises(UsageError, match=said):
            wrong.commit(given)
    assert unscored(test_set.entries) == []


def test_predictions_that_the_metric_cannot_take_are_refused_before_they_are_committed(test_set: SealedSet) -> None:
    test_set.seal(labels=dict.fromkeys(test_set.ids, "1"), metrics=("rmse", "accuracy"))

    with pytest.raises(UsageError, match="rmse is of numbers"):
        test_set.commit(test_set.wrong(0))
    test_set.seal(metrics=("log_loss",), anew=True, reason="other terms")
    logits = np.full((len(test_set.ids), 3), 2.0)
    with pytest.raises(UsageError, match="which class each column"):
        test_set.commit(logits)
    with pytest.raises(UsageError, match="do not add up to 1"):
        test_set.commit(logits, classes=("a", "b", "c"))


def test_only_of_a_sealed_part_are_predictions_taken(test_set: SealedSet) -> None:
    with pytest.raises(NotFound, match="is not sealed"):
        test_set.commit(test_set.wrong(0))
    with pytest.raises(NotFound, match="is not sealed"):
        test_set.score()


def test_a_run_hands_over_what_it_evaluated_or_what_it_kept(
    test_set: SealedSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_set.seal()
    monkeypatch.chdir(test_set.root)
    values = test_set.wrong(3)
    with gitrepro.record(seed=0) as without:
        without.log({"val/loss": 0.5})
    with gitrepro.record(seed=0) as kept:
        kept.artifact(pa.table({"id": test_set.ids, "prediction": values}), "predictions.test.parquet")
    with gitrepro.record(seed=0) as evaluated:
        evaluated.dataset("flowers").split("default")
        with pytest.warns(GitreproWarning, match="without having been opened"):
            evaluated.evaluate(values, split="test", ids=test_set.ids)

    with RunTree(test_set.repository) as tree:
        records = {run.id: tree.run(run.id) for run in (without, kept, evaluated)}
    for run in (kept, evaluated):
        found = of_run(test_set.repository, records[run.id], test_set.holdout)
        assert dict(zip(found.ids.tolist(), found.values.tolist(), strict=True)) == dict(
            zip(test_set.ids, values.tolist(), strict=True)
        )
        assert found.truth is None
    with pytest.raises(NotFound, match="no predictions of test"):
        of_run(test_set.repository, records[without.id], test_set.holdout)


# -- scores


def test_the_first_score_is_told_and_is_what_scikit_learn_says(test_set: SealedSet) -> None:
    test_set.seal(metrics=("accuracy", "balanced_accuracy"))
    test_set.commit(test_set.wrong(7))

    done = test_set.score()

    assert done.told["accuracy"] == pytest.approx(1 - 7 / len(test_set.ids))
    assert done.told["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(test_set.truth, test_set.wrong(7)))
    assert (done.number, done.budget, done.improved) == (1, 5, True)
    told = done.entry.detail["metrics"]["accuracy"]
    assert (told["function"], told["value"]) == ("accuracy@1", done.told["accuracy"])


def test_a_score_that_is_no_better_is_not_told_to_anybody_without_a_key(test_set: SealedSet) -> None:
    test_set.seal()
    test_set.commit(test_set.wrong(7))
    first = test_set.score()
    test_set.commit(test_set.wrong(6))

    done = test_set.score()

    assert (done.told, done.improved, done.best) == ({}, False, first.entry.detail["predict"])
    assert done.entry.detail["metrics"]["accuracy"]["value"] is None
    hidden = reveal(test_set.repository, test_set.holdout, done.entry.id, ADAS.private)
    assert hidden["metrics"]["accuracy"] == pytest.approx(1 - 6 / len(test_set.ids))
    with pytest.raises(WrongKey):
        reveal(test_set.repository, test_set.holdout, done.entry.id, BOBS.private)


def test_a_score_that_is_better_by_more_than_luck_is_told(test_set: SealedSet) -> None:
    test_set.seal()
    for count in (20, 19, 2):
        test_set.commit(test_set.wrong(count))
        done = test_set.score()

    assert (done.improved, done.number) == (True, 3)
    assert done.told["accuracy"] == pytest.approx(1 - 2 / len(test_set.ids))


def test_full_feedback_is_given_with_a_reason_and_none_tells_nothing(test_set: SealedSet) -> None:
    test_set.seal(feedback="none")
    test_set.commit(test_set.wrong(7))
    assert test_set.score().told == {}
    test_set.commit(test_set.wrong(8))
    with pytest.raises(UsageError, match="full needs a reason"):
        test_set.score(feedback="full")

    done = test_set.score(feedback="full", reason="camera ready")

    assert done.told["accuracy"] == pytest.approx(1 - 8 / len(test_set.ids))
    assert (done.entry.reason, done.entry.detail["feedback"]) == ("camera ready", "full")


def test_probabilities_are_scored_by_the_names_of_their_columns(test_set: SealedSet) -> None:
    test_set.seal(metrics=("log_loss", "accuracy"))
    order = ["virginica", "setosa", "versicolor"]
    scores = np.where(test_set.truth[:, None] == np.array(order), 0.8, 0.1)

    test_set.commit(scores, classes=tuple(order))
    done = test_set.score()

    wanted = log_loss(test_set.truth, scores[:, [1, 2, 0]], labels=NAMES.tolist())
    assert done.told == {"accuracy": 1.0, "log_loss": pytest.approx(wanted)}


def test_numbers_are_compared_with_numbers(test_set: SealedSet) -> None:
    lengths = {each: str(float(at) / 2) for at, each in enumerate(test_set.ids)}
    test_set.seal(labels=lengths, metrics=("rmse", "r2"))

    test_set.commit(np.arange(len(test_set.ids)) / 2 + 0.25)

    assert test_set.score().told["rmse"] == pytest.approx(0.25)


def test_labels_that_are_numbers_meet_predictions_that_are(test_set: SealedSet) -> None:
    test_set.seal(labels={each: str(at % 3) for at, each in enumerate(test_set.ids)})

    test_set.commit((np.arange(len(test_set.ids)) % 3).astype(np.float32))

    assert test_set.score().told == {"accuracy": 1.0}


# -- the budget


def test_a_budget_that_is_used_up_refuses_and_a_reason_raises_it(test_set: SealedSet) -> None:
    test_set.seal(budget=1)
    test_set.commit(test_set.wrong(7))
    test_set.score()
    test_set.commit(test_set.wrong(2))
    with pytest.raises(Refused, match="scored 1 times, and its budget is 1"):
        test_set.score()
    with pytest.raises(UsageError, match="needs a reason"):
        test_set.score(budget=2)

    done = test_set.score(budget=2, reason="a reviewer asked")

    assert (done.number, done.budget) == (2, 2)
    ops = [(each.op, each.reason) for each in test_set.entries]
    assert ("budget", "a reviewer asked") in ops
    assert spent(test_set.entries) == 2


def test_a_seal_that_is_handed_on_does_not_begin_the_count_anew(test_set: SealedSet) -> None:
    old = test_set.seal(budget=1)
    test_set.commit(test_set.wrong(7))
    test_set.score()

    hand_on(test_set.repository, old, recipients([BOBS.public]), ADAS.private, identity=ADA, at=AT)
    test_set.commit(test_set.wrong(2))

    with pytest.raises(Refused):
        test_set.score(BOBS)


def test_a_wrong_key_scores_nothing_and_writes_nothing(test_set: SealedSet) -> None:
    test_set.seal()
    test_set.commit(test_set.wrong(7))
    before = test_set.entries

    with pytest.raises(WrongKey):
        test_set.score(BOBS, budget=9, reason="more")

    assert test_set.entries == before


def test_of_several_predictions_one_has_to_be_named(test_set: SealedSet) -> None:
    test_set.seal()
    first, _ = test_set.commit(test_set.wrong(7)), test_set.commit(test_set.wrong(2))
    with pytest.raises(Ambiguous, match="2 predictions that wait"):
        test_set.score()

    done = test_set.score(predict=first.entry.id[-6:])

    assert done.told["accuracy"] == pytest.approx(1 - 7 / len(test_set.ids))
    with pytest.raises(NotFound):
        test_set.score(predict="nosuch")


def test_predictions_that_are_not_those_of_the_entry_are_damaged(test_set: SealedSet) -> None:
    test_set.seal()
    done = test_set.commit(test_set.wrong(7))
    store = store_of(test_set.repository)
    path = store.path(done.entry.detail["predictions"])
    if not path.is_file():
        pytest.skip("small blobs lie in packs; tests/store damages those")
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"x")

    with pytest.raises(Damaged):
        test_set.score()


# -- again


def test_scores_come_to_the_same_again_and_one_that_was_made_up_does_not(test_set: SealedSet) -> None:
    test_set.seal(metrics=("accuracy", "f1"))
    for count in (20, 19, 2):
        test_set.commit(test_set.wrong(count))
        done = test_set.score()
    on = bench(test_set.repository, done.seal, test_set.entries, ADAS.private)

    assert [each.why + each.skipped for each in check(test_set.repository, test_set.holdout, ADAS.private)] == [""] * 3
    metrics = done.entry.detail["metrics"]
    forged = [
        {"metrics": {**metrics, "accuracy": {**metrics["accuracy"], "value": 0.99}}},
        {"metrics": {"accuracy": metrics["accuracy"]}},
        {"best": test_set.entries[1].id},
        {"improved": False},
        {"feedback": "none"},
        {"feedback": "more"},
        {"predict": test_set.entries[1].id},
        {"predict": "nobody"},
        {"predictions": "b3:" + "0" * 64},
    ]
    for change in forged:
        entry = replace(done.entry, detail={**done.entry.detail, **change})
        assert list(differences(on, entry)), change


# -- elsewhere


def test_who_has_the_key_scores_in_a_clone_of_his_own(test_set: SealedSet, tmp_path: Path, git: Git) -> None:
    test_set.seal()
    test_set.commit(test_set.wrong(7))
    lab = StoreRemote(name="lab", url=str(tmp_path / "lab"))
    sent = [deliver(test_set.repository, load) for _ in range(2) for load in holdout_loads(test_set.repository, lab)]
    git(tmp_path, "clone", "--quiet", str(test_set.root), "other")
    git(tmp_path / "other", "fetch", "--quiet", "origin", "refs/gitrepro/*:refs/gitrepro/*")
    git(tmp_path / "other", "config", "gitrepro-remote.lab.url", lab.url)

    there = replace(test_set, repository=opened(tmp_path / "other"))

    assert [each.blobs for each in sent] == [3, 0]
    assert there.score().told["accuracy"] == pytest.approx(1 - 7 / len(test_set.ids))


def test_two_scores_that_were_written_apart_both_count(test_set: SealedSet, tmp_path: Path) -> None:
    test_set.seal(budget=2)
    first, second = test_set.commit(test_set.wrong(20)), test_set.commit(test_set.wrong(2))
    other = replace(test_set, repository=opened(Path(shutil.copytree(test_set.root, tmp_path / "other"))))
    test_set.score(predict=first.entry.id)
    theirs = other.score(predict=second.entry.id).entry

    files = {theirs.path: theirs.dump().decode()}
    enqueue(test_set.repository, Pending(kind="holdout", subject=theirs.id, line="theirs", files=files))
    fold(test_set.repository, identity=ADA)

    assert spent(test_set.entries) == 2
    checked = check(test_set.repository, test_set.holdout, ADAS.private)
    assert ["written apart" in each.skipped for each in checked] == [True, True]
    test_set.commit(test_set.wrong(1))
    with pytest.raises(Refused, match="scored 2 times"):
        test_set.score()


# -- the commands


def test_seal_predict_and_score_by_the_command_line(test_set: SealedSet, tmp_path: Path, cli: Cli) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\n" + "".join(f"{each},kind-{at % 3}\n" for at, each in enumerate(test_set.ids)))
    predictions = tmp_path / "predictions.csv"
    predictions.write_text("id,prediction\n" + "".join(f"{each},kind-0\n" for each in test_set.ids))
    key = tmp_path / "key.txt"
    key.write_text(f"# created: now\n{ADAS.identity}\n")

    sealed = cli("holdout", "seal", "flowers/default", "--to", ADAS.public, "--labels", str(labels), cwd=test_set.root)
    committed = cli("holdout", "predict", str(predictions), cwd=test_set.root)
    foreign = cli("holdout", "score", cwd=test_set.root, env={"GITREPRO_IDENTITY": str(BOBS.identity)})
    scored = cli("holdout", "score", "--identity", str(key), "--json", cwd=test_set.root)

    assert (sealed.returncode, committed.returncode) == (0, 0), sealed.stderr + committed.stderr
    assert "nowhere else in this repository" in sealed.stderr
    assert foreign.returncode == 2 and "no key here opens" in foreign.stderr
    assert str(BOBS.identity) not in foreign.stderr
    told = json.loads(scored.stdout)["entry"]["detail"]["metrics"]["accuracy"]["value"]
    assert told == pytest.approx(np.mean(np.arange(len(test_set.ids)) % 3 == 0))
