"""What `gitrepro diff --trace` says: the first step in which two trainings differ, and the likely cause."""

from __future__ import annotations

from typing import Any, Final

from ..analysis.divergence import CAUSES, Divergence, Side, common_steps, divergence
from ..errors import NotFound
from ..records.run import RunRecord
from ..records.seeds import the_seed
from ..run.differences import differences, side
from ..run.tracing import tables
from ..store.repository import Repository
from ..store.resolve import resolve
from ..store.runs import RunTree
from .present import clean, coloured, emit, line, pairs

_ALSO_AT_MOST: Final = 8
_ALSO: Final = ("code", "config", "data", "seeds", "env")


def compare(found: Repository, left: str, right: str, *, as_json: bool) -> bool:
    """Print where the traces of two runs part; say whether they do.

    Raises:
        NotFound: a run has no trace, or they have no step in common.
        Damaged: a trace is not what was written.
    """
    with RunTree(found) as tree:
        wanted = [resolve(found, text) for text in (left, right)]
        ends = [side(tree, run_id) for run_id in wanted]
        traces = [tables(tree, run_id) for run_id in wanted]
    records = [each.record for each in ends]
    ranks = sorted(traces[0].keys() & traces[1].keys())
    sides = {rank: [_side(record, held[rank]) for record, held in zip(records, traces, strict=True)] for rank in ranks}
    counts = {rank: common_steps(*pair) for rank, pair in sides.items()}
    if not any(counts.values()):
        raise NotFound("the two traces have no step in common", do="`gitrepro show` says what each holds")
    parted = [(each, rank) for rank, pair in sides.items() if (each := divergence(*pair))]
    first, rank = min(parted, key=lambda each: (each[0].step, each[1]), default=(None, ranks[0]))
    also = [f"{each.section}: {each.key}" for each in differences(found, *ends) if each.section in _ALSO]
    if as_json:
        runs = [{"id": record.id, "name": record.name} for record in records]
        trace = {"rows": counts, "ranks": ranks, "parts": _document(first, rank) if first else None}
        emit({"schema": 1, "runs": runs, "trace": trace, "also": also})
    else:
        _print(first, rank, counts, also, many=len(ranks) > 1)
    return first is not None


def _side(record: RunRecord, table: Any) -> Side:
    setting = (record.trace or {}).get("setting")
    return Side(trace=table, setting=setting if isinstance(setting, dict) else {}, seed=the_seed(record.seeds))


def _document(each: Divergence, rank: int) -> dict[str, Any]:
    return {
        "step": each.step,
        "rank": rank,
        "equal_to": each.equal_to,
        "exact": each.exact,
        "fields": each.fields,
        "equal": each.equal,
        "missing": each.missing,
        "cause": each.cause,
        "said": CAUSES[each.cause],
        "hints": each.hints,
        "numbers": each.numbers,
    }


def _print(each: Divergence | None, rank: int, counts: dict[int, int], also: list[str], *, many: bool) -> None:
    if each is None:
        line(f"the traces are equal: {sum(counts.values())} rows")
        return
    line(coloured(_where(each) + (f", on rank {rank}" if many else ""), "bold"))
    rows = [
        ("differ", ", ".join(each.fields) or "nothing that was kept"),
        ("equal", ", ".join(each.equal)),
        ("not compared", ", ".join(each.missing)),
        *((name, f"{one!r}  {other!r}") for name, (one, other) in each.numbers.items()),
        ("likely cause", f"{each.cause}: {CAUSES[each.cause]}"),
        *(("", clean(hint)) for hint in each.hints),
        *(("also differ", clean(name)) for name in also[:_ALSO_AT_MOST]),
    ]
    if len(also) > _ALSO_AT_MOST:
        rows.append(("", f"and {len(also) - _ALSO_AT_MOST} more; `gitrepro diff` lists them"))
    for text in pairs([row for row in rows if row[1]]):
        line(text)


def _where(each: Divergence) -> str:
    if each.exact:
        return f"the traces part at step {each.step}" + (", the first one" if each.equal_to is None else "")
    after = "before the first row" if each.equal_to is None else f"after step {each.equal_to}"
    return f"the traces part {after}, at step {each.step} or before it"
