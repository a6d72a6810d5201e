"""Which examples the last batches held: what to look at when a training breaks."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, final
from weakref import WeakKeyDictionary

from .steps import Fetch

BATCHES: Final = 20
_IDS_AT_MOST: Final = 256
_TEXT_CHARACTERS: Final = 100


@final
class LastBatches:
    """The ids of the last batches, kept as they came and made plain only when somebody asks.

    Those of a DataLoader are the indices its sampler drew. A batch that is fetched where no gradient is wanted is one
    of validation, and is passed over.
    """

    def __init__(self) -> None:
        self._drawn: WeakKeyDictionary[Any, deque[Any]] = WeakKeyDictionary()
        self._recent: deque[tuple[int | None, Any]] = deque(maxlen=BATCHES)
        self.step: int | None = None

    def add(self, ids: Any) -> None:
        self._recent.append((self.step, ids))

    def indexed(self, iterator: Any, index: Any) -> None:
        """A DataLoader has drawn the indices of a batch that will come."""
        self._drawn.setdefault(iterator, deque()).append(index)

    def fetched(self, fetch: Fetch) -> None:
        """A DataLoader hands over a batch."""
        drawn = self._drawn.get(fetch.iterator)
        if fetch.ended or not drawn:
            return
        ids = drawn.popleft()
        torch = sys.modules.get("torch")
        if torch is None or torch.is_grad_enabled():
            self.add(ids)

    def plain(self) -> list[dict[str, Any]]:
        """Each with the step that was logged last before it, and its ids, as far as they are numbers or words."""
        return [{"after_step": step, **_listed(ids)} for step, ids in self._recent]


def _listed(ids: Any) -> dict[str, Any]:
    found = ids.tolist() if hasattr(ids, "tolist") else ids
    if isinstance(found, (str, bytes)) or not isinstance(found, Iterable):
        found = [found]
    every = list(found)
    more = {"left_out": len(every) - _IDS_AT_MOST} if len(every) > _IDS_AT_MOST else {}
    return {"ids": [_plain(each) for each in every[:_IDS_AT_MOST]], **more}


def _plain(each: Any) -> Any:
    if each is None or isinstance(each, bool):
        return each
    if hasattr(each, "__index__"):
        return int(each.__index__())
    return str(each)[:_TEXT_CHARACTERS]
