"""Hugging Face Trainer: groups with and without decay, schedules, resume from a checkpoint."""

from pathlib import Path
from typing import Any

import pytest
import torch
from bits import assert_same_optimizers
from registry import Row, each_plain
from swapin.training import assert_same_models

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("accelerate", reason="accelerate, which the Trainer needs, is not installed")

# transformers' own advice and deprecations are no errors of ours.
pytestmark = pytest.mark.filterwarnings("default")

STEPS = 8


def language_model() -> Any:
    """A tiny GPT-2 with random weights, made here."""
    torch.manual_seed(1)
    config = transformers.GPT2Config(
        vocab_size=17, n_positions=8, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
    )
    return transformers.GPT2LMHeadModel(config)


def sentences() -> list[dict[str, torch.Tensor]]:
    source = torch.Generator().manual_seed(0)
    drawn = torch.randint(17, (32, 8), generator=source)
    return [{"input_ids": tokens, "labels": tokens} for tokens in drawn]


def trainer(row: Row, ours: bool, folder: Path, **options: Any) -> Any:
    hypers = {"lr": 0.02, **row.full}
    if not ours:
        hypers = {**row.twin_kwargs, **row.loop, **hypers}
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        save_steps=STEPS // 2,
        per_device_train_batch_size=4,
        weight_decay=0.1,
        lr_scheduler_type="cosine",
        warmup_steps=2,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        **options,
    )
    return transformers.Trainer(
        language_model(),
        arguments,
        train_dataset=sentences(),
        optimizer_cls_and_kwargs=(row.ours if ours else row.twin, hypers),
    )


def train(trainer: Any, resume: Path | None = None) -> None:
    transformers.set_seed(0)  # of dropout, and of the order of the data
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))


def losses(trainer: Any) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def inner(trainer: Any) -> torch.optim.Optimizer:
    """The optimizer in Accelerate's wrapper."""
    return trainer.optimizer.optimizer


def assert_same(row: Row, ours: Any, torchs: Any) -> None:
    assert losses(ours) == losses(torchs)
    assert len(losses(ours)) == STEPS
    assert_same_models(ours.model, torchs.model)
    assert type(inner(ours)) is row.ours
    assert [group["weight_decay"] for group in inner(ours).param_groups] == [0.1, 0.0]
    assert_same_optimizers(inner(ours), inner(torchs), row.extra)


def both(row: Row, folder: Path, **options: Any) -> list[Any]:
    names = ("ours", "torchs")
    return [trainer(row, name == "ours", folder / name, **options) for name in names]


@each_plain
@pytest.mark.parametrize(
    "options",
    [{}, {"gradient_accumulation_steps": 2, "bf16": True}],
    ids=["plain", "accumulated in bfloat16"],
)
def test_training(row: Row, options: dict[str, Any], tmp_path: Path) -> None:
    ours, torchs = both(row, tmp_path, **options)
    for trainer in (ours, torchs):
        train(trainer)
    assert_same(row, ours, torchs)


@each_plain
def test_resumed_from_the_others_checkpoint(row: Row, tmp_path: Path) -> None:
    """And equal to the run that was not interrupted."""
    straight, beside = both(row, tmp_path)
    for trainer in (straight, beside):
        train(trainer)
    ours, torchs = both(row, tmp_path / "resumed")
    for trainer, other in ((ours, "torchs"), (torchs, "ours")):
        train(trainer, resume=tmp_path / other / f"checkpoint-{STEPS // 2}")
    assert_same(row, ours, torchs)
    assert_same_models(ours.model, straight.model)
