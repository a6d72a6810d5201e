"""An attempt: a run that goes on with an earlier one. What it asks for, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from .launchkey import Launch

AUTO: Final = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an attempt knows of itself before it starts.

    Attributes:
        run: the run to go on with, as people type it; `auto` for the newest that fits; None when nobody asked.
        argv: the command, as a record has it.
        config: what was given at the start, nested.
    """

    run: str | None
    argv: Sequence[str]
    config: Mapping[str, Any]
    environ: Mapping[str, str]
    launch: Launch | None = None

    @property
    def goes_on(self) -> bool:
        """Whether there may be a run to go on with: one was asked for, or a launcher has started us again."""
        return self.run is not None or bool(self.launch and self.launch.restart) or bool(self.requeued_job)

    @property
    def requeued_job(self) -> str:
        """The SLURM job that was begun before and stopped; empty when there is none."""
        count = self.environ.get("SLURM_RESTART_COUNT", "")
        return self.environ.get("SLURM_JOB_ID", "") if count.isdecimal() and int(count) > 0 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """The run that an attempt goes on with: its id, the first run of the lineage, and the last step logged."""

    id: str
    lineage: str
    last_step: int = -1

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, found: object) -> Resumed | None:
        """From `start.yaml`; None where the run is the first of its lineage."""
        if not isinstance(found, dict) or not isinstance(found.get("id"), str):
            return None
        return cls(id=found["id"], lineage=str(found["lineage"]), last_step=int(found["last_step"]))
