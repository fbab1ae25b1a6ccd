"""Muon (Jordan and others 2024), as in torch.optim, but in the parameter's own precision."""

from typing import Any

import torch
from torch import Tensor

from myoptim.course.solutions.frame import Frame


class Muon(Frame):
    r"""Averages the gradient, and steps along the nearest orthogonal matrix, roughly.

    .. math:: B_t = \mu B_{t-1} + (1 - \mu) G_t, \quad U_t = (1 - \mu) G_t + \mu B_t, \quad
        \Theta_t = (1 - \eta \lambda) \Theta_{t-1}
        - \eta \sqrt{\max(1, \text{rows} / \text{columns})}\, \operatorname{NS}(U_t)

    NS is the Newton-Schulz iteration :math:`X \leftarrow a X + (b A + c A^2) X` with
    :math:`A = X X^\top`, from :math:`X = U / \max(\lVert U \rVert, \epsilon)`.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def decay(self, group: dict[str, Any], p: Tensor, g: Tensor) -> Tensor:
        """Shrink the parameter; the gradient, and so the average, never see the decay."""
        p.mul_(1 - group["lr"] * group["weight_decay"])
        return g

    def start(self, group: dict[str, Any], state: dict[str, Any], p: Tensor) -> None:
        """The average is empty. Its size does not matter, so there is no bias to correct."""
        state["momentum_buffer"] = torch.zeros_like(p)

    def update(self, group: dict[str, Any], state: dict[str, Any], p: Tensor, g: Tensor) -> None:
        """Average, look ahead, make orthogonal, step."""
        lr = group["lr"]
        momentum = group["momentum"]
        a, b, c = group["ns_coefficients"]
        m = state["momentum_buffer"] = momentum * state["momentum_buffer"] + (1 - momentum) * g
        u = (1 - momentum) * g + momentum * m if group["nesterov"] else m
        x = u / u.norm().clamp(min=group["eps"])
        for _ in range(group["ns_steps"]):
            gram = x @ x.T
            x = a * x + (b * gram + c * gram @ gram) @ x
        rows, columns = p.shape
        p.sub_(lr * max(1, rows / columns) ** 0.5 * x)
