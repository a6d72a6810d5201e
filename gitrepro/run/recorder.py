"""The recording API: `with gitrepro.record(config=cfg, seed=0) as run: ...`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..errors import NoRepository, StorageError, UnsupportedRepository, UsageError
from ..store import launches
from . import notebook, place, process
from .data import LookedUp, looked_up, repository_at
from .handle import Run
from .joining import join_parent, remember, start_or_join
from .keeper import Keeper
from .launchkey import launch_of
from .named import from_environ
from .resumed import Resumed
from .start import start
from .warning import warn
from .wish import Wish
from .wish import wish as check_arguments

_joined = False


def record(
    config: object = None,
    *,
    name: str | None = None,
    group: str | None = None,
    labels: Iterable[str] = (),
    note: str | None = None,
    seed: int | None = None,
    kind: str = "train",
    repo: str | os.PathLike[str] | None = None,
    resume: str | None = None,
    preprocess: object = None,
    dataset: str | Sequence[str] | None = None,
    split: str | Sequence[str] | None = None,
    determinism: str | None = None,
    guard: str | None = None,
) -> Run:
    """Start a run. Use it as a context manager, or call `finish()`.

    Under `gitrepro record -- ...` the first call joins the run that the command started; a later one starts a run of
    its own. The processes of one launch (torchrun, srun, mpirun, or RANK and WORLD_SIZE) are ranks of one run. With
    `GITREPRO_MODE=disabled` nothing is recorded; seeds are set all the same.

    Args:
        config: dict, dataclass, Namespace or the like; what code reads goes on record as its source.
        name: for people; one is made up when there is none.
        group: a label of yours that puts runs together.
        labels: free words.
        note: free text.
        seed: seeds Python, NumPy and torch, now and when they are imported. Without it nothing is touched, and the
            seeding calls of your code are observed.
        kind: `train`, `eval`, `baseline`, `shuffle`, `overfit`, `data-check` or `reproduction`.
        repo: a folder in the repository of the code; the current folder by default.
        resume: the run that this one goes on with: an id or its end, a name, or `auto` for the newest run of the same
            command, folder and config that did not finish. Steps are counted on from its last one.
        preprocess: the transform that prepares the data, or a list of them; see `Run.preprocess`.
        dataset: the data set that the run uses, as `digits@v1`, or a list of them; see `Run.dataset`. It is looked up
            and checked before the run begins, and what `gitrepro record --data` names stands over it.
        split: the split of it; see `Run.split`.
        determinism: `on` asks torch for the same numbers each time, and an operation that cannot raises an error;
            `debug` also fills memory that nobody has written; `off` switches nothing. All three put on record which
            flags were in force. `gitrepro check determinism` measures what it gives and what it costs.
        guard: what becomes of a test set that is read without `Run.open_test`: `warn`, or `strict`, which refuses it.
            By default what `GITREPRO_GUARD` says, else `warn`; `strict` where the policy asks that of every result.

    Raises:
        UsageError: an argument is wrong.
        NotFound, Damaged: there is no such data set or split, or the data is not what that version names. Nothing else
            is raised: without a repository or on a full disk the run is kept in the state folder, with a warning.
    """
    asked = check_arguments(
        config=config, name=name, group=group, labels=labels, note=note, seed=seed, kind=kind, repo=repo, resume=resume,
        dataset=dataset, split=split, determinism=determinism, guard=guard,
    )  # fmt: skip
    data = _look_up(asked)
    asked = replace(asked, given=config, preprocess=preprocess, data=data.named)
    if _disabled():
        return Run(None, replace(asked, preprocess=None), data=data)
    return _join(asked, data) or _start(asked, data)


def _look_up(asked: Wish) -> LookedUp:
    """The data that was named, found and checked; a command that started us has done so already."""
    named = asked.data.under(os.environ)
    joins = not _joined and os.environ.get("GITREPRO_LIVE")
    if not named or (joins and from_environ(os.environ)):
        return LookedUp(named=named)
    try:
        return looked_up(repository_at(asked.start), named)
    except (StorageError, NoRepository, UnsupportedRepository) as error:
        warn(f"the data of this run is not on record: {error}")
        return LookedUp(named=named)


def _disabled() -> bool:
    mode = os.environ.get("GITREPRO_MODE", "online")
    if mode not in ("online", "disabled"):
        warn(f"GITREPRO_MODE={mode!r:.40} means nothing; known are online and disabled. This run is recorded")
    return mode == "disabled"


def _join(asked: Wish, data: LookedUp) -> Run | None:
    global _joined
    recording = None if _joined else join_parent(asked)
    if recording is None:
        return None
    _joined = True
    return Run(recording, asked, data=data)


def _start(asked: Wish, data: LookedUp) -> Run:
    global _joined
    # A process is one rank of its launch once: a second run of its own stands beside that.
    launch = None if _joined else launch_of(os.environ)
    if launch is None and (found := notebook.shell()):
        return _start_in_cell(asked, found, data)
    try:
        where = place.find(asked.start, os.environ)
        identity = where.identity()
        if launch:
            recording = start_or_join(asked, where, launch, identity=identity)
        else:
            recording = start(asked, where, identity=identity)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - a fault of ours must not keep a training from starting
        warn(f"nothing of this run is recorded: {error!r:.500}")
        return Run(None, asked, data=data)
    _joined = _joined or launch is not None
    return Run(recording, asked, keeper=Keeper(where, identity, launch), data=data)


def _start_in_cell(asked: Wish, found: Any, data: LookedUp) -> Run:
    """Start the run of a notebook's cell. Run again, or after a restart of the kernel, it is the next attempt."""
    try:
        cell = notebook.seat(found)
        before = next((run for run in process.open_runs() if run.cell == cell), None)
        if before is not None:
            before.process_ended(None)
        where = place.find(asked.start, os.environ)
        identity = where.identity()
        resumes = Resumed.of({**launches.known(where.home, cell), "last_step": -1})
        recording = start(asked, where, identity=identity, resumes=resumes)
        if recording:
            remember(where.home, cell, recording)
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - a fault of ours must not keep a training from starting
        warn(f"nothing of this run is recorded: {error!r:.500}")
        return Run(None, asked, data=data)
    return Run(recording, asked, keeper=Keeper(where, identity), cell=cell, data=data)
