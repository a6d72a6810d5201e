"""What a split asks of a data set: its ids, its labels, a column, the group of each item; all of it as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...errors import UsageError
from .groups import folder_groups, pattern_groups

if TYPE_CHECKING:
    from ...records.dataset import DatasetRecord

COLUMN: Final = "column:"
PATTERN: Final = "regex:"
FOLDER: Final = "folder"
LABEL: Final = "label"


class Items(Protocol):
    """What a split has to know of a version of a data set; `data.handle.Dataset` is one."""

    @property
    def record(self) -> DatasetRecord: ...
    def ids(self) -> Sequence[str]: ...
    def files(self) -> list[Path]: ...
    def labels(self) -> Sequence[str | None] | None: ...
    def column(self, name: str) -> Sequence[Any]: ...


def ids_of(dataset: Items) -> list[str]:
    """The ids of all items, in their order.

    Raises:
        UsageError: there is no item, or two have one id.
    """
    ids = list(dataset.ids())
    if not ids:
        raise UsageError(f"{dataset.record.ref} has no items", do="add data first")
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        again = [each for each in ids if each in seen or seen.add(each)]  # type: ignore[func-returns-value]
        raise UsageError(
            f"{len(again)} ids of {dataset.record.ref} stand twice",
            why=f"for example {', '.join(f'{each!r:.60}' for each in again[:3])}",
            do="add the data set with a column of different ids, or by row",
        )
    return ids


def column_of(dataset: Items, name: str) -> list[Any]:
    """The values of a column, None where they are missing.

    Raises:
        UsageError: the data set has no such column.
    """
    return [None if value != value else value for value in dataset.column(name)]


def texts(values: Iterable[Any]) -> list[str | None]:
    """Values as they are compared: their text, None where they are missing."""
    return [_text(value) for value in values]


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)


def class_rule(dataset: Items, stratify: str | bool | None) -> str | None:
    """What the classes are, as a rule keeps it: `label` or `column:<name>`; None for no classes.

    Args:
        stratify: True for the label of the data set, or a column.
    """
    if stratify is None or stratify is False:
        return None
    if stratify is True or stratify in (LABEL, dataset.record.label):
        return LABEL
    return f"{COLUMN}{stratify.removeprefix(COLUMN)}"


def classes_of(dataset: Items, rule: str | None) -> list[str | None] | None:
    """The class of each item by such a rule.

    Raises:
        UsageError: the data set has no label, or no such column.
    """
    if rule is None:
        return None
    if rule != LABEL:
        return texts(column_of(dataset, rule.removeprefix(COLUMN)))
    labels = dataset.labels()
    if labels is None:
        raise UsageError(
            f"{dataset.record.ref} has no label to stratify by",
            do="name a column, or add the data set with --label",
        )
    return texts(labels)


def group_rule(dataset: Items, group: str | None) -> str | None:
    """What the groups are, as a rule keeps it: `folder`, `column:<name>` or `regex:<pattern>`; None for no groups.

    A bare word is a column of a table, and a regular expression over the ids of everything else.
    """
    if group is None or group.startswith((COLUMN, PATTERN)):
        return group
    if dataset.record.is_table:
        return f"{COLUMN}{group}"
    return FOLDER if group == FOLDER else f"{PATTERN}{group}"


def groups_of(dataset: Items, rule: str | None, ids: Sequence[str]) -> list[str | None] | None:
    """The group of each item by such a rule; None for an item that is a group by itself.

    Raises:
        UsageError: the data set has no such column or no folders, or the pattern finds nothing in some ids.
    """
    if rule is None:
        return None
    if rule == FOLDER:
        if dataset.record.id != "path":
            raise UsageError(f"the items of {dataset.record.ref} lie in no folders", do="name a column")
        return list(folder_groups(ids))
    if rule.startswith(PATTERN):
        return pattern_groups(ids, rule.removeprefix(PATTERN))
    return texts(column_of(dataset, rule.removeprefix(COLUMN)))
