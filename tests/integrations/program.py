"""One small training, written for each tool that has a bridge: `program.py BRIDGE given|own well|fails|interrupts`.

The same net sees the same batches of digits in the same order, so that each must leave the same record.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn

import gitrepro

CONFIG = {"lr": 0.1, "epochs": 2, "batch_size": 128}
STEPS_AN_EPOCH = 10
BREAKS_AT = 5
Break = Callable[[int], None]


def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    images, labels = load_digits(return_X_y=True)
    x, y = torch.as_tensor(images / 16).float(), torch.as_tensor(labels)
    rows = STEPS_AN_EPOCH * 128
    return x[:rows], y[:rows], x[rows:], y[rows:]


def net() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(64, 10)


def accuracy(scores: torch.Tensor, labels: torch.Tensor) -> float:
    return (scores.argmax(dim=1) == labels).double().mean().item()


def loop(log: Callable[[dict[str, Any], int], None], breaks: Break, fabric: Any = None) -> None:
    """The plain loop."""
    train_x, train_y, val_x, val_y = data()
    model: Any = net()
    optimizer: Any = torch.optim.SGD(model.parameters(), lr=CONFIG["lr"])
    if fabric is not None:
        model, optimizer = fabric.setup(model, optimizer)
    step = -1
    for _ in range(int(CONFIG["epochs"])):
        for x, y in zip(train_x.split(128), train_y.split(128), strict=True):
            step += 1
            breaks(step)
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward() if fabric is None else fabric.backward(loss)
            optimizer.step()
            log({"train/loss": loss.detach()}, step)
        with torch.no_grad():
            log({"val/accuracy": accuracy(model(val_x), val_y)}, step)


def plain(run: gitrepro.Run | None, breaks: Break) -> None:
    with contextlib.nullcontext(run) if run else gitrepro.record(config=CONFIG) as run:
        loop(lambda values, step: run.log(values, step=step), breaks)


def fabric(run: gitrepro.Run | None, breaks: Break) -> None:
    from lightning.fabric import Fabric

    from gitrepro.integrations.lightning import GitreproLogger

    logger = GitreproLogger(run, **({} if run else {"config": CONFIG}))
    made = Fabric(accelerator="cpu", devices=1, loggers=logger)
    loop(lambda values, step: made.log_dict(values, step=step), breaks, made)


def lightning(run: gitrepro.Run | None, breaks: Break) -> None:
    import lightning.pytorch as pl
    from torch.utils.data import DataLoader, TensorDataset

    from gitrepro.integrations.lightning import GitreproCallback, GitreproLogger

    class Module(pl.LightningModule):
        def __init__(self, lr: float, epochs: int, batch_size: int) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = net()

        def training_step(self, batch: Any, _index: int) -> Any:
            breaks(self.global_step)
            loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            self.log("train/loss", loss)
            return loss

        def validation_step(self, batch: Any, _index: int) -> None:
            self.log("val/accuracy", accuracy(self.net(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"])

    train_x, train_y, val_x, val_y = data()
    logger = GitreproLogger(run)
    trainer = pl.Trainer(
        accelerator="cpu", devices=1, max_epochs=int(CONFIG["epochs"]), logger=logger, callbacks=[GitreproCallback()],
        log_every_n_steps=1, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0,
    )  # fmt: skip
    train = DataLoader(TensorDataset(train_x, train_y), batch_size=128)
    val = DataLoader(TensorDataset(val_x, val_y), batch_size=len(val_x))
    trainer.fit(Module(**CONFIG), train, val)  # type: ignore[arg-type]


def huggingface(run: gitrepro.Run | None, breaks: Break) -> None:
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainingArguments

    from gitrepro.integrations.huggingface import GitreproCallback

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.seen = net(), -1

        def forward(self, x: Any, labels: Any) -> Any:
            if self.training:
                self.seen += 1
                breaks(self.seen)
            scores = self.net(x)
            return {"loss": nn.functional.cross_entropy(scores, labels), "logits": scores}

    class Ordered(Trainer):
        def _get_train_sampler(self, *_: Any) -> Any:
            return SequentialSampler(self.train_dataset)

    train_x, train_y, val_x, val_y = data()
    rows = [{"x": x, "labels": y} for x, y in zip(train_x, train_y, strict=True)]
    val = [{"x": x, "labels": y} for x, y in zip(val_x, val_y, strict=True)]
    args = TrainingArguments(
        output_dir=tempfile.mkdtemp(), num_train_epochs=2, per_device_train_batch_size=128, logging_steps=1,
        per_device_eval_batch_size=len(val), eval_strategy="epoch", save_strategy="no", max_grad_norm=0.0,
        learning_rate=0.1, lr_scheduler_type="constant", optim="sgd", report_to="none", disable_tqdm=True, use_cpu=True,
    )  # fmt: skip
    Ordered(
        Net(), args, train_dataset=rows, eval_dataset=val,
        callbacks=[GitreproCallback(run=run, **({} if run else {"config": CONFIG}))],
        compute_metrics=lambda seen: {
            "accuracy": float((seen.predictions.argmax(axis=1) == seen.label_ids).mean()),
        },
    ).train()  # fmt: skip


def accelerate(run: gitrepro.Run | None, breaks: Break) -> None:
    from accelerate import Accelerator

    from gitrepro.integrations.accelerate import GitreproTracker

    accelerator = Accelerator(cpu=True, log_with=GitreproTracker(run))
    accelerator.init_trackers("digits", config=dict(CONFIG))
    try:
        loop(lambda values, step: accelerator.log(values, step=step), breaks)
    finally:
        accelerator.end_training()


def tensorboard(run: gitrepro.Run | None, breaks: Break) -> None:
    from gitrepro.integrations.tensorboard import SummaryWriter

    with SummaryWriter(tempfile.mkdtemp(), run=run) as writer:
        writer.add_hparams(CONFIG, {}, run_name=".")
        loop(lambda values, step: [writer.add_scalar(name, value, step) for name, value in values.items()], breaks)  # type: ignore[arg-type,return-value]


def wandb(run: gitrepro.Run | None, breaks: Break) -> None:
    import gitrepro.integrations.wandb as wandb

    with wandb.init(project="digits", config=CONFIG):
        loop(lambda values, step: wandb.log(values, step=step), breaks)


BRIDGES = {f.__name__: f for f in (plain, fabric, lightning, huggingface, accelerate, tensorboard, wandb)}


def breaking(how: str) -> Break:
    def breaks(step: int) -> None:
        if step == BREAKS_AT and how == "fails":
            raise ValueError("the batch is broken")
        if step == BREAKS_AT and how == "interrupts":
            raise KeyboardInterrupt

    return breaks


@contextlib.contextmanager
def given(whose: str) -> Iterator[gitrepro.Run | None]:
    if whose == "own":
        yield None
        return
    with gitrepro.record(config=CONFIG) as run:
        yield run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bridge", choices=BRIDGES)
    parser.add_argument("whose", choices=("given", "own"))
    parser.add_argument("ends", choices=("well", "fails", "interrupts"))
    args = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    torch.set_num_threads(1)
    with given(args.whose) as run:
        BRIDGES[args.bridge](run, breaking(args.ends))


if __name__ == "__main__":
    main()
