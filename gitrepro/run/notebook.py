"""Inside IPython and Jupyter: the cells that were run are the code, and a cell that is run again begins a new attempt.

A kernel has no beginning and no end of a program: an error or an interrupt ends a cell, not the run. The run ends with
`finish()`, with the kernel, or when the cell that began it is run again.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, final

from ..capture import secrets
from ..records.run import Status
from .outcome import Reason, outcome_of

_LARGEST_CELL_CHARACTERS: Final = 1 << 20


def shell() -> Any:
    """The IPython shell that this process is; None for a plain program."""
    module = sys.modules.get("IPython")
    try:
        found = module.get_ipython() if module is not None else None
        return found if found is not None and found.history_manager is not None and found.events is not None else None
    except Exception:  # noqa: BLE001 - another IPython than we know: its cells are not on record
        return None


def seat(found: Any) -> str:
    """The name of the cell that runs now, in this kernel and in what it is after a restart."""
    text = "\0".join((socket.gethostname(), _kernel(found), _cell(found)))
    return f"notebook-{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}"


def _kernel(found: Any) -> str:
    """What a kernel keeps over a restart: the file that tells its clients where it is. A terminal has none."""
    file = getattr(getattr(getattr(found, "kernel", None), "parent", None), "connection_file", None)
    return Path(file).name if isinstance(file, str) and file else f"process {os.getpid()}"


def _cell(found: Any) -> str:
    """The id that the front end gave the cell, else its text."""
    try:
        parent = found.parent_header
        cell = (parent.get("metadata") or {}).get("cellId")
    except Exception:  # noqa: BLE001 - a terminal has no such thing, and another kernel may have it elsewhere
        cell = None
    return str(cell) if cell else str(_sources(found)[-1])


def _sources(found: Any) -> Any:
    """What was run, by its count; the cell that runs now is the last."""
    # Not `execution_count`: within a cell it means another number in each version.
    return found.history_manager.input_hist_raw


def file_name(found: Any, environ: Mapping[str, str]) -> str | None:
    """The notebook's file, where the front end tells it."""
    for told in (environ.get("JPY_SESSION_NAME"), found.user_ns.get("__vsc_ipynb_file__")):
        if isinstance(told, str) and told.endswith(".ipynb"):
            return told
    return None


@final
class Cells:
    """Puts each cell on record before it runs, so that the one that kills the kernel is there too.

    Attributes:
        outcome: how the last cell ended.
    """

    def __init__(self, found: Any, event: Callable[..., None]) -> None:
        self._shell = found
        self._event = event
        self.outcome: tuple[Status, Reason | None] = (Status.FINISHED, None)

    def start(self) -> None:
        """Tell the cells that ran already, and the one that runs now; then each that comes."""
        name = file_name(self._shell, os.environ)
        self._event("notebook", file=name)
        for count, source in enumerate(_sources(self._shell)):
            if source:
                self._tell(count, str(source))
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)

    def stop(self) -> None:
        for event, act in (("pre_run_cell", self._before), ("post_run_cell", self._after)):
            try:
                self._shell.events.unregister(event, act)
            except ValueError:
                pass  # somebody has cleared them all

    def _before(self, info: Any) -> None:
        if getattr(info, "store_history", True):
            self._tell(len(_sources(self._shell)), str(info.raw_cell))

    def _after(self, result: Any) -> None:
        # The words, not the exception: that would hold on to every tensor of its frames.
        self.outcome = outcome_of(result.error_before_exec or result.error_in_exec)

    def _tell(self, count: int, source: str) -> None:
        self._event("cell", count=count, source=secrets.redact_text(source[:_LARGEST_CELL_CHARACTERS]))
