"""What `gitrepro doctor --remote` asks of the places that runs and blobs go to."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..errors import GitreproError, UsageError
from ..store.repository import Repository
from ..sync.blobs import open_driver
from ..sync.blobs.driver import Driver, KeyMissing
from ..sync.blobs.layout import FORMAT_KEY, check_format
from ..sync.offline import do_on, switched_off
from ..sync.remotes import StoreRemote, remotes
from ..sync.runs.probing import Probed, probe
from .finding import Finding

_BRANCHES = "refs/heads/gitrepro/runs"


def look_at_remotes(found: Repository, name: str | None) -> list[Finding]:
    """Ask the Git remote `name`, or the usual one, and every store remote of this clone."""
    if why := switched_off(found):
        return [Finding(what="remotes", verdict="WARN", detail=f"not asked: {why}", do=do_on(why))]
    return [*_git_remote(found, name), *(finding for remote in remotes(found) for finding in _store_remote(remote))]


def _git_remote(found: Repository, name: str | None) -> Iterator[Finding]:
    try:
        probed = probe(found, name, now=time.time())
    except UsageError as error:
        verdict = "FAIL" if name else "WARN"
        yield Finding(what="remote", verdict=verdict, detail=f"{error.what}; {error.why}", do=error.do)
    except GitreproError as error:
        yield Finding(what="remote", verdict="FAIL", detail=f"{error.what}: {error.why}", do=error.do)
    else:
        yield _takes(probed)
        yield _standing(probed)


def _takes(probed: Probed) -> Finding:
    what = f"remote {probed.remote}"
    if probed.created:
        do = f"`git config gitrepro.ref {_BRANCHES}` keeps runs in a branch there"
        if probed.base.startswith("refs/heads/"):
            do = "ask who runs it for the right to push"
        detail = f"takes no refs below {probed.base}/: {probed.created}"
        return Finding(what=what, verdict="FAIL", detail=detail, do=do)
    if probed.deleted:
        detail = f"takes refs below {probed.base}/ and lets none be removed: {probed.deleted}"
        do = "runs travel all the same; what clones leave in inboxes stays there, and so does the ref of this probe"
        return Finding(what=what, verdict="WARN", detail=detail, do=do)
    return Finding(what=what, verdict="PASS", detail=f"takes refs below {probed.base}/ and lets them be removed")


def _standing(probed: Probed) -> Finding:
    has = f"its runs are at {probed.runs[:12]}" if probed.runs else "it has no runs yet"
    parts = [has]
    if probed.ahead:
        parts.append(f"{probed.ahead} of our commits are not there")
    if probed.behind:
        parts.append("it has runs that are not here")
    if probed.inboxes:
        parts.append(f"{probed.inboxes} inboxes wait for the next push")
    verbs = [verb for verb, wanted in (("pull", probed.behind), ("push", probed.ahead or probed.inboxes)) if wanted]
    do = ", then ".join(f"`gitrepro {verb} {probed.remote}`" for verb in verbs)
    return Finding(what=f"remote {probed.remote}", verdict="PASS", detail="; ".join(parts), do=do)


def _store_remote(remote: StoreRemote) -> Iterator[Finding]:
    what = f"store remote {remote.name}"
    try:
        driver = open_driver(remote)
        try:
            detail = _kept_at(driver, remote)
        finally:
            driver.close()
    except GitreproError as error:
        yield Finding(what=what, verdict="FAIL", detail=f"{error.what}; {error.why}".rstrip("; "), do=error.do)
    else:
        yield Finding(what=what, verdict="PASS", detail=detail)


def _kept_at(driver: Driver, remote: StoreRemote) -> str:
    try:
        check_format(b"".join(driver.read(FORMAT_KEY)), source=f"{remote.url}/{FORMAT_KEY}")
    except KeyMissing:
        return f"{remote.url} can be read, and holds nothing yet"
    return f"{remote.url} can be read{', not written' if driver.read_only else ''}"
