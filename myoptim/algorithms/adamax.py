"""Adamax: Adam that divides by the largest gradient of late instead of a mean of squares."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.weight_decay import coupled
from myoptim.declaration import Declaration
from myoptim.hyperparameters import AT_LEAST_ZERO, BETAS, EPSILON, LEARNING_RATE
from myoptim.rules import ElementwiseRule


def adamax(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_inf: Tensor,
    *,
    step: float,
    lr: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    """One step of Adamax: θ = param, g = grad, m = exp_avg, u = exp_inf, t = step (1 at first),
    η = lr, (β₁, β₂) = betas, ε = eps; m̂ = m / (1 − β₁ᵗ)."""
    beta1, beta2 = betas
    exp_avg.lerp_(grad, 1 - beta1)  #                           m ← β₁ m + (1 − β₁) g
    size = grad.abs().add_(eps)  #                              |g| + ε
    exp_inf.mul_(beta2).clamp_min_(size)  #                     u ← max(β₂ u, |g| + ε)
    step_size = lr / (1 - beta1**step)  #                       η / (1 − β₁ᵗ)
    param.addcdiv_(exp_avg, exp_inf, value=-step_size)  #       θ ← θ − η m̂ / u


class Adamax(ElementwiseRule):
    r"""Adamax. Equals `torch.optim.Adamax`.

    .. math::
        m_t &= \beta_1\, m_{t-1} + (1 - \beta_1)\, g_t \\
        u_t &= \max(\beta_2\, u_{t-1},\; |g_t| + \varepsilon) \\
        \theta_t &= \theta_{t-1} - \frac{\eta}{1 - \beta_1^t}\, \frac{m_t}{u_t}

    Adam with the infinity norm of its past gradients, later ones counting more, for their root
    mean square. A maximum needs no correction for its start at zero; the average of gradients does.
    In the paper there is no :math:`\varepsilon`.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1): how much of the average stays, and of
            the maximum.
        eps: :math:`\varepsilon \ge 0`, keeps the quotient finite.
        weight_decay: :math:`\lambda \ge 0`; adds :math:`\lambda\,\theta` to the gradient (L2).
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        maximize: ascend instead of descend.
        differentiable: let autograd record the step.
        capturable: make the step safe to record in a CUDA graph.
        fused: True: one compiled pass over memory; see `myoptim.execution`. torch has no fused
            Adamax, so this argument is ours, and without it the groups do not carry the key.

    State, per parameter, from its first gradient on: `step` (:math:`t`, 0-dim float32) and, shaped
    like the parameter, `exp_avg` (:math:`m`) and `exp_inf` (:math:`u`).

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: `fused` together with `foreach` or `differentiable`, or a sparse gradient.

    Source: Kingma, Ba, *Adam: a method for stochastic optimization* (2015), Algorithm 2.

    Example:
        >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = Adamax([weight], lr=0.1)
        >>> (weight ** 2).sum().backward()
        >>> optimizer.step()  # the first step is lr in every element, whatever the gradient
        >>> weight
        tensor([ 0.9000, 99.9000], requires_grad=True)
    """

    _declaration = Declaration(
        rule=adamax,
        ranges={
            "lr": LEARNING_RATE,
            "betas": BETAS,
            "eps": EPSILON,
            "weight_decay": AT_LEAST_ZERO,
        },
        buffers=("exp_avg", "exp_inf"),
        weight_decay=coupled,
        zeros_tie=False,  # sizes are never -0.0
        twin=torch.optim.Adamax,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        if fused is not None:
            defaults["fused"] = fused
        super().__init__(params, defaults)
