"""Where to cut a file so that what stays the same from one save to the next is stored once.

A splitter reads the table of contents of one format and *proposes* offsets, nothing more. The file is stored as the
concatenation of what lies between them, so a splitter that is wrong, or that was lied to, costs room and never a byte.
A new format enters as a new file here, and into `propose`.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

from . import safetensors, zipped
from .lengths import segment_lengths

__all__ = ["propose", "segment_lengths"]

_HEAD_BYTES: Final = 16


def propose(reader: BinaryIO, size_bytes: int) -> list[int] | None:
    """Offsets at which to cut a file, ascending, each inside it; None where no splitter knows the file.

    Args:
        reader: seekable; left anywhere.
        size_bytes: how long the file is.
    """
    try:
        reader.seek(0)
        head = reader.read(_HEAD_BYTES)
        if zipped.begins(head):
            found = zipped.cuts(reader, size_bytes)
        elif safetensors.begins(head):
            found = safetensors.cuts(reader, size_bytes)
        else:
            return None
    except (OSError, ValueError, OverflowError, struct.error):
        return None
    return sorted({offset for offset in found if 0 < offset < size_bytes}) or None
