"""What every test may use: a real repository, git, the real command, and an environment that holds nothing of yours."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, settings

# In the environment, so that xdist's workers draw from the same one as the process that prints it.
SEED = int(os.environ.setdefault("GITREPRO_TEST_SEED", str(random.SystemRandom().randrange(2**32))))

# Variables by which git, gitrepro, a launcher or a terminal would change what a test sees.
FOREIGN_PREFIXES = ("GIT_", "GITREPRO_", "SLURM_", "TORCHELASTIC_", "XDG_")
FOREIGN = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PAGER"}

# Two shared cores make the time of one example meaningless; the blob repeats a failure on any machine.
settings.register_profile(
    "ci", deadline=None, derandomize=False, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("torture", settings.get_profile("ci"), max_examples=5_000)
settings.load_profile("ci")


DEAR = (
    "tests/checkpoints/test_resume.py",
    "tests/integrations/test_contract.py",
    "tests/integrations/test_tasks.py",
    "tests/run/test_guards.py",
    "tests/test_demo.py",
    "tests/test_team_example.py",
    "tests/training/test_determinism.py",
)
"""Modules whose tests look at one thing that took long to make."""


class Git(Protocol):
    """`git(repo, "log", "-1")`: what git printed, without the last newline. A failure raises."""

    def __call__(self, repo: Path, *args: str) -> str: ...


class Cli(Protocol):
    """`cli("ls", "--json", cwd=repo)`: the real command in a process of its own. A failure does not raise."""

    def __call__(
        self,
        *args: str,
        cwd: Path,
        env: Mapping[str, str | None] | None = None,
        input: str | None = None,
        timeout_seconds: float = 120,
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # First, so that Hypothesis finds our seed when it configures itself; a seed by hand wins.
    if config.getoption("--hypothesis-seed") is None:
        config.option.hypothesis_seed = SEED


def pytest_report_header(config: pytest.Config) -> str:
    return (
        f"seed: {SEED} (again with GITREPRO_TEST_SEED={SEED}); hypothesis seed: {config.getoption('--hypothesis-seed')}"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let one worker have all tests of a module that shares something dear; it would be made in each of them."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            return module if module in DEAR else nodeid

    return Scheduling(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") is not None and not _has_gpu():
        pytest.skip("no CUDA device")


@cache
def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def seed() -> int:
    """The one seed of this session, printed in the header. Tests that draw, draw from it."""
    return SEED


@pytest.fixture(autouse=True)
def hermetic(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment with an empty home and no settings of this machine. The value is that home."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(FOREIGN_PREFIXES) or name in FOREIGN]:
        monkeypatch.delenv(name)
    for name, value in _hermetic_variables(home).items():
        monkeypatch.setenv(name, value)
    return home


def _hermetic_variables(home: Path) -> dict[str, str]:
    empty = home / "gitconfig"
    empty.touch()
    return {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_RUNTIME_DIR": str(home / "runtime"),
        "XDG_STATE_HOME": str(home / "state"),
        "GIT_CONFIG_GLOBAL": str(empty),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture(scope="session")
def git() -> Git:
    return _git


def _git(repo: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=repo, capture_output=True, text=True, errors="surrogateescape")
    if done.returncode != 0:
        raise AssertionError(f"git {' '.join(args)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.removesuffix("\n")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A real Git repository on branch `main` with one committed file, `train.py`, and a person to commit as."""
    root = tmp_path / "repo"
    root.mkdir()
    _git(root, "init", "--quiet", "--initial-branch=main")
    _git(root, "config", "user.name", "Ada Lovelace")
    _git(root, "config", "user.email", "ada@example.org")
    (root / "train.py").write_text('print("trained")\n')
    _git(root, "add", "train.py")
    _git(root, "commit", "--quiet", "--message=first")
    return root


@pytest.fixture(scope="session")
def cli() -> Cli:
    return _cli


def _cli(
    *args: str,
    cwd: Path,
    env: Mapping[str, str | None] | None = None,
    input: str | None = None,
    timeout_seconds: float = 120,
) -> subprocess.CompletedProcess[str]:
    merged = {**os.environ, **(env or {})}
    return subprocess.run(
        [sys.executable, "-m", "gitrepro", *args],
        cwd=cwd,
        env={name: value for name, value in merged.items() if value is not None},
        input=input,
        # With no input given, an end of file: a question must not wait for the person who runs the tests.
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=timeout_seconds,
        check=False,
    )


@pytest.fixture(scope="session")
def requires_strace() -> str:
    """The path of a working strace. The test is skipped where there is none, or where tracing is not permitted."""
    path, reason = _strace()
    if reason:
        pytest.skip(reason)
    return path


@cache
def _strace() -> tuple[str, str]:
    path = shutil.which("strace")
    if path is None:
        return "", "strace is not installed"
    done = subprocess.run([path, "-f", "-o", os.devnull, "true"], capture_output=True, text=True)
    return path, "" if done.returncode == 0 else f"strace may not trace here: {done.stderr.strip()[:200]}"
