"""SparseAdam: Adam on only the elements that a sparse gradient names."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.declaration import Declaration
from myoptim.hyperparameters import BETAS, Range
from myoptim.rules import TensorRule


def sparse_adam(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    *,
    step: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    """One step of Adam on the elements that the gradient names: θ = param, g = grad, m = exp_avg,
    v = exp_avg_sq, t = step (1 at first), η = lr, (β₁, β₂) = betas, ε = eps."""
    if not grad.numel():
        return
    beta1, beta2 = betas
    exp_avg.add_(exp_avg.sub(grad).mul_(beta1 - 1))  #                  m ← m − (1 − β₁) (m − g)
    exp_avg_sq.add_(exp_avg_sq.sub(grad * grad).mul_(beta2 - 1))  #     v ← v − (1 − β₂) (v − g²)
    correction = math.sqrt(1 - beta2**step)  #                          √(1 − β₂ᵗ)
    step_size = (
        lr * correction / (1 - beta1**step)
    )  #                  η′ = η √(1 − β₂ᵗ) / (1 − β₁ᵗ)
    root = exp_avg_sq.sqrt().add_(eps)  #                               √v + ε
    param.add_(-step_size * exp_avg.div(root))  #                       θ ← θ − η′ m / (√v + ε)


def check_parameters(number: int, params: Sequence[Tensor]) -> None:
    """Parameters must be dense, and real."""
    sparse = [[number, i] for i, param in enumerate(params) if param.is_sparse]
    if sparse:
        raise ValueError(
            f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors; it "
            "is the gradients that are sparse"
        )
    complex_ = [[number, i] for i, param in enumerate(params) if param.is_complex()]
    if complex_:
        raise ValueError(
            f"Complex params at indices {complex_}: SparseAdam does not support complex parameters"
        )


class SparseAdam(TensorRule):
    r"""Adam for sparse gradients. Equals `torch.optim.SparseAdam`.

    .. math::
        m_i &\leftarrow m_i - (1 - \beta_1)\,(m_i - g_i) \\
        v_i &\leftarrow v_i - (1 - \beta_2)\,(v_i - g_i^2) \\
        \theta_i &\leftarrow \theta_i - \eta\, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}\,
            \frac{m_i}{\sqrt{v_i} + \varepsilon}

    for the elements :math:`i` that the gradient names, and for no others: those keep parameter and
    averages as they are, where Adam would let the averages decay and move the parameter on. So a
    step costs as much as there are elements in the gradient, for an embedding the rows of the words
    that occur. :math:`t` counts the steps of the whole parameter: the first gradient of a rare word
    is corrected as if there had been :math:`t` of them.

    :math:`\varepsilon` is added to the root before its correction: this is the form that the paper
    calls :math:`\hat\varepsilon`, and `Adam` here and in torch the other one.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups; dense and real.
        lr: learning rate :math:`\eta > 0`; a number or a tensor of one element.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1): how much of each average stays.
        eps: :math:`\varepsilon > 0`, keeps the quotient finite.
        maximize: ascend instead of descend.

    State, per parameter, from its first gradient on: `step` (:math:`t`, an int of Python) and,
    shaped like the parameter and dense, `exp_avg` (:math:`m`), `exp_avg_sq` (:math:`v`).

    Raises:
        ValueError: a hyper-parameter is outside its range, or a parameter is sparse or complex.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: a gradient is dense.

    Sources: Kingma, Ba, *Adam: a method for stochastic optimization* (2015), section 2, for the
    order of the corrections; leaving out the elements without gradient comes from practice.

    Example:
        >>> words = torch.nn.Embedding(5, 2, sparse=True)
        >>> _ = torch.nn.init.ones_(words.weight)
        >>> optimizer = SparseAdam(words.parameters(), lr=0.1)
        >>> words(torch.tensor([3])).sum().backward()
        >>> optimizer.step()  # only the row that was looked up moves
        >>> words.weight.detach()[2:, 0]
        tensor([1.0000, 0.9000, 1.0000])
    """

    _declaration = Declaration(
        rule=sparse_adam,
        ranges={
            "lr": Range(0.0, open_low=True, says="Invalid learning rate: {value}"),
            "betas": BETAS,
            "eps": Range(0.0, open_low=True, says="Invalid epsilon value: {value}"),
        },
        parameters=check_parameters,
        buffers=("exp_avg", "exp_avg_sq"),
        numbers={"step": 0},
        plain_numbers=True,
        sparse="only",
        twin=torch.optim.SparseAdam,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
