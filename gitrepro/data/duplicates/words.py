"""Texts as numbers: a word of 64 bits for each word, and for each run of n words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, Final, final

import numpy as np

from ...errors import UsageError
from .pairs import Rows

# Letters of scripts that put no spaces between words (kana, Chinese characters) count as words by themselves.
_ALONE: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]+")
_KNOWN_AT_MOST: Final = 1_000_000
_CHARACTERS: Final = 4_000_000


@final
class Words(dict[str, int]):
    """Words as numbers, equal everywhere; remembers a million of them."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _KNOWN_AT_MOST:
            self.clear()
        raw = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        found = self[word] = int.from_bytes(raw, "little")
        return found

    def of(self, texts: Iterable[str | bytes]) -> tuple[np.ndarray, np.ndarray]:
        """The words of all texts after one another, uint64, and where each text's end, int64 of shape (n + 1,)."""
        found: list[int] = []
        ends = [0]
        for text in texts:
            found += map(self.__getitem__, words_in(text))
            ends.append(len(found))
        return np.array(found, np.uint64), np.array(ends, np.int64)


def words_in(text: str | bytes) -> list[str]:
    """The words of a text: after NFC and case folding, without what stands between them."""
    plain = text if isinstance(text, str) else text.decode("utf-8", "replace")
    folded = plain.lower() if plain.isascii() else unicodedata.normalize("NFC", plain).casefold()
    return _WORD.findall(folded)


def grams(words: np.ndarray, ends: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """A number for each run of `length` words in one text, uint64, and where each text's end, int64 of shape (n + 1,).

    Texts with fewer words have none.
    """
    counts = np.maximum(np.diff(ends) - length + 1, 0)
    until = np.concatenate([[0], np.cumsum(counts)])
    if not until[-1]:
        return np.zeros(0, np.uint64), until
    total = np.zeros(len(words) - length + 1, np.uint64)
    with np.errstate(over="ignore"):
        for place in range(length):
            # The place enters by an odd factor, so that the same words in another order are another run.
            factor = np.uint64((0x9E3779B97F4A7C15 * (2 * place + 1)) % (1 << 64) | 1)
            total += _mixed(words[place : len(words) - length + 1 + place] ^ np.uint64(place)) * factor
    first = np.repeat(ends[:-1] - until[:-1], counts) + np.arange(until[-1])
    return _mixed(total[first]), until


def _mixed(words: np.ndarray) -> np.ndarray:
    """splitmix64 (Steele, Lea and Flood 2014): neighbouring numbers come far apart."""
    with np.errstate(over="ignore"):
        words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed: np.ndarray = words ^ (words >> np.uint64(31))
    return mixed


def text_blocks(rows: Rows, *, only: str | None = None) -> Iterator[tuple[int, list[Any]]]:
    """Texts of all parts or of one, four million characters or one text at a time, with the row of the first.

    Raises:
        UsageError: a content is no text.
    """
    for name, items in rows.parts.items():
        if only is not None and name != only:
            continue
        start = int(rows.starts[rows.names.index(name)])
        block: list[Any] = []
        size = 0
        for place, text in enumerate(items.contents):
            if not isinstance(text, str | bytes):
                raise UsageError(f"part {name!r}, example {place} is no text", why=f"it is of {type(text).__name__}")
            block.append(text)
            size += len(text)
            if size >= _CHARACTERS:
                yield start, block
                start, block, size = start + len(block), [], 0
        if block:
            yield start, block
