"""What is compared with which reference, at which settings, and how far the two may come apart."""

import importlib
import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer

import myoptim

Options = dict[str, Any]
STEPS = 100


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        ours: the class under test.
        package: the reference, as pip calls it.
        place: its class, as `module:Class`.
        settings: hyper-parameters of both.
        only_ours: those that the reference lacks or calls otherwise.
        only_theirs: likewise.
        tolerance: the largest distance allowed, beside the largest number of the tensor.
        dtype: what is computed with.
    """

    ours: type[Optimizer]
    package: str
    place: str
    settings: Options
    tolerance: float
    only_ours: Options = field(default_factory=dict)
    only_theirs: Options = field(default_factory=dict)
    dtype: torch.dtype = torch.float64

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.ours.__name__}({told})"

    def reference(self) -> type[Optimizer]:
        """The class; skips the test where it is not installed."""
        module, name = self.place.split(":")
        reason = f"needs the extra references: {self.package} is not installed"
        return getattr(pytest.importorskip(module, reason=reason), name)


def several(case: Case, *settings: Options) -> Iterator[Case]:
    """The same comparison at several settings."""
    return (replace(case, settings=one) for one in settings)


CASES = [
    *several(
        Case(myoptim.Lion, "lion-pytorch", "lion_pytorch:Lion", {}, tolerance=0.0),
        {"lr": 1e-2},
        {"lr": 3e-3, "betas": (0.5, 0.9), "weight_decay": 0.1},
        {"lr": 0.1, "betas": (0.95, 0.98), "weight_decay": 1.0},
    ),
    Case(
        myoptim.Lion,
        "lion-pytorch",
        "lion_pytorch:Lion",
        {"lr": 1e-2, "weight_decay": 0.1},
        tolerance=0.0,
        dtype=torch.float32,
    ),
]


def start(dtype: torch.dtype) -> list[Tensor]:
    """The parameters: matrices, tall and wide, and a vector."""
    source = torch.Generator().manual_seed(0)
    shapes = [(6, 4), (3, 8), (5,)]
    return [
        torch.randn(shape, generator=source, dtype=torch.float64).to(dtype).requires_grad_()
        for shape in shapes
    ]


def gradient(param: Tensor, source: torch.Generator) -> Tensor:
    """That of a bowl, a hundred times steeper in some elements than in others, with noise."""
    steepness = torch.logspace(-1, 1, param.numel(), dtype=param.dtype).reshape(param.shape)
    noise = torch.randn(param.shape, generator=source, dtype=torch.float64).to(param.dtype)
    return steepness * (param.detach() - 0.5) + 0.3 * noise


def run(optimizer: Optimizer) -> Iterator[list[Tensor]]:
    """The parameters after each step, on the optimizer's own path."""
    source = torch.Generator().manual_seed(1)
    params = optimizer.param_groups[0]["params"]
    for _ in range(STEPS):
        for param in params:
            param.grad = gradient(param, source)
        optimizer.step()
        yield [param.detach().clone() for param in params]


def distance(case: Case) -> float:
    """The largest distance over all steps, beside the largest number that the tensor has had."""
    theirs = case.reference()(start(case.dtype), **case.settings, **case.only_theirs)
    ours = case.ours(start(case.dtype), **case.settings, **case.only_ours)
    if hasattr(theirs, "train"):
        theirs.train()
    largest, size = 0.0, [0.0] * len(theirs.param_groups[0]["params"])
    for mine, other in zip(run(ours), run(theirs), strict=True):
        for i, (a, b) in enumerate(zip(mine, other, strict=True)):
            size[i] = max(size[i], b.abs().max().item())
            largest = max(largest, (a - b).abs().max().item() / size[i])
    return largest


def row(case: Case, found: float) -> str:
    settings = ", ".join(f"{k}={v}" for k, v in {**case.settings, **case.only_ours}.items())
    dtype = str(case.dtype).removeprefix("torch.")
    return f"| `{settings}` | {dtype} | {f'{found:.0e}' if found else 'equal bits'} |"


def table(name: str, found: dict[str, list[str]]) -> str:
    """The table of a page, in Markdown."""
    case = next(case for case in CASES if case.ours.__name__ == name)
    other, version = case.place.replace(":", "."), importlib.metadata.version(case.package)
    torchs = torch.__version__.partition("+")[0]
    head = (
        f"Over {STEPS} steps beside `{other}` of {case.package} {version}, with torch {torchs} "
        "(`make test-references`). The distance is the "
        "largest of any element at any step, beside the largest number of its tensor.\n\n"
        "| settings | type | distance |\n|---|---|---|\n"
    )
    return head + "\n".join(found[name]) + "\n"
