"""Lion: every element steps by the learning rate, in the direction that two averages agree on."""

from __future__ import annotations

from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.weight_decay import decoupled
from myoptim.declaration import Declaration
from myoptim.hyperparameters import AT_LEAST_ZERO, BETAS, LEARNING_RATE
from myoptim.rules import ElementwiseRule


def lion(
    param: Tensor, grad: Tensor, exp_avg: Tensor, *, lr: float, betas: tuple[float, float]
) -> None:
    """One step of Lion: θ = param, g = grad, m = exp_avg, η = lr, (β₁, β₂) = betas. What is stepped
    along is not what is remembered: β₁ gives the gradient more say than β₂ does."""
    beta1, beta2 = betas
    blend = exp_avg.mul(beta1).add_(grad, alpha=1 - beta1)  #   c = β₁ m + (1 − β₁) g
    param.add_(blend.sign_(), alpha=-lr)  #                     θ ← θ − η sign(c)
    exp_avg.mul_(beta2).add_(grad, alpha=1 - beta2)  #          m ← β₂ m + (1 − β₂) g


class Lion(ElementwiseRule):
    r"""Lion. It has no namesake in `torch.optim`; agrees in bits with the package lion-pytorch.

    .. math::
        c_t &= \beta_1\, m_{t-1} + (1 - \beta_1)\, g_t \\
        \theta_t &= (1 - \eta\lambda)\,\theta_{t-1} - \eta\,\operatorname{sign}(c_t) \\
        m_t &= \beta_2\, m_{t-1} + (1 - \beta_2)\, g_t

    Every element moves by :math:`\eta` at every step, whatever its gradient, as AdamW's elements
    roughly do where gradients keep their sign. Where they do not AdamW's steps are shorter; so
    Lion's learning rate is to be three to ten times smaller than AdamW's, and its weight decay as
    many times larger.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1): how much of the average counts in the
            step, and how much of it stays.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda`.
        maximize: ascend instead of descend.
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        differentiable: let autograd record the step; through the sign no gradient passes.
        fused: True: one compiled pass over memory; see `myoptim.execution`.

    State, per parameter, from its first gradient on: `exp_avg` (:math:`m`, shaped like the
    parameter).

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: `fused` together with `foreach` or `differentiable`, or a sparse gradient.

    Source: Chen and others, *Symbolic discovery of optimization algorithms* (2023), Algorithm 2.

    Example:
        >>> import torch
        >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = Lion([weight], lr=0.1)
        >>> (weight ** 2).sum().backward()
        >>> optimizer.step()  # each step is lr in every element
        >>> weight
        tensor([ 0.9000, 99.9000], requires_grad=True)
    """

    _declaration = Declaration(
        rule=lion,
        ranges={"lr": LEARNING_RATE, "betas": BETAS, "weight_decay": AT_LEAST_ZERO},
        buffers=("exp_avg",),
        weight_decay=decoupled,
        complex="as pairs from the decay on",
        numbers={},
        zeros_tie=False,  # it takes no maximum
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
