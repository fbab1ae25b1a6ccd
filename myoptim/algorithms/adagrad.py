"""Adagrad: a learning rate per element, from the sum of its squared gradients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.weight_decay import coupled
from myoptim.declaration import Declaration
from myoptim.hyperparameters import AT_LEAST_ZERO, EPSILON, LEARNING_RATE, Group
from myoptim.rules import ElementwiseRule


def adagrad(
    param: Tensor, grad: Tensor, sum: Tensor, *, step: float, lr: float, lr_decay: float, eps: float
) -> None:
    """One step of Adagrad: θ = param, g = grad, s = sum, t = step (1 at first), η = lr, ε = eps."""
    step_size = lr / (1 + (step - 1) * lr_decay)  #          η′ = η / (1 + (t − 1) lr_decay)
    sum.addcmul_(grad, grad, value=1)  #                     s ← s + g²
    denominator = sum.sqrt().add_(eps)  #                    √s + ε
    param.addcdiv_(grad, denominator, value=-step_size)  #   θ ← θ − η′ g / (√s + ε)


def start_of_sum(name: str, param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """s₀, in both parts of a complex number."""
    start = group["initial_accumulator_value"]
    return torch.full_like(param, complex(start, start) if param.is_complex() else start)


class Adagrad(ElementwiseRule):
    r"""Adagrad. Equals `torch.optim.Adagrad`.

    .. math::
        s_t &= s_{t-1} + g_t^2 \\
        \theta_t &= \theta_{t-1}
            - \frac{\eta}{1 + (t-1)\,\kappa}\,\frac{g_t}{\sqrt{s_t} + \varepsilon}

    An element that has moved much learns slowly, one that has not learns fast. The sum never
    forgets, so the steps only shrink; RMSprop is the cure. :math:`\varepsilon` stands outside the
    root; in Keras and optax it stands inside, and :math:`s_0 = 0.1`.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element.
        lr_decay: :math:`\kappa \ge 0`; divides the learning rate by :math:`1 + (t-1)\,\kappa`.
        weight_decay: :math:`\lambda \ge 0`; adds :math:`\lambda\,\theta` to the gradient (L2).
        initial_accumulator_value: :math:`s_0 \ge 0`. Unlike in torch, a group's own value counts.
        eps: :math:`\varepsilon \ge 0`, keeps the quotient finite.
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        maximize: ascend instead of descend.
        differentiable: let autograd record the step.
        fused: True: one compiled pass over memory; see `myoptim.execution`.

    State, per parameter and from the start: `step` (:math:`t`, 0-dim float32) and `sum`
    (:math:`s`, shaped like the parameter). Sparse gradients touch only their own elements.

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: `fused` together with `foreach` or `differentiable`, or weight decay with a
            sparse gradient.

    Source: Duchi, Hazan, Singer, *Adaptive subgradient methods for online learning and stochastic
    optimization* (2011).

    Example:
        >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = Adagrad([weight], lr=0.1)
        >>> (weight ** 2).sum().backward()
        >>> optimizer.step()  # the first step is lr in every element, whatever the gradient
        >>> weight
        tensor([ 0.9000, 99.9000], requires_grad=True)
    """

    _declaration = Declaration(
        rule=adagrad,
        ranges={
            "lr": LEARNING_RATE,
            "lr_decay": AT_LEAST_ZERO,
            "weight_decay": AT_LEAST_ZERO,
            "initial_accumulator_value": AT_LEAST_ZERO,
            "eps": EPSILON,
        },
        buffers=("sum",),
        new_buffer=start_of_sum,
        weight_decay=coupled,
        sparse="by element",
        twin=torch.optim.Adagrad,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                self._init_state(param, param, group)

    def share_memory(self) -> None:
        """Move the state to shared memory, for training from several processes."""
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param]["sum"].share_memory_()
                self.state[param]["step"].share_memory_()
