"""Adagrad (Duchi, Hazan and Singer 2011), as in torch.optim."""

from typing import Any

import torch
from torch import Tensor

from myoptim.course.solutions.frame import Frame


class Adagrad(Frame):
    r"""Divides each gradient by the root of the sum s of all squares so far.

    .. math:: s_t = s_{t-1} + g_t^2, \quad
        \theta_t = \theta_{t-1} - \frac{\eta}{1 + (t - 1) k} \frac{g_t}{\sqrt{s_t} + \epsilon}
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def start(self, group: dict[str, Any], state: dict[str, Any], p: Tensor) -> None:
        """The sum starts at the value asked for."""
        state["step"] = 0
        state["sum"] = torch.full_like(p, group["initial_accumulator_value"])

    def update(self, group: dict[str, Any], state: dict[str, Any], p: Tensor, g: Tensor) -> None:
        """Add the square, then divide by the root of the sum."""
        lr = group["lr"]
        eps = group["eps"]
        t = state["step"] = state["step"] + 1
        s = state["sum"] = state["sum"] + g * g
        decayed_lr = lr / (1 + (t - 1) * group["lr_decay"])
        p.sub_(decayed_lr * g / (s.sqrt() + eps))
