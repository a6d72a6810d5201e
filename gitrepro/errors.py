"""Every deliberate error, one family, one exit code each.

    GitreproError            the base; never raised itself
    ├── UsageError        2  the caller can fix the call
    │   ├── NoRepository     no Git repository to record into
    │   ├── UnsupportedRepository  a repository of a kind we cannot write
    │   ├── ConfigError      a file a person wrote does not parse or does not fit
    │   ├── QueryError       a query does not parse, or names what no run has
    │   └── WrongKey         none of the keys that were given opens a seal
    ├── NotFound          3  no run, blob, tag or result of that name
    │   ├── Ambiguous        more than one
    │   └── BlobMissing      the record names it, the store has it not
    ├── Refused           1  the gate said no; nothing was written
    │   └── Sealed           a part that is to be used once, asked for without an opening
    ├── Damaged           4  bytes that are not what their name or format says
    │   └── TooNew           a format newer than this program reads
    ├── StorageError      4  the disk said no: full, read-only, input/output error
    ├── RemoteError       5  network or remote
    └── ChildFailed       6  a program we ran failed
        └── TaskFailed       a task that a check ran: the experiment of the caller

An error says what happened, why, and what to do next. Only `cli/` catches the family, prints it and exits.
"""

from __future__ import annotations

from typing import ClassVar


class GitreproError(Exception):
    """The base of all deliberate errors.

    Args:
        what: what happened, naming the thing and the place.
        why: the cause, when it is known.
        do: the next command or act that helps.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "error"

    def __init__(self, what: str, *, why: str = "", do: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.do = do

    def __str__(self) -> str:
        return "; ".join(part for part in (self.what, self.why, self.do) if part)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.why, self.do))


def _rebuild(kind: type[GitreproError], what: str, why: str, do: str) -> GitreproError:
    return kind(what, why=why, do=do)


class UsageError(GitreproError, ValueError):
    """The caller can fix the call."""

    exit_code = 2
    code = "usage"


class NoRepository(UsageError):
    """There is no Git repository to record into."""

    code = "no-repository"


class UnsupportedRepository(UsageError):
    """A repository of a kind gitrepro cannot write to."""

    code = "unsupported-repository"


class ConfigError(UsageError):
    """A file a person wrote does not parse or does not fit."""

    code = "config"


class QueryError(UsageError):
    """A query does not parse, or names what no run has."""

    code = "query"


class WrongKey(UsageError):
    """None of the keys that were given opens what is sealed."""

    code = "wrong-key"


class Unsafe(UsageError):
    """A file or a path that is not taken, or not laid out, because it could do harm."""

    code = "unsafe"


class Conflict(UsageError):
    """What lies there has changes of yours, and would be lost."""

    code = "conflict"


class NotFound(GitreproError, LookupError):
    """There is no run, blob, tag or result of that name."""

    exit_code = 3
    code = "not-found"


class Ambiguous(NotFound):
    """More than one thing answers to that name."""

    code = "ambiguous"


class BlobMissing(NotFound):
    """A record names this blob and the store does not have it."""

    code = "blob-missing"


class NotAvailable(NotFound):
    """The bytes of this are on record and not here: their source is gone, or was never on this machine."""

    code = "not-available"


class Refused(GitreproError):
    """The gate said no. Nothing was written."""

    exit_code = 1
    code = "refused"


class Sealed(Refused):
    """A part that is to be used once was asked for without an opening on record."""

    code = "sealed"


class Damaged(GitreproError):
    """Bytes that are not what their name or their format says."""

    exit_code = 4
    code = "damaged"


class TooNew(Damaged):
    """A format newer than this program reads."""

    code = "too-new"


class StorageError(GitreproError, OSError):
    """The disk said no: full, read-only, or an input/output error."""

    exit_code = 4
    code = "storage"


class SourceChanged(StorageError):
    """A file was written to while it was read: what was read is no state it ever had."""

    code = "source-changed"


class RemoteError(GitreproError):
    """The network or the remote said no."""

    exit_code = 5
    code = "remote"


class ChildFailed(GitreproError):
    """A program that gitrepro ran failed."""

    exit_code = 6
    code = "child-failed"


class TaskFailed(ChildFailed):
    """The experiment that a check ran failed: in the caller's own code, or with what it returned."""

    code = "task-failed"


class GitreproWarning(UserWarning):
    """Something was not recorded as asked; the record says the same."""
