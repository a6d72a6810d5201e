"""One size, tried in a process that was spawned for it: never forked, for CUDA does not survive that."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import re
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from ...errors import ChildFailed, UsageError
from . import FITS, OVER, SLOW, Trial

_LOOK_SECONDS: Final = 0.02
_LEAVE_SECONDS: Final = 10.0
_STEPS: Final = 4
_LATE: Final = "it was not done in time"
_NO_MEMORY: Final = re.compile(r"out of memory|can't allocate memory|not enough memory|bad_alloc", re.IGNORECASE)

Step = Callable[[], object]
MakeStep = Callable[[int], Step]


def check_make_step(make_step: MakeStep | str) -> str:
    """What a process of its own finds the function by, `module:function`.

    Raises:
        UsageError: it is no function that can be imported.
    """
    if isinstance(make_step, str):
        if not re.fullmatch(r"[\w.]+:[\w.]+", make_step):
            raise UsageError(f"{make_step!r:.100} is no `module:function`", do="as in `train:make_step`")
        return make_step
    name = getattr(make_step, "__qualname__", "<object>")
    module = getattr(make_step, "__module__", None)
    if not callable(make_step) or "<" in name or module is None:
        raise UsageError(
            f"{name} cannot be found by another process",
            why="each size is tried in one of its own",
            do="define make_step at the top of a file, and give the function, or its name as `module:function`",
        )
    if module == "__main__":
        path = getattr(sys.modules["__main__"], "__file__", None)
        if path is None:
            raise UsageError(f"{name} is defined in no file", do="put it into one, and give `module:function`")
        return f"{Path(path).resolve()}:{name}"
    return f"{module}:{name}"


def try_size(where: str, size: int, *, limit_bytes: int, margin: float, timeout_seconds: float) -> Trial:
    """Try one size: build it, and make some full training steps.

    Args:
        where: as `check_make_step` gave it.
        limit_bytes: the memory of the process, where the step runs on the CPU; a GPU says itself what is free.
        margin: the share of it that must stay free.
        timeout_seconds: for all of it.

    Raises:
        ChildFailed: the step fails of something else than memory.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, where, size, list(sys.path)), daemon=True)
    process.start()
    theirs.close()
    allowed = int(limit_bytes * (1 - margin))
    try:
        peak, why = _watch(process, ours, allowed, time.monotonic() + timeout_seconds)
        found = _received(ours)
        if found is None and not why:
            # It is on its way out, and how it went out is what there is to know.
            process.join(_LEAVE_SECONDS)
    finally:
        process.kill()
        process.join()
        ours.close()
    if why:
        return Trial(size=size, verdict=SLOW if why == _LATE else OVER, peak_bytes=peak, limit_bytes=allowed, why=why)
    return _judged(size, found, peak, allowed, margin, process.exitcode)


def _watch(process: Any, pipe: Connection, allowed: int, deadline: float) -> tuple[int | None, str]:
    """Until it has spoken or ended: the most memory that it took, and why it was stopped, if it was."""
    peak = None
    while not pipe.poll(_LOOK_SECONDS) and process.is_alive():
        peak = peak_bytes(process.pid) or peak
        if peak is not None and peak > allowed and not _on_gpu(process.pid):
            return peak, f"it took {peak} bytes"
        if time.monotonic() > deadline:
            return peak, _LATE
    return peak, ""


def _on_gpu(pid: int) -> bool:
    """Whether it has a GPU open, whose libraries take gigabytes of no concern."""
    try:
        return any("/dev/nvidia" in str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def peak_bytes(pid: int | str = "self") -> int | None:
    """The most memory a process has had resident. Not `ru_maxrss`, in which a child begins with what its parent had."""
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _received(pipe: Connection) -> dict[str, Any] | None:
    try:
        return dict(pipe.recv()) if pipe.poll() else None
    except (EOFError, OSError):
        return None


def _judged(
    size: int, found: dict[str, Any] | None, peak: int | None, allowed: int, margin: float, code: int | None
) -> Trial:
    if found is None:
        if code in (-9, 137):
            return Trial(size=size, verdict=OVER, peak_bytes=peak, limit_bytes=allowed, why="it was killed")
        raise ChildFailed(
            f"the process that tried batch size {size} ended with {code}",
            why="it left no word: maybe it began your script anew",
            do='in the script, put what is not a definition under `if __name__ == "__main__":`',
        )
    if "error" in found:
        if found["memory"]:
            return Trial(size=size, verdict=OVER, peak_bytes=peak, limit_bytes=allowed, why=found["error"][-300:])
        raise ChildFailed(
            f"the training step fails at batch size {size}",
            why=found["error"].strip().splitlines()[-1][:500],
            do=f"run it by itself:\n{found['error'][-3000:]}",
        )
    if "free_bytes" in found:
        allowed = int(found.pop("free_bytes") * (1 - margin))
    over = found["peak_bytes"] is not None and found["peak_bytes"] > allowed
    why = f"it took {found['peak_bytes']} bytes" if over else ""
    return Trial(size=size, verdict=OVER if over else FITS, limit_bytes=allowed, why=why, **found)


# -- in the process of its own


def _child(pipe: Connection, where: str, size: int, path: list[str]) -> None:
    # Where memory is short, the kernel shall take this one, and not who waits for it.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    sys.path[:] = path
    try:
        pipe.send(_measure(_function(where), size))
    except BaseException as error:  # noqa: BLE001 - whatever a stranger's step raises is told
        memory = isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__
        memory = memory or (isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error))))
        pipe.send({"error": traceback.format_exc(), "memory": memory})


def _function(where: str) -> MakeStep:
    module, _, name = where.rpartition(":")
    if module.endswith(".py"):
        main = sys.modules.get("__mp_main__")
        if hasattr(main, name):
            return getattr(main, name)  # type: ignore[no-any-return]
        import runpy

        found: Any = runpy.run_path(module, run_name="__mp_main__")[name]
        return found  # type: ignore[no-any-return]
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]


def _measure(make_step: MakeStep, size: int) -> dict[str, Any]:
    seen: dict[str, Any] = {"optimizer": None, "lr": None}
    _see_optimizer(seen)
    step = make_step(size)
    _see_optimizer(seen)
    if not callable(step):
        raise TypeError(f"make_step({size}) gave {type(step).__name__}, and no function that makes one training step")
    seconds = []
    for _ in range(_STEPS):
        began = time.perf_counter()
        step()
        _wait()
        seconds.append(time.perf_counter() - began)
    seen.pop("hooked", None)
    return {"step_seconds": statistics.median(seconds[1:]), **seen, **_memory()}


def _see_optimizer(seen: dict[str, Any]) -> None:
    """Note what steps: without its state, memory was not all that a training takes."""
    module = sys.modules.get("torch.optim.optimizer")
    if module is None or seen.get("hooked"):
        return
    from ..steps import shared

    def stepped(each: Any) -> None:
        seen["optimizer"] = type(each.optimizer).__name__
        lr = each.optimizer.param_groups[0].get("lr")
        seen["lr"] = float(lr) if lr is not None else None

    shared().subscribe(stepped)
    seen["hooked"] = True


def _gpu() -> Any:
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def _wait() -> None:
    if (cuda := _gpu()) is not None:
        cuda.synchronize()


def _memory() -> dict[str, Any]:
    cuda = _gpu()
    if cuda is None:
        return {"peak_bytes": peak_bytes(), "device": "cpu"}
    device = max(range(cuda.device_count()), key=cuda.max_memory_reserved)
    # What was free before we took our part of it.
    free = cuda.mem_get_info(device)[0] + cuda.memory_reserved(device)
    return {"peak_bytes": cuda.max_memory_reserved(device), "free_bytes": free, "device": f"cuda:{device}"}
