"""The data sets that `make_store.py` adds: odd names, every kind of data, a file that is kept in pieces."""

from __future__ import annotations

import itertools
import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np


def ends_a_shard() -> bytes:
    """A path after which a shard of a tree ends: its CRC-32 has ten zero bits at its end."""
    return next(name for n in itertools.count() if not zlib.crc32(name := b"m/%d.bin" % n) & 1023)


def tensors() -> bytes:
    """A safetensors file of 17 tensors that are all the same: over 1 MiB, of which 64 KiB are kept."""
    data = bytes(n * n % 251 for n in range(1 << 16))
    header = {
        f"layer.{n:02d}": {"dtype": "U8", "shape": [256, 256], "data_offsets": [n << 16, (n + 1) << 16]}
        for n in range(17)
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data * 17


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """An image of one colour, in bytes that do not depend on how well zlib packs."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(colour) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 0)) + chunk(b"IEND", b"")


ODD: dict[bytes, bytes] = {
    b".hidden": b"hidden\n",
    b"a b.txt": b"a space\n",
    b"back\\slash.txt": b"a backslash\n",
    b"control\n\x1b\x7f.txt": b"control characters\n",
    b"latin-\xe9.bin": b"no UTF-8\n",
    "ünï/😀.txt".encode(): b"beyond ASCII\n",
    "ünï/e\u0301.txt".encode(): b"two code points\n",
    b"m.txt": b"sorts before the folder m: a dot is less than a slash\n",
    b"m/a.bin": b"same\n",
    b"m/b.bin": b"same\n",
    b"run.sh": b"#!/bin/sh\n",
    b"zero": b"",
    ends_a_shard(): b"the last of its shard\n",
    b"z/weights.safetensors": tensors(),
}
NAMES = ["plain", "back\\slash", "tab\there", "é", "😀", *(f"n{n:02d}" for n in range(15))]
DIGITS = "name,digit,area,brightness,taken_at,word\n" + "".join(
    f"{name},{n % 3},{n * n},{'' if n == 7 else n / 8 - 1},2026-01-{n + 1:02d}T00:00:00,{'abc'[n % 3] * (n % 4)}\n"
    for n, name in enumerate(NAMES)
)
TEXTS = {"a/1.txt": "The  quick\nbrown fox\n", "a/2.txt": "the quick brown fox", "b/3.txt": "café"}
IMAGES = {"red/1.png": (4, 3, (255, 0, 0)), "red/2.png": (4, 3, (255, 0, 0)), "grey/3.png": (2, 5, (51, 102, 153))}
LINES = [{"id": "a", "n": 1, "tags": ["x"]}, {"id": "b", "n": 2.5, "tags": []}, {"id": "c", "n": None, "tags": None}]


def write_sources(root: Path) -> None:
    for name, data in ODD.items():
        path = Path(os.fsdecode(os.fsencode(root / "odd") + b"/" + name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755 if name.endswith(b".sh") else 0o644)
    (root / "odd" / "empty").mkdir()
    (root / "odd" / "link").symlink_to("ünï/😀.txt")
    (root / "digits.csv").write_text(DIGITS)
    np.savez(root / "pixels.npz", x=np.arange(40.0).reshape(10, 4) ** 2, y=np.arange(10) % 2)
    for name, text in TEXTS.items():
        (root / "texts" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "texts" / name).write_text(text)
    for name, (width, height, colour) in IMAGES.items():
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "images" / name).write_bytes(png(width, height, colour))
    (root / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
