"""A split and its parts, as a program uses them: ids, positions, arrays, torch subsets; and what was read of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from ..errors import Damaged, NotFound, UsageError
from ..records.partition import Partition, id_lines, in_order
from ..records.split import SplitRecord
from .counting import Reads

if TYPE_CHECKING:
    import numpy as np
    import torch

    from .splitting.asking import Items

_FOLD: Final = re.compile("fold-[0-9]+")


@final
class Split:
    """One version of a split of one version of a data set, opened for reading."""

    def __init__(self, record: SplitRecord, partition: Partition, dataset: Items) -> None:
        self.record = record
        self.dataset = dataset
        self._ids = partition.parts
        self._opened: dict[str, Part] = {}
        self.on_part: Callable[[Split, str], str | None] | None = None
        """Is asked before a part is handed out for the first time: by which opening; it raises where it may not be."""

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {count}" for name, count in self.parts.items())
        return f"<Split {self.name}@{self.version} of {self.dataset.record.ref}: {sizes}>"

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def version(self) -> str:
        return self.record.version

    @property
    def digest(self) -> str:
        return self.record.digest

    @property
    def parts(self) -> dict[str, int]:
        """The number of items of each part."""
        return {name: len(ids) for name, ids in self._ids.items()}

    @property
    def reads(self) -> dict[str, int]:
        """How many items of each part were read so far, in all processes. See `Part`."""
        return {name: part.reads for name, part in sorted(self._opened.items())}

    def part(self, name: str, *, fold: int | None = None) -> Part:
        """One part; asking again gives the same object, with the same count.

        Args:
            name: of the part; with `fold`, `train` for all folds but that one, any other name for the fold itself.
            fold: which fold of a k-fold split is held out, from 0.

        Raises:
            NotFound: there is no such part, or no such fold.
            Sealed: a run asks for a part that is to be used once, and has not opened it: see `Run.open_test`.
        """
        own, members = (name, (name,)) if fold is None else self._of_fold(name, fold)
        if own not in self._opened:
            for member in members:
                self._check_part(member)
            openings = [self.on_part(self, member) for member in members] if self.on_part is not None else []
            self._opened[own] = Part(own, [each for member in members for each in self._ids[member]], split=self)
            self._opened[own].opening = openings[0] if len(openings) == 1 else None
        return self._opened[own]

    def say_opened(self, name: str, opening: str | None) -> None:
        """Tell a part that was handed out before by which entry of the holdout log it is open now."""
        if name in self._opened:
            self._opened[name].opening = opening

    def _check_part(self, name: str) -> None:
        if name in self._ids:
            return
        folds = sum(map(_is_fold, self._ids))
        raise NotFound(
            f"split {self.name}@{self.version} has no part {name!r:.80}",
            why=f"its parts are {', '.join(list(self._ids)[:10])}",
            do=f'part("train", fold=0) is all folds but the first of {folds}' if folds else "ask for one of those",
        )

    def _of_fold(self, name: str, fold: int) -> tuple[str, tuple[str, ...]]:
        held_out = f"fold-{fold}"
        self._check_part(held_out)
        if name != "train":
            return held_out, (held_out,)
        return f"not-{held_out}", tuple(each for each in self._ids if _is_fold(each) and each != held_out)

    def positions(self, ids: Sequence[str]) -> np.ndarray:
        """Where these ids stand among the items of the data set: int64, shape (len(ids),).

        Raises:
            Damaged: one of them is not in the data set.
        """
        import numpy as np

        try:
            found = np.array([self._place_of(each) for each in ids], dtype=np.int64)
            if len(found) and found.max() >= self.dataset.record.items:
                raise KeyError(str(found.max()))
            return found
        except KeyError as error:
            raise Damaged(
                f"split {self.name}@{self.version} names {error} which is not in {self.dataset.record.ref}",
                why="they are not of one version of the data set",
                do=f"`gitrepro split check {self.dataset.record.ref} {self.name}`",
            ) from None

    @cached_property
    def _place_of(self) -> Callable[[str], int]:
        if self.dataset.record.id == "row":
            return int
        return {each: at for at, each in enumerate(self.dataset.ids())}.__getitem__


def _is_fold(name: str) -> bool:
    return _FOLD.fullmatch(name) is not None


@final
class Part:
    """The items of one part, in the order they have in the data set. Made by `Split.part`.

    What is read is counted: each item of a `subset`, each id of an iteration, all items by `take` and `files`. Who asks
    for `ids` or `indices` can read all of them unseen: the first time counts as one read of each.
    """

    def __init__(self, name: str, ids: Sequence[str], *, split: Split) -> None:
        self.name = name
        self.split = split
        self.opening: str | None = None
        """The id of the entry of the holdout log by which a run has opened it, see `Run.open_test`."""
        self._given = ids
        self._reads = Reads()
        self._handed_out = False

    def __repr__(self) -> str:
        return f"<Part {self.name} of {self.split!r}>"

    def __len__(self) -> int:
        return len(self._given)

    def __iter__(self) -> Iterator[str]:
        for each in self._ordered[0]:
            self._reads.add(1)
            yield each

    @property
    def ids(self) -> Sequence[str]:
        """The ids, in the order of the items."""
        self._hand_out()
        return self._ordered[0]

    @property
    def indices(self) -> np.ndarray:
        """The positions among all items of the data set: int64, shape (len(part),), ascending; not to be written to."""
        self._hand_out()
        return self._ordered[1]

    @property
    def reads(self) -> int:
        """How many items were read so far, in this process and those it started; one read twice counts twice."""
        return self._reads.total

    @cached_property
    def ids_digest(self) -> str:
        """`b3:` and the BLAKE3 of the ids, one a line as in the blob of the split: it says which items these are."""
        from ..store.objects import digest_of

        ordered = in_order(self._given, rows=self.split.dataset.record.id == "row")
        return digest_of([id_lines(ordered).encode()])

    def take(self, values: Any) -> Any:
        """The part's share of `values`, which has one entry for each item of the data set, in their order.

        Takes NumPy arrays, torch tensors, pandas frames and series, Arrow tables and arrays, lists and tuples; gives
        back the same kind.

        Raises:
            UsageError: it has another length than the data set has items.
        """
        self.check_whole(values)
        taken = _take(values, self._ordered[1])
        self._reads.add(len(self))
        return taken

    def subset(self, dataset: torch.utils.data.Dataset[Any]) -> torch.utils.data.Dataset[Any]:
        """The part of a torch map-style `Dataset` of all items. What a `DataLoader` reads of it is counted.

        Raises:
            UsageError: it has another length than the data set has items, or is an `IterableDataset`.
        """
        from torch.utils.data import IterableDataset

        from .subset import PartDataset

        if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__"):
            raise UsageError(
                f"{type(dataset).__name__} has no positions to take a part of",
                why="it can only be iterated",
                do="use a map-style Dataset, or iterate the part's ids",
            )
        if hasattr(dataset, "__len__"):
            self.check_whole(dataset)
        self._reads.share()
        return PartDataset(dataset, self._ordered[1], self._reads)

    def files(self) -> list[Path]:
        """The files of the part, where each item of the data set is a file.

        Raises:
            UsageError: its items are rows of a table.
        """
        record = self.split.dataset.record
        if record.id != "path":
            raise UsageError(
                f"the items of {record.ref} are no files", why=f"they are named by {record.id}", do="use `take`"
            )
        files = self.split.dataset.files()
        paths = [files[place] for place in self._ordered[1].tolist()]
        self._reads.add(len(self))
        return paths

    def check_whole(self, values: Any) -> None:
        """See that `values` has one entry for each item of the data set.

        Raises:
            UsageError: it has more or fewer.
        """
        record = self.split.dataset.record
        if len(values) != record.items:
            raise UsageError(
                f"{type(values).__name__} has {len(values):,} entries, and {record.ref} has {record.items:,} items",
                why="a part is taken by the position of its items in the whole data set",
                do="give all of them, in the order of the data set",
            )

    def _hand_out(self) -> None:
        if not self._handed_out:
            self._handed_out = True
            self._reads.add(len(self))

    @cached_property
    def _ordered(self) -> tuple[Sequence[str], np.ndarray]:
        import numpy as np

        places = self.split.positions(self._given)
        order = np.argsort(places, kind="stable")
        places = places[order]
        places.flags.writeable = False
        if (order[1:] > order[:-1]).all():
            return self._given, places
        return [self._given[at] for at in order.tolist()], places


def _take(values: Any, places: np.ndarray) -> Any:
    if hasattr(values, "iloc"):
        return values.iloc[places]
    if isinstance(values, (list, tuple)):
        return type(values)([values[at] for at in places.tolist()])
    if type(values).__module__.partition(".")[0] == "pyarrow":
        return values.take(places)
    return values[_writeable(values, places)]


def _writeable(values: Any, places: np.ndarray) -> np.ndarray:
    # torch warns of arrays that may not be written to.
    return places.copy() if type(values).__module__.partition(".")[0] == "torch" else places
