"""Canonical contents: what is left of an example when the ways of writing it down are taken away."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np


def keys_of(contents: Any) -> tuple[np.ndarray, np.ndarray]:
    """128 bits for each content, uint64 of shape (n, 2), and which are texts without a letter, bool of shape (n,)."""
    if isinstance(contents, np.ndarray) and contents.dtype.kind in "fiub":
        plain = canonical(contents)
        head = _head(plain.shape[1:])
        return _words(_digest(head + row.tobytes()) for row in plain), np.zeros(len(contents), bool)
    digests = [_digest_of(each) for each in contents]
    empty = np.array([each is None for each in digests], bool)
    return _words(each or bytes(16) for each in digests), empty


def text_of(content: str | bytes) -> str:
    """The text after NFC and case folding, words apart by single spaces."""
    text = content if isinstance(content, str) else content.decode("utf-8", "replace")
    folded = text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()
    return " ".join(folded.split())


def pixels_of(image: Any) -> np.ndarray:
    """The decoded pixels of an image of Pillow's: shape (h, w) or (h, w, channels), palettes resolved."""
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    return np.asarray(image)


def canonical(values: np.ndarray) -> np.ndarray:
    """Narrow numbers as float32, wide integers as int64, zeros and NaNs of one kind."""
    # Whole numbers beyond 2^24 keep their bits: as float32 neighbours would be one.
    if values.dtype.kind in "iu" and values.dtype.itemsize > 2:
        return values.astype(np.int64)
    with np.errstate(over="ignore"):
        plain = values.astype(np.float32) + np.float32(0)
    if values.dtype.kind == "f":
        plain[np.isnan(plain)] = np.nan
    return plain


def _digest_of(content: Any) -> bytes | None:
    if isinstance(content, str | bytes):
        text = text_of(content)
        return _digest(b"text " + text.encode("utf-8", "surrogatepass")) if text else None
    values = pixels_of(content) if hasattr(content, "getbands") else _array(content)
    if values is None or values.dtype.kind not in "fiub":
        return _digest(b"repr " + repr(content).encode("utf-8", "surrogatepass"))
    plain = canonical(np.atleast_1d(values)).reshape(values.shape)
    return _digest(_head(values.shape) + plain.tobytes())


def _array(content: Any) -> np.ndarray | None:
    try:
        return np.asarray(content)
    except ValueError:
        return None


def _head(shape: tuple[int, ...]) -> bytes:
    return f"array {shape} ".encode()


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


def _words(digests: Iterable[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64).reshape(-1, 2)
