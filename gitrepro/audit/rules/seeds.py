"""The rule `seeds`: every generator in use was seeded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ...policy import Policy
from ...records.result import Check, Verdict
from ...records.run import Status
from ..evidence import Claim, Evidence, RunEvidence
from .finding import Finding, count_of, leaves, mapping, names_a_seed, per_run, seeds_of, values_of

_SEED_AGAIN: Final = "run it again with `gitrepro record --seed N -- COMMAND`"
_RANKS_LISTED: Final = 100
_SEEDS_NOT_OF_A_GENERATOR: Final = ("hash", "numpy.default_rng")


def seeds(claim: Claim, evidence: Evidence, _policy: Policy) -> Check:
    """FAIL: a generator was drawn from that nobody seeded, or no seed is on record. INCONCLUSIVE: nobody looked."""
    return per_run("seeds", claim, evidence, lambda run: (_findings(run), _facts(run)), earlier=True)


def _facts(run: RunEvidence) -> dict[str, Any]:
    record = seeds_of(run)
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


def _findings(run: RunEvidence) -> list[Finding]:
    record, processes = seeds_of(run), _processes(run)
    found = [finding for process in processes for finding in _process_findings(process)]
    found += _unseen_ranks(run)
    if record.get("requested") is None and not _any_effective(record):
        return [*found, Finding(Verdict.FAIL, "no seed is on record", _SEED_AGAIN)]
    if not processes:
        return [_unobserved(run)]
    return found or [Finding(Verdict.PASS, _seeded_words(processes, record))]


def _unseen_ranks(run: RunEvidence) -> Iterator[Finding]:
    """Ranks on another host keep what they drew to themselves."""
    ranks = mapping(run.record.ranks if run.record else None)
    size, seen = count_of(ranks.get("world_size")), ranks.get("seen")
    # A record lists so many ranks and no more: a full list says nothing of the rest.
    if isinstance(seen, list) and len(seen) < min(size, _RANKS_LISTED):
        why = f"{len(seen)} of {size} ranks are on record; what the others drew is not known"
        yield Finding(Verdict.WARN, why, "let all ranks write to one shared folder: GITREPRO_SPOOL")


def _any_effective(record: Mapping[str, Any]) -> bool:
    effective = record.get("effective")
    return isinstance(effective, dict) and any(seed is not None for seed in effective.values())


def _unobserved(run: RunEvidence) -> Finding:
    requested = seeds_of(run)["requested"]
    if _is_declared(run, requested):
        return Finding(
            Verdict.WARN,
            f"the program was told the seed {requested}; that it used it is declared, not observed",
            "generators are observed in Python programs started by `gitrepro record -- python ...`",
        )
    if run.record and run.record.status != Status.FINISHED:
        # An attempt that was killed: what it was given is known, what it did with it died with it.
        why = f"seed {requested} was asked for, and it died before it could tell of its generators"
        return Finding(Verdict.WARN, why, "start the attempts anew, as one run")
    return Finding(
        Verdict.INCONCLUSIVE,
        f"seed {requested} was asked for, and no generator was observed",
        "start it as `gitrepro record --seed N -- python ...`, or give the program its seed as --seed N",
    )


def _process_findings(process: Mapping[str, Any]) -> Iterator[Finding]:
    for name, row in _generators(process):
        yield from _generator_findings(name, row)
    made = mapping(process.get("numpy.default_rng"))
    if count_of(made.get("unseeded")):
        places = ", ".join(str(place) for place in made.get("unseeded_at") or ())
        where = f" at {places}" if places else ""
        why = f"{count_of(made['unseeded'])} numpy.random.default_rng() without a seed{where}"
        yield Finding(Verdict.FAIL, why, "give default_rng a seed, then run it again")
    if mapping(process.get("hash")).get("randomised"):
        why = "string hashes differ from start to start, and with them the order of sets"
        yield Finding(Verdict.WARN, why, f"{_SEED_AGAIN}, which sets PYTHONHASHSEED")


def _generator_findings(name: str, row: Mapping[str, Any]) -> Iterator[Finding]:
    if not row.get("used"):
        return
    by, requested, effective = row.get("seeded_by"), row.get("requested"), row.get("effective")
    if by == "nobody":
        yield Finding(Verdict.FAIL, f"{name} was drawn from, and nobody seeded it", _SEED_AGAIN)
    elif by not in ("gitrepro", "user"):
        yield Finding(Verdict.FAIL, f"{name} was drawn from, and who seeded it is unknown", _SEED_AGAIN)
    elif row.get("drawn_unseeded"):
        why = f"{name} was drawn from before it was seeded"
        yield Finding(Verdict.FAIL, why, f"seed it before anything is drawn, or {_SEED_AGAIN}")
    elif effective is None:
        why = f"{name} was seeded with something that is no integer"
        yield Finding(Verdict.WARN, why, "seed it with an integer, which a record can give back")
    elif by != "gitrepro" and requested is not None and effective != requested:
        why = f"{name} ran with seed {effective}, and {requested} was asked for"
        yield Finding(Verdict.WARN, why, "let the program take its seed from outside")


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
    for key, value in leaves(values_of(run)):
        if names_a_seed(key) and value == seed:
            return True
    words = run.record.argv if run.record else ()
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        following = value if equals else next(iter(words[index + 1 :]), "")
        if names_a_seed(name) and following == str(seed):
            return True
    return False


def _processes(run: RunEvidence) -> list[Mapping[str, Any]]:
    listed = seeds_of(run).get("processes")
    return [process for process in listed if isinstance(process, dict)] if isinstance(listed, list) else []


def _generators(process: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, row in sorted(process.items()):
        if name not in _SEEDS_NOT_OF_A_GENERATOR and isinstance(row, dict):
            yield name, row
