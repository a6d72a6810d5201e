"""Spools: a host that may not write the repository records, another commits; cut anywhere, folded twice, hostile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gitrepro.run import commit, folding
from gitrepro.run.folding import fold_all
from gitrepro.store import fs, live, spool
from gitrepro.store import repository as repositories
from gitrepro.store.fold import Identity, queued
from gitrepro.store.lease import Lease
from gitrepro.store.repository import CODE_REF, RUNS_REF, Repository
from gitrepro.store.runs import RunTree
from tests.conftest import Cli, Git

IDENTITY = Identity(name="Ada Lovelace", email="ada@example.org")

# A host of its own: another name, another boot.
NODE = """
import socket, sys
host = sys.argv[1]
socket.gethostname = lambda: host
from gitrepro.capture import environment
real = environment.host
environment.host = lambda: {**real(), "hostname": host, "boot_id": "boot-of-" + host}
import gitrepro
run = gitrepro.record(config={"lr": 0.1}, name=sys.argv[2])
for step in range(5):
    run.log({"loss": 1.0 / (1 + step)}, step=step)
if sys.argv[3] == "killed":
    import os
    os._exit(1)
run.finish()
print(run.id)
"""


@pytest.fixture
def found(repo: Path) -> Repository:
    return repositories.find(repo, {})


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def on_node(repo: Path, place: Path, *, host: str = "node1", name: str = "spooled", ending: str = "well") -> str:
    """Record a run in a process that takes itself for another host. Returns the run's id; of a killed one, nothing."""
    done = subprocess.run(
        [sys.executable, "-c", NODE, host, name, ending],
        cwd=repo,
        env={**os.environ, "GITREPRO_SPOOL": str(place)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == (1 if ending == "killed" else 0), done.stderr
    return done.stdout.strip()


def committed(found: Repository) -> list[str]:
    with RunTree(found) as tree:
        return tree.run_ids()


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_node_writes_nothing_into_the_repository_and_another_host_commits(
    repo: Path, found: Repository, waiting: Path, git: Git
) -> None:
    before = everything(repo / ".git")
    run_id = on_node(repo, waiting)
    assert everything(repo / ".git") == before

    taken = fold_all(found, [waiting], identity=IDENTITY)

    assert taken.runs == (run_id,)
    with RunTree(found) as tree:
        record = tree.run(run_id)
    assert (record.status, record.host["hostname"], record.metrics["loss"]["count"]) == ("finished", "node1", 5)
    assert record.code and record.code["commit"] == git(repo, "rev-parse", "HEAD")
    assert git(repo, "rev-parse", f"{CODE_REF}^1") == git(repo, "rev-parse", "HEAD")
    assert git(repo, "fsck", "--no-dangling") == ""
    assert list(spool.waiting(waiting)) == []


def test_uncommitted_changes_are_named_and_said_not_to_be_kept(repo: Path, found: Repository, waiting: Path) -> None:
    (repo / "train.py").write_text("print('changed')\n")
    run_id = on_node(repo, waiting)
    fold_all(found, [waiting], identity=IDENTITY)
    with RunTree(found) as tree:
        code = tree.run(run_id).code
    assert code and code["dirty"] is True and code["snapshot"] is None
    assert [each["path"] for each in code["left_out"]] == ["train.py"]


def test_runs_of_many_nodes_become_one_commit(repo: Path, found: Repository, waiting: Path, git: Git) -> None:
    ids = {on_node(repo, waiting, host=f"node{number}") for number in range(3)}
    assert set(fold_all(found, [waiting], identity=IDENTITY).runs) == ids
    assert git(repo, "rev-list", "--count", RUNS_REF) == "1"


def test_folding_twice_is_folding_once(repo: Path, found: Repository, waiting: Path, git: Git) -> None:
    run_id = on_node(repo, waiting)
    copy = waiting.with_name("copy")
    shutil.copytree(waiting, copy)
    fold_all(found, [waiting], identity=IDENTITY)
    tip = git(repo, "rev-parse", RUNS_REF)

    for place in (waiting, copy, copy):
        assert fold_all(found, [place], identity=IDENTITY).runs == ()

    assert git(repo, "rev-parse", RUNS_REF) == tip
    assert committed(found) == [run_id]
    assert list(spool.waiting(copy)) == [], "what is on record is set aside there too"


def test_a_run_that_goes_on_is_left_alone(repo: Path, found: Repository, waiting: Path) -> None:
    on_node(repo, waiting, ending="killed")
    taken = fold_all(found, [waiting], identity=IDENTITY)
    assert taken.runs == ()
    assert "has not said that it is over" in taken.left[0][1]

    taken = fold_all(found, [waiting], identity=IDENTITY, force=True)
    with RunTree(found) as tree:
        assert tree.run(taken.runs[0]).status == "crashed"


def test_a_run_of_another_repository_is_left_alone(repo: Path, waiting: Path, tmp_path: Path, git: Git) -> None:
    on_node(repo, waiting)
    other = tmp_path / "other"
    git(tmp_path, "init", "--quiet", "other")
    taken = fold_all(repositories.find(other, {}), [waiting], identity=IDENTITY)
    assert taken.runs == ()
    assert "is not in this repository" in taken.left[0][1]
    assert len(list(spool.waiting(waiting))) == 1


STEPS = [
    (fs, "write_file"),
    (fs, "sync_directory"),
    (spool, "_copy"),
    (spool, "_appear"),
    (live, "set_aside"),
    (spool, "set_aside"),
    (fs, "remove_quietly"),
    (commit, "enqueue"),
    (folding, "fold"),
]


@pytest.mark.parametrize(("module", "name"), STEPS, ids=[f"{module.__name__}.{name}" for module, name in STEPS])
def test_a_fold_that_is_cut_anywhere_is_finished_by_the_next_one(
    module: object, name: str, repo: Path, found: Repository, waiting: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = on_node(repo, waiting)
    kept = waiting.with_name("kept")
    shutil.copytree(waiting, kept)
    for at in (0, 1, 2, 4, 8, 16, 32):
        shutil.copytree(kept, waiting, dirs_exist_ok=True)
        real, calls = getattr(module, name), 0

        def cut(*args: object, _real: object = real, _at: int = at, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls > _at:
                raise KeyboardInterrupt
            return _real(*args, **options)  # type: ignore[operator]

        monkeypatch.setattr(module, name, cut)
        try:
            fold_all(found, [waiting], identity=IDENTITY)
        except KeyboardInterrupt:
            pass
        monkeypatch.undo()
        fold_all(found, [waiting], identity=IDENTITY)
        assert committed(found) == [run_id]
        assert queued(found) == []
        assert git(repo, "fsck", "--no-dangling") == ""


def _link(run: Path) -> None:
    (run / "output.log").unlink(missing_ok=True)
    (run / "output.log").symlink_to("/etc/passwd")


def _pipe(run: Path) -> None:
    (run / "errors.log").unlink(missing_ok=True)
    os.mkfifo(run / "errors.log")


def _folder(run: Path) -> None:
    (run / "journal.folder").mkdir()


def _stranger(run: Path) -> None:
    (run / "id_rsa").write_text("a file that no run writes")


def _no_start(run: Path) -> None:
    (run / "start.yaml").write_bytes(b"!!python/object/apply:os.system ['touch /tmp/owned']\n")


def _other_id(run: Path) -> None:
    text = (run / "start.yaml").read_text()
    (run / "start.yaml").write_text(text.replace(run.name, "0" * 26))


def _strange_commit(run: Path) -> None:
    lines = (run / "start.yaml").read_text().splitlines(keepends=True)
    (run / "start.yaml").write_text("".join('    commit: "--help"\n' if "commit:" in line else line for line in lines))


@pytest.mark.parametrize("spoil", [_link, _pipe, _folder, _stranger, _no_start, _other_id, _strange_commit])
def test_a_hostile_spool_gets_nothing_and_holds_up_nobody(
    spoil: object, repo: Path, found: Repository, waiting: Path, git: Git
) -> None:
    bad, good = on_node(repo, waiting, name="bad"), on_node(repo, waiting, name="good")
    spoil(waiting / "live" / bad)  # type: ignore[operator]

    taken = fold_all(found, [waiting], identity=IDENTITY)

    assert taken.runs == (good,)
    assert [run_id for run_id, _ in (*taken.failed, *taken.left)] == [bad]
    assert committed(found) == [good]
    assert (waiting / "live" / bad).exists(), "it is kept for people to look at"
    assert not (found.home / "live" / bad).exists()
    assert git(repo, "fsck", "--no-dangling") == ""


def test_a_spool_cannot_end_a_run_that_goes_on_here(repo: Path, found: Repository, waiting: Path) -> None:
    run_id = on_node(repo, waiting)
    (found.home / "live").mkdir(parents=True)
    shutil.copytree(waiting / "live" / run_id, found.home / "live" / run_id)
    lease = Lease(found.home / "live" / run_id, boot_id="here")
    try:
        taken = fold_all(found, [waiting], identity=IDENTITY)
    finally:
        lease.release()
    assert taken.left == ((run_id, "a run of that id goes on in this repository"),)
    assert committed(found) == []


def test_what_else_lies_in_a_spool_is_passed_over(repo: Path, found: Repository, waiting: Path) -> None:
    run_id = on_node(repo, waiting)
    (waiting / "live" / "notes.txt").write_text("hello")
    (waiting / "ready" / "../../x").resolve().parent.mkdir(exist_ok=True)
    (waiting / "live" / ("0" * 26)).symlink_to("/etc")
    (waiting / "ready" / "garbage").write_bytes(b"\0")
    assert fold_all(found, [waiting], identity=IDENTITY).runs == (run_id,)


def test_a_spool_on_another_file_system_is_taken_in(repo: Path, found: Repository) -> None:
    if not os.access("/dev/shm", os.W_OK) or Path("/dev/shm").stat().st_dev == repo.stat().st_dev:
        pytest.skip("there is no other file system here")
    place = Path("/dev/shm") / f"gitrepro-test-{os.getpid()}"
    try:
        run_id = on_node(repo, place)
        assert fold_all(found, [place], identity=IDENTITY).runs == (run_id,)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_the_command_says_what_it_did(repo: Path, waiting: Path, cli: Cli) -> None:
    environment = {"GITREPRO_SPOOL": str(waiting)}
    done = cli("record", "--seed", "1", "--", sys.executable, "train.py", cwd=repo, env=environment)
    assert done.returncode == 0
    assert f"gitrepro fold --from {waiting}" in done.stderr
    assert json.loads(cli("ls", "--json", cwd=repo).stdout) == []

    done = cli("fold", "--from", str(waiting), cwd=repo)
    assert done.returncode == 0
    assert done.stdout.startswith("folded 1 run into ")

    done = cli("fold", "--json", cwd=repo, env=environment)
    assert json.loads(done.stdout)["runs"] == []
    assert len(json.loads(cli("ls", "--json", cwd=repo).stdout)) == 1


def test_the_command_names_what_it_cannot_take_in(repo: Path, waiting: Path, cli: Cli) -> None:
    run_id = on_node(repo, waiting)
    _stranger(waiting / "live" / run_id)
    done = cli("fold", "--from", str(waiting), "--json", cwd=repo)
    assert done.returncode == 4
    assert json.loads(done.stdout)["failed"][0]["id"] == run_id
    assert "id_rsa" in done.stderr
    assert cli("fold", "--from", str(waiting / "nowhere"), cwd=repo).returncode == 3
