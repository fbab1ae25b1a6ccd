"""What every optimizer of the course shares: groups, closure, missing gradients, state."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class Frame(Optimizer):
    """Walks over the parameters; a subclass says how state starts and how one parameter moves."""

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Move every parameter that has a gradient; return the closure's loss, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    self.start(group, state, p)
                g = -p.grad if group["maximize"] else p.grad
                self.update(group, state, p, self.decay(group, p, g))
        return loss

    def decay(self, group: dict[str, Any], p: Tensor, g: Tensor) -> Tensor:
        """L2: the gradient of the penalty λ‖p‖²/2 joins g."""
        return g + group["weight_decay"] * p if group["weight_decay"] != 0 else g

    def start(self, group: dict[str, Any], state: dict[str, Any], p: Tensor) -> None:
        """Give the state of `p` its first values."""
        raise NotImplementedError

    def update(self, group: dict[str, Any], state: dict[str, Any], p: Tensor, g: Tensor) -> None:
        """Move `p` in place against its gradient `g`, which is not to be changed."""
        raise NotImplementedError
