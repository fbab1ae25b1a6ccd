"""Adafactor (Shazeer and Stern 2018, Algorithms 4 and 5), as in torch.optim."""

from typing import Any

import torch
from torch import Tensor

from myoptim.course.solutions.frame import Frame


class Adafactor(Frame):
    r"""Divides the gradient by the root of a mean square that is kept by rows and columns.

    .. math:: w_t = t^c, \quad
        R_t = (1 - w_t) R_{t-1} + w_t \operatorname{mean}_\text{columns}(g_t^2), \quad
        C_t = (1 - w_t) C_{t-1} + w_t \operatorname{mean}_\text{rows}(g_t^2), \quad
        v_t = \frac{R_t C_t}{\max(\operatorname{mean} R_t, \epsilon_1)}, \quad
        u_t = \frac{g_t}{\max(\sqrt{v_t}, \epsilon_1)}, \quad
        \alpha_t = \max(\epsilon_2, \operatorname{RMS}(\theta_{t-1})) \min(\eta, 1 / \sqrt t), \quad
        \theta_t = (1 - \eta \lambda) \theta_{t-1}
        - \alpha_t \frac{u_t}{\max(1, \operatorname{RMS}(u_t) / d)}

    A vector keeps the average of g² itself for v.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def decay(self, group: dict[str, Any], p: Tensor, g: Tensor) -> Tensor:
        """The decay is part of the update: the size of the parameter is taken before it."""
        return g

    def start(self, group: dict[str, Any], state: dict[str, Any], p: Tensor) -> None:
        """The first step keeps nothing of what is here, so there is no bias to correct."""
        state["step"] = 0
        if p.dim() > 1:
            state["row_var"] = torch.zeros_like(p[..., :1])
            state["col_var"] = torch.zeros_like(p[..., :1, :])
        else:
            state["variance"] = torch.zeros_like(p)

    def update(self, group: dict[str, Any], state: dict[str, Any], p: Tensor, g: Tensor) -> None:
        """Average squares, divide, bound the update, step relative to the parameter."""
        lr = group["lr"]
        eps1, eps2 = group["eps"]
        if eps1 is None:
            eps1 = torch.finfo(p.dtype).eps
        t = state["step"] = state["step"] + 1
        w = t ** group["beta2_decay"]
        size = p.norm().item() / p.numel() ** 0.5
        alpha = max(eps2, size) * min(lr, 1 / t**0.5)
        p.mul_(1 - group["lr"] * group["weight_decay"])
        if p.dim() > 1:
            r = state["row_var"] = (1 - w) * state["row_var"] + w * (g * g).mean(-1, keepdim=True)
            c = state["col_var"] = (1 - w) * state["col_var"] + w * (g * g).mean(-2, keepdim=True)
            v = r @ c / r.mean(-2, keepdim=True).clamp(min=eps1)
        else:
            v = state["variance"] = (1 - w) * state["variance"] + w * g * g
        u = g / v.sqrt().clamp(min=eps1)
        u = u / max(1.0, u.norm().item() / u.numel() ** 0.5 / group["d"])
        p.sub_(alpha * u)
