"""What a framework has to answer so that seeds, flags and weights of its trainings can be held to the same account.

Each adapter imports its framework when it is asked something, not before. An adapter for another one is a class with
these methods and a line in `ADAPTERS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, Protocol, final

from ..errors import UsageError
from . import determinism
from .fingerprints import weights_digest

_LOW: Final = 0xFFFFFFFF


class Adapter(Protocol):
    """One framework."""

    def generator(self, seed: int, *, device: Any = None) -> Any:
        """What its code takes to draw from: a new one, of a seed below 2**63."""

    def seed(self, seed: int) -> None:
        """Seed what is global in it."""

    def flags(self) -> dict[str, Any]:
        """What is in force of that which changes numbers."""

    def weights_digest(self, weights: Any) -> str:
        """`b3:` and 64 hex digits over the names, types, shapes and bytes of weights, as the framework holds them."""


@final
class Torch:
    """PyTorch. Weights are a module, or a map of tensors."""

    def generator(self, seed: int, *, device: Any = None) -> Any:
        torch: Any = import_module("torch")
        return torch.Generator(device or "cpu").manual_seed(seed)

    def seed(self, seed: int) -> None:
        torch: Any = import_module("torch")
        torch.manual_seed(seed)

    def flags(self) -> dict[str, Any]:
        import_module("torch")
        return {name: value for name, value in determinism.flags().items() if name not in ADAPTERS}

    def weights_digest(self, weights: Any) -> str:
        return weights_digest(weights.state_dict() if hasattr(weights, "state_dict") else weights)


@final
class Jax:
    """JAX. Its generator is a key, of the implementation that is the default; it has no global one. Weights are a tree
    of maps and lists with arrays in it."""

    def generator(self, seed: int, *, device: Any = None) -> Any:
        jax: Any = import_module("jax")
        # Without 64-bit integers JAX drops the upper half of a seed without a word: it is folded in.
        low, high = seed & _LOW, seed >> 32
        key = jax.random.fold_in(jax.random.key(low), high)
        return key if device is None else jax.device_put(key, device)

    def seed(self, seed: int) -> None:
        del seed  # every key is made by the program

    def flags(self) -> dict[str, Any]:
        import_module("jax")
        return dict(determinism.flags()["jax"])

    def weights_digest(self, weights: Any) -> str:
        return weights_digest(dict(_arrays(weights)))


@final
class TensorFlow:
    """TensorFlow. Weights are a Keras model, or a tree of maps and lists with variables in it."""

    def generator(self, seed: int, *, device: Any = None) -> Any:
        tensorflow: Any = import_module("tensorflow")
        with tensorflow.device(device):
            return tensorflow.random.Generator.from_seed(seed)

    def seed(self, seed: int) -> None:
        tensorflow: Any = import_module("tensorflow")
        tensorflow.random.set_seed(seed)

    def flags(self) -> dict[str, Any]:
        import_module("tensorflow")
        return dict(determinism.flags()["tensorflow"])

    def weights_digest(self, weights: Any) -> str:
        return weights_digest(dict(_arrays(weights.get_weights() if hasattr(weights, "get_weights") else weights)))


@final
class NumPy:
    """NumPy, for whatever computes with its arrays."""

    def generator(self, seed: int, *, device: Any = None) -> Any:
        del device
        import numpy

        return numpy.random.Generator(numpy.random.PCG64(seed))

    def seed(self, seed: int) -> None:
        import numpy

        numpy.random.seed(seed & _LOW)

    def flags(self) -> dict[str, Any]:
        return {}

    def weights_digest(self, weights: Any) -> str:
        return weights_digest(dict(_arrays(weights)))


def _arrays(tree: Any, path: str = "weights") -> Iterator[tuple[str, Any]]:
    """The arrays of a tree of maps and lists as NumPy has them, each under its path."""
    import numpy

    if isinstance(tree, Mapping):
        for key in sorted(tree, key=str):
            yield from _arrays(tree[key], f"{path}/{key}")
    elif isinstance(tree, Sequence):
        for place, each in enumerate(tree):
            yield from _arrays(each, f"{path}/{place}")
    else:
        yield path, numpy.asarray(tree)


ADAPTERS: Final[dict[str, Adapter]] = {"jax": Jax(), "numpy": NumPy(), "tensorflow": TensorFlow(), "torch": Torch()}


def adapter(name: str) -> Adapter:
    """The adapter of a framework.

    Raises:
        UsageError: there is none of that name, or the framework is not installed.
    """
    if name not in ADAPTERS:
        raise UsageError(f"there is no framework {name!r:.40}", do=f"give one of {', '.join(ADAPTERS)}")
    try:
        import_module(name)
    except ImportError as error:
        raise UsageError(f"{name} is not installed", why=str(error), do=f"pip install {name}") from error
    return ADAPTERS[name]
