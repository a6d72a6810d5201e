"""The first steps of a training, and no more: a digest of the weights after each, and how long it took.

`GITREPRO_STOP_AFTER_STEPS` says how many optimizer steps, `GITREPRO_STEPS` names the folder that takes the file of this
process, `steps-<rank>-<monotonic ns>.jsonl`, a line a step: step, digest, seconds since the end of the step before.
After the last one the process ends at once, with the exit code 0 and without what the program does at its own end.

This file is also loaded beside `steps.py` into interpreters where gitrepro is not installed. So it imports the standard
library only, and its syntax is that of Python 3.8.
"""

from __future__ import annotations

import json
import os
import sys
import time
import weakref

TYPE_CHECKING = False  # as typing has it, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .steps import Step, Steps

_DIGEST_BYTES = 16


class Probe:
    """Watches the optimizer steps of this process, and ends it after some.

    Args:
        steps: what tells of them.
        stop_after: how many.
        folder: takes the file.
    """

    def __init__(self, steps: Steps, *, stop_after: int, folder: str) -> None:
        self._steps = steps
        self._stop_after = stop_after
        self._path = f"{folder}/steps-{os.environ.get('RANK', '0')}-{time.monotonic_ns()}.jsonl"
        self._optimizers: list[Any] = []
        self._last: float | None = None

    def start(self) -> None:
        self._steps.subscribe(self._stepped)

    def _stepped(self, step: Step) -> None:
        if all(known() is not step.optimizer for known in self._optimizers):
            self._optimizers.append(weakref.ref(step.optimizer))
        if not step.lead:
            return
        seconds = None if self._last is None else step.seconds - self._last
        self._write({"step": step.number, "digest": self._digest(), "seconds": seconds})
        if step.number + 1 >= self._stop_after:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(0)
        self._last = time.perf_counter()

    def _write(self, row: dict[str, Any]) -> None:
        with open(self._path, "a") as stream:
            stream.write(json.dumps(row) + "\n")

    def _digest(self) -> str:
        import hashlib

        whole = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        for data in self._weights():
            whole.update(data)
        return whole.hexdigest()

    def _weights(self) -> Iterator[bytes]:
        """The bytes of every parameter that an optimizer holds; of one that lies on several ranks, those here."""
        import ctypes

        for known in self._optimizers:
            optimizer = known()
            for group in [] if optimizer is None else optimizer.param_groups:
                for parameter in group["params"]:
                    own = parameter.to_local() if hasattr(parameter, "to_local") else parameter
                    tensor = own.detach().cpu().contiguous()
                    yield str((tuple(tensor.shape), str(tensor.dtype))).encode()
                    yield ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size())
