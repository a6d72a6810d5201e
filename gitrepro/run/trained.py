"""What the program trains, as far as it has shown it to us: for the checkpoint of a training that breaks."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any, final

from ..training.watching import is_optimizer, is_scheduler


@final
class Trained:
    """Weak references to a model, an optimizer, a scheduler and a scaler: the last of each that was given."""

    def __init__(self) -> None:
        self._known: dict[str, Callable[[], Any]] = {}

    def watched(self, objects: Iterable[object]) -> None:
        """What `run.watch` was given, in any order."""
        for each in objects:
            kind = "optimizer" if is_optimizer(each) else "scheduler" if is_scheduler(each) else "model"
            self.given(**{kind: each})

    def given(self, **objects: object) -> None:
        """What was named; None is passed over, and so is what cannot be referred to weakly, such as a dict."""
        for name, each in objects.items():
            if each is not None:
                try:
                    self._known[name] = weakref.ref(each)
                except TypeError:
                    self._known.pop(name, None)

    def now(self) -> dict[str, Any]:
        """Those that are still there."""
        return {name: found for name, each in self._known.items() if (found := each()) is not None}
