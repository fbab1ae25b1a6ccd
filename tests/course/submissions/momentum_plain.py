import torch


class Momentum:
    def __init__(self, params, lr=0.01, momentum=0.9):
        self.params = [p for p in params]
        self.lr = lr
        self.momentum = momentum
        self.velocity = [torch.zeros_like(p) for p in self.params]

    def zero_grad(self):
        for p in self.params:
            if p.grad is not None:
                p.grad.zero_()

    @torch.no_grad()
    def step(self):
        for p, v in zip(self.params, self.velocity):
            if p.grad is not None:
                v.mul_(self.momentum)
                v.add_(p.grad)
                p.sub_(self.lr * v)
