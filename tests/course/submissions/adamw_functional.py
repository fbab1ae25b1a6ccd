import torch
from torch.optim import Optimizer


def init_state(theta):
    return dict(step=0, m=torch.zeros_like(theta), v=torch.zeros_like(theta))


def adamw(theta, grad, state, lr, b1, b2, eps, lam):
    """Returns the new parameter and the new state, and changes nothing."""
    step = state["step"] + 1
    m = b1 * state["m"] + (1 - b1) * grad
    v = b2 * state["v"] + (1 - b2) * grad.pow(2)
    mhat = m / (1 - b1 ** step)
    vhat = v / (1 - b2 ** step)
    decayed = theta - lr * lam * theta
    new = decayed - lr * mhat / (torch.sqrt(vhat) + eps)
    return new, dict(step=step, m=m, v=v)


class AdamW(Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for theta in group["params"]:
                if theta.grad is None:
                    continue
                if not self.state[theta]:
                    self.state[theta] = init_state(theta)
                new, self.state[theta] = adamw(
                    theta, theta.grad, self.state[theta], group["lr"], *group["betas"],
                    group["eps"], group["weight_decay"]
                )
                theta.copy_(new)
        return loss
