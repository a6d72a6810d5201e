"""A bare repository and clones of it, made by `git` itself."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gitrepro.records import yaml
from gitrepro.store.fold import commit_text
from gitrepro.store.gitobjects import FILE_MODE, Entry, GitObjects
from gitrepro.store.repository import Repository
from gitrepro.store.runs import RunTree
from tests.recorded_runs import ADA, opened

RUNS = "refs/gitrepro/runs"
CODE = "refs/gitrepro/code"
ANCHOR = "refs/gitrepro/anchor"
COPY = "refs/gitrepro-remotes/origin/runs"


def git(folder: Path, *args: str, check: bool = True) -> str:
    done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise AssertionError(f"git {' '.join(args)}: {done.stderr.strip()}")
    return done.stdout.strip()


@dataclass(frozen=True)
class Team:
    """`hub.git`, which has a branch `main`, and the folder in which clones of it are made."""

    folder: Path

    @property
    def hub(self) -> Path:
        return self.folder / "hub.git"

    @classmethod
    def begin(cls, folder: Path) -> Team:
        team = cls(folder)
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "hub.git")
        first = team.clone("first")
        (first / "train.py").write_text('print("trained")\n')
        git(first, "add", ".")
        git(first, "commit", "--quiet", "--message=first")
        git(first, "push", "--quiet", "origin", "HEAD:main")
        shutil.rmtree(first)
        return team

    def copied(self, folder: Path) -> Team:
        """The same in another folder."""
        shutil.copytree(self.hub, folder / "hub.git")
        return Team(folder)

    def clone(self, name: str, *options: str) -> Path:
        person = ["-c", f"user.name={name.capitalize()}", "-c", f"user.email={name}@example.org"]
        git(self.folder, "clone", "--quiet", *person, *options, self.url, name)
        return self.folder / name

    @property
    def url(self) -> str:
        return f"file://{self.hub}"

    def ref(self, name: str = RUNS) -> str:
        """What a ref of the hub names; empty when there is none."""
        return git(self.hub, "rev-parse", "--quiet", "--verify", name, check=False)

    def tree(self) -> str:
        return git(self.hub, "rev-parse", f"{RUNS}^{{tree}}")


def tree_of(clone: Path) -> str:
    return git(clone, "rev-parse", f"{RUNS}^{{tree}}")


def runs_of(clone: Path) -> list[str]:
    with RunTree(opened(clone)) as tree:
        return tree.run_ids()


def refs_of(folder: Path) -> dict[str, str]:
    """Every ref there is, ours and theirs."""
    lines = git(folder, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split(" ") for line in lines)


def commit_tree(repository: Repository, changes: dict[str, bytes], *, parent: str | None, take: str | None) -> str:
    """A commit of the tree `take` with some files changed, as no gitrepro would write it."""
    with GitObjects(repository.common_dir) as objects:
        names = objects.write([("blob", data) for data in changes.values()])
        entries = {path: Entry(FILE_MODE, oid) for path, oid in zip(changes, names, strict=True)}
        top, made = objects.graft(take, entries)
        objects.write(made)
        text = commit_text(top, [parent] if parent else [], ADA.line(1_767_323_045), "by hand\n")
        return objects.write([("commit", text)])[0]


def begin_anew(clone: Path, without: str) -> str:
    """Let the run ref of a clone begin anew without one run, as `purge` does. The new commit."""
    repository = opened(clone)
    with RunTree(repository) as tree:
        kept = {path: entry for path, entry in tree.objects.files(str(tree.tree)) if without not in path}
        top, made = tree.objects.graft(None, kept)
        tree.objects.write(made)
    document = yaml.dump({"epoch": 2, "format": 1, "purged": [without]})
    commit = commit_tree(repository, {"format.yaml": document}, parent=None, take=top)
    git(clone, "update-ref", RUNS, commit)
    return commit
