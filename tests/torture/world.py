"""Where the trials happen: scratch repositories, made once and copied, and the nursery that runs the programs."""

from __future__ import annotations

import os
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, final

from . import oracle
from .faults import Point, points, strike
from .nursery import Nursery

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
    def acks(self) -> Path:
        return self.root / "acks"

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


@final
@dataclass(slots=True, kw_only=True)
class World:
    """Shared by all trials of one process. Use as a context manager."""

    scratch: Path
    strace: str
    nursery: Nursery = field(init=False)
    _templates: dict[str, Path] = field(default_factory=dict)
    _points: dict[str, list[Point]] = field(default_factory=dict)
    _count: int = 0

    def __enter__(self) -> World:
        home = self.scratch / "home"
        home.mkdir(parents=True)
        self.nursery = Nursery(home).__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.nursery.__exit__(kind, error, at)

    def place(self, template: str) -> Place:
        """A fresh copy of a template: `clean`, `dirty`, `killed` (a dead run and a queue to recover), `rich`."""
        if template not in self._templates:
            self._templates[template] = self._make(template)
        self._count += 1
        root = self.scratch / f"trial-{self._count}"
        shutil.copytree(self._templates[template], root, symlinks=True)
        return Place(root=root)

    def drop(self, place: Place) -> None:
        shutil.rmtree(place.root, ignore_errors=True)

    def start(self, place: Place, job: str, *args: str, hold: bool = False, **options: Any) -> int:
        env = {"XDG_STATE_HOME": str(place.root / "state"), "TORTURE_ACKS": str(place.acks)}
        return self.nursery.start(job, *args, cwd=place.repo, errors=place.errors, hold=hold, env=env, **options)

    def run(self, place: Place, job: str, *args: str, seconds: float = 60, **options: Any) -> int | None:
        return self.nursery.wait(self.start(place, job, *args, **options), seconds=seconds)

    def points(self, scenario: str) -> list[Point]:
        """Where the program of a scenario touches our files."""
        if scenario not in self._points:
            template, job, args, options = SCENARIOS[scenario]
            place = self.place(template)
            pid = self.start(place, job, *_filled(args, place), hold=True, **_options(options, place))
            struck = strike(self.nursery, pid, strace=self.strace, log=place.root / "trace", paths=True)
            assert struck.code == 0, f"{scenario} fails without any fault: {place.said}"
            self._points[scenario] = points(struck.trace, within=place.root / "repo") + [
                point for point in points(struck.trace, within=place.root) if point.place.startswith("state")
            ]
            self.drop(place)
        return self._points[scenario]

    def begin(self, place: Place, scenario: str, *, mutant: str = "") -> int:
        """Start the program of a scenario in `place`, held."""
        _, job, args, options = SCENARIOS[scenario]
        planted: dict[str, object] = {"mutant": mutant} if mutant else {}
        return self.start(place, job, *_filled(args, place), hold=True, **_options(options, place), **planted)

    # -- templates

    def _make(self, template: str) -> Path:
        root = self.scratch / f"template-{template}"
        repo = root / "repo"
        repo.mkdir(parents=True)
        oracle.git(repo, "init", "--quiet", "--template=", "--initial-branch=main")
        oracle.git(repo, "config", "user.name", "Ada Lovelace")
        oracle.git(repo, "config", "user.email", "ada@example.org")
        (repo / "train.py").write_text(TRAIN)
        (repo / ".gitignore").write_text("*.ignored\n")
        oracle.git(repo, "add", ".")
        oracle.git(repo, "commit", "--quiet", "--message=first")
        # Every folder for objects is there, so that a trial makes the same calls whatever its objects are named.
        for number in range(256):
            (repo / ".git" / "objects" / f"{number:02x}").mkdir(exist_ok=True)
        if template != "clean":
            getattr(self, f"_{template}")(Place(root=root))
        return root

    def _dirty(self, place: Place) -> None:
        (place.repo / "train.py").write_text(TRAIN + "# edited\n")
        (place.repo / "model.py").write_text("import train\n")

    def _killed(self, place: Place) -> None:
        pid = self.start(place, "life", str(place.acks), steps=12, pause=True)
        while len(oracle.acknowledged(place.acks).steps.get(self._first(place), [])) < 12:
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        self.nursery.wait(pid)

    def _first(self, place: Place) -> str:
        return next(iter(oracle.acknowledged(place.acks).runs), "")

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


Scenario = tuple[str, str, tuple[str, ...], dict[str, object]]
SCENARIOS: dict[str, Scenario] = {
    # template, job, arguments, options
    "start, log, finish, commit": ("clean", "life", ("{acks}",), {"steps": 5, "warned": "{warned}"}),
    "the same, dirty tree": ("dirty", "life", ("{acks}",), {"steps": 2, "warned": "{warned}"}),
    "recover": ("killed", "command", ("recover",), {}),
    "ls": ("killed", "command", ("ls",), {}),
}


def _filled(args: tuple[str, ...], place: Place) -> list[str]:
    return [_fill(arg, place) for arg in args]


def _options(options: dict[str, object], place: Place) -> dict[str, object]:
    return {name: _fill(value, place) if isinstance(value, str) else value for name, value in options.items()}


def _fill(text: str, place: Place) -> str:
    return text.format(acks=place.acks, warned=place.root / "warned")
