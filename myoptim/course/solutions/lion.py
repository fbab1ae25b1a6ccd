"""Lion (Chen and others 2023, Algorithm 2)."""

from typing import Any

import torch
from torch import Tensor

from myoptim.course.solutions.frame import Frame


class Lion(Frame):
    r"""Steps by the sign of an average c of the gradient, and remembers another one, m.

    .. math:: c_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \quad
        \theta_t = (1 - \eta \lambda) \theta_{t-1} - \eta \operatorname{sign}(c_t), \quad
        m_t = \beta_2 m_{t-1} + (1 - \beta_2) g_t
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults)

    def decay(self, group: dict[str, Any], p: Tensor, g: Tensor) -> Tensor:
        """Shrink the parameter; the gradient, and so the averages, never see the decay."""
        p.mul_(1 - group["lr"] * group["weight_decay"])
        return g

    def start(self, group: dict[str, Any], state: dict[str, Any], p: Tensor) -> None:
        """The memory is empty. A sign has no size, so there is no bias to correct."""
        state["exp_avg"] = torch.zeros_like(p)

    def update(self, group: dict[str, Any], state: dict[str, Any], p: Tensor, g: Tensor) -> None:
        """Average for the step, average for the memory, step by the sign."""
        lr = group["lr"]
        beta1, beta2 = group["betas"]
        m = state["exp_avg"]
        c = beta1 * m + (1 - beta1) * g
        state["exp_avg"] = beta2 * m + (1 - beta2) * g
        p.sub_(lr * torch.sign(c))
