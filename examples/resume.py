"""A training that may be killed at any moment and goes on exactly where it was.

python examples/resume.py --epochs 6

It saves all that it needs to go on: weights, optimizer, schedule, and every generator it draws from. Kill it, run the
same command again, and the weights at the end are, bit by bit, those of a training that nobody has interrupted.
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import gitrepro


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def parts():
    """Images and labels of digits in two parts, the same ones for every run: training and validation."""
    images, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    images, labels = torch.as_tensor(images / 16).float()[order], torch.as_tensor(labels)[order]
    return TensorDataset(images[:1437], labels[:1437]), (images[1437:], labels[1437:])


def augmented(images):
    """Brightness and noise, drawn from torch's global generator."""
    return images * (0.8 + 0.4 * torch.rand(len(images), 1)) + 0.05 * torch.randn_like(images)


def train_step(model, optimizer, images, labels):
    model.train()
    loss = nn.functional.cross_entropy(model(augmented(images)), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.no_grad()
def validate(model, images, labels):
    model.eval()
    scores = model(images)
    accuracy = (scores.argmax(dim=1) == labels).double().mean().item()
    return {"val/loss": nn.functional.cross_entropy(scores, labels).item(), "val/accuracy": accuracy}


def earlier(run):
    """The last checkpoint of the run that this one goes on with, if there is one."""
    try:
        return gitrepro.load_checkpoint(f"{run.resumes}:last") if run.resumes else None
    except gitrepro.errors.NotFound:  # it was killed before its first
        return None


def main():
    args = arguments()
    torch.set_num_threads(1)
    train, val = parts()
    with gitrepro.record(config=vars(args), seed=args.seed, resume="auto") as run:
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs)
        order = torch.Generator().manual_seed(args.seed)
        loader = DataLoader(train, batch_size=64, shuffle=True, generator=order)

        begin = 0
        if found := earlier(run):
            found.restore(model=model, optimizer=optimizer, scheduler=scheduler, extra={"order": order})
            begin = found.extra["epochs_done"]

        for epoch in range(begin, args.epochs):
            for batch, (images, labels) in enumerate(loader):
                loss = train_step(model, optimizer, images, labels)
                run.log({"train/loss": loss}, step=epoch * len(loader) + batch)
            scheduler.step()
            run.log(validate(model, *val), step=(epoch + 1) * len(loader) - 1)
            run.checkpoint(
                model=model,
                optimizer=optimizer,
                scheduler=scheduler,
                extra={"order": order, "epochs_done": epoch + 1},
                metric=("val/loss", "min"),
            )
        run.summary["begun_at_epoch"] = begin
    best = gitrepro.load_checkpoint(f"{run.id}:best")
    print(f"{run.name}: best val/loss {best.metrics['val/loss']:.4f} at step {best.step}")


if __name__ == "__main__":
    main()
