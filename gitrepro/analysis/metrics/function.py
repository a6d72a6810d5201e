"""What a metric is: a function with a name, a goal, and the digest of its source text."""

from __future__ import annotations

import functools
import inspect
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, final

from ...records.evaluation import OWN, text_digest

if TYPE_CHECKING:
    import numpy as np

Needs = Literal["classes", "scores", "numbers", "counts"]
Goal = Literal["max", "min"]
_PLAIN: Final = (bool, int, float, str, bytes, tuple)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetricFunction:
    """A metric.

    Attributes:
        name: as it is logged: `accuracy`, `top_5`.
        key: as it is registered: `accuracy`, `top_k`; of a function of the program's own its dotted name.
        version: it grows when the same predictions could come to another value; 0 of the program's own.
        goal: what is better.
        needs: `classes` (labels), `scores` (a number for each class), `numbers`, or `counts` (see the metric).
        compute: takes labels, shape (n,) or None where it needs none, and predictions as `records.predictions` has
            them; and `classes`, shape (k,), what the columns of scores stand for. Returns a float, NaN where the metric
            is not defined for these.
        digest: `b3:` and the BLAKE3 of its source text.
        settings: what it was made with, such as `{"k": 5}`.
        source: its source text, of the program's own.
    """

    name: str
    key: str
    version: int
    goal: Goal
    needs: Needs
    compute: Callable[..., float]
    digest: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None

    @property
    def function(self) -> str:
        """What a record calls it: `accuracy@1`, `own:train.weighted_error`."""
        return f"{self.key}@{self.version}" if self.version else f"{OWN}{self.key}"

    def __call__(self, labels: np.ndarray | None, values: np.ndarray, *, classes: np.ndarray | None = None) -> float:
        return self.compute(labels, values, classes=classes)


def source_of(function: Callable[..., Any]) -> str:
    """The source text of a function, and of the functions and the constants of its own package that it leans on.

    Where there is no text, as of code that was typed at a prompt, a digest of the bytecode stands for it.
    """
    if isinstance(function, functools.partial):
        return f"{source_of(function.func)}\n# with {function.args!r} {sorted(function.keywords.items())!r}\n"
    return "\n".join(_pieces(function, seen=set()))


def digest_of(function: Callable[..., Any]) -> str:
    """`b3:` and the BLAKE3 of `source_of` a function."""
    return text_digest(source_of(function))


def _pieces(function: Any, *, seen: set[int]) -> Iterator[str]:
    if id(function) in seen:
        return
    seen.add(id(function))
    yield _text(function)
    code = getattr(function, "__code__", None)
    if code is None:
        return
    around = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    package = str(function.__module__).rpartition(".")[0] or str(function.__module__)
    for name in sorted({*_names(code)}):
        found = around.get(name)
        if isinstance(found, types.FunctionType) and f"{found.__module__}.".startswith(f"{package}."):
            yield from _pieces(found, seen=seen)
        elif isinstance(found, _PLAIN):
            yield f"{name} = {found!r}\n"


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from code.co_freevars
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from _names(each)


def _text(function: Any) -> str:
    shown = function if hasattr(function, "__code__") or inspect.isclass(function) else type(function)
    try:
        return textwrap.dedent(inspect.getsource(shown))
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        told = text_digest(repr(_bytecode(code))) if code else qualified(function)
        return f"# no source text: {told}\n"


def _bytecode(code: types.CodeType) -> tuple[Any, ...]:
    constants = [_bytecode(each) if isinstance(each, types.CodeType) else repr(each) for each in code.co_consts]
    return code.co_code, code.co_names, code.co_varnames, constants


def qualified(function: Any) -> str:
    """The dotted name of a function."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{getattr(function, '__module__', None) or '?'}.{name}"
