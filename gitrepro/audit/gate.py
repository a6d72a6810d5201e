"""The gate: what may be declared, and the one way by which it is."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from ..errors import ConfigError, GitreproError, Refused, UsageError
from ..policy import DEFAULT, FILE, LEVELS, Policy, Stage, parse
from ..records import ids
from ..records.result import Audit, Check, Cited, Result, Verdict
from ..store.fold import Identity
from ..store.gitobjects import GitObjects
from ..store.gitrefs import read_ref
from ..store.repository import Repository
from ..store.runs import RunTree
from . import audit as judge
from . import tags
from .beside import find_checks
from .evidence import Claim, Evidence, RunEvidence, gather, tree_of_commit
from .results import audit_digest, fold_queue, read_result, same_result, write_result
from .selecting import check_runs as check_runs
from .selecting import select as select

_SHOWN_AT_MOST: Final = 8
_SYMLINK: Final = 0o120000


def policy_at(objects: GitObjects, commit: str | None) -> Policy:
    """The policy that stands in a commit; the default where there is none.

    Raises:
        ConfigError: it does not parse, or is of a newer version.
    """
    root = tree_of_commit(objects, commit)
    found = objects.entry(root, FILE) if root else None
    if found is None:
        return DEFAULT
    if found.is_tree or found.mode == _SYMLINK:
        raise ConfigError(f"{FILE} at {str(commit)[:12]} is no plain file", do="commit the policy as a file")
    return parse(objects.read(found.oid, "blob"), source=f"{FILE} at {str(commit)[:12]}")


def judge_runs(
    tree: RunTree,
    runs: Sequence[str],
    *,
    tag: str | None,
    stage: Stage = Stage.TAG,
    commit: str | None = None,
    checks: Sequence[str] = (),
) -> Audit:
    """Audit runs as the number of a tag; without a tag, at the level of the first pattern of the policy.

    Args:
        runs: full run ids.
        commit: where the tag stands; without it, where the code of the newest run was committed.
        checks: check runs to judge by, beside those of the same code that are on record.

    Raises:
        UsageError: the policy makes no result of a tag of that name.
        ConfigError: the policy does not parse.
    """
    evidence = gather(tree, runs)
    commit = commit or _newest_commit(evidence)
    policy = policy_at(tree.objects, commit)
    claim = Claim(
        runs=_cite(evidence.runs),
        commit=commit,
        code_tree=tree_of_commit(tree.objects, commit),
        level=_level(policy, tag),
        stage=stage,
        tag=tag,
    )
    if beside := {*checks, *find_checks(tree, claim, evidence.whole.runs)}:
        evidence = replace(evidence, checks=gather(tree, (), checks=[*beside]).checks)
    cited = {run.id: run for run in (*evidence.checks, *evidence.behind)}
    ordered = [cited[run] for run in sorted(cited, reverse=True)]
    return judge(replace(claim, evidence=_cite(ordered)), evidence, policy)


def _newest_commit(evidence: Evidence) -> str | None:
    """Where the tag goes: the commit that the newest run ran at, or that its code was committed as later."""
    commits = [_commit_of(run) for run in sorted(evidence.runs, key=lambda run: run.id)]
    return next((commit for commit in reversed(commits) if isinstance(commit, str)), None)


def _commit_of(run: RunEvidence) -> str | None:
    return run.promoted.commit if run.promoted and run.code.get("dirty") is not False else run.code.get("commit")


def _cite(runs: Sequence[RunEvidence]) -> tuple[Cited, ...]:
    return tuple(Cited(id=run.id, tree=run.tree or "", commit=run.code.get("commit")) for run in runs)


def _level(policy: Policy, tag: str | None) -> str:
    if tag is None:
        return next((level for _, level in policy.levels), "minimal")
    level = policy.level_for(tag)
    if level is None:
        patterns = ", ".join(policy.patterns) or "none"
        raise UsageError(
            f"tag {tag} would be no result",
            why=f"the policy makes results of {patterns}",
            do="choose a name that matches, or make an ordinary tag with `git tag`",
        )
    return level


def judge_result(
    tree: RunTree,
    result: Result,
    *,
    stage: Stage,
    pushed: bool | None = None,
    pushed_to: str = "REMOTE",
    at_least: str = "minimal",
) -> Audit:
    """Audit a result again, from what is on record now.

    Args:
        pushed: see `Evidence`.
        pushed_to: see `Evidence`.
        at_least: the level below which it is not judged, whatever the policy says.

    Raises:
        ConfigError: the policy at its commit does not parse.
    """
    policy = policy_at(tree.objects, result.commit)
    runs = [run.id for run in result.runs]
    checks = [run.id for run in result.evidence]
    evidence = gather(tree, runs, result=result.id, pushed=pushed, pushed_to=pushed_to, checks=checks)
    claim = Claim(
        runs=result.runs,
        commit=result.commit,
        code_tree=tree_of_commit(tree.objects, result.commit) or result.code_tree,
        level=max(policy.level_for(result.tag) or result.level, at_least, key=LEVELS.index),
        stage=stage,
        tag=result.tag,
        evidence=result.evidence,
    )
    return judge(claim, evidence, policy)


def refusal(audit: Audit, *, what: str) -> Refused:
    """Every check that blocks, as one error: its reason, and the way out of it."""
    blocking = audit.blocking
    many = "rule is" if len(blocking) == 1 else "rules are"
    return Refused(
        f"{what}: {len(blocking)} {many} not met at level {audit.level}",
        why=_listed(blocking, [f"{check.rule} {check.verdict}: {check.why}" for check in blocking]),
        do=_listed(blocking, [f"{check.rule}: {check.repair}" for check in blocking if check.repair]),
    )


def _listed(blocking: Sequence[Check], lines: Iterable[str]) -> str:
    shown = [*lines][:_SHOWN_AT_MOST]
    more = [f"and {len(blocking) - _SHOWN_AT_MOST} more"] if len(blocking) > _SHOWN_AT_MOST else []
    return "\n".join([*shown, *more])


def declare(
    repository: Repository,
    name: str,
    runs: Sequence[str],
    *,
    identity: Identity,
    note: str | None = None,
    now: float,
    prompts: bool = False,
    evidence: Sequence[str] = (),
) -> Result:
    """Audit runs and declare them a result, under a tag at their commit.

    May be repeated after a kill at any point: what is already there is taken up.

    Args:
        name: the tag's name, without `refs/tags/`.
        runs: what people type for runs, or for a group of them.
        identity: who declares it.
        note: a few words for people.
        now: seconds since 1970.
        prompts: somebody is there to be asked for the passphrase of a key.
        evidence: what people type for check runs, or for a group of them; those of the same code are found besides.

    Raises:
        UsageError: the name is none for a result, or is taken; there is no key to sign with; what is named as evidence
            is no check.
        ChildFailed: the tag is to be signed and cannot be.
        NotFound: there is no such run.
        Refused: the audit blocks; nothing was written.
        StorageError: the disk refuses.
    """
    tags.check_name(repository, name)
    fold_queue(repository, identity=identity)
    with RunTree(repository) as tree:
        chosen = select(repository, runs)
        if standing := read_ref(repository.common_dir, tags.PREFIX + name):
            return _declared_before(tree, name, standing, chosen)
        audit = judge_runs(tree, chosen, tag=name, checks=check_runs(tree, evidence))
        if not audit.ok:
            raise refusal(audit, what=f"tag {name} is refused")
    result = put_on_record(repository, audit, identity=identity, note=note, now=now)
    with RunTree(repository) as tree:
        digest = audit_digest(tree, result.id)
    tags.create(repository, result, digest, remarks=remarks(audit), identity=identity, now=now, prompts=prompts)
    return result


def remarks(audit: Audit) -> list[str]:
    """What a result carries with it for ever: rules that were waived, and code that was committed only later."""
    waived = [f"{check.rule}: {check.why}" for check in audit.checks if check.verdict is Verdict.WAIVED]
    code = [check.why for check in audit.checks if check.rule == "code" and check.verdict is Verdict.WARN]
    return [*(f"code: {why}" for why in code), *waived]


def _declared_before(tree: RunTree, name: str, standing: str, runs: Sequence[str]) -> Result:
    """The result that the tag already stands for, when it is the one asked for."""
    cited = tags.follow(tree.objects, standing).result
    if cited is not None:
        try:
            result = read_result(tree, cited)
        except GitreproError:
            raise tags.exists(name) from None
        if [run.id for run in result.runs] == list(runs):
            return result
    raise tags.exists(name)


def put_on_record(
    repository: Repository, audit: Audit, *, identity: Identity, note: str | None = None, now: float
) -> Result:
    """The result of an audit that passed, written down; one that is there already is returned as it is."""
    with RunTree(repository) as tree:
        kept = same_result(tree, audit)
    if kept is not None:
        return kept
    assert audit.tag and audit.commit and audit.code_tree, "an audit that passed has them"
    result = Result(
        id=ids.new_id(now_ms=int(now * 1000)),
        tag=audit.tag,
        level=audit.level,
        runs=audit.runs,
        as_of=audit.as_of,
        policy=audit.policy,
        commit=audit.commit,
        code_tree=audit.code_tree,
        actor={"email": identity.email, "name": identity.name},
        created_at=_stamp(now),
        note=note,
        algorithms=audit.algorithms,
        evidence=audit.evidence,
    )
    write_result(repository, result, audit, identity=identity)
    return result


def _stamp(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
