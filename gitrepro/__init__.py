"""gitrepro: a Git-native, file-based experiment tracker with a content-addressed store.

    import gitrepro

    with gitrepro.record(config={"lr": 1e-3}, seed=0) as run:
        run.log({"train/loss": 0.5})

Importing this loads nothing heavy: each name below is fetched when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import errors

if TYPE_CHECKING:
    from .run.batching import accumulate
    from .run.data import dataset
    from .run.finding import find_batch_size
    from .run.found import runs
    from .run.guarding import Budget, Divergence, EarlyStopping, NoLearning, NonFinite
    from .run.handle import Run
    from .run.loading import load_checkpoint
    from .run.recorder import record
    from .run.sampling import sample_generator
    from .run.scoring import metric

__version__ = "0.1.0"
__all__ = [
    "Budget",
    "Divergence",
    "EarlyStopping",
    "NoLearning",
    "NonFinite",
    "Run",
    "__version__",
    "accumulate",
    "dataset",
    "errors",
    "find_batch_size",
    "load_checkpoint",
    "metric",
    "record",
    "runs",
    "sample_generator",
]

_HOMES = {
    "Budget": "guarding",
    "Divergence": "guarding",
    "EarlyStopping": "guarding",
    "NoLearning": "guarding",
    "NonFinite": "guarding",
    "Run": "handle",
    "accumulate": "batching",
    "dataset": "data",
    "find_batch_size": "finding",
    "load_checkpoint": "loading",
    "metric": "scoring",
    "record": "recorder",
    "runs": "found",
    "sample_generator": "sampling",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(f".run.{_HOMES[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
