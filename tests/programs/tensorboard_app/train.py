"""A training as one finds it, which knows nothing of gitrepro: two writers, hyperparameters, a histogram."""

import argparse
import random
import time

from tensorboardX import SummaryWriter

parser = argparse.ArgumentParser()
parser.add_argument("logdir")
parser.add_argument("steps", type=int, nargs="?", default=4)
parser.add_argument("pause_seconds", type=float, nargs="?", default=0.0)
parser.add_argument("--noise", type=float, default=0.0)
args = parser.parse_args()

train, val = SummaryWriter(f"{args.logdir}/train"), SummaryWriter(f"{args.logdir}/val")
for step in range(args.steps):
    train.add_scalar("loss", 1 / (step + 1) + args.noise * random.random(), step)
    train.add_scalar("lr", 0.1, step)
    val.add_scalar("loss", 2 / (step + 1), step)
    train.flush()
    val.flush()
    print(f"step {step}", flush=True)
    time.sleep(args.pause_seconds)
train.add_histogram("weights", [0.1, 0.2, 0.3], 0)
train.close()
val.close()
