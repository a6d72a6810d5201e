"""`gitrepro.sample_generator`: for data sets, which may be read in workers that hold no run."""

from __future__ import annotations

from ..training.keyed import sample_generator

__all__ = ["sample_generator"]
