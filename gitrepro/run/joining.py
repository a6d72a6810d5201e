"""Several processes, one run: who finds it, who takes part in it, and as which rank."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from ..capture import config as configs
from ..capture import environment, secrets
from ..errors import GitreproError, StorageError
from ..records import ids, yaml
from ..records.run import RunRecord, run_from
from ..store import launches
from ..store.fold import Identity
from ..store.lease import Life, life
from ..store.live import START
from .launchkey import Launch, launch_of
from .place import Place
from .recording import Recording, SeatTaken, join
from .start import start
from .warning import warn
from .wish import Wish


def alone(home: Path, launch: Launch | None) -> AbstractContextManager[None]:
    """Of the ranks of one launch (`srun gitrepro record -- ...`), one at a time joins or leaves their run."""
    return launches.held(home, launch.key) if launch else nullcontext()


def start_or_join(wish: Wish, where: Place, launch: Launch, *, identity: Identity) -> Recording | None:
    """Open the run of a launch, or take part in it when another process of that launch has opened it.

    Raises:
        UsageError: the config has no room in a record.
    """
    try:
        with launches.held(where.home, launch.key):
            return _start_or_join(wish, where, launch, identity=identity)
    except StorageError as error:
        warn(f"rank {launch.rank} is recorded by itself: {error}")
        return start(wish, where, identity=identity, launch=launch)


def _start_or_join(wish: Wish, where: Place, launch: Launch, *, identity: Identity) -> Recording | None:
    folder = begun(where.home, launch)
    try:
        joined = rejoin(folder, launch=launch) if folder else None
    except SeatTaken:
        return _rival(wish, where, launch, identity=identity, of=folder)
    if joined is not None:
        describe(joined, wish)
        return joined
    recording = start(wish, where, identity=identity, launch=launch)
    if recording is not None:
        remember(where.home, launch.key, recording)
    return recording


def begun(home: Path, launch: Launch) -> Path | None:
    """The folder of the run that another process of this launch has begun and that goes on."""
    folder = launches.known(home, launch.key).get("folder")
    return Path(folder) if isinstance(folder, str) and life(Path(folder)) is not Life.DEAD else None


def started(folder: Path) -> RunRecord:
    """What was known at the start of the run in `folder`."""
    source = str(folder / START)
    return run_from(yaml.load((folder / START).read_bytes(), source=source)["record"], source=source)


def remember(home: Path, key: str, recording: Recording) -> None:
    """Let the other ranks of a launch find the run, and what starts again what it goes on with."""
    lineage = recording.resumes.lineage if recording.resumes else recording.run_id
    try:
        launches.remember(home, key, {"folder": str(recording.folder), "id": recording.run_id, "lineage": lineage})
    except OSError as error:
        warn(f"what begins again cannot find this run: {error}")


def _rival(wish: Wish, where: Place, launch: Launch, *, identity: Identity, of: Path | None) -> Recording | None:
    """Two living processes say that they are one rank: each has a run of its own, and both runs name the other."""
    warn(f"rank {launch.rank} of this launch is another process already: this one is a run of its own")
    recording = start(wish, where, identity=identity, launch=launch)
    if recording is not None and of is not None:
        recording.event("rival", run=of.name)
        other = rejoin(of, rank=launch.rank)
        if other is not None:
            other.event("rival", run=recording.run_id)
            other.leave()
            other.release()
    return recording


def join_parent(wish: Wish) -> Recording | None:
    """Take part in the run that a parent process started; None when there is none, or it is over."""
    run_id, folder = os.environ.get("GITREPRO_RUN", ""), os.environ.get("GITREPRO_LIVE", "")
    if not ids.is_id(run_id) or not folder:
        return None
    # Where `gitrepro record -- ...` is itself the rank, it holds the seat for the program inside.
    seated = os.environ.get("GITREPRO_RANK", "")
    launch = None if seated else launch_of(os.environ)
    try:
        recording = rejoin(Path(folder), rank=_rank(seated or os.environ.get("RANK", "")), launch=launch)
    except SeatTaken as error:
        warn(f"{error}: this process is a run of its own")
        return None
    if recording is None:
        return None
    describe(recording, wish)
    return recording


def describe(recording: Recording, wish: Wish) -> None:
    """What the program says of a run that another process started."""
    if said := wish.said():
        recording.event("describe", **said)
    values, _ = secrets.redact_tree(wish.config)
    for key, value in configs.flatten(values).items():
        recording.event("config", key=key, value=value, source="code")


def rejoin(folder: Path, *, rank: int = 0, launch: Launch | None = None) -> Recording | None:
    """Take part in the run in `folder` with a journal of this process; None when it is not there any more.

    Raises:
        SeatTaken: another living process is this rank of the run.
    """
    try:
        return join(folder, boot_id=str(environment.host().get("boot_id", "")), rank=rank, launch=launch)
    except (OSError, GitreproError, KeyError, TypeError, ValueError):
        return None


def _rank(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0
