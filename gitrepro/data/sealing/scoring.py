"""Score predictions that were committed: the seal is opened in memory, and the log says what was told.

All of the result goes into the log too, encrypted to those who can open the seal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, final

from ...errors import Ambiguous, Damaged, NotFound, Refused, UsageError
from ...records.fields import is_count
from ...records.holdout import Entry
from ...store.catalog import writing
from ...store.fold import Identity
from ...store.place import store_of
from ...store.repository import Repository
from . import book
from .contents import Holdout
from .judging import bench, judged
from .keys import decrypt, encrypt
from .predicting import unscored
from .seals import Seal, seal_of
from .terms import FEEDBACKS

_RESULT_BYTES_AT_MOST: Final = 1 << 20
_SHOWN: Final = 5


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What came of a score.

    Attributes:
        number: which score of this part it is, from 1.
        told: the values that the feedback lets be told, by metric; empty where it tells nothing.
        improved: whether the ladder found it better than the best so far; None of another feedback.
        best: the id of the entry with the best predictions that the ladder has told of.
    """

    entry: Entry
    seal: Seal
    number: int
    budget: int
    feedback: str
    told: Mapping[str, float] = field(default_factory=dict)
    improved: bool | None = None
    best: str | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody asks to be scored.

    Attributes:
        predict: the id, or the end of the id, of the entry with the predictions; the only one that waits by default.
        feedback: another one than the seal says.
        budget: another one than holds so far; it goes into the log first, and wants a reason.
    """

    predict: str | None = None
    feedback: str | None = None
    budget: int | None = None
    reason: str = ""


def score(
    repository: Repository, holdout: Holdout, asked: Asked, keys: Sequence[Any], *, identity: Identity, at: str
) -> Scored:
    """Score predictions of a sealed part. Durable once this returns.

    Args:
        keys: as `keys.identities` gives them.

    Raises:
        NotFound: the part is not sealed, or no predictions wait. Ambiguous: several do.
        Refused: the budget is used up.
        WrongKey: none of the keys opens the seal.
        UsageError: the predictions do not fit the metric, or a reason is wanted.
        Damaged: the seal or the predictions are not what the log says.
        BlobMissing: one of them is not here.
    """
    with writing(repository, identity=identity):
        entries = book.entries(repository, holdout)
        seal = seal_of(entries, holdout)
        feedback = _feedback(seal, asked)
        predict = _one(unscored(entries), asked.predict, holdout, "predictions that wait for a score")
        number, budget = spent(entries) + 1, _allowance(entries, seal, asked)
        found = judged(bench(repository, seal, entries, keys), predict, feedback)
        if asked.budget is not None:
            raised = {"budget": budget}
            book.write(repository, holdout, "budget", raised, reason=asked.reason, identity=identity, at=at)
        detail = {
            **found.document(),
            "budget": budget,
            "feedback": feedback,
            "number": number,
            "predict": predict.id,
            "predictions": predict.detail["predictions"],
            "result": store_of(repository).put(encrypt(found.result(predict), seal.recipients)),
            "seal": seal.entry.id,
        }
        more: dict[str, Any] = {"run": predict.run, "reason": asked.reason, "identity": identity, "at": at}
        entry = book.write(repository, holdout, "score", detail, **more)
    improved = None if found.step is None else found.step.told
    return Scored(
        entry=entry, seal=seal, number=number, budget=budget, feedback=feedback, told=found.told, improved=improved,
        best=found.best,
    )  # fmt: skip


def reveal(repository: Repository, holdout: Holdout, text: str, keys: Sequence[Any]) -> Mapping[str, Any]:
    """All of an earlier result: `{metrics, gain, step, predict}`.

    Args:
        text: the id of the entry of the score, or the end of it.

    Raises:
        NotFound, Ambiguous: no such score, or several. WrongKey: none of the keys opens it. Damaged: it is none.
        BlobMissing: it is not here.
    """
    from ...sync.get import ensure

    entries = book.entries(repository, holdout)
    entry = _one([each for each in entries if each.op == "score"], text, holdout, "scores")
    digest, source = str(entry.detail.get("result")), f"the result of {entry.id}"
    ensure(repository, [digest])
    sealed = store_of(repository).get(digest, limit_bytes=_RESULT_BYTES_AT_MOST)
    data = decrypt(sealed, keys, to=seal_of(entries, holdout).recipients, source=source)
    try:
        found = json.loads(data)
        if not isinstance(found["metrics"], dict) or found["predict"] != entry.detail.get("predict"):
            raise ValueError("it is of other predictions")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"{source} cannot be read", why=str(error)[:200]) from error
    return dict(found)


# -- what is scored


def _feedback(seal: Seal, asked: Asked) -> str:
    found = asked.feedback or seal.terms.feedback
    if found not in FEEDBACKS:
        raise UsageError(f"there is no feedback {found!r:.40}", do=f"one of {', '.join(FEEDBACKS)}")
    if found != seal.terms.feedback and not asked.reason.strip():
        raise UsageError(
            f"the seal says {seal.terms.feedback}, and {found} needs a reason",
            why="it stays visible for ever",
            do="--reason TEXT",
        )
    return found


def _one(found: Sequence[Entry], text: str | None, holdout: Holdout, what: str) -> Entry:
    fits = [each for each in found if text is None or each.id.endswith(text.lower())]
    if len(fits) == 1:
        return fits[0]
    if not fits:
        asked = "" if text is None else f" that end in {text!r:.40}"
        do = "`gitrepro holdout predict RUN|FILE` commits some" if not found else f"there are {_listed(found)}"
        raise NotFound(f"{holdout} has no {what}{asked}", do=do)
    raise Ambiguous(f"{holdout} has {len(fits)} {what}", why=_listed(fits), do="name one by the end of its id")


def _listed(entries: Sequence[Entry]) -> str:
    shown = [f"{each.id[-8:]} ({each.at[:16]}{', run ' + each.run[-8:] if each.run else ''})" for each in entries]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _allowance(entries: Sequence[Entry], seal: Seal, asked: Asked) -> int:
    """The budget that holds for this score.

    Raises:
        Refused: it is used up. UsageError: another one is asked for without a reason.
    """
    if asked.budget is not None and not asked.reason.strip():
        raise UsageError("another budget needs a reason", why="it stays visible for ever", do="--reason TEXT")
    budget, number = allowed(entries, seal) if asked.budget is None else asked.budget, spent(entries) + 1
    if number > budget:
        raise Refused(
            f"{seal.holdout} has been scored {number - 1} times, and its budget is {budget}",
            why="with every score the best one tells more of the examples and less of the model",
            do=f"draw a new test set; or `--budget {number} --reason TEXT`, which stays visible for ever",
        )
    return budget


def spent(entries: Sequence[Entry]) -> int:
    """How many scores a part has had, by whatever seal."""
    return sum(each.op == "score" for each in entries)


def allowed(entries: Sequence[Entry], seal: Seal) -> int:
    """The budget that holds now: the last one that somebody gave a reason for, else that of the seal.

    Raises:
        Damaged: the log holds one that is no number.
    """
    raised = [each for each in entries if each.op == "budget"]
    found = raised[-1].detail.get("budget") if raised else seal.terms.budget
    if not is_count(found):
        raise Damaged(f"entry {raised[-1].id} of the holdout log is no budget", why=f"it says {found!r:.40}")
    return int(str(found))
