"""NAdam: Adam that looks ahead, as Nesterov's momentum does."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.weight_decay import coupled_or_decoupled
from myoptim.declaration import Declaration
from myoptim.hyperparameters import AT_LEAST_ZERO, BETAS, EPSILON, LEARNING_RATE
from myoptim.rules import ElementwiseRule


def warmed_up(beta1: float, step: float, momentum_decay: float) -> float:
    """μₜ, which rises from β₁ / 2 to β₁: β₁ = beta1, t = step, ψ = momentum_decay."""
    return beta1 * (1.0 - 0.5 * 0.96 ** (step * momentum_decay))  #  β₁ (1 − ½ · 0.96^(t ψ))


def multiply_up(
    mu_product: Tensor, *, step: float, betas: tuple[float, float], momentum_decay: float
) -> None:
    """What the momenta so far multiply to, which is run before the rule: M = mu_product, t = step,
    (β₁, β₂) = betas, ψ = momentum_decay; μₜ = β₁ (1 − ½ · 0.96^(t ψ))."""
    mu_product.mul_(warmed_up(betas[0], step, momentum_decay))  #  M ← M μₜ


def nadam(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    *,
    step: float,
    mu_product: float,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    momentum_decay: float,
) -> None:
    """One step of NAdam: θ = param, g = grad, m = exp_avg, v = exp_avg_sq, t = step (1 at first),
    M = mu_product, η = lr, (β₁, β₂) = betas, ε = eps, ψ = momentum_decay; v̂ = v / (1 − β₂ᵗ)."""
    beta1, beta2 = betas
    mu = warmed_up(beta1, step, momentum_decay)  #                    μₜ = β₁ (1 − ½ · 0.96^(t ψ))
    mu_next = warmed_up(
        beta1, step + 1, momentum_decay
    )  #                                                       μₜ₊₁ = β₁ (1 − ½ · 0.96^((t + 1) ψ))
    of_grad = -lr * (1.0 - mu) / (1.0 - mu_product)  #                −η (1 − μₜ) / (1 − M)
    of_average = -lr * mu_next / (1.0 - mu_product * mu_next)  #      −η μₜ₊₁ / (1 − M μₜ₊₁)
    exp_avg.lerp_(grad, 1 - beta1)  #                                 m ← β₁ m + (1 − β₁) g
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)  #   v ← β₂ v + (1 − β₂) g²
    root = exp_avg_sq.div(1 - beta2**step).sqrt_().add_(eps)  #       √v̂ + ε
    param.addcdiv_(grad, root, value=of_grad)  #        θ ← θ − η (1 − μₜ) / (1 − M) · g / (√v̂ + ε)
    param.addcdiv_(exp_avg, root, value=of_average)  #  θ ← θ − η μₜ₊₁ / (1 − M μₜ₊₁) · m / (√v̂ + ε)


class NAdam(ElementwiseRule):
    r"""NAdam. Equals `torch.optim.NAdam`.

    .. math::
        \mu_t &= \beta_1 \left(1 - \tfrac12\, 0.96^{t \psi}\right),
            \qquad M_t = \prod_{i=1}^t \mu_i \\
        m_t &= \beta_1\, m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2\, v_{t-1} + (1 - \beta_2)\, g_t^2,
            \qquad \hat v_t = v_t / (1 - \beta_2^t) \\
        \hat m_t &= \frac{\mu_{t+1}\, m_t}{1 - M_t\, \mu_{t+1}}
            + \frac{(1 - \mu_t)\, g_t}{1 - M_t} \\
        \theta_t &= \theta_{t-1} - \eta\, \frac{\hat m_t}{\sqrt{\hat v_t} + \varepsilon}

    Adam moves by the average of gradients; NAdam by what that average will be a step later, were
    the gradient to stay. The momentum :math:`\mu_t` of the correction warms up, which the paper
    found to help; that of the average itself does not, as in torch and unlike in the paper.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1): how much of each average stays.
        eps: :math:`\varepsilon \ge 0`, keeps the quotient finite.
        weight_decay: :math:`\lambda \ge 0`; adds :math:`\lambda\,\theta` to the gradient (L2).
        momentum_decay: :math:`\psi \ge 0`, how fast the momentum warms up.
        decoupled_weight_decay: decay as in `AdamW`.
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        maximize: ascend instead of descend.
        capturable: make the step safe to record in a CUDA graph.
        differentiable: let autograd record the step.
        fused: True: one compiled pass over memory; see `myoptim.execution`. torch has no fused
            NAdam, so this argument is ours, and without it the groups do not carry the key.

    State, per parameter, from its first gradient on: `step` (:math:`t`) and `mu_product`
    (:math:`M`), 0-dim float32, and, shaped like the parameter, `exp_avg` (:math:`m`) and
    `exp_avg_sq` (:math:`v`).

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: `fused` together with `foreach` or `differentiable`, or a sparse gradient.

    Sources: Dozat, *Incorporating Nesterov momentum into Adam* (2016); the schedule of momentum:
    Sutskever, Martens, Dahl, Hinton, *On the importance of initialization and momentum in deep
    learning* (2013).

    Example:
        >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = NAdam([weight], lr=0.1)
        >>> (weight ** 2).sum().backward()
        >>> optimizer.step()  # a little more than lr: the average is looked at a step ahead
        >>> weight
        tensor([ 0.8944, 99.8944], requires_grad=True)
    """

    _declaration = Declaration(
        rule=nadam,
        ranges={
            "lr": LEARNING_RATE,
            "betas": BETAS,
            "eps": EPSILON,
            "weight_decay": AT_LEAST_ZERO,
            "momentum_decay": AT_LEAST_ZERO,
        },
        buffers=("exp_avg", "exp_avg_sq"),
        numbers={"step": 0.0, "mu_product": 1.0},
        before=multiply_up,
        weight_decay=coupled_or_decoupled,
        complex="as pairs from the decay on",
        twin=torch.optim.NAdam,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        if fused is not None:
            defaults["fused"] = fused
        super().__init__(params, defaults)
