import torch


class AdamW(torch.optim.Optimizer):
    def __init__(self, params, lr=0.001, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01,
                 amsgrad=False, *, maximize=False):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps,
                                  "weight_decay": weight_decay, "amsgrad": amsgrad,
                                  "maximize": maximize})

    def _get(self, p):
        s = self.state[p]
        if "n" not in s:
            s["n"] = torch.tensor(0.0)
            s["avg"] = torch.zeros_like(p.data)
            s["sq"] = torch.zeros_like(p.data)
            s["top"] = torch.zeros_like(p.data)
        return s

    def step(self, closure=None):
        loss = closure() if closure else None
        for group in self.param_groups:
            for p in filter(lambda q: q.grad is not None, group["params"]):
                g = p.grad.data.clone()
                if group["maximize"]:
                    g.neg_()
                s = self._get(p)
                s["n"] += 1
                n = s["n"].item()
                b1, b2 = group["betas"]
                lr = group["lr"]
                p.data.mul_(1.0 - lr * group["weight_decay"])
                s["avg"] += (1 - b1) * (g - s["avg"])
                s["sq"] += (1 - b2) * (g * g - s["sq"])
                sq = s["sq"]
                if group["amsgrad"]:
                    s["top"] = torch.max(s["top"], sq)
                    sq = s["top"]
                scale = (1 - b2 ** n) ** 0.5
                root = sq.sqrt() / scale + group["eps"]
                p.data.addcdiv_(s["avg"], root, value=-lr / (1 - b1 ** n))
        return loss
