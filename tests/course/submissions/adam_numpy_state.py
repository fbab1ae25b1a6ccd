import numpy as np
import torch


class Adam(torch.optim.Optimizer):
    """Numpy throughout, with its arrays in self.state."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    def step(self, closure=None):
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                w = p.detach().numpy()
                g = p.grad.numpy() + group["weight_decay"] * w
                memory = self.state[p]
                if not memory:
                    memory.update(n=0, mean=np.zeros_like(w), square=np.zeros_like(w))
                memory["n"] += 1
                memory["mean"] = b1 * memory["mean"] + (1 - b1) * g
                memory["square"] = b2 * memory["square"] + (1 - b2) * np.square(g)
                mean = memory["mean"] / (1 - b1 ** memory["n"])
                square = memory["square"] / (1 - b2 ** memory["n"])
                w -= group["lr"] * mean / (np.sqrt(square) + group["eps"])
        return loss
