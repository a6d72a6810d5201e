"""The field `curves` of a record: what the curves of a run show, each verdict with its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..records.metricnames import Mode, is_training_loss, mode_of, part_of, tail
from . import curves

if TYPE_CHECKING:
    from .curves import Array, Judged

LEAST_VALUES: Final = 20
"""Of fewer values no detector tells anything."""
_CURVES_AT_MOST: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One metric in the order of logging: steps and values, float64, shape (n,)."""

    steps: Array
    values: Array
    mode: Mode | None


def worth_judging(counts: Mapping[str, int], goals: Mapping[str, str]) -> list[str]:
    """The metrics of which it is known what is better, and that have enough values; losses that are trained on first.

    Args:
        counts: how many values each metric has.
    """
    known = [name for name, count in counts.items() if count >= LEAST_VALUES and _mode(name, goals)]
    return sorted(known, key=lambda name: (not is_training_loss(name), part_of(name) != "val", name))[:_CURVES_AT_MOST]


def judge(found: Mapping[str, tuple[Array, Array]], goals: Mapping[str, str]) -> dict[str, Any]:
    """What the curves show.

    Args:
        found: steps and values by metric.
        goals: `min` or `max` by metric, as far as the program said so.
    """
    import numpy as np

    every = {name: Curve(steps=s, values=v, mode=_mode(name, goals)) for name, (s, v) in found.items()}
    # A loss of 1e308 is a number like any other; what it overflows into is told as it is.
    with np.errstate(all="ignore"):
        verdicts = {name: _verdicts(name, curve, every) for name, curve in every.items()}
    return {
        "algorithm": curves.ALGORITHM,
        "metrics": {name: {**_ends(curve), **_told(verdicts[name])} for name, curve in every.items()},
        # The same for all curves, so they stand here once.
        "parameters": {kind: dict(each.parameters) for found in verdicts.values() for kind, each in found.items()},
    }


def _mode(name: str, goals: Mapping[str, str]) -> Mode | None:
    told: dict[str, Mode] = {"min": "min", "max": "max"}
    return told.get(goals.get(name, "")) or mode_of(name)


def _told(verdicts: Mapping[str, Judged]) -> dict[str, Any]:
    return {"verdicts": {kind: {"found": each.found, "seen": dict(each.seen)} for kind, each in verdicts.items()}}


def _verdicts(name: str, curve: Curve, every: Mapping[str, Curve]) -> dict[str, Judged]:
    verdicts = {"plateau": curves.plateau(curve.values)}
    if is_training_loss(name):
        verdicts["not-falling"] = curves.not_falling(curve.values)
        verdicts["divergence"] = curves.diverged(curve.values)
        verdicts["oscillation"] = curves.oscillates(curve.values)
        verdicts["spikes"] = curves.spikes(curve.values)
    elif part_of(name) == "val" and curve.mode and (train := _training(name, every)):
        pair = ((curve.steps, curve.values), (train.steps, train.values))
        verdicts["overfitting"] = curves.overfits(*pair, mode=curve.mode)
    return verdicts


def _training(name: str, every: Mapping[str, Curve]) -> Curve | None:
    """The curve of the same metric on the training data: `train/loss` of `val/loss`, or plain `loss`."""
    for other, curve in every.items():
        if other != name and tail(other) == tail(name) and part_of(other) in ("train", None):
            return curve
    return None


def _ends(curve: Curve) -> dict[str, Any]:
    """The best and the last value that are finite, with their steps; of equal ones the earliest is the best."""
    import numpy as np

    places = np.flatnonzero(np.isfinite(curve.values))
    if not len(places):
        return {"values": len(curve.values), "mode": curve.mode, "best": None, "last": None}
    found = curve.values[places]
    best = places[int(np.argmax(found) if curve.mode == "max" else np.argmin(found))]
    ends = {"best": _point(curve, best), "last": _point(curve, places[-1])}
    return {"values": len(curve.values), "mode": curve.mode, **ends}


def _point(curve: Curve, place: Any) -> dict[str, Any]:
    return {"step": int(curve.steps[place]), "value": float(curve.values[place])}
