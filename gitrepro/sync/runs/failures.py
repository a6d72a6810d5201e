"""What Git says when a remote says no, and what helps then."""

from __future__ import annotations

import re
from typing import Final

from ...errors import RemoteError
from .names import Remote, without_password

_LINES_AT_MOST: Final = 6
_KEPT: Final = "what is recorded stays here, and goes with the next `gitrepro push`"

# Searched in this order: what a host says of itself stands over what the end of the connection looks like.
_CAUSES: Final = (
    (
        r"no space left|disk quota|quota exceeded|disk full",
        "the disk of {name} is full",
        f"free space there, then run it again; {_KEPT}",
    ),
    (
        r"read-only file system|insufficient permission|unable to (create|write|open|migrate)|permission to .* denied"
        r"|unpacker error|not allowed to (push|upload)|you can ?not push|write access|cannot lock ref|unable to lock",
        "{name} does not let you write",
        f"ask who runs it for the right to push; {_KEPT}",
    ),
    (
        r"authentication failed|permission denied|could not read (username|password)|terminal prompts disabled"
        r"|invalid (username|credentials)|http basic: access denied|returned error: 40[13]|host key verification",
        "{name} does not accept who you are",
        "make `git ls-remote {name}` work first: gitrepro uses Git's own credentials",
    ),
    (
        r"could not resolve|couldn't resolve|connection (refused|timed out|reset|closed)|no route to host"
        r"|network is unreachable|failed to connect|unable to connect|operation timed out|name or service not known",
        "{name} cannot be reached",
        f"look at the network, then run it again; {_KEPT}",
    ),
    (
        r"does not appear to be a git repository|repository .* (not found|does not exist)|no such file or directory"
        r"|returned error: 404|project .* not be found",
        "there is no repository at {name}",
        "`git remote -v` shows where it points; `git remote set-url {name} URL` corrects it",
    ),
    (
        r"transport '.*' not allowed|unable to find remote helper|remote helper",
        "the URL of {name} is of a kind that is not used",
        "use a path, or an ssh:// or https:// URL",
    ),
)  # fmt: skip
_NOISE: Final = re.compile(
    r"(To |Done$|hint:|Everything up-to-date|error: failed to push some refs|Please make sure you have"
    r"|(remote: )?(Enumerating|Counting|Compressing|Writing|Receiving|Resolving|Unpacking|Total|Delta) "
    r"|and the repository exists|fatal: Could not read from remote repository|$)"
)


def failure(remote: Remote, act: str, said: str) -> RemoteError:
    """The error for what `git` said on stderr.

    Args:
        act: what was being done, as `push runs to`.
    """
    why = words(said)
    for pattern, what, do in _CAUSES:
        if re.search(pattern, said, re.IGNORECASE):
            named = {"name": remote.shown}
            return RemoteError(f"cannot {act} {remote.shown}: {what.format(**named)}", why=why, do=do.format(**named))
    return RemoteError(f"cannot {act} {remote.shown}", why=why, do=f"run it again; {_KEPT}")


def refusal(remote: Remote, ref: str, reason: str, said: str) -> RemoteError:
    """The error for a ref that the host does not take."""
    why = "\n".join(part for part in (reason, words(said)) if part)
    found = failure(remote, "push runs to", f"{reason}\n{said}")
    if found.do and ": " in found.what:
        return RemoteError(found.what, why=why, do=found.do)
    do = "ask who runs it why (a hook of theirs said so)"
    if not ref.startswith("refs/heads/"):
        do += "; a host that takes branches only is served with `git config gitrepro.ref refs/heads/gitrepro/runs`"
    return RemoteError(f"{remote.shown} refuses {ref}", why=why, do=do)


def words(said: str) -> str:
    """Git's own words, without the lines that say nothing, and without passwords."""
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", without_password(said))]
    told = [line for line in lines if not _NOISE.match(line)]
    return "\n".join((told or [line for line in lines if line])[-_LINES_AT_MOST:])
