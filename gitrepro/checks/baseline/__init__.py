"""Does the experiment beat the cheap models that anybody would try first, on the same examples, and at what price?"""

from .check import check_baseline
from .settings import Nominated, Settings
from .verdict import judge

__all__ = ["Nominated", "Settings", "check_baseline", "judge"]
