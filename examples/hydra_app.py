"""A Hydra app. Its composed config is on record without a line for it.

gitrepro record -- python examples/hydra_app.py optim.lr=0.02

For a multirun each job is a run of its own with a callback, given on the command line or in the config:

python examples/hydra_app.py -m optim.lr=0.02,0.1 \
    +hydra.callbacks.gitrepro._target_=gitrepro.integrations.hydra.GitreproCallback
"""

from dataclasses import dataclass, field

import hydra
import torch
from hydra.core.config_store import ConfigStore
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from gitrepro.integrations import hydra as recording


@dataclass
class Optim:
    lr: float = 0.05
    momentum: float = 0.9


@dataclass
class Config:
    epochs: int = 3
    hidden: int = 16
    optim: Optim = field(default_factory=Optim)


ConfigStore.instance().store(name="config", node=Config)


def digits():
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.3, random_state=0, stratify=labels)
    train_x, val_x, train_y, val_y = (torch.as_tensor(part) for part in parts)
    return (train_x.float(), train_y), (val_x.float(), val_y)


def train(cfg, log):
    (train_x, train_y), (val_x, val_y) = digits()
    model = nn.Sequential(nn.Linear(64, cfg.hidden), nn.ReLU(), nn.Linear(cfg.hidden, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=cfg.optim.lr, momentum=cfg.optim.momentum)
    for epoch in range(cfg.epochs):
        for rows in torch.randperm(len(train_x)).split(64):
            loss = nn.functional.cross_entropy(model(train_x[rows]), train_y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            log({"val/accuracy": (model(val_x).argmax(dim=1) == val_y).double().mean().item()}, step=epoch)


@hydra.main(version_base=None, config_name="config")
def main(cfg):
    recorded = recording.running()  # None without the callback
    train(cfg, recorded.log if recorded else lambda values, step: print(step, values))


if __name__ == "__main__":
    main()
