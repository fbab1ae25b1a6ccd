"""What all optimizers share: groups and their validation, state, checkpoints, and `step()`.

An algorithm (see `adam.py`) gives its rule, its buffers, its hyper-parameters and their ranges.
Everything that the algorithms have in common stands here, once: `Optimizer.update` holds the
arithmetic (ascent, weight decay, complex numbers), `Optimizer.step` the bookkeeping. How the rule
is run over many tensors is the business of `executors.py`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.autograd import profiler
from torch.optim.optimizer import (
    ParamsT,
    _get_scalar_dtype,  # pyright: ignore[reportPrivateUsage]
    _global_optimizer_post_hooks,  # pyright: ignore[reportPrivateUsage]
    _global_optimizer_pre_hooks,  # pyright: ignore[reportPrivateUsage]
)

from myoptim import executors

#: A parameter group: "params" and one entry per hyper-parameter and flag.
Group = dict[str, Any]


@dataclass(frozen=True)
class Range:
    """The values a hyper-parameter may take: low ≤ value < below, None being no bound."""

    low: float | None = None
    below: float | None = None

    def __contains__(self, value: float | Tensor) -> bool:
        if self.low is None:
            return bool(value == value)  # anything but NaN
        return bool(self.low <= value) and (self.below is None or bool(value < self.below))

    def describe(self, name: str) -> str:
        """The range in words, for an error message."""
        if self.low is None:
            return f"{name} may be any number but NaN"
        upper = "" if self.below is None else f" < {self.below:g}"
        return f"allowed is {self.low:g} <= {name}{upper}"


ANY_NUMBER = Range()
AT_LEAST_ZERO = Range(0.0)
ZERO_TO_ONE = Range(0.0, 1.0)

# The wording of torch, which programs may match on; our messages begin with it and go on.
_TORCH_WORDING = {
    "lr": "Invalid learning rate",
    "eps": "Invalid epsilon value",
    "betas[0]": "Invalid beta parameter at index 0",
    "betas[1]": "Invalid beta parameter at index 1",
}


def _check(name: str, value: Any, allowed: Range) -> None:
    """Raise unless `value` is one number in the allowed range."""
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(f"Tensor {name} must be 1-element, but has shape {tuple(value.shape)}")
    elif not hasattr(value, "__float__"):
        raise TypeError(
            f"{name} must be a number or a tensor of one element, "
            f"not {type(value).__name__}: {value!r}"
        )
    if value not in allowed:
        wording = _TORCH_WORDING.get(name, f"Invalid {name} value")
        raise ValueError(f"{wording}: {value} ({allowed.describe(name)})")


def decays(group: Group) -> bool:
    """Whether there is weight decay; a tensor is not read for it."""
    weight_decay = group["weight_decay"]
    return torch.is_tensor(weight_decay) or weight_decay != 0


class Optimizer(torch.optim.Optimizer):
    """Base class of all optimizers here; a `torch.optim.Optimizer` in every respect.

    A subclass sets the class attributes below, names its buffers in `buffer_names` and passes its
    hyper-parameters to `__init__` as `defaults`. It does not override `step`.
    """

    #: The rule: updates a parameter and its buffers in place. Positional arguments are the
    #: parameter and its gradient; buffers are named as in the state, scalars as in the group.
    rule: ClassVar[Callable[..., None]]
    #: The range of every numeric hyper-parameter.
    ranges: ClassVar[dict[str, Range]]
    #: The class of torch.optim that this one equals, and the arguments that make it do so.
    torch_twin: ClassVar[type[torch.optim.Optimizer]]
    twin_kwargs: ClassVar[dict[str, Any]] = {}
    #: Whether the state holds `step`, the number of updates a parameter has had.
    counts_steps: ClassVar[bool] = True
    #: Whether a complex parameter is updated as pairs of real numbers.
    views_complex_as_real: ClassVar[bool] = True
    #: What the rule makes of a sparse gradient: refuse it, take it as it is, or be run on the
    #: elements that it names.
    sparse_gradients: ClassVar[Literal["refused", "as they are", "by element"]] = "refused"

    _group_scalars: ClassVar[tuple[str, ...]]
    _rule_takes_step: ClassVar[bool]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        spec = inspect.getfullargspec(cls.rule)
        cls._group_scalars = tuple(n for n in spec.kwonlyargs if n not in ("step", "first"))
        cls._rule_takes_step = "step" in spec.kwonlyargs

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.validate(defaults)
        if "betas" in defaults:
            defaults["betas"] = tuple(
                beta.squeeze() if isinstance(beta, Tensor) else beta for beta in defaults["betas"]
            )
        super().__init__(params, defaults)

    # ------------------------------------------------------------------ groups

    def validate(self, group: Group) -> None:
        """Raise a ValueError, TypeError or RuntimeError that says what is wrong with a group.

        Args:
            group: a value for every key of `defaults`; other keys are not looked at.
        """
        for name, allowed in self.ranges.items():
            value = group[name]
            if name == "betas":
                if not isinstance(value, (tuple, list)) or len(value) != 2:  # pyright: ignore[reportUnknownArgumentType]
                    raise ValueError(f"betas must be a pair (beta1, beta2), not {value!r}")
                _check("betas[0]", value[0], allowed)
                _check("betas[1]", value[1], allowed)
            else:
                _check(name, value, allowed)
        if group.get("fused"):
            if group["differentiable"]:
                raise RuntimeError("`fused` does not support `differentiable`: choose one")
            if group["foreach"]:
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
            self.validate({**self.defaults, **param_group})
        super().add_param_group(param_group)

    # ------------------------------------------------------------------ state

    def buffer_names(self, group: Group) -> tuple[str, ...]:
        """The names of the buffers that the rule needs under this group's settings."""
        raise NotImplementedError

    def new_buffer(self, name: str, param: Tensor, grad: Tensor, group: Group) -> Tensor:
        """The start value of a buffer: zeros, shaped and laid out like the parameter."""
        return torch.zeros_like(param, memory_format=torch.preserve_format)

    def init_state(self, param: Tensor, grad: Tensor, group: Group) -> None:
        """Make what the parameter's state lacks under this group's settings."""
        state = self.state[param]
        if self.counts_steps and "step" not in state:
            state["step"] = self._step_counter(0.0, param, group)
        for name in self.buffer_names(group):
            if name not in state:
                state[name] = self.new_buffer(name, param, grad, group)

    @staticmethod
    def _step_counter(value: float, param: Tensor, group: Group) -> Tensor:
        """A 0-dim counter. On the CPU, where reading it is free, unless a kernel must read it."""
        fused = bool(group.get("fused"))
        on_device = fused or group.get("capturable")
        device = param.device if on_device else torch.device("cpu")
        return torch.tensor(value, dtype=_get_scalar_dtype(is_fused=fused), device=device)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over unpickled or loaded state, completing what an older version did not store."""
        super().__setstate__(state)
        arguments = self._argument_defaults()
        for group in self.param_groups:
            for name in self.defaults:
                if name in arguments:
                    group.setdefault(name, arguments[name])
            for param in group["params"]:
                self._complete_state(self.state.get(param, {}), param, group)

    @classmethod
    def _argument_defaults(cls) -> dict[str, Any]:
        """The defaults of the constructor's arguments, those of base classes included."""
        constructors = [vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base)]
        return {
            parameter.name: parameter.default
            for constructor in reversed(constructors)
            for parameter in inspect.signature(constructor).parameters.values()
            if parameter.default is not parameter.empty
        }

    def _complete_state(self, state: dict[str, Any], param: Tensor, group: Group) -> None:
        """Old checkpoints hold numbers for counters, and None for momentum not begun yet."""
        for key in [key for key, value in state.items() if value is None]:
            del state[key]
        if "step" in state and not isinstance(state["step"], Tensor):
            state["step"] = self._step_counter(float(state["step"]), param, group)

    # ------------------------------------------------------------------ the step

    def effective_gradient(self, group: Group, param: Tensor, grad: Tensor) -> Tensor:
        """What the rule is given as the gradient: to ascend, and with that of an L2 penalty."""
        if group["maximize"]:
            grad = grad.neg()  #                                        g ← −g
        if not group.get("decoupled_weight_decay") and decays(group):
            grad = grad.add(param, alpha=group["weight_decay"])  #      g ← g + λ θ
        return grad

    def update(
        self,
        group: Group,
        scalars: dict[str, Any],
        names: tuple[str, ...],
        param: Tensor,
        grad: Tensor,
        *buffers: Tensor,
    ) -> None:
        """Update one parameter and its buffers in place; the gradient stays as it is.

        This is all the arithmetic there is: what every algorithm does first, then its rule.

        Args:
            group: the parameter's group.
            scalars: the arguments of the rule that are no tensors.
            names: the names of the buffers.
            param: θ, of any shape.
            grad: the gradient g, shaped like the parameter.
            buffers: the parameter's state, each shaped like the parameter.
        """
        grad = self.effective_gradient(group, param, grad)
        if group.get("decoupled_weight_decay") and decays(group):
            param.mul_(1 - scalars["lr"] * group["weight_decay"])  #    θ ← θ − η λ θ
        tensors: list[Any] = [param, grad, *buffers]
        if grad.is_sparse and self.sparse_gradients == "by element":
            tensors = executors.view_elements(*tensors)
        elif param.is_complex() and self.views_complex_as_real:
            tensors = [executors.view_as_real(tensor) for tensor in tensors]
        named = dict(zip(names, tensors[2:], strict=True))
        self.rule(tensors[0], tensors[1], **named, **scalars)

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
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            for group in self.param_groups:
                self._step_group(group)
        return loss

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
                or profiler._is_profiler_enabled  # pyright: ignore[reportPrivateUsage]
                or self._optimizer_step_pre_hooks
                or self._optimizer_step_post_hooks
                or _global_optimizer_pre_hooks
                or _global_optimizer_post_hooks
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

    def _step_group(self, group: Group) -> None:
        """Update the parameters of one group that have a gradient."""
        params = group["params"]
        if len(params) > 1 and len(set(map(id, params))) < len(params):
            for param in params:  # torch warns about a parameter given twice, and updates it twice
                self._step_group({**group, "params": [param]})
            return
        if torch.compiler.is_compiling() and self.counts_steps:
            self._init_group(group)
        names = self.buffer_names(group)
        columns, counters, new = self._collect(group, names)
        if not columns[0]:
            return
        scalars = {
            name: value.squeeze() if isinstance(value := group[name], Tensor) else value
            for name in self._group_scalars
        }
        execute = executors.choose(group, scalars)

        def run(columns: executors.Columns, **more: Any) -> None:
            execute(functools.partial(self.update, group, {**scalars, **more}, names), columns)

        if not self.counts_steps:
            if new:
                begun, columns = executors.split(columns, new)
                run(begun, first=True)
            if columns[0]:
                run(columns, first=False)
            return
        executors.count_up(columns[0], counters, group)
        if not self._rule_takes_step:
            run(columns)
            return
        for step, columns_of_step in executors.by_count(columns, counters, group):
            run(columns_of_step, step=step)

    def _init_group(self, group: Group) -> None:
        """Make the state of a group. torch.compile looks for a method of this name and runs it in
        plain Python, so that the first step needs no graph of its own."""
        for param in group["params"]:
            if param.grad is not None:
                self.init_state(param, param.grad, group)

    def _collect(
        self, group: Group, names: tuple[str, ...]
    ) -> tuple[executors.Columns, list[Tensor], list[int]]:
        """The tensors of every parameter that has a gradient, made if they are not there yet.

        Returns:
            The columns [parameters, gradients, *buffers], the step counters, and the places of the
            parameters whose state was made now.
        """
        params: list[Tensor] = []
        grads: list[Tensor] = []
        for param in group["params"]:
            grad = param.grad
            if grad is not None:
                params.append(param)
                grads.append(grad)
                if grad.is_sparse:
                    self._check_sparse(group)
        keys = (*names, "step") if self.counts_steps else names
        if not keys:
            return [params, grads], [], []
        states = [self.state[param] for param in params]
        new: list[int] = []
        try:
            kept = [[state[key] for state in states] for key in keys]
        except KeyError:
            new = [i for i, state in enumerate(states) if any(key not in state for key in keys)]
            for i in new:
                self.init_state(params[i], grads[i], group)
            kept = [[state[key] for state in states] for key in keys]
        counters = kept.pop() if self.counts_steps else []
        return [params, grads, *kept], counters, new

    def _check_sparse(self, group: Group) -> None:
        name = type(self).__name__
        if self.sparse_gradients == "refused":
            hint = ", please consider SparseAdam instead" if name.startswith("Adam") else ""
            raise RuntimeError(f"{name} does not support sparse gradients{hint}")
        if group["weight_decay"] != 0:
            raise RuntimeError(
                "weight_decay option is not compatible with sparse gradients: it must be 0, "
                f"given was {group['weight_decay']}"
            )
        if group.get("fused"):
            raise RuntimeError(f"`fused` {name} does not support sparse gradients")
