"""The files of one run, from before its program starts until after it has ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from ...errors import GitreproError, StorageError
from ...store.objects import BlobStore
from ..beside import pin_beside
from ..commit import blob_store
from ..place import Place
from ..recording import Recording
from .follow import Loss
from .outputs import Outputs, matches
from .taking import Intake

_FAULT: Final = "a fault of gitrepro: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which files of the program belong to its run: patterns as the shell has them, with `**`."""

    metrics: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    tensorboard: bool = True

    def written(self, here: Path) -> Iterable[Path]:
        """Those that are there already: what an earlier run wrote is no code of this one."""
        return matches((*self.metrics, *self.outputs), here)

    def document(self) -> dict[str, Any]:
        """What the record says of it, so that a repeat takes in the same; nothing where nothing was asked."""
        said = {"metrics": list(self.metrics), "outputs": list(self.outputs), "tensorboard": self.tensorboard}
        return {"takes_in": said} if self != Wanted() else {}


@final
class ProgramFiles:
    """Takes in what the program writes. Nothing that goes wrong here reaches the program or ends the recording."""

    def __init__(self, wanted: Wanted, recording: Recording, where: Place, *, here: Path) -> None:
        self._recording = recording
        self._repository = where.repository
        self._blobs = _blobs(recording, where)
        self._intake: Intake | None = None
        self._outputs: Outputs | None = None
        # Of several ranks that are recorded side by side, one looks.
        if recording.rank == 0:
            self._guarded(lambda: self._prepare(wanted, where, here))

    def _prepare(self, wanted: Wanted, where: Place, here: Path) -> None:
        repository = where.repository
        root = repository.work_tree if repository and repository.work_tree else here
        if wanted.tensorboard or wanted.metrics:
            self._intake = Intake(
                self._recording, root=root, here=here, patterns=wanted.metrics, tensorboard=wanted.tensorboard
            )
            self._intake.start()
        if wanted.outputs:
            hidden = [repository.git_dir, repository.common_dir] if repository else []
            self._outputs = Outputs(wanted.outputs, here=here, root=root, hidden=hidden)

    def finish(self) -> None:
        """The program has ended: take what is left and keep its outputs."""
        if self._intake:
            self._guarded(self._intake.finish)
        if outputs := self._outputs:
            self._guarded(lambda: outputs.keep(self._blobs, self._kept))
            for loss in outputs.losses:
                self._lost(loss)

    def _kept(self, artifact: dict[str, Any]) -> None:
        try:
            if repository := self._repository:
                pin_beside(repository, self._recording.folder, self._recording.rank, [artifact["blob"]])
        except GitreproError as error:
            self._lost(Loss(what=f"output {artifact['name']:.200}", why=str(error)))
        else:
            self._recording.event("artifact", **artifact)

    def _lost(self, loss: Loss) -> None:
        kind = {} if loss.kind is None else {"kind": loss.kind}
        self._recording.event("lost", **kind, what=loss.what, why=loss.why)

    def _guarded(self, act: Any) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - the program goes on, and its record says what it lacks
            self._lost(Loss(what="files of the program", why=f"{_FAULT}{error!r:.500}"))


def _blobs(recording: Recording, where: Place) -> BlobStore | None:
    """The store that the run will be committed beside; None where it waits to be taken in."""
    if where.repository is None or recording.folder.parent.parent != where.repository.home:
        return None
    try:
        return blob_store(where.repository)
    except StorageError:
        return None  # a shared store that is not mounted: what is not kept is told
