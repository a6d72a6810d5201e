"""A torch DataLoader whose order and augmentation hang on the run seed alone, and which goes on where it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, final

import torch
from torch.utils.data import DataLoader, IterableDataset, default_collate

from ..errors import UsageError
from . import generators
from .keyed import Batch, Keyed
from .streams import seed_for

Uneven = Literal["drop", "keep"]
STATE_VERSION: Final = 1
_OURS: Final = {
    "batch_sampler": "the order of the batches is the loader's own: give batch_size= and, where needed, sampler=",
    "generator": "the loader's generators come from the run's seed: leave it out",
    "in_order": "batches in any order are another training each time: leave it out",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What an epoch consists of. A place in the middle of one has a meaning in an epoch of the same shape only.

    Attributes:
        length: how many samples the sampler, or else the data set, has.
        uneven: what becomes of samples that the ranks cannot share evenly: `drop` leaves them out, other ones each
            epoch where they are shuffled; `keep` gives some ranks one sample more than others.
    """

    length: int
    batch_size: int
    shuffle: bool
    drop_last: bool
    seed: int
    rank: int = 0
    world_size: int = 1
    uneven: Uneven = "drop"

    @property
    def left_out(self) -> int:
        """Samples that no rank sees in one epoch, for they cannot be shared evenly."""
        return self.length % self.world_size if self.uneven == "drop" else 0

    @property
    def share(self) -> int:
        """Samples of this rank in one epoch."""
        return (self.length - self.left_out - self.rank + self.world_size - 1) // self.world_size

    @property
    def batches(self) -> int:
        """Batches of this rank in one epoch."""
        return self.share // self.batch_size if self.drop_last else -(-self.share // self.batch_size)

    def fixed(self) -> dict[str, Any]:
        """What must be as it was for a place in an epoch to mean the same."""
        names = ("length", "batch_size", "shuffle", "drop_last", "world_size", "uneven")
        return {name: getattr(self, name) for name in names}


@final
class Plan:
    """The batches of this rank, epoch by epoch: each is a function of the seed and the epoch.

    Attributes:
        epoch, first: where the next iteration begins; `first` counts batches.
    """

    def __init__(self, shape: Shape, sampler: Any = None) -> None:
        self.shape = shape
        self.epoch = 0
        self.first = 0
        self._sampler = sampler
        self._share: tuple[int, list[Any]] = (-1, [])

    def __len__(self) -> int:
        return self.shape.batches

    def __iter__(self) -> Iterator[Batch]:
        epoch, share = self.epoch, self.share()
        seen: Counter[Any] | None = Counter() if self._sampler is not None else None
        for number in range(self.first if seen is None else 0, len(self)):
            batch = Batch(self._slice(share, number))
            batch.epoch = epoch
            if seen is not None:
                batch.repeats = tuple(_count(seen, index) for index in batch)
            if number >= self.first:
                yield batch

    def share(self) -> list[Any]:
        """The indices of this rank in this epoch, in their order."""
        if self._share[0] != self.epoch:
            order = self._order()
            even = len(order) - self.shape.left_out
            self._share = (self.epoch, order[:even][self.shape.rank :: self.shape.world_size])
        return self._share[1]

    def indices(self, number: int) -> list[Any]:
        """The indices of one batch of this epoch."""
        return self._slice(self.share(), number)

    def forget(self) -> None:
        """The seed has changed, and with it the order."""
        self._share = (-1, [])

    def _slice(self, share: list[Any], number: int) -> list[Any]:
        return share[number * self.shape.batch_size : (number + 1) * self.shape.batch_size]

    def _order(self) -> list[Any]:
        """The indices of all ranks."""
        seed = seed_for(self.shape.seed, "order", self.epoch)
        if self._sampler is not None:
            return self._sampled(seed)
        if not self.shape.shuffle:
            return list(range(self.shape.length))
        order: list[int] = torch.randperm(self.shape.length, generator=torch.Generator().manual_seed(seed)).tolist()
        return order

    def _sampled(self, seed: int) -> list[Any]:
        # A sampler draws from the global generators: for this moment they are those of this epoch.
        shared = dict(generators.present())
        marks = {name: each.mark() for name, each in shared.items()}
        try:
            for each in shared.values():
                each.seed(seed)
            if callable(getattr(self._sampler, "set_epoch", None)):
                self._sampler.set_epoch(self.epoch)
            return list(self._sampler)
        finally:
            for name, mark in marks.items():
                shared[name].restore(mark)


def _count(seen: Counter[Any], index: Any) -> int:
    seen[index] += 1
    return seen[index] - 1


@final
class Loader(DataLoader[Any]):
    """What `run.loader(...)` gives: a DataLoader, with a place that can be saved and gone back to.

    Each iteration is the next epoch. A loop that was left with `break` is over: the next one begins a new epoch. After
    `load_state_dict` the next iteration goes on behind the last batch that was handed out before the state was taken.

    Attributes:
        epoch: the epoch of the iteration under way, else of the next one; from 0.
        batches_done: how many batches of it were handed out.
        shape: what an epoch consists of.
    """

    def __init__(
        self,
        dataset: Any,
        shape: Shape,
        *,
        sampler: Any = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        on_resume: Callable[[Loader], None] = lambda _loader: None,
        **options: Any,
    ) -> None:
        self._plan = Plan(shape, sampler)
        self._keyed = Keyed(dataset, run_seed=shape.seed, collate=collate_fn or default_collate)
        self._on_resume = on_resume
        self._placed = False
        self._under_way = False
        self.batches_done = 0
        super().__init__(
            self._keyed,  # type: ignore[arg-type]
            batch_sampler=self._plan,
            collate_fn=_as_it_is,
            generator=torch.Generator(),
            **options,
        )
        # Who asks a loader for its batch size means samples; DataLoader knows none where the batches are given to it.
        object.__setattr__(self, "batch_size", shape.batch_size)
        object.__setattr__(self, "drop_last", shape.drop_last)

    @property
    def epoch(self) -> int:
        return self._plan.epoch

    @property
    def shape(self) -> Shape:
        return self._plan.shape

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next iteration is; one that was loaded from a checkpoint keeps its place in it."""
        if not isinstance(epoch, int) or isinstance(epoch, bool) or epoch < 0:
            raise UsageError(f"epoch {epoch!r:.40} is no count from 0")
        if epoch != self.epoch or self._under_way:
            self._plan.epoch, self.batches_done = epoch, 0
        self._placed = True
        self._under_way = False

    def indices(self, back: int = 1) -> list[Any]:
        """The indices of the batch handed out last, or of one further `back`; empty where there is none."""
        number = self.batches_done - back
        return self._plan.indices(number) if back >= 1 and number >= 0 else []

    def __iter__(self) -> Any:
        if not self._placed and self._under_way:
            self._plan.epoch, self.batches_done = self.epoch + 1, 0
        self._placed, self._under_way = False, True
        self._plan.first = self.batches_done
        if self.generator is not None:
            self.generator.manual_seed(seed_for(self.shape.seed, "workers", self.shape.rank, self.epoch))
        return self._handed_out(super().__iter__())

    def _handed_out(self, batches: Iterator[Any]) -> Iterator[Any]:
        epoch = self.epoch
        for batch in batches:
            self.batches_done += 1
            yield batch
        if self.epoch == epoch:
            self._plan.epoch, self.batches_done, self._under_way = epoch + 1, 0, False

    def state_dict(self) -> dict[str, Any]:
        """The place: which epoch, and how many of its batches were handed out."""
        place = {"epoch": self.epoch, "batches_done": self.batches_done, "seed": self.shape.seed}
        return {"version": STATE_VERSION, **place, **self.shape.fixed()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to a place. The seed is that of the run whose place it is.

        Raises:
            UsageError: it is no place, or one in the middle of an epoch of another shape.
        """
        if not isinstance(state, Mapping) or state.get("version") != STATE_VERSION:
            raise UsageError("this is no state of a loader", do="give what loader.state_dict() returned")
        self._check_shape(state)
        self._plan.shape = replace(self.shape, seed=int(state["seed"]))
        self._plan.forget()
        self._keyed.reseed(self.shape.seed)
        self._iterator = None  # workers that stay have the other seed
        self._plan.epoch, self.batches_done = int(state["epoch"]), int(state["batches_done"])
        self._placed, self._under_way = True, False
        self._on_resume(self)

    def _check_shape(self, state: Mapping[str, Any]) -> None:
        fixed = self.shape.fixed()
        other = [
            f"{name} {state.get(name)!r}, now {value!r}" for name, value in fixed.items() if state.get(name) != value
        ]
        if other and state.get("batches_done"):
            raise UsageError(
                f"the loader was saved in the middle of epoch {state.get('epoch')}, and its epochs are others now",
                why="it had " + "; ".join(other),
                do="make it as it was, or go on from a checkpoint that was saved between two epochs",
            )


def _as_it_is(batch: Any) -> Any:
    return batch


def build(
    dataset: Any,
    *,
    batch_size: int,
    shuffle: bool,
    sampler: Any,
    drop_last: bool,
    num_workers: int,
    uneven: Uneven,
    seed: int,
    rank: int,
    world_size: int,
    options: Mapping[str, Any],
    on_resume: Callable[[Loader], None] = lambda _loader: None,
) -> Loader:
    """A loader of the arguments that `run.loader` was given.

    Raises:
        UsageError: they do not fit together, or an epoch would have no batch.
    """
    _check(dataset, sampler, shuffle, uneven, options)
    _check_count("batch_size", batch_size, least=1)
    _check_count("num_workers", num_workers, least=0)
    sharing = (0, 1) if hasattr(sampler, "num_replicas") else (rank, world_size)  # it has shared them out itself
    shape = Shape(
        length=_length(dataset if sampler is None else sampler),
        batch_size=batch_size,
        shuffle=bool(shuffle),
        drop_last=bool(drop_last),
        seed=seed,
        rank=sharing[0],
        world_size=sharing[1],
        uneven=uneven,
    )
    _check_batches(shape)
    try:
        return Loader(dataset, shape, sampler=sampler, num_workers=num_workers, on_resume=on_resume, **options)
    except (TypeError, ValueError) as error:
        raise UsageError(f"torch makes no DataLoader of this: {error!s:.300}") from error


def _check(dataset: Any, sampler: Any, shuffle: bool, uneven: str, options: Mapping[str, Any]) -> None:
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
        raise UsageError(
            f"a {type(dataset).__name__} can only be gone through from its beginning",
            why="without a length and items by index there is no order to seed, and no place to go back to",
            do="give a data set with __len__ and __getitem__, or use torch's DataLoader",
        )
    if sampler is not None and shuffle:
        raise UsageError("sampler= and shuffle=True are given", why="the sampler is the order", do="leave one out")
    if getattr(sampler, "generator", None) is not None:
        raise UsageError(
            "the sampler has a generator of its own",
            why="where that stands is in no checkpoint of the loader",
            do="make the sampler without generator=: it then draws from the run's seed",
        )
    for name in _OURS.keys() & options.keys():
        raise UsageError(f"{name}= cannot be given", do=_OURS[name])
    if uneven not in ("drop", "keep"):
        raise UsageError(f"uneven={uneven!r:.40} means nothing", do='give "drop" or "keep"')


def _check_count(name: str, value: object, *, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"{name} is {value!r:.40}", do=f"give an int of {least} or more")


def _length(sized: Any) -> int:
    try:
        return len(sized)
    except TypeError as error:
        raise UsageError(f"a {type(sized).__name__} has no length", do="give it __len__") from error


def _check_batches(shape: Shape) -> None:
    if shape.batches:
        return
    ranks = f", {shape.share} of them for rank {shape.rank} of {shape.world_size}" if shape.world_size > 1 else ""
    raise UsageError(
        f"an epoch would have no batch: there are {shape.length} samples{ranks}, and {shape.batch_size} in a batch",
        why="drop_last leaves out a batch that is not full" if shape.drop_last else "",
        do="take a smaller batch_size, or leave out drop_last" if shape.drop_last else "look at the data set",
    )
