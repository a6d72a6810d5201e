"""`gitrepro show`: all that is known of a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import click

from ..errors import Ambiguous, BlobMissing, NotFound
from ..records import yaml
from ..records.event import Standing, fold_events
from ..records.listing import listing
from ..records.run import RunRecord, run_from, run_path
from ..store.index import Index
from ..store.live import ERRORS, OUTPUT, live_runs
from ..store.objects import BlobStore
from ..store.repository import RUNS_REF, Repository
from ..store.resolve import SHORTEST, resolve
from ..store.runs import RunTree
from . import here
from .present import clean, coloured, duration, emit, line, note, number, pairs, size, status, terminal_width

_LISTED_AT_MOST: Final = 12
_DRAWN_AT_MOST: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A run with everything that stands beside its record."""

    record: RunRecord
    standing: Standing
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    recorded: bool


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
    """Show all that is known of RUN: the end of its id, its name, `@last`, `@{-2}`, `@best:METRIC`."""
    found = here.repository()
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
        for text in _page(known):
            line(text)
        if known.recorded and (chosen or (sys.stdout.isatty() if curves is None else curves)):
            _draw(found, known.record, chosen)


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


def _look_up(found: Repository, run_id: str) -> _Known:
    with RunTree(found) as tree:
        events, troubles = tree.events(run_id)
        for trouble in troubles:
            note(f"damaged: {clean(trouble.path)}: {clean(trouble.error)}")
        if tree.run_tree(run_id) is None:
            record, config, environment, recorded = *_live(found, run_id), False
        else:
            record, recorded = tree.run(run_id), True
            config, environment = _file(tree, run_id, "config.yaml"), _file(tree, run_id, "env.yaml")
    standing = fold_events(events, labels=record.labels)
    return _Known(record=record, standing=standing, config=config, environment=environment, recorded=recorded)


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


def _document(known: _Known) -> dict[str, Any]:
    record, standing = known.record, known.standing
    return {
        **listing(record, standing, known.config.get("values", {})),
        "recorded": known.recorded,
        "ended_at": record.ended_at,
        "reason": record.reason,
        "resumes": record.resumes,
        "lineage": record.lineage,
        "ranks": dict(record.ranks) if record.ranks else None,
        "adopted": dict(record.adopted) if record.adopted else None,
        "argv": list(record.argv),
        "host": dict(record.host),
        "code": dict(record.code) if record.code else None,
        "config_sources": dict(known.config.get("sources", {})),
        "metrics": dict(record.metrics),
        "cost": dict(record.cost),
        "env": dict(known.environment),
        "data": list(record.data),
        "split": None,
        "checkpoints": list(record.checkpoints),
        "artifacts": list(record.artifacts),
        "losses": list(record.losses),
        "journal": dict(record.journal),
        "notes": list(standing.notes),
        "events": [],
        "parents": list(record.parents),
    }


# -- the page


def _page(known: _Known) -> Iterator[str]:
    record = known.record
    yield f"{coloured(clean(known.standing.name or record.name), 'bold')}  {record.id}"
    yield ""
    yield from pairs(_head(known))
    for title, rows in (
        ("Code", _code(record)),
        ("Seeds", _seeds(record)),
        ("Config", _config(known)),
        ("Environment", _environment(known)),
        ("Metrics", _metrics(record)),
        ("Summary", _summary(record)),
        ("Cost", _cost(record)),
        (
            "Artifacts",
            [
                (str(item.get("name")), f"{size(item.get('size_bytes'))}  {str(item.get('blob'))[:15]}")
                for item in record.artifacts
            ],
        ),
        ("Not kept", [(str(item.get("what")), str(item.get("why"))) for item in record.losses]),
        ("Notes", [("", text) for text in (*([record.note] if record.note else []), *known.standing.notes)]),
        ("Waived", _waived(known.standing)),
    ):
        if rows:
            yield ""
            yield coloured(title, "bold")
            yield from pairs(rows)
    if known.recorded:
        yield ""
        yield coloured(f"git show {RUNS_REF}:{record.path}/run.yaml", "dim")


def _head(known: _Known) -> list[tuple[str, str]]:
    record = known.record
    actor = f"{record.actor.get('name', '')} <{record.actor.get('email', '')}>"
    rows = [
        ("status", status(record.status)),
        ("kind", record.kind),
        ("started", f"{record.started_at}  {actor}"),
        ("duration", duration(record.duration_seconds)),
        ("command", " ".join(record.argv)),
        ("host", f"{record.host.get('hostname', '')}  {record.host.get('cwd', '')}"),
    ]
    if group := known.standing.group or record.group:
        rows.append(("group", group))
    if known.standing.labels:
        rows.append(("labels", ", ".join(known.standing.labels)))
    if record.reason:
        rows.append(("reason", str(record.reason.get("message", ""))))
        rows.append(("try", str(record.reason.get("do", ""))))
    rows.append(("resumes", record.resumes or ""))
    rows.append(("ranks", _ranks(record.ranks or {})))
    rows.append(("adopted", str((record.adopted or {}).get("at", ""))))
    return [row for row in rows if row[1].strip()]


def _ranks(ranks: Mapping[str, Any]) -> str:
    if not ranks:
        return ""
    seen, silent = _list(ranks.get("seen")), _list(ranks.get("silent"))
    told = f"{len(seen)} of {ranks.get('world_size')} on record, by {ranks.get('launcher')}"
    lost = f"; no closing word of {', '.join(map(str, silent[:_LISTED_AT_MOST]))}" if silent else ""
    rivals = f"; also claimed by run {', '.join(str(run)[-8:] for run in _list(ranks.get('rivals')))}"
    return told + lost + (rivals if ranks.get("rivals") else "")


def _code(record: RunRecord) -> list[tuple[str, str]]:
    code = record.code
    if code is None:
        return [("", "no repository: the code is not on record")]
    if not code.get("commit"):
        return [("commit", code.get("trouble") or "none yet: HEAD has no commit")]
    rows = [("commit", f"{code['commit']}  {code.get('branch') or 'detached HEAD'}")]
    edited = [("edited", f"{path}  while it ran") for path in _list(code.get("edited"))[:_LISTED_AT_MOST]]
    if not code.get("dirty"):
        return [*rows, ("state", "clean"), *edited]
    changes = [str(change) for change in _list(code.get("changes"))]
    rows.append(("state", f"{code.get('changes_count', len(changes))} uncommitted changes"))
    rows += [("", text) for text in changes[:_LISTED_AT_MOST]]
    if code.get("snapshot"):
        rows.append(("snapshot", str(code["snapshot"])))
    left_out = [item for item in _list(code.get("left_out")) if isinstance(item, dict)]
    rows += [("left out", f"{item.get('path')}: {item.get('why')}") for item in left_out[:_LISTED_AT_MOST]]
    return rows + edited


def _seeds(record: RunRecord) -> list[tuple[str, str]]:
    seeds = record.seeds
    requested = seeds.get("requested")
    rows = [("requested", "none" if requested is None else f"{requested} ({seeds.get('source')})")]
    for process in _list(seeds.get("processes"))[:1]:
        states = process.items() if isinstance(process, dict) else ()
        rows += [(name, _generator(state)) for name, state in states if isinstance(state, dict)]
    return [row for row in rows if row[1]]


def _generator(state: Mapping[str, Any]) -> str:
    if "seeded_by" in state:
        use = "used" if state.get("used") else "not used"
        return f"{state.get('effective')}  set by {state['seeded_by']}, {use}"
    return f"{state.get('seeded')} seeded, {state['unseeded']} unseeded" if "unseeded" in state else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _config(known: _Known) -> list[tuple[str, str]]:
    from ..capture.config import flatten

    sources = known.config.get("sources", {})
    return [
        (key, f"{_value(value)}  ({sources.get(key, '')})" if sources.get(key) else _value(value))
        for key, value in flatten(known.config.get("values", {})).items()
    ]


def _value(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)


def _environment(known: _Known) -> list[tuple[str, str]]:
    environment = known.environment
    python, hardware = environment.get("python", {}), environment.get("hardware", {})
    packages = environment.get("packages", {})
    frameworks = [f"{name} {facts.get('version', '')}" for name, facts in environment.get("frameworks", {}).items()
                  if isinstance(facts, dict) and "version" in facts]  # fmt: skip
    rows = [
        ("python", f"{python.get('version', '')}  {len(packages)} packages" if python else ""),
        ("libraries", ", ".join(frameworks)),
        ("system", " ".join(str(environment.get("os", {}).get(name, "")) for name in ("system", "release", "machine"))),
        ("processor", _processor(hardware)),
        ("gpu", ", ".join(str(gpu.get("name", gpu)) for gpu in hardware.get("gpus", []))),
    ]
    return [row for row in rows if row[1].strip()]


def _processor(hardware: Mapping[str, Any]) -> str:
    cpu = hardware.get("cpu", {})
    cores = cpu.get("available_cores", cpu.get("logical_cores"))
    total = hardware.get("memory", {}).get("total_bytes")
    parts = (cpu.get("model", ""), f"{cores} cores" if cores else "", f"{size(total)} memory" if total else "")
    return ", ".join(str(part) for part in parts if part)


def _metrics(record: RunRecord) -> list[tuple[str, str]]:
    rows = []
    for name, facts in record.metrics.items():
        spread = f"min {number(facts['min'])}  max {number(facts.get('max'))}" if facts.get("min") is not None else ""
        goal = f"  (best: {facts['goal']})" if facts.get("goal") else ""
        strange = f"  {facts['nonfinite']} not finite" if facts.get("nonfinite") else ""
        rows.append((name, f"last {number(facts.get('last'))}  {spread}  {facts.get('count')} values{strange}{goal}"))
    return rows


def _waived(standing: Standing) -> list[tuple[str, str]]:
    """Each waiver, and each withdrawal of one."""
    taken = {name for event in standing.withdrawals for name in event.observed}
    rows = [(event, " (withdrawn)" if event.id in taken else "") for event in standing.waivers]
    rows += [(event, " (the withdrawal)") for event in standing.withdrawals]
    return [
        (str(event.value.get("rule")), f"{event.actor.get('name')}: {event.value.get('reason')}{more}")
        for event, more in rows
        if isinstance(event.value, dict)
    ]


def _summary(record: RunRecord) -> list[tuple[str, str]]:
    return [(name, _value(value)) for name, value in record.summary.items() if name not in record.metrics]


def _cost(record: RunRecord) -> list[tuple[str, str]]:
    cost = record.cost
    if not cost:
        return []
    cpu_seconds = (cost.get("cpu_user_seconds") or 0.0) + (cost.get("cpu_system_seconds") or 0.0)
    return [("cpu time", duration(cpu_seconds)), ("peak memory", size(cost.get("peak_memory_bytes", 0)))]


# -- parts


def _print_metrics(found: Repository, run_id: str) -> None:
    from ..run.found import metric_table

    table = metric_table(found, run_id)
    names = list(table.names)
    line("\t".join(["_seq", "_step", "_time_seconds", *map(clean, names)]))
    for row in table.rows():
        values = [repr(row.values[name]) if name in row.values else "" for name in names]
        line("\t".join([str(row.seq), str(row.step), repr(row.time_seconds), *values]))


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
        note(f"{left} metrics are not drawn; `--metric NAME` draws one")


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
            line(clean(part.expandtabs()))


def _output(found: Repository, run_id: str) -> list[bytes]:
    """What the program printed; of a run under way, what it has printed so far."""
    with RunTree(found) as tree:
        if tree.run_tree(run_id) is None:
            folder = found.home / "live" / run_id
            return [path.read_bytes() for path in (folder / OUTPUT, folder / ERRORS) if path.exists()]
        artifacts = tree.run(run_id).artifacts
    store = BlobStore(found.home / "store")
    return [store.get(item["blob"]) for item in artifacts if item.get("kind") == "output"]
