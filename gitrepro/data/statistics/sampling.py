"""Samples that depend on a key and on names alone, never on a generator's state or on the order of work."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from .types import Floats, Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Which items are described: all, or those whose id hashes below a threshold.

    An item is in when BLAKE2b-64 of its id, keyed by the seed as 8 bytes little-endian, is below `threshold`. About
    `at_most` of the items are.
    """

    seed: int
    threshold: int | None

    @classmethod
    def of(cls, items: int, *, at_most: int, seed: int) -> Sample:
        return cls(seed=seed, threshold=None if items <= at_most else (at_most << 64) // items)

    def __contains__(self, id: str) -> bool:
        return self.threshold is None or keyed(id, self.seed) < self.threshold


def keyed(id: str, seed: int) -> int:
    """BLAKE2b-64 of an id, keyed by the seed."""
    key = (seed % (1 << 64)).to_bytes(8, "little")
    return int.from_bytes(blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest(), "little")


def mixed(words: Words) -> Words:
    """SplitMix64's finaliser (Steele, Lea and Flood 2014) of each word: equal words give equal words, else noise."""
    import numpy as np

    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def priorities(first: int, count: int) -> Words:
    """One word for each of the places `first`, `first + 1`, …: who has zeros in front stays in a small sample."""
    import numpy as np

    places = np.arange(first, first + count, dtype=np.uint64)
    return mixed((places + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))


@final
class Kept:
    """At most `bound` of the values that pass: all of them, or those of which the priority has the most zeros in front.

    Which are kept depends on the priorities alone, not on the pieces they come in.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._parts: list[tuple[Floats, Words]] = []
        self._held = 0
        self._zeros = 0
        self.seen = 0

    def add(self, values: Floats, priority: Words) -> None:
        self.seen += values.size
        self._hold(values, priority)
        while self._held > self._bound:
            self._zeros += 1
            parts, self._parts, self._held = self._parts, [], 0
            for part in parts:
                self._hold(*part)

    def _hold(self, values: Floats, priority: Words) -> None:
        import numpy as np

        if self._zeros:
            stays = priority < np.uint64(1 << (64 - self._zeros))
            values, priority = values[stays], priority[stays]
        self._parts.append((values, priority))
        self._held += values.size

    def quantiles(self) -> dict[str, Any]:
        """Quantiles by linear interpolation between order statistics (type 7 of Hyndman and Fan 1996)."""
        import numpy as np

        if not self._held:
            return {}
        ordered = np.sort(np.concatenate([values for values, _ in self._parts]))
        found: dict[str, Any] = {name: _between(ordered, share) for name, share in QUANTILES.items()}
        if self._zeros:
            found["of"] = int(ordered.size)
        return found


QUANTILES = {"p01": 0.01, "p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}


def _between(ordered: Floats, share: float) -> float:
    place = share * (ordered.size - 1)
    lower = int(place)
    part = place - lower
    low = float(ordered[lower])
    return low + part * (float(ordered[min(lower + 1, ordered.size - 1)]) - low) if part else low
