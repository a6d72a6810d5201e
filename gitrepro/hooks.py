"""Git hooks: put in place, taken out, looked at; and what each of them decides.

The scripts are sh and pass everything but result tags; what they cannot tell themselves they ask `handle`.
"""

from __future__ import annotations

import fnmatch
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .audit import gate, tags
from .audit.candidates import judge_plain
from .audit.results import audit_digest, find_result
from .errors import ChildFailed, ConfigError, GitreproError, NotFound, Refused, UsageError
from .policy import DEFAULT, FILE, Stage, parse
from .records import ids
from .records.result import Result, result_path
from .run import place
from .store import fs, git, worktree
from .store.fold import Identity
from .store.gitrefs import list_refs, read_ref
from .store.repository import RUNS_REF, Repository
from .store.runs import RunTree

KINDS: Final = ("reference-transaction", "pre-push")
PREVIOUS: Final = ".gitrepro-prev"
PASSES: Final = 0
REFUSES: Final = 3
"""Not 1: a Python that cannot start ends with 1, and the script must tell the two apart."""

_MARK: Final = b"# gitrepro hook "
_PYTHON: Final = "gitrepro.python"
_PATTERNS: Final = "gitrepro.resultTags"
_EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_NOTHING: Final = "0" * 40
_NO_COMMIT: Final = "it leads to no commit, so no code stands behind it"


# -- in place


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One hook as it stands.

    `state` is `installed`, `outdated` (another version's), `foreign` (someone else's) or `missing`; `chained` says that
    the hook that stood there before is kept and runs first.
    """

    name: str
    path: Path
    state: str
    chained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The hooks of a repository, the Python they start, and the tag names they look at."""

    folder: Path
    hooks: tuple[Hook, ...]
    python: str | None
    patterns: tuple[str, ...]
    trouble: str = ""

    @property
    def installed(self) -> list[str]:
        return [hook.name for hook in self.hooks if hook.state == "installed"]

    @property
    def ok(self) -> bool:
        return not self.trouble and all(hook.state == "installed" for hook in self.hooks)


def install(repository: Repository, *, python: str) -> Report:
    """Put the hooks in place, and tell them the Python to start and the tag names to look at. May be repeated.

    A hook of someone else is kept beside ours and runs first. `core.hooksPath` is honoured and never set.

    Args:
        python: the interpreter that has gitrepro.

    Raises:
        UsageError: that Python cannot start gitrepro, or there is no room for the hooks.
        ConfigError: the policy does not parse.
        StorageError: the disk refuses.
    """
    _check_python(python)
    patterns = _policy_patterns(repository)
    folder = hooks_folder(repository)
    with fs.explained(f"cannot install hooks into {folder}"):
        fs.make_directories(folder)
        for kind in KINDS:
            _install_one(folder / kind)
    repository.git("config", "--local", _PYTHON, python)
    repository.git("config", "--local", _PATTERNS, " ".join(patterns))
    return status(repository)


def _check_python(python: str) -> None:
    try:
        # Started as the hooks start it: a gitrepro that only PYTHONPATH or the current folder offers is not found.
        done = subprocess.run(
            [python, "-P", "-E", "-m", "gitrepro", "--version"],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise UsageError(f"{python} does not start", why=error.strerror or str(error)) from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError(
            f"{python} cannot start gitrepro",
            why=words[-1] if words else f"it ends with {done.returncode}",
            do="install gitrepro into it (`pip install`), or use the Python that has it",
        )


def _policy_patterns(repository: Repository) -> tuple[str, ...]:
    """The patterns of the policy as it lies in the work tree: it may not be committed yet."""
    try:
        if repository.work_tree is None:
            return DEFAULT.patterns
        return parse((repository.work_tree / FILE).read_bytes()).patterns
    except FileNotFoundError:
        return DEFAULT.patterns
    except OSError as error:
        raise ConfigError(f"{FILE} cannot be read", why=error.strerror or str(error)) from error


def _install_one(path: Path) -> None:
    previous = path.with_name(path.name + PREVIOUS)
    if _state(path) == "foreign":
        if os.path.lexists(previous):
            raise UsageError(
                f"{path} is not gitrepro's, and {previous.name} is taken",
                why="another tool replaced the hook after gitrepro had chained one",
                do=f"keep what you need of the two in {previous.name}, remove {path.name}, and install again",
            )
        path.rename(previous)
    script = _script(path.name)
    if not path.exists() or path.read_bytes() != script:
        fs.write_file(path, script, mode=0o755)
    path.chmod(0o755)


def remove(repository: Repository) -> Report:
    """Take the hooks out, and put back what stood there before. May be repeated.

    Raises:
        StorageError: the disk refuses.
    """
    folder = hooks_folder(repository)
    with fs.explained(f"cannot remove hooks from {folder}"):
        for kind in KINDS:
            _remove_one(folder / kind)
    for key in (_PYTHON, _PATTERNS):
        if _setting(repository, key) is not None:
            repository.git("config", "--local", "--unset-all", key)
    return status(repository)


def _remove_one(path: Path) -> None:
    previous = path.with_name(path.name + PREVIOUS)
    if _state(path) in ("installed", "outdated"):
        path.unlink()
    if os.path.lexists(previous) and not os.path.lexists(path):
        previous.rename(path)


def status(repository: Repository) -> Report:
    """How the hooks stand. Nothing is changed."""
    folder = hooks_folder(repository)
    found = tuple(
        Hook(
            name=kind,
            path=folder / kind,
            state=_state(folder / kind),
            chained=os.access(folder / (kind + PREVIOUS), os.X_OK),
        )
        for kind in KINDS
    )
    python = _setting(repository, _PYTHON)
    patterns = tuple((_setting(repository, _PATTERNS) or "").split())
    trouble = _trouble(repository, found, python, patterns)
    return Report(folder=folder, hooks=found, python=python, patterns=patterns, trouble=trouble)


def _trouble(repository: Repository, found: Sequence[Hook], python: str | None, patterns: tuple[str, ...]) -> str:
    if all(hook.state in ("missing", "foreign") for hook in found):
        return ""
    for hook in found:
        if hook.state != "missing" and not os.access(hook.path, os.X_OK):
            return f"{hook.path} is not executable, so Git passes over it"
    if not python or not os.access(python, os.X_OK):
        return f"the Python of the hooks is {python or 'not set'}, which does not start"
    try:
        wanted = _policy_patterns(repository)
    except ConfigError as error:
        return str(error)
    if patterns != wanted:
        return f"the hooks look at {' '.join(patterns) or 'no tags'}, the policy at {' '.join(wanted) or 'none'}"
    return ""


def _state(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        # A link that leads nowhere is someone's, and Git passes over it.
        return "foreign" if path.is_symlink() else "missing"
    except OSError:
        return "foreign"
    if data == _script(path.name):
        return "installed"
    return "outdated" if _MARK in data[:200] else "foreign"


def _script(kind: str) -> bytes:
    package = Path(__file__).parent
    shipped = package / "_hooks" / kind
    return (shipped if shipped.exists() else package.parent / "hooks" / kind).read_bytes()


def hooks_folder(repository: Repository) -> Path:
    """Where Git looks for the hooks of this repository.

    Raises:
        UsageError: `core.hooksPath` names no folder.
    """
    try:
        # The last value is the one gitrepro gives for its own calls; the one before it is the user's.
        found = repository.git("config", "--type=path", "--get-all", "core.hooksPath").decode().splitlines()[:-1]
    except ChildFailed:
        found = []
    if not found:
        return repository.common_dir / "hooks"
    folder = (repository.work_tree or repository.git_dir) / found[-1]
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"core.hooksPath is {found[-1]}, which is no folder",
            why="Git runs no hook at all",
            do="`git config --unset core.hooksPath`, or name a folder",
        )
    return folder


def _setting(repository: Repository, key: str) -> str | None:
    try:
        return repository.git("config", "--get", key).decode(errors="surrogateescape").rstrip("\n")
    except ChildFailed:
        return None


def canary(repository: Repository) -> tuple[bool, str]:
    """Whether the hooks fire: tries to make a result tag that must be refused, by plain Git, as the user would.

    The tag leads to the empty tree, so no code can stand behind it. Nothing stays behind.
    """
    patterns = (_setting(repository, _PATTERNS) or "").split()
    if not patterns:
        return False, "no tag names are set to look at; `gitrepro hooks install` sets them"
    name = patterns[0].replace("?", "x").replace("*", f"canary-{ids.new_id()}")
    made = _plain_git(repository, "update-ref", tags.PREFIX + name, _EMPTY_TREE, _NOTHING)
    said = made.stderr.decode(errors="replace").strip()
    if made.returncode == 0:
        _plain_git(repository, "update-ref", "-d", tags.PREFIX + name, _EMPTY_TREE)
        return False, f"the tag {name} was made: no hook ran, or it let it pass"
    if _NO_COMMIT in said:
        return True, f"the tag {name} was refused"
    return False, said.splitlines()[0] if said else f"git ended with {made.returncode}"


def _plain_git(repository: Repository, *args: str) -> subprocess.CompletedProcess[bytes]:
    """Git with all of the user's settings, hooks too; `store.git` leaves those out."""
    places = [f"--git-dir={repository.git_dir}"]
    places += [f"--work-tree={repository.work_tree}"] if repository.work_tree else []
    return subprocess.run(
        ["git", *places, *args],
        cwd=repository.work_tree or repository.git_dir,
        env=git.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )


# -- what they decide


def handle(
    kind: str,
    argv: Sequence[str],
    stdin: bytes,
    repository: Repository,
    *,
    now: float,
) -> tuple[int, str]:
    """Decide for a hook.

    Args:
        kind: `reference-transaction` or `pre-push`.
        argv: what Git passed to the hook.
        stdin: what Git wrote to it; for `reference-transaction` the lines of result tags only.
        repository: the repository that Git works on.
        now: seconds since 1970.

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
                _admit_push(repository, argv, lines)
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
    target = _follow(tree, name, oid)
    if target.commit is None:
        raise Refused(f"tag {name} is refused", why=_NO_COMMIT, do="tag the commit that the runs ran at")
    if gate.policy_at(tree.objects, target.commit).level_for(name) is None:
        return
    if target.result is None:
        judge_plain(tree, name, target.commit)
        return
    result = _cited(tree, name, target)
    audit = gate.judge_result(tree, result, stage=Stage.TAG)
    if not audit.ok:
        raise gate.refusal(audit, what=f"tag {name} is refused")


def _follow(tree: RunTree, name: str, oid: str) -> tags.Target:
    if oid.startswith("ref:"):
        raise Refused(f"tag {name} is refused", why="a result tag names an object, not another ref")
    return tags.follow(tree.objects, oid)


def _cited(tree: RunTree, name: str, target: tags.Target) -> Result:
    """The result that a tag object cites, when the two agree."""
    result = find_result(tree, tag=name, commit=target.commit, cited=target.result)
    why = ""
    if name != result.tag or target.name not in (None, name):
        why = f"result {result.id[-8:]} was declared as {result.tag}"
    elif result.commit != target.commit:
        why = f"its result stands at commit {result.commit[:12]}, the tag at {str(target.commit)[:12]}"
    elif target.audit not in (None, audit_digest(tree, result.id)):
        why = "the audit on record is not the one the tag was made after"
    if why:
        raise Refused(f"tag {name} is refused", why=why, do=f"`gitrepro tag {name} RUN` declares one anew")
    return result


def _record(repository: Repository, lines: Sequence[Sequence[str]], now: float) -> str:
    """Write the results of plain tags that now stand. Returns what to tell the user."""
    told = ""
    identity = _identity(repository)
    for _, new, ref in lines:
        with RunTree(repository) as tree:
            name = ref.removeprefix(tags.PREFIX)
            target = _follow(tree, name, new)
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


# -- pre-push


def _admit_push(repository: Repository, argv: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Raise unless every result tag that is pushed stands, and the remote has, or now gets, its runs."""
    remote, url = argv[0], argv[1] if len(argv) > 1 else argv[0]
    patterns = (_setting(repository, _PATTERNS) or "").split()
    carried = next((line[1] for line in lines if line[2:3] == [RUNS_REF]), None)
    with RunTree(repository) as tree:
        for _, new, ref, old in (line for line in lines if len(line) == 4):
            name = ref.removeprefix(tags.PREFIX)
            moves = ref.startswith(tags.PREFIX) and new.strip("0") and new != old
            if moves and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                _admit_pushed_tag(tree, name, new, _Remote(repository, remote=remote, url=url, carried=carried))


class _Remote:
    """What the other side has, or will have after this push."""

    def __init__(self, repository: Repository, *, remote: str, url: str, carried: str | None) -> None:
        self._repository = repository
        self._url = url
        self._carried = carried
        self.name = remote

    def holds(self, result: Result) -> bool | None:
        """Whether its run ref holds a result and its runs; None when its commit is not known here."""
        if self._carried:
            return _holds(self._repository, self._carried, result)
        tracking = read_ref(self._repository.common_dir, f"refs/gitrepro-remotes/{self.name}/runs")
        if tracking and _holds(self._repository, tracking, result):
            return True
        listed = self._repository.git("ls-remote", "--end-of-options", self._url, RUNS_REF).decode()
        there = listed.split("\t")[0].strip()
        return _holds(self._repository, there, result) if there else False


def _holds(repository: Repository, commit: str, result: Result) -> bool | None:
    try:
        with RunTree(repository, commit=commit) as tree:
            runs = all(tree.run_tree(run.id) == run.tree for run in result.runs)
            return runs and tree.entry(result_path(result.id)) is not None
    except NotFound:
        return None


def _admit_pushed_tag(tree: RunTree, name: str, oid: str, remote: _Remote) -> None:
    what = f"the push of tag {name} is refused"
    target = _follow(tree, name, oid)
    if target.commit is None:
        raise Refused(what, why=_NO_COMMIT, do=f"`git tag -d {name}`")
    if gate.policy_at(tree.objects, target.commit).level_for(name) is None:
        return
    try:
        result = _cited(tree, name, target)
    except NotFound as error:
        raise Refused(what, why=f"{error.what}: {error.why}", do=error.do) from error
    pushed = _pushed(remote, result)
    audit = gate.judge_result(tree, result, stage=Stage.PUSH, pushed=pushed, pushed_to=remote.name)
    if not audit.ok:
        raise gate.refusal(audit, what=what)


def _pushed(remote: _Remote, result: Result) -> bool | None:
    try:
        return remote.holds(result)
    except ChildFailed:
        return None


def is_pushed(repository: Repository, result: Result) -> bool | None:
    """Whether a remote is known to hold a result and its runs, by its tracking copy; None when none is known to."""
    tracked = list_refs(repository.common_dir, "refs/gitrepro-remotes/")
    tips = [oid for ref, oid in tracked.items() if ref.endswith("/runs")]
    return True if any(_holds(repository, tip, result) for tip in tips) else None


def result_of_tag(repository: Repository, tree: RunTree, name: str) -> Result | None:
    """The result that the tag `name` stands for; None when there is no such tag.

    Raises:
        NotFound: the tag is there, and no result is.
    """
    if not tags.is_name(repository, name):
        return None
    oid = read_ref(repository.common_dir, tags.PREFIX + name)
    if oid is None:
        return None
    target = tags.follow(tree.objects, oid)
    return find_result(tree, tag=name, commit=target.commit, cited=target.result)


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
