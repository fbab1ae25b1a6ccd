"""RMSprop: Adagrad with a sum that forgets, plain, centred and with momentum."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.weight_decay import coupled
from myoptim.declaration import Declaration
from myoptim.hyperparameters import AT_LEAST_ZERO, EPSILON, LEARNING_RATE, Group
from myoptim.rules import ElementwiseRule


def rmsprop(
    param: Tensor,
    grad: Tensor,
    square_avg: Tensor,
    momentum_buffer: Tensor | None = None,
    grad_avg: Tensor | None = None,
    *,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
) -> None:
    """One step of RMSprop: θ = param, g = grad, v = square_avg, b = momentum_buffer (with
    momentum), ḡ = grad_avg (when centred), η = lr, α = alpha, ε = eps, μ = momentum."""
    square_avg.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)  #  v ← α v + (1 − α) g²
    variance = square_avg
    if grad_avg is not None:
        grad_avg.lerp_(grad, 1 - alpha)  #                           ḡ ← α ḡ + (1 − α) g
        variance = square_avg.addcmul(grad_avg, grad_avg, value=-1)  # v − ḡ², as v
    denominator = variance.sqrt().add_(eps)  #                       √v + ε
    if momentum_buffer is None:
        param.addcdiv_(grad, denominator, value=-lr)  #              θ ← θ − η g / (√v + ε)
    else:
        momentum_buffer.mul_(momentum).addcdiv_(grad, denominator)  # b ← μ b + g / (√v + ε)
        param.add_(momentum_buffer, alpha=-lr)  #                    θ ← θ − η b


def buffer_names(group: Group) -> tuple[str, ...]:
    """A buffer each for momentum and for the mean gradient, where they are asked for."""
    momentum = ("momentum_buffer",) if group["momentum"] > 0 else ()
    centered = ("grad_avg",) if group["centered"] else ()
    return ("square_avg", *momentum, *centered)


class RMSprop(ElementwiseRule):
    r"""RMSprop. Equals `torch.optim.RMSprop`. `RMSProp` is the same class.

    .. math::
        v_t &= \alpha\, v_{t-1} + (1 - \alpha)\, g_t^2 \\
        \theta_t &= \theta_{t-1} - \eta\, \frac{g_t}{\sqrt{v_t} + \varepsilon}

    With `momentum`, :math:`b_t = \mu\, b_{t-1} + g_t / (\sqrt{v_t} + \varepsilon)` and
    :math:`\theta_t = \theta_{t-1} - \eta\, b_t`. With `centered`, the variance
    :math:`v_t - \bar g_t^2` stands for :math:`v_t`, where
    :math:`\bar g_t = \alpha\, \bar g_{t-1} + (1 - \alpha)\, g_t`. :math:`\varepsilon` stands
    outside the root; in Keras and optax it stands inside.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element.
        alpha: :math:`\alpha \ge 0`, how much of the average of squares stays.
        eps: :math:`\varepsilon \ge 0`, keeps the quotient finite.
        weight_decay: :math:`\lambda \ge 0`; adds :math:`\lambda\,\theta` to the gradient (L2).
        momentum: :math:`\mu \ge 0`, how much of the previous buffer stays.
        centered: divide by the standard deviation instead of the root mean square.
        capturable: make the step safe to record in a CUDA graph.
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        maximize: ascend instead of descend.
        differentiable: let autograd record the step.
        fused: True: one compiled pass over memory; see `myoptim.execution`. torch has no fused
            RMSprop, so this argument is ours, and without it the groups do not carry the key.

    State, per parameter, from its first gradient on: `step` (0-dim float32) and, shaped like the
    parameter, `square_avg` (:math:`v`), with momentum `momentum_buffer` (:math:`b`), centred
    `grad_avg` (:math:`\bar g`).

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: `fused` together with `foreach` or `differentiable`, or a sparse gradient.

    Sources: Hinton, *Neural networks for machine learning*, lecture 6e (2012); centred: Graves,
    *Generating sequences with recurrent neural networks* (2013).

    Example:
        >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = RMSprop([weight], lr=0.01)
        >>> (weight ** 2).sum().backward()
        >>> optimizer.step()  # the first step is lr / √(1 − α) in every element
        >>> weight
        tensor([ 0.9000, 99.9000], requires_grad=True)
    """

    _declaration = Declaration(
        rule=rmsprop,
        ranges={
            "lr": LEARNING_RATE,
            "alpha": AT_LEAST_ZERO,
            "eps": EPSILON,
            "weight_decay": AT_LEAST_ZERO,
            "momentum": AT_LEAST_ZERO,
        },
        later=("momentum",),
        buffers=buffer_names,
        weight_decay=coupled,
        twin=torch.optim.RMSprop,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        *,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        if fused is not None:
            defaults["fused"] = fused
        super().__init__(params, defaults)
