"""`gitrepro record -- CMD`: run any program and put the run on record, without changing what becomes of the program."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..errors import NoRepository, NotFound
from ..records.run import RunRecord
from ..run.data import looked_up
from ..run.intake.files import ProgramFiles
from ..run.joining import alone
from ..run.launchkey import launch_of
from ..run.place import Place, find
from ..run.recording import Recording
from .closing import close
from .opening import joined, opened
from .order import Order, Outcome, draw_seed
from .program import Program
from .verdict import shell_code

__all__ = ["Order", "Outcome", "Program", "draw_seed", "launch"]


def launch(order: Order, *, where: Place, say: Callable[[str], None]) -> Outcome:
    """Run the program of `order`, record it in `where`, and commit the run.

    After the program has started, nothing that goes wrong with the recording reaches it.

    Args:
        say: is given one line when the run starts.

    Raises:
        NotFound: there is no such program, no such run to resume, or no such data; nothing was recorded.
        Ambiguous: several runs are meant by the one to resume, or several data sets by a name.
        Damaged: the data is not what its name says.
        UsageError: an argument is wrong, or the program cannot be started; nothing was recorded.
    """
    if shutil.which(order.argv[0], path=order.environ.get("PATH")) is None:
        raise NotFound(
            f"there is no program {order.argv[0]!r:.200}",
            why="it is neither on PATH nor a file that may be executed",
            do="check the spelling; for a script: `gitrepro record -- python script.py`",
        )
    order = _with_data(order, where)
    identity = where.identity()
    rank = launch_of(order.environ) if order.recorded else None
    with alone(where.home, rank):
        record, recording = joined(where, rank) or opened(order, where, identity, rank)
    say(_greeting(order, record, recording))
    root = where.repository.work_tree if where.repository else None
    program = Program(order, recording, root=root or Path.cwd(), rank=rank)
    with program.signals_passed_on():
        files = ProgramFiles(order.files, recording, where, here=Path.cwd()) if recording else None
        exit_code = program.run()
        if files:
            files.finish()
        if recording is None:
            trouble = "nothing was recorded" if order.recorded else ""
            return Outcome(exit_code=shell_code(exit_code), run_id=record.id, record=None, trouble=trouble)
        return close(order, program, recording, where, identity, exit_code, rank)


def _with_data(order: Order, where: Place) -> Order:
    """Look up what is named of data, before anything begins."""
    if not order.data:
        return order
    # Where nothing is recorded there is no place for a run, and the program gets its data all the same.
    known = where if order.recorded else find(None, order.environ)
    if known.repository is None:
        raise known.trouble or NoRepository(
            "data is named, and there is no repository that knows it", do="leave out --no-repo, or --data"
        )
    data = looked_up(known.repository, order.data)
    return replace(order, data=data.named, opened=data.entries)


def _greeting(order: Order, record: RunRecord, recording: Recording | None) -> str:
    seed = "no seed" if order.seed is None else f"seed {order.seed}{' (drawn)' if order.drawn else ''}"
    code = record.code or {}
    dirty = f", {code['changes_count']} uncommitted changes kept as a snapshot" if code.get("dirty") else ""
    lost = "" if recording else "; NOT RECORDED"
    if not order.recorded:
        return f"recording is off, {seed}"
    rank = f", rank {recording.rank}" if recording and recording.rank else ""
    data = "".join(f", {entry['name']}@{entry['version']}" for entry in order.opened)
    again = f", resuming {record.resumes[-8:]}" if record.resumes else ""
    return f"recording {record.name} ({record.short_id}){rank}{again}, {seed}{data}{dirty}{lost}"
