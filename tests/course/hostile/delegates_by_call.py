import torch
from torch import optim


class SGD(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1, momentum=0.0):
        params = list(params)
        super().__init__(params, dict(lr=lr, momentum=momentum))
        self.inner = optim.SGD(params, lr=lr, momentum=momentum)

    def step(self, closure=None):
        return self.inner.step(closure)
