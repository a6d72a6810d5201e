"""The batch of a run: what the program asks for, what goes through, and what stands on record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from ..capture import memory
from ..capture.config import flatten
from ..errors import UsageError
from ..records.batch import UNITS, Batch
from ..training.accumulating import Accumulation, world_size

OP: Final = "batch"
_EVERY: Final = 500
"""Steps between two words in the journal of what has gone through."""


def accumulate(
    model: Any,
    optimizer: Any,
    *,
    steps: int,
    scaler: Any = None,
    clip_norm: float | None = None,
    reduction: Literal["mean", "sum"] = "mean",
) -> Accumulation:
    """Accumulate gradients over micro-batches, right where these weigh differently.

        step = gitrepro.accumulate(model, optimizer, steps=4)
        for tokens, mask in step.over(loader):
            loss = ...                                   # the mean over the tokens that count
            step.backward(loss, weight=int(mask.sum()))  # every fourth time, and at the end, the optimizer steps

    Args:
        model: the module that is trained, as the loop calls it: in DistributedDataParallel where it is distributed.
        optimizer: a torch optimizer; it is stepped, and its gradients cleared, at the end of each window.
        steps: micro-batches to a step. The last window may have fewer.
        scaler: a `torch.amp.GradScaler`, or what `run.precision` gave.
        clip_norm: the greatest norm of all gradients together; clipped after they are put right.
        reduction: whether a loss is the `mean` over its micro-batch, or the `sum`.

    Raises:
        UsageError: an argument is wrong.
    """
    return Accumulation(model, optimizer, steps=steps, scaler=scaler, clip_norm=clip_norm, reduction=reduction)


class Batched(ABC):
    """The part of a `Run` that deals with the size of a batch."""

    _accumulation: tuple[Accumulation, Batch] | None = None

    @abstractmethod
    def _event(self, op: str, **content: Any) -> None: ...

    def batch(
        self,
        *,
        micro_batch: float,
        accumulation_steps: int = 1,
        world_size: int | None = None,
        unit: Literal["samples", "tokens"] = "samples",
    ) -> None:
        """Put the batch on record: micro-batch x accumulation x processes = effective batch.

        Args:
            micro_batch: what one forward pass of one process holds, in `unit`.
            accumulation_steps: forward passes to an optimizer step.
            world_size: processes that train together; by default what torch.distributed or the launcher says.
            unit: `samples` or `tokens`.

        Raises:
            UsageError: a number is not positive, or there is no such unit.
        """
        self._tell_batch(_batch(micro_batch, accumulation_steps, world_size, unit))

    def accumulate(
        self,
        model: Any,
        optimizer: Any,
        *,
        steps: int,
        micro_batch: float | None = None,
        unit: Literal["samples", "tokens"] = "samples",
        scaler: Any = None,
        clip_norm: float | None = None,
        reduction: Literal["mean", "sum"] = "mean",
    ) -> Accumulation:
        """As `gitrepro.accumulate`, and the batch goes on record: what was asked for, and what went through.

        Args:
            micro_batch: what one forward pass holds, in `unit`; by default the mean of the weights that went through.
            unit: what the weights count.
            model, optimizer, steps, scaler, clip_norm, reduction: as in `gitrepro.accumulate`.

        Raises:
            UsageError: an argument is wrong.
        """
        made = Accumulation(
            model, optimizer, steps=steps, scaler=scaler, clip_norm=clip_norm, reduction=reduction,
            stepped=self._batch_stepped,
        )  # fmt: skip
        batch = _batch(micro_batch, steps, None, unit)
        self._accumulation = made, batch
        self._tell_batch(batch)
        return made

    def _batch_stepped(self, each: Accumulation) -> None:
        # What was counted on a device is fetched with the first word and at the end alone.
        if each.windows == 1 or (each.windows % _EVERY == 0 and not hasattr(each.weight, "detach")):
            self._tell_observed()

    def _tell_observed(self) -> None:
        if self._accumulation is None or not self._accumulation[0].windows:
            return
        made, batch = self._accumulation
        observed = {
            "empty_windows": made.empty,
            "micro_batches": made.micro_batches,
            "ragged_windows": made.ragged,
            "weight": float(made.weight),
            "windows": made.windows,
        }
        self._event(OP, batch={**batch.document(), "observed": observed})

    def _tell_batch(self, batch: Batch) -> None:
        self._event(OP, batch=batch.document())

    def _end_batch(self) -> None:
        self._tell_observed()
        self._accumulation = None


def _batch(micro_batch: float | None, steps: int, world: int | None, unit: str) -> Batch:
    if unit not in UNITS:
        raise UsageError(f"there is no unit {unit!r:.60}", do=f"give one of {', '.join(UNITS)}")
    world = world_size() if world is None else world
    for name, value in (("micro_batch", micro_batch), ("accumulation_steps", steps), ("world_size", world)):
        whole = int if name != "micro_batch" else int | float
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, whole) or not 0 < value < float("inf"):
            raise UsageError(f"{name} is {value!r:.60}", do="give a number above 0")
    return Batch(micro_batch=micro_batch, accumulation_steps=steps, world_size=world, unit=unit)


# -- the field of a record


def batch_of(
    events: Iterable[Mapping[str, Any]], config: Mapping[str, Any], ranks: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """The field `batch` of a record: what the program said last, with what went through; else what its loader hands
    out, by as many micro-batches to a step as its config says; else what the config says.

    Args:
        config: the values of the config.
        ranks: the field `ranks`.
    """
    events = list(events)
    told = [event["batch"] for event in events if event.get("op") == OP]
    if told:
        return _with_observed(dict(told[-1]))
    found = memory.batch(flatten(config), world_size=int((ranks or {}).get("world_size") or 1))
    if (loader := _training_loader(events)) is not None:
        return Batch(
            micro_batch=loader["batch_size"], accumulation_steps=found["accumulation_steps"] if found else 1,
            world_size=loader["world_size"], said_by="loader",
        ).document()  # fmt: skip
    if found is None:
        return None
    return Batch(
        micro_batch=found["per_process"], accumulation_steps=found["accumulation_steps"],
        world_size=found["world_size"], said_by="config",
    ).document()  # fmt: skip


def _training_loader(events: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The first loader that shuffles, else the only one: of several in a fixed order any may be for evaluation."""
    made = list({event["name"]: event for event in events if event.get("op") == "loader"}.values())
    shuffled = [each for each in made if each.get("shuffle")]
    return shuffled[0] if shuffled else made[0] if len(made) == 1 else None


def _with_observed(batch: dict[str, Any]) -> dict[str, Any]:
    """Where nobody said how large a micro-batch is, the mean of those that went through."""
    observed = batch.get("observed")
    if batch.get("micro_batch") is not None or not observed:
        return batch
    mean = observed["weight"] / max(1, observed["micro_batches"])
    found = Batch(
        micro_batch=int(mean) if mean == int(mean) else mean, accumulation_steps=batch["accumulation_steps"],
        world_size=batch["world_size"], unit=batch["unit"], said_by="observed", observed=observed,
    )  # fmt: skip
    return found.document()
