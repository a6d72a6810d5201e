"""`gitrepro waive`: lift a rule, with a reason that stays; or take that back, which stays too."""

from __future__ import annotations

import time

import click

from ..audit.waivers import Waiver, check_waiver, waivers_of
from ..errors import NotFound, UsageError
from ..records.event import fold_events
from ..run import place
from ..run.compose import stamp
from ..store import worktree
from ..store.annotate import annotate
from ..store.repository import Repository
from ..store.runs import RunTree
from . import here
from .present import emit, note, table
from .target import subject_of

SCHEMA = 1


@click.command()
@click.argument("words", nargs=-1, metavar="[RULE] RUN|TAG|RESULT")
@click.option("--reason", "-m", help="Why the rule need not be met; it stays visible for ever.")
@click.option("--withdraw", is_flag=True, help="Take the waivers of this rule back, with a reason; both stay visible.")
@click.option("--list", "only_list", is_flag=True, help="Show the waivers of a run or result; no RULE.")
@click.option("--json", "as_json", is_flag=True, help="Print the waivers as JSON.")
def waive(words: tuple[str, ...], reason: str | None, withdraw: bool, only_list: bool, as_json: bool) -> None:
    """Waive RULE for a run or a result, with a reason. `seeds`, `code` and `audit` cannot be waived.

    The audit then says WAIVED, by whom and why, instead of blocking. A rule of several runs is lifted when each of
    them, or the result, has a waiver.
    """
    found = here.repository()
    if only_list:
        (target,) = _exactly(words, 1, "gitrepro waive --list RUN")
        subject = subject_of(found, target)
    else:
        rule, target = _exactly(words, 2, "gitrepro waive RULE RUN --reason TEXT")
        check_waiver(rule, reason or "")
        subject = subject_of(found, target)
        _put(found, subject, rule, str(reason), withdraw=withdraw)
    _show(subject, _waivers(found, subject), as_json=as_json)


def _exactly(words: tuple[str, ...], count: int, usage: str) -> tuple[str, ...]:
    if len(words) != count:
        wanted = "one word is" if count == 1 else f"{count} words are"
        raise UsageError(f"{wanted} wanted, and {len(words)} given", do=f"`{usage}`")
    return words


def _put(found: Repository, subject: str, rule: str, reason: str, *, withdraw: bool) -> None:
    standing = [each.event.id for each in _waivers(found, subject) if each.rule == rule and each.holds]
    if withdraw and not standing:
        raise NotFound(
            f"no waiver of {rule} stands on {subject[-8:]}", do=f"`gitrepro waive --list {subject[-8:]}` shows them"
        )
    annotate(
        found,
        subject,
        "unwaive" if withdraw else "waive",
        {"reason": reason, "rule": rule},
        identity=worktree.identity(found, fallback=place.nobody()),
        at=stamp(time.time()),
        observed=tuple(standing) if withdraw else (),
    )


def _waivers(found: Repository, subject: str) -> list[Waiver]:
    with RunTree(found) as tree:
        return waivers_of(fold_events(tree.events(subject)[0]))


def _show(subject: str, waivers: list[Waiver], *, as_json: bool) -> None:
    if as_json:
        emit({"schema": SCHEMA, "subject": subject, "waivers": [_document(each) for each in waivers]})
        return
    rows = [
        (each.rule, "yes" if each.holds else "withdrawn", each.actor, each.reason, _taken(each)) for each in waivers
    ]
    table(rows, ["rule", "holds", "by", "reason", "withdrawn"])
    if not waivers:
        note(f"nothing is waived on {subject[-8:]}")


def _taken(waiver: Waiver) -> str:
    taken = waiver.document()["withdrawn"]
    return f"{taken['by']}: {taken['reason']}" if taken else ""


def _document(waiver: Waiver) -> dict[str, object]:
    return {"rule": waiver.rule, "at": waiver.event.at, "holds": waiver.holds, **waiver.document()}
