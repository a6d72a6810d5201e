"""Order and augmentation that hang on the seed alone: any number of workers, killed and resumed, the same weights.

python examples/workers_and_resume.py --workers 2

Kill it at any moment, also in the middle of an epoch, and run the same command again: it goes on with the next batch,
and the weights at the end are, bit by bit, those of a training that nobody has interrupted.
"""

import argparse
import hashlib
import random

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import Dataset

import gitrepro


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


class Digits(Dataset):
    """Images of digits, each one shifted and made noisy anew in every epoch."""

    def __init__(self):
        images, labels = load_digits(return_X_y=True)
        self.images, self.labels = torch.as_tensor(images / 16).float().view(-1, 8, 8), labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        # The loader seeds the global generators for each sample, so this code need not know of any seed...
        shifted = self.images[index].roll(shifts=random.randint(-1, 1), dims=1)
        # ...and code that takes a generator asks for that of the sample.
        noise = gitrepro.sample_generator().normal(0, 0.05, (8, 8))
        return (shifted + torch.as_tensor(noise).float()).flatten(), int(self.labels[index])


def go_on(run, **parts):
    """Put back what the run that this one goes on with has saved last."""
    try:
        gitrepro.load_checkpoint(f"{run.resumes}:last").restore(**parts)
    except gitrepro.errors.NotFound:  # it was killed before its first checkpoint
        pass


def fingerprint(model):
    weights = b"".join(each.detach().numpy().tobytes() for each in model.parameters())
    return hashlib.sha256(weights).hexdigest()[:16]


def main():
    args = arguments()
    torch.set_num_threads(1)
    # Workers are no part of the result, so they are no part of the config: with another number of them it resumes too.
    config = {"epochs": args.epochs, "seed": args.seed}
    with gitrepro.record(config=config, seed=args.seed, resume="auto", determinism="on") as run:
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        train = run.loader(Digits(), batch_size=64, shuffle=True, num_workers=args.workers)
        if run.resumes:
            go_on(run, model=model, optimizer=optimizer, loader=train)

        for epoch in range(train.epoch, args.epochs):
            for images, labels in train:
                loss = nn.functional.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                step = epoch * len(train) + train.batches_done
                run.log({"train/loss": loss.item()}, step=step)
                if step % 10 == 0:
                    run.checkpoint(model=model, optimizer=optimizer, loader=train)
        run.summary["weights"] = fingerprint(model)
    print(f"{run.name}: weights {fingerprint(model)}")


if __name__ == "__main__":
    main()
