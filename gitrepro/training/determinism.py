"""Ask for the same numbers from the same program, and read back what is in force.

    off     nothing is switched; what is in force is read
    on      torch.use_deterministic_algorithms(True), cudnn.benchmark off, cudnn.deterministic on, and memory that torch
            hands out is not filled, which is most of what determinism costs and hides a read of memory nobody wrote
    debug   as on, and that memory is filled with NaN, so that a read of it shows

Of JAX it is `--xla_gpu_deterministic_ops=true` in XLA_FLAGS, of TensorFlow `enable_op_determinism()`, for `on` and for
`debug`. An operation that has no deterministic implementation raises an error then: the framework says which.

This file is also loaded by its path into interpreters where gitrepro is not installed, before the user's program
begins. So it imports the standard library only, as little of that as it can, and its syntax is that of Python 3.8.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Document = dict[str, Any]

MODES = ("off", "on", "debug")
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
_WORKSPACE_VALUE = ":4096:8"
_XLA_FLAG = "--xla_gpu_deterministic_ops=true"
_FRAMEWORKS = (("torch", "use_deterministic_algorithms"), ("jax", "config"), ("tensorflow", "config"))
"""Each with something that it has once its import is done."""
_NEEDS_WORKSPACE_BELOW = (2, 10)
"""Older releases refuse deterministic matrix products without it; later ones need no such word."""


def arm(mode: str, finder: Any, tell: Callable[[Document], None]) -> None:
    """Set `mode` as soon as a framework is imported: torch, JAX, TensorFlow; now, where it is.

    Args:
        mode: `off`, `on` or `debug`.
        finder: the class `Finder` of `seeds.py`.
        tell: is given what `document` returns, for all frameworks that are there by now, each time one is set.
    """
    troubles: list[str] = []

    def meet(name: str, module: Any, *, fresh: bool) -> None:
        del fresh
        troubles.extend(switch(mode, module) if name == "torch" else _switch_other(mode, name, module))
        tell(document(mode, troubles=troubles))

    for name, sign in _FRAMEWORKS:
        if hasattr(sys.modules.get(name), sign):  # else its import is only half way
            meet(name, sys.modules[name], fresh=False)
    sys.meta_path.insert(0, finder(tuple(name for name, _ in _FRAMEWORKS), meet))


def _switch_other(mode: str, name: str, module: Any) -> list[str]:
    if mode == "off":
        return []
    try:
        if name == "tensorflow":
            module.config.experimental.enable_op_determinism()
        elif _XLA_FLAG not in os.environ.get("XLA_FLAGS", ""):
            # XLA reads it when its first device starts.
            os.environ["XLA_FLAGS"] = " ".join(filter(None, [os.environ.get("XLA_FLAGS", ""), _XLA_FLAG]))
    except Exception as error:  # noqa: BLE001 - another release, and the training goes on
        return [f"{name}: {type(error).__name__}: {error!s:.200}"]
    return []


def switch(mode: str, torch: Any) -> list[str]:
    """Set a mode in a torch that is imported.

    Returns:
        What could not be set, or came too late, a line each.
    """
    if mode == "off":
        return []
    troubles = []
    for what, act in (
        ("deterministic algorithms", lambda: torch.use_deterministic_algorithms(True)),
        ("filling of memory", lambda: setattr(torch.utils.deterministic, "fill_uninitialized_memory", mode == "debug")),
        ("cudnn.benchmark", lambda: setattr(torch.backends.cudnn, "benchmark", False)),
        ("cudnn.deterministic", lambda: setattr(torch.backends.cudnn, "deterministic", True)),
    ):
        try:
            act()
        except Exception as error:  # noqa: BLE001 - an older torch has not all of them, and the training goes on
            troubles.append(f"{what}: {type(error).__name__}: {error!s:.200}")
    if _WORKSPACE not in os.environ and _version(torch) < _NEEDS_WORKSPACE_BELOW:
        os.environ[_WORKSPACE] = _WORKSPACE_VALUE
        if _read(lambda: torch.cuda.is_available() and torch.cuda.is_initialized()):
            troubles.append(f"{_WORKSPACE} was not set when CUDA started: set it before the program does")
    return troubles


def _version(torch: Any) -> tuple[int, ...]:
    words = str(torch.__version__).split(".")[:2]
    return tuple(int(word) if word.isdigit() else 0 for word in words)


def flags() -> Document:
    """What is in force now, as the frameworks themselves say; a flag that one has not got is None.

    Returns:
        The flags of torch, and under `jax` and `tensorflow` theirs. Of what is not imported, nothing.
    """
    found: Document = {}
    torch: Any = sys.modules.get("torch")
    if hasattr(torch, "use_deterministic_algorithms"):
        found.update(_torch_flags(torch))
    for name, read in (("jax", _jax_flags), ("tensorflow", _tensorflow_flags)):
        module = sys.modules.get(name)
        if hasattr(module, "config"):
            found[name] = read(module)
    return found


def _torch_flags(torch: Any) -> Document:
    read: dict[str, Callable[[], Any]] = {
        "cudnn_benchmark": lambda: torch.backends.cudnn.benchmark,
        "cudnn_deterministic": lambda: torch.backends.cudnn.deterministic,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled,
        "fill_uninitialized_memory": lambda: torch.utils.deterministic.fill_uninitialized_memory,
        "threads": torch.get_num_threads,
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled,
    }
    return {"cublas_workspace_config": os.environ.get(_WORKSPACE), **{name: _read(each) for name, each in read.items()}}


def _jax_flags(jax: Any) -> Document:
    # Each of them changes the numbers that the same key, or the same product, gives.
    names = ("jax_default_matmul_precision", "jax_default_prng_impl", "jax_enable_x64", "jax_threefry_partitionable")
    found = {name: getattr(jax.config, name, None) for name in names}
    plain = (bool, int, float, str, type(None))
    return {
        "xla_flags": os.environ.get("XLA_FLAGS"),
        **{name: value if isinstance(value, plain) else str(value) for name, value in found.items()},
    }


def _tensorflow_flags(tensorflow: Any) -> Document:
    experimental = tensorflow.config.experimental
    inner: Any = sys.modules.get("tensorflow.python.framework.config")
    return {
        "op_determinism": _read(lambda: bool(inner.is_op_determinism_enabled())),
        "synchronous": _read(lambda: bool(experimental.get_synchronous_execution())),
        "tensor_float_32": _read(lambda: bool(experimental.tensor_float_32_execution_enabled())),
    }


def document(mode: str, *, troubles: list[str]) -> Document:
    """What a record says: the mode that was asked for and the flags that are in force."""
    return {"mode": mode, "flags": flags(), **({"troubles": troubles} if troubles else {})}


def _read(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except Exception:  # noqa: BLE001 - a torch without it
        return None
