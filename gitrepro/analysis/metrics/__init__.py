"""Metrics of predictions, each with a name, a version and the digest of its source text.

function   what a metric is, and the digest of its source
registry   `registered("accuracy")`, and metrics of the program's own
choosing   which are meant, and what they come to of the predictions of a run
preparing  predictions in the form that a metric takes
classes · scores · numbers · counts    the metrics
"""

from __future__ import annotations

from .choosing import check, chosen, measure, usual
from .function import MetricFunction, Needs, source_of
from .preparing import check_fits, to_classes, to_probabilities
from .registry import NAMES, named, needs_of, own, registered

__all__ = [
    "NAMES",
    "MetricFunction",
    "Needs",
    "check",
    "check_fits",
    "chosen",
    "measure",
    "named",
    "needs_of",
    "own",
    "registered",
    "source_of",
    "to_classes",
    "to_probabilities",
    "usual",
]
