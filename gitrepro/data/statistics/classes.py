"""How many items each label has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, final

from .strings import clipped, ranked

if TYPE_CHECKING:
    from .types import Wholes

CLASSES_DESCRIBED: Final = 1000
_MOST_REMEMBERED: Final = 1 << 20


@final
class Classes:
    """Labels that pass by."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._numbers: dict[str | None, int] = {}
        self._missing = 0

    def add(self, labels: Sequence[str | None]) -> Wholes:
        """Count labels; returns a number for each, int64, shape (n,), equal for equal labels."""
        import numpy as np

        for label, count in Counter(labels).items():
            if label is None:
                self._missing += count
            elif label in self._counts or len(self._counts) < _MOST_REMEMBERED:
                self._counts[label] += count
        numbers = self._numbers
        return np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.int64)

    def document(self) -> dict[str, Any]:
        """The classes, the most frequent ones first when there are too many, and counts of what is not shown."""
        shown: dict[str, int] = {}
        for label, count in ranked(self._counts, CLASSES_DESCRIBED).items():
            shown[clipped(label)] = shown.get(clipped(label), 0) + count
        return {"classes": shown, "class_count": len(self._counts), "missing_labels": self._missing}
