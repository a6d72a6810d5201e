"""Two trainings that ought to be equal and are not: find the first step in which they differ, and why.

python examples/first_difference.py                # as it should be
python examples/first_difference.py --debug-print  # someone looked at a random number in step 30
gitrepro diff @{-2} @last --trace                  # part at step 30: extra-draw, torch's generator

The loss curves of the two look alike to the eye. The trace compares digests of what goes into each step and comes out
of it: ids, batch, generators, weights, optimizer, loss, gradients. A script that knows nothing of gitrepro is traced by
`gitrepro record --trace -- python train.py`.
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gitrepro


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--debug-print", action="store_true")
    args = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.as_tensor(images / 16).float(), torch.as_tensor(labels))

    with gitrepro.record(seed=0, group="first-difference") as run:
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        run.trace(model, optimizer)
        # An order of its own: a stray draw elsewhere must not shuffle the data anew.
        loader = DataLoader(data, batch_size=64, shuffle=True, generator=torch.Generator().manual_seed(0))
        step = 0
        for _ in range(3):
            for batch, targets in loader:
                if args.debug_print and step == 30:
                    print("a sample of the noise:", torch.rand(1).item())
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(batch), targets)
                loss.backward()
                optimizer.step()
                run.log({"train/loss": loss.item()}, step=step)
                step += 1


if __name__ == "__main__":
    main()
