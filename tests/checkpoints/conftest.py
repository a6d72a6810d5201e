"""A real store, a saver whose events are kept, and a small real model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gitrepro.checkpoints.keep import Keep
from gitrepro.checkpoints.record import from_events
from gitrepro.checkpoints.saving import Saver
from gitrepro.store.objects import BlobStore


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "store")


class Told:
    """What a saver has said: events as a journal has them, and warnings."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.warnings: list[str] = []

    def tell(self, op: str, **content: Any) -> None:
        self.events.append({"op": op, **content})

    def of(self, op: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["op"] == op]

    @property
    def standing(self) -> list[tuple[int, list[str]]]:
        return [(entry["step"], entry["roles"]) for entry in from_events(self.events)]

    @property
    def last(self) -> dict[str, Any]:
        return self.of("checkpoint")[-1]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def saver_of(store: BlobStore, told: Told) -> Iterator[Callable[..., Saver]]:
    made: list[Saver] = []

    def make(keep: Keep | None = None, **more: Any) -> Saver:
        options = {"tell": told.tell, "warn": told.warnings.append, "provenance": lambda: {"run": "01run"}, **more}
        made.append(Saver(store, keep=keep, **options))
        return made[-1]

    yield make
    for each in made:
        each.close(30)


@pytest.fixture
def saver(saver_of: Callable[..., Saver]) -> Saver:
    return saver_of()
