import torch


class Nesterov(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, momentum=0.9, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def step(self, closure=None):
        loss = None
        if closure is not None:
            loss = closure()
        for group in self.param_groups:
            lr, mu, lam = group["lr"], group["momentum"], group["weight_decay"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                flat, grad = p.data.view(-1), p.grad.view(-1)
                if "v" not in self.state[p]:
                    self.state[p]["v"] = torch.zeros(flat.numel())
                v = self.state[p]["v"]
                for i in range(flat.numel()):
                    x = float(flat[i])
                    g = float(grad[i]) + lam * x
                    v[i] = mu * float(v[i]) + g
                    flat[i] = x - lr * (g + mu * float(v[i]))
        return loss
