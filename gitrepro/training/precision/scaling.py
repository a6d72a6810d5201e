"""A loss scaler that counts what it skips."""

from __future__ import annotations

import math
from typing import Any

from ...records.precision import WARM_UP_STEPS


def scaler(device: str, *, enabled: bool) -> Any:
    """A GradScaler that counts, on its device, the steps it skips; nothing is fetched for that."""
    import torch

    class Scaler(torch.amp.GradScaler):
        skipped: Any = 0
        skipped_late: Any = 0
        lowest: Any = math.inf
        updates = 0

        def update(self, new_scale: Any = None) -> None:
            if not self.is_enabled():
                return
            before: Any = self._get_scale_async()
            device, found = before.device, 0 * before.detach()
            for state in self._per_optimizer_states.values():
                for each in state["found_inf_per_device"].values():
                    found = found + each.detach().to(device)
            super().update(new_scale)
            self.updates += 1
            bad = (found > 0).sum()
            self.skipped = self.skipped + bad
            self.skipped_late = self.skipped_late + (bad if self.updates > WARM_UP_STEPS else 0)
            scale: Any = self._get_scale_async()
            scale = scale.detach().clone()
            self.lowest = scale if self.lowest is math.inf else torch.minimum(self.lowest, scale)

    return Scaler(device, enabled=enabled)
