"""Digests of what a training step consists of: weights, batches, generators, ids. Equal where every bit is equal.

Only this module knows which bytes go into which digest. Nothing is drawn from a generator, and a tensor on a device is
copied to be read: callers keep a schedule.

This file is also loaded beside `tracing.py` into interpreters where gitrepro is not installed: the standard library at
load, BLAKE3 where it is, and the syntax of Python 3.8.
"""

from __future__ import annotations

import ctypes
import struct
import sys

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Final

_NAMES: Final = {
    "float64": "F64", "int64": "I64", "uint64": "U64", "float32": "F32", "int32": "I32", "uint32": "U32",
    "float16": "F16", "bfloat16": "BF16", "int16": "I16", "uint16": "U16", "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


def weights_digest(tensors: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> str:
    """The digest of named tensors: that of a checkpoint which holds these as its model.

    A line of name, element type and shape, then the bytes, in the order of the names. Of tensors that share their
    memory the first counts. Tensors on a device are copied to the CPU, which waits for the device.

    Args:
        tensors: torch tensors or NumPy arrays by name, as `model.state_dict()` or `model.named_parameters()`.

    Returns:
        `b3:` and 64 hex digits.

    Raises:
        ValueError: a tensor has no plain bytes (sparse, quantized, or without values yet).
    """
    import blake3

    named = dict(tensors)
    hasher = blake3.blake3()
    for name in sorted(_once(named)):
        _add_tensor(hasher, name, named[name])
    return f"b3:{hasher.hexdigest()}"


def _once(named: Mapping[str, Any]) -> list[str]:
    seen = set()
    kept = []
    for name, value in named.items():
        place = _place(value)
        if place is None or place not in seen:
            kept.append(name)
            seen.add(place)
    return kept


def _place(value: Any) -> Any:
    """Where a tensor lies, so that tied ones count once; None where nothing lies."""
    if not _elements(value):
        return None
    if hasattr(value, "data_ptr"):
        try:
            return str(value.device), value.data_ptr(), str(value.dtype), tuple(value.shape), tuple(value.stride())
        except RuntimeError:
            return None  # a sparse one lies in no one place
    return value.__array_interface__["data"][0], str(value.dtype), value.shape, value.strides


def _elements(value: Any) -> int:
    return int(value.numel()) if hasattr(value, "numel") else int(value.size)


def _add_tensor(hasher: Any, name: str, value: Any) -> None:
    data = tensor_bytes(value)
    shape = ",".join(str(int(size)) for size in value.shape)
    hasher.update(f"{name}\0{dtype_name(value)}\0{shape}\n".encode())
    hasher.update(data)


def dtype_name(value: Any) -> str:
    """The element type as tensor files name it (`F32`, `BF16`), else as its library does."""
    name = str(value.dtype).rpartition(".")[2]
    return _NAMES.get(name, name)


def tensor_bytes(value: Any) -> Any:
    """The bytes of a tensor or array, the last axis fastest, without a copy where it lies so on the CPU.

    Raises:
        ValueError: it has none.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _torch_bytes(value, torch)
    array = value if value.flags.c_contiguous else value.copy(order="C")
    if array.dtype.hasobject:
        raise ValueError("an array of Python objects has no bytes of its own")
    return memoryview(array.reshape(-1)).cast("B") if array.size else b""


def _torch_bytes(value: Any, torch: Any) -> Any:
    plain = value.layout is torch.strided and not value.is_quantized and value.device.type != "meta"
    if not plain or isinstance(value, torch.nn.parameter.UninitializedTensorMixin):
        raise ValueError("the tensor has no plain bytes: it is sparse, quantized, or has no values yet")
    here = value.detach().resolve_conj().resolve_neg().cpu().contiguous()
    size_bytes = here.numel() * here.element_size()
    return _Held(here, size_bytes).view() if size_bytes else b""


class _Held:
    """The memory of a tensor that stays alive as long as the view of it does."""

    def __init__(self, tensor: Any, size_bytes: int) -> None:
        self._raw = (ctypes.c_char * size_bytes).from_address(tensor.data_ptr())
        self._raw._tensor = tensor  # type: ignore[attr-defined]

    def view(self) -> memoryview:
        return memoryview(self._raw).cast("B")


# ---------------------------------------------------------------- what else a step consists of


def short(*parts: Any) -> int:
    """The first eight bytes of the BLAKE3 of these bytes, little-endian and signed: what a column of integers holds."""
    import blake3

    hasher = blake3.blake3()
    for part in parts:
        hasher.update(part)
    return int.from_bytes(hasher.digest(8), "little", signed=True)


def short_of(digest: str) -> int:
    """The same of a digest that is written as `b3:` and hex digits."""
    return int.from_bytes(bytes.fromhex(digest[3:19]), "little", signed=True)


def ids_digest(indices: Iterable[Any]) -> int | None:
    """The digest of what a sampler drew, in its order: each as text, a line each; None where nothing has an id."""
    told = [str(_plain(each)) for each in indices if each is not None]
    return short("\n".join(told).encode()) if told else None


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and not hasattr(value, "keys") else value


def batch_digest(batches: Iterable[Any]) -> int | None:
    """The digest of batches on the CPU, in their order; None where a part lies on a device or has no plain bytes."""
    parts: list[Any] = []
    return short(*parts) if all(_add(parts, each, 0) for each in batches) and parts else None


def _add(parts: list[Any], value: Any, depth: int) -> bool:
    """Take the bytes of a value in, with what they mean; say whether that could be done."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        device = getattr(value, "device", None)
        if getattr(device, "type", "cpu") != "cpu":
            return False
        try:
            data = tensor_bytes(value)
        except (AttributeError, ValueError):
            return False
        shape = ",".join(str(int(size)) for size in value.shape)
        parts.append(f"{dtype_name(value)}\0{shape}\n".encode())
        parts.append(data)
        return True
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        parts.append(f"{value!r}\n".encode())
        return True
    if depth > 8:
        return False
    if hasattr(value, "items"):
        return all(_add(parts, each, depth + 1) for pair in value.items() for each in pair)
    if isinstance(value, (list, tuple)):
        parts.append(f"{len(value)}\n".encode())
        return all(_add(parts, each, depth + 1) for each in value)
    return False


GENERATORS = ("python", "numpy", "torch")


def generator_digests() -> list[int | None]:
    """The digests of the states of Python's, NumPy's and torch's generators; None for one that is not imported.

    Torch's are that of the CPU and those of the CUDA devices that are awake, whose states lie on the host.
    """
    modules = sys.modules
    python, numpy, torch = modules.get("random"), modules.get("numpy.random"), modules.get("torch")
    return [
        None if python is None else _python_state(python),
        None if numpy is None else _numpy_state(numpy),
        None if torch is None or not hasattr(torch, "default_generator") else _torch_state(torch),
    ]


def _python_state(random: Any) -> int:
    _, words, gauss = random.getstate()
    return short(struct.pack(f"<{len(words)}I", *words), repr(gauss).encode())


def _numpy_state(random: Any) -> int:
    state = random.get_state(legacy=False)
    inner = state["state"]
    if state["bit_generator"] != "MT19937":
        return short(repr(state).encode())
    return short(inner["key"].tobytes(), f"{inner['pos']} {state['has_gauss']} {state['gauss']!r}".encode())


def _torch_state(torch: Any) -> int:
    states = [tensor_bytes(torch.default_generator.get_state())]
    if torch.cuda.is_initialized():
        states += [tensor_bytes(each.get_state()) for each in torch.cuda.default_generators]
    return short(*states)


def optimizer_digest(optimizer: Any) -> int:
    """The digest of an optimizer's class and of the plain values of its groups: learning rates, decays, momenta."""
    kind = type(optimizer)
    lines = [f"{kind.__module__}.{kind.__qualname__}"]
    for group in optimizer.param_groups:
        lines += [f"{name} {_shown(value)}" for name, value in sorted(group.items()) if name != "params"]
        lines.append(f"params {len(group['params'])}")
    return short("\n".join(lines).encode())


def _shown(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(_shown(each) for each in value) + "]"
    if hasattr(value, "device") and value.device.type == "cpu" and value.numel() == 1:
        return repr(value.item())
    return type(value).__name__  # on a device: to look at it would be to wait for it


def row_chain(before: int, row: Iterable[int | None]) -> int:
    """The link of a row: over the link before it and, for each field, whether it is there and its eight bytes."""
    packed = b"".join(b"\0" * 9 if field is None else b"\1" + struct.pack("<q", field) for field in row)
    return short(struct.pack("<q", before), packed)


def float_bits(value: float) -> int:
    """The bits of a float64, as a signed integer."""
    return int(struct.unpack("<q", struct.pack("<d", value))[0])
