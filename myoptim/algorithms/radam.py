"""RAdam: Adam whose first steps are held back by how little its second moment knows yet."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.weight_decay import coupled_or_decoupled
from myoptim.declaration import Declaration
from myoptim.hyperparameters import AT_LEAST_ZERO, BETAS, EPSILON, LEARNING_RATE
from myoptim.rules import ElementwiseRule


def radam(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    *,
    step: float,
    lr: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    """One step of RAdam: θ = param, g = grad, m = exp_avg, v = exp_avg_sq, t = step (1 at first),
    η = lr, (β₁, β₂) = betas, ε = eps; r = √((ρ − 4) (ρ − 2) ρ∞ / ((ρ∞ − 4) (ρ∞ − 2) ρ))."""
    beta1, beta2 = betas
    exp_avg.lerp_(grad, 1 - beta1)  #                                 m ← β₁ m + (1 − β₁) g
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)  #   v ← β₂ v + (1 − β₂) g²
    update = exp_avg.div(1 - beta1**step).mul_(lr)  #                 Δ = η m / (1 − β₁ᵗ)
    correction = 1 - beta2**step  #                                   1 − β₂ᵗ
    longest = 2 / (1 - beta2) - 1  #                                  ρ∞ = 2 / (1 − β₂) − 1
    length = longest - 2 * step * beta2**step / correction  #         ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ)
    if torch.is_tensor(length):  # nobody can read it now
        scale = adaptive(exp_avg_sq, correction, eps)  #              s = √(1 − β₂ᵗ) / (√v + ε)
        scale.mul_(rectified(length, longest))  #                     s ← s r
        update.mul_(scale.where(length > 5, 1.0))  #                  Δ ← Δ s where ρ > 5
    elif length > 5:
        update.mul_(adaptive(exp_avg_sq, correction, eps))  #         Δ ← Δ √(1 − β₂ᵗ) / (√v + ε)
        update.mul_(rectified(length, longest))  #                    Δ ← Δ r
    param.add_(update, alpha=-1)  #                                   θ ← θ − Δ


def adaptive(exp_avg_sq: Tensor, correction: float, eps: float) -> Tensor:
    """Adam's learning rate per element, for η = 1: v = exp_avg_sq, c = correction, ε = eps; c is
    1 − β₂ᵗ."""
    root = exp_avg_sq.sqrt().add_(eps)  #                √v + ε
    return root.reciprocal_().mul_(correction**0.5)  #   √c / (√v + ε)


def rectified(length: Any, longest: float) -> Any:
    """r, how much of a step the variance of the second moment allows: ρ = length, ρ∞ = longest."""
    known = (length - 4) * (length - 2) * longest  #              a = (ρ − 4) (ρ − 2) ρ∞
    knowable = (longest - 4) * (longest - 2) * length  #          b = (ρ∞ − 4) (ρ∞ − 2) ρ
    return (known / knowable) ** 0.5  #                           r = √(a / b)


class RAdam(ElementwiseRule):
    r"""RAdam. Equals `torch.optim.RAdam`.

    .. math::
        m_t &= \beta_1\, m_{t-1} + (1 - \beta_1)\, g_t,
            \qquad \hat m_t = m_t / (1 - \beta_1^t) \\
        v_t &= \beta_2\, v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \rho_t &= \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t},
            \qquad \rho_\infty = \frac{2}{1 - \beta_2} - 1 \\
        r_t &= \sqrt{\frac{(\rho_t - 4)(\rho_t - 2)\,\rho_\infty}
            {(\rho_\infty - 4)(\rho_\infty - 2)\,\rho_t}} \\
        \theta_t &= \theta_{t-1} - \eta\, \hat m_t
            \begin{cases}
                r_t\, \sqrt{1 - \beta_2^t} \,/\, (\sqrt{v_t} + \varepsilon) & \rho_t > 5 \\
                1 & \text{else}
            \end{cases}

    After few gradients the second moment is a guess, and a step divided by it may be far too
    large. :math:`\rho_t` says how many gradients the average amounts to, and :math:`r_t` how far
    its variance is from that of one of many; a warm-up of the learning rate does the same by hand.
    :math:`\varepsilon` is added to the root before the correction, not after it as in `Adam`.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1): how much of each average stays.
        eps: :math:`\varepsilon \ge 0`, keeps the quotient finite.
        weight_decay: :math:`\lambda \ge 0`; adds :math:`\lambda\,\theta` to the gradient (L2).
        decoupled_weight_decay: decay as in `AdamW`.
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        maximize: ascend instead of descend.
        capturable: make the step safe to record in a CUDA graph.
        differentiable: let autograd record the step.
        fused: True: one compiled pass over memory; see `myoptim.execution`. torch has no fused
            RAdam, so this argument is ours, and without it the groups do not carry the key.

    State, per parameter, from its first gradient on: `step` (:math:`t`, 0-dim float32) and, shaped
    like the parameter, `exp_avg` (:math:`m`) and `exp_avg_sq` (:math:`v`).

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: `fused` together with `foreach` or `differentiable`, or a sparse gradient.

    Source: Liu, Jiang, He, Chen, Liu, Gao, Han, *On the variance of the adaptive learning rate and
    beyond* (2020), Algorithm 2, which asks for :math:`\rho_t > 4`.

    Example:
        >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = RAdam([weight], lr=0.1)
        >>> (weight ** 2).sum().backward()
        >>> optimizer.step()  # the first steps are those of momentum: lr · g
        >>> weight
        tensor([ 0.8000, 80.0000], requires_grad=True)
    """

    _declaration = Declaration(
        rule=radam,
        ranges={
            "lr": LEARNING_RATE,
            "betas": BETAS,
            "eps": EPSILON,
            "weight_decay": AT_LEAST_ZERO,
        },
        buffers=("exp_avg", "exp_avg_sq"),
        weight_decay=coupled_or_decoupled,
        complex="as pairs from the decay on",
        twin=torch.optim.RAdam,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        if fused is not None:
            defaults["fused"] = fused
        super().__init__(params, defaults)
