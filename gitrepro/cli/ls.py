"""`gitrepro ls`: list runs."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

import click

from ..errors import GitreproError
from ..records.event import Standing
from ..records.listing import listing
from ..records.run import run_from
from ..store.index import Index
from ..store.lease import Life
from ..store.live import live_runs
from ..store.repository import Repository
from . import here
from .present import clean, duration, emit, note, number, status, table

_NEWEST: Final = 50
_METRICS_AT_MOST: Final = 4


@click.command()
@click.option("--limit", "-n", type=click.IntRange(min=1), default=_NEWEST, show_default=True, help="How many runs.")
@click.option("--all", "-a", "everything", is_flag=True, help="All runs.")
@click.option("--mine", is_flag=True, help="Only runs of mine, by the e-mail address Git knows.")
@click.option("--group", help="Only runs of this group.")
@click.option("--status", "state", help="Only runs that stand so, as `finished` or `running`.")
@click.option("--kind", help="Only runs of this kind, as `train` or `baseline`.")
@click.option("--label", help="Only runs with this label.")
@click.option("--json", "as_json", is_flag=True, help="Print an array of runs as JSON.")
def ls(
    limit: int,
    everything: bool,
    mine: bool,
    group: str | None,
    state: str | None,
    kind: str | None,
    label: str | None,
    as_json: bool,
) -> None:
    """List runs, newest first: those under way and those on record."""
    found = here.repository()
    wanted = {"group": group, "status": state, "kind": kind}
    wanted = {key: value for key, value in wanted.items() if value is not None}
    email = _email(found) if mine else None
    with Index(found) as index:
        condition = _condition(wanted, email, label)
        total = index.count()
        live = [run for run in _live(found) if _fits(run, wanted, email, label)]
        recorded = index.listings(**condition, limit=None if everything else limit)
        runs = [*live, *recorded]
        matching = len(live) + index.count(**condition)
        troubles = index.troubles()
    shown = runs if everything else runs[:limit]
    if as_json:
        emit(shown)
    else:
        _print(shown)
    if len(shown) < matching:
        note(f"{len(shown)} of {matching} runs; `gitrepro ls --all` shows all")
    for path, what in troubles.items():
        note(f"damaged: {clean(path)}: {clean(what)}")
    if not total and not runs:
        note("no runs yet; `gitrepro record -- python train.py` makes the first")
    here.mention_dead_runs(found)


def _email(found: Repository) -> str:
    # Only this asks Git anything; a plain list stays quick.
    from ..store import worktree
    from ..store.fold import Identity

    return worktree.identity(found, fallback=Identity(name="", email="")).email


def _condition(wanted: dict[str, Any], email: str | None, label: str | None) -> dict[str, Any]:
    columns = {**wanted, **({"email": email} if email is not None else {})}
    terms = ["removed = 0", *(f'"{column}" = ?' for column in columns)]
    values = list(columns.values())
    if label is not None:
        terms.append("EXISTS (SELECT 1 FROM json_each(listing, '$.labels') WHERE json_each.value = ?)")
        values.append(label)
    return {"where": " AND ".join(terms), "values": values}


def _fits(run: dict[str, Any], wanted: dict[str, Any], email: str | None, label: str | None) -> bool:
    return (
        all(run[key] == value for key, value in wanted.items())
        and (email is None or run["actor"].get("email") == email)
        and (label is None or label in run["labels"])
    )


def _live(found: Repository) -> Iterable[dict[str, Any]]:
    """Runs under way, as they look in a list: nothing of their journal is read."""
    for run in reversed(live_runs(found.home)):
        if run.error or run.life is Life.DEAD:
            continue
        try:
            record = run_from(run.start["record"], source=str(run.folder))
            age_seconds = time.time() - run.folder.stat().st_ctime
        except (GitreproError, KeyError, TypeError, FileNotFoundError):
            continue  # it is damaged, as `doctor` says, or has just ended
        shown = listing(record, Standing(labels=record.labels), {})
        yield {**shown, "status": "running", "duration_seconds": age_seconds}


def _print(runs: list[dict[str, Any]]) -> None:
    metrics = _metrics(runs)
    header = ["id", "name", "kind", "status", "started", "duration", "seed", "code", "group", "labels", *metrics]
    rows = [_row(run, metrics) for run in runs]
    kept = [column for column in range(len(header)) if header[column] in _ALWAYS or any(row[column] for row in rows)]
    names = [header[column] for column in kept]
    table(
        [[row[column] for column in kept] for row in rows],
        [clean(name) for name in names],
        right=[place for place, name in enumerate(names) if name in ("duration", "seed", *metrics)],
        elastic=names.index("name"),
        spare=[names.index(name) for name in (*_SPARE, *reversed(metrics[1:])) if name in names],
    )


_ALWAYS: Final = ("id", "name", "kind", "status", "started", "duration", "seed", "code")
_SPARE: Final = ("kind", "labels", "duration", "code", "group", "seed")


def _metrics(runs: list[dict[str, Any]]) -> list[str]:
    """The summary values most runs have; validation before training, as one looks for it."""
    counts: dict[str, int] = {}
    for run in runs:
        for name, value in run["summary"].items():
            if isinstance(value, (int, float)):
                counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name.startswith("train"), name))[:_METRICS_AT_MOST]


def _row(run: dict[str, Any], metrics: list[str]) -> list[object]:
    code = run["code"]
    commit = str(code.get("commit") or "")[:7]
    seed = run["seeds"].get("requested")
    if seed is None:
        effective = {str(value) for value in dict(run["seeds"].get("effective") or {}).values() if value is not None}
        seed = effective.pop() if len(effective) == 1 else None
    return [
        run["id"][-8:],
        run["name"],
        run["kind"],
        status(run["status"]),
        run["started_at"][:16].replace("T", " "),
        duration(run["duration_seconds"]),
        "" if seed is None else str(seed),
        f"{commit}+dirty" if code.get("dirty") else commit,
        run["group"] or "",
        " ".join(map(str, run["labels"])),
        *(number(run["summary"][name]) if name in run["summary"] else "" for name in metrics),
    ]
