"""Rules that say when a training should stop. Each sees one value at a time, and keeps what it judged by."""

from .budget import Budget
from .diverging import Divergence
from .early import EarlyStopping
from .learning import NoLearning
from .nonfinite import NonFinite
from .rule import Rule, Surroundings, Watch

__all__ = ["Budget", "Divergence", "EarlyStopping", "NoLearning", "NonFinite", "Rule", "Surroundings", "Watch"]
