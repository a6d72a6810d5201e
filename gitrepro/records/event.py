"""Events: facts that come after a run is written. One file each; folded in an order that all clones agree on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..errors import Damaged
from . import ids, yaml

FORMAT: Final = 1
OPERATIONS: Final = (
    "label", "unlabel", "note", "name", "group", "promote", "waive", "unwaive", "remove", "restore",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact about a subject (run, result, dataset or split).

    `clock` is a Lamport clock: one more than the highest its writer had seen on that subject. `observed` names the
    events an `unlabel` or `unwaive` takes back, so that an addition made elsewhere at the same time stays.
    """

    id: str
    subject: str
    op: str
    value: Any
    actor: Mapping[str, Any]
    at: str
    clock: int
    observed: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return f"events/{ids.shard(self.subject)}/{self.subject}/{self.id}.yaml"

    def document(self) -> dict[str, Any]:
        return {
            "actor": dict(self.actor),
            "at": self.at,
            "clock": self.clock,
            "format": FORMAT,
            "id": self.id,
            "observed": list(self.observed),
            "op": self.op,
            "subject": self.subject,
            "value": self.value,
        }

    def dump(self) -> bytes:
        return yaml.dump(self.document())


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the events of one subject add up to.

    `waivers` and `withdrawals` (of waivers) are all there ever were: neither hides the other.
    """

    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    name: str | None = None
    group: str | None = None
    removed: bool = False
    waivers: tuple[Event, ...] = ()
    withdrawals: tuple[Event, ...] = ()
    promotions: tuple[Event, ...] = ()
    clock: int = 0


def load_event(data: bytes, *, source: str) -> Event:
    """Read an event file.

    Raises:
        Damaged: it does not parse, or a field is missing or of another type.
    """
    document = yaml.load(data, source=source)
    try:
        event = Event(
            id=document["id"],
            subject=document["subject"],
            op=document["op"],
            value=document["value"],
            actor=document["actor"],
            at=document["at"],
            clock=document["clock"],
            observed=tuple(document["observed"]),
        )
    except (KeyError, TypeError) as error:
        raise Damaged(f"{source} is no event", why=f"{error} is missing or of another type") from error
    if not isinstance(event.clock, int) or not isinstance(event.id, str) or not isinstance(event.actor, dict):
        raise Damaged(f"{source} is no event", why="a field is of another type")
    return event


def fold_events(events: Iterable[Event], *, labels: Iterable[str] = ()) -> Standing:
    """Fold events in the order (clock, id), which every clone computes alike.

    Registers take the last value; a label stays while one addition is not named by an `unlabel`; notes, promotions,
    waivers and their withdrawals only grow. `labels` are those the run was recorded with.
    """
    ordered = sorted(events, key=lambda event: (event.clock, event.id))
    added = {f"recorded:{label}": label for label in labels}
    notes: list[str] = []
    kept: dict[str, list[Event]] = {"promote": [], "waive": [], "unwaive": []}
    registers: dict[str, Any] = {}
    taken = {name for event in ordered if event.op == "unlabel" for name in event.observed}
    for event in ordered:
        match event.op:
            case "label":
                added[event.id] = str(event.value)
            case "note":
                notes.append(str(event.value))
            case "promote" | "waive" | "unwaive":
                kept[event.op].append(event)
            case "name" | "group":
                registers[event.op] = event.value
            case "remove" | "restore":
                registers["removed"] = event.op == "remove"
    return Standing(
        labels=tuple(sorted({label for source, label in added.items() if source not in taken})),
        notes=tuple(notes),
        waivers=tuple(kept["waive"]),
        withdrawals=tuple(kept["unwaive"]),
        promotions=tuple(kept["promote"]),
        clock=max((event.clock for event in ordered), default=0),
        **registers,
    )
