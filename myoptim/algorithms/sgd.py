"""Stochastic gradient descent, with momentum and with Nesterov's look-ahead."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.weight_decay import coupled
from myoptim.declaration import Declaration
from myoptim.hyperparameters import ANY_NUMBER, AT_LEAST_ZERO, LEARNING_RATE, Group
from myoptim.rules import ElementwiseRule


def sgd(
    param: Tensor,
    grad: Tensor,
    momentum_buffer: Tensor | None = None,
    *,
    first: bool,
    lr: float,
    momentum: float,
    dampening: float,
    nesterov: bool,
) -> None:
    """One step of gradient descent: θ = param, g = grad, b = momentum_buffer, η = lr, μ = momentum,
    τ = dampening. `first` says that b has no history yet; without momentum there is no b."""
    if momentum_buffer is None:
        update = grad  #                                                u = g
    else:
        if first:
            momentum_buffer.copy_(grad)  #                              b ← g, undamped
        else:
            momentum_buffer.mul_(momentum)  #                           b ← μ b
            momentum_buffer.add_(grad, alpha=1 - dampening)  #              + (1 − τ) g
        if nesterov:
            update = grad.add(momentum_buffer, alpha=momentum)  #       u = g + μ b
        else:
            update = momentum_buffer  #                                 u = b
    param.add_(update, alpha=-lr)  #                                    θ ← θ − η u


def buffer_names(group: Group) -> tuple[str, ...]:
    """Without momentum there is no buffer."""
    return ("momentum_buffer",) if group["momentum"] != 0 else ()


def like_gradient(name: str, param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """A buffer laid out like the gradient that the rule is given, which writes the values: a sparse
    gradient has a sparse buffer, and in half precision bits depend on how it lies in memory."""
    param, grad = param.detach(), grad.detach()
    grad = grad.neg() if group.get("maximize") else grad
    decay = coupled(group)
    return (decay(param, grad, weight_decay=1.0) if decay else grad).clone()


def nesterov_condition(group: Group) -> None:
    """Nesterov's look-ahead is that of an undamped buffer."""
    if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
        raise ValueError(
            "Nesterov momentum requires a momentum and zero dampening: allowed are "
            f"momentum > 0 and dampening = 0, given were momentum={group['momentum']} and "
            f"dampening={group['dampening']}"
        )


class SGD(ElementwiseRule):
    r"""Stochastic gradient descent, optionally with momentum. Equals `torch.optim.SGD`.

    .. math::
        b_t &= \mu\, b_{t-1} + (1 - \tau)\, g_t, \qquad b_1 = g_1 \\
        \theta_t &= \theta_{t-1} - \eta\, b_t

    Without momentum (:math:`\mu = 0`) the step is :math:`\theta_t = \theta_{t-1} - \eta\, g_t`;
    with `nesterov` it is :math:`\theta_t = \theta_{t-1} - \eta\,(g_t + \mu\, b_t)`. The learning
    rate stands outside the buffer: a change of `lr` acts on the whole step at once. In Keras and
    in Sutskever et al. it stands inside.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element.
        momentum: :math:`\mu \ge 0`, how much of the previous buffer stays.
        dampening: :math:`\tau`, how much of each gradient but the first is left out.
        weight_decay: :math:`\lambda \ge 0`; adds :math:`\lambda\,\theta` to the gradient (L2).
        nesterov: take the gradient at the look-ahead point; needs momentum and no dampening.
        maximize: ascend instead of descend.
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        differentiable: let autograd record the step.
        fused: True: one compiled pass over memory; see `myoptim.execution`.

    State, per parameter: `momentum_buffer` (:math:`b`, shaped like the parameter), from its first
    gradient on; nothing without momentum.

    Raises:
        ValueError: a hyper-parameter is outside its range, or `nesterov` lacks momentum.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: `fused` together with `foreach` or `differentiable`.

    Sources: Polyak, *Some methods of speeding up the convergence of iteration methods* (1964);
    Sutskever et al., *On the importance of initialization and momentum in deep learning* (2013).

    Example:
        >>> weight = torch.ones(2, requires_grad=True)
        >>> optimizer = SGD([weight], lr=0.1)
        >>> (weight ** 2).sum().backward()
        >>> optimizer.step()
        >>> weight
        tensor([0.8000, 0.8000], requires_grad=True)
    """

    _declaration = Declaration(
        rule=sgd,
        ranges={
            "lr": LEARNING_RATE,
            "momentum": AT_LEAST_ZERO,
            "dampening": ANY_NUMBER,
            "weight_decay": AT_LEAST_ZERO,
        },
        condition=nesterov_condition,
        buffers=buffer_names,
        new_buffer=like_gradient,
        numbers={},
        weight_decay=coupled,
        sparse="as they are",
        complex="as they are",
        twin=torch.optim.SGD,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)


class Momentum(SGD):
    r"""Heavy-ball momentum: `SGD` with `momentum=0.9` by default.

    .. math::
        b_t &= \mu\, b_{t-1} + (1 - \tau)\, g_t, \qquad b_1 = g_1 \\
        \theta_t &= \theta_{t-1} - \eta\, b_t

    Arguments, state, errors and checkpoints are those of `SGD`.

    Source: Polyak, *Some methods of speeding up the convergence of iteration methods* (1964).
    """

    _declaration = replace(SGD._declaration, twin_settings={"momentum": 0.9})

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.9,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            momentum,
            dampening,
            weight_decay,
            nesterov,
            maximize=maximize,
            foreach=foreach,
            differentiable=differentiable,
            fused=fused,
        )


class Nesterov(SGD):
    r"""Nesterov's accelerated gradient: `SGD` with `momentum=0.9, nesterov=True` by default.

    .. math::
        b_t &= \mu\, b_{t-1} + g_t, \qquad b_1 = g_1 \\
        \theta_t &= \theta_{t-1} - \eta\,(g_t + \mu\, b_t)

    The parameters are the look-ahead point of the paper. Arguments, state, errors and checkpoints
    are those of `SGD`.

    Sources: Nesterov, *A method for solving the convex programming problem with convergence rate
    O(1/k²)* (1983); Sutskever et al. (2013), section 2.
    """

    _declaration = replace(SGD._declaration, twin_settings={"momentum": 0.9, "nesterov": True})

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0.9,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = True,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            momentum,
            dampening,
            weight_decay,
            nesterov,
            maximize=maximize,
            foreach=foreach,
            differentiable=differentiable,
            fused=fused,
        )
