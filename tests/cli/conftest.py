"""What the tests of commands share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..warm import WarmCli


@pytest.fixture(scope="session")
def warm_cli() -> Iterator[WarmCli]:
    """As `cli`, in processes that need not import first: for those who call it dozens of times."""
    made = WarmCli()
    yield made
    made.close()
