"""One run seed, many streams: each part of a training draws from a seed of its own.

A seed is derived by BLAKE3 in its key derivation mode, context `gitrepro seed v1`, from the run seed, the name of the
stream and any numbers (a rank, an epoch), as decimal text and UTF-8 with a zero byte between each. So a stream does not
move when another one is drawn from, and two streams never share numbers. FORMAT.md has test vectors.
"""

from __future__ import annotations

import sys
from typing import Final

from ..errors import UsageError

CONTEXT: Final = "gitrepro seed v1"
STREAMS: Final = ("init", "order", "augmentation", "dropout", "split", "search")
"""The streams with a meaning of their own; any other name is a stream too."""
BY_RANK: Final = ("dropout",)
"""Streams that differ from rank to rank of one launch; all others are the same on each."""
_NAME_CHARACTERS: Final = 100


def derive(run_seed: int, stream: str, *numbers: int) -> bytes:
    """32 bytes for one use of one stream.

    Args:
        run_seed: the seed of the run, not negative.
        stream: a name without zero bytes.
        numbers: what tells several uses apart, such as a rank and an epoch.
    """
    from blake3 import blake3

    words = [str(run_seed), stream, *map(str, numbers)]
    return blake3("\0".join(words).encode(), derive_key_context=CONTEXT).digest()


def as_seed(digest: bytes) -> int:
    """The first 8 bytes of a digest as a seed that every library takes: little-endian, below 2**63.

    NumPy's global generator and torch's on the CPU use the lower 32 bits of it.
    """
    return int.from_bytes(digest[:8], "little") >> 1


def seed_for(run_seed: int, stream: str, *numbers: int) -> int:
    """The seed of one use of one stream, an integer below 2**63. Arguments as `derive` has them."""
    return as_seed(derive(run_seed, stream, *numbers))


def seed_globals(seed: int) -> None:
    """Seed Python's `random`, NumPy's global generator and torch's, as far as they are imported.

    Args:
        seed: below 2**63; NumPy's generator takes the lower 32 bits of it.
    """
    import random

    from .seeds import as_gitrepro

    with as_gitrepro():
        random.seed(seed)
        if "numpy" in sys.modules:
            import numpy.random  # it loads this part of itself late

            numpy.random.seed(seed & 0xFFFFFFFF)
        if torch := sys.modules.get("torch"):
            torch.manual_seed(seed)


def check_stream(name: object) -> str:
    """A stream's name, as it may be.

    Raises:
        UsageError: it is empty, no text, too long, or holds what is no printable character.
    """
    if not isinstance(name, str) or not name or len(name) > _NAME_CHARACTERS or not name.isprintable():
        raise UsageError(f"stream {name!r:.60} is no name", do=f"give one of {', '.join(STREAMS)}, or a word of yours")
    return name
