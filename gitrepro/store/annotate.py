"""Add a fact about a run after it was written: a label, a note."""

from __future__ import annotations

from typing import Any

from ..records import ids
from ..records.event import Event, fold_events
from .fold import Identity, Pending, enqueue, fold
from .repository import Repository
from .runs import RunTree


def annotate(
    repository: Repository,
    subject: str,
    op: str,
    value: Any,
    *,
    identity: Identity,
    at: str,
    observed: tuple[str, ...] = (),
) -> Event:
    """Record one event about `subject` and commit it. Durable once this returns.

    Args:
        op: one of `gitrepro.records.event.OPERATIONS`.
        at: the time, for people; order comes from the clock.
        observed: the events that an `unlabel` takes back.
    """
    with RunTree(repository) as tree:
        known, _ = tree.events(subject)
    event = Event(
        id=ids.new_id(),
        subject=subject,
        op=op,
        value=value,
        actor={"email": identity.email, "name": identity.name},
        at=at,
        clock=fold_events(known).clock + 1,
        observed=observed,
    )
    line = f"{op} {value if isinstance(value, str) else ''} on run {subject[-8:]}".replace("  ", " ")
    enqueue(
        repository,
        Pending(kind="event", subject=subject, line=line[:200], files={event.path: event.dump().decode()}),
    )
    fold(repository, identity=identity)
    return event
