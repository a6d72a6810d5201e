"""The examples on batch size and precision, each run as its first lines say."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def run(repo: Path, name: str, *args: str) -> str:
    shutil.copy(EXAMPLES / name, repo / name)
    done = subprocess.run([sys.executable, name, *args], cwd=repo, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_on_batch_size_finds_one_and_accumulates_it_fourfold(repo, cli):
    said = run(repo, "batch_size.py", "--at-most", "32", "--epochs", "1")
    batch = json.loads(cli("show", "--json", cwd=repo).stdout)["batch"]

    assert "never fails: 32" in said and "PASS: off by" in said
    assert (batch["effective_batch"], batch["observed"]["micro_batches"]) == (128, 57)


def test_the_example_on_precision_says_what_it_computed_in(repo, cli):
    said = run(repo, "precision.py", "--precision", "bf16", "--epochs", "2")
    shown = cli("show", cwd=repo).stdout

    assert "products in {'torch.bfloat16': 5}" in said
    assert "bf16 on cpu" in shown and "bfloat16 5" in shown
