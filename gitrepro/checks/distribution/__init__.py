"""Are the data what they seem: classes, types, drift, duplicates, and what stands on both sides of the split.

check_data, DataSettings               the lines `distribution.*` and `separation.*`
classes schema drift alike             parts that should be alike, and the verdict on how they differ
pairs repeated nature scoring          examples that are there twice, and what they do to the score
overlaps                               ids, groups and times on both sides
proof fitted influence replacing       what was fitted on more than train
columns contents statistics chance     what these look at: columns, digests, figures, and what chance makes
"""

from __future__ import annotations

from .check import check_data
from .settings import DataSettings

__all__ = ["DataSettings", "check_data"]
