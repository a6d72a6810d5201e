"""A trace: for each step of a training, digests of what went in and of what came out, so that two runs can be compared.

A row has the ids that the sampler drew, the bytes of the batch, the states of the generators when the batch was there
(`rng`) and when the gradients were (`drawn`), the class and values of the optimizer, the weights before the step, the
loss as backward began from it, and the norm of the gradients. Each row is linked to the one before it, so that a row
that is kept speaks for those that are not.

On the CPU everything is read at once. On a device the loss and the norm wait there and are fetched together, once in
`FLUSH_STEPS` steps; weights are read at steps 0, 1, 2, 4, 8 and so on. Nothing is changed: `torch.autograd.backward` is
watched, generators are only looked at.

This file is also loaded beside `steps.py` into interpreters where gitrepro is not installed. So it imports the standard
library only, and its syntax is that of Python 3.8.
"""

from __future__ import annotations

import sys
from collections import deque
from weakref import WeakKeyDictionary

from .fingerprints import (
    batch_digest,
    float_bits,
    generator_digests,
    ids_digest,
    optimizer_digest,
    row_chain,
    short_of,
    weights_digest,
)
from .inforce import setting
from .seeds import Finder

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .steps import Fetch, Step, Steps

DENSE_STEPS = 200
FLUSH_STEPS = 50
FIELDS = (
    "step", "ids", "batch", "rng_python", "rng_numpy", "rng_torch", "drawn_python", "drawn_numpy", "drawn_torch",
    "optimizer", "weights", "loss", "gradient_norm", "chain",
)  # fmt: skip
"""The fields of a row, as they are told: integers or None; the loss and the norm are the bits of a float64."""
_UNUSED_IDS_AT_MOST = 4096


def is_kept(step: int) -> bool:
    """Whether the row of a step is kept: all at first, then one in 50, and ever fewer of a very long training."""
    if step < DENSE_STEPS:
        return True
    every = 50 if step < 100_000 else 500 if step < 1_000_000 else 5_000
    return step % every == 0


def is_weighed(step: int) -> bool:
    """Whether the weights before a step are read: steps 0, 1, 2, 4, 8, ..."""
    return step & (step - 1) == 0


class Tracer:
    """Traces the steps of this process from `start()` to `stop()`.

    Args:
        steps: what tells of steps and batches.
        begin: is given the setting, once, before the first row; see `inforce.setting`.
        tell: is given the rows that are kept, some at a time, each as `FIELDS` says.
        model: gives the weights their names, and its layers are looked at; without it they are those of the optimizer.
    """

    def __init__(
        self,
        steps: Steps,
        *,
        begin: Callable[[dict[str, Any]], None],
        tell: Callable[[list[list[Any]]], None],
        model: Any = None,
    ) -> None:
        self._steps = steps
        self._begin = begin
        self._tell = tell
        self._model = model
        self._end: Callable[[], None] | None = None
        self._finder = Finder(("torch",), self._met)
        self._original: Any = None
        self._ours: Any = None
        self._begun = False
        self._first = 0
        self._chain = 0
        self._pending: list[tuple[list[Any], Any, Any]] = []
        self._drawn_ids: WeakKeyDictionary[Any, deque[int | None]] = WeakKeyDictionary()
        self._batches: dict[int, list[Any]] = {}
        self._batch_ids: dict[int, list[int | None]] = {}
        self._losses: list[Any] = []
        self._rng: list[Any] | None = None
        self._row: list[Any] | None = None
        self.weights: dict[int, str] = {}

    def start(self) -> None:
        """Begin.

        Raises:
            ImportError: BLAKE3 is not installed here.
        """
        import blake3  # noqa: F401 - said now, not at every step

        if self._end is not None:
            return
        self._end = self._steps.subscribe(
            self._after, before=self._before, fetched=self._fetched, indexed=self._indexed
        )
        torch = sys.modules.get("torch")
        if torch is not None and hasattr(torch, "autograd"):
            self._met("torch", torch, fresh=False)
        else:
            sys.meta_path.insert(0, self._finder)
        self._rng = generator_digests()
        self._first = self._steps.count

    def stop(self) -> None:
        """End, and tell what still waits."""
        if self._end is None:
            return
        self._end()
        self._end = None
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        autograd = getattr(sys.modules.get("torch"), "autograd", None)
        if self._ours is not None and autograd is not None and autograd.backward is self._ours:
            autograd.backward = self._original
        self._flush()

    def batch(self, *data: Any, ids: Any = None) -> None:
        """Say what the coming step works on, in a loop without a DataLoader."""
        self._take(0, data, None if ids is None else ids_digest(ids))

    # -- what goes in

    def _met(self, name: str, module: Any, *, fresh: bool) -> None:
        del name, fresh
        if self._original is None and self._end is not None:
            self._original = original = module.autograd.backward
            self._ours = ours = self._observed(original)
            ours.__name__, ours.__qualname__, ours.__module__ = (
                original.__name__,
                original.__qualname__,
                original.__module__,
            )
            ours.__doc__, ours.__wrapped__ = original.__doc__, original
            module.autograd.backward = ours

    def _observed(self, original: Any) -> Any:
        def backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(tensors, *args, **kwargs)
            if self._end is not None and not self._steps.paused:
                self._note_loss(tensors)
            return result

        return backward

    def _note_loss(self, tensors: Any) -> None:
        try:
            given = tensors if isinstance(tensors, (list, tuple)) else [tensors]
            self._losses += [each.detach() for each in given if each.numel() == 1]
        except Exception:  # noqa: BLE001 - we are a guest in someone's training run
            return

    def _indexed(self, iterator: Any, index: Any) -> None:
        known = self._drawn_ids.get(iterator)
        if known is None:
            # Of one that has begun before us, or that gives batches as they come, nobody knows which ids are whose.
            if getattr(iterator, "_num_yielded", 0) or not getattr(iterator, "_in_order", True):
                return
            known = self._drawn_ids[iterator] = deque(maxlen=_UNUSED_IDS_AT_MOST)
        known.append(ids_digest(index if isinstance(index, (list, tuple)) else [index]))

    def _fetched(self, fetch: Fetch) -> None:
        source = id(fetch.iterator)
        if fetch.ended:
            # What came of it was no part of the coming step: an evaluation, say.
            self._drawn_ids.pop(fetch.iterator, None)
            self._batches.pop(source, None)
            self._batch_ids.pop(source, None)
            return
        waiting = self._drawn_ids.get(fetch.iterator)
        self._take(source, fetch.batch, waiting.popleft() if waiting else None)

    def _take(self, source: int, batch: Any, ids: int | None) -> None:
        if not self._batches:
            self._rng = generator_digests()
        self._batches.setdefault(source, [])
        if is_kept(self._steps.count - self._first):
            self._batches[source].append(batch_digest([batch]))
        self._batch_ids.setdefault(source, []).append(ids)

    # -- the step

    def _before(self, step: Step) -> None:
        if not step.lead:
            return
        if not self._begun:
            self._begun = True
            self._begin(setting(step.optimizer, self._model))
        row: list[Any] = [None] * len(FIELDS)
        row[0] = number = step.number - self._first
        row[1], row[2] = _one(self._batch_ids), _one(self._batches)
        row[3:6] = self._rng or [None] * 3
        row[9] = optimizer_digest(step.optimizer)
        row[10] = self._weigh(number, step) if is_weighed(number) else None
        if self._losses:
            self._finish(row, step)
        else:
            self._row = row  # backward is still to come, in the closure that the optimizer is given

    def _finish(self, row: list[Any], step: Step) -> None:
        row[6:9] = generator_digests()
        self._keep(row, self._losses, gradient_norm(step.optimizer))

    def _after(self, step: Step) -> None:
        if not step.lead:
            return
        row, self._row = self._row, None
        if row is not None:
            self._finish(row, step)
        fed = bool(self._batches)
        self._losses = []
        self._batches.clear()
        self._batch_ids.clear()
        # Where batches come from somewhere else, the end of the step before is the last moment we know of.
        self._rng = None if fed else generator_digests()

    def _weigh(self, number: int, step: Step) -> int | None:
        try:
            digest = weights_digest(named_weights(step.optimizer, self._model))
        except ValueError:
            return None
        self.weights[number] = digest
        return short_of(digest)

    def _keep(self, row: list[Any], losses: list[Any], norm: Any) -> None:
        self._pending.append((row, losses, norm))
        on_device = any(_waits(each) for each in [*losses, norm])
        if not on_device or len(self._pending) >= FLUSH_STEPS:
            self._flush()

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        values = _fetched_values([[*losses, *([] if norm is None else [norm])] for _, losses, norm in pending])
        kept = []
        for (row, losses, norm), told in zip(pending, values):  # noqa: B905 - Python 3.8 knows no `strict`
            if losses:
                row[11] = float_bits(sum(told[: len(losses)]))
            if norm is not None:
                row[12] = float_bits(told[-1])
            row[13] = self._chain = row_chain(self._chain, row[:13])
            if is_kept(row[0]):
                kept.append(row)
        if kept:
            self._tell(kept)


def _one(told: dict[int, list[int | None]]) -> int | None:
    """One digest for all the batches of a step; that of the batch itself where there is one."""
    found = [each for several in told.values() for each in several]
    if not found or None in found:
        return None
    return found[0] if len(found) == 1 else row_chain(0, found)


def _waits(value: Any) -> bool:
    return value is not None and value.device.type != "cpu"


def _fetched_values(rows: list[list[Any]]) -> list[list[float]]:
    """The numbers in rows of scalar tensors; of those on a device all at once, which waits for it once."""
    flat = [each for row in rows for each in row]
    device = next((each.device for each in flat if _waits(each)), None)
    if device is not None:
        torch = sys.modules["torch"]
        numbers = torch.stack([each.reshape(()).double().to(device, non_blocking=True) for each in flat])
        values = numbers.cpu().tolist()
    else:
        values = [float(each.item()) for each in flat]
    told = iter(values)
    return [[next(told) for _ in row] for row in rows]


def gradient_norm(optimizer: Any) -> Any:
    """The 2-norm of all gradients of an optimizer, as a scalar tensor where they are; None where there is none."""
    torch = sys.modules["torch"]
    gradients = [
        each.grad
        for group in optimizer.param_groups
        for each in group["params"]
        if getattr(each, "grad", None) is not None
    ]
    if not gradients or any(each.layout is not torch.strided for each in gradients):
        return None
    with torch.no_grad():
        norms = torch._foreach_norm(gradients)
        first = norms[0].device
        return torch.linalg.vector_norm(torch.stack([each.to(first, non_blocking=True) for each in norms]).double())


def named_weights(optimizer: Any, model: Any = None) -> dict[str, Any]:
    """The parameters of a model by their names, else those of an optimizer by group and place: `0.3`."""
    if model is not None:
        return dict(model.named_parameters())
    return {
        f"{group}.{place}": each
        for group, held in enumerate(optimizer.param_groups)
        for place, each in enumerate(held["params"])
    }
