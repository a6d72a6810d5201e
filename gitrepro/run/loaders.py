"""What a run draws from: streams of its seed, and loaders whose order is one of them. The part of `Run` for this."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, final

from ..errors import UsageError
from .launchkey import launch_of
from .names import check_name
from .warning import warn

if TYPE_CHECKING:
    from ..training.loaders import Loader

_LOADERS_AT_MOST: Final = 32
_STREAMS_AT_MOST: Final = 100
_DRAWN: Final = "drawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which process of a launch this is."""

    rank: int
    world_size: int


def place() -> Place:
    """Which process of how many this is: as torch's process group says, else as the launcher does."""
    torch: Any = sys.modules.get("torch.distributed")
    if torch is not None and torch.is_available() and torch.is_initialized():
        return Place(rank=torch.get_rank(), world_size=torch.get_world_size())
    launch = launch_of(os.environ)
    return Place(rank=launch.rank, world_size=launch.world_size) if launch else Place(rank=0, world_size=1)


@final
class Streams:
    """The seed of one run, what was derived from it, and the loaders of this process.

    Args:
        seed: what `record(seed=)` was given.
        tell: takes an event for the journal.
    """

    def __init__(self, seed: int | None, *, tell: Callable[..., None]) -> None:
        self._seed = seed
        self._tell = tell
        self._told: set[str] = set()
        self._loaders = 0
        self._apart = False

    @property
    def known(self) -> int | None:
        """The seed, if there is one by now."""
        return self._seed

    def seed(self, *, what: str) -> int:
        """The seed of the run; one process that has none draws one, for its streams alone.

        Raises:
            UsageError: there is none, and several ranks would each draw another.
        """
        if self._seed is None:
            self._seed = _seed_in(os.environ)
        if self._seed is None:
            self._seed = self._draw(what)
        return self._seed

    def _draw(self, what: str) -> int:
        if place().world_size > 1:
            raise UsageError(
                f"{what} needs a seed, and this run has none",
                why="each rank would draw one of its own, and they would not share the data out",
                do="give one: gitrepro.record(seed=0), or `gitrepro record --seed 0 -- ...`",
            )
        drawn = int.from_bytes(os.urandom(4), "little")
        warn(f"this run has no seed: {what} draws {drawn}, which goes on record; gitrepro.record(seed=...) gives one")
        self._tell("streams", seed=drawn, source=_DRAWN, names={}, rank=0)
        return drawn

    def seed_for(self, stream: str, rank: int | None) -> int:
        from ..training import streams

        streams.check_stream(stream)
        if rank is not None and (not isinstance(rank, int) or isinstance(rank, bool) or rank < 0):
            raise UsageError(f"rank {rank!r:.40} is no count from 0")
        if rank is None and stream in streams.BY_RANK:
            rank = place().rank
        numbers = () if rank is None else (rank,)
        seed = streams.seed_for(self.seed(what=f"the stream {stream}"), stream, *numbers)
        self._say(stream if rank is None else f"{stream}.rank-{rank}", seed)
        return seed

    def _say(self, name: str, seed: int) -> None:
        if name not in self._told and len(self._told) < _STREAMS_AT_MOST:
            self._told.add(name)
            self._tell("streams", seed=self._seed, names={name: f"{seed:016x}"}, rank=place().rank)

    def apart(self) -> None:
        from ..training.streams import seed_globals

        rank = place().rank
        if not self._apart and rank > 0:
            seed_globals(self.seed_for("dropout", rank))
        self._apart = True

    def loader(self, dataset: Any, *, name: str | None, rank: int | None, world_size: int | None, **wanted: Any) -> Any:
        try:
            from ..training.loaders import build
        except ModuleNotFoundError as error:
            raise UsageError("a loader needs torch", why=str(error), do="pip install 'gitrepro[torch]'") from error
        called = self._called(name)
        ours = place() if rank is None and world_size is None else _given(rank, world_size)
        seed = self.seed(what="the order of a loader")

        def resumed(loader: Loader) -> None:
            self._tell_loader(called, loader, resumed={"epoch": loader.epoch, "batches_done": loader.batches_done})

        made = build(dataset, seed=seed, rank=ours.rank, world_size=ours.world_size, on_resume=resumed, **wanted)
        self._say_loader(called, made)
        return made

    def _called(self, name: str | None) -> str:
        self._loaders += 1
        if name is not None:
            return check_name(name, what="name of a loader")
        return "loader" if self._loaders == 1 else f"loader-{self._loaders}"

    def _say_loader(self, called: str, made: Loader) -> None:
        shape = made.shape
        if shape.left_out and not shape.shuffle:
            warn(
                f"{called}: {shape.left_out} of {shape.length} samples are never seen, for {shape.world_size} ranks "
                'cannot share them evenly and they are not shuffled; uneven="keep" takes them in'
            )
        if self._loaders <= _LOADERS_AT_MOST:
            self._tell_loader(called, made)

    def _tell_loader(self, called: str, made: Loader, **more: Any) -> None:
        shape = made.shape
        told = {"batches": shape.batches, "left_out": shape.left_out, "num_workers": made.num_workers}
        self._tell("loader", name=called, rank=shape.rank, seed=shape.seed, **shape.fixed(), **told, **more)


def _seed_in(environ: Mapping[str, str]) -> int | None:
    """The seed that `gitrepro record` gives to the program it starts."""
    text = environ.get("GITREPRO_SEED", "")
    return int(text) if text.isdecimal() and text.isascii() and int(text) < 2**32 else None


def _given(rank: int | None, world_size: int | None) -> Place:
    whole = [isinstance(each, int) and not isinstance(each, bool) for each in (rank, world_size)]
    if not all(whole) or rank is None or world_size is None or not 0 <= rank < world_size:
        what = f"rank {rank!r:.40} of {world_size!r:.40} is no place"
        raise UsageError(what, do="give both, with 0 <= rank < world_size")
    return Place(rank=rank, world_size=world_size)


class Seeded(ABC):
    """The part of a `Run` that gives out seeds, generators and loaders."""

    _streams: Streams

    @abstractmethod
    def _event(self, op: str, **content: Any) -> None: ...

    def seed_for(self, stream: str, *, rank: int | None = None) -> int:
        """The seed of one stream of this run, an integer below 2**63; the same in every process and every attempt.

        Args:
            stream: what is drawn from it: `init`, `order`, `augmentation`, `dropout`, `split`, `search`, or a word of
                yours. `dropout` differs from rank to rank, all others are the same on each.
            rank: the seed of one rank; by default that of this process where the stream differs by rank.

        Raises:
            UsageError: that is no stream, or there is no seed and there are several ranks.
        """
        return self._streams.seed_for(stream, rank)

    def generator(self, stream: str, *, kind: str = "torch", device: Any = None) -> Any:
        """A new generator, seeded with `seed_for(stream)`.

        Args:
            stream: as `seed_for` has it.
            kind: `torch` for a `torch.Generator`, `numpy` for a `numpy.random.Generator`, `jax` for a key of
                `jax.random`, `tensorflow` for a `tf.random.Generator`.
            device: where it draws, as the framework names devices.

        Raises:
            UsageError: as `seed_for`; or there is no such kind, or it is not installed.
        """
        from ..training.adapters import adapter

        return adapter(kind).generator(self.seed_for(stream), device=device)

    def seed_ranks_apart(self) -> None:
        """From here on each rank of a launch draws numbers of its own from Python's, NumPy's and torch's generators.

        All ranks of a launch are seeded alike, so that their models begin alike; with dropout they would then all drop
        the same units. Call this once the model is built. Rank 0 goes on as it was, so a program that runs alone is
        not changed.
        """
        self._streams.apart()

    def loader(
        self,
        dataset: Any,
        *,
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Any = None,
        drop_last: bool = False,
        num_workers: int = 0,
        uneven: Literal["drop", "keep"] = "drop",
        name: str | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        **options: Any,
    ) -> Any:
        """A torch DataLoader whose order and augmentation hang on the run's seed, the epoch and the sample alone.

        The same batches come with any number of workers, and of the ranks of a launch each gets its share. Around each
        sample, Python's `random`, NumPy's global generator and torch's on the CPU are seeded where the data set draws
        from them; `gitrepro.sample_generator()` is for code that takes a generator. Give the loader to
        `run.checkpoint(loader=...)`, and a training that was killed in the middle of an epoch goes on there.

        Args:
            dataset: with `__len__` and `__getitem__`.
            batch_size: samples in a batch of one rank.
            shuffle: another order each epoch.
            sampler: gives the order instead; it draws from generators that are seeded for the epoch.
            drop_last: leave out a last batch that is not full.
            num_workers: processes that read; 0 reads in this one.
            uneven: what becomes of samples that the ranks cannot share evenly: `drop` leaves them out, other ones each
                epoch; `keep` gives some ranks one more.
            name: tells several loaders of a run apart on record.
            rank, world_size: the place of this process; by default as torch's process group or the launcher says.
            options: as `torch.utils.data.DataLoader` has them: `collate_fn`, `pin_memory`, `persistent_workers`,
                `prefetch_factor`, `timeout`, `worker_init_fn`, `multiprocessing_context`.

        Returns:
            A `torch.utils.data.DataLoader` with `epoch`, `batches_done`, `state_dict()`, `load_state_dict(state)`.

        Raises:
            UsageError: arguments do not fit together, an epoch would have no batch, the data set can only be iterated,
                or there is no seed and there are several ranks.
        """
        return self._streams.loader(
            dataset, batch_size=batch_size, shuffle=shuffle, sampler=sampler, drop_last=drop_last,
            num_workers=num_workers, uneven=uneven, name=name, rank=rank, world_size=world_size, options=options,
        )  # fmt: skip


# -- from the events of a run to the field of its record


def streams(events: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The field `streams` of a record: the seed, what was derived from it, and the loaders as the first rank made them.

    Returns:
        None where the run asked for no stream and no loader.
    """
    told = [event for event in events if event.get("op") in ("streams", "loader")]
    if not told:
        return None
    names: dict[str, str] = {}
    loaders: dict[str, dict[str, Any]] = {}
    for event in told:
        if event["op"] == "streams":
            names.update(event["names"])
        else:
            _take(event, loaders)
    return {
        "loaders": [{"name": name, **loaders[name]} for name in sorted(loaders)[:_LOADERS_AT_MOST]],
        "names": dict(sorted(names.items())[:_STREAMS_AT_MOST]),
        "seed": told[0]["seed"],
        **({"source": _DRAWN} if any(event.get("source") == _DRAWN for event in told) else {}),
    }


def _take(event: Mapping[str, Any], loaders: dict[str, dict[str, Any]]) -> None:
    known = loaders.get(str(event["name"]))
    if known is None or event["rank"] <= known["rank"]:
        kept = {name: value for name, value in event.items() if name not in ("op", "name", "time_seconds")}
        loaders[str(event["name"])] = {**(known or {}), **kept}
