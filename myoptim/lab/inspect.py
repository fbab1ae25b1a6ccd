"""Why training fails: what the steps of a real run are made of.

>>> import torch
>>> import myoptim
>>> weight = torch.tensor([1.0, 4.0], requires_grad=True)
>>> optimizer = myoptim.SGD([("weight", weight)], lr=0.1, momentum=0.9, weight_decay=0.5)
>>> with inspect(optimizer, every=2) as report:
...     for _ in range(2):
...         weight.grad = torch.tensor([1.0, 4.0])
...         optimizer.step()
>>> row = report.at()[0]
>>> {name: round(share, 3) for name, share in row.shares.items()}
{'gradient': 0.36, 'memory': 0.486, 'decay': 0.153}

Parameters, gradients and state are copied before an inspected step, and after it the one rule of
the optimizer is run again, in float64, on one parameter after the other: as it is, without weight
decay, without decay and gradient, without decay and ε. So no algorithm needs code of its own. The
training goes on with the bits that it would have had.

The cost. Between inspected steps a counter goes up, and nothing else is done. At an inspected one
there is one more copy of the parameters, their gradients and their state, and room for up to
seventeen float64 numbers for each element under work: of a rule that is elementwise at most a slice
of `SLICE` elements, of another the largest parameter. With Adam on a CPU it takes as long as thirty
steps of large parameters, or sixty of many small ones: done at every hundredth step, that is less
than the steps themselves take.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Container, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from myoptim.hyperparameters import Group
from myoptim.lab.alone import run_alone, settled
from myoptim.lab.errors import UsageError
from myoptim.lab.inspection import DECAY, EPSILON, Report, Row, Tally
from myoptim.lab.narrate import parameter_names
from myoptim.lab.resolve import rule_class
from myoptim.optimizer import declaration_of
from myoptim.rules import ElementwiseRule, TensorRule

#: Of a parameter with an elementwise rule so many elements are worked on at a time.
SLICE = 2**18

State = dict[str, Any]


@dataclass(frozen=True)
class Split:
    """What a rule asks of a parameter in one step, and the parts of it: step = gradient + memory +
    decay, element by element. All are vectors in float64; a complex number is two elements.

    Attributes:
        step: the change of the parameter, without the rounding of its type.
        gradient: what the gradient at this step adds to that.
        memory: what remains without gradient and decay: the step that the state makes by itself.
        decay: what weight decay at this step adds to the other two.
        free: gradient + memory, as they would be without ε.
        state: the state after the step, in float64.
    """

    step: Tensor
    gradient: Tensor
    memory: Tensor
    decay: Tensor
    free: Tensor
    state: State


def split(rule: type[TensorRule], group: Group, param: Tensor, grad: Tensor, state: State) -> Split:
    """Run a rule on copies, as it is and without its terms; see `Split`.

    Args:
        rule: the class whose rule it is.
        group: hyper-parameters, as `alone.settled` gives them.
        param: the parameter before the step.
        grad: its gradient.
        state: its state before the step; empty before the first.
    """

    def moved(group: Group, grad: Tensor) -> tuple[Tensor, State]:
        moving, kept = _wide(param), _wide_state(rule, state)
        run_alone(rule, group, moving, _wide(grad), kept)
        return _flat(moving) - _flat(param), kept

    step, after = moved(group, grad)
    undecayed_group = _without(DECAY, group)
    undecayed = step if undecayed_group is group else moved(undecayed_group, grad)[0]
    memory = moved(undecayed_group, _zero(grad))[0]
    free_group = _without(EPSILON, undecayed_group)
    free = undecayed if free_group is undecayed_group else moved(free_group, grad)[0]
    return Split(step, undecayed - memory, memory, step - undecayed, free, after)


def _without(names: tuple[str, ...], group: Group) -> Group:
    """The group with 0 for the hyper-parameters of these names; itself if it has none but 0."""
    there = [name for name in names if name in group and _is_something(group[name])]
    return {**group, **{name: _nothing(group[name]) for name in there}} if there else group


def _is_something(value: Any) -> bool:
    return any(map(_is_something, value)) if isinstance(value, (tuple, list)) else bool(value)


def _nothing(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(map(_nothing, value))  # pyright: ignore
    return torch.zeros_like(value) if isinstance(value, Tensor) else 0.0


def _zero(grad: Tensor) -> Tensor:
    """A gradient of zeros; a sparse one names the same elements."""
    if not grad.is_sparse:
        return torch.zeros_like(grad)
    grad = grad.coalesce()
    zeros = torch.zeros_like(grad.values())
    return torch.sparse_coo_tensor(grad.indices(), zeros, grad.shape, check_invariants=False)


def _wide(tensor: Tensor) -> Tensor:
    """A copy in double precision."""
    dtype = torch.complex128 if tensor.is_complex() else torch.float64
    return tensor.detach().to(dtype, copy=True)


def _buffers(rule: type[TensorRule], state: State) -> dict[str, Tensor]:
    """What of a state is no number per parameter."""
    numbers = declaration_of(rule).numbers
    return {
        name: value
        for name, value in state.items()
        if isinstance(value, Tensor) and name not in numbers
    }


def _wide_state(rule: type[TensorRule], state: State) -> State:
    """A copy of a state, its buffers in double precision; numbers round as they do in training."""
    buffers = {name: _wide(buffer) for name, buffer in _buffers(rule, state).items()}
    return {**_copied(state, leave=buffers), **buffers}


def _copied(state: State, leave: Container[str] = ()) -> State:
    """A copy of what is in a state, but for some of it."""
    return {
        name: _copy(value) if isinstance(value, Tensor) else value
        for name, value in state.items()
        if name not in leave
    }


def _flat(tensor: Tensor) -> Tensor:
    """The elements as a dense vector in double precision; a complex number is two of them."""
    dense = tensor.detach().to_dense() if tensor.is_sparse else tensor.detach()
    real = torch.view_as_real(dense.resolve_conj()) if dense.is_complex() else dense
    return real.reshape(-1).to(torch.float64)


# ------------------------------------------------------------------------------------ the figures


@dataclass(frozen=True)
class _Change:
    """A parameter or a slice of it before and after a step, in which it had a gradient."""

    param: Tensor
    grad: Tensor
    state: State
    param_after: Tensor
    state_after: State

    def tally(self, rule: type[TensorRule] | None, group: Group) -> Tally:
        """The sums over the elements of which all figures are made."""
        if not self.param.numel():
            return Tally()
        if rule is None:
            return self._sums(None, group, Counter(), Counter())
        return sum((part._tally_part(rule, group) for part in self.parts(rule)), Tally())

    def parts(self, rule: type[TensorRule]) -> Iterator[_Change]:
        """What is worked on at a time: of an elementwise rule slices, else the whole."""
        buffers = _buffers(rule, self.state), _buffers(rule, self.state_after)
        held = [self.grad, *buffers[0].values(), *buffers[1].values()]
        if not issubclass(rule, ElementwiseRule) or any(tensor.is_sparse for tensor in held):
            yield self
            return
        flat = _Change(
            self.param.reshape(-1),
            self.grad.reshape(-1),
            {name: buffer.reshape(-1) for name, buffer in buffers[0].items()},
            self.param_after.reshape(-1),
            {name: buffer.reshape(-1) for name, buffer in buffers[1].items()},
        )
        for start in range(0, self.param.numel(), SLICE):
            part = slice(start, start + SLICE)
            before = {name: buffer[part] for name, buffer in flat.state.items()}
            after = {name: buffer[part] for name, buffer in flat.state_after.items()}
            yield _Change(
                flat.param[part],
                flat.grad[part],
                {**self.state, **before},
                flat.param_after[part],
                {**self.state_after, **after},
            )

    def _tally_part(self, rule: type[TensorRule], group: Group) -> Tally:
        made = split(rule, group, self.param, self.grad, self.state)
        stuck, sizes = Counter[str](), Counter[str]()
        after = _buffers(rule, self.state_after)
        for name, buffer in _buffers(rule, self.state).items():
            if name in after:
                before = _flat(buffer)
                stays = (_flat(made.state[name]) != before) & (_flat(after[name]) == before)
                stuck[name], sizes[name] = int(stays.sum()), before.numel()
        return self._sums(made, group, stuck, sizes)

    def _sums(
        self, made: Split | None, group: Group, stuck: Counter[str], sizes: Counter[str]
    ) -> Tally:
        before, after, grad = _flat(self.param), _flat(self.param_after), _flat(self.grad)
        change = after - before
        step = change if made is None else made.step
        sums = {
            "not_finite": (~(grad.isfinite() & after.isfinite())).sum(),
            "zeros": (grad == 0).sum(),
            "param2": before @ before,
            "grad2": grad @ grad,
            "step2": step @ step,
            "change2": change @ change,
            "kept": change @ step,
        }
        if made is not None:
            undecayed = made.gradient + made.memory
            downhill = undecayed @ grad if group.get("maximize") else -(undecayed @ grad)
            sums |= {
                "explained": torch.tensor(before.numel()),
                "lost": ((step != 0) & (change == 0)).sum(),
                "gradient": made.gradient @ step,
                "memory": made.memory @ step,
                "decay": made.decay @ step,
                "downhill": downhill,
                "undecayed2": undecayed @ undecayed,
                "free2": made.free.nan_to_num(0.0, torch.inf, -torch.inf).square().sum(),
            }
        values = torch.stack([value.to(before) for value in sums.values()]).tolist()
        return Tally(
            before.numel(), stuck=stuck, sizes=sizes, **dict(zip(sums, values, strict=True))
        )


def _stand_still(rule: type[TensorRule], group: Group, change: _Change) -> tuple[str, ...]:
    """The numbers of a state that the rule would change, and rounding does not let it."""
    numbers = declaration_of(rule).numbers
    before = {name: change.state[name] for name in numbers if name in change.state}
    same = [n for n, value in before.items() if bool(value == change.state_after.get(n, value))]
    if not same or not change.param.numel():
        return ()
    part = next(change.parts(rule))
    wide = {n: _wide(v) if isinstance(v, Tensor) else v for n, v in before.items()}
    made = split(rule, group, part.param, part.grad, {**part.state, **wide}).state
    return tuple(name for name in same if bool(made[name] != before[name]))


# ---------------------------------------------------------------------------------- a real run


@contextlib.contextmanager
def inspect(
    optimizer: torch.optim.Optimizer,
    every: int = 100,
    *,
    model: torch.nn.Module | Mapping[str, Tensor] | None = None,
) -> Generator[Report]:
    """Look into some of the steps that an optimizer makes, without changing a bit of them.

    Steps are counted from 1, from where this begins. Inspected are the first and every multiple
    of `every`; what that costs is said above. Shares need a rule: that of one of ours, of torch's
    classes or of a subclass without a `step` of its own. Of others, such as L-BFGS, which evaluates
    the loss within its step, the report has what can be seen from outside. A step that a gradient
    scaler leaves out is not counted. Of distributed tensors the parts that lie here are inspected,
    and have shares if the rule is elementwise.

    Args:
        optimizer: of whatever class; hooks, a closure, a scheduler and a scaler may be in use.
        every: how many steps lie between those that are inspected.
        model: whose parameters they are, which gives them names and shows which of them the
            optimizer lacks; or the parameters by name. By default they have the names that the
            optimizer was given, or those of their places, "0.1" for the second one of the first
            group.

    Yields:
        The report, which grows with every inspected step.

    Raises:
        UsageError: it is no optimizer of torch's kind, or `every` is not a whole number from 1.
    """
    if not isinstance(optimizer, torch.optim.Optimizer):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            "inspect takes an optimizer that derives from torch.optim.Optimizer, whose hooks say "
            f"when a step is made; got {type(optimizer).__name__}"
        )
    if every != int(every) or every < 1:
        raise UsageError(f"every must be a whole number of steps, at least 1; got {every}")
    named = dict(model.named_parameters()) if isinstance(model, torch.nn.Module) else model
    inspector = _Inspector(optimizer, every, named or {})
    handles = [
        optimizer.register_step_pre_hook(inspector.before),
        optimizer.register_step_post_hook(inspector.after),
    ]
    try:
        yield inspector.report
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class _Before:
    """What stood before a step: copies. Without gradients where a closure is still to make them."""

    params: list[list[Tensor]]
    states: list[list[State]]
    grads: list[list[Tensor | None]] | None
    groups: list[Group] | None


class _Inspector:
    """Makes a report from the hooks of an optimizer."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, every: int, names: Mapping[str, Tensor]
    ) -> None:
        self.every = every
        self.rule = rule_class(type(optimizer))
        self.names = names
        self.steps = 0
        self.held: _Before | None = None
        self.report = Report(type(optimizer).__name__, self.rule is not None)

    def before(
        self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Keep copies, if the step is to be inspected."""
        self.held = None
        number = self.steps + 1
        if number != 1 and number % self.every:
            return
        groups = optimizer.param_groups
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        self.held = _Before(
            [[_copy(param) for param in group["params"]] for group in groups],
            [[_copied(optimizer.state.get(p, {})) for p in group["params"]] for group in groups],
            self._grads(groups) if closure is None else None,
            self._settled(groups) if closure is None else None,
        )

    def after(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Count the step, and report if copies were kept."""
        overflow = getattr(optimizer, "found_inf", None)
        if overflow is not None and overflow.item():
            self.held = None
            return
        self.steps += 1
        held, self.held = self.held, None
        if held is not None:
            with torch.no_grad():
                self._report(optimizer, held)

    def _grads(self, groups: list[Group]) -> list[list[Tensor | None]]:
        return [
            [None if param.grad is None else _copy(param.grad) for param in group["params"]]
            for group in groups
        ]

    def _settled(self, groups: list[Group]) -> list[Group]:
        return [settled(self.rule, group) if self.rule else dict(group) for group in groups]

    def _rule_for(self, param: Tensor) -> type[TensorRule] | None:
        """On a part of a parameter only a rule that is elementwise does the same."""
        whole = not hasattr(param, "to_local")
        return (
            self.rule if self.rule and (whole or issubclass(self.rule, ElementwiseRule)) else None
        )

    def _report(self, optimizer: torch.optim.Optimizer, held: _Before) -> None:
        groups = optimizer.param_groups
        grads = self._grads(groups) if held.grads is None else held.grads
        ways = self._settled(groups) if held.groups is None else held.groups
        scale = getattr(optimizer, "grad_scale", None)
        names = {id(param): name for name, param in parameter_names(groups).items()}
        names |= {id(param): name for name, param in self.names.items()}
        step = self.steps
        rows: list[Row] = []
        for i, (group, way) in enumerate(zip(groups, ways, strict=True)):
            for j, param in enumerate(group["params"]):
                grad = grads[i][j]
                tally, still = None, ()
                if grad is not None:
                    grad = grad if scale is None else grad / scale.to(grad.device)
                    state = optimizer.state.get(param, {})
                    after = {name: _here(value) for name, value in state.items()}
                    before = held.params[i][j], grad, held.states[i][j]
                    change = _Change(*before, _here(param), after)
                    rule = self._rule_for(param)
                    tally = change.tally(rule, way)
                    still = _stand_still(rule, way, change) if rule else ()
                row = Row(
                    step=step,
                    group=i,
                    param=names[id(param)],
                    shape=tuple(param.shape),
                    dtype=str(param.dtype).removeprefix("torch."),
                    trained=param.requires_grad,
                    tally=tally,
                    still=still,
                )
                rows.append(row)
        there = {id(param) for group in groups for param in group["params"]}
        self.report.absent = [name for name, p in self.names.items() if id(p) not in there]
        self.report.rows[step] = rows
        self.report.settings[step] = [_shown_settings(way) for way in ways]


def _shown_settings(group: Group) -> dict[str, Any]:
    """The hyper-parameters that stand beside the figures, as numbers."""
    names = ("lr", *DECAY, *EPSILON)
    return {name: _number(group[name]) for name in names if name in group}


def _number(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_number(member) for member in value]  # pyright: ignore
    return value.item() if isinstance(value, Tensor) else value


def _copy(tensor: Tensor) -> Tensor:
    return _here(tensor).clone()


def _here(value: Any) -> Any:
    """Of a distributed tensor the part that lies here."""
    value = value.detach() if isinstance(value, Tensor) else value
    return value.to_local() if hasattr(value, "to_local") else value
