"""Which batch fits, how to have a larger one without the memory, and how to see that it is the same.

python examples/batch_size.py

The command line finds the batch too: gitrepro check batch examples.batch_size:make_step --at-most 256
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn

import gitrepro
from gitrepro.training.equivalence import accumulation_error

images, labels = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
images = images.float() / 16


def network():
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def make_step(batch_size):
    """Everything a training has in memory, at one batch size, and one full step of it."""
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    rows = torch.randint(len(images), (batch_size,))

    def step():
        nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
        optimizer.step()  # the state of the optimizer is in memory from here on
        optimizer.zero_grad()

    return step


def loss(model, rows):
    return nn.functional.cross_entropy(model(images[rows]), labels[rows])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--at-most", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    args = parser.parse_args()

    # Each size in a process of its own, so that the one that does not fit harms nobody.
    found = gitrepro.find_batch_size(make_step, at_least=32, at_most=args.at_most)
    for trial in found.trials:
        print(f"{trial.size:5}  {trial.verdict}  {trial.peak_bytes >> 20} MiB  {trial.step_seconds * 1000:.2f} ms")
    print(f"{found.ended}: {found.batch_size}")

    # Four of these make one step. The last window of an epoch is shorter, and its mean is right all the same.
    torch.manual_seed(0)
    model = network()
    parts = torch.arange(100).split(32)  # 32, 32, 32 and 4
    error = accumulation_error(model, torch.arange(100), parts, loss, len)
    print(
        f"{error.verdict}: off by {error.relative_error:.1e}; a mean of means would be off by {error.naive_error:.1e}"
    )

    with gitrepro.record(config=vars(args), seed=0) as run:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        step = run.accumulate(model, optimizer, steps=4, micro_batch=found.batch_size)
        for _ in range(args.epochs):
            for rows in step.over(torch.randperm(len(images)).split(found.batch_size)):
                value = loss(model, rows)
                if step.backward(value, weight=len(rows)):
                    run.log({"train/loss": value.item()})
    print(f"{step.windows} steps from {step.micro_batches} micro-batches, {step.ragged} with fewer than four")


if __name__ == "__main__":  # the processes that try a size import this file
    main()
