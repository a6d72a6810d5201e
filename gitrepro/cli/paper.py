"""What `gitrepro table --check` says: which numbers of a paper are those on record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ..errors import NotFound
from ..report.tables import Judged, judge, printed_in
from ..report.tables.text import one_line
from ..store.index import Index
from ..store.repository import Repository
from ..store.runs import RunTree
from .cited import lookup_in
from .present import emit, mark, note
from .present import table as print_table

SCHEMA: Final = 1


def check_papers(found: Repository, papers: Sequence[Path], *, as_json: bool) -> int:
    """Print each number with its verdict; 1 where one of them is not that on record.

    Raises:
        NotFound: there is no such file, or it says of no number where it is from.
    """
    printed = [each for paper in papers for each in printed_in(paper)]
    if not printed:
        raise NotFound(
            f"{', '.join(map(str, papers))} says of no number where it is from",
            why="nothing was compared, and nothing is proven",
            do="write \\gitrepro{test/accuracy of result/NAME}{91.2 \\pm 0.4}; `gitrepro table --format latex` does it",
        )
    with Index(found) as index, RunTree(found) as tree:
        lookup = lookup_in(found, index, tree)
        judged = [judge(each, lookup) for each in printed]
    if as_json:
        emit({"schema": SCHEMA, "ok": all(each.agrees for each in judged), "numbers": [_judged(j) for j in judged]})
    else:
        print_table([_told(each) for each in judged], ["verdict", "place", "printed", "from", "why"], elastic=4)
    wrong = sum(not each.agrees for each in judged)
    note(f"{len(judged) - wrong} of {len(judged)} printed numbers are those on record")
    return 1 if wrong else 0


def _told(each: Judged) -> list[str]:
    where = f"{each.printed.path}:{each.printed.line}"
    return [mark("PASS" if each.agrees else "FAIL"), where, each.text, one_line(each.printed.reference), each.fault]


def _judged(each: Judged) -> dict[str, Any]:
    recorded = each.recorded
    return {
        "path": str(each.printed.path),
        "line": each.printed.line,
        "printed": each.text,
        "reference": one_line(each.printed.reference),
        "ok": each.agrees,
        "why": each.fault,
        "recorded": {"mean": recorded.mean, "std": recorded.std, "n": recorded.n} if recorded else None,
    }
