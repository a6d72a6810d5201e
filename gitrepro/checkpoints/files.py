"""A captured state as the bytes of a file: a tensor file where possible, else one of torch's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from . import publish, tensorfile, torchfile
from .arrays import piece
from .capture import Captured
from .weights import weights_of

FORMAT: Final = 1
PROVENANCE: Final = "gitrepro"
STATE: Final = "gitrepro.state"
SAFETENSORS, TORCH = "safetensors", "torch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file in parts, in memory."""

    format: str
    weights: str | None
    parts: Iterable[memoryview | bytes]


def made(captured: Captured, known: Mapping[str, Any]) -> Made:
    """The file of a state.

    Args:
        known: what is known of the run and the moment; it goes into the file.

    Raises:
        UsageError: torch would not load it without running code.
    """
    weights = weights_of(captured)
    libraries = _versions()
    provenance = {**known, **libraries, "format": FORMAT, "holds": captured.holds, "weights": weights}
    told = json.dumps(provenance, separators=(",", ":"), sort_keys=True, default=repr)
    state = json.dumps(captured.skeleton, separators=(",", ":"))
    if not captured.plain:
        whole = torchfile.dump(state, captured.arrays, told)
        return Made(format=TORCH, weights=weights, parts=[whole])
    pieces = {name: piece(value) for name, value in captured.arrays.items()}
    # Other tools ask the metadata for which library the tensors are.
    metadata = {PROVENANCE: told, STATE: state, "format": "pt"}
    return Made(format=SAFETENSORS, weights=weights, parts=publish.joined(_of_kinds(pieces, metadata)))


def _of_kinds(pieces: Mapping[str, tensorfile.Piece], metadata: Mapping[str, str]) -> Iterable[tuple[str, memoryview]]:
    """Each part of a tensor file with the part of the state it belongs to."""
    names = [name for name in tensorfile.order(pieces) if pieces[name].data.nbytes]
    kinds = ["", *(name.partition("/")[0] for name in names)]
    return zip(kinds, tensorfile.parts(pieces, metadata), strict=True)


def _versions() -> dict[str, str]:
    import platform
    import sys

    found: dict[str, str] = {"python": platform.python_version()}
    for name in ("numpy", "torch"):
        if name in sys.modules:
            found[name] = str(sys.modules[name].__version__)
    return found
