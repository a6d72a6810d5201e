"""`gitrepro pull`: runs from a Git remote or a file, and blobs from store remotes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from ..errors import RemoteError
from ..store.repository import Repository
from ..sync import runs as git_side
from ..sync.get import Brought, bring_needs, not_to_be_had
from ..sync.needs import BEST, CHECKPOINTS, Need, needs
from ..sync.offline import check_on
from ..sync.runs import Pulled
from ..sync.travel import remember_came
from . import here
from .present import clean, emit, line, note, size
from .progress import cleared, following, progress
from .traffic import SCHEMA, answer_document, chosen, contents, inboxes, say_answers, say_rejected

_EPILOG: Final = """\b
  gitrepro pull                          the runs of the team
  gitrepro pull --blobs @best:val/accuracy
  gitrepro pull --blobs result/best      data and checkpoints of a result's runs
  gitrepro pull runs.bundle              from a file of `gitrepro push --bundle`
"""


@click.command(epilog=_EPILOG)
@click.argument("source", metavar="[REMOTE|FILE]", required=False)
@click.option("--blobs", multiple=True, metavar="RUN|QUERY", help="Also what these runs need. Repeatable.")
@click.option(
    "--checkpoints",
    type=click.Choice(CHECKPOINTS),
    default=BEST,
    show_default=True,
    help="With --blobs: of each run the best checkpoint (else the last), all, or none.",
)
@click.option("--no-data", is_flag=True, help="With --blobs: not the files of data sets.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
@click.option("--json", "as_json", is_flag=True, help="Print what came as JSON.")
def pull(
    source: str | None,
    blobs: tuple[str, ...],
    checkpoints: str,
    no_data: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Bring the runs, events and results of the Git remote REMOTE, or of a FILE, and unite them with those here.

    Every record is looked at before it is taken in; one that is not sound is left out and named, and then the exit code
    is 4. Data and checkpoints come when they are first used, or now with --blobs. Nothing that comes is ever run.
    """
    found = here.repository()
    pulled = _runs(found, source)
    remember_came(found, pulled.runs)
    if not quiet:
        _show(pulled, as_json=as_json)
    document = _document(pulled)
    brought = _blobs(found, blobs, checkpoints, data=not no_data, quiet=quiet) if blobs else None
    if as_json:
        emit({**document, **_brought(brought)})
    _check(found, brought)
    return 4 if pulled.rejected else 0


def _runs(found: Repository, source: str | None) -> Pulled:
    if source is not None and source not in git_side.remote_names(found) and Path(source).is_file():
        from ..sync.bundles import read_bundle

        return read_bundle(found, Path(source))
    check_on(found)
    return git_side.pull(found, source, progress=progress("fetching runs: objects"))


def _blobs(found: Repository, texts: Sequence[str], checkpoints: str, *, data: bool, quiet: bool) -> Brought:
    wanted = needs(found, chosen(found, texts), checkpoints=checkpoints, data=data)
    for run_id, error in wanted.troubles:
        note(f"damaged: {run_id[-8:]}: {clean(error)}")
    tell = (lambda _: None) if quiet else note
    tell(_to_come(wanted.absent) if wanted.absent else "all that these runs need is here")
    try:
        brought = bring_needs(found, wanted.absent, progress=following("fetching", "blobs", rate=True))
    finally:
        cleared()
    say_answers(brought.answers, tell)
    return brought


def _to_come(absent: Sequence[Need]) -> str:
    told = sum(need.size_bytes or 0 for need in absent)
    parts = [f"{need.kind} {clean(need.name)}" for need in absent[:3]]
    more = f" and {len(absent) - 3:,} more" if len(absent) > 3 else ""
    return f"not here yet: {', '.join(parts)}{more}{f', {size(told)} or less' if told else ''}"


def _check(found: Repository, brought: Brought | None) -> None:
    if brought is None or not brought.missing:
        return
    for answer in brought.answers:
        if isinstance(answer.trouble, RemoteError):
            raise answer.trouble
    raise not_to_be_had(found, brought)


# -- how it is told


def _show(pulled: Pulled, *, as_json: bool) -> None:
    name = clean(pulled.remote)
    told = contents(pulled.runs, pulled.events, pulled.results)
    if not told:
        note(f"nothing new from {name}")
    elif not as_json:
        line(f"pulled {told} from {name}")
    for text in _remarks(pulled, name):
        note(text)
    say_rejected(pulled.rejected)
    say_rejected(pulled.unreadable, "of a later format")
    for path in pulled.conflicts:
        note(f"{clean(path)} was there with other bytes; both are kept")


def _remarks(pulled: Pulled, name: str) -> list[str]:
    told = [
        (pulled.rewound, f"{name} has lost runs that were there; they are here, and `gitrepro push` restores them"),
        (pulled.deleted, f"the runs on {name} were deleted; they are here, and `gitrepro push` restores them"),
        (pulled.renewed, f"the history of runs on {name} begins anew, without what was purged; this clone follows"),
        (pulled.folded_inboxes, f"took in {inboxes(pulled.folded_inboxes)} on {name}"),
    ]
    return [text for true, text in told if true]


def _document(pulled: Pulled) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "remote": pulled.remote,
        "tip": pulled.tip,
        "runs": list(pulled.runs),
        "events": pulled.events,
        "results": pulled.results,
        "rejected": [{"path": each.path, "why": each.why} for each in pulled.rejected],
        "unreadable": [{"path": each.path, "why": each.why} for each in pulled.unreadable],
        "conflicts": list(pulled.conflicts),
        "rewound": pulled.rewound,
        "deleted": pulled.deleted,
        "renewed": pulled.renewed,
        "folded_inboxes": pulled.folded_inboxes,
    }


def _brought(brought: Brought | None) -> dict[str, Any]:
    if brought is None:
        return {}
    return {"stores": [answer_document(each) for each in brought.answers], "missing": list(brought.missing)}
