"""`gitrepro holdout score`: open a seal in memory, score predictions that were committed, and tell what may be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import here
from ..present import clean, emit, line, note, pairs, table
from .keyring import SCHEMA, as_json_option, identity_option, part_option, private_keys, signed

if TYPE_CHECKING:
    from ...data.sealing.checking import Checked
    from ...data.sealing.contents import Holdout
    from ...data.sealing.scoring import Scored
    from ...store.repository import Repository

_EPILOG = """\b
  gitrepro holdout score --identity ~/.ssh/id_ed25519
  gitrepro holdout score digits/default --feedback full --reason 'camera ready'
  gitrepro holdout score digits/default --reveal 8FQK3V
  gitrepro holdout score digits/default --check
"""


@click.command(epilog=_EPILOG)
@click.argument("holdout", metavar="[DATA/SPLIT]", required=False)
@part_option
@click.option("--predict", metavar="ENTRY", help="Which predictions; the only ones that wait by default.")
@identity_option
@click.option("--feedback", help="Another one than the seal says; wants --reason.")
@click.option("--budget", type=int, help="Another budget from now on; wants --reason.")
@click.option("--reason", "-m", default="", help="Why; it stays visible for ever.")
@click.option("--reveal", metavar="ENTRY", help="Show all of an earlier result; nothing is scored.")
@click.option("--check", is_flag=True, help="Score all again, and hold it against the log; 1 where it differs.")
@as_json_option
def score(
    holdout: str | None,
    part: str,
    predict: str | None,
    identities: tuple[Path, ...],
    feedback: str | None,
    budget: int | None,
    reason: str,
    reveal: str | None,
    check: bool,
    as_json: bool,
) -> int:
    """Score predictions of a sealed part with a private key. What is told depends on the feedback of the seal.

    `ladder` tells a score that is better than the best so far by more than luck; `full` tells each; `none` tells none.
    All of the result goes into the log, encrypted to those who hold a key.
    """
    from ...data.sealing import scoring
    from ...data.sealing.finding import the_sealed

    found = here.repository()
    about = the_sealed(found, holdout, part)
    keys = private_keys(identities)
    if reveal is not None:
        _show_result(scoring.reveal(found, about, reveal, keys), as_json=as_json)
        return 0
    if check:
        return _check(found, about, keys, as_json=as_json)
    asked = scoring.Asked(predict=predict, feedback=feedback, budget=budget, reason=reason)
    done = scoring.score(found, about, asked, keys, **signed(found))
    if as_json:
        emit({"schema": SCHEMA, "entry": done.entry.document()})
    else:
        _show(done)
    _say_how_many(done)
    return 0


def _check(found: Repository, holdout: Holdout, keys: Sequence[Any], *, as_json: bool) -> int:
    from ...data.sealing.checking import check

    done = check(found, holdout, keys)
    rows = [(each.entry.id, each.entry.at[:10], _verdict(each), each.why or each.skipped) for each in done]
    if as_json:
        names = ("entry", "at", "verdict", "why")
        emit({"schema": SCHEMA, "scores": [dict(zip(names, row, strict=True)) for row in rows]})
    else:
        table([(name[-8:], *rest) for name, *rest in rows], ["score", "at", "again", "why"])
    if not done:
        note(f"{holdout} was never scored")
    return int(any(each.why for each in done))


def _verdict(each: Checked) -> str:
    return "differs" if each.why else "skipped" if each.skipped else "the same"


def _show(done: Scored) -> None:
    rows = [(name, f"{value:.10g}") for name, value in done.told.items()]
    for each in pairs([*rows, ("told", _told(done)), ("entry", done.entry.id)]):
        line(each)


def _told(done: Scored) -> str:
    match done.feedback, done.improved:
        case "full", _:
            return "all, as was asked"
        case "ladder", True:
            return "it beats the best so far by more than luck" if done.number > 1 else "it is the first"
        case "ladder", _:
            return "nothing: it does not beat the best so far by more than luck"
    return "nothing, as the seal says"


def _say_how_many(done: Scored) -> None:
    from ...data.sealing.terms import WARN_FROM

    if done.number >= WARN_FROM:
        note(f"this is score {done.number} of {done.seal.holdout}, of {done.budget}{_optimism(done.number)}")


def _optimism(scores: int) -> str:
    from ...analysis.optimism import RELATED, expected_optimism

    low, high = expected_optimism(scores, RELATED), expected_optimism(scores)
    return f": the best of so many is {low:.1f} to {high:.1f} standard errors too good by luck alone"


def _show_result(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit({"schema": SCHEMA, "result": dict(found)})
        return
    numbers = [*found["metrics"].items(), *((name, found[name]) for name in ("gain", "step") if found.get(name))]
    for each in pairs([(clean(name), f"{value:.10g}") for name, value in numbers]):
        line(each)
