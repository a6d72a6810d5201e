"""From what people ask for to positions, and the rule that says how: the one place where the ways to split meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from ...errors import UsageError
from .asking import COLUMN, Items, class_rule, classes_of, column_of, group_rule, groups_of, ids_of, texts
from .columns import by_column
from .groups import by_balance, check_whole
from .hashing import by_hash
from .ranking import by_rank
from .shares import fold_shares, shares_of
from .times import by_time, cuts_at, latest_of_groups, moments_of

if TYPE_CHECKING:
    import numpy as np

ALGORITHM: Final = 1
USUAL: Final[Mapping[str, float]] = {"train": 0.8, "val": 0.1, "test": 0.1}
_EMPTY_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What people ask of a split.

    Args:
        by: `hash`, `kfold`, `column` or `time`; when not given, what the other fields call for.
        fractions: by part, summing to 1, the earliest part first for `time`; for `kfold`, what stands beside the folds.
        folds: how many, for `kfold`.
        group: a column, `folder`, or a regular expression over ids: none of its values stands in two parts.
        stratify: True for the label, or a column: each part gets its share of each class.
        exact: sizes to within one item, as if all were of one class.
        column: whose values name the parts, for `column`; `parts_of` maps them to names, "" leaving items out.
        time: the column of times, for `time`; `cuts` are the first moments of the second part and of later ones.
        seed: another seed gives other parts, for `hash` and `kfold`.
    """

    by: str | None = None
    fractions: Mapping[str, float] = field(default_factory=dict)
    folds: int | None = None
    group: str | None = None
    stratify: str | bool | None = None
    exact: bool = False
    column: str | None = None
    parts_of: Mapping[str, str] | None = None
    time: str | None = None
    cuts: Sequence[str] | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Divided:
    """Parts as positions, and all that is known of how they came about."""

    ids: Sequence[str]
    parts: Mapping[str, np.ndarray]
    rule: Mapping[str, Any]
    shares: Mapping[str, Fraction] | None = None
    classes: Sequence[str | None] | None = None
    group: str | None = None
    seed: int | None = None
    stable: bool = False


def divide(dataset: Items, name: str, wish: Wish) -> Divided:
    """Divide the items of a data set for a split called `name`.

    Raises:
        UsageError: the wishes do not fit each other or the data, a group would be torn, or a part would be empty.
    """
    by = _way_of(wish)
    group = group_rule(dataset, wish.group)
    ids = ids_of(dataset)
    groups = groups_of(dataset, group, ids)
    if by == "column":
        divided = _by_column(dataset, ids, wish, group)
    elif by == "time":
        divided = _by_time(dataset, ids, wish, group, groups)
    else:
        divided = _by_hash(dataset, ids, name, wish, group, groups)
    if groups is not None:
        check_whole(divided.parts, groups)
    _check_none_empty(divided)
    return divided


# -- which way


_BELONGS: Final = {
    "hash": ("fractions", "stratify", "exact", "seed"),
    "kfold": ("fractions", "folds", "stratify", "exact", "seed"),
    "column": ("column", "parts_of"),
    "time": ("fractions", "time", "cuts"),
}
_NEEDS: Final = {"kfold": "folds", "column": "column", "time": "time"}


def _way_of(wish: Wish) -> str:
    by = wish.by or next((way for way, needed in _NEEDS.items() if getattr(wish, needed) is not None), "hash")
    if by not in _BELONGS:
        raise UsageError(f"there is no way to split called {by!r:.40}", why=f"there are {', '.join(_BELONGS)}")
    if (needed := _NEEDS.get(by)) and getattr(wish, needed) is None:
        raise UsageError(f"a split by {by} needs {needed}", do=f"give --{needed}")
    options = {option for way in _BELONGS.values() for option in way}
    strays = sorted(each for each in options - {*_BELONGS[by]} if getattr(wish, each))
    if strays or (wish.seed is not None and "seed" not in _BELONGS[by]):
        raise UsageError(
            f"{strays[0] if strays else 'seed'} does not go with a split by {by}",
            why=f"it takes {', '.join(_BELONGS[by])} and group",
        )
    return by


def _check_none_empty(divided: Divided) -> None:
    empty = [name for name, places in divided.parts.items() if not len(places)]
    if empty or not divided.parts:
        raise UsageError(
            f"no item falls into {', '.join(empty[:_EMPTY_SHOWN]) or 'any part'}",
            why=f"there are {len(divided.ids):,} items for {len(divided.parts)} parts",
            do="take larger fractions, another seed, or --exact",
        )


# -- the ways


def _by_hash(
    dataset: Items,
    ids: list[str],
    name: str,
    wish: Wish,
    group: str | None,
    groups: list[str | None] | None,
) -> Divided:
    folded = wish.folds is not None
    shares = fold_shares(wish.folds, wish.fractions) if wish.folds else shares_of(wish.fractions or USUAL)
    kinds = class_rule(dataset, wish.stratify)
    classes = classes_of(dataset, kinds)
    seed = wish.seed or 0
    salt = f"{name}:{seed}"
    stable = classes is None and not wish.exact
    if stable:
        parts = by_hash(ids, shares, salt=salt, groups=groups)
    elif groups is not None:
        parts = by_balance(ids, shares, salt=salt, groups=groups, labels=classes)
    else:
        parts = by_rank(ids, shares, salt=salt, labels=classes)
    rule = {
        "algorithm": ALGORITHM,
        "by": "kfold" if folded else "hash",
        "exact": not stable,
        "fractions": {part: float(share) for part, share in shares.items()},
        "group": group,
        "salt": salt,
        "stratify": kinds,
    }
    if folded:
        rule["folds"] = wish.folds
    return Divided(
        ids=ids, parts=parts, rule=rule, shares=shares, classes=classes, group=group, seed=seed, stable=stable
    )


def _by_column(dataset: Items, ids: list[str], wish: Wish, group: str | None) -> Divided:
    column = str(wish.column).removeprefix(COLUMN)
    parts = by_column(texts(column_of(dataset, column)), parts_of=wish.parts_of)
    rule: dict[str, Any] = {"algorithm": ALGORITHM, "by": "column", "column": column, "group": group}
    if wish.parts_of is not None:
        rule["parts_of"] = dict(wish.parts_of)
    # Each row says itself where it belongs.
    return Divided(ids=ids, parts=parts, rule=rule, group=group, stable=True)


def _by_time(dataset: Items, ids: list[str], wish: Wish, group: str | None, groups: list[str | None] | None) -> Divided:
    column = str(wish.time).removeprefix(COLUMN)
    moments = moments_of(column_of(dataset, column))
    times = moments.values if groups is None else latest_of_groups(moments.values, groups)
    names, shares = _times_parts(wish)
    cuts = [moments.cut(each) for each in wish.cuts] if wish.cuts else cuts_at(times, list(shares.values()))
    rule = {
        "algorithm": ALGORITHM,
        "by": "time",
        "cuts": [moments.text(cut) for cut in cuts],
        "group": group,
        "order": names,
        "time": column,
    }
    parts = by_time(times, names, cuts=cuts)
    # With cuts of their own, items that are added move none; with fractions the cuts move.
    return Divided(ids=ids, parts=parts, rule=rule, group=group, stable=bool(wish.cuts) and group is None)


def _times_parts(wish: Wish) -> tuple[list[str], dict[str, Fraction]]:
    """The parts in the order of time, and their shares where no cuts are given."""
    if not wish.cuts:
        shares = shares_of(wish.fractions or USUAL)
        return list(shares), shares
    if not wish.fractions and len(wish.cuts) > len(USUAL) - 1:
        raise UsageError(f"{len(wish.cuts)} cuts need names for their parts", do="name the parts, earliest first")
    if wish.fractions and any(wish.fractions.values()):
        raise UsageError("cuts and fractions do not go together", do="give one or the other")
    usual = ["train", "test"] if len(wish.cuts) == 1 else list(USUAL)
    return list(wish.fractions) or usual, {}
