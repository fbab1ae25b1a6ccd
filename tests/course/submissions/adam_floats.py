import math

import torch


class Adam:
    # everything with plain python numbers
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        self.params = list(params)
        self.lr = lr
        self.b1, self.b2 = betas
        self.eps = eps
        self.wd = weight_decay
        self.memory = {}

    def step(self, closure=None):
        loss = closure() if closure is not None else None
        for k, p in enumerate(self.params):
            if p.grad is None:
                continue
            values = p.data.view(-1)
            grads = p.grad.view(-1).tolist()
            if k not in self.memory:
                self.memory[k] = {"t": 0, "m": [0.0] * len(grads), "v": [0.0] * len(grads)}
            mem = self.memory[k]
            mem["t"] += 1
            t = mem["t"]
            for j, g in enumerate(grads):
                x = values[j].item()
                g = g + self.wd * x
                mem["m"][j] = self.b1 * mem["m"][j] + (1.0 - self.b1) * g
                mem["v"][j] = self.b2 * mem["v"][j] + (1.0 - self.b2) * g ** 2
                m = mem["m"][j] / (1.0 - self.b1 ** t)
                v = mem["v"][j] / (1.0 - self.b2 ** t)
                values[j] = x - self.lr * m / (math.sqrt(v) + self.eps)
        return loss
