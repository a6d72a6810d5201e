"""The start of a run: what is known before its first line, written down before anything else happens."""

from __future__ import annotations

import datetime
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ..capture import config as configs
from ..capture import environment, hardware, secrets
from ..errors import GitreproError, GitreproWarning, UsageError
from ..records import ids, yaml
from ..records.run import RunRecord, Status
from ..store import worktree
from ..store.fold import Identity
from . import place
from .compose import stamp
from .names import name_for
from .place import Place
from .recording import Recording, begin, join
from .wish import Wish

_ARGV_CHARACTERS: Final = 128 << 10
_LEFT_OUT_AT_MOST: Final = 200


def warn(message: str) -> None:
    """Tell the caller of `gitrepro` that something is not recorded as asked."""
    warnings.warn(message, GitreproWarning, stacklevel=_to_caller())


def _to_caller() -> int:
    # A warning is shown with the line it stands for: the first one that is not ours.
    own = f"{Path(__file__).parent.parent}{os.sep}"
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(own):
        level, frame = level + 1, frame.f_back
    return level


def start(wish: Wish, where: Place, *, identity: Identity) -> Recording | None:
    """Open a run of this very process.

    Raises:
        UsageError: the config has no room in a record.
    """
    run_id = ids.new_id()
    parent = os.environ.get("GITREPRO_RUN", "")
    values, hidden = secrets.redact_tree(wish.config)
    argv = secrets.redact_argv(list(sys.orig_argv))
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
        losses=lost_argv(argv),
        recorder={"version": version(), "hidden": hidden},
    )
    config = configs.merge([configs.Layer(source="code", values=values)]).document()
    check_config(config)
    surroundings = {"format": 1, **environment.describe(), "hardware": hardware.describe(), "frameworks": {}}
    return open_recording(where, record, config, surroundings, supervised=False)


def open_recording(
    where: Place,
    record: RunRecord,
    config: Mapping[str, Any],
    surroundings: Mapping[str, Any],
    *,
    supervised: bool,
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
                home, record, config=config, environment=surroundings, boot_id=boot_id, supervised=supervised
            )
        except (OSError, GitreproError) as error:
            trouble = trouble or error
            continue
        if trouble:
            warn(f"{where.home} cannot be written ({trouble}); the run is kept in {home}")
        return recording
    warn(f"nothing of this run is recorded: {trouble}")
    return None


def join_parent(wish: Wish) -> Recording | None:
    """Take part in the run that a parent process started; None when there is none, or it is over."""
    run_id, folder = os.environ.get("GITREPRO_RUN", ""), os.environ.get("GITREPRO_LIVE", "")
    if not ids.is_id(run_id) or not folder:
        return None
    recording = rejoin(Path(folder), rank=_rank(os.environ.get("RANK", "")))
    if recording is None:
        return None
    if said := wish.said():
        recording.event("describe", **said)
    values, _ = secrets.redact_tree(wish.config)
    for key, value in configs.flatten(values).items():
        recording.event("config", key=key, value=value, source="code")
    return recording


def rejoin(folder: Path, *, rank: int) -> Recording | None:
    """Take part in the run in `folder` with a journal of this process; None when it is not there any more."""
    try:
        return join(folder, boot_id=str(environment.host().get("boot_id", "")), rank=rank)
    except (OSError, GitreproError, KeyError, TypeError, ValueError):
        return None


def _rank(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0


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


def capture_code(where: Place, *, named: Iterable[str], identity: Identity) -> dict[str, Any] | None:
    """The `code` field of a run that starts now; None without a repository. A fault of Git is told in it."""
    if where.repository is None:
        return None
    try:
        state = worktree.look(where.repository, named=_relative(where, named))
        taken = None
        if state.dirty:
            taken = worktree.snapshot(
                where.repository, state, identity=identity, now=time.time(), forbidden=secrets.secret_file
            )
    except (OSError, GitreproError) as error:
        warn(f"the state of the code is not on record: {error}")
        return {"commit": None, "dirty": None, "snapshot": None, "tree": None, "trouble": str(error)}
    code = worktree.document(state, taken)
    return {**code, "left_out": code["left_out"][:_LEFT_OUT_AT_MOST], "left_out_count": len(code["left_out"])}


def code_at_end(where: Place, *, named: Iterable[str], modules: Iterable[str], started_at: str) -> dict[str, Any]:
    """What the `code` field says of the end: modules that were imported, and which of the code is not as it was.

    Args:
        named: words of the command line; those that name source or config files count as code.
        modules: files that Python imported, from the top of the work tree.
        started_at: the time the code was looked at first.
    """
    if where.repository is None or where.repository.work_tree is None:
        return {}
    imported = sorted(set(modules))
    files = {*imported, *filter(worktree.is_code, _relative(where, named))}
    moment = datetime.datetime.fromisoformat(started_at).timestamp()
    return {"edited": worktree.edited_since(where.repository.work_tree, files, moment), "modules": imported}


def _relative(where: Place, named: Iterable[str]) -> list[str]:
    """Words that name files, as paths from the top of the work tree."""
    assert where.repository is not None
    top = where.repository.work_tree or where.repository.git_dir
    here = Path.cwd()
    words = []
    for word in named:
        if 0 < len(word) < 4096 and "\0" not in word and "\n" not in word:
            full = os.path.normpath(here / word)
            if full.startswith(f"{top}{os.sep}"):
                words.append(os.path.relpath(full, top))
    return words


def _texts(values: object) -> Iterator[str]:
    if isinstance(values, Mapping):
        for below in values.values():
            yield from _texts(below)
    elif isinstance(values, (list, tuple)):
        for below in values:
            yield from _texts(below)
    elif isinstance(values, str):
        yield values
