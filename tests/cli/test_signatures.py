"""`gitrepro verify --signed`, `gitrepro sign`, signed tags and pushes; and what cannot change what an audit sees."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from gitrepro.records.run import run_path
from gitrepro.store.gitobjects import GitObjects, name_of
from gitrepro.store.runs import RunTree
from gitrepro.store.signing import vouching
from tests.conftest import Cli, Git
from tests.recorded_runs import opened, record_run, try_git
from tests.signers import Person, gpg_home, gpg_key, let_git_sign, person

RUNS = "refs/gitrepro/runs"


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    found = person(tmp_path, "ada@example.org")
    let_git_sign(found.key)
    return found


@pytest.fixture
def eve(tmp_path: Path) -> Person:
    return person(tmp_path, "eve@example.org")


@pytest.fixture
def signers(ada: Person, tmp_path: Path) -> Path:
    path = tmp_path / "signers"
    path.write_text(ada.line())
    return path


def signed(cli: Cli, repo: Path, *words: str, code: int = 0) -> list[dict[str, Any]]:
    done = cli("verify", *words, "--json", cwd=repo)
    assert done.returncode == code, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert (document["schema"], document["ok"]) == (1, code == 0)
    found: list[dict[str, Any]] = document["signatures"]
    return found


def states(cli: Cli, repo: Path, *words: str, code: int = 0) -> dict[str, str]:
    return {each["what"]: each["state"] for each in signed(cli, repo, *words, code=code)}


def tag_object(repo: Path, name: str) -> bytes:
    with GitObjects(opened(repo).common_dir) as objects:
        return objects.read(try_git(repo, "rev-parse", f"refs/tags/{name}").stdout.strip(), "tag")


def put_tag(repo: Path, name: str, data: bytes) -> None:
    with GitObjects(opened(repo).common_dir) as objects:
        [oid] = objects.write([("tag", data)])
    assert try_git(repo, "update-ref", f"refs/tags/{name}", oid).returncode == 0


# -- what is told


def test_a_signed_run_is_told_with_its_signer(repo: Path, signers: Path, ada: Person, warm_cli: Cli) -> None:
    run = record_run(repo)

    done = warm_cli("verify", "@last", "--signers", str(signers), cwd=repo)

    assert done.returncode == 0, done.stderr
    said = f"signed by ada@example.org (ED25519 {ada.fingerprint})"
    assert done.stdout.splitlines()[1:] == [f"run\t{run}\t{said}\tada@example.org"]
    assert f"who may sign is said by {signers}" in done.stderr


def test_a_run_without_a_signature_exits_1(repo: Path, signers: Path, git: Git, warm_cli: Cli) -> None:
    git(repo, "config", "gitrepro.sign", "false")
    record_run(repo)
    done = warm_cli("verify", "--signers", str(signers), cwd=repo)
    assert (done.returncode, "\tnot signed\t" in done.stdout) == (1, True)


def test_a_foreign_key_exits_1_and_says_which(repo: Path, signers: Path, eve: Person, warm_cli: Cli) -> None:
    let_git_sign(eve.key)
    record_run(repo)
    done = warm_cli("verify", "--signers", str(signers), cwd=repo)
    assert done.returncode == 1
    assert f"signed by a key that is not allowed (ED25519 {eve.fingerprint})" in done.stdout


def test_without_a_list_nobody_may_sign(repo: Path, ada: Person, warm_cli: Cli) -> None:
    record_run(repo)
    done = warm_cli("verify", "--signed", cwd=repo)
    assert done.returncode == 1
    assert "no list says who may sign" in done.stderr


@pytest.mark.parametrize("key", ["gitrepro.allowedSigners", "gpg.ssh.allowedSignersFile"])
def test_the_list_is_found_by_the_configuration(repo: Path, signers: Path, git: Git, warm_cli: Cli, key: str) -> None:
    git(repo, "config", "--global", key, str(signers))
    record_run(repo)
    assert states(warm_cli, repo, "--signed") == {"run": "signed"}


def test_a_list_in_the_work_tree_is_said_to_be_one(repo: Path, ada: Person, warm_cli: Cli) -> None:
    (repo / "signers").write_text(ada.line())
    record_run(repo)
    assert "it lies in the work tree" in warm_cli("verify", "--signers", "signers", cwd=repo).stderr


@pytest.mark.parametrize(
    "words", [["--signers", "nowhere"], ["--signed", "--full"], ["--signed", "--fast"], ["--signed", "--remote"]]
)
def test_what_does_not_go_together_is_refused(repo: Path, warm_cli: Cli, words: list[str]) -> None:
    record_run(repo)
    assert warm_cli("verify", *words, cwd=repo).returncode == 2


def test_all_counts_everything_and_shows_what_is_not_signed(repo: Path, signers: Path, git: Git, warm_cli: Cli) -> None:
    good = record_run(repo)
    assert warm_cli("tag", "result/vit", good, cwd=repo).returncode == 0
    git(repo, "config", "gitrepro.sign", "false")
    bad = record_run(repo)
    done = warm_cli("verify", "--all", "--signers", str(signers), cwd=repo)
    assert done.returncode == 1
    assert [row.split("\t")[1] for row in done.stdout.splitlines()[1:]] == [bad]
    assert "3 of 4 things signed" in done.stderr


# -- tags


def test_a_result_tag_is_signed_and_git_agrees(repo: Path, signers: Path, warm_cli: Cli) -> None:
    run = record_run(repo)
    assert warm_cli("tag", "result/vit", run, cwd=repo).returncode == 0
    found = states(warm_cli, repo, "result/vit", "--signers", str(signers))
    assert found == {"tag": "signed", "result": "signed", "run": "signed"}
    assert try_git(repo, "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-tag", "result/vit").returncode == 0
    assert warm_cli("audit", "result/vit", cwd=repo).returncode == 0
    assert json.loads(warm_cli("show", "result/vit", "--json", cwd=repo).stdout)["runs"][0]["id"] == run


def test_a_result_tag_by_openpgp(repo: Path, git: Git, warm_cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with gpg_home() as home:
        monkeypatch.setenv("GNUPGHOME", str(home))
        key = gpg_key("Ada Lovelace <ada@example.org>")
        let_git_sign("", kind="openpgp")
        git(repo, "config", "--global", "--unset", "user.signingKey")
        run = record_run(repo)
        assert warm_cli("tag", "result/vit", run, cwd=repo).returncode == 0
        (repo.parent / "list").write_text(f"ada openpgp {key}\n")
        found = states(warm_cli, repo, "result/vit", "--signers", str(repo.parent / "list"))
        assert found == {"tag": "signed", "result": "signed", "run": "signed"}
        assert try_git(repo, "verify-tag", "result/vit").returncode == 0


def test_a_tag_that_cannot_be_signed_is_not_made(repo: Path, git: Git, ada: Person, warm_cli: Cli) -> None:
    run = record_run(repo)
    git(repo, "config", "--global", "user.signingKey", "/no/such/key")
    done = warm_cli("tag", "result/vit", run, cwd=repo)
    assert done.returncode == 6
    assert "error: ssh-keygen did not sign" in done.stderr
    assert git(repo, "tag") == ""
    let_git_sign(ada.key)
    assert warm_cli("tag", "result/vit", run, cwd=repo).returncode == 0


def test_a_tag_that_was_tampered_with_exits_4(repo: Path, signers: Path, warm_cli: Cli) -> None:
    run = record_run(repo)
    warm_cli("tag", "result/vit", run, "--note", "honest", cwd=repo)
    put_tag(repo, "result/vit", tag_object(repo, "result/vit").replace(b"honest", b"forged"))
    assert states(warm_cli, repo, "result/vit", "--signers", str(signers), code=4)["tag"] == "bad"


def test_a_tag_under_another_name_exits_4(repo: Path, signers: Path, warm_cli: Cli) -> None:
    run = record_run(repo)
    warm_cli("tag", "result/vit", run, cwd=repo)
    put_tag(repo, "result/best", tag_object(repo, "result/vit"))
    [tag, *_] = signed(warm_cli, repo, "result/best", "--signers", str(signers), code=4)
    assert (tag["state"], "signed as tag" in tag["why"]) == ("bad", True)
    assert try_git(repo, "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-tag", "result/best").returncode == 0


def test_words_behind_the_signature_of_a_tag_cite_nothing(repo: Path, signers: Path, warm_cli: Cli) -> None:
    honest, other = record_run(repo), record_run(repo)
    warm_cli("tag", "result/vit", honest, cwd=repo)
    warm_cli("tag", "result/other", other, cwd=repo)
    trailers = tag_object(repo, "result/other").partition(b"\n\n")[2].partition(b"-----BEGIN")[0]
    put_tag(repo, "result/vit", tag_object(repo, "result/vit") + b"\n" + trailers.rpartition(b"\n\n")[2])

    found = signed(warm_cli, repo, "result/vit", "--signers", str(signers), code=4)

    assert [each["name"] for each in found if each["what"] == "run"] == [honest]
    assert found[0]["state"] == "bad"
    control = try_git(repo, "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-tag", "result/vit")
    assert control.returncode == 0, "plain Git takes it for signed"
    assert json.loads(warm_cli("show", "result/vit", "--json", cwd=repo).stdout)["runs"][0]["id"] == honest


def test_a_note_cannot_end_what_is_signed(repo: Path, signers: Path, warm_cli: Cli) -> None:
    run = record_run(repo)
    note = "-----BEGIN SSH SIGNATURE-----\nx\n-----END SSH SIGNATURE-----"
    assert warm_cli("tag", "result/vit", run, "--note", note, cwd=repo).returncode == 0
    assert states(warm_cli, repo, "result/vit", "--signers", str(signers))["tag"] == "signed"


def test_a_run_with_other_bytes_than_the_tag_cites_exits_4(repo: Path, signers: Path, git: Git, warm_cli: Cli) -> None:
    run = record_run(repo)
    warm_cli("tag", "result/vit", run, cwd=repo)
    repository = opened(repo)
    with RunTree(repository) as tree:
        [blob] = tree.objects.write([("blob", tree.read(f"{run_path(run)}/run.yaml") + b"forged: true\n")])
    index = {"GIT_INDEX_FILE": str(repo / ".git" / "forging")}
    try_git(repo, "read-tree", RUNS, env=index)
    try_git(repo, "update-index", "--cacheinfo", f"100644,{blob},{run_path(run)}/run.yaml", env=index)
    top = try_git(repo, "write-tree", env=index).stdout.strip()
    git(repo, "update-ref", RUNS, git(repo, "commit-tree", top, "-p", RUNS, "-m", "forged"))

    found = {each["what"]: each for each in signed(warm_cli, repo, "result/vit", "--signers", str(signers), code=4)}

    assert (found["run"]["state"], found["tag"]["state"]) == ("bad", "signed")
    assert "other bytes" in found["run"]["why"]


# -- signed later


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    found = person(tmp_path, "locked@example.org", passphrase="a secret")
    let_git_sign(found.key)
    return found


def unlock(key: Person) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "a secret", "-N", "", "-f", str(key.key)], check=True)


def test_a_training_run_ends_well_with_a_key_that_is_locked(
    repo: Path, locked: Person, tmp_path: Path, warm_cli: Cli
) -> None:
    done = warm_cli("record", "--seed", "0", "--", sys.executable, "train.py", cwd=repo)
    assert done.returncode == 0, done.stderr
    assert "committed without a signature" in done.stderr
    (tmp_path / "list").write_text(locked.line())
    check = ["--signers", str(tmp_path / "list")]
    assert states(warm_cli, repo, *check, code=1) == {"run": "unsigned"}

    still = warm_cli("sign", cwd=repo)
    assert (still.returncode, "did not sign" in still.stderr) == (6, True)
    unlock(locked)
    done = warm_cli("sign", cwd=repo)

    assert (done.returncode, done.stdout) == (0, "signed 1 run\n"), done.stderr
    assert states(warm_cli, repo, *check) == {"run": "signed"}
    assert "nothing waits" in warm_cli("sign", cwd=repo).stderr


def test_runs_of_before_are_signed_by_name(repo: Path, signers: Path, git: Git, warm_cli: Cli) -> None:
    git(repo, "config", "gitrepro.sign", "false")
    run, other = record_run(repo), record_run(repo)
    assert json.loads(warm_cli("sign", run[-8:], "--json", cwd=repo).stdout)["signed"] == [run]
    assert states(warm_cli, repo, run, "--signers", str(signers)) == {"run": "signed"}
    assert states(warm_cli, repo, other, "--signers", str(signers), code=1) == {"run": "unsigned"}


@pytest.fixture
def hub(repo: Path, tmp_path: Path, git: Git) -> Path:
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "hub.git")
    git(repo, "remote", "add", "origin", str(tmp_path / "hub.git"))
    git(repo, "push", "--quiet", "--set-upstream", "origin", "main")
    return tmp_path / "hub.git"


def clone(hub: Path, git: Git, name: str) -> Path:
    git(hub.parent, "clone", "--quiet", str(hub), name)
    git(hub.parent / name, "config", "user.name", name)
    git(hub.parent / name, "config", "user.email", f"{name}@example.org")
    return hub.parent / name


def test_the_next_push_signs_what_waits_and_others_see_it(
    repo: Path, hub: Path, locked: Person, git: Git, tmp_path: Path, warm_cli: Cli
) -> None:
    with pytest.warns(match="without a signature"):
        run = record_run(repo)
    unlock(locked)
    assert warm_cli("push", cwd=repo).returncode == 0
    other = clone(hub, git, "grace")
    assert warm_cli("pull", cwd=other).returncode == 0
    (tmp_path / "list").write_text(locked.line())
    assert states(warm_cli, other, run, "--signers", str(tmp_path / "list")) == {"run": "signed"}
    assert warm_cli("push", cwd=repo).returncode == 0
    assert vouching.notes(opened(repo)) == [], "what the remote has is noted no more"


def test_a_push_with_a_locked_key_sends_the_runs_and_says_so(
    repo: Path, hub: Path, locked: Person, git: Git, warm_cli: Cli
) -> None:
    with pytest.warns(match="without a signature"):
        record_run(repo)
    done = warm_cli("push", cwd=repo)
    assert done.returncode == 0, done.stderr
    assert "some runs go without a signature" in done.stderr
    assert git(hub, "rev-parse", RUNS) == git(repo, "rev-parse", RUNS)


def test_a_pull_loses_no_vouching_that_is_not_pushed(
    repo: Path, hub: Path, signers: Path, git: Git, warm_cli: Cli
) -> None:
    git(repo, "config", "gitrepro.sign", "false")
    run = record_run(repo)
    assert warm_cli("push", cwd=repo).returncode == 0
    assert warm_cli("sign", run, cwd=repo).returncode == 0
    assert warm_cli("pull", cwd=repo).returncode == 0
    assert states(warm_cli, repo, run, "--signers", str(signers)) == {"run": "signed"}
    assert warm_cli("push", cwd=repo).returncode == 0
    assert git(hub, "rev-parse", RUNS) == git(repo, "rev-parse", RUNS)


def test_a_merge_that_is_signed_says_nothing_of_the_runs_of_others(
    repo: Path, hub: Path, signers: Path, git: Git, warm_cli: Cli
) -> None:
    other = clone(hub, git, "mallory")
    git(other, "config", "gitrepro.sign", "false")
    forged = record_run(other)
    assert warm_cli("push", cwd=other).returncode == 0
    mine = record_run(repo)
    assert warm_cli("push", cwd=repo).returncode == 0

    assert b"gpgsig" in git(repo, "cat-file", "commit", RUNS).encode(), "the merge is signed"
    assert states(warm_cli, repo, mine, "--signers", str(signers)) == {"run": "signed"}
    assert states(warm_cli, repo, forged, "--signers", str(signers), code=1) == {"run": "unsigned"}


def test_runs_that_are_chosen_for_a_push_are_not_signed_by_it(
    repo: Path, hub: Path, ada: Person, git: Git, warm_cli: Cli
) -> None:
    git(repo, "config", "gitrepro.sign", "false")
    run, _ = record_run(repo), record_run(repo)
    git(repo, "config", "gitrepro.sign", "true")
    assert warm_cli("push", "--runs", run, cwd=repo).returncode == 0
    assert run in git(hub, "ls-tree", "-r", "--name-only", RUNS)
    assert "gpgsig" not in git(hub, "cat-file", "commit", RUNS)


def test_a_purge_speaks_for_nobody(repo: Path, signers: Path, warm_cli: Cli) -> None:
    gone, kept = record_run(repo), record_run(repo)
    assert warm_cli("purge", gone, "--yes", cwd=repo).returncode == 0
    assert states(warm_cli, repo, kept, "--signers", str(signers), code=1) == {"run": "unsigned"}
    assert warm_cli("sign", kept, cwd=repo).returncode == 0
    assert states(warm_cli, repo, kept, "--signers", str(signers)) == {"run": "signed"}


# -- what Git would let others put in the place of objects

LOOKS = (
    ("audit", "result/vit", "--json"),
    ("verify", "result/vit", "--json"),
    ("show", "result/vit", "--json"),
    ("audit", "--ci"),
)


def seen(cli: Cli, repo: Path, signers: Path) -> list[tuple[int, str]]:
    looks = (*LOOKS, ("verify", "result/vit", "--signers", str(signers), "--json"))
    done = [cli(*words, cwd=repo) for words in looks]
    assert all("Traceback" not in each.stderr for each in done)
    return [(each.returncode, each.stdout) for each in done]


@pytest.fixture
def declared(repo: Path, signers: Path, warm_cli: Cli) -> str:
    run = record_run(repo)
    assert warm_cli("tag", "result/vit", run, cwd=repo).returncode == 0
    return run


def test_replace_refs_change_nothing(repo: Path, signers: Path, declared: str, git: Git, warm_cli: Cli) -> None:
    before = seen(warm_cli, repo, signers)
    path = f"{RUNS}:{run_path(declared)}/run.yaml"
    plain = git(repo, "show", path)
    forged = repo.parent / "forged"
    forged.write_text(plain.replace("finished", "failed"))
    other = git(repo, "hash-object", "-w", str(forged))
    recorded = git(repo, "rev-parse", path)
    git(repo, "replace", recorded, other)
    empty = git(repo, "commit-tree", "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "-m", "empty")
    for name in (RUNS, "HEAD"):
        git(repo, "replace", git(repo, "rev-parse", name), empty)
    assert git(repo, "ls-tree", "HEAD") == "", "plain Git follows them"
    assert "failed" in git(repo, "show", recorded)

    assert seen(warm_cli, repo, signers) == before
    assert warm_cli("tag", "result/again", declared, cwd=repo).returncode == 0


def test_grafts_change_nothing(repo: Path, signers: Path, declared: str, git: Git, warm_cli: Cli) -> None:
    before = seen(warm_cli, repo, signers)
    count = git(repo, "rev-list", "--count", RUNS)
    path = repo / ".git" / "info" / "grafts"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{git(repo, 'rev-parse', name)}\n" for name in (RUNS, "HEAD")))
    assert git(repo, "rev-list", "--count", RUNS) != count, "plain Git follows them"

    assert seen(warm_cli, repo, signers) == before
    assert opened(repo).git("rev-list", "--count", RUNS).decode().strip() == count


def test_wrong_bytes_under_a_right_name_are_damage_and_no_other_answer(
    repo: Path, signers: Path, declared: str, git: Git, warm_cli: Cli
) -> None:
    oid = git(repo, "rev-parse", f"{RUNS}:{run_path(declared)}/run.yaml")
    data = git(repo, "cat-file", "blob", oid).replace("finished", "failed").encode()
    elsewhere = repo.parent / "elsewhere"
    folder = elsewhere / oid[:2]
    folder.mkdir(parents=True)
    content = b"blob %d\0%s" % (len(data), data)
    assert name_of("blob", data) != oid
    (folder / oid[2:]).write_bytes(zlib.compress(content))
    (repo / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    for copy in (repo / ".git" / "gitrepro" / "rescue").glob("*"):
        copy.unlink()
    (repo / ".git" / "objects" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "objects" / "info" / "alternates").write_text(f"{elsewhere}\n")
    assert "failed" in git(repo, "cat-file", "blob", oid), "plain Git shows them"

    for words in (("audit", "result/vit"), ("verify", declared), ("show", declared)):
        done = warm_cli(*words, cwd=repo)
        assert done.returncode != 0, (words, done.stdout)
        assert "failed" not in done.stdout.replace("check failed", ""), words


def test_a_sound_alternate_changes_nothing(repo: Path, signers: Path, declared: str, git: Git, warm_cli: Cli) -> None:
    before = seen(warm_cli, repo, signers)
    git(repo, "repack", "-a", "-d", "--quiet")
    (repo / ".git" / "objects" / "pack").rename(repo.parent / "pack")
    (repo.parent / "elsewhere").mkdir()
    (repo.parent / "pack").rename(repo.parent / "elsewhere" / "pack")
    (repo / ".git" / "objects" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "objects" / "info" / "alternates").write_text(f"{repo.parent / 'elsewhere'}\n")
    assert seen(warm_cli, repo, signers) == before
