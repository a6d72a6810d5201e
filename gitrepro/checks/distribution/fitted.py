"""Whether what was fitted before training was fitted on train alone: told parameters, computed again.

A scaler that was fitted on all examples has their mean, and not that of train. The parameters are computed again from
train, from train with the scored part, and from everything; whichever they are equal to is where they came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from ...data.fitting import fitted_numbers, numbers_of
from ...errors import GitreproError, UsageError
from ...records.result import Verdict
from ..direct import failed
from ..task import TRAIN, Data, Predictions
from .columns import columns_of
from .settings import FITTED_RELATIVE, Judged

PREFIX: Final = "fitted/"
_METHOD: Final[Mapping[str, tuple[str, str]]] = {
    "mean": ("mean_std", "mean"),
    "std": ("mean_std", "std"),
    "scale": ("mean_std", "std"),
    "var": ("mean_std", "std"),
    "min": ("min_max", "min"),
    "max": ("min_max", "max"),
    "median": ("robust", "median"),
    "q25": ("robust", "q25"),
    "q75": ("robust", "q75"),
}
NAMES: Final = tuple(_METHOD)


def told(task: Any, data: Data, predictions: Predictions | None) -> dict[str, np.ndarray]:
    """The parameters a task tells: by its method `fitted(data)`, or in `Predictions.extra` as `fitted/mean/0`.

    Names are `mean`, `std` (or `scale`, where 1 may stand for 0), `var`, `min`, `max`, `median`, `q25`, `q75`; each
    float64, shape (features,), or () where one number was taken over everything.

    Raises:
        UsageError: the method gives something else.
    """
    method = getattr(task, "fitted", None)
    if callable(method):
        try:
            given = method(data)
        except GitreproError:
            raise
        except Exception as failure:
            raise failed(failure, doing="fitted()") from failure
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            raise UsageError(f"fitted() gave a {type(given).__name__}", do="return a mapping of names to arrays")
        return _numbers(given)
    return _from_extra(predictions.extra) if predictions is not None else {}


def _numbers(given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    unknown = sorted(str(name) for name in given if name not in _METHOD)
    if unknown:
        raise UsageError(f"fitted() names {unknown[0]!r:.60}", do=f"name them any of {', '.join(NAMES)}")
    try:
        return {name: np.asarray(each, dtype=np.float64) for name, each in given.items()}
    except (TypeError, ValueError) as error:
        raise UsageError("fitted() gave what is no array of numbers", why=str(error)) from None


def _from_extra(extra: Mapping[str, float]) -> dict[str, np.ndarray]:
    found: dict[str, dict[int, float]] = {}
    for key, value in extra.items():
        if key.startswith(PREFIX):
            name, _, place = key.removeprefix(PREFIX).partition("/")
            if name in _METHOD and (place.isdecimal() or not place):
                found.setdefault(name, {})[int(place or -1)] = float(value)
    return {
        name: _row(places) for name, places in found.items() if -1 in places or set(places) == {*range(len(places))}
    }


def _row(places: Mapping[int, float]) -> np.ndarray:
    if -1 in places:
        return np.array(places[-1], dtype=np.float64)
    return np.array([places[k] for k in range(len(places))], dtype=np.float64)


def look(data: Data, parameters: Mapping[str, np.ndarray], kind: Any) -> dict[str, Any]:
    """What `judge` is given: for each parameter its distance from that of train, and from those of more than train."""
    unions = {TRAIN: [TRAIN], f"{TRAIN}+{data.scored}": [TRAIN, data.scored]}
    if len(data.parts) > 2:
        unions["all parts"] = list(data.parts)
    unions[data.scored] = [data.scored]
    values = {name: _values(data, parts, kind) for name, parts in unions.items()}
    return {
        "parameters": {
            name: {union: _distance(name, given, each) for union, each in values.items()}
            for name, given in sorted(parameters.items())
        },
        "relative": {name: _resolution(name, given, values) for name, given in sorted(parameters.items())},
        "scored": data.scored,
    }


def _values(data: Data, parts: list[str], kind: Any) -> np.ndarray:
    arrays = [data.parts[name].inputs for name in parts]
    if all(isinstance(each, np.ndarray) and each.dtype.kind in "fiub" for each in arrays):
        return np.concatenate([each.reshape(len(each), -1) if each.ndim == 1 else each for each in arrays])
    return np.concatenate([columns_of(data.parts[name], data, kind).numbers for name in parts])


def _distance(name: str, given: np.ndarray, values: np.ndarray) -> float:
    """The greatest distance from what is computed again, in deviations of the feature; infinite where none fits."""
    return min((_apart(name, given, each, values) for each in _again(name, given, values)), default=float("inf"))


def _apart(name: str, given: np.ndarray, again: np.ndarray, values: np.ndarray) -> float:
    unit = _unit(given, values) ** (2 if name == "var" else 1)
    apart = np.abs(given.reshape(-1) - again.reshape(-1)) / unit
    if name in ("std", "scale", "var"):
        # Of what does not vary scalers keep a 1, so as not to divide by nothing.
        apart = np.where((again.reshape(-1) < 1e-12) & (given.reshape(-1) == 1), 0.0, apart)
    return float(np.nan_to_num(apart, nan=np.inf).max())


def _unit(given: np.ndarray, values: np.ndarray) -> np.ndarray:
    spread = [each["std"].reshape(-1) for each in (_fit("mean_std", given, values),) if each is not None]
    return np.where(spread[0] > 0, spread[0], 1.0) if spread else np.ones(1)


def _again(name: str, given: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
    """The parameter computed again; of a deviation, divided by n and by n - 1."""
    method, key = _METHOD[name]
    found = _fit(method, given, values)
    if found is None:
        return []
    number = found[key]
    count = len(values) if number.ndim else values.size
    if key != "std":
        return [number]
    both = [number, number * np.sqrt(count / max(count - 1, 1))]
    return [each**2 for each in both] if name == "var" else both


def _fit(method: str, given: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray] | None:
    """With the axis whose length is that of the given parameters; None where there is none."""
    axes = (
        [None]
        if given.ndim == 0 or given.size == 1
        else [a for a in range(1, values.ndim) if values.shape[a] == given.size]
    )
    if given.size == 1 and values.ndim == 2 and values.shape[1] == 1:
        axes = [1]
    if not axes and values.ndim > 2 and values[0].size == given.size:
        values, axes = values.reshape(len(values), -1), [1]
    if not axes:
        return None
    try:
        return fitted_numbers(numbers_of(values, axes[-1]), method)
    except GitreproError:
        return None


def _resolution(name: str, given: np.ndarray, values: Mapping[str, np.ndarray]) -> float:
    """How far the parameter of train is from the nearest other one: what tells them apart."""
    again: Callable[[np.ndarray], list[np.ndarray]] = lambda each: _again(name, given, each)[:1]  # noqa: E731
    own = again(values[TRAIN])
    others = [found for union, each in values.items() if union != TRAIN for found in again(each)]
    if not own or not others:
        return 0.0
    return min(_apart(name, own[0], other, values[TRAIN]) for other in others)


def judge(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> Judged:
    """FAIL where a parameter is that of more than train; PASS where it is that of train and of nothing else."""
    near = parameters.get("relative", FITTED_RELATIVE)
    found = observed["parameters"]
    beyond: dict[str, str] = {}
    own: list[str] = []
    for name, apart in found.items():
        if apart[TRAIN] <= near:
            if observed["relative"][name] > 2 * near:
                own.append(name)
            continue
        union = min((each for each in apart if each != TRAIN), key=lambda each: apart[each])
        if apart[union] <= near:
            beyond[name] = union
    if beyond:
        why = ", ".join(f"the {name} is that of {union}" for name, union in beyond.items())
        return Judged(Verdict.FAIL, f"{why}, and not that of train", "fit it on train, and apply it to the other parts")
    strange = [name for name, apart in found.items() if apart[TRAIN] > near]
    if strange:
        why = f"the {strange[0]} is neither that of train nor of all parts"
        return Judged(Verdict.INCONCLUSIVE, why, "tell what was fitted on the inputs as they come")
    if not own:
        why = f"{', '.join(found)} of train and of all parts are the same here"
        return Judged(Verdict.INCONCLUSIVE, why, "tell a mean or a deviation, which hardly ever agree")
    return Judged(Verdict.PASS, f"{', '.join(own)} computed again from train are those that are told")
