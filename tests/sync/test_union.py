"""The union of trees: the same in whatever order, nothing lost, nothing opened that both sides have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.errors import Damaged, TooNew
from gitrepro.records import ids, yaml
from gitrepro.store.gitobjects import FILE_MODE, TREE_MODE, Entry, GitObjects, Tree, encode_tree, name_of
from gitrepro.sync.overlay import EMPTY_TREE, Overlay
from gitrepro.sync.union import base_of, carried, epoch, ours_only, purged, union, united

RUN, OTHER = (ids.new_id(now_ms=moment) for moment in (1, 2))
PLACE = f"runs/{ids.shard(RUN)}/{RUN}"
Nested = Mapping[str, "bytes | Nested"]


def nest(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Files by path as folders in folders."""
    top: dict[str, Any] = {}
    for path, data in files.items():
        *folders, name = path.split("/")
        place = top
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = data
    return top


def put(trees: Overlay, content: Nested, *, mode: int = FILE_MODE) -> str:
    tree: Tree = {}
    for name, each in content.items():
        if isinstance(each, bytes):
            tree[name] = Entry(0o100755 if each.endswith(b"!") else mode, trees.put_blob(each).oid)
        else:
            tree[name] = Entry(TREE_MODE, put(trees, each))
    return trees.put(tree).oid


def flat(trees: Overlay, root: str, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for name, entry in trees.tree(root).items():
        if entry.is_tree:
            yield from flat(trees, entry.oid, f"{prefix}{name}/")
        else:
            yield prefix + name, trees.blob(entry.oid)


@pytest.fixture
def trees(tmp_path: Path) -> Overlay:
    return Overlay(GitObjects(tmp_path))


def store(objects: GitObjects, files: Mapping[str, bytes]) -> str:
    """Write a tree with these files; its name."""
    trees = Overlay(objects)
    root = put(trees, nest(files))
    objects.write(trees.made_for(root))
    return root


# -- the laws

CONTENT = [b"0", b"1", b"2", b"2!"]
# Names that look like those under which something else stands aside, and come to be in each other's way.
TAILS = [name_of("blob", data)[:8] for data in CONTENT]
NAMES = ["a", "b", *(f"a~{tail}" for tail in TAILS), f"a~{TAILS[0]}~{TAILS[1]}", f"a~{name_of('blob', b'2')}"]
nested = st.recursive(
    st.sampled_from(CONTENT),
    lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, min_size=1, max_size=5),
    max_leaves=12,
)
roots = st.dictionaries(st.sampled_from(NAMES), nested, max_size=5)
histories = st.dictionaries(
    st.sampled_from(
        [
            *(f"{PLACE}/{name}" for name in ("run.yaml", "env.yaml", "run.yaml~12345678")),
            f"runs/{ids.shard(OTHER)}/{OTHER}/run.yaml",
            f"events/{ids.shard(RUN)}/{RUN}/{OTHER}.yaml",
            "datasets/digits/v.yaml",
        ]
    ),
    st.sampled_from(CONTENT[:3]),
).map(nest)
stated = st.fixed_dictionaries(
    {"epoch": st.integers(1, 3), "format": st.just(1)},
    optional={"purged": st.sets(st.sampled_from([RUN, OTHER]), min_size=1).map(sorted), "later": st.integers(0, 3)},
).map(yaml.dump)
sides = st.one_of(
    roots,
    st.builds(lambda said, rest: {"format.yaml": said} | rest, st.one_of(stated, st.sampled_from(CONTENT)), histories),
)


def fresh() -> Overlay:
    return Overlay(GitObjects(Path("/nowhere")))


def clean(trees: Overlay, content: Nested) -> str:
    """A tree as clones come to have it: nothing in it that it says was purged."""
    return united(trees, put(trees, content), None).tree


@given(sides, sides)
def test_it_does_not_matter_who_pulls_from_whom(one: Nested, two: Nested) -> None:
    trees = fresh()
    a, b = clean(trees, one), clean(trees, two)

    there, back = united(trees, a, b), united(trees, b, a)

    assert there.tree == back.tree
    assert there.conflicts == back.conflicts


@given(sides, sides, sides)
def test_it_does_not_matter_in_which_order_clones_meet(one: Nested, two: Nested, three: Nested) -> None:
    trees = fresh()
    a, b, c = (clean(trees, each) for each in (one, two, three))

    first = united(trees, united(trees, a, b).tree, c).tree
    last = united(trees, a, united(trees, b, c).tree).tree

    assert list(flat(trees, first)) == list(flat(trees, last))
    assert first == last


@given(sides, sides)
def test_hearing_it_again_changes_nothing(one: Nested, two: Nested) -> None:
    trees = fresh()
    a, b = clean(trees, one), clean(trees, two)
    both = united(trees, a, b).tree

    assert united(trees, a, a).tree == a
    assert united(trees, both, a).tree == united(trees, b, both).tree == both


@given(st.lists(roots, min_size=1, max_size=5))
def test_every_content_of_every_side_is_in_the_union(all_sides: list[Nested]) -> None:
    trees = fresh()
    oids = [put(trees, each) for each in all_sides]
    whole = oids[0]
    for oid in oids[1:]:
        whole = united(trees, whole, oid).tree

    def held(root: str) -> set[tuple[str, bytes]]:
        """Each content under the name that it claims."""
        return {
            ("/".join([*path.split("/")[:-1], base_of(path.split("/")[-1], name_of("blob", data))]), data)
            for path, data in flat(trees, root)
        }

    assert held(whole) == set().union(*map(held, oids))


# -- what stands where


def test_of_two_records_at_one_path_the_higher_name_stands_there_and_the_other_aside(trees: Overlay) -> None:
    low, high = sorted((b"one", b"two"), key=lambda data: name_of("blob", data))
    found = united(trees, put(trees, {"events": {"e.yaml": low}}), put(trees, {"events": {"e.yaml": high}}))

    assert dict(flat(trees, found.tree)) == {
        "events/e.yaml": high,
        f"events/e.yaml~{name_of('blob', low)[:8]}": low,
    }
    assert found.conflicts == ("events/e.yaml",)


def test_a_conflict_is_told_once_and_not_each_time_it_is_met(trees: Overlay) -> None:
    both = united(trees, put(trees, {"e": {"x": b"one"}}), put(trees, {"e": {"x": b"two"}})).tree
    more = united(trees, both, put(trees, {"e": {"y": b"three"}}))

    assert more.conflicts == ("e/x",)  # this side had neither
    assert united(trees, more.tree, united(trees, both, put(trees, {"e": {"z": b"4"}})).tree).conflicts == ()


def test_two_records_of_one_run_are_not_mixed_into_one(trees: Overlay) -> None:
    ours = put(trees, nest({f"{PLACE}/run.yaml": b"one", f"{PLACE}/env.yaml": b"same"}))
    theirs = put(trees, nest({f"{PLACE}/run.yaml": b"two", f"{PLACE}/env.yaml": b"same"}))
    before = {trees.entry(each, tuple(PLACE.split("/"))) for each in (ours, theirs)}

    found = united(trees, ours, theirs)

    folder = trees.entry(found.tree, tuple(PLACE.split("/")[:-1]))
    assert folder is not None
    assert set(trees.tree(folder.oid).values()) == before
    assert found.conflicts == (PLACE,)


def test_a_folder_keeps_its_name_and_a_file_of_that_name_stands_aside(trees: Overlay) -> None:
    found = united(trees, put(trees, {"a": b"file"}), put(trees, {"a": {"b": b"inside"}}))

    assert dict(flat(trees, found.tree)) == {"a/b": b"inside", f"a~{name_of('blob', b'file')[:8]}": b"file"}


def test_with_one_side_missing_the_other_is_the_union(trees: Overlay) -> None:
    some = put(trees, {"a": b"1"})

    assert united(trees, some, None).tree == united(trees, None, some).tree == some
    assert united(trees, None, None).tree == EMPTY_TREE


# -- in a repository


def test_what_is_made_is_all_that_git_misses(repo: Path) -> None:
    with GitObjects(repo / ".git") as objects:
        ours = store(objects, {"a/b/c": b"1", "a/x": b"same"})
        theirs = store(objects, {"a/b/d": b"2", "a/x": b"same"})
        found = union(objects, ours, theirs)
        objects.write(found.made)

    with GitObjects(repo / ".git") as afresh:
        assert [path for path, _ in afresh.files(found.tree)] == ["a/b/c", "a/b/d", "a/x"]
    assert len(found.made) == 3  # the top, a, and a/b


def test_what_both_sides_have_is_not_opened(repo: Path) -> None:
    with GitObjects(repo / ".git") as objects:
        ours = store(objects, {"deep/er/x": b"same", "other/a": b"1"})
        theirs = store(objects, {"deep/er/x": b"same", "other/b": b"2"})
        shared = objects.entry(ours, "deep")
        assert shared is not None
        Path(objects.loose_path(shared.oid)).unlink()

    with GitObjects(repo / ".git") as objects:
        assert union(objects, ours, theirs).conflicts == ()


def test_a_folder_that_only_one_side_has_is_not_opened(repo: Path) -> None:
    with GitObjects(repo / ".git") as objects:
        ours, theirs = store(objects, {"a/x": b"1"}), store(objects, {"b/y": b"2"})
        for root, name in ((ours, "a"), (theirs, "b")):
            entry = objects.entry(root, name)
            assert entry is not None
            Path(objects.loose_path(entry.oid)).unlink()

    with GitObjects(repo / ".git") as objects:
        assert union(objects, ours, theirs).conflicts == ()


def test_what_is_only_ours_are_the_files_that_the_other_has_not(repo: Path) -> None:
    with GitObjects(repo / ".git") as objects:
        known = store(objects, {"format.yaml": b"old", "runs/a": b"1"})
        ours = store(objects, {"format.yaml": b"new", "runs/a": b"1", "runs/b": b"2"})

        assert [*ours_only(objects, ours, known)] == ["runs/b"]
        assert [*ours_only(objects, ours, None)] == ["runs/a", "runs/b"]
        assert ours_only(objects, None, known) == {}


# -- epochs


def said(**fields: object) -> bytes:
    return yaml.dump({"epoch": 1, "format": 1, **fields})


def test_the_epoch_is_what_format_yaml_says(repo: Path) -> None:
    with GitObjects(repo / ".git") as objects:
        assert epoch(objects, store(objects, {"format.yaml": said(epoch=3)})) == 3
        assert epoch(objects, store(objects, {"a": b"1"})) == 1
        assert epoch(objects, None) == 0


@pytest.mark.parametrize("data", [b"rubbish", said(epoch="2"), said(epoch=0), said(epoch=2**40), said(purged=["x"])])
def test_a_format_file_that_does_not_say_its_epoch_is_damage(repo: Path, data: bytes) -> None:
    with GitObjects(repo / ".git") as objects, pytest.raises(Damaged):
        epoch(objects, store(objects, {"format.yaml": data}))


def test_a_run_ref_of_a_later_layout_is_too_new(repo: Path) -> None:
    with GitObjects(repo / ".git") as objects, pytest.raises(TooNew):
        epoch(objects, store(objects, {"format.yaml": said(format=2)}))


def test_a_run_that_was_purged_does_not_come_back_from_an_old_clone(repo: Path) -> None:
    old = {
        "format.yaml": said(),
        f"{PLACE}/run.yaml": b"secret",
        f"events/{ids.shard(RUN)}/{RUN}/{OTHER}.yaml": b"a note on it",
        f"results/{OTHER}/result.yaml": b"a result",
    }
    new = {"format.yaml": said(epoch=2, purged=[RUN]), f"results/{OTHER}/result.yaml": b"a result"}
    with GitObjects(repo / ".git") as objects:
        ours, theirs = store(objects, old), store(objects, new)

        assert union(objects, ours, theirs).tree == theirs
        assert carried(objects, theirs, ours, None).tree == theirs
        assert purged(objects, theirs) == {RUN}


def test_two_purges_at_once_take_out_what_either_did(repo: Path) -> None:
    both = {f"runs/{ids.shard(run)}/{run}/run.yaml": run.encode() for run in (RUN, OTHER)}
    one, two = (
        {path: data for path, data in both.items() if run not in path} | {"format.yaml": said(epoch=2, purged=[run])}
        for run in (RUN, OTHER)
    )
    with GitObjects(repo / ".git") as objects:
        found = union(objects, store(objects, one), store(objects, two))
        objects.write(found.made)

        assert [path for path, _ in objects.files(found.tree)] == ["format.yaml"]
        assert purged(objects, found.tree) == {RUN, OTHER}
        # Each side has in its history what the other has purged.
        assert epoch(objects, found.tree) == 3


def test_what_was_not_pushed_yet_is_carried_into_the_later_epoch(repo: Path) -> None:
    with GitObjects(repo / ".git") as objects:
        known = store(objects, {"format.yaml": said(), "datasets/d/gone.yaml": b"1"})
        ours = store(objects, {"format.yaml": said(), "datasets/d/gone.yaml": b"1", "datasets/d/new.yaml": b"2"})
        onto = store(objects, {"format.yaml": said(epoch=2), "datasets/d/kept.yaml": b"3"})
        found = carried(objects, onto, ours, known)
        objects.write(found.made)

        assert [path for path, _ in objects.files(found.tree)] == [
            "datasets/d/kept.yaml",
            "datasets/d/new.yaml",
            "format.yaml",
        ]
        assert epoch(objects, found.tree) == 2


def test_a_field_of_later_has_one_value_in_whatever_order_clones_meet(trees: Overlay) -> None:
    sides = [
        put(trees, {"format.yaml": said(later=value, **more)}) for value in (1, 2, 3) for more in ({}, {"epoch": 2})
    ]

    for one, two, three in permutations(sides, 3):
        first = united(trees, united(trees, one, two).tree, three).tree
        assert first == united(trees, one, united(trees, two, three).tree).tree


def test_what_the_tree_says_of_itself_stands_nowhere_aside(trees: Overlay) -> None:
    other = said(epoch=7)
    aside = f"format.yaml~{name_of('blob', other)[:8]}"
    one = put(trees, {"format.yaml": said(), "a": b"1"})
    two, three = (put(trees, {aside: other, "b": data}) for data in (b"2", b"3"))

    first = united(trees, united(trees, one, two).tree, three).tree
    last = united(trees, one, united(trees, two, three).tree).tree

    assert first == last
    assert [path for path, _ in flat(trees, first) if "format" in path] == ["format.yaml"]


def test_the_tree_of_a_union_is_what_git_writes(repo: Path) -> None:
    with GitObjects(repo / ".git") as objects:
        found = union(objects, store(objects, {"a.b": b"1", "a/c": b"2"}), store(objects, {"a0": b"3"}))
        objects.write(found.made)
        tree = objects.tree(found.tree)

        assert name_of("tree", encode_tree(tree)) == found.tree
        assert [*tree] == ["a.b", "a", "a0"]
