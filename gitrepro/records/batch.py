"""The batch of a run: micro-batch x accumulation x processes = effective batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

UNITS: Final = ("samples", "tokens")
SAID_BY: Final = ("asked", "observed", "loader", "config")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one optimizer step is made from.

    Attributes:
        micro_batch: what one forward pass of one process holds; None where nobody said.
        accumulation_steps: forward passes to an optimizer step.
        world_size: processes that train together.
        unit: `samples` or `tokens`.
        said_by: `asked`, the program gave the number; `observed`, from what went through; `loader`, what
            `run.loader` hands out; `config`, from the config.
        observed: what went through: `windows`, `micro_batches`, `ragged_windows`, `empty_windows`, `weight`.
    """

    micro_batch: float | None
    accumulation_steps: int
    world_size: int
    unit: str = "samples"
    said_by: str = "asked"
    observed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def effective_batch(self) -> float | None:
        if self.micro_batch is None:
            return None
        return self.micro_batch * self.accumulation_steps * self.world_size

    def document(self) -> dict[str, Any]:
        """As it stands in `run.yaml`."""
        return {
            "accumulation_steps": self.accumulation_steps,
            "effective_batch": self.effective_batch,
            "micro_batch": self.micro_batch,
            "said_by": self.said_by,
            "unit": self.unit,
            "world_size": self.world_size,
            **({"observed": dict(self.observed)} if self.observed else {}),
        }
