"""The same numbers from the same program: switched as the run asks, and on record as it was in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, final

from ..errors import UsageError
from ..training import determinism as switches
from ..training.seeds import Finder
from .warning import warn

if TYPE_CHECKING:
    from .handle import Run

MODES: Final = switches.MODES


def check_mode(mode: object) -> str | None:
    """A mode of determinism, or None where nothing was asked.

    Raises:
        UsageError: there is no such mode.
    """
    if mode is None or (isinstance(mode, str) and mode in MODES):
        return mode
    raise UsageError(f"determinism {mode!r:.40} means nothing", do=f"give one of {', '.join(MODES)}")


@final
class Determinism:
    """Switches torch for one run, now or when it is imported, and tells what became of it.

    Args:
        mode: `off`, `on`, `debug`; None leaves everything as it is and tells nothing.
        tell: takes an event for the journal.
    """

    def __init__(self, mode: str | None, *, tell: Callable[..., None]) -> None:
        self._tell = tell
        self._mode = mode
        if mode is not None:
            tell("determinism", seen={"mode": mode, "flags": {}})
            switches.arm(mode, Finder, self._switched)

    def _switched(self, seen: Mapping[str, Any]) -> None:
        for trouble in seen.get("troubles", ()):
            warn(f"determinism={self._mode!r}: {trouble}")
        self._tell("determinism", seen=dict(seen))

    def end(self) -> None:
        """Say what is in force now: the program may have switched it itself."""
        if self._mode is not None and (flags := switches.flags()):
            self._tell("determinism_end", flags=flags)


def tell_measured(run: Run, measured: Mapping[str, Any]) -> None:
    """Put on record what was measured of a program: `on` and `off`, and in `on` the flags that were in force."""
    run._event("determinism", seen={"flags": measured["on"]["flags"], "measured": measured})


def determinism(events: Iterable[Mapping[str, Any]], observed: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The field `determinism` of a record; None where nobody asked for any.

    `flags` are those in force when torch was there; `changed` has those that were others at the end.
    """
    found: Mapping[str, Any] | None = None
    end: Mapping[str, Any] = {}
    for event in events:
        if event.get("op") == "determinism":
            found = event["seen"]
        elif event.get("op") == "determinism_end":
            end = event["flags"]
    if found is None:
        process = next((each for each in observed if isinstance(each.get("determinism"), dict)), {})
        found, end = process.get("determinism"), process.get("determinism_end") or {}
    if found is None:
        return None
    changed = {name: value for name, value in end.items() if found["flags"].get(name) != value}
    if "measured" in found:
        return dict(found)
    return {**found, **({"changed": changed} if changed and found["flags"] else {})}
