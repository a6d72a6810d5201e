"""A Lightning module and its data as an experiment that the checks can run."""

from __future__ import annotations

import contextlib
import copy
import inspect
import logging
import math
import signal
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final

import lightning.pytorch as pl
import torch

from ...checks.overfit.quiet import own_randomness
from ...checks.task import Data, Kind, Learner, Metric, Part, Predictions
from ...checks.torchtask import Pieces, TorchLearner
from ...errors import UsageError
from .examples import Key
from .loaders import Loaders, handed_loaders, read_loaders
from .scoring import Floor, classes_of, floor_for, kind_for, length_of, metric_for, predictions_of, with_next

Outputs = Callable[[Any, Any], Any]
_QUIET: Final[Mapping[str, Any]] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}
_TALKS: Final = ("lightning.pytorch", "lightning.fabric", "lightning")


def task(
    module: Callable[[], Any],
    datamodule: Any = None,
    *,
    trainer: Mapping[str, Any],
    data: Any = None,
    metric: str | Metric | None = None,
    kind: Kind | None = None,
    label: Key | None = None,
    outputs: Outputs | None = None,
    loss_floor: Floor = None,
    name: str | None = None,
) -> LightningTask:
    """A Lightning training as a task for `gitrepro check`.

    `predict` trains a new module with `Trainer.fit`, on one device, and predicts the validation part with the module
    as it is at the end. Each training begins with all generators seeded. Checks that look into the training take
    `training_step` and the optimizer of `configure_optimizers`; with manual optimization there is nothing to look into.

    Examples are read once from the two data sets, as these give them, and items of the same form are made of them
    again, in loaders of the same batch size and `collate_fn`. So what was done to them before (scaling, choosing
    features) cannot be checked, and random augmentation of a data set is drawn once. With `data` all of that is done
    anew for each training, by your own code.

    Args:
        module: a class or function that makes a new `LightningModule` without arguments.
        datamodule: a `LightningDataModule` or a pair of loaders, for training and validation, or a function that makes
            one of them; without it the module's own loaders. With `data`, a function of a `gitrepro.checks.task.Data`,
            which has the examples of each training in `data.train` and `data.judged`; its validation loader keeps their
            order.
        trainer: what `lightning.pytorch.Trainer` is made with; `max_epochs` or `max_steps` is among it.
        data: `(X, y)`, of which a fifth is then scored, or `Data` with its parts, or a function that gives them.
        metric: a name of `gitrepro.checks.metrics`, or one of your own; accuracy or R2 where left out.
        kind: of the task, where the labels do not tell: floats are numbers, integers and text are classes.
        label: the name or place of the label in an item; see `examples.read`.
        outputs: of a module and a batch what it says, shape (n, ...): labels, numbers or scores of classes; by default
            `forward` of all but the last of a batch that is a tuple, else of the batch, or without one `predict_step`.
        loss_floor: the least the loss can be, or `unknown`; 0 for classes and numbers where left out.

    Raises:
        UsageError: one of them is none, or examples cannot be read.
    """
    if isinstance(module, torch.nn.Module) or not callable(module):
        raise UsageError(
            f"module is a {type(module).__name__}", why="each training begins with a new one",
            do="give the class, or a function that makes it: `lambda: Net(lr=1e-2)`",
        )  # fmt: skip
    _check_trainer(trainer)
    if data is None:
        given, loaders = read_loaders(datamodule if datamodule is not None else module, kind, label)
    else:
        given, loaders = handed_loaders(data, datamodule)
    known = given()
    found = kind_for(known, kind)
    return LightningTask(
        name=name or getattr(module, "__name__", "").replace("<lambda>", "") or "lightning",
        kind=found,
        metric=metric_for(known, found, metric),
        given=given,
        loaders=loaders,
        make=module,
        trainer=trainer,
        outputs=outputs or _outputs,
        loss_floor=floor_for(found, loss_floor),
    )


def _check_trainer(trainer: Mapping[str, Any]) -> None:
    if not isinstance(trainer, Mapping):
        raise UsageError(f"trainer is a {type(trainer).__name__}", do='give its settings: `{"max_epochs": 20}`')
    lengths = [trainer.get(each) for each in ("max_epochs", "max_steps")]
    if not any(isinstance(each, int) and each > 0 for each in lengths):
        raise UsageError("nothing says how long the training is", do='give trainer={"max_epochs": 20}, or max_steps')


def _outputs(module: Any, batch: Any) -> Any:
    kind = type(module)
    if kind.forward is not pl.LightningModule.forward:
        said = module(*(batch[:-1] or batch)) if isinstance(batch, tuple | list) else module(batch)
        return getattr(said, "logits", said)
    if kind.predict_step is not pl.LightningModule.predict_step:
        return kind.predict_step(module, batch, 0)
    raise UsageError(
        f"{kind.__name__} has neither forward nor predict_step",
        why="nothing tells what it says of an example",
        do="give outputs=, such as `lambda module, batch: module.net(batch[0])`",
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LightningTask:
    """What `task` makes.

    Attributes:
        loaders: makes those of a training of its examples.
        trainer: the settings of each `Trainer`.
    """

    name: str
    kind: Kind
    metric: Metric
    given: Callable[[], Data]
    loaders: Callable[[Data], Loaders]
    make: Callable[[], Any]
    trainer: Mapping[str, Any]
    outputs: Outputs
    loss_floor: float | None

    def data(self) -> Data:
        return self.given()

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        with hushed(), own_randomness(seed), tempfile.TemporaryDirectory(prefix="gitrepro-") as folder:
            train, val = self.loaders(data)
            module = self._made()
            made = pl.Trainer(**{"default_root_dir": folder, **_settings(self.trainer, train, share)})
            _fit(made, module, train, val)
            # In place of the module's own: what is scored is what the checks look at elsewhere.
            module.predict_step = lambda batch, *_: self.outputs(module, batch)
            found = made.predict(module, val)
        said = torch.cat([each.detach().cpu() for each in found or []]) if found else torch.empty(0)
        values = said.double().numpy() if said.is_floating_point() else said.numpy()
        classes = classes_of(self.given()) if self.kind == "classification" else None
        return predictions_of(values, data, kind=self.kind, metric=self.metric, classes=classes)

    def learner(self) -> Learner | None:
        if not getattr(self._made(), "automatic_optimization", True):
            return None
        pieces = Pieces(batch=self._batch, loss=_loss, outputs=self._said)
        return TorchLearner(make=lambda _seed: self._bare(), pieces=pieces, loss_floor=self.loss_floor)

    def _said(self, module: Any, batch: Any) -> Any:
        return with_next(self.outputs(module, _moved(module, batch)), length_of(self.given(), self.kind))

    def _made(self) -> Any:
        module = self.make()
        if not isinstance(module, pl.LightningModule):
            raise UsageError(f"module() gave a {type(module).__name__}", do="return a LightningModule")
        return module

    def _bare(self) -> Any:
        """A module that is set up and can be called outside of a `fit`."""
        module = self._made()
        with hushed():
            steps = _steps(self.trainer, self.loaders(self.data())[0])
            # So many steps without epochs: `estimated_stepping_batches` needs no loader then.
            length = {"max_epochs": -1, "max_steps": steps}
            made = pl.Trainer(**{**_alone(self.trainer), **length})
        module.trainer = made
        # A module knows its trainer only weakly.
        object.__setattr__(module, "_gitrepro_trainer", made)
        module.log = module.log_dict = lambda *_args, **_more: None
        module.setup("fit")
        module.configure_model()
        return module

    def _batch(self, part: Part) -> Any:
        """These examples as the validation loader gives them, with all that is learnt from the whole train part."""
        data = self.data()
        _, val = self.loaders(replace(data, parts={**data.parts, data.scored: part}))
        dataset = val.dataset
        if len(dataset) != len(part):
            raise UsageError(f"of {len(part)} examples the validation loader has {len(dataset)}")
        return val.collate_fn([dataset[place] for place in range(len(dataset))])


def _settings(given: Mapping[str, Any], train: Any, share: float) -> dict[str, Any]:
    settings = _alone(given)
    if share < 1:
        settings["max_steps"] = max(1, round(_steps(given, train) * share))
    return settings


def _alone(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one trainer, on one device; callbacks have a state, so that each gets its own."""
    settings = {**_QUIET, **copy.deepcopy(dict(given)), "devices": 1}
    callbacks = settings.get("callbacks") or []
    if any(
        isinstance(each, pl.callbacks.Checkpoint)
        for each in (callbacks if isinstance(callbacks, list) else [callbacks])
    ):
        settings["enable_checkpointing"] = True
    return settings


def _steps(given: Mapping[str, Any], train: Any) -> int:
    """Of the optimizer, in the whole training."""
    batches = len(train)
    limit = given.get("limit_train_batches")
    if limit is not None:
        batches = min(batches, limit) if isinstance(limit, int) else max(1, int(batches * limit))
    epochs, steps = given.get("max_epochs"), given.get("max_steps")
    each = math.ceil(batches / int(given.get("accumulate_grad_batches", 1)))
    known = [each * epochs] if epochs is not None and epochs > 0 else []
    return int(max(1, min([*known, *([steps] if steps is not None and steps > 0 else [])])))


def _fit(made: Any, module: Any, train: Any, val: Any) -> None:
    """Train; Control-C, of which Lightning makes an exit of the program, is itself again."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if main else None
    try:
        made.fit(module, train, val)
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if main and before is not None:
            signal.signal(signal.SIGINT, before)


def _moved(module: Any, batch: Any) -> Any:
    """The batch after the module's own hooks, as a trainer calls them."""
    batch = module.on_before_batch_transfer(batch, 0)
    return module.on_after_batch_transfer(module.transfer_batch_to_device(batch, module.device, 0), 0)


def _loss(module: Any, batch: Any) -> Any:
    step = module.training_step
    wanted = inspect.signature(step).parameters.values()
    alone = len(wanted) == 1 and all(each.kind is not each.VAR_POSITIONAL for each in wanted)
    told = step(_moved(module, batch)) if alone else step(_moved(module, batch), 0)
    loss = told["loss"] if isinstance(told, Mapping) else told
    if not isinstance(loss, torch.Tensor):
        raise UsageError(f"training_step gave a {type(loss).__name__}", do="return the loss")
    return loss


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """While it lasts Lightning says nothing about devices and workers: a check trains many times."""
    loggers = [logging.getLogger(name) for name in _TALKS]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
