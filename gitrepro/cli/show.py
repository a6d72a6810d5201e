"""`gitrepro show`: all that is known of a run."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from typing import Any, Final

import click

from ..errors import Ambiguous, BlobMissing, NotFound
from ..records import ids, yaml
from ..records.event import fold_events
from ..records.listing import listing
from ..records.result import result_path
from ..records.run import RunRecord, run_from, run_path
from ..store.index import Index
from ..store.live import ERRORS, OUTPUT, live_runs
from ..store.place import store_of
from ..store.repository import RUNS_REF, Repository
from ..store.resolve import SHORTEST, resolve
from ..store.runs import RunTree
from ..store.tagged import is_tag
from . import here
from .page import Known, page
from .present import clean, coloured, emit, line, note, terminal_width

_DRAWN_AT_MOST: Final = 6


@click.command()
@click.argument("run", default="@last")
@click.option("--config", "part", flag_value="config", help="Only the config, as YAML with its sources.")
@click.option("--env", "part", flag_value="env", help="Only the environment, as YAML.")
@click.option("--output", "part", flag_value="output", help="Only what the program printed.")
@click.option("--metrics", "part", flag_value="metrics", help="Only the metrics, every row, as TSV.")
@click.option("--curves/--no-curves", default=None, help="Draw the metrics; by default on a terminal.")
@click.option("--metric", "chosen", multiple=True, metavar="NAME", help="Draw this metric; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def show(run: str, part: str | None, curves: bool | None, chosen: tuple[str, ...], as_json: bool) -> None:
    """Show all that is known of RUN: the end of its id, its name, `@last`, `@{-2}`, `@best:METRIC`.

    Of a result tag, or the id of a result, show the number that it declares, and what that stands on.
    """
    found = here.repository()
    if part is None and not curves and not chosen and _is_result(found, run):
        from .declared import show_declared  # it loads the rules, which no run needs

        if show_declared(found, run, as_json=as_json):
            return
    run_id = _resolve(found, run)
    if part == "metrics":
        _print_metrics(found, run_id)
        return
    if part == "output":
        _print_output(found, run_id)
        return
    known = _look_up(found, run_id)
    if as_json:
        emit(_document(known))
    elif part == "config":
        line(yaml.dump(known.config).decode().rstrip())
    elif part == "env":
        line(yaml.dump(known.environment).decode().rstrip())
    else:
        _check_metrics(known.record, chosen)
        for text in page(known):
            line(text)
        if known.recorded and (chosen or (sys.stdout.isatty() if curves is None else curves)):
            _draw(found, known.record, chosen)


def _is_result(found: Repository, text: str) -> bool:
    """Whether a result may be meant. A tag of that name may still be none of ours."""
    if ids.is_id(text):
        with RunTree(found) as tree:
            return tree.entry(result_path(text)) is not None
    return is_tag(found, text)


def _resolve(found: Repository, text: str) -> str:
    try:
        return resolve(found, text)
    except Ambiguous:
        raise
    except NotFound:
        # A damaged record has no place in the index; asked for by its id, it is called damaged and not absent.
        with Index(found) as index:
            names = [
                path.split("/")[4] for path in index.troubles() if path.startswith("runs/") and path.count("/") > 3
            ]
        meant = [name for name in names if len(text) >= SHORTEST and name.endswith(text.lower())]
        if len(meant) != 1:
            raise
        return meant[0]


def _look_up(found: Repository, run_id: str) -> Known:
    with RunTree(found) as tree:
        events, troubles = tree.events(run_id)
        for trouble in troubles:
            note(f"damaged: {clean(trouble.path)}: {clean(trouble.error)}")
        cells: Mapping[str, Any] = {}
        if tree.run_tree(run_id) is None:
            record, config, environment, recorded = *_live(found, run_id), False
        else:
            record, recorded = tree.run(run_id), True
            config, environment, cells = (_file(tree, run_id, f"{name}.yaml") for name in ("config", "env", "cells"))
    return Known(
        record=record,
        standing=fold_events(events, labels=record.labels),
        config=config,
        environment=environment,
        recorded=recorded,
        events=events,
        attempts=_attempts(found, record),
        cells=cells,
    )


def _attempts(found: Repository, record: RunRecord) -> list[dict[str, Any]]:
    """The lineage of a run as far as it is on record, the first attempt first."""
    with Index(found) as index:
        return list(index.lineage(record.lineage or record.id))


def _file(tree: RunTree, run_id: str, name: str) -> Mapping[str, Any]:
    entry = tree.run_files(run_id).get(name)
    if entry is None:
        return {}
    return yaml.load(tree.objects.read(entry.oid, "blob"), source=f"{run_path(run_id)}/{name}")


def _live(found: Repository, run_id: str) -> tuple[RunRecord, Mapping[str, Any], Mapping[str, Any]]:
    for run in live_runs(found.home):
        if run.id == run_id and not run.error:
            record = run_from(run.start.get("record") or {}, source=str(run.folder))
            files = [yaml.load((run.folder / name).read_bytes(), source=name) for name in ("config.yaml", "env.yaml")]
            return record, files[0], files[1]
    raise NotFound(f"run {run_id} is neither under way nor in {RUNS_REF}", do="`gitrepro ls --all` lists the runs")


def _document(known: Known) -> dict[str, Any]:
    record, standing = known.record, known.standing
    return {
        **listing(record, standing, known.config.get("values", {})),
        "recorded": known.recorded,
        "ended_at": record.ended_at,
        "reason": record.reason,
        "resumes": record.resumes,
        "lineage": record.lineage,
        "attempts": [attempt["id"] for attempt in known.attempts],
        "ranks": record.ranks,
        "adopted": record.adopted,
        "argv": record.argv,
        "host": record.host,
        "code": record.code,
        "cells": known.cells or None,
        "config_sources": known.config.get("sources", {}),
        "config_never_read": known.config.get("never_read", []),
        "preprocess": record.preprocess,
        "watched": record.watched,
        "streams": record.streams,
        "determinism": record.determinism,
        "stopping": record.stopping,
        "curves": record.curves,
        "metrics": record.metrics,
        "cost": record.cost,
        "efficiency": record.efficiency,
        "trace": record.trace,
        "batch": record.batch,
        "precision": record.precision,
        "env": known.environment,
        "data": record.data,
        "split": _split(record),
        "fitted": record.fitted,
        "evaluations": record.evaluations,
        "checkpoints": record.checkpoints,
        "artifacts": record.artifacts,
        "losses": record.losses,
        "journal": record.journal,
        "notes": standing.notes,
        "events": [event.document() for event in known.events],
        "parents": record.parents,
    }


def _split(record: RunRecord) -> Mapping[str, Any] | None:
    """The split that was named first, with its data set; `data` has all of them."""
    for entry in record.data:
        for split in entry.get("splits") or ():
            return {"dataset": entry.get("name"), "data": entry.get("digest"), **split}
    return None


# -- parts


def _print_metrics(found: Repository, run_id: str) -> None:
    from ..run.found import metric_table

    table = metric_table(found, run_id)
    names = list(table.names)
    line("\t".join(["_seq", "_step", "_time_seconds", *map(clean, names)]))
    for row in table.rows():
        values = [repr(row.values[name]) if name in row.values else "" for name in names]
        line("\t".join([str(row.seq), str(row.step), repr(row.time_seconds), *values]))


def _check_metrics(record: RunRecord, chosen: tuple[str, ...]) -> None:
    for name in chosen:
        if name not in record.metrics:
            near = difflib.get_close_matches(name, record.metrics, n=3)
            raise NotFound(
                f"run {record.short_id} has no metric {name!r:.80}",
                why=f"nearest: {', '.join(near)}" if near else f"its {len(record.metrics)} metrics have other names",
                do=f"`gitrepro show {record.short_id}` lists them",
            )


def _draw(found: Repository, record: RunRecord, chosen: tuple[str, ...]) -> None:
    names = chosen or _worth_drawing(record)
    if not names:
        return
    from ..run.found import metric_table
    from .curves import Curve, chart, shared_bounds

    try:
        table = metric_table(found, record.id)
    except BlobMissing as error:
        note(f"no curves: {error}")
        return
    curves = []
    for name in names:
        steps, _, values = table.arrays(name)
        curves.append(Curve(name=name, steps=steps.tolist(), values=values.tolist()))
    line()
    line(coloured("Curves", "bold"))
    fine = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    for curve in curves:
        alike = [other for other in curves if other.name.rpartition("/")[2] == curve.name.rpartition("/")[2]]
        for text in chart(curve, width=terminal_width(), fine=fine, bounds=shared_bounds(alike)):
            line(text)
    left = len(record.metrics) - len(names)
    if left > 0 and not chosen:
        what = "1 metric is" if left == 1 else f"{left} metrics are"
        note(f"{what} not drawn; `--metric NAME` draws one")


def _worth_drawing(record: RunRecord) -> list[str]:
    """The metrics that moved: those with a goal first, then validation, then the others."""
    moving = [name for name, facts in record.metrics.items() if facts.get("count", 0) > 2]
    return sorted(moving, key=lambda name: (not record.metrics[name].get("goal"), not name.startswith("val"), name))[
        :_DRAWN_AT_MOST
    ]


def _print_output(found: Repository, run_id: str) -> None:
    parts = _output(found, run_id)
    if not parts:
        raise BlobMissing(f"run {run_id[-8:]} has no output on record", why="only `gitrepro record -- ...` keeps it")
    for data in parts:
        for part in data.decode(errors="replace").splitlines():
            line("\t".join(map(clean, part.split("\t"))))


def _output(found: Repository, run_id: str) -> list[bytes]:
    """What the program printed; of a run under way, what it has printed so far."""
    with RunTree(found) as tree:
        if tree.run_tree(run_id) is None:
            folder = found.home / "live" / run_id
            return [path.read_bytes() for path in (folder / OUTPUT, folder / ERRORS) if path.exists()]
        artifacts = tree.run(run_id).artifacts
    store = store_of(found)
    printed = [item["blob"] for item in artifacts if item.get("kind") == "output"]
    if missing := [digest for digest in printed if digest not in store]:
        from ..sync.get import ensure
        from .traffic import say_answers

        say_answers(ensure(found, missing, runs=[run_id]).answers)
    return [store.get(digest) for digest in printed]
