"""The step of a class with one parameter, without an optimizer: to ask a rule «what if»."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from myoptim.hyperparameters import Group
from myoptim.optimizer import declaration_of
from myoptim.rules import ElementwiseRule, TensorRule

_STEPS_OF_A_RULE = (TensorRule._step_params, ElementwiseRule._step_params)


def is_only_a_rule(cls: type[Any]) -> bool:
    """Whether the step of a class is its declared rule on each parameter, and nothing besides."""
    if not issubclass(cls, TensorRule) or declaration_of(cls).rule is None:
        return False
    steps = (inspect.unwrap(member) for member in (cls.step, TensorRule.step))
    return (
        len(set(steps)) == 1
        and steps_one_by_one(cls)
        and cls._step_group is TensorRule._step_group
        and cls._step_params in _STEPS_OF_A_RULE
    )


def steps_one_by_one(cls: type[Any]) -> bool:
    """Whether a class that declares a rule steps without a look at all parameters before."""
    return getattr(cls, "_step_groups", TensorRule._step_groups) is TensorRule._step_groups


def settled(cls: type[TensorRule], group: Group) -> Group:
    """A copy of a group's hyper-parameters and flags, as the rules of a class take them."""
    taken = cls._settle(group)
    return {name: value for name, value in taken.items() if name != "params"}


#: The flags of the plain loop.
_LOOP = dict.fromkeys(("foreach", "fused", "capturable", "differentiable"), False)


def run_alone(
    cls: type[TensorRule], group: Group, param: Tensor, grad: Tensor, state: dict[str, Any]
) -> None:
    """Make the step of a class with one parameter, without an optimizer.

    Parameter and state are changed in place, in the plain loop; no hook is called.

    Args:
        cls: the class whose rule is run.
        group: hyper-parameters and flags, as `settled` gives them.
        param: θ; it need not be a leaf of autograd, and may be of another type than in training.
        grad: its gradient, of the same type and shape.
        state: its buffers and numbers by name; empty before the first step.
    """
    alone = cls.__new__(cls)
    alone.state = defaultdict(dict, {param: state})
    param.grad = grad
    with torch.no_grad():
        alone._step_group({**group, **_LOOP, "params": [param]})
