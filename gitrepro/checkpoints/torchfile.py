"""Files in torch's own format: for tensors that have no place in a tensor file, and those that people bring.

They are pickles. They are read by torch's reader of weights only, which builds tensors and plain values and runs
nothing; what it refuses stays unread.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any, Final

from ..errors import Damaged, GitreproError, Unsafe, UsageError

FORMAT: Final = 1
_FORMAT_KEY: Final = "gitrepro_checkpoint"
_ZIP: Final = b"PK\x03\x04"
_PICKLE: Final = b"\x80"


def dump(skeleton: str, arrays: Mapping[str, Any], provenance: str) -> bytes:
    """The bytes of a file that holds a state.

    Raises:
        UsageError: torch would not read it again without running code.
    """
    import torch

    tensors = {
        name: value if isinstance(value, torch.Tensor) else torch.from_numpy(value) for name, value in arrays.items()
    }
    stream = io.BytesIO()
    torch.save({_FORMAT_KEY: FORMAT, "provenance": provenance, "state": skeleton, "tensors": tensors}, stream)
    try:
        load(stream.getvalue(), source="the checkpoint", map_location="cpu")
    except GitreproError as error:
        odd = ", ".join(f"{name} ({type(value).__name__})" for name, value in arrays.items())
        raise UsageError("the checkpoint would not be loadable", why=f"{error.why} among {odd:.300}") from error
    return stream.getvalue()


def is_torch_file(data: memoryview) -> bool:
    """Whether a file begins as torch's do: the new ones and the old."""
    return bytes(data[:4]) == _ZIP or bytes(data[:1]) == _PICKLE


def load(data: bytes | bytearray | memoryview, *, source: str, map_location: Any) -> Any:
    """What a file holds, made of tensors and plain values only.

    Raises:
        Unsafe: to read it would be to run code in it. Nothing of it was run.
        Damaged: it is cut short, or no such file.
    """
    import torch

    stream = io.BytesIO(data)
    if bytes(data[:4]) == _ZIP:
        _check_stored(stream, source)
    try:
        # Said here, it stands over the variable of the environment by which torch reads the unsafe way.
        return torch.load(stream, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise _unsafe(source, error) from error
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, TypeError, AttributeError, IndexError) as error:
        if "TorchScript" in str(error):
            raise _unsafe(source, error) from error
        raise Damaged(f"{source} is no whole checkpoint of torch", why=f"{error!s:.200}") from error


def _check_stored(stream: io.BytesIO, source: str) -> None:
    """torch never compresses: a few bytes that claim to unfold into many are no checkpoint."""
    try:
        members = zipfile.ZipFile(stream).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError) as error:
        raise Damaged(f"{source} is cut short or changed", why=f"{error!s:.200}") from error
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise Unsafe(f"{source} holds compressed members", why="torch writes none, and they may unfold without end")
    stream.seek(0)


def _unsafe(source: str, error: Exception) -> Unsafe:
    # What torch says first is how to load it all the same, with code and all: that is not repeated.
    found = [line.strip() for line in str(error).splitlines() if "GLOBAL" in line or "global" in line]
    why = found[0].partition(" Please use ")[0] if found else "it holds more than tensors and plain values"
    return Unsafe(
        f"{source} wants to run code when it is loaded; nothing of it was run",
        why=f"{why:.300}",
        do="save the state again, without objects of your own: run.checkpoint(model=model), or safetensors",
    )


def is_ours(found: Any) -> bool:
    return isinstance(found, dict) and found.get(_FORMAT_KEY) == FORMAT


def state_in(found: Mapping[str, Any], *, source: str) -> tuple[Any, Mapping[str, Any], Mapping[str, Any]]:
    """The skeleton, the provenance and the tensors in a file of ours."""
    try:
        return json.loads(found["state"]), dict(json.loads(found["provenance"])), dict(found["tensors"])
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise Damaged(f"{source} is no checkpoint", why=f"{error!s:.200}") from error
