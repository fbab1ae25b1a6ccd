"""SGD with momentum and Nesterov momentum, as in torch.optim."""

from typing import Any

from torch import Tensor

from myoptim.course.solutions.frame import Frame


class SGD(Frame):
    r"""Stochastic gradient descent; b is the momentum buffer, μ momentum, τ dampening.

    .. math:: b_1 = g_1, \quad b_t = \mu b_{t-1} + (1 - \tau) g_t, \quad
        \theta_t = \theta_{t-1} - \eta b_t

    With Nesterov momentum :math:`g_t + \mu b_t` stands for the last :math:`b_t`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def start(self, group: dict[str, Any], state: dict[str, Any], p: Tensor) -> None:
        """There is no buffer before the first gradient."""
        state["momentum_buffer"] = None

    def update(self, group: dict[str, Any], state: dict[str, Any], p: Tensor, g: Tensor) -> None:
        """Move along the buffer, whose first value is the first gradient, undamped."""
        lr = group["lr"]
        momentum = group["momentum"]
        if momentum != 0:
            b = state["momentum_buffer"]
            b = g.clone() if b is None else momentum * b + (1 - group["dampening"]) * g
            state["momentum_buffer"] = b
            g = g + momentum * b if group["nesterov"] else b
        p.sub_(lr * g)


class Momentum(SGD):
    """SGD whose momentum is on."""

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0.9, **rest: Any) -> None:
        super().__init__(params, lr, momentum, **rest)


class Nesterov(SGD):
    """SGD whose momentum is Nesterov's."""

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0.9, **rest: Any) -> None:
        super().__init__(params, lr, momentum, nesterov=True, **rest)
