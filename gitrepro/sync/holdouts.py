"""What holdout logs need: splits, sealed labels and inputs, predictions that were committed, results for the keys.

They are few and small, and who scores sits elsewhere: each push asks a store remote for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..errors import GitreproError
from ..records.fields import is_digest
from ..records.holdout import FOLDER, Entry, load_entry
from ..store.place import store_of
from ..store.repository import Repository
from ..store.runs import RunTree
from .needs import Need, Needs, needs_of
from .remotes import StoreRemote
from .travel import Load, missing

KIND = "holdout"


def holdout_loads(repository: Repository, remote: StoreRemote) -> Iterator[Load]:
    """What is to go to a store remote of the holdout logs; nothing where they name nothing that is here.

    Raises:
        RemoteError: the remote cannot be asked.
    """
    found = holdout_needs(repository)
    if found.sizes:
        absent = missing(repository, remote, found)
        yield Load(remote=remote, run_ids=(), checkpoints="none", needs=found, missing=absent)


def holdout_needs(repository: Repository) -> Needs:
    """What the logs name, of all that is here: what somebody else committed is for them to send."""
    store = store_of(repository)
    return needs_of(repository, [need for need in _named(repository) if need.digest in store])


def _named(repository: Repository) -> Iterator[Need]:
    with RunTree(repository) as tree:
        folder = tree.entry(FOLDER)
        files = dict(tree.objects.files(folder.oid)) if folder and folder.is_tree else {}
        for name, file in sorted(files.items()):
            try:
                entry = load_entry(tree.objects.read(file.oid, "blob"), source=f"{FOLDER}/{name}")
            except GitreproError:
                continue  # `gitrepro verify` tells of it
            for what, digest in _blobs(entry):
                yield Need(run_id="", kind=KIND, name=what, digest=digest, size_bytes=None)


def _blobs(entry: Entry) -> Iterator[tuple[str, str]]:
    """What an entry names in the content store, and what it is."""
    sealed = entry.detail.get("sealed")
    named: dict[str, object] = {name: entry.detail.get(name) for name in ("predictions", "result")}
    named["split"] = entry.split
    if isinstance(sealed, Mapping):
        named |= {f"sealed {kind}": each.get("blob") for kind, each in sealed.items() if isinstance(each, Mapping)}
    for what, digest in named.items():
        if is_digest(digest):
            yield f"{what} of {entry.part} of {entry.dataset}/{entry.name}", str(digest)
