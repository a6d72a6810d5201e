"""A `Trainer` of transformers as an experiment that the checks can run."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
import torch
from transformers import PrinterCallback, ProgressCallback, Trainer
from transformers.utils import logging

from ...checks.functions import Given
from ...checks.overfit.quiet import own_randomness, seeded
from ...checks.task import Data, Kind, Learner, Metric, Part, Predictions
from ...checks.torchtask import Pieces, TorchLearner
from ...errors import UsageError
from .examples import Form, Items, Key, read
from .scoring import Floor, classes_of, floor_for, kind_for, length_of, metric_for, predictions_of, with_next

_TRAINER: Final = "_gitrepro_trainer"


def task(
    trainer: Callable[..., Any],
    *,
    data: Any = None,
    metric: str | Metric | None = None,
    kind: Kind | None = None,
    label: Key | None = None,
    loss_floor: Floor = None,
    name: str | None = None,
) -> HuggingFaceTask:
    """A training by a `Trainer` of transformers as a task for `gitrepro check`.

    `predict` makes a new trainer, trains it, and predicts its `eval_dataset`. Each begins with all generators seeded,
    and with the seed in `args.seed`; what it saves goes to a folder that is removed. Checks that look into the
    training take the trainer's `compute_loss`, its collator and the optimizer of `create_optimizer`.

    Without `data`, examples are read once from `train_dataset` and `eval_dataset`, as these give them, and items of the
    same form are made of them again. So what was done to them before (cutting into tokens, scaling, removing
    duplicates) cannot be checked, and baselines see tokens instead of texts. With `data` all of that is done anew for
    each training, by your own code.

    Args:
        trainer: a function that makes a new `Trainer`, with a new model; its model is not trained yet. With `data` it
            is given a `gitrepro.checks.task.Data`: the examples of each training are in `data.train` and
            `data.judged`, and become its `train_dataset` and `eval_dataset`, the latter in their order.
        data: `(texts, labels)`, of which a fifth is then scored, or `Data` with its parts, or a function that gives
            them.
        metric: a name of `gitrepro.checks.metrics`, or one of your own; accuracy or R2 where left out.
        kind: of the task, where the labels do not tell: floats are numbers, integers and text are classes.
        label: the name of the label in an item; see `examples.read`.
        loss_floor: the least the loss can be, or `unknown`; 0 for classes and numbers where left out.

    Raises:
        UsageError: one of them is none, or examples cannot be read.
    """
    if isinstance(trainer, Trainer) or not callable(trainer):
        raise UsageError(
            f"trainer is a {type(trainer).__name__}", why="each training begins with a new one",
            do="give a function that makes it",
        )  # fmt: skip
    form: Form | None = None
    if data is None:
        known, form = _read(_checked(trainer()), kind, label)
        given: Callable[[], Data] = lambda: known  # noqa: E731
    else:
        given = Given(data if callable(data) else lambda: data)
        known = given()
    found = kind_for(known, kind)
    return HuggingFaceTask(
        name=name or getattr(trainer, "__name__", "").replace("<lambda>", "") or "trainer",
        kind=found,
        metric=metric_for(known, found, metric),
        given=given,
        make=trainer,
        form=form,
        loss_floor=floor_for(found, loss_floor),
    )


def _checked(made: Any) -> Any:
    if not isinstance(made, Trainer):
        raise UsageError(f"trainer() gave a {type(made).__name__}", do="return a Trainer of transformers")
    for callback in (ProgressCallback, PrinterCallback):
        made.remove_callback(callback)
    return made


def _read(made: Any, kind: Kind | None, label: Key | None) -> tuple[Data, Form]:
    for name in ("train_dataset", "eval_dataset"):
        found = getattr(made, name)
        if found is None or isinstance(found, Mapping):
            have = "no" if found is None else "several"
            raise UsageError(f"the trainer has {have} {name}", do="give it one, or data=")
    return read(made.train_dataset, made.eval_dataset, kind=kind, label=label)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HuggingFaceTask:
    """What `task` makes.

    Attributes:
        form: of the items; None where the user's function makes the data sets.
    """

    name: str
    kind: Kind
    metric: Metric
    given: Callable[[], Data]
    make: Callable[..., Any]
    form: Form | None
    loss_floor: float | None

    def data(self) -> Data:
        return self.given()

    def predict(self, data: Data, *, seed: int, share: float) -> Predictions:
        with _hushed(), own_randomness(seed), tempfile.TemporaryDirectory(prefix="gitrepro-") as folder:
            made = self.trainer(data)
            args = made.args
            args.output_dir, args.seed, args.data_seed = folder, seed, seed
            if not args.load_best_model_at_end:
                args.save_strategy = "no"
            _shorten(args, share)
            seeded(seed)  # a trainer sets its own seed when it is made
            made.train()
            made.compute_metrics = None  # what is scored is the task's metric
            found = made.predict(made.eval_dataset).predictions
        said = _of_each(found, len(data.judged))
        said = said.astype(np.float64) if said.dtype.kind == "f" else said
        classes = classes_of(self.given()) if self.kind == "classification" else None
        return predictions_of(said, data, kind=self.kind, metric=self.metric, classes=classes)

    def learner(self) -> Learner:
        length = length_of(self.given(), self.kind)
        pieces = Pieces(
            batch=self._batches(),
            loss=_loss,
            outputs=lambda model, batch: with_next(_outputs(model, batch), length),
            optimizer=_optimizer,
        )
        return TorchLearner(make=lambda _seed: self._model(), pieces=pieces, loss_floor=self.loss_floor)

    def trainer(self, data: Data) -> Any:
        """A new trainer of these examples."""
        if self.form is None:
            return _checked(self.make(data))
        made = _checked(self.make())
        made.train_dataset, made.eval_dataset = Items(data.train, self.form), Items(data.judged, self.form)
        return made

    def _model(self) -> Any:
        made = self.trainer(self.data())
        object.__setattr__(made.model, _TRAINER, made)
        return made.model

    def _batches(self) -> Callable[[Part], Any]:
        """These examples as the trainer evaluates them, with all that is learnt from the whole train part."""
        data = self.data()
        kept: list[Any] = []  # of items that are read, one trainer collates all

        def batch(part: Part) -> Any:
            if self.form is None:
                made = self.trainer(replace(data, parts={**data.parts, data.scored: part}))
            else:
                kept[:] = kept or [self.trainer(data)]
                made = kept[0]
                made.eval_dataset = Items(part, self.form)
            if len(made.eval_dataset) != len(part):
                raise UsageError(f"of {len(part)} examples eval_dataset has {len(made.eval_dataset)}")
            made.args.per_device_eval_batch_size = len(part)
            return next(iter(made.get_eval_dataloader()))

        return batch


def _of_each(found: Any, count: int) -> np.ndarray:
    """Of several outputs the first that has a row for each example: a loss may stand before it."""
    every = [np.asarray(each) for each in (found if isinstance(found, tuple) else (found,))]
    return next((each for each in every if each.ndim and len(each) == count), every[0])


def _shorten(args: Any, share: float) -> None:
    if args.max_steps > 0:
        args.max_steps = max(1, round(args.max_steps * share))
    else:
        args.num_train_epochs *= share


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """While it lasts transformers says nothing of each training and draws no bars: a check trains many times."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _optimizer(model: Any) -> Any:
    return getattr(model, _TRAINER).create_optimizer()


def _loss(model: Any, batch: Any) -> Any:
    # A copy: many a `compute_loss` takes the labels out of what it is given.
    return getattr(model, _TRAINER).compute_loss(model, dict(batch))


def _outputs(model: Any, batch: Any) -> Any:
    _, said = getattr(model, _TRAINER).compute_loss(model, dict(batch), return_outputs=True)
    if isinstance(said, Mapping):
        found = said.get("logits")
        said = found if found is not None else next(value for key, value in said.items() if key != "loss")
    # A tuple has the loss first.
    return said if isinstance(said, torch.Tensor) else said[1] if len(said) > 1 else said[0]
