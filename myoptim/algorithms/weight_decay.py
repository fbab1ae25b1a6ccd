"""The two ways in which weight decay acts: through the gradient, or beside it.

An algorithm declares one of the functions below that take a group; each gives the rule that acts
before that of the algorithm, or None where there is no decay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from myoptim.hyperparameters import Group


def l2(param: Tensor, grad: Tensor, *, weight_decay: float) -> Tensor:
    """The gradient of the loss plus λ/2 ‖θ‖²: θ = param, g = grad, λ = weight_decay."""
    return grad.add(param, alpha=weight_decay)  #  g ← g + λ θ


def shrink(param: Tensor, grad: Tensor, *, lr: float, weight_decay: float) -> Tensor:
    """Decay that never enters an average: θ = param, η = lr, λ = weight_decay."""
    param.mul_(1 - lr * weight_decay)  #  θ ← θ − η λ θ
    return grad


def decays(group: Group) -> bool:
    """Whether there is weight decay; a tensor is not read for it."""
    weight_decay = group["weight_decay"]
    return torch.is_tensor(weight_decay) or weight_decay != 0


def coupled(group: Group) -> Callable[..., Any] | None:
    """The gradient of an L2 penalty, which passes through all that the rule makes of a gradient."""
    return l2 if decays(group) else None


def decoupled(group: Group) -> Callable[..., Any] | None:
    """The parameter shrinks by itself, as in AdamW."""
    return shrink if decays(group) else None


def coupled_or_decoupled(group: Group) -> Callable[..., Any] | None:
    """As the group's `decoupled_weight_decay` says."""
    return (decoupled if group["decoupled_weight_decay"] else coupled)(group)
