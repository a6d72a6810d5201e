"""Give up when all is lost: a loss that explodes, or is no number any more.

python examples/divergence.py --lr 5      # far too large: the run is aborted after some steps
python examples/divergence.py --lr 0.1    # healthy

An aborted run is on record with its status, the rule and the numbers it judged by, the ids of the last batches, and a
checkpoint named `crash` beside the best one. Nothing is asked of a device between two readings, 50 steps apart.
"""

import argparse

import torch
from sklearn.datasets import load_diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gitrepro
from gitrepro import Divergence, NonFinite


def diabetes():
    """442 patients: ten measurements, and how their illness went on, with mean 0 and deviation 1."""
    inputs, targets = load_diabetes(return_X_y=True)
    inputs, targets = torch.as_tensor(inputs).float() * 20, torch.as_tensor(targets).float()
    return TensorDataset(inputs, (targets - targets.mean()) / targets.std())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--lr", type=float, default=5.0)
    args = parser.parse_args()
    with gitrepro.record(config=vars(args), seed=0) as run:
        model = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=run.config["lr"])
        run.watch(model, optimizer)  # so that the guard knows what to save when it breaks
        guard = run.guard(NonFinite(), Divergence())
        loader = DataLoader(diabetes(), batch_size=16, shuffle=True)  # its ids are seen unasked
        for _ in range(run.config["epochs"]):
            for inputs, targets in loader:
                loss = nn.functional.mse_loss(model(inputs).squeeze(1), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.log({"train/loss": loss})
                if guard.should_stop():
                    break
            if guard.should_stop():
                break
    print(f"{run.name}: {run.status}{f', {guard.reason.said}' if guard.reason else ''}")


if __name__ == "__main__":
    main()
