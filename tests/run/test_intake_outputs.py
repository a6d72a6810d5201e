"""`gitrepro record --out GLOB`: what the program wrote is kept with the run, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gitrepro.run.intake import outputs
from gitrepro.run.intake.outputs import Outputs
from gitrepro.store.objects import BlobStore, digest_of


def record(cli, repo: Path, code: str, *patterns: str, options: tuple[str, ...] = ()) -> None:
    (repo / "train.py").write_text(code)
    named = [word for pattern in patterns for word in ("--out", pattern)]
    done = cli("record", *options, *named, "--", sys.executable, "train.py", cwd=repo)
    assert done.returncode == 0, done.stderr


def kept(document: dict) -> dict[str, int]:
    return {each["name"]: each["size_bytes"] for each in document["artifacts"] if each["kind"] == "output-file"}


def told(document: dict) -> dict[str, str]:
    return {loss["what"]: loss["why"] for loss in document["losses"]}


def test_files_that_were_written_or_changed_are_in_the_store(cli, repo, shown):
    (repo / "old.bin").write_bytes(b"as it was")
    (repo / "changed.bin").write_bytes(b"before")
    code = (
        "import os\nos.makedirs('out/deep')\n"
        "for name in ('out/deep/a.bin', 'changed.bin'): open(name, 'wb').write(b'new')"
    )
    record(cli, repo, code, "*.bin", "out/**")

    assert kept(shown()) == {"changed.bin": 3, "out/deep/a.bin": 3}
    assert shown()["losses"] == []
    store = BlobStore(repo / ".git" / "gitrepro" / "store")
    assert store.get(digest_of([b"new"])) == b"new"


def test_untracked_outputs_are_no_code_whatever_they_are_called(cli, repo, shown, git):
    (repo / "out").mkdir()
    (repo / "out" / "generated.py").write_text("of an earlier run")
    command = ["record", "--out", "out/*", "--", sys.executable, "-c", "open('out/generated.py', 'w').write('x = 1')"]
    assert cli(*command, cwd=repo).returncode == 0
    assert (shown()["code"]["dirty"], kept(shown())) == (False, {"out/generated.py": 5})

    git(repo, "add", "out/generated.py")
    git(repo, "commit", "--quiet", "--message=tracked")
    (repo / "out" / "generated.py").write_text("edited by hand")
    assert cli(*command, cwd=repo).returncode == 0
    assert shown()["code"]["dirty"] is True


def test_what_leads_out_or_is_no_file_is_not_kept(cli, repo, shown, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("outside")
    code = (
        f"import os\nos.symlink({str(secret)!r}, 'link.bin')\nopen('real.bin', 'w').write('x')\n"
        "os.symlink('real.bin', 'inner.bin')\nos.mkfifo('pipe.bin')\nos.mkdir('folder.bin')\n"
    )
    record(cli, repo, code, "*.bin", ".git/config", ".git/gitrepro/**")

    found = shown()
    assert kept(found) == {"inner.bin": 1, "real.bin": 1}
    assert list(told(found).values()) == ["it is a link that leads out of the work tree"]
    assert found["status"] == "finished"


def test_a_pattern_without_a_file_is_on_record(cli, repo, shown):
    record(cli, repo, "pass", "*.pt")

    assert told(shown()) == {"output *.pt": "there is no such file"}


def test_a_named_file_outside_the_repository_is_kept(cli, repo, shown, tmp_path):
    target = tmp_path / "model.pt"
    record(cli, repo, f"open({str(target)!r}, 'w').write('x')", str(target))

    assert kept(shown()) == {str(target): 1}


RECORDER_THAT_DIES = """
import os
from pathlib import Path
from gitrepro.capture.config import merge
from gitrepro.records import ids
from gitrepro.records.run import RunRecord
from gitrepro.run import place
from gitrepro.run.intake.files import ProgramFiles, Wanted
from gitrepro.run.recording import begin

where = place.find(None, os.environ)
record = RunRecord(id=ids.new_id(), name="dying", kind="train", status="running", started_at="2026-01-02T03:04:05Z")
recording = begin(
    where.home, record, config=merge([]).document(), environment={"format": 1}, boot_id="b", supervised=True
)
files = ProgramFiles(Wanted(outputs=("*.bin",)), recording, where, here=Path.cwd())
Path("a.bin").write_bytes(b"kept")
files.finish()
os._exit(9)
"""


def test_what_was_kept_before_a_crash_of_the_recorder_is_on_record(cli, repo, shown):
    done = subprocess.run([sys.executable, "-c", RECORDER_THAT_DIES], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    assert cli("recover", cwd=repo).returncode == 0

    found = shown()
    assert found["status"] == "crashed"
    assert kept(found) == {"a.bin": 4}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def keep(found: Outputs, blobs: BlobStore | None) -> list[str]:
    names: list[str] = []
    found.keep(blobs, lambda artifact: names.append(artifact["name"]))
    return names


@pytest.mark.parametrize(("limit", "value"), [("FILES_AT_MOST", 2), ("TOTAL_BYTES", 25), ("_ROOM_BYTES", 400)])
def test_what_is_over_a_limit_is_named_with_its_size(work, tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(outputs, limit, value)
    found = Outputs(["*"], here=work, root=work, hidden=[])
    for name in "abc":
        (work / name).write_bytes(b"0123456789")

    assert keep(found, BlobStore(tmp_path / "store")) == ["a", "b"]
    assert [(loss.what, loss.kind) for loss in found.losses] == [("output c of 10 bytes", "limit")]


def test_a_store_that_refuses_costs_the_file_and_nothing_else(work, tmp_path):
    (tmp_path / "store").write_text("a file where the store should be")
    found = Outputs(["*"], here=work, root=work, hidden=[])
    (work / "a").write_bytes(b"x")

    assert keep(found, BlobStore(tmp_path / "store")) == []
    assert [loss.what for loss in found.losses] == ["output a of 1 bytes"]
    assert found.losses[0].kind is None


def test_without_a_repository_outputs_are_named_and_not_kept(work):
    found = Outputs(["*"], here=work, root=work, hidden=[])
    (work / "a").write_bytes(b"x")

    assert keep(found, None) == []
    assert "no repository" in found.losses[0].why


def test_a_file_that_is_still_written_is_kept_as_it_was_read_and_said_so(work, tmp_path):
    found = Outputs(["*"], here=work, root=work, hidden=[])
    (work / "a").write_bytes(b"x" * 10)

    class Writing:
        def put_file(self, path: Path) -> tuple[str, int]:
            kept = BlobStore(tmp_path / "store").put_file(path)
            path.write_bytes(b"y" * 20)
            return kept

    assert keep(found, Writing()) == ["a"]  # type: ignore[arg-type]
    assert "while it was read" in found.losses[0].why
