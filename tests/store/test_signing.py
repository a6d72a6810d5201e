"""Signatures: made as Git makes them, judged as Git judges them, and never in the way of a run."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.errors import ChildFailed, GitreproWarning, UsageError
from gitrepro.records.run import run_path
from gitrepro.store.fold import Identity, commit_parents, commit_text
from gitrepro.store.gitobjects import FILE_MODE, Entry, GitObjects
from gitrepro.store.gitrefs import read_ref
from gitrepro.store.repository import RUNS_REF, Repository
from gitrepro.store.runs import RunTree
from gitrepro.store.signing import programs, vouching
from gitrepro.store.signing.judging import BAD, FOREIGN, SIGNED, UNSIGNED, Judge, Verdict, load_signers
from gitrepro.store.signing.making import sign
from gitrepro.store.signing.statements import Statement, statements
from gitrepro.store.signing.text import harmless, part_commit, part_tag, sign_commit, sign_tag
from tests.conftest import Git
from tests.recorded_runs import ADA, NOW, opened, record_run, try_git
from tests.signers import Person, gpg_home, gpg_key, let_git_sign, person

EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
HEAD = f"tree {EMPTY}\nauthor A <a@b> 1767323045 +0000\ncommitter A <a@b> 1767323045 +0000\n\n"


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    return person(tmp_path, "ada@example.org")


@pytest.fixture
def eve(tmp_path: Path) -> Person:
    return person(tmp_path, "eve@example.org")


def judge(repo: Path, *lines: str) -> Judge:
    path = repo.parent / "signers"
    path.write_text("".join(lines))
    return Judge(programs.read(opened(repo)), load_signers(path))


def tip(repo: Path) -> bytes:
    with GitObjects(opened(repo).common_dir) as objects:
        return objects.read(str(read_ref(opened(repo).common_dir, RUNS_REF)), "commit")


def said(repo: Path, run: str, judge: Judge) -> list[Statement]:
    repository = opened(repo)
    with RunTree(repository) as tree:
        path, oid, commit = run_path(run), tree.run_tree(run), tree.commit
        assert oid and commit
        return statements(repository, tree.objects, commit, {path: oid}, judge)[path]


def states(repo: Path, run: str, judge: Judge) -> list[str]:
    return [each.verdict.state for each in said(repo, run, judge)]


def quietly_recorded(repo: Path) -> str:
    """A run whose commit cannot be signed."""
    with pytest.warns(GitreproWarning, match="without a signature"):
        return record_run(repo)


# -- what Git makes of them


def test_a_run_is_signed_as_git_signs_and_git_agrees(repo: Path, git: Git, ada: Person) -> None:
    let_git_sign(ada.key)
    run = record_run(repo)
    listed = judge(repo, ada.line())

    [found] = said(repo, run, listed)

    assert found.verdict == Verdict(state=SIGNED, signer=ada.email, key=f"ED25519 {ada.fingerprint}")
    shown = ["-c", f"gpg.ssh.allowedSignersFile={repo.parent / 'signers'}", "verify-commit", RUNS_REF]
    assert try_git(repo, *shown).returncode == 0
    assert git(repo, "fsck", "--strict") == ""


def test_with_the_switch_off_nothing_is_signed(repo: Path, ada: Person) -> None:
    let_git_sign(ada.key, on=False)
    run = record_run(repo)
    assert states(repo, run, judge(repo, ada.line())) == [UNSIGNED]
    assert b"gpgsig" not in tip(repo)


def test_a_commit_that_git_signed_is_judged_alike(repo: Path, git: Git, ada: Person) -> None:
    let_git_sign(ada.key)
    git(repo, "commit", "--quiet", "--allow-empty", "-S", "--message=by git")
    git(repo, "tag", "-s", "-m", "by git", "v1")
    with GitObjects(opened(repo).common_dir) as objects:
        commit = objects.read(git(repo, "rev-parse", "HEAD"), "commit")
        tag = objects.read(git(repo, "rev-parse", "v1"), "tag")

    for parted in (part_commit(commit), part_tag(tag)):
        assert judge(repo, ada.line()).judge(parted).state == SIGNED


def test_openpgp_works_alike(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gpg_home() as home:
        monkeypatch.setenv("GNUPGHOME", str(home))
        key = gpg_key("Ada <ada@example.org>")
        let_git_sign(key, kind="openpgp")
        run = record_run(repo)
        assert try_git(repo, "verify-commit", RUNS_REF).returncode == 0
        [found] = said(repo, run, judge(repo, f"ada@example.org openpgp {key}\n"))
        assert (found.verdict.state, found.verdict.signer, found.verdict.key) == (SIGNED, "ada@example.org", key)
        assert states(repo, run, judge(repo)) == [FOREIGN], "a key in the keyring is not one that may sign"

        good = part_commit(tip(repo))
        listed = judge(repo, f"ada@example.org openpgp {key}\n")
        twice = sign_commit(good.payload, (good.signature or b"") * 2)
        assert listed.judge(part_commit(twice)).state == BAD
        assert listed.judge(part_commit(tip(repo).replace(b"Ada", b"Eve", 1))).state == BAD
    with gpg_home() as stranger:
        monkeypatch.setenv("GNUPGHOME", str(stranger))
        [found] = said(repo, run, judge(repo, f"ada@example.org openpgp {key}\n"))
        assert (found.verdict.state, "keyring" in found.verdict.why) == (FOREIGN, True)


def test_a_fingerprint_in_the_list_is_whole(repo: Path) -> None:
    with pytest.raises(UsageError, match="no whole fingerprint"):
        judge(repo, "ada@example.org openpgp DEADBEEF\n")


# -- what does not pass


def test_a_key_that_the_list_does_not_name_is_not_allowed(repo: Path, ada: Person, eve: Person) -> None:
    let_git_sign(eve.key)
    run = record_run(repo)
    [found] = said(repo, run, judge(repo, ada.line()))
    assert (found.verdict.state, found.verdict.signer) == (FOREIGN, "")
    assert eve.fingerprint in found.verdict.key


def test_a_signature_of_other_bytes_is_bad(repo: Path, ada: Person) -> None:
    let_git_sign(ada.key)
    record_run(repo)
    listed = judge(repo, ada.line())
    assert listed.judge(part_commit(tip(repo))).state == SIGNED
    assert listed.judge(part_commit(tip(repo).replace(b"Gitrepro-Run: ", b"Gitrepro-Run: X", 1))).state == BAD
    assert listed.judge(part_commit(tip(repo).replace(b"tree ", b"tree 0", 1))).state == BAD


def test_the_signature_of_another_commit_is_bad(repo: Path, ada: Person) -> None:
    let_git_sign(ada.key)
    record_run(repo)
    first = part_commit(tip(repo))
    record_run(repo)
    second = part_commit(tip(repo))
    swapped = sign_commit(second.payload, first.signature or b"")
    assert judge(repo, ada.line()).judge(part_commit(swapped)).state == BAD


@pytest.mark.parametrize("option", ['valid-before="20250101"', 'valid-after="20300101"', 'namespaces="file"'])
def test_a_key_out_of_its_time_or_use_is_not_allowed(repo: Path, ada: Person, option: str) -> None:
    let_git_sign(ada.key)
    run = record_run(repo)
    assert states(repo, run, judge(repo, ada.line(option))) == [FOREIGN]


def test_a_key_in_its_time_is_allowed(repo: Path, ada: Person) -> None:
    let_git_sign(ada.key)
    run = record_run(repo)
    options = 'namespaces="git",valid-after="20250101",valid-before="20300101"'
    assert states(repo, run, judge(repo, ada.line(options))) == [SIGNED]


@pytest.mark.parametrize(
    "tail", ["\nGitrepro-Run: 0\n", " ", "x", "-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n"]
)
def test_words_behind_a_signature_are_nobodys(repo: Path, ada: Person, tail: str) -> None:
    let_git_sign(ada.key)
    payload = b"object x\ntagger A <a@b> 1767323045 +0000\n\nwords\n"
    signature = sign(opened(repo), payload, identity=ADA)
    assert judge(repo, ada.line()).judge(part_tag(sign_tag(payload, signature))).state == SIGNED
    assert judge(repo, ada.line()).judge(part_tag(sign_tag(payload, signature) + tail.encode())).state == BAD


def test_two_signatures_on_one_commit_are_bad(repo: Path, ada: Person, eve: Person) -> None:
    let_git_sign(ada.key)
    payload = HEAD.encode() + b"words\n"
    signature = sign(opened(repo), payload, identity=ADA)
    once = sign_commit(payload, signature)
    assert judge(repo, ada.line()).judge(part_commit(once)).state == SIGNED
    assert judge(repo, ada.line()).judge(part_commit(sign_commit(once, signature))).state == BAD


def test_a_program_that_the_repository_names_is_not_started(repo: Path, git: Git, ada: Person, tmp_path: Path) -> None:
    mark, canary = tmp_path / "mark", tmp_path / "canary"
    canary.write_text(f"#!/bin/sh\ntouch '{mark}'\nexit 1\n")
    canary.chmod(0o755)
    for key in ("gpg.program", "gpg.ssh.program", "gpg.openpgp.program", "gpg.ssh.defaultKeyCommand"):
        git(repo, "config", key, str(canary))
    let_git_sign(ada.key)

    run = record_run(repo)

    assert states(repo, run, judge(repo, ada.line())) == [SIGNED]
    assert not mark.exists()
    try_git(repo, "-c", f"gpg.ssh.allowedSignersFile={repo.parent / 'signers'}", "verify-commit", RUNS_REF)
    assert mark.exists(), "plain Git starts it"


def test_a_name_with_newlines_brings_no_header_in(repo: Path, git: Git, ada: Person) -> None:
    let_git_sign(ada.key)
    text = commit_text(EMPTY, [], Identity(name="A\ngpgsig x\nparent 1", email="a\n@b").line(NOW), "x\n")
    signed = sign_commit(text, sign(opened(repo), text, identity=ADA))
    assert [line.split(b" ")[0] for line in part_commit(signed).payload.split(b"\n")[:3]] == [
        b"tree", b"author", b"committer",
    ]  # fmt: skip
    assert judge(repo, ada.line()).judge(part_commit(signed)).state == SIGNED


@pytest.fixture
def agent(ada: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """An agent that alone has the key."""
    folder = Path(mkdtemp(prefix="a"))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(folder / "s"))
    running = subprocess.Popen(["ssh-agent", "-D", "-a", str(folder / "s")], stdout=subprocess.PIPE)
    assert running.stdout
    running.stdout.readline()  # it listens
    subprocess.run(["ssh-add", "-q", str(ada.key)], check=True)
    ada.key.unlink()
    yield running
    running.kill()
    running.wait()
    running.stdout.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("literal", [True, False])
def test_an_agent_signs_and_is_not_waited_for_when_it_is_gone(
    repo: Path, ada: Person, agent: subprocess.Popen[bytes], literal: bool
) -> None:
    let_git_sign(f"key::{ada.public}" if literal else ada.key.with_suffix(".pub"))
    run = record_run(repo)
    assert states(repo, run, judge(repo, ada.line())) == [SIGNED]
    agent.kill()
    agent.wait()
    assert states(repo, quietly_recorded(repo), judge(repo, ada.line())) == [UNSIGNED]


# -- a run is never in its way


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    """A key with a passphrase, and no agent."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return person(tmp_path, "locked@example.org", passphrase="a secret")


def test_what_cannot_be_signed_is_recorded_and_waits(repo: Path, locked: Person) -> None:
    let_git_sign(locked.key)
    run = quietly_recorded(repo)
    assert states(repo, run, judge(repo, locked.line())) == [UNSIGNED]
    with RunTree(opened(repo)) as tree:
        assert vouching.waiting(opened(repo)) == {run_path(run): tree.run_tree(run)}
    [note] = vouching.notes(opened(repo))
    assert "ssh-keygen did not sign" in note.why


def test_a_warning_that_is_an_error_costs_no_run(repo: Path, locked: Person) -> None:
    let_git_sign(locked.key)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record_run(repo)


@pytest.mark.parametrize(("setting", "value"), [("user.signingKey", "/no/such/key"), ("gpg.format", "x509")])
def test_a_setting_that_is_wrong_costs_no_run(repo: Path, git: Git, ada: Person, setting: str, value: str) -> None:
    let_git_sign(ada.key)
    git(repo, "config", "--global", setting, value)
    assert quietly_recorded(repo)


def test_a_gpg_that_would_ask_is_not_waited_for(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gpg_home() as home:
        monkeypatch.setenv("GNUPGHOME", str(home))
        let_git_sign(gpg_key("Ada <ada@example.org>", passphrase="a secret"), kind="openpgp")
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], check=True)  # it remembers the passphrase
        assert quietly_recorded(repo)


def ends(pid: int) -> bool:
    """Whether a process that was killed, and is nobody's child here, is gone before long."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False


def test_a_signer_that_hangs_is_ended_with_all_it_started(repo: Path, tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nsleep 300 & echo $! > pid; cp pid '%s'; wait\n" % (tmp_path / "pid"))
    slow.chmod(0o755)
    with pytest.raises(ChildFailed, match="did not answer"):
        programs.ask([str(slow)], said=b"x", timeout_seconds=1.5)
    assert ends(int((tmp_path / "pid").read_text()))


def test_one_that_hung_is_left_alone_for_a_while(
    repo: Path, git: Git, ada: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, calls = tmp_path / "slow", tmp_path / "calls"
    slow.write_text(f"#!/bin/sh\necho x >>'{calls}'\nexec sleep 300\n")
    slow.chmod(0o755)
    let_git_sign(ada.key)
    git(repo, "config", "--global", "gpg.ssh.program", str(slow))
    monkeypatch.setattr("gitrepro.store.signing.making.UNATTENDED_SECONDS", 0.5)
    monkeypatch.setattr("gitrepro.store.signing.vouching._SLOW_SECONDS", 0.4)

    runs = [quietly_recorded(repo) for _ in range(3)]

    assert calls.read_text() == "x\n"
    assert {*vouching.waiting(opened(repo))} == {run_path(run) for run in runs}


# -- signed later


def unlocked(key: Person) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "a secret", "-N", "", "-f", str(key.key)], check=True)


def test_what_waits_is_vouched_for_by_a_commit_that_changes_nothing(repo: Path, git: Git, locked: Person) -> None:
    let_git_sign(locked.key)
    run = quietly_recorded(repo)
    before = git(repo, "rev-parse", f"{RUNS_REF}^{{tree}}")
    unlocked(locked)

    signed = vouching.vouch_waiting(opened(repo), identity=ADA)

    assert [*signed] == [run_path(run)]
    assert git(repo, "rev-parse", f"{RUNS_REF}^{{tree}}") == before
    assert states(repo, run, judge(repo, locked.line())) == [SIGNED, UNSIGNED]
    assert vouching.waiting(opened(repo)) == {}
    assert vouching.vouch_waiting(opened(repo), identity=ADA) == {}


def test_a_vouching_that_was_lost_waits_again(repo: Path, git: Git, locked: Person) -> None:
    let_git_sign(locked.key)
    run = quietly_recorded(repo)
    unlocked(locked)
    vouching.vouch_waiting(opened(repo), identity=ADA)
    git(repo, "update-ref", RUNS_REF, f"{RUNS_REF}~1")
    assert [*vouching.waiting(opened(repo))] == [run_path(run)]


def test_a_vouching_speaks_for_nothing_that_it_does_not_name(repo: Path, ada: Person) -> None:
    one, two = record_run(repo), record_run(repo)
    let_git_sign(ada.key)
    with RunTree(opened(repo)) as tree:
        vouching.vouch(opened(repo), {run_path(one): str(tree.run_tree(one))}, identity=ADA)
    assert states(repo, one, judge(repo, ada.line())) == [SIGNED, UNSIGNED]
    assert states(repo, two, judge(repo, ada.line())) == [UNSIGNED]


def test_a_vouching_for_other_bytes_speaks_for_nothing(repo: Path, ada: Person) -> None:
    run = record_run(repo)
    let_git_sign(ada.key)
    vouching.vouch(opened(repo), {run_path(run): EMPTY}, identity=ADA)
    assert states(repo, run, judge(repo, ada.line())) == [UNSIGNED]


def test_a_signed_commit_on_top_speaks_for_nothing_below_it(repo: Path, ada: Person) -> None:
    run = record_run(repo)
    let_git_sign(ada.key)
    other = record_run(repo)
    assert states(repo, run, judge(repo, ada.line())) == [UNSIGNED]
    assert states(repo, other, judge(repo, ada.line())) == [SIGNED]


def test_a_run_that_is_exchanged_later_is_not_signed(repo: Path, git: Git, ada: Person) -> None:
    let_git_sign(ada.key)
    run = record_run(repo)
    exchange(opened(repo), git, run)
    assert states(repo, run, judge(repo, ada.line())) == [UNSIGNED]


def exchange(repository: Repository, git: Git, run: str) -> None:
    """Other bytes under the id of a run, in a commit on top, as no gitrepro would write it."""
    with RunTree(repository) as tree:
        data = tree.read(f"{run_path(run)}/run.yaml") + b"forged: true\n"
        blob = tree.objects.write([("blob", data)])[0]
        top, made = tree.objects.graft(tree.tree, {f"{run_path(run)}/run.yaml": Entry(FILE_MODE, blob)})
        text = commit_text(top, [str(tree.commit)], ADA.line(NOW), "by hand\n")
        commit = tree.objects.write([*made, ("commit", text)])[-1]
    git(repository.common_dir, "update-ref", RUNS_REF, commit)


def test_of_many_runs_each_has_its_own_signer(repo: Path, ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gitrepro.store.signing.statements._PATHS_AT_MOST", 2)
    unsigned = [record_run(repo) for _ in range(2)]
    let_git_sign(ada.key)
    signed = [record_run(repo) for _ in range(2)]
    with RunTree(opened(repo)) as tree:
        wanted = {run_path(run): str(tree.run_tree(run)) for run in [*unsigned, *signed]}
        found = statements(opened(repo), tree.objects, str(tree.commit), wanted, judge(repo, ada.line()))
    assert [found[run_path(run)][0].verdict.state for run in unsigned] == [UNSIGNED, UNSIGNED]
    assert [found[run_path(run)][0].verdict.state for run in signed] == [SIGNED, SIGNED]


def test_a_list_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path / "none", tmp_path):
        with pytest.raises(UsageError, match="list of signers"):
            load_signers(path)


# -- the bytes


def test_a_name_cannot_bring_another_parent_in() -> None:
    line = f"A\u2028parent {'1' * 40} <a@b> 0 +0000"
    assert commit_parents(commit_text(EMPTY, ["2" * 40], line, "x\n")) == ["2" * 40]


ARMOUR = st.builds(
    lambda lines: b"-----BEGIN SSH SIGNATURE-----\n%s-----END SSH SIGNATURE-----\n" % b"".join(lines),
    st.lists(st.from_regex(rb"[A-Za-z0-9+/= ]{0,70}\n", fullmatch=True), max_size=5),
)
MESSAGES = st.text(st.characters(exclude_categories=("Cs",)), max_size=200)


@given(MESSAGES, ARMOUR)
def test_a_commit_comes_apart_into_what_it_was_made_of(message: str, signature: bytes) -> None:
    payload = HEAD.encode() + message.encode()
    parted = part_commit(sign_commit(payload, signature))
    assert (parted.payload, parted.signature, parted.fault) == (payload, signature, "")
    assert part_commit(payload).signature is None


@given(MESSAGES, ARMOUR)
def test_a_tag_comes_apart_into_what_it_was_made_of(message: str, signature: bytes) -> None:
    payload = b"object x\n\n" + harmless(message).encode() + b"\n"
    parted = part_tag(sign_tag(payload, signature))
    assert (parted.payload, parted.signature, parted.fault) == (payload, signature, "")
    assert part_tag(payload).signature is None


@given(st.binary(max_size=300))
def test_no_bytes_trouble_the_reader(data: bytes) -> None:
    for parted in (part_commit(data), part_tag(data)):
        assert isinstance(parted.payload, bytes)
        assert parted.seconds is None or parted.seconds >= 0
        assert parted.kind in (None, "ssh", "openpgp")
