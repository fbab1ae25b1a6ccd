"""One rule per parameter: from `step()` down to the rule of the algorithm.

`TensorRule` gives the rule real tensors, one parameter after the other: it may use whatever torch
has. `ElementwiseRule` needs a rule of elementwise operators only, and for that runs it over lists,
in chunks, packed, as a function and in compiled kernels (`execution`). All arithmetic that does not
stand in an algorithm's own file is in `_update`; all bookkeeping is above it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from myoptim.declaration import keywords, positional
from myoptim.execution import (
    Columns,
    Executor,
    Layout,
    RowExecutor,
    Update,
    executor,
    numbers,
    records,
    row_executor,
)
from myoptim.execution.columns import PLAIN, directly, kinds, rows, take
from myoptim.execution.foreach import TensorList
from myoptim.execution.functional import decayed_pairs
from myoptim.execution.fused import check_fusible, unscaled
from myoptim.execution.graph import trace
from myoptim.execution.sparse import view_elements
from myoptim.hyperparameters import Group, real
from myoptim.optimizer import Optimizer

#: The arguments of a rule that are no tensors, and the rule of weight decay with its own.
Scalars = dict[str, Any]
Decay = Callable[..., Any] | None
Names = tuple[str, ...]

#: Parameters, each with its gradient and whether its state was made at this step.
Todo = Iterable[tuple[Tensor, Any, bool]]


class TensorRule(Optimizer):
    """An optimizer whose declaration has a rule, run on one parameter after the other.

    The rule may be given tensors of any shape, and may use any function of torch. Flags that ask
    for another way of running are not for it.
    """

    # ------------------------------------------------------------------ down to the rule

    def _step_group(self, group: Group) -> None:
        """Update the parameters of one group that have a gradient."""
        group = self._settle(group)
        if torch.compiler.is_compiling() and self._declaration.numbers:
            self._init_group(group)
        params, grads = self._with_gradient(group)
        if params:
            self._step_params(group, params, grads)

    def _step_params(self, group: Group, params: list[Tensor], grads: list[Tensor]) -> None:
        """Update parameters of one group that all have a gradient."""
        new = self._make_states(group, params)
        scalars, decay, _ = self._arguments(group)
        self._loop(group, zip(params, grads, new, strict=True), scalars, decay, directly)

    def _loop(
        self, group: Group, todo: Todo, scalars: Scalars, decay: Decay, execute: RowExecutor
    ) -> None:
        """One parameter after the other: count up, then update. All other ways of running are
        measured against this."""
        declared = self._declaration
        for param, grad, first in todo:
            state, names = self.state.get(param, {}), declared.buffer_names(param, group)
            if "step" in declared.numbers:
                state["step"] += 1
            if declared.before is not None:
                self._change_numbers(declared.before, group, state)
            given = self._given(declared.takes, group, state, first)
            update = functools.partial(self._update, group, names, decay, {**scalars, **given})
            execute(update, (param, grad, *[state[name] for name in names]))
            if declared.after is not None:
                self._change_numbers(declared.after, group, state)

    def _update(
        self, group: Group, names: Names, decay: Decay, scalars: Scalars, *row: Any
    ) -> None:
        """Update one parameter and its buffers in place; the gradient stays as it is.

        This is all the arithmetic there is: what every algorithm does first, then its rule.

        Args:
            group: the parameter's group.
            names: the names of the buffers.
            decay: the rule of weight decay, if there is any.
            scalars: the arguments of the algorithm's rule that are no tensors.
            row: the parameter θ, its gradient g and its buffers, all of one shape.
        """
        declared: Any = self._declaration
        param, grad, *buffers = row
        if group.get("maximize"):
            grad = grad.neg()  #  g ← −g
        if param.is_complex():
            param, grad, *buffers = decayed_pairs(
                declared.complex, decay, row=(param, grad, *buffers)
            )
        elif decay is not None:
            grad = decay(param, grad)
        if grad.is_sparse and declared.sparse in ("by element", "only"):
            param, grad, *buffers = view_elements(param, grad, *buffers)
        declared.rule(param, grad, **dict(zip(names, buffers, strict=True)), **scalars)

    # ------------------------------------------------------------------ what a rule takes

    @classmethod
    def _settle(cls, group: Group) -> Group:
        """The group as the rules take it, after what its parameters have to decide."""
        return group

    def _arguments(self, group: Group) -> tuple[Scalars, Decay, bool]:
        """What is taken from the group: the scalars of the rule, the rule of weight decay with its
        scalars if there is any, and whether any of these scalars is a tensor."""
        scalars = _scalars(self._declaration.takes, group)
        decay = self._declaration.weight_decay(group)
        if decay is None:
            return scalars, None, _have_tensors(scalars.values())
        of_decay = _scalars(keywords(decay), group)
        has_tensors = _have_tensors([*scalars.values(), *of_decay.values()])
        return scalars, functools.partial(decay, **of_decay), has_tensors

    def _given(
        self, names: Sequence[str], group: Group, state: dict[str, Any], first: bool
    ) -> dict[str, Any]:
        """What is taken from the state: its numbers, read unless a graph is recorded."""
        given: dict[str, Any] = {"first": first} if "first" in names else {}
        for name in self._declaration.numbers:
            if name in names:
                value = state[name]
                given[name] = value if _unreadable(group) else numbers.value_of(value)
        return given

    def _change_numbers(
        self, rule: Callable[..., None], group: Group, state: dict[str, Any]
    ) -> None:
        """Run a rule on numbers of the state: those that it takes by position are changed."""
        scalars = _scalars(keywords(rule), group)
        given = self._given(keywords(rule), group, state, False)
        rule(*[state[name] for name in positional(rule)], **scalars, **given)

    # ------------------------------------------------------------------ gradients and state

    def _with_gradient(self, group: Group) -> tuple[list[Tensor], list[Tensor]]:
        """The parameters that have a gradient, in their order, and their gradients, if the rule
        takes them all."""
        declared = self._declaration
        params = [param for param in group["params"] if param.grad is not None]
        grads = [param.grad for param in params]
        choosy = declared.sparse == "only" or declared.complex == "refused"
        if choosy or any(grad.is_sparse for grad in grads):
            for param, grad in zip(params, grads, strict=True):
                self._check_kind(param, grad, group)
        return params, grads

    def _make_states(self, group: Group, params: Sequence[Tensor]) -> list[bool]:
        """Make what the states lack, and say of each parameter whether its own lacked anything."""
        new = [self._lacks_state(param, group) for param in params]
        for param, lacks in zip(params, new, strict=True):
            if lacks:
                self._init_state(param, param.grad, group)
        return new

    def _lacks_state(self, param: Tensor, group: Group) -> bool:
        declared, state = self._declaration, self.state.get(param, {})
        for key in (*declared.numbers, *declared.buffer_names(param, group)):
            if state.get(key) is None:
                return True
        return False

    def _init_state(self, param: Tensor, grad: Any, group: Group) -> None:
        """Make what the parameter's state lacks under this group's settings."""
        declared, state = self._declaration, self.state[param]
        for name, start in declared.numbers.items():
            if state.get(name) is None:
                value = start(group) if callable(start) else start
                plain = declared.plain_numbers
                state[name] = value if plain else self._new_number(name, value, param, group)
        for name in declared.buffer_names(param, group):
            if state.get(name) is None:
                state[name] = declared.new_buffer(name, param, grad, group)

    def _init_group(self, group: Group) -> None:
        """Make the state of a group. torch.compile looks for a method of this name and runs it in
        plain Python, so that the first step needs no graph of its own."""
        for param in group["params"]:
            if param.grad is not None:
                self._init_state(param, param.grad, group)

    def _check_kind(self, param: Tensor, grad: Tensor, group: Group) -> None:
        """Raise, before anything of the group is changed, if the rule does not take these."""
        declared, name = self._declaration, type(self).__name__
        if param.is_complex() and declared.complex == "refused":
            raise RuntimeError(f"{name} does not support complex parameters")
        if not grad.is_sparse:
            if declared.sparse == "only":
                raise RuntimeError(
                    f"{name} does not support dense gradients, please consider Adam instead"
                )
            return
        if declared.sparse == "refused":
            raise RuntimeError(f"{name} does not support sparse gradients{declared.sparse_hint}")
        if declared.weight_decay(group) is not None:
            raise RuntimeError(
                "weight_decay option is not compatible with sparse gradients: it must be 0"
            )
        if group.get("fused"):
            raise RuntimeError(f"`fused` {name} does not support sparse gradients")


class ElementwiseRule(TensorRule):
    """An optimizer whose rule uses elementwise operators only, and so runs in every way.

    Flags of the group, all of which may be missing: `maximize`, `foreach`, `fused`,
    `differentiable`, `capturable`; see `execution`.
    """

    _rule_was_traced = False
    _layouts: Mapping[int, Layout] = {}  # replaced, never changed

    def _step_params(self, group: Group, params: list[Tensor], grads: list[Tensor]) -> None:
        declared = self._declaration
        scalars, decay, has_tensors = self._arguments(group)
        execute = row_executor(group, has_tensors)
        if execute is None and declared.buffers_of is None and not declared.plain_numbers:
            self._together(group, params, grads, scalars, decay, has_tensors)
            return
        if group.get("fused"):
            check_fusible(kinds(params))
        new = self._make_states(group, params)
        if group.get("capturable") and not torch.compiler.is_compiling():
            numbers.check_capturable(params, self._columns(declared.numbers, params))
        grads = self._unscaled(group, grads)
        if grads:
            todo = zip(params, grads, new, strict=True)
            self._loop(group, todo, scalars, decay, execute or directly)

    def _unscaled(self, group: Group, grads: list[Tensor]) -> list[Tensor]:
        """The gradients in their true size; none if one is known not to be finite."""
        scale, overflow = getattr(self, "grad_scale", None), getattr(self, "found_inf", None)
        if scale is None and overflow is None:
            return grads
        return unscaled(group, grads, scale, overflow)

    # ------------------------------------------------------------------ many at once

    def _together(
        self,
        group: Group,
        params: list[Tensor],
        grads: list[Tensor],
        scalars: Scalars,
        decay: Decay,
        has_tensors: bool,
    ) -> None:
        """Update parameters many at a time, with the bits of the loop where it promises them."""
        declared = self._declaration
        names = declared.buffer_names(params[0], group)
        kept, new = self._collect(group, names, params)
        grads = self._unscaled(group, grads)
        if not grads:
            return
        count = len(declared.numbers)
        columns, counters = [params, grads, *kept[count:]], kept[:count]
        layout = self._layout(group, columns, counters)
        if group.get("fused"):
            check_fusible(layout.kinds)
        execute = executor(group, has_tensors, declared.zeros_tie, layout)
        update = functools.partial(self._update, group, names, decay)
        if not self._rule_was_traced:
            execute = functools.partial(self._refuse_or, execute)
        for run in layout.runs:
            if len(run) == len(params):
                self._run(group, update, scalars, execute, columns, counters, new)
            else:
                first = [new[i] for i in run] if new else ()
                part = take(columns, run), take(counters, run)
                self._run(group, update, scalars, execute, *part, first)

    def _run(
        self,
        group: Group,
        update: Update,
        scalars: dict[str, Any],
        execute: Executor,
        columns: Columns,
        counters: Columns,
        new: Sequence[bool],
    ) -> None:
        """Count up, then update together the parameters whose numbers are equal."""
        declared = self._declaration
        by_name: dict[str, Any] = dict(zip(declared.numbers, counters, strict=True))
        if "step" in by_name:
            numbers.count_up(by_name["step"])
        if declared.before is not None:
            self._change_each(declared.before, group, by_name)
        count = len(columns[0])
        if "first" in declared.takes:
            if new:
                by_name["first"] = new
            else:
                scalars = {**scalars, "first": False}
        for given, places in numbers.by_value(by_name, declared.takes, count):
            part = columns if len(places) == count else take(columns, places)
            execute(functools.partial(update, {**scalars, **given}), part)
        if declared.after is not None:
            self._change_each(declared.after, group, by_name)

    def _change_each(
        self, rule: Callable[..., None], group: Group, by_name: dict[str, Any]
    ) -> None:
        """The same as `_change_numbers` for many parameters."""
        changed = [by_name[name] for name in positional(rule)]
        scalars, count = _scalars(keywords(rule), group), len(changed[0])
        together = not _have_tensors(scalars.values()) and numbers.are_floats(changed)
        for given, places in numbers.by_value(by_name, keywords(rule), count):
            columns = changed if len(places) == count else take(changed, places)
            if len(places) > 1 and together:
                rule(*map(TensorList, columns), **scalars, **given)
            else:  # in half precision, which loading may give them, list kernels round otherwise
                for row in rows(columns):
                    rule(*row, **scalars, **given)

    def _refuse_or(self, execute: Executor, update: Update, columns: Columns) -> None:
        """Whatever way these parameters go, a rule that is not elementwise is refused."""
        if not self._rule_was_traced:
            trace(update, len(columns))
            self._rule_was_traced = True
        execute(update, columns)

    def _collect(
        self, group: Group, names: tuple[str, ...], params: list[Tensor]
    ) -> tuple[Columns, Sequence[bool]]:
        """The columns of numbers and buffers, made if they are not there yet, and of each parameter
        whether its state was made now, if any was."""
        keys = (*self._declaration.numbers, *names)
        if not keys:
            return [], ()
        try:
            columns = self._columns(keys, params)
            if PLAIN.issuperset(map(type, itertools.chain(*columns))):
                return columns, ()
        except KeyError:
            pass
        for param in params:
            self._complete_state(self.state[param], param, group)
        new = self._make_states(group, params)
        return self._columns(keys, params), new

    def _columns(self, keys: Iterable[str], params: list[Tensor]) -> Columns:
        """What the states hold, a column for each key."""
        states = [self.state[param] for param in params]
        return [[state[key] for state in states] for key in keys]

    def _layout(self, group: Group, columns: Columns, counters: Columns) -> Layout:
        """How the tensors lie, as it was found at the last step if it is still so."""
        layout = self._layouts.get(id(group))
        if layout is None or not layout.holds(columns, counters):
            layout = Layout(columns, counters)
            self._layouts = {**self._layouts, id(group): layout}
        return layout


_NUMBERS = frozenset((float, int, bool))


def _scalars(names: Sequence[str], group: Group) -> dict[str, Any]:
    """The arguments of a rule that are hyper-parameters, as they are in the group."""
    if torch.compiler.is_compiling():
        return _unread_scalars(names, group)
    return {
        name: value if type(value := group[name]) in _NUMBERS else _scalar(name, value, group)
        for name in names
        if name in group
    }


def _unread_scalars(names: Sequence[str], group: Group) -> dict[str, Any]:
    """The same for a compiler: to look closer would compile each value anew."""
    return {
        name: value.squeeze() if isinstance(value := group[name], Tensor) else value
        for name in names
        if name in group
    }


def _scalar(name: str, value: Any, group: Group) -> Any:
    """A hyper-parameter as a rule takes it: tensors without dimensions, and numbers that are real.

    Raises:
        RuntimeError: a schedule has made a complex number of it.
    """
    if isinstance(value, (tuple, list)):
        if _all_numbers(value):  # pyright: ignore
            return value  # pyright: ignore
        return type(value)(_scalar(name, member, group) for member in value)  # pyright: ignore
    if isinstance(value, Tensor):
        # A kernel takes the value of a tensor, unless that would lose its gradient.
        return value.squeeze() if records(group) else value.squeeze().detach()
    return real(name, value)


def _have_tensors(values: Iterable[Any]) -> bool:
    """Whether a hyper-parameter is a tensor, or has one in it."""
    return not _all_numbers(values) and any(map(_is_tensor, values))


def _all_numbers(values: Iterable[Any]) -> bool:
    """Whether a glance shows nothing but numbers. torch 2.8 cannot compile the glance."""
    return not torch.compiler.is_compiling() and _NUMBERS.issuperset(map(type, values))


def _is_tensor(value: Any) -> bool:
    return _have_tensors(value) if type(value) is tuple else isinstance(value, Tensor)


def _unreadable(group: Group) -> bool:
    """Whether a graph is recorded that may not stop to read a number."""
    return bool(group.get("capturable")) or torch.compiler.is_compiling()
