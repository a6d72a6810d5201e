"""Other seeds for a recorded command: which words and values give one, and the same with another in its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from ..capture import config as configs
from ..errors import UsageError
from ..records.run import RunRecord
from ..records.seeds import effective_seed
from ..records.seedset import is_seed

LIMIT: Final = 2**32
MOST: Final = 1_000
# These give the seed of one part, which may be meant to stay; the others give that of the whole run.
_OF_A_PART: Final = frozenset("base_seed data_seed model_seed np_seed numpy_seed random_state torch_seed".split())


def parse_seeds(text: str) -> tuple[int, ...]:
    """The seeds that `0..4`, `1,2,3` or `0..4,17` stand for, in this order.

    Raises:
        UsageError: it stands for none, for one twice, or for more than 1,000.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        low, high = _seed(first, text), _seed(last if dots else first, text)
        if high - low >= MOST:
            raise UsageError(f"{part.strip()!r:.60} are {high - low + 1} seeds", why=f"at most {MOST} run at once")
        seeds += range(low, high + 1)
    if not seeds or len(seeds) > MOST or len({*seeds}) < len(seeds):
        why = "the range is empty" if not seeds else "one of them stands there twice, or there are too many"
        raise UsageError(f"{text!r:.60} is no list of seeds", why=why, do="write 0..4 or 1,2,3")
    return tuple(seeds)


def _seed(word: str, text: str) -> int:
    word = word.strip()
    if not (word.isascii() and word.isdecimal()) or len(word) > 10 or int(word) >= LIMIT:
        raise UsageError(
            f"{text!r:.60} is no list of seeds", why="a seed is an integer from 0 to 4294967295", do="write 0..4"
        )
    return int(word)


def draw(count: int, *, taken: Collection[int], random: Callable[[int], bytes] = os.urandom) -> tuple[int, ...]:
    """`count` new seeds, each another one, and none of them `taken`."""
    found: dict[int, None] = {}
    while len(found) < count:
        seed = int.from_bytes(random(4), "little")
        if seed not in taken:
            found[seed] = None
    return tuple(found)


def seeds_of(record: RunRecord) -> frozenset[int]:
    """Every seed that was in force in a run, or asked for."""
    values = [record.seeds.get("requested"), *effective_seed(record.seeds).values()]
    return frozenset(value for value in values if isinstance(value, int))


def reseed_argv(argv: Sequence[str], known: Collection[int], seed: int) -> tuple[str, ...]:
    """The command with another seed wherever it gives one: `--seed 3`, `--seed=3`, `seed=3`, `train.seed=3`.

    A word that seeds one part alone (`--data-seed 7`) stays, unless that was the seed of the run too.

    Args:
        known: the seeds of the recorded run.
    """
    words = list(argv)
    for place, start in _places(argv, known):
        words[place] = words[place][:start] + str(seed)
    return tuple(words)


def seed_words(argv: Sequence[str], known: Collection[int]) -> tuple[int, ...]:
    """The places of the words in which `reseed_argv` puts another seed."""
    return tuple(place for place, _ in _places(argv, known))


def _places(argv: Sequence[str], known: Collection[int]) -> Iterator[tuple[int, int]]:
    """Where a seed stands: the place of the word, and where in it the number begins."""
    for place, word in enumerate(argv):
        name, equals, value = word.partition("=")
        bare = name.lstrip("-+")
        if place == 0 or not is_seed(bare) or not (equals or name.startswith("-")):
            continue
        if not equals:
            value = argv[place + 1] if place + 1 < len(argv) else ""
        if _gives(bare, value, known):
            yield (place, len(name) + 1) if equals else (place + 1, 0)


def _gives(name: str, value: str, known: Collection[int]) -> bool:
    if not (value.isascii() and value.isdecimal()):
        return False
    part = name.rpartition(".")[2].replace("-", "_").lower() in _OF_A_PART
    return int(value) in known or not part


def reseed_config(values: Mapping[str, Any], known: Collection[int], seed: int) -> dict[str, Any]:
    """The same for a nested config that stood on no command line."""
    return {
        key: reseed_config(value, known, seed)
        if isinstance(value, Mapping)
        else seed
        if is_seed(key) and type(value) is int and _gives(key, str(value), known)
        else value
        for key, value in values.items()
    }


def layers(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The parts of a recorded config that came from `--config FILE` and `--set`: the source, and nested values.

    What the command line gives and what the program sets itself come again by themselves.
    """
    found: dict[str, dict[str, Any]] = {}
    sources = document.get("sources") or {}
    leaves = configs.flatten(document.get("values") or {})
    for dotted, value in leaves.items():
        source = str(sources.get(dotted, ""))
        if source == "set" or source.startswith("file:"):
            *folders, name = configs.split_key(dotted)
            place = found.setdefault(source, {})
            for folder in folders:
                place = place.setdefault(folder, {})
            place[name] = value
    # In the order in which `record` lays them over each other.
    yield from sorted(found.items(), key=lambda item: item[0] == "set")
