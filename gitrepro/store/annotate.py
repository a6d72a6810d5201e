"""Add a fact about a run or a result after it was written: a label, a note, a waiver."""

from __future__ import annotations

from collections.abc import Sequence
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
    code: Sequence[str] = (),
) -> Event:
    """Record one event about `subject` and commit it. Durable once this returns.

    Args:
        op: one of `gitrepro.records.event.OPERATIONS`.
        at: the time, for people; order comes from the clock.
        observed: the events that an `unlabel` or `unwaive` takes back.
        code: commits that must stay alive with the event.
    """
    with RunTree(repository) as tree:
        event = _event(tree, subject, op, value, identity=identity, at=at, observed=observed)
    _queue(repository, event, code)
    fold(repository, identity=identity)
    return event


def annotate_each(
    repository: Repository, subjects: Sequence[str], op: str, value: Any, *, identity: Identity, at: str
) -> list[Event]:
    """Record the same event about each of `subjects`, in one commit. Durable once this returns."""
    with RunTree(repository) as tree:
        events = [_event(tree, subject, op, value, identity=identity, at=at) for subject in subjects]
    for event in events:
        _queue(repository, event)
    fold(repository, identity=identity)
    return events


def _event(
    tree: RunTree, subject: str, op: str, value: Any, *, identity: Identity, at: str, observed: tuple[str, ...] = ()
) -> Event:
    known, _ = tree.events(subject)
    return Event(
        id=ids.new_id(),
        subject=subject,
        op=op,
        value=value,
        actor={"email": identity.email, "name": identity.name},
        at=at,
        clock=fold_events(known).clock + 1,
        observed=observed,
    )


def _queue(repository: Repository, event: Event, code: Sequence[str] = ()) -> None:
    words = event.value if isinstance(event.value, str) else ""
    line = f"{event.op} {words} on {event.subject[-8:]}".replace("  ", " ")
    files = {event.path: event.dump().decode()}
    enqueue(repository, Pending(kind="event", subject=event.subject, line=line[:200], files=files, code=code))
