"""The arrays of a state: copied to the CPU in the thread that trains, and what else is not plain JSON."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from typing import Any, Final, final

from ..errors import Damaged, UsageError
from . import dtypes
from .rng import state_of
from .skeleton import encode
from .tensorfile import Piece

_PLAIN_TYPES: Final = ("Tensor", "Parameter", "Buffer")
_SCALARS: Final = frozenset(dtypes.NUMPY.values())


@final
class Copies:
    """Takes the arrays out of one state, each once. Call `finish` before the copies are used or the state changes.

    Attributes:
        arrays: NumPy arrays and torch tensors on the CPU, by name.
        plain: whether each has a place in a tensor file.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, Any] = {}
        self.plain = True
        self._known: dict[Any, str] = {}
        # What was copied stays alive until the end: memory that is freed meanwhile would seem to be shared.
        self._originals: list[Any] = []
        self._devices: set[Any] = set()

    def take(self, path: str, value: Any) -> Any:
        """What stands for `value` in a skeleton.

        Raises:
            UsageError: it cannot be kept.
        """
        torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
        if torch is not None and isinstance(value, torch.Tensor):
            return self._tensor(path, value, torch)
        if numpy is not None and isinstance(value, numpy.ndarray):
            return self._array(path, value)
        if numpy is not None and isinstance(value, numpy.generic):
            return _scalar(path, value)
        if torch is not None and isinstance(value, torch.Size):
            return {"$size": list(value)}
        if torch is not None and isinstance(value, (torch.dtype, torch.device)):
            return {f"${type(value).__name__}": str(value)}
        state = None if isinstance(value, type) else state_of(value)
        if state is None:
            raise _unkept(path, value)
        self._originals.append(state)
        return encode(state, path=path, take=self.take)

    def finish(self) -> None:
        """Wait for the copies that are under way from devices."""
        torch = sys.modules.get("torch")
        for device in self._devices:
            assert torch is not None
            torch.cuda.synchronize(device)
        self._devices.clear()
        self._originals.clear()
        self._known.clear()

    def _array(self, path: str, value: Any) -> Any:
        if dtypes.of_numpy(value.dtype) is None or type(value).__name__ != "ndarray":
            raise _unkept(path, value, kind=f"{type(value).__name__} of {value.dtype}")
        place = value.__array_interface__["data"][0], value.dtype.name, value.shape, value.strides
        if place not in self._known or not value.size:
            self._keep(path, value, value.copy(order="C"), place)
        return {"$array": self._known[place]}

    def _tensor(self, path: str, value: Any, torch: Any) -> Any:
        if value.device.type == "meta":
            raise UsageError(f"{path} lies on the meta device", why="it has no values", do="save it when it has some")
        value = value.detach()
        exotic = _is_exotic(value)
        if exotic and type(value).__name__ not in _PLAIN_TYPES:
            _check_loadable(path, value, torch)
        place = _place(value, exotic)
        if place not in self._known or not value.numel():
            self._keep(path, value, self._copy(value, exotic, torch), place)
            self.plain &= not exotic
        strides = {} if exotic or value.is_contiguous() or not _is_dense(value) else {"stride": list(value.stride())}
        return {"$tensor": {"name": self._known[place], **strides} if strides else self._known[place]}

    def _copy(self, value: Any, exotic: bool, torch: Any) -> Any:
        if value.device.type == "cpu":
            return value.clone() if exotic else value.clone(memory_format=torch.contiguous_format)
        if exotic or value.device.type != "cuda":
            return value.cpu()
        self._devices.add(value.device)
        # Into pinned memory the copies follow one another without the device being waited for.
        target = torch.empty(value.shape, dtype=value.dtype, device="cpu", pin_memory=True)
        return target.copy_(value, non_blocking=True)

    def _keep(self, path: str, value: Any, copy: Any, place: Any) -> None:
        name = path.encode("utf-8", "replace").decode()
        while name in self.arrays:
            name += "'"
        self.arrays[name] = copy
        self._known[place] = name
        self._originals.append(value)


def _place(value: Any, exotic: bool) -> Any:
    if exotic:
        return id(value)
    storage = value.untyped_storage().data_ptr()
    return value.device, storage, value.storage_offset(), value.dtype, tuple(value.shape), value.stride()


def _is_exotic(value: Any) -> bool:
    """Whether a tensor has no place in a tensor file: sparse, quantized, complex, of a type of its own."""
    plain = type(value).__name__ in _PLAIN_TYPES and type(value).__module__.startswith("torch")
    return not plain or str(value.layout) != "torch.strided" or dtypes.of_torch(value.dtype) is None


def _is_dense(value: Any) -> bool:
    """Whether each element has a place of its own and there are no gaps, as in channels-last memory."""
    expected = 1
    for stride, size in sorted(zip(value.stride(), value.shape, strict=True)):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True


def _check_loadable(path: str, value: Any, torch: Any) -> None:
    stream = io.BytesIO()
    try:
        torch.save(value, stream)
        stream.seek(0)
        torch.load(stream, weights_only=True)
    except Exception as error:
        raise _unkept(path, value, why=f"torch does not load it without running code: {error!s:.200}") from error


def _scalar(path: str, value: Any) -> Any:
    if value.dtype.name not in _SCALARS:
        raise _unkept(path, value)
    return {"$numpy": [value.dtype.name, value.tobytes().hex()]}


def _unkept(path: str, value: Any, *, kind: str = "", why: str = "") -> UsageError:
    kind = kind or f"{type(value).__module__}.{type(value).__qualname__}"
    return UsageError(
        f"{path:.200} is a {kind:.100}, which a checkpoint does not keep",
        why=why
        or "it keeps numbers, text, bytes, lists, tuples, maps, sets, arrays, tensors, and what has a state_dict",
        do="leave it out, or give it a state_dict() and load_state_dict()",
    )


# -- bytes of arrays, and back


def piece(value: Any) -> Piece:
    """A copied array as a piece of a tensor file, sharing its memory. Must be plain."""
    if type(value).__module__ == "numpy":
        name = dtypes.of_numpy(value.dtype)
        data = memoryview(value.reshape(-1)).cast("B") if value.size else memoryview(b"")
    else:
        import torch

        name = dtypes.of_torch(value.dtype)
        data = memoryview(value.reshape(-1).view(torch.uint8).numpy()) if value.numel() else memoryview(b"")
    assert name is not None
    return Piece(dtype=name, shape=tuple(value.shape), data=data)


def numpy_array(found: Piece) -> Any:
    """A piece as a NumPy array on the same memory; float32 takes the place of types that NumPy has not."""
    import numpy as np

    if found.dtype not in dtypes.NUMPY:
        raise Damaged(f"a tensor of {found.dtype} is no NumPy array", why="the state in the checkpoint is inconsistent")
    return np.frombuffer(found.data, dtype=dtypes.NUMPY[found.dtype]).reshape(found.shape)


def tensor(found: Piece) -> Any:
    """A piece as a torch tensor on the same memory."""
    import torch

    dtype = getattr(torch, dtypes.TORCH[found.dtype])
    if not found.data.nbytes:
        return torch.empty(found.shape, dtype=dtype)
    return torch.frombuffer(found.data, dtype=dtype).reshape(found.shape)


def scalar(name: str, data: str) -> Any:
    """A NumPy scalar from its type and its bytes."""
    import numpy as np

    if name not in _SCALARS:
        raise ValueError(f"{name!r:.40} is no type of numbers")
    return np.frombuffer(bytes.fromhex(data), dtype=name)[0]


def with_stride(value: Any, stride: Any) -> Any:
    """The same values, laid out in memory as they were."""
    import torch

    if len(stride) != value.dim() or not all(type(each) is int and each >= 0 for each in stride):
        raise ValueError("a stride does not fit its tensor")
    if sum((size - 1) * each for size, each in zip(value.shape, stride, strict=True) if size) >= max(value.numel(), 1):
        raise ValueError("a stride leads out of its tensor")
    return torch.empty_strided(value.shape, stride, dtype=value.dtype).copy_(value)


def given(tensors: Mapping[str, Any], pieces: Mapping[str, Piece], tag: str, value: Any) -> Any:
    """What a tag in a skeleton stands for.

    Args:
        tensors: torch tensors by name, made already; looked at first.
        pieces: pieces of a tensor file, made into arrays when they are asked for.
    """
    match tag:
        case "$tensor":
            told = value if isinstance(value, dict) else {"name": value}
            name = told["name"]
            found = tensors[name] if name in tensors else tensor(pieces[name])
            return with_stride(found, told["stride"]) if "stride" in told else found
        case "$array":
            return numpy_array(pieces[value]) if value in pieces else tensors[value].numpy()
        case "$numpy":
            return scalar(*value)
        case "$size" | "$dtype" | "$device":
            return _torch_value(tag, value)
    raise ValueError(f"{tag:.40} is unknown; a newer gitrepro may have written it")


def _torch_value(tag: str, value: Any) -> Any:
    import torch

    if tag == "$size":
        return torch.Size(value)
    if tag == "$device":
        return torch.device(str(value))
    found = getattr(torch, str(value).removeprefix("torch."))
    if not isinstance(found, torch.dtype):
        raise ValueError(f"{value!r:.40} is no type of tensor elements")
    return found
