"""torch's contract and nothing else: groups and their validation, state, checkpoints, `step()`.

True for every algorithm, whatever its step is. Those that have one rule per parameter go on in
`rules.py`. What is called on `self` here has a name of torch's or begins with an underscore, so
that a subclass may call its own methods and attributes what it likes.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from myoptim.declaration import Declaration
from myoptim.execution import numbers, private
from myoptim.hyperparameters import Group, without_dimensions


class Optimizer(torch.optim.Optimizer):
    """Base class of all optimizers here; a `torch.optim.Optimizer` in every respect.

    A subclass declares its hyper-parameters in `_declaration` and passes their values to `__init__`
    as `defaults`. It overrides `_step_group`, or `step`.
    """

    _declaration: ClassVar[Declaration] = Declaration()

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self._validate(defaults)
        defaults = {
            name: without_dimensions(value) if isinstance(value, (tuple, list)) else value
            for name, value in defaults.items()
        }
        super().__init__(params, defaults)

    # ------------------------------------------------------------------ groups

    def _validate(self, group: Group) -> None:
        """Raise a ValueError, TypeError or RuntimeError that says what is wrong with a group.

        Hyper-parameters that the group lacks are not asked for: a subclass with a step of its own
        may have none.
        """
        declared = self._declaration
        for name, check in declared.ranges.items():
            if name in group:
                check(name, group[name])
        if declared.condition is not None and declared.ranges.keys() <= group.keys():
            declared.condition(group)
        if group.get("fused"):
            if group.get("differentiable"):
                raise RuntimeError("`fused` does not support `differentiable`: choose one")
            if group.get("foreach"):
                raise RuntimeError("`fused` and `foreach` cannot be `True` together: choose one")

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters with its own hyper-parameters, after checking it.

        Args:
            param_group: `params`, and a value for each hyper-parameter that is to differ from
                `defaults`.

        Raises:
            ValueError: a value is out of range, or a parameter is already in another group.
            TypeError: the group is not a dict, or a value is not a number.
        """
        if isinstance(param_group, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            self._validate({**self.defaults, **param_group})
        super().add_param_group(param_group)
        check = self._declaration.parameters
        if check is not None:
            number = len(self.param_groups) - 1
            try:
                check(number, self.param_groups[number]["params"])
            except Exception:
                self.param_groups.pop()
                raise

    # ------------------------------------------------------------------ checkpoints

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a checkpoint: the state and the hyper-parameters of every group.

        Unlike in torch, the tensors are this optimizer's own afterwards, not those of the
        checkpoint, which may be another optimizer's.

        Raises:
            ValueError: the groups are of other sizes, or lack hyper-parameters that this optimizer
                needs, as those of another optimizer do. Nothing is changed then.
        """
        super().load_state_dict(state_dict)
        if self._declaration.number_type is not None:
            self._restore_numbers(state_dict)
        given = {id(value) for state in state_dict["state"].values() for value in _values(state)}
        for group in self.param_groups:  # hooks may keep more in the state, under other keys
            for param in group["params"]:
                state = self.state.get(param, {})
                for key, value in state.items():
                    state[key] = _own(value, given)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over unpickled or loaded state, completing what an older version did not store."""
        defaults = state.get("defaults", getattr(self, "defaults", {}))
        for i, group in enumerate(state.get("param_groups", ())):
            self._complete_group(i, group, defaults)
        super().__setstate__(state)
        for group in self.param_groups:
            for param in group["params"]:
                self._complete_state(self.state.get(param, {}), param, group)

    def _complete_group(self, index: int, group: Group, defaults: dict[str, Any]) -> None:
        """Give a group what it lacks and torch added later; refuse it if it lacks anything else."""
        missing = [name for name in defaults if name not in group]
        if "differentiable" in missing and not self._takes("differentiable"):
            missing.remove("differentiable")  # torch adds it to the defaults of whatever is copied
        later = self._declaration.later
        strange = [
            name
            for name in missing
            if name not in later and not isinstance(defaults[name], (bool, type(None)))
        ]
        if strange:
            known = ", ".join(sorted(set(group) - {"params", "param_names"}))
            raise ValueError(
                f"parameter group {index} of the checkpoint lacks {', '.join(strange)}, so it is "
                f"not one of {type(self).__name__}; it has {known}"
            )
        for name in missing:
            group[name] = defaults[name]

    @classmethod
    def _takes(cls, argument: str) -> bool:
        """Whether the constructor has an argument of this name."""
        return argument in inspect.signature(cls).parameters

    def _complete_state(self, state: dict[str, Any], param: Tensor, group: Group) -> None:
        """Old checkpoints hold numbers for counters, and None for momentum not begun yet."""
        if self._declaration.rule is None:
            return
        for key in [key for key, value in state.items() if value is None]:
            del state[key]
        for name in self._declaration.numbers:
            plain = self._declaration.plain_numbers
            if name in state and not (plain or isinstance(state[name], Tensor)):
                state[name] = self._new_number(name, state[name], param, group)

    def _new_number(self, name: str, value: Any, param: Tensor, group: Group) -> Tensor:
        """A 0-dim tensor. On the CPU, where reading it is free, unless a kernel must read it."""
        fused = bool(group.get("fused"))
        on_device = fused or group.get("capturable")
        dtype = None if name == "step" else self._declaration.number_type
        return numbers.new(value, param.device if on_device else "cpu", fused, dtype)

    def _restore_numbers(self, state_dict: dict[str, Any]) -> None:
        """Give numbers of a type of their own back what torch has rounded to the parameter's."""
        saved = [key for group in state_dict["param_groups"] for key in group["params"]]
        params = [(param, group) for group in self.param_groups for param in group["params"]]
        for key, (param, group) in zip(saved, params, strict=True):
            old = state_dict["state"].get(key, {})
            for name in self._declaration.numbers:
                if name in old and name != "step":
                    self.state[param][name] = self._new_number(name, old[name], param, group)

    # ------------------------------------------------------------------ the step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: clears the gradients, evaluates the model, and returns the loss; it is called
                first, with autograd on.

        Returns:
            The closure's loss, or None.

        Raises:
            RuntimeError: a gradient or a parameter is of a kind that the settings do not allow.
        """
        if torch.cuda.is_initialized():
            self._check_capture()
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            self._step_groups()
        return loss

    def _step_groups(self) -> None:
        """Update the parameters of all groups; for an algorithm that first looks at all of them."""
        for group in self.param_groups:
            self._step_group(group)

    def _step_group(self, group: Group) -> None:
        """Update the parameters of one group."""
        raise NotImplementedError

    @staticmethod
    def profile_hook_step(func: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap `step`, as torch does, in hooks and a label for the profiler, if anyone listens.

        The label alone takes as long as the update of several small parameters. A closure may
        begin to listen. Observers that work without a profiler do not get the label.
        """
        heard = torch.optim.Optimizer.profile_hook_step(func)

        @functools.wraps(func)
        def step(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
            listening = (
                args
                or kwargs
                or self._optimizer_step_pre_hooks
                or self._optimizer_step_post_hooks
                or private.somebody_listens()
            )
            return heard(self, *args, **kwargs) if listening else func(self, *args, **kwargs)

        return step

    def _check_capture(self) -> None:
        """Raise, as torch does, if a CUDA graph is being recorded that would freeze the step."""
        allowed = all(group.get("capturable", True) for group in self.param_groups)
        if not allowed and torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                f"Attempting CUDA graph capture of step() for an instance of {type(self).__name__} "
                "but param_groups' capturable is False."
            )


def _values(state: Any) -> Iterator[Any]:
    """What stands in a parameter's state, also in lists."""
    for value in state.values() if isinstance(state, dict) else ():
        yield from value if isinstance(value, list) else [value]


def _own(value: Any, given: set[int]) -> Any:
    """A value of the state, its tensors copied where they are the checkpoint's."""
    if isinstance(value, list):
        return [_own(member, given) for member in value]
    return value.clone() if isinstance(value, Tensor) and id(value) in given else value


def declaration_of(optimizer: Any) -> Declaration:
    """What one of our optimizers, or a subclass, declares; an empty declaration for any other."""
    return getattr(optimizer, "_declaration", Declaration())
