"""`gitrepro doctor`: is everything in order, and if not, what mends it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict

import click

from .. import hooks as hook_files
from ..errors import GitreproError
from ..store import filesystem, git
from ..store.gitrefs import read_ref
from ..store.index import Index
from ..store.lease import Life
from ..store.live import live_runs
from ..store.place import check_writers, is_shared, store_of
from ..store.repository import CODE_REF, RUNS_REF, Repository
from ..store.runs import RunTree
from . import here
from .finding import Finding
from .present import clean, counted, emit, line, mark

# 2.28 brought the hook that refuses tags, 2.29 a fetch that leaves FETCH_HEAD alone, 2.30 names that are no options.
_OLDEST_GIT = (2, 30)
_LITTLE_SPACE_BYTES = 1 << 30


@click.command()
@click.option(
    "--remote",
    is_flag=False,
    flag_value="",
    metavar="[NAME]",
    help="Also ask the Git remote and the store remotes what they take; by a ref that is made there and removed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(remote: str | None, as_json: bool) -> int:
    """Check this repository, its hooks and its recording, and say how to mend what is wrong.

    Exits 1 when something is wrong. Proves that the hooks fire by a tag that must be refused.
    """
    found = here.repository()
    findings = [finding for look in _LOOKS for finding in _safely(look, found)]
    if remote is not None:
        from .farther import look_at_remotes

        findings += look_at_remotes(found, remote or None)
    if as_json:
        emit([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            line(f"{mark(finding.verdict)}  {finding.what}: {clean(finding.detail)}")
            if finding.do:
                for number, part in enumerate(finding.do.splitlines()):
                    line(f"      {'do:' if number == 0 else '   '} {clean(part)}")
    return int(any(finding.verdict == "FAIL" for finding in findings))


def _safely(look: Callable[[Repository], Iterator[Finding]], found: Repository) -> Iterator[Finding]:
    try:
        yield from look(found)
    except (GitreproError, OSError) as error:
        yield Finding(what=look.__name__.strip("_"), verdict="FAIL", detail=str(error))


def _git(_found: Repository) -> Iterator[Finding]:
    text = git.run(["--version"], cwd=_found.common_dir).decode().split()[2]
    version = tuple(int(part) for part in text.split(".")[:2])
    new_enough = version >= _OLDEST_GIT
    yield Finding(
        what="git",
        verdict="PASS" if new_enough else "FAIL",
        detail=f"version {text}",
        do="" if new_enough else "install Git 2.30 or newer: runs cannot be pushed and pulled with older ones",
    )


def _repository(found: Repository) -> Iterator[Finding]:
    place = str(found.work_tree or found.git_dir)
    if found.bare:
        yield Finding(what="repository", verdict="WARN", detail=f"{place} is bare: runs can be read, not recorded")
        return
    writable = os.access(found.common_dir, os.W_OK)
    yield Finding(
        what="repository",
        verdict="PASS" if writable else "FAIL",
        detail=place if writable else f"{found.common_dir} is read-only",
        do="" if writable else "give yourself write permission; until then runs are kept in the state folder",
    )


def _space(found: Repository) -> Iterator[Finding]:
    free = shutil.disk_usage(found.common_dir).free
    little = free < _LITTLE_SPACE_BYTES
    yield Finding(
        what="disk",
        verdict="WARN" if little else "PASS",
        detail=f"{free >> 20} MiB free",
        do="free some space: a full disk costs log entries" if little else "",
    )


def _store(found: Repository) -> Iterator[Finding]:
    place = store_of(found).root
    looked = filesystem.look(place, probe=place.is_dir())
    for remark in filesystem.remarks(looked):
        yield Finding(what="store", verdict="WARN", detail=remark.what, do=remark.do)
    if is_shared(found):
        check_writers(place)
    copies = "files are cloned" if looked.clones else "files are copied"
    yield Finding(what="store", verdict="PASS", detail=f"{place} on {looked.kind}, {copies}")


def _runs(found: Repository) -> Iterator[Finding]:
    if read_ref(found.common_dir, RUNS_REF) is None:
        yield Finding(what="runs", verdict="PASS", detail="none yet", do="`gitrepro record -- python train.py`")
        return
    with Index(found) as index:
        troubles = index.troubles()
        count = index.count(where="1")
    if troubles:
        path, what = next(iter(troubles.items()))
        yield Finding(
            what="runs",
            verdict="FAIL",
            detail=f"{len(troubles)} of {count + len(troubles)} records are damaged; first {path}: {what}",
            do="`gitrepro recover` writes again what is kept; a clone of this repository may hold the rest: `git fsck`",
        )
        return
    with RunTree(found) as tree:
        yield Finding(what="runs", verdict="PASS", detail=f"{count} on {RUNS_REF} at {(tree.commit or '')[:12]}")


def _code(found: Repository) -> Iterator[Finding]:
    tip = read_ref(found.common_dir, CODE_REF)
    if tip:
        with RunTree(found, commit=tip) as tree:
            tree.objects.read(tip, "commit")
    yield Finding(
        what="code", verdict="PASS", detail=f"{CODE_REF} at {tip[:12]}" if tip else "no recorded code to keep alive yet"
    )


def _waiting(found: Repository) -> Iterator[Finding]:
    runs = live_runs(found.home)
    for run in runs:
        if run.error:
            yield Finding(
                what="live run", verdict="FAIL", detail=f"{run.id}: {run.error}", do=f"look into {run.folder}"
            )
    dead = sum(run.life is Life.DEAD and not run.error for run in runs)
    alive = sum(run.life is Life.ALIVE for run in runs)
    yield Finding(
        what="live runs",
        verdict="WARN" if dead else "PASS",
        detail=f"{alive} running, {dead} died without a closing word",
        do="`gitrepro recover`" if dead else "",
    )


def _hooks(found: Repository) -> Iterator[Finding]:
    report = hook_files.status(found)
    if found.bare:
        yield from _server_hook(found, report)
        return
    fires, detail = hook_files.canary(found)
    yield _hook("hooks", fires, detail, report)
    # A pre-push hook may run a whole test suite: whether ours is reached is read from the files, not tried.
    [push] = [hook for hook in report.hooks if hook.name == "pre-push"]
    reached = push.name in report.installed
    yield _hook("pre-push", reached, f"{push.path} is {push.state}", report)


def _server_hook(found: Repository, report: hook_files.Report) -> Iterator[Finding]:
    """Nothing where nobody has set up a server: a bare repository may be a mirror."""
    if report.level is None:
        return
    fires, detail = hook_files.server_canary(found)
    fine = fires and report.ok
    yield Finding(
        what="pre-receive",
        verdict="PASS" if fine else "WARN",
        detail=report.trouble or detail,
        do="" if fine else "`gitrepro hooks install --server`",
    )


def _travel(found: Repository) -> Iterator[Finding]:
    """What pushes and pulls have left behind."""
    from ..sync.leftovers import inboxes, kept_twice, not_taken_in

    if twice := kept_twice(found):
        yield Finding(
            what="runs",
            verdict="WARN",
            detail=f"{counted(len(twice), 'record')} stood aside for another of the same name; first {twice[0]}",
            do=f"`git show {RUNS_REF}:{twice[0]}` shows it; both are kept, and `gitrepro note` says which one holds",
        )
    for name, count in inboxes(found).items():
        yield Finding(
            what=f"remote {name}" if name else "inboxes",
            verdict="WARN",
            detail=f"{count:,} {'inbox waits' if count == 1 else 'inboxes wait'} there, by what was last seen",
            do=f"`gitrepro push {name}` takes them in"
            if name
            else "the next `gitrepro push` of any clone takes them in",
        )
    for name in not_taken_in(found):
        yield Finding(
            what=f"remote {name}",
            verdict="WARN",
            detail="its runs were fetched, and never taken in: a pull was cut, or they cannot be read",
            do=f"`gitrepro pull {name}` goes on, or says why not",
        )


def _hook(what: str, fine: bool, detail: str, report: hook_files.Report) -> Finding:
    by_hand = [f"put into {path}: {text}" for path, text in report.by_hand]
    do = "" if fine else "\n".join(by_hand) or "`gitrepro hooks install`"
    return Finding(what=what, verdict="PASS" if fine else "WARN", detail=detail, do=do)


_LOOKS = (_git, _repository, _space, _store, _runs, _code, _waiting, _travel, _hooks)
