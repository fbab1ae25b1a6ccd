"""Second writings: optimizers that torch does not have, each written from its paper alone.

They are what a row of the registry compares ours with where there is no twin in torch: a plain loop
over the parameters. Names of the state, and the order in which a sum is rounded, are those of ours.
"""

from collections.abc import Callable
from math import log
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import _get_scalar_dtype

State = dict[str, Any]


class Paper(torch.optim.Optimizer):
    """The loop. A subclass has `start`, which fills the state of a parameter, and `update`."""

    start: Callable[..., None]
    update: Callable[..., None]

    def __setstate__(self, state: State) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("maximize", False)
        for kept in self.state.values():
            if not isinstance(kept.get("step", counter()), Tensor):
                kept["step"] = counter() + float(kept["step"])

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            for group in self.param_groups:
                params = [param for param in group["params"] if param.grad is not None]
                for param in params:
                    self.check(param, group)
                    if not self.state[param]:
                        self.start(self.state[param], param, group)
                for param in params:
                    self.step_one(param, group)
        return loss

    def check(self, param: Tensor, group: State) -> None:
        if param.grad.is_sparse:
            raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")
        if group.get("capturable"):
            raise AssertionError("If capturable=True, params and state_steps must be on a GPU")

    def step_one(self, param: Tensor, group: State) -> None:
        grad = -param.grad if group["maximize"] else param.grad
        state = self.state[param]
        group = {name: flat(value) for name, value in group.items()}
        seen = {name: as_pairs(value) for name, value in state.items()}
        self.update(as_pairs(param), as_pairs(grad), seen, group)


def as_pairs(value: Any) -> Any:
    """A complex tensor as pairs of real numbers."""
    is_complex = isinstance(value, Tensor) and value.is_complex()
    return torch.view_as_real(value) if is_complex else value


def flat(value: Any) -> Any:
    """A tensor of one element without dimensions."""
    return value.squeeze() if isinstance(value, Tensor) else value


def decay(theta: Tensor, group: State) -> None:
    """Decoupled: θ ← (1 − η λ) θ."""
    if group["weight_decay"] != 0:
        theta.mul_(1 - group["lr"] * group["weight_decay"])


def like(param: Tensor) -> Tensor:
    return torch.zeros_like(param, memory_format=torch.preserve_format)


def count(state: State) -> float:
    """t, counted up."""
    state["step"] += 1
    return state["step"].item()


def counter() -> Tensor:
    """As torch keeps it."""
    return torch.tensor(0.0, dtype=_get_scalar_dtype())


class Lion(Paper):
    """Chen and others (2023), Algorithm 2."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-4,
        betas: Any = (0.9, 0.99),
        weight_decay: Any = 0,
        *,
        maximize: bool = False,
        foreach: Any = None,
        differentiable: bool = False,
        fused: Any = None,
    ) -> None:
        given = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize}
        flags = {"foreach": foreach, "differentiable": differentiable, "fused": fused}
        super().__init__(params, {**given, **flags})

    def start(self, state: State, param: Tensor, group: State) -> None:
        state["exp_avg"] = like(param)

    def update(self, theta: Tensor, g: Tensor, state: State, group: State) -> None:
        (beta1, beta2), eta, m = group["betas"], group["lr"], state["exp_avg"]
        decay(theta, group)
        c = torch.add(beta1 * m, g, alpha=1 - beta1)
        theta.sub_(torch.sign(c), alpha=eta)
        m.copy_(torch.add(beta2 * m, g, alpha=1 - beta2))


class AdEMAMix(Paper):
    """Pagliardini and others (2024), Algorithm 1 and, for the schedules, section 3."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999, 0.9999),
        alpha: Any = 5.0,
        eps: Any = 1e-8,
        weight_decay: Any = 0,
        alpha_warmup: Any = 0,
        beta3_warmup: Any = 0,
        *,
        maximize: bool = False,
        foreach: Any = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: Any = None,
    ) -> None:
        given = {"lr": lr, "betas": betas, "alpha": alpha, "eps": eps, "weight_decay": weight_decay}
        given |= {"alpha_warmup": alpha_warmup, "beta3_warmup": beta3_warmup, "maximize": maximize}
        flags = {"foreach": foreach, "capturable": capturable, "differentiable": differentiable}
        super().__init__(params, {**given, **flags, "fused": fused})

    def start(self, state: State, param: Tensor, group: State) -> None:
        state |= {"step": counter(), "exp_avg": like(param), "exp_avg_sq": like(param)}
        state["exp_avg_slow"] = like(param)

    def update(self, theta: Tensor, g: Tensor, state: State, group: State) -> None:
        t, (beta1, beta2, beta3) = count(state), group["betas"]
        alpha, slow = group["alpha"], beta3
        if t < group["alpha_warmup"]:
            alpha = alpha * (t / group["alpha_warmup"])
        if t < group["beta3_warmup"]:
            s = t / group["beta3_warmup"]
            slow = beta3 ** (log(beta1) / ((1 - s) * log(beta3) + s * log(beta1)))
        decay(theta, group)
        m1, m2, nu = state["exp_avg"], state["exp_avg_slow"], state["exp_avg_sq"]
        m1.copy_(torch.lerp(m1, g, 1 - beta1))
        nu.copy_(torch.addcmul(beta2 * nu, g, g, value=1 - beta2))
        m2.copy_(torch.lerp(m2, g, 1 - slow))
        numerator = torch.add(m1 / (1 - beta1**t), m2, alpha=alpha)
        denominator = torch.sqrt(nu) / (1 - beta2**t) ** 0.5 + group["eps"]
        theta.copy_(torch.addcdiv(theta, numerator, denominator, value=-group["lr"]))


class ScheduleFree(Paper):
    """Defazio and others (2024), section 3: three points, of which x is not kept."""

    def load_state_dict(self, state_dict: State) -> None:
        super().load_state_dict(state_dict)
        for saved, group in zip(state_dict["param_groups"], self.param_groups, strict=True):
            for key, param in zip(saved["params"], group["params"], strict=True):
                old = state_dict["state"].get(key, {})
                exact = {name: old[name].double().clone() for name in self.exact if name in old}
                if exact:
                    self.state[param].update(exact)

    exact = ("lr_max", "weight_sum", "share")

    def start(self, state: State, param: Tensor, group: State) -> None:
        state["step"] = counter()
        state |= {name: torch.zeros((), dtype=torch.float64) for name in self.exact}
        state["weight_sum"].fill_(1e-300)
        state["z"] = param.clone(memory_format=torch.preserve_format)

    def weigh(self, state: State, group: State) -> Any:
        """The rate of this step; c is the weight of the new z in the average x."""
        t = count(state)
        gamma = group["lr"] * min(1.0, t / max(1, group["warmup_steps"]))
        rate = gamma.item() if isinstance(gamma, Tensor) else gamma
        largest = max(state["lr_max"].item(), rate)
        state["lr_max"].fill_(largest)
        weight = state["lr_max"] ** group["weight_lr_power"] * t ** group["r"]
        state["weight_sum"].copy_(state["weight_sum"] + weight)
        state["share"].copy_(weight / state["weight_sum"])
        return gamma

    def advance(self, y: Tensor, u: Tensor, state: State, gamma: Any, beta: float) -> None:
        """z steps along u; y lies between z and x."""
        c, z = state["share"].item(), state["z"]
        y.copy_(torch.lerp(y, z, c))
        y.sub_(u, alpha=gamma * (1 - beta * (1 - c)))
        z.sub_(u, alpha=gamma)


class ScheduleFreeSGD(ScheduleFree):
    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        momentum: Any = 0.9,
        weight_decay: Any = 0,
        warmup_steps: Any = 0,
        r: Any = 0.0,
        weight_lr_power: Any = 2.0,
        *,
        maximize: bool = False,
        foreach: Any = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: Any = None,
    ) -> None:
        given = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        given |= {"warmup_steps": warmup_steps, "r": r, "weight_lr_power": weight_lr_power}
        flags = {"maximize": maximize, "foreach": foreach, "capturable": capturable}
        flags |= {"differentiable": differentiable, "fused": fused, "train_mode": True}
        super().__init__(params, {**given, **flags})

    def update(self, y: Tensor, g: Tensor, state: State, group: State) -> None:
        gamma = self.weigh(state, group)
        if group["weight_decay"] != 0:
            g = g.add(y, alpha=group["weight_decay"])
        self.advance(y, g, state, gamma, group["momentum"])


class ScheduleFreeAdamW(ScheduleFree):
    """Algorithm 1."""

    def __init__(
        self,
        params: Any,
        lr: Any = 2.5e-3,
        betas: Any = (0.9, 0.999),
        eps: Any = 1e-8,
        weight_decay: Any = 0,
        warmup_steps: Any = 0,
        r: Any = 0.0,
        weight_lr_power: Any = 2.0,
        *,
        maximize: bool = False,
        foreach: Any = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: Any = None,
    ) -> None:
        given = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        given |= {"warmup_steps": warmup_steps, "r": r, "weight_lr_power": weight_lr_power}
        flags = {"maximize": maximize, "foreach": foreach, "capturable": capturable}
        flags |= {"differentiable": differentiable, "fused": fused, "train_mode": True}
        super().__init__(params, {**given, **flags})

    def start(self, state: State, param: Tensor, group: State) -> None:
        super().start(state, param, group)
        state["exp_avg_sq"] = like(param)

    def update(self, y: Tensor, g: Tensor, state: State, group: State) -> None:
        gamma = self.weigh(state, group)
        t, (beta1, beta2), v = state["step"].item(), group["betas"], state["exp_avg_sq"]
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        u = g / (torch.sqrt(v / (1 - beta2**t)) + group["eps"])
        u = u.add(y, alpha=group["weight_decay"])
        self.advance(y, u, state, gamma, beta1)


class Prodigy(Paper):
    """Mishchenko and Defazio (2023), Algorithm 4; 1 - sqrt(beta2) is left out of r and of s, whose
    quotient it leaves as it is, and d / d0 put into both, so that they are not too small.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        betas: Any = (0.9, 0.999),
        eps: Any = 1e-8,
        weight_decay: Any = 0,
        d0: Any = 1e-6,
        d_coef: Any = 1.0,
        growth_rate: Any = None,
        use_bias_correction: bool = False,
        safeguard_warmup: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        given = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "d0": d0}
        given |= {"d_coef": d_coef, "growth_rate": growth_rate}
        given |= {"use_bias_correction": use_bias_correction, "safeguard_warmup": safeguard_warmup}
        found = {"d": d0, "d_max": d0, "d_numerator": 0.0, "k": 0, "rate": 0.0}
        super().__init__(params, {**given, "maximize": maximize, **found})

    def check(self, param: Tensor, group: State) -> None:
        super().check(param, group)
        if param.is_complex():
            raise RuntimeError("Prodigy does not support complex parameters")

    def start(self, state: State, param: Tensor, group: State) -> None:
        state |= {name: like(param) for name in ("exp_avg", "exp_avg_sq", "s")}
        state["p0"] = like(param).copy_(param)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        one = self.param_groups[0]
        d, k, inner, norm = one["d"], one["k"] + 1, 0.0, 0.0
        for group in self.param_groups:
            (beta1, beta2), gamma = group["betas"], d * float(group["lr"])
            if group["use_bias_correction"]:
                gamma = gamma * (1 - beta2**k) ** 0.5 / (1 - beta1**k)
            group["d"], group["rate"] = d, gamma
            given = [param for param in group["params"] if param.grad is not None]
            for param in given if gamma else []:
                self.check(param, group)
                if not self.state[param]:
                    self.start(self.state[param], param, group)
            for param in given if gamma else []:
                state, g = self.state[param], param.grad * (-1 if group["maximize"] else 1)
                m, v, s = state["exp_avg"], state["exp_avg_sq"], state["s"]
                m.mul_(beta1).add_(g, alpha=d * (1 - beta1))
                v.mul_(beta2).addcmul_(g, g, value=d * d * (1 - beta2))
                weight = d if group["safeguard_warmup"] else gamma
                s.mul_(beta2**0.5).add_(g, alpha=d / group["d0"] * weight)
                inner += ((g * (state["p0"] - param)).sum() * (d / group["d0"] * gamma)).item()
                norm += s.abs().sum().item()
        if norm == 0:
            return loss
        r = one["betas"][1] ** 0.5 * one["d_numerator"] + inner
        estimate = one["d_coef"] * r / norm
        largest = max(one["d_max"], estimate)
        grown = max(d, estimate) if d == one["d0"] else d
        if one["growth_rate"] is not None:
            grown = min(largest, grown * one["growth_rate"])
        else:
            grown = largest
        for group in self.param_groups:
            group.update(d=grown, d_max=largest, d_numerator=r, k=k)
            for param in [param for param in group["params"] if param.grad is not None]:
                if not self.state[param]:
                    self.start(self.state[param], param, group)
                m, v = self.state[param]["exp_avg"], self.state[param]["exp_avg_sq"]
                param.mul_(1 - group["rate"] * group["weight_decay"])
                param.addcdiv_(m, v.sqrt() + grown * group["eps"], value=-group["rate"])
        return loss


class SOAP(Paper):
    """Vyas and others (2024), Algorithm 3, in the order of its authors' code."""

    def __init__(
        self,
        params: Any,
        lr: Any = 3e-3,
        betas: Any = (0.95, 0.95),
        shampoo_beta: Any = None,
        eps: Any = 1e-8,
        weight_decay: Any = 0.01,
        precondition_frequency: Any = 10,
        max_precondition_dim: Any = 10_000,
        *,
        maximize: bool = False,
    ) -> None:
        given = {"lr": lr, "betas": betas, "shampoo_beta": shampoo_beta, "eps": eps}
        given |= {"weight_decay": weight_decay, "precondition_frequency": precondition_frequency}
        given |= {"max_precondition_dim": max_precondition_dim, "maximize": maximize}
        super().__init__(params, given)

    def check(self, param: Tensor, group: State) -> None:
        super().check(param, group)
        if param.is_complex():
            raise RuntimeError("SOAP does not support complex parameters")

    def start(self, state: State, param: Tensor, group: State) -> None:
        state |= {"step": counter(), "exp_avg": like(param), "exp_avg_sq": like(param)}
        for i, n in enumerate(param.shape if param.dim() > 1 else ()):
            if n <= group["max_precondition_dim"]:
                for name in ("gram", "basis"):
                    state[f"{name}{i}"] = torch.zeros(n, n, dtype=param.dtype)

    def update(self, w: Tensor, g: Tensor, state: State, group: State) -> None:
        t, (beta1, beta2) = count(state) - 1, group["betas"]
        dims = [i for i in range(g.dim()) if f"gram{i}" in state]

        def turn(x: Tensor, side: int) -> Tensor:
            """Multiplied by each basis from its side, the dimensions going round once."""
            for i in range(x.dim()):
                if i in dims:
                    x = torch.tensordot(x, state[f"basis{i}"], dims=[[0], [side]])
                else:
                    x = x.permute(*range(1, x.dim()), 0)
            return x

        if t:
            rotated = turn(g, 0)
            m, v = state["exp_avg"], state["exp_avg_sq"]
            m.lerp_(g, 1 - beta1)
            v.lerp_(rotated * rotated, 1 - beta2)
            n = turn(turn(m, 0) / (v.sqrt() + group["eps"]), 1)
            w.sub_(n, alpha=group["lr"] * ((1 - beta2**t) ** 0.5 / (1 - beta1**t)))
            w.mul_(1 - group["lr"] * group["weight_decay"])
        for i in dims:
            rest = [j for j in range(g.dim()) if j != i]
            gram, keep = state[f"gram{i}"], group["shampoo_beta"]
            gram.lerp_(
                torch.tensordot(g, g, dims=[rest, rest]), 1 - (beta2 if keep is None else keep)
            )
            if not t:
                state[f"basis{i}"].copy_(torch.linalg.eigh(single(gram))[1].flip(1))
        for i in dims if t and t % group["precondition_frequency"] == 0 else []:
            q, power = state[f"basis{i}"], state[f"gram{i}"] @ state[f"basis{i}"]
            order = (q * power).sum(0).argsort(descending=True)
            q.copy_(torch.linalg.qr(single(power[:, order])).Q)
            v.copy_(v.index_select(i, order))


def single(matrix: Tensor) -> Tensor:
    return matrix.float() if matrix.element_size() == 2 else matrix
