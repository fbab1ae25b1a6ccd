"""L-BFGS: steps along −H g, where H is built from the last few steps and changes of the gradient.

Read `two_loop_recursion` for the direction, `strong_wolfe` for how far to go along it, and
`LBFGS.step` for how the two take turns.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.declaration import Declaration
from myoptim.hyperparameters import ANY_NUMBER, LEARNING_RATE, OneOf, Range, without_dimensions
from myoptim.optimizer import Optimizer

#: A number, or a tensor of one: what is computed from tensors is not read where it need not be.
Number = Any


# ------------------------------------------------------------------ which way


def two_loop_recursion(
    grad: Tensor,
    changes: list[Tensor],
    steps: list[Tensor],
    inverse_products: list[Tensor],
    scale: Number,
    alphas: list[Any],
) -> Tensor:
    """The direction −H g, without the matrix H: g = grad, yᵢ = changes, sᵢ = steps,
    ρᵢ = inverse_products, γ = scale, αᵢ = alphas. Nocedal & Wright, Algorithm 7.4.

    Args:
        grad: the gradient.
        changes: gᵢ₊₁ − gᵢ, the latest last.
        steps: θᵢ₊₁ − θᵢ.
        inverse_products: 1 / yᵢᵀsᵢ.
        scale: of the first guess H⁰ = γ I.
        alphas: room for as many numbers, which are needed on the way back.
    """
    past = list(zip(steps, changes, inverse_products, strict=True))
    q = grad.neg()  #                                 q = −g
    for i, (s, y, rho) in reversed(list(enumerate(past))):
        alphas[i] = s.dot(q) * rho  #                 αᵢ ← ρᵢ sᵢᵀ @ q
        q.add_(y, alpha=-alphas[i])  #                q ← q − αᵢ yᵢ
    r = torch.mul(q, scale)  #                        r = γ q
    for i, (s, y, rho) in enumerate(past):
        beta = y.dot(r) * rho  #                      β = ρᵢ yᵢᵀ @ r
        r.add_(s, alpha=alphas[i] - beta)  #          r ← r + (αᵢ − β) sᵢ
    return r


# ------------------------------------------------------------------ how far


class Point(NamedTuple):
    """A point θ + t d of the line that is searched, and what was found there.

    Attributes:
        t: the length of the step.
        loss: φ(t) = f(θ + t d).
        grad: ∇f(θ + t d), flat.
        slope: φ′(t) = ∇f(θ + t d)ᵀ d.
    """

    t: Number
    loss: float
    grad: Tensor
    slope: Tensor


#: What an iteration needs to know of the one before, by the names in the state.
MEMORY = ("d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")

#: Enough decrease for the length of the step, and enough flattening: c₁ and c₂ of the conditions.
DECREASE, FLATTENING = 1e-4, 0.9

#: A bracket that moves no parameter by so much is not divided any further.
NARROW = 1e-9


def strong_wolfe(
    phi: Callable[[Number], Point],
    start: Point,
    t: Number,
    reach: Tensor,
    max_steps: int,
) -> tuple[Point, int]:
    """A point of the line that meets the strong Wolfe conditions: Nocedal & Wright, Algorithm 3.5.

    These are φ(t) ≤ φ(0) + c₁ t φ′(0) and |φ′(t)| ≤ c₂ |φ′(0)|. Steps grow until such a point is
    found or must lie between the last two, which `zoom` then brings together.

    Args:
        phi: evaluates a point.
        start: that of t = 0.
        t: the first length that is tried.
        reach: the largest element of |d|.
        max_steps: how many points are evaluated, beyond the first.

    Returns:
        The point, and how many were evaluated.
    """
    previous, point = start, phi(t)
    for step in range(max_steps):
        if too_high(point, start) or (step > 1 and point.loss >= previous.loss):
            return zoom(phi, start, [previous, point], reach, step, max_steps)
        if flat_enough(point, start):
            return point, step + 1
        if point.slope >= 0:
            return zoom(phi, start, [previous, point], reach, step, max_steps)
        bounds = (point.t + 0.01 * (point.t - previous.t), point.t * 10)
        previous, point = point, phi(cubic_minimum(previous, point, bounds))
    return lower([start, point]), max_steps + 1


def zoom(
    phi: Callable[[Number], Point],
    start: Point,
    bracket: list[Point],
    reach: Tensor,
    step: int,
    max_steps: int,
) -> tuple[Point, int]:
    """Such a point between two: Nocedal & Wright, Algorithm 3.6.

    One end of the bracket, the low one, has the smaller loss and enough decrease; the loss falls
    from there towards the other.
    """
    low, stalled = index_of_lower(bracket), False
    while step < max_steps and not abs(bracket[1].t - bracket[0].t) * reach < NARROW:
        t, stalled = trial(bracket, stalled)
        point, step = phi(t), step + 1
        if too_high(point, start) or point.loss >= bracket[low].loss:
            bracket[1 - low] = point
            low = index_of_lower(bracket)
            continue
        if flat_enough(point, start):
            return point, step + 1
        if point.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = point
    return bracket[low], step + 1


def too_high(point: Point, start: Point) -> bool:
    """Whether the loss has not fallen enough: φ(t) > φ(0) + c₁ t φ′(0)."""
    return bool(point.loss > start.loss + DECREASE * point.t * start.slope)


def flat_enough(point: Point, start: Point) -> bool:
    """Whether the slope is small enough: |φ′(t)| ≤ c₂ |φ′(0)|."""
    return bool(abs(point.slope) <= -FLATTENING * start.slope)


def index_of_lower(bracket: list[Point]) -> int:
    """Which end of the bracket has the smaller loss; the first where they are equal."""
    return 0 if bracket[0].loss <= bracket[1].loss else 1


def lower(bracket: list[Point]) -> Point:
    """The end of the bracket that has the smaller loss."""
    return bracket[index_of_lower(bracket)]


def trial(bracket: list[Point], stalled: bool) -> tuple[Number, bool]:
    """Where to look in a bracket, and whether that is near an end.

    At an end, or the second time near one, a tenth of the bracket away from it instead: else the
    bracket might hardly shrink.
    """
    t = cubic_minimum(bracket[0], bracket[1])
    left, right = min(point.t for point in bracket), max(point.t for point in bracket)
    margin = 0.1 * (right - left)
    near = min(right - t, t - left) < margin
    if near and (stalled or t >= right or t <= left):
        return (right - margin if abs(t - right) < abs(t - left) else left + margin), False
    return t, bool(near)


def cubic_minimum(one: Point, other: Point, bounds: tuple[Number, Number] | None = None) -> Number:
    """Where the cubic through two points is least, between bounds: by default the points."""
    left, right = (other, one) if one.t > other.t else (one, other)
    return minimum_between(left, right, bounds or (left.t, right.t))


def minimum_between(left: Point, right: Point, bounds: tuple[Number, Number]) -> Number:
    """Where the cubic is least that has the losses and slopes of two points, which is the middle of
    the bounds where it is least nowhere: (a, φₐ, gₐ, φ′ₐ) = left, (b, φᵦ, gᵦ, φ′ᵦ) = right,
    (l, h) = bounds. Nocedal & Wright, equation 3.59."""
    low, high = bounds
    rise = 3 * (left.loss - right.loss) / (left.t - right.t)  #  r = 3 (φₐ − φᵦ) / (a − b)
    d1 = left.slope + right.slope - rise  #                      d₁ = φ′ₐ + φ′ᵦ − r
    square = d1**2 - left.slope * right.slope  #                 D = d₁² − φ′ₐ φ′ᵦ
    if not square >= 0:
        return (low + high) / 2.0  #                             (l + h) / 2
    d2 = square.sqrt()  #                                        d₂ = √D
    span = right.slope - left.slope + 2 * d2  #                  w = φ′ᵦ − φ′ₐ + 2 d₂
    ratio = (right.slope + d2 - d1) / span  #                    q = (φ′ᵦ + d₂ − d₁) / w
    t = right.t - (right.t - left.t) * ratio  #                  t = b − (b − a) q
    return min(max(t, low), high)  #                             min(max(t, l), h)


# ------------------------------------------------------------------ the two in turn


def check_parameters(number: int, params: Sequence[Tensor]) -> None:
    """All parameters are one vector, and so in one group."""
    if number > 0:
        raise ValueError(
            "LBFGS doesn't support per-parameter options (parameter groups): give it one group, "
            f"not {number + 1}"
        )


#: Where torch lacks the argument, as before 2.14, groups have it as a key only if it is given.
TORCH_ASCENDS = "maximize" in inspect.signature(torch.optim.LBFGS).parameters


class LBFGS(Optimizer):
    r"""L-BFGS. Equals `torch.optim.LBFGS`.

    .. math::
        d_k &= -H_k\, g_k, \qquad \theta_{k+1} = \theta_k + t_k\, d_k \\
        s_k &= \theta_{k+1} - \theta_k, \qquad y_k = g_{k+1} - g_k,
            \qquad \rho_k = 1 / y_k^\top s_k \\
        H_{k+1} &= (I - \rho_k\, s_k\, y_k^\top)\, H_k\, (I - \rho_k\, y_k\, s_k^\top)
            + \rho_k\, s_k\, s_k^\top

    :math:`H` is an inverse Hessian as the last steps have shown it; it is never written down: its
    product with the gradient takes two passes over the pairs :math:`(s, y)`. All parameters
    together are one long vector. One call of `step` makes up to `max_iter` iterations, and calls
    the closure for each, so it needs a loss that is the same each time: the whole data, or a fixed
    batch.

    Args:
        params: the parameters, or named parameters, or one dict of a parameter group.
        lr: :math:`\eta \ge 0`; how far along :math:`d` to go, or with a line search where that
            begins; a number or a tensor of one element.
        max_iter: iterations per step, at least 0.
        max_eval: a step ends after so many calls of the closure; by default 1.25 `max_iter`.
        tolerance_grad: a step ends where no element of the gradient is larger.
        tolerance_change: or where the parameters, or the loss, change by no more; a negative number
            for neither to end it.
        history_size: how many pairs are kept, at least 1; each takes twice the memory of the
            parameters.
        line_search_fn: None, or "strong_wolfe" for `strong_wolfe`.
        maximize: ascend instead of descend; torch has it since 2.14.

    State, under the first parameter only: `func_evals` and `n_iter`, how often the closure was
    called and the direction computed; from the first iteration on `d` (:math:`d`), `t`
    (:math:`t`), `old_dirs` (:math:`y`, a list), `old_stps` (:math:`s`), `ro` (:math:`\rho`),
    `H_diag` (:math:`\gamma = s^\top y / y^\top y`), `prev_flat_grad`, `prev_loss`; from the second
    on `al` (:math:`\alpha`). Vectors are flat, those of complex parameters twice as long.

    Raises:
        ValueError: a hyper-parameter is outside its range, or there is more than one group.
        TypeError: a hyper-parameter is not a number, or there is no closure.

    Sources: Nocedal, *Updating quasi-Newton matrices with limited storage* (1980); Liu, Nocedal,
    *On the limited memory BFGS method* (1989); Nocedal, Wright, *Numerical optimization* (2006),
    chapters 3 and 7.

    Example:
        >>> x = torch.tensor([5.0, 10.0], requires_grad=True)
        >>> optimizer = LBFGS([x], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = x[0] ** 2 + 100 * x[1] ** 2
        ...     loss.backward()
        ...     return loss
        >>> _ = optimizer.step(closure)  # one step, several evaluations
        >>> x.abs().max().item() < 1e-4
        True
    """

    _declaration = Declaration(
        ranges={
            "lr": LEARNING_RATE,
            "max_iter": Range(0),
            "max_eval": Range(0),
            "tolerance_grad": ANY_NUMBER,
            "tolerance_change": ANY_NUMBER,
            "history_size": Range(1),
            "line_search_fn": OneOf(
                (None, "strong_wolfe"), says="only 'strong_wolfe' is supported, not {value!r}"
            ),
        },
        parameters=check_parameters,
        numbers={},
        twin=torch.optim.LBFGS,
    )

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
        *,
        maximize: bool = False,
    ) -> None:
        self._declaration.ranges["max_iter"]("max_iter", max_iter)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        if maximize or TORCH_ASCENDS:
            defaults["maximize"] = maximize
        super().__init__(params, defaults)

    # ------------------------------------------------------------------ the parameters as a vector

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def _gradient(self) -> Tensor:
        """The gradients of all parameters in one vector, zeros where there is none."""
        grad = torch.cat([_flat(param) for param in self._params])
        return grad.neg_() if self.param_groups[0].get("maximize") else grad  #  g ← −g

    def _value(self, loss: Any) -> float:
        """What is to become small."""
        return -float(loss) if self.param_groups[0].get("maximize") else float(loss)  #  f ← −f

    def _move(self, t: Number, direction: Tensor) -> None:
        """θ ← θ + t d."""
        offset = 0
        for param in self._params:
            target = torch.view_as_real(param) if param.is_complex() else param
            part = direction[offset : offset + target.numel()]
            target.add_(part.view_as(target), alpha=t)
            offset += target.numel()

    def _search(
        self, closure: Callable[[], Any], start: Point, t: Number, direction: Tensor, max_steps: int
    ) -> tuple[Point, int]:
        """The strong Wolfe point along a direction; the parameters stay where they are."""
        here = [param.clone(memory_format=torch.contiguous_format) for param in self._params]

        def phi(t: Number) -> Point:
            self._move(t, direction)
            loss = self._value(closure())
            grad = self._gradient()
            for param, value in zip(self._params, here, strict=True):
                param.copy_(value)
            return Point(t, loss, grad, grad.dot(direction))

        return strong_wolfe(phi, start, t, direction.abs().max(), max_steps)

    # ------------------------------------------------------------------ the step

    @torch.no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Make up to `max_iter` iterations.

        Args:
            closure: clears the gradients, evaluates the model, and returns the loss; it is called
                many times, with autograd on.

        Returns:
            The closure's loss at the start of the step.
        """
        closure = torch.enable_grad()(closure)
        if not self._params:
            return closure()
        group = self.param_groups[0]
        lr = without_dimensions(group["lr"])
        tolerance_grad, tolerance_change = group["tolerance_grad"], group["tolerance_change"]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = closure()
        loss, grad, evaluations = self._value(first_loss), self._gradient(), 1
        state["func_evals"] += 1
        if grad.abs().max() <= tolerance_grad:
            return first_loss
        memory = {name: state.get(name) for name in MEMORY}

        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            first = memory["d"] is None
            memory["d"] = d = self._direction(grad, memory, state)
            if first:
                memory["prev_flat_grad"] = grad.clone()
                t = (
                    min(1.0, 1.0 / grad.abs().sum()) * lr
                )  #  t = η min(1, 1/‖g‖₁): a short first step
            else:
                memory["prev_flat_grad"].copy_(grad)
                t = lr
            memory["t"], memory["prev_loss"] = t, loss
            slope = grad.dot(d)  #                            φ′(0) = gᵀd
            if slope > -tolerance_change:
                break
            called = 0
            if group["line_search_fn"] is not None:
                start, left = Point(0, loss, grad, slope), group["max_eval"] - evaluations
                (t, loss, grad, _), called = self._search(closure, start, t, d, left)
                memory["t"] = t
                self._move(t, d)
            else:
                self._move(t, d)
                if iteration < group["max_iter"]:  # after the last nobody would look at it
                    loss, grad, called = self._value(closure()), self._gradient(), 1
            evaluations += called
            state["func_evals"] += called
            if evaluations >= group["max_eval"] or grad.abs().max() <= tolerance_grad:
                break
            change = abs(loss - memory["prev_loss"])
            if d.mul(t).abs().max() <= tolerance_change or change < tolerance_change:
                break

        state.update(memory)
        return first_loss

    def _direction(self, grad: Tensor, memory: dict[str, Any], state: dict[str, Any]) -> Tensor:
        """−H g, with H brought up to date from the step before; at first −g."""
        if memory["d"] is None:
            memory.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return grad.neg()
        changes, steps, products = memory["old_dirs"], memory["old_stps"], memory["ro"]
        history_size = self.param_groups[0]["history_size"]
        y = grad.sub(memory["prev_flat_grad"])  #             y = g − g of the step before
        s = memory["d"].mul(memory["t"])  #                   s = t d
        product = y.dot(s)
        if product > 1e-10:  # curvature; without it H would not stay positive
            if len(changes) == history_size:
                del changes[0], steps[0], products[0]
            changes.append(y)
            steps.append(s)
            products.append(1.0 / product)  #                 ρ = 1 / yᵀs
            memory["H_diag"] = product / y.dot(y)  #          γ = yᵀs / yᵀy
        alphas = state.setdefault("al", [None] * history_size)
        return two_loop_recursion(grad, changes, steps, products, memory["H_diag"], alphas)


def _flat(param: Tensor) -> Tensor:
    """A parameter's gradient as a vector."""
    if param.grad is None:
        grad = param.new_zeros(param.numel())
    else:
        grad = param.grad.to_dense() if param.grad.is_sparse else param.grad
    return (torch.view_as_real(grad) if grad.is_complex() else grad).reshape(-1)
