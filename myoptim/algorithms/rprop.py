"""Rprop: only the sign of the gradient counts; each element has a step size of its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.declaration import Declaration
from myoptim.hyperparameters import (
    AT_LEAST_ZERO,
    LEARNING_RATE,
    Group,
    Range,
    Several,
    start_value,
)
from myoptim.rules import ElementwiseRule


def rprop(
    param: Tensor,
    grad: Tensor,
    prev: Tensor,
    step_size: Tensor,
    *,
    etas: tuple[float, float],
    step_sizes: tuple[float, float],
) -> None:
    """One step of Rprop: θ = param, g = grad, p = prev, Γ = step_size, (η₋, η₊) = etas,
    (Γ₋, Γ₊) = step_sizes."""
    eta_minus, eta_plus = etas
    factor = grad.mul(prev).sign_()  #                              f = sign(g p)
    factor.masked_fill_(factor.gt(0), eta_plus)  #                  f ← η₊ where f > 0
    factor.masked_fill_(factor.lt(0), eta_minus)  #                 f ← η₋ where f < 0
    factor.masked_fill_(factor.eq(0), 1)  #                         f ← 1 where f = 0
    step_size.mul_(factor).clamp_(*step_sizes)  #                   Γ ← min(max(f Γ, Γ₋), Γ₊)
    prev.copy_(grad).masked_fill_(factor.eq(eta_minus), 0)  #       p ← 0 where f = η₋, else g
    param.addcmul_(prev.sign(), step_size, value=-1)  #             θ ← θ − Γ sign(p)


def new_buffer(name: str, param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """Nothing went before, and every step size starts at the learning rate."""
    if name == "prev":
        return torch.zeros_like(param, memory_format=torch.preserve_format)
    step_size = torch.zeros_like(grad)
    parts = torch.view_as_real(step_size) if step_size.is_complex() else step_size
    parts.fill_(start_value("lr", group))
    return step_size


def in_order(group: Group) -> None:
    """The smallest step size must not be larger than the largest."""
    smallest, largest = group["step_sizes"]
    if smallest > largest:
        raise ValueError(
            f"Invalid step_sizes value: {group['step_sizes']} (allowed is "
            "step_sizes[0] <= step_sizes[1])"
        )


class Rprop(ElementwiseRule):
    r"""Resilient propagation. Equals `torch.optim.Rprop`.

    .. math::
        \Gamma_t &= \begin{cases}
            \min(\eta_+ \Gamma_{t-1},\; \Gamma_{\max}) & g_t\, p_{t-1} > 0 \\
            \max(\eta_- \Gamma_{t-1},\; \Gamma_{\min}) & g_t\, p_{t-1} < 0 \\
            \Gamma_{t-1} & \text{else}
            \end{cases} \\
        p_t &= \begin{cases} 0 & g_t\, p_{t-1} < 0 \\ g_t & \text{else} \end{cases} \\
        \theta_t &= \theta_{t-1} - \Gamma_t\, \operatorname{sign}(p_t)

    As long as the gradient of an element keeps its sign, its steps grow; when it changes, the
    minimum was overshot, the steps shrink and one is left out. For gradients of the whole data:
    the noise of small batches changes signs at random.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: the first step size :math:`\Gamma_0 \ge 0`; a number or a tensor of one element. It
            matters at the first step only, so that no schedule of it has any effect.
        etas: :math:`0 < \eta_- < 1 < \eta_+`, by how much a step size shrinks and grows.
        step_sizes: :math:`0 \le \Gamma_{\min} \le \Gamma_{\max}`.
        capturable: make the step safe to record in a CUDA graph.
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        maximize: ascend instead of descend.
        differentiable: let autograd record the step.
        fused: True: one compiled pass over memory; see `myoptim.execution`. torch has no fused
            Rprop, so this argument is ours, and without it the groups do not carry the key.

    State, per parameter, from its first gradient on: `step` (0-dim float32) and, shaped like the
    parameter, `prev` (:math:`p`) and `step_size` (:math:`\Gamma`). There is no weight decay.

    Raises:
        ValueError: a hyper-parameter is outside its range. Unlike torch's, this class refuses
            :math:`\Gamma_{\min} > \Gamma_{\max}`.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: `fused` together with `foreach` or `differentiable`, or a sparse gradient.

    Source: Riedmiller, Braun, *A direct adaptive method for faster backpropagation learning: the
    RPROP algorithm* (1993); this variant, without weight-backtracking: Igel, Hüsken, *Improving
    the Rprop learning algorithm* (2000), Rprop⁻ with the gradient set to zero (iRprop⁻).

    Example:
        >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = Rprop([weight], lr=0.1)
        >>> for _ in range(2):  # the second step is 1.2 times as long
        ...     optimizer.zero_grad()
        ...     (weight ** 2).sum().backward()
        ...     optimizer.step()
        >>> weight
        tensor([ 0.7800, 99.7800], requires_grad=True)
    """

    _declaration = Declaration(
        rule=rprop,
        ranges={
            "lr": LEARNING_RATE,
            "etas": Several(
                [
                    Range(0.0, 1.0, open_low=True, open_high=True),
                    Range(1.0, open_low=True),
                ],
                "a pair (eta_minus, eta_plus)",
                says="Invalid eta values: {values}",
            ),
            "step_sizes": Several(
                [AT_LEAST_ZERO, AT_LEAST_ZERO],
                "a pair (smallest, largest)",
                says="Invalid step_sizes value: {values}",
            ),
        },
        condition=in_order,
        buffers=("prev", "step_size"),
        new_buffer=new_buffer,
        twin=torch.optim.Rprop,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        if fused is not None:
            defaults["fused"] = fused
        super().__init__(params, defaults)
