"""An audit as an in-toto Statement, for the tools that keep attestations: anyone derives the same one.

The form is in-toto's Statement v1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md). The subject
is the record of the result by its digests; the predicate is ours, and holds the sixteen verdicts with what each of them
was drawn from. It is not signed: `cosign`, `ssh-keygen -Y sign` and the like do that.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import UsageError
from ..policy import RULES
from ..records.result import Audit, Check, Cited, Result, result_path
from ..store.objects import digest_of

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://github.com/gitrepro/gitrepro/audit/v1"
_DIGEST: Final = re.compile(r"b3:([0-9a-f]{64})")


def statement(audit: Audit, result: Result | None = None, record: bytes | None = None) -> dict[str, Any]:
    """The statement of an audit, as plain JSON: numbers that are not finite are the strings "NaN" and "Infinity".

    Args:
        result: what was audited; without it the runs are the subject.
        record: the bytes of its `result.yaml` as they are on record.

    Raises:
        UsageError: there is neither a result nor a run on record to speak of.
    """
    subject = [_subject(result, record)] if result and record is not None else [_run(run) for run in audit.runs]
    subject = [each for each in subject if each["digest"]]
    if not subject:
        raise UsageError("there is nothing to make a statement of", why="no run of it is on record")
    return {
        "_type": STATEMENT,
        "subject": subject,
        "predicateType": PREDICATE,
        "predicate": _plain(_predicate(audit, result)),
    }


def _subject(result: Result, record: bytes) -> dict[str, Any]:
    digests = {"blake3": _hex(digest_of([record])), "sha256": hashlib.sha256(record).hexdigest()}
    return {"name": f"{result_path(result.id)}/result.yaml", "digest": digests}


def _run(run: Cited) -> dict[str, Any]:
    return {"name": f"run {run.id}", "digest": {"gitTree": run.tree} if run.tree else {}}


def _predicate(audit: Audit, result: Result | None) -> dict[str, Any]:
    return {
        "ok": audit.ok,
        "level": audit.level,
        "stage": audit.stage,
        "tag": audit.tag,
        "result": result.id if result else None,
        "code": {"digest": _git(commit=audit.commit, tree=audit.code_tree)},
        "runs": [_run(run) for run in audit.runs],
        "evidence": [_run(run) for run in audit.evidence],
        "records": {"digest": _git(tree=audit.as_of)},
        "policy": {"digest": {"blake3": _hex(audit.policy)}},
        "algorithms": dict(audit.algorithms),
        "checks": [_check(check) for check in audit.checks],
    }


def _git(*, commit: str | None = None, tree: str | None = None) -> dict[str, str]:
    return {name: value for name, value in (("gitCommit", commit), ("gitTree", tree)) if value}


def _check(check: Check) -> dict[str, Any]:
    inputs = sorted(set(_digests(check.evidence)))
    return {
        **check.document(),
        "asks": RULES.get(check.rule, ""),
        "inputs": [{"digest": {"blake3": digest}} for digest in inputs],
    }


def _digests(value: object) -> Iterator[str]:
    """Every blob that the evidence of a check names."""
    if isinstance(value, str):
        yield from _DIGEST.findall(value)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _digests(key)
            yield from _digests(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _digests(each)


def _hex(digest: str) -> str:
    return digest.removeprefix("b3:")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
