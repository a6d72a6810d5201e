"""Tag objects: what a tag stands for, and the tag that a result is published by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import GitreproError, UsageError
from ..records.result import Result
from ..store import fs, git
from ..store.fold import Identity
from ..store.gitobjects import GitObjects
from ..store.gitrefs import list_refs, move_ref
from ..store.repository import Repository
from ..store.signing.text import harmless, part_tag, sign_tag

PREFIX = "refs/tags/"
_NESTED_AT_MOST = 8
_TRAILER = re.compile(r"(Gitrepro-[A-Za-z]+): (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a tag leads to.

    Attributes:
        kind: the kind of object it ends at: `commit`, or else no code to speak of.
        commit: that object, when it is a commit.
        name: the name inside the tag object; None for a lightweight tag.
        trailers: `Gitrepro-...` lines of the tag object, each with its values in order.
    """

    kind: str
    commit: str | None
    name: str | None = None
    trailers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def result(self) -> str | None:
        """The result it cites."""
        return next(iter(self.trailers.get("Gitrepro-Result", ())), None)

    @property
    def audit(self) -> str | None:
        """The digest of the audit it was made after."""
        return next(iter(self.trailers.get("Gitrepro-Audit", ())), None)


def follow(objects: GitObjects, oid: str) -> Target:
    """What the object `oid`, which a tag ref names, stands for.

    Raises:
        GitreproError: it cannot be read.
    """
    kind, data = objects.read_any(oid)
    if kind != "tag":
        return Target(kind=kind, commit=oid if kind == "commit" else None)
    # Only what a signature would speak for: behind it nobody has signed anything.
    head, _, message = part_tag(data).payload.decode("utf-8", "replace").partition("\n\n")
    fields = dict(line.split(" ", 1) for line in head.split("\n") if " " in line)
    kind, commit = _peel(objects, fields.get("object", ""))
    return Target(kind=kind, commit=commit, name=fields.get("tag"), trailers=_trailers(message))


def _peel(objects: GitObjects, oid: str) -> tuple[str, str | None]:
    for _ in range(_NESTED_AT_MOST):
        kind, data = objects.read_any(oid)
        if kind != "tag":
            return kind, oid if kind == "commit" else None
        oid = data[7:47].decode("ascii", "replace")
    raise GitreproError("the tag is nested too deep", why=f"more than {_NESTED_AT_MOST} tags of tags")


def _trailers(message: str) -> dict[str, tuple[str, ...]]:
    """The last paragraph, when all of it is trailers: text above may quote them freely."""
    found: dict[str, tuple[str, ...]] = {}
    for line in message.strip().rpartition("\n\n")[2].splitlines():
        match = _TRAILER.fullmatch(line)
        if match is None:
            return {}
        found[match[1]] = (*found.get(match[1], ()), match[2])
    return found


def is_name(repository: Repository, name: str) -> bool:
    """Whether Git takes `name` for a tag."""
    if not name.isprintable() or name.startswith("-"):
        return False
    return git.attempt(["check-ref-format", PREFIX + name], cwd=repository.git_dir).returncode == 0


def check_name(repository: Repository, name: str) -> None:
    """Raise unless a tag of this name can be made.

    Raises:
        UsageError: Git does not take the name, or another tag stands in its way.
    """
    if not is_name(repository, name):
        raise UsageError(
            f"{name!r:.200} is no tag name", why="Git does not allow it", do="use one like result/vit-small"
        )
    for ref in list_refs(repository.common_dir, PREFIX):
        other = ref.removeprefix(PREFIX)
        if other.startswith(f"{name}/") or name.startswith(f"{other}/"):
            raise UsageError(
                f"tag {name} cannot stand beside tag {other}", why="Git keeps tag names as paths", do="choose another"
            )


def create(
    repository: Repository,
    result: Result,
    audit: str,
    *,
    remarks: Sequence[str] = (),
    identity: Identity,
    now: float,
    prompts: bool = False,
) -> None:
    """Make the annotated tag of a result, which must not exist; signed, where `gitrepro.sign` says so.

    Args:
        audit: the digest of the audit it passed.
        remarks: lines for whoever reads the tag: what was waived, what passed with a warning that matters.
        prompts: somebody is there to be asked for a passphrase.

    Raises:
        UsageError: it exists, or there is no key to sign with.
        ChildFailed: it cannot be signed.
        StorageError: the disk refuses.
    """
    # Here, because hooks that only read tags should not pay for the means to sign one.
    from ..store.signing import programs
    from ..store.signing.making import sign

    data = _text(result, audit, remarks, signature=identity.line(now))
    if programs.is_on(repository):
        data = sign_tag(data, sign(repository, data, identity=identity, prompts=prompts))
    # Our own lock: a ref lock that is met while holding it belongs to a dead process or to Git.
    with fs.locked(repository.home / "lock"), GitObjects(repository.common_dir) as objects:
        oid = objects.write([("tag", data)])[0]
        if not move_ref(repository.common_dir, PREFIX + result.tag, old=None, new=oid):
            raise exists(result.tag)


def exists(name: str) -> UsageError:
    return UsageError(
        f"there is a tag {name} already", why="a result is declared once", do=f"choose another name than {name}"
    )


def _text(result: Result, audit: str, remarks: Sequence[str], *, signature: str) -> bytes:
    runs = f"{len(result.runs)} {'run' if len(result.runs) == 1 else 'runs'}"
    head = [f"object {result.commit}", "type commit", f"tag {result.tag}", f"tagger {signature}"]
    subject = f"result {result.tag}: {runs}, level {result.level}"
    trailers = [
        f"Gitrepro-Result: {result.id}",
        *(f"Gitrepro-Run: {run.id}" for run in result.runs),
        *(f"Gitrepro-Tree: {run.tree}" for run in result.runs),
        f"Gitrepro-Audit: {audit}",
    ]
    note = [_printable(result.note)] if result.note else []
    told = ["\n".join(_printable(remark) for remark in remarks)] if remarks else []
    parts = ["\n".join(head), subject, *note, *told, "\n".join(trailers)]
    return ("\n\n".join(parts) + "\n").encode("utf-8", "replace")


def _printable(text: str) -> str:
    lines = ("".join(char if char.isprintable() else " " for char in line).rstrip() for line in text.splitlines())
    return harmless("\n".join(lines).strip())
