"""Words for a full-text search: one rule for what is indexed and for what is asked.

A word is a run of letters and digits, in one case and without accents. SQLite's `ascii` tokenizer cuts a line of these
words at the same places, so that the index and a plain Python test agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

WORDS_AT_MOST: Final = 2_000
CHARACTERS_AT_MOST: Final = 20_000

_ASCII = re.compile("[a-z0-9]+")


def words_of(text: str) -> list[str]:
    """The words of a text in their order, repeated ones too."""
    if text.isascii():
        return _ASCII.findall(text.lower())
    import unicodedata

    apart = unicodedata.normalize("NFKD", text).casefold()
    bare = (character for character in apart if not unicodedata.combining(character))
    return "".join(character if character.isalnum() else " " for character in bare).split()


def vocabulary(texts: Iterable[str]) -> tuple[str, ...]:
    """The different words of several texts. Of a long text its beginning counts."""
    found: dict[str, None] = {}
    for text in texts:
        found.update(dict.fromkeys(words_of(text[:CHARACTERS_AT_MOST])))
        if len(found) > WORDS_AT_MOST:
            break
    return tuple(found)[:WORDS_AT_MOST]
