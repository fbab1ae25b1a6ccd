"""Adamax (Kingma and Ba 2015, Algorithm 2), for a course that has it as an exercise."""

import torch
from torch import Tensor

from myoptim.course.own import Frame, Mistake, Own, form


class Adamax(Frame):
    r"""With β₁, β₂ = `betas`, ε = `eps`, and m and u zero at first,

    $$m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad u_t = \max(\beta_2 u_{t-1}, |g_t| +
    \varepsilon), \qquad \theta \leftarrow \theta - \frac{\eta}{1 - \beta_1^t} \frac{m_t}{u_t}.$$

    The weight decay is a penalty: it joins the gradient.
    """

    def __init__(
        self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, *, maximize=False
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def start(self, group, state, p: Tensor) -> None:
        state["step"] = 0
        state["exp_avg"] = torch.zeros_like(p)
        state["exp_inf"] = torch.zeros_like(p)

    def update(self, group, state, p: Tensor, g: Tensor) -> None:
        lr = group["lr"]
        beta1, beta2 = group["betas"]
        eps = group["eps"]
        t = state["step"] = state["step"] + 1
        m = state["exp_avg"] = beta1 * state["exp_avg"] + (1 - beta1) * g
        u = state["exp_inf"] = torch.maximum(beta2 * state["exp_inf"], g.abs() + eps)
        p.sub_(lr / (1 - beta1**t) * m / u)


OPTIMIZERS = (Own(Adamax),)

MISTAKES = (
    Mistake(
        "adamax-no-maximum",
        ("Adamax",),
        "u is today's gradient alone, |g| + ε: nothing is remembered of larger ones.",
        "What does u know of yesterday?",
        (form('torch.maximum(beta2 * state["exp_inf"], g.abs() + eps)', "g.abs() + eps"),),
        shows="step 2",
    ),
    Mistake(
        "adamax-never-forgets",
        ("Adamax",),
        "The maximum is of all gradients so far: β₂ does nothing, and u never falls.",
        "How does an old, large gradient leave u?",
        (form('beta2 * state["exp_inf"]', 'state["exp_inf"]'),),
        shows="step 2",
    ),
    Mistake(
        "adamax-averages",
        ("Adamax",),
        "u is an average of |g| + ε, not a maximum.",
        "Which norm is it that Adamax has and Adam has not?",
        (
            form(
                'torch.maximum(beta2 * state["exp_inf"], g.abs() + eps)',
                'beta2 * state["exp_inf"] + (1 - beta2) * (g.abs() + eps)',
            ),
        ),
    ),
    Mistake(
        "adamax-no-correction",
        ("Adamax",),
        "m is used as it is, without 1 - β₁ᵗ.",
        "Which of the two starts too small, m or u?",
        (form("lr / (1 - beta1**t) * m", "lr * m"),),
    ),
    Mistake(
        "adamax-eps-in-quotient",
        ("Adamax",),
        "The maximum is of |g| alone, and ε is added to it.",
        "Where does ε stand?",
        (form("g.abs() + eps", "g.abs()", "* m / u)", "* m / (u + eps))"),),
        kind="dialect",
        whose="Keras",
        shows="step 2",
    ),
)
