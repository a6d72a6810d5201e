"""The start of a run: what is known before its first line, written down before anything else happens."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ..capture import config as configs
from ..capture import environment, hardware, secrets
from ..errors import GitreproError, UsageError
from ..records import ids, yaml
from ..records.run import RunRecord, Status
from ..store.fold import Identity
from . import place
from .code import capture_code
from .compose import stamp
from .launchkey import Launch
from .metering import prices_at
from .names import name_for
from .place import Place
from .recording import Recording, begin
from .resumed import Asked, Resumed
from .warning import warn
from .wish import Wish

_ARGV_CHARACTERS: Final = 128 << 10


def start(
    wish: Wish, where: Place, *, identity: Identity, launch: Launch | None = None, resumes: Resumed | None = None
) -> Recording | None:
    """Open a run of this very process.

    Args:
        launch: which rank of several processes it is.
        resumes: the run it goes on with, where that is known and the wish names none.

    Raises:
        UsageError: the config has no room in a record.
    """
    run_id = ids.new_id()
    parent = os.environ.get("GITREPRO_RUN", "")
    values, hidden = secrets.redact_tree(wish.config)
    argv = secrets.redact_argv(list(sys.orig_argv))
    asked = Asked(run=wish.resume, argv=kept_argv(argv), config=values, environ=os.environ, launch=launch)
    resumes = resumed(asked, where, identity=identity) or resumes
    record = RunRecord(
        id=run_id,
        name=wish.name or name_for(run_id),
        kind=wish.kind,
        status=Status.RUNNING,
        started_at=stamp(time.time()),
        actor=actor(identity),
        host=environment.host(),
        argv=kept_argv(argv),
        code=capture_code(where, named=[*sys.argv, *_texts(wish.config)], identity=identity),
        seeds={"requested": wish.seed, "source": None if wish.seed is None else "code"},
        group=wish.group,
        labels=tuple(sorted(set(wish.labels))),
        note=wish.note,
        parents=(parent,) if ids.is_id(parent) else (),
        resumes=resumes.id if resumes else None,
        lineage=resumes.lineage if resumes else None,
        losses=lost_argv(argv),
        recorder={"version": version(), "hidden": hidden, **wish.data.document(), **prices_at(where)},
    )
    config = configs.merge([configs.Layer(source="code", values=values)]).document()
    check_config(config)
    surroundings = {"format": 1, **environment.describe(), "hardware": hardware.describe(), "frameworks": {}}
    return open_recording(where, record, config, surroundings, supervised=False, launch=launch, resumes=resumes)


def resumed(asked: Asked, where: Place, *, identity: Identity) -> Resumed | None:
    """The run that this one goes on with. Where it cannot be found, a warning: the training starts all the same."""
    if not asked.goes_on:
        return None
    # It reads the records: what most runs never need is not loaded for them.
    from . import attempts

    try:
        return attempts.earlier(asked, where, identity=identity)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not keep a training from starting
        which = "the run that this one goes on with" if asked.run is None else f"the run to resume, {asked.run!r:.80},"
        warn(f"{which} is not known here: {error}; this run is recorded without it")
        return None


def open_recording(
    where: Place,
    record: RunRecord,
    config: Mapping[str, Any],
    surroundings: Mapping[str, Any],
    *,
    supervised: bool,
    launch: Launch | None = None,
    resumes: Resumed | None = None,
) -> Recording | None:
    """Open a live run where it belongs, else in the state folder; None, with a warning, when neither can be written."""
    boot_id = str(record.host.get("boot_id", ""))
    homes = [where.home]
    if where.repository is not None:
        homes.append(place.state_folder(os.environ))
    elif where.trouble is not None:
        why = f" ({where.trouble.why})" if where.trouble.why else ""
        warn(f"this run has no repository: {where.trouble.what}{why}; it is kept in {where.home}")
    trouble: Exception | None = None
    for home in homes:
        try:
            recording = begin(
                home,
                record,
                config=config,
                environment=surroundings,
                boot_id=boot_id,
                supervised=supervised,
                launch=launch,
                resumes=resumes,
            )
        except (OSError, GitreproError) as error:
            trouble = trouble or error
            continue
        if trouble:
            warn(f"{where.home} cannot be written ({trouble}); the run is kept in {home}")
        return recording
    warn(f"nothing of this run is recorded: {trouble}")
    return None


def actor(identity: Identity) -> dict[str, Any]:
    return {"email": identity.email, "name": identity.name}


def version() -> str:
    from .. import __version__

    return __version__


def check_config(document: Mapping[str, Any]) -> None:
    """Raises UsageError: the config has no room in a record."""
    try:
        yaml.dump(document)
    except UsageError as error:
        raise UsageError(
            f"the config cannot be kept: {error.what}", why=error.why, do="keep data out of the config"
        ) from error


def kept_argv(argv: Iterable[str]) -> tuple[str, ...]:
    """The command as far as a record has room for it."""
    kept, room = [], _ARGV_CHARACTERS
    for word in argv:
        if room <= 0:
            break
        kept.append(word[:room])
        room -= len(word) + 1
    return tuple(kept)


def lost_argv(argv: list[str]) -> tuple[Any, ...]:
    """What `kept_argv` left away, as the record's `losses` tell it."""
    characters = sum(len(word) + 1 for word in argv)
    if characters <= _ARGV_CHARACTERS:
        return ()
    why = f"the command has {len(argv)} words and {characters} characters; {_ARGV_CHARACTERS} are kept"
    return ({"kind": "limit", "what": "the end of the command", "why": why},)


def _texts(values: object) -> Iterator[str]:
    if isinstance(values, Mapping):
        for below in values.values():
            yield from _texts(below)
    elif isinstance(values, (list, tuple)):
        for below in values:
            yield from _texts(below)
    elif isinstance(values, str):
        yield values
