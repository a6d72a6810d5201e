"""Keras 3, on any of its backends: a callback for `fit`.

with gitrepro.record():
    model.fit(x, y, validation_data=(val_x, val_y), callbacks=[GitreproCallback(EarlyStopping("val/loss"))])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import keras

from ..run.handle import Run
from .following import Following, Metric

if TYPE_CHECKING:
    from ..run.guarding import Guard, Rule


@final
class GitreproCallback(keras.callbacks.Callback):
    """Writes what `fit` reports at each epoch into a run, and stops it when a rule says so.

    `val_loss` is recorded as `val/loss`, `loss` as `train/loss`, by the epochs of Keras, from 0. The optimizer's
    settings are the config below `optimizer`. The weights of the best and of the last epoch are the artifacts
    `models/best.weights.h5` and `models/last.weights.h5`: arrays, and no code.

    Args:
        rules: as for `run.guard`; they hear each epoch, and are asked at each batch.
        run: by default the run that the program has open when the training begins.
        metric: what is best, as `("val/accuracy", "max")`; None keeps the last weights only.
        models: keep the weights.

    Raises:
        UsageError: when the training begins, where no run is open. With `GITREPRO_MODE=disabled` it does nothing then.
    """

    def __init__(
        self,
        *rules: Rule,
        run: Run | None = None,
        metric: Metric | None = ("val/loss", "min"),
        models: bool = True,
    ) -> None:
        super().__init__()
        self._rules, self._run, self._metric, self._models = rules, run, metric, models
        self._following: Following | None = None

    @property
    def guard(self) -> Guard | None:
        """What the rules have found, once the training has begun."""
        return self._following.guard if self._following is not None else None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        self._following = Following("GitreproCallback", self._run, self._rules, self._metric)
        self._following.config(_settings(self.model, self.params))

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        self._ask()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        assert self._following is not None
        row = {_shown(name): float(value) for name, value in (logs or {}).items()}
        if self._following.row(row, epoch) and self._models:
            self._following.keep("best.weights.h5", self.model.save_weights)
        self._ask()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        if self._following is not None and self._models:
            self._following.keep("last.weights.h5", self.model.save_weights)

    def _ask(self) -> None:
        if self._following is not None and self._following.should_stop():
            self.model.stop_training = True


def _settings(model: Any, params: Mapping[str, Any] | None) -> dict[str, Any]:
    found = {name: value for name, value in (params or {}).items() if name in ("epochs", "steps") and value is not None}
    if (optimizer := getattr(model, "optimizer", None)) is not None:
        found["optimizer"] = {"type": type(optimizer).__name__, **optimizer.get_config()}
    if isinstance(loss := getattr(model, "loss", None), str):
        found["loss"] = loss
    return found


def _shown(name: str) -> str:
    return f"val/{name.removeprefix('val_')}" if name.startswith("val_") else f"train/{name}"
