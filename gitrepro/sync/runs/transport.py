"""The conversation with a Git remote, led by `git`: its credentials, proxies and ssh settings then just work."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...store import git
from ...store.gitrefs import clear_stale_locks, list_refs, move_ref, read_ref
from ...store.repository import CODE_REF, RUNS_REF, Repository
from .failures import failure, refusal
from .names import Remote

# What a fetch brings is named by a ref of ours at once, so it has to be as durable as what we write.
_DURABLE: Final = ("-c", "core.fsync=committed,loose-object")
_FETCH: Final = (
    "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance", "--prune", "--refmap=",
    "--no-show-forced-updates",
)  # fmt: skip
_PUSH: Final = (
    "--porcelain", "--no-verify", "--no-follow-tags", "--no-recurse-submodules",
)  # fmt: skip
_ANSWER: Final = re.compile(r"(?P<flag>[ +\-*!=])\t[^\t]*:(?P<ref>[^\t:]+)\t(?P<summary>.*)")
_MOVED: Final = re.compile(
    r"\((fetch first|non-fast-forward|needs force|stale info|already exists|remote ref updated since checkout"
    r"|failed to update ref|incorrect old value provided|reference already exists|cannot lock ref.*)\)",
    re.IGNORECASE,
)
_TOGETHER: Final = re.compile(r"\(atomic .*\)", re.IGNORECASE)
_NOT_ATOMIC: Final = re.compile(r"does not support --atomic", re.IGNORECASE)
_COUNTED: Final = re.compile(rb"(?:Writing|Receiving|Unpacking) objects: +[0-9]+% \(([0-9]+)/([0-9]+)\)")
_NAME: Final = re.compile(r"[A-Za-z0-9._/-]+")
_OLD: Final = re.compile(r"([0-9a-f]{4,40})\.\.")

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One ref of the remote that is to name `new`; None deletes it.

    With `lease` it is changed whatever it named, as long as that is the object `lease`.
    """

    ref: str
    new: str | None
    lease: str | None = None

    @property
    def spec(self) -> str:
        return f"{self.new or ''}:{self.ref}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one ref of a push.

    Attributes:
        state: `done`, `moved` (another one was quicker), `together` (left because another ref of the push failed) or
            `refused`.
        before: the beginning of what it named there, as far as the remote said; empty for a ref that is new.
        why: Git's reason; `said` is all that was said on the way.
    """

    ref: str
    state: str
    before: str = ""
    why: str = ""
    said: str = ""


def fetch(repository: Repository, remote: Remote, *, progress: Told | None = None) -> dict[str, str]:
    """Bring the refs of a remote; return them by their names there. No ref that anything else reads is moved.

    Raises:
        RemoteError: network or remote say no. Nothing has changed then.
    """
    ours = (RUNS_REF, CODE_REF, remote.copy(remote.runs), remote.copy(remote.code))
    # A few tips are enough for the two to find what they share, and a user may have a thousand branches.
    limits = [f"--negotiation-tip={ref}" for ref in ours if _has(repository, ref)]
    spec = f"+{remote.base}/*:{remote.incoming}*"
    whole = ["--no-filter"] if _is_partial(repository) else []
    args = [*_DURABLE, "fetch", *_FETCH, *whole, *limits, "--end-of-options", remote.name, spec]
    clear_stale_locks(repository.common_dir, remote.incoming)
    done = _git(repository, args, progress)
    if done.returncode:
        raise failure(remote, "fetch runs from", done.stderr.decode(errors="replace"))
    return incoming(repository, remote)


def incoming(repository: Repository, remote: Remote) -> dict[str, str]:
    """What the last fetch saw, by the names there."""
    found = list_refs(repository.common_dir, remote.incoming)
    return {f"{remote.base}/{ref.removeprefix(remote.incoming)}": oid for ref, oid in found.items()}


def _has(repository: Repository, ref: str) -> bool:
    return read_ref(repository.common_dir, ref) is not None


def _is_partial(repository: Repository) -> bool:
    try:
        return b"partialclone" in (repository.common_dir / "config").read_bytes().lower()
    except OSError:
        return False


def listed(repository: Repository, remote: Remote, *patterns: str) -> dict[str, str]:
    """The refs of a remote that match, by name. Nothing is fetched.

    Raises:
        RemoteError: network or remote say no.
    """
    done = _git(repository, ["ls-remote", "--refs", "--end-of-options", remote.name, *patterns])
    if done.returncode:
        raise failure(remote, "look for runs at", done.stderr.decode(errors="replace"))
    lines = (line.split("\t", 1) for line in done.stdout.decode(errors="replace").splitlines())
    return {pair[1]: pair[0] for pair in lines if len(pair) == 2}


def push(
    repository: Repository,
    remote: Remote,
    changes: Sequence[Change],
    *,
    atomic: bool = False,
    negotiate: bool = False,
    progress: Told | None = None,
) -> list[Outcome]:
    """Change refs of a remote; say of each what came of it.

    Args:
        atomic: all or none, where the host can do that.
        negotiate: ask the remote first what it has: for a ref that is new there.

    Raises:
        RemoteError: network or remote say no, and no ref was changed.
    """
    done = _git(repository, _push_args(remote, changes, atomic=atomic, negotiate=negotiate), progress)
    said = done.stderr.decode(errors="replace")
    if atomic and _NOT_ATOMIC.search(said):
        return push(repository, remote, changes, negotiate=negotiate, progress=progress)
    outcomes = list(_outcomes(done.stdout.decode(errors="replace"), said))
    if not outcomes or (done.returncode and all(each.state == "done" for each in outcomes)):
        raise failure(remote, "push runs to", said)
    return outcomes


def _push_args(remote: Remote, changes: Sequence[Change], *, atomic: bool, negotiate: bool) -> list[str]:
    # An empty value takes back the options that a configuration file asks for: few hosts know any.
    settings = ["-c", "push.pushOption=", *(["-c", "push.negotiate=true"] if negotiate else [])]
    if _NAME.fullmatch(remote.name):
        settings += ["-c", f"remote.{remote.name}.mirror=false"]
    leases = [f"--force-with-lease={each.ref}:{each.lease}" for each in changes if each.lease]
    together = ["--atomic"] if atomic else []
    specs = [each.spec for each in changes]
    return [*settings, "push", *_PUSH, *together, *leases, "--end-of-options", remote.name, *specs]


def _outcomes(told: str, said: str) -> Iterable[Outcome]:
    for line in told.splitlines():
        if found := _ANSWER.fullmatch(line):
            yield _outcome(found["flag"], found["ref"], found["summary"], said)


def _outcome(flag: str, ref: str, summary: str, said: str) -> Outcome:
    if flag != "!":
        old = _OLD.match(summary)
        return Outcome(ref=ref, state="done", before=old[1] if old else "=" if flag == "=" else "")
    state = "moved" if _MOVED.search(summary) else "together" if _TOGETHER.search(summary) else "refused"
    return Outcome(ref=ref, state=state, why=summary, said=said)


def check(remote: Remote, outcomes: Iterable[Outcome]) -> None:
    """Raise for the first ref that the host does not take.

    Raises:
        RemoteError: there is one.
    """
    for each in outcomes:
        if each.state == "refused":
            raise refusal(remote, each.ref, each.why, each.said)


def settle(repository: Repository, changes: Mapping[str, str | None]) -> None:
    """Let copies of a remote's refs name what is there now; None removes one.

    Raises:
        StorageError: the disk refuses.
    """
    gone = [ref for ref, oid in changes.items() if oid is None and _has(repository, ref)]
    if gone:
        repository.git("update-ref", "--stdin", input="".join(f"delete {ref}\n" for ref in gone).encode())
    for ref, oid in changes.items():
        old = read_ref(repository.common_dir, ref)
        if oid is not None and old != oid:
            move_ref(repository.common_dir, ref, old=old, new=oid)


def is_ancestor(repository: Repository, old: str, new: str) -> bool:
    """Whether a commit is another one, or comes before it."""
    if old == new:
        return True
    return _git(repository, ["merge-base", "--is-ancestor", old, new]).returncode == 0


def independent(repository: Repository, commits: Sequence[str]) -> set[str]:
    """Those of the commits that come before none of the others; all of them where Git cannot tell."""
    done = _git(repository, ["merge-base", "--independent", *commits])
    return set(done.stdout.decode().split()) or set(commits)


def count(repository: Repository, new: str, *known: str | None, at_most: int | None = None) -> int:
    """How many commits `new` has that `known` have not."""
    limit = [f"--max-count={at_most}"] if at_most else []
    told = _git(repository, ["rev-list", "--count", *limit, new, *(f"^{oid}" for oid in known if oid)]).stdout
    return int(told.strip() or 0)


def count_code(repository: Repository, remote: Remote, new: str, known: str | None) -> int:
    """How many commits `new` keeps that `known` does not, and no branch that the remote was seen with."""
    branches = ["--not", f"--remotes={remote.name}"] if _NAME.fullmatch(remote.name) else []
    told = _git(repository, ["rev-list", "--count", new, *([f"^{known}"] if known else []), *branches]).stdout
    return int(told.strip() or 0)


def _git(
    repository: Repository, args: Sequence[str], progress: Told | None = None
) -> subprocess.CompletedProcess[bytes]:
    place = repository.work_tree or repository.git_dir
    here = f"--git-dir={repository.git_dir}"
    if progress is None:
        return git.attempt([here, *args], cwd=place, env=_asking())
    at = next(number for number, word in enumerate(args) if word in ("fetch", "push")) + 1
    words = [here, *args[:at], "--progress", *args[at:]]
    return git.watched(words, cwd=place, env=_asking(), heard=lambda piece: _tell(piece, progress))


def _tell(piece: bytes, progress: Told) -> None:
    """Hand on how far Git says it is; a number that is cut in two comes again."""
    for found in _COUNTED.finditer(piece):
        progress(int(found[1]), int(found[2]))


def _asking() -> dict[str, str]:
    # Git asks on the terminal itself, and only where there is one to answer.
    may_ask = os.isatty(2) and os.environ.get("GIT_TERMINAL_PROMPT") != "0"
    return {"GIT_TERMINAL_PROMPT": "1"} if may_ask else {}
