"""Schedule-Free SGD and AdamW, which average their path instead of lowering the learning rate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.algorithms.warm_up import reached
from myoptim.algorithms.weight_decay import coupled
from myoptim.declaration import Declaration, zeros
from myoptim.hyperparameters import (
    AT_LEAST_ZERO,
    EPSILON,
    LEARNING_RATE,
    Group,
    Range,
    Several,
    beta,
)
from myoptim.rules import ElementwiseRule


def average(
    lr_max: Tensor,
    weight_sum: Tensor,
    share: Tensor,
    *,
    step: float,
    lr: float,
    warmup_steps: float,
    r: float,
    weight_lr_power: float,
) -> None:
    """How much the newest point counts in the average, which is run before the rule: h = lr_max,
    W = weight_sum, c = share, t = step, η = lr, T = warmup_steps, p = weight_lr_power.

    A point counts as much as the largest rate so far, to the power of p: little in a warm-up."""
    rate = lr * reached(step, warmup_steps)  #             γ = η min(1, t / max(1, T))
    lr_max.clamp_min_(constant(rate))  #                   h ← max(h, γ)
    weight = lr_max.pow(weight_lr_power).mul_(step**r)  #  w = t^r h^p
    weight_sum.add_(weight)  #                             W ← W + w
    share.copy_(weight.div(weight_sum))  #                 c ← w / W


def schedule_free_sgd(
    param: Tensor,
    grad: Tensor,
    z: Tensor,
    *,
    step: float,
    share: float,
    lr: float,
    momentum: float,
    warmup_steps: float,
) -> None:
    """One step of Schedule-Free SGD: θ = param, g = grad, t = step (1 at first), c = share, η = lr,
    β = momentum, T = warmup_steps.

    SGD moves z; x is the average of all z, x ← (1 − c) x + c z; and the parameter, at which
    gradients are taken, lies between: θ = (1 − β) z + β x. So x need not be kept: what the two
    equations together make of θ stands here."""
    rate = lr * reached(step, warmup_steps)  #                     γ = η min(1, t / max(1, T))
    param.lerp_(z, share)  #                                       θ ← (1 − c) θ + c z
    param.add_(grad, alpha=-rate * (1 - momentum * (1 - share)))  # θ ← θ − γ (1 − β (1 − c)) g
    z.add_(grad, alpha=-rate)  #                                   z ← z − γ g


def schedule_free_adamw(
    param: Tensor,
    grad: Tensor,
    z: Tensor,
    exp_avg_sq: Tensor,
    *,
    step: float,
    share: float,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    warmup_steps: float,
) -> None:
    """One step of Schedule-Free AdamW: θ = param, g = grad, v = exp_avg_sq, t = step (1 at first),
    c = share, η = lr, (β₁, β₂) = betas, ε = eps, λ = weight_decay, T = warmup_steps;
    v̂ = v / (1 − β₂ᵗ).

    As Schedule-Free SGD, with Adam's step for the gradient, and β₁ for β."""
    beta1, beta2 = betas
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)  #  v ← β₂ v + (1 − β₂) g²
    root = exp_avg_sq.div(1 - beta2**step).sqrt_().add_(eps)  #      √v̂ + ε
    update = grad.div(root)  #                                       u = g / (√v̂ + ε)
    update.add_(param, alpha=weight_decay)  #                        u ← u + λ θ
    rate = lr * reached(step, warmup_steps)  #                       γ = η min(1, t / max(1, T))
    param.lerp_(z, share)  #                                         θ ← (1 − c) θ + c z
    param.add_(update, alpha=-rate * (1 - beta1 * (1 - share)))  #   θ ← θ − γ (1 − β₁ (1 − c)) u
    z.add_(update, alpha=-rate)  #                                   z ← z − γ u


def constant(number: Any) -> Any:
    """A number that autograd does not follow: what counts is how large rates are beside others."""
    return torch.detach(number) if torch.is_tensor(number) else number


def new_buffer(name: str, param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """z starts at the parameter, for autograd too."""
    if name != "z":
        return zeros(name, param, grad, group)
    start = param if group["differentiable"] else param.detach()
    return start.clone(memory_format=torch.preserve_format)


#: Nothing, beside any weight; were it 0, the first share at a learning rate of 0 would be 0 / 0.
NOTHING = 1e-300
_NUMBERS = {"step": 0.0, "lr_max": 0.0, "weight_sum": NOTHING, "share": 0.0}
_BETWEEN = Range(0.0, 1.0, open_low=True, open_high=True)


class _ScheduleFree(ElementwiseRule):
    """What both have: in training the parameters lie between z and the average x, which they are at
    all other times."""

    def _momentum(self, group: Group) -> float:
        """β."""
        raise NotImplementedError

    def train(self) -> None:
        """Go on with training: the parameters become the point where gradients are to be taken.

        A new optimizer is in this mode, as a new `torch.nn.Module` is.
        """
        self._move(train_mode=True)

    def eval(self) -> None:
        """Stop training for now: the parameters become the average, to be tested and saved."""
        self._move(train_mode=False)

    @torch.no_grad()
    def _move(self, train_mode: bool) -> None:
        for group in self.param_groups:
            if group["train_mode"] == train_mode:
                continue
            beta = self._momentum(group)
            weight = 1 - beta if train_mode else 1 - 1 / beta
            for param in group["params"]:
                if "z" in (state := self.state.get(param, {})):
                    param.lerp_(state["z"], weight)
            group["train_mode"] = train_mode

    @classmethod
    def _settle(cls, group: Group) -> Group:
        """Raise unless the parameters are those of training."""
        if not group["train_mode"]:
            name = cls.__name__
            raise RuntimeError(
                f"{name} is in eval mode: its parameters are the average of the path, and a step "
                "needs gradients from beside it. Call optimizer.train() where model.train() is "
                "called, before the gradients are computed, and optimizer.eval() where "
                "model.eval() is, before the model is tested or saved"
            )
        return group


class ScheduleFreeSGD(_ScheduleFree):
    r"""Schedule-Free SGD. Not in `torch.optim`; agrees with the package schedulefree.

    .. math::
        \gamma_t &= \eta \min(1, t / \max(1, T)) \\
        z_t &= z_{t-1} - \gamma_t\, g_t \\
        \theta_t &= (1 - c_t)\, \theta_{t-1} + c_t\, z_{t-1}
            - \gamma_t\, (1 - \beta\, (1 - c_t))\, g_t

    A learning rate that falls to nothing averages the noise of the last steps away, but one must
    know beforehand when training ends. Here the rate stays, and the points are averaged: :math:`z`
    is where SGD is, and :math:`x \leftarrow (1 - c)\, x + c\, z` the average of all :math:`z`, the
    best guess at any time. Gradients are taken between the two, at :math:`\theta = (1 - \beta)\, z
    + \beta\, x`; near the average, so that old steps go on acting as they do in momentum. What
    these equations make of :math:`\theta` stands above; :math:`x` need not be kept. Each
    :math:`z` counts by its number to the power of :math:`r` and the largest rate so far to the
    power of :math:`p`, and :math:`c` is the newest one's share.

    In training the parameters are :math:`\theta`. Before the model is tested or saved they must
    become :math:`x`, by `eval()`, and before training goes on :math:`\theta`, by `train()`::

        optimizer.train()
        for batch in batches: ...  # as ever
        optimizer.eval()
        test(model)

    Models with batch normalization must see some batches in training mode, at :math:`x`, before
    they are tested: their statistics are those at :math:`\theta`.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element. Larger than for
            SGD, ten times and more, since it need not fall.
        momentum: :math:`\beta` in (0, 1), how near to the average gradients are taken.
        weight_decay: :math:`\lambda \ge 0`; adds :math:`\lambda\,\theta` to the gradient (L2).
        warmup_steps: :math:`T \ge 0`, over how many steps the rate grows from nothing.
        r: :math:`r \ge 0`, by which power of its number a point counts in the average.
        weight_lr_power: :math:`p \ge 0`, by which power of the largest rate so far.
        maximize: ascend instead of descend.
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        capturable: make the step safe to record in a CUDA graph.
        differentiable: let autograd record the step.
        fused: True: one compiled pass over memory; see `myoptim.execution`.

    State, per parameter, from its first gradient on: `step` (:math:`t`), 0-dim float32; `lr_max`
    (:math:`\gamma_{\max}`), `weight_sum` and `share` (:math:`c`), 0-dim float64; and `z`, shaped
    like the parameter. In the groups, `train_mode` says which point the parameters are.

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: a step in eval mode, `fused` together with `foreach` or `differentiable`, or a
            sparse gradient.

    Source: Defazio and others, *The road less scheduled* (2024), section 3.

    Example:
        >>> weight = torch.tensor([1.0, 100.0], requires_grad=True)
        >>> optimizer = ScheduleFreeSGD([weight], lr=0.25)
        >>> for _ in range(20):
        ...     optimizer.zero_grad()
        ...     (weight ** 2).sum().backward()
        ...     optimizer.step()
        >>> optimizer.eval()
        >>> bool(weight[1] < 15)  # the average of 100, 50, 25, …, and all that follow
        True
    """

    _declaration = Declaration(
        rule=schedule_free_sgd,
        ranges={
            "lr": LEARNING_RATE,
            "momentum": _BETWEEN,
            "weight_decay": AT_LEAST_ZERO,
            "warmup_steps": AT_LEAST_ZERO,
            "r": AT_LEAST_ZERO,
            "weight_lr_power": AT_LEAST_ZERO,
        },
        buffers=("z",),
        new_buffer=new_buffer,
        numbers=_NUMBERS,
        number_type=torch.float64,
        before=average,
        weight_decay=coupled,
        zeros_tie=False,  # it takes no maximum of tensors
        complex="as pairs from the decay on",
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0,
        warmup_steps: float = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "warmup_steps": warmup_steps,
            "r": r,
            "weight_lr_power": weight_lr_power,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "train_mode": True,
        }
        super().__init__(params, defaults)

    def _momentum(self, group: Group) -> float:
        return group["momentum"]


class ScheduleFreeAdamW(_ScheduleFree):
    r"""Schedule-Free AdamW. Not in `torch.optim`; agrees with the package schedulefree.

    .. math::
        v_t &= \beta_2\, v_{t-1} + (1 - \beta_2)\, g_t^2,
            \qquad \hat v_t = v_t / (1 - \beta_2^t) \\
        u_t &= \frac{g_t}{\sqrt{\hat v_t} + \varepsilon} + \lambda\, \theta_{t-1},
            \qquad \gamma_t = \eta \min(1, t / \max(1, T)) \\
        z_t &= z_{t-1} - \gamma_t\, u_t \\
        \theta_t &= (1 - c_t)\, \theta_{t-1} + c_t\, z_{t-1}
            - \gamma_t\, (1 - \beta_1\, (1 - c_t))\, u_t

    `ScheduleFreeSGD` says what :math:`z`, :math:`\theta`, :math:`c` and the average :math:`x` are,
    and why `eval()` and `train()` must be called. Adam's average of gradients is gone: averaging
    the points does its work.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element. One to ten times
            that of AdamW.
        betas: :math:`(\beta_1, \beta_2)`: how near to the average gradients are taken, in (0, 1),
            and how much of the average of squares stays, in [0, 1).
        eps: :math:`\varepsilon \ge 0`, keeps the quotient finite.
        weight_decay: :math:`\lambda \ge 0`; adds :math:`\lambda\,\theta` to what is stepped
            along, beside the root.
        warmup_steps: :math:`T \ge 0`, over how many steps the rate grows from nothing.
        r: :math:`r \ge 0`, by which power of its number a point counts in the average.
        weight_lr_power: :math:`p \ge 0`, by which power of the largest rate so far.
        maximize: ascend instead of descend.
        foreach: True: over lists of tensors; False: tensor by tensor; None: the fastest that
            gives the same bits.
        capturable: make the step safe to record in a CUDA graph.
        differentiable: let autograd record the step.
        fused: True: one compiled pass over memory; see `myoptim.execution`.

    State, per parameter, from its first gradient on: `step` (:math:`t`), 0-dim float32; `lr_max`,
    `weight_sum` and `share` (:math:`c`), 0-dim float64; and, shaped like the parameter, `z` and
    `exp_avg_sq` (:math:`v`). In the groups, `train_mode` says which point the parameters are.

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: a step in eval mode, `fused` together with `foreach` or `differentiable`, or a
            sparse gradient.

    Source: Defazio and others, *The road less scheduled* (2024), Algorithm 1.
    """

    _declaration = Declaration(
        rule=schedule_free_adamw,
        ranges={
            "lr": LEARNING_RATE,
            "betas": Several([beta(0, open_low=True), beta(1)], "a pair (beta1, beta2)"),
            "eps": EPSILON,
            "weight_decay": AT_LEAST_ZERO,
            "warmup_steps": AT_LEAST_ZERO,
            "r": AT_LEAST_ZERO,
            "weight_lr_power": AT_LEAST_ZERO,
        },
        buffers=("z", "exp_avg_sq"),
        new_buffer=new_buffer,
        numbers=_NUMBERS,
        number_type=torch.float64,
        before=average,
        zeros_tie=False,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2.5e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        warmup_steps: float = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "warmup_steps": warmup_steps,
            "r": r,
            "weight_lr_power": weight_lr_power,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "train_mode": True,
        }
        super().__init__(params, defaults)

    def _momentum(self, group: Group) -> float:
        return group["betas"][0]
