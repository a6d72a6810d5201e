"""The types of array elements as a tensor file names them, and as NumPy and torch do."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

ITEM_BYTES: Final = MappingProxyType(
    {
        "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
        "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1, "BOOL": 1,
    }
)  # fmt: skip
NUMPY: Final = MappingProxyType(
    {
        "F64": "float64", "I64": "int64", "U64": "uint64", "F32": "float32", "I32": "int32", "U32": "uint32",
        "F16": "float16", "I16": "int16", "U16": "uint16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
    }
)  # fmt: skip
TORCH: Final = MappingProxyType({**NUMPY, "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"})
_OF_NUMPY: Final = {name: key for key, name in NUMPY.items()}
_OF_TORCH: Final = {f"torch.{name}": key for key, name in TORCH.items()}


def of_numpy(dtype: Any) -> str | None:
    """The name in a tensor file of a NumPy dtype; None where it has none."""
    return _OF_NUMPY.get(dtype.name)


def of_torch(dtype: Any) -> str | None:
    """The name in a tensor file of a torch dtype; None where it has none."""
    return _OF_TORCH.get(str(dtype))
