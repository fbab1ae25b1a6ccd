"""Adam, and AdamW, which is Adam with its weight decay decoupled from the gradient."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.weight_decay import coupled_or_decoupled
from myoptim.declaration import Declaration
from myoptim.hyperparameters import AT_LEAST_ZERO, BETAS, EPSILON, LEARNING_RATE, Group
from myoptim.rules import ElementwiseRule


def adam(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    max_exp_avg_sq: Tensor | None = None,
    *,
    step: float,
    lr: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    """One step of Adam: θ = param, g = grad, m = exp_avg, v = exp_avg_sq, v̄ = max_exp_avg_sq (with
    amsgrad), t = step (1 at first), η = lr, (β₁, β₂) = betas, ε = eps; m̂ = m / (1 − β₁ᵗ),
    v̂ = v / (1 − β₂ᵗ)."""
    beta1, beta2 = betas
    exp_avg.lerp_(grad, 1 - beta1)  #                                 m ← β₁ m + (1 − β₁) g
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)  #   v ← β₂ v + (1 − β₂) g²
    if max_exp_avg_sq is None:
        second_moment = exp_avg_sq
    else:
        second_moment = max_exp_avg_sq.clamp_min_(exp_avg_sq)  #      v̄ ← max(v̄, v), and use it as v
    step_size = lr / (1 - beta1**step)  #                             η / (1 − β₁ᵗ)
    root = second_moment.sqrt().div_((1 - beta2**step) ** 0.5)  #     √v̂ = √(v / (1 − β₂ᵗ))
    param.addcdiv_(exp_avg, root.add_(eps), value=-step_size)  #      θ ← θ − η m̂ / (√v̂ + ε)


def buffer_names(group: Group) -> tuple[str, ...]:
    """Amsgrad keeps the largest second moment as well."""
    return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if group["amsgrad"] else ()))


def tensors_condition(group: Group) -> None:
    """Where hyper-parameters that are tensors are taken."""
    beta1, beta2 = group["betas"]
    if not (isinstance(beta1, float) and isinstance(beta2, float)) and not (
        isinstance(beta1, Tensor) and isinstance(beta2, Tensor)
    ):
        raise ValueError(
            f"betas must be either both floats or both Tensors, not {beta1!r} and {beta2!r}"
        )
    for name, value in (("lr", group["lr"]), ("betas[0]", beta1)):
        if isinstance(value, Tensor) and group["foreach"] and not group["capturable"]:
            raise ValueError(
                f"{name} as a Tensor is not supported for capturable=False and foreach=True: "
                f"give a float or capturable=True, not {value!r}"
            )


class Adam(ElementwiseRule):
    r"""Adam. Equals `torch.optim.Adam`.

    .. math::
        m_t &= \beta_1\, m_{t-1} + (1 - \beta_1)\, g_t,
            \qquad \hat m_t = m_t / (1 - \beta_1^t) \\
        v_t &= \beta_2\, v_{t-1} + (1 - \beta_2)\, g_t^2,
            \qquad \hat v_t = v_t / (1 - \beta_2^t) \\
        \theta_t &= \theta_{t-1} - \eta\, \frac{\hat m_t}{\sqrt{\hat v_t} + \varepsilon}

    Both averages start at zero and are too small at first; dividing by :math:`1 - \beta^t`
    corrects them. This is Algorithm 1 of the paper: :math:`\varepsilon` is added to the corrected
    root. Keras and TensorFlow compute the paper's :math:`\hat\varepsilon` form instead.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1): how much of each average stays. Two
            floats or two tensors of one element.
        eps: :math:`\varepsilon \ge 0`, keeps the quotient finite.
        weight_decay: :math:`\lambda \ge 0`; adds :math:`\lambda\,\theta` to the gradient (L2), so
            it passes through both averages. For decay that does not, see `AdamW`.
        amsgrad: divide by the largest :math:`v` so far (taken before the correction).
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        maximize: ascend instead of descend.
        capturable: make the step safe to record in a CUDA graph.
        differentiable: let autograd record the step.
        fused: True: one compiled pass over memory; see `myoptim.execution`.
        decoupled_weight_decay: decay as in `AdamW`.

    State, per parameter, from its first gradient on: `step` (:math:`t`, 0-dim float32) and, shaped
    like the parameter, `exp_avg` (:math:`m`), `exp_avg_sq` (:math:`v`), with amsgrad
    `max_exp_avg_sq`.

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: `fused` together with `foreach` or `differentiable`, or a sparse gradient.

    Sources: Kingma, Ba, *Adam: a method for stochastic optimization* (2015), Algorithm 1; amsgrad:
    Reddi, Kale, Kumar, *On the convergence of Adam and beyond* (2018).

    Example:
        >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = Adam([weight], lr=0.1)
        >>> (weight ** 2).sum().backward()
        >>> optimizer.step()  # the first step is lr in every element, whatever the gradient
        >>> weight
        tensor([ 0.9000, 99.9000], requires_grad=True)
    """

    _declaration = Declaration(
        rule=adam,
        ranges={
            "lr": LEARNING_RATE,
            "betas": BETAS,
            "eps": EPSILON,
            "weight_decay": AT_LEAST_ZERO,
        },
        condition=tensors_condition,
        buffers=buffer_names,
        weight_decay=coupled_or_decoupled,
        zeros_tie=False,  # squares are never -0.0
        sparse_hint=", please consider SparseAdam instead",
        twin=torch.optim.Adam,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)


class AdamW(Adam):
    r"""Adam with decoupled weight decay. Equals `torch.optim.AdamW`.

    .. math::
        \theta_t = (1 - \eta\,\lambda)\,\theta_{t-1}
            - \eta\, \frac{\hat m_t}{\sqrt{\hat v_t} + \varepsilon}

    with :math:`\hat m_t` and :math:`\hat v_t` as in `Adam`. The decay shrinks the parameter by
    itself, before the rule, and never enters the averages; the line that does it stands in
    `weight_decay.py`, beside the coupled one. In the paper :math:`\lambda` is not multiplied by
    :math:`\eta`: :math:`\lambda_\text{paper} = \eta\,\lambda`.

    Arguments, state and errors are those of `Adam`, with `weight_decay=0.01` by default.

    Source: Loshchilov, Hutter, *Decoupled weight decay regularization* (2019), Algorithm 2.

    Example:
        >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = AdamW([weight], lr=0.1, weight_decay=0.5)
        >>> weight.grad = torch.zeros(2)
        >>> optimizer.step()  # with zero gradients only the decay acts: 1 - lr * weight_decay
        >>> weight
        tensor([ 0.9500, 95.0000], requires_grad=True)
    """

    _declaration = replace(Adam._declaration, twin=torch.optim.AdamW)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # also of a checkpoint from before the key existed
            group["decoupled_weight_decay"] = True
