"""How a program ended, as a run's record says it."""

from __future__ import annotations

import traceback
from typing import Any, Final

from ..capture import hardware, secrets
from ..records.run import Status
from .signals import Preempted

END_STATES: Final = ("finished", "failed", "interrupted", "preempted", "out_of_memory")
LESS_MEMORY: Final = (
    "halve the batch size and accumulate gradients over two steps; use bf16 or activation checkpointing; "
    "look for tensors kept across steps"
)
_MESSAGE_CHARACTERS: Final = 2_000
_TRACEBACK_CHARACTERS: Final = 20_000

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
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return Status.OUT_OF_MEMORY, {**reason, **hardware.usage(), "do": LESS_MEMORY}
    return Status.FAILED, reason


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
