"""Optuna: a run for each trial, fair pruning, and a number for the winner that the search has not chosen.

python examples/optuna_pruning.py

No trial is given up before a tenth of its budget or the end of its warm-up. Those that are end as `pruned`: they are
counted, and no comparison takes them in. The best of many trials is best by luck as well, so the winner is trained
again, with seeds that the search has not seen.
"""

import argparse
from collections import Counter

import optuna
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import gitrepro
from gitrepro.integrations.optuna import FairPruner, recorded

EPOCHS = 20


def digits():
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, test_size=0.3, random_state=0, stratify=labels)
    train_x, val_x, train_y, val_y = (torch.as_tensor(part) for part in parts)
    return (train_x.float(), train_y), (val_x.float(), val_y)


def train(lr, hidden, report):
    """Train for the whole budget; `report` is given the validation accuracy of each epoch, and may end it."""
    (train_x, train_y), (val_x, val_y) = digits()
    model = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for epoch in range(EPOCHS):
        for rows in torch.randperm(len(train_x)).split(64):
            loss = nn.functional.cross_entropy(model(train_x[rows]), train_y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (model(val_x).argmax(dim=1) == val_y).double().mean().item()
        report(accuracy, epoch)
    return accuracy


def objective(trial, _run):
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    hidden = trial.suggest_int("hidden", 4, 64, log=True)

    def report(accuracy, epoch):
        trial.report(accuracy, epoch)  # on record, and heard by the pruner
        if trial.should_prune():
            raise optuna.TrialPruned

    return train(lr, hidden, report)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="digits-search",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=FairPruner(optuna.pruners.MedianPruner(n_startup_trials=4), budget_steps=EPOCHS, lr_warmup_steps=3),
    )
    # One seed for all trials: they differ in what is searched, and in nothing else.
    study.optimize(recorded(objective, metric="val/accuracy", seed=0), n_trials=args.trials)
    ended = Counter(run.status for run in gitrepro.runs("group == 'digits-search'"))
    print(f"{sum(ended.values())} trials: " + ", ".join(f"{count} {status}" for status, count in sorted(ended.items())))

    for seed in range(1, args.seeds + 1):
        with gitrepro.record(config=study.best_params, seed=seed, group="digits-winner") as run:
            found = train(**study.best_params, report=lambda value, epoch: run.log({"val/accuracy": value}, step=epoch))
        print(f"seed {seed}: {found:.3f} (the search said {study.best_value:.3f})")


if __name__ == "__main__":
    main()
