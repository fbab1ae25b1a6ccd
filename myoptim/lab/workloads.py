"""The parameters of common models, as shapes, to step on without training anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
