"""Test sets in a run: asked for unopened they warn or refuse, and opened they are in the holdout log."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, final

from ..errors import GitreproError, Sealed, StorageError, UsageError
from ..records.holdout import CONFIRM, OPEN, PURPOSES, Entry
from ..records.metricnames import part_of
from ..store import worktree
from .compose import stamp
from .holdouts import OP
from .place import nobody
from .recording import Recording
from .warning import warn

if TYPE_CHECKING:
    from ..data.handle import Dataset
    from ..data.holdouts import Log
    from ..data.parts import Part, Split
    from ..store.repository import Repository
    from .data import RunData

WARN, STRICT = "warn", "strict"
MODES: Final = (WARN, STRICT)
VARIABLE: Final = "GITREPRO_GUARD"
_OUTSIDE: Final = "file"
"""What a seal says of labels that lie in no data set: who reads the part does not see them."""
_NOT_LOGGED: Final = ""


def check_guard(mode: object) -> str | None:
    """What is to be done about test sets that nobody opened, or None where nothing was asked.

    Raises:
        UsageError: there is no such mode.
    """
    if mode is None or (isinstance(mode, str) and mode in MODES):
        return mode
    raise UsageError(f"guard {mode!r:.40} means nothing", do=f"give one of {', '.join(MODES)}")


class Opening(ABC):
    """The part of a `Run` that opens test sets."""

    id: str
    _data: RunData

    @abstractmethod
    def _own(self) -> Recording | None: ...

    def open_test(
        self,
        reason: str,
        *,
        part: str = "test",
        split: str | None = None,
        dataset: str | Dataset | None = None,
        purpose: str = CONFIRM,
    ) -> Part:
        """Open a part that is to be used once, and say so in the holdout log of its split. It cannot be taken back.

        The log is written before the part is handed out. Opening it again in the same run adds nothing. Of several
        processes rank 0 writes; call it in all of them. With `GITREPRO_MODE=disabled` nothing is written, and warned.

        Args:
            reason: why, for people.
            part: its name.
            split: as in `split()`.
            dataset: as in `split()`.
            purpose: `confirm`, `explore` or `debug`. All count the same: what was seen was seen.

        Raises:
            UsageError: there is no reason, or no such purpose.
            NotFound: there is no such data set, split or part.
            Damaged: as `split()`.
            StorageError: with the guard `strict`, the disk takes no word of it.
        """
        if not isinstance(reason, str) or not reason.strip():
            raise UsageError("an opening needs a reason", why="it stays in the log", do='run.open_test("final score")')
        if purpose not in PURPOSES:
            raise UsageError(f"there is no purpose {purpose!r:.40}", do=f"one of {', '.join(PURPOSES)}")
        opened = self._data.split(split, dataset)
        if part in opened.parts:
            self._data.holdouts.open(opened, part, reason=reason, purpose=purpose, run=self.id, recording=self._own())
        return opened.part(part)


@final
class Holdouts:
    """The holdout logs of the splits that one process of a run has opened.

    Args:
        find: gives the repository whose data it is.
        tell: takes an event for the journal.
    """

    def __init__(self, *, find: Callable[[], Repository], tell: Callable[..., None]) -> None:
        self.guard: str | None = None
        """What the program asked to be done about test sets that are read unopened; None leaves it to others."""
        self._find = find
        self._tell = tell
        self._logs: dict[str, Log] = {}
        self._openings: dict[tuple[str, str], str] = {}
        self._warned: set[tuple[str, str]] = set()

    # -- splits that are opened

    def take(self, split: Split) -> None:
        """A split was opened: what its log says goes on record, and who asks for its test set is asked back."""
        split.on_part = self._asked
        if split.digest in self._logs:
            return
        from ..data.holdouts import Log, known_log

        self._logs[split.digest] = Log(split=split.digest)
        with suppress(GitreproError, OSError):
            self._logs[split.digest] = known_log(self._find(), split.digest)
        if self._logs[split.digest].held:
            self._anchor(self._logs[split.digest])

    def _anchor(self, log: Log, **more: Any) -> None:
        from ..data.holdouts import anchor_of

        self._tell(OP, **anchor_of(log), **more)

    def _asked(self, split: Split, part: str) -> str | None:
        """By which entry a part is open; it warns, or raises, where none is and the part is for tests."""
        key = (split.digest, part)
        if key in self._openings:
            return self._openings[key] or None
        if part_of(part) != "test" or self._labels_are_elsewhere(split, part):
            return None
        what = f"{part} of {split.dataset.record.name}/{split.name} is read without having been opened"
        if self._is_strict():
            why = "the choice of a model ends before its test set is opened, once, and on record"
            raise Sealed(what, why=why, do=f'run.open_test("why", part="{part}") opens it')
        if key not in self._warned:
            self._warned.add(key)
            warn(f'{what}: a choice made after that is made by it; run.open_test("why") says on record that it is over')
        return None

    def _labels_are_elsewhere(self, split: Split, part: str) -> bool:
        log = self._logs.get(split.digest)
        seals = [each for each in log.entries if (each.op, each.part) == ("seal", part)] if log else []
        return bool(seals) and seals[-1].detail.get("source") == _OUTSIDE

    def _is_strict(self) -> bool:
        asked = self.guard or os.environ.get(VARIABLE) or None
        if asked is not None and asked not in MODES:
            warn(f"{VARIABLE}={asked!r:.40} means nothing; known are {' and '.join(MODES)}")
            asked = None
        return _policy_is_strict(self._find) if asked is None else asked == STRICT

    # -- test sets that are opened

    def open(
        self, split: Split, part: str, *, reason: str, purpose: str, run: str, recording: Recording | None
    ) -> None:
        """Write into the log that a run opens a part. Raises StorageError where it must be known and cannot be."""
        key = (split.digest, part)
        if key in self._openings:
            return
        if recording is None:
            warn(f"the opening of {part} is not in the holdout log: nothing of this run is recorded")
            self._openings[key] = _NOT_LOGGED
        elif recording.rank:
            self._openings[key] = _NOT_LOGGED
        else:
            entry = self._write(split, part, recording, reason=reason, purpose=purpose, run=run)
            self._openings[key] = entry.id
        split.say_opened(part, self._openings[key] or None)

    def _write(self, split: Split, part: str, recording: Recording, **said: str) -> Entry:
        from ..data.holdouts import append, known_log

        repository = self._find()
        told: dict[str, Any] = {
            "op": OPEN, "split": split.record, "part": part, "at": stamp(time.time()),
            "identity": worktree.identity(repository, fallback=nobody()), **said,
        }  # fmt: skip
        # A run that is kept elsewhere is kept there since its repository is not to be written, or cannot be.
        if recording.folder.parent.parent == repository.home:
            with suppress(StorageError):
                entry = append(repository, **told)
                self._logs[split.digest] = known_log(repository, split.digest)
                self._anchor(self._logs[split.digest], opened=entry.id)
                return entry
        return self._carry(split, recording, told)

    def _carry(self, split: Split, recording: Recording, told: Mapping[str, Any]) -> Entry:
        """The entry goes with the run, and into the log when the run is committed."""
        from ..data.holdouts import Log, entry_after
        from ..data.holdouts.log import Held

        log = self._logs.get(split.digest) or Log(split=split.digest)
        entry = entry_after(log, **told)
        self._logs[split.digest] = Log(split=log.split, held=(*log.held, Held(entry, entry.digest)), unread=log.unread)
        self._anchor(self._logs[split.digest], opened=entry.id, carried=entry.document())
        if not recording.journal.sync():
            if self._is_strict():
                raise StorageError(
                    "the test set is not opened: the disk takes no word of it",
                    why=str(recording.journal.last_error),
                    do="make room, or run with guard='warn'",
                )
            warn(f"the opening of {entry.part} is not on disk: {recording.journal.last_error}")
        return entry


def _policy_is_strict(find: Callable[[], Repository]) -> bool:
    """Whether the policy of the work tree asks for `strict` of every result, so that no reading unopened can stand."""
    from ..policy import FILE, parse

    try:
        root = find().work_tree
        levels = parse((root / FILE).read_bytes()).levels if root else ()
    except (GitreproError, OSError):
        return False
    return bool(levels) and all(level == STRICT for _, level in levels)
