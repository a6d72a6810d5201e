"""`ls --pareto`: the runs that no other beats for less, and nothing claimed of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitrepro.analysis.pareto import Point, front
from tests.recorded_runs import record_run

METRIC = "val/accuracy"
Numbers = st.floats(allow_nan=True, allow_infinity=True)


def beats(one: Point, other: Point, sign: float) -> bool:
    better = sign * one.quality >= sign * other.quality and one.cost <= other.cost
    return better and (one.quality, one.cost) != (other.quality, other.cost)


@given(st.lists(st.tuples(Numbers, Numbers), max_size=12), st.sampled_from(["max", "min"]))
def test_the_front_is_exactly_what_nobody_beats(numbers, goal):
    points = [Point(quality=quality, cost=cost) for quality, cost in numbers]
    finite = [point for point in points if abs(point.quality) < float("inf") and abs(point.cost) < float("inf")]
    sign = 1.0 if goal == "max" else -1.0

    best = front(points, goal=goal)

    assert [points[place].cost for place in best] == sorted(points[place].cost for place in best)
    for place, point in enumerate(points):
        wanted = point in finite and not any(beats(other, point, sign) for other in finite)
        assert (place in best) == wanted


@pytest.fixture
def runs(repo: Path) -> dict[str, str]:
    made = {}
    for name, accuracy, gpu_hours in (
        ("cheap", 0.8, 1.0),
        ("dear", 0.9, 4.0),
        ("beaten", 0.85, 5.0),
        ("unknown", 0.99, None),
    ):
        known = {} if gpu_hours is None else {"efficiency": {"gpu_hours": gpu_hours}}
        made[name] = record_run(
            repo, name=name, metrics={METRIC: {"goal": "max", "last": accuracy}}, summary={METRIC: accuracy}, **known
        )
    return made


def test_runs_on_the_front_are_listed_the_cheapest_first(repo, warm_cli, runs):
    done = warm_cli("ls", "--pareto", f"{METRIC}:gpu_hours", cwd=repo)

    assert done.returncode == 0, done.stderr
    assert [line.split("\t")[1:] for line in done.stdout.splitlines()] == [
        ["name", METRIC, "gpu_hours"],
        ["cheap", "0.8", "1"],
        ["dear", "0.9", "4"],
    ]
    assert "2 of 3 runs" in done.stderr
    assert "1 run is left out" in done.stderr


def test_as_json_every_run_with_a_cost_is_there_to_be_drawn(repo, warm_cli, runs):
    found = json.loads(warm_cli("ls", "--pareto", f"{METRIC}:gpu_hours", "--json", cwd=repo).stdout)

    assert (found["metric"], found["goal"], found["cost"]) == (METRIC, "max", "gpu_hours")
    assert {point["name"]: point["front"] for point in found["points"]} == {
        "cheap": True,
        "dear": True,
        "beaten": False,
    }


def test_the_policy_says_which_way_is_better_and_any_metric_may_be_the_cost(repo, warm_cli):
    for name, loss, size in (("small", 0.5, 1.0), ("large", 0.25, 9.0), ("waste", 0.75, 3.0)):
        record_run(repo, name=name, metrics={"loss": {}, "size": {}}, summary={"loss": loss, "size": size})
    asked = ("ls", "--pareto", "loss:size", "--json")

    unsaid = warm_cli(*asked, cwd=repo)
    (repo / ".gitrepro.yaml").write_text("version: 1\nmetrics: {loss: {goal: min}}\n")
    said = json.loads(warm_cli(*asked, cwd=repo).stdout)

    assert unsaid.returncode == 2
    assert "neither a run nor the policy says so" in unsaid.stderr
    assert {point["name"] for point in said["points"] if point["front"]} == {"small", "large"}


def test_a_query_narrows_the_runs_and_a_bad_wish_is_refused(repo, warm_cli, runs):
    narrowed = warm_cli("ls", "name != cheap", "--pareto", f"{METRIC}:gpu_hours", cwd=repo)

    assert [line.split("\t")[1] for line in narrowed.stdout.splitlines()] == ["name", "dear"]
    assert warm_cli("ls", "--pareto", METRIC, cwd=repo).returncode == 2
    assert warm_cli("ls", "--pareto", f"{METRIC}:nothing-like-it", cwd=repo).returncode == 2
