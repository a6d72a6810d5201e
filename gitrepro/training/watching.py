"""What is trained and by what: parameters, optimizer groups with the values in force, schedulers.

Nothing is imported and nobody's type is asked for: a model is what has parameters, an optimizer what has
`param_groups`, a scheduler what has a `state_dict` and goes with an optimizer; anything else is described by its
`get_params`, as scikit-learn's estimators have it, or by its type. Only weak references are kept, and nothing is
hooked: a training step costs what it would without.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, final

_NAMES_AT_MOST: Final = 20
_TYPES_AT_MOST: Final = 100
_GROUPS_AT_MOST: Final = 100
_VALUES_AT_MOST: Final = 64
_TEXT_CHARACTERS: Final = 200
_SHAPES_CHARACTERS: Final = 32 << 20
_PARALLEL: Final = ("DataParallel", "DistributedDataParallel", "FullyShardedDataParallel")
_WRAPPERS: Final = ("_orig_mod.", "module.", "_fsdp_wrapped_module.")


@final
class Watched:
    """Objects given to `run.watch`, in any order.

    Args:
        objects: a model, optimizers, schedulers; None is passed over.
    """

    def __init__(self, objects: Iterable[object]) -> None:
        given = [each for each in objects if each is not None]
        self._optimizers = [_weak(each) for each in given if is_optimizer(each)]
        self._schedulers = [_weak(each) for each in given if not is_optimizer(each) and is_scheduler(each)]
        self._models = [_weak(each) for each in given if not is_optimizer(each) and not is_scheduler(each)]

    def describe(self) -> dict[str, Any]:
        """All that is known now. `shapes` of the model is the text its digest is made of."""
        models, optimizers = _alive(self._models), _alive(self._optimizers)
        said: dict[str, Any] = {}
        troubles: list[str] = []
        for model in models[:1]:
            said["model"] = _quietly(troubles, describe_model, model) or {"type": type_name(model)}
        if len(models) > 1:
            troubles.append(f"{len(models)} models were given at once; watch each under a name of its own")
        said |= self._moving(optimizers, troubles)
        if models and optimizers:
            coverage = _quietly(troubles, describe_coverage, models[0], optimizers) or {}
            said |= coverage
            troubles += _coverage_troubles(coverage)
        return {**said, **({"troubles": troubles} if troubles else {})}

    def describe_end(self) -> dict[str, Any]:
        """The optimizers and schedulers as they are now; those that are gone are left out."""
        return self._moving(_alive(self._optimizers), [])

    def _moving(self, optimizers: list[Any], troubles: list[str]) -> dict[str, Any]:
        said = {
            "optimizers": [_quietly(troubles, describe_optimizer, each) for each in optimizers],
            "schedulers": [_quietly(troubles, describe_scheduler, each) for each in _alive(self._schedulers)],
        }
        return {name: kept for name, found in said.items() if (kept := [each for each in found if each])}


def is_optimizer(obj: object) -> bool:
    return isinstance(getattr(obj, "param_groups", None), list)


def is_scheduler(obj: object) -> bool:
    """Whether it moves an optimizer on: it has one, or its name says so, and its state can be asked for."""
    named = any(kind.__name__.endswith(("Scheduler", "LR")) for kind in type(obj).__mro__)
    moves = named or hasattr(obj, "optimizer")
    return moves and callable(getattr(obj, "state_dict", None)) and not _has_parameters(obj)


def _has_parameters(obj: object) -> bool:
    return callable(getattr(obj, "named_parameters", None))


# -- the model


def describe_model(model: Any) -> dict[str, Any]:
    """A torch module by its parameters, another estimator by what it was made with."""
    if _has_parameters(model):
        return {"type": type_name(_unwrapped(model)), **_parameters_of(model)}
    if callable(getattr(model, "get_params", None)):
        return {"type": type_name(model), "parameters": _plain_map(model.get_params())}
    if callable(getattr(model, "count_params", None)):
        return {"type": type_name(model), "elements": int(model.count_params())}
    return {"type": type_name(model)}


def _unwrapped(model: Any) -> Any:
    """The model inside torch.compile and the parallel wrappers, so that one model has one description."""
    for _ in range(8):
        inner = getattr(model, "_orig_mod", None)
        if inner is None and type(model).__name__ in _PARALLEL:
            inner = getattr(model, "module", None)
        if inner is None:
            return model
        model = inner
    return model


def _parameters_of(model: Any) -> dict[str, Any]:
    inner = _unwrapped(model)
    parameters = list(inner.named_parameters())
    types = Counter(type_name(each) for _, each in inner.named_modules())
    by_dtype: Counter[str] = Counter()
    for _, each in parameters:
        by_dtype[str(each.dtype)] += _elements(each)
    return {
        "bytes": sum(_elements(each) * int(each.element_size()) for _, each in parameters),
        "dtypes": dict(sorted(by_dtype.items())),
        "elements": sum(_elements(each) for _, each in parameters),
        "modules": dict(types.most_common(_TYPES_AT_MOST)),
        "shapes": _shapes(parameters),
        "tensors": len(parameters),
        "trainable_elements": sum(_elements(each) for _, each in parameters if each.requires_grad),
    }


def _shapes(parameters: Iterable[tuple[str, Any]]) -> str:
    lines = [f"{_bare(name)} {each.dtype} {_shape(each)}" for name, each in parameters]
    return "\n".join(sorted(lines))[:_SHAPES_CHARACTERS]


def _bare(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _elements(parameter: Any) -> int:
    try:
        return int(parameter.numel())
    except Exception:  # noqa: BLE001 - a lazy module's parameters have no size before the first batch
        return 0


def _shape(parameter: Any) -> str:
    try:
        return "x".join(str(int(size)) for size in parameter.shape)
    except Exception:  # noqa: BLE001 - as above
        return "?"


# -- what moves it


def describe_optimizer(optimizer: Any) -> dict[str, Any]:
    """Its class, and the values in force of each group of parameters."""
    groups = optimizer.param_groups
    return {"groups": [_group(each) for each in groups[:_GROUPS_AT_MOST]], "type": type_name(optimizer)}


def _group(group: Mapping[str, Any]) -> dict[str, Any]:
    parameters = list(group.get("params", ()))
    values = _plain_map({name: value for name, value in group.items() if name != "params"})
    trained = [each for each in parameters if getattr(each, "requires_grad", True)]
    counts = {"elements": sum(map(_elements, parameters)), "frozen": len(parameters) - len(trained)}
    return {**counts, "tensors": len(parameters), "values": values}


def describe_scheduler(scheduler: Any) -> dict[str, Any]:
    """Its class and its state, as far as that is plain."""
    return {"state": _plain_map(scheduler.state_dict()), "type": type_name(scheduler)}


def describe_coverage(model: Any, optimizers: Iterable[Any]) -> dict[str, Any]:
    """Parameters that want a gradient and no optimizer moves, that several groups hold, that are not the model's."""
    held = [each for optimizer in optimizers for group in optimizer.param_groups for each in group.get("params", ())]
    counts = Counter(map(id, held))
    named = list(model.named_parameters()) if _has_parameters(model) else []
    if not named or not held:
        return {}
    own = {id(each) for _, each in named}
    missed = [name for name, each in named if each.requires_grad and id(each) not in counts]
    twice = [name for name, each in named if counts[id(each)] > 1]
    strangers = sum(1 for each in counts if each not in own)
    said = {"uncovered": _listed(missed), "twice": _listed(twice), "strangers": strangers}
    return {name: found for name, found in said.items() if found}


def _listed(names: list[str]) -> dict[str, Any]:
    return {"count": len(names), "names": names[:_NAMES_AT_MOST]} if names else {}


def _coverage_troubles(coverage: Mapping[str, Any]) -> list[str]:
    told = {
        "uncovered": "want a gradient and are in no optimizer",
        "twice": "are in the optimizers more than once",
    }
    found = []
    for name, words in told.items():
        if name in coverage:
            names = ", ".join(coverage[name]["names"][:3])
            found.append(f"{coverage[name]['count']} parameters {words}: {names}")
    return found


# -- plain values


def type_name(obj: object) -> str:
    return f"{type(obj).__module__}.{type(obj).__qualname__}"


def _plain_map(values: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name)[:_TEXT_CHARACTERS]: _plain(value, 0) for name, value in list(values.items())[:_VALUES_AT_MOST]}


def _plain(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value[:_TEXT_CHARACTERS]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if getattr(value, "shape", None) is not None and hasattr(value, "item") and _elements_of(value) == 1:
        return _plain(value.item(), depth + 1) if depth < 4 else type_name(value)
    if isinstance(value, list | tuple) and depth < 4:
        return [_plain(each, depth + 1) for each in value[:_VALUES_AT_MOST]]
    if isinstance(value, dict) and depth < 4:
        items = [*value.items()][:_VALUES_AT_MOST]
        return {str(key)[:_TEXT_CHARACTERS]: _plain(each, depth + 1) for key, each in items}
    return type_name(value)


def _elements_of(value: Any) -> int:
    count = 1
    for size in value.shape:
        count *= int(size)
    return count


# -- objects that may go, and that may raise


def _weak(obj: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(obj)
    except TypeError:
        # Nothing of it is left behind: what cannot be referred to weakly is described at the start alone.
        kept = [obj]
        return lambda: kept.pop() if kept else None


def _alive(references: Iterable[Callable[[], Any]]) -> list[Any]:
    return [found for found in (each() for each in references) if found is not None]


def _quietly(troubles: list[str], act: Callable[..., Any], *args: Any) -> Any:
    try:
        return act(*args)
    except Exception as error:  # noqa: BLE001 - a stranger's object may raise anything, and the training goes on
        troubles.append(f"it cannot be described: {type(error).__name__}: {error!s:.200}")
        return None
