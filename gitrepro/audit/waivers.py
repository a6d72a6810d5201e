"""Waivers: a rule that somebody lifts, with a reason. They stay visible for ever, and so does their withdrawal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..errors import Refused, UsageError
from ..policy import FLOOR, RULES, nearest, one_of
from ..records.event import Event, Standing

REASON_CHARACTERS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One waiver of one rule, and who withdrew it."""

    event: Event
    withdrawn: Event | None

    @property
    def holds(self) -> bool:
        return self.withdrawn is None

    @property
    def rule(self) -> str:
        return str(_mapping(self.event).get("rule"))

    @property
    def reason(self) -> str:
        return str(_mapping(self.event).get("reason"))

    @property
    def actor(self) -> str:
        return _actor(self.event)

    def document(self) -> dict[str, Any]:
        """The waiver as an audit holds it: without a clock."""
        taken = self.withdrawn
        withdrawn = {"by": _actor(taken), "reason": str(_mapping(taken).get("reason"))} if taken else None
        return {
            "by": self.actor,
            "event": self.event.id,
            "of": self.event.subject,
            "reason": self.reason,
            "withdrawn": withdrawn,
        }


def waivers_of(standing: Standing, rule: str | None = None) -> list[Waiver]:
    """The waivers of a run or result, of one rule or of all. One without a reason is none."""
    taken = {name: event for event in standing.withdrawals for name in event.observed}
    found = (Waiver(event=event, withdrawn=taken.get(event.id)) for event in standing.waivers)
    return [waiver for waiver in found if rule in (None, waiver.rule) and _mapping(waiver.event).get("reason")]


def check_waiver(rule: str, reason: str) -> None:
    """Raise unless somebody may waive `rule` for `reason`.

    Raises:
        UsageError: there is no such rule, or the reason is none.
        Refused: the rule is part of the floor.
    """
    if rule not in RULES:
        raise UsageError(f"there is no rule {rule!r:.80}", why=nearest(rule, RULES), do=one_of(RULES))
    if rule in FLOOR:
        raise Refused(
            f"the rule {rule} cannot be waived",
            why=f"{_floor()} are the floor: without them a result cannot be checked at all",
            do="`gitrepro audit` tells what the rule asks for",
        )
    if not reason.strip():
        raise UsageError("the waiver has no reason", why="it stays visible for ever", do='--reason "why it may be so"')
    if len(reason) > REASON_CHARACTERS:
        raise UsageError(f"the reason has {len(reason)} characters", why=f"at most {REASON_CHARACTERS} are kept")


def _floor() -> str:
    return ", ".join(rule for rule in RULES if rule in FLOOR)


def _actor(event: Event) -> str:
    return str(event.actor.get("name") or "someone")


def _mapping(event: Event) -> Mapping[str, Any]:
    return event.value if isinstance(event.value, dict) else {}
