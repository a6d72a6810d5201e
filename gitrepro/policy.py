"""What a repository demands of a result: `.gitrepro.yaml` read, and one table of levels, rules and stages."""

from __future__ import annotations

import difflib
import fnmatch
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NoReturn, TypeAlias

from .errors import ConfigError
from .records import yaml as canonical
from .records.result import Need
from .records.thresholds import THRESHOLDS as OF_CHECKS

# A node of PyYAML, which takes too long to load for its name alone.
Node: TypeAlias = Any

FILE: Final = ".gitrepro.yaml"
VERSION: Final = 1
MAX_BYTES: Final = 64 << 10
MAX_DEPTH: Final = 16

RULES: Final[Mapping[str, str]] = {
    "seeds": "Every random generator in use was seeded, and the seeds in force are on record.",
    "config": "The effective configuration is on record, whole, and was not changed after the start.",
    "data": "The data that the runs saw is named by its content, and is the same for all of them.",
    "code": "The commit of the result holds exactly the code that ran.",
    "baseline": "The number stands beside what a simple model reaches on the same data.",
    "shuffle": "With shuffled labels the score falls to chance, so no label leaks into the input.",
    "overfit": "The model learns a handful of examples by heart, so the training loop can learn.",
    "distribution": "Training and test data are alike, or how they differ is known.",
    "curves": "The metrics are on record step by step, and are finite.",
    "stopping": "When to stop was decided by a rule on validation data, stated before the run.",
    "batch": "The effective batch size is on record, and is the same for all runs.",
    "precision": "The numeric precision and the flags that change results are on record.",
    "efficiency": "What the runs cost in time and memory is on record.",
    "separation": "No test example had a part in training or in a choice.",
    "repeats": "Runs that differ by their seed alone show how far the number moves by chance.",
    "audit": "The runs are on record as they were when the result was declared, for anyone to judge again.",
}
"""The rules in their order, each with what it asks."""

FLOOR: Final = frozenset({"seeds", "code", "audit"})
"""Rules that every level requires and no waiver lifts; `audit` is the one that asks for a registered run."""


class Stage(StrEnum):
    """When a claim is judged."""

    TAG = "tag"
    PUSH = "push"
    SERVER = "server"


LEVELS: Final = ("minimal", "standard", "strict")
"""The levels, each asking for more than the one before."""

# What each level requires, then what it advises. The rest is off.
_AT_TAG: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "minimal": (FLOOR, frozenset({"config", "data", "curves", "efficiency", "repeats"})),
    "standard": (
        FLOOR | {"config", "data", "curves", "efficiency", "batch", "precision", "baseline", "repeats"},
        frozenset({"shuffle", "overfit", "distribution", "stopping", "separation"}),
    ),
    "strict": (frozenset(RULES), frozenset()),
}

REPEATS: Final[Mapping[str, int]] = {"minimal": 3, "standard": 3, "strict": 5}
"""How many distinct seeds the rule `repeats` wants at each level."""

THRESHOLDS: Final[Mapping[str, int]] = {"curves.steps": 2}
"""Counts that the audit asks for and a policy may raise, with what they are without one. It may also make those of the
checks stricter, see `records.thresholds`."""

PUSH: Final[Mapping[str, tuple[str, ...]]] = {
    "code": ("always", "ask", "never"),
    "results": ("demand", "offer"),
    "runs": ("on-finish", "manual"),
}
"""What is said of pushing: whether code goes too, what a pushed result tag asks for, when runs go by themselves."""


def need(level: str, rule: str, stage: Stage) -> Need:
    """What `level` makes of `rule` at `stage`.

    Advice is given where the work is done: what is advised at tag and push is off on a server, which only decides.
    """
    required, advised = _AT_TAG[level]
    if rule in required:
        return Need.REQUIRED
    return Need.ADVISED if rule in advised and stage is not Stage.SERVER else Need.OFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a repository demands of a result.

    Attributes:
        levels: pattern of tag names → level, in the order of the file.
        goals: metric → `max` or `min`.
        prices: what an hour of something costs, by its name.
        thresholds: those of `THRESHOLDS` and of the checks that the file makes stricter.
        push: how things are published, by the names of `PUSH`; `{"code": "ask"}` when the file is silent.
        store: settings of the content store, as they stand in the file.
    """

    levels: tuple[tuple[str, str], ...] = (("result/*", "minimal"),)
    goals: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, float] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    push: Mapping[str, str] = field(default_factory=lambda: {"code": "ask"})
    store: Mapping[str, Any] = field(default_factory=dict)

    @property
    def patterns(self) -> tuple[str, ...]:
        return tuple(pattern for pattern, _ in self.levels)

    def level_for(self, tag_name: str) -> str | None:
        """The level that a tag of this name claims, or None for an ordinary tag.

        Of several patterns that match the most demanding decides, wherever it stands: a line that is added can only
        ask for more. `*` stands for any characters, slashes too, `?` for one; case counts.
        """
        matching = (level for pattern, level in self.levels if fnmatch.fnmatchcase(tag_name, pattern))
        return max(matching, key=LEVELS.index, default=None)

    def threshold(self, name: str) -> int:
        """One of `THRESHOLDS`."""
        return int(self.thresholds.get(name, THRESHOLDS[name]))

    def dump(self) -> bytes:
        """The policy in canonical form: equal demands are equal bytes, whatever the file looks like."""
        return canonical.dump(
            {
                "metrics": {name: {"goal": goal} for name, goal in self.goals.items()},
                "prices": dict(self.prices),
                "push": dict(self.push),
                "results": [{"level": level, "pattern": pattern} for pattern, level in self.levels],
                "store": dict(self.store),
                "thresholds": dict(self.thresholds),
                "version": VERSION,
            }
        )


DEFAULT: Final = Policy()
"""What a repository without a policy file demands."""


def parse(data: bytes, source: str = FILE) -> Policy:
    """Read a policy file.

    Raises:
        ConfigError: it does not parse, says something this program does not know, or is of a newer version; the
            message names `source` and the line.
    """
    root = _compose(data, source)
    reader = _Reader(source)
    if root is None:
        reader.fail(1, "the file is empty", do="write `version: 1` as its first line")
    top = reader.mapping(root, what="the policy")
    reader.version(top, root)
    reader.known(top, ("version", "results", "metrics", "prices", "thresholds", "push", "store"), what="setting")
    values: dict[str, Any] = {name: read(reader, top[key]) for key, (name, read) in _SECTIONS.items() if key in top}
    return Policy(**values)


def _compose(data: bytes, source: str) -> Any:
    """The nodes of the one document, after a look at its size and depth that builds nothing."""
    import yaml

    if len(data) > MAX_BYTES:
        raise ConfigError(f"{source} is larger than {MAX_BYTES >> 10} KiB", do="keep in it what the policy needs")
    try:
        text = data.decode("utf-8-sig")
        _scan(text, source)
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source} is not UTF-8", why=str(error), do="save it as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{source}:{line}: not YAML", why=error.problem or error.context or "") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not YAML", why=str(error).replace("\n", " ")) from error


def _scan(text: str, source: str) -> None:
    import yaml

    depth = 0
    events: Iterable[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigError(f"{source}:{line}: aliases are not read here", do="write the value out, or quote the `*`")
        if getattr(event, "tag", None):
            raise ConfigError(f"{source}:{line}: the tag {event.tag!r:.60} is not read here", do="write a plain value")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ConfigError(f"{source}:{line}: nested deeper than {MAX_DEPTH} levels")


class _Reader:
    """Values out of YAML nodes, each refusal with its line."""

    def __init__(self, source: str) -> None:
        self.source = source
        # A value that is a block begins on the line after its name; people look for the name.
        self._lines: dict[int, int] = {}

    def fail(self, where: Node | int, what: str, *, why: str = "", do: str = "") -> NoReturn:
        line = where if isinstance(where, int) else self._lines.get(id(where), where.start_mark.line + 1)
        raise ConfigError(f"{self.source}:{line}: {what}", why=why, do=do)

    def mapping(self, node: Node, *, what: str) -> dict[str, Node]:
        if node.id != "mapping":
            self.fail(node, f"{what} is no list of `name: value` lines")
        pairs: dict[str, Node] = {}
        for key, value in node.value:
            if key.id != "scalar":
                self.fail(key, "a name is a list or a mapping", do="write a plain name")
            if key.value in pairs:
                self.fail(key, f"{key.value!r:.80} stands twice", do="keep one of them")
            pairs[key.value] = value
            self._lines[id(value)] = key.start_mark.line + 1
        return pairs

    def version(self, top: Mapping[str, Node], root: Node) -> None:
        if "version" not in top:
            self.fail(root, "there is no version", do="write `version: 1` as the first line")
        found = self.scalar(top["version"])
        if not isinstance(found, int) or isinstance(found, bool) or found < 1:
            self.fail(top["version"], f"version is {found!r:.40}", do="write `version: 1`")
        if found > VERSION:
            self.fail(
                top["version"],
                f"the policy has version {found}",
                why=f"this gitrepro reads version {VERSION}",
                do="upgrade gitrepro; recording and looking work meanwhile",
            )

    def known(self, pairs: Mapping[str, Node], names: Iterable[str], *, what: str) -> None:
        known = list(names)
        for name, node in pairs.items():
            if name not in known:
                self.fail(node, f"there is no {what} {name!r:.80}", why=nearest(name, known), do=one_of(known))

    def choice(self, node: Node, known: Iterable[str], *, what: str) -> str:
        value, names = self.scalar(node), list(known)
        if value not in names:
            self.fail(node, f"{value!r:.80} is no {what}", why=nearest(str(value), names), do=one_of(names))
        return str(value)

    def number(self, node: Node, *, what: str) -> float:
        value = self.scalar(node)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
            self.fail(node, f"{what} is {value!r:.40}", do="write a number that is 0 or greater")
        return value

    def scalar(self, node: Node) -> Any:
        if node.id != "scalar":
            self.fail(node, "a list or a mapping stands where one value is expected")
        return self.plain(node)

    def plain(self, node: Node) -> Any:
        """Any value, as plain Python."""
        if node.id == "mapping":
            return {name: self.plain(value) for name, value in self.mapping(node, what="this").items()}
        if node.id == "sequence":
            return [self.plain(value) for value in node.value]
        if node.tag.rsplit(":", 1)[-1] not in ("bool", "int", "float", "null"):
            return node.value
        return self._typed(node)

    def _typed(self, node: Node) -> Any:
        import yaml

        try:
            return yaml.SafeLoader("").construct_object(node)
        except ValueError as error:
            self.fail(node, f"{node.value!r:.40} is no value", why=str(error))


def nearest(name: str, known: Iterable[str]) -> str:
    """What was meant, for the reason of an error; empty when nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def one_of(known: Iterable[str]) -> str:
    """What there is to choose from, for the way out of an error."""
    return f"known are {', '.join(known)}"


def _levels(reader: _Reader, node: Node) -> tuple[tuple[str, str], ...]:
    pairs = reader.mapping(node, what="results")
    for pattern, value in pairs.items():
        fault = pattern_fault(pattern)
        if fault:
            reader.fail(value, f"no tag can match the pattern {pattern!r:.80}", why=fault)
    return tuple((pattern, reader.choice(value, LEVELS, what="level")) for pattern, value in pairs.items())


# What Git allows in no ref name, and brackets: a pattern has `*` and `?` only, so that sh and Python agree on it.
_FORBIDDEN = re.compile(r"[\s\x00-\x20\x7f~^:\\\[\]]")


def pattern_fault(pattern: str) -> str:
    """Why no tag name can match `pattern`; empty when one can."""
    if not pattern or pattern.startswith(("/", "-", ".", "refs/")) or pattern.endswith(("/", ".", ".lock")):
        return "it is empty, begins with / - . or refs/, or ends with / . or .lock"
    if ".." in pattern or "//" in pattern or "@{" in pattern:
        return "a tag name never contains .. // or @{"
    found = _FORBIDDEN.search(pattern)
    return f"a pattern cannot contain {found[0]!r}" if found else ""


def _goals(reader: _Reader, node: Node) -> dict[str, str]:
    goals = {}
    for metric, below in reader.mapping(node, what="metrics").items():
        settings = reader.mapping(below, what=f"the metric {metric!r:.80}")
        reader.known(settings, ("goal",), what="setting of a metric")
        if "goal" in settings:
            goals[metric] = reader.choice(settings["goal"], ("max", "min"), what="goal")
    return goals


def _prices(reader: _Reader, node: Node) -> dict[str, float]:
    pairs = reader.mapping(node, what="prices")
    return {name: reader.number(value, what=f"the price {name!r:.80}") for name, value in pairs.items()}


def _thresholds(reader: _Reader, node: Node) -> dict[str, float]:
    pairs = reader.mapping(node, what="thresholds")
    reader.known(pairs, (*THRESHOLDS, *OF_CHECKS), what="threshold")
    found = {}
    for name, value in pairs.items():
        number = reader.number(value, what=f"the threshold {name!r}")
        if why := _threshold_fault(name, number):
            reader.fail(value, f"the threshold {name!r} is {number}", why=why)
        found[name] = number
    return found


def _threshold_fault(name: str, number: float) -> str:
    if name in OF_CHECKS:
        return OF_CHECKS[name].fault(number)
    least = THRESHOLDS[name]
    return "" if isinstance(number, int) and number >= least else f"it is an integer from {least} up"


def _push(reader: _Reader, node: Node) -> dict[str, str]:
    pairs = reader.mapping(node, what="push")
    reader.known(pairs, PUSH, what="setting of push")
    return {"code": "ask", **{name: reader.choice(each, PUSH[name], what="choice") for name, each in pairs.items()}}


def _store(reader: _Reader, node: Node) -> dict[str, Any]:
    pairs = reader.mapping(node, what="store")
    if "remotes" in pairs:
        _check_remotes(reader, pairs["remotes"])
    return {name: reader.plain(value) for name, value in pairs.items()}


def _check_remotes(reader: _Reader, node: Node) -> None:
    """Each is a URL, or a mapping of plain values with a URL; what a URL may be is judged where it is used."""
    for name, value in reader.mapping(node, what="remotes").items():
        told = reader.plain(value)
        url = told.get("url") if isinstance(told, dict) else told
        if not isinstance(url, str) or (isinstance(told, dict) and any(map(_is_nested, told.values()))):
            reader.fail(value, f"the store remote {name!r:.80} has no URL", do=f"write `{name}: URL`")


def _is_nested(value: Any) -> bool:
    return isinstance(value, (dict, list))


_SECTIONS: Final = {
    "results": ("levels", _levels),
    "metrics": ("goals", _goals),
    "prices": ("prices", _prices),
    "thresholds": ("thresholds", _thresholds),
    "push": ("push", _push),
    "store": ("store", _store),
}
