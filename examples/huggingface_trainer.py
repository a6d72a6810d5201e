"""Hugging Face: the `Trainer` of transformers, with a model built from a config, so that nothing is downloaded.

python examples/huggingface_trainer.py

A tiny BERT reads a digit as 64 words, one a pixel. The trainer's arguments and the model's config are the config of the
run. The trainer leaves NaN out of the losses that it logs; `show_nan=True` lets the record, and the rules, see them.
"""

import argparse
import tempfile

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import gitrepro
from gitrepro import Divergence, EarlyStopping
from gitrepro.integrations.huggingface import GitreproCallback


def digits():
    """Each image as a list of 64 grey levels from 0 to 16: words of a small language."""
    images, labels = load_digits(return_X_y=True)
    rows = [{"input_ids": torch.as_tensor(x).long(), "labels": int(y)} for x, y in zip(images, labels, strict=True)]
    return train_test_split(rows, test_size=0.2, random_state=0, stratify=labels)


def accuracy(seen):
    return {"accuracy": float((seen.predictions.argmax(axis=1) == seen.label_ids).mean())}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    train, val = digits()
    with gitrepro.record(seed=0, group="transformers") as run, tempfile.TemporaryDirectory() as folder:
        run.define_metric("val/accuracy", goal="max")
        model = BertForSequenceClassification(
            BertConfig(
                vocab_size=17, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
                max_position_embeddings=64, num_labels=10,
            )
        )  # fmt: skip
        trainer = Trainer(
            model,
            TrainingArguments(
                folder,
                num_train_epochs=args.epochs,
                per_device_train_batch_size=64,
                per_device_eval_batch_size=360,
                learning_rate=3e-3,
                logging_steps=1,  # rules hear what is logged
                eval_strategy="epoch",
                save_strategy="no",
                report_to="none",
                use_cpu=True,
                disable_tqdm=True,
            ),
            train_dataset=train,
            eval_dataset=val,
            compute_metrics=accuracy,
            callbacks=[GitreproCallback(EarlyStopping("val/loss", patience=5), Divergence(), show_nan=True)],
        )
        trainer.train()
    print(f"{run.name}: val/accuracy {trainer.state.log_history[-2]['eval_accuracy']:.3f}")


if __name__ == "__main__":
    main()
