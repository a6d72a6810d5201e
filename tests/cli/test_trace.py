"""`diff --trace`: eight ways in which a training comes to differ, each planted in a real one and called by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.recorded_runs import record_run
from tests.traced import STRAYS, train


@pytest.fixture
def parts(repo: Path, warm_cli):
    """`parts(one, other)`: where two runs part, as JSON, or None."""

    def ask(one: str, other: str):
        done = warm_cli("diff", one, other, "--trace", "--json", cwd=repo)
        found = json.loads(done.stdout)["trace"]["parts"]
        assert done.returncode == (1 if found else 0), done.stderr
        return found

    return ask


PLANTED = [
    ("extra-draw", {"stray": STRAYS["torch"]}, 5, {"rng_torch"}),
    ("extra-draw", {"stray": STRAYS["python"]}, 5, {"rng_python"}),
    ("order", {"order": 8}, 0, {"ids", "batch"}),
    ("preprocessing", {"scale": 0.5}, 0, {"batch"}),
    ("weights", {"nudge": True}, 0, {"weights"}),
    ("seed", {"seed": 1}, 0, {"weights", "rng_torch"}),
    ("dropout", {"dropout": 0.0}, 0, {"drawn_torch", "loss"}),
    ("optimizer", {"kind": torch.optim.AdamW}, 0, {"optimizer"}),
    ("optimizer", {"lr": 0.2}, 0, {"optimizer"}),
]


@pytest.mark.parametrize(
    ("cause", "planted", "step", "fields"), PLANTED, ids=[f"{each[0]} {number}" for number, each in enumerate(PLANTED)]
)
def test_a_planted_difference_is_found_at_its_step_and_named(repo, parts, cause, planted, step, fields):
    found = parts(train(repo), train(repo, **planted))

    assert (found["cause"], found["step"], found["exact"]) == (cause, step, True)
    assert fields <= set(found["fields"])
    assert not {"ids", "batch"} & set(found["fields"]) or cause in ("order", "preprocessing")


def test_another_number_of_threads_is_named_where_it_changes_a_number(repo, parts):
    one, other = (train(repo, rebuild=True, steps=6, dropout=0.0, thread_count=count) for count in (1, 2))
    found = parts(one, other)

    assert found["cause"] == "threads"
    assert "threads: 1 and 2" in found["hints"]


@pytest.mark.parametrize("same", [{}, {"workers": 1}])
def test_equal_trainings_have_equal_traces(repo, parts, same):
    assert parts(train(repo), train(repo, **same)) is None


def test_a_person_is_told_the_step_the_fields_and_the_cause(repo, warm_cli):
    one, other = train(repo), train(repo, order=8)

    told = warm_cli("diff", one, other, "--trace", cwd=repo)

    assert told.returncode == 1
    assert told.stdout.startswith("the traces part at step 0, the first one\n")
    assert "order: other samples, or another order of them" in told.stdout
    equal = warm_cli("diff", one, one, "--trace", cwd=repo)
    assert (equal.returncode, equal.stdout) == (0, "the traces are equal: 12 rows\n")


def test_a_run_without_a_trace_is_not_found(repo, warm_cli):
    plain = record_run(repo, metrics={}, summary={})

    done = warm_cli("diff", plain, plain, "--trace", cwd=repo)

    assert done.returncode == 3
    assert "has no trace" in done.stderr and "gitrepro record --trace" in done.stderr


def test_a_damaged_trace_is_reported_and_never_shown(repo, warm_cli):
    from gitrepro.records.trace import trace_of

    whole = trace_of([(step, *[step] * 13) for step in range(30)]).dump()
    at = len(whole) // 2
    flipped = whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
    one = record_run(repo, metrics={}, summary={}, files={"trace.parquet": whole})
    other = record_run(repo, metrics={}, summary={}, files={"trace.parquet": flipped})

    done = warm_cli("diff", one, other, "--trace", cwd=repo)

    assert (done.returncode, done.stdout) == (4, "")
    assert "cannot be read" in done.stderr
