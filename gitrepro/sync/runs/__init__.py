"""Runs to and from a Git remote."""

from __future__ import annotations

from .names import Remote, find_remote, remote_names
from .pulling import Pulled, pull
from .pushing import Pushed, push
from .standing import CloneState, Waiting, clone_state, is_pushed, pushed_to, waiting

__all__ = [
    "CloneState",
    "Pulled",
    "Pushed",
    "Remote",
    "Waiting",
    "clone_state",
    "find_remote",
    "is_pushed",
    "pull",
    "push",
    "pushed_to",
    "remote_names",
    "waiting",
]
