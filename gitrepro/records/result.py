"""The result: a declared number, the runs behind it, and the audit that let it pass. FORMAT.md shows the bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from ..errors import Damaged
from . import ids, yaml
from .fields import Fits, check_format, is_map, is_text, or_none, take

FORMAT: Final = 1
_WHAT: Final = "a result"


class Verdict(StrEnum):
    """What one rule says of one claim. Lack of evidence is INCONCLUSIVE and never PASS."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    WAIVED = "WAIVED"
    NOT_APPLICABLE = "NOT_APPLICABLE"

    @property
    def blocks(self) -> bool:
        """Whether a claim cannot stand with it where the rule is required."""
        return self in (Verdict.FAIL, Verdict.INCONCLUSIVE)


class Need(StrEnum):
    """What a level makes of a rule."""

    REQUIRED = "required"
    ADVISED = "advised"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule's verdict, with what it was drawn from and what would change it."""

    rule: str
    verdict: Verdict
    required: Need
    why: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    repair: str = ""

    @property
    def blocks(self) -> bool:
        return self.required is Need.REQUIRED and self.verdict.blocks

    def document(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "verdict": str(self.verdict),
            "required": str(self.required),
            "why": self.why,
            "evidence": dict(self.evidence),
            "repair": self.repair,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """A run as a result names it: its id, the Git tree of its record, and the commit it ran at."""

    id: str
    tree: str
    commit: str | None

    def document(self) -> dict[str, Any]:
        return {"commit": self.commit, "id": self.id, "tree": self.tree}


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """`audit.yaml`: the verdicts on one claim. No clock, host, path or locale is in it: anyone derives the same bytes.

    `as_of` is the root tree of the run ref it was read from; `policy` the digest of the policy it was judged by;
    `evidence` the check runs that it was judged by beside the runs themselves.
    """

    tag: str | None
    level: str
    stage: str
    runs: tuple[Cited, ...]
    commit: str | None
    code_tree: str | None
    as_of: str | None
    policy: str
    algorithms: Mapping[str, int]
    checks: tuple[Check, ...]
    evidence: tuple[Cited, ...] = ()

    @property
    def blocking(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.blocks)

    @property
    def ok(self) -> bool:
        return not self.blocking

    def dump(self) -> bytes:
        return yaml.dump(
            {
                "algorithms": dict(self.algorithms),
                "as_of": self.as_of,
                "checks": [check.document() for check in self.checks],
                "code_tree": self.code_tree,
                "commit": self.commit,
                **_cited_beside(self.evidence),
                "format": FORMAT,
                "level": self.level,
                "ok": self.ok,
                "policy": self.policy,
                "runs": [run.document() for run in self.runs],
                "stage": self.stage,
                "tag": self.tag,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`result.yaml`: what was declared, by whom, on which runs. Written once."""

    id: str
    tag: str
    level: str
    runs: tuple[Cited, ...]
    as_of: str | None
    policy: str
    commit: str
    code_tree: str
    actor: Mapping[str, Any]
    created_at: str
    note: str | None = None
    algorithms: Mapping[str, int] = field(default_factory=dict)
    evidence: tuple[Cited, ...] = ()
    unknown: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a later format: kept, and ignored."""

    def dump(self) -> bytes:
        return yaml.dump(
            {
                **self.unknown,
                "actor": dict(self.actor),
                "algorithms": dict(self.algorithms),
                "as_of": self.as_of,
                "code_tree": self.code_tree,
                "commit": self.commit,
                "created_at": self.created_at,
                **_cited_beside(self.evidence),
                "format": FORMAT,
                "id": self.id,
                "level": self.level,
                "note": self.note,
                "policy": self.policy,
                "runs": [run.document() for run in self.runs],
                "tag": self.tag,
            }
        )


def _cited_beside(runs: tuple[Cited, ...]) -> dict[str, Any]:
    """The field `evidence`, which a record has only where something is cited: older ones keep their bytes."""
    return {"evidence": [run.document() for run in runs]} if runs else {}


def result_path(result_id: str) -> str:
    """Where a result stands in the tree of the run ref: a folder with `result.yaml` and `audit.yaml`."""
    return f"results/{result_id}"


def load_result(data: bytes, *, source: str) -> Result:
    """Read a `result.yaml`.

    Raises:
        Damaged: it does not parse, or a field is missing or of another type.
        TooNew: its format is newer than this program.
    """
    values = _open(data, source)
    fields = _Fields(values, source)
    result = Result(
        id=fields.text("id"),
        tag=fields.text("tag"),
        level=fields.text("level"),
        runs=tuple(_cited(run, source) for run in fields.items("runs")),
        as_of=fields.text_or_none("as_of"),
        policy=fields.text("policy"),
        commit=fields.text("commit"),
        code_tree=fields.text("code_tree"),
        actor=fields.mapping("actor"),
        created_at=fields.text("created_at"),
        note=fields.text_or_none("note"),
        algorithms=fields.mapping("algorithms"),
        evidence=tuple(_cited(run, source) for run in fields.items_or_none("evidence")),
        unknown=fields.rest(),
    )
    if not ids.is_id(result.id):
        raise Damaged(f"{source}: {result.id!r:.60} is not a result id")
    return result


def load_audit(data: bytes, *, source: str) -> Audit:
    """Read an `audit.yaml`. Raises as `load_result` does."""
    fields = _Fields(_open(data, source), source)
    return Audit(
        tag=fields.text_or_none("tag"),
        level=fields.text("level"),
        stage=fields.text("stage"),
        runs=tuple(_cited(run, source) for run in fields.items("runs")),
        commit=fields.text_or_none("commit"),
        code_tree=fields.text_or_none("code_tree"),
        as_of=fields.text_or_none("as_of"),
        policy=fields.text("policy"),
        algorithms=fields.mapping("algorithms"),
        checks=tuple(_check(check, source) for check in fields.items("checks")),
        evidence=tuple(_cited(run, source) for run in fields.items_or_none("evidence")),
    )


def _open(data: bytes, source: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.load(data, source=source)
    check_format(values.pop("format", None), newest=FORMAT, source=source, what=_WHAT)
    return values


class _Fields:
    """The fields of a record, taken one by one and checked; what is left is of a later format."""

    def __init__(self, values: dict[str, Any], source: str) -> None:
        self._values = values
        self._source = source

    def text(self, name: str) -> str:
        value: str = self._take(name, is_text)
        return value

    def text_or_none(self, name: str) -> str | None:
        value: str | None = self._take(name, or_none(is_text))
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        value: dict[str, Any] = self._take(name, is_map)
        return value

    def items(self, name: str) -> list[dict[str, Any]]:
        value: list[dict[str, Any]] = self._take(
            name, lambda value: isinstance(value, list) and all(map(is_map, value))
        )
        return value

    def items_or_none(self, name: str) -> list[dict[str, Any]]:
        return self.items(name) if name in self._values else []

    def rest(self) -> dict[str, Any]:
        return self._values

    def _take(self, name: str, fits: Fits) -> Any:
        return take(self._values, name, fits, source=self._source, what=_WHAT)


def _cited(document: dict[str, Any], source: str) -> Cited:
    fields = _Fields(dict(document), source)
    return Cited(id=fields.text("id"), tree=fields.text("tree"), commit=fields.text_or_none("commit"))


def _check(document: dict[str, Any], source: str) -> Check:
    fields = _Fields(dict(document), source)
    try:
        return Check(
            rule=fields.text("rule"),
            verdict=Verdict(fields.text("verdict")),
            required=Need(fields.text("required")),
            why=fields.text("why"),
            evidence=fields.mapping("evidence"),
            repair=fields.text("repair"),
        )
    except ValueError as error:
        raise Damaged(f"{source}: a check does not parse", why=str(error)) from error
