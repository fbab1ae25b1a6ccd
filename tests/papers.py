"""Second writings: optimizers that torch does not have, each written from its paper alone.

They are what a row of the registry compares ours with where there is no twin in torch: a plain loop
over the parameters. Names of the state, and the order in which a sum is rounded, are those of ours.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

State = dict[str, Any]


class Paper(torch.optim.Optimizer):
    """The loop. A subclass has `start`, which fills the state of a parameter, and `update`."""

    start: Callable[..., None]
    update: Callable[..., None]

    def __setstate__(self, state: State) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("maximize", False)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            for group in self.param_groups:
                for param in group["params"]:
                    if param.grad is not None:
                        self.step_one(param, group)
        return loss

    def step_one(self, param: Tensor, group: State) -> None:
        if param.grad.is_sparse:
            raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")
        grad = -param.grad if group["maximize"] else param.grad
        state = self.state[param]
        if not state:
            self.start(state, param, group)
        group = {name: flat(value) for name, value in group.items()}
        seen = {name: as_pairs(value) for name, value in state.items()}
        self.update(as_pairs(param), as_pairs(grad), seen, group)


def as_pairs(value: Any) -> Any:
    """A complex tensor as pairs of real numbers."""
    is_complex = isinstance(value, Tensor) and value.is_complex()
    return torch.view_as_real(value) if is_complex else value


def flat(value: Any) -> Any:
    """A tensor of one element without dimensions."""
    return value.squeeze() if isinstance(value, Tensor) else value


def decay(theta: Tensor, group: State) -> None:
    """Decoupled: θ ← (1 − η λ) θ."""
    if group["weight_decay"] != 0:
        theta.mul_(1 - group["lr"] * group["weight_decay"])


def like(param: Tensor) -> Tensor:
    return torch.zeros_like(param, memory_format=torch.preserve_format)


class Lion(Paper):
    """Chen and others (2023), Algorithm 2."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-4,
        betas: Any = (0.9, 0.99),
        weight_decay: Any = 0,
        *,
        maximize: bool = False,
        foreach: Any = None,
        differentiable: bool = False,
        fused: Any = None,
    ) -> None:
        given = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        flags = {"foreach": foreach, "differentiable": differentiable, "fused": fused}
        super().__init__(params, {**given, **flags})

    def start(self, state: State, param: Tensor, group: State) -> None:
        state["exp_avg"] = like(param)

    def update(self, theta: Tensor, g: Tensor, state: State, group: State) -> None:
        (beta1, beta2), eta, m = group["betas"], group["lr"], state["exp_avg"]
        decay(theta, group)
        c = torch.add(beta1 * m, g, alpha=1 - beta1)
        theta.sub_(torch.sign(c), alpha=eta)
        m.copy_(torch.add(beta2 * m, g, alpha=1 - beta2))
