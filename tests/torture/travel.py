"""What travels in the tortured processes: blobs to and from store remotes, runs of many clones, the laws of both."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gitrepro.store.objects import BlobStore
from gitrepro.store.repository import Repository
from gitrepro.sync import remotes
from gitrepro.sync.blobs import fetch as fetch_blobs
from gitrepro.sync.blobs import layout, open_driver
from gitrepro.sync.blobs import send as send_blobs
from gitrepro.sync.runs import pull, push

from .mutants import replace

SIZES: Final = (1, 9, 3000, *range(100, 130), 200_000, 300_000, 700_000)
PIECE_BYTES: Final = 256 << 10
"""In place of 64 MiB, so that a blob in pieces is no large one."""


def fill(root: Path, *, seed: int = 0) -> tuple[str, list[str]]:
    """The root, and the digests that it needs."""
    draw, store = random.Random(seed), BlobStore(root)
    digests = [store.put(draw.randbytes(size)) for size in SIZES]
    return digests[0], digests[1:]


def _roots(seed: int = 0) -> dict[str, list[str]]:
    from blake3 import blake3

    draw = random.Random(seed)
    digests = [f"b3:{blake3(draw.randbytes(size)).hexdigest()}" for size in SIZES]
    return {digests[0]: digests}


def _open(url: str, options: Mapping[str, str]) -> Any:
    replace(layout, "OBJECT_BYTES_AT_MOST", PIECE_BYTES)
    return open_driver(remotes.StoreRemote(name="there", url=url, options=dict(options)))


def send(repository: Repository, url: str, options: Mapping[str, str], seed: int | None) -> int:
    """How many blobs went."""
    root, wanted = repository.home / "store", _roots()
    if seed is not None:
        own, needs = fill(root, seed=seed)
        wanted[own] = needs
    with_it = _open(url, options)
    try:
        return send_blobs(BlobStore(root), with_it, wanted).blobs
    finally:
        with_it.close()


def fetch(repository: Repository, url: str, options: Mapping[str, str]) -> int:
    """How many blobs came."""
    with_it = _open(url, options)
    try:
        found = fetch_blobs(BlobStore(repository.home / "store"), [with_it], _roots())
    finally:
        with_it.close()
    assert not found.missing and not found.wrong, found
    return found.blobs


def record_and_push(clone: Path, runs: int) -> Iterator[str]:
    from tests.recorded_runs import opened, record_run

    for _ in range(runs):
        run_id, began = record_run(clone), time.monotonic()
        pushed = push(opened(clone))
        yield f"{run_id} {round(1000 * (time.monotonic() - began))} {pushed.retries} {int(pushed.queued)}"


def agree(clone: Path) -> None:
    from tests.recorded_runs import opened

    push(opened(clone))
    pull(opened(clone))


# -- laws


def _settings(examples: int, **more: Any) -> Any:
    from hypothesis import HealthCheck, Phase, settings

    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    # A counterexample is enough; to make it small takes as long as to find it.
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=checks,
        **more,
    )


def _seed(seed: int) -> None:
    from hypothesis import core

    core.global_force_seed = seed


def union(examples: int, _steps: int, seed: int) -> None:
    """The laws of the union, as `tests/sync/test_union.py` has them."""
    from tests.sync import test_union

    _seed(seed)
    for law in (
        test_union.test_it_does_not_matter_who_pulls_from_whom,
        test_union.test_it_does_not_matter_in_which_order_clones_meet,
        test_union.test_hearing_it_again_changes_nothing,
        test_union.test_every_content_of_every_side_is_in_the_union,
    ):
        _settings(examples)(law)()


def machine(examples: int, steps: int, seed: int) -> None:
    """Three clones and a remote, as `tests/sync/runs/test_machine.py` has them."""
    from hypothesis.stateful import run_state_machine_as_test

    from tests.sync.runs.test_machine import Syncing

    _seed(seed)
    run_state_machine_as_test(Syncing, settings=_settings(examples, stateful_step_count=steps))


LAWS: Final[dict[str, Callable[[int, int, int], None]]] = {"union": union, "machine": machine}
