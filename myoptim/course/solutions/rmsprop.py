"""RMSprop (Hinton 2012, lecture 6e; centered: Graves 2013), as in torch.optim."""

from typing import Any

import torch
from torch import Tensor

from myoptim.course.solutions.frame import Frame


class RMSprop(Frame):
    r"""Divides each gradient by the root of a moving average v of its squares.

    .. math:: v_t = \alpha v_{t-1} + (1 - \alpha) g_t^2, \quad
        b_t = \mu b_{t-1} + \frac{g_t}{\sqrt{v_t} + \epsilon}, \quad
        \theta_t = \theta_{t-1} - \eta b_t

    Centered, the average of g, squared, is taken off v under the root.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def start(self, group: dict[str, Any], state: dict[str, Any], p: Tensor) -> None:
        """All averages start at zero."""
        state["step"] = 0
        state["square_avg"] = torch.zeros_like(p)
        state["grad_avg"] = torch.zeros_like(p)
        state["momentum_buffer"] = torch.zeros_like(p)

    def update(self, group: dict[str, Any], state: dict[str, Any], p: Tensor, g: Tensor) -> None:
        """Average the square, divide by its root, then gather momentum."""
        lr = group["lr"]
        alpha = group["alpha"]
        eps = group["eps"]
        momentum = group["momentum"]
        state["step"] = state["step"] + 1
        v = state["square_avg"] = alpha * state["square_avg"] + (1 - alpha) * g * g
        if group["centered"]:
            a = state["grad_avg"] = alpha * state["grad_avg"] + (1 - alpha) * g
            v = v - a * a
        u = g / (v.sqrt() + eps)
        if momentum != 0:
            u = state["momentum_buffer"] = momentum * state["momentum_buffer"] + u
        p.sub_(lr * u)
