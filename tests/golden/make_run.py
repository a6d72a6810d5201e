"""Write the golden live folder and the run it becomes: `python tests/golden/make_run.py tests/golden/v1`.

A process was killed in the middle: there is no closing word, and the journal ends in half a frame.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from gitrepro.records import yaml
from gitrepro.records.event import Event
from gitrepro.records.run import RunRecord
from gitrepro.run.compose import compose
from gitrepro.store.journal import JournalWriter

RUN = "01k3v9m2h8q4w5x6y7z8a9b0cd"
ADA = {"email": "ada@example.org", "name": "Ada Lovelace"}
PID = 4242

RECORD = RunRecord(
    id=RUN,
    name="brave-otter-b0cd",
    kind="train",
    status="running",
    started_at="2026-11-22T08:00:00.000000Z",
    actor=ADA,
    host={"boot_id": "", "cwd": "/home/ada/digits", "hostname": "engine", "launch": {}, "pid": PID, "user": "ada"},
    argv=("python", "train.py", "--lr", "0.1"),
    code={
        "branch": "main",
        "changes": ["modified train.py"],
        "changes_count": 1,
        "commit": "9fceb02d0ae598e95dc970b74767f19372d61af8",
        "dirty": True,
        "left_out": [],
        "left_out_count": 0,
        "modules": [],
        "snapshot": "98f362ffc41f01cb242033e0912162ed99428ade",
        "tree": "e1abbbbe8685cca7be2b914c4af74d9157ddc6cd",
        "untracked": [],
        "untracked_count": 0,
    },
    seeds={"requested": 7, "source": "code"},
    group="wd-study",
    labels=("candidate",),
    note="first try",
    recorder={"hidden": ["db.password"], "version": "0.1.0"},
)
START = {
    "boot_id": "",
    "format": 1,
    "origin_seconds": 1000.0,
    "owner": PID,
    "record": RECORD.document(),
    "supervised": False,
}
CONFIG = {
    "format": 1,
    "overridden": {},
    "sources": {"db.password": "code", "lr": "code"},
    "values": {"db": {"password": "<redacted:password>"}, "lr": 0.1},
}
ENVIRONMENT = {
    "container": None,
    "format": 1,
    "frameworks": {},
    "hardware": {"cpu": {"logical_cores": 2}},
    "os": {"system": "Linux"},
    "packages": {"numpy": "2.4.6"},
    "python": {"version": "3.11.7"},
    "variables": {},
}
EVENT = Event(
    id="01k3v9n0000000000000000001",
    subject=RUN,
    op="label",
    value="candidate é",
    actor=ADA,
    at="2026-11-22T09:00:00.000000Z",
    clock=3,
    observed=("01k3v9n0000000000000000000",),
)


def journal(folder: Path) -> None:
    ticks = itertools.count(1000.0, 0.25)
    writer = JournalWriter(folder, run_id=RUN, clock=lambda: next(ticks), origin=1000.0)
    writer.event({"op": "define", "name": "val/accuracy", "goal": "max"})
    for step, accuracy in enumerate([0.5, 0.75, 0.625, float("nan")]):
        place = writer.row({"train/loss": 1.0 / (step + 1), "n": step}, step)
        writer.row({"val/accuracy": accuracy}, step)
    writer.event({"op": "late", "row": place, "values": {"grad": 2.5}})
    writer.event({"op": "config", "key": "lr", "value": 0.05, "source": "code"})
    writer.event({"op": "summary", "values": {"verdict": "promising"}})
    writer.sync()
    writer.close()
    path = folder / f"journal.rank-0.{PID}.0"
    path.write_bytes(path.read_bytes() + path.read_bytes()[-30:-7])


def write(target: Path) -> None:
    live = target / "live" / RUN
    live.mkdir(parents=True)
    for name, document in (("start.yaml", START), ("config.yaml", CONFIG), ("env.yaml", ENVIRONMENT)):
        (live / name).write_bytes(yaml.dump(document))
    journal(live)
    (target / "run").mkdir()
    for name, data in compose(live, blobs=None).files.items():
        (target / "run" / name).write_bytes(data)
    (target / "event.yaml").write_bytes(EVENT.dump())


if __name__ == "__main__":
    os.getpid = lambda: PID
    write(Path(sys.argv[1]))
