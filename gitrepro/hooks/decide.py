"""What the hooks decide: which result tags may stand, and which may be pushed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..audit import gate, tags
from ..audit.candidates import judge_plain
from ..errors import GitreproError, Refused
from ..policy import Stage
from ..run import place
from ..store import worktree
from ..store.fold import Identity
from ..store.gitrefs import read_ref
from ..store.repository import Repository
from ..store.runs import RunTree
from .proof import NO_COMMIT
from .pushed import Sender, admit_push
from .server import admit_receive
from .stands import cited, follow

PASSES: Final = 0
REFUSES: Final = 3
"""Not 1: a Python that cannot start ends with 1, and the script must tell the two apart."""


def handle(
    kind: str,
    argv: Sequence[str],
    stdin: bytes,
    repository: Repository,
    *,
    now: float,
    sender: Sender | None = None,
) -> tuple[int, str]:
    """Decide for a hook.

    Args:
        kind: `reference-transaction`, `pre-push` or `pre-receive`.
        argv: what Git passed to the hook.
        stdin: what Git wrote to it; for `reference-transaction` the lines of result tags only.
        repository: the repository that Git works on.
        now: seconds since 1970.
        sender: see `admit_push`.

    Returns:
        An exit code, `PASSES` or `REFUSES`, and a message for people, empty when there is nothing to say.
    """
    try:
        lines = [line.split(" ") for line in stdin.decode("utf-8", "surrogateescape").splitlines()]
        match kind, list(argv[:1]):
            case "reference-transaction", ["prepared"]:
                _admit(repository, lines)
            case "reference-transaction", ["committed"]:
                return PASSES, _record(repository, lines, now)
            case "pre-push", [_]:
                admit_push(repository, argv, lines, sender=sender)
            case "pre-receive", []:
                admit_receive(repository, lines)
    except GitreproError as error:
        return REFUSES, message(error)
    except Exception as error:  # noqa: BLE001 - a fault of ours must end in words, and may only stop a result tag
        fault = f"{type(error).__name__}: {error}"
        return REFUSES, message(Refused("gitrepro's check failed", why=fault, do="report it, with `gitrepro doctor`"))
    return PASSES, ""


def message(error: GitreproError) -> str:
    """An error as a hook says it: a screen at most, and nothing in it that steers a terminal."""
    lines = [f"gitrepro: {_clean(error.what)}"]
    for word, text in (("why:", error.why), ("do: ", error.do)):
        for number, part in enumerate(text.splitlines()):
            lines.append(f"  {word if number == 0 else '    '} {_clean(part)}")
    return "\n".join(lines) + "\n"


def _clean(text: str) -> str:
    shown = "".join(character if character.isprintable() else "?" for character in text)
    return shown if len(shown) <= 400 else f"{shown[:400]}..."


def _admit(repository: Repository, lines: Sequence[Sequence[str]]) -> None:
    """Raise unless every result tag of the transaction may stand."""
    with RunTree(repository) as tree:
        for _, new, ref in lines:
            # A tag that is only written again (packed, forced to where it is) declares nothing.
            if read_ref(repository.common_dir, ref) != new:
                _admit_tag(tree, ref.removeprefix(tags.PREFIX), new)


def _admit_tag(tree: RunTree, name: str, oid: str) -> None:
    target = follow(tree, name, oid)
    if target.commit is None:
        raise Refused(f"tag {name} is refused", why=NO_COMMIT, do="tag the commit that the runs ran at")
    if gate.policy_at(tree.objects, target.commit).level_for(name) is None:
        return
    if target.result is None:
        judge_plain(tree, name, target.commit)
        return
    result = cited(tree, name, target)
    audit = gate.judge_result(tree, result, stage=Stage.TAG)
    if not audit.ok:
        raise gate.refusal(audit, what=f"tag {name} is refused")


def _record(repository: Repository, lines: Sequence[Sequence[str]], now: float) -> str:
    """Write the results of plain tags that now stand. Returns what to tell the user."""
    told = ""
    identity = _identity(repository)
    for _, new, ref in lines:
        with RunTree(repository) as tree:
            name = ref.removeprefix(tags.PREFIX)
            target = follow(tree, name, new)
            if target.commit is None or target.result is not None:
                continue
            if gate.policy_at(tree.objects, target.commit).level_for(name) is None:
                continue
            audit = judge_plain(tree, name, target.commit)
        result = gate.put_on_record(repository, audit, identity=identity, now=now)
        more = f" and {len(result.runs) - 5} more" if len(result.runs) > 5 else ""
        runs = ", ".join(run.id[-8:] for run in result.runs[:5]) + more
        told += f"gitrepro: result {name} is on record, of {'run' if len(result.runs) == 1 else 'runs'} {runs}\n"
    return told


def _identity(repository: Repository) -> Identity:
    return worktree.identity(repository, fallback=place.nobody())
