"""Muon: momentum whose matrix is made nearly orthogonal before it is stepped along."""

from __future__ import annotations

import math
import typing
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.weight_decay import decoupled
from myoptim.declaration import Declaration
from myoptim.hyperparameters import ANY_NUMBER, Group, OneOf, Range, Several
from myoptim.rules import TensorRule

Adjustment: TypeAlias = Literal["original", "match_rms_adamw", "spectral_unclamped"]


def muon(
    param: Tensor,
    grad: Tensor,
    momentum_buffer: Tensor,
    *,
    lr: float,
    momentum: float,
    nesterov: bool,
    ns_coefficients: tuple[float, float, float],
    eps: float,
    ns_steps: int,
    adjust_lr_fn: Adjustment | None,
) -> None:
    """One step of Muon: Θ = param, G = grad, B = momentum_buffer (all of them matrices), η = lr,
    μ = momentum, NS = orthogonalized, RATE = adjusted."""
    momentum_buffer.lerp_(grad, 1 - momentum)  #                             B ← μ B + (1 − μ) G
    if nesterov:
        update = grad.lerp(momentum_buffer, momentum)  #                     U = (1 − μ) G + μ B
    else:
        update = momentum_buffer  #                                          U = B
    update = orthogonalized(update, ns_coefficients, ns_steps, eps)  #       O = NS(U)
    param.add_(update, alpha=-adjusted(lr, param, adjust_lr_fn))  #          Θ ← Θ − RATE(η) O


def orthogonalized(
    matrix: Tensor, ns_coefficients: tuple[float, float, float], ns_steps: int, eps: float
) -> Tensor:
    """The matrix U Vᵀ of a singular value decomposition U S Vᵀ, roughly: M = matrix, ε = eps,
    (a, b, c) = ns_coefficients. The singular values of what is returned lie between 0.5 and 1.5. By
    Newton-Schulz iteration, in bfloat16: each step makes σ of a singular value the polynomial
    a σ + b σ³ + c σ⁵."""
    a, b, c = ns_coefficients
    rows, columns = matrix.shape
    x = matrix.bfloat16()  #                                      X = M
    if rows > columns:  #                                         it has as many columns, or more
        x = x.T  #                                                X = Mᵀ
    x.div_(x.norm().clamp(min=eps))  #                            X ← X / max(‖X‖, ε), so σ ≤ 1
    for _ in range(ns_steps):
        gram = x @ x.T  #                                         A = X @ Xᵀ
        odd = torch.addmm(gram, gram, gram, beta=b, alpha=c)  #   P = b A + c A @ A
        x = torch.addmm(x, odd, x, beta=a)  #                     X ← a X + P @ X
    if rows > columns:
        return x.T  #                                             Xᵀ
    return x


def adjusted(lr: float, param: Tensor, adjust_lr_fn: Adjustment | None) -> float:
    """The learning rate for a matrix: η = lr."""
    rows, columns = param.shape
    if adjust_lr_fn == "match_rms_adamw":
        return lr * (0.2 * math.sqrt(max(rows, columns)))  #   0.2 η √(max(rows, columns))
    if adjust_lr_fn == "spectral_unclamped":
        return lr * math.sqrt(rows / columns)  #               η √(rows / columns)
    return lr * math.sqrt(max(1, rows / columns))  #           η √(max(1, rows / columns))


def new_buffer(name: str, param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """Zeros, of the gradient's type."""
    return torch.zeros_like(grad, memory_format=torch.preserve_format)


def check_parameters(number: int, params: Sequence[Tensor]) -> None:
    """Parameters must be matrices."""
    for param in params:
        if param.ndim != 2:
            raise ValueError(
                "Muon only supports 2D parameters whereas we found a parameter with size: "
                f"{param.size()}. Give biases, gains, embeddings and convolutions to another "
                "optimizer, such as AdamW; myoptim.split_for_muon(model) parts them"
            )


class Muon(TensorRule):
    r"""Muon. Equals `torch.optim.Muon`.

    .. math::
        B_t &= \mu\,B_{t-1} + (1 - \mu)\,G_t \\
        U_t &= (1 - \mu)\,G_t + \mu\,B_t \quad\text{(Nesterov)} \\
        \Theta_t &= (1 - \eta\lambda)\,\Theta_{t-1}
            - \eta \sqrt{\max(1, A/B)}\;\operatorname{NS}(U_t)

    for matrices :math:`\Theta` of :math:`A` rows and :math:`B` columns. The gradients of a layer
    are nearly of low rank: a few directions have it all. :math:`\operatorname{NS}` makes all
    singular values of the update nearly 1, so that the rare directions learn as fast as the
    frequent ones. It is the closest orthogonal matrix, and the steepest descent under the spectral
    norm; five Newton-Schulz steps find it by matrix products alone.

    Only for the matrices inside a network. Biases and gains are no matrices; rows of an embedding
    and of the last layer are each seen only when their word occurs; those go to AdamW, by
    `split_for_muon`.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups; real matrices.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda`.
        momentum: :math:`\mu` in [0, 1]: how much of the average stays.
        nesterov: look ahead: average the gradient in once more.
        ns_coefficients: :math:`(a, b, c)` of the polynomial :math:`a\sigma + b\sigma^3 +
            c\sigma^5`, by default the one that is steepest at 0.
        eps: the Frobenius norm that matrices are divided by is never below this; at least 0.
        ns_steps: how many steps of the iteration, from 0 to 99.
        adjust_lr_fn: "original" or None: :math:`\eta\sqrt{\max(1, A/B)}`, so that layers change
            their outputs alike; "match_rms_adamw": :math:`0.2\,\eta\sqrt{\max(A, B)}`, so that
            elements change as AdamW's do, and its learning rate and decay can be taken over;
            "spectral_unclamped", which torch has since 2.14: :math:`\eta\sqrt{A/B}`, so that
            layers that narrow change their outputs alike too.

    State, per parameter, from its first gradient on: `momentum_buffer` (:math:`B`, shaped like the
    parameter).

    Raises:
        ValueError: a hyper-parameter is outside its range, or a parameter is no matrix.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: a parameter is complex, or a gradient sparse.

    Sources: Jordan and others, *Muon: an optimizer for hidden layers in neural networks* (2024);
    "match_rms_adamw": Liu and others, *Muon is scalable for LLM training* (2025);
    "spectral_unclamped": Bernstein, *Deriving Muon* (2025).

    Example:
        >>> weight = torch.zeros(2, 2, requires_grad=True)
        >>> optimizer = Muon([weight], lr=0.1)
        >>> weight.grad = torch.tensor([[100.0, 0.0], [0.0, 10.0]])
        >>> optimizer.step()  # both directions move, however unequal their gradients
        >>> [round(x, 2) for x in weight.diagonal().tolist()]
        [-0.07, -0.07]
    """

    _declaration = Declaration(
        rule=muon,
        ranges={
            "lr": Range(0.0, says="Learning rate should be >= 0 but is: {value}"),
            "weight_decay": Range(0.0, says="weight decay should be >= 0 but is: {value}"),
            "momentum": Range(0.0, 1.0, says="momentum should be >= 0 but is: {value}"),
            "ns_coefficients": Several([ANY_NUMBER] * 3, "three numbers (a, b, c)"),
            "eps": Range(0.0, says="Invalid epsilon value: {value}"),
            "ns_steps": Range(0, 100, open_high=True),
            "adjust_lr_fn": OneOf(
                (None, *typing.get_args(Adjustment)),
                says="Adjust learning rate function {value} is not supported",
            ),
        },
        parameters=check_parameters,
        buffers=("momentum_buffer",),
        new_buffer=new_buffer,
        numbers={},
        weight_decay=decoupled,
        complex="refused",
        twin=getattr(torch.optim, "Muon", None),  # since torch 2.9
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
