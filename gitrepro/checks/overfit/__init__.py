"""Does the model learn a handful of examples by heart? Where it does not, the training cannot learn anything else."""

from .check import check_overfit
from .settings import Settings
from .verdict import judge

__all__ = ["Settings", "check_overfit", "judge"]
