"""`gitrepro audit --ci`: every result tag at hand is judged, and a job of GitHub or GitLab is told in its own way."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .. import hooks
from ..audit import tags
from ..errors import GitreproError
from ..records.result import Audit, Check, Need
from ..store.repository import Repository
from ..store.runs import RunTree
from .present import clean, emit, line, mark, note

SCHEMA: Final = 1
_SUMMARY: Final = "GITHUB_STEP_SUMMARY"
# What Markdown takes for more than a letter; a backslash takes that back.
_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~@&-])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A result tag, and its audit; or why there is none."""

    tag: str
    audit: Audit | None = None
    error: GitreproError | None = None

    @property
    def ok(self) -> bool:
        return self.audit is not None and self.audit.ok

    @property
    def blocking(self) -> tuple[Check, ...]:
        return self.audit.blocking if self.audit else ()

    def words(self) -> str:
        """What it came to, in one line."""
        if self.audit is None:
            return str(self.error)
        state = f"is blocked by {', '.join(check.rule for check in self.blocking)}" if self.blocking else "passes"
        return f"{state} at level {self.audit.level}"


def judge_all(found: Repository, names: Sequence[str], *, at_least: str, as_json: bool) -> int:
    """Judge these tags, or those at HEAD, and tell of them. Returns the exit code: 1 when one of them is blocked."""
    judged = list(_judged(found, names, at_least))
    if as_json:
        emit({"schema": SCHEMA, "ok": all(each.ok for each in judged), "results": [_document(each) for each in judged]})
    else:
        _print(judged)
    if not judged:
        note("no result tag at this commit")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for text in _annotations(judged):
            note(text)
    if path := os.environ.get(_SUMMARY):
        _append(path, "\n".join(_markdown(judged)) + "\n")
    return 0 if all(each.ok for each in judged) else 1


def _judged(found: Repository, names: Sequence[str], at_least: str) -> Iterator[Judged]:
    with RunTree(found) as tree:
        if not names:
            head = found.git("rev-parse", "--verify", "HEAD^{commit}").decode().strip()
            names = hooks.result_tags_at(found, tree, head)
        for name in dict.fromkeys(each.removeprefix(tags.PREFIX) for each in names):
            try:
                yield Judged(tag=name, audit=hooks.judge_tag(found, tree, name, at_least=at_least))
            except GitreproError as error:
                yield Judged(tag=name, error=error)


def _document(judged: Judged) -> dict[str, Any]:
    audit, error = judged.audit, judged.error
    return {
        "tag": judged.tag,
        "ok": judged.ok,
        "level": audit.level if audit else None,
        "stage": audit.stage if audit else None,
        "checks": [check.document() for check in audit.checks] if audit else [],
        "error": {"code": error.code, "what": error.what, "why": error.why, "do": error.do} if error else None,
    }


def _print(judged: Sequence[Judged]) -> None:
    for each in judged:
        line(f"{mark('PASS' if each.ok else 'FAIL')}  {clean(each.tag)} {clean(each.words())}")
        for check in each.blocking:
            line(f"      {check.rule} {check.verdict}: {clean(check.why)}")
            if check.repair:
                line(f"      do: {clean(check.repair)}")


# -- as GitHub reads it


def _annotations(judged: Sequence[Judged]) -> Iterator[str]:
    """Workflow commands: one line for each thing that blocks."""
    for each in judged:
        if each.error:
            yield _command(each.tag, str(each.error))
        for check in each.blocking:
            repair = f"; {check.repair}" if check.repair else ""
            yield _command(f"{each.tag}: {check.rule}", f"{check.verdict}: {check.why}{repair}")


def _command(title: str, text: str) -> str:
    # Text from a record must end neither the title nor the line.
    named = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return f"::error title={named}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return clean(text).replace("%", "%25")


def _append(path: str, text: str) -> None:
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        # The verdict stands without it.
        sys.stderr.write(f"the job summary was not written: {clean(error)}\n")


def _markdown(judged: Sequence[Judged]) -> Iterator[str]:
    yield "## Results\n"
    if not judged:
        yield "No result tag at this commit."
        return
    yield "| result | verdict | |"
    yield "|---|---|---|"
    for each in judged:
        yield f"| {_plain(each.tag)} | {'passes' if each.ok else '**blocked**'} | {_plain(each.words())} |"
    for each in judged:
        if each.audit:
            yield from _table(each.tag, each.audit)


def _table(tag: str, audit: Audit) -> Iterator[str]:
    yield f"\n### {_plain(tag)}\n"
    yield "| rule | verdict | why | what helps |"
    yield "|---|---|---|---|"
    for check in audit.checks:
        if check.required is not Need.OFF:
            cells = (check.rule, check.verdict, check.why, check.repair if check.blocks else "")
            yield f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: object) -> str:
    return _MARKUP.sub(r"\\\1", clean(text))
