"""The 16 rules. Each is one function of a claim, its evidence and the policy, and reads nothing else.

Where nothing of the kind is on record the verdict is INCONCLUSIVE: silence is no evidence.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ..policy import REPEATS, RULES, Policy, Stage, need
from ..records.result import Check, Verdict
from ..records.run import Kind, Status
from .evidence import Claim, Evidence, RunEvidence

Rule: TypeAlias = Callable[[Claim, Evidence, Policy], Check]

RESULT_KINDS: Final = (Kind.TRAIN, Kind.EVAL)
_FILES_AT_MOST: Final = 10
_FINDINGS_AT_MOST: Final = 3
_GRAVITY: Final = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.WARN, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class _Finding:
    """What a rule found of one run."""

    verdict: Verdict
    why: str
    repair: str = ""


_Judge: TypeAlias = "Callable[[RunEvidence], tuple[Iterable[_Finding], Mapping[str, Any]]]"


def _per_run(rule: str, claim: Claim, evidence: Evidence, judge: _Judge) -> Check:
    """One check from what `judge` finds of each run: the gravest verdict decides."""
    found: list[tuple[RunEvidence, _Finding]] = []
    facts: dict[str, Any] = {}
    for run in evidence.runs:
        if run.record is None:
            found.append((run, _Finding(Verdict.INCONCLUSIVE, run.trouble)))
            continue
        findings, facts[run.id] = judge(run)
        found += [(run, finding) for finding in findings]
    return _check(rule, claim, *_gravest(found, several=len(evidence.runs) > 1), facts)


def _gravest(found: Sequence[tuple[RunEvidence, _Finding]], *, several: bool) -> tuple[Verdict, str, str]:
    if not found:
        return Verdict.INCONCLUSIVE, "there is no run to judge", "name at least one run"
    verdict = next(each for each in _GRAVITY if any(finding.verdict is each for _, finding in found))
    told = [(run, finding) for run, finding in found if finding.verdict is verdict]
    reasons = list(dict.fromkeys(_reason(run, finding, several=several) for run, finding in told))
    more = f"; and {len(reasons) - _FINDINGS_AT_MOST} more" if len(reasons) > _FINDINGS_AT_MOST else ""
    repairs = dict.fromkeys(finding.repair for _, finding in told if finding.repair)
    return verdict, "; ".join(reasons[:_FINDINGS_AT_MOST]) + more, "; or ".join([*repairs][:2])


def _reason(run: RunEvidence, finding: _Finding, *, several: bool) -> str:
    return f"{run.name} ({run.id[-8:]}): {finding.why}" if several else finding.why


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _check(rule: str, claim: Claim, verdict: Verdict, why: str, repair: str, facts: Mapping[str, Any]) -> Check:
    return Check(
        rule=rule,
        verdict=verdict,
        required=need(claim.level, rule, claim.stage),
        why=why,
        evidence=facts,
        repair="" if verdict is Verdict.PASS else repair,
    )


# -- seeds

_SEED_AGAIN: Final = "run it again with `gitrepro record --seed N -- COMMAND`"
_SEEDS_NOT_OF_A_GENERATOR: Final = ("hash", "numpy.default_rng")


def seeds(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """FAIL: a generator was drawn from that nobody seeded, or no seed is on record. INCONCLUSIVE: nobody looked."""
    return _per_run("seeds", claim, evidence, lambda run: (_seed_findings(run), _seed_facts(run)))


def _seed_facts(run: RunEvidence) -> dict[str, Any]:
    record = _seeds_of(run)
    return {
        "effective": record.get("effective"),
        "generators": [
            {"name": name, "seeded_by": row.get("seeded_by"), "used": bool(row.get("used"))}
            for process in _processes(run)
            for name, row in _generators(process)
        ],
        "processes": len(_processes(run)),
        "requested": record.get("requested"),
        "source": record.get("source"),
    }


def _seed_findings(run: RunEvidence) -> list[_Finding]:
    record, processes = _seeds_of(run), _processes(run)
    found = [finding for process in processes for finding in _process_findings(process)]
    if record.get("requested") is None and not _any_effective(record):
        return [*found, _Finding(Verdict.FAIL, "no seed is on record", _SEED_AGAIN)]
    if not processes:
        return [_unobserved(run)]
    return found or [_Finding(Verdict.PASS, _seeded_words(processes, record))]


def _any_effective(record: Mapping[str, Any]) -> bool:
    effective = record.get("effective")
    return isinstance(effective, dict) and any(seed is not None for seed in effective.values())


def _unobserved(run: RunEvidence) -> _Finding:
    requested = _seeds_of(run)["requested"]
    if _is_declared(run, requested):
        return _Finding(
            Verdict.WARN,
            f"the program was told the seed {requested}; that it used it is declared, not observed",
            "generators are observed in Python programs started by `gitrepro record -- python ...`",
        )
    return _Finding(
        Verdict.INCONCLUSIVE,
        f"seed {requested} was asked for, and no generator was observed",
        "start it as `gitrepro record --seed N -- python ...`, or give the program its seed as --seed N",
    )


def _process_findings(process: Mapping[str, Any]) -> Iterator[_Finding]:
    for name, row in _generators(process):
        yield from _generator_findings(name, row)
    made = _mapping(process.get("numpy.default_rng"))
    if _count(made.get("unseeded")):
        places = ", ".join(str(place) for place in made.get("unseeded_at") or ())
        where = f" at {places}" if places else ""
        why = f"{_count(made['unseeded'])} numpy.random.default_rng() without a seed{where}"
        yield _Finding(Verdict.FAIL, why, "give default_rng a seed, then run it again")
    if _mapping(process.get("hash")).get("randomised"):
        why = "string hashes differ from start to start, and with them the order of sets"
        yield _Finding(Verdict.WARN, why, f"{_SEED_AGAIN}, which sets PYTHONHASHSEED")


def _generator_findings(name: str, row: Mapping[str, Any]) -> Iterator[_Finding]:
    if not row.get("used"):
        return
    by, requested, effective = row.get("seeded_by"), row.get("requested"), row.get("effective")
    if by == "nobody":
        yield _Finding(Verdict.FAIL, f"{name} was drawn from, and nobody seeded it", _SEED_AGAIN)
    elif by not in ("gitrepro", "user"):
        yield _Finding(Verdict.FAIL, f"{name} was drawn from, and who seeded it is unknown", _SEED_AGAIN)
    elif row.get("drawn_unseeded"):
        why = f"{name} was drawn from before it was seeded"
        yield _Finding(Verdict.FAIL, why, f"seed it before anything is drawn, or {_SEED_AGAIN}")
    elif effective is None:
        why = f"{name} was seeded with something that is no integer"
        yield _Finding(Verdict.WARN, why, "seed it with an integer, which a record can give back")
    elif requested is not None and effective != requested:
        why = f"{name} ran with seed {effective}, and {requested} was asked for"
        yield _Finding(Verdict.WARN, why, "let the program take its seed from outside")


def _seeded_words(processes: Sequence[Mapping[str, Any]], record: Mapping[str, Any]) -> str:
    used = {
        name: row.get("effective") for process in processes for name, row in _generators(process) if row.get("used")
    }
    if not used:
        seed = record.get("requested")
        known = "its seeds are" if seed is None else f"seed {seed} is"
        return f"{known} on record, and no watched generator was drawn from"
    return "every generator in use was seeded: " + ", ".join(f"{name} {seed}" for name, seed in sorted(used.items()))


def _is_declared(run: RunEvidence, seed: object) -> bool:
    """Whether the program itself was handed the seed: in its configuration, or on its command line."""
    for key, value in _leaves(_values(run)):
        if _names_a_seed(key) and value == seed:
            return True
    words = run.record.argv if run.record else ()
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        following = value if equals else next(iter(words[index + 1 :]), "")
        if _names_a_seed(name) and following == str(seed):
            return True
    return False


def _names_a_seed(name: str) -> bool:
    return re.search(r"(?:^|[._\-/])(?:random[_\-]?)?seeds?$", name.lower()) is not None


def _seeds_of(run: RunEvidence) -> Mapping[str, Any]:
    return run.record.seeds if run.record else {}


def _processes(run: RunEvidence) -> list[Mapping[str, Any]]:
    listed = _seeds_of(run).get("processes")
    return [process for process in listed if isinstance(process, dict)] if isinstance(listed, list) else []


def _generators(process: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, row in sorted(process.items()):
        if name not in _SEEDS_NOT_OF_A_GENERATOR and isinstance(row, dict):
            yield name, row


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


# -- config


def config(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """INCONCLUSIVE: none on record. WARN: the program changed it, or values of it were hidden as secrets."""
    return _per_run("config", claim, evidence, lambda run: (_config_findings(run), _config_facts(run)))


def _config_facts(run: RunEvidence) -> dict[str, Any]:
    return {"changed": _changed(run), "hidden": _hidden(run), "values": sum(1 for _ in _leaves(_values(run)))}


def _config_findings(run: RunEvidence) -> Iterator[_Finding]:
    count = sum(1 for _ in _leaves(_values(run)))
    if not count:
        repair = "pass it as `gitrepro.record(config=...)`, or with `gitrepro record --config FILE --set KEY=VALUE`"
        yield _Finding(Verdict.INCONCLUSIVE, "no configuration is on record", repair)
        return
    if changed := _changed(run):
        repair = "set the values that count before the run begins"
        yield _Finding(Verdict.WARN, f"the program changed {', '.join(changed[:_FILES_AT_MOST])}", repair)
    if hidden := _hidden(run):
        repair = "keep secrets out of the configuration"
        why = f"{_counted(len(hidden), 'value')} hidden as secrets: {', '.join(hidden[:3])}"
        yield _Finding(Verdict.WARN, why, repair)
    if not changed and not hidden:
        yield _Finding(Verdict.PASS, f"{_counted(count, 'value')}, unchanged since the start")


def _changed(run: RunEvidence) -> list[str]:
    """Values that the program replaced. One that a file or the command line overrode was settled before the start."""
    document = run.config or {}
    sources, overridden = _mapping(document.get("sources")), _mapping(document.get("overridden"))
    return sorted(key for key, before in overridden.items() if before and sources.get(key) == "code")


def _hidden(run: RunEvidence) -> list[str]:
    listed = run.record.recorder.get("hidden") if run.record else None
    return [str(path) for path in listed] if isinstance(listed, list) else []


def _values(run: RunEvidence) -> Mapping[str, Any]:
    return _mapping((run.config or {}).get("values"))


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        dotted = f"{path}.{key}" if path else key
        if isinstance(value, dict) and value:
            yield from _leaves(value, dotted)
        else:
            yield dotted, value


# -- code


def code(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """FAIL unless every run's commit is in the repository, was clean, and holds the code of the result."""
    return _per_run("code", claim, evidence, lambda run: (_code_findings(claim, run), _code_facts(run)))


def _code_facts(run: RunEvidence) -> dict[str, Any]:
    return {
        "changes": list(run.code.get("changes") or ())[:_FILES_AT_MOST],
        "commit": run.code.get("commit"),
        "dirty": run.code.get("dirty"),
        "edited": list(run.code.get("edited") or ())[:_FILES_AT_MOST],
        "here": run.commit_tree is not None,
        "tree": run.commit_tree,
    }


def _code_findings(claim: Claim, run: RunEvidence) -> list[_Finding]:
    fault = _code_fault(claim, run)
    edited = [str(path) for path in run.code.get("edited") or ()]
    if fault is None and edited:
        why = f"{', '.join(edited[:_FILES_AT_MOST])} changed while it ran; what was read before is as committed"
        return [_Finding(Verdict.WARN, why, "run it in a work tree of its own: `git worktree add`")]
    if fault is None:
        return [_Finding(Verdict.PASS, f"it ran the code of commit {str(run.code['commit'])[:12]}, unchanged")]
    why, repair = fault
    return [_Finding(Verdict.FAIL, why, repair)]


def _code_fault(claim: Claim, run: RunEvidence) -> tuple[str, str] | None:
    again = "run it again in a Git repository with all code committed"
    commit, dirty = run.code.get("commit"), run.code.get("dirty")
    if run.record is None or run.record.code is None:
        return "it was recorded without a repository, so its code is not known", again
    if commit is None:
        return f"no commit is on record for it{_because(run.code.get('trouble'))}", again
    if dirty is not False:
        return _dirty_words(run), "commit the changes, then run it again"
    if run.commit_tree is None:
        fetch = "fetch the branch it is on, or `git fetch REMOTE refs/gitrepro/code`"
        return f"its commit {str(commit)[:12]} is not in this repository", fetch
    if run.code.get("tree") not in (None, run.commit_tree):
        return f"its record names another code tree than commit {str(commit)[:12]} holds", again
    if commit != claim.commit and run.commit_tree != claim.code_tree:
        why = f"it ran at {str(commit)[:12]}, and the result stands at {str(claim.commit)[:12]}, which is other code"
        return why, "name runs of one commit, or run it again at that commit"
    return None


def _because(trouble: object) -> str:
    return f": {trouble}" if trouble else ""


def _dirty_words(run: RunEvidence) -> str:
    changes = [str(change) for change in run.code.get("changes") or ()]
    count = run.code.get("changes_count") or len(changes)
    if not changes:
        return "whether its code was committed is not on record" if run.code.get("dirty") is None else "it ran dirty"
    more = f" and {count - _FILES_AT_MOST} more" if count > _FILES_AT_MOST else ""
    return f"it ran with uncommitted changes: {', '.join(changes[:_FILES_AT_MOST])}{more}"


# -- curves, efficiency


def curves(claim: Claim, evidence: Evidence, policy: Policy) -> Check:
    """PASS: a metric of at least `curves.steps` points, all of them finite. WARN: points that are not finite."""
    least = policy.threshold("curves.steps")
    return _per_run("curves", claim, evidence, lambda run: (_curve_findings(run, least), _curve_facts(run)))


def _curve_facts(run: RunEvidence) -> dict[str, Any]:
    return {name: {"count": count, "nonfinite": bad} for name, (count, bad) in _tallies(run).items()}


def _curve_findings(run: RunEvidence, least: int) -> list[_Finding]:
    tallies = _tallies(run)
    drawn = [name for name, (count, _) in tallies.items() if count >= least]
    if not drawn:
        most = max((count for count, _ in tallies.values()), default=0)
        why = f"no metric has {least} points or more; the longest has {most}" if tallies else "no metric is on record"
        return [_Finding(Verdict.INCONCLUSIVE, why, "log the metrics as the run goes: `run.log({...}, step=step)`")]
    broken = [f"{name} ({bad} of {count})" for name, (count, bad) in tallies.items() if bad]
    if broken:
        why = f"points that are not finite: {', '.join(broken[:_FILES_AT_MOST])}"
        return [_Finding(Verdict.WARN, why, "find out what made them: the learning rate, the precision, the data")]
    return [_Finding(Verdict.PASS, f"{_counted(len(drawn), 'metric')} step by step, all points finite")]


def _tallies(run: RunEvidence) -> dict[str, tuple[int, int]]:
    metrics = run.record.metrics if run.record else {}
    return {
        name: (_count(facts.get("count")), _count(facts.get("nonfinite")))
        for name, facts in sorted(metrics.items())
        if isinstance(facts, dict)
    }


def efficiency(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """PASS: wall time, processor time and peak memory are on record."""
    return _per_run("efficiency", claim, evidence, lambda run: (_cost_findings(run), _costs(run)))


_COSTS: Final = ("duration_seconds", "cpu_user_seconds", "cpu_system_seconds", "peak_memory_bytes")


def _costs(run: RunEvidence) -> dict[str, Any]:
    record = run.record
    known = {**record.cost, "duration_seconds": record.duration_seconds} if record else {}
    return {name: known.get(name) for name in _COSTS}


def _cost_findings(run: RunEvidence) -> list[_Finding]:
    costs = _costs(run)
    missing = [name for name, value in costs.items() if not _is_cost(value)]
    if missing:
        repair = "run it again; a run that ends by itself has its cost on record"
        return [_Finding(Verdict.INCONCLUSIVE, f"not on record: {', '.join(missing)}", repair)]
    return [_Finding(Verdict.PASS, "wall time, processor time and peak memory are on record")]


def _is_cost(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


# -- repeats


def repeats(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """PASS: as many distinct seeds as the level wants, of one configuration and one code. Fewer are INCONCLUSIVE."""
    wanted = REPEATS[claim.level]
    groups = _by_setting(evidence.runs)
    counts = sorted(len(found) for found in groups.values())
    facts = {"configurations": len(groups), "distinct_seeds": counts, "wanted": wanted}
    if len(groups) > 1:
        why = f"the runs have {len(groups)} configurations or codes, so they are no repeats of one another"
        repair = "name runs that differ by their seed alone"
        return _check("repeats", claim, Verdict.INCONCLUSIVE, why, repair, facts)
    found = counts[0] if counts else 0
    why = f"{found} {'seed' if found == 1 else 'distinct seeds'}, and {wanted} show how far the number moves by chance"
    if found < wanted:
        repair = "repeat the run with other seeds: `gitrepro record --seed N -- COMMAND`"
        return _check("repeats", claim, Verdict.INCONCLUSIVE, why, repair, facts)
    return _check("repeats", claim, Verdict.PASS, f"{found} distinct seeds of one configuration and code", "", facts)


def _by_setting(runs: Iterable[RunEvidence]) -> dict[str, set[str]]:
    """Distinct seeds by what the runs have in common: code, and configuration without the seed."""
    groups: dict[str, set[str]] = {}
    for run in runs:
        seeds = groups.setdefault(_setting(run), set())
        if seed := _seed_of(run):
            seeds.add(seed)
    return groups


def _setting(run: RunEvidence) -> str:
    values = {key: value for key, value in _leaves(_values(run)) if not _names_a_seed(key)}
    # Without a configuration the command line stands for it.
    words = [] if values else _without_seed(run.record.argv if run.record else ())
    return json.dumps([run.code.get("tree") or run.commit_tree, values, words], sort_keys=True, default=str)


def _without_seed(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and _names_a_seed(word.partition("=")[0]):
            skip = "=" not in word
        elif skip:
            skip = False
        else:
            kept.append(word)
    return kept


def _seed_of(run: RunEvidence) -> str:
    """The seeds in force, as one word; empty when none is known."""
    effective = {name: seed for name, seed in _mapping(_seeds_of(run).get("effective")).items() if seed is not None}
    if effective:
        return json.dumps(effective, sort_keys=True)
    requested = _seeds_of(run).get("requested")
    return "" if requested is None else str(requested)


# -- audit: the run is registered


def audit(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """FAIL unless every run is on record, whole, finished, not removed, and the one that the claim cites.

    At push and on a server the remote must hold the runs too, or the tag would point at something others cannot see.
    """
    found = [(run, finding) for run in evidence.runs for finding in _registration(claim, run)]
    if claim.stage is not Stage.TAG and evidence.runs:
        found.append((evidence.runs[0], _publication(evidence)))
    facts = {run.id: {"status": run.record.status if run.record else None, "tree": run.tree} for run in evidence.runs}
    several = len(evidence.runs) > 1
    return _check("audit", claim, *_gravest(found, several=several), {"pushed": evidence.pushed, "runs": facts})


def _registration(claim: Claim, run: RunEvidence) -> list[_Finding]:
    fault = _registration_fault(claim, run)
    if fault is None:
        return [_Finding(Verdict.PASS, "on record, finished, and as cited")]
    why, repair = fault
    return [_Finding(Verdict.FAIL, why, repair)]


def _registration_fault(claim: Claim, run: RunEvidence) -> tuple[str, str] | None:
    others = "name a run that `gitrepro ls` shows as finished"
    cited = next((cited.tree for cited in claim.runs if cited.id == run.id), None)
    if run.record is None or run.trouble:
        return f"run {run.id[-8:]} cannot stand in a result: {run.trouble}", others
    if run.tree != cited:
        why = f"the record of {run.id[-8:]} is not the one that was declared"
        return why, "fetch the record from a remote that has the one declared, or declare a new result"
    if run.record.kind not in RESULT_KINDS:
        return f"a run of kind {run.record.kind} stands in no result", others
    if run.record.status != Status.FINISHED:
        return f"it is {run.record.status.replace('_', ' ')}, not finished", others
    if run.standing.removed:
        return "it was removed", others
    return None


def _publication(evidence: Evidence) -> _Finding:
    push = f"git push {evidence.pushed_to} refs/gitrepro/runs refs/gitrepro/code"
    if evidence.pushed:
        return _Finding(Verdict.PASS, "the remote holds the runs")
    if evidence.pushed is None:
        return _Finding(Verdict.INCONCLUSIVE, "whether the remote holds the runs is not known", f"`{push}`")
    return _Finding(Verdict.FAIL, "the remote does not hold the runs of this result", f"`{push}`")


# -- rules whose evidence is not collected

_WANTED: Final[Mapping[str, str]] = {
    "data": "name the data and the split of each run by content",
    "baseline": "score a simple model on the same data with the same metric",
    "shuffle": "train once with shuffled labels and keep its score",
    "overfit": "train once on a handful of examples and keep its loss",
    "distribution": "compare the statistics of training and test data",
    "stopping": "state the stopping rule and the data it watches before the run",
    "batch": "keep batch size, accumulation and number of devices of each run",
    "precision": "keep the numeric precision and its flags of each run",
    "separation": "keep the examples of each split, and every reading of the test split",
}


def _no_evidence(rule: str) -> Rule:
    def judge(claim: Claim, _evidence: Evidence, _policy: Policy) -> Check:
        repair = f"{_WANTED[rule]}; until that is on record, claim a level in .gitrepro.yaml that does not require it"
        return _check(rule, claim, Verdict.INCONCLUSIVE, "no evidence of this kind is on record", repair, {})

    return judge


_DECIDABLE: Final[Mapping[str, Rule]] = {
    "seeds": seeds,
    "config": config,
    "code": code,
    "curves": curves,
    "efficiency": efficiency,
    "repeats": repeats,
    "audit": audit,
}
ALL: Final[Mapping[str, Rule]] = {rule: _DECIDABLE.get(rule) or _no_evidence(rule) for rule in RULES}
"""The rules in their order."""

ALGORITHMS: Final[Mapping[str, int]] = dict.fromkeys(RULES, 1)
"""The version of each rule; it moves when the same evidence would be judged otherwise."""
