"""Train in another precision by one word, and see what was really computed in.

python examples/precision.py --precision bf16

One program, two precisions, three seeds, side by side: gitrepro check precision -- python examples/precision.py
"""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn

import gitrepro

images, labels = (torch.as_tensor(part) for part in load_digits(return_X_y=True))
images = images.float() / 16
train, val = torch.arange(len(images)) % 5 != 0, torch.arange(len(images)) % 5 == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()

    with gitrepro.record(config=vars(args)) as run:
        run.define_metric("val/accuracy", goal="max")
        amp = run.precision(args.precision)  # GITREPRO_PRECISION stands over it: that is how `check precision` asks
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).to(amp.device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        x, y = images[train].to(amp.device), labels[train].to(amp.device)
        for epoch in range(args.epochs):
            for rows in torch.randperm(len(x), device=amp.device).split(64):
                with amp:  # autocast, for bf16 and fp16
                    loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
                amp.backward(loss)  # scaled, for fp16
                amp.step(optimizer, clip_norm=1.0)  # unscaled first; skipped where gradients are infinite
            with torch.no_grad():
                right = model(images[val].to(amp.device)).argmax(dim=1) == labels[val].to(amp.device)
            run.log({"train/loss": loss.item(), "val/accuracy": right.double().mean().item()}, step=epoch)

    seen = amp.document()["effective"]
    print(f"asked {amp.name}, products in {seen.get('products')}, weights in {seen.get('parameters')}")


if __name__ == "__main__":
    main()
