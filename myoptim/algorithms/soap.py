"""SOAP: Adam in the directions in which a matrix's gradients are independent of each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.declaration import Declaration, zeros
from myoptim.hyperparameters import (
    AT_LEAST_ZERO,
    BETAS,
    EPSILON,
    LEARNING_RATE,
    Group,
    Range,
)
from myoptim.rules import TensorRule


def soap(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    *,
    step: float,
    lr: float,
    betas: tuple[float, float],
    shampoo_beta: float | None,
    eps: float,
    weight_decay: float,
    precondition_frequency: int,
    **matrices: Tensor,
) -> None:
    """One step of SOAP: Θ = param, G = grad, M = exp_avg, V = exp_avg_sq, η = lr, ε = eps,
    (β₁, β₂) = betas, β = shampoo_beta, λ = weight_decay, L = gram0 (an average of G Gᵀ), R = gram1
    (one of Gᵀ G), Q = basis0, P = basis1 (their eigenvectors, roughly, in columns),
    EIG = eigenvectors, QR = orthonormal, ORDER = largest_first, MOVED = reordered, t = step − 1,
    since the first gradient makes the bases, and nothing moves. A step of the power iteration
    improves them: the products of the columns of Q and of L Q are the eigenvalues of L as far as Q
    has its eigenvectors. Where a basis changes its order, V goes with it."""
    beta1, beta2 = betas
    if shampoo_beta is None:
        shampoo_beta = beta2  #                          β ← β₂
    if step > 1:
        turned = rotated(grad, matrices)  #              G′ = Qᵀ @ G @ P
        exp_avg.lerp_(grad, 1 - beta1)  #                M ← β₁ M + (1 − β₁) G
        exp_avg_sq.lerp_(turned.square(), 1 - beta2)  #  V ← β₂ V + (1 − β₂) G′²
        update = rotated(exp_avg, matrices)  #           M′ = Qᵀ @ M @ P
        update = update / exp_avg_sq.sqrt().add_(eps)  # N′ = M′ / (√V + ε)
        update = rotated(update, matrices, back=True)  # N = Q @ N′ @ Pᵀ
        rate = lr * corrected(step - 1, beta1, beta2)  # γ = η √(1 − β₂ᵗ) / (1 − β₁ᵗ)
        param.add_(update, alpha=-rate)  #               Θ ← Θ − γ N
        param.mul_(1 - lr * weight_decay)  #             Θ ← (1 − η λ) Θ
    for dim, gram, basis in of_each_dimension(param, matrices):
        square = products(grad, dim)  #                  S = G @ Gᵀ where dim = 0, else Gᵀ @ G
        gram.lerp_(square, 1 - shampoo_beta)  #          gram ← β gram + (1 − β) S, that is L and R
        if step <= 1:
            basis.copy_(eigenvectors(gram))  #           basis ← EIG(gram), that is Q and P
    if step > 1 and (step - 1) % precondition_frequency == 0:
        for dim, gram, basis in of_each_dimension(param, matrices):
            product = gram @ basis  #                          A = gram @ basis
            eigenvalues = (basis * product).sum(dim=0)  #      κ = sum(basis A, 0)
            order = largest_first(eigenvalues)  #              o = ORDER(κ)
            product = reordered(product, 1, order)  #          A ← MOVED(A, 1, o)
            basis.copy_(orthonormal(product))  #               basis ← QR(A)
            v_now = reordered(exp_avg_sq, dim, order)  #       V′ = MOVED(V, dim, o)
            exp_avg_sq.copy_(v_now)  #                         V ← V′


def of_each_dimension(
    param: Tensor, matrices: Mapping[str, Tensor]
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The dimensions that have matrices, with these."""
    for dim in range(param.dim()):
        if f"gram{dim}" in matrices:
            yield dim, matrices[f"gram{dim}"], matrices[f"basis{dim}"]


def rotated(tensor: Tensor, matrices: Mapping[str, Tensor], back: bool = False) -> Tensor:
    """Qᵀ X P, or back Q X Pᵀ; a dimension without a basis stays as it is. Each product takes the
    first dimension and puts what comes of it last, so that after all of them the order is as it
    was."""
    for dim in range(tensor.dim()):
        basis = matrices.get(f"basis{dim}")
        if basis is None:
            tensor = tensor.movedim(0, -1)
        else:
            tensor = _contracted(tensor, basis, [0], [1 if back else 0])
    return tensor


def products(grad: Tensor, dim: int) -> Tensor:
    """The products of a tensor's slices along one dimension with each other: G Gᵀ, or Gᵀ G."""
    others = [other for other in range(grad.dim()) if other != dim]
    return _contracted(grad, grad, others, others)


def _contracted(a: Tensor, b: Tensor, of_a: list[int], of_b: list[int]) -> Tensor:
    """The sum of products over pairs of dimensions."""
    return torch.tensordot(a, b, dims=(of_a, of_b))  # pyright: ignore[reportArgumentType]


def eigenvectors(gram: Tensor) -> Tensor:
    """Those of a symmetric matrix, the largest eigenvalue's first."""
    _, vectors = torch.linalg.eigh(at_least_single(gram))
    return vectors.flip(1)


def orthonormal(matrix: Tensor) -> Tensor:
    """Q of Q R: orthonormal columns, the first ones of which span what the matrix's first do."""
    columns, _ = torch.linalg.qr(at_least_single(matrix))
    return columns


def largest_first(values: Tensor) -> Tensor:
    """Where the largest value is, then the next."""
    return torch.argsort(values, descending=True)


def reordered(tensor: Tensor, dim: int, order: Tensor) -> Tensor:
    """The slices along one dimension in another order."""
    return tensor.index_select(dim, order)


def at_least_single(matrix: Tensor) -> Tensor:
    """Decompositions are not made in half precision."""
    return matrix.float() if matrix.dtype in (torch.float16, torch.bfloat16) else matrix


def corrected(step: float, beta1: float, beta2: float) -> float:
    """Adam's corrections of both averages: t = step (1 at first), β₁ = beta1, β₂ = beta2."""
    return (1 - beta2**step) ** 0.5 / (1 - beta1**step)  #  √(1 − β₂ᵗ) / (1 − β₁ᵗ)


def buffer_names(param: Tensor, group: Group) -> tuple[str, ...]:
    """Two matrices for each dimension that is not too long; none for a vector."""
    sizes = enumerate(param.shape if param.dim() > 1 else ())
    dims = [dim for dim, size in sizes if size <= group["max_precondition_dim"]]
    matrices = [f"{kind}{dim}" for dim in dims for kind in ("gram", "basis")]
    return ("exp_avg", "exp_avg_sq", *matrices)


def new_buffer(name: str, param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """Zeros, square ones for a dimension."""
    if name.startswith("exp_avg"):
        return zeros(name, param, grad, group)
    size = param.shape[int(name.removeprefix("gram").removeprefix("basis"))]
    return param.new_zeros(size, size, requires_grad=False)


class SOAP(TensorRule):
    r"""SOAP. It has no namesake in `torch.optim`; agrees with the package pytorch_optimizer.

    .. math::
        G'_t &= Q^\top G_t\, P \\
        M_t &= \beta_1\, M_{t-1} + (1 - \beta_1)\, G_t, \qquad M'_t = Q^\top M_t\, P \\
        V_t &= \beta_2\, V_{t-1} + (1 - \beta_2)\, {G'_t}^2 \\
        \Theta_t &= (1 - \eta\lambda) \left( \Theta_{t-1} - \eta\,
            \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}\;
            Q\, \frac{M'_t}{\sqrt{V_t} + \varepsilon}\, P^\top \right) \\
        L_t &= \beta L_{t-1} + (1 - \beta)\, G_t G_t^\top, \qquad
            R_t = \beta R_{t-1} + (1 - \beta)\, G_t^\top G_t

    with the eigenvectors of :math:`L` and :math:`R` for columns of :math:`Q` and :math:`P`. Adam
    gives each element of a matrix a scale of its own, as if elements had nothing to do with each
    other. The rows and columns of a layer do. In the basis of these eigenvectors, which is
    Shampoo's, the elements of the gradient are all but uncorrelated; so there Adam does what it is
    meant to do.

    The bases need not be exact: every `precondition_frequency` steps one step of the power
    iteration improves them. The first gradient makes them, and moves nothing. Tensors of more
    dimensions have a basis for each; vectors have none, and are Adam's.

    Args:
        params: the parameters, or named parameters, or dicts of parameter groups; not complex.
        lr: learning rate :math:`\eta \ge 0`; a number or a tensor of one element.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1): how much of each average stays.
        shampoo_beta: :math:`\beta` in [0, 1), how much of :math:`L` and :math:`R` stays; None:
            :math:`\beta_2`.
        eps: :math:`\varepsilon \ge 0`, keeps the quotient finite.
        weight_decay: :math:`\lambda \ge 0`; shrinks the parameter by :math:`1 - \eta\lambda`, after
            the step.
        precondition_frequency: the bases are improved every so many steps, at least 1.
        max_precondition_dim: dimensions longer than that have no basis, since it takes the square
            of their length in memory and the cube in time.
        maximize: ascend instead of descend.

    State, per parameter, from its first gradient on: `step` (:math:`t + 1`, 0-dim float32); shaped
    like the parameter, `exp_avg` (:math:`M`) and `exp_avg_sq` (:math:`V`); and for each dimension,
    square, `gram0` (:math:`L`), `basis0` (:math:`Q`), `gram1` (:math:`R`), `basis1` (:math:`P`), ….

    Raises:
        ValueError: a hyper-parameter is outside its range.
        TypeError: a hyper-parameter is not a number.
        RuntimeError: a parameter is complex, a gradient sparse, or so far from finite that it has
            no eigenvectors.

    Source: Vyas and others, *SOAP: improving and stabilizing Shampoo using Adam* (2024), Algorithm
    3.

    Example:
        >>> weight = torch.tensor([[3.0, 1.0], [0.0, 2.0]], requires_grad=True)
        >>> optimizer = SOAP([weight], lr=0.1)
        >>> for _ in range(100):
        ...     optimizer.zero_grad()
        ...     (weight ** 2).sum().backward()
        ...     optimizer.step()
        >>> bool((weight ** 2).sum() < 0.1)  # from 14
        True
    """

    _declaration = Declaration(
        rule=soap,
        ranges={
            "lr": LEARNING_RATE,
            "betas": BETAS,
            "shampoo_beta": Range(0.0, 1.0, open_high=True, optional=True),
            "eps": EPSILON,
            "weight_decay": AT_LEAST_ZERO,
            "precondition_frequency": Range(1.0),
            "max_precondition_dim": AT_LEAST_ZERO,
        },
        buffers_of=buffer_names,
        new_buffer=new_buffer,
        complex="refused",
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        shampoo_beta: float | None = None,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        precondition_frequency: int = 10,
        max_precondition_dim: int = 10_000,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "shampoo_beta": shampoo_beta,
            "eps": eps,
            "weight_decay": weight_decay,
            "precondition_frequency": precondition_frequency,
            "max_precondition_dim": max_precondition_dim,
            "maximize": maximize,
        }
        super().__init__(params, defaults)
