"""Warnings: what is not recorded as asked, told at the line of the program it stands for."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

from ..errors import GitreproWarning


def warn(message: str) -> None:
    """Tell the caller of `gitrepro` that something is not recorded as asked."""
    warnings.warn(message, GitreproWarning, stacklevel=_to_caller())


def _to_caller() -> int:
    # A warning is shown with the line it stands for: the first one that is not ours.
    own = f"{Path(__file__).parent.parent}{os.sep}"
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(own):
        level, frame = level + 1, frame.f_back
    return level
