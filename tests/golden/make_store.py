"""Write the golden content store and all that names it: `python tests/golden/make_store.py tests/golden/v1`.

Everything goes through the functions that the commands call, in a new repository: data sets, splits, normalisers,
checkpoints, artifacts, pins. What differs from machine to machine is fixed: the time, the process, the host, the place
of the repository, the versions of libraries, how long a save took. In `content/` then lie

    store/      the blobs: in files of their own, in one pack, as a recipe; pins; the note of a pruned checkpoint
    ref/        the files of the run ref: records of data sets and splits, statistics, a run
    live/       the folder of the live run that the run was composed of
    home/       what only this clone knows: its name, and where data lie
    statistics-sampled.yaml     statistics of some of the items
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from store_run import ACTOR, AT, HOME, RUN, record_run
from store_sources import NAMES, write_sources

from gitrepro.checkpoints import aim, files, pruning
from gitrepro.checkpoints.places import Found
from gitrepro.data import open_dataset, places
from gitrepro.data.datasets import Wish, add_dataset
from gitrepro.data.splits import Wish as SplitWish
from gitrepro.data.splits import import_split, make_split
from gitrepro.data.statistics import describe
from gitrepro.records import yaml
from gitrepro.run.compose import compose
from gitrepro.store import pins
from gitrepro.store.fold import Identity
from gitrepro.store.objects import BlobStore
from gitrepro.store.place import store_of
from gitrepro.store.repository import RUNS_REF, Repository, find

ADA = Identity(**ACTOR)
CLONE = "0123456789abcdef0123456789abcdef"
VERSIONS = {"python": "3.11.7", "numpy": "2.4.6", "torch": "2.13.0"}
PINNED_AT = 1_795_334_400


# -- data sets and splits


def add_all(repository: Repository, root: Path) -> None:
    def add(path: str, name: str, **more: Any) -> None:
        wish = Wish(path=root / path, source=f"data/{path}", name=name, link=more.pop("link", False), **more)
        add_dataset(repository, wish, identity=ADA, at=AT)

    add("odd", "odd", label="folder", ignore=("*.tmp",))
    add("digits.csv", "digits", id="column:name", label="digit", note="of a scanner")
    add("pixels.npz", "pixels", label="y", version="first")
    add("texts", "texts", label="folder")
    add("images", "images", label="folder")
    add("lines.jsonl", "lines", id="column:id", link=True)


def split_all(repository: Repository, root: Path) -> None:
    def make(data: str, name: str, **more: Any) -> None:
        make_split(repository, open_dataset(repository, data), name, SplitWish(**more), identity=ADA, at=AT)

    make("odd", "by-folder", fractions={"train": 0.6, "test": 0.4}, group="folder", seed=2)
    make("digits", "default", fractions={"train": 0.6, "val": 0.2, "test": 0.2}, stratify=True, exact=True, seed=1)
    make("digits", "in-time", time="taken_at", cuts=["2026-01-11", "2026-01-16T12:00:00"])
    make("pixels", "folds", folds=3)
    ids = {"train": NAMES[:12], "test": NAMES[12:]}
    for part, names in ids.items():
        (root / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))
    paths = {part: root / f"{part}.txt" for part in ids}
    digits = open_dataset(repository, "digits")
    import_split(repository, digits, "official", paths, identity=ADA, at=AT, note="as published")


# -- what becomes golden


def store_in_order(store: BlobStore, target: Path) -> None:
    """The same blobs again: those of a batch, which threads put in any order, from the largest to the smallest."""
    golden = BlobStore(target)
    for path in [path for name in ("objects", "recipes", "pruned") for path in (store.root / name).rglob("*")]:
        if path.is_file():
            place = target / path.relative_to(store.root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    loose = {f"b3:{path.parent.name}{path.name}" for path in (target / "objects").rglob("*") if path.is_file()}
    whole = {f"b3:{path.parent.name}{path.name}" for path in (target / "recipes").rglob("*") if path.is_file()}
    packed = sorted((store.size(name), name) for name in {*store.names()} - loose - whole)
    with golden.batch() as batch:
        for _, name in reversed(packed):
            batch.put(store.get(name))
    golden.close()
    for name in ("incoming", "index.sqlite"):
        shutil.rmtree(target / name, ignore_errors=True)
        (target / name).unlink(missing_ok=True)


def prune_early(repository: Repository, entries: tuple[Any, ...]) -> None:
    store = store_of(repository)
    [early] = [entry for entry in entries if entry["name"] == "early"]
    [one] = pruning.prunable(store, [Found(entry=early, run=RUN)], keep=("best", "last"))
    assert pruning.prune(repository, store, one, at=AT, actor=ACTOR)


def pin_all(repository: Repository, store: Path, names: list[str]) -> None:
    raw = [bytes.fromhex(name.removeprefix("b3:")) for name in names]
    pins.rewrite(repository, store, raw[:-1], now=PINNED_AT, since=0)
    pins.append(repository, store, raw[-2:], now=PINNED_AT + 60)
    pins.append_apart(repository, store, RUN, 3, names[:1])
    for card in (store / "pins").glob("*.yaml"):
        card.write_text(card.read_text().replace(str(repository.work_tree), f"{HOME}/digits"))


def copy_home(repository: Repository, root: Path, target: Path) -> None:
    digits = open_dataset(repository, "digits").digest
    place = places.Place(path=Path(os.fsdecode(b"/big/latin-\xe9.csv")), at=AT, linked=True, follow=True)
    places.remember(repository, digits, place)
    (target / "places").mkdir(parents=True)
    for path in sorted((repository.home / "places").glob("*.yaml")):
        text = path.read_text().replace(str(root), f"{HOME}/data")
        (target / "places" / path.name).write_text(text)
    shutil.copy(repository.home / "clone-id", target)


def copy_ref(repository: Repository, target: Path) -> None:
    names = repository.git("ls-tree", "-r", "-z", "--name-only", RUNS_REF).decode().split("\0")[:-1]
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(repository.git("cat-file", "blob", f"{RUNS_REF}:{name}"))


def write(target: Path, scratch: Path) -> None:
    root, repo = scratch / "sources", scratch / "repo"
    subprocess.run(["git", "init", "--quiet", repo], check=True)
    repository = find(repo, {})
    repository.home.mkdir()
    (repository.home / "clone-id").write_text(f"{CLONE}\n")
    root.mkdir()
    write_sources(root)
    add_all(repository, root)
    split_all(repository, root)
    live = target / "live" / RUN
    record_run(repository, root, live)
    composed = compose(live, blobs=None)
    prune_early(repository, composed.record.checkpoints)
    copy_ref(repository, target / "ref")
    for name, data in composed.files.items():
        (target / "ref" / composed.record.path).mkdir(parents=True, exist_ok=True)
        (target / "ref" / composed.record.path / name).write_bytes(data)
    store_in_order(store_of(repository), target / "store")
    pin_all(repository, target / "store", [entry["blob"] for entry in composed.record.checkpoints])
    copy_home(repository, root, target / "home")
    some = describe(root / "digits.csv", "csv", id="column:name", label="digit", at_most=8, seed=3)
    (target / "statistics-sampled.yaml").write_bytes(yaml.dump(some))


if __name__ == "__main__":
    aim._now = lambda: AT
    files._versions = lambda: VERSIONS
    pins.time = SimpleNamespace(time=lambda: PINNED_AT + 120.5)
    socket.gethostname = lambda: "engine"
    with tempfile.TemporaryDirectory() as folder:
        write(Path(sys.argv[1]) / "content", Path(folder).resolve())
