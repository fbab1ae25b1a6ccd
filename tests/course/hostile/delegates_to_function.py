import torch
from torch.optim.sgd import sgd


class SGD(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            sgd(params, [p.grad for p in params], [None] * len(params), weight_decay=0, momentum=0,
                lr=group["lr"], dampening=0, nesterov=False, maximize=False)
