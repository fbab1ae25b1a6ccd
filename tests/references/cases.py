"""What is compared with which reference, at which settings, and how far the two may come apart."""

import importlib
import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import inf
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
    *several(
        Case(
            myoptim.AdEMAMix,
            "pytorch_optimizer",
            "pytorch_optimizer:AdEMAMix",
            {},
            tolerance=1e-12,
            only_theirs={"weight_decouple": True},
        ),
        {"lr": 1e-2},
        {"lr": 1e-2, "betas": (0.5, 0.9, 0.99), "alpha": 2.0, "eps": 1e-3, "weight_decay": 0.1},
    ),
    Case(
        myoptim.AdEMAMix,
        "pytorch_optimizer",
        "pytorch_optimizer:AdEMAMix",
        {"lr": 1e-2, "alpha": 8.0},
        tolerance=1e-12,
        only_ours={"alpha_warmup": 60, "beta3_warmup": 60},
        only_theirs={"t_alpha_beta3": 60},
    ),
    *several(
        Case(
            myoptim.ScheduleFreeSGD,
            "schedulefree",
            "schedulefree:SGDScheduleFree",
            {},
            tolerance=1e-12,
        ),
        {"lr": 0.05},
        {"lr": 0.03, "momentum": 0.7, "weight_decay": 0.1, "warmup_steps": 20},
        {"lr": 0.03, "r": 1.0, "weight_lr_power": 1.0},
    ),
    *several(
        Case(
            myoptim.ScheduleFreeAdamW,
            "schedulefree",
            "schedulefree:AdamWScheduleFree",
            {},
            tolerance=1e-12,
        ),
        {"lr": 0.05},
        {"lr": 0.03, "betas": (0.7, 0.95), "weight_decay": 0.1, "warmup_steps": 20},
        {"lr": 0.03, "eps": 1e-3, "r": 1.0, "weight_lr_power": 1.0},
    ),
    *several(
        Case(
            myoptim.Prodigy,
            "prodigyopt",
            "prodigyopt:Prodigy",
            {},
            tolerance=1e-8,
        ),
        {},
        {"d0": 1e-3, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.1},
        {"lr": 0.5, "d_coef": 2.0, "growth_rate": 1.5, "use_bias_correction": True},
        {"safeguard_warmup": True, "lr": 0.3, "d0": 1e-2},
    ),
    *several(
        Case(
            myoptim.SOAP,
            "pytorch_optimizer",
            "pytorch_optimizer:SOAP",
            {},
            tolerance=1e-5,
            dtype=torch.float32,
        ),
        {"lr": 1e-2},
        {"lr": 1e-2, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.1},
        {"lr": 3e-3, "shampoo_beta": 0.8, "precondition_frequency": 3},
        {"lr": 1e-2, "max_precondition_dim": 5},
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
    """The parameters after each step, on the optimizer's own path; in the middle, and in the end,
    it leaves its training mode, if it has one."""
    source = torch.Generator().manual_seed(1)
    params = optimizer.param_groups[0]["params"]
    for step in range(STEPS):
        for param in params:
            param.grad = gradient(param, source)
        optimizer.step()
        yield [param.detach().clone() for param in params]
        if hasattr(optimizer, "eval") and step % (STEPS // 2) == STEPS // 2 - 1:
            optimizer.eval()
            yield [param.detach().clone() for param in params]
            optimizer.train()


def distance(case: Case) -> float:
    """The largest distance over all steps, beside the largest number that the tensor has had."""
    theirs = case.reference()(start(case.dtype), **case.settings, **case.only_theirs)
    ours = case.ours(start(case.dtype), **case.settings, **case.only_ours)
    if hasattr(theirs, "train"):
        theirs.train()
    largest, size = 0.0, [0.0] * len(theirs.param_groups[0]["params"])
    for mine, other in zip(run(ours), run(theirs), strict=True):
        for i, (a, b) in enumerate(zip(mine, other, strict=True)):
            assert b.isfinite().all()
            size[i] = max(size[i], b.abs().max().item())
            apart = (a - b).abs().max().item() / size[i]
            largest = max(largest, apart) if apart == apart else inf
    return largest


def row(case: Case, found: float) -> str:
    chosen = {**case.settings, **case.only_ours}
    settings = ", ".join(f"`{k}={v}`" for k, v in chosen.items()) or "the defaults"
    dtype = str(case.dtype).removeprefix("torch.")
    return f"| {settings} | {dtype} | {f'{found:.0e}' if found else 'equal bits'} |"


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
