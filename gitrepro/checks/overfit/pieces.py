"""The training looked at in pieces: its first loss, which weights move, whose gradients they move by."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ...errors import GitreproError
from ..direct import failed
from ..trials import Outcome, Trial
from .apart import future, independence
from .memorise import Bench
from .quiet import own_randomness, quiet, seeded, switch_off
from .scoring import choices_of

FILE: Final = "pieces.json"
_STEPS_AT_MOST: Final = 64
"""Calls of `step` until the optimizer makes one: gradients may be accumulated over several."""


def looking(bench: Bench) -> Trial:
    """The trial that looks at the pieces; what it finds is the file `pieces.json`."""
    return Trial(
        kind="overfit",
        arm="pieces",
        seed=bench.settings.seed,
        act=lambda: _act(bench),
        settings={"arm": "pieces", "ids": [str(each) for each in bench.part.ids], **bench.settings.document()},
    )


def _act(bench: Bench) -> Outcome:
    off: set[str] = set()
    probes: dict[str, Callable[[Bench], dict[str, Any]]] = {
        "initial_loss": _initial,
        "all_move": _moves,
        "gradients": _gradients,
        "independence": independence,
        "future": future,
    }
    found: dict[str, Any] = {}
    for name, probe in probes.items():
        with own_randomness(bench.settings.seed), quiet(off):
            found[name] = _probed(probe, bench, doing=name)
    numbers = {"initial": found["initial_loss"].get("initial")}
    metrics = {key: value for key, value in numbers.items() if value is not None and math.isfinite(value)}
    return Outcome(metrics=metrics, files={FILE: json.dumps(found, sort_keys=True).encode()})


def _probed(probe: Callable[[Bench], dict[str, Any]], bench: Bench, *, doing: str) -> dict[str, Any]:
    """What a probe found; one that the user's code stops costs its own line only."""
    try:
        return probe(bench)
    except GitreproError as error:
        return {"stopped": "; ".join(part for part in (error.what, error.why) if part)}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - of the user's code, told as it is
        known = failed(error, doing=f"overfit.{doing}")
        return {"stopped": "; ".join(part for part in (known.what, known.why) if part)}


def _made(bench: Bench) -> tuple[Any, Any]:
    model = bench.learner.build(bench.settings.seed)
    optimizer = bench.learner.optimizer(model)
    switch_off(model, optimizer)
    model.train()
    return model, optimizer


# -- the first loss


def _initial(bench: Bench) -> dict[str, Any]:
    """The loss before training, and how it goes with the number of examples: 1 for a mean, 2 for a sum."""
    import torch

    model, _ = _made(bench)
    half = len(bench.part) // 2
    losses = []
    with torch.no_grad():
        for places in (np.arange(2 * half), np.arange(half), np.arange(half, 2 * half)):
            batch = bench.learner.batch(bench.part.take(places))
            seeded(bench.settings.seed)
            losses.append(float(bench.learner.loss(model, batch)))
        outputs = bench.learner.outputs(model, bench.learner.batch(bench.part))
    labels = bench.part.labels
    if bench.kind == "language" and labels is None:
        labels = np.asarray(bench.part.inputs)
    halves = (losses[1] + losses[2]) / 2
    finite = math.isfinite(losses[0]) and math.isfinite(halves) and abs(halves) > 1e-12
    return {
        "initial": losses[0] if math.isfinite(losses[0]) else None,
        "classes": choices_of(outputs, labels) if bench.kind in ("classification", "language") else None,
        "growth": losses[0] / halves if finite else None,
    }


# -- which weights move


def _moves(bench: Bench) -> dict[str, Any]:
    """For each trainable tensor the greatest root mean square of its gradients, and how far it moved."""
    import torch

    model, optimizer = _made(bench)
    batch = bench.learner.batch(bench.part)
    names = {name: each for name, each in model.named_parameters() if each.requires_grad}
    before = {name: each.detach().clone() for name, each in names.items()}
    gradients = dict.fromkeys(names, 0.0)
    steps = _Steps(optimizer)
    for call in range(_STEPS_AT_MOST):
        loss = bench.learner.loss(model, batch)
        if not loss.requires_grad:
            break
        found = torch.autograd.grad(loss, list(names.values()), allow_unused=True)
        for name, each in zip(names, found, strict=True):
            gradients[name] = max(gradients[name], 0.0 if each is None else _size(each))
        bench.learner.step(model, optimizer, batch)
        if call + 1 >= bench.settings.moves and (steps.count or not steps.seen):
            break
    tensors = [
        {
            "name": name,
            "numbers": each.numel(),
            "gradient": gradients[name],
            "moved": _size(each.detach() - before[name]),
        }
        for name, each in names.items()
    ]
    return {"tensors": tensors, "steps": steps.count if steps.seen else None}


class _Steps:
    """How often an optimizer stepped, and the gradients it did it with."""

    def __init__(self, optimizer: Any) -> None:
        self.count = 0
        self.gradients: list[Any] = []
        self.optimizer = optimizer
        register = getattr(optimizer, "register_step_pre_hook", None)
        self.seen = callable(register)
        self.handle = register(self._stepping) if callable(register) else None

    def _stepping(self, optimizer: Any, *_: Any) -> None:
        import torch

        self.count += 1
        weights = [each for group in optimizer.param_groups for each in group["params"]]
        parts = [torch.zeros_like(each) if each.grad is None else each.grad.detach() for each in weights]
        # The last only: they are as large as the model.
        self.gradients = [torch.cat([each.double().flatten() for each in parts])]


def _size(tensor: Any) -> float:
    """The root mean square; infinity where it is not finite."""
    if not tensor.numel():
        return 0.0
    found = float(tensor.detach().double().square().mean().sqrt())
    return found if math.isfinite(found) else 1e300


# -- gradients of one batch


def _gradients(bench: Bench) -> dict[str, Any]:
    """The gradient of one batch, once as the first and once after another batch, from the same weights."""
    half = len(bench.part) // 2
    first, second = (
        bench.learner.batch(bench.part.take(places)) for places in (np.arange(half), np.arange(half, 2 * half))
    )
    model, optimizer = _made(bench)
    start = {name: each.detach().clone() for name, each in model.state_dict().items()}
    steps = _Steps(optimizer)
    if not steps.seen:
        return {"stopped": "the optimizer is none of torch's, so that its gradients cannot be seen"}
    _until_step(bench, model, steps, first)
    model.load_state_dict(start)
    after = _until_step(bench, model, steps, second)
    alone, again = (_alone(bench, start, second) for _ in range(2))
    if after is None or alone is None or again is None:
        return {"stopped": f"the optimizer made no step in {_STEPS_AT_MOST} calls of step()"}
    size = float(alone.norm())
    if not size or not math.isfinite(size):
        return {"stopped": "the gradient is zero or not finite"}
    difference, noise = (float((each - alone).norm()) / size for each in (after, again))
    if not math.isfinite(difference) or not math.isfinite(noise):
        return {"stopped": "a gradient is not finite"}
    return {"difference": difference, "noise": noise}


def _alone(bench: Bench, start: Any, batch: Any) -> Any:
    model, optimizer = _made(bench)
    model.load_state_dict(start)
    return _until_step(bench, model, _Steps(optimizer), batch)


def _until_step(bench: Bench, model: Any, steps: _Steps, batch: Any) -> Any:
    """Call `step` until the optimizer steps; the gradient it did it with, or None."""
    seeded(bench.settings.seed)
    before = steps.count
    for _ in range(_STEPS_AT_MOST):
        bench.learner.step(model, steps.optimizer, batch)
        if steps.count > before:
            return steps.gradients[-1]
    return None
