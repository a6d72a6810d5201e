"""A script that was written for wandb. One line of it is changed: the import.

python examples/wandb_script.py

Nothing leaves this machine, and nobody logs in. The project is the group of the run, tags are its labels.
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import gitrepro.integrations.wandb as wandb


def digits():
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.2, random_state=0, stratify=labels)
    train_x, val_x, train_y, val_y = (torch.as_tensor(part) for part in parts)
    return (train_x.float(), train_y), (val_x.float(), val_y)


def main():
    wandb.init(project="digits", tags=["mlp"], config={"lr": 1e-2, "epochs": 5, "batch_size": 64, "hidden": 32})
    wandb.define_metric("val/accuracy", summary="max")
    config = wandb.config
    torch.manual_seed(0)
    (train_x, train_y), (val_x, val_y) = digits()
    model = nn.Sequential(nn.Linear(64, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)
    wandb.watch(model)

    for epoch in range(config.epochs):
        for rows in torch.randperm(len(train_x)).split(config.batch_size):
            loss = nn.functional.cross_entropy(model(train_x[rows]), train_y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            wandb.log({"train/loss": loss.item(), "epoch": epoch})
        with torch.no_grad():
            guesses = model(val_x).argmax(dim=1)
        wandb.log({"val/accuracy": (guesses == val_y).double().mean().item()})

    wrong = [[int(place), int(guesses[place]), int(val_y[place])] for place in (guesses != val_y).nonzero()[:, 0]]
    wandb.log({"wrong": wandb.Table(columns=["image", "guess", "label"], data=wrong)})
    wandb.summary["parameters"] = sum(each.numel() for each in model.parameters())
    torch.save(model.state_dict(), f"{wandb.run.dir}/model.pt")  # what lies there is kept with the run
    wandb.finish()


if __name__ == "__main__":
    main()
