"""ASGD: gradient descent whose learning rate falls, with the average of its path beside it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.weight_decay import coupled
from myoptim.declaration import Declaration
from myoptim.hyperparameters import (
    ANY_NUMBER,
    AT_LEAST_ZERO,
    LEARNING_RATE,
    Group,
    start_value,
)
from myoptim.rules import ElementwiseRule


def asgd(param: Tensor, grad: Tensor, ax: Tensor, *, eta: float, mu: float, lambd: float) -> None:
    """One step of ASGD: θ = param, g = grad, θ̄ = ax, ηₜ = eta, μₜ = mu, Λ = lambd."""
    param.mul_(1 - lambd * eta)  #                 θ ← (1 − Λ ηₜ) θ
    param.add_(grad, alpha=-eta)  #                θ ← θ − ηₜ g
    if torch.is_tensor(mu) or mu != 1:
        ax.add_(param.sub(ax).mul_(mu))  #         θ̄ ← θ̄ + μₜ (θ − θ̄)
    else:
        ax.copy_(param)  #                         θ̄ ← θ


def schedule(
    eta: Tensor, mu: Tensor, *, step: float, lr: float, lambd: float, alpha: float, t0: float
) -> None:
    """ηₜ and μₜ for the next step, which is run after the rule: ηₜ = eta, μₜ = mu, t = step,
    η = lr, Λ = lambd, α = alpha, t₀ = t0."""
    eta.fill_(torch.as_tensor(lr / (1 + lambd * lr * step) ** alpha))  #  ηₜ ← η / (1 + Λ η t)^α
    mu.fill_(torch.as_tensor(1 / at_least_one(step - t0)))  #             μₜ ← 1 / max(1, t − t₀)


def at_least_one(number: Any) -> Any:
    """max(1, x), of a number that may be on a device where nobody can read it now."""
    return number.clamp(min=1) if torch.is_tensor(number) else max(1, number)


def learning_rate(group: Group) -> Any:
    """η₀."""
    return start_value("lr", group)


class ASGD(ElementwiseRule):
    r"""Averaged stochastic gradient descent. Equals `torch.optim.ASGD`.

    .. math::
        \theta_t &= (1 - \Lambda\, \eta_t)\, \theta_{t-1} - \eta_t\, g_t,
            \qquad \eta_1 = \eta,\quad
            \eta_{t+1} = \frac{\eta}{(1 + \Lambda\, \eta\, t)^\alpha} \\
        \bar\theta_t &= \bar\theta_{t-1} + \mu_t\, (\theta_t - \bar\theta_{t-1}),
            \qquad \mu_1 = 1,\quad \mu_{t+1} = \frac{1}{\max(1,\; t - t_0)}

    The average of the points that noisy steps pass through is nearer to the minimum than the last
    of them. It is not the parameter, but stands in its state as `ax`: whoever wants it must copy it
    from there. It begins at step :math:`t_0`; until then it is the parameter itself.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element.
        lambd: :math:`\Lambda \ge 0`, decay of the parameter and of the learning rate at once.
        alpha: :math:`\alpha \ge 0`, the power with which the learning rate falls.
        t0: :math:`t_0`, the step at which averaging begins.
        weight_decay: :math:`\lambda \ge 0`; adds :math:`\lambda\,\theta` to the gradient (L2).
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        maximize: ascend instead of descend.
        differentiable: let autograd record the step.
        capturable: make the step safe to record in a CUDA graph.
        fused: True: one compiled pass over memory; see `myoptim.execution`. torch has no fused
            ASGD, so this argument is ours, and without it the groups do not carry the key.

    State, per parameter, from its first gradient on: `step` (:math:`t`), `eta` (:math:`\eta_t`) and
    `mu` (:math:`\mu_t`), 0-dim float32, and, shaped like the parameter, `ax`
    (:math:`\bar\theta`). As in torch :math:`\eta_t` is kept in float32 whatever the parameter is,
    and a changed `lr` acts one step late.

    Raises:
        ValueError: a hyper-parameter is outside its range. Unlike torch's, this class refuses
            negative `lambd` and `alpha`.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: `fused` together with `foreach` or `differentiable`, or a sparse gradient.

    Sources: Polyak, Juditsky, *Acceleration of stochastic approximation by averaging* (1992); the
    schedules: Bottou, *Stochastic gradient descent tricks* (2012).

    Example:
        >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = ASGD([weight], lr=0.1, t0=1)
        >>> for _ in range(4):
        ...     optimizer.zero_grad()
        ...     (weight ** 2).sum().backward()
        ...     optimizer.step()
        >>> weight  # (1 − 2 · 0.1)⁴, and Λ takes a little off
        tensor([ 0.4096, 40.9584], requires_grad=True)
        >>> optimizer.state[weight]["ax"]  # the mean of the last two
        tensor([ 0.4608, 46.0784])
    """

    _declaration = Declaration(
        rule=asgd,
        ranges={
            "lr": LEARNING_RATE,
            "lambd": AT_LEAST_ZERO,
            "alpha": AT_LEAST_ZERO,
            "t0": ANY_NUMBER,
            "weight_decay": AT_LEAST_ZERO,
        },
        buffers=("ax",),
        numbers={"step": 0.0, "eta": learning_rate, "mu": 1.0},
        after=schedule,
        weight_decay=coupled,
        complex="as pairs from the decay on",
        twin=torch.optim.ASGD,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        *,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        if fused is not None:
            defaults["fused"] = fused
        super().__init__(params, defaults)
