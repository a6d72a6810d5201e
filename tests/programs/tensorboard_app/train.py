"""A training as one finds it, which knows nothing of gitrepro: two writers, hyperparameters, a histogram.

train.py LOGDIR [STEPS [SECONDS]]
"""

import sys
import time

from tensorboardX import SummaryWriter

logdir = sys.argv[1]
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 4
pause_seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0

train, val = SummaryWriter(f"{logdir}/train"), SummaryWriter(f"{logdir}/val")
for step in range(steps):
    train.add_scalar("loss", 1 / (step + 1), step)
    train.add_scalar("lr", 0.1, step)
    val.add_scalar("loss", 2 / (step + 1), step)
    train.flush()
    val.flush()
    print(f"step {step}", flush=True)
    time.sleep(pause_seconds)
train.add_histogram("weights", [0.1, 0.2, 0.3], 0)
train.close()
val.close()
