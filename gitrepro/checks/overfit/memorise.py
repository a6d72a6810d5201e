"""Training on the mini-batch alone, until it is known by heart or the steps are used up."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from ..task import Kind, Learner, Part
from ..trials import Outcome, Trial
from .quiet import own_randomness, quiet, switch_off
from .scoring import fit_of
from .settings import Settings
from .verdict import by_heart

_LOOKED_AT_EVERY: Final = 5
"""Steps; looking costs a pass forward."""
CONFIGURED: Final = "configured"


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bench:
    """What is trained, on which examples, and towards what.

    Attributes:
        part: the mini-batch.
        floor: the least the loss can be; None where nobody knows.
        reach: the share of labels that can be known.
    """

    learner: Learner
    kind: Kind
    part: Part
    settings: Settings
    floor: float | None = None
    reach: float = 1.0


def attempt(bench: Bench, rate: float | None) -> Trial:
    """The trial of one learning rate of AdamW; None for the optimizer as it is configured."""
    arm = CONFIGURED if rate is None else f"adamw-{rate:g}"
    return Trial(
        kind="overfit",
        arm=arm,
        seed=bench.settings.seed,
        act=lambda: _act(bench, rate),
        settings={"arm": arm, "ids": [str(each) for each in bench.part.ids], **bench.settings.document()},
    )


def _act(bench: Bench, rate: float | None) -> Outcome:
    with own_randomness(bench.settings.seed):
        model = bench.learner.build(bench.settings.seed)
        optimizer = bench.learner.optimizer(model)
        configured = rate_of(optimizer)
        if rate is not None:
            optimizer = _adamw(model, optimizer, rate)
        off = set(switch_off(model, optimizer))
        with quiet(off):
            batch = bench.learner.batch(bench.part)
            metrics, curve = _learn(bench, model, optimizer, batch)
            metrics |= _evaluated(bench, model, batch)
    metrics["rate"] = configured if rate is None else rate
    ids = "\n".join(str(each) for each in bench.part.ids)
    files = {"ids.txt": f"{ids}\n".encode(), "off.json": json.dumps(sorted(off)).encode()}
    return Outcome(metrics=metrics, curves={"loss": curve}, files=files)


def rate_of(optimizer: Any) -> float:
    """The learning rate of the first group, or 0 where there is none to see."""
    groups = getattr(optimizer, "param_groups", None)
    return float(groups[0].get("lr", 0.0)) if groups else 0.0


def _adamw(model: Any, optimizer: Any, rate: float) -> Any:
    """Over the same weights as the configured one: what that leaves out stays as it is."""
    import torch

    groups = getattr(optimizer, "param_groups", None)
    weights = [each for group in groups for each in group["params"]] if groups else list(model.parameters())
    return torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)


def _learn(bench: Bench, model: Any, optimizer: Any, batch: Any) -> tuple[dict[str, float], list[float]]:
    model.train()
    initial = loss_of(bench.learner, model, batch)
    curve: list[float] = []
    now = _scored(bench, model, batch)
    while len(curve) < bench.settings.steps and math.isfinite(now.get("loss", math.nan)):
        curve.append(float(bench.learner.step(model, optimizer, batch)))
        if not math.isfinite(curve[-1]):
            now = {}
            break
        if len(curve) % _LOOKED_AT_EVERY == 0 or len(curve) == bench.settings.steps:
            now = _scored(bench, model, batch)
            if _enough(bench, {**now, "initial": initial}):
                break
    finite = {key: value for key, value in now.items() if math.isfinite(value)}
    numbers = sum(each.numel() for each in model.parameters() if each.requires_grad)
    finite |= {"initial": initial} if math.isfinite(initial) else {}
    return {**finite, "steps": float(len(curve)), "numbers": float(numbers)}, curve


def _enough(bench: Bench, metrics: Mapping[str, float]) -> bool:
    observed = {"floor": bench.floor, "kind": bench.kind, "reach": bench.reach, "labelled": "fit" in metrics}
    return by_heart(metrics, observed, bench.settings.document())


def loss_of(learner: Learner, model: Any, batch: Any) -> float:
    """The loss of the batch in the mode that the model is in, without gradients."""
    import torch

    with torch.no_grad():
        return float(learner.loss(model, batch))


def _scored(bench: Bench, model: Any, batch: Any) -> dict[str, float]:
    import torch

    model.train()
    found = {"loss": loss_of(bench.learner, model, batch)}
    with torch.no_grad():
        fit = fit_of(bench.kind, bench.learner.outputs(model, batch), bench.part)
    return found if fit is None else {**found, "fit": fit[1]}


def _evaluated(bench: Bench, model: Any, batch: Any) -> dict[str, float]:
    """Loss and fit in evaluation mode, after running statistics have had time to settle."""
    import torch

    model.train()
    forward: Callable[[], Any] = lambda: bench.learner.outputs(model, batch)  # noqa: E731
    with torch.no_grad():
        if any("running_" in name for name, _ in model.named_buffers()):
            for _ in range(bench.settings.settling):
                forward()
        model.eval()
        found = {"loss_eval": loss_of(bench.learner, model, batch)}
        fit = fit_of(bench.kind, forward(), bench.part)
    model.train()
    found |= {} if fit is None else {"fit_eval": fit[1]}
    return {key: value for key, value in found.items() if math.isfinite(value)}
