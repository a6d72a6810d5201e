"""Saving beside the training: a state is copied in the thread that trains; all else happens in one of our own."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final

from ..errors import GitreproError, UsageError
from ..store.objects import BlobStore
from ..store.statcache import StatCache
from . import adopting, files, publish
from .aim import Aim, aim_of
from .background import Background
from .capture import Captured, capture
from .keep import KEPT, KEPT_AT_MOST, Goal, Keep, Shelf, Standing, part_of
from .record import DROPPED, SAVED

_open: weakref.WeakSet[Saver] = weakref.WeakSet()
_AT_END_SECONDS: Final = 600.0
ORIGIN: Final = ("run", "commit", "tree", "config", "data", "splits")
_THREAD: Final = "gitrepro-checkpoints"


@final
class Saver:
    """Saves the checkpoints of one run from one process.

    At most one save waits while one is written; who asks for a third waits until the second is begun, and the record
    of that checkpoint says for how long. What the disk refuses is told, and the training goes on.

    Args:
        store: where they are kept.
        tell: takes an event for the run's journal: `tell("checkpoint", blob=..., ...)`.
        provenance: what is known of the run now; it is asked in the caller's thread, so it must be quick.
        warn: takes a message for people.
        keep: the schedule of those that stay beside the best and the last.
        settle: brings to disk what was told, or says False; only then is one that was replaced taken away.
        pin: says in a store that several share that we are about to refer to these blobs.
        statcache: where it is remembered which files were hashed; beside the store by default.
        rank: which process of the run this is.
    """

    def __init__(
        self,
        store: BlobStore,
        *,
        tell: Callable[..., None],
        provenance: Callable[[], Mapping[str, Any]],
        warn: Callable[[str], None],
        keep: Keep | None = None,
        settle: Callable[[], object] = lambda: None,
        pin: Callable[[list[str]], object] = lambda _names: None,
        statcache: Path | None = None,
        rank: int = 0,
    ) -> None:
        self._store = store
        self._tell = tell
        self._provenance = provenance
        self._warn = warn
        self._keep = keep or Keep()
        self._settle = settle
        self._pin = pin
        self._statcache = StatCache(statcache or store.root.parent / "statcache.sqlite")
        self._rank = rank
        self._shelf = Shelf()
        self._watched: list[adopting.Adopted] = []
        self._goals: dict[str, Goal] = {}
        self._warned: set[str] = set()
        self._background = Background(_THREAD)
        _open.add(self)

    # -- what the training calls

    def save(
        self,
        *,
        model: Any = None,
        optimizer: Any = None,
        scheduler: Any = None,
        scaler: Any = None,
        loader: Any = None,
        rng: bool = True,
        extra: Mapping[str, Any] | None = None,
        metric: tuple[str, Goal] | None = None,
        value: Any = None,
        step: int = 0,
        name: str | None = None,
        keep: Keep | None = None,
    ) -> None:
        """Copy a state and save it in the background. Arguments as `gitrepro.Run.checkpoint` has them.

        Raises:
            UsageError: an argument is wrong, or something in the state cannot be kept. The disk raises nothing.
        """
        began = time.perf_counter()
        aim = self._aim(metric, value, step, name, keep)
        with self._background.entrance:
            # Before the copy: a third state in memory would be one too many.
            waited = self._background.wait_for_room()
            captured = capture(
                model=model, optimizer=optimizer, scheduler=scheduler, scaler=scaler, loader=loader, rng_states=rng,
                extra=extra,
            )  # fmt: skip
            held = time.perf_counter() - began
            told = {"held_seconds": round(held, 6), **({"waited_seconds": round(waited, 6)} if waited else {})}
            known = {**self._known(), **aim.told(), "rng": sorted(captured.skeleton.get("rng", ()))}
            self._hand_over(lambda: self._write(captured, known, replace(aim, held=told)), aim)

    def adopt(
        self,
        path: str | os.PathLike[str],
        *,
        metric: tuple[str, Goal] | None = None,
        value: Any = None,
        step: int = 0,
        name: str | None = None,
        copy: bool = False,
        keep: Keep | None = None,
    ) -> None:
        """Put a file or a folder that a framework has written on record, by its digest and where it lies.

        It is hashed in the background. That it is still what it was is looked at when the saver is closed.

        Args:
            copy: keep a copy in the store, too, which then stays whatever becomes of the file.

        Raises:
            UsageError: an argument is wrong, or there is no such file or folder.
        """
        place = adopting.found(path)
        aim = self._aim(metric, value, step, name, keep)
        with self._background.entrance:
            self._background.wait_for_room()
            known = self._known()
            self._hand_over(lambda: self._take(place, known, aim, copy=copy), aim)

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until all that was asked for is done; whether it is."""
        return self._background.wait(timeout_seconds)

    def close(self, timeout_seconds: float = _AT_END_SECONDS) -> bool:
        """Finish what is under way, and look once more at what was adopted; whether all of it is done."""
        done = self.wait(timeout_seconds)
        self._background.close()
        if done:
            self._look_at_adopted()
        else:
            self._lost("a checkpoint", f"it was not written within {timeout_seconds:.0f} s after the end")
        _open.discard(self)
        return done

    def after_fork(self) -> None:
        """In a forked child: what the parent is saving is the parent's, and its thread is not here."""
        self._background = Background(_THREAD)
        self._shelf = Shelf()
        self._watched = []

    # -- arguments

    def _aim(self, metric: Any, value: Any, step: Any, name: Any, keep: Keep | None) -> Aim:
        aim = aim_of(metric=metric, value=value, step=step, name=name, keep=keep or self._keep)
        if aim.metric:
            metric_name, goal = aim.metric
            if (before := self._goals.setdefault(metric_name, goal)) != goal:
                raise UsageError(f"the goal of {metric_name:.80} was {before} and is {goal} now")
            self._look_at_metric(metric_name, aim.value)
        return aim

    def _look_at_metric(self, name: str, value: float | None) -> None:
        part = part_of(name)
        if part in ("train", "test"):
            what = "the data it was trained on" if part == "train" else "the test data, which then is no test any more"
            self._warn_once(
                f"part {name}",
                f"the best checkpoint is chosen by {name!r:.80}: by its name that is of {what}. Choose by a validation "
                f"metric; this is on record, and the rule `curves` fails for it",
            )
        if value is None:
            self._warn_once(
                f"value {name}",
                f"{name!r:.80} has no value yet: this checkpoint is kept as the last only. Log it, or give value=",
            )

    def _warn_once(self, key: str, message: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            self._warn(message)

    def _known(self) -> dict[str, Any]:
        try:
            return dict(self._provenance())
        except Exception as error:  # noqa: BLE001 - a checkpoint that knows less is better than none
            return {"missing": repr(error)[:300]}

    # -- in the thread

    def _hand_over(self, job: Callable[[], None], aim: Aim) -> None:
        self._background.hand_over(lambda: self._guarded(job, aim))

    def _guarded(self, job: Callable[[], None], aim: Aim) -> None:
        try:
            job()
        except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on
            why = str(error) if isinstance(error, (GitreproError, OSError)) else repr(error)
            self._lost(f"the checkpoint of step {aim.step}", why[:500])

    def _lost(self, what: str, why: str) -> None:
        self._warn(f"{what} is not saved: {why}")
        self._tell("lost", what=what, why=why)

    def _write(self, captured: Captured, known: Mapping[str, Any], aim: Aim) -> None:
        made = files.made(captured, known)
        published = publish.publish(self._store, made.parts)
        facts = {"format": made.format, "holds": captured.holds, "weights": made.weights}
        self._stand(aim, published, {**facts, **_origin(known)}, owned=published.owned)

    def _take(self, place: adopting.Place, known: Mapping[str, Any], aim: Aim, *, copy: bool) -> None:
        adopted = adopting.adopt(self._store, self._statcache, place, copy=copy)
        self._watched.append(adopted)
        self._stand(aim, adopted.published, {**adopted.facts, **_origin(known)}, pinned=True)

    def _stand(
        self,
        aim: Aim,
        published: publish.Published,
        facts: Mapping[str, Any],
        *,
        owned: tuple[Any, ...] = (),
        pinned: bool = False,
    ) -> None:
        new = Standing(
            blob=published.digest,
            step=aim.step,
            name=aim.name,
            metric=aim.metric,
            value=aim.value,
            pinned=pinned,
            owned=owned,
        )
        self._pin([published.digest])
        gone = self._shelf.admit(new, aim.keep)
        roles = [*new.roles, *([KEPT] if aim.keep.keep_last > 1 and KEPT not in new.roles else [])]
        self._tell(
            SAVED,
            **{**aim.told(), "name": aim.name or f"step-{aim.step}"},
            blob=published.digest,
            size_bytes=published.size_bytes,
            roles=roles,
            **facts,
            **aim.held,
            **({"rank": self._rank} if self._rank else {}),
        )
        if gone:
            self._let_go(gone)

    def _let_go(self, gone: list[Standing]) -> None:
        # What takes its place must be named on disk before it goes itself.
        settled = self._settle() is not False
        if self._shelf.full:
            self._warn_once("full", f"a run keeps at most {KEPT_AT_MOST} checkpoints: the oldest of its schedule go")
        for each in gone:
            self._tell(DROPPED, blob=each.blob, why="another one took its place")
            if settled:
                publish.release(self._store, each.owned or ())

    def _look_at_adopted(self) -> None:
        for adopted in self._watched:
            if (fate := adopting.fate(adopted)) is None:
                continue
            if fate == adopting.GONE:
                self._tell(DROPPED, blob=adopted.published.digest, why=fate)
            else:
                self._lost(f"the checkpoint {adopted.place.path}", fate)
        self._watched = []


def _origin(known: Mapping[str, Any]) -> dict[str, Any]:
    """What the record says of where a checkpoint came from; the file itself says more."""
    said = {name: known[name] for name in ORIGIN if known.get(name)}
    return {"provenance": said} if said else {}


def wait_for_all() -> None:
    """Wait until every saver of this process has written what it was asked for."""
    for saver in list(_open):
        saver.wait()


def _in_child() -> None:
    for saver in list(_open):
        saver.after_fork()


os.register_at_fork(after_in_child=_in_child)
