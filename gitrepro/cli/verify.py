"""`gitrepro verify`: prove that bytes are there and right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Final

import click

from ..data.holdouts import verify_anchors, verify_logs
from ..data.places import places_of
from ..errors import GitreproError, NotFound, UsageError
from ..store.catalog import Catalog
from ..store.fsck import (
    DAMAGED,
    FAST,
    HASH,
    NOT_AVAILABLE,
    OK,
    Checker,
    Proof,
    Report,
    verify_blob,
    verify_data,
    verify_run,
    verify_store,
    worst,
)
from ..store.fsck.named import Lying
from ..store.objects import BlobStore
from ..store.place import store_of
from ..store.repository import Repository
from ..store.resolve import resolve
from ..store.runs import RunTree
from . import here
from .present import clean, coloured, emit, line, note, size, table
from .progress import progress

SCHEMA: Final = 1
_CODES: Final = {OK: 0, NOT_AVAILABLE: 1, DAMAGED: 4}
_COLOURS: Final = {OK: "green", NOT_AVAILABLE: "yellow", DAMAGED: "red"}
_SHOWN: Final = {OK: "ok", NOT_AVAILABLE: "NOT AVAILABLE", DAMAGED: "DAMAGED"}
_MIB: Final = 20

Named = tuple[str, Callable[[], list[Proof]]]


@click.command()
@click.argument("targets", nargs=-1, metavar="[RUN|DATA@VERSION|B3]...")
@click.option("--all", "everything", is_flag=True, help="Every run and every data set on record; shows what is wrong.")
@click.option("--fast", "level", flag_value=FAST, help="Only look whether it is there, with the right size.")
@click.option("--full", is_flag=True, help="Every blob of the store, its packs and its index.")
@click.option(
    "--limit", "limit_seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="With --full: stop then."
)
@click.option("--remote", "remote", is_flag=True, help="Of RUNs: has each store remote all of it? With --full, right?")
@click.option("--signed", is_flag=True, help="Of RUNs and result tags: who signed them? With --all, of all.")
@click.option(
    "--signers", metavar="FILE", help="Who may sign, as ssh-keygen lists them; with it --signed goes without saying."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def verify(
    targets: tuple[str, ...],
    everything: bool,
    level: str | None,
    full: bool,
    limit_seconds: float | None,
    remote: bool,
    signed: bool,
    signers: str | None,
    as_json: bool,
) -> int:
    """Hash all that a RUN, by default the last one, or a data set names: data, splits, checkpoints, artifacts, code.

    Exits 1 when something is not available here, 4 when something is damaged. Wrong bytes are set aside in the store's
    `quarantine/`, and never deleted. With --full it may be interrupted, and goes on where it stopped.

    \b
        gitrepro verify                        # the last run
        gitrepro verify 4kx2 digits@v1         # a run and a data set
        gitrepro verify --all --fast           # is all there that the records name?
        gitrepro verify --full --limit 7200    # the whole store, two hours of it today
        gitrepro verify @last --remote         # has each store remote what the run names?
        gitrepro verify result/vit --signed    # who says so? 1: nobody who may, 4: a signature is wrong
    """
    if signed or signers:
        from .signed import verify_signed

        if remote or level or full or limit_seconds is not None:
            raise UsageError("--signed asks who signed", do="`gitrepro verify RUN... --signed [--signers FILE]`")
        _check(targets, everything=everything, level=None, full=False, limit_seconds=None)
        found = here.repository()
        return verify_signed(found, targets or ("@last",), signers=signers, everything=everything, as_json=as_json)
    if remote:
        from .kept import verify_remotes

        if everything or level or limit_seconds is not None:
            raise UsageError("--remote asks for what runs name", do="`gitrepro verify RUN... --remote [--full]`")
        return verify_remotes(here.repository(), targets or ("@last",), full=full, as_json=as_json)
    _check(targets, everything=everything, level=level, full=full, limit_seconds=limit_seconds)
    found = here.repository()
    store = store_of(found)
    if full:
        report = verify_store(store, limit_seconds=limit_seconds, progress=_mib("MiB verified"))
        return _show_report(report, store, as_json=as_json)
    checker = Checker(store, level=level or HASH, told=_Bar())
    named = _everything(found, checker) if everything else _targets(found, checker, targets or ("@last",))
    return _show(list(_proofs(named)), checker, everything=everything, as_json=as_json)


def _check(
    targets: Sequence[str], *, everything: bool, level: str | None, full: bool, limit_seconds: float | None
) -> None:
    if full and (targets or level or everything):
        raise UsageError("--full looks at the whole store", why="it goes with nothing else but --limit and --json")
    if everything and targets:
        raise UsageError("--all names every run and data set", do="leave out the names, or --all")
    if limit_seconds is not None and not full:
        raise UsageError("--limit goes with --full", do="`gitrepro verify --full --limit SECONDS`")


def _mib(what: str) -> Callable[[int, int], None]:
    bar = progress(what)
    return lambda done, total: bar(done >> _MIB, max(total >> _MIB, 1))


class _Bar:
    """Says on a terminal how much was looked at; nobody knows how much there is."""

    def __init__(self) -> None:
        self._done = 0
        self._tell = progress("MiB verified")

    def __call__(self, size_bytes: int) -> None:
        self._done += size_bytes
        self._tell(self._done >> _MIB, (self._done >> _MIB) + 1)


# -- what is looked at


def _targets(found: Repository, checker: Checker, targets: Sequence[str]) -> Iterator[Named]:
    for target in targets:
        yield target, _target(found, checker, target)


def _target(found: Repository, checker: Checker, target: str) -> Callable[[], list[Proof]]:
    """What a name means: a blob, a run, or a data set."""
    if target.startswith("b3:") and len(target) == 67:
        return lambda: [verify_blob(checker, target)]
    if not target.startswith("@") and ("@" in target or target.startswith("b3:")):
        return lambda: [_dataset(found, checker, target)]
    try:
        run_id = resolve(found, target)
    except NotFound as error:
        return _data_of_that_name(found, checker, target, error)
    return lambda: _run(found, checker, run_id)


def _data_of_that_name(
    found: Repository, checker: Checker, target: str, error: GitreproError
) -> Callable[[], list[Proof]]:
    with Catalog(found) as catalog:
        if target not in catalog.names():
            raise error
    return lambda: [_dataset(found, checker, target)]


def _dataset(found: Repository, checker: Checker, ref: str) -> Proof:
    with Catalog(found) as catalog:
        record = catalog.dataset(ref)
    return verify_data(found, checker, f"data {record.ref}", record.document(), places=_places(found))


def _run(found: Repository, checker: Checker, run_id: str) -> list[Proof]:
    proofs = verify_run(found, checker.store, run_id, checker.level, places=_places(found), checker=checker)
    return [*proofs, *verify_anchors(found, run_id)]


def _places(found: Repository) -> Callable[[str], list[Lying]]:
    def lying(digest: str) -> list[Lying]:
        return [Lying(each.path, each.follow, each.ignore) for each in places_of(found, digest)]

    return lying


def _everything(found: Repository, checker: Checker) -> Iterator[Named]:
    with Catalog(found) as catalog:
        records = catalog.datasets()
        for trouble in catalog.troubles:
            yield trouble.path, _unreadable(trouble.error)
    for record in records:
        yield record.ref, lambda ref=f"{record.name}@{record.digest}": [_dataset(found, checker, ref)]  # type: ignore[misc]
    with RunTree(found) as tree:
        run_ids = tree.run_ids()
    for run_id in run_ids:
        yield run_id[-8:], lambda run_id=run_id: _run(found, checker, run_id)  # type: ignore[misc]
    yield "test sets", lambda: verify_logs(found)


def _unreadable(error: GitreproError) -> Callable[[], list[Proof]]:
    def proofs() -> list[Proof]:
        raise error

    return proofs


def _proofs(named: Iterator[Named]) -> Iterator[tuple[str, Proof]]:
    """Of a record that cannot be read it is told that it is damaged; the others are still looked at."""
    for target, look in named:
        try:
            for proof in look():
                yield target, proof
        except NotFound:
            raise
        except GitreproError as error:
            if error.exit_code != _CODES[DAMAGED]:
                raise
            yield target, Proof(what="record", digest="", size_bytes=None, state=DAMAGED, why=str(error), do=error.do)


# -- how it is told


def _show(proofs: list[tuple[str, Proof]], checker: Checker, *, everything: bool, as_json: bool) -> int:
    state = worst(proof.state for _, proof in proofs)
    if as_json:
        emit(_document(proofs, checker, state))
        return _CODES[state]
    for text in checker.mended:
        note(f"mended: {clean(text)}")
    shown = [(target, proof) for target, proof in proofs if not everything or proof.state != OK]
    several = len({target for target, _ in shown}) > 1
    rows = [
        [*([target] if several or everything else []), proof.what, size(proof.size_bytes), _state(proof.state)]
        for target, proof in shown
    ]
    if rows:
        header = [*(["of"] if several or everything else []), "what", "size", "state"]
        table(rows, header, right=[len(header) - 2], elastic=len(header) - 3)
    _explain([proof for _, proof in shown])
    note(_summary(proofs, checker.level))
    return _CODES[state]


def _state(state: str) -> str:
    return coloured(_SHOWN[state], _COLOURS[state])


def _explain(proofs: Sequence[Proof]) -> None:
    for proof in proofs:
        if proof.state != OK:
            note(f"{clean(proof.what)}: {clean(proof.why)}")
            if proof.do:
                note(f"  do: {clean(proof.do)}")


def _summary(proofs: Sequence[tuple[str, Proof]], level: str) -> str:
    counts = {state: sum(proof.state == state for _, proof in proofs) for state in _CODES}
    how = "there, with the right size" if level == FAST else "there and right"
    parts = [f"{counts[OK]:,} {how}"]
    parts += [f"{count:,} {state}" for state, count in counts.items() if count and state != OK]
    return ", ".join(parts)


def _document(proofs: Sequence[tuple[str, Proof]], checker: Checker, state: str) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "level": checker.level,
        "state": state,
        "mended": checker.mended,
        "proofs": [{"of": target, **asdict(proof)} for target, proof in proofs],
    }


def _show_report(report: Report, store: BlobStore, *, as_json: bool) -> int:
    if as_json:
        emit(_report_document(report, store))
        return _CODES[report.state]
    for text in report.mended:
        note(f"mended: {clean(text)}")
    for finding in report.findings:
        line(f"{_state(finding.state)}\t{finding.digest}\t{clean(finding.path)}")
        note(f"  {clean(finding.why)}")
        note(f"  do: {clean(finding.do)}")
    for path in report.strays:
        note(f"{clean(path)} is nothing of the store, and is left alone")
    before = f", {report.before:,} earlier in this round" if report.before else ""
    note(f"{report.looked:,} of {report.files:,} files verified ({size(report.looked_bytes)}){before}")
    if not report.complete:
        note("not all was looked at; `gitrepro verify --full` goes on here")
    return _CODES[report.state]


def _report_document(report: Report, store: BlobStore) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "level": "full",
        "store": str(store.root),
        "state": report.state,
        "complete": report.complete,
        "files": report.files,
        "looked": report.looked,
        "looked_bytes": report.looked_bytes,
        "before": report.before,
        "mended": report.mended,
        "findings": [{**asdict(finding), "path": str(finding.path)} for finding in report.findings],
        "strays": [str(path) for path in report.strays],
    }
