"""What the tests of syncing runs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from .team import Team


@pytest.fixture(scope="session")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A team that nobody works in."""
    return Team.begin(tmp_path_factory.mktemp("team"))


@pytest.fixture
def team(beginning: Team, tmp_path: Path) -> Team:
    return beginning.copied(tmp_path)
