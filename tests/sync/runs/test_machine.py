"""Three clones and a remote, in any order of acts: nothing is lost, and all come to the same tree."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gitrepro.sync.runs import pull, push, waiting
from tests.recorded_runs import opened, record_run

from .team import RUNS, Team, git, runs_of, tree_of

CLONES = st.sampled_from(["ada", "ben", "cleo"])


class Syncing(RuleBasedStateMachine):
    """What each clone must have is counted beside it; the remote may be rewound or lose its refs at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="syncing-"))
        self.has: dict[str, set[str]] = {"ada": set(), "ben": set(), "cleo": set()}
        self.tips: list[str] = []

    @initialize()
    def begin(self) -> None:
        self.team = Team.begin(self.folder)
        for name in self.has:
            self.team.clone(name)

    def clone(self, name: str) -> Path:
        return self.folder / name

    def note(self) -> None:
        if tip := self.team.ref():
            self.tips.append(tip)

    @rule(name=CLONES)
    def record(self, name: str) -> None:
        self.has[name].add(record_run(self.clone(name)))

    @rule(name=CLONES)
    def push(self, name: str) -> None:
        pushed = push(opened(self.clone(name)))
        if pushed.pulled:
            self.has[name] |= set(pushed.pulled.runs)
        self.note()
        assert not waiting(opened(self.clone(name))).runs
        if self.has[name]:
            assert self.has[name] <= set(self.there())

    @rule(name=CLONES)
    def pull(self, name: str) -> None:
        before = self.has[name]
        there = set(self.there())
        self.has[name] = before | set(pull(opened(self.clone(name))).runs)
        assert there <= self.has[name]

    @rule(name=CLONES)
    def push_into_the_inbox(self, name: str) -> None:
        clone = self.clone(name)
        if self.has[name]:
            opened(clone)
            push(opened(clone), dry_run=True)
            ident = (clone / ".git/gitrepro/clone-id").read_text().strip()
            git(clone, "push", "--quiet", "--force", "origin", f"{RUNS}:refs/gitrepro/inbox/{ident}")

    @rule(data=st.data())
    def rewind_the_remote(self, data: st.DataObject) -> None:
        if self.tips:
            git(self.team.hub, "update-ref", RUNS, data.draw(st.sampled_from(self.tips)))

    @rule()
    def delete_the_ref(self) -> None:
        if self.team.ref():
            git(self.team.hub, "update-ref", "-d", RUNS)

    def there(self) -> list[str]:
        return runs_of(self.team.hub) if self.team.ref() else []

    @invariant()
    def nothing_is_lost(self) -> None:
        for name, found in self.has.items():
            if (self.folder / name).is_dir():
                assert set(runs_of(self.clone(name))) == found

    def teardown(self) -> None:
        try:
            if self.folder.joinpath("cleo").is_dir():
                self.all_agree()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def all_agree(self) -> None:
        everything = {run_id for found in self.has.values() for run_id in found}
        for _ in range(2):
            for name in self.has:
                push(opened(self.clone(name)))
                pull(opened(self.clone(name)))
        for name, found in self.has.items():
            assert set(runs_of(self.clone(name))) == everything, (name, found)
        if everything:
            assert {tree_of(self.clone(name)) for name in self.has} == {self.team.tree()}
        assert git(self.team.hub, "for-each-ref", "refs/gitrepro/inbox") == ""


TestSyncing = Syncing.TestCase
TestSyncing.settings = settings(
    max_examples=6,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
