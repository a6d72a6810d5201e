"""Write the golden runs of checks: `python tests/golden/make_checks.py tests/golden/v1/checks`.

A trial of the shuffle check, and the run that closes `gitrepro check`. What lies in `blobs` was left by real checks of
real experiments (iris with ten flowers twice, digits without `zero_grad`) and is what it is; this script says what the
runs made of it. `scores.parquet` and `words.parquet` are written here: predictions of other forms than numbers.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from make_run import ENVIRONMENT, PID, RECORD

from gitrepro.records import yaml
from gitrepro.records.predictions import dump_predictions
from gitrepro.records.sanity import Checked, Example
from gitrepro.run.artifacts import given
from gitrepro.run.compose import compose
from gitrepro.run.sane import tell_checked
from gitrepro.store.journal import JournalWriter

BLOBS = Path(__file__).parent / "v1" / "checks" / "blobs"
ENDED = "2026-11-22T08:00:05.500000Z"
TASK = {"args": [], "file": "small.py", "metric": "accuracy", "task": "iris"}
TRIAL = "01k3v9p0000000000000000001"
CLOSING = "01k3v9p0000000000000000002"
CONFIGS: dict[str, dict[str, Any]] = {
    TRIAL: {
        **TASK,
        "trial": {"arm": "labels", "draw": 0, "examples": 1.0, "seed": 0, "share": 1.0, "task": "iris"},
    },
    CLOSING: {**TASK, "errors": [], "seed": 0},
}
RECORDS = {
    TRIAL: replace(
        RECORD, id=TRIAL, name="quick-newt-0001", kind="shuffle", group="check-k3v9p000", labels=("labels",), note=None
    ),
    CLOSING: replace(
        RECORD, id=CLOSING, name="vivid-hawk-0002", kind="data-check", group="check-k3v9p000", labels=(),
        note="checks of iris (small.py)",
    ),
}  # fmt: skip

# Scores of three classes for each example, and labels that are words.
IDS = np.array(["a", "b", "é", ""])
SCORES = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, -0.0], [1e-300, 0.1, 0.9], [np.nan, np.inf, -np.inf]])
WORDS = np.array(["cat", "dog", "dög", "cat"])


class Journalled:
    """What `tell_checked` and the runner call of a run, with a journal behind it."""

    def __init__(self, live: Path) -> None:
        ticks = itertools.count(1000.0, 0.25)
        self.journal = JournalWriter(live, run_id=live.name, clock=lambda: next(ticks), origin=1000.0)

    def artifact(self, thing: object, name: str) -> None:
        made = given(thing, name)
        assert made.data is not None
        facts = {"kind": "artifact", "media_type": made.media_type, "name": name, "size_bytes": len(made.data)}
        self._event("artifact", blob=f"b3:{blake3(made.data).hexdigest()}", **facts)

    def _event(self, op: str, **content: Any) -> None:
        self.journal.event({"op": op, **content})

    def close(self) -> None:
        self._event("end", status="finished", reason=None, ended_at=ENDED, duration_seconds=5.5, cost={})
        self.journal.sync()
        self.journal.close()


def lines() -> list[Checked]:
    """What the checks found, from the artifact that they left."""
    return [
        Checked(
            **{
                **told,
                "examples": tuple(
                    Example(ids=tuple(e["ids"]), parts=tuple(e["parts"]), says=e["says"], numbers=e["numbers"])
                    for e in told["examples"]
                ),
                "runs": tuple(told["runs"]),
            }
        )
        for told in json.loads((BLOBS / "checked.json").read_bytes())
    ]


def tell_trial(run: Journalled) -> None:
    run._event("summary", values={"score": 0.46875, "val/accuracy": 0.46875})
    for name in ("predictions.parquet", "labels.csv"):
        run.artifact((BLOBS / name).read_bytes(), name)


def tell_closing(run: Journalled) -> None:
    found = lines()
    tell_checked(run, found)  # type: ignore[arg-type]
    run._event("summary", values={line.name: str(line.verdict) for line in found})


def live_run(folder: Path, run_id: str) -> None:
    live = folder / "live" / run_id
    live.mkdir(parents=True)
    start = {"boot_id": "", "format": 1, "origin_seconds": 1000.0, "owner": PID, "supervised": False}
    values = CONFIGS[run_id]
    sources = {f"{key}.{inner}": "code" for key, each in values.items() if isinstance(each, dict) for inner in each}
    sources |= {key: "code" for key, each in values.items() if not isinstance(each, dict)}
    config = {"format": 1, "overridden": {}, "sources": sources, "values": values}
    documents = {"start": {**start, "record": RECORDS[run_id].document()}, "config": config, "env": ENVIRONMENT}
    for name, document in documents.items():
        (live / f"{name}.yaml").write_bytes(yaml.dump(document))
    run = Journalled(live)
    (tell_trial if run_id == TRIAL else tell_closing)(run)
    run.close()


def write(folder: Path) -> None:
    for run_id in (TRIAL, CLOSING):
        live_run(folder, run_id)
        (folder / "runs" / run_id).mkdir(parents=True)
        for name, data in compose(folder / "live" / run_id, blobs=None).files.items():
            (folder / "runs" / run_id / name).write_bytes(data)
    (folder / "blobs").mkdir(exist_ok=True)
    (folder / "blobs" / "scores.parquet").write_bytes(dump_predictions(IDS, SCORES))
    (folder / "blobs" / "words.parquet").write_bytes(dump_predictions(IDS, WORDS))


if __name__ == "__main__":
    os.getpid = lambda: PID
    write(Path(sys.argv[1]))
