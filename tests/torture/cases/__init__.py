"""The cases, deterministic sweeps first: for each fault what one trial does, and the planted fault to be found."""

from __future__ import annotations

from . import (
    belongings,
    calls,
    crowds,
    cuts,
    damage,
    disks,
    ends,
    gallery,
    hostile,
    intervals,
    keeping,
    kills,
    order,
    powercut,
    pushes,
    races,
    senders,
    stores,
    workers,
)

CASES = (
    *order.CASES,
    *calls.CASES,
    *hostile.CASES,
    *intervals.CASES,
    *damage.CASES,
    *disks.CASES,
    *ends.CASES,
    *stores.CASES,
    *keeping.CASES,
    *races.CASES,
    *workers.CASES,
    *crowds.CASES,
    *belongings.CASES,
    *powercut.CASES,
    *kills.CASES,
    *cuts.CASES,
    *pushes.CASES,
    *senders.CASES,
    *gallery.CASES,
)
