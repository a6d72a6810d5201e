"""Does accumulating give the gradient of the full batch? Measured, on a model and a batch of yours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from ..errors import UsageError

TOLERANCE: Final = {"torch.float64": 1e-10, "torch.float32": 1e-5, "torch.bfloat16": 1e-2, "torch.float16": 1e-2}
"""The greatest relative error of a gradient, by the dtype of the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """What was measured.

    Attributes:
        relative_error: |accumulated - full| / |full|, norms over all gradients together.
        naive_error: the same for the mean of the means, as is often done.
        tolerance: what `relative_error` may be.
        verdict: `PASS`; `FAIL`; or `WARN` where a layer makes its samples depend on each other, as BatchNorm does: such
            a model is another one with another micro-batch, however gradients are added up.
        batch_dependent: the names of those layers.
        dropout_off: how many dropout layers were put into evaluation for this: each pass would draw anew.
    """

    relative_error: float
    naive_error: float
    tolerance: float
    verdict: str
    batch_dependent: tuple[str, ...]
    dropout_off: int
    micro_batches: int

    def document(self) -> dict[str, Any]:
        return asdict(self)


def accumulation_error(
    model: Any,
    full: Any,
    parts: Sequence[Any],
    loss: Callable[[Any, Any], Any],
    weight: Callable[[Any], float] = lambda _: 1.0,
) -> Equivalence:
    """Compare the gradient of a batch with that of its parts, added up as `gitrepro.accumulate` does.

    Weights, gradients, buffers and the state of the generators are afterwards as they were.

    Args:
        model: a torch module, in the mode it trains in.
        full: the batch.
        parts: the same batch in micro-batches.
        loss: `loss(model, batch)`, the mean over what counts in the batch.
        weight: over how much that is the mean: samples, or tokens that count.

    Raises:
        UsageError: there are no parts, nothing to train, or a gradient that is not finite.
    """
    if not parts:
        raise UsageError("there are no micro-batches to compare")
    trained = [each for each in model.parameters() if each.requires_grad]
    if not trained:
        raise UsageError("the model has no parameter that wants a gradient")
    weights = [float(weight(part)) for part in parts]
    with _as_before(model, trained) as dropout_off:
        whole = _gradient(model, trained, [full], [1.0], loss)
        added = _gradient(model, trained, parts, [each / sum(weights) for each in weights], loss)
        naive = _gradient(model, trained, parts, [1 / len(parts)] * len(parts), loss)
    error, naively = _relative(added, whole), _relative(naive, whole)
    if math.isnan(error):
        raise UsageError("a gradient is not finite", why="nothing can be said of its error", do="look at the loss")
    dependent = tuple(_batch_dependent(model))
    tolerance = max(TOLERANCE.get(str(each.dtype), 1e-5) for each in trained)
    verdict = "PASS" if error <= tolerance else "WARN" if dependent else "FAIL"
    return Equivalence(
        relative_error=error, naive_error=naively, tolerance=tolerance, verdict=verdict,
        batch_dependent=dependent, dropout_off=dropout_off, micro_batches=len(parts),
    )  # fmt: skip


def _gradient(model: Any, trained: list[Any], parts: Sequence[Any], shares: list[float], loss: Any) -> list[Any]:
    for each in trained:
        each.grad = None
    for part, share in zip(parts, shares, strict=True):
        if share:
            (loss(model, part) * share).backward()
    return [None if each.grad is None else each.grad.detach().double().clone() for each in trained]


def _relative(found: list[Any], right: list[Any]) -> float:
    def norm(parts: Iterator[Any]) -> float:
        return math.sqrt(sum(float(part.square().sum()) for part in parts))

    pairs = [(a, b) for a, b in zip(found, right, strict=True) if a is not None and b is not None]
    whole = norm(b for _, b in pairs)
    apart = norm(a - b for a, b in pairs)
    return apart / whole if whole else apart


def _batch_dependent(model: Any) -> Iterator[str]:
    import torch

    for name, module in model.named_modules():
        norm = isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
        if norm and (module.training or not module.track_running_stats):
            yield name or type(module).__name__


@contextmanager
def _as_before(model: Any, trained: list[Any]) -> Iterator[int]:
    """Nothing of the model or of the generators is changed by what happens inside. Dropout is off."""
    import torch

    grads = [each.grad for each in trained]
    buffers = [(each, each.detach().clone()) for each in model.buffers()]
    kinds = torch.nn.modules.dropout._DropoutNd
    dropouts = [each for each in model.modules() if isinstance(each, kinds) and each.training and each.p > 0]
    for module in dropouts:
        module.train(False)
    devices = sorted({each.device.index for each in trained if each.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=devices):
            yield len(dropouts)
    finally:
        for module in dropouts:
            module.train(True)
        for parameter, grad in zip(trained, grads, strict=True):
            parameter.grad = grad
        with torch.no_grad():
            for buffer, kept in buffers:
                buffer.copy_(kept)
