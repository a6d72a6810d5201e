"""Data sets, splits and what was fitted on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..store.repository import Repository
    from .handle import Dataset
    from .lookup import Tell


def open_dataset(repository: Repository, ref: str, *, check: str = "stat", progress: Tell | None = None) -> Dataset:
    """The version that `ref` means: `digits` (the newest), `digits@v1`, `digits@b3:12ab`.

    Args:
        check: how the bytes are compared with the record when they are asked for: `stat`, `sample` or `full`.

    Raises:
        UsageError: `ref` has no form that a reference has, or there is no such check.
        NotFound: there is none, with the nearest names.
        Ambiguous: several versions answer to it.
    """
    from ..store.catalog import Catalog
    from .handle import Dataset

    with Catalog(repository) as catalog:
        record = catalog.dataset(ref)
    return Dataset(repository, record, check=check, progress=progress)
