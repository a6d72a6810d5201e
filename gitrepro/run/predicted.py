"""What a program gives as its predictions, whatever it holds them in, as the columns that are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, final

from ..errors import UsageError
from ..records.predictions import VALUES_AT_MOST, Class

if TYPE_CHECKING:
    import numpy as np

_MOST: Final = 2**63 - 1
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "ids": ("id", "ids"),
    "truth": ("truth", "label", "y_true"),
    "predictions": ("prediction", "predictions", "y_pred"),
    "groups": ("group", "groups"),
}
_SCORE: Final = "score/"


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Given:
    """What `run.evaluate` was given, as arrays. None where nothing was.

    Attributes:
        predictions: shape (n,), or (n, ...) of counts.
        scores: shape (n, k), or (n,): of two classes that of the second.
        truth: shape (n,).
        ids: shape (n,), text.
        groups: shape (n,), text.
        classes: what the columns of scores stand for.
    """

    predictions: np.ndarray | None = None
    scores: np.ndarray | None = None
    truth: np.ndarray | None = None
    ids: np.ndarray | None = None
    groups: np.ndarray | None = None
    classes: tuple[Class, ...] | None = None

    @property
    def count(self) -> int:
        """Of how many predictions there are."""
        found = self.predictions if self.predictions is not None else self.scores
        return 0 if found is None else len(found)


def taken(predictions: Any, *, counted: bool, **others: Any) -> Given:
    """Arrays of whatever a program gives.

    Args:
        predictions: an array, a tensor, a list; or a table or mapping with the columns `id`, `truth`, `prediction`,
            `group`, and `score/<class>` for each class.
        counted: its second axis is one of counts, not of classes.
        others: `scores`, `truth`, `ids`, `groups`, `classes`.

    Raises:
        UsageError: something is missing, of another length, or no array of labels or numbers.
    """
    columns = _columns(predictions)
    if columns is not None:
        found = _named(columns)
        if twice := [name for name, each in others.items() if each is not None and found.get(name) is not None]:
            raise UsageError(f"{twice[0]} is a column of the table, and given as {twice[0]}=", do="give one of them")
        others = {**others, **{name: each for name, each in found.items() if name != "predictions"}}
        predictions = found.get("predictions")
    given = Given(
        predictions=_array(predictions, "the predictions"), scores=_array(others.get("scores"), "scores="),
        truth=_array(others.get("truth"), "truth="), ids=_texts(others.get("ids"), "ids="),
        groups=_texts(others.get("groups"), "groups="), classes=_classes(others.get("classes")),
    )  # fmt: skip
    if given.predictions is not None and given.predictions.ndim > 1 and not counted:
        given = replace(given, predictions=None, scores=_only_scores(given))
    _check(given)
    return given


def _only_scores(given: Given) -> np.ndarray | None:
    if given.scores is not None:
        raise UsageError("the predictions have a column for each class, and scores= is given", do="give one of them")
    return given.predictions


def _check(given: Given) -> None:
    if not given.count:
        raise UsageError("there are no predictions", do="give one for each example: run.evaluate(predictions, ...)")
    if given.scores is not None and given.scores.size > VALUES_AT_MOST:
        raise UsageError(f"{given.scores.size:,} scores are more than are kept", do="give labels, or fewer examples")
    for name in ("scores", "truth", "ids", "groups"):
        found = getattr(given, name)
        if found is not None and len(found) != given.count:
            raise UsageError(f"there are {given.count} predictions and {len(found)} {name}", do="give one for each")
        if found is not None and name != "scores" and found.ndim != 1:
            raise UsageError(f"{name} has shape {found.shape}", do="give one for each example")
    if given.truth is not None and (missing := missing_in(given.truth)):
        why = "no metric can be computed of what is not known"
        raise UsageError(f"the truth of {missing} examples is missing", why=why, do="leave those examples out")


def missing_in(values: np.ndarray) -> int:
    """How many of these are NaN."""
    if values.dtype.kind != "f":
        return 0
    found: Any = values != values
    return int(found.reshape(len(values), -1).any(axis=1).sum())


# -- tables


def _columns(given: Any) -> Mapping[str, Any] | None:
    """The columns of a table by name; None where it is no table."""
    if isinstance(given, Mapping):
        return given
    if hasattr(given, "to_pydict") and hasattr(given, "column_names"):
        return {name: given.column(name).to_pylist() for name in given.column_names}
    names = getattr(given, "columns", None)
    if names is not None and hasattr(given, "__getitem__") and not hasattr(given, "detach"):
        return {str(name): given[name] for name in names}
    return None


def _named(columns: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        name: next(columns[each] for each in known if each in columns)
        for name, known in _COLUMNS.items()
        if any(each in columns for each in known)
    }
    scored = [name for name in columns if name.startswith(_SCORE)]
    if scored:
        import numpy as np

        # The names of columns are text; labels that are whole numbers are meant as those.
        found["classes"] = numbered([name.removeprefix(_SCORE) for name in scored])
        found["scores"] = np.stack([np.asarray(columns[name], dtype=np.float64) for name in scored], axis=1)
    if "predictions" not in found and not scored:
        raise UsageError(
            f"the table has no predictions: its columns are {', '.join(map(str, columns))[:200]}",
            do="call them id, truth, prediction, or score/CLASS for each class",
        )
    return found


def numbered(texts: Sequence[str]) -> list[Any]:
    """Integers where each text is one, as `5` and not `05`; else the texts."""
    try:
        found = [int(each) for each in texts]
    except ValueError:
        return list(texts)
    return found if all(str(number) == each for number, each in zip(found, texts, strict=True)) else list(texts)


# -- arrays


def _array(given: Any, what: str) -> np.ndarray | None:
    """Labels as bool, int64 or text, numbers as float32 or float64."""
    if given is None:
        return None
    import numpy as np

    try:
        found = _plain(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{what} cannot be made an array", why=str(error)[:200], do="give one row an example"
        ) from error
    if found.ndim == 0:
        raise UsageError(f"{what} is {given!r:.60}", do="give an array with one entry for each example")
    if found.dtype.kind == "O":
        found = _of_objects(found, what)
    if found.dtype.kind == "f":
        return found.astype(np.float32) if found.dtype.itemsize < 4 else found.astype(found.dtype.newbyteorder("="))
    if found.dtype.kind in "iu":
        if found.dtype == np.uint64 and len(found) and int(found.max()) > _MOST:
            raise UsageError(f"{what} has integers beyond 64 bits")
        return found.astype(np.int64)
    if found.dtype.kind in "bU":
        return found
    raise UsageError(f"{what} is of {found.dtype}", do="give labels (integers, text) or numbers")


def _plain(given: Any) -> np.ndarray:
    import numpy as np

    if isinstance(given, (list, tuple)) and given and hasattr(given[0], "detach"):
        # Of each batch, or of each example.
        parts = [_plain(each) for each in given]
        return np.concatenate(parts) if parts[0].ndim else np.stack(parts)
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        if str(given.dtype) == "torch.bfloat16":
            given = given.float()
        return np.asarray(given.numpy())
    if hasattr(given, "to_pylist"):
        given = given.to_pylist()
    return np.asarray(given)


def _of_objects(found: np.ndarray, what: str) -> np.ndarray:
    """Texts, or numbers of which some are missing."""
    import numpy as np

    values = found.reshape(-1).tolist()
    if all(isinstance(each, str) for each in values):
        return found.astype(str)
    known = [each for each in values if each is not None]
    if len(known) < len(values) and all(isinstance(each, int | float) for each in known):
        return np.array([np.nan if each is None else each for each in values], dtype=np.float64).reshape(found.shape)
    missing = len(values) - len(known)
    why = f"{missing} are missing" if missing else "they are of several kinds, or rows of unequal length"
    raise UsageError(f"{what} are no labels and no numbers", why=why, do="give one label or number for each example")


def _texts(given: Any, what: str) -> np.ndarray | None:
    found = _array(given, what)
    if found is None:
        return None
    import numpy as np

    if found.dtype.kind == "f":
        if missing_in(found) or (found != np.trunc(found)).any():
            raise UsageError(f"{what} are numbers that are not whole", do="give integers or texts")
        found = found.astype(np.int64)
    return np.array([str(each) for each in found.tolist()], dtype=str) if found.ndim == 1 else found


def _classes(given: Any) -> tuple[Class, ...] | None:
    found = _array(given, "classes=")
    if found is None:
        return None
    if found.ndim != 1 or len(set(found.tolist())) < len(found):
        raise UsageError(f"classes= is {given!r:.80}", do="give each class once, in the order of the columns")
    return tuple(found.tolist())
