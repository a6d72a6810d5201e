"""What one check of an experiment found: a verdict, and all that it was drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from .result import Verdict


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Something to look at: one example, or a pair of them.

    Attributes:
        ids: one or two.
        parts: the part of each.
        says: why it is shown, as `the same text`, or `distance 3 of 64`.
        numbers: by name, such as `distance`.
    """

    ids: tuple[str, ...]
    parts: tuple[str, ...]
    says: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One line of what `gitrepro check` prints and keeps. The verdict follows from `observed` and `parameters`.

    Attributes:
        rule: of the sixteen: `baseline`, `shuffle`, `overfit`, `distribution` or `separation`.
        name: `rule.what`, as `shuffle.labels`.
        algorithm: version of the procedure; it grows when a verdict could come out differently.
        parameters: settings and thresholds.
        inputs: digests of what it looked at, by name.
        observed: the numbers the verdict is drawn from.
        why: one sentence with the numbers that decide.
        repair: what to do, where the verdict is not PASS.
        examples: at most 100, the gravest first.
        runs: ids of the runs that are its evidence.
    """

    rule: str
    name: str
    verdict: Verdict
    algorithm: int
    why: str
    repair: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    observed: Mapping[str, Any] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    runs: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Plain maps, lists and numbers, as records and `--json` have them."""
        return {
            "algorithm": self.algorithm,
            "examples": [
                {
                    "ids": list(each.ids),
                    "numbers": dict(each.numbers),
                    "parts": list(each.parts),
                    "says": each.says,
                }
                for each in self.examples
            ],
            "inputs": dict(self.inputs),
            "name": self.name,
            "observed": dict(self.observed),
            "parameters": dict(self.parameters),
            "repair": self.repair,
            "rule": self.rule,
            "runs": list(self.runs),
            "verdict": str(self.verdict),
            "why": self.why,
        }
