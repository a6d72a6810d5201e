"""What a run is made from and what it leaves: the methods of `Run` for data, normalisers and artifacts."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import GitreproError, UsageError
from . import artifacts
from .beside import pin_beside, store_beside
from .data import Check, LookedUp, RunData, repository_at
from .names import check_name
from .recording import Recording
from .trained import Trained
from .warning import warn

if TYPE_CHECKING:
    from ..data.fitted import Fitted
    from ..data.handle import Dataset
    from ..data.parts import Part
    from ..store.objects import BlobStore
    from .checkpointing import Checkpointing


class Materials(ABC):
    """The part of a `Run` that deals with content: each thing is named by what it holds, and so is the record."""

    def __init__(self, known: LookedUp, start: Path | None) -> None:
        # A program may go to another folder; its data is that of the repository in which it began.
        self._start = start or _started_in()
        self._data = RunData(known, find=lambda: repository_at(self._start), tell=self._event)
        self._checkpointing: Checkpointing | None = None
        self._unsaved = False
        self._trained = Trained()

    @abstractmethod
    def _event(self, op: str, **content: Any) -> None: ...

    @abstractmethod
    def _own(self) -> Recording | None: ...

    @abstractmethod
    def _resolve(self) -> None:
        """Write down what still lies on a device."""

    def dataset(self, ref: str | None = None, *, check: Check = "stat") -> Dataset:
        """Open a version of a data set and put it on record by its content.

        Args:
            ref: `digits` (the newest version), `digits@v1` or `digits@b3:...`; without it the one that
                `record(dataset=...)` or `gitrepro record --data` named.
            check: how to make sure that the data on disk is that version: `stat` compares sizes and times, `sample`
                hashes some of it, `full` all of it. The record says which.

        Raises:
            NotFound: there is no such data set, or its bytes are not on this machine.
            Damaged: the data is not what that version names.
            UsageError: an argument is wrong, or there is no repository. Without its data a program cannot go on, so
                unlike the other methods this one and `split` raise.
        """
        return self._data.dataset(ref, check)

    def split(
        self, part: str, *, split: str | None = None, dataset: str | Dataset | None = None, fold: int | None = None
    ) -> Part:
        """Open one part of a split, such as `train`: its ids, positions, or a torch `Subset`. What is read is counted.

        Args:
            part: its name.
            split: `default`, `default@v2` or `b3:...`; without it the one that `record(split=...)` or
                `gitrepro record --split` named, else `default`.
            dataset: of which data set, as in `dataset()`, or one that is open.
            fold: of a k-fold split the fold that is held out, from 0; see `data.parts.Split.part`.

        Raises:
            NotFound: there is no such data set, split or part.
            Damaged, UsageError: as `dataset()`.
            Sealed: the part is for tests, the guard is `strict`, and `open_test()` has not opened it. Else it warns.
        """
        return self._data.split(split, dataset).part(part, fold=fold)

    def fit_statistics(
        self,
        method: str,
        values: Any,
        *,
        split: str | Part = "train",
        name: str | None = None,
        axis: int | None = -1,
        **options: Any,
    ) -> Fitted:
        """Fit a normaliser on one part, and keep it with the digest of the ids it was fitted on.

        Args:
            method: `mean_std`, `min_max`, `robust` or `vocabulary`.
            values: those of the part's items, or those of all items of the data set, from which the part is taken.
            split: the part, by its name or as `split()` gave it.
            name: tells several apart; the method when left out. A later one of the same name takes its place.
            axis: of the features, -1 for the columns of a table; None for one number over everything.
            options: `min_count` and `max_size` of a vocabulary.

        Returns:
            The fitted normaliser; `apply(values)` normalises those of any part.

        Raises:
            UsageError: there is no such method, or the values do not fit the part.
            NotFound, Damaged: as `split()`. That it cannot be kept is a warning, and on record.
        """
        from ..data.fitted import fit

        called = method if name is None else check_name(name, what="name of what is fitted")
        part = self.split(split) if isinstance(split, str) else split
        made = fit(method, values, part=part, axis=axis, **options)
        blob = None
        with self._keeping(f"what was fitted as {called}"):
            if store := self._store():
                with store.batch() as batch:
                    put = batch.put(made.dump())
                self._pin([put])
                blob = put
        self._data.fitted(made, part, called, blob)
        return made

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
        """Save a checkpoint beside the training. The state is copied now; hashing and writing are done by a thread.

        The best by `metric` and the last are kept, and those of the schedule; what they replace leaves the store. What
        the disk refuses is warned of and on record, and the training goes on. `gitrepro.load_checkpoint` reads it back.

        Args:
            model, optimizer, scheduler, scaler: things with a `state_dict`, maps of arrays, or lists and maps of such.
            loader: of `run.loader`, or several: the place in the epoch, so that a resumed run goes on behind it.
            rng: save the state of the random generators: Python's, NumPy's, torch's on the CPU and each CUDA device.
            extra: what else is needed to go on: the epoch, a `torch.Generator`, the best so far.
            metric: what is best, as `("val/loss", "min")`: a validation metric. Of equal ones the earliest stays.
            value: of the metric; by default what was logged last.
            step: by default that of the last row that was logged.
            name: keeps it under this name, until another one is saved under it.
            path: instead of a state, a file or folder that a framework has written, put on record where it lies.
            copy: keep a copy of what lies at `path`.
            every_steps: keep one each time so many steps have gone by.
            at_steps: keep the first at or after each of these steps.
            keep_last: keep so many of the newest.

        Raises:
            UsageError: an argument is wrong, or something in the state cannot be kept.
        """
        self._trained.given(model=model, optimizer=optimizer, scheduler=scheduler, scaler=scaler)
        saving = self._saving()
        if saving is None:
            return
        with self._keeping("a checkpoint" if step is None else f"the checkpoint of step {step}", but=UsageError):
            saving.checkpoint(
                model=model, optimizer=optimizer, scheduler=scheduler, scaler=scaler, loader=loader, rng=rng,
                extra=extra, metric=metric, value=value, step=step, name=name, path=path, copy=copy,
                every_steps=every_steps, at_steps=at_steps, keep_last=keep_last,
            )  # fmt: skip

    def artifact(self, thing: Any, name: str, *, media_type: str | None = None) -> str | None:
        """Keep something with the run: a file, a folder, bytes, a table, a figure.

        A later one of the same name takes its place. What cannot be kept, as on a full disk, warns and is told on the
        record; the program goes on.

        Args:
            thing: a path (str or PathLike), bytes, a dict or list (kept as JSON), an Arrow, pandas or polars table
                (Parquet), a NumPy array (.npy), a figure or image (PNG). Text goes as `text.encode()`.
            name: what it is called, as `plots/confusion.png`.
            media_type: what it is; guessed from the name where left out.

        Returns:
            `b3:` and the BLAKE3 of its bytes, of a folder that of its manifest; None when it is not kept.

        Raises:
            UsageError: the name cannot be, or nobody knows how to keep such a thing.
        """
        what, kept = f"artifact {name!s:.200}", None
        with self._keeping(what, but=UsageError):
            given = artifacts.given(thing, name, media_type)
            with self._keeping(what):
                if store := self._store():
                    put = artifacts.keep(given, store, self._data.repository)
                    self._pin([str(put["blob"])])
                    kept = put
        if kept is None:
            return None
        self._event("artifact", **kept)
        return str(kept["blob"])

    # -- how it is done

    @contextmanager
    def _keeping(self, what: str, *, but: type[Exception] | tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """What goes wrong in the block is a warning, and on record."""
        try:
            yield
        except but:
            raise
        except Exception as error:  # noqa: BLE001 - a stranger's figure, or the disk: the training goes on
            why = str(error) if isinstance(error, (GitreproError, OSError)) else repr(error)
            warn(f"{what} is not kept: {why:.500}")
            self._event("lost", what=what, why=f"{why:.500}")

    def _store(self) -> BlobStore | None:
        """Where this run's blobs go; None where nothing is recorded.

        Raises:
            StorageError: the run is kept apart from a repository, and there is no store beside it.
        """
        recording = self._own()
        return None if recording is None else store_beside(self._data.repository, recording.folder)

    def _pin(self, digests: list[str]) -> None:
        """Say in a store that several share that a journal of ours is about to name these."""
        if recording := self._own():
            pin_beside(self._data.repository, recording.folder, recording.rank, digests)

    def _saving(self) -> Checkpointing | None:
        """Who saves the checkpoints of this process; None where nothing is recorded, or there is no place for them."""
        recording = self._own()
        if self._checkpointing is None and recording and not self._unsaved:
            self._unsaved = True
            with self._keeping("checkpoints"):
                if store := self._store():
                    from .checkpointing import Checkpointing

                    data, resolve = self._data.provenance, self._resolve
                    self._checkpointing = Checkpointing(recording, store, data=data, resolve=resolve, pin=self._pin)
                    self._unsaved = False
        return self._checkpointing

    def _materials_end(self) -> None:
        if self._checkpointing:
            self._checkpointing.close()
        self._data.tell_reads()

    def _materials_after_fork(self) -> None:
        self._data.after_fork()
        self._checkpointing = None


def _started_in() -> Path | None:
    """Where the program began: in the work tree that a command names, else here."""
    if os.environ.get("GITREPRO_LIVE") and (root := os.environ.get("GITREPRO_ROOT")):
        return Path(root)
    try:
        return Path.cwd()
    except OSError:
        return None
