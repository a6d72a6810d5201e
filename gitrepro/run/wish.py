"""The arguments of `gitrepro.record`, checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..capture import config as configs
from ..errors import UsageError
from ..records.run import Kind
from .deterministic import check_mode
from .named import NamedData, from_arguments
from .names import check_name
from .opening import check_guard

MAX_NOTE_CHARACTERS: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the caller asked for."""

    config: dict[str, Any] = field(default_factory=dict)
    name: str | None = None
    group: str | None = None
    labels: tuple[str, ...] = ()
    note: str | None = None
    seed: int | None = None
    kind: str = "train"
    start: Path | None = None
    resume: str | None = None
    given: object = None
    """The config as the caller has it, to compare with at the end."""
    preprocess: object = None
    data: NamedData = field(default_factory=NamedData)
    determinism: str | None = None
    guard: str | None = None

    def said(self) -> dict[str, Any]:
        """What of it describes the run, beyond its config and seed."""
        described = {"name": self.name, "group": self.group, "labels": list(self.labels), "note": self.note}
        kind = {} if self.kind == "train" else {"kind": self.kind}
        return {**{key: value for key, value in described.items() if value}, **kind}


def wish(
    *,
    config: object,
    name: object,
    group: object,
    labels: object,
    note: object,
    seed: object,
    kind: object,
    repo: object,
    resume: object = None,
    dataset: object = None,
    split: object = None,
    determinism: object = None,
    guard: object = None,
) -> Wish:
    """Check everything before anything is done.

    Raises:
        UsageError: an argument is wrong.
    """
    return Wish(
        config=configs.from_object(config),
        name=None if name is None else check_name(name),
        group=None if group is None else check_name(group, what="group"),
        labels=_check_labels(labels),
        note=check_note(note),
        seed=check_seed(seed),
        kind=_check_kind(kind),
        start=_check_folder(repo),
        resume=_check_resume(resume),
        data=from_arguments(dataset, split),
        determinism=check_mode(determinism),
        guard=check_guard(guard),
    )


def check_seed(seed: object) -> int | None:
    """`seed` as an int that Python, NumPy and torch all take."""
    if seed is None:
        return None
    try:
        if isinstance(seed, bool):
            raise TypeError
        number = int(seed.__index__())  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"seed {seed!r:.60} is not an integer", do="give an int from 0 to 4294967295") from error
    if not 0 <= number < 2**32:
        raise UsageError(
            f"seed {number!r:.60} is out of range", why="NumPy takes 0 to 4294967295", do="give an int in that range"
        )
    return number


def check_note(note: object) -> str | None:
    """`note`, if it is text that a record has room for."""
    if note is None:
        return None
    if not isinstance(note, str):
        raise UsageError(f"note {note!r:.60} is not text", do="give a str")
    if len(note) > MAX_NOTE_CHARACTERS:
        raise UsageError(f"the note has {len(note)} characters", why=f"at most {MAX_NOTE_CHARACTERS} are kept")
    return note


def _check_labels(labels: object) -> tuple[str, ...]:
    # A single word would be taken apart into its letters.
    if isinstance(labels, (str, bytes)) or not isinstance(labels, Iterable):
        raise UsageError(f"labels {labels!r:.60} is not a list of words", do='give labels=["word"]')
    return tuple(check_name(label, what="label") for label in labels)


def _check_kind(kind: object) -> str:
    if not isinstance(kind, str) or kind not in [str(known) for known in Kind]:
        raise UsageError(f"there is no kind {kind!r:.60}", do=f"give one of {', '.join(Kind)}")
    return str(kind)


def _check_resume(resume: object) -> str | None:
    if resume is not None and (not isinstance(resume, str) or not resume.strip()):
        raise UsageError(
            f"resume {resume!r:.60} is no run",
            do='give the end of a run id, a name, or "auto" for the newest that fits',
        )
    return resume


def _check_folder(repo: object) -> Path | None:
    if repo is None:
        return None
    try:
        folder = Path(repo)  # type: ignore[arg-type]
    except TypeError as error:
        raise UsageError(f"repo {repo!r:.60} is not a path", do="give a folder in the repository") from error
    if "\0" in str(folder):
        raise UsageError(f"repo {str(folder)!r:.60} is not a path", do="give a folder in the repository")
    return folder
