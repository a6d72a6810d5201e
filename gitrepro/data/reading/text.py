"""One text file at a time, as it is and normalised."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .images import Unreadable, open_regular

MOST_BYTES: Final = 64 << 20
"""Larger files are not read as one text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One text: UTF-8 (a byte order mark is dropped, also that of UTF-16).

    Attributes:
        characters: Unicode code points, normalised.
        words: what stands between white space.
        digest: BLAKE2b-128 of the normalised text.
    """

    characters: int
    words: int
    digest: bytes


def normalised(text: str) -> str:
    """NFC, case folded, every run of white space one space, none at the ends."""
    folded = unicodedata.normalize("NFC", text).casefold()
    # Folding may take a text out of NFC again.
    return " ".join(unicodedata.normalize("NFC", folded).split())


def read_text(path: Path, *, follow: bool = False) -> Text:
    """Read one text file.

    Raises:
        Unreadable: it is not UTF-8, larger than `MOST_BYTES`, or not to be read.
    """
    from hashlib import blake2b

    try:
        with open_regular(path, follow=follow) as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None
    text = normalised(_decoded(data))
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return Text(characters=len(text), words=len(text.split(" ")) if text else 0, digest=digest)


def _decoded(data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise Unreadable(f"it is larger than {MOST_BYTES:,} bytes")
    codec = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        raise Unreadable(f"byte {error.start:,} is not {codec.removesuffix('-sig').upper()}") from None
