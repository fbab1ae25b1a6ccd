"""Lion (Chen et al. 2023): the sign of an average, for a course that has it as an exercise."""

import torch
from torch import Tensor

from myoptim.course.own import Frame, Mistake, Own, form


class Lion(Frame):
    r"""With β₁, β₂ = `betas`, and m zero at first,

    $$c_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad \theta \leftarrow (1 - \eta \lambda) \theta
    - \eta \operatorname{sign}(c_t), \qquad m_t = \beta_2 m_{t-1} + (1 - \beta_2) g_t.$$

    The weight decay is decoupled: it never joins the gradient.
    """

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, *, maximize=False):
        defaults = {
            "lr": lr,
            "betas": betas,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def decay(self, group, p: Tensor, g: Tensor) -> Tensor:
        p.mul_(1 - group["lr"] * group["weight_decay"])
        return g

    def start(self, group, state, p: Tensor) -> None:
        state["exp_avg"] = torch.zeros_like(p)

    def update(self, group, state, p: Tensor, g: Tensor) -> None:
        lr = group["lr"]
        beta1, beta2 = group["betas"]
        m = state["exp_avg"]
        c = beta1 * m + (1 - beta1) * g
        state["exp_avg"] = beta2 * m + (1 - beta2) * g
        p.sub_(lr * torch.sign(c))


OPTIMIZERS = (Own(Lion),)

MISTAKES = (
    Mistake(
        "lion-one-average",
        ("Lion",),
        "The sign is taken of the new average m, so β₁ does nothing.",
        "How many averages does the paper have, and which of them is remembered?",
        (
            form("torch.sign(c)", 'torch.sign(state["exp_avg"])'),
            form("c = beta1 * m + (1 - beta1) * g", "c = beta2 * m + (1 - beta2) * g"),
        ),
    ),
    Mistake(
        "lion-remembers-c",
        ("Lion",),
        "The average that is remembered is c, made with β₁; β₂ does nothing.",
        "How many averages does the paper have, and which of them is remembered?",
        (form('state["exp_avg"] = beta2 * m + (1 - beta2) * g', 'state["exp_avg"] = c'),),
        shows="step 2",
    ),
    Mistake(
        "lion-no-sign",
        ("Lion",),
        "The step is the average itself, not its sign.",
        "How long is a step of Lion's in each coordinate?",
        (form("torch.sign(c)", "c"),),
    ),
    Mistake(
        "lion-decay-in-sign",
        ("Lion",),
        "The weight decay joins the gradient, and so can only turn the sign.",
        "Does the decay pass through the sign?",
        (
            form(
                '        p.mul_(1 - group["lr"] * group["weight_decay"])\n        return g',
                '        return g + group["weight_decay"] * p',
            ),
        ),
    ),
)
