"""Rules that use what formula comments may hold and the package's own rules do not."""

import math
from typing import Literal

import torch
from torch import Tensor


def adadelta(
    param: Tensor, grad: Tensor, square_avg: Tensor, acc_delta: Tensor, *, lr: float, rho: float,
    eps: float,
) -> None:  # fmt: skip
    """A step: θ = param, g = grad, v = square_avg, u = acc_delta, η = lr, ρ = rho, ε = eps."""
    square_avg.mul_(rho).addcmul_(grad, grad, value=1 - rho)  #   v ← ρ v + (1 − ρ) g²
    root = square_avg.add(eps).sqrt_()  #                         √(v + ε)
    delta = acc_delta.add(eps).sqrt_().div_(root).mul_(grad)  #   Δ = g √(u + ε) / √(v + ε)
    acc_delta.mul_(rho).addcmul_(delta, delta, value=1 - rho)  #  u ← ρ u + (1 − ρ) Δ²
    param.add_(delta, alpha=-lr)  #                               θ ← θ − η Δ


def rprop(
    param: Tensor, grad: Tensor, prev: Tensor, step_size: Tensor, *,
    etas: tuple[float, float], step_sizes: tuple[float, float],
) -> None:  # fmt: skip
    """A step: θ = param, g = grad, p = prev, η = step_size, (η⁻, η⁺) = etas,
    (l, h) = step_sizes."""
    shrink, grow = etas
    agree = grad.mul(prev).sign_()  #                             s = sign(g p)
    factor = torch.where(  # f = η⁺ where s > 0, η⁻ where s < 0, else 1
        agree.gt(0), grow, torch.where(agree.lt(0), shrink, 1.0)
    )
    # A comment in a line of its own is free: θ ← nothing.
    step_size.mul_(factor).clamp_(*step_sizes)  #                 η ← clip(η f, l, h)
    grad = torch.where(agree.lt(0), 0.0, grad)  #                 g ← 0 where s < 0
    param.addcmul_(grad.sign(), step_size, value=-1)  #           θ ← θ − sign(g) η
    prev.copy_(grad)  #                                           p ← g


def radam(
    param: Tensor, grad: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor, *, step: float, lr: float,
    betas: tuple[float, float], eps: float,
) -> None:  # fmt: skip
    """A step: θ = param, g = grad, m = exp_avg, v = exp_avg_sq, t = step (1 at first), η = lr,
    (β₁, β₂) = betas, ε = eps; m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ), ρ∞ = 2 / (1 − β₂) − 1.

    Only the first paragraph counts: θ = nothing.
    """
    beta1, beta2 = betas
    exp_avg.lerp_(grad, 1 - beta1)  #                              m ← β₁ m + (1 − β₁) g
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)  # v ← β₂ v + (1 − β₂) g²
    longest = 2 / (1 - beta2) - 1  #                               ρ∞
    power = beta2**step  #                                         β₂ᵗ
    length = longest - 2 * step * power / (1 - power)  #           ρ = ρ∞ − 2 t β₂ᵗ / (1 − β₂ᵗ)
    corrected = exp_avg / (1 - beta1**step)  #                     m̂
    if length > 5:  # the variance is tractable
        above = (length - 4) * (length - 2) * longest  #           (ρ − 4) (ρ − 2) ρ∞
        below = (longest - 4) * (longest - 2) * length  #          (ρ∞ − 4) (ρ∞ − 2) ρ
        rectified = math.sqrt(above / below)  #  r = √((ρ − 4) (ρ − 2) ρ∞ / ((ρ∞ − 4) (ρ∞ − 2) ρ))
        root = exp_avg_sq.sqrt().add_(eps)  #                      √v + ε
        scale = math.sqrt(1 - power) / root  #                     √(1 − β₂ᵗ) / (√v + ε)
        update = corrected * scale * rectified  #                  u = m̂ r √(1 − β₂ᵗ) / (√v + ε)
    else:
        update = corrected  #                                      u = m̂
    param.add_(update, alpha=-lr)  #                               θ ← θ − η u


def adamax(
    param: Tensor, grad: Tensor, exp_avg: Tensor, exp_inf: Tensor, *, step: float, lr: float,
    betas: tuple[float, float], eps: float,
) -> None:  # fmt: skip
    """A step: θ = param, g = grad, m = exp_avg, u = exp_inf, t = step, η = lr, (β₁, β₂) = betas,
    ε = eps."""
    exp_avg.lerp_(grad, 1 - betas[0])  #                           m ← β₁ m + (1 − β₁) g
    torch.maximum(
        exp_inf.mul_(betas[1]), grad.abs().add_(eps), out=exp_inf
    )  # u ← max(β₂ u, |g| + ε)
    param.addcdiv_(
        exp_avg, exp_inf, value=-lr / (1 - betas[0] ** step)
    )  # θ ← θ − η m / (u (1 − β₁ᵗ))


def asgd(
    param: Tensor, grad: Tensor, ax: Tensor, *, step: float, lr: float, lambd: float, alpha: float,
    t0: float, eta: float,
) -> None:  # fmt: skip
    """A step: θ = param, g = grad, a = ax, t = step, η₀ = lr, η = eta, λ = lambd, α = alpha,
    t₀ = t0."""
    param.mul_(1 - lambd * eta).add_(grad, alpha=-eta)  #          θ ← (1 − λ η) θ − η g
    share = 1 / max(1, step - t0)  #                               μ = 1 / max(1, t − t₀)
    ax += (param - ax) * share  #                                  a ← a + μ (θ − a)
    lr / (1 + lambd * lr * step) ** alpha  # η₀ / (1 + λ η₀ t)^α


def orthogonal(param: Tensor, grad: Tensor, *, lr: float, ns_steps: int) -> None:
    """A step: θ = param, g = grad, η = lr."""
    update = grad / grad.norm()  #                                 X = g / ‖g‖
    for _ in range(ns_steps):
        gram = update @ update.mT  #                               A = X @ Xᵀ
        poly = -4.775 * gram + 2.0315 * gram @ gram  #             B = −4.775 A + 2.0315 A @ A
        update = 3.4445 * update + poly @ update  #                X ← 3.4445 X + B @ X
    param.add_(update, alpha=-lr)  #                               θ ← θ − η X


def scaled(
    param: Tensor, grad: Tensor, row: Tensor, *, lr: float, decay: float,
    scale: Literal["rms", "none"],
) -> None:  # fmt: skip
    """A step: θ = param, g = grad, R = row, η = lr, λ = decay."""
    row.lerp_(grad.square().mean(dim=-1, keepdim=True), 0.5)  #    R ← ½ R + ½ mean(g², −1)
    if decay != 0:
        param.mul_(1 - lr * decay)  #                              θ ← θ − η λ θ
    if scale == "rms":
        lr = lr * 0.2  #                                           η ← 0.2 η
    param -= lr * grad / row.sqrt()  #                             θ ← θ − η g / √R
