"""What examples that are there more than once do to the score, and whether equal inputs have equal labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ...data.duplicates import Pair
from ...records.result import Verdict
from ...records.sanity import Example
from ..task import TRAIN, Data, Kind
from .classes import texts_of
from .nature import equal_by_nature
from .pairs import Found
from .settings import BY_NATURE, CLEAN_LEAST, CONFLICT_FAIL, ERRORS_MOVED, PAIRS_KEPT, WITHIN_WARN, Judged

PARAMETERS: Final[Mapping[str, Any]] = {
    "by_nature": BY_NATURE,
    "clean_least": CLEAN_LEAST,
    "errors_moved": ERRORS_MOVED,
    "within_warn": WITHIN_WARN,
}
OF_LABELS: Final[Mapping[str, Any]] = {"conflict_fail": CONFLICT_FAIL, "by_nature": BY_NATURE}


def look(found: Found, data: Data, kind: Kind, *, seed: int) -> dict[str, Any]:
    """How many examples of each part have an equal, or nearly equal, one in the same part or in another."""
    names, exact = sorted(data.parts), of_scored(found.exact, data)
    across = {
        f"{one}+{other}": counts
        for place, one in enumerate(names)
        for other in names[place + 1 :]
        if any((counts := _between(found, one, other)).values())
    }
    return {
        "across": across,
        "by_nature": equal_by_nature(data, kind, seed=seed),
        "examples": {name: len(part) for name, part in sorted(data.parts.items())},
        "in_train": {"exact": len(exact), "near": len(of_scored(found.near, data) - exact)},
        "left_out": dict(found.left_out),
        **({"lost": found.lost, "repair": found.repair} if found.lost else {}),
        "looked": found.looked,
        "scored": data.scored,
        "within": {name: _within(found.exact, name) for name in names},
    }


def of_scored(pairs: Iterable[Pair], data: Data) -> set[str]:
    """The ids of the scored part that have a pair in train."""
    wanted = {(TRAIN, data.scored): 1, (data.scored, TRAIN): 0}
    found = set()
    for pair in pairs:
        place = wanted.get((pair.part_a, pair.part_b))
        if place is not None:
            found.add((pair.a, pair.b)[place])
    return found


def _between(found: Found, one: str, other: str) -> dict[str, int]:
    sides = ({one, other},)
    return {
        kind: len({(p.part_b, p.b) for p in pairs if {p.part_a, p.part_b} in sides})
        for kind, pairs in (("exact", found.exact), ("near", found.near))
    }


def _within(pairs: Iterable[Pair], name: str) -> int:
    return len({pair.b for pair in pairs if pair.part_a == pair.part_b == name})


def examples_of(found: Found, data: Data) -> tuple[Example, ...]:
    """Pairs to look at: those between train and the scored part first, then other parts, then within one."""

    def order(pair: Pair) -> tuple[int, float]:
        sides = {pair.part_a, pair.part_b}
        return (0 if sides == {TRAIN, data.scored} else 1 if len(sides) == 2 else 2), pair.distance

    shown = sorted([*found.exact, *found.near], key=order)[:PAIRS_KEPT]
    return tuple(
        Example(
            ids=(pair.a, pair.b),
            parts=(pair.part_a, pair.part_b),
            says="the same content" if pair.kind == "exact" else f"nearly the same ({pair.kind})",
            numbers={"distance": float(pair.distance)},
        )
        for pair in shown
    )


def judge(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> Judged:
    """FAIL where the metric moves by more than a standard error without what train has, too; else WARN."""
    inside = sum(observed["in_train"].values())
    if inside:
        return _in_train(observed, parameters)
    if observed["across"]:
        first, counts = next(iter(observed["across"].items()))
        why = f"{sum(counts.values()):,} examples are in both parts of {first}, which is not scored here"
        return Judged(Verdict.WARN, why, "split again by content before that part is scored")
    many = {name: count for name, count in observed["within"].items() if count}
    crowded = [name for name, count in many.items() if count > parameters["within_warn"] * observed["examples"][name]]
    said = ", ".join(f"{count:,} in {name}" for name, count in many.items())
    if crowded:
        return Judged(Verdict.WARN, f"examples repeat another of their part: {said}", "leave out what is there twice")
    if "lost" in observed:
        why = f"no example of one part is in another just so; near ones were not looked for: {observed['lost']}"
        return Judged(Verdict.INCONCLUSIVE, why, observed["repair"])
    what = f"no example of one part is in another, of {sum(observed['examples'].values()):,}"
    return Judged(Verdict.PASS, f"{what} ({observed['looked']})" + (f"; within a part {said}" if said else ""))


_AS: Final[Mapping[str, str]] = {"exact": "just so", "near": "nearly so"}


def _in_train(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> Judged:
    counts, scored = observed["in_train"], observed["scored"]
    said = " and ".join(f"{count:,} {_AS[kind]}" for kind, count in counts.items() if count)
    said = f"of {observed['examples'][scored]:,} examples of {scored} train has {said}"
    repair = "leave them out of train, or of the score"
    metric = observed.get("metric")
    if not metric:
        why = observed.get("failed") or "there are no predictions to compute the metric from"
        return Judged(Verdict.INCONCLUSIVE, f"{said}; what they do to the score is not known: {why}", repair)
    moved = {kind: each for kind, each in metric.items() if _moves(each, parameters)}
    each = next(iter((moved or dict(reversed(metric.items()))).values()))
    verdict, numbers = _of_metric(each, bool(moved), observed["examples"][scored], parameters)
    if verdict is Verdict.FAIL and _by_nature(observed, parameters):
        return Judged(Verdict.WARN, f"{said}; {numbers}; coarse inputs meet by chance, which explains most", repair)
    return Judged(verdict, f"{said}; {numbers}", repair)


def _of_metric(
    metric: Mapping[str, Any], moved: bool, scored: int, parameters: Mapping[str, Any]
) -> tuple[Verdict, str]:
    if "score_without" not in metric:
        verdict = Verdict.FAIL if 2 * metric["left_out"] > scored else Verdict.INCONCLUSIVE
        return verdict, f"{metric['left']} are left, and {parameters['clean_least']} are the least to score"
    numbers = f"the metric is {metric['score']:.4g}, and {metric['score_without']:.4g} without them"
    return Verdict.FAIL if moved else Verdict.WARN, f"{numbers} (standard error {metric['error']:.2g})"


def _by_nature(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    inside = sum(observed["in_train"].values())
    return bool(observed["by_nature"]["in_train"] >= parameters["by_nature"] * inside)


def _moves(metric: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    if "score_without" not in metric:
        return False
    return bool(abs(metric["score"] - metric["score_without"]) > parameters["errors_moved"] * metric["error"])


# -- labels


def look_at_labels(found: Found, data: Data, kind: Kind, *, seed: int) -> tuple[dict[str, Any], tuple[Example, ...]]:
    """How many examples share their input with one of another label, and how many no model can get right."""
    observed: dict[str, Any] = {"examples": sum(map(len, data.parts.values())), "kind": kind}
    labels = {name: texts_of(part) for name, part in data.parts.items()}
    if kind != "classification" or any(each is None for each in labels.values()):
        return observed, ()
    of = {
        (name, str(id)): label
        for name, part in data.parts.items()
        for id, label in zip(part.ids, labels[name] or (), strict=True)
    }
    counts = [Counter(of[member] for member in members) for members in groups_of(found.exact)]
    torn = [each for each in counts if len(each) > 1]
    observed["by_nature"] = equal_by_nature(data, kind, seed=seed)["repeated"] if counts else 0.0
    observed["repeated"] = sum(each.total() for each in counts)
    observed["in_conflict"] = sum(each.total() for each in torn)
    observed["least_errors"] = sum(each.total() - max(each.values()) for each in torn)
    pairs = [p for p in found.exact if of[(p.part_a, p.a)] != of[(p.part_b, p.b)]]
    return observed, tuple(_conflict(pair, of) for pair in pairs[:PAIRS_KEPT])


def groups_of(pairs: Iterable[Pair]) -> list[list[tuple[str, str]]]:
    """The examples that are equal to each other, as lists of part and id."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def top(member: tuple[str, str]) -> tuple[str, str]:
        while (above := parent.setdefault(member, member)) != member:
            parent[member] = parent.setdefault(above, above)
            member = above
        return member

    for pair in pairs:
        parent[top((pair.part_a, pair.a))] = top((pair.part_b, pair.b))
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for member in list(parent):
        groups.setdefault(top(member), []).append(member)
    return list(groups.values())


def _conflict(pair: Pair, of: Mapping[tuple[str, str], str | None]) -> Example:
    one, other = of[(pair.part_a, pair.a)], of[(pair.part_b, pair.b)]
    says = f"the same content, labelled {one!s:.40} and {other!s:.40}"
    return Example(ids=(pair.a, pair.b), parts=(pair.part_a, pair.part_b), says=says)


def judge_labels(observed: Mapping[str, Any], parameters: Mapping[str, Any]) -> Judged:
    """FAIL where labels that contradict each other cost more than a point of accuracy; WARN for fewer."""
    if "in_conflict" not in observed:
        why = "labels are no classes" if observed["kind"] != "classification" else "not every part has labels"
        return Judged(Verdict.NOT_APPLICABLE, f"{why}, so equal inputs cannot contradict each other")
    if not observed["in_conflict"]:
        return Judged(Verdict.PASS, f"{observed['repeated']:,} examples have an equal one, all with the same label")
    share = observed["least_errors"] / observed["examples"]
    why = f"{observed['in_conflict']:,} examples have an equal one of another label"
    why += f": no model gets more than {1 - share:.1%} right"
    coarse = observed["by_nature"] >= parameters["by_nature"] * observed["repeated"]
    if share > parameters["conflict_fail"] and not coarse:
        return Judged(Verdict.FAIL, why, "look at these pairs, and at how labels are joined to inputs")
    more = "; coarse inputs meet by chance, which explains most" if coarse else ""
    return Judged(Verdict.WARN, why + more, "look at these pairs")
