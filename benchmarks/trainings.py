"""Small real trainings on scikit-learn's data, healthy ones and broken ones, as rows of train and validation loss.

Each is a generator of rows as `run.log` takes them, one a step, so that guards can be held against them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from sklearn import datasets
from torch import nn

Row = dict[str, float]
STEPS = 1100
VAL_EVERY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training, and what is to be found in it: codes of findings, any of which will do; none in a healthy one."""

    name: str
    expected: frozenset[str] = frozenset()
    data: str = "digits"
    net: str = "mlp"
    optimizer: str = "sgd"
    lr: float = 0.1
    batch_size: int = 64
    options: dict[str, Any] = field(default_factory=dict)
    schedule: str = ""
    dropout: float = 0.0
    fault: str = ""

    @property
    def healthy(self) -> bool:
        return not self.expected

    def rows(self, *, steps: int = STEPS, seed: int = 0) -> Iterator[tuple[int, Row]]:
        """Train, and give a row for each step: the loss of its batch, and now and then that of the validation part."""
        torch.manual_seed(seed)
        (inputs, targets), held = data(self.data)
        inputs, targets = _spoilt(self.fault, inputs, targets)
        model, loss_of = network(self, inputs.shape[1], targets)
        optimizer = OPTIMIZERS[self.optimizer](_trained(self.fault, model), lr=self.lr, **self.options)
        scheduler = SCHEDULES[self.schedule](optimizer, steps) if self.schedule else None
        for step in range(steps):
            rows = torch.randint(len(inputs), (self.batch_size,))
            loss = loss_of(model(inputs[rows]), targets[rows])
            optimizer.zero_grad()
            (-loss if self.fault == "sign flipped" else loss).backward()
            _hurt(self.fault, model, step)
            optimizer.step()
            if scheduler:
                scheduler.step()
            row = {"train/loss": loss.item()}
            if step % VAL_EVERY == 0:
                row["val/loss"] = _validated(model, loss_of, held)
            yield step, row


def _validated(model: nn.Module, loss_of: Callable[..., Any], held: tuple[Any, Any]) -> float:
    model.eval()
    with torch.no_grad():
        loss: float = loss_of(model(held[0]), held[1]).item()
    model.train()
    return loss


@cache
def data(name: str) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Inputs with mean 0 and deviation 1, and targets, in two parts; the same for every training."""
    inputs, targets = getattr(datasets, f"load_{name}")(return_X_y=True)
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    inputs = torch.as_tensor(inputs, dtype=torch.float32)[order]
    inputs = (inputs - inputs.mean(0)) / (inputs.std(0) + 1e-6)
    targets = torch.as_tensor(targets)[order]
    if targets.is_floating_point():
        targets = ((targets - targets.mean()) / targets.std()).float()
    cut = len(inputs) * 3 // 4
    return (inputs[:cut], targets[:cut]), (inputs[cut:], targets[cut:])


def network(training: Training, width: int, targets: Any) -> tuple[nn.Module, Callable[..., Any]]:
    """A model for the data, and its loss."""
    regression = targets.is_floating_point()
    outputs = 1 if regression else int(targets.max()) + 1
    drop = nn.Dropout(training.dropout)
    layers: dict[str, Callable[[], list[nn.Module]]] = {
        "linear": lambda: [nn.Linear(width, outputs)],
        "mlp": lambda: [nn.Linear(width, 64), nn.ReLU(), drop, nn.Linear(64, outputs)],
        "deep": lambda: [nn.Linear(width, 64), *_tower(64, 5), nn.Linear(64, outputs)],
        "norm": lambda: [nn.Linear(width, 64), nn.BatchNorm1d(64), nn.ReLU(), drop, nn.Linear(64, outputs)],
        "conv": lambda: [
            nn.Unflatten(1, (1, 8, 8)),
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(128, outputs),
        ],
    }
    model = nn.Sequential(*layers[training.net]())
    if training.fault == "dead units":
        with torch.no_grad():
            model[0].bias.fill_(-100.0)
            model[-1].bias.zero_()
            model[-1].weight.zero_()
    if regression:
        return model, lambda out, wanted: nn.functional.mse_loss(out.squeeze(-1), wanted)
    return model, nn.functional.cross_entropy


def _tower(width: int, depth: int) -> list[nn.Module]:
    return [layer for _ in range(depth) for layer in (nn.ReLU(), nn.Linear(width, width))]


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "nadam": torch.optim.NAdam,
}
SCHEDULES: dict[str, Callable[[Any, int], Any]] = {
    "cosine": lambda opt, steps: torch.optim.lr_scheduler.CosineAnnealingLR(opt, steps),
    "restarts": lambda opt, steps: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, steps // 5),
    "one cycle": lambda opt, steps: torch.optim.lr_scheduler.OneCycleLR(
        opt, max_lr=opt.param_groups[0]["lr"], total_steps=steps + 1
    ),
    "warm-up": lambda opt, steps: torch.optim.lr_scheduler.LinearLR(opt, 0.001, 1.0, total_iters=steps // 5),
    "steps": lambda opt, steps: torch.optim.lr_scheduler.StepLR(opt, steps // 3, 0.1),
}


# -- what breaks them


def _spoilt(fault: str, inputs: Any, targets: Any) -> tuple[Any, Any]:
    if fault == "random labels each step":
        return torch.randn_like(inputs), targets
    if fault == "inputs not scaled":
        return inputs * 1e4, targets
    if fault == "noisy labels":
        wrong = torch.rand(len(targets)) < 0.2
        return inputs, torch.where(wrong, targets[torch.randperm(len(targets))], targets)
    if fault == "constant input":
        return torch.zeros_like(inputs), targets[torch.randperm(len(targets))]
    if fault == "a broken example":
        inputs = inputs.clone()
        inputs[torch.randint(len(inputs), (3,))] = math.nan
    return inputs, targets


def _trained(fault: str, model: nn.Module) -> list[Any]:
    parameters = list(model.parameters())
    if fault == "another model's parameters":
        return [nn.Parameter(each.detach().clone()) for each in parameters]
    return parameters


def _hurt(fault: str, model: nn.Module, step: int) -> None:
    """What happens between the backward pass and the optimizer's step."""
    found = [each.grad for each in model.parameters() if each.grad is not None]
    if fault == "gradients forgotten":
        for grad in found:
            grad.zero_()
    elif fault == "a NaN in a gradient" and step == 300:
        found[0].view(-1)[0] = math.nan
    elif fault == "an infinity in the weights" and step == 300:
        next(model.parameters()).data.view(-1)[0] = math.inf
    elif fault == "gradients grow" and step > 400:
        for grad in found:
            grad.mul_(1.1 ** (step - 400))
    elif fault == "learning rate jumps" and step > 400:
        for grad in found:
            grad.mul_(300.0)


FLAT = frozenset({"not-falling"})
BLOWN = frozenset({"divergence", "gradient-explosion", "nonfinite-loss", "nonfinite-gradients", "nonfinite-weights"})
NAN = frozenset({"nonfinite-loss", "nonfinite-gradients", "nonfinite-weights"})


def _healthy() -> Iterator[Training]:
    kinds: list[tuple[str, float, dict[str, Any]]] = [
        ("sgd", 0.1, {}),
        ("sgd", 0.02, {"momentum": 0.9}),
        ("adam", 1e-3, {}),
        ("adamw", 3e-3, {"weight_decay": 0.05}),
        ("rmsprop", 1e-3, {}),
        ("adagrad", 0.02, {}),
        ("nadam", 1e-3, {}),
    ]
    for optimizer, lr, options in kinds:
        for size in (8, 64):
            yield Training(name=f"{optimizer} {options or ''} batch {size}", optimizer=optimizer, lr=lr,
                           options=options, batch_size=size)  # fmt: skip
    for net in ("linear", "deep", "norm", "conv"):
        yield Training(name=f"adam {net}", net=net, optimizer="adam", lr=2e-3)
        yield Training(name=f"momentum {net}", net=net, lr=0.02, options={"momentum": 0.9})
    for name in ("iris", "wine", "breast_cancer", "diabetes"):
        yield Training(name=f"adam {name}", data=name, optimizer="adam", lr=2e-3, batch_size=16)
        yield Training(name=f"sgd {name}", data=name, lr=0.02, batch_size=16)
    for schedule in SCHEDULES:
        yield Training(name=f"momentum {schedule}", schedule=schedule, lr=0.05, options={"momentum": 0.9})
    yield Training(name="adam dropout 0.5", dropout=0.5, optimizer="adam", lr=2e-3, batch_size=32)
    yield Training(name="adam batch 2", optimizer="adam", lr=1e-3, batch_size=2)
    yield Training(name="sgd slow", lr=0.005)
    yield Training(name="adam fast", optimizer="adam", lr=0.03)
    yield Training(name="adam noisy labels", optimizer="adam", lr=2e-3, fault="noisy labels")
    yield Training(name="momentum linear diabetes batch 4", data="diabetes", net="linear", lr=0.002, batch_size=4,
                   options={"momentum": 0.9})  # fmt: skip


def _broken() -> Iterator[Training]:
    for lr in (0.0, 1e-9):
        yield Training(name=f"lr {lr}", lr=lr, expected=FLAT)
        yield Training(name=f"adam lr {lr}", optimizer="adam", lr=lr, net="conv", expected=FLAT)
    yield Training(name="optimizer of another model", fault="another model's parameters", expected=FLAT)
    yield Training(name="optimizer of another model, iris", fault="another model's parameters", data="iris",
                   batch_size=8, expected=FLAT)  # fmt: skip
    yield Training(name="gradients forgotten", fault="gradients forgotten", expected=FLAT)
    yield Training(name="gradients forgotten, adam", fault="gradients forgotten", optimizer="adam", lr=1e-3,
                   batch_size=8, expected=FLAT)  # fmt: skip
    yield Training(name="dead units", fault="dead units", net="mlp", lr=0.0001, expected=FLAT)
    yield Training(name="constant input", fault="constant input", lr=0.001, net="linear", expected=FLAT)
    for lr in (30.0, 1000.0):
        yield Training(name=f"sgd lr {lr:g}", lr=lr, net="deep", expected=BLOWN | FLAT)
    yield Training(name="sgd lr 10, diabetes", lr=10.0, data="diabetes", expected=BLOWN)
    yield Training(name="sgd lr 3, linear diabetes", lr=3.0, net="linear", data="diabetes", expected=BLOWN)
    yield Training(name="adam lr 30", optimizer="adam", lr=30.0, net="deep", expected=BLOWN | FLAT)
    yield Training(name="momentum 1.1", lr=0.02, options={"momentum": 1.1}, expected=BLOWN | FLAT)
    yield Training(name="inputs not scaled", fault="inputs not scaled", data="diabetes", lr=0.1, expected=BLOWN)
    for data_name in ("digits", "diabetes"):
        yield Training(name=f"sign flipped, {data_name}", fault="sign flipped", data=data_name, lr=0.02,
                       expected=BLOWN)  # fmt: skip
    yield Training(name="sign flipped, adam", fault="sign flipped", optimizer="adam", lr=2e-3, expected=BLOWN)
    yield Training(name="a NaN in a gradient", fault="a NaN in a gradient", expected=NAN)
    yield Training(name="an infinity in the weights", fault="an infinity in the weights", expected=NAN)
    yield Training(name="a broken example", fault="a broken example", expected=NAN)
    yield Training(name="a broken example, adam", fault="a broken example", optimizer="adam", lr=1e-3, expected=NAN)
    yield Training(name="gradients grow", fault="gradients grow", lr=0.02, expected=BLOWN)
    yield Training(name="learning rate jumps", fault="learning rate jumps", lr=0.05, expected=BLOWN)


HEALTHY = tuple(_healthy())
BROKEN = tuple(_broken())
