"""Workers of a program that log into its run: forked, spawned, killed, and left by `os._exit`."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from collections.abc import Callable

from .. import oracle
from ..case import Case, Trial, recover, scene
from ..nursery import NOT_PLANTED, ROOT
from ..world import Place, World

# Each worker says after each log() that it returned, and ends as it was told.
PROGRAM = """\
import os, signal, sys
from tests.torture import jobs
from tests.torture.mutants import plant
import gitrepro

said, workers, how, end, mutant = sys.argv[1:]
plant(mutant)


def work(number, run):
    fd = jobs.opened(said)
    for step in range(20):
        run.log({f"w{number}": float(step)}, step=step)
        jobs.print_to(fd, f"{number} {step}")
        if step == 10 and number == 1 and end == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    if end == "exit":
        os._exit(0)


class Data:
    def __init__(self, run, workers):
        self.run, self.workers, self.done = run, workers, set()

    def __len__(self):
        return 4 * max(self.workers, 1)

    def __getitem__(self, index):
        fd = jobs.opened(said)
        self.run.log({f"i{index}": float(index)}, step=index)
        jobs.print_to(fd, f"i{index} {index}")
        return index


def plain(run):
    import multiprocessing

    context = multiprocessing.get_context(how)
    crew = [context.Process(target=work, args=(number, run)) for number in range(int(workers))]
    for each in crew:
        each.start()
    for each in crew:
        each.join()


def loader(run):
    from torch.utils.data import DataLoader

    count = int(workers)
    context = how.split()[1] if count else None
    for _ in DataLoader(Data(run, count), batch_size=2, num_workers=count, multiprocessing_context=context):
        pass


if __name__ == "__main__":
    with gitrepro.record(seed=7) as run:
        run.log({"before": 1.0})
        (loader if how.startswith("torch") else plain)(run)
        run.log({"after": 1.0})
"""


def workers(hows: tuple[str, ...], counts: tuple[int, ...]) -> Callable[..., Trial]:
    def trial(world: World, number: int, rng: random.Random, *, mutant: str = "") -> Trial:
        with scene(world, "clean") as place:
            how = hows[number % len(hows)]
            end = "return" if how.startswith("torch") else rng.choice(("return", "exit", "kill"))
            return _judged(world, place, how, rng.choice(counts), end, mutant)

    return trial


def _judged(world: World, place: Place, how: str, count: int, end: str, mutant: str) -> Trial:
    code = _program(place, str(count), how, end, mutant)
    trial = Trial(problems=[] if code == 0 else [f"the program ended with {code}: {place.said[-600:]}"])
    recover(world, place, trial)
    trial.problems += oracle.broken(place.repo)
    for found in oracle.runs(place.repo):
        columns = oracle.columns(place.repo, found.id)
        for name, acked in _said(place).items():
            if columns.get(name, [])[: len(acked)] != acked:
                trial.problems.append(f"{how}, {count} workers, {end}: {name} has {columns.get(name)}, not {acked}")
        if found.status != "finished" or not columns.get("before") == columns.get("after") == [1.0]:
            trial.problems.append(f"{how}, {count} workers, {end}: the run is {found.status} or lacks its own rows")
    trial.facts.update({"points of workers acknowledged": sum(map(len, _said(place).values())), "workers": count})
    return trial


def _program(place: Place, count: str, how: str, end: str, mutant: str) -> int:
    script = place.root / "program.py"
    script.write_text(PROGRAM)
    argv = [sys.executable, str(script), str(place.root / "said"), count, how, end, mutant]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(place.root / "state")}
    environment |= {"GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(place.root), "LC_ALL": "C.UTF-8"}
    with place.errors.open("ab") as said:
        done = subprocess.run(argv, cwd=place.repo, env=environment, stdout=said, stderr=said, timeout=300)
    if done.returncode == NOT_PLANTED:
        raise RuntimeError(f"a defect could not be planted: {place.said[-300:]}")
    return done.returncode


def _said(place: Place) -> dict[str, list[float]]:
    acked: dict[str, list[float]] = {}
    path = place.root / "said"
    for line in path.read_text().splitlines() if path.exists() else []:
        name, value = line.split()
        acked.setdefault(name if name.startswith("i") else f"w{name}", []).append(float(value))
    return acked


def control_fork(world: World, rng: random.Random) -> list[str]:
    return workers(("fork",), (4,))(world, 0, rng, mutant="shared over fork").problems


PROMISE = "a worker's rows are its run's rows; nothing twice, nothing lost"

CASES = (
    Case(
        name="forked and spawned workers that return, leave by os._exit, or are killed",
        promise=PROMISE,
        full=lambda _: 200,
        ci=2,
        trial=workers(("fork", "spawn", "forkserver"), (1, 2, 4, 8)),
        control=control_fork,
    ),
    Case(
        name="0 to 16 workers of a real DataLoader, forked and spawned",
        promise=PROMISE,
        full=lambda _: 40,
        ci=1,
        trial=workers(("torch fork", "torch spawn"), (0, 1, 2, 4, 16)),
        control=control_fork,
        needs=lambda _: "" if importlib.util.find_spec("torch") else "torch is not installed",
    ),
)
