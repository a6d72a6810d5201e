"""A checkpoint that was read: its state, and putting it back into what is to go on with it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import GitreproWarning, UsageError
from . import rng as generators
from .rng import put_state

_SHOWN_AT_MOST: Final = 10
_WRAPPERS: Final = ("module.", "_orig_mod.")
"""What wrappers of a model put before its keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        state: by part, `model`, `optimizer`, `scheduler`, `scaler`, `loader`, `rng`, `extra`; tensors are on
            `map_location`.
        step: the step it was saved at; None where the file does not say.
        metrics: the last value of each metric when it was saved.
        provenance: of which run, code, config and data; empty for a file of another program.
        digest: `b3:<64 hex>` of the file's bytes.
    """

    state: Mapping[str, Any] = field(repr=False)
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict, repr=False)
    digest: str = ""

    @property
    def extra(self) -> Mapping[str, Any]:
        """What was saved as `extra`."""
        return dict(self.state.get("extra") or {})

    def restore(
        self,
        *,
        model: Any = None,
        optimizer: Any = None,
        scheduler: Any = None,
        scaler: Any = None,
        loader: Any = None,
        extra: Mapping[str, Any] | None = None,
        rng: bool = True,
        strict: bool = True,
    ) -> Checkpoint:
        """Put the state back, exactly: what is trained goes on as if it had never stopped.

        Args:
            model, optimizer, scheduler, scaler, loader: what was given when it was saved, in the same lists or maps.
            extra: objects by the names they were saved under, as a `torch.Generator`.
            rng: also set the random generators of the process, if they were saved. Do this last before training.
            strict: False leaves out the tensors of the model that only one side has. A shape never differs.

        Raises:
            UsageError: the checkpoint does not hold it, or it is of another architecture; nothing was changed.
        """
        asked = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
        asked |= {"loader": loader, "extra": extra}
        wanted = {part: value for part, value in asked.items() if value is not None}
        self._check_held(wanted)
        plan: list[tuple[str, Any, Any]] = []
        for part, value in wanted.items():
            _plan(part, value, self.state[part], plan, whole=part != "extra")
        plan = [(name, value, _fitting(name, value, state, strict=strict)) for name, value, state in plan]
        for name, value, state in plan:
            _put(name, value, state, strict=strict)
        if rng and "rng" in self.state:
            generators.restore(self.state["rng"], warn=_warn)
        return self

    def _check_held(self, wanted: Mapping[str, Any]) -> None:
        for part in wanted:
            if part not in self.state:
                held = ", ".join(self.state) or "nothing"
                raise UsageError(
                    f"the checkpoint has no {part}", why=f"it holds {held}", do=f"restore it without {part}="
                )


def _warn(message: str) -> None:
    warnings.warn(message, GitreproWarning, stacklevel=4)


def _plan(name: str, value: Any, state: Any, plan: list[tuple[str, Any, Any]], *, whole: bool) -> None:
    """Pair each object with its state; lists and maps of them have been saved as such."""
    if isinstance(value, Mapping):
        missing = [key for key in value if not isinstance(state, Mapping) or key not in state]
        if missing or (whole and isinstance(state, Mapping) and len(state) != len(value)):
            raise UsageError(f"{name} was saved as {_keys(state)}", why=f"asked for are {_keys(value)}")
        for key, each in value.items():
            _plan(f"{name}[{key!r}]", each, state[key], plan, whole=whole)
    elif isinstance(value, (list, tuple)):
        if not isinstance(state, (list, tuple)) or len(state) != len(value):
            raise UsageError(f"{name} was saved as {_keys(state)}", why=f"asked for are {len(value)}")
        for place, each in enumerate(value):
            _plan(f"{name}[{place}]", each, state[place], plan, whole=whole)
    else:
        plan.append((name, value, state))


def _keys(state: Any) -> str:
    if isinstance(state, Mapping):
        return ", ".join(map(repr, list(state)[:_SHOWN_AT_MOST])) or "an empty map"
    return f"a list of {len(state)}" if isinstance(state, (list, tuple)) else f"one {type(state).__name__}"


# -- does it fit


def _fitting(name: str, value: Any, state: Any, *, strict: bool) -> Any:
    """The state as `value` takes it. Raises UsageError where it is of another make."""
    if _is_module(value):
        return _fitting_module(name, value, state, strict=strict)
    groups = getattr(value, "param_groups", None)
    if isinstance(groups, list) and isinstance(state, Mapping) and "param_groups" in state:
        _check_groups(name, groups, state["param_groups"])
    elif isinstance(state, Mapping) and "last_epoch" in state:
        _check_kind(name, value.state_dict(), state)
    return state


def _is_module(value: Any) -> bool:
    return callable(getattr(value, "state_dict", None)) and callable(getattr(value, "named_parameters", None))


def _fitting_module(name: str, module: Any, state: Any, *, strict: bool) -> Any:
    if not isinstance(state, Mapping):
        raise UsageError(f"{name} was saved as a {type(state).__name__}", do="restore it into what it was saved from")
    own = module.state_dict()
    state = _with_wrapper_of(own, state)
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    other = [
        f"{key}: {_shape(state[key])} in the checkpoint, {_shape(own[key])} in the model"
        for key in own
        if key in state and _shape(own[key]) != _shape(state[key])
    ]
    if other or (strict and (missing or unexpected)):
        raise _other_architecture(name, {"missing": missing, "unexpected": unexpected, "of another shape": other})
    return state


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if hasattr(value, "shape") else None


def _with_wrapper_of(own: Mapping[str, Any], state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same state where only one of the two was wrapped, as for several devices or by a compiler."""
    for prefix in _WRAPPERS:
        ours, theirs = _all_begin(own, prefix), _all_begin(state, prefix)
        if theirs and not ours:
            state = {key.removeprefix(prefix): value for key, value in state.items()}
        elif ours and not theirs:
            state = {prefix + key: value for key, value in state.items()}
    return state


def _all_begin(keys: Mapping[str, Any], prefix: str) -> bool:
    return bool(keys) and all(key.startswith(prefix) for key in keys)


def _other_architecture(name: str, lists: Mapping[str, list[str]]) -> UsageError:
    lines = [f"{what} ({len(keys)}): {_shown(keys)}" for what, keys in lists.items() if keys]
    return UsageError(
        f"the checkpoint is of another architecture than {name}",
        why="\n".join(lines),
        do="build the model as the run did: `gitrepro show RUN` has its config and its code; "
        "or restore(strict=False) to leave out what only one side has",
    )


def _shown(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN_AT_MOST} more" if len(keys) > _SHOWN_AT_MOST else ""
    return ", ".join(keys[:_SHOWN_AT_MOST]) + more


def _check_groups(name: str, groups: list[Any], saved: Any) -> None:
    here = [len(group["params"]) for group in groups]
    there = [len(group["params"]) for group in saved]
    if here != there:
        raise UsageError(
            f"{name} has parameter groups of other sizes than the checkpoint",
            why=f"{there} parameters were saved, {here} are here",
            do="give it the parameters of the same model, in the same groups",
        )
    for here, there in zip(groups, saved, strict=True):
        _check_kind(name, here, there)


def _check_kind(name: str, here: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Tell an optimizer or a scheduler from one of another class, which may take its state, and fail or go wrong later.

    A later torch knows more settings, and another scheduler adds some: only where each side has its own are they two.
    """
    ours, theirs = sorted(here.keys() - saved.keys()), sorted(saved.keys() - here.keys())
    if ours and theirs:
        raise UsageError(
            f"{name} is of another class than the one that was saved",
            why=f"it has {_shown(ours)}, and the checkpoint {_shown(theirs)}",
            do="make it as the run did: `gitrepro show RUN` has its config and its code",
        )


def _put(name: str, value: Any, state: Any, *, strict: bool) -> None:
    if _is_module(value):
        value.load_state_dict(state, strict=strict)
    else:
        # An optimizer works on what it is given: without a copy, a second restore would find what training made of it.
        put_state(value, _copied(state), name=name)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return type(value)((key, _copied(each)) for key, each in value.items())
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    if callable(getattr(value, "clone", None)):
        return value.clone()
    return value.copy() if hasattr(value, "__array_interface__") else value
