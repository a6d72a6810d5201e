"""The rule `repeats`: how far the number moves by chance, and whether the gain is more than that."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ...policy import REPEATS, Policy
from ...records.result import Check, Verdict
from ...records.seeds import effective_seed
from ...records.seedset import seed_set_key
from ..evidence import Claim, Evidence, RunEvidence
from .finding import check, counted, seeds_of, values_of
from .gain import gain_of


def repeats(claim: Claim, evidence: Evidence, policy: Policy) -> Check:
    """PASS: as many distinct seeds as the level wants, in one seed set. Fewer are INCONCLUSIVE.

    The seeds in force count: two runs that were asked for different seeds and ran with one are one repeat. Below
    strict, fewer are a WARN where the gain over the baseline is more than they leave open. As many are a WARN where it
    is less.
    """
    wanted = REPEATS[claim.level]
    sets = _by_set(evidence.runs)
    counts = sorted(len(found) for found in sets.values())
    facts = {"configurations": len(sets), "distinct_seeds": counts, "wanted": wanted}
    if len(sets) > 1:
        why = f"the runs have {len(sets)} configurations, codes or data, so they are no repeats of one another"
        repair = "name runs that differ by their seed alone"
        return check("repeats", claim, Verdict.INCONCLUSIVE, why, repair, facts)
    found = counts[0] if counts else 0
    gain = gain_of(claim, evidence, policy) if found > 1 else None
    if gain is not None:
        facts["gain"] = gain.document()
    if found < wanted and gain is not None and gain.is_resolved and claim.level != "strict":
        why = f"{counted(found, 'distinct seed')}; {gain.said}"
        repair = f"{wanted} show better how far the number moves: `gitrepro repeat RUN --seeds 0..{wanted - 1}`"
        return check("repeats", claim, Verdict.WARN, why, repair, facts)
    if found < wanted:
        why = f"{counted(found, 'distinct seed')}, and {wanted} show how far the number moves by chance"
        repair = "repeat the run with other seeds: `gitrepro record --seed N -- COMMAND`"
        return check("repeats", claim, Verdict.INCONCLUSIVE, why, repair, facts)
    if gain is not None and not gain.is_resolved:
        repair = "repeat it with more seeds: `gitrepro repeat RUN --seeds ...`"
        why = f"{found} distinct seeds; {gain.said}"
        return check("repeats", claim, Verdict.WARN, why, repair, facts)
    return check("repeats", claim, Verdict.PASS, f"{found} distinct seeds of one configuration and code", "", facts)


def _by_set(runs: Iterable[RunEvidence]) -> dict[str, set[str]]:
    """Distinct seeds by seed set. A run without a known seed has a place in a set, and counts for none."""
    sets: dict[str, set[str]] = {}
    for run in runs:
        seeds = sets.setdefault(seed_set_key(run.record, values_of(run)) if run.record else "", set())
        if effective := effective_seed(seeds_of(run)):
            seeds.add(json.dumps(effective, sort_keys=True, default=str))
    return sets
