"""Dialects: what other frameworks and papers compute under the names of our optimizers.

Each differs from its namesake in `torch.optim` on purpose, in one or two places: where the learning
rate or ε stands, what the state starts with, how weights decay. The rules are written like ours,
the formula beside each statement; `myoptim translate` finds out which call needs which, and the
site's page «Same name, different algorithm» shows the runs that hold each against its framework.

They train, schedule and checkpoint like any other optimizer:

    >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
    >>> optimizer = MLXAdam([weight], lr=0.1)
    >>> (weight ** 2).sum().backward()
    >>> optimizer.step()  # without correction: lr · (1 − β₁) / √(1 − β₂) in every element
    >>> weight
    tensor([ 0.6838, 99.6838], requires_grad=True)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.adadelta import adadelta
from myoptim.algorithms.adafactor import Adafactor, rms
from myoptim.algorithms.adafactor import buffer_names as adafactor_buffer_names
from myoptim.algorithms.adam import adam
from myoptim.algorithms.adam import buffer_names as adam_buffer_names
from myoptim.algorithms.radam import rectified
from myoptim.algorithms.rprop import Rprop
from myoptim.algorithms.rprop import new_buffer as rprop_buffer
from myoptim.algorithms.sgd import buffer_names as sgd_buffer_names
from myoptim.algorithms.weight_decay import coupled, coupled_or_decoupled, decays, decoupled
from myoptim.declaration import Declaration
from myoptim.hyperparameters import (
    ANY_NUMBER,
    AT_LEAST_ZERO,
    BETAS,
    EPSILON,
    LEARNING_RATE,
    Group,
    OneOf,
    Range,
)
from myoptim.rules import ElementwiseRule, TensorRule

RelativeStep: TypeAlias = Literal["capped", "relative", "given"]

# The rules ------------------------------------------------------------------------------------


def keras_sgd(
    param: Tensor,
    grad: Tensor,
    velocity: Tensor | None = None,
    *,
    lr: float,
    momentum: float,
    nesterov: bool,
) -> None:
    """One step of gradient descent as Sutskever et al. wrote it: θ = param, g = grad, u = velocity
    (with momentum), η = lr, μ = momentum. The velocity remembers old learning rates."""
    if velocity is None:
        param.add_(grad, alpha=-lr)  #                                  θ ← θ − η g
        return
    velocity.mul_(momentum).add_(grad, alpha=-lr)  #                    u ← μ u − η g
    if nesterov:
        param.add_(velocity, alpha=momentum).add_(grad, alpha=-lr)  #   θ ← θ + μ u − η g
    else:
        param.add_(velocity)  #                                         θ ← θ + u


def mlx_sgd(
    param: Tensor,
    grad: Tensor,
    momentum_buffer: Tensor | None = None,
    *,
    lr: float,
    momentum: float,
    dampening: float,
    nesterov: bool,
) -> None:
    """One step of momentum whose first gradient is damped like all others: θ = param, g = grad,
    b = momentum_buffer (with momentum), η = lr, μ = momentum, τ = dampening."""
    update = grad  #                                                    u = g
    if momentum_buffer is not None:
        momentum_buffer.mul_(momentum)  #                               b ← μ b
        update = momentum_buffer.add_(grad, alpha=1 - dampening)  #         + (1 − τ) g, as u
    if nesterov and momentum_buffer is not None:
        update = grad.add(momentum_buffer, alpha=momentum)  #           u = g + μ b
    param.add_(update, alpha=-lr)  #                                    θ ← θ − η u


def keras_adagrad(param: Tensor, grad: Tensor, sum: Tensor, *, lr: float, eps: float) -> None:
    """One step of Adagrad with ε in the root: θ = param, g = grad, s = sum, η = lr, ε = eps."""
    sum.addcmul_(grad, grad, value=1)  #             s ← s + g²
    root = sum.add(eps).sqrt_()  #                   √(s + ε)
    param.addcdiv_(grad, root, value=-lr)  #         θ ← θ − η g / √(s + ε)


def keras_rmsprop(
    param: Tensor,
    grad: Tensor,
    square_avg: Tensor,
    velocity: Tensor | None = None,
    grad_avg: Tensor | None = None,
    *,
    lr: float,
    alpha: float,
    eps: float,
    momentum: float,
    eps_in_root: bool,
) -> None:
    """One step of RMSprop with η in the velocity: θ = param, g = grad, v = square_avg, u = velocity
    (with momentum), ḡ = grad_avg (when centred), η = lr, α = alpha, ε = eps, μ = momentum."""
    square_avg.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)  #     v ← α v + (1 − α) g²
    variance = square_avg
    if grad_avg is not None:
        grad_avg.lerp_(grad, 1 - alpha)  #                              ḡ ← α ḡ + (1 − α) g
        variance = square_avg.addcmul(grad_avg, grad_avg, value=-1)  #  v − ḡ², and use it as v
    if eps_in_root:
        root = variance.add(eps).sqrt_()  #                             r = √(v + ε)
    else:
        root = variance.sqrt().add_(eps)  #                             r = √v + ε
    if velocity is None:
        param.addcdiv_(grad, root, value=-lr)  #                        θ ← θ − η g / r
    else:
        velocity.mul_(momentum).addcdiv_(grad, root, value=lr)  #       u ← μ u + η g / r
        param.add_(velocity, alpha=-1)  #                               θ ← θ − u


def keras_adam(
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
    """One step of Adam in the paper's ε̂ form, which adds ε to the root before the correction:
    θ = param, g = grad, m = exp_avg, v = exp_avg_sq, v̄ = max_exp_avg_sq (with amsgrad), t = step
    (1 at first), η = lr, (β₁, β₂) = betas, ε = eps."""
    beta1, beta2 = betas
    exp_avg.lerp_(grad, 1 - beta1)  #                                   m ← β₁ m + (1 − β₁) g
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)  #     v ← β₂ v + (1 − β₂) g²
    if max_exp_avg_sq is None:
        second_moment = exp_avg_sq
    else:
        second_moment = max_exp_avg_sq.clamp_min_(exp_avg_sq)  #        v̄ ← max(v̄, v), used as v
    step_size = (
        lr * (1 - beta2**step) ** 0.5 / (1 - beta1**step)
    )  #    η′ = η √(1 − β₂ᵗ) / (1 − β₁ᵗ)
    root = second_moment.sqrt().add_(eps)  #                            √v + ε
    param.addcdiv_(exp_avg, root, value=-step_size)  #                  θ ← θ − η′ m / (√v + ε)


def mlx_adam(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    """One step of Adam without bias correction: θ = param, g = grad, m = exp_avg, v = exp_avg_sq,
    η = lr, (β₁, β₂) = betas, ε = eps."""
    beta1, beta2 = betas
    exp_avg.lerp_(grad, 1 - beta1)  #                                   m ← β₁ m + (1 − β₁) g
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)  #     v ← β₂ v + (1 − β₂) g²
    param.addcdiv_(exp_avg, exp_avg_sq.sqrt().add_(eps), value=-lr)  #  θ ← θ − η m / (√v + ε)


def optax_amsgrad(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    max_corrected_sq: Tensor,
    *,
    step: float,
    lr: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    """One step of AMSGrad whose maximum is over corrected averages: θ = param, g = grad,
    m = exp_avg, v = exp_avg_sq, v̄ = max_corrected_sq, t = step (1 at first), η = lr,
    (β₁, β₂) = betas, ε = eps; m̂ = m / (1 − β₁ᵗ)."""
    beta1, beta2 = betas
    exp_avg.lerp_(grad, 1 - beta1)  #                                   m ← β₁ m + (1 − β₁) g
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)  #     v ← β₂ v + (1 − β₂) g²
    corrected = exp_avg_sq.div(1 - beta2**step)  #                      v̂ = v / (1 − β₂ᵗ)
    root = max_corrected_sq.clamp_min_(corrected).sqrt()  #             v̄ ← max(v̄, v̂)
    step_size = lr / (1 - beta1**step)  #                               η / (1 − β₁ᵗ)
    param.addcdiv_(exp_avg, root.add_(eps), value=-step_size)  #        θ ← θ − η m̂ / (√v̄ + ε)


def keras_adamax(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_inf: Tensor,
    *,
    step: float,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    bias_correction: bool,
) -> None:
    """One step of Adamax whose ε is added after the maximum: θ = param, g = grad, m = exp_avg,
    u = exp_inf, t = step (1 at first), η = lr, (β₁, β₂) = betas, ε = eps."""
    beta1, beta2 = betas
    exp_avg.lerp_(grad, 1 - beta1)  #                                   m ← β₁ m + (1 − β₁) g
    exp_inf.mul_(beta2).clamp_min_(grad.abs())  #                       u ← max(β₂ u, |g|)
    if bias_correction:
        step_size = lr / (1 - beta1**step)  #                           η′ = η / (1 − β₁ᵗ)
    else:
        step_size = lr  #                                               η′ = η
    param.addcdiv_(exp_avg, exp_inf.add(eps), value=-step_size)  #      θ ← θ − η′ m / (u + ε)


def paddle_adamax(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_inf: Tensor,
    *,
    step: float,
    lr: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    """One step of Adamax whose ε is added to the past maximum: θ = param, g = grad, m = exp_avg,
    u = exp_inf, t = step (1 at first), η = lr, (β₁, β₂) = betas, ε = eps; m̂ = m / (1 − β₁ᵗ)."""
    beta1, beta2 = betas
    exp_avg.lerp_(grad, 1 - beta1)  #                                   m ← β₁ m + (1 − β₁) g
    past = exp_inf.mul(beta2).add_(eps)  #                              p = β₂ u + ε
    exp_inf.copy_(past).clamp_min_(grad.abs())  #                       u ← max(p, |g|)
    step_size = lr / (1 - beta1**step)  #                               η / (1 − β₁ᵗ)
    param.addcdiv_(exp_avg, exp_inf, value=-step_size)  #               θ ← θ − η m̂ / u


def optax_rprop(
    param: Tensor,
    grad: Tensor,
    prev_update: Tensor,
    step_size: Tensor,
    *,
    etas: tuple[float, float],
    step_sizes: tuple[float, float],
) -> None:
    """One step of Rprop that makes the step of the call before: θ = param, g = grad,
    d = prev_update, Γ = step_size, (η₋, η₊) = etas, (Γ₋, Γ₊) = step_sizes."""
    eta_minus, eta_plus = etas
    factor = grad.mul(prev_update).sign_()  #                           f = sign(g d)
    factor.masked_fill_(factor.gt(0), eta_plus)  #                      f ← η₊ where f > 0
    factor.masked_fill_(factor.lt(0), eta_minus)  #                     f ← η₋ where f < 0
    changed = step_size.mul(factor).clamp_(*step_sizes)  #              c = min(max(f Γ, Γ₋), Γ₊)
    step_size.copy_(changed.where(factor.ne(0), step_size))  #          Γ ← c where f ≠ 0
    prev_update.masked_fill_(factor.eq(eta_minus), 0)  #                d ← 0 where f = η₋
    param.add_(prev_update, alpha=-1)  #                                θ ← θ − d
    update = grad.sign().mul_(step_size)  #                             u = Γ sign(g)
    prev_update.copy_(update).masked_fill_(factor.eq(eta_minus), 0)  #  d ← 0 where f = η₋, else u


def paper_adafactor(
    param: Tensor,
    grad: Tensor,
    row_var: Tensor | None = None,
    col_var: Tensor | None = None,
    variance: Tensor | None = None,
    *,
    step: float,
    lr: float,
    beta2_decay: float,
    eps: tuple[float, float],
    d: float,
    weight_decay: float,
    rate: RelativeStep,
) -> None:
    """One step of Adafactor as published: θ = param, g = grad, R = row_var, C = col_var (for
    matrices), v = variance (for vectors), t = step (1 at first), η = lr, c = beta2_decay,
    (ε₁, ε₂) = eps, λ = weight_decay, RMS = rms, STEP = relative_step."""
    eps1, eps2 = eps
    weight = step**beta2_decay  #                                       w = tᶜ
    if weight_decay != 0:
        param.mul_(1 - lr * weight_decay)  #                            θ ← θ − η λ θ
    scale = max(eps2, rms(param))  #                                    a = max(ε₂, RMS(θ))
    step_size = scale * relative_step(lr, step, rate)  #                α = a STEP(η, t)
    square = grad.square().add_(eps1)  #                                s = g² + ε₁
    if row_var is not None and col_var is not None:
        of_rows = square.mean(dim=-1, keepdim=True)  #                  x = mean(s, −1)
        row_var.lerp_(of_rows, weight)  #                               R ← (1 − w) R + w x
        of_columns = square.mean(dim=-2, keepdim=True)  #               y = mean(s, −2)
        col_var.lerp_(of_columns, weight)  #                            C ← (1 − w) C + w y
        mean = row_var.mean(dim=-2, keepdim=True)  #                    r = mean(R, −2)
        estimate = row_var.div(mean) @ col_var  #                       v̂ = (R / r) @ C
    else:
        assert variance is not None
        estimate = variance.lerp_(square, weight)  #                    v ← (1 − w) v + w s, as v̂
    update = grad.div(estimate.sqrt())  #                               u = g / √v̂
    excess = max(1.0, rms(update, d))  #                                e = max(1, RMS(u, d))
    param.add_(update, alpha=-step_size / excess)  #                    θ ← θ − α u / e


def relative_step(lr: float, step: float, rate: RelativeStep) -> float:
    """The step beside the size of a parameter: η = lr, t = step."""
    if rate == "capped":
        return min(lr, 1 / step**0.5)  #                                min(η, 1 / √t)
    if rate == "relative":
        return min(0.01, 1 / step**0.5)  #                              min(0.01, 1 / √t)
    return lr  #                                                        η


def optax_radam(
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
    """One step of RAdam whose ε is added after the correction: θ = param, g = grad, m = exp_avg,
    v = exp_avg_sq, t = step (1 at first), η = lr, (β₁, β₂) = betas, ε = eps; v̂ = v / (1 − β₂ᵗ),
    r = √((ρ − 4) (ρ − 2) ρ∞ / ((ρ∞ − 4) (ρ∞ − 2) ρ))."""
    beta1, beta2 = betas
    exp_avg.lerp_(grad, 1 - beta1)  #                                   m ← β₁ m + (1 − β₁) g
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)  #     v ← β₂ v + (1 − β₂) g²
    update = exp_avg.div(1 - beta1**step).mul_(lr)  #                   Δ = η m / (1 − β₁ᵗ)
    correction = 1 - beta2**step  #                                     1 − β₂ᵗ
    longest = 2 / (1 - beta2) - 1  #                                    ρ∞ = 2 / (1 − β₂) − 1
    length = longest - 2 * step * beta2**step / correction  #           ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ)
    if length >= 5:
        root = exp_avg_sq.div(correction).sqrt_().add_(eps)  #          √v̂ + ε
        update.div_(root).mul_(rectified(length, longest))  #           Δ ← Δ r / (√v̂ + ε)
    param.add_(update, alpha=-1)  #                                     θ ← θ − Δ


def paper_shrink(param: Tensor, grad: Tensor, *, weight_decay: float) -> Tensor:
    """The decay of AdamW as published: θ = param, λ = weight_decay, which no learning rate scales.
    The rule after it is `adam`."""
    param.mul_(1 - weight_decay)  #                                     θ ← (1 − λ) θ
    return grad


# The classes ----------------------------------------------------------------------------------


_RANGES = {"lr": LEARNING_RATE, "eps": EPSILON, "weight_decay": AT_LEAST_ZERO}
_ADAM_RANGES = {**_RANGES, "betas": BETAS}
_SGD_RANGES = {"lr": LEARNING_RATE, "momentum": AT_LEAST_ZERO, "weight_decay": AT_LEAST_ZERO}


def _filled(param: Tensor, value: float) -> Tensor:
    """A buffer like the parameter with one value in it, in both parts of a complex one."""
    return torch.full_like(param, complex(value, value) if param.is_complex() else value)


def _accumulator(name: str, param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """Keras's sum of squares starts above 0."""
    return _filled(param, group["initial_accumulator_value"])


def _rmsprop_buffer_names(group: Group) -> tuple[str, ...]:
    """A buffer each for the velocity and for the mean gradient, where they are asked for."""
    velocity = ("velocity",) if group["momentum"] > 0 else ()
    centered = ("grad_avg",) if group["centered"] else ()
    return ("square_avg", *velocity, *centered)


def _rmsprop_buffer(name: str, param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """The average of squares starts at `initial_scale`, all else at 0."""
    return _filled(param, group["initial_scale"] if name == "square_avg" else 0.0)


def _velocity(group: Group) -> tuple[str, ...]:
    """Without momentum there is no velocity."""
    return ("velocity",) if group["momentum"] != 0 else ()


def _paper_decay(group: Group) -> Callable[..., Any] | None:
    """Decay that the learning rate does not scale."""
    return paper_shrink if decays(group) else None


def _rprop_buffer(name: str, param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """No step is due, and every step size starts at the learning rate."""
    return rprop_buffer("prev" if name == "prev_update" else name, param, grad, group)


def _factored_buffer_names(param: Tensor, group: Group) -> tuple[str, ...]:
    """Of small matrices each element keeps its own second moment, as of vectors."""
    small = min(param.shape[-2:], default=0) < group["min_size_to_factor"]
    return ("variance",) if small else adafactor_buffer_names(param, group)


class KerasSGD(ElementwiseRule):
    r"""`SGD` of Keras, TensorFlow and scikit-learn, and of tinygrad with `classic=True`.

    .. math::
        u_t = \mu\, u_{t-1} - \eta\, g_t, \qquad \theta_t = \theta_{t-1} + u_t

    The learning rate stands inside the velocity, so that a change of it acts on new gradients only.
    Equal to `SGD` as long as :math:`\eta` stays the same and weights do not decay.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`.
        momentum: :math:`\mu \ge 0`.
        nesterov: step by :math:`\mu\, u_t - \eta\, g_t`.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda` first.
        decoupled_weight_decay: False: :math:`\lambda\,\theta` joins the gradient, as in tinygrad.
        maximize: ascend instead of descend.

    State, per parameter: `step`, with momentum `velocity` (:math:`u`).

    Source: Sutskever et al., *On the importance of initialization and momentum in deep learning*
    (2013).
    """

    _declaration = Declaration(
        rule=keras_sgd,
        ranges=_SGD_RANGES,
        buffers=_velocity,
        weight_decay=coupled_or_decoupled,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        *,
        decoupled_weight_decay: bool = True,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


class MLXSGD(ElementwiseRule):
    r"""`SGD` of MLX with `momentum` and `dampening`: the first gradient is damped too.

    .. math::
        b_t = \mu\, b_{t-1} + (1 - \tau)\, g_t, \quad b_0 = 0, \qquad
        \theta_t = \theta_{t-1} - \eta\, b_t

    Equal to `SGD` where :math:`\tau = 0`.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`.
        momentum: :math:`\mu \ge 0`.
        weight_decay: :math:`\lambda \ge 0`; adds :math:`\lambda\,\theta` to the gradient (L2).
        dampening: :math:`\tau`, how much of each gradient is left out.
        nesterov: step by :math:`\eta\,(g_t + \mu\, b_t)`.
        maximize: ascend instead of descend.

    State, per parameter: `step`, with momentum `momentum_buffer` (:math:`b`).
    """

    _declaration = Declaration(
        rule=mlx_sgd,
        ranges={**_SGD_RANGES, "dampening": ANY_NUMBER},
        buffers=sgd_buffer_names,
        weight_decay=coupled,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "dampening": dampening,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


class KerasAdagrad(ElementwiseRule):
    r"""`Adagrad` of Keras and optax: :math:`\varepsilon` in the root, a sum that starts above 0.

    .. math::
        s_t = s_{t-1} + g_t^2, \qquad
        \theta_t = \theta_{t-1} - \eta\, \frac{g_t}{\sqrt{s_t + \varepsilon}}

    Equal to `Adagrad(initial_accumulator_value=s₀ + ε, eps=0)`.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`.
        initial_accumulator_value: :math:`s_0 \ge 0`.
        eps: :math:`\varepsilon \ge 0`.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda` first.
        maximize: ascend instead of descend.

    State, per parameter: `step`, `sum` (:math:`s`).
    """

    _declaration = Declaration(
        rule=keras_adagrad,
        ranges={**_RANGES, "initial_accumulator_value": AT_LEAST_ZERO},
        buffers=("sum",),
        new_buffer=_accumulator,
        weight_decay=decoupled,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        initial_accumulator_value: float = 0.1,
        eps: float = 1e-7,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


class KerasRMSprop(ElementwiseRule):
    r"""`RMSprop` of Keras, TensorFlow, PaddlePaddle and optax.

    .. math::
        v_t &= \alpha\, v_{t-1} + (1 - \alpha)\, g_t^2 \\
        u_t &= \mu\, u_{t-1} + \eta\, \frac{g_t}{\sqrt{v_t + \varepsilon}}, \qquad
        \theta_t = \theta_{t-1} - u_t

    :math:`\varepsilon` stands in the root, the learning rate in the velocity.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`.
        alpha: :math:`\alpha \ge 0`, how much of the average of squares stays.
        momentum: :math:`\mu \ge 0`.
        eps: :math:`\varepsilon \ge 0`.
        centered: take :math:`v_t - \bar g_t^2` for :math:`v_t`.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda` first.
        initial_scale: :math:`v_0 \ge 0`.
        eps_in_root: False: divide by :math:`\sqrt{v_t} + \varepsilon`, as
            `optax.rmsprop(eps_in_sqrt=False)` does.
        decoupled_weight_decay: False: :math:`\lambda\,\theta` joins the gradient, as in
            PaddlePaddle.
        maximize: ascend instead of descend.

    State, per parameter: `step`, `square_avg` (:math:`v`), with momentum `velocity` (:math:`u`),
    centred `grad_avg` (:math:`\bar g`).
    """

    _declaration = Declaration(
        rule=keras_rmsprop,
        ranges={
            **_RANGES,
            "alpha": AT_LEAST_ZERO,
            "momentum": AT_LEAST_ZERO,
            "initial_scale": AT_LEAST_ZERO,
        },
        buffers=_rmsprop_buffer_names,
        new_buffer=_rmsprop_buffer,
        weight_decay=coupled_or_decoupled,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        alpha: float = 0.9,
        momentum: float = 0.0,
        eps: float = 1e-7,
        centered: bool = False,
        weight_decay: float = 0.0,
        *,
        initial_scale: float = 0.0,
        eps_in_root: bool = True,
        decoupled_weight_decay: bool = True,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "momentum": momentum,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "initial_scale": initial_scale,
            "eps_in_root": eps_in_root,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


class TF1RMSprop(KerasRMSprop):
    """`tf.compat.v1.train.RMSPropOptimizer`: `KerasRMSprop` with :math:`v_0 = 1`.

    Reinforcement learning of the TensorFlow 1 years was tuned with it. Arguments, state and errors
    are those of `KerasRMSprop`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        alpha: float = 0.9,
        momentum: float = 0.0,
        eps: float = 1e-10,
        centered: bool = False,
        weight_decay: float = 0.0,
        *,
        initial_scale: float = 1.0,
        eps_in_root: bool = True,
        decoupled_weight_decay: bool = True,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            alpha,
            momentum,
            eps,
            centered,
            weight_decay,
            initial_scale=initial_scale,
            eps_in_root=eps_in_root,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )


class KerasAdam(ElementwiseRule):
    r"""`Adam`, `AdamW` of Keras, TensorFlow, scikit-learn: the paper's :math:`\hat\varepsilon`.

    .. math::
        \theta_t = \theta_{t-1} - \eta\, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}\,
            \frac{m_t}{\sqrt{v_t} + \varepsilon}

    :math:`\varepsilon` is added before the correction: equal to `Adam` with
    :math:`\varepsilon / \sqrt{1 - \beta_2^t}`, so that its first steps hold back far more.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: :math:`\varepsilon \ge 0`.
        amsgrad: divide by the largest :math:`v` so far (taken before the correction).
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda`
            first, in Keras's `Adam` as in its `AdamW`.
        maximize: ascend instead of descend.

    State, per parameter: `step`, `exp_avg` (:math:`m`), `exp_avg_sq` (:math:`v`), with amsgrad
    `max_exp_avg_sq`.

    Source: Kingma, Ba, *Adam: a method for stochastic optimization* (2015), end of section 2.
    """

    _declaration = Declaration(
        rule=keras_adam,
        ranges=_ADAM_RANGES,
        buffers=adam_buffer_names,
        weight_decay=decoupled,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "amsgrad": amsgrad,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


class MLXAdam(ElementwiseRule):
    r"""`Adam` and `AdamW` of MLX: no bias correction unless asked for.

    .. math::
        \theta_t = \theta_{t-1} - \eta\, \frac{m_t}{\sqrt{v_t} + \varepsilon}

    The first step is :math:`(1-\beta_1)/\sqrt{1-\beta_2}` times that of `Adam`: 3.2 times with the
    usual betas.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: :math:`\varepsilon \ge 0`.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda` first.
        maximize: ascend instead of descend.

    State, per parameter: `step`, `exp_avg` (:math:`m`), `exp_avg_sq` (:math:`v`).
    """

    _declaration = Declaration(
        rule=mlx_adam,
        ranges=_ADAM_RANGES,
        buffers=("exp_avg", "exp_avg_sq"),
        weight_decay=decoupled,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


class OptaxAMSGrad(ElementwiseRule):
    r"""`optax.amsgrad`: the maximum is taken over the corrected :math:`\hat v`.

    .. math::
        \bar v_t = \max(\bar v_{t-1}, \hat v_t), \qquad
        \theta_t = \theta_{t-1} - \eta\, \frac{\hat m_t}{\sqrt{\bar v_t} + \varepsilon}

    torch and Keras take the maximum over the raw :math:`v` and correct it afterwards.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: :math:`\varepsilon \ge 0`.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda` first.
        maximize: ascend instead of descend.

    State, per parameter: `step`, `exp_avg` (:math:`m`), `exp_avg_sq` (:math:`v`),
    `max_corrected_sq` (:math:`\bar v`).
    """

    _declaration = Declaration(
        rule=optax_amsgrad,
        ranges=_ADAM_RANGES,
        buffers=("exp_avg", "exp_avg_sq", "max_corrected_sq"),
        weight_decay=decoupled,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


class PaperAdamW(ElementwiseRule):
    r"""AdamW as published: the learning rate does not scale the decay.

    .. math::
        \theta_t = (1 - \lambda)\,\theta_{t-1}
            - \eta\, \frac{\hat m_t}{\sqrt{\hat v_t} + \varepsilon}

    Equal to `AdamW(weight_decay=λ/η)` as long as :math:`\eta` stays the same. Optimisers.jl (until
    November 2024) and TensorFlow Addons computed it so.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: :math:`\varepsilon \ge 0`.
        weight_decay: :math:`\lambda \ge 0`, the share of a parameter that each step takes away.
        maximize: ascend instead of descend.

    State, per parameter: `step`, `exp_avg` (:math:`m`), `exp_avg_sq` (:math:`v`).

    Source: Loshchilov, Hutter, *Decoupled weight decay regularization* (2019), Algorithm 2, with
    a schedule multiplier of 1.
    """

    _declaration = Declaration(
        rule=adam,
        ranges=_ADAM_RANGES,
        buffers=("exp_avg", "exp_avg_sq"),
        weight_decay=_paper_decay,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-5,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


class KerasAdadelta(ElementwiseRule):
    r"""`Adadelta` of Keras: the rule of `Adadelta`, and weight decay beside it.

    .. math::
        \theta_t = (1 - \eta\lambda)\,\theta_{t-1} - \eta\, \Delta_t

    Equal to `Adadelta` as long as weights do not decay.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`.
        rho: :math:`0 \le \rho \le 1`, how much of both averages stays.
        eps: :math:`\varepsilon \ge 0`, inside both roots.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda` first.
        maximize: ascend instead of descend.

    State, per parameter: `step`, `square_avg` (:math:`v`), `acc_delta` (:math:`u`).
    """

    _declaration = Declaration(
        rule=adadelta,
        ranges={**_RANGES, "rho": Range(0.0, 1.0)},
        buffers=("square_avg", "acc_delta"),
        weight_decay=decoupled,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        rho: float = 0.95,
        eps: float = 1e-7,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


class KerasAdamax(ElementwiseRule):
    r"""`Adamax` of Keras, and of MLX, which does not correct the average.

    .. math::
        u_t = \max(\beta_2\, u_{t-1}, |g_t|), \qquad
        \theta_t = \theta_{t-1} - \frac{\eta}{1 - \beta_1^t}\, \frac{m_t}{u_t + \varepsilon}

    :math:`\varepsilon` is added after the maximum, where `Adamax` adds it to the gradient in it.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: :math:`\varepsilon \ge 0`.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda` first.
        bias_correction: False: :math:`\eta` itself stands before the quotient, as in MLX.
        maximize: ascend instead of descend.

    State, per parameter: `step`, `exp_avg` (:math:`m`), `exp_inf` (:math:`u`).
    """

    _declaration = Declaration(
        rule=keras_adamax,
        ranges=_ADAM_RANGES,
        buffers=("exp_avg", "exp_inf"),
        weight_decay=decoupled,
        zeros_tie=False,  # sizes are never -0.0
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-7,
        weight_decay: float = 0.0,
        *,
        bias_correction: bool = True,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "bias_correction": bias_correction,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


class OptaxRAdam(ElementwiseRule):
    r"""`optax.radam`: :math:`\varepsilon` is added to :math:`\sqrt{\hat v}`, as in `Adam`.

    .. math::
        \theta_t = \theta_{t-1} - \eta\, r_t\, \frac{\hat m_t}{\sqrt{\hat v_t} + \varepsilon}
        \quad (\rho_t \ge 5)

    torch's `RAdam` adds it to :math:`\sqrt{v}`, before the correction.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: :math:`\varepsilon \ge 0`.
        maximize: ascend instead of descend.

    State, per parameter: `step`, `exp_avg` (:math:`m`), `exp_avg_sq` (:math:`v`).
    """

    _declaration = Declaration(
        rule=optax_radam,
        ranges={"lr": LEARNING_RATE, "betas": BETAS, "eps": EPSILON},
        buffers=("exp_avg", "exp_avg_sq"),
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize}
        super().__init__(params, defaults)


class PaddleAdamax(ElementwiseRule):
    r"""`Adamax` of PaddlePaddle.

    .. math::
        u_t = \max(\beta_2\, u_{t-1} + \varepsilon,\; |g_t|), \qquad
        \theta_t = \theta_{t-1} - \frac{\eta}{1 - \beta_1^t}\, \frac{m_t}{u_t}

    :math:`\varepsilon` is added to the past maximum, where `Adamax` adds it to the gradient.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: :math:`\varepsilon \ge 0`.
        weight_decay: :math:`\lambda \ge 0`; adds :math:`\lambda\,\theta` to the gradient (L2).
        maximize: ascend instead of descend.

    State, per parameter: `step`, `exp_avg` (:math:`m`), `exp_inf` (:math:`u`).
    """

    _declaration = Declaration(
        rule=paddle_adamax,
        ranges=_ADAM_RANGES,
        buffers=("exp_avg", "exp_inf"),
        weight_decay=coupled,
        zeros_tie=False,  # sizes are never -0.0
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


class OptaxRprop(ElementwiseRule):
    r"""`optax.rprop`: every step is made one call late.

    .. math::
        d_t = \begin{cases} 0 & g_t\, d_{t-1} < 0 \\ \Gamma_t \operatorname{sign}(g_t) &
            \text{else} \end{cases}, \qquad
        \theta_t = \theta_{t-1} - \begin{cases} 0 & g_t\, d_{t-1} < 0 \\ d_{t-1} & \text{else}
            \end{cases}

    The first call changes nothing, and where the gradient changes its sign two steps are left out,
    the one before and the one after. The step sizes :math:`\Gamma` are those of `Rprop`.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: the first step size :math:`\Gamma_0 \ge 0`.
        etas: :math:`0 < \eta_- < 1 < \eta_+`, by how much a step size shrinks and grows.
        step_sizes: :math:`0 \le \Gamma_{\min} \le \Gamma_{\max}`.
        maximize: ascend instead of descend.

    State, per parameter: `step`, `prev_update` (:math:`d`), `step_size` (:math:`\Gamma`).
    """

    _declaration = replace(
        Rprop._declaration,
        rule=optax_rprop,
        buffers=("prev_update", "step_size"),
        new_buffer=_rprop_buffer,
        twin=None,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize}
        super().__init__(params, defaults)


class PaperAdafactor(TensorRule):
    r"""Adafactor as published, and in Keras, MLX and optax.

    .. math::
        s_t &= g_t^2 + \varepsilon_1, \qquad u_t = g_t / \sqrt{\hat v_t} \\
        \theta_t &= (1 - \eta\lambda)\,\theta_{t-1} - \max(\varepsilon_2,
            \operatorname{RMS}(\theta_{t-1}))\, \rho_t\,
            \frac{u_t}{\max(1, \operatorname{RMS}(u_t)/d)}

    where :math:`\hat v_t` is made from :math:`s_t` as in `Adafactor`. There :math:`\varepsilon_1`
    bounds what is divided by, here it is added to the squares: the same unless gradients are tiny.
    There RMS(θ) is taken before the decay, here after it.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups; real.
        lr: learning rate :math:`\eta \ge 0`.
        beta2_decay: :math:`c \le 0`; at step t the averages keep :math:`1 - t^c`.
        eps: :math:`(\varepsilon_1, \varepsilon_2)`, both at least 0.
        d: :math:`d \ge 1`, the root mean square at which updates are clipped.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda`.
        rate: "capped": :math:`\rho_t = \min(\eta, 1/\sqrt t)`, as in Keras and torch; "relative":
            :math:`\rho_t = \min(0.01, 1/\sqrt t)`, so that the learning rate is not read, as in
            the paper and by default in MLX; "given": :math:`\rho_t = \eta`, as in optax.
        min_size_to_factor: the second moments of a matrix are factored where both its dimensions
            have at least this size; in optax 128. Of more dimensions the last two are meant.
        maximize: ascend instead of descend.

    State, per parameter: `step`, `row_var` and `col_var` where they are factored, else `variance`.

    Source: Shazeer, Stern, *Adafactor: adaptive learning rates with sublinear memory cost* (2018),
    Algorithms 4 and 5.
    """

    _declaration = replace(
        Adafactor._declaration,
        rule=paper_adafactor,
        ranges={
            **Adafactor._declaration.ranges,
            "rate": OneOf(("capped", "relative", "given")),
            "min_size_to_factor": Range(1),
        },
        buffers_of=_factored_buffer_names,
        twin=None,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float, float] = (1e-30, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        rate: RelativeStep = "capped",
        min_size_to_factor: int = 1,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "rate": rate,
            "min_size_to_factor": min_size_to_factor,
            "maximize": maximize,
        }
        super().__init__(params, defaults)


#: Every dialect by its name.
DIALECTS: dict[str, type[TensorRule]] = {
    cls.__name__: cls
    for cls in (
        KerasSGD,
        MLXSGD,
        KerasAdagrad,
        KerasRMSprop,
        TF1RMSprop,
        KerasAdam,
        MLXAdam,
        OptaxAMSGrad,
        PaperAdamW,
        KerasAdadelta,
        KerasAdamax,
        PaddleAdamax,
        OptaxRAdam,
        OptaxRprop,
        PaperAdafactor,
    )
}
