"""Whether outputs depend on what they must not: other examples of the batch, tokens of the future."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..task import Part
from .memorise import Bench
from .quiet import seeded, switch_off
from .scoring import next_tokens

_TRAINED: Final = 20
"""Steps: what begins at zero says nothing before them."""


def _said(bench: Bench, model: Any, part: Part, *, seed: int = 0) -> np.ndarray:
    """Outputs in evaluation mode, float64."""
    import torch

    model.eval()
    seeded(bench.settings.seed + seed)
    with torch.no_grad():
        outputs = bench.learner.outputs(model, bench.learner.batch(part))
    found: np.ndarray = outputs.detach().double().cpu().numpy()
    return found


def _trained(bench: Bench) -> Any:
    model = bench.learner.build(bench.settings.seed)
    optimizer = bench.learner.optimizer(model)
    switch_off(model, optimizer)
    model.train()
    batch = bench.learner.batch(bench.part)
    for _ in range(_TRAINED):
        bench.learner.step(model, optimizer, batch)
    return model


def independence(bench: Bench) -> dict[str, Any]:
    """How far outputs move when the other half of the batch is replaced, and when examples change places.

    Distances are relative to the spread of the outputs. In evaluation mode: batch norm mixes examples in training.
    """
    model, half = _trained(bench), len(bench.part) // 2
    places = np.arange(2 * half)
    said = _said(bench, model, bench.part.take(places))
    if said.ndim < 1 or len(said) != 2 * half:
        return {"stopped": f"outputs of {2 * half} examples have shape {said.shape}: there is no row for each"}
    again = _said(bench, model, bench.part.take(places), seed=1)
    others = np.concatenate([places[:half], np.full(half, places[half])])
    replaced = _said(bench, model, bench.part.take(others))[:half]
    turned = _said(bench, model, bench.part.take(places[::-1]))[::-1]
    return {
        "noise": _distance(said, again),
        "replaced": _distance(said[:half], replaced),
        "turned": _distance(said, turned),
        "padded": said[:half].shape != replaced.shape,
    }


def _distance(one: np.ndarray, other: np.ndarray) -> float | None:
    """The greatest difference to the spread of the first; of what both have, where one is longer."""
    if one.ndim != other.ndim:
        return None
    both = tuple(slice(min(each)) for each in zip(one.shape, other.shape, strict=True))
    one, other = one[both], other[both]
    if not np.isfinite(one).all() or not np.isfinite(other).all():
        return None
    spread = float(one.std()) if one.size else 0.0
    return float(np.abs(one - other).max()) / spread if spread else 0.0


def future(bench: Bench) -> dict[str, Any]:
    """How far outputs up to a place move when all tokens behind it are replaced by those of another sequence."""
    after = next_tokens(bench.part)
    if after is None:
        return {"not_applicable": "these are no sequences of tokens with the next tokens as labels"}
    tokens = np.asarray(bench.part.inputs)
    length = tokens.shape[1]
    if bench.part.labels is not None and length > 1 and not _follow(tokens, after):
        return {"not_applicable": "the labels are not the next tokens, so that the whole sequence may be looked at"}
    if length < 3:
        return {"not_applicable": f"sequences of {length} tokens have hardly a future"}
    model = _trained(bench)
    said = _said(bench, model, bench.part)
    if said.ndim < 2 or said.shape[0] != len(tokens) or not {length, length - 1} & set(said.shape[1:]):
        return {"not_applicable": f"outputs of shape {said.shape} say nothing for each of {length} tokens"}
    axis = 1 if said.shape[1] in (length, length - 1) else said.ndim - 1
    said = np.moveaxis(said, axis, 1)
    noise = _distance(said, np.moveaxis(_said(bench, model, bench.part, seed=1), axis, 1))
    moved = [_moved(bench, model, said, place, axis) for place in sorted({length // 4, length // 2, length - 2})]
    return {
        "noise": noise,
        "places": [place for place, _, _ in moved],
        "before": [each for _, each, _ in moved],
        "behind": [each for _, _, each in moved],
    }


def _follow(tokens: np.ndarray, after: np.ndarray) -> bool:
    """Labels are the next tokens, or the tokens themselves where the model shifts them; but for masked ones."""
    masked = after < 0
    shifted = (tokens[:, 1:] == after[:, :-1]) | masked[:, :-1]
    return bool(shifted.all() or ((tokens == after) | masked).all())


def _moved(bench: Bench, model: Any, said: np.ndarray, place: int, axis: int) -> tuple[int, float | None, float | None]:
    """How far outputs up to this place and behind it move when tokens behind it are another sequence's."""
    tokens = np.array(bench.part.inputs)
    tokens[:, place + 1 :] = np.roll(tokens, 1, axis=0)[:, place + 1 :]
    changed = Part(
        ids=bench.part.ids,
        inputs=tokens,
        labels=bench.part.labels,
        groups=bench.part.groups,
        times=bench.part.times,
    )
    found = np.moveaxis(_said(bench, model, changed), axis, 1)
    return (
        place,
        _distance(said[:, : place + 1], found[:, : place + 1]),
        _distance(said[:, place + 1 :], found[:, place + 1 :]),
    )
