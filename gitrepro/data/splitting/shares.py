"""What share of the items each part is to have, as exact fractions: rounding must not depend on a machine."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from ...errors import UsageError
from ...records.split import check_name

_TOLERANCE: Final = Fraction(1, 1_000_000)
_FOLDS_AT_MOST: Final = 1_000


def shares_of(fractions: Mapping[str, float]) -> dict[str, Fraction]:
    """The shares that people wrote as decimals: 0.1 is one tenth. They sum to one.

    Raises:
        UsageError: a fraction is not above 0, they do not sum to 1, or a part cannot have its name.
    """
    shares = {check_name(name, "a part"): _share(name, value) for name, value in fractions.items()}
    total = sum(shares.values(), Fraction(0))
    if abs(total - 1) > _TOLERANCE:
        raise UsageError(
            f"the fractions sum to {float(total):.6g}",
            why=", ".join(f"{name} {fractions[name]}" for name in fractions),
            do="let them sum to 1; what is to be left out is a part too, for example unused=0.1",
        )
    return {name: share / total for name, share in shares.items()}


def _share(name: str, value: float) -> Fraction:
    try:
        share = Fraction(repr(float(value)))
    except (TypeError, ValueError):  # nan and inf have no fraction
        share = Fraction(0)
    if not 0 < share <= 1:
        raise UsageError(f"the fraction of {name} is {value}", why="it is above 0 and at most 1")
    return share


def fold_shares(folds: int, beside: Mapping[str, float]) -> dict[str, Fraction]:
    """Equal shares for `fold-0` … `fold-<k-1>`, of what the parts `beside` them leave.

    Raises:
        UsageError: there are not 2 to 1,000 folds, or nothing is left for them.
    """
    if not 2 <= folds <= _FOLDS_AT_MOST:
        raise UsageError(f"{folds} folds cannot be made", why=f"there are 2 to {_FOLDS_AT_MOST:,} of them")
    others = {check_name(name, "a part"): _share(name, value) for name, value in beside.items()}
    left = 1 - sum(others.values(), Fraction(0))
    if left <= 0:
        raise UsageError("nothing is left for the folds", why=f"the other parts take {float(1 - left):.6g}")
    folded = {f"fold-{number}": left / folds for number in range(folds)}
    if shared := folded.keys() & others.keys():
        raise UsageError(f"{min(shared)} is the name of a fold", do="give the other part another name")
    return {**others, **folded}
