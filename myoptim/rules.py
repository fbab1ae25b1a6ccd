"""One rule per parameter: from `step()` down to the rule of the algorithm.

`TensorRule` gives the rule real tensors, one parameter after the other: it may use whatever torch
has. `ElementwiseRule` needs a rule of elementwise operators only, and for that runs it over lists,
in chunks, packed, as a function and in compiled kernels (`execution`). All arithmetic that does not
stand in an algorithm's own file is in `_update`; all bookkeeping is above it.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from myoptim.declaration import keywords, positional
from myoptim.execution import Columns, Executor, Update, executor, numbers, records
from myoptim.execution.columns import PLAIN, each_row, local, rows, take
from myoptim.execution.foreach import TensorList
from myoptim.execution.functional import PairsAdded, as_pairs
from myoptim.execution.fused import check_fusible
from myoptim.execution.graph import trace
from myoptim.execution.layout import Layout
from myoptim.execution.sparse import view_elements
from myoptim.hyperparameters import Group, real
from myoptim.optimizer import Optimizer, declaration_of


class TensorRule(Optimizer):
    """An optimizer whose declaration has a rule, run on one parameter after the other.

    The rule may be given tensors of any shape, and may use any function of torch. Flags that ask
    for another way of running are not for it.
    """

    # ------------------------------------------------------------------ down to the rule

    def _step_group(self, group: Group) -> None:
        """Update the parameters of one group that have a gradient."""
        group = self._settle(group)
        declared = self._declaration
        compiling = torch.compiler.is_compiling()
        if compiling and declared.numbers:
            self._init_group(group)
        scalars = _scalars(declared.takes, group)
        decay = declared.weight_decay(group)
        if decay is not None:
            decay = functools.partial(decay, **_scalars(keywords(decay), group))
        values = [*scalars.values(), *(decay.keywords.values() if decay else ())]
        has_tensors = (
            not compiling
            and not _NUMBERS.issuperset(map(type, values))
            and any(map(_is_tensor, values))
        )
        for names, params in self._by_buffers(group):
            columns, counters, new = self._collect(group, names, params)
            if not columns[0]:
                continue
            update = functools.partial(self._update, group, names, decay)
            execute, runs = self._plan(group, has_tensors, columns, counters)
            for run in runs:
                if len(run) == len(columns[0]):
                    self._step_run(group, update, scalars, execute, columns, counters, new)
                else:
                    part, kept = take(columns, run), take(counters, run)
                    made = [j for j, i in enumerate(run) if i in new]
                    self._step_run(group, update, scalars, execute, part, kept, made)

    def _step_run(
        self,
        group: Group,
        update: Update,
        scalars: dict[str, Any],
        execute: Executor,
        columns: Columns,
        counters: Columns,
        new: Sequence[int],
    ) -> None:
        """Count up, then update together the parameters whose numbers are equal."""
        declared = self._declaration
        if "step" in declared.numbers:
            if declared.plain_numbers:
                counters = self._count_up_plain(columns[0], counters)
            else:
                numbers.count_up(counters[0])
        if declared.before is not None:
            self._change_numbers(declared.before, group, counters)
        for given, places in self._by_numbers(declared.takes, group, counters, new, columns[0]):
            part = columns if len(places) == len(columns[0]) else take(columns, places)
            execute(functools.partial(update, {**scalars, **given}), part)
        if declared.after is not None:
            self._change_numbers(declared.after, group, counters)

    def _update(
        self,
        group: Group,
        names: tuple[str, ...],
        decay: Callable[..., Any] | None,
        scalars: dict[str, Any],
        param: Any,
        grad: Any,
        *buffers: Any,
    ) -> None:
        """Update one parameter and its buffers in place; the gradient stays as it is.

        This is all the arithmetic there is: what every algorithm does first, then its rule.

        Args:
            group: the parameter's group.
            names: the names of the buffers.
            decay: the rule of weight decay, if there is any.
            scalars: the arguments of the algorithm's rule that are no tensors.
            param: θ, of any shape.
            grad: the gradient g, shaped like the parameter.
            buffers: the parameter's state.
        """
        declared: Any = self._declaration
        pairs = declared.complex if param.is_complex() else ""
        if group.get("maximize"):
            grad = grad.neg()  #  g ← −g
        tensors: Sequence[Any] = (param, grad, *buffers)
        if pairs == "as pairs from the decay on":
            tensors = as_pairs(tensors)
        if decay is not None:
            grad = decay(tensors[0], tensors[1])
            tensors = (tensors[0], grad, *tensors[2:])
        if grad.is_sparse and declared.sparse in ("by element", "only"):
            tensors = view_elements(*tensors)
        elif pairs == "as pairs":
            tensors = as_pairs(tensors)
        elif pairs == "pairs added":
            tensors = [PairsAdded(param), *as_pairs((grad, *buffers))]
        named = dict(zip(names, tensors[2:], strict=True))
        declared.rule(tensors[0], tensors[1], **named, **scalars)

    @classmethod
    def _settle(cls, group: Group) -> Group:
        """The group as the rules take it, after what its parameters have to decide."""
        return group

    # ------------------------------------------------------------------ how it is run

    def _plan(
        self, group: Group, has_tensors: bool, columns: Columns, counters: Columns
    ) -> tuple[Executor, Sequence[Sequence[int]]]:
        """What runs the rule on columns of parameters, and the places of the parameters that are
        counted and updated together, in their order."""
        return each_row, [[i] for i in range(len(columns[0]))]

    # ------------------------------------------------------------------ state

    def _by_buffers(self, group: Group) -> list[tuple[tuple[str, ...], list[Tensor]]]:
        """The parameters that have a gradient, in their order, as long as their buffers have the
        same names."""
        declared = self._declaration
        params: list[Any] = [param for param in group["params"] if param.grad is not None]
        choosy = declared.sparse == "only" or declared.complex == "refused"
        for param in params:
            if choosy or param.grad.is_sparse:
                self._check_kind(param, param.grad, group)
        if declared.buffers_of is None:
            return [(declared.buffer_names(params[0], group), params)] if params else []
        names = functools.partial(declared.buffer_names, group=group)
        return [(key, list(alike)) for key, alike in itertools.groupby(params, names)]

    def _collect(
        self, group: Group, names: tuple[str, ...], params: list[Tensor]
    ) -> tuple[Columns, Columns, Sequence[int]]:
        """The tensors of some parameters that have a gradient, made if they are not there yet.

        Returns:
            The columns [parameters, gradients, *buffers], the columns of numbers, and the places of
            the parameters whose state was made now.
        """
        grads: list[Any] = [param.grad for param in params]
        keys = (*self._declaration.numbers, *names)
        if not keys:
            return [params, grads], [], ()
        states = [self.state[param] for param in params]
        new: list[int] = []
        try:
            kept = [[state[key] for state in states] for key in keys]
            complete = PLAIN.issuperset(map(type, itertools.chain(*kept)))
        except KeyError:
            kept, complete = [], False
        if not complete:
            for param, state in zip(params, states, strict=True):
                self._complete_state(state, param, group)
            new = [i for i, state in enumerate(states) if any(key not in state for key in keys)]
            for i in new:
                self._init_state(params[i], grads[i], group)
            kept = [[state[key] for state in states] for key in keys]
        count = len(keys) - len(names)
        return [params, grads, *kept[count:]], kept[:count], new

    def _init_state(self, param: Tensor, grad: Tensor, group: Group) -> None:
        """Make what the parameter's state lacks under this group's settings."""
        declared, state = self._declaration, self.state[param]
        for name, start in declared.numbers.items():
            if name not in state:
                value = start(group) if callable(start) else start
                plain = declared.plain_numbers
                state[name] = value if plain else self._new_number(value, param, group)
        for name in declared.buffer_names(param, group):
            if name not in state:
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

    # ------------------------------------------------------------------ numbers

    def _by_numbers(
        self,
        takes: tuple[str, ...],
        group: Group,
        counters: Columns,
        new: Sequence[int],
        params: Sequence[Any],
    ) -> list[tuple[dict[str, Any], Sequence[int]]]:
        """What a rule takes of the state's numbers, each with the places where they are so."""
        count = len(params)
        by_name: dict[str, Any] = dict(zip(self._declaration.numbers, counters, strict=True))
        if new and "first" in takes:
            by_name["first"] = [i in new for i in range(count)]
        names = [name for name in by_name if name in takes]
        if not names:
            return [({"first": False} if "first" in takes else {}, range(count))]
        readable = not (group.get("capturable") or torch.compiler.is_compiling())
        columns = [by_name[name] for name in names]
        return [
            (dict(zip(names, values, strict=True)), places)
            for values, places in numbers.by_value(columns, count, readable)
        ]

    def _count_up_plain(self, params: Sequence[Tensor], counters: Columns) -> Columns:
        """Add one to counters that are Python's numbers, where they stand in the state."""
        for param in params:
            self.state[param]["step"] += 1
        return [[self.state[param]["step"] for param in params], *counters[1:]]

    def _change_numbers(self, rule: Callable[..., None], group: Group, counters: Columns) -> None:
        """Run a rule on numbers of the state: those that it takes by position are changed."""
        changed = [list(self._declaration.numbers).index(name) for name in positional(rule)]
        scalars = _scalars(keywords(rule), group)
        for given, places in self._by_numbers(keywords(rule), group, counters, (), counters[0]):
            columns = take([counters[i] for i in changed], places)
            if len(places) > 1 and numbers.are_floats(columns):
                rule(*map(TensorList, columns), **scalars, **given)
            else:  # in half precision, which loading may give them, list kernels round otherwise
                for row in rows(columns):
                    rule(*row, **scalars, **given)


class ElementwiseRule(TensorRule):
    """An optimizer whose rule uses elementwise operators only, and so runs in every way.

    Flags of the group, all of which may be missing: `maximize`, `foreach`, `fused`,
    `differentiable`, `capturable`; see `execution`.
    """

    _rule_was_traced = False
    _layouts: Mapping[int, Layout] = {}  # replaced, never changed

    def _plan(
        self, group: Group, has_tensors: bool, columns: Columns, counters: Columns
    ) -> tuple[Executor, Sequence[Sequence[int]]]:
        if torch.compiler.is_compiling():
            fits_lists, runs = False, [range(len(columns[0]))]
        else:
            layout = self._layout(group, columns, counters)
            fits_lists, runs = layout.fits_lists, layout.runs
        chosen = executor(group, has_tensors, self._declaration.zeros_tie, fits_lists)
        if self._rule_was_traced or has_tensors or chosen is each_row or records(group):
            return chosen, runs

        def refuse_first(update: Update, columns: Columns) -> None:
            # Whatever way these parameters go, a rule that is not elementwise is refused.
            if not self._rule_was_traced:
                trace(update, len(columns))
                self._rule_was_traced = True
            chosen(update, columns)

        return refuse_first, runs

    def _layout(self, group: Group, columns: Columns, counters: Columns) -> Layout:
        """How the tensors lie, as it was found at the last step if it is still so."""
        layout = self._layouts.get(id(group))
        if layout is None or not layout.holds(columns, counters):
            layout = Layout(columns, counters)
            self._layouts = {**self._layouts, id(group): layout}
        return layout

    def _collect(
        self, group: Group, names: tuple[str, ...], params: list[Tensor]
    ) -> tuple[Columns, Columns, Sequence[int]]:
        columns, counters, new = super()._collect(group, names, params)
        if group.get("capturable") and not torch.compiler.is_compiling():
            numbers.check_capturable(columns[0], counters)
        if group.get("fused"):
            check_fusible([local([param])[0] for param in columns[0]])
        scale, overflow = getattr(self, "grad_scale", None), getattr(self, "found_inf", None)
        if scale is None and overflow is None:
            return columns, counters, new
        if not group.get("fused"):
            raise AssertionError(
                "Expected grad_scale and found_inf to be None: only fused=True unscales gradients"
            )
        if overflow is not None and overflow.item():
            return [[], []], [], ()
        if scale is not None:
            columns[1] = [grad / scale.to(grad.device) for grad in columns[1]]
        return columns, counters, new


def is_only_a_rule(cls: type[Any]) -> bool:
    """Whether the step of a class is its declared rule on each parameter, and nothing besides."""
    if not issubclass(cls, TensorRule) or declaration_of(cls).rule is None:
        return False
    steps = (inspect.unwrap(member) for member in (cls.step, TensorRule.step))
    groups = (member._step_group for member in (cls, TensorRule))  # pyright: ignore[reportPrivateUsage]
    return len(set(steps)) == len(set(groups)) == 1


def settled(cls: type[TensorRule], group: Group) -> Group:
    """A copy of a group's hyper-parameters and flags, as the rules of a class take them."""
    taken = cls._settle(group)  # pyright: ignore[reportPrivateUsage]
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
        alone._step_group({**group, **_LOOP, "params": [param]})  # pyright: ignore[reportPrivateUsage]


_NUMBERS = frozenset((float, int, bool))


def _scalars(names: Sequence[str], group: Group) -> dict[str, Any]:
    """The arguments of a rule that are hyper-parameters, as they are in the group."""
    if torch.compiler.is_compiling():  # to look closer would compile each value anew
        return {
            name: value.squeeze() if isinstance(value := group[name], Tensor) else value
            for name in names
            if name in group
        }
    return {
        name: value if type(value := group[name]) in _NUMBERS else _scalar(name, value, group)
        for name in names
        if name in group
    }


def _scalar(name: str, value: Any, group: Group) -> Any:
    """A hyper-parameter as a rule takes it: tensors without dimensions, and numbers that are real.

    Raises:
        RuntimeError: a schedule has made a complex number of it.
    """
    if isinstance(value, (tuple, list)):
        if _NUMBERS.issuperset(map(type, value)):  # pyright: ignore
            return value  # pyright: ignore
        return type(value)(_scalar(name, member, group) for member in value)  # pyright: ignore
    if isinstance(value, Tensor):
        # A kernel takes the value of a tensor, unless that would lose its gradient.
        return value.squeeze() if records(group) else value.squeeze().detach()
    return real(name, value)


def _is_tensor(value: Any) -> bool:
    """Whether a hyper-parameter is a tensor, or has one in it."""
    if type(value) is tuple:
        return any(map(_is_tensor, value))
    return isinstance(value, Tensor)
