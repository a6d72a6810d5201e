"""A task that is a command: it reads examples from files, and writes its predictions to one."""

from __future__ import annotations

import csv
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, final

import numpy as np

from ..errors import NotFound, TaskFailed, UsageError
from ..records.predictions import load_predictions
from .estimator import from_arrays
from .task import Data, Kind, Learner, Metric, Part, Predictions

PLACES: Final = ("{seed}", "{share}", "{data}", "{predictions}")
_NEEDED: Final = ("{data}", "{predictions}")
_LAST_WORDS_CHARACTERS: Final = 400
Form = Literal["npz", "csv"]


def from_command(
    argv: Sequence[str],
    X: Any,  # noqa: N803 - the names of scikit-learn
    y: Any,
    *,
    form: Form = "npz",
    suffix: Literal[".csv", ".parquet"] = ".csv",
    **options: Any,
) -> CommandTask:
    """An experiment that is a command, in any language.

    `{data}` becomes a folder with a file for each part, as `train.npz` and `val.npz` (arrays `ids`, `inputs`, `labels`,
    and `groups` and `times` where there are any) or `train.csv` (columns `id`, `label`, `group`, `time`, and one for
    each feature, or `text`). `{predictions}` becomes the file to write: a line for each example of the scored part,
    columns `id` and `value`. `{seed}` and `{share}` become numbers; a command without `{share}` always takes all of its
    budget. The labels of the scored part are in its file, and nothing may be learnt from them.

    Args:
        argv: the program and its arguments; no shell is between.
        X, y: the examples, as for `from_arrays`.
        suffix: of the file with predictions.
        options: as of `from_arrays`: `val`, `parts`, `ids`, `groups`, `times`, `metric`, `name`, `seed`, `iid`.

    Raises:
        UsageError: a placeholder is missing, or the arrays do not fit.
    """
    if missing := [place for place in _NEEDED if not any(place in word for word in argv)]:
        raise UsageError(
            f"the command has no {missing[0]}",
            do="put it where the program is told of it: `python train.py --data {data} --out {predictions}`",
        )
    like = from_arrays(_Nobody(), X, y, **{"name": Path(argv[0]).name, **options})
    return CommandTask(
        argv=tuple(argv), given=like.given, name=like.name, kind=like.kind, metric=like.metric, form=form, suffix=suffix
    )


class _Nobody:
    """Stands where an estimator would: the command learns."""

    def fit(self) -> None: ...

    def predict(self) -> None: ...


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CommandTask:
    """What `from_command` makes."""

    argv: tuple[str, ...]
    given: Data
    name: str
    kind: Kind
    metric: Metric
    form: Form
    suffix: str

    def data(self) -> Data:
        return self.given

    def learner(self) -> Learner | None:
        return None

    @property
    def has_budget(self) -> bool:
        """Whether the program is told of a smaller share."""
        return any("{share}" in word for word in self.argv)

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        with tempfile.TemporaryDirectory(prefix="gitrepro-task-") as name:
            folder = Path(name)
            inside, told = folder / "data", folder / f"predictions{self.suffix}"
            inside.mkdir()
            for part_name, part in data.parts.items():
                write_part(inside / f"{part_name}.{self.form}", part, features=data.features)
            places = {"{seed}": str(seed), "{share}": f"{share:g}", "{data}": str(inside), "{predictions}": str(told)}
            run_command([_filled(word, places) for word in self.argv], folder=folder)
            found = read_predictions(told, like=data.train.labels)
        return replace(found, score=_score(self.metric, data.judged, found))


def _filled(word: str, places: Mapping[str, str]) -> str:
    for place, value in places.items():
        word = word.replace(place, value)
    return word


def _score(metric: Metric, part: Part, found: Predictions) -> float:
    """NaN unless the predictions are of exactly these examples; the checks say what is wrong with them."""
    places = {str(each): place for place, each in enumerate(found.ids)}
    if part.labels is None or len(found.ids) != len(part) or places.keys() != set(map(str, part.ids)):
        return float("nan")
    return float(metric.function(part.labels, found.values[[places[str(each)] for each in part.ids]]))


def run_command(argv: Sequence[str], *, folder: Path) -> None:
    """Run the user's program; what it prints goes nowhere, and its last words into the error.

    Raises:
        NotFound: there is no such program.
        TaskFailed: it ended with another code than 0.
    """
    # What is recorded is the trial around it; a second run of the same would be counted twice.
    env = {**os.environ, "GITREPRO_MODE": "disabled"}
    with open(folder / "output", "wb") as output:
        try:
            done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        except OSError as error:
            raise NotFound(f"{argv[0]!r:.200} cannot be started", why=error.strerror or str(error)) from error
    if done.returncode:
        lines = (folder / "output").read_text(errors="replace").strip().splitlines()
        raise TaskFailed(
            f"{argv[0]} ended with {done.returncode}",
            why=(lines[-1] if lines else "it said nothing")[:_LAST_WORDS_CHARACTERS],
        )


def write_part(path: Path, part: Part, *, features: Sequence[str] | None) -> None:
    """The file of one part.

    Raises:
        UsageError: its inputs do not fit into such a file.
    """
    if path.suffix == ".csv":
        _write_csv(path, part, features)
        return
    inputs = np.asarray(part.inputs) if _is_even(part.inputs) else None
    if inputs is None or inputs.dtype.hasobject:
        raise UsageError("these inputs do not fit into one array", do='give texts with form="csv", or equal shapes')
    found = {"ids": part.ids, "inputs": inputs, "labels": part.labels, "groups": part.groups, "times": part.times}
    arrays: dict[str, Any] = {name: each for name, each in found.items() if each is not None}
    np.savez(path, **arrays)


def _is_even(inputs: Any) -> bool:
    return isinstance(inputs, np.ndarray) or len({np.shape(each) for each in inputs}) == 1


def _write_csv(path: Path, part: Part, features: Sequence[str] | None) -> None:
    rows, names = _rows(part.inputs, features)
    beside = {"id": part.ids, "label": part.labels, "group": part.groups, "time": part.times}
    there = {name: each for name, each in beside.items() if each is not None}
    with open(path, "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow([*there, *names])
        for place, row in enumerate(rows):
            writer.writerow([*(each[place] for each in there.values()), *row])


def _rows(inputs: Any, features: Sequence[str] | None) -> tuple[Sequence[Sequence[Any]], Sequence[str]]:
    if isinstance(inputs, np.ndarray) and inputs.ndim == 2:
        return inputs.tolist(), features or [f"x{place}" for place in range(inputs.shape[1])]
    if all(isinstance(each, str) for each in inputs):
        return [[str(each)] for each in inputs], ["text"]
    raise UsageError("these inputs are no table and no texts", do='hand them over with form="npz"')


def read_predictions(path: Path, *, like: np.ndarray | None) -> Predictions:
    """What the command predicted, of the type of these labels.

    Raises:
        TaskFailed: it wrote no predictions, or what cannot be read as such.
    """
    try:
        ids, values = (
            _read_csv(path) if path.suffix == ".csv" else load_predictions(path.read_bytes(), source=path.name)
        )
    except FileNotFoundError:
        raise TaskFailed("the command wrote no predictions", do="write columns id and value to {predictions}") from None
    except (KeyError, IndexError, csv.Error, UnicodeDecodeError) as error:
        raise TaskFailed(
            "the predictions cannot be read", why=f"{error!r:.200}", do="write columns id and value"
        ) from None
    return Predictions(ids=ids, values=_typed(values, like))


def _read_csv(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with open(path, newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    if not rows:
        raise TaskFailed("the command predicted nothing", do="write a line for each example of the scored part")
    names = [name for name in rows[0] if name == "value" or str(name).startswith("value/")] or ["value"]
    ids = np.array([row["id"] for row in rows])
    if len(names) == 1:
        return ids, np.array([row[names[0]] for row in rows])
    return ids, np.array([[row[name] for name in names] for row in rows])


def _typed(values: np.ndarray, like: np.ndarray | None) -> np.ndarray:
    if values.dtype.kind not in "US" or (like is not None and like.dtype.kind in "US" and values.ndim == 1):
        return values
    try:
        numbers = values.astype(np.float64)
    except ValueError:
        raise TaskFailed("a predicted value is no number", why=f"as {values.flat[0]!s:.60}") from None
    whole = like is not None and like.dtype.kind in "iu" and numbers.ndim == 1 and np.all(numbers % 1 == 0)
    return numbers.astype(np.int64) if whole else numbers
