"""What programs write of themselves, read without their libraries: TensorBoard events, CSV tables, JSON.

Each reader is a function of the bytes it has been given so far: it takes what has been added, gives the rows in it, and
counts what it could not take. Any bytes at all give rows or counts, never an exception.
"""

from __future__ import annotations

from .delimited import Delimited
from .lines import LineReader
from .points import STEP_NAMES, Point, Rejected
from .records import Objects, document
from .tensorboard import EventFile

__all__ = ["STEP_NAMES", "Delimited", "EventFile", "LineReader", "Objects", "Point", "Rejected", "document"]
