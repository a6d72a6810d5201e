"""What the data checks are told, and the numbers their verdicts turn on, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, final

from ...data.duplicates import Tell
from ...records.result import Verdict
from ..task import Predictions
from .declared import check_schema

CLASSES_APART: Final = 0.05
"""Total variation of the classes: at most 5 points of a score can come from another mix of classes alone."""
CLASSES_SHOWN: Final = 0.2
"""Where chance alone makes more than this, parts are too small to say anything of their classes."""
CLASS_LOST: Final = 5
"""Examples of a class that train has none of: fewer may be there by bad luck, where train is most of the data."""

MEAN_WARN: Final = 0.1
"""Standardised mean difference below which groups are called balanced (Austin 2009)."""
MEAN_FAIL: Final = 0.5
"""Half a standard deviation: a medium effect (Cohen 1988), which no random split of this size makes."""
SHAPE_WARN: Final = 0.1
"""Kolmogorov-Smirnov distance: a tenth of the examples would have to move."""
MISSING_WARN: Final = 0.05
"""Difference of the shares of missing values."""
OUTSIDE_WARN: Final = 0.01
"""Share of values of a feature that lie outside of what train has shown."""
CHANCE_LEVEL: Final = 0.01
"""How often parts of one source, drawn at random, would be called different; over all features together."""
DRAWS: Final = 500
"""Random splits that the greatest difference is held against: of these five exceed its 99th centile."""
PART_LEAST: Final = 10
"""Examples (or groups) below which nothing is said of a distribution."""
VALUES_AT_MOST: Final = 20_000_000
"""Values of a part that drift is computed from, 160 MB: beyond, from examples drawn at random."""

ERRORS_MOVED: Final = 1.0
"""Standard errors that the metric may move when examples that train has, too, are left out."""
CLEAN_LEAST: Final = 20
"""Examples that must be left to compute the metric from without them."""
RESAMPLES: Final = 400
"""Bootstrap samples of the scored part for its standard error, which they give to 4 %."""
WITHIN_WARN: Final = 0.01
"""Share of a part that repeats it, above which its counts and its standard errors are off by one in a hundred."""
CONFLICT_FAIL: Final = 0.01
"""Share of examples that no model can get right, since the same input has other labels: one point of accuracy."""
BY_NATURE: Final = 0.5
"""Share of equal examples that independent coarse columns explain, above which nobody need have copied them."""

FITTED_RELATIVE: Final = 1e-4
"""How near told and recomputed parameters have to be: float32 sums over 10^7 values differ by less."""
INFLUENCE_SHARE: Final = 0.05
"""Share of the usual budget for runs that look for influence: what is fitted before training does not hang on it."""
INFLUENCE_LEAST: Final = 20
"""Scored examples below which a run with others tells nothing."""
PAIRS_KEPT: Final = 100
"""Examples a line shows."""


class Judged(NamedTuple):
    """A verdict, and what it says."""

    verdict: Verdict
    why: str
    repair: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DataSettings:
    """Options of the data checks.

    Attributes:
        schema: what is declared of the columns, by their names: of a table those of `Data.features` (`x0`, `x1`, …
            without them), of images `height`, `width`, `mean`, …, of texts `characters`, `words`; and `label`. Each a
            mapping with any of `dtype` (`int`, `float`, `bool`, `text`), `low`, `high`, `allowed` (a list), and
            `missing` (False where no value may be missing).
        predictions: of the scored part by the real experiment. Without them it is run once more, where examples are
            found in both train and the scored part.
        near: whether near duplicates are looked for, too.
        embeddings: by part, float arrays of shape (n, width): where the inputs are neither texts nor images, examples
            whose vectors point the same way are near duplicates.
        influence: whether the experiment is run three times with a little of its budget, to see if scored examples
            have a part in what is predicted of others.
        thresholds: of the names that `parameters` of a line have, where they are not those below.
        seed: of those runs, and of all that is drawn here.
        tell: called now and then while duplicates are looked for, with a step's name, how far it is, and of how many.
    """

    schema: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    predictions: Predictions | None = None
    near: bool = True
    embeddings: Mapping[str, Any] | None = None
    influence: bool = True
    influence_share: float = INFLUENCE_SHARE
    thresholds: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    tell: Tell | None = None

    def __post_init__(self) -> None:
        check_schema(self.schema)
