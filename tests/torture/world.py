"""Where the trials happen: scratch repositories, made once and copied, and the nursery that runs the programs."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, final

from . import litter, oracle
from .faults import Point, points, strike
from .nursery import Nursery

T = TypeVar("T")
TRAIN = """\
import os
import gitrepro

acks = os.open(os.environ["TORTURE_ACKS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
run = gitrepro.record()
os.writev(acks, [f"start {run.id}\\n".encode()])
for step in range(int(os.environ.get("TORTURE_STEPS", "1000000"))):
    run.log({"loss": step / 4, "count": step}, step=step)
    os.writev(acks, [b"%d\\n" % step])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One copy of a repository, and the files beside it: acknowledgements, what the programs said."""

    root: Path

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def hub(self) -> Path:
        """The bare repository that `repo` has as its remote."""
        return self.root / "hub" / ".git"

    @property
    def remote(self) -> Path:
        """The folder of a store remote."""
        return self.root / "state" / "remote"

    @property
    def acks(self) -> Path:
        return self.root / "acks"

    @property
    def last(self) -> str:
        """The run that was acknowledged last."""
        text = self.acks.read_text() if self.acks.exists() else ""
        return next(reversed(re.findall(r"^start (\w+)$", text, re.M)), "")

    @property
    def errors(self) -> Path:
        return self.root / "errors"

    @property
    def warned(self) -> str:
        path = self.root / "warned"
        return path.read_text() if path.exists() else ""

    @property
    def said(self) -> str:
        return self.errors.read_text(errors="replace") if self.errors.exists() else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A program whose system calls are swept: in a copy of `template` a nursery job, with its arguments."""

    template: str
    job: str
    args: tuple[str, ...] = ()
    options: dict[str, object] = field(default_factory=dict)


LIFE, DIRTY, RECOVER, LS = "start, log, finish, commit", "the same, dirty tree", "recover", "ls"
FOLD, TAG, LABEL, NOTE = "fold", "tag", "label", "note"
STOCK = "blobs put in a batch: files, packs, a recipe"
PUSH, PULL, PURGE = "push", "pull", "purge"
SEND, FETCH = "blobs sent to a folder", "blobs fetched from a folder"
ADD, COLLECT = "data add", "gc: dead files and packs, packs written anew, the trash"
TAG_NAME, WORD = "result/kept", "kept"
_LOGGING = {"warned": "{warned}"}
SCENARIOS = {
    LIFE: Scenario(template="clean", job="life", args=("{acks}",), options={"steps": 5, **_LOGGING}),
    DIRTY: Scenario(template="dirty", job="life", args=("{acks}",), options={"steps": 2, **_LOGGING}),
    RECOVER: Scenario(template="killed", job="command", args=("recover",)),
    LS: Scenario(template="killed", job="command", args=("ls",)),
    FOLD: Scenario(template="queued", job="fold"),
    TAG: Scenario(template="recorded", job="command", args=("tag", TAG_NAME, "@last")),
    LABEL: Scenario(template="recorded", job="command", args=("label", "@last", WORD)),
    STOCK: Scenario(template="clean", job="stock", args=("{acks}",)),
    ADD: Scenario(template="folder", job="command", args=("data", "add", "data", "digits", "--label", "folder")),
    COLLECT: Scenario(template="littered", job="command", args=("gc", "--yes")),
    NOTE: Scenario(template="recorded", job="command", args=("note", "@last", WORD)),
    PUSH: Scenario(template="guarded", job="command", args=("push", "--quiet")),
    PULL: Scenario(template="behind", job="command", args=("pull", "--quiet")),
    PURGE: Scenario(template="ahead", job="command", args=("purge", "--yes", "{last}")),
    SEND: Scenario(template="stored", job="send", args=("{told}", "{remote}")),
    FETCH: Scenario(template="remote", job="fetch", args=("{told}", "{remote}")),
}


@final
@dataclass(slots=True, kw_only=True)
class World:
    """Shared by all trials of one process. Use as a context manager.

    `shared` holds what several processes of one torture have in common, each thing made by the first that needs it:
    templates of repositories, the points of a sweep, recorded disks.
    """

    scratch: Path
    strace: str | None
    shared: Path
    nursery: Nursery = field(init=False)
    _points: dict[str, list[Point]] = field(default_factory=dict)
    _running: dict[str, Any] = field(default_factory=dict)
    _servers: ExitStack = field(default_factory=ExitStack)
    _count: int = 0

    def __enter__(self) -> World:
        self.shared.mkdir(parents=True, exist_ok=True)
        self.nursery = Nursery(self.scratch / "home").__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._servers.close()
        self.nursery.__exit__(kind, error, at)

    def server(self, make: Callable[[Path], AbstractContextManager[T]]) -> T:
        """What runs as long as this world does; made by the first who asks."""
        name = make.__name__
        if name not in self._running:
            folder = self.scratch / f"server-{name}"
            folder.mkdir(parents=True)
            self._running[name] = self._servers.enter_context(make(folder))
        running: T = self._running[name]
        return running

    def place(self, template: str) -> Place:
        """A fresh copy of a template: one of `TEMPLATES`."""
        source = self.common(template, lambda root: self._make(template, root))
        place = self.bare_place()
        shutil.copytree(source, place.root, symlinks=True)
        return place

    def bare_place(self) -> Place:
        """Room for one trial; nothing is there yet."""
        self._count += 1
        return Place(root=self.scratch / f"trial-{self._count}")

    def drop(self, place: Place) -> None:
        shutil.rmtree(place.root, ignore_errors=True)

    def common(self, name: str, make: Callable[[Path], None]) -> Path:
        """A folder in `shared`, made whole by the first who asks for it; the others wait."""
        target = self.shared / name
        if not target.exists():
            with _alone(self.shared / f".{name}.lock"):
                if not target.exists():
                    making = self.shared / f".making-{name}-{os.getpid()}"
                    making.mkdir()
                    make(making)
                    making.rename(target)
        return target

    def start(self, place: Place, job: str, *args: str, hold: bool = False, **options: Any) -> int:
        env = {"XDG_STATE_HOME": str(place.root / "state"), "TORTURE_ACKS": str(place.acks), **options.pop("env", {})}
        return self.nursery.start(job, *args, cwd=place.repo, errors=place.errors, hold=hold, env=env, **options)

    def run(self, place: Place, job: str, *args: str, seconds: float = 60, **options: Any) -> int | None:
        return self.nursery.wait(self.start(place, job, *args, **options), seconds=seconds)

    def points(self, scenario: str) -> list[Point]:
        """Where the program of a scenario touches our files."""
        if scenario not in self._points:
            name = "points-" + "".join(letter if letter.isalnum() else "-" for letter in scenario)
            found = self.common(name, lambda root: self._find_points(scenario, root)) / "points.json"
            self._points[scenario] = [Point(**point) for point in json.loads(found.read_text())]
        return self._points[scenario]

    def _find_points(self, scenario: str, into: Path) -> None:
        assert self.strace
        place = self.place(SCENARIOS[scenario].template)
        pid = self.begin(place, scenario)
        struck = strike(self.nursery, pid, strace=self.strace, log=place.root / "trace", paths=True)
        assert struck.code == 0, f"{scenario} fails without any fault: {place.said}"
        ours = points(struck.trace, within=place.root / "repo")
        ours += [point for point in points(struck.trace, within=place.root) if point.place.startswith("state")]
        ours += points(struck.trace, within=place.root / "hub")
        (into / "points.json").write_text(json.dumps([dataclasses.asdict(point) for point in ours]))
        self.drop(place)

    def begin(self, place: Place, scenario: str, *, mutant: str = "") -> int:
        """Start the program of a scenario in `place`, held."""
        program = SCENARIOS[scenario]
        names = {
            "acks": place.acks,
            "warned": place.root / "warned",
            "told": place.root / "told",
            "remote": place.remote,
            "last": place.last,
        }
        args = [arg.format(**names) for arg in program.args]
        options = {
            name: value.format(**names) if isinstance(value, str) else value for name, value in program.options.items()
        }
        return self.start(place, program.job, *args, hold=True, **options, **({"mutant": mutant} if mutant else {}))

    # -- templates

    def _make(self, template: str, root: Path) -> None:
        place = Place(root=root)
        make_repository(place.repo)
        if template != "clean":
            TEMPLATES[template](self, place)

    def _dirty(self, place: Place) -> None:
        (place.repo / "train.py").write_text(TRAIN + "# edited\n")
        (place.repo / "model.py").write_text("import train\n")

    def _killed(self, place: Place) -> None:
        """A run that was killed after 12 rows."""
        pid = self.start(place, "life", str(place.acks), steps=12, pause=True)
        while not any(len(steps) == 12 for steps in oracle.acknowledged(place.acks).steps.values()):
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        self.nursery.wait(pid)

    def _recorded(self, place: Place) -> None:
        """A run that is committed, and an index that knows it."""
        assert self.run(place, "life", str(place.acks), steps=3) == 0, place.said
        assert self.run(place, "command", "ls") == 0, place.said

    def _queued(self, place: Place) -> None:
        """A run on record, and in the queue another run and a label on the first, both promised to the user."""
        self._recorded(place)
        self._killed(place)
        assert self.run(place, "queue", WORD) == 0, place.said

    def _folder(self, place: Place) -> None:
        """A folder of the user's, to be added as a data set."""
        litter.make_folder(place.repo / "data")

    def _littered(self, place: Place) -> None:
        """A data set on record, and beside its blobs in the store all that a collection takes, as old as need be."""
        self._folder(place)
        assert self.run(place, "litter") == 0, place.said
        assert self.run(place, "command", *SCENARIOS[ADD].args) == 0, place.said
        litter.leave(place.repo / ".git" / "gitrepro" / "store", back=place.root / "back")

    def _ahead(self, place: Place) -> None:
        """A bare repository with a run, and two runs here that are not there."""
        oracle.git(place.root, "init", "--quiet", "--bare", "--template=", "--initial-branch=main", str(place.hub))
        oracle.git(place.repo, "remote", "add", "origin", "../hub/.git")
        oracle.git(place.repo, "push", "--quiet", "origin", "main")
        self._record(place, 1)
        self._push(place)
        self._record(place, 2)

    def _guarded(self, place: Place) -> None:
        """As `ahead`; and the bare repository has the hook of a server."""
        self._ahead(place)
        there = {"cwd": place.hub, "errors": place.errors}
        assert self.nursery.run("command", "hooks", "install", "--server", **there) == 0, place.said

    def _behind(self, place: Place) -> None:
        """As `ahead`; and there are two runs that are not here."""
        self._ahead(place)
        aside = place.root / "aside"
        shutil.copytree(place.repo, aside, symlinks=True)
        self._record(place, 2)
        self._push(place)
        shutil.rmtree(place.repo)
        aside.rename(place.repo)
        (place.repo / ".git" / "gitrepro" / "clone-id").unlink()  # it is the one of who has pushed
        # Those of the copy went to the remote with the others; these have stayed here.
        self._record(place, 1)

    def _record(self, place: Place, runs: int) -> None:
        for number in range(runs):
            assert self.run(place, "life", str(place.acks), steps=3, number=number) == 0, place.said

    def _push(self, place: Place) -> None:
        assert self.run(place, "command", "push", "--quiet") == 0, place.said

    def _stored(self, place: Place) -> None:
        """A store with blobs of all sizes."""
        place.remote.parent.mkdir(exist_ok=True)
        assert self.run(place, "fill", str(place.acks)) == 0, place.said

    def _remote(self, place: Place) -> None:
        """A store remote with all of them, and a store with none."""
        self._stored(place)
        assert self.run(place, "send", str(place.root / "before"), str(place.remote)) == 0, place.said
        shutil.rmtree(place.repo / ".git" / "gitrepro" / "store")

    def _bundled(self, place: Place) -> None:
        """A file with runs that are not here."""
        self._behind(place)
        aside = place.root / "aside"
        shutil.copytree(place.repo, aside, symlinks=True)
        assert self.run(place, "command", "pull", "--quiet") == 0, place.said
        assert self.run(place, "command", "push", "--bundle", "../bundle") == 0, place.said
        shutil.rmtree(place.repo)
        aside.rename(place.repo)

    def _rich(self, place: Place) -> None:
        """Something in every corner of a repository that a tracker could disturb."""
        repo = place.repo
        oracle.git(repo, "branch", "side")
        oracle.git(repo, "tag", "-a", "v1", "-m", "one")
        (repo / "train.py").write_text(TRAIN + "# stashed\n")
        oracle.git(repo, "stash")
        (repo / "staged.py").write_text("staged = 1\n")
        oracle.git(repo, "add", "staged.py")
        (repo / "staged.py").write_text("staged = 2\n")
        (repo / "quiet.py").write_text("quiet = 1\n")
        oracle.git(repo, "add", "quiet.py")
        oracle.git(repo, "update-index", "--assume-unchanged", "quiet.py")
        (repo / "quiet.py").write_text("quiet = 2\n")
        (repo / "name with\nnewline.py").write_text("odd = 1\n")
        (repo / "link.py").symlink_to("train.py")
        (repo / "untracked.py").write_text("untracked = 1\n")
        (repo / "left.ignored").write_text("ignored\n")
        (repo / "train.py").chmod(0o755)


TEMPLATES: dict[str, Callable[[World, Place], None]] = {
    "dirty": World._dirty,
    "killed": World._killed,
    "recorded": World._recorded,
    "queued": World._queued,
    "folder": World._folder,
    "littered": World._littered,
    "ahead": World._ahead,
    "guarded": World._guarded,
    "behind": World._behind,
    "stored": World._stored,
    "remote": World._remote,
    "bundled": World._bundled,
    "rich": World._rich,
}


def make_repository(repo: Path) -> None:
    """A repository with one commit, and every folder for objects: a trial makes the same calls whatever their names."""
    repo.mkdir(parents=True)
    oracle.git(repo, "init", "--quiet", "--template=", "--initial-branch=main")
    oracle.git(repo, "config", "user.name", "Ada Lovelace")
    oracle.git(repo, "config", "user.email", "ada@example.org")
    (repo / "train.py").write_text(TRAIN)
    (repo / ".gitignore").write_text("*.ignored\n")
    oracle.git(repo, "add", ".")
    oracle.git(repo, "commit", "--quiet", "--message=first")
    for number in range(256):
        (repo / ".git" / "objects" / f"{number:02x}").mkdir(exist_ok=True)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
