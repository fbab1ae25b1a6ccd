"""Adam (Kingma and Ba 2015, Algorithm 1; AMSGrad: Reddi, Kale and Kumar 2018) and AdamW."""

from typing import Any

import torch
from torch import Tensor

from myoptim.course.solutions.frame import Frame


class Adam(Frame):
    r"""Divides a moving average m of the gradient by the root of one of its squares, v.

    .. math:: m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \quad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \quad
        \hat m = \frac{m_t}{1 - \beta_1^t}, \quad \hat v = \frac{v_t}{1 - \beta_2^t}, \quad
        \theta_t = \theta_{t-1} - \eta \frac{\hat m}{\sqrt{\hat v} + \epsilon}

    With AMSGrad the maximum of all v so far stands for v.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def start(self, group: dict[str, Any], state: dict[str, Any], p: Tensor) -> None:
        """Both averages start at zero, and so need their bias corrected."""
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(p)
        state["exp_avg_sq"] = torch.zeros_like(p)

    def update(self, group: dict[str, Any], state: dict[str, Any], p: Tensor, g: Tensor) -> None:
        """Average gradient and square, correct their bias, divide."""
        lr = group["lr"]
        beta1, beta2 = group["betas"]
        eps = group["eps"]
        t = state["step"] = state["step"] + 1
        m = state["exp_avg"] = beta1 * state["exp_avg"] + (1 - beta1) * g
        v = state["exp_avg_sq"] = beta2 * state["exp_avg_sq"] + (1 - beta2) * g * g
        if group["amsgrad"]:
            v = state["max_exp_avg_sq"] = torch.maximum(state.get("max_exp_avg_sq", v), v)
        c1 = 1 - beta1**t
        c2 = 1 - beta2**t
        m_hat = m / c1
        v_hat = v / c2
        p.sub_(lr * m_hat / (v_hat.sqrt() + eps))


class AdamW(Adam):
    r"""Adam with decoupled weight decay (Loshchilov and Hutter 2019), as in torch.optim.

    .. math:: \theta \leftarrow (1 - \eta \lambda) \theta_{t-1}, and then Adam's step.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        **rest: Any,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, **rest)

    def decay(self, group: dict[str, Any], p: Tensor, g: Tensor) -> Tensor:
        """Shrink the parameter; the gradient, and so the averages, never see the decay."""
        p.mul_(1 - group["lr"] * group["weight_decay"])
        return g
