import torch


def rms_update(g, v, alpha):
    return alpha * v + (1 - alpha) * g ** 2


def direction(g, v, eps):
    return g / (v ** 0.5 + eps)


class RMSProp:
    """One list entry per parameter."""

    def __init__(self, params, lr=0.01, rho=0.99, eps=1e-8):
        self.params = list(params)
        self.lr, self.rho, self.eps = lr, rho, eps
        self.v = [torch.zeros_like(p) for p in self.params]

    def step(self):
        with torch.no_grad():
            for i in range(len(self.params)):
                p = self.params[i]
                if p.grad is None:
                    continue
                self.v[i] = rms_update(p.grad, self.v[i], self.rho)
                p -= self.lr * direction(p.grad, self.v[i], self.eps)
