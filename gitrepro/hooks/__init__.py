"""Git hooks: put in place, taken out, looked at; and what each of them decides.

The scripts are sh and pass everything but result tags; what they cannot tell themselves they ask `handle`.
"""

from __future__ import annotations

from .decide import PASSES, REFUSES, handle, message
from .installed import Hook, Report, install, remove, status
from .place import KINDS, hooks_folder
from .proof import canary
from .pushed import is_pushed
from .stands import result_of_tag

__all__ = [
    "KINDS",
    "PASSES",
    "REFUSES",
    "Hook",
    "Report",
    "canary",
    "handle",
    "hooks_folder",
    "install",
    "is_pushed",
    "message",
    "remove",
    "result_of_tag",
    "status",
]
