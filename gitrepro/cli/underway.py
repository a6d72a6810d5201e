"""Runs under way, as `gitrepro ls` shows them beside those on record."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..errors import GitreproError
from ..records import yaml
from ..records.event import Standing
from ..records.facts import Facts, facts
from ..records.listing import listing
from ..records.run import run_from
from ..store.lease import Life
from ..store.live import LiveRun, live_runs
from ..store.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Underway:
    """A run under way: as it is shown, and as a query sees it."""

    listing: dict[str, Any]
    facts: Facts


def underway(found: Repository) -> Iterator[Underway]:
    """Runs under way, as they look in a list: nothing of their journal is read."""
    for run in reversed(live_runs(found.home)):
        if run.error or run.life is Life.DEAD:
            continue
        try:
            record = run_from(run.start["record"], source=str(run.folder))
            age_seconds = time.time() - run.folder.stat().st_ctime
            config = _config(run)
        except (GitreproError, KeyError, TypeError, FileNotFoundError):
            continue  # it is damaged, as `doctor` says, or has just ended
        record = replace(record, status="running", duration_seconds=age_seconds)
        standing = Standing(labels=record.labels)
        yield Underway(listing=listing(record, standing, config), facts=facts(record, standing, config))


def _config(run: LiveRun) -> dict[str, Any]:
    values = yaml.load((run.folder / "config.yaml").read_bytes(), source="config.yaml").get("values")
    return values if isinstance(values, dict) else {}
