"""What the name of a metric tells: which part of the data it is of, and whether it is good when it is small."""

from __future__ import annotations

import re
from typing import Final, Literal

Mode = Literal["min", "max"]
# Whole words of a metric's name.
_SMALL: Final = frozenset("loss error err mae mse rmse nll ppl perplexity bpc bpb wer cer fid regret".split())
_GREAT: Final = frozenset("acc accuracy auc auroc f1 precision recall r2 bleu rouge iou map dice score reward".split())
_TRAIN: Final = ("train", "training", "trn")
_TEST: Final = ("test", "testing", "tst", "holdout")
_HELD: Final = ("val", "valid", "validation", "dev", "eval", *_TEST)


def words(metric: str) -> frozenset[str]:
    """The words of a metric's name, as in `val/loss`, `test_acc`, `valLoss`."""
    return frozenset(re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", metric).lower()))


def mode_of(metric: str) -> Mode | None:
    """What is better of a metric, as far as its name tells."""
    found = words(metric)
    small, great = bool(found & _SMALL), bool(found & _GREAT)
    return None if small == great else "min" if small else "max"


def part_of(metric: str) -> str | None:
    """The part of the data that a name speaks of: `train`, `test`, `val`; None where it says nothing."""
    found = words(metric)
    parts = {"test": _TEST, "train": _TRAIN, "val": _HELD}
    return next((part for part, names in parts.items() if found.intersection(names)), None)


def is_training_loss(metric: str) -> bool:
    """Whether a name is that of the loss that is trained on: `loss`, `train/loss`, `trainLoss`."""
    found = words(metric)
    return "loss" in found and not found.intersection(_HELD)


def tail(metric: str) -> frozenset[str]:
    """The words of a name but those that tell the part: `train/loss` and `val_loss` have one tail."""
    return words(metric) - {*_TRAIN, *_HELD, ""}
