"""Several processes, one run: models that begin alike, dropout that differs, and data shared out without repeats.

python -m torch.distributed.run --standalone --nproc-per-node 2 examples/ddp.py

Each process is a rank of one run in `gitrepro ls`. Started without a launcher, the same file trains in one process.
"""

import argparse
import os

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import TensorDataset

import gitrepro


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def train_set():
    images, labels = load_digits(return_X_y=True)
    return TensorDataset(torch.as_tensor(images / 16).float(), torch.as_tensor(labels))


def main():
    args = arguments()
    torch.set_num_threads(1)
    launched = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if launched:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")

    # Every rank is given the same seed, so that their models are the same before the first step.
    with gitrepro.record(config=vars(args), seed=args.seed) as run:
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10))
        # From here on each rank draws numbers of its own: else all of them would drop the same units.
        run.seed_ranks_apart()
        parallel = DistributedDataParallel(model) if launched else model
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        # Each rank gets its own share of every epoch, in an order that all of them derive from the seed.
        loader = run.loader(train_set(), batch_size=32, shuffle=True)

        for epoch in range(args.epochs):
            for images, labels in loader:
                loss = nn.functional.cross_entropy(parallel(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log({"train/loss": loss.item()}, step=epoch * len(loader) + loader.batches_done - 1)
        rank = dist.get_rank() if launched else 0
        print(
            f"rank {rank}: {len(loader)} batches an epoch, last loss {loss.item():.4f}, run {run.id[-8:]}", flush=True
        )
        if launched:
            dist.barrier()
    if launched:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
