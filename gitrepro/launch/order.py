"""What `gitrepro record` was asked to do, and what came of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..capture import config as configs
from ..records.run import RunRecord
from ..run.intake.files import Wanted
from ..run.named import NamedData


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What `gitrepro record` was asked to do."""

    argv: tuple[str, ...]
    name: str | None = None
    group: str | None = None
    labels: tuple[str, ...] = ()
    note: str | None = None
    kind: str = "train"
    seed: int | None = None
    seeding: bool = True
    drawn: bool = False
    recorded: bool = True
    config: tuple[configs.Layer, ...] = ()
    files: Wanted = field(default_factory=Wanted)
    resume: str | None = None
    data: NamedData = field(default_factory=NamedData)
    """The data that is named; once it was looked up, by content."""
    opened: tuple[dict[str, Any], ...] = ()
    """What a record says of it."""
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the program ended, and its record if there is one yet."""

    exit_code: int
    run_id: str
    record: RunRecord | None
    trouble: str = ""


def draw_seed() -> int:
    """A seed for a run that was given none."""
    return int.from_bytes(os.urandom(4), "little")
