"""The holdout log of a split: every use of a part that is to be used once, chained, and named by the runs after it.

log         the entries on record, in their order, and what is wrong with them
asking      what the log says of some runs: when they were chosen, and what was opened before
anchoring   what the record of a run says of the log, and whether the log still has it
proving     whether the logs are whole, for `gitrepro verify`
writing     add an entry
"""

from .anchoring import anchor_of, anchored_runs, broken_anchors
from .asking import before_selection, later_by, looks_at, selected_at
from .log import Log, known_log, log_of, splits_with_log
from .proving import verify_anchors, verify_logs
from .writing import append, entry_after

__all__ = [
    "Log",
    "anchor_of",
    "anchored_runs",
    "append",
    "before_selection",
    "broken_anchors",
    "entry_after",
    "known_log",
    "later_by",
    "log_of",
    "looks_at",
    "selected_at",
    "splits_with_log",
    "verify_anchors",
    "verify_logs",
]
