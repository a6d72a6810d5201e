"""Rules at work inside trainers that are not ours, and what trainers hide from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

for library in ("torch", "lightning", "transformers"):
    pytest.importorskip(library)

from tests.integrations.conftest import Done, known  # noqa: E402

Script = Callable[..., Done]

LIGHTNING = """
import sys, tempfile, warnings
import torch
import lightning.pytorch as pl
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import gitrepro
from gitrepro import Divergence, EarlyStopping, NonFinite
from gitrepro.integrations.lightning import GitreproCallback, GitreproLogger
from lightning.pytorch.callbacks import ModelCheckpoint

class Module(pl.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Linear(4, 1)
    def training_step(self, batch, _):
        loss = self.net(batch[0]).square().mean()
        self.log("train/loss", loss)
        return loss
    def validation_step(self, batch, _):
        self.log("val/loss", 1.0 + self.current_epoch)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)

def fit(*callbacks, lr=0.01, logger=None, epochs=40, **more):
    torch.manual_seed(0)
    data = DataLoader(TensorDataset(torch.randn(64, 4)), batch_size=8)
    trainer = pl.Trainer(accelerator="cpu", devices=1, max_epochs=epochs, logger=logger or GitreproLogger(),
        callbacks=list(callbacks), log_every_n_steps=1, enable_progress_bar=False, enable_model_summary=False,
        **{"enable_checkpointing": False, **more})
    trainer.fit(Module(lr), data, data)
    return trainer
"""


def test_lightning_stops_when_validation_gets_no_better_and_the_record_says_why(script: Script, repo: Path) -> None:
    done = script(
        LIGHTNING
        + "with gitrepro.record(): print(fit(GitreproCallback(EarlyStopping('val/loss', patience=3))).current_epoch)"
    )
    assert done.code == 0, done.err
    [found] = known(repo)

    assert (done.out.strip(), found.record["status"]) == ("4", "finished")
    assert found.record["stopping"]["reason"]["rule"] == "EarlyStopping"


def test_lightning_gives_up_a_training_that_explodes_and_the_run_is_aborted(script: Script, repo: Path) -> None:
    done = script(LIGHTNING + "with gitrepro.record(): fit(GitreproCallback(NonFinite()), lr=1e12)")
    assert done.code == 0, done.err
    [found] = known(repo)

    assert (found.record["status"], found.record["stopping"]["checkpoint"]) == ("aborted", "crash")
    assert len(found.rows) < 40 * 9


def test_model_optimizer_and_checkpoints_of_lightning_are_on_record(script: Script, repo: Path) -> None:
    done = script(
        LIGHTNING + "fit(GitreproCallback(), ModelCheckpoint(tempfile.mkdtemp(), monitor='val/loss'), epochs=2, "
        "enable_checkpointing=True, logger=GitreproLogger(checkpoints='copy', group='g'))"
    )
    assert done.code == 0, done.err
    [found] = known(repo)

    assert found.record["watched"][0]["optimizers"][0]["groups"][0]["values"]["lr"] == 0.01
    assert [each["metric"]["value"] for each in found.record["checkpoints"]] == [1.0]
    assert found.record["group"] == "g"


def test_the_callback_without_a_logger_is_a_clear_error(script: Script) -> None:
    done = script(LIGHTNING + "fit(GitreproCallback(), logger=pl.loggers.CSVLogger(tempfile.mkdtemp()))")

    assert done.code == 1
    assert "GitreproCallback has no run; the trainer has no GitreproLogger; give Trainer(logger=" in done.err


def test_a_logger_for_a_run_that_has_ended_is_a_clear_error(script: Script) -> None:
    done = script(LIGHTNING + "with gitrepro.record() as run: pass\nGitreproLogger(run)")

    assert done.code == 1 and "has ended; use the bridge inside" in done.err


HUGGINGFACE = """
import tempfile
import torch
from torch import nn
from transformers import Trainer, TrainingArguments
import gitrepro
from gitrepro import Divergence, NonFinite
from gitrepro.integrations.huggingface import GitreproCallback

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.seen = nn.Linear(4, 1), 0
    def forward(self, x, labels):
        self.seen += 1
        loss = self.net(x).square().mean()
        return {"loss": loss * float("nan") if self.seen == 6 else loss}

def fit(*rules, **options):
    torch.manual_seed(0)
    rows = [{"x": torch.randn(4), "labels": 0} for _ in range(80)]
    args = TrainingArguments(tempfile.mkdtemp(), num_train_epochs=2, per_device_train_batch_size=8, logging_steps=1,
        save_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True)
    callback = GitreproCallback(*rules, **options)
    trainer = Trainer(Net(), args, train_dataset=rows, callbacks=[callback])
    trainer.train()
    return trainer
"""


def test_the_filter_of_transformers_hides_a_nan_and_the_row_is_told_to_be_wrong(script: Script, repo: Path) -> None:
    done = script(HUGGINGFACE + "with gitrepro.record(): fit()")
    assert done.code == 0, done.err
    [found] = known(repo)

    assert all(value == value for _, value in found.curve("train/loss")[:6])  # what was NaN is a number here
    assert "logging_nan_inf_filter hides what it was" in done.err


def test_without_the_filter_the_nan_is_on_record_and_a_rule_stops_the_training(script: Script, repo: Path) -> None:
    done = script(HUGGINGFACE + "with gitrepro.record(): fit(NonFinite(), show_nan=True)")
    assert done.code == 0, done.err
    [found] = known(repo)

    assert [step for step, value in found.curve("train/loss") if value != value] == [6]
    assert (found.record["status"], found.record["stopping"]["reason"]["code"]) == ("aborted", "nonfinite-loss")
    assert "hides" not in done.err


def test_rules_behind_the_filter_are_warned_that_they_hear_no_nan(script: Script) -> None:
    done = script(HUGGINGFACE + "with gitrepro.record(): fit(Divergence())")

    assert "so that no rule sees them" in done.err


def test_totals_of_the_trainer_are_the_summary_and_arguments_the_config(script: Script, repo: Path) -> None:
    done = script(HUGGINGFACE + "with gitrepro.record(): fit()")
    assert done.code == 0, done.err
    [found] = known(repo)

    assert {"train/runtime", "train/mean_loss", "train/steps_per_second"} <= found.record["summary"].keys()
    assert found.config["per_device_train_batch_size"] == 8
    assert found.record["watched"][0]["model"]["type"].endswith("Net")


def test_accelerate_ends_a_run_of_its_own_and_leaves_another_open(script: Script, repo: Path) -> None:
    done = script(
        "from accelerate import Accelerator\n"
        "from gitrepro.integrations.accelerate import GitreproTracker\n"
        "import gitrepro\n"
        "for begin in (lambda: None, gitrepro.record):\n"
        "    run = begin()\n"
        "    accelerator = Accelerator(cpu=True, log_with=GitreproTracker(run))\n"
        "    accelerator.init_trackers('p', config={'lr': 0.1})\n"
        "    accelerator.log({'loss': 1.0}, step=3)\n"
        "    accelerator.end_training()\n"
        "print(run.status)\n"
    )
    assert done.code == 0, done.err

    assert done.out.strip() == "running"
    assert [each.record["status"] for each in known(repo)] == ["finished", "finished"]


def test_a_tensorboard_writer_writes_its_files_as_ever(script: Script, repo: Path) -> None:
    done = script(
        "import gitrepro, pathlib\n"
        "from gitrepro.integrations.tensorboard import SummaryWriter\n"
        "with gitrepro.record() as run, SummaryWriter('../tb') as writer:\n"
        "    writer.add_scalars('loss', {'train': 2.0, 'val': 3.0}, 1)\n"
        "    writer.add_text('words', 'kept in the event file')\n"
        "    writer.add_hparams({'lr': 0.1}, {'final': 0.5}, run_name='.')\n"
    )
    assert done.code == 0, done.err
    [found] = known(repo)

    assert (found.curve("loss/train"), found.curve("loss/val")) == ([(1, 2.0)], [(1, 3.0)])
    assert (found.config["lr"], found.record["summary"]["final"]) == (0.1, 0.5)
    assert list((repo.parent / "tb").glob("events.*"))
