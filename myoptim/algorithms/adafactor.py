"""Adafactor: second moments of a matrix kept as those of its rows and columns."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.declaration import Declaration
from myoptim.hyperparameters import Group, Range, Several
from myoptim.rules import TensorRule


def adafactor(
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
) -> None:
    """One step of Adafactor: θ = param, g = grad, R = row_var, C = col_var (for matrices),
    v = variance (for vectors), t = step (1 at first), η = lr, c = beta2_decay, (ε₁, ε₂) = eps,
    λ = weight_decay, RMS = rms, MS = mean_square."""
    eps1, eps2 = eps
    weight = step**beta2_decay  #                                      w = tᶜ
    relative_step = min(lr, 1 / step**0.5)  #                          ρ = min(η, 1 / √t)
    step_size = max(eps2, rms(param)) * relative_step  #               α = max(ε₂, RMS(θ)) ρ
    if weight_decay != 0:
        param.mul_(1 - lr * weight_decay)  #                           θ ← θ − η λ θ
    if row_var is not None and col_var is not None:
        row_var.lerp_(mean_square(grad, -1), weight)  #                R ← (1 − w) R + w MS(g, −1)
        col_var.lerp_(mean_square(grad, -2), weight)  #                C ← (1 − w) C + w MS(g, −2)
        mean = row_var.mean(dim=-2, keepdim=True).clamp_(min=eps1)  #  r = max(mean(R, −2), ε₁)
        estimate = (row_var @ col_var).div_(mean)  #                   v̂ = R @ C / r
    else:
        assert variance is not None
        estimate = variance.lerp_(grad * grad, weight).clone()  #      v ← (1 − w) v + w g², as v̂
    update = estimate.clamp_(min=eps1 * eps1).rsqrt_().mul_(grad)  #   u = g / √(max(v̂, ε₁²))
    excess = max(1.0, rms(update, d))  #                               e = max(1, RMS(u, d))
    param.add_(update, alpha=-step_size / excess)  #                   θ ← θ − α u / e


def rms(tensor: Tensor, times: float = 1) -> float:
    """The root mean square of all elements, divided by a number: x = tensor, d = times."""
    norm = torch.linalg.vector_norm(tensor).item()  #  ‖x‖
    return norm / (tensor.numel() ** 0.5 * times)  #   √(mean(x²)) / d


def mean_square(tensor: Tensor, dim: int) -> Tensor:
    """The mean square over a dimension, without a tensor of the squares: x = tensor."""
    squares = torch.norm(tensor, dim=dim, keepdim=True).square_()  #  sum(x², dim)
    return squares.div_(tensor.size(dim))  #                          mean(x², dim)


def buffer_names(param: Tensor, group: Group) -> tuple[str, ...]:
    """Vectors are not factored."""
    return ("row_var", "col_var") if param.dim() > 1 else ("variance",)


def new_buffer(name: str, param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """Zeros, for rows and columns with one dimension reduced to 1."""
    if name == "variance":
        return torch.zeros_like(grad, memory_format=torch.preserve_format)
    shape = list(grad.shape)
    shape[-1 if name == "row_var" else -2] = 1
    return grad.new_zeros(shape)


def should_be_positive(named: str) -> Range:
    """At least 0, in the words of torch's message."""
    return Range(0.0, says=f"{named} should be >= 0 but is: {{value}}")


class Adafactor(TensorRule):
    r"""Adafactor. Equals `torch.optim.Adafactor`.

    .. math::
        R_t &= (1 - w_t)\,R_{t-1} + w_t\,\operatorname{mean}_\text{columns}(g_t^2),
            \qquad w_t = t^{c} \\
        C_t &= (1 - w_t)\,C_{t-1} + w_t\,\operatorname{mean}_\text{rows}(g_t^2) \\
        \hat v_t &= R_t\,C_t \,/\, \max(\operatorname{mean} R_t, \varepsilon_1),
            \qquad u_t = g_t \,/\, \max(\sqrt{\hat v_t}, \varepsilon_1) \\
        \theta_t &= (1 - \eta\lambda)\,\theta_{t-1}
            - \max(\varepsilon_2, \operatorname{RMS}(\theta_{t-1}))\,\min(\eta, 1/\sqrt t)\,
              \frac{u_t}{\max(1, \operatorname{RMS}(u_t)/d)}

    For an :math:`n \times m` matrix Adam keeps :math:`2nm` numbers, Adafactor :math:`n + m`: the
    second moment of an element is taken to be the product of its row's and its column's, divided
    by the mean of all. There is no first moment. Steps are relative to the size of the parameter,
    and an update whose root mean square exceeds :math:`d` is scaled down. Of tensors with more than
    two dimensions the last two are factored; vectors keep a second moment per element.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups; real.
        lr: :math:`\eta \ge 0`, the largest relative step; a number or a tensor of one element. In
            the paper it is 0.01.
        beta2_decay: :math:`c \le 0`; at step t the averages keep :math:`1 - t^c`. So the first
            step keeps nothing, and no correction is needed.
        eps: :math:`(\varepsilon_1, \varepsilon_2)`, both at least 0: what a root is never below,
            None for the machine epsilon of the parameter's type; and what the scale of a parameter
            is never below, so that zeros can be left.
        d: :math:`d \ge 1`, the root mean square at which updates are clipped.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda`.
        foreach: accepted as in torch; the parameters are updated one after the other.
        maximize: ascend instead of descend.

    State, per parameter, from its first gradient on: `step` (:math:`t`, 0-dim float32); for
    parameters with two or more dimensions `row_var` (:math:`R`, the last dimension 1) and
    `col_var` (:math:`C`, the last but one 1), for others `variance` (shaped like the parameter).

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: a parameter is complex, or a gradient sparse.

    Source: Shazeer, Stern, *Adafactor: adaptive learning rates with sublinear memory cost* (2018),
    Algorithms 4 and 5. There :math:`\varepsilon_1` is added to the squared gradients; here and in
    torch it bounds what is divided by. Sums over rows and columns are means here.

    Example:
        >>> weight = torch.full((3, 4), 2.0, requires_grad=True)
        >>> optimizer = Adafactor([weight])
        >>> (weight ** 2).sum().backward()
        >>> optimizer.step()  # a step is lr times the size of the parameter
        >>> weight[0].tolist()
        [1.9800000190734863, 1.9800000190734863, 1.9800000190734863, 1.9800000190734863]
        >>> {name: tuple(value.shape) for name, value in optimizer.state[weight].items()}
        {'step': (), 'row_var': (3, 1), 'col_var': (1, 4)}
    """

    _declaration = Declaration(
        rule=adafactor,
        ranges={
            "lr": should_be_positive("Learning rate"),
            "beta2_decay": Range(high=0.0, says="{name} should be <= 0 but is: {value}"),
            "eps": Several(
                [
                    Range(0.0, optional=True, says="epsilon1 should be >= 0 but is: {value}"),
                    should_be_positive("epsilon2"),
                ],
                "a pair (epsilon1, epsilon2)",
            ),
            "d": Range(1.0, says="Clipping threshold d should be >= 1 but is: {value}"),
            "weight_decay": should_be_positive("weight_decay"),
        },
        buffers_of=buffer_names,
        new_buffer=new_buffer,
        complex="refused",
        twin=torch.optim.Adafactor,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        defaults: dict[str, Any] = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    @classmethod
    def _settle(cls, group: Group) -> Group:
        """Without an ε₁, it is that of the first parameter with a gradient, as in torch."""
        eps1, eps2 = group["eps"]
        if eps1 is None:
            stepped = (param for param in group["params"] if param.grad is not None)
            eps1 = next((torch.finfo(param.dtype).eps for param in stepped), 0.0)
        return {**group, "eps": (eps1, eps2)}
