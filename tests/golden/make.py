"""Write the golden files of records and metric tables: `python tests/golden/make.py tests/golden/v1`.

The files of a released format stay as they are for ever, and every later version reads them. This script says what is
in them, and shows that the same content still gives the same bytes; a new format gets a new folder.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from gitrepro.records import yaml
from gitrepro.records.metrics import Point, TableBuilder, reduce

RECORDS: dict[str, dict[str, Any]] = {
    "empty.yaml": {},
    "record.yaml": {
        "id": "01k3v9m2h8q4w5x6y7z8a9b0cd",
        "kind": "train",
        "name": "brave-otter",
        "argv": ["python", "train.py", "--lr", "1e-3", ""],
        "code": {"commit": "9fceb02d0ae598e95dc970b74767f19372d61af8", "dirty": False, "left_out": [], "snapshot": None},
        "seeds": {"python": 0, "torch": 18446744073709551615},
        "summary": {"val/loss": {"last": 0.25, "min": 1e-05, "nonfinite": 0}, "epoch": {"last": 30}},
        "checkpoints": [
            {"path": "best.pt", "size_bytes": 102400, "metric": ["val/loss", "min"]},
            {"path": "last.pt", "size_bytes": 102400, "more": {}},
        ],
    },
    "values.yaml": {
        "null": None,
        "booleans": [True, False],
        "integers": [0, -1, 2**63, -(10**40)],
        "floats": [0.0, -0.0, 0.1, 1e16, -1.5e-300, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan],
        "strings": ["", "no", "1.0", "a: b # c", 'say "hi"\\', "two\nlines\t", "\x00\x1b\x7f\x85\u2028\ufeff\uffff"],
        "unicode": {"é": "café", "non-BMP": "😀", "lone surrogate": "\ud800", "two surrogates": "\ud83d\ude00"},
        "nested": [[], {}, [[1, [2]], [{"a": [{"b": {}}], "c": 3}]]],
        "keys": {"plain/key_0.1-x": 1, "with space": 2, "": 3, "Yes": 4, "0": 5, "<<": 6, "line\nbreak": 7},
    },
}

# Two points share a step, one row is empty, one metric is rare, one holds what is no number, one holds the ends of int64.
POINTS = [
    Point(seq=0, step=0, time_seconds=1767225600.0, values={"count": -(2**63), "train/loss": 2.5}),
    Point(seq=1, step=1, time_seconds=1767225600.25, values={"count": 2**63 - 1, "train/loss": math.nan}),
    Point(seq=2, step=1, time_seconds=1767225600.5, values={"train/loss": -math.inf, "val/é": 0.1}),
    Point(seq=3, step=2, time_seconds=1767225601.0, values={}),
    Point(seq=5, step=3, time_seconds=1767225602.0, values={"count": 0, "train/loss": -0.0}),
    Point(seq=9, step=4, time_seconds=1767225603.125, values={"count": 7, "train/loss": 5e-324}),
]

# More than 200 metrics, in two groups that are logged together.
MANY = [
    Point(seq=seq, step=seq, time_seconds=float(seq), values={f"{group}/{n:03d}": n / 8 for n in range(size)})
    for seq, (group, size) in enumerate([("a", 180), ("b", 30), ("a", 180)])
]


def builder(points: list[Point]) -> TableBuilder:
    table = TableBuilder()
    for point in points:
        table.add(seq=point.seq, step=point.step, time_seconds=point.time_seconds, values=point.values)
    return table


def files() -> dict[str, bytes]:
    """Every golden file by name."""
    records = {name: yaml.dump(record) for name, record in RECORDS.items()}
    raw = builder(POINTS).files()
    return records | raw | builder(MANY).files(rank=3) | reduce(raw, points=2)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files().items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
