"""Git hooks: put in place, taken out, looked at; and what each of them decides.

The scripts are sh and pass everything but result tags; what they cannot tell themselves they ask `handle`.
"""

from __future__ import annotations

from .decide import PASSES, REFUSES, handle, message
from .installed import install, install_server, remove
from .judged import judge_tag, result_tags_at
from .place import KINDS, SERVER_KINDS, hooks_folder
from .proof import canary, server_canary
from .pushed import Sender, is_pushed
from .report import Hook, Report, status
from .stands import result_of_tag

__all__ = [
    "KINDS",
    "PASSES",
    "REFUSES",
    "SERVER_KINDS",
    "Hook",
    "Report",
    "Sender",
    "canary",
    "handle",
    "hooks_folder",
    "install",
    "install_server",
    "is_pushed",
    "judge_tag",
    "message",
    "remove",
    "result_of_tag",
    "result_tags_at",
    "server_canary",
    "status",
]
