"""What it costs to find duplicates, and how many of those that were planted are found; and of how many that were not.

Images are random waves with the amplitudes of photographs; texts are words drawn from a vocabulary as skewed as that of
a language. A thousandth of each are copies, changed a little.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from benchmarks.measure import AtLeast, AtMost, Open, Row, own_cpu_ms, report, row
from gitrepro.data.duplicates import Items, Pair, Pairs, exact, near_images, near_texts, near_vectors

EXAMPLES = int(os.environ.get("BENCH_EXAMPLES", "100000"))
SIDE = 32
CHARACTERS = 1000
COPIES = max(EXAMPLES // 1000, 5)


def drawn_images(rng: np.random.Generator) -> np.ndarray:
    """uint8, shape (n, 32, 32, 3): smooth random pictures, so that none is like another but by chance."""
    found = np.empty((EXAMPLES, SIDE, SIDE, 3), np.uint8)
    for start in range(0, EXAMPLES, 5000):
        count = min(5000, EXAMPLES - start)
        # Amplitudes fall with frequency, as in photographs (Field 1987).
        waves = np.fft.rfft2(rng.normal(size=(count, 3, SIDE, SIDE)))
        size = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)) * SIDE
        plain = np.fft.irfft2(waves / np.maximum(size, 1), s=(SIDE, SIDE))
        plain -= plain.min(axis=(1, 2, 3), keepdims=True)
        plain *= 255 / plain.max(axis=(1, 2, 3), keepdims=True)
        found[start : start + count] = plain.transpose(0, 2, 3, 1)
    return found


def drawn_texts(rng: np.random.Generator) -> list[str]:
    """Some 1,000 characters each, words drawn by Zipf's law."""
    syllables = np.array(["ka", "lo", "mi", "ren", "sta", "tu", "vo", "zel", "an", "or", "is", "pe"])
    vocabulary = ["".join(rng.choice(syllables, size)) for size in rng.integers(1, 5, 30_000)]
    chance = 1 / np.arange(10, len(vocabulary) + 10)
    edges = np.cumsum(chance / chance.sum())
    texts = []
    for _ in range(EXAMPLES):
        places = np.minimum(np.searchsorted(edges, rng.random(250)), len(vocabulary) - 1)
        text = " ".join(vocabulary[place] for place in places.tolist())
        texts.append(text[:CHARACTERS])
    return texts


def split(contents: np.ndarray | list[str]) -> dict[str, Items]:
    """Four fifths to train on, and the rest to be scored."""
    cut = len(contents) * 4 // 5
    return {
        "train": Items(ids=range(cut), contents=contents[:cut]),
        "test": Items(ids=range(cut, len(contents)), contents=contents[cut:]),
    }


def planted(pairs: Pairs) -> tuple[float, int]:
    """Per cent of the copies that were found, and how many other pairs; the copy of example k is the k-th last."""
    right = sum(map(_is_planted, pairs.pairs))
    return 100 * right / COPIES, len(pairs.pairs) - right


def _is_planted(pair: Pair) -> bool:
    return int(pair.a) < COPIES and int(pair.a) + int(pair.b) == EXAMPLES - 1


def images(rng: np.random.Generator) -> Iterator[Row]:
    pictures = drawn_images(rng)
    for k in range(COPIES):
        copy = pictures[k].astype(np.float32) * rng.uniform(0.8, 1.1) + rng.normal(0, 4, pictures[k].shape)
        pictures[-1 - k] = np.clip(copy, 0, 255)[:, :: -1 if k % 2 else 1]
    parts = split(pictures)
    yield from rows_of("exact images", parts, lambda: exact(parts), None, budget_seconds=60)
    yield from rows_of("near images", parts, lambda: near_images(parts), 90, budget_seconds=60)


def texts(rng: np.random.Generator) -> Iterator[Row]:
    documents = drawn_texts(rng)
    for k in range(COPIES):
        words = documents[k].split()
        for place in rng.choice(len(words), 3, replace=False).tolist():
            words[place] = "changed"
        documents[-1 - k] = " ".join(words)
    parts = split(documents)
    yield from rows_of("exact texts", parts, lambda: exact(parts), None, budget_seconds=120)
    yield from rows_of("near texts", parts, lambda: near_texts(parts, scored="test"), 90, budget_seconds=120)


def rows_of(
    name: str,
    parts: Mapping[str, Items],
    search: Callable[[], Pairs],
    least_percent: float | None,
    *,
    budget_seconds: float,
) -> Iterator[Row]:
    """CPU seconds, which two cores do in less, and what was found."""
    found: list[Pairs] = []
    seconds = own_cpu_ms(lambda: found.append(search())) / 1e3
    count = sum(map(len, parts.values()))
    print(f"{name}: {len(found[0].pairs)} pairs, left out {dict(found[0].left_out)}", file=sys.stderr, flush=True)
    yield row(f"duplicates: {name}, {count:,}", [seconds], budget=AtMost(budget_seconds), unit="s CPU")
    if least_percent is not None:
        percent, others = planted(found[0])
        yield row(f"duplicates: {name}: planted copies found", [percent], budget=AtLeast(least_percent), unit="%")
        yield row(f"duplicates: {name}: other pairs", [others], budget=AtMost(max(count / 10_000, 1)), unit="pairs")


def many_rows(rng: np.random.Generator) -> Iterator[Row]:
    """Ten times as many rows of a table, and a tenth as many vectors."""
    table = rng.normal(size=(EXAMPLES * 10, 8)).astype(np.float32)
    table[-1] = table[0]
    parts = split(table)
    yield from rows_of("exact rows", parts, lambda: exact(parts), None, budget_seconds=60)
    vectors = rng.normal(size=(EXAMPLES // 10, 128)).astype(np.float32)
    few = split(vectors)
    yield from rows_of("near vectors", few, lambda: near_vectors(few), None, budget_seconds=60)


def main() -> None:
    rng = np.random.default_rng(0)
    for measured in (images, texts, many_rows):
        for each in measured(rng):
            report(each)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report(row("duplicates: peak memory, data and all", [peak], budget=Open(), unit="MiB"))


if __name__ == "__main__":
    main()
