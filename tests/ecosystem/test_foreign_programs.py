"""Training programs not written for this project, as installed, with only the import changed.

Each is read from the library that ships it, `torch.optim` is replaced by `myoptim` in its text, and
both texts are run: the loss curves must be equal to the last bit.

- Lightning's demo of a transformer as a language model, from PyTorch's examples: SGD. Here it
  learns the documentation of torch instead of the WikiText2 that it would download.
- Accelerate's own test of gradient accumulation: AdamW with a schedule. Its data is seeded, which
  it is not by itself.
"""

import functools
import importlib.util
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from bits import assert_same_value
from swapin.training import assert_same_models
from torch import Tensor

import myoptim

# The libraries' own advice and deprecations are no errors of ours.
pytestmark = pytest.mark.filterwarnings("default")


def program(name: str, changed: bool) -> types.ModuleType:
    """A module under its own name, its text as installed or with the import changed."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text()
    if changed:
        text = swapped(text)
    module = types.ModuleType(name)
    exec(compile(text, spec.origin, "exec"), module.__dict__)
    return module


def swapped(text: str) -> str:
    """Optimizers come from myoptim; schedulers stay torch's."""
    changed = re.sub(r"\btorch\.optim(?=\.[A-Z]| import [A-Z])", "myoptim", text)
    assert changed != text
    assert re.search(r"torch\.optim(?!\.lr_scheduler)", changed) is None
    return "import myoptim\n" + changed


@pytest.fixture
def text_to_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo reads data/wikitext-2.txt in the current folder, if it is there."""
    (tmp_path / "data").mkdir()
    documentation = [torch.optim.Adam.__doc__, torch.nn.Transformer.__doc__, torch.__doc__]
    words = " ".join(str(text) for text in documentation).split()
    (tmp_path / "data" / "wikitext-2.txt").write_text(" ".join(words))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("text_to_learn")
def test_lightning_demo() -> None:
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")

    class Losses(lightning.Callback):
        """Keeps the loss of every step."""

        def __init__(self) -> None:
            self.curve: list[Tensor] = []

        def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
            self.curve.append(args[2]["loss"].detach().clone())

    modules, curves = [], []
    for changed in (False, True):
        lightning.seed_everything(0, verbose=False)
        losses = Losses()
        demo = program("lightning.pytorch.demos.transformer", changed)
        module = demo.LightningTransformer(vocab_size=1000)
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_steps=20,
            max_epochs=-1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[losses],
        )
        trainer.fit(module)
        assert type(trainer.optimizers[0]) is (myoptim.SGD if changed else torch.optim.SGD)
        modules.append(module)
        curves.append(losses.curve)
    assert len(curves[0]) == 20
    assert_same_value(*curves, "loss curve")
    assert_same_models(*modules)


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Tensor]]:
    """Every value of torch.nn.functional.mse_loss."""
    curve: list[Tensor] = []
    original = torch.nn.functional.mse_loss

    def recorded(*args: Any, **kwargs: Any) -> Tensor:
        loss = original(*args, **kwargs)
        curve.append(loss.detach().clone())
        return loss

    monkeypatch.setattr(torch.nn.functional, "mse_loss", recorded)
    return curve


def test_accelerate_script(losses: list[Tensor]) -> None:
    accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")
    curves = []
    for changed in (False, True):
        script = program("accelerate.test_utils.scripts.test_sync", changed)
        assert script.AdamW is (myoptim.AdamW if changed else torch.optim.AdamW)
        script.RegressionDataset = functools.partial(script.RegressionDataset, seed=0)
        script.test_gradient_accumulation_with_opt_and_scheduler()
        accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
        curves.append(list(losses))
        losses.clear()
    assert len(curves[0]) == 10
    assert_same_value(*curves, "loss curve")
