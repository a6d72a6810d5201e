"""What stands on both sides of the split: ids, groups, times, and what was fitted on more than train."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from gitrepro.checks.distribution import overlaps
from gitrepro.checks.task import Data, Predictions
from gitrepro.errors import UsageError
from gitrepro.records.result import Verdict
from tests.checks.distribution_tasks import ERROR, Scaled, checked, part_of, split, with_val

WINE, CANCER, DIGITS, DIABETES = load_wine(), load_breast_cancer(), load_digits(), load_diabetes()


def wine(**more: Any) -> Data:
    return split(part_of(WINE.data, WINE.target, **more))


# -- ids


def test_each_id_in_one_part_passes() -> None:
    assert checked(Scaled(wine()), "separation.ids").verdict is Verdict.PASS


def test_an_id_in_two_parts_fails_and_is_shown() -> None:
    data = wine()
    ids = data.parts["val"].ids.copy()
    ids[:3] = data.train.ids[:3]

    line = checked(Scaled(with_val(data, ids=ids)), "separation.ids")

    assert line.verdict is Verdict.FAIL
    assert {each.ids[0] for each in line.examples} == set(data.train.ids[:3])


def test_with_an_id_in_two_parts_all_else_is_still_looked_at() -> None:
    data = wine()
    ids = data.parts["val"].ids.copy()
    ids[0] = data.train.ids[0]
    task = Scaled(with_val(data, ids=ids))

    assert checked(task, "distribution.schema").verdict is Verdict.PASS
    assert checked(task, "separation.fitted", influence=True).verdict is Verdict.PASS


def test_an_id_twice_in_a_part_is_a_warning() -> None:
    data = wine()
    ids = data.train.ids.copy()
    ids[1] = ids[0]

    line = checked(Scaled(data.with_parts(train=replace(data.train, ids=ids))), "separation.ids")

    assert line.verdict is Verdict.WARN


def test_what_is_no_data_is_an_error() -> None:
    class Empty(Scaled):
        def data(self) -> Any:
            return {"train": WINE.data}

    with pytest.raises(UsageError, match="gave a dict"):
        checked(Empty(wine()), "separation.ids")


def test_data_without_the_scored_part_are_an_error() -> None:
    with pytest.raises(UsageError, match="no part 'test'"):
        checked(Scaled(replace(wine(), scored="test")), "separation.ids")


# -- groups


def patients() -> np.ndarray:
    return np.array([f"patient {k // 4}" for k in range(len(WINE.target))])


def test_groups_that_are_whole_pass() -> None:
    whole = part_of(WINE.data, WINE.target, groups=patients())
    data = Data(parts={"train": whole.take(np.arange(120)), "val": whole.take(np.arange(120, len(whole)))})

    assert checked(Scaled(data), "separation.groups").verdict is Verdict.PASS


def test_a_patient_on_both_sides_fails_and_is_shown() -> None:
    line = checked(Scaled(wine(groups=patients())), "separation.groups")

    assert line.verdict is Verdict.FAIL
    assert line.examples[0].parts == ("train", "val")
    places = [int(each[1:]) // 4 for each in line.examples[0].ids]
    assert places[0] == places[1]


def test_groups_of_other_parts_only_are_a_warning() -> None:
    whole = part_of(WINE.data, WINE.target, groups=patients())
    cuts = {"train": np.arange(100), "val": np.arange(100, 130), "test": np.arange(130, len(whole))}
    data = Data(parts={name: whole.take(at) for name, at in cuts.items()})

    assert checked(Scaled(data), "separation.groups").verdict is Verdict.WARN


def test_examples_without_a_group_belong_to_none() -> None:
    groups = np.array([None] * len(WINE.target), dtype=object)
    groups[::9] = [f"g{k}" for k in range(len(groups[::9]))]

    assert checked(Scaled(wine(groups=groups)), "separation.groups").verdict is Verdict.PASS


def test_without_groups_there_is_nothing_to_say_of_them() -> None:
    assert checked(Scaled(wine()), "separation.groups").verdict is Verdict.NOT_APPLICABLE


def test_groups_of_train_alone_are_not_enough() -> None:
    data = wine(groups=patients())

    assert checked(Scaled(with_val(data, groups=None)), "separation.groups").verdict is Verdict.INCONCLUSIVE


# -- times


def timed(cut: int, *, iid: bool = False) -> Data:
    """Train up to the example at `cut`, the scored part from 120 on."""
    whole = part_of(WINE.data, WINE.target, times=np.arange(len(WINE.target), dtype=np.float64))
    train = np.arange(120) if cut == 120 else np.r_[0:110, cut - 10 : cut]
    return Data(parts={"train": whole.take(train), "val": whole.take(np.arange(120, 165))}, iid=iid)


def test_all_of_train_before_the_scored_part_passes() -> None:
    assert checked(Scaled(timed(120)), "separation.times").verdict is Verdict.PASS


def test_later_examples_in_train_fail_and_are_shown() -> None:
    line = checked(Scaled(timed(178)), "separation.times")

    assert line.verdict is Verdict.FAIL
    assert line.observed["late"] == 10
    assert line.examples[0].ids == ("i177", "i120")


def test_times_that_are_mixed_in_parts_of_one_source_are_a_warning() -> None:
    assert checked(Scaled(timed(178, iid=True)), "separation.times").verdict is Verdict.WARN


def test_missing_times_leave_it_open() -> None:
    data = timed(120)
    times = data.train.times.copy()  # type: ignore[union-attr]
    times[4] = np.nan

    broken = data.with_parts(train=replace(data.train, times=times))

    assert checked(Scaled(broken), "separation.times").verdict is Verdict.INCONCLUSIVE


def test_no_times_in_the_data_do_not_apply() -> None:
    assert checked(Scaled(wine()), "separation.times").verdict is Verdict.NOT_APPLICABLE


def test_times_that_are_all_missing_do_not_crash() -> None:
    data = timed(120)
    none = np.full(len(data.parts["val"]), np.nan)

    assert (
        overlaps.judge_times(overlaps.look_at_times(with_val(data, times=none))[0], {}).verdict is Verdict.INCONCLUSIVE
    )


# -- what was fitted, told by the task


class Telling(Scaled):
    """Tells the mean and deviation of the parts that it says it has fitted its scaler on."""

    on: tuple[str, ...] = ("train",)

    def fitted(self, data: Data) -> dict[str, Any]:
        scaler = StandardScaler().fit(np.concatenate([data.parts[name].inputs for name in self.on]))
        return {"mean": scaler.mean_, "scale": scaler.scale_}


@pytest.mark.parametrize("source", [WINE, CANCER, DIGITS])
def test_a_scaler_of_train_is_known_by_its_numbers(source: Any) -> None:
    line = checked(Telling(split(part_of(source.data, source.target))), "separation.fitted")

    assert line.verdict is Verdict.PASS


@pytest.mark.parametrize("on", [("train", "val"), ("val",)])
@pytest.mark.parametrize("source", [WINE, CANCER, DIGITS])
def test_a_scaler_of_more_than_train_is_known_by_its_numbers(source: Any, on: tuple[str, ...]) -> None:
    task = Telling(split(part_of(source.data, source.target)))
    task.on = on

    line = checked(task, "separation.fitted")

    assert line.verdict is Verdict.FAIL
    assert f"that of {'+'.join(on)}" in line.why


def test_a_deviation_divided_by_one_less_is_known_too() -> None:
    class Unbiased(Scaled):
        def fitted(self, data: Data) -> dict[str, Any]:
            rows = torch.tensor(data.train.inputs)
            return {"mean": rows.mean(dim=0), "std": rows.std(dim=0), "var": rows.var(dim=0)}

    assert checked(Unbiased(wine()), "separation.fitted").verdict is Verdict.PASS


def test_means_of_the_channels_of_images_are_known() -> None:
    images = np.random.default_rng(0).integers(256, size=(120, 3, 6, 6)).astype(np.uint8)

    class Channels(Scaled):
        def fitted(self, data: Data) -> dict[str, Any]:
            return {"mean": self.rows(data).mean(axis=(0, 2, 3)), "std": self.rows(data).std(axis=(0, 2, 3))}

        def rows(self, data: Data) -> np.ndarray:
            return np.asarray(data.train.inputs)

    class OfAll(Channels):
        def rows(self, data: Data) -> np.ndarray:
            return np.concatenate([part.inputs for part in data.parts.values()])

    data = split(part_of(images, np.arange(120) % 2))
    assert checked(Channels(data), "separation.fitted").verdict is Verdict.PASS
    assert checked(OfAll(data), "separation.fitted").verdict is Verdict.FAIL


def test_numbers_told_with_the_predictions_are_looked_at_too() -> None:
    data = wine()
    mean = np.concatenate([part.inputs for part in data.parts.values()]).mean(axis=0)
    extra = {f"fitted/mean/{k}": float(each) for k, each in enumerate(mean)}
    values = np.zeros(len(data.judged), dtype=int)

    line = checked(
        Scaled(data), "separation.fitted", predictions=Predictions(ids=data.judged.ids, values=values, extra=extra)
    )

    assert line.verdict is Verdict.FAIL


def test_numbers_that_fit_nothing_leave_it_open() -> None:
    class Odd(Scaled):
        def fitted(self, data: Data) -> dict[str, Any]:
            return {"mean": np.full(13, 5.0)}

    assert checked(Odd(wine()), "separation.fitted").verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("told", [[1, 2], {"centre": [1.0]}, {"mean": ["a"]}])
def test_what_cannot_be_read_as_parameters_is_named(told: Any) -> None:
    class Wrong(Scaled):
        def fitted(self, data: Data) -> Any:
            return told

    line = checked(Wrong(wine()), "separation.fitted")

    assert line.verdict is Verdict.INCONCLUSIVE
    assert "fitted()" in line.why


def test_a_task_that_tells_nothing_and_is_not_run_leaves_nothing_to_say() -> None:
    line = checked(Scaled(wine()), "separation.fitted")

    assert line.verdict is Verdict.NOT_APPLICABLE
    assert "fitted(data)" in line.repair


# -- what was fitted, seen by what is predicted


class OnAll(Scaled):
    """Standardises by train and scored part together."""

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        scaler = StandardScaler().fit(np.concatenate([data.train.inputs, data.judged.inputs]))
        model = LogisticRegression(max_iter=100).fit(scaler.transform(data.train.inputs), data.train.labels)
        return Predictions(ids=data.judged.ids, values=model.predict_proba(scaler.transform(data.judged.inputs)))


@pytest.mark.parametrize("source", [WINE, CANCER, DIGITS])
def test_a_model_of_train_alone_is_not_moved_by_other_scored_examples(source: Any) -> None:
    task = Scaled(split(part_of(source.data, source.target)))

    line = checked(task, "separation.fitted", influence=True)

    assert line.verdict is Verdict.PASS
    assert task.calls == [0.05] * 4


@pytest.mark.parametrize("source", [WINE, CANCER, DIGITS])
def test_a_scaler_of_all_is_seen_without_being_told(source: Any) -> None:
    line = checked(OnAll(split(part_of(source.data, source.target))), "separation.fitted", influence=True)

    assert line.verdict is Verdict.FAIL
    assert "whose inputs were left alone" in line.why


def test_a_regression_is_not_moved_by_other_scored_examples() -> None:
    task = Scaled(split(part_of(DIABETES.data, DIABETES.target)), kind="regression", metric=ERROR)

    assert checked(task, "separation.fitted", influence=True).verdict is Verdict.PASS


class Encoding(Scaled):
    """Adds the mean label of the nearest wines as a column, those of the scored part among them."""

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        table = {}
        for part in (data.train, data.judged):
            for row, label in zip(part.inputs[:, 0].round(), part.labels, strict=True):  # type: ignore[arg-type]
                table.setdefault(row, []).append(float(label))
        columns = {name: self.encoded(part.inputs, table) for name, part in data.parts.items()}
        model = LogisticRegression(max_iter=100).fit(columns["train"], data.train.labels)
        return Predictions(ids=data.judged.ids, values=model.predict_proba(columns[data.scored]))

    def encoded(self, inputs: np.ndarray, table: dict[float, list[float]]) -> np.ndarray:
        means = [np.mean(table[row]) if row in table else 1.0 for row in inputs[:, 0].round()]
        return np.column_stack([inputs, means])


def test_labels_of_the_scored_part_in_an_encoding_fail_in_a_test_part() -> None:
    data = wine()
    renamed = Data(parts={"train": data.train, "test": data.parts["val"]}, scored="test")

    line = checked(Encoding(renamed), "separation.fitted", influence=True)

    assert line.verdict is Verdict.FAIL
    assert "whose labels were left alone" in line.why


def test_a_model_that_is_chosen_by_the_validation_part_is_a_warning() -> None:
    class Chosen(Scaled):
        def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
            scaler = StandardScaler().fit(data.train.inputs)
            train, val = scaler.transform(data.train.inputs), scaler.transform(data.judged.inputs)
            models = [LogisticRegression(C=c, max_iter=100).fit(train, data.train.labels) for c in (1e-4, 1e-2, 1.0)]
            best = max(models, key=lambda model: model.score(val, data.judged.labels))
            return Predictions(ids=data.judged.ids, values=best.predict_proba(val))

    assert checked(Chosen(wine()), "separation.fitted", influence=True).verdict is Verdict.WARN


def test_batch_norm_left_in_training_mode_is_seen() -> None:
    class Net(Scaled):
        evaluates = True

        def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
            torch.manual_seed(seed)
            train, val = (torch.tensor(part.inputs, dtype=torch.float32) for part in (data.train, data.judged))
            net = torch.nn.Sequential(torch.nn.BatchNorm1d(13), torch.nn.Linear(13, 3))
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            for _ in range(20):
                loss = torch.nn.functional.cross_entropy(net(train), torch.tensor(data.train.labels))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            net.train(not self.evaluates)
            return Predictions(ids=data.judged.ids, values=net(val).detach().numpy())

    class Forgetful(Net):
        evaluates = False

    assert checked(Net(wine()), "separation.fitted", influence=True).verdict is Verdict.PASS
    assert checked(Forgetful(wine()), "separation.fitted", influence=True).verdict is Verdict.FAIL


def test_a_task_that_ignores_its_seed_leaves_it_open() -> None:
    class Restless(Scaled):
        def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
            values = np.random.default_rng().random((len(data.judged), 3))
            return Predictions(ids=data.judged.ids, values=values)

    line = checked(Restless(wine()), "separation.fitted", influence=True)

    assert line.verdict is Verdict.INCONCLUSIVE
    assert "one seed" in line.why


def test_a_task_that_changes_its_data_leaves_it_open() -> None:
    class Changing(Scaled):
        def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
            data.train.inputs[:] -= data.train.inputs.mean(axis=0)
            return super().predict(data, seed=seed, share=share)

    line = checked(Changing(split(part_of(WINE.data.copy(), WINE.target))), "separation.fitted", influence=True)

    assert line.verdict is Verdict.INCONCLUSIVE
    assert "changes the data" in line.why


def test_a_task_that_crashes_leaves_it_open() -> None:
    class Crashing(Scaled):
        def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
            raise ZeroDivisionError("in the middle")

    line = checked(Crashing(wine()), "separation.fitted", influence=True)

    assert line.verdict is Verdict.INCONCLUSIVE
    assert "in the middle" in line.why


class Pixels(Scaled):
    """Predicts classes from pixels; the scaler may see the scored part."""

    sees: tuple[str, ...] = ("train",)

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        rows = {name: np.stack(list(part.inputs)).reshape(len(part), -1) / 16 for name, part in data.parts.items()}
        scaler = StandardScaler().fit(np.concatenate([rows[name] for name in self.sees]))
        model = LogisticRegression(max_iter=100).fit(scaler.transform(rows["train"]), data.train.labels)
        return Predictions(ids=data.judged.ids, values=model.predict(scaler.transform(rows["val"])))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_classes_that_are_predicted_turn_when_pixels_are_scaled_by_all(dtype: type) -> None:
    task = Pixels(split(part_of(DIGITS.images.astype(dtype)[:400], DIGITS.target[:400])))
    assert checked(task, "separation.fitted", influence=True, near=False).verdict is Verdict.PASS

    task.sees = ("train", "val")

    assert checked(task, "separation.fitted", influence=True, near=False).verdict is Verdict.FAIL


def test_classes_alone_are_not_enough_where_inputs_cannot_be_moved_far() -> None:
    images = list(DIGITS.images.astype(np.uint8)[:200])
    task = Pixels(split(part_of(images, DIGITS.target[:200])))

    assert checked(task, "separation.fitted", influence=True, near=False).verdict is Verdict.INCONCLUSIVE


def test_values_that_a_task_has_no_place_for_are_not_held_against_it() -> None:
    class Table(Scaled):
        def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
            table = np.arange(17.0)
            values = table[data.judged.inputs[:, 20]] + table[data.judged.inputs[:, 21]]
            return Predictions(ids=data.judged.ids, values=np.stack([values, -values], axis=1))

    data = split(part_of(DIGITS.data.astype(np.int64), DIGITS.target % 2))

    assert checked(Table(data), "separation.fitted", influence=True).verdict is Verdict.PASS


def test_a_scored_part_of_a_few_examples_is_not_enough_to_tell() -> None:
    data = split(part_of(WINE.data, WINE.target), share=0.1)

    assert checked(Scaled(data), "separation.fitted", influence=True).verdict is Verdict.INCONCLUSIVE
