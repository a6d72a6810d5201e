"""The end of a recorded program: its run gets its closing word and is committed."""

from __future__ import annotations

from ..errors import GitreproError, StorageError
from ..run import commit
from ..run.code import code_at_end
from ..run.compose import read_observed
from ..run.joining import alone
from ..run.launchkey import Launch
from ..run.place import Place
from ..run.recording import Recording
from ..run.streams import OUTPUT_BYTES
from ..run.tabulate import LIMIT
from ..store import spool
from ..store.fold import Identity
from ..store.lease import Life, life
from ..sync.later import push_when_over
from .order import Order, Outcome
from .program import Program
from .verdict import shell_code, verdict


def close(
    order: Order,
    program: Program,
    recording: Recording,
    where: Place,
    identity: Identity,
    exit_code: int,
    rank: Launch | None,
) -> Outcome:
    """Write down how the program ended, and commit its run."""
    status, reason = verdict(program, exit_code)
    _tell_dropped(program, recording)
    seen = code_at_end(
        where,
        named=order.argv,
        modules=[path for process in read_observed(recording.folder) for path in process.get("local_modules", ())],
        started_at=recording.started_at,
    )
    kept = recording.end(status, reason=reason, cost=program.usage, code=seen)
    trouble = "" if kept else f"its end is not on disk: {recording.journal.last_error}"
    code = shell_code(exit_code)
    try:
        with alone(where.home, rank):
            if rank:
                recording.release()
            if rank and life(recording.folder) is not Life.DEAD:
                # Nobody waits for anybody: the last rank to leave commits the run of all.
                return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=trouble)
            return _commit(recording, where, identity, code, trouble)
    except StorageError as error:
        waits = f"it is not committed: {error}; `gitrepro recover` puts it on record"
        return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=waits)
    finally:
        recording.release()


def _commit(recording: Recording, where: Place, identity: Identity, code: int, trouble: str) -> Outcome:
    if where.repository is None or recording.folder.parent.parent != where.home:
        waits = (
            f"it waits in {recording.folder}; `gitrepro recover --into REPOSITORY {recording.run_id[-8:]}` takes it in"
        )
        return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=waits)
    try:
        if where.spooled:
            spool.hand_over(where.home, recording.run_id)
            waits = f"it waits in {where.home}; `gitrepro fold --from {where.home}` commits it"
            return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=trouble or waits)
        record = commit.commit_run(where.repository, recording.folder, identity=identity)
        push_when_over(where.repository)
        return Outcome(exit_code=code, run_id=recording.run_id, record=record, trouble=trouble)
    except (OSError, GitreproError) as error:
        waits = f"it is not committed: {error}; `gitrepro recover` puts it on record"
        return Outcome(exit_code=code, run_id=recording.run_id, record=None, trouble=waits)


def _tell_dropped(program: Program, recording: Recording) -> None:
    if not program.dropped_bytes:
        return
    what = f"{program.dropped_bytes} bytes of output"
    if program.output_trouble:
        recording.event("lost", what=what, why=program.output_trouble)
    else:
        recording.event("lost", kind=LIMIT, what=what, why=f"{OUTPUT_BYTES >> 20} MiB of each stream are kept")
