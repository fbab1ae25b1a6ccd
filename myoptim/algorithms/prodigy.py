"""Prodigy: Adam that finds its learning rate, from how far the parameters have gone and whither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.declaration import Declaration, keywords, zeros
from myoptim.hyperparameters import AT_LEAST_ZERO, BETAS, EPSILON, LEARNING_RATE, Group, Range
from myoptim.rules import TensorRule


def measured(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    s: Tensor,
    p0: Tensor,
    *,
    d: float,
    d0: float,
    rate: float,
    weight: float,
    betas: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """The averages, run on every parameter before any of them moves: θ = param, g = grad,
    m = exp_avg, v = exp_avg_sq, θ₀ = p0, d₀ = d0, γ = rate, w = weight, (β₁, β₂) = betas.

    Returns:
        What the parameter adds to r and to ‖s‖₁.
    """
    beta1, beta2 = betas
    exp_avg.mul_(beta1).add_(grad, alpha=d * (1 - beta1))  #  m ← β₁ m + (1 − β₁) d g
    exp_avg_sq.mul_(beta2)  #                                 v ← β₂ v
    exp_avg_sq.addcmul_(grad, grad, value=d * d * (1 - beta2))  #  + (1 − β₂) d² g²
    s.mul_(beta2**0.5).add_(grad, alpha=d / d0 * weight)  #   s ← √β₂ s + d w g / d₀
    ahead = grad.mul(p0 - param).sum()  #                     a = sum(g (θ₀ − θ))
    ahead = ahead.mul(d / d0 * rate)  #                       a ← d γ a / d₀
    length = s.abs().sum()  #                                 S = sum(|s|)
    return ahead, length


def estimated(
    ahead: float,
    length: float,
    *,
    d: float,
    d_max: float,
    d_numerator: float,
    d0: float,
    d_coef: float,
    growth_rate: float | None,
    betas: tuple[float, float],
) -> tuple[float, float, float]:
    """The next d, the largest estimate so far, and r: a = ahead, S = length, which are what all
    parameters together add, D = d_max, r = d_numerator, d₀ = d0, c = d_coef, q = growth_rate,
    (β₁, β₂) = betas. The distance to the solution is no less than d̂, were the loss convex; so d
    only grows."""
    d_numerator = betas[1] ** 0.5 * d_numerator + ahead  #  r ← √β₂ r + a
    d_hat = d_coef * d_numerator / length  #                d̂ = c r / S
    d_max = max(d_max, d_hat)  #                            D ← max(D, d̂)
    if growth_rate is None:
        d = d_max  #                                        d ← D
    else:
        if d == d0:  # which may be off by any factor: nothing bounds how it grows
            d = max(d, d_hat)  #                            d ← max(d, d̂)
        d = min(d_max, d * growth_rate)  #                  d ← min(D, q d)
    return d, d_max, d_numerator


def rate_of(
    d: float, lr: float, step: int, *, betas: tuple[float, float], use_bias_correction: bool
) -> float:
    """The learning rate, with Adam's corrections where they are asked for: η = lr, t = step
    (1 at first), (β₁, β₂) = betas."""
    beta1, beta2 = betas
    rate = d * lr  #                                                   γ = η d
    if use_bias_correction:
        rate = rate * (1 - beta2**step) ** 0.5 / (1 - beta1**step)  #  γ ← γ √(1 − β₂ᵗ) / (1 − β₁ᵗ)
    return rate


def prodigy(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    s: Tensor,
    p0: Tensor,
    *,
    d: float,
    rate: float,
    eps: float,
    weight_decay: float,
) -> None:
    """The step of Prodigy, on averages that `measured` has brought up to date: θ = param,
    m = exp_avg, v = exp_avg_sq, γ = rate, ε = eps, λ = weight_decay.

    m and √v both have the factor d, which their quotient has not."""
    param.mul_(1 - rate * weight_decay)  #             θ ← (1 − γ λ) θ
    root = exp_avg_sq.sqrt().add_(d * eps)  #          √v + d ε
    param.addcdiv_(exp_avg, root, value=-rate)  #      θ ← θ − γ m / (√v + d ε)


def new_buffer(name: str, param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """θ₀ is where the parameter starts."""
    start = zeros(name, param, grad, group)
    return start.copy_(param.detach()) if name == "p0" else start


BUFFERS = ("exp_avg", "exp_avg_sq", "s", "p0")


class Prodigy(TensorRule):
    r"""Prodigy. It has no namesake in `torch.optim`; agrees with the package prodigyopt.

    .. math::
        m_t &= \beta_1\, m_{t-1} + (1 - \beta_1)\, d_t\, g_t \\
        v_t &= \beta_2\, v_{t-1} + (1 - \beta_2)\, d_t^2\, g_t^2 \\
        r_t &= \sqrt{\beta_2}\, r_{t-1} + \tfrac{d_t}{d_0}\, \eta\, d_t\,
            \langle g_t,\, \theta_0 - \theta_{t-1} \rangle \\
        s_t &= \sqrt{\beta_2}\, s_{t-1} + \tfrac{d_t}{d_0}\, \eta\, d_t\, g_t \\
        d_{t+1} &= \max(d_t,\; r_t / \lVert s_t \rVert_1) \\
        \theta_t &= (1 - \eta\, d_t \lambda)\,\theta_{t-1}
            - \eta\, d_t\, m_t / (\sqrt{v_t} + d_{t+1} \varepsilon)

    The best learning rate of Adam is about the distance :math:`D` from the start to the solution,
    measured by its largest element. Nobody knows it; but for a convex loss each gradient tells
    something of it: :math:`\langle g, \theta_0 - \theta \rangle` is large only where the solution
    lies ahead. The quotient :math:`r / \lVert s \rVert_1` is never above :math:`D`. So :math:`d`
    starts tiny, grows by itself within some hundred steps, and takes the learning rate's place;
    :math:`\eta` stays 1 and is for schedules.

    :math:`d` is one number for all parameters: two networks want two optimizers.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups; not complex.
        lr: a factor :math:`\eta \ge 0` of the learning rate, 1 but for a schedule; a number or a
            tensor of one element.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1): how much of each average stays.
        eps: :math:`\varepsilon \ge 0`, keeps the quotient finite.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by
            :math:`1 - \eta\, d \lambda`.
        d0: :math:`d_0 > 0`, the first estimate; to be too small costs some steps, no more.
        d_coef: > 0, a factor of the estimate, which is the thing to tune if anything is.
        growth_rate: by which factor the estimate may grow in a step, at least 1; None: by any.
        use_bias_correction: correct the averages as Adam does, by :math:`\sqrt{1 - \beta_2^t} /
            (1 - \beta_1^t)` in the rate. Without it the first steps are those of a warm-up.
        safeguard_warmup: leave :math:`\eta` out of :math:`s`, so that a warm-up of `lr` does not
            make the estimate too large.
        maximize: ascend instead of descend.

    State, per parameter, from its first gradient on, shaped like it: `exp_avg` (:math:`m`),
    `exp_avg_sq` (:math:`v`), `s` and `p0` (:math:`\theta_0`). In the groups, equal in all: `d`,
    `d_max` (the largest estimate), `d_numerator` (:math:`r`), `k` (steps made), and each group's
    `rate`, :math:`\eta\,d` of the last step.

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: a parameter is complex, or a gradient sparse.

    Source: Mishchenko, Defazio, *Prodigy: an expeditiously adaptive parameter-free learner* (2023),
    Algorithm 4.

    Example:
        >>> import torch
        >>> weight = torch.tensor([30.0, -20.0], requires_grad=True)
        >>> optimizer = Prodigy([weight])
        >>> for _ in range(400):
        ...     optimizer.zero_grad()
        ...     (weight ** 2).sum().backward()
        ...     optimizer.step()
        >>> 1 < optimizer.param_groups[0]["d"] < 30  # found, from 1e-6
        True
    """

    _declaration = Declaration(
        rule=prodigy,
        ranges={
            "lr": LEARNING_RATE,
            "betas": BETAS,
            "eps": EPSILON,
            "weight_decay": AT_LEAST_ZERO,
            "d0": Range(0.0, open_low=True),
            "d_coef": Range(0.0, open_low=True),
            "growth_rate": Range(1.0, optional=True),
        },
        buffers=BUFFERS,
        new_buffer=new_buffer,
        numbers={},
        complex="refused",
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        d0: float = 1e-6,
        d_coef: float = 1.0,
        growth_rate: float | None = None,
        use_bias_correction: bool = False,
        safeguard_warmup: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "d0": d0,
            "d_coef": d_coef,
            "growth_rate": growth_rate,
            "use_bias_correction": use_bias_correction,
            "safeguard_warmup": safeguard_warmup,
            "maximize": maximize,
            "d": d0,
            "d_max": d0,
            "d_numerator": 0.0,
            "k": 0,
            "rate": 0.0,
        }
        super().__init__(params, defaults)

    def _step_groups(self) -> None:
        """Measure over all groups, estimate once, and only then step."""
        first = self.param_groups[0]
        step = first["k"] + 1
        ahead = length = 0.0
        for group in self.param_groups:
            d, lr = first["d"], float(group["lr"])
            group.update(d=d, rate=rate_of(d, lr, step, **_taken(group, rate_of)))
            for ahead_of_one, length_of_one in self._measure(group):
                ahead += ahead_of_one.item()
                length += length_of_one.item()
        if not length:  # no gradient but zeros, or only learning rates of 0
            return
        d, d_max, d_numerator = estimated(ahead, length, **_taken(first, estimated))
        for group in self.param_groups:
            group.update(d=d, d_max=d_max, d_numerator=d_numerator, k=step)
        super()._step_groups()

    def _measure(self, group: Group) -> Iterator[tuple[Tensor, Tensor]]:
        """What the parameters of a group add to the sums; their averages are brought up to date."""
        if not group["rate"]:
            return
        weight = group["d"] if group["safeguard_warmup"] else group["rate"]
        taken = {"weight": weight, **_taken(group, measured)}
        params, grads = self._with_gradient(group)
        self._make_states(group, params)
        for param, grad in zip(params, grads, strict=True):
            buffers = [self.state[param][name] for name in BUFFERS]
            grad = grad.neg() if group["maximize"] else grad
            yield measured(param, grad, *buffers, **taken)


def _taken(group: Group, function: Callable[..., Any]) -> dict[str, Any]:
    """What a function takes of a group."""
    return {name: group[name] for name in keywords(function) if name in group}
