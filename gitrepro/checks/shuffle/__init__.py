"""With labels or inputs that tell nothing, does the experiment fall to chance? What does not has seen the answers."""

from .check import check_shuffle
from .settings import Settings
from .verdict import judge

__all__ = ["Settings", "check_shuffle", "judge"]
