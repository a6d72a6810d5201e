"""How a program ended, as a run's record says it."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from typing import Any, Final

from ..capture import hardware, memory, secrets
from ..capture.memory import Evidence
from ..records.run import Status
from .signals import Preempted

END_STATES: Final = ("finished", "failed", "interrupted", "preempted", "out_of_memory", "pruned")
_MESSAGE_CHARACTERS: Final = 2_000
_TRACEBACK_CHARACTERS: Final = 20_000
# What torchrun says at the end of the worker that took the others with it.
_CULPRIT: Final = re.compile(
    r"Root Cause \(first observed failure\):\n\[\d+\]:\n(?:[ \w]+:.*\n)*?"
    r" *rank *: (?P<rank>\d{1,9}) .*\n *exitcode *: (?P<code>-?\d{1,9}) "
)

Reason = dict[str, Any]


def outcome_of(error: BaseException | None, *, sigterm: bool = False) -> tuple[Status, Reason | None]:
    """The end state and the reason that an exception stands for.

    Args:
        error: what left the program, or None.
        sigterm: whether SIGTERM arrived before: a program that then ends in good order was preempted all the same.
    """
    if isinstance(error, Preempted) or (sigterm and (error is None or isinstance(error, SystemExit))):
        return Status.PREEMPTED, {"kind": "signal", "message": "SIGTERM"}
    if error is None:
        return Status.FINISHED, None
    if isinstance(error, SystemExit):
        return _of_exit(error.code)
    if isinstance(error, KeyboardInterrupt):
        return Status.INTERRUPTED, {"kind": "signal", "message": "Ctrl-C"}
    reason = {
        "kind": type(error).__name__,
        "message": secrets.redact_text(_message(error)[: 2 * _MESSAGE_CHARACTERS])[:_MESSAGE_CHARACTERS],
        "traceback": secrets.redact_text(_traceback(error)),
    }
    evidence = memory.of_exception(error)
    if evidence.memory:
        return Status.OUT_OF_MEMORY, out_of_memory(reason, evidence, hardware.usage())
    return Status.FAILED, reason


def out_of_memory(reason: Reason, evidence: Evidence, usage: Mapping[str, Any]) -> Reason:
    """The reason of a run that found no memory: which memory, what shows it, how much it had, and what to try."""
    assert evidence.memory is not None
    peaks = {
        "peak_gpu_memory_bytes": memory.peak_gpu_bytes() or evidence.amounts.get("gpu_allocated_bytes"),
        "peak_memory_bytes": usage.get("peak_memory_bytes"),
    }
    return {
        **reason,
        **{name: value for name, value in {**evidence.amounts, **peaks}.items() if value is not None},
        "do": memory.advice(evidence.memory),
        "evidence": [secrets.redact_text(line) for line in evidence.seen],
        "memory": evidence.memory,
    }


def culprit(output: str) -> Reason:
    """The rank that torchrun names as the first to fail; empty where it names none."""
    found = _CULPRIT.search(output)
    if found is None:
        return {}
    rank, code = int(found["rank"]), int(found["code"])
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return {"rank": rank, "message": f"rank {rank} {how}"}


def _of_exit(code: object) -> tuple[Status, Reason | None]:
    # As Python does it: nothing and 0 are success, a number is the code, anything else is printed and means 1.
    if code is None or code == 0:
        return Status.FINISHED, None
    if isinstance(code, int):
        return Status.FAILED, {"kind": "exit", "exit_code": int(code), "message": f"exit code {code}"}
    words = secrets.redact_text(str(code)[:_MESSAGE_CHARACTERS])
    return Status.FAILED, {"kind": "exit", "exit_code": 1, "message": words}


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception of the user's whose own text fails
        return ""


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))[-_TRACEBACK_CHARACTERS:]
    except Exception:  # noqa: BLE001 - as above; a MemoryError may also leave no room to format it
        return ""
