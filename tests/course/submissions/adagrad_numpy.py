import numpy as np
import torch


class Adagrad(object):
    def __init__(self, params, lr=0.01, eps=1e-10):
        self.params = tuple(params)
        self.lr = lr
        self.eps = eps
        self.cache = {}

    def step(self):
        for n, p in enumerate(self.params):
            if p.grad is None:
                continue
            dx = np.array(p.grad)
            x = np.array(p.detach())
            cache = self.cache.get(n, np.zeros_like(dx)) + dx ** 2
            self.cache[n] = cache
            x += -self.lr * dx / (np.sqrt(cache) + self.eps)
            p.data.copy_(torch.from_numpy(x))
