"""`gitrepro verify --signed`: who said that runs and results are so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ..audit import tags
from ..errors import GitreproError, NotFound
from ..records.result import result_path
from ..records.run import run_path
from ..store.gitrefs import list_refs, read_ref
from ..store.repository import Repository
from ..store.resolve import resolve
from ..store.runs import RunTree
from ..store.signing import programs
from ..store.signing.judging import BAD, FOREIGN, SIGNED, UNSIGNED, Judge, Signers, Verdict, load_signers
from ..store.signing.programs import Settings
from ..store.signing.statements import statements
from ..store.signing.text import part_tag
from .present import clean, coloured, counted, emit, note, table
from .progress import progress

SCHEMA: Final = 1
_CODES: Final = {SIGNED: 0, UNSIGNED: 1, FOREIGN: 1, BAD: 4}
_COLOURS: Final = {SIGNED: "green", UNSIGNED: "yellow", FOREIGN: "yellow", BAD: "red"}
_LISTS: Final = ("gitrepro.allowedsigners", "gpg.ssh.allowedsignersfile")
_NO_TREE: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """One run, result or result tag, and who signed it."""

    what: str
    name: str
    state: str
    signer: str = ""
    key: str = ""
    why: str = ""
    commit: str | None = None
    recorded_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is asked about: tags with their objects, and paths of runs and results with the trees they must have."""

    tags: Mapping[str, str]
    paths: Mapping[str, str]
    missing: Sequence[Signed] = ()


def verify_signed(
    found: Repository, targets: Sequence[str], *, signers: str | None, everything: bool, as_json: bool
) -> int:
    """Show who signed these runs and result tags. 0: all by one who may; 1: not all; 4: a signature is wrong."""
    settings = programs.read(found)
    path = _list(found, settings, signers)
    judge = Judge(settings, load_signers(path) if path else Signers())
    with RunTree(found) as tree:
        asked = _everything(found, tree) if everything else _named(found, tree, targets)
        shown = [*_tags(tree, asked, judge), *_paths(found, tree, asked, judge), *asked.missing]
    code = max((_CODES[each.state] for each in shown), default=0)
    if as_json:
        where = str(path) if path else None
        emit({"schema": SCHEMA, "signers": where, "ok": code == 0, "signatures": [asdict(each) for each in shown]})
        return code
    _show([each for each in shown if not everything or each.state != SIGNED])
    _say(found, path, shown)
    return code


def _list(found: Repository, settings: Settings, named: str | None) -> Path | None:
    text = named or next((settings.values[key] for key in _LISTS if settings.values.get(key)), None)
    if text is None:
        return None
    base = Path.cwd() if named else found.work_tree or found.git_dir
    return base / Path(text).expanduser()


# -- what is asked about


def _named(found: Repository, tree: RunTree, targets: Sequence[str]) -> _Asked:
    tagged: dict[str, str] = {}
    paths: dict[str, str] = {}
    missing: list[Signed] = []
    for target in targets:
        oid = read_ref(found.common_dir, tags.PREFIX + target) if tags.is_name(found, target) else None
        if oid is None:
            path = run_path(resolve(found, target))
            paths[path] = _tree_at(tree, path)
            continue
        tagged[target] = oid
        _of_tag(tree, target, oid, paths, missing)
    for path in [path for path, oid in paths.items() if oid == _NO_TREE]:
        del paths[path]
        missing.append(_unknown(path))
    return _Asked(tags=tagged, paths=paths, missing=missing)


def _of_tag(tree: RunTree, name: str, oid: str, paths: dict[str, str], missing: list[Signed]) -> None:
    """The result and the runs that a tag cites; a run is the one it cites only with the tree it cites."""
    target = tags.follow(tree.objects, oid)
    runs = target.trailers.get("Gitrepro-Run", ())
    cited = dict(zip(runs, target.trailers.get("Gitrepro-Tree", ()), strict=False))
    if not runs:
        raise NotFound(f"tag {name} cites no runs", why="`gitrepro tag` did not make it", do="name its runs")
    if target.result:
        paths[result_path(target.result)] = _tree_at(tree, result_path(target.result))
    for run_id in runs:
        path = run_path(run_id)
        there = _tree_at(tree, path)
        if there != _NO_TREE and there != cited.get(run_id):
            why = f"tag {name} cites other bytes than are on record"
            missing.append(Signed(what="run", name=run_id, state=BAD, why=why))
        else:
            paths[path] = there


def _everything(found: Repository, tree: RunTree) -> _Asked:
    paths = {path: _tree_at(tree, path) for path in map(run_path, tree.run_ids())}
    paths |= {path: _tree_at(tree, path) for path in map(result_path, tree.result_ids())}
    tagged = {}
    for ref, oid in list_refs(found.common_dir, tags.PREFIX).items():
        try:
            if tags.follow(tree.objects, oid).result:
                tagged[ref.removeprefix(tags.PREFIX)] = oid
        except GitreproError:
            continue  # a tag of somebody's own, of something that is not here
    return _Asked(tags=tagged, paths=paths)


def _tree_at(tree: RunTree, path: str) -> str:
    entry = tree.entry(path)
    return entry.oid if entry and entry.is_tree else _NO_TREE


def _unknown(path: str) -> Signed:
    what, name = _called(path)
    return Signed(what=what, name=name, state=UNSIGNED, why="it is not on the run ref")


def _called(path: str) -> tuple[str, str]:
    return ("run" if path.startswith("runs/") else "result", path.rpartition("/")[2])


# -- who signed it


def _tags(tree: RunTree, asked: _Asked, judge: Judge) -> Iterator[Signed]:
    for name, oid in asked.tags.items():
        kind, data = tree.objects.read_any(oid)
        if kind != "tag":
            yield Signed(what="tag", name=name, state=UNSIGNED, why="it is no annotated tag")
            continue
        verdict = judge.judge(part_tag(data))
        inside = tags.follow(tree.objects, oid).name
        if verdict.state == SIGNED and inside != name:
            verdict = Verdict(state=BAD, key=verdict.key, why=f"it was signed as tag {inside!r:.80}")
        yield _signed("tag", name, verdict, commit=None, by=_tagger(data))


def _paths(found: Repository, tree: RunTree, asked: _Asked, judge: Judge) -> Iterator[Signed]:
    if tree.commit is None or not asked.paths:
        return
    looking = progress("judging signatures: commits")
    said = statements(found, tree.objects, tree.commit, asked.paths, judge, progress=looking)
    for path in asked.paths:
        what, name = _called(path)
        by = _recorded_by(tree, name) if what == "run" else ""
        best = next(iter(said[path]), None)
        if best is None:
            yield Signed(what=what, name=name, state=UNSIGNED, why="no commit here brought it", recorded_by=by)
        else:
            yield _signed(what, name, best.verdict, commit=best.commit, by=by)


def _signed(what: str, name: str, verdict: Verdict, *, commit: str | None, by: str) -> Signed:
    return Signed(what=what, name=name, commit=commit, recorded_by=by, **asdict(verdict))


def _recorded_by(tree: RunTree, run_id: str) -> str:
    try:
        return str((tree.run(run_id).actor or {}).get("email") or "")
    except GitreproError:
        return ""


def _tagger(data: bytes) -> str:
    lines = part_tag(data).payload.partition(b"\n\n")[0].split(b"\n")
    tagger = next((line for line in lines if line.startswith(b"tagger ")), b"").decode(errors="replace")
    return tagger.partition("<")[2].partition(">")[0]


# -- how it is told


def _show(shown: Sequence[Signed]) -> None:
    if shown:
        rows = [[each.what, each.name, _words(each), each.recorded_by] for each in shown]
        table(rows, ["what", "name", "signature", "recorded by"], elastic=2)


def _words(each: Signed) -> str:
    words = {
        SIGNED: f"signed by {each.signer} ({each.key})",
        UNSIGNED: "not signed",
        FOREIGN: f"signed by a key that is not allowed{each.key and f' ({each.key})'}",
        BAD: "BAD SIGNATURE",
    }
    return coloured(words[each.state], _COLOURS[each.state])


def _say(found: Repository, path: Path | None, shown: Sequence[Signed]) -> None:
    for each in shown:
        if each.state in (FOREIGN, BAD):
            note(f"{each.what} {clean(each.name)}: {clean(each.why)}")
    good = sum(each.state == SIGNED for each in shown)
    note(f"{good:,} of {counted(len(shown), 'thing')} signed by one who may")
    if path is None:
        note("no list says who may sign: `--signers FILE`, or `git config --global gitrepro.allowedSigners FILE`")
        return
    note(f"who may sign is said by {clean(path)}")
    if found.work_tree and path.resolve().is_relative_to(found.work_tree.resolve()):
        note("it lies in the work tree: whoever can change a branch can change it")
