"""What a remote sent is judged before it is merged: what is wrong is left out and named, the rest goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitrepro.records import ids, yaml
from gitrepro.records.event import Event
from gitrepro.records.run import RunRecord
from gitrepro.store.gitobjects import FILE_MODE, TREE_MODE, Entry, GitObjects, encode_tree, name_of
from gitrepro.sync.overlay import EMPTY_TREE, Overlay
from gitrepro.sync.union import union
from gitrepro.sync.validate import BLOB_BYTES_AT_MOST, RECORD_BYTES_AT_MOST, Validated, validate
from tests.recorded_data import digits
from tests.recorded_runs import record_run
from tests.sync.test_union import nest, put

GOLDEN = Path(__file__).parent.parent / "golden" / "v1" / "content" / "ref"
RUN, OTHER = (ids.new_id(now_ms=moment) for moment in (1, 2))
PLACE, OTHER_PLACE = (f"runs/{ids.shard(run)}/{run}" for run in (RUN, OTHER))
STATED = {"format.yaml": yaml.dump({"epoch": 1, "format": 1})}
AT = "2026-01-02T03:04:05.678901Z"
PARQUET = b"PAR1" + bytes(8) + b"PAR1"


def a_run(run_id: str = RUN, **changes: object) -> bytes:
    fields: dict[str, object] = {"id": run_id, "name": "n", "kind": "train", "status": "finished", "started_at": AT}
    return RunRecord(**(fields | changes)).dump()  # type: ignore[arg-type]


def an_event(event_id: str = OTHER, subject: str = RUN, **changes: object) -> bytes:
    event = Event(id=event_id, subject=subject, op="label", value="x", actor={}, at=AT, clock=1)
    return yaml.dump(event.document() | changes)


GOOD = {**STATED, f"{PLACE}/run.yaml": a_run(), f"{PLACE}/config.yaml": yaml.dump({"lr": 0.1})}
EVENT_FOLDER = f"events/{ids.shard(RUN)}/{RUN}"


@dataclass
class Sent:
    """A tree that somebody sends, and what comes of it."""

    objects: GitObjects

    def store(self, files: Mapping[str, bytes]) -> str:
        trees = Overlay(self.objects)
        root = put(trees, nest(files))
        self.objects.write(trees.made_for(root))
        return root

    def graft(self, root: str, path: str, entry: Entry) -> str:
        top, made = self.objects.graft(root, {path: entry})
        self.objects.write(made)
        return top

    def judged(self, files: Mapping[str, bytes], *, known: str | None = None) -> Validated:
        return self.validated(self.store(files), known)

    def validated(self, tree: str, known: str | None = None) -> Validated:
        found = validate(self.objects, tree, known)
        self.objects.write(found.made)
        return found

    def paths(self, found: Validated) -> set[str]:
        return {path for path, _ in self.objects.files(found.tree)}


@pytest.fixture
def sent(repo: Path) -> Iterator[Sent]:
    with GitObjects(repo / ".git") as objects:
        yield Sent(objects)


def whys(found: Validated) -> dict[str, str]:
    return {each.path: each.why for each in found.rejected}


# -- what is right


def test_what_gitrepro_itself_writes_is_right(repo: Path, sent: Sent) -> None:
    digits(repo)
    record_run(repo)
    tip = (repo / ".git" / "refs" / "gitrepro" / "runs").read_text().strip()
    tree = subprocess.run(["git", "rev-parse", f"{tip}^{{tree}}"], cwd=repo, capture_output=True, text=True, check=True)

    found = sent.validated(tree.stdout.strip())

    assert (found.rejected, found.unreadable, found.made) == ((), (), [])
    assert found.tree == tree.stdout.strip()


def test_the_golden_records_are_right(sent: Sent) -> None:
    files = {str(path.relative_to(GOLDEN)): path.read_bytes() for path in GOLDEN.rglob("*") if path.is_file()}
    assert len(files) > 5

    assert sent.judged(files).rejected == ()


def test_two_records_at_one_path_are_right_as_the_union_lays_them_out(sent: Sent) -> None:
    one = {**GOOD, f"{EVENT_FOLDER}/{OTHER}.yaml": an_event(value="a")}
    two = {**GOOD, f"{EVENT_FOLDER}/{OTHER}.yaml": an_event(value="b"), f"{PLACE}/env.yaml": yaml.dump({"os": "x"})}
    both = union(sent.objects, sent.store(one), sent.store(two))
    sent.objects.write(both.made)
    assert len(both.conflicts) == 2

    assert sent.validated(both.tree).rejected == ()


def test_what_nobody_here_knows_yet_is_kept(sent: Sent) -> None:
    later = {"signatures/ab/x.sig": b"\0\1", f"{PLACE}/profile/a/trace.bin": b"\0", "holdout/h/x.yaml": yaml.dump({})}

    assert sent.judged({**GOOD, **later}).rejected == ()


def test_a_record_of_a_later_format_is_kept_and_named(sent: Sent) -> None:
    later = a_run().replace(b"format: 1", b"format: 2")
    other = yaml.dump({"format": 1}).replace(b"format: 1", b"format: 7\nodd: *syntax")
    found = sent.judged(
        {**GOOD, f"{PLACE}/run.yaml": later, f"{PLACE}/env.yaml": b"odd", f"{OTHER_PLACE}/run.yaml": other}
    )

    assert found.rejected == ()
    assert {each.path for each in found.unreadable} == {PLACE, OTHER_PLACE}
    assert f"{PLACE}/run.yaml" in sent.paths(found)


def test_only_what_is_not_known_is_looked_at(sent: Sent) -> None:
    bad = {**GOOD, f"{EVENT_FOLDER}/{OTHER}.yaml": b"rubbish"}
    known = sent.store(bad)

    found = sent.judged({**bad, f"{OTHER_PLACE}/run.yaml": a_run(OTHER)}, known=known)

    assert found.rejected == ()


def test_a_run_that_was_changed_is_looked_at_as_a_whole(sent: Sent) -> None:
    bad = {**GOOD, f"{PLACE}/env.yaml": b"rubbish"}

    assert PLACE in whys(sent.judged({**bad, f"{PLACE}/more.yaml": yaml.dump({})}, known=sent.store(bad)))


# -- what is wrong, and costs itself alone

WRONG: dict[str, tuple[str, Mapping[str, bytes]]] = {
    "a run under another id": (PLACE, {f"{PLACE}/run.yaml": a_run(OTHER)}),
    "a run that does not parse": (PLACE, {f"{PLACE}/run.yaml": b"!!python/object/apply:os.system ['true']\n"}),
    "a run of other types": (PLACE, {f"{PLACE}/run.yaml": a_run(argv=({},))}),
    "a run without its record": (PLACE, {f"{PLACE}/config.yaml": yaml.dump({})}),
    "a config that does not parse": (PLACE, {f"{PLACE}/run.yaml": a_run(), f"{PLACE}/config.yaml": b"a: &a [*a]\n"}),
    "a table that is none": (PLACE, {f"{PLACE}/run.yaml": a_run(), f"{PLACE}/metrics.parquet": b"PK\3\4" + bytes(20)}),
    "a table cut short": (PLACE, {f"{PLACE}/run.yaml": a_run(), f"{PLACE}/metrics.parquet": PARQUET[:9]}),
    "a file too large": (PLACE, {f"{PLACE}/run.yaml": a_run(), f"{PLACE}/x.bin": bytes(BLOB_BYTES_AT_MOST + 1)}),
    "a record too large": (PLACE, {f"{PLACE}/run.yaml": b"#" * (RECORD_BYTES_AT_MOST + 1)}),
    "a run in a wrong shard": (f"runs/0/0/0/{RUN}", {f"runs/0/0/0/{RUN}/run.yaml": a_run()}),
    "a folder that is no shard": ("runs/ab", {f"runs/ab/c/d/{RUN}/run.yaml": a_run()}),
    "a run that is no id": ("runs/x/x/x/xxx", {"runs/x/x/x/xxx/run.yaml": a_run()}),
    "a file among the shards": ("runs/u", {"runs/u": b""}),
    "a name in capitals": ("runs/A", {f"runs/A/x/y/{RUN}/run.yaml": a_run()}),
    "an event about another": (
        f"{EVENT_FOLDER}/{OTHER}.yaml",
        {f"{EVENT_FOLDER}/{OTHER}.yaml": an_event(subject=OTHER)},
    ),
    "an event under another name": (f"{EVENT_FOLDER}/{OTHER}.yaml", {f"{EVENT_FOLDER}/{OTHER}.yaml": an_event(RUN)}),
    "a clock beyond all clocks": (
        f"{EVENT_FOLDER}/{OTHER}.yaml",
        {f"{EVENT_FOLDER}/{OTHER}.yaml": an_event(clock=2**60)},
    ),
    "a clock that is a word": (
        f"{EVENT_FOLDER}/{OTHER}.yaml",
        {f"{EVENT_FOLDER}/{OTHER}.yaml": an_event(clock=True)},
    ),
    "a folder among events": (f"{EVENT_FOLDER}/a", {f"{EVENT_FOLDER}/a/x.yaml": an_event()}),
    "a data set under another digest": (f"datasets/d/{'0' * 64}.yaml", {f"datasets/d/{'0' * 64}.yaml": b"a: 1\n"}),
    "a result without its record": (f"results/{RUN}", {f"results/{RUN}/audit.yaml": yaml.dump({})}),
    "a result that is no id": ("results/x", {"results/x/result.yaml": yaml.dump({})}),
    "a format nobody can read": ("format.yaml", {"format.yaml": b"rubbish"}),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_left_out_and_the_rest_goes_on(sent: Sent, what: str) -> None:
    path, files = WRONG[what]
    rest = {f"{OTHER_PLACE}/run.yaml": a_run(OTHER), f"{OTHER_PLACE}/metrics.parquet": PARQUET}

    found = sent.judged({**rest, **files})

    assert list(whys(found)) == [path]
    assert sent.paths(found) == {*rest}


NAMES = [
    "..",
    ".",
    ".git",
    ".GIT",
    "git~1",
    "a b",
    "a\nb",
    "a\x1b[2Jb",
    "-rf",
    "a\\b",
    "ä",
    "a\udcff",
    "x" * 300,
    "a:b",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_none_of_ours_is_left_out(sent: Sent, name: str) -> None:
    tree = sent.store(GOOD)
    [blob] = sent.objects.write([("blob", b"x: 1\n")])
    top = dict(sent.objects.tree(tree)) | {name: Entry(FILE_MODE, blob)}
    [tree] = sent.objects.write([("tree", encode_tree(top))])

    found = sent.validated(tree)

    assert len(found.rejected) == 1
    assert all(each.isprintable() for each in whys(found))
    assert sent.paths(found) == {*GOOD}


@pytest.mark.parametrize("mode", [0o100755, 0o120000, 0o160000, 0o100664, 0o777])
def test_what_is_no_plain_file_is_left_out_with_its_run(sent: Sent, mode: int) -> None:
    [blob] = sent.objects.write([("blob", b"/etc/passwd")])
    rest = {f"{OTHER_PLACE}/run.yaml": a_run(OTHER)}
    tree = sent.graft(sent.store({**GOOD, **rest}), f"{PLACE}/link", Entry(mode, blob))

    found = sent.validated(tree)

    assert list(whys(found)) == [PLACE]
    assert sent.paths(found) == {*STATED, *rest}


def test_a_tree_in_the_place_of_a_file_and_a_file_in_that_of_a_tree_are_left_out(sent: Sent) -> None:
    tree = sent.store(GOOD)
    [blob] = sent.objects.write([("blob", b"x")])
    crossed = {f"{PLACE}/a.bin": Entry(FILE_MODE, tree), f"events/{ids.shard(RUN)}/{RUN}": Entry(TREE_MODE, blob)}
    for path, entry in crossed.items():
        assert len(sent.validated(sent.graft(tree, path, entry)).rejected) == 1


def test_what_is_missing_is_left_out(sent: Sent) -> None:
    gone = name_of("blob", b"never written")
    for path, mode in ((f"{PLACE}/env.yaml", FILE_MODE), (f"events/{ids.shard(RUN)}/{RUN}", TREE_MODE)):
        found = sent.validated(sent.graft(sent.store(GOOD), path, Entry(mode, gone)))
        assert len(found.rejected) == 1


def test_a_folder_that_git_would_not_write_so_is_left_out(sent: Sent) -> None:
    [blob] = sent.objects.write([("blob", b"x: 1\n")])
    line = b"100644 %s\0" + bytes.fromhex(blob)
    odd = [line % b"b" + line % b"a", line % b"a" + line % b"a", (line % b"a").replace(b"100644", b"0100644")]
    for data in (*odd, b""):
        [folder] = sent.objects.write([("tree", data)])
        found = sent.validated(sent.graft(sent.store(GOOD), "datasets/d", Entry(TREE_MODE, folder)))
        assert whys(found).keys() == {"datasets/d"}
        assert sent.paths(found) == {*GOOD}


def test_folders_in_folders_without_end_are_left_out(sent: Sent) -> None:
    found = sent.judged({**GOOD, "signatures/fine": b"x"})
    assert found.rejected == ()
    deep, made = _deep(300)
    sent.objects.write(made)
    found = sent.validated(sent.graft(sent.store(GOOD), "signatures", Entry(TREE_MODE, deep)))

    assert [each.path for each in found.rejected] == ["signatures"]
    assert sent.paths(found) == {*GOOD}


def _deep(folders: int) -> tuple[str, list[tuple[str, bytes]]]:
    made = [("blob", b"x"), ("tree", encode_tree({"x": Entry(FILE_MODE, name_of("blob", b"x"))}))]
    for _ in range(folders):
        made.append(("tree", encode_tree({"d": Entry(TREE_MODE, name_of(*made[-1]))})))
    return name_of(*made[-1]), made


def test_a_few_bytes_that_name_more_files_than_there_are_cost_no_more_than_others(sent: Sent) -> None:
    """Nine levels of 40 folders, all the same: 40 ** 9 files."""
    made = [("blob", b"x"), ("tree", encode_tree({"x": Entry(FILE_MODE, name_of("blob", b"x"))}))]
    for _ in range(9):
        inside = Entry(TREE_MODE, name_of(*made[-1]))
        made.append(("tree", encode_tree({f"d{number}": inside for number in range(40)})))
    sent.objects.write(made)

    found = sent.validated(sent.graft(sent.store(GOOD), "later", Entry(TREE_MODE, name_of(*made[-1]))))

    assert [each.path for each in found.rejected] == ["later"]
    assert sent.paths(found) == {*GOOD}


def test_one_large_record_that_many_runs_claim_is_read_once(sent: Sent) -> None:
    data = a_run(note="x" * 900_000)
    runs = [ids.new_id() for _ in range(60)]
    found = sent.judged({f"runs/{ids.shard(run)}/{run}/run.yaml": data for run in runs})

    assert len(found.rejected) == 60


def test_a_tree_of_which_nothing_is_right_leaves_an_empty_one(sent: Sent) -> None:
    assert sent.judged({"..": b"x"} | {"a b": b"x"}).tree == EMPTY_TREE
    assert sent.validated(name_of("blob", b"nothing here")).tree == EMPTY_TREE


junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = {**yaml.load(a_run()), **yaml.load(an_event())}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run(["git", "init", "--quiet", "--bare", os.fspath(folder)], check=True)
    return folder


@settings(max_examples=40)
@given(changes=st.dictionaries(st.sampled_from(sorted(FIELDS)), junk, max_size=4), cut=st.integers(0, 200))
def test_no_content_raises(bare: Path, changes: dict[str, object], cut: int) -> None:
    with GitObjects(bare) as objects:
        run, event = (yaml.dump(yaml.load(data) | changes) for data in (a_run(), an_event()))
        files = {f"{PLACE}/run.yaml": run, f"{EVENT_FOLDER}/{OTHER}.yaml": event, f"{OTHER_PLACE}/run.yaml": run[:cut]}

        found = Sent(objects).judged(files)

        assert {OTHER_PLACE} <= {each.path for each in (*found.rejected, *found.unreadable)}
