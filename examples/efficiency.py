"""What a training costs, and whether it waits for its data.

python examples/efficiency.py                  # a small net
python examples/efficiency.py --hidden 256     # a larger one, better and dearer
gitrepro show                                  # its times, throughput, memory, operations, energy where readable
gitrepro ls --pareto val/accuracy:step_seconds # the runs that no other beats for less

Step times, waiting and samples a second are measured in every recorded run, edited or not. What is asked for here is
more: the operations of one step, and an experiment that finds out whether the loader limits the training.
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import gitrepro


def digits():
    """1,797 real images of 8 x 8 pixels; a fifth is held back for validation."""
    images, labels = load_digits(return_X_y=True)
    whole = TensorDataset(torch.as_tensor(images / 16).float(), torch.as_tensor(labels))
    return random_split(whole, [1437, 360], generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def accuracy(model, part):
    model.eval()
    images, labels = next(iter(DataLoader(part, batch_size=len(part))))
    model.train()
    return (model(images).argmax(dim=1) == labels).double().mean().item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=4)
    args = parser.parse_args()

    with gitrepro.record(config=args, seed=0, group="efficiency") as run:
        run.define_metric("val/accuracy", goal="max")
        train, val = digits()
        model = nn.Sequential(nn.Linear(64, args.hidden), nn.ReLU(), nn.Linear(args.hidden, 10))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        loader = DataLoader(train, batch_size=64, shuffle=True)

        def step(batch):
            images, labels = batch
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()

        meter = run.meter(flops=True)
        # 20 steps with the loader, 20 with one batch of it. Weights and generators are put back afterwards.
        found = meter.input_bound(step, loader, keep=(model, optimizer))
        print(f"with a batch at hand: {found['speedup']:.2f} times as fast; input-bound: {found['input_bound']}")

        for epoch in range(args.epochs):
            for batch in loader:
                step(batch)
            run.log({"val/accuracy": accuracy(model, val)}, step=epoch)


if __name__ == "__main__":
    main()
