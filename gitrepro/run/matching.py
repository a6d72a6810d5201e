"""Of which examples predictions are, and what is true of them: from what the program gave and from the split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, final

from ..errors import UsageError
from ..records.fields import check_name
from ..records.predictions import Class, Predicted
from .predicted import Given, numbered

if TYPE_CHECKING:
    import numpy as np

    from ..data.parts import Part, Split

_WHOLE: Final = "biu"


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Place:
    """Where predictions are of: a part, and the split that it is of where one is open.

    Attributes:
        part: its name.
        of: the part; None where no split that is open has it.
    """

    part: str
    of: Part | None = None

    @property
    def expected(self) -> int | None:
        """How many examples it has."""
        return None if self.of is None else len(self.of)

    @property
    def ids(self) -> Sequence[str] | None:
        return None if self.of is None else self.of.ids

    @property
    def split(self) -> dict[str, Any] | None:
        """What a record says of the split."""
        if self.of is None:
            return None
        split = self.of.split
        record = split.dataset.record
        return {"dataset": record.name, "digest": split.digest, "name": split.name, "version": split.version}

    def labels(self) -> list[str | None] | None:
        """Those of all items of the data set, as text; None where nothing is known of them."""
        found = None if self.of is None else self.of.split.dataset.labels()
        return None if found is None else list(found)


def place_of(split: object, opened: Sequence[Split]) -> Place:
    """The part that is meant.

    Args:
        split: its name, or a part as `run.split` gives it.
        opened: the splits that the run has opened.

    Raises:
        UsageError: it is neither, or several splits have a part of that name.
    """
    if not isinstance(split, str):
        if not hasattr(split, "split") or not hasattr(split, "ids_digest"):
            raise UsageError(f"split= is {split!r:.60}", do='name the part, as "val", or give what run.split() gave')
        return Place(part=split.name, of=split)  # type: ignore[attr-defined,arg-type]
    check_name(split, "a part")
    having = {each.digest: each for each in opened if split in each.parts}
    if len(having) > 1:
        names = ", ".join(f"{each.dataset.record.name}/{each.name}" for each in having.values())
        raise UsageError(f"several splits have a part {split!r:.60}: {names:.200}", do="give what run.split() gave")
    return Place(part=split, of=next((each.part(split) for each in having.values()), None))


def matched(given: Given, place: Place, *, truthless: bool) -> Predicted:
    """The predictions with ids, truth and classes.

    Args:
        truthless: no metric that is wanted compares with the truth.

    Raises:
        UsageError: the ids are not those of the part, one has two truths, or truth and predictions are no labels, or no
            numbers, of one kind. NotFound, Damaged, StorageError: labels are looked up, and cannot be read.
    """
    given = replace(given, ids=_ids(given, place))
    if given.truth is None and not truthless:
        given = _looked_up(given, place)
    if given.truth is not None:
        _check_truths(given.ids, given.truth)
    if given.scores is not None and given.truth is not None:
        return _of_scores(given)
    found = given.predictions if given.predictions is not None else given.scores
    assert found is not None and given.ids is not None
    values, truth = (found, None) if given.truth is None else _of_one_kind(found, given.truth)
    return Predicted(ids=given.ids, values=values, truth=truth, groups=given.groups, classes=given.classes)


# -- which examples


def _ids(given: Given, place: Place) -> np.ndarray:
    import numpy as np

    known = place.ids
    if given.ids is None:
        if known is not None and len(known) != given.count:
            raise UsageError(
                f"there are {given.count} predictions, and part {place.part} has {len(known)} examples",
                do="say which they are of: ids=",
            )
        return np.array([str(k) for k in range(given.count)] if known is None else list(known), dtype=str)
    if known is not None and (foreign := sorted({*given.ids.tolist()} - {*known})):
        shown = ", ".join(f"{each!r:.60}" for each in foreign[:3])
        why = f"part {place.part} of split {place.of.split.name}@{place.of.split.version} has no {shown}"  # type: ignore[union-attr]
        raise UsageError(f"{len(foreign)} of the ids are not in the part", why=why, do="give the ids of the data set")
    return given.ids


def _check_truths(ids: np.ndarray | None, truth: np.ndarray) -> None:
    told: dict[str, Any] = {}
    for each, said in zip(ids.tolist() if ids is not None else (), truth.tolist(), strict=True):
        if told.setdefault(each, said) != said:
            raise UsageError(
                f"example {each!r:.80} has two truths: {told[each]!r:.60} and {said!r:.60}",
                why="an id names one example",
                do="see that ids and truth are in the order of the predictions",
            )


def _looked_up(given: Given, place: Place) -> Given:
    """With the labels that the data set has."""
    import numpy as np

    every = place.labels()
    if every is None or place.of is None:
        why = "no split that is open has this part" if place.of is None else "the data set has no labels on record"
        do = "give it: truth=; where the labels are sealed, `gitrepro holdout predict` takes the predictions"
        raise UsageError(f"the truth of part {place.part} is not known", why=why, do=do)
    own = dict(zip(place.of.ids, (every[at] for at in place.of.indices.tolist()), strict=True))
    found = [own[each] for each in given.ids.tolist()]  # type: ignore[union-attr]
    known = [each for each in found if each is not None]
    if len(known) < len(found):
        why = "the data set has no label of theirs"
        raise UsageError(f"the truth of {len(found) - len(known)} examples is missing", why=why, do="leave them out")
    if given.scores is not None and given.classes is None:
        classes = np.unique(np.array(numbered(sorted({each for each in every if each is not None}))))
        if given.scores.ndim == 1 or given.scores.shape[1] == len(classes):
            given = replace(given, classes=tuple(classes.tolist()))
    return replace(given, truth=_as(known, given))


def _as(texts: list[str], given: Given) -> np.ndarray:
    """Labels, which are on record as text, as what the program has predicted."""
    import numpy as np

    like = given.predictions if given.predictions is not None else np.array(given.classes or (0,))
    if like.dtype.kind == "U":
        # Where the classes have names, the labels on record may be their places.
        named = given.classes is None or {*texts} <= {*map(str, given.classes)}
        return np.array(texts if named else numbered(texts))
    if like.dtype.kind == "f":
        try:
            return np.array(texts, dtype=np.float64)
        except ValueError:
            return np.array(texts, dtype=str)
    return np.array(numbered(texts))


# -- labels and numbers of one kind


def _of_one_kind(values: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as text, as integers or as float.

    Raises:
        UsageError: one is text, and the other is not.
    """
    import numpy as np

    kinds = {values.dtype.kind, truth.dtype.kind}
    if "U" in kinds and len(kinds) > 1:
        raise UsageError(
            f"the truth is {_word(truth)}, and the predictions are {_word(values)}",
            why=f"{truth[0].item()!r:.40} is never {values.reshape(-1)[0].item()!r:.40}",
            do="give both as the same kind of label",
        )
    if len(kinds) > 1 and all(each.dtype.kind in _WHOLE or _is_whole(each) for each in (values, truth)):
        return values.astype(np.int64), truth.astype(np.int64)
    return values, truth


def _is_whole(values: np.ndarray) -> bool:
    import numpy as np

    return bool(np.isfinite(values).all() and (values == np.trunc(values)).all())


def _word(values: np.ndarray) -> str:
    return {"U": "text", "f": "numbers"}.get(values.dtype.kind, "integers")


def _of_scores(given: Given) -> Predicted:
    """Scores of classes: the classes are found, and all labels are some of them."""
    import numpy as np

    assert given.scores is not None and given.truth is not None and given.ids is not None
    scores, truth = given.scores, given.truth
    if scores.ndim == 1:
        scores = _of_two(scores)
    if scores.dtype.kind not in "fiu" or scores.ndim != 2:
        raise UsageError(f"the scores are {_word(scores)} of shape {scores.shape}", do="give shape (n, classes)")
    if truth.dtype.kind == "f" and _is_whole(truth):
        truth = truth.astype(np.int64)
    classes = given.classes if given.classes is not None else _classes_of(truth, scores.shape[1])
    if len(classes) != scores.shape[1]:
        raise UsageError(f"there are {scores.shape[1]} columns of scores and {len(classes)} classes")
    labels = None if given.predictions is None else _label(given.predictions, classes)
    return Predicted(
        ids=given.ids, values=scores, truth=_label(truth, classes), labels=labels, groups=given.groups, classes=classes
    )


def _of_two(scores: np.ndarray) -> np.ndarray:
    """The probability of the second class, as those of both."""
    import numpy as np

    if scores.dtype.kind not in "fiub" or not bool((np.isnan(scores) | ((scores >= 0) & (scores <= 1))).all()):
        raise UsageError(
            "scores= has one number for each example, and these are no probabilities",
            do="give the probability of the second class, as torch.sigmoid(logits), or a column for each class",
        )
    return np.stack([1 - scores, scores], axis=1)


def _classes_of(truth: np.ndarray, columns: int) -> tuple[Class, ...]:
    import numpy as np

    found = np.unique(truth)
    if len(found) == columns:
        return tuple(found.tolist())
    if truth.dtype.kind in _WHOLE and int(found[0]) >= 0 and int(found[-1]) < columns:
        return tuple(range(columns))
    raise UsageError(
        f"there are {columns} columns of scores, and {len(found)} classes in the truth",
        do="say what the columns stand for: classes=",
    )


def _label(labels: np.ndarray, classes: Sequence[Class]) -> np.ndarray:
    """Labels as the classes are; integers are places among classes that are text."""
    import numpy as np

    known = np.array(classes)
    if known.dtype.kind == "U" and labels.dtype.kind in _WHOLE:
        if int(labels.min()) < 0 or int(labels.max()) >= len(known):
            raise UsageError(f"a label is {int(labels.max())}, and there are {len(known)} classes")
        return np.asarray(known[labels.astype(np.int64)])
    own, _ = _of_one_kind(labels, known)
    return own
