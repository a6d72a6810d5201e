"""Several things at once, and no more than so many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait


def run(jobs: Iterable[Callable[[], None]], *, threads: int, stop: Callable[[], None]) -> None:
    """Do all of these, so many at once; a job is not made before there is a thread for it.

    Args:
        stop: is called when one has failed, or somebody presses Ctrl-C: it lets those under way end soon.

    Raises:
        The first exception of a job, when those under way have ended. The others are not begun.
    """
    waiting: set[Future[None]] = set()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for job in jobs:
                if len(waiting) == threads:
                    waiting = _done_with_some(waiting)
                waiting.add(pool.submit(job))
            while waiting:
                waiting = _done_with_some(waiting)
        except BaseException:
            stop()
            raise


def _done_with_some(waiting: set[Future[None]]) -> set[Future[None]]:
    done, left = wait(waiting, return_when=FIRST_COMPLETED)
    for each in done:
        each.result()
    return left
