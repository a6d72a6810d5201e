"""Writes `v1/evaluation/`: the predictions of one evaluation with every kind of column, and its entry in a record.

Run it when a format grows; files that are there are never written again, as a later release has to read them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gitrepro.analysis.metrics import measure, named, registered
from gitrepro.records import yaml
from gitrepro.records.evaluation import Evaluation, Measured, bytes_digest, examples_digest, text_digest
from gitrepro.records.predictions import Predicted, dump

FOLDER = Path(__file__).parent / "v1" / "evaluation"
METRICS = (
    *map(named, ("accuracy", "balanced_accuracy", "f1", "precision", "recall", "auc", "log_loss", "top_2")),
    registered("f1", positive="ox"),
    registered("calibration_error", bins=4),
)


def predicted() -> Predicted:
    """Twelve animals, of four herds: the truth, the scores, and what was decided for."""
    draw = np.random.RandomState(0)
    classes = ("cat", "ox", "äsp")
    truth = np.array(classes)[np.arange(12) % 3]
    scores = draw.dirichlet(np.ones(3), 12).astype(np.float32)
    labels = np.array(classes)[scores.argmax(axis=1)]
    labels[0] = "ox"
    ids = np.array([f"animal/{k:02d}" for k in range(12)])
    groups = np.array([f"herd {k // 3}" for k in range(12)])
    return Predicted(ids=ids, values=scores, truth=truth, labels=labels, groups=groups, classes=classes)


def main() -> None:
    found = predicted()
    data = dump(found)
    metrics = {
        each.name: Measured(
            value=measure(each, found), goal=each.goal, function=each.function, digest=each.digest,
            settings=each.settings,
        )
        for each in METRICS
    }  # fmt: skip
    split = {"dataset": "animals", "digest": text_digest("a split"), "name": "default", "version": "v1"}
    entry = Evaluation(
        name="val", part="val", split=split, examples=12, distinct=12, expected=12, step=40,
        examples_digest=examples_digest(found.ids, found.truth), predictions=bytes_digest(data),
        size_bytes=len(data), classes=found.classes, metrics=metrics,
    )  # fmt: skip
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, content in (
        ("predictions.val.parquet", data),
        ("record.yaml", yaml.dump({"evaluations": [entry.document()]})),
    ):
        if not (FOLDER / name).exists():
            (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    main()
