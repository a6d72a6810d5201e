"""`gitrepro.find_batch_size`: the largest batch that fits into the memory of this machine."""

from __future__ import annotations

from collections.abc import Callable

from ..capture import hardware
from ..errors import UsageError
from ..training.batch import Search, Trial, search
from ..training.batch.trial import MakeStep, check_make_step, try_size


def find_batch_size(
    make_step: MakeStep | str,
    *,
    at_least: int = 1,
    at_most: int = 1 << 16,
    margin: float = 0.1,
    memory_bytes: int | None = None,
    timeout_seconds: float = 120.0,
    tried: Callable[[Trial], None] = lambda _: None,
) -> Search:
    """Find the largest batch size whose training step fits.

        def make_step(batch_size):
            model, optimizer = ...
            batch = ...              # the worst case: the longest sequences, the largest images
            def step():              # forward, backward, optimizer step
                ...
            return step

        found = gitrepro.find_batch_size(make_step, at_most=len(train_set))

    Each size is tried in a process that is spawned for it: sizes double until one does not fit, then the gap is halved
    until it is within a thirty-second. On a GPU what torch reserves is held against what is free; on a CPU the memory
    of the process, torch itself in it, against `memory_bytes`.

    Args:
        make_step: a function at the top of a file, or its name as `module:function`. Called with a size, it builds the
            model, the optimizer and a batch, and returns a function that makes one full training step.
        at_least, at_most: the sizes that are allowed; the number of samples is a good `at_most`.
        margin: the share of the memory that must stay free, from 0 to 0.9.
        memory_bytes: on a CPU what may be used; by default what is free now, within the limit of the cgroup.
        timeout_seconds: for one size, imports included; one that takes longer ends the search.
        tried: is given each trial as it ends.

    Raises:
        UsageError: an argument is wrong.
        ChildFailed: the step fails of something else than memory.
    """
    if not 0 <= margin <= 0.9:
        raise UsageError(f"margin is {margin!r:.60}", do="give a share from 0 to 0.9, as 0.1")
    if not timeout_seconds > 0:
        raise UsageError(f"timeout_seconds is {timeout_seconds!r:.60}", do="give a number above 0")
    limit = _free_bytes() if memory_bytes is None else memory_bytes
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise UsageError(f"memory_bytes is {limit!r:.60}", do="give a number of bytes")
    where = check_make_step(make_step)

    def one(size: int) -> Trial:
        trial = try_size(where, size, limit_bytes=limit, margin=margin, timeout_seconds=timeout_seconds)
        tried(trial)
        return trial

    return search(one, at_least=at_least, at_most=at_most)


def _free_bytes() -> int:
    free = hardware.available_bytes()
    limit = hardware.describe().get("memory", {}).get("limit_bytes")
    return free if limit is None else min(free, int(limit))
