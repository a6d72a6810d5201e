"""The flags of torch that decide about precision: read back, and set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, final

from ...errors import UsageError

_READ_BACK: Final = (
    ("autocast_cache", "is_autocast_cache_enabled"),
    ("cudnn_tf32", "backends.cudnn.allow_tf32"),
    ("cudnn_conv", "backends.cudnn.conv.fp32_precision"),
    ("matmul_tf32", "backends.cuda.matmul.allow_tf32"),
    ("matmul", "backends.cuda.matmul.fp32_precision"),
    ("fp16_reduced_reduction", "backends.cuda.matmul.allow_fp16_reduced_precision_reduction"),
    ("bf16_reduced_reduction", "backends.cuda.matmul.allow_bf16_reduced_precision_reduction"),
    ("fp16_accumulation", "backends.cuda.matmul.allow_fp16_accumulation"),
    ("mkldnn_matmul", "backends.mkldnn.matmul.fp32_precision"),
    ("mkldnn_conv", "backends.mkldnn.conv.fp32_precision"),
    ("default_dtype", "get_default_dtype"),
    ("flash_attention", "backends.cuda.flash_sdp_enabled"),
    ("efficient_attention", "backends.cuda.mem_efficient_sdp_enabled"),
    ("math_attention", "backends.cuda.math_sdp_enabled"),
    ("cudnn_attention", "backends.cuda.cudnn_sdp_enabled"),
)


def flags() -> dict[str, Any]:
    """The flags of torch that decide about precision, as they are in force. What a release does not know is missing."""
    return dict(_flags())


def _flags() -> Iterator[tuple[str, Any]]:
    import torch

    for name, path in _READ_BACK:
        found: Any = torch
        try:
            for part in path.split("."):
                found = getattr(found, part)
            found = found() if callable(found) else found
        except (AttributeError, RuntimeError):
            # Where the two kinds of TF32 flags were mixed, torch answers for one of them alone.
            continue
        yield name, found if isinstance(found, bool | str) else str(found)


@final
class Tf32:
    """TF32 on or off, in matrix products and in cuDNN, until it is put back."""

    def __init__(self, *, on: bool) -> None:
        import torch

        backends = torch.backends
        self._places = [(backends.cuda.matmul, "allow_tf32"), (backends.cudnn, "allow_tf32")]
        self._before = [_read(*place) for place in self._places]
        for (where, attribute), before in zip(self._places, self._before, strict=True):
            if before is not None:
                setattr(where, attribute, on)
            else:
                raise UsageError(
                    "TF32 can be set neither on nor off",
                    why="torch's two kinds of TF32 flags are mixed, and it answers for neither",
                    do="set `allow_tf32` or `fp32_precision`, and not both",
                )

    def restore(self) -> None:
        """Put it back as it was."""
        for (where, attribute), before in zip(self._places, self._before, strict=True):
            setattr(where, attribute, before)


def _read(where: Any, attribute: str) -> bool | None:
    try:
        return bool(getattr(where, attribute))
    except RuntimeError:
        return None
