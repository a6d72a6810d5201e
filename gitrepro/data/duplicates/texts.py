"""Texts that are nearly the same, or of which one contains a good share of the other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...errors import UsageError
from .equal import confirmed, equal_rows
from .pairs import Candidates, Items, Pair, Pairs, Rows, Tell, silent
from .passages import PARTS_PER, contained
from .shingles import shingled, similar


def near_texts(
    parts: Mapping[str, Items], *, scored: str | None = None, similarity: float = 0.7, tell: Tell = silent
) -> Pairs:
    """Pairs of texts that share most of their words in the same order.

    Words are compared after NFC and case folding, and punctuation does not count. By kind:

    - `text`: the sets of 5-word shingles have a Jaccard similarity of at least `similarity` (`shingles.py` says how
      they are found, and how many are missed);
    - `passage`: at least a fifth of the 13-word passages of a text of the scored part stand in one text of another
      part (`passages.py`); where a pair is both, it is a `text`.

    Of 416 paragraphs of 120 words, with three words changed in each, 86 % are found as texts and all with passages;
    with six changed 2 % and 99 %, with twelve none and 63 %.

    Left out, and counted as `short`: texts of fewer than five words.

    Memory grows by some 350 bytes a text, and by some 40 bytes a word of the scored part.

    Args:
        parts: by name, in the order of search; contents are texts (str, or bytes in UTF-8).
        scored: the part whose texts are also looked for as passages of the others.
        similarity: least Jaccard similarity of the sets of 5-word shingles, above 0 and at most 1.
        tell: called now and then with how far it is.

    Raises:
        UsageError: a content is no text, there is no part `scored`, or rensa is not installed.
    """
    if scored is not None and scored not in parts:
        raise UsageError(f"there is no part {scored!r}", why=f"there are {', '.join(parts) or 'none'}")
    if not 0 < similarity <= 1:
        raise UsageError(f"similarity is {similarity}", why="it is above 0 and at most 1")
    rows = Rows(parts)
    candidates = Candidates(rows)
    there = shingled(rows, candidates, tell)
    equal = equal_rows(rows, tell=tell)
    kept = candidates.best()
    texts = confirmed(similar(kept, rows, similarity, tell), "text", rows, equal)
    quoted = Candidates(rows)
    looked_for = contained(rows, scored, quoted, tell) if scored is not None else 0
    found = quoted.best()[:, :3] / np.array([1, 1, PARTS_PER])
    passages = _without(confirmed(found, "passage", rows, equal), texts)
    short = int(len(rows) - there.sum())
    return Pairs(
        pairs=(*texts, *passages),
        examples=int(there.sum()),
        left_out={"short": short} if short else {},
        numbers={"candidates": float(len(kept)), "looked for as passages": float(looked_for)},
    )


def _without(passages: list[Pair], texts: list[Pair]) -> list[Pair]:
    """Those of which the later text has no near one in that part already."""
    known = {(each.part_b, each.b, each.part_a) for each in texts}
    return [each for each in passages if (each.part_b, each.b, each.part_a) not in known]
