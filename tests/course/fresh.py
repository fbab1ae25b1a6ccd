# ruff: noqa: E501
"""Submissions written before the search was, and apart from the catalogue: right ones in many
styles, and wrong ones, each a right one with what somebody got wrong in it.

A wrong one has a base, the texts that are replaced in it, what it does in plain words, and what a
report may say: ids of the catalogue, or words that the edit's line must have (see `test_fresh`).
"""

RIGHT: dict[str, tuple[str, str]] = {
    "adam_book": (
        "Adam",
        """
import torch
from torch.optim import Optimizer
class Adam(Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))
    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = p.grad
                if group["weight_decay"] != 0:
                    g = g + group["weight_decay"] * p
                st = self.state[p]
                if len(st) == 0:
                    st["t"] = 0
                    st["m"] = torch.zeros_like(p)
                    st["v"] = torch.zeros_like(p)
                st["t"] += 1
                st["m"].mul_(b1).add_(g, alpha=1 - b1)
                st["v"].mul_(b2).addcmul_(g, g, value=1 - b2)
                mhat = st["m"] / (1 - b1 ** st["t"])
                vhat = st["v"] / (1 - b2 ** st["t"])
                p.addcdiv_(mhat, vhat.sqrt().add_(group["eps"]), value=-group["lr"])
        return loss
""",
    ),
    "adam_lists": (
        "Adam",
        '''
import torch, math
class Adam:
    """My own Adam: lists of buffers, no base class."""
    def __init__(self, parameters, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08):
        self.params = list(parameters)
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps
        self.ms = [torch.zeros_like(p.data) for p in self.params]
        self.vs = [torch.zeros_like(p.data) for p in self.params]
        self.ts = [0 for _ in self.params]
    def zero_grad(self):
        for p in self.params:
            p.grad = None
    def step(self):
        for i, p in enumerate(self.params):
            if p.grad is None:
                continue
            grad = p.grad.data
            self.ts[i] += 1
            self.ms[i] = self.beta1 * self.ms[i] + (1 - self.beta1) * grad
            self.vs[i] = self.beta2 * self.vs[i] + (1 - self.beta2) * grad ** 2
            step_size = self.lr * math.sqrt(1 - self.beta2 ** self.ts[i]) / (1 - self.beta1 ** self.ts[i])
            eps_hat = self.eps * math.sqrt(1 - self.beta2 ** self.ts[i])
            p.data -= step_size * self.ms[i] / (self.vs[i].sqrt() + eps_hat)
''',
    ),
    "adam_amsgrad": (
        "Adam",
        """
import torch
class Adam(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False):
        if not 0.0 <= lr:
            raise ValueError("bad lr")
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize}
        super(Adam, self).__init__(params, defaults)
    def _init(self, p, group):
        s = self.state[p]
        s["step"] = torch.tensor(0.0)
        s["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
        s["exp_avg_sq"] = torch.zeros_like(p, memory_format=torch.preserve_format)
        if group["amsgrad"]:
            s["biggest"] = torch.zeros_like(p)
    def step(self, closure=None):
        loss = closure() if closure is not None else None
        with torch.no_grad():
            for group in self.param_groups:
                for p in (q for q in group["params"] if q.grad is not None):
                    if not self.state[p]:
                        self._init(p, group)
                    self._one(p, group, self.state[p])
        return loss
    def _one(self, p, group, s):
        d = p.grad.neg() if group["maximize"] else p.grad.clone()
        d.add_(p, alpha=group["weight_decay"])
        beta1, beta2 = group["betas"]
        s["step"] += 1
        k = s["step"].item()
        s["exp_avg"].lerp_(d, 1 - beta1)
        s["exp_avg_sq"].mul_(beta2).add_((1 - beta2) * d.pow(2))
        second = s["exp_avg_sq"]
        if group["amsgrad"]:
            torch.maximum(s["biggest"], second, out=s["biggest"])
            second = s["biggest"]
        bias1 = 1 - beta1 ** k
        bias2 = 1 - beta2 ** k
        denom = (second / bias2).sqrt() + group["eps"]
        p -= group["lr"] / bias1 * s["exp_avg"] / denom
""",
    ),
    "adam_numpy": (
        "Adam",
        """
import numpy as np
import torch
class Adam:
    def __init__(self, params, learning_rate=1e-3, betas=(0.9, 0.999), epsilon=1e-8):
        self.params = [p for p in params]
        self.learning_rate = learning_rate
        self.betas = betas
        self.epsilon = epsilon
        self.cache = {}
    def step(self):
        b1, b2 = self.betas
        for n, p in enumerate(self.params):
            if p.grad is None: continue
            dw = p.grad.detach().numpy()
            if n not in self.cache:
                self.cache[n] = [np.zeros_like(dw), np.zeros_like(dw), 0]
            m, v, t = self.cache[n]
            t = t + 1
            m = b1 * m + (1 - b1) * dw
            v = b2 * v + (1 - b2) * np.square(dw)
            self.cache[n] = [m, v, t]
            mt = m / (1 - b1 ** t)
            vt = v / (1 - b2 ** t)
            with torch.no_grad():
                p -= torch.from_numpy(self.learning_rate * mt / (np.sqrt(vt) + self.epsilon))
""",
    ),
    "adam_foreach": (
        "Adam",
        """
import torch
class Adam(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})
    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            ps = [p for p in g["params"] if p.grad is not None]
            if not ps:
                continue
            gs = [p.grad for p in ps]
            for p in ps:
                if "m" not in self.state[p]:
                    self.state[p].update(n=0, m=p * 0, v=p * 0)
                self.state[p]["n"] += 1
            b1, b2 = g["betas"]
            ms = [self.state[p]["m"] for p in ps]
            vs = [self.state[p]["v"] for p in ps]
            torch._foreach_lerp_(ms, gs, 1 - b1)
            torch._foreach_mul_(vs, b2)
            torch._foreach_addcmul_(vs, gs, gs, 1 - b2)
            for p, m, v in zip(ps, ms, vs):
                n = self.state[p]["n"]
                p.sub_(g["lr"] * (m / (1 - b1 ** n)) / ((v / (1 - b2 ** n)).sqrt() + g["eps"]))
""",
    ),
    "adam_running_powers": (
        "Adam",
        '''
import torch
class Adam(torch.optim.Optimizer):
    """Keeps the running powers of beta instead of a counter."""
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))
    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure:
            with torch.enable_grad(): loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None: continue
                self.update(p, p.grad + group["weight_decay"] * p, group)
        return loss
    def update(self, p, grad, group):
        beta1, beta2 = group["betas"]
        S = self.state[p]
        if not S:
            S["pow1"], S["pow2"] = 1.0, 1.0
            S["mean"], S["square"] = torch.zeros_like(p), torch.zeros_like(p)
        S["pow1"] *= beta1
        S["pow2"] *= beta2
        S["mean"] += (1 - beta1) * (grad - S["mean"])
        S["square"] += (1 - beta2) * (grad * grad - S["square"])
        m = S["mean"] / (1 - S["pow1"])
        v = S["square"] / (1 - S["pow2"])
        p.copy_(p - group["lr"] * m / (torch.sqrt(v) + group["eps"]))
''',
    ),
    "adamw_book": (
        "AdamW",
        """
import torch
class AdamW(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))
    def step(self, closure=None):
        loss = None if closure is None else closure()
        for group in self.param_groups:
            lr, (beta1, beta2), eps = group["lr"], group["betas"], group["eps"]
            wd = group["weight_decay"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad = p.grad.data
                state = self.state[p]
                t = state.get("t", 0) + 1
                m = state.get("m", torch.zeros_like(grad))
                v = state.get("v", torch.zeros_like(grad))
                m = beta1 * m + (1 - beta1) * grad
                v = beta2 * v + (1 - beta2) * grad ** 2
                alpha_t = lr * (1 - beta2 ** t) ** 0.5 / (1 - beta1 ** t)
                p.data.mul_(1 - lr * wd)
                p.data.sub_(alpha_t * m / (v.sqrt() + eps * (1 - beta2 ** t) ** 0.5))
                state["t"] = t
                state["m"] = m
                state["v"] = v
        return loss
""",
    ),
    "adamw_helper": (
        "AdamW",
        """
from torch import zeros_like, no_grad, enable_grad
from torch.optim import Optimizer
def ema(old, new, beta):
    return beta * old + (1 - beta) * new
class AdamW(Optimizer):
    def __init__(self, params, lr=1e-3, betas=(.9, .999), eps=1e-8, weight_decay=1e-2, maximize=False):
        super().__init__(params, locals_without(locals()))
    @no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for grp in self.param_groups:
            for w in grp["params"]:
                if w.grad is not None:
                    self.move(w, -w.grad if grp["maximize"] else w.grad, grp)
        return loss
    def move(self, w, grad, grp):
        mem = self.state[w]
        if not mem:
            mem.update(age=0, first=zeros_like(w), second=zeros_like(w))
        mem["age"] += 1
        mem["first"] = ema(mem["first"], grad, grp["betas"][0])
        mem["second"] = ema(mem["second"], grad.square(), grp["betas"][1])
        first = mem["first"] / (1 - grp["betas"][0] ** mem["age"])
        second = mem["second"] / (1 - grp["betas"][1] ** mem["age"])
        w.mul_(1 - grp["lr"] * grp["weight_decay"])
        w.sub_(grp["lr"] * first / (second.sqrt() + grp["eps"]))
def locals_without(d):
    return {k: v for k, v in d.items() if k not in ("self", "params", "__class__")}
""",
    ),
    "adamw_floats": (
        "AdamW",
        """
import torch
class AdamW:
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.ps = list(params)
        self.h = (lr, betas, eps, weight_decay)
        self.memo = {}
    @torch.no_grad()
    def step(self):
        lr, (b1, b2), eps, wd = self.h
        for k, p in enumerate(self.ps):
            if p.grad is None:
                continue
            flat, gflat = p.view(-1), p.grad.view(-1)
            ms, vs, t = self.memo.get(k, ([0.0] * p.numel(), [0.0] * p.numel(), 0))
            t += 1
            for j in range(p.numel()):
                x, g = float(flat[j]), float(gflat[j])
                ms[j] = b1 * ms[j] + (1 - b1) * g
                vs[j] = b2 * vs[j] + (1 - b2) * g * g
                mh, vh = ms[j] / (1 - b1 ** t), vs[j] / (1 - b2 ** t)
                x = x - lr * wd * x
                x = x - lr * mh / (vh ** 0.5 + eps)
                flat[j] = x
            self.memo[k] = (ms, vs, t)
""",
    ),
    "sgd_pytorch": (
        "SGD",
        """
import torch
class SGD(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False):
        super().__init__(params, dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov, maximize=maximize))
    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                d_p = p.grad if not group["maximize"] else -p.grad
                if group["weight_decay"]:
                    d_p = d_p.add(p, alpha=group["weight_decay"])
                if group["momentum"]:
                    buf = self.state[p].get("momentum_buffer")
                    if buf is None:
                        buf = self.state[p]["momentum_buffer"] = d_p.clone()
                    else:
                        buf.mul_(group["momentum"]).add_(d_p, alpha=1 - group["dampening"])
                    d_p = d_p.add(buf, alpha=group["momentum"]) if group["nesterov"] else buf
                p.add_(d_p, alpha=-group["lr"])
        return loss
""",
    ),
    "sgd_short": (
        "SGD",
        """
import torch
class SGD:
    def __init__(self, params, lr=1e-3, weight_decay=0.0):
        self.params, self.lr, self.wd = list(params), lr, weight_decay
    def step(self):
        with torch.no_grad():
            for w in self.params:
                if w.grad is not None:
                    w -= self.lr * (w.grad + self.wd * w)
    def zero_grad(self):
        for w in self.params:
            if w.grad is not None:
                w.grad.zero_()
""",
    ),
    "sgd_velocity": (
        "SGD",
        """
import torch
class SGD(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0, nesterov=False):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov))
        self.velocity = None
    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            mu, lam = group["momentum"], group["weight_decay"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                grad = p.grad + lam * p
                old = self.state[p].get("u", torch.zeros_like(p))
                u = mu * old + grad
                self.state[p]["u"] = u
                direction = grad + mu * u if group["nesterov"] else u
                p.add_(-group["lr"] * direction)
        return loss
""",
    ),
    "momentum_dict": (
        "Momentum",
        """
import torch
class Momentum:
    def __init__(self, params, lr=1e-3, momentum=0.9):
        self.params = list(params)
        self.lr = lr
        self.momentum = momentum
        self.b = {p: None for p in self.params}
    def step(self):
        for p in self.params:
            if p.grad is None:
                continue
            g = p.grad.detach()
            if self.b[p] is None:
                self.b[p] = g.clone()
            else:
                self.b[p] = self.momentum * self.b[p] + g
            p.data.add_(self.b[p], alpha=-self.lr)
""",
    ),
    "momentum_groups": (
        "Momentum",
        """
import torch
class Momentum(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, momentum=0.9, dampening=0.0, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay))
    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for gr in self.param_groups:
            for p in gr["params"]:
                if p.grad is None:
                    continue
                g = p.grad.add(p, alpha=gr["weight_decay"])
                if "b" in self.state[p]:
                    b = self.state[p]["b"]
                    b = gr["momentum"] * b + (1 - gr["dampening"]) * g
                else:
                    b = g.clone()
                self.state[p]["b"] = b
                p -= gr["lr"] * b
        return loss
""",
    ),
    "nesterov_simple": (
        "Nesterov",
        """
import torch
class Nesterov(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-3, momentum=0.9, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = p.grad + group["weight_decay"] * p
                st = self.state[p]
                st.setdefault("v", torch.zeros_like(p))
                st["v"] = group["momentum"] * st["v"] + g
                p -= group["lr"] * (g + group["momentum"] * st["v"])
""",
    ),
    "nesterov_list": (
        "Nesterov",
        """
import torch
class Nesterov:
    def __init__(self, params, lr=0.001, mu=0.9):
        self.params = [*params]
        self.lr = lr
        self.mu = mu
        self.v = [torch.zeros_like(p) for p in self.params]
    @torch.no_grad()
    def step(self):
        for p, v in zip(self.params, self.v):
            if p.grad is None:
                continue
            v.mul_(self.mu)
            v.add_(p.grad)
            p.sub_(self.lr * p.grad)
            p.sub_(self.lr * self.mu * v)
""",
    ),
    "adagrad_book": (
        "Adagrad",
        """
import torch
class Adagrad(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
        super().__init__(params, dict(lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, initial_accumulator_value=initial_accumulator_value, eps=eps))
    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = p.grad
                if group["weight_decay"] != 0:
                    g = g + group["weight_decay"] * p
                st = self.state[p]
                if not st:
                    st["n"] = 0
                    st["G"] = torch.full_like(p, group["initial_accumulator_value"])
                rate = group["lr"] / (1 + st["n"] * group["lr_decay"])
                st["n"] += 1
                st["G"] += g * g
                p -= rate * g / (torch.sqrt(st["G"]) + group["eps"])
        return loss
""",
    ),
    "adagrad_list": (
        "Adagrad",
        """
import torch
class Adagrad:
    def __init__(self, params, lr=0.01, eps=1e-10):
        self.params = list(params)
        self.lr, self.eps = lr, eps
        self.G = [0] * len(self.params)
    def step(self):
        with torch.no_grad():
            for i in range(len(self.params)):
                w = self.params[i]
                if w.grad is None:
                    continue
                self.G[i] = self.G[i] + w.grad ** 2
                w.add_(w.grad / (self.G[i] ** 0.5 + self.eps), alpha=-self.lr)
""",
    ),
    "adagrad_numpy": (
        "Adagrad",
        """
import numpy as np
import torch
class Adagrad:
    def __init__(self, params, lr=1e-2, eps=1e-10, weight_decay=0.0):
        self.params = list(params)
        self.lr, self.eps, self.weight_decay = lr, eps, weight_decay
        self.hist = [np.zeros(tuple(p.shape)) for p in self.params]
    def step(self):
        for h, p in zip(self.hist, self.params):
            if p.grad is None:
                continue
            x = p.detach().numpy()
            d = p.grad.numpy() + self.weight_decay * x
            h += np.power(d, 2)
            x -= self.lr * d / (np.sqrt(h) + self.eps)
""",
    ),
    "rmsprop_book": (
        "RMSprop",
        """
import torch
class RMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        super().__init__(params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered))
    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            a = group["alpha"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = p.grad.add(p, alpha=group["weight_decay"])
                s = self.state[p]
                if len(s) == 0:
                    s["v"] = torch.zeros_like(p)
                    s["b"] = torch.zeros_like(p)
                    s["avg"] = torch.zeros_like(p)
                s["v"].mul_(a).addcmul_(g, g, value=1 - a)
                if group["centered"]:
                    s["avg"].mul_(a).add_(g, alpha=1 - a)
                    den = (s["v"] - s["avg"] ** 2).sqrt().add_(group["eps"])
                else:
                    den = s["v"].sqrt().add_(group["eps"])
                if group["momentum"] > 0:
                    s["b"].mul_(group["momentum"]).addcdiv_(g, den)
                    p.add_(s["b"], alpha=-group["lr"])
                else:
                    p.addcdiv_(g, den, value=-group["lr"])
        return loss
""",
    ),
    "rmsprop_plain": (
        "RMSprop",
        """
import torch
class RMSprop:
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8):
        self.params = list(params)
        self.lr = lr
        self.alpha = alpha
        self.eps = eps
        self.avg_sq = [torch.zeros_like(p, requires_grad=False) for p in self.params]
    def step(self):
        with torch.no_grad():
            for idx, p in enumerate(self.params):
                if p.grad is None:
                    continue
                self.avg_sq[idx] = self.alpha * self.avg_sq[idx] + (1 - self.alpha) * p.grad * p.grad
                p -= self.lr * p.grad / (self.avg_sq[idx].sqrt() + self.eps)
""",
    ),
    "rmsprop_lerp": (
        "RMSprop",
        """
import torch
class RMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, momentum=0.0, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, alpha=alpha, eps=eps, momentum=momentum, weight_decay=weight_decay))
    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = p.grad + group["weight_decay"] * p
                s = self.state[p]
                if "v" not in s:
                    s["v"] = torch.zeros_like(p)
                    s["b"] = torch.zeros_like(p)
                s["v"].lerp_(g.square(), 1 - group["alpha"])
                scaled = g / (s["v"].sqrt() + group["eps"])
                s["b"] = group["momentum"] * s["b"] + scaled
                p.sub_(group["lr"] * s["b"])
        return loss
""",
    ),
}


def _styled(base: str, *edits: tuple[str, str]) -> tuple[str, str]:
    optimizer, text = RIGHT[base]
    return optimizer, replaced(text, edits)


def replaced(text: str, edits: tuple[tuple[str, str], ...]) -> str:
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text


RIGHT |= {
    "adam_clones": _styled(
        "adam_book",
        ("g = p.grad\n", "g = p.grad.clone()\n"),
        ('mhat = st["m"]', 'mhat = st["m"].clone()'),
    ),
    "adam_where": _styled(
        "adam_numpy",
        ("np.square(dw)", "np.abs(dw) ** 2"),
        ("b1 * m + (1 - b1) * dw", "m + (1 - b1) * (dw - m)"),
    ),
    "adamw_simultaneous": _styled(
        "adamw_helper",
        (
            '        w.mul_(1 - grp["lr"] * grp["weight_decay"])\n        w.sub_(grp["lr"] * first / (second.sqrt() + grp["eps"]))',
            '        w.sub_(grp["lr"] * (first / (second.sqrt() + grp["eps"]) + grp["weight_decay"] * w))',
        ),
    ),
    "sgd_flags": _styled(
        "sgd_pytorch",
        ('if group["momentum"]:', 'if group["momentum"] > 1e-300:'),
        ("d_p.clone()", "torch.clone(d_p).detach()"),
    ),
    "momentum_copy": _styled(
        "momentum_groups", ('p -= gr["lr"] * b', 'p.copy_(torch.sub(p, b, alpha=gr["lr"]))')
    ),
    "nesterov_split": _styled(
        "nesterov_simple",
        (
            'p -= group["lr"] * (g + group["momentum"] * st["v"])',
            'p.add_(g, alpha=-group["lr"]); p.add_(st["v"], alpha=-group["lr"] * group["momentum"])',
        ),
    ),
    "adagrad_rsqrt": _styled(
        "adagrad_book",
        (
            'rate * g / (torch.sqrt(st["G"]) + group["eps"])',
            'rate * g * (st["G"] ** 0.5 + group["eps"]) ** -1',
        ),
    ),
    "rmsprop_loop": _styled(
        "rmsprop_plain",
        (
            "self.alpha * self.avg_sq[idx] + (1 - self.alpha) * p.grad * p.grad",
            "self.avg_sq[idx].mul(self.alpha) + p.grad.pow(2).mul(1 - self.alpha)",
        ),
    ),
}

WRONG: list[tuple[str, tuple[tuple[str, str], ...], str, tuple[str, ...]]] = [
    # base, what is replaced, what it does, what a report may say
    (
        "adam_book",
        (('1 - b2 ** st["t"]', '1 - b1 ** st["t"]'),),
        "β₁ in the second correction too",
        (),
    ),
    (
        "adam_book",
        (('vhat = st["v"] / (1 - b2 ** st["t"])', 'vhat = st["v"] / (1 - b2) ** st["t"]'),),
        "(1 - β₂)ᵗ",
        (),
    ),
    (
        "adam_book",
        (('mhat = st["m"] / (1 - b1 ** st["t"])', 'mhat = st["m"] / (1 - b1 ** (2 * st["t"]))'),),
        "2t in the first correction",
        (),
    ),
    (
        "adam_book",
        (('g = g + group["weight_decay"] * p', 'g = g + group["weight_decay"] * p.sign()'),),
        "L1 instead of L2",
        (),
    ),
    (
        "adam_book",
        (('g = g + group["weight_decay"] * p', 'g = g + group["weight_decay"] * p.norm()'),),
        "λ times the norm",
        (),
    ),
    (
        "adam_book",
        (('g = g + group["weight_decay"] * p', 'g = g + 2 * group["weight_decay"] * p'),),
        "2λ",
        (),
    ),
    (
        "adam_book",
        (("g = p.grad\n", "g = p.grad / (p.grad.norm() + 1e-12)\n"),),
        "gradient normalised",
        (),
    ),
    ("adam_book", (("g = p.grad\n", "g = p.grad.clamp(-1, 1)\n"),), "gradient clipped to ±1", ()),
    ("adam_book", (('value=-group["lr"])', 'value=-group["lr"] / st["t"])'),), "lr / t", ()),
    (
        "adam_book",
        (('st["m"] = torch.zeros_like(p)', 'st["m"] = p.grad.clone()'),),
        "m starts at the first gradient",
        (),
    ),
    (
        "adam_book",
        (('st["v"] = torch.zeros_like(p)', 'st["v"] = torch.ones_like(p)'),),
        "v starts at one",
        (),
    ),
    ("adam_book", (('st["t"] += 1', 'st["t"] += 2'),), "t counts by two", ()),
    (
        "adam_lists",
        (("eps_hat = self.eps * math.sqrt(1 - self.beta2 ** self.ts[i])", "eps_hat = self.eps"),),
        "eps-hat",
        ("eps-hat",),
    ),
    (
        "adam_lists",
        (("(1 - self.beta2) * grad ** 2", "(1 - self.beta2) * grad.abs() ** 3"),),
        "|g|³",
        (),
    ),
    (
        "adam_lists",
        (("(1 - self.beta1) * grad\n", "(1 - self.beta2) * grad\n"),),
        "1 - β₂ for the gradient",
        (),
    ),
    (
        "adam_lists",
        (
            (
                "math.sqrt(1 - self.beta2 ** self.ts[i]) / (1 - self.beta1",
                "math.sqrt(1 - self.beta2 ** self.ts[i]) * (1 - self.beta1",
            ),
        ),
        "first correction multiplied",
        ("bc-multiplied",),
    ),
    (
        "adam_lists",
        (("self.vs[i].sqrt() + eps_hat", "self.vs[i].sqrt() * eps_hat"),),
        "ε as a factor",
        (),
    ),
    (
        "adam_lists",
        (
            (
                "            self.ms[i] = self.beta1",
                "            if self.ts[i] == 1: self.ms[i] = grad\n            else: self.ms[i] = self.beta1",
            ),
        ),
        "m₁ = g₁",
        (),
    ),
    (
        "adam_amsgrad",
        (('torch.maximum(s["biggest"], second,', 'torch.minimum(s["biggest"], second,'),),
        "minimum for the maximum",
        (),
    ),
    (
        "adam_amsgrad",
        (('s["exp_avg"].lerp_(d, 1 - beta1)', 's["exp_avg"].lerp_(p.grad, 1 - beta1)'),),
        "raw gradient in the first moment",
        (),
    ),
    (
        "adam_amsgrad",
        (("(1 - beta2) * d.pow(2)", "(1 - beta2) * p.grad.pow(2)"),),
        "raw gradient in the second moment",
        (),
    ),
    (
        "adam_amsgrad",
        (('p -= group["lr"] / bias1', 'p -= group["lr"] * group["lr"] / bias1'),),
        "lr²",
        (),
    ),
    (
        "adam_amsgrad",
        (('second = s["biggest"]', 'second = s["biggest"] + second'),),
        "maximum and v added",
        (),
    ),
    (
        "adam_numpy",
        (("np.sqrt(vt) + self.epsilon", "np.sqrt(vt + self.epsilon)"),),
        "ε inside",
        ("eps-inside-sqrt",),
    ),
    (
        "adam_numpy",
        (("np.sqrt(vt) + self.epsilon", "np.cbrt(vt) + self.epsilon"),),
        "cube root",
        (),
    ),
    (
        "adam_numpy",
        (("v = b2 * v + (1 - b2) * np.square(dw)", "v = b2 * v + (1 - b2) * np.square(dw - m)"),),
        "AdaBelief: deviation from m",
        (),
    ),
    (
        "adam_numpy",
        (("v = b2 * v + (1 - b2) * np.square(dw)", "v = b2 * v + (1 - b2) * np.square(dw).max()"),),
        "largest element's square for all",
        (),
    ),
    (
        "adam_numpy",
        (("mt = m / (1 - b1 ** t)", "mt = (b1 * m + (1 - b1) * dw) / (1 - b1 ** t)"),),
        "Nesterov-like numerator",
        (),
    ),
    ("adam_foreach", (('g["eps"]))', "1e-8))"),), "ε fixed at 1e-8", ()),
    ("adam_foreach", (("(m / (1 - b1 ** n))", "(m / (1 - b1 ** n)).sign()"),), "sign of m̂", ()),
    (
        "adam_foreach",
        (
            ("torch._foreach_mul_(vs, b2)\n", "torch._foreach_mul_(vs, b2 if n0 else 1)\n"),
            ("ms = [self", 'n0 = self.state[ps[0]]["n"] > 2; ms = [self'),
        ),
        "v not decayed in the first two steps",
        (),
    ),
    (
        "adam_running_powers",
        (('S["pow1"], S["pow2"] = 1.0, 1.0', 'S["pow1"], S["pow2"] = beta1, beta2'),),
        "powers one ahead",
        ("t-one-ahead",),
    ),
    (
        "adam_running_powers",
        (('S["pow2"] *= beta2', 'S["pow2"] *= beta1'),),
        "β₁ᵗ in both corrections",
        (),
    ),
    (
        "adam_running_powers",
        (('(1 - beta2) * (grad * grad - S["square"])', 'beta2 * (grad * grad - S["square"])'),),
        "complement of β₂",
        (),
    ),
    (
        "adamw_book",
        (("p.data.mul_(1 - lr * wd)", "p.data.mul_(1 - lr * wd) if p.dim() > 1 else None"),),
        "decay of matrices only",
        (),
    ),
    ("adamw_book", (("p.data.mul_(1 - lr * wd)", "p.data.mul_((1 - lr) * wd)"),), "(1 - η) λ", ()),
    (
        "adamw_book",
        (("p.data.mul_(1 - lr * wd)", "p.data.mul_(1 - alpha_t * wd)"),),
        "corrected lr in the decay",
        ("wd-corrected-lr",),
    ),
    ("adamw_book", (("p.data.mul_(1 - lr * wd)", "p.data.sub_(lr * wd)"),), "decay without θ", ()),
    (
        "adamw_book",
        (('state["m"] = m', 'state["m"] = m / (1 - beta1 ** t)'),),
        "corrected m stored",
        (),
    ),
    (
        "adamw_book",
        (("grad = p.grad.data", "grad = p.grad.data + wd * p.data"),),
        "decay in both",
        ("wd-both",),
    ),
    (
        "adamw_book",
        (("v.sqrt() + eps * (1 - beta2 ** t) ** 0.5", "v + eps * (1 - beta2 ** t) ** 0.5"),),
        "no root",
        (),
    ),
    (
        "adamw_helper",
        (
            (
                'ema(mem["second"], grad.square(), grp["betas"][1])',
                'ema(mem["second"], grad.square(), grp["betas"][0])',
            ),
        ),
        "β₁ for the second moment",
        (),
    ),
    (
        "adamw_helper",
        (("return beta * old + (1 - beta) * new", "return (1 - beta) * old + beta * new"),),
        "complements in both",
        ("beta-complement-swapped",),
    ),
    (
        "adamw_helper",
        (('w.sub_(grp["lr"] * first /', 'w.sub_(grp["lr"] * mem["first"] /'),),
        "first moment uncorrected",
        ("bc-second-only",),
    ),
    (
        "adamw_floats",
        (("x = x - lr * wd * x\n", "x = x - lr * wd * g\n"),),
        "decay of the gradient",
        (),
    ),
    (
        "adamw_floats",
        (("mh, vh = ms[j] / (1 - b1 ** t)", "mh, vh = ms[j] / (1 - b1 * t)"),),
        "1 - β₁t",
        (),
    ),
    (
        "sgd_pytorch",
        (('alpha=1 - group["dampening"])', 'alpha=group["dampening"])'),),
        "dampening not complemented",
        ("dampening-uncomplemented",),
    ),
    (
        "sgd_pytorch",
        (
            (
                'd_p = d_p.add(buf, alpha=group["momentum"]) if',
                'd_p = buf.add(d_p, alpha=group["momentum"]) if',
            ),
        ),
        "b + μg",
        (),
    ),
    (
        "nesterov_simple",
        (
            ('st["v"] = group', 'before = st["v"].clone(); st["v"] = group'),
            ('* st["v"])', '* (st["v"] - before))'),
        ),
        "the buffer's change",
        (),
    ),
    (
        "sgd_pytorch",
        (
            (
                'buf = self.state[p]["momentum_buffer"] = d_p.clone()',
                'buf = self.state[p]["momentum_buffer"] = torch.zeros_like(p)',
            ),
        ),
        "first buffer zero",
        (),
    ),
    (
        "sgd_pytorch",
        (
            (
                'p.add_(d_p, alpha=-group["lr"])',
                'p.add_(d_p, alpha=-group["lr"] / max(1, p.numel()))',
            ),
        ),
        "divided by size",
        (),
    ),
    ("sgd_velocity", (("u = mu * old + grad", "u = mu * (old + grad)"),), "μ(b + g)", ()),
    (
        "sgd_velocity",
        (
            ('self.state[p]["u"] = u', 'self.state[p]["u"] = direction = u'),
            ("direction = grad + mu * u if", 'direction = self.state[p]["u"] = grad + mu * u if'),
        ),
        "look-ahead stored",
        (),
    ),
    (
        "momentum_dict",
        (
            (
                "self.b[p] = self.momentum * self.b[p] + g",
                "self.b[p] = self.momentum * self.b[p] - g",
            ),
        ),
        "sign of g flips after the first",
        (),
    ),
    (
        "momentum_groups",
        (('(1 - gr["dampening"]) * g', '(1 - gr["momentum"]) * g'),),
        "an average after the first",
        ("ema-first-raw",),
    ),
    (
        "momentum_groups",
        (('p.grad.add(p, alpha=gr["weight_decay"])', 'p.grad.mul(1 + gr["weight_decay"])'),),
        "λ scales the gradient",
        (),
    ),
    ("nesterov_list", (("p.sub_(self.lr * self.mu * v)", "p.sub_(self.lr * v)"),), "g + b", ()),
    (
        "nesterov_simple",
        (
            (
                'p -= group["lr"] * (g + group["momentum"] * st["v"])',
                'p -= group["lr"] * (g + group["momentum"] ** 2 * st["v"])',
            ),
        ),
        "μ²",
        (),
    ),
    (
        "adagrad_book",
        (('st["G"] += g * g', 'st["G"] += g * g / (st["n"])'),),
        "squares weighted 1/t",
        (),
    ),
    (
        "adagrad_book",
        (('1 + st["n"] * group["lr_decay"]', '1 + st["n"] ** 2 * group["lr_decay"]'),),
        "squared time in the decay",
        (),
    ),
    (
        "adagrad_book",
        (
            (
                'group["lr"] / (1 + st["n"] * group["lr_decay"])',
                'group["lr"] / 1 + st["n"] * group["lr_decay"]',
            ),
        ),
        "parentheses of the decay",
        (),
    ),
    ("adagrad_list", (("w.grad ** 2", "w.grad.abs()"),), "|g| summed", ("not-squared",)),
    (
        "adagrad_numpy",
        (("h += np.power(d, 2)", "h += np.power(d, 2).mean()"),),
        "mean square for all",
        (),
    ),
    (
        "rmsprop_book",
        (('(s["v"] - s["avg"] ** 2)', '(s["v"] + s["avg"] ** 2)'),),
        "mean added, not taken off",
        (),
    ),
    (
        "rmsprop_book",
        (('s["avg"].mul_(a).add_(g, alpha=1 - a)', 's["avg"].mul_(a).add_(g)'),),
        "mean without 1 - α",
        (),
    ),
    (
        "rmsprop_book",
        (
            (
                's["b"].mul_(group["momentum"]).addcdiv_(g, den)',
                's["b"].mul_(group["momentum"]).addcdiv_(g, den, value=group["lr"])',
            ),
            ('p.add_(s["b"], alpha=-group["lr"])', 'p.sub_(s["b"])'),
        ),
        "lr in the velocity",
        ("lr-in-velocity",),
    ),
    (
        "rmsprop_plain",
        (("self.avg_sq[idx].sqrt() + self.eps", "(self.avg_sq[idx].sqrt() + self.eps).sqrt()"),),
        "root of all the denominator",
        (),
    ),
    (
        "rmsprop_plain",
        (("p -= self.lr * p.grad /", "p -= self.lr * p.grad.sign() /"),),
        "sign of g",
        (),
    ),
    (
        "rmsprop_lerp",
        (
            (
                's["v"].lerp_(g.square(), 1 - group["alpha"])',
                's["v"].lerp_(p.grad.square(), 1 - group["alpha"])',
            ),
        ),
        "raw gradient in v",
        (),
    ),
    (
        "rmsprop_lerp",
        (("+ scaled\n", '+ (1 - group["momentum"]) * scaled\n'),),
        "momentum as an average",
        ("ema-momentum",),
    ),
    (
        "rmsprop_lerp",
        (
            (
                'torch.zeros_like(p)\n                    s["b"]',
                'p.grad.square()\n                    s["b"]',
            ),
        ),
        "v seeded with g²",
        (),
    ),
]
