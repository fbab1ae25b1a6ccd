"""What an algorithm says of itself: its rule, its state, and the ranges of its hyper-parameters.

All of it is declared in one object, so that a class keeps every name but `_declaration` for its
own methods and attributes. Nothing is guessed from names: what the engine needs to know is a field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from myoptim.hyperparameters import Check, Group


def zeros(name: str, param: Tensor, grad: Tensor, group: Group) -> Tensor:
    """The start value of a buffer: zeros, shaped and laid out like the parameter."""
    return torch.zeros_like(param, memory_format=torch.preserve_format)


def no_weight_decay(group: Group) -> None:
    """There is none, or the rule has it."""


@dataclass(frozen=True)
class Declaration:
    """An algorithm, as `TensorRule` and `ElementwiseRule` need to know it.

    Attributes:
        rule: updates a parameter and its buffers in place. Positional arguments are the parameter,
            its gradient, and the buffers, named as in the state; keyword arguments are looked up in
            the numbers of the state and in the parameter group. One named `first` says whether the
            state was made at this step.
        ranges: what is allowed for each numeric hyper-parameter; see `hyperparameters.py`.
        condition: raises if hyper-parameters of a group do not go together.
        later: hyper-parameters that torch added later, so that old checkpoints lack them. Those
            whose default is True, False or None need not be named.
        parameters: raises if the parameters of a group, which is given with its number, are not of
            a kind that the algorithm takes.
        buffers: the names of the tensors that the rule keeps in the state, or a function that gives
            them under a group's settings. For an `ElementwiseRule` they are shaped like the
            parameter.
        buffers_of: gives the names where they depend on the parameter as well.
        new_buffer: makes one, from its name, the parameter, its gradient and the group.
        numbers: the numbers per parameter that are kept in the state, with their start values or
            functions of the group that give them. `step` is counted up before each update.
        number_type: of the numbers other than `step`, where that of torch, float32, and on loading
            the parameter's, is too coarse for sums over all steps.
        plain_numbers: whether they stand in the state as Python's numbers, not as tensors.
        before, after: a rule for the other numbers, which are changed in place like buffers, run
            before or after that of the parameter. Keyword arguments are those of a rule.
        weight_decay: gives the rule of the decay under a group's settings, or None where there is
            no decay; see `algorithms/weight_decay.py`. It is run before the rule of the algorithm.
        zeros_tie: whether the rule may take a maximum or minimum of 0.0 and -0.0. Then elements
            must stay where they are, since torch's kernels choose by the position.
        sparse: what the rule makes of a sparse gradient: refuse it, take it as it is, be run on the
            elements that it names, or that and refuse any other.
        sparse_hint: added to the error about a sparse gradient.
        complex: what it makes of a complex parameter: see it as pairs of real numbers, have
            weight decay see it so too, see all else so and add pairs to it, take it as it is, or
            refuse it. The sum and the decay differ in infinite numbers: times a real number, a
            complex one of them has a NaN.
        twin: the class of torch.optim that this one equals, if there is one.
        twin_settings: the arguments that make the twin's defaults those of this class.
        takes: the keyword arguments of the rule, read from it.
    """

    rule: Callable[..., None] | None = None
    ranges: Mapping[str, Check] = field(default_factory=dict[str, Check])
    condition: Callable[[Group], None] | None = None
    later: tuple[str, ...] = ()
    parameters: Callable[[int, Sequence[Tensor]], None] | None = None
    buffers: tuple[str, ...] | Callable[[Group], tuple[str, ...]] = ()
    buffers_of: Callable[[Tensor, Group], tuple[str, ...]] | None = None
    new_buffer: Callable[[str, Tensor, Tensor, Group], Tensor] = zeros
    numbers: Mapping[str, float | Callable[[Group], Any]] = field(
        default_factory=lambda: {"step": 0.0}
    )
    number_type: torch.dtype | None = None
    plain_numbers: bool = False
    before: Callable[..., None] | None = None
    after: Callable[..., None] | None = None
    weight_decay: Callable[[Group], Callable[..., Any] | None] = no_weight_decay
    zeros_tie: bool = True
    sparse: Literal["refused", "as they are", "by element", "only"] = "refused"
    sparse_hint: str = ""
    complex: Literal[
        "as pairs", "as pairs from the decay on", "pairs added", "as they are", "refused"
    ] = "as pairs"
    twin: type[torch.optim.Optimizer] | None = None
    twin_settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    takes: tuple[str, ...] = field(init=False)

    def buffer_names(self, param: Tensor, group: Group) -> tuple[str, ...]:
        """The names of a parameter's buffers under its group's settings."""
        if self.buffers_of is not None:
            return self.buffers_of(param, group)
        return self.buffers(group) if callable(self.buffers) else self.buffers

    def __post_init__(self) -> None:
        object.__setattr__(self, "takes", keywords(self.rule))


def keywords(rule: Any) -> tuple[str, ...]:
    """The keyword arguments of a rule, read from its code: torch.compile can follow that."""
    if rule is None:
        return ()
    code = rule.__code__
    return code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]


def positional(rule: Any) -> tuple[str, ...]:
    """The positional arguments of a rule."""
    return rule.__code__.co_varnames[: rule.__code__.co_argcount]
