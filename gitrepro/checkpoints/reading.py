"""From bytes to a checkpoint. They are hashed as a whole before anything in them is looked at, and nothing is run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from ..errors import Damaged, NotAvailable, StorageError, UsageError
from ..store.objects import BlobStore, digest_of
from . import files, tensorfile, torchfile
from .arrays import given, tensor
from .checkpoint import Checkpoint
from .skeleton import decode

_MOVED: Final = ("model", "optimizer")
_PARTS_OF_OTHERS: Final = {
    "model": ("model", "state_dict", "model_state_dict", "net", "weights"),
    "optimizer": ("optimizer", "optimizer_state_dict", "optimizer_states", "optim"),
    "scheduler": ("scheduler", "scheduler_state_dict", "lr_scheduler", "lr_schedulers"),
    "scaler": ("scaler", "scaler_state_dict", "grad_scaler"),
}
_STEPS_OF_OTHERS: Final = ("step", "global_step", "iteration")


def from_store(store: BlobStore, digest: str, *, map_location: Any) -> Checkpoint:
    """A checkpoint that is kept in the store. Raises BlobMissing, and as `parse` does."""
    with store.open(digest) as reader:
        data = _read_whole(reader, reader.seek(0, os.SEEK_END))
    if digest_of([data]) != digest:
        store.verify(digest)  # it finds out which bytes are wrong, and sets them aside
        raise Damaged(f"checkpoint {digest[:15]} changed while it was read", do="run it again")
    return parse(data, source=f"checkpoint {digest[:15]}", digest=digest, map_location=map_location)


def from_file(path: Path, *, expected: str | None = None, map_location: Any) -> Checkpoint:
    """A checkpoint in a file of the user's; it must have the digest `expected`, where there is one.

    Raises:
        NotAvailable: it is gone.
        Damaged: it has other bytes than those on record; and as `parse` does.
    """
    try:
        with open(path, "rb", buffering=0) as reader:
            data = _read_whole(reader, os.fstat(reader.fileno()).st_size)
    except FileNotFoundError as error:
        raise NotAvailable(f"there is no file {path}", why="it was put on record where it lay") from error
    except IsADirectoryError as error:
        raise _is_folder(path) from error
    except OSError as error:
        raise StorageError(f"cannot read {path}", why=error.strerror or str(error)) from error
    digest = digest_of([data])
    if expected is not None and digest != expected:
        raise Damaged(f"{path} has other bytes than those on record", why=f"{digest[:15]} is not {expected[:15]}")
    return parse(data, source=str(path), digest=digest, map_location=map_location)


def _is_folder(path: Path) -> UsageError:
    inside = sorted(each.name for each in path.iterdir() if each.is_file())[:10]
    return UsageError(f"{path} is a folder", why=f"it holds {', '.join(inside) or 'no files'}", do="name one of them")


def _read_whole(reader: Any, size_bytes: int) -> memoryview:
    view = memoryview(bytearray(size_bytes))
    reader.seek(0)
    at = 0
    while at < size_bytes and (count := reader.readinto(view[at:])):
        at += count
    return view[:at]


def parse(data: memoryview, *, source: str, digest: str, map_location: Any = "cpu") -> Checkpoint:
    """The checkpoint in `data`; its tensors share that memory.

    Raises:
        Unsafe: to read it would be to run code.
        Damaged: it is no whole checkpoint.
        UsageError: it is of no known format.
    """
    # In this order: a tensor file begins with a length, whose first byte may be any.
    if tensorfile.is_tensor_file(data):
        state, provenance = _of_tensors(data, source)
    elif torchfile.is_torch_file(data):
        state, provenance = _of_torch(data, source)
    else:
        raise UsageError(
            f"{source} is no checkpoint",
            why="it begins neither as safetensors nor as a file of torch",
            do="check the name",
        )
    if str(map_location) != "cpu":
        state = {part: _moved(value, map_location) if part in _MOVED else value for part, value in state.items()}
    return Checkpoint(
        state=state,
        step=_step(state, provenance),
        metrics=dict(provenance.get("metrics") or {}),
        provenance=provenance,
        digest=digest,
    )


def _of_tensors(data: memoryview, source: str) -> tuple[dict[str, Any], Mapping[str, Any]]:
    found = tensorfile.read(data, source=source)
    told = found.metadata.get(files.STATE)
    if told is None:  # of another program: tensors by name are a model
        return {"model": {name: tensor(each) for name, each in found.pieces.items()}}, {}
    provenance = _json(found.metadata.get(files.PROVENANCE, "{}"), source)
    return decode(_json(told, source), give=_once(partial(given, {}, found.pieces))), provenance


def _of_torch(data: memoryview, source: str) -> tuple[dict[str, Any], Mapping[str, Any]]:
    found = torchfile.load(data, source=source, map_location="cpu")
    if not torchfile.is_ours(found):
        return _state_of_others(found, source), {}
    skeleton, provenance, tensors = torchfile.state_in(found, source=source)
    return decode(skeleton, give=partial(given, tensors, {})), provenance


def _once(give: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Tensors that were one are one again."""
    made: dict[str, Any] = {}

    def give_once(tag: str, value: Any) -> Any:
        if tag not in ("$tensor", "$array"):
            return give(tag, value)
        key = json.dumps([tag, value])
        if key not in made:
            made[key] = give(tag, value)
        return made[key]

    return give_once


def _json(text: str, source: str) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{source} has no readable state", why=f"{error!s:.200}") from error
    if not isinstance(found, dict):
        raise Damaged(f"{source} has no readable state")
    return found


def _state_of_others(found: Any, source: str) -> dict[str, Any]:
    """The state in a file that another program wrote, its parts by our names where theirs are known."""
    if not isinstance(found, Mapping):
        raise UsageError(f"{source} holds a {type(found).__name__}", why="a checkpoint is a map of names")
    if found and all(hasattr(value, "shape") for value in found.values()):
        return {"model": found}
    known = {ours: name for ours, names in _PARTS_OF_OTHERS.items() for name in reversed(names) if name in found}
    rest = {str(name): value for name, value in found.items() if name not in known.values()}
    return {**{ours: found[name] for ours, name in known.items()}, "extra": rest}


def _step(state: Mapping[str, Any], provenance: Mapping[str, Any]) -> int | None:
    told = provenance.get("step")
    if told is None and isinstance(state.get("extra"), Mapping):
        told = next((state["extra"][name] for name in _STEPS_OF_OTHERS if name in state["extra"]), None)
    return told if isinstance(told, int) else None


def _moved(value: Any, device: Any) -> Any:
    if isinstance(value, dict):
        moved = type(value)((key, _moved(each, device)) for key, each in value.items())
        if hasattr(value, "_metadata"):
            moved._metadata = value._metadata  # type: ignore[attr-defined]
        return moved
    if type(value) in (list, tuple):
        return type(value)(_moved(each, device) for each in value)
    return value.to(device) if hasattr(value, "to") and hasattr(value, "device") else value
