"""AdEMAMix: Adam that steps along two averages, one of which hardly forgets."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.warm_up import reached
from myoptim.algorithms.weight_decay import decoupled
from myoptim.declaration import Declaration
from myoptim.hyperparameters import AT_LEAST_ZERO, EPSILON, LEARNING_RATE, Several, beta
from myoptim.rules import ElementwiseRule


def ademamix(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    exp_avg_slow: Tensor,
    *,
    step: float,
    lr: float,
    betas: tuple[float, float, float],
    alpha: float,
    eps: float,
    alpha_warmup: float,
    beta3_warmup: float,
) -> None:
    """One step of AdEMAMix: θ = param, g = grad, m = exp_avg, v = exp_avg_sq, n = exp_avg_slow,
    t = step (1 at first), η = lr, (β₁, β₂, β₃) = betas, α = alpha, ε = eps, A = alpha_warmup,
    B = beta3_warmup; v̂ = v / (1 − β₂ᵗ)."""
    beta1, beta2, beta3 = betas
    share = alpha * reached(step, alpha_warmup)  #                    αₜ = α min(1, t / max(1, A))
    grown = reached(step, beta3_warmup)  #                            s = min(1, t / max(1, B))
    slow = between(beta1, beta3, grown)  #   b = β₃^(log(β₁) / ((1 − s) log(β₃) + s log(β₁)))
    exp_avg.lerp_(grad, 1 - beta1)  #                                 m ← β₁ m + (1 − β₁) g
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)  #   v ← β₂ v + (1 − β₂) g²
    exp_avg_slow.lerp_(grad, 1 - slow)  #                             n ← b n + (1 − b) g
    update = exp_avg.div(1 - beta1**step)  #                          u = m / (1 − β₁ᵗ)
    update.add_(exp_avg_slow, alpha=share)  #                         u ← u + αₜ n
    root = exp_avg_sq.sqrt().div_((1 - beta2**step) ** 0.5)  #        √v̂ = √(v / (1 − β₂ᵗ))
    param.addcdiv_(update, root.add_(eps), value=-lr)  #              θ ← θ − η u / (√v̂ + ε)


def between(low: float, high: float, share: Any) -> Any:
    """The rate whose memory has come this share of the way: 1 / log(b) goes evenly from that of
    the low rate to that of the high one."""
    low_log, high_log = math.log(low), math.log(high)
    return high ** (low_log / ((1 - share) * high_log + share * low_log))


class AdEMAMix(ElementwiseRule):
    r"""AdEMAMix. It has no namesake in `torch.optim`; agrees with the package pytorch_optimizer.

    .. math::
        m_t &= \beta_1\, m_{t-1} + (1 - \beta_1)\, g_t,
            \qquad \hat m_t = m_t / (1 - \beta_1^t) \\
        n_t &= \beta_3\, n_{t-1} + (1 - \beta_3)\, g_t \\
        v_t &= \beta_2\, v_{t-1} + (1 - \beta_2)\, g_t^2,
            \qquad \hat v_t = v_t / (1 - \beta_2^t) \\
        \theta_t &= (1 - \eta\lambda)\,\theta_{t-1}
            - \eta\, \frac{\hat m_t + \alpha\, n_t}{\sqrt{\hat v_t} + \varepsilon}

    A gradient is of use for thousands of steps, but an average that remembers so long does not see
    the last ones. So there are two: :math:`m` for those, and :math:`n` for all. The slow one is
    not corrected: it starts at nothing and grows in.

    Early on, when the gradients are large and soon outdated, a slow average does harm. Over
    `alpha_warmup` steps its share grows evenly from nothing to :math:`\alpha`, and over
    `beta3_warmup` steps its rate from :math:`\beta_1` to :math:`\beta_3`, so that its memory
    :math:`1 / \ln \beta` grows evenly. The paper has both last for the whole training.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element.
        betas: :math:`(\beta_1, \beta_2, \beta_3)`, how much of the fast average, of that of
            squares and of the slow average stays; the second in [0, 1), the others in (0, 1).
        alpha: :math:`\alpha \ge 0`, the weight of the slow average beside the fast one.
        eps: :math:`\varepsilon \ge 0`, keeps the quotient finite.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda`.
        alpha_warmup: over how many steps the weight grows; 0 for none.
        beta3_warmup: over how many steps the memory grows; 0 for none.
        maximize: ascend instead of descend.
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        capturable: make the step safe to record in a CUDA graph.
        differentiable: let autograd record the step.
        fused: True: one compiled pass over memory; see `myoptim.execution`.

    State, per parameter, from its first gradient on: `step` (:math:`t`, 0-dim float32) and, shaped
    like the parameter, `exp_avg` (:math:`m`), `exp_avg_sq` (:math:`v`) and `exp_avg_slow`
    (:math:`n`).

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: `fused` together with `foreach` or `differentiable`, or a sparse gradient.

    Source: Pagliardini, Ablin, Grangier, *The AdEMAMix optimizer: better, faster, older* (2024),
    Algorithm 1.

    Example:
        >>> import torch
        >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = AdEMAMix([weight], lr=0.1)
        >>> (weight ** 2).sum().backward()
        >>> optimizer.step()  # all but Adam's step: the slow average knows next to nothing
        >>> [round(x, 3) for x in weight.tolist()]
        [0.9, 99.9]
    """

    _declaration = Declaration(
        rule=ademamix,
        ranges={
            "lr": LEARNING_RATE,
            "betas": Several(
                [beta(0, open_low=True), beta(1), beta(2, open_low=True)],
                "three numbers (beta1, beta2, beta3)",
            ),
            "alpha": AT_LEAST_ZERO,
            "eps": EPSILON,
            "weight_decay": AT_LEAST_ZERO,
            "alpha_warmup": AT_LEAST_ZERO,
            "beta3_warmup": AT_LEAST_ZERO,
        },
        buffers=("exp_avg", "exp_avg_sq", "exp_avg_slow"),
        weight_decay=decoupled,
        complex="as pairs from the decay on",
        zeros_tie=False,  # it takes no maximum of tensors
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float, float] = (0.9, 0.999, 0.9999),
        alpha: float = 5.0,
        eps: float = 1e-8,
        weight_decay: float = 0,
        alpha_warmup: float = 0,
        beta3_warmup: float = 0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "alpha_warmup": alpha_warmup,
            "beta3_warmup": beta3_warmup,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
