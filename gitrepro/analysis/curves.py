"""What curves show: whether they fall, diverge, jump, oscillate, lie on a plateau, or part from each other.

Each function takes float64 arrays of shape (n,) in the order of logging, passes over values that are not finite, and
returns what it found with the numbers and thresholds that it judged by. A training that is watched is judged by
streaming forms of the first two (`training/stopping`), which agree with these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from ..records.metricnames import Mode
from ..records.stopping import DivergenceRule, FallingRule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

ALGORITHM: Final = 1
_MAD_TO_SD: Final = 1.4826
_TINY: Final = 1e-300
_HUGE: Final = 2.0**64
_WINDOWS_AT_ONCE: Final = 1 << 15
_LISTED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a detector found.

    Attributes:
        found: whether the curve has what the detector looks for; None where too few values tell.
        parameters: the thresholds.
        seen: the numbers that it was judged by.
    """

    found: bool | None
    parameters: Mapping[str, Any]
    seen: Mapping[str, Any]


def not_falling(values: Array, rule: FallingRule | None = None, *, warm_up_values: int = 0) -> Judged:
    """Whether a training loss shows no downward trend (Mann 1945, Kendall 1975), and began no higher than it went on
    (Mann and Whitney 1947); both one-sided, by the normal approximation.

    It is looked at over the first 500 values after the warm-up, and where it has not fallen in those over the first
    1,000. Of fewer than 500 a trend counts, and the lack of one does not: a healthy curve may take that long.
    """
    rule = rule or FallingRule()
    after = values[warm_up_values:]
    parameters = {**asdict(rule), "warm_up_values": warm_up_values}
    looks = [look for look in (rule.warn_after_values, rule.stop_after_values) if len(after) >= look]
    seen: dict[str, Any] = {"values": len(after)}
    for count in looks or [len(after)]:
        found = finite(after[:count])
        if not looks and len(found) < rule.blocks:
            break
        s, p = _mann_kendall(_block_means(found, rule.blocks))
        head_p = _mann_whitney(found, rule.head)
        seen = {"values": count, "s": s, "p": p, "head_p": head_p}
        if p < rule.alpha or head_p < rule.head_alpha:
            return Judged(found=False, parameters=parameters, seen=seen)
    return Judged(found=True if looks else None, parameters=parameters, seen=seen)


def diverged(values: Array, rule: DivergenceRule | None = None) -> Judged:
    """Whether the rolling median of a loss stays above a multiple of its best; `at` is the place that shows it."""
    import numpy as np

    rule = rule or DivergenceRule()
    places = np.flatnonzero(np.isfinite(values))
    found = values[places]
    if len(found) < rule.window:
        return Judged(found=None, parameters=asdict(rule), seen={"values": len(found)})
    medians = rolling_median(found, rule.window)
    best = np.minimum.accumulate(medians)
    noise = _noise_at_best(found[rule.window - 1 :], medians, best, rule)
    ratio = np.where(noise > rule.noisy, rule.noisy_ratio, rule.ratio)
    first = max(float(medians[0]), float(np.median(found[: min(rule.start_values, rule.window)])))
    limit = _limit(best, first, ratio, rule)
    streak = _streak((medians > limit) & (limit > best))
    hits = np.flatnonzero(streak >= rule.hold)
    at = int(hits[0]) if len(hits) else len(medians) - 1
    seen = {
        "values": len(found),
        "at": int(places[at + rule.window - 1]),
        "median": float(medians[at]),
        "best_median": float(best[at]),
        "began_at": first,
        "limit": float(limit[at]),
        "ratio": float(ratio[at]),
        "noise": float(noise[at]),
        "above_values": int(streak[at]),
    }
    return Judged(found=bool(len(hits)), parameters=asdict(rule), seen=seen)


def spikes(values: Array, *, window: int = 100, mads: float = 8.0, least: int = 20, longest: int = 200_000) -> Judged:
    """Values that stand out: more than 8 median absolute deviations above the median of the 100 before them.

    They are told and judge nothing: healthy trainings have them. Of very long curves the last 200,000 values are
    looked at, which takes a second.
    """
    import numpy as np

    parameters = {"window": window, "mads": mads, "least": least, "longest": longest}
    places = np.flatnonzero(np.isfinite(values))[-longest:]
    found = values[places]
    if len(found) <= least:
        return Judged(found=None, parameters=parameters, seen={"values": len(found)})
    height = np.full(len(found), -np.inf)
    # Of the first values the windows are shorter; of the others they are rows of one view.
    for place in range(least, min(window, len(found))):
        height[place] = _height(found[None, :place], found[place : place + 1])[0]
    views = np.lib.stride_tricks.sliding_window_view(found, window)[:-1] if len(found) > window else found[:0]
    for start in range(0, len(views), _WINDOWS_AT_ONCE):
        before = views[start : start + _WINDOWS_AT_ONCE]
        at = slice(window + start, window + start + len(before))
        height[at] = _height(before, found[at])
    hits = places[height > mads]
    listed = [int(place) for place in hits[:_LISTED]]
    seen = {"values": len(found), "count": len(hits), "at": listed, "largest_mads": float(height.max())}
    return Judged(found=bool(len(hits)), parameters=parameters, seen=seen)


def _height(before: Array, values: Array) -> Array:
    """How many deviations each value is above the median of its row, shape (n, window); none where nothing deviates."""
    import numpy as np

    middle = np.median(before, axis=1)
    spread = np.median(np.abs(before - middle[:, None]), axis=1)
    return np.where(spread > 0, (values - middle) / np.maximum(spread, _TINY), -np.inf)


def oscillates(values: Array, *, share: float = 0.5, blocks: int = 20) -> Judged:
    """Whether a loss swings by more than half of what it falls: the standard deviation in 20 blocks to the drop."""
    import numpy as np

    parameters = {"share": share, "blocks": blocks}
    found = finite(values)
    if len(found) < 2 * blocks:
        return Judged(found=None, parameters=parameters, seen={"values": len(found)})
    parts = np.array_split(found, blocks)
    drop = float(parts[0].mean() - parts[-1].mean())
    residual_sd = float(np.sqrt(np.mean([part.var(ddof=1) for part in parts])))
    seen = {"values": len(found), "drop": drop, "residual_sd": residual_sd}
    # What does not fall has no drop to swing about: that is another detector's business.
    return Judged(found=residual_sd > share * drop if drop > 0 else None, parameters=parameters, seen=seen)


def plateau(values: Array, *, share: float = 0.2, level: float = 0.95, points: int = 100) -> Judged:
    """Whether the last fifth of a curve has no slope: the interval of the Theil-Sen slope holds 0 (Sen 1968).

    Of more than 100 values the means of 100 blocks are taken. The slope is per value.
    """
    import numpy as np

    parameters = {"share": share, "level": level, "points": points}
    found = finite(values)
    last = found[len(found) - max(1, int(len(found) * share)) :]
    if len(last) < 10:
        return Judged(found=None, parameters=parameters, seen={"values": len(last)})
    width = max(1, len(last) // points)
    means = np.array([part.mean() for part in np.array_split(last, len(last) // width)])
    first, second = np.triu_indices(len(means), 1)
    slopes = np.sort((means[second] - means[first]) / (second - first)) / width
    n = len(means)
    half = _normal_quantile(level) * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, math.floor((len(slopes) - half) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + half) / 2))
    slope, least, most = float(np.median(slopes)), float(slopes[low]), float(slopes[high])
    seen = {"values": len(last), "slope": slope, "slope_low": least, "slope_high": most}
    return Judged(found=least <= 0.0 <= most, parameters=parameters, seen=seen)


def overfits(
    val: tuple[Array, Array],
    train: tuple[Array, Array],
    *,
    mode: Mode,
    patience: int = 5,
) -> Judged:
    """Whether a validation metric got worse since its best while the training metric went on getting better.

    Args:
        val, train: steps and values.
        mode: what is better of both.
        patience: so many evaluations after the best are needed.
    """
    import numpy as np

    sign = 1.0 if mode == "max" else -1.0
    parameters = {"patience": patience}
    (val_steps, val_values), (train_steps, train_values) = (_finite_pair(*each) for each in (val, train))
    if len(val_values) <= patience or len(train_values) < 2:
        return Judged(found=None, parameters=parameters, seen={"values": len(val_values)})
    best = int(np.argmax(sign * val_values))
    after = len(val_values) - 1 - best
    late = float(np.median(val_values[-min(3, len(val_values)) :]))
    noise = _MAD_TO_SD * float(np.median(np.abs(np.diff(val_values)))) / math.sqrt(2)
    near = np.flatnonzero(train_steps <= val_steps[best])
    then = float(np.median(train_values[near[-5:]])) if len(near) else float(train_values[0])
    now = float(np.median(train_values[-5:]))
    worse, learned = sign * (val_values[best] - late), sign * (now - then)
    seen = {
        "values": len(val_values),
        "best": float(val_values[best]),
        "best_step": int(val_steps[best]),
        "last": float(val_values[-1]),
        "last_step": int(val_steps[-1]),
        "evaluations_after_best": after,
        "late_median": late,
        "noise": noise,
        "train_then": then,
        "train_now": now,
    }
    return Judged(found=bool(after >= patience and worse > noise and learned > 0), parameters=parameters, seen=seen)


# -- parts


def finite(values: Array) -> Array:
    """Those of the values that are neither NaN nor infinite."""
    import numpy as np

    return values[np.isfinite(values)]


def _finite_pair(steps: Array, values: Array) -> tuple[Array, Array]:
    import numpy as np

    kept = np.isfinite(values)
    return steps[kept], values[kept]


def rolling_median(values: Array, window: int) -> Array:
    """The median of each `window` values in a row, shape (n - window + 1,)."""
    import numpy as np

    medians = np.empty(len(values) - window + 1)
    with np.errstate(over="ignore"):
        for start in range(0, len(medians), _WINDOWS_AT_ONCE):
            piece = values[start : start + _WINDOWS_AT_ONCE + window - 1]
            views = np.lib.stride_tricks.sliding_window_view(piece, window)
            medians[start : start + len(views)] = np.median(views, axis=1)
    return medians


def _block_means(values: Array, blocks: int) -> list[float]:
    edges = [len(values) * place // blocks for place in range(blocks + 1)]
    pairs = ((edges[place], edges[place + 1]) for place in range(blocks))
    return [_mean(values[start:stop].tolist()) for start, stop in pairs if stop > start]


def _mean(values: list[float]) -> float:
    # Exact sums, as the streaming form has them.
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        return math.fsum(value / _HUGE for value in values) / len(values) * _HUGE


def _mann_kendall(means: list[float]) -> tuple[int, float]:
    """Pairs that rise less those that fall, and how often chance alone falls as much."""
    import numpy as np

    n = len(means)
    if n < 3:
        return 0, 1.0
    earlier, later = np.triu_indices(n, 1)
    array = np.asarray(means)
    s = int(np.sign(array[later] - array[earlier]).sum())
    z = (s - np.sign(s)) / math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return s, 0.5 * math.erfc(-float(z) / math.sqrt(2))


def _mann_whitney(values: Array, head: int) -> float:
    """How often chance alone puts the first values as far above the others."""
    import numpy as np

    rest = len(values) - head
    if rest < head:
        return 1.0
    ordered = np.sort(values)
    below, upto = (np.searchsorted(ordered, values[:head], side=side) for side in ("left", "right"))
    u = float((below + upto + 1).sum() / 2 - head * (head + 1) / 2)
    z = (u - head * rest / 2) / math.sqrt(head * rest * (len(values) + 1) / 12)
    return 0.5 * math.erfc(z / math.sqrt(2))


def _noise_at_best(values: Array, medians: Array, best: Array, rule: DivergenceRule) -> Array:
    """For each place the noise of the last values before the best so far, as a share of the median there."""
    import numpy as np

    residuals = np.abs(values - medians) / np.maximum(np.abs(medians), _TINY)
    lower = np.flatnonzero(np.concatenate([[True], medians[1:] < best[:-1]]))
    width = rule.noise_window
    noise = np.empty(len(lower))
    early = lower < width - 1
    noise[early] = [np.median(residuals[: place + 1]) for place in lower[early]]
    if not early.all():
        views = np.lib.stride_tricks.sliding_window_view(residuals, width)
        wanted = lower[~early] - (width - 1)
        pieces = [wanted[start : start + _WINDOWS_AT_ONCE] for start in range(0, len(wanted), _WINDOWS_AT_ONCE)]
        noise[~early] = np.concatenate([np.median(views[piece], axis=1) for piece in pieces])
    since = np.searchsorted(lower, np.arange(len(medians)), side="right") - 1
    return np.asarray((_MAD_TO_SD * noise)[since])


def _limit(best: Array, first: float, ratio: Array, rule: DivergenceRule) -> Array:
    import numpy as np

    fallen = first - best
    above = np.maximum(best * ratio, best + rule.least_rise * fallen)
    return np.where(best < 0, best + (ratio - 1.0) * np.maximum(-best, fallen), above)


def _streak(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each place how many flags in a row stand up to it."""
    import numpy as np

    places = np.arange(1, len(flags) + 1)
    return places - np.maximum.accumulate(np.where(flags, 0, places))


def _normal_quantile(level: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(0.5 + level / 2)
