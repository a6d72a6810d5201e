"""Seed sets: runs that differ in nothing but chance. They form by themselves, from what is on record.

Two runs are of one set when their kind, code tree, data, preprocessing and config are equal, the seeds in the config
aside. Where a run has no config, its command counts, without the options that give a seed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .run import RunRecord, Status
from .seeds import seed_text

SEED_NAMES: Final = frozenset(
    "seed seeds random_seed manual_seed random_state rng_seed global_seed base_seed np_seed numpy_seed torch_seed"
    " data_seed model_seed seed_everything".split()
)
"""The last part of a config key, or the name of an option, that gives a seed and nothing else."""

_DATA_IDENTITY: Final = ("dataset", "digest", "name", "part", "split", "tree", "version")


def seed_set_key(record: RunRecord, config_values: Mapping[str, Any]) -> str:
    """The name of the seed set a run belongs to. `config_values` is its effective config, nested."""
    code = record.code or {}
    document = {
        "kind": str(record.kind),
        "code": code.get("tree") or code.get("commit"),
        "data": sorted(map(_identity, record.data), key=lambda entry: json.dumps(entry, sort_keys=True, default=str)),
        "preprocess": _digest(record.preprocess),
        "config": without_seeds(config_values),
    }
    if not config_values:
        document["argv"] = list(argv_without_seeds(record.argv))
    import hashlib  # loads OpenSSL, and a list needs no digest

    data = json.dumps(document, sort_keys=True, default=str)
    return hashlib.sha256(data.encode()).hexdigest()[:24]


def _identity(entry: Any) -> Any:
    # What was observed of the data this time (how it was checked, what was read) is no part of which data it was.
    if not isinstance(entry, dict):
        return entry
    if digest := entry.get("digest"):
        # Content has one name; people may give it several.
        return {"digest": digest, "splits": sorted(str(split.get("digest")) for split in _maps(entry.get("splits")))}
    return {name: entry[name] for name in _DATA_IDENTITY if name in entry} or entry


def _maps(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _digest(preprocess: Any) -> Any:
    return preprocess.get("digest") if isinstance(preprocess, dict) else preprocess


def is_seed(name: str) -> bool:
    """Whether a config key, or an option, names a seed."""
    return name.rpartition(".")[2].replace("-", "_").lower() in SEED_NAMES


def without_seeds(values: Mapping[str, Any]) -> dict[str, Any]:
    """A nested config without the leaves that give a seed."""
    return {
        str(key): without_seeds(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if isinstance(value, dict) or not is_seed(str(key))
    }


def argv_without_seeds(argv: Sequence[str]) -> Iterator[str]:
    """A command without `--seed 3`, `--seed=3`, `seed=3`, `train.seed=3` and the like."""
    skip = False
    for place, word in enumerate(argv):
        name, equals, _ = word.partition("=")
        seeds = place > 0 and is_seed(name.lstrip("-+")) and bool(equals or word.startswith("-"))
        if not seeds and not (skip and not word.startswith("--")):
            # The same interpreter may be called by its name or by its path.
            yield word if place else word.rpartition("/")[2]
        skip = seeds and not equals


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One metric over the draws of a set. `std` is the sample standard deviation (n - 1); None for a single draw."""

    mean: float
    std: float | None
    values: tuple[tuple[str, str, float], ...]
    """Run, seed and value of each draw."""

    @property
    def n(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSet:
    """Runs of one set, newest first, and what they add up to.

    A draw is a finished run with a known seed. Of several with the same seed the newest counts and the others are
    `repeated`: the same draw twice is no second draw. Runs that did not finish, and those whose seed nobody knows, are
    named and do not count. One value that is NaN or infinite makes the mean NaN: a diverged run is not left out.
    """

    key: str
    runs: tuple[Mapping[str, Any], ...]
    draws: Mapping[str, Mapping[str, Any]]
    """By seed, the run that counts for it."""
    repeated: tuple[str, ...]
    unseeded: tuple[str, ...]
    unfinished: tuple[str, ...]
    metrics: Mapping[str, Spread]

    @property
    def newest(self) -> Mapping[str, Any]:
        return self.runs[0]


def seed_set(key: str, runs: Sequence[Mapping[str, Any]]) -> SeedSet:
    """Put runs of one set together. `runs` are listings, newest first, at least one."""
    draws: dict[str, Mapping[str, Any]] = {}
    left: dict[str, list[str]] = {"repeated": [], "unseeded": [], "unfinished": []}
    for run in runs:
        seed = seed_text(run["seeds"])
        finished = run["status"] == Status.FINISHED
        why = "unfinished" if not finished else "unseeded" if not seed else "repeated" if seed in draws else ""
        if why:
            left[why].append(str(run["id"]))
        else:
            draws[seed] = run
    ordered = dict(sorted(draws.items(), key=lambda item: _by_number(item[0])))
    names = dict.fromkeys(name for run in ordered.values() for name in run["summary"])
    spreads = {name: spread for name in names if (spread := _spread(name, ordered))}
    kept = {name: tuple(ids) for name, ids in left.items()}
    return SeedSet(key=key, runs=tuple(runs), draws=ordered, metrics=spreads, **kept)


def _by_number(seed: str) -> tuple[int, int, str]:
    return (0, int(seed), "") if seed.isascii() and seed.isdigit() and len(seed) < 40 else (1, 0, seed)


def _spread(name: str, draws: Mapping[str, Mapping[str, Any]]) -> Spread | None:
    values = []
    for seed, run in draws.items():
        value = run["summary"].get(name)
        if isinstance(value, (int, float)):
            values.append((str(run["id"]), seed, _as_float(value)))
    return spread_of(values) if values else None


def spread_of(values: Sequence[tuple[str, str, float]]) -> Spread:
    """The mean and the standard deviation of at least one value, each with its run and seed."""
    numbers = [value for _, _, value in values]
    return Spread(mean=_mean(numbers), std=_std(numbers), values=tuple(values))


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _mean(numbers: Sequence[float]) -> float:
    if not all(map(math.isfinite, numbers)):
        return math.nan
    # Each is divided first: the sum of large ones has no place in a float. The mean of equal numbers is that number.
    mean = math.fsum(number / len(numbers) for number in numbers)
    return min(max(mean, min(numbers)), max(numbers))


def _std(numbers: Sequence[float]) -> float | None:
    if len(numbers) < 2:
        return None
    mean = _mean(numbers)
    return math.hypot(*((number - mean) / math.sqrt(len(numbers) - 1) for number in numbers))
