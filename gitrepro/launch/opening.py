"""The start of a recorded program: its run is opened, or joined where another rank of the launch has opened it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ..capture import config as configs
from ..capture import environment, hardware, secrets
from ..records import ids
from ..records.run import RunRecord, Status
from ..run.code import capture_code
from ..run.compose import stamp
from ..run.joining import begun, rejoin, remember, started
from ..run.launchkey import Launch
from ..run.metering import prices_at
from ..run.names import check_name, name_for
from ..run.place import Place
from ..run.recording import Recording, SeatTaken
from ..run.resumed import AUTO, Asked, Resumed
from ..run.start import actor, check_config, kept_argv, lost_argv, open_recording, resumed, version
from ..run.wish import check_note
from ..store.fold import Identity
from .order import Order


def joined(where: Place, rank: Launch | None) -> tuple[RunRecord, Recording] | None:
    """The run that another rank of this launch has begun, if it has."""
    folder = begun(where.home, rank) if rank else None
    try:
        recording = rejoin(folder, launch=rank) if folder else None
    except SeatTaken:
        return None
    return (started(recording.folder), recording) if recording else None


def opened(order: Order, where: Place, identity: Identity, rank: Launch | None) -> tuple[RunRecord, Recording | None]:
    """A run of its own; without a recording where none was asked for, or none can be had."""
    record, config, resumes = _describe(order, where, identity, rank)
    if not order.recorded:
        return record, None
    surroundings = _surroundings()
    recording = open_recording(where, record, config, surroundings, supervised=True, launch=rank, resumes=resumes)
    if rank and recording and begun(where.home, rank) is None:
        remember(where.home, rank.key, recording)
    return record, recording


def _resumed(order: Order, where: Place, identity: Identity, asked: Asked) -> Resumed | None:
    # Named on the command line it must be there; what a launcher starts again goes on with what is found.
    if order.resume is None or order.resume == AUTO:
        return resumed(asked, where, identity=identity)
    from ..run import attempts

    return attempts.earlier(asked, where, identity=identity)


def _describe(
    order: Order, where: Place, identity: Identity, rank: Launch | None
) -> tuple[RunRecord, dict[str, Any], Resumed | None]:
    run_id = ids.new_id()
    parent = order.environ.get("GITREPRO_RUN", "")
    argv = secrets.redact_argv(list(order.argv))
    merged = configs.merge([*order.config, configs.Layer(source="argv", values=configs.from_argv(order.argv))])
    config, hidden = secrets.redact_document(merged.document())
    check_config(config)
    asked = Asked(run=order.resume, argv=kept_argv(argv), config=merged.values, environ=order.environ, launch=rank)
    resumes = _resumed(order, where, identity, asked) if order.recorded else None
    named = [*order.argv, *(str(value) for value in configs.flatten(merged.values).values())]
    record = RunRecord(
        id=run_id,
        name=check_name(order.name) if order.name is not None else name_for(run_id),
        kind=order.kind,
        status=Status.RUNNING,
        started_at=stamp(time.time()),
        actor=actor(identity),
        host=environment.host(),
        argv=kept_argv(argv),
        code=_code(order, where, named, identity) if order.recorded else None,
        seeds={"requested": order.seed, "source": _seed_source(order)},
        data=order.opened,
        group=None if order.group is None else check_name(order.group, what="group"),
        labels=tuple(sorted({check_name(label, what="label") for label in order.labels})),
        note=check_note(order.note),
        parents=(parent,) if ids.is_id(parent) else (),
        resumes=resumes.id if resumes else None,
        lineage=resumes.lineage if resumes else None,
        losses=lost_argv(argv),
        recorder={
            "version": version(),
            "hidden": hidden,
            **order.files.document(),
            **order.data.document(),
            **prices_at(where),
        },
    )
    return record, config, resumes


def _code(order: Order, where: Place, named: list[str], identity: Identity) -> dict[str, Any] | None:
    return capture_code(where, named=named, identity=identity, outputs=order.files.written(Path.cwd()))


def _seed_source(order: Order) -> str | None:
    if order.seed is None:
        return None
    return "drawn" if order.drawn else "command line"


def _surroundings() -> dict[str, Any]:
    # Packages and versions are those of the program, not of the interpreter that runs gitrepro: a Python program
    # reports its own.
    own = environment.describe()
    kept = {name: value for name, value in own.items() if name not in ("python", "packages", "installed_from")}
    return {"format": 1, **kept, "hardware": hardware.describe(), "frameworks": {}}
