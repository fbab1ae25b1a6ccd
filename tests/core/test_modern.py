"""What is true of single optimizers of the modern tier, and of Muon, beyond what holds of all."""

import importlib
import types
from pathlib import Path

import pytest
import torch
from torch import Tensor
from twins import save_and_load

import myoptim
from myoptim.algorithms.muon import orthogonalized

SCHEDULE_FREE = [
    lambda params: myoptim.ScheduleFreeSGD(params, lr=0.1, momentum=0.8, warmup_steps=3),
    lambda params: myoptim.ScheduleFreeAdamW(params, lr=0.1, betas=(0.8, 0.9), r=1.0),
]
each_schedule_free = pytest.mark.parametrize("make", SCHEDULE_FREE, ids=["SGD", "AdamW"])


def step(optimizer: torch.optim.Optimizer, times: int = 1) -> list[Tensor]:
    """Steps on random gradients, and z after each."""
    (param,) = optimizer.param_groups[0]["params"]
    seen = []
    for _ in range(times):
        param.grad = torch.randn_like(param)
        optimizer.step()
        seen.append(optimizer.state[param]["z"].clone())
    return seen


@each_schedule_free
def test_eval_gives_the_weighted_average_of_the_path(make) -> None:
    param = torch.ones(5, dtype=torch.float64, requires_grad=True)
    optimizer = make([param])
    path = step(optimizer, 12)
    group = optimizer.param_groups[0]
    rates = [group["lr"] * min(1, t / max(1, group["warmup_steps"])) for t in range(1, 13)]
    weights = [t ** group["r"] * max(rates[:t]) ** 2 for t in range(1, 13)]
    average = sum(w * z for w, z in zip(weights, path, strict=True)) / sum(weights)
    trained = param.detach().clone()
    optimizer.eval()
    torch.testing.assert_close(param.detach(), average, rtol=1e-12, atol=1e-12)
    optimizer.eval()  # again: nothing more happens
    torch.testing.assert_close(param.detach(), average, rtol=1e-12, atol=1e-12)
    optimizer.train()
    torch.testing.assert_close(param.detach(), trained, rtol=1e-12, atol=1e-12)


@each_schedule_free
def test_a_step_in_eval_mode_says_what_to_call(make) -> None:
    param = torch.ones(5, requires_grad=True)
    optimizer = make([param])
    step(optimizer, 2)
    optimizer.eval()
    before = param.detach().clone()
    with pytest.raises(RuntimeError, match=r"in eval mode.*Call optimizer\.train\(\)"):
        step(optimizer)
    assert torch.equal(param, before)
    optimizer.train()
    step(optimizer)


@each_schedule_free
def test_a_parameter_without_gradient_has_no_points(make) -> None:
    frozen = torch.ones(2)
    optimizer = make([torch.ones(5, requires_grad=True)])
    optimizer.add_param_group({"params": [frozen]})
    step(optimizer, 2)
    optimizer.eval()
    assert torch.equal(frozen, torch.ones(2))
    assert frozen not in optimizer.state


@each_schedule_free
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_checkpoint_knows_its_mode_and_loses_no_digit_of_its_numbers(make, dtype) -> None:
    param = torch.ones(5, dtype=dtype, requires_grad=True)
    optimizer = make([param])
    step(optimizer, 300)  # more than bfloat16 could add up
    optimizer.eval()
    other = make([param.detach().clone().requires_grad_()])
    other.load_state_dict(save_and_load(optimizer.state_dict()))
    (state,), (loaded,) = optimizer.state.values(), other.state.values()
    for name in ("lr_max", "weight_sum", "share"):
        assert loaded[name].dtype == torch.float64
        assert torch.equal(loaded[name], state[name])
    with pytest.raises(RuntimeError, match="in eval mode"):
        step(other)
    other.train()
    step(other)
    assert other.state_dict()["state"][0]["step"] == 301


@pytest.mark.parametrize("shape", [(8, 8), (16, 4), (4, 16), (40, 39)], ids=str)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_singular_values_of_muons_update(shape: tuple[int, int], scale: float) -> None:
    """All nearly 1, whatever they were, in tall matrices and wide ones."""
    torch.manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(shape[0], min(shape)))
    right, _ = torch.linalg.qr(torch.randn(shape[1], min(shape)))
    gradient = scale * left @ torch.diag(torch.logspace(0, -1.5, min(shape))) @ right.T
    coefficients = (3.4445, -4.7750, 2.0315)
    update = orthogonalized(gradient, ns_coefficients=coefficients, ns_steps=5, eps=1e-7)
    values = torch.linalg.svdvals(update.float())
    assert values.min() > 0.65
    assert values.max() < 1.25
    aligned = left.T @ update.float() @ right  # the singular vectors are those of the gradient
    assert (aligned - torch.diag(aligned.diagonal())).abs().max() < 0.1


# Mistakes that are often made ---------------------------------------------------------------------

MISTAKES = {
    "Lion: one beta for both": (
        "lion.Lion",
        {"lr": 0.1},
        ("exp_avg.mul_(beta2).add_(grad, alpha=1 - beta2)",
         "exp_avg.mul_(beta1).add_(grad, alpha=1 - beta1)"),
    ),
    "Lion: the decay joins the gradient": (
        "lion.Lion",
        {"lr": 0.1, "weight_decay": 0.5},
        ("import decoupled", "import coupled as decoupled"),
    ),
    "AdEMAMix: the slow average is corrected": (
        "ademamix.AdEMAMix",
        {"lr": 0.1},
        ("update.add_(exp_avg_slow, alpha=share)",
         "update.add_(exp_avg_slow, alpha=share / (1 - beta3**step))"),
    ),
    "Schedule-Free: points of a warm-up count in full": (
        "schedule_free.ScheduleFreeSGD",
        {"lr": 0.1, "warmup_steps": 5},
        ("constant(rate)", "constant(lr)"),
    ),
    "Schedule-Free: gradients are those at z": (
        "schedule_free.ScheduleFreeSGD",
        {"lr": 0.1},
        ("1 - momentum * (1 - share)", "1"),
    ),
    "Prodigy: the averages do without d": (
        "prodigy.Prodigy",
        {"d0": 0.1},
        ("alpha=d * (1 - beta1)", "alpha=1 - beta1"),
    ),
    "SOAP: squares are averaged before they are turned": (
        "soap.SOAP",
        {"lr": 0.1},
        ("turned.square()", "grad.square()"),
    ),
    "Muon: momentum after the orthogonalization": (
        "muon.Muon",
        {"lr": 0.1, "nesterov": False},
        ("momentum_buffer.lerp_(grad, 1 - momentum)",
         "grad = orthogonalized(grad, ns_coefficients, ns_steps, eps).to(grad); "
         "momentum_buffer.lerp_(grad, 1 - momentum)"),
    ),
    "Muon: the scale of a wide matrix for a tall one": (
        "muon.Muon",
        {"lr": 0.1},
        ("rows / columns", "columns / rows"),
    ),
}  # fmt: skip


def edited(place: str, old: str, new: str) -> type[torch.optim.Optimizer]:
    """A class of the package, made from its file with one edit."""
    name, cls = place.split(".")
    module = importlib.import_module(f"myoptim.algorithms.{name}")
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert old in source
    made = types.ModuleType(module.__name__)
    exec(compile(source.replace(old, new), module.__file__, "exec"), made.__dict__)
    return getattr(made, cls)


def walked(cls: type[torch.optim.Optimizer], options: dict[str, object]) -> list[Tensor]:
    """A tall matrix and a wide one, after some steps on the same gradients."""
    source = torch.Generator().manual_seed(0)
    shapes = [(5, 2), (2, 5)]
    params = [torch.randn(s, generator=source).double().requires_grad_() for s in shapes]
    optimizer = cls(params, **options)
    for _ in range(8):
        for param in params:
            param.grad = param.detach() + torch.randn(param.shape, generator=source).double()
        optimizer.step()
    return [param.detach() for param in params]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_that_is_often_made_shows(mistake: str) -> None:
    place, options, edit = MISTAKES[mistake]
    right, wrong, as_it_is = (
        walked(cls, options)
        for cls in (resolved(place), edited(place, *edit), edited(place, "", ""))
    )
    assert all(map(torch.equal, right, as_it_is))
    assert max((a - b).abs().max() for a, b in zip(right, wrong, strict=True)) > 1e-3


def resolved(place: str) -> type[torch.optim.Optimizer]:
    return getattr(myoptim, place.split(".")[1])
