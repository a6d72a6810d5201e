"""Who commits a run when it is over, and looks at the code until then."""

from __future__ import annotations

import sys
from typing import Any, final

from ..capture.modules import ModuleWatch
from ..errors import GitreproError
from ..store import launches, spool
from ..store.fold import Identity
from ..store.lease import Life, life
from ..sync.later import push_when_over
from . import commit
from .code import code_at_end
from .launchkey import Launch
from .place import Place
from .recording import Recording
from .warning import warn


@final
class Keeper:
    """What it takes to commit a run: the process that started it has one, and so has each rank of a launch."""

    def __init__(self, where: Place, identity: Identity, launch: Launch | None = None) -> None:
        self._where = where
        self._identity = identity
        self._launch = launch
        work_tree = where.repository.work_tree if where.repository else None
        self._modules = ModuleWatch(str(work_tree)) if work_tree else None
        if self._modules:
            self._modules.start()

    def code_at_end(self, recording: Recording) -> dict[str, Any]:
        seen = self._modules.document() if self._modules else {}
        modules = seen.pop("local_modules", [])
        if self._modules:
            self._modules.stop()
        code = code_at_end(self._where, named=sys.argv, modules=modules, started_at=recording.started_at)
        return {"code": {**code, **seen}}

    def forget(self, cell: str) -> None:
        """The run of a notebook's cell is over: the next one there goes on with nothing."""
        launches.forget(self._where.home, cell)

    def commit(self, recording: Recording, name: str) -> None:
        """Put the run on the ref; where that fails, say how to do it later. Of several ranks the last to go does it."""
        if self._launch is None:
            self._commit(recording, name)
            return
        # Nobody waits for anybody: whoever finds no other process of the run when he leaves is the last.
        with launches.held(self._where.home, self._launch.key):
            recording.release()
            if recording.folder.exists() and life(recording.folder) is Life.DEAD:
                self._commit(recording, name)

    def _commit(self, recording: Recording, name: str) -> None:
        repository = self._where.repository
        if repository is None or recording.folder.parent.parent != self._where.home:
            how = f"`gitrepro recover --into REPOSITORY {recording.run_id[-8:]}` takes it in"
            warn(f"run {name} waits in {recording.folder}; {how}")
            return
        try:
            if self._where.spooled:
                spool.hand_over(self._where.home, recording.run_id)
                return
            commit.commit_run(repository, recording.folder, identity=self._identity)
            push_when_over(repository)
        except (OSError, GitreproError) as error:
            warn(f"run {name} is journalled and not committed: {error}; `gitrepro recover` commits it")
