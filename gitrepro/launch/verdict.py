"""What the end of a program means: its exit code, the signals it was sent, its last words, the memory it took."""

from __future__ import annotations

import signal
from typing import Any, Final

from ..capture import memory, secrets
from ..records.run import Status
from ..run.outcome import culprit, out_of_memory
from .program import Program

_WORDS_ON_RECORD: Final = 4_000


def verdict(program: Program, exit_code: int) -> tuple[Status, dict[str, Any] | None]:
    """How the run ended, and why."""
    code = shell_code(exit_code)
    name = _signal_name(exit_code)
    reason: dict[str, Any] = {"exit_code": code, "kind": "signal" if name else "exit"}
    reason["message"] = f"killed by {name}" if exit_code < 0 else f"exit code {code}"
    if exit_code == 0:
        # It cleaned up when it was told to go, and went: not all that it had to do is done.
        return (Status.PREEMPTED, reason) if signal.SIGTERM in program.received else (Status.FINISHED, None)
    reason["last_output"] = secrets.redact_text(program.last_words[-_WORDS_ON_RECORD:])
    reason.update(culprit(program.last_words))
    killed = name == "SIGKILL"
    evidence = memory.of_program(program.last_words, killed=killed, kernel_kills=program.memory_kills)
    if evidence.memory:
        return Status.OUT_OF_MEMORY, out_of_memory(reason, evidence, program.usage)
    if evidence.seen:
        reason["memory_hints"] = [secrets.redact_text(line) for line in evidence.seen]
    if signal.SIGINT in program.received or name == "SIGINT":
        return Status.INTERRUPTED, reason
    if signal.SIGTERM in program.received or name == "SIGTERM":
        return Status.PREEMPTED, reason
    return (Status.CRASHED if exit_code < 0 else Status.FAILED), reason


def _signal_name(exit_code: int) -> str:
    number = -exit_code if exit_code < 0 else exit_code - 128
    return signal.Signals(number).name if number in [*signal.Signals] else ""


def shell_code(exit_code: int) -> int:
    """An exit code as a shell has it: 128 and more for a signal."""
    return exit_code if exit_code >= 0 else 128 - exit_code
