"""A part as a torch `Dataset`. The one module here that loads torch when it is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from torch.utils.data import Subset

if TYPE_CHECKING:
    import numpy as np

    from .counting import Reads


@final
class PartDataset(Subset[Any]):
    """The items of a torch data set that are in one part, and a count of how often they are read.

    Picklable when the data set inside is; workers that a `DataLoader` forks or spawns count for the same part. A batch
    is passed through as one when the data set inside has `__getitems__`.
    """

    def __init__(self, dataset: Any, indices: np.ndarray, reads: Reads) -> None:
        super().__init__(dataset, indices)  # type: ignore[arg-type]
        self.reads = reads

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, list):
            return self.dataset[self._places(idx)]
        item = self.dataset[self.indices.item(idx)]  # type: ignore[attr-defined]
        self.reads.add(1)
        return item

    def __getitems__(self, indices: list[int]) -> Any:
        inside = self.dataset
        places = self._places(indices)
        fetch = getattr(inside, "__getitems__", None)
        return fetch(places) if fetch else [inside[place] for place in places]

    def _places(self, indices: list[int]) -> list[int]:
        self.reads.add(len(indices))
        places: list[int] = self.indices[indices].tolist()  # type: ignore[call-overload]
        return places
