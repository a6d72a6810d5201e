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
from ..errors import GitreproError, GitreproWarning, StorageError, UsageError
from ..records import ids, yaml
from ..records.run import RunRecord, Status, run_from
from ..store import launches, overlay, worktree
from ..store.fold import Identity
from ..store.lease import Life, life
from ..store.live import START
from ..store.repository import Repository
from . import place
from .compose import stamp
from .launchkey import Launch, launch_of
from .names import name_for
from .place import Place
from .recording import Recording, SeatTaken, begin, join
from .resumed import Asked, Resumed
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
        recorder={"version": version(), "hidden": hidden},
    )
    config = configs.merge([configs.Layer(source="code", values=values)]).document()
    check_config(config)
    surroundings = {"format": 1, **environment.describe(), "hardware": hardware.describe(), "frameworks": {}}
    return open_recording(where, record, config, surroundings, supervised=False, launch=launch, resumes=resumes)


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


def capture_code(
    where: Place, *, named: Iterable[str], identity: Identity, outputs: Iterable[Path] = ()
) -> dict[str, Any] | None:
    """The `code` field of a run that starts now; None without a repository. A fault of Git is told in it.

    Args:
        outputs: files that the program writes; untracked, they are no code, whatever they are called.
    """
    if where.repository is None:
        return None
    try:
        written = set(_relative(where, map(str, outputs)))
        state = worktree.look(where.repository, named=_relative(where, named), written=written)
        if where.spooled:
            return _unkept(where.repository, state)
        taken = None
        if state.dirty:
            taken = worktree.snapshot(
                where.repository, state, identity=identity, now=time.time(), forbidden=secrets.secret_file
            )
        exact = _exact(where.repository, state, taken)
    except (OSError, GitreproError) as error:
        warn(f"the state of the code is not on record: {error}")
        return {"commit": None, "dirty": None, "snapshot": None, "tree": None, "trouble": str(error)}
    code = worktree.document(state, taken)
    left_out = [*code["left_out"], *({"path": path, "why": why} for path, why in exact.left_out)]
    return {
        **code,
        "exact": exact.commit,
        "folder": _folder(where.repository),
        "left_out": left_out[:_LEFT_OUT_AT_MOST],
        "left_out_count": len(left_out),
    }


def _unkept(repository: Repository, state: worktree.WorkTree) -> dict[str, Any]:
    """The `code` field of a run in a spool: what is not committed is named and not kept, for Git is not written to."""
    why = "the run was recorded into a spool, which keeps no code"
    left_out = [{"path": change.path, "why": why} for change in state.dirty]
    if left_out:
        warn(f"{len(left_out)} uncommitted changes are named and not kept: {why}")
    return {
        **worktree.document(state, None),
        "exact": None,
        "folder": _folder(repository),
        "left_out": left_out[:_LEFT_OUT_AT_MOST],
        "left_out_count": len(left_out),
    }


def _exact(repository: Repository, state: worktree.WorkTree, taken: worktree.Snapshot | None) -> overlay.Overlay:
    """The files whose bytes Git would not give back, as they are."""
    commit = taken.commit if taken else state.commit
    changed = [change.path for change in state.dirty] + list(state.untracked if taken else ())
    paths = overlay.converted(repository, commit, changed=changed) if commit else []
    return overlay.keep(repository, paths, forbidden=secrets.secret_file)


def _folder(repository: Repository) -> str | None:
    """Where in the work tree the run was started, `.` for its top; None outside it."""
    top, here = repository.work_tree, Path.cwd()
    return here.relative_to(top).as_posix() if top is not None and here.is_relative_to(top) else None


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
    edited = worktree.edited_since(where.repository.work_tree, files, moment)
    return {"edited": edited, "modules": imported, **_ignored(where, files)}


def _ignored(where: Place, files: Iterable[str]) -> dict[str, Any]:
    """Files that ran though Git ignores them: no commit holds them, so they are kept beside it."""
    repository = where.repository
    if repository is None or where.spooled:
        return {}
    try:
        paths = overlay.ignored(repository, files)
        kept = overlay.keep(repository, paths, forbidden=secrets.secret_file)
    except (OSError, GitreproError) as error:
        warn(f"which files Git ignores is not on record: {error}")
        return {}
    why = {**dict.fromkeys(kept.kept), **dict(kept.left_out)}
    listed = [{"path": path, "why": why[path]} for path in sorted(why)]
    return {"ignored": listed[:_LEFT_OUT_AT_MOST], "ignored_count": len(listed), "ignored_files": kept.commit}


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
