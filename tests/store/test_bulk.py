"""Objects in bulk: of the repository that was named, and of no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitrepro.errors import ChildFailed
from gitrepro.store import bulk
from tests.recorded_runs import opened, record_run


def test_a_repository_that_cannot_be_read_is_not_looked_for_further_up(repo: Path, git, tmp_path: Path) -> None:
    record_run(repo)
    tip = git(repo, "rev-parse", "refs/gitrepro/runs")
    outer = tmp_path / "outer"
    git(tmp_path, "clone", "--quiet", str(repo), str(outer))
    git(outer, "fetch", "--quiet", "origin", "refs/gitrepro/runs:refs/gitrepro/runs")
    inner = outer / "inner"
    git(outer, "clone", "--quiet", str(repo), str(inner))
    common_dir = opened(inner).common_dir
    git(inner, "fetch", "--quiet", "origin", "refs/gitrepro/runs:refs/gitrepro/runs")
    assert list(bulk.list_files(common_dir, tip))

    (common_dir / "HEAD").unlink()

    with pytest.raises(ChildFailed):
        list(bulk.list_files(common_dir, tip))
