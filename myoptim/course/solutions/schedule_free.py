"""Schedule-Free SGD (Defazio and others 2024, equations 2 to 4), while it trains."""

from typing import Any

from torch import Tensor

from myoptim.course.solutions.frame import Frame


class ScheduleFreeSGD(Frame):
    r"""Averages the points z that SGD goes through, and takes gradients near their average x.

    .. math:: z_t = z_{t-1} - \gamma_t g_t, \quad x_t = (1 - c_t) x_{t-1} + c_t z_t, \quad
        \theta_t = (1 - \beta) z_t + \beta x_t, \quad c_t = w_t / \sum_{s \le t} w_s

    with the rate of a warm-up :math:`\gamma_t = \eta \min(1, t / \max(1, T))` and the weights
    :math:`w_t = t^r (\max_{s \le t} \gamma_s)^p`. The parameters are θ.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        warmup_steps: float = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "warmup_steps": warmup_steps,
            "r": r,
            "weight_lr_power": weight_lr_power,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def start(self, group: dict[str, Any], state: dict[str, Any], p: Tensor) -> None:
        """All three points start where the parameter does; no point has been averaged yet."""
        state["step"] = 0
        state["z"] = p.clone()
        state["x"] = p.clone()
        state["lr_max"] = 0.0
        state["weight_sum"] = 0.0

    def update(self, group: dict[str, Any], state: dict[str, Any], p: Tensor, g: Tensor) -> None:
        """Move z, take it into the average, put the parameter between the two."""
        lr = group["lr"]
        beta = group["momentum"]
        t = state["step"] = state["step"] + 1
        rate = lr * min(1, t / max(1, group["warmup_steps"]))
        h = state["lr_max"] = max(state["lr_max"], rate)
        w = t ** group["r"] * h ** group["weight_lr_power"]
        total = state["weight_sum"] = state["weight_sum"] + w
        c = w / total
        z = state["z"] = state["z"] - rate * g
        x = state["x"] = (1 - c) * state["x"] + c * z
        p.copy_((1 - beta) * z + beta * x)
