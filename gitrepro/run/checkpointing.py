"""The checkpoints of a run under way: what `Run.checkpoint` does, and what a checkpoint knows of its run."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, final

from ..errors import UsageError
from ..records import yaml
from ..store.follow_journal import JournalFollower, News
from ..store.live import START
from ..store.objects import BlobStore, digest_of
from .compose import CONFIG
from .recording import Recording
from .warning import warn

AT_END_SECONDS: Final = 600.0
_CODE: Final = ("commit", "dirty", "snapshot", "tree")


@final
class Checkpointing:
    """Saves the checkpoints of one run from one process. Made when the first is asked for; loads nothing heavy.

    Args:
        recording: the run; its journal is told of each checkpoint once it is durable.
        store: where they are kept.
        tell: takes an event; that of the recording by default.
        data: `{"data": [digest, ...], "splits": [digest, ...]}`, what the run has read so far.
        resolve: writes down metrics that still lie on a device; called when one is needed that has no value yet.
        pin: says in a store that several share that we are about to refer to these blobs.
    """

    def __init__(
        self,
        recording: Recording,
        store: BlobStore,
        *,
        tell: Callable[..., None] | None = None,
        data: Callable[[], Mapping[str, Any]] = dict,
        resolve: Callable[[], None] = lambda: None,
        pin: Callable[[list[str]], object] = lambda _names: None,
    ) -> None:
        from ..checkpoints.saving import Saver

        self._recording = recording
        self._data = data
        self._resolve = resolve
        self._said = Said(recording)
        self._fixed: dict[str, Any] | None = None
        self._saver = Saver(
            store,
            tell=tell or recording.event,
            provenance=self._provenance,
            warn=warn,
            settle=recording.journal.sync,
            pin=pin,
            statcache=recording.folder.parent.parent / "statcache.sqlite",
            rank=recording.rank,
        )

    def checkpoint(
        self,
        *,
        model: Any = None,
        optimizer: Any = None,
        scheduler: Any = None,
        scaler: Any = None,
        loader: Any = None,
        rng: bool = True,
        extra: Mapping[str, Any] | None = None,
        metric: tuple[str, Literal["min", "max"]] | None = None,
        value: float | None = None,
        step: int | None = None,
        name: str | None = None,
        path: str | os.PathLike[str] | None = None,
        copy: bool = False,
        every_steps: int | None = None,
        at_steps: Iterable[int] = (),
        keep_last: int = 1,
    ) -> None:
        """Save a checkpoint beside the training: what the arguments are, and what it raises, says `gitrepro.Run`."""
        from ..checkpoints.keep import keep_of, metric_of

        keep = keep_of(every_steps=every_steps, at_steps=at_steps, keep_last=keep_last)
        self._said.look()
        pair = metric_of(metric)
        if pair and value is None:
            value = self._last_value(pair[0])
        aim: dict[str, Any] = {
            "metric": pair,
            "value": value,
            "step": self._said.step if step is None else step,
            "name": name,
            "keep": keep,
        }
        state = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
        state |= {"loader": loader, "extra": extra}
        if path is None:
            self._saver.save(**state, rng=rng, **aim)
            return
        if given := [part for part, what in state.items() if what is not None]:
            raise UsageError(f"path= and {given[0]}= are given", why="a checkpoint is a file that is there, or a state")
        self._saver.adopt(path, copy=copy, **aim)

    def wait(self) -> None:
        """Wait until what was asked for so far is in the store and on record."""
        self._saver.wait()

    def close(self, timeout_seconds: float = AT_END_SECONDS) -> bool:
        """Finish before the run ends: its closing word comes after. Whether all of it was saved or told."""
        return self._saver.close(timeout_seconds)

    def _last_value(self, name: str) -> float | None:
        if name not in self._said.values:
            self._resolve()
            self._said.look()
        return self._said.values.get(name)

    def _provenance(self) -> dict[str, Any]:
        if self._fixed is None:
            self._fixed = _fixed(self._recording)
        return {
            **self._fixed,
            **{name: found for name, found in self._data().items() if found},
            "metrics": dict(self._said.values),
            "time_seconds": self._recording.elapsed_seconds,
        }


def _fixed(recording: Recording) -> dict[str, Any]:
    """What is known of a run from its start: which one it is, its code, its config."""
    start = yaml.load((recording.folder / START).read_bytes(), source=str(recording.folder / START))
    code = (start.get("record") or {}).get("code") or {}
    return {
        "run": recording.run_id,
        "run_name": recording.name,
        **({"resumes": recording.resumes.id} if recording.resumes else {}),
        **{name: code[name] for name in _CODE if code.get(name) is not None},
        "config": digest_of([(recording.folder / CONFIG).read_bytes()]),
    }


@final
class Said:
    """What this process has logged so far: the last value of each metric, and the last step. Read from its journal."""

    def __init__(self, recording: Recording) -> None:
        self.values: dict[str, float] = {}
        self.step = max(recording.resumes.last_step, 0) if recording.resumes else 0
        self._rank = recording.rank
        self._follower = JournalFollower(recording.folder)
        self._lock = threading.Lock()

    def look(self) -> None:
        """Read on from where the last look ended: `log()` itself is as quick as if nobody wanted to know."""
        with self._lock:
            for news in self._follower.news():
                if news.rank == self._rank and not news.source:
                    self._take(news)

    def _take(self, news: News) -> None:
        self.values.update(news.values)
        if news.values:
            self.step = news.step
        if news.event.get("op") == "late":
            self.values.update(news.event.get("values") or {})
