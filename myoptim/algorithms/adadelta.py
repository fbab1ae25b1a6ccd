"""Adadelta: RMSprop whose learning rate is the size of its own past updates."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.weight_decay import coupled
from myoptim.declaration import Declaration
from myoptim.hyperparameters import AT_LEAST_ZERO, EPSILON, LEARNING_RATE, Range
from myoptim.rules import ElementwiseRule


def adadelta(
    param: Tensor,
    grad: Tensor,
    square_avg: Tensor,
    acc_delta: Tensor,
    *,
    lr: float,
    rho: float,
    eps: float,
) -> None:
    """One step of Adadelta: θ = param, g = grad, v = square_avg, u = acc_delta, η = lr, ρ = rho,
    ε = eps."""
    square_avg.mul_(rho).addcmul_(grad, grad, value=1 - rho)  #    v ← ρ v + (1 − ρ) g²
    root = square_avg.add(eps).sqrt_()  #                          √(v + ε)
    delta = acc_delta.add(eps).sqrt_().div_(root).mul_(grad)  #    Δ = √(u + ε) / √(v + ε) · g
    acc_delta.mul_(rho).addcmul_(delta, delta, value=1 - rho)  #   u ← ρ u + (1 − ρ) Δ²
    param.add_(delta, alpha=-lr)  #                                θ ← θ − η Δ


class Adadelta(ElementwiseRule):
    r"""Adadelta. Equals `torch.optim.Adadelta`.

    .. math::
        v_t &= \rho\, v_{t-1} + (1 - \rho)\, g_t^2 \\
        \Delta_t &= \frac{\sqrt{u_{t-1} + \varepsilon}}{\sqrt{v_t + \varepsilon}}\, g_t \\
        u_t &= \rho\, u_{t-1} + (1 - \rho)\, \Delta_t^2 \\
        \theta_t &= \theta_{t-1} - \eta\, \Delta_t

    Where RMSprop has a learning rate, there stands the root mean square of the updates so far, so
    that an update has the unit of the parameter. Since :math:`u_0 = 0`, the first updates are as
    large as :math:`\varepsilon` lets them be: here it is no guard against zero, but sets the pace.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: :math:`\eta \ge 0`, 1 in the paper; a number or a tensor of one element.
        rho: :math:`0 \le \rho \le 1`, how much of both averages stays.
        eps: :math:`\varepsilon \ge 0`, inside both roots.
        weight_decay: :math:`\lambda \ge 0`; adds :math:`\lambda\,\theta` to the gradient (L2).
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        capturable: make the step safe to record in a CUDA graph.
        maximize: ascend instead of descend.
        differentiable: let autograd record the step.
        fused: True: one compiled pass over memory; see `myoptim.execution`. torch has no fused
            Adadelta, so this argument is ours, and without it the groups do not carry the key.

    State, per parameter, from its first gradient on: `step` (0-dim float32) and, shaped like the
    parameter, `square_avg` (:math:`v`) and `acc_delta` (:math:`u`).

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: `fused` together with `foreach` or `differentiable`, or a sparse gradient.

    Source: Zeiler, *ADADELTA: an adaptive learning rate method* (2012), Algorithm 1.

    Example:
        >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = Adadelta([weight], rho=0.75, eps=0.01)
        >>> (weight ** 2).sum().backward()
        >>> optimizer.step()  # the first step is about √ε / √(1 − ρ) in every element
        >>> weight
        tensor([ 0.8010, 99.8000], requires_grad=True)
    """

    _declaration = Declaration(
        rule=adadelta,
        ranges={
            "lr": LEARNING_RATE,
            "rho": Range(0.0, 1.0),
            "eps": EPSILON,
            "weight_decay": AT_LEAST_ZERO,
        },
        buffers=("square_avg", "acc_delta"),
        weight_decay=coupled,
        complex="pairs added",
        twin=torch.optim.Adadelta,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        if fused is not None:
            defaults["fused"] = fused
        super().__init__(params, defaults)
