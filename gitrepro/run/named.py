"""The data that a run is to use, as it was named: by arguments, by a command, or by the environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..errors import UsageError

DATA: Final = "GITREPRO_DATA"
SPLIT: Final = "GITREPRO_SPLIT"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedData:
    """References to data sets, and to splits of them: `default`, `default@v1`, or `digits/default@v1`.

    In the environment both are lists with spaces between.
    """

    datasets: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.datasets or self.splits)

    def under(self, environ: Mapping[str, str]) -> NamedData:
        """The words of the command that started the program stand over those of the program."""
        found = from_environ(environ)
        return NamedData(datasets=found.datasets or self.datasets, splits=found.splits or self.splits)

    def variables(self) -> dict[str, str]:
        """The environment that hands them on to a child."""
        told = {DATA: " ".join(self.datasets), SPLIT: " ".join(self.splits)}
        return {name: value for name, value in told.items() if value}

    def document(self) -> dict[str, Any]:
        """What the record says of it, so that a repeat names the same; nothing where nothing was named."""
        return {"data": {"datasets": list(self.datasets), "splits": list(self.splits)}} if self else {}

    def the_dataset(self) -> str:
        """The data set that is meant where none is named.

        Raises:
            UsageError: there are none, or several.
        """
        if len(self.datasets) == 1:
            return self.datasets[0]
        do = '`run.dataset("NAME")`, `gitrepro.record(dataset="NAME")` or `gitrepro record --data NAME -- ...`'
        if not self.datasets:
            raise UsageError("which data set is meant is not said", do=do)
        raise UsageError(f"the run has {len(self.datasets)} data sets: {' '.join(self.datasets)}", do=do)

    def split_of(self, dataset: str) -> str | None:
        """The split of a data set, as it was named; None where nothing says.

        Raises:
            UsageError: there are several.
        """
        own = [each.partition("/")[2] for each in self.splits if each.partition("/")[0] == dataset and "/" in each]
        found = own or [each for each in self.splits if "/" not in each]
        if len(found) > 1:
            raise UsageError(f"{dataset} has {len(found)} splits here: {' '.join(found)}", do="say which: split=NAME")
        return found[0] if found else None


def from_environ(environ: Mapping[str, str]) -> NamedData:
    """What a command handed to its program."""
    return NamedData(
        datasets=tuple(environ.get(DATA, "").split()),
        splits=tuple(environ.get(SPLIT, "").split()),
    )


def from_arguments(dataset: object, split: object) -> NamedData:
    """What `gitrepro.record(dataset=..., split=...)` was given; each a reference or a list of them.

    Raises:
        UsageError: an argument is no reference.
    """
    return NamedData(datasets=_references(dataset, "dataset"), splits=_references(split, "split"))


def _references(given: object, what: str) -> tuple[str, ...]:
    if given is None:
        return ()
    listed = given if isinstance(given, Sequence) and not isinstance(given, (str, bytes)) else [given]
    for each in listed:
        check_reference(each, what)
    return tuple(listed)


def check_reference(given: object, what: str) -> str:
    """`given`, when it may be a reference.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(given, str) or not given or any(character.isspace() for character in given):
        raise UsageError(f"{what} {given!r:.80} is no name", do=f'give NAME or NAME@VERSION: {what}="digits@v1"')
    return given
