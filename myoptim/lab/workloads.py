"""What is stepped where no model is trained: the parameters of common models, as shapes, and what
an optimizer takes of them, with gradients of the kind that it asks for."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from myoptim.lab.resolve import takes_shape
from myoptim.optimizer import declaration_of

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Size:
    """The parameters of a model.

    Attributes:
        title: what it is.
        shapes: of its parameters.
        timed: False where only memory is measured.
    """

    title: str
    shapes: Sequence[Shape]
    timed: bool = True

    @property
    def elements(self) -> int:
        """How many numbers the parameters hold."""
        return sum(map(math.prod, self.shapes))


def _linear(inputs: int, outputs: int) -> list[Shape]:
    return [(outputs, inputs), (outputs,)]


def _conv(inputs: int, outputs: int, kernel: int) -> list[Shape]:
    """A convolution without bias and the batch normalization after it."""
    return [(outputs, inputs, kernel, kernel), (outputs,), (outputs,)]


def _conv_net(width: int, blocks: Sequence[int], classes: int) -> list[Shape]:
    """A residual network of bottleneck blocks; with width 64 and blocks 3, 4, 6, 3 ResNet-50."""
    shapes = _conv(3, width, 7)
    inputs = width
    for stage, count in enumerate(blocks):
        inner = width * 2**stage
        for block in range(count):
            shapes += _conv(inputs, inner, 1) + _conv(inner, inner, 3) + _conv(inner, 4 * inner, 1)
            if block == 0:
                shapes += _conv(inputs, 4 * inner, 1)  # the shortcut
            inputs = 4 * inner
    return shapes + _linear(inputs, classes)


def _transformer(width: int, layers: int, vocabulary: int, context: int) -> list[Shape]:
    """A decoder laid out as GPT-2; with width 768 and 12 layers its smallest."""
    norm = [(width,), (width,)]
    attention = _linear(width, 3 * width) + _linear(width, width)
    feed_forward = _linear(width, 4 * width) + _linear(4 * width, width)
    layer = norm + attention + norm + feed_forward
    return [(vocabulary, width), (context, width), *(layer * layers), *norm]


SIZES = {
    "scalars": Size("two tensors of 1 element", [(1,), (1,)]),
    "mlp": Size("MLP, 784-256-128-10", _linear(784, 256) + _linear(256, 128) + _linear(128, 10)),
    "convnet": Size(
        "conv net, ResNet-50 at width 40", _conv_net(width=40, blocks=(3, 4, 6, 3), classes=1000)
    ),
    "transformer": Size(
        "transformer, GPT-2 at width 256",
        _transformer(width=256, layers=12, vocabulary=8192, context=512),
    ),
    "large": Size("one tensor of 10 million", [(10_000_000,)]),
    "many": Size("2,000 tensors of 100", [(100,)] * 2000),
    "160MB": Size("one tensor of 160 MB", [(40_000_000,)], timed=False),
}


#: The most elements for an optimizer that calls a closure: it keeps up to two hundred vectors of
#: all parameters, and goes over each of them several times a step.
MOST_WITH_CLOSURE = 1_000_000

#: A sparse gradient has every tenth row, as an embedding's has those of the words that came up.
SPARSE_ROWS = 10


def needs_closure(cls: Any) -> bool:
    """Whether a step is nothing without a closure that evaluates the model."""
    return inspect.signature(cls.step).parameters["closure"].default is not None


def fitting(cls: Any, size: Size) -> list[Shape]:
    """The shapes of a size that an optimizer takes; none if it does not fit."""
    if needs_closure(cls) and size.elements > MOST_WITH_CLOSURE:
        return []
    return [shape for shape in size.shapes if takes_shape(cls, shape)]


def make_params(cls: Any, size: Size, device: torch.device) -> list[Tensor]:
    """Random parameters that an optimizer takes with random gradients, the same at every call.

    Steps leave the gradients as they are, but for torch's foreach SGD with Nesterov's momentum,
    which adds the momentum to them; they grow until they are infinite, which costs no time.
    """
    sparse = declaration_of(cls).sparse == "only"
    generator = torch.Generator(device).manual_seed(0)
    params: list[Tensor] = []
    for shape in fitting(cls, size):
        param = torch.randn(shape, generator=generator, device=device).requires_grad_()
        grad = torch.randn(shape, generator=generator, device=device)
        param.grad = _some_rows(grad) if sparse else grad
        params.append(param)
    return params


def _some_rows(grad: Tensor) -> Tensor:
    """A sparse gradient with some of the rows."""
    rows = torch.arange(0, len(grad), SPARSE_ROWS, device=grad.device)
    sparse = torch.sparse_coo_tensor(rows[None], grad[rows], grad.shape, check_invariants=False)
    return sparse.coalesce()


def step_of(optimizer: torch.optim.Optimizer) -> Callable[[], Any]:
    """What makes a step of an optimizer, ours or torch's, whose parameters have gradients."""
    if not needs_closure(type(optimizer)):
        return optimizer.step
    return _step_with_closure(optimizer)


def _step_with_closure(optimizer: Any) -> Callable[[], Any]:
    """A step on the loss Σ hᵢ (θᵢ − cᵢ)² / 2, of which h are the absolute gradients at first.

    No step is done with it: before each, c goes to its opposite, as a new batch would move it.
    """
    params: list[Any] = optimizer.param_groups[0]["params"]
    curvatures = [param.grad.abs() for param in params]
    minimum = [param.detach().clone() for param in params]

    @torch.no_grad()
    def closure() -> Tensor:
        loss = params[0].new_zeros(())
        for param, h, c in zip(params, curvatures, minimum, strict=True):
            distance = param - c
            torch.mul(h, distance, out=param.grad)
            loss += (param.grad * distance).sum() / 2
        return loss

    def step() -> None:
        for c in minimum:
            c.neg_()
        optimizer.step(closure)

    return step
