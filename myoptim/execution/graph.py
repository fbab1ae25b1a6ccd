"""A rule as a graph: its statements in order, and apart from them the numbers that they use.

The statements are the same at every step, the numbers are not: they become an argument of the
compiled kernel, so that neither a learning rate nor a step count compiles anything anew.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from myoptim.execution.columns import Update
from myoptim.execution.functional import Functional
from myoptim.execution.operators import (
    BY_NAME,
    EXACT_EXPONENTS,
    KEEPS_NOTHING,
    Operator,
    Proxy,
    implement,
)


class Constant(NamedTuple):
    """A number that is part of the statement, because another one is another operation."""

    value: float


class Node(NamedTuple):
    """One statement.

    Attributes:
        method: the name of the operator.
        arguments: the number of a value, the one that the method belongs to first, None for the
            next number, or a constant.
        keywords: the names of the last arguments.
    """

    method: str
    arguments: tuple[int | Constant | None, ...]
    keywords: tuple[str, ...]


class Graph(NamedTuple):
    """The statements of an update, and the numbers that they use, in their order."""

    nodes: tuple[Node, ...]
    numbers: tuple[float, ...]

    def splits(self, zeros_tie: bool) -> bool:
        """Whether each element has the same bits wherever in a tensor it stands.

        Args:
            zeros_tie: whether 0.0 may meet -0.0 in a maximum or minimum.
        """
        numbers = iter(self.numbers)
        for node in self.nodes:
            given = [next(numbers) if a is None else a for a in node.arguments]
            allowed = {
                "always": True,
                "never": False,
                "by exponent": isinstance(given[-1], Constant)
                and given[-1].value in EXACT_EXPONENTS,
                "by weight": node.arguments[-1] is not None or abs(1 - given[-1]) >= KEEPS_NOTHING,
                "unless zeros tie": not zeros_tie or node.arguments[-1] is None,
            }
            if not allowed[BY_NAME[node.method].splits]:
                return False
        return True


def trace(update: Update, width: int) -> Graph:
    """The graph of an update of `width` tensors."""
    tracer = Tracer()
    update(*[tracer.new_value() for _ in range(width)])
    return Graph(tuple(tracer.nodes), tuple(tracer.numbers))


def replay(nodes: Sequence[Node], values: list[Functional], numbers: Sequence[Tensor]) -> None:
    """Carry out statements on values, to which those are added that they make."""
    unused = iter(numbers)

    def value(argument: int | Constant | None) -> Any:
        if argument is None:
            return next(unused)
        return argument.value if isinstance(argument, Constant) else values[argument]

    for method, arguments, keywords in nodes:
        given = [value(argument) for argument in arguments]
        positional = len(given) - len(keywords)
        named = dict(zip(keywords, given[positional:], strict=True))
        result = getattr(given[0], method)(*given[1:positional], **named)
        if not method.endswith("_"):
            values.append(result)


class Tracer:
    """Writes down the statements of an update."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.numbers: list[float] = []
        self.values = 0

    def new_value(self) -> Traced:
        """A proxy for the next value."""
        self.values += 1
        return Traced(self, self.values - 1)

    def argument(self, value: Any, constant: bool) -> int | Constant | None:
        """How an argument is written down."""
        if isinstance(value, Traced):
            return value.index
        if constant:
            return Constant(value)
        self.numbers.append(float(value))
        return None


def _method(name: str, op: Operator) -> Callable[..., Any]:
    def method(self: Traced, *args: Any, **kwargs: Any) -> Traced:
        tracer = self.tracer
        argument = functools.partial(tracer.argument, constant=op.name == "pow")
        arguments = (self.index, *map(argument, args), *map(argument, kwargs.values()))
        tracer.nodes.append(Node(name, arguments, tuple(kwargs)))
        return self if name.endswith("_") else tracer.new_value()

    return method


@implement(_method)
class Traced(Proxy):
    """Stands for a tensor while an update is written down."""

    __slots__ = ("index", "tracer")

    def __init__(self, tracer: Tracer, index: int) -> None:
        self.tracer = tracer
        self.index = index
