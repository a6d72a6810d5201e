"""The seed of a run, in one value or one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def the_seed(seeds: Mapping[str, Any]) -> Any:
    """The one seed in force: what every generator ran with, else what was asked for."""
    effective = set(map(str, effective_seed(seeds).values()))
    if len(effective) == 1:
        return next(iter(effective_seed(seeds).values()))
    return seeds.get("requested")


def effective_seed(seeds: Mapping[str, Any]) -> dict[str, Any]:
    """Each generator that was seeded, with its seed; of a program that nobody looked into, what was asked for."""
    effective = seeds.get("effective")
    pairs = effective.items() if isinstance(effective, dict) else ()
    found = {str(name): seed for name, seed in pairs if seed is not None}
    if not found and seeds.get("requested") is not None:
        return {"requested": seeds["requested"]}
    return found


def seed_text(seeds: Mapping[str, Any]) -> str:
    """The seed of a run as people write it; where the generators ran with different ones, each by name."""
    effective = effective_seed(seeds)
    values = {str(value) for value in effective.values()}
    return values.pop() if len(values) == 1 else " ".join(f"{name}={seed}" for name, seed in sorted(effective.items()))
