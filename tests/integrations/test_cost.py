"""What a program pays for bridges that it does not use."""

from __future__ import annotations

import subprocess
import sys


def test_the_room_and_the_stand_in_for_wandb_load_no_framework() -> None:
    heavy = ("torch", "lightning", "transformers", "accelerate", "optuna", "hydra", "numpy", "pyarrow", "PIL")
    script = (
        "import sys, gitrepro.integrations, gitrepro.integrations.wandb\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
