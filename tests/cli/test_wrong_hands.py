"""A repository that somebody else made, in all of its parts, makes no command run a program of theirs.

Each has a canary: a program that leaves a mark when it is started. Looking, pulling, verifying and judging leave none.
What Git itself asks of a remote (`core.sshCommand`, credential helpers) is Git's, and is not meant here.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gitrepro.store.place import store_of
from tests.conftest import Cli, Git
from tests.recorded_runs import opened, record_run
from tests.sync.runs.team import Team

COMMANDS = (
    ("ls",),
    ("show", "@last"),
    ("pull",),
    ("verify", "@last"),
    ("audit", "@last"),
    ("checkpoint", "ls", "@last"),
    ("data", "ls"),
    ("push", "--dry-run"),
)
HOOKS = (
    "applypatch-msg pre-applypatch post-applypatch pre-commit pre-merge-commit prepare-commit-msg commit-msg"
    " post-commit pre-rebase post-checkout post-merge pre-push pre-receive update proc-receive post-receive post-update"
    " reference-transaction push-to-checkout pre-auto-gc post-rewrite sendemail-validate fsmonitor-watchman"
    " post-index-change"
).split()


class Evil:
    """Unpickled, it runs a program."""

    def __init__(self, program: Path) -> None:
        self.program = program

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (str(self.program),)


@dataclass(frozen=True)
class Place:
    """A clone that is in wrong hands, its remote, and the canary."""

    clone: Path
    hub: Path
    canary: Path
    mark: Path

    def config(self, *pairs: tuple[str, str]) -> None:
        for key, value in pairs:
            subprocess.run(["git", "config", "--add", key, value], cwd=self.clone, check=True)

    def write(self, name: str, text: str | bytes) -> None:
        path = self.clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def commit(self) -> None:
        command = ["git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"]
        subprocess.run([*command, "add", "--all"], cwd=self.clone, check=True)
        subprocess.run([*command, "commit", "--quiet", "--message=planted"], cwd=self.clone, check=True)


Plant = Callable[[Place], None]


def setting(*keys: str, value: str = "{canary}") -> Plant:
    """A configuration that came with the `.git` folder."""

    def plant(place: Place) -> None:
        place.config(*((key, value.format(canary=place.canary)) for key in keys))

    return plant


def attribute(text: str, *keys: str) -> Plant:
    """Attributes that are committed, and a configuration that gives them a program."""

    def plant(place: Place) -> None:
        place.write(".gitattributes", text)
        place.commit()
        setting(*keys)(place)
        place.write("train.py", "print('other')\n")

    return plant


def file(name: str, text: str) -> Plant:
    """A file of the work tree."""

    def plant(place: Place) -> None:
        place.write(name, text.format(canary=place.canary))

    return plant


def hooks(place: Place) -> None:
    for name in HOOKS:
        shutil.copy(place.canary, place.clone / ".git" / "hooks" / name)


def hooks_elsewhere(place: Place) -> None:
    place.write(".githooks/x", "")
    for name in HOOKS:
        shutil.copy(place.canary, place.clone / ".githooks" / name)
    place.config(("core.hooksPath", ".githooks"))


def included(place: Place) -> None:
    place.write(".evil", f"[core]\n\tfsmonitor = {place.canary}\n\tpager = {place.canary}\n")
    place.config(("include.path", "../.evil"))


def submodule(place: Place) -> None:
    place.write(".gitmodules", f'[submodule "x"]\n\tpath = x\n\turl = ./x\n\tupdate = !{place.canary}\n')
    place.config(("submodule.x.update", f"!{place.canary}"), ("submodule.recurse", "true"))


def helper_url(place: Place) -> None:
    place.config(("protocol.ext.allow", "always"), ("remote.other.url", f"ext::{place.canary} %S"))


def external_remote(place: Place) -> None:
    subprocess.run(["git", "config", "remote.origin.url", f"ext::{place.canary}"], cwd=place.clone, check=True)
    place.config(("protocol.ext.allow", "always"), ("protocol.allow", "always"))


def option_remote(place: Place) -> None:
    url = f"--upload-pack={place.canary}"
    subprocess.run(["git", "config", "remote.origin.url", url], cwd=place.clone, check=True)


def nested_bare(place: Place) -> None:
    """A bare repository that is committed as files, with a configuration of its own."""
    for name, text in (("HEAD", "ref: refs/heads/main\n"), ("objects/x", ""), ("refs/x", "")):
        place.write(f"inner/{name}", text)
    place.write("inner/config", f"[core]\n\tbare = true\n\tfsmonitor = {place.canary}\n\tpager = {place.canary}\n")


def signed(place: Place) -> None:
    """A tag that looks signed, and a program that would look at the signature."""
    setting("gpg.program", "gpg.ssh.program", "gpg.x509.program")(place)
    place.config(("log.showSignature", "true"))
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=place.clone, capture_output=True, text=True).stdout
    text = f"object {commit.strip()}\ntype commit\ntag result/x\ntagger A <a@b> 0 +0000\n\nx\n"
    text += "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n"
    done = subprocess.run(["git", "mktag", "--no-strict"], cwd=place.clone, input=text, capture_output=True, text=True)
    subprocess.run(["git", "update-ref", "refs/tags/result/x", done.stdout.strip()], cwd=place.clone, check=True)


def replaced(place: Place) -> None:
    """Replace refs and grafts, with a program for who follows them."""
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=place.clone, capture_output=True, text=True).stdout.strip()
    place.write(".git/info/grafts", f"{head}\n")
    setting("core.askPass", "core.editor", "sequence.editor")(place)


def words(place: Place) -> None:
    """A run whose every word would be a command, if a shell read it."""
    hostile = f"$({place.canary});`{place.canary}`|{place.canary}\n{place.canary}"
    record_run(place.clone, name=f"$({place.canary})", group=hostile, labels=(hostile,), argv=(hostile,))


def pickled(place: Place) -> None:
    """A checkpoint that runs a program when it is unpickled."""
    blob = store_of(opened(place.clone)).put(pickle.dumps(Evil(place.canary)))
    entry = {"blob": blob, "name": "best", "roles": ["best"], "size_bytes": 1, "format": "torch"}
    record_run(place.clone, checkpoints=(entry,))


def objects_in_arrays(place: Place) -> None:
    numpy = pytest.importorskip("numpy")
    path = place.clone / "evil.npz"
    numpy.savez(path, x=numpy.array([Evil(place.canary)], dtype=object))
    place.canary.parent.joinpath("mark").unlink(missing_ok=True)


def yaml_objects(place: Place) -> None:
    text = f'!!python/object/apply:os.system ["{place.canary}"]\n'
    place.write(".gitrepro.yaml", f"version: 1\nresults: {text}")


def policy_remotes(place: Place) -> None:
    place.write(
        ".gitrepro.yaml",
        "version: 1\nstore:\n  remotes:\n"
        f'    a: "ext::{place.canary}"\n    b: "ssh://-oProxyCommand={place.canary}/x"\n    c: "-oProxyCommand=x:y"\n',
    )


def store_helpers(place: Place) -> None:
    place.config(
        ("gitrepro-remote.a.url", f"ext::{place.canary}"),
        ("gitrepro-remote.b.url", f"ssh://-oProxyCommand={place.canary}/x"),
    )


PLANTS: dict[str, Plant] = {
    "hooks": hooks,
    "hooks elsewhere": hooks_elsewhere,
    "fsmonitor": setting("core.fsmonitor"),
    "pagers": setting("core.pager", "pager.log", "pager.ls-tree", "pager.config", "pager.cat-file", "pager.show"),
    "editors": setting("core.editor", "sequence.editor", "core.askPass"),
    "aliases": setting(
        *(f"alias.{name}" for name in "log fetch push rev-list cat-file ls-tree status config".split()),
        value="!{canary}",
    ),
    "external diff": setting("diff.external", "interactive.diffFilter", "difftool.x.cmd", "mergetool.x.cmd"),
    "textconv": attribute("*.py diff=evil\n", "diff.evil.textconv", "diff.evil.command"),
    "filters": attribute("*.json filter=evil\n", "filter.evil.smudge", "filter.evil.clean"),
    "filter process": attribute("*.json filter=evil\n", "filter.evil.process"),
    "merge driver": attribute("*.py merge=evil\n", "merge.evil.driver"),
    "signatures": signed,
    "an included configuration": included,
    "submodules": submodule,
    "a remote helper beside": helper_url,
    "a remote that is a program": external_remote,
    "a remote that is an option": option_remote,
    "a proxy": setting("core.gitProxy"),
    "trailers": setting("trailer.x.command", "trailer.x.cmd"),
    "a pack hook": setting("uploadpack.packObjectsHook"),
    "alternate refs": setting("core.alternateRefsCommand"),
    "a browser": setting("browser.x.cmd", "web.browser", "man.x.cmd"),
    "a mailer": setting("sendemail.sendmailCmd", "sendemail.toCmd", "imap.tunnel"),
    "our own interpreter": setting("gitrepro.python"),
    "a nested bare repository": nested_bare,
    "grafts": replaced,
    "words of a run": words,
    "a pickled checkpoint": pickled,
    "pickled arrays": objects_in_arrays,
    "objects in YAML": yaml_objects,
    "store remotes of the policy": policy_remotes,
    "store remotes of the configuration": store_helpers,
    "modules of ours": file("gitrepro.py", 'import os; os.system("{canary}")\n'),
    "modules of others": file("yaml.py", 'import os; os.system("{canary}")\n'),
    "what Python loads by itself": file("sitecustomize.py", 'import os; os.system("{canary}")\n'),
}
# What plain Git does with some of them: else it would be no canary.
CONTROLS: dict[str, tuple[str, ...]] = {
    "hooks": ("commit", "--allow-empty", "-m", "x"),
    "hooks elsewhere": ("commit", "--allow-empty", "-m", "x"),
    "fsmonitor": ("status",),
    "textconv": ("diff",),
    "external diff": ("diff", "HEAD"),
    "signatures": ("tag", "-v", "result/x"),
    "an included configuration": ("status",),
    "a remote helper beside": ("fetch", "other"),
    "a remote that is a program": ("fetch",),
}


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Team:
    return Team.begin(tmp_path_factory.mktemp("team"))


@pytest.fixture
def place(team: Team, tmp_path: Path, git: Git) -> Place:
    other = team.copied(tmp_path)
    ada = other.clone("ada")
    record_run(ada)
    git(ada, "push", "--quiet", "origin", "refs/gitrepro/runs", "refs/gitrepro/code")
    eve = other.clone("eve")
    record_run(eve)
    mark = tmp_path / "mark"
    canary = tmp_path / "canary"
    canary.write_text(f"#!/bin/sh\necho started >>'{mark}'\nexit 1\n")
    canary.chmod(0o755)
    return Place(eve, other.hub, canary, mark)


@pytest.mark.parametrize("name", PLANTS)
def test_nothing_of_theirs_is_started(place: Place, name: str, warm_cli: Cli) -> None:
    PLANTS[name](place)
    place.mark.unlink(missing_ok=True)
    folder = place.clone / "inner" if name == "a nested bare repository" else place.clone
    for command in COMMANDS:
        done = warm_cli(*command, cwd=folder)
        assert done.returncode in (0, 1, 2, 3, 4, 5), (command, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        assert not place.mark.exists(), command


@pytest.mark.parametrize("name", CONTROLS)
def test_plain_git_does_start_it(place: Place, name: str) -> None:
    PLANTS[name](place)
    place.write("train.py", "print('changed')\n")
    place.mark.unlink(missing_ok=True)
    subprocess.run(["git", *CONTROLS[name]], cwd=place.clone, capture_output=True)
    assert place.mark.exists()


def test_a_pickle_that_is_loaded_does_start_it(place: Place) -> None:
    pickle.loads(pickle.dumps(Evil(place.canary)))
    assert place.mark.exists()


def test_a_pickled_checkpoint_is_refused_where_it_is_loaded(place: Place) -> None:
    pytest.importorskip("torch")
    pickled(place)
    program = (
        "import gitrepro\nfrom gitrepro.errors import GitreproError\n"
        "try:\n    gitrepro.load_checkpoint('@last')\nexcept GitreproError as error:\n    print(type(error).__name__)\n"
    )
    (place.clone / "load.py").write_text(program)
    done = subprocess.run([sys.executable, "load.py"], cwd=place.clone, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), place.mark.exists()) == (0, "Unsafe", False), done.stderr


def test_arrays_of_objects_are_kept_and_never_read(place: Place, warm_cli: Cli) -> None:
    objects_in_arrays(place)
    done = warm_cli("data", "add", "evil.npz", "evil", cwd=place.clone)
    assert (done.returncode, place.mark.exists()) == (0, False)
    assert "so it is never read" in done.stderr
