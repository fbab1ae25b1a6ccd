"""What each statement of an optimizer did, with real numbers.

>>> import torch
>>> import myoptim
>>> weight = torch.tensor([5.0, 10.0], requires_grad=True)
>>> optimizer = myoptim.SGD([weight], lr=0.1)
>>> with narrate(optimizer, {"x": weight}) as story:
...     (weight**2).sum().backward()
...     optimizer.step()
>>> print(story)
step 1, x
  u = g
    update = grad
    update = 10, 20
  θ ← θ − η u
    param.add_(update, alpha=-lr)
    param = 4, 8

The statements are those of the rule of one of ours, with what it looks at in all parameters before
any of them moves, and otherwise those of `step` and of what it calls in the same file: torch's own
optimizers and anybody's. It is Python's tracing that follows them, so what is not narrated costs
nothing, and a step that is takes many times as long.
"""

from __future__ import annotations

import ast
import contextlib
import html
import inspect
import re
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor

from myoptim.lab import formulas
from myoptim.lab.alone import steps_one_by_one
from myoptim.lab.errors import UsageError
from myoptim.lab.resolve import rule_of, rules_of
from myoptim.lab.source import Source, Statement, read_source
from myoptim.lab.tables import Html, as_html
from myoptim.lab.values import as_plain, counted, shown

#: Flags under which one statement is not run on one parameter, or not on its numbers.
_TOGETHER = ("foreach", "fused")
_RECORDED = ("capturable", "differentiable")


@dataclass(frozen=True)
class Told:
    """One statement that was run.

    Attributes:
        step: in which step, from 1.
        param: the name of the parameter that it was run for, if that can be told.
        code: its source.
        formula: the formula in the comment that trails it, or None.
        values: what it made or changed, by the names in the code: numbers, and copies of tensors.
    """

    step: int
    param: str | None
    code: str
    formula: str | None
    values: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The statement as JSON holds it; every tensor is a flat list."""
        values = {name: as_plain(value) for name, value in self.values.items()}
        return {
            "param": self.param,
            "code": self.code,
            "formula": self.formula,
            "values": values,
        }

    def lines(self) -> list[str]:
        """What is to be read of it: the formula, the code, and the values."""
        said = [self.formula] if self.formula else []
        code = ["  " + line for line in self.code.splitlines()]
        return said + code + [f"  {name} = {shown(value)}" for name, value in self.values.items()]


@dataclass
class Story:
    """All statements that were run, in their order."""

    told: list[Told] = field(default_factory=list[Told])

    def step(self, number: int) -> list[Told]:
        """The statements of one step."""
        return [told for told in self.told if told.step == number]

    def __str__(self) -> str:
        return "\n".join(blocks(self.told))

    def __repr__(self) -> str:
        steps = counted(len({told.step for told in self.told}), "step")
        return f"<story of {counted(len(self.told), 'statement')} in {steps}>"

    def _repr_html_(self) -> str:
        """A table for a notebook, with typeset formulas."""
        headings = ["step", "parameter", "formula", "code", "values"]
        return as_html("", headings, map(_html_row, self.told), align="left")


def blocks(told: Iterable[Told]) -> Iterator[str]:
    """The lines of some statements, with a heading where the step or the parameter is another."""
    before = None
    for one in told:
        if (one.step, one.param) != before:
            before = one.step, one.param
            yield f"step {one.step}" + (f", {one.param}" if one.param else "")
        yield from ("  " + line for line in one.lines())


def _html_row(told: Told) -> list[str]:
    formula = f"${formulas.parse(told.formula).latex}$" if told.formula else ""
    code = Html(f"<code>{html.escape(told.code)}</code>")
    values = "\n".join(f"{name} = {shown(value)}" for name, value in told.values.items())
    return [str(told.step), told.param or "", formula, code, values]


@contextlib.contextmanager
def narrate(optimizer: Any, names: Mapping[str, Tensor] | None = None) -> Generator[Story]:
    """Tell what each statement does while the optimizer makes steps.

    Parameters are updated one after the other meanwhile, with the bits of the plain loop.

    Args:
        optimizer: one of ours, of torch's or of anybody's, with a `step` in Python.
        names: the parameters by name; by default they have the names that the optimizer was given,
            or those of their places, "0.1" for the second one of the first group.

    Yields:
        The story, which grows with every step.

    Raises:
        UsageError: a group is capturable or differentiable, where no number can be read; or there
            is no source to be found.
    """
    groups: list[dict[str, Any]] = getattr(optimizer, "param_groups", [])
    for group in groups:
        flags = [flag for flag in _RECORDED if group.get(flag)]
        if flags:
            raise UsageError(f"a step that is {flags[0]} cannot be narrated: set {flags[0]}=False")
    story = Story()
    teller = _Teller(story, _roots(optimizer), names or parameter_names(groups))
    before = [{key: group[key] for key in _TOGETHER if key in group} for group in groups]
    for group, kept in zip(groups, before, strict=True):
        group.update(dict.fromkeys(kept, False))
    try:
        with _during_steps(optimizer, teller):
            yield story
    finally:
        for group, kept in zip(groups, before, strict=True):
            group.update(kept)


@contextlib.contextmanager
def _during_steps(optimizer: Any, teller: _Teller) -> Generator[None]:
    """Trace while a step is made; of an optimizer without hooks, all the time."""
    outside = sys.gettrace()
    if not isinstance(optimizer, torch.optim.Optimizer):
        teller.counts = True
        sys.settrace(teller.called)
        try:
            yield
        finally:
            sys.settrace(outside)
        return

    def begin(*_: Any) -> None:
        teller.step += 1
        sys.settrace(teller.called)

    handles = [
        optimizer.register_step_pre_hook(begin),
        optimizer.register_step_post_hook(lambda *_: sys.settrace(outside)),
    ]
    try:
        yield
    finally:
        sys.settrace(outside)
        for handle in handles:
            handle.remove()


def _roots(optimizer: Any) -> set[CodeType]:
    """The code with which the telling begins."""
    cls = type(optimizer)
    functions: list[Callable[..., Any]] = rules_of(cls) if rule_of(cls) else []
    if functions and not steps_one_by_one(cls):  # what it does before the rule
        functions.append(cls._step_groups)
    roots = {inspect.unwrap(function).__code__ for function in functions}
    step = getattr(inspect.unwrap(cls.step), "__code__", None)
    if not roots and step is not None:
        roots = {step}
    try:
        for code in roots:
            read_source(code)
    except (OSError, SyntaxError) as error:
        raise UsageError(f"{cls.__name__} cannot be narrated: {error}") from error
    if not roots:
        raise UsageError(f"{cls.__name__} has no step in Python to narrate")
    return roots


def parameter_names(groups: list[dict[str, Any]]) -> dict[str, Tensor]:
    """The parameters by the names that the optimizer was given, or by those of their places."""
    return {
        (group["param_names"][j] if "param_names" in group else f"{i}.{j}"): param
        for i, group in enumerate(groups)
        for j, param in enumerate(group["params"])
    }


class _Teller:
    """Follows the frames of some code, and writes down what each of their statements did.

    Attributes:
        step: the number of the step under way.
        counts: whether a root that is called begins a step.
    """

    def __init__(self, story: Story, roots: set[CodeType], names: Mapping[str, Tensor]) -> None:
        self.story = story
        self.roots = roots
        self.files = {code.co_filename for code in roots}
        self.names = {id(param): name for name, param in names.items()}
        self.sources: dict[CodeType, Source | None] = {}
        self.open: dict[FrameType, _Open] = {}
        self.step = 0
        self.counts = False

    def called(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Follow a root, and what is called from it in the files of the roots."""
        caller = next(reversed(self.open.values()), None)  # the innermost
        helps = caller is not None and frame.f_code.co_filename in self.files
        if not (helps or frame.f_code in self.roots):
            return None
        source = self.source(frame.f_code)
        if source is None:
            return None
        if self.counts and caller is None:
            self.step += 1
        self.open[frame] = _Open(source, caller.param if caller else None)
        return self.ran

    def source(self, code: CodeType) -> Source | None:
        """The statements of some code; of a lambda or a comprehension None."""
        if code.co_name.startswith("<"):
            return None
        if code not in self.sources:
            try:
                self.sources[code] = read_source(code)
            except (OSError, SyntaxError):
                self.sources[code] = None
        return self.sources[code]

    def ran(self, frame: FrameType, event: str, argument: Any) -> Any:
        """A line is to be run, so the one before has been; or the function returns."""
        opened = self.open[frame]
        if event == "exception":
            opened.statement = None
            return self.ran
        statement = opened.source.at(frame.f_lineno) if event == "line" else None
        if event == "line" and statement is not None and statement is opened.statement:
            return self.ran  # a further line of it
        if opened.statement is not None:
            self.tell(frame, opened, opened.statement)
        if event == "return":
            del self.open[frame]
            return None
        opened.begin(frame, statement)
        return self.ran

    def tell(self, frame: FrameType, opened: _Open, statement: Statement) -> None:
        """Write down what the statement made or changed, if that is a number or tensor."""
        now = _values(frame)
        names = [name for name in now if not _same(now[name], opened.before.get(name))]
        values = {name: _copy(now[name]) for name in names}
        for place in _places(statement.node):
            value = _look_up(place, frame)
            of_changed = any(place.startswith(f"{name}.") for name in names)
            if isinstance(value, (Tensor, int, float)) and not of_changed:
                values.setdefault(place, _copy(value))
        opened.param = self.param_of(frame) or opened.param
        if values:
            formula = statement.comment if _is_formula(statement.comment) else None
            told = Told(self.step, opened.param, statement.code, formula, values)
            self.story.told.append(told)

    def param_of(self, frame: FrameType) -> str | None:
        """The name of the parameter that a variable of the frame holds."""
        held = (self.names.get(id(value)) for value in frame.f_locals.values())
        return next((name for name in held if name is not None), None)


class _Open:
    """A frame that is followed.

    Attributes:
        source: its statements.
        param: the parameter that it works on.
        statement: the one under way.
        before: the numbers and tensors of its variables before that.
    """

    def __init__(self, source: Source, param: str | None) -> None:
        self.source = source
        self.param = param
        self.statement: Statement | None = None
        self.before: dict[str, Any] = {}

    def begin(self, frame: FrameType, statement: Statement | None) -> None:
        self.statement = statement
        if statement is not None:
            self.before = {name: _copy(value) for name, value in _values(frame).items()}


def _values(frame: FrameType) -> dict[str, Any]:
    """The variables that are numbers or tensors."""
    kinds = (Tensor, int, float)
    return {name: value for name, value in frame.f_locals.items() if isinstance(value, kinds)}


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _same(value: Any, before: Any) -> bool:
    if isinstance(value, Tensor) and isinstance(before, Tensor):
        if value.shape != before.shape or value.dtype != before.dtype:
            return False
        dense = [tensor.detach().to_dense() for tensor in (value, before)]
        return torch.equal(*dense) or bool((dense[0].isnan() & dense[1].isnan()).all())
    return type(value) is type(before) and bool(value == before or value != value)


def _places(node: ast.stmt) -> list[str]:
    """What a statement assigns to or calls a method of: names, attributes, elements."""
    if isinstance(node, ast.Assign):
        found: list[ast.expr] = [*node.targets]
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
        found = [node.target]
    elif isinstance(node, ast.Expr):
        found = [node.value]
        while isinstance(found[0], ast.Call) and isinstance(found[0].func, ast.Attribute):
            found = [found[0].func.value]
    else:
        found = []
    flat = [part for one in found for part in (one.elts if isinstance(one, ast.Tuple) else [one])]
    return [ast.unparse(part) for part in flat if _is_place(part)]


def _is_place(node: ast.expr) -> bool:
    """Whether looking it up can have no effect: no call is in it."""
    kinds = (ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.expr_context)
    return not isinstance(node, ast.Constant) and all(isinstance(n, kinds) for n in ast.walk(node))


def _look_up(place: str, frame: FrameType) -> Any:
    try:
        return eval(place, frame.f_globals, frame.f_locals)
    except Exception:  # the statement has removed it
        return None


def _is_formula(comment: str) -> bool:
    """Whether a comment is one, and not words, which could be names side by side."""
    try:
        text = formulas.parse(comment).text
    except formulas.FormulaError:
        return False
    return not re.fullmatch(r"[A-Za-z_\s]*", text)
