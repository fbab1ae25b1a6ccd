"""All small edits of a rule: what somebody might have written in place of each statement.

A rule is given as the syntax tree of a method that moves one parameter. An edit is one change: of a
name, a constant, a sign, an operator; a factor, term, root, square or statement dropped or added;
parentheses set elsewhere; statements in another order; a value of the step before; a first step
apart; a buffer seeded, written back or kept in less precision; a condition on the tensor; a norm
for an element. `edits` yields them all, in a fixed order, simple ones first within a place.

Nothing here knows an optimizer: names, hyper-parameters and state are read off the method.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from myoptim.course.formula import formula

SIMPLE, USUAL, RARE = range(3)
"""How far-fetched an edit is: of several that do the same, the simplest is told."""

Path = tuple[tuple[str, int | None], ...]


@dataclass(frozen=True)
class Edit:
    """One change in one method.

    Attributes:
        method: the method that is changed.
        function: the method as it is after the change.
        before: the statement that is changed.
        after: what stands in its place; None where it was dropped or moved.
        told: the change in words, with {old} and {new} for formulas.
        old: the changed part, as it was.
        new: and as it is.
        rank: how far-fetched it is.
    """

    method: str
    function: ast.FunctionDef
    before: ast.stmt
    after: ast.stmt | None
    told: str
    old: ast.AST
    new: ast.AST
    rank: int

    @property
    def words(self) -> str:
        """What was changed, in words."""
        return self.told.format(old=formula(self.old), new=formula(self.new))

    @property
    def line(self) -> str:
        """The line that the code behaves as if it had; "" where it lacks one."""
        return "" if self.after is None else as_code(self.after)

    @property
    def reference(self) -> str:
        """The statement of the reference, as a formula."""
        return formula(self.before)

    @property
    def told_line(self) -> str:
        """The line that the code behaves as if it had, as a formula."""
        return f"nothing for {self.reference}" if self.after is None else formula(self.after)

    @property
    def length(self) -> int:
        """How much there is to read."""
        return len(self.line) + len(self.words)

    def as_data(self) -> dict[str, Any]:
        """The edit as plain values."""
        return {
            "method": self.method,
            "words": self.words,
            "reference": as_code(self.before),
            "line": self.line,
            "reference_formula": self.reference,
            "formula": "" if self.after is None else formula(self.after),
        }


def as_code(statement: ast.stmt) -> str:
    """A statement as a line of code, the count of steps under the name t."""
    return re.sub(r"\bage\b", "t", ast.unparse(statement))


@dataclass
class Scope:
    """What may be named at a statement: expressions of tensors, and of numbers."""

    tensors: list[ast.expr] = field(default_factory=list[ast.expr])
    scalars: list[ast.expr] = field(default_factory=list[ast.expr])
    names: set[str] = field(default_factory=set[str])
    """Names that hold tensors."""
    keys: tuple[str, ...] = ()
    """Keys of the state that hold tensors."""
    stateful: bool = True
    """Whether the method knows the parameter's state."""

    def is_tensor(self, node: ast.expr) -> bool:
        """Whether an expression has elements."""
        match node:
            case ast.Call(func=ast.Attribute(attr="item" | "numel" | "dim")) | ast.Compare():
                return False
            case ast.Name(id=name):
                return name in self.names
            case ast.Subscript(value=ast.Name(id="state" | "before"), slice=ast.Constant(value=k)):
                return k in self.keys
            case ast.Subscript(value=ast.Name(id="group")):
                return False
            case _:
                return any(
                    self.is_tensor(child)
                    for child in ast.iter_child_nodes(node)
                    if isinstance(child, ast.expr)
                )


# What may stand around an expression E, or for it: S is a number in scope, X a tensor. "age" is how
# many steps the parameter has made, "before" its state before this step, "last" its last gradient.
_AROUND_TENSOR = {
    SIMPLE: ("-E", "E.sqrt()", "E * E", "E.abs()"),
    USUAL: ("2 * E", "E / 2", "1 / E", "E.sign()", "E * age", "E / age", "E ** 3", "E ** (1 / 3)"),
    RARE: (
        "E.norm()", "E.mean()", "E.sum()", "E.max()", "E.abs().max()", "E.abs().mean()",
        "(E * E).mean()", "(E * E).mean().sqrt()", "(E * E).sum()", "E * E.abs()", "E ** 4",
        "E.mean(-1, keepdim=True)", "E.mean(-1, keepdim=True) if p.dim() > 1 else E",
        "E * (1 / E.norm()).clamp(max=1)", "E * (5 / E.norm()).clamp(max=1)",
        "E * (10 / E.norm()).clamp(max=1)", "E.clamp(-5, 5)", "E.clamp(-10, 10)",
        "E / E.norm()", "E / E.abs().max()", "E / E.mean()", "E - E.mean()", "E.clamp(-1, 1)",
        "E.clamp(min=0)", "E / age ** 0.5", "E * age ** 0.5", "E / (age + 1)", "E / p.numel()",
        "E * p.numel()", "E / len(p)", "E.half().to(E.dtype)", "E.bfloat16().to(E.dtype)",
        "E.exp()", "(E + 1).log()", "E.tanh()", "E * (g != 0)", "E * (g * E > 0)",
        "E if p.dim() > 1 else 0 * E", "0 * E if p.dim() > 1 else E",
        "0 * E if age == 1 else E", "E if age == 1 else 0 * E", "E * E if age == 1 else E",
        "0 * E if age % 2 else E", "E if age % 2 else 0 * E",
    ),
}  # fmt: skip
_WITH_SCALAR = ("E * S", "E / S", "E + S", "E - S", "E * (1 - S)", "E / (1 - S)")
_WITH_TENSOR = ("E + X", "E - X", "X - E", "E * X", "E / X")
_WITH_TENSOR_RARE = (
    "X if age == 1 else E", "E if age == 1 else X", "X * X if age == 1 else E",
    "X if p.dim() > 1 else E", "torch.where(g != 0, E, X)", "torch.maximum(E, X)",
)  # fmt: skip
_WITH_STALE = ("E - X", "E + X", "2 * E - X", "(E + X) / 2")
"""What may be made of a value and one of the step before: its change, an extrapolation, a mean."""
_AROUND_SCALAR = {
    SIMPLE: ("-E", "1 - E", "2 * E", "E ** 2", "E ** 0.5", "E + 1", "E - 1"),
    USUAL: ("E / 2", "1 / E", "E * age", "E / age", "E ** age", "E ** (age - 1)", "E ** (age + 1)"),
    RARE: (
        "E / age ** 0.5", "E * age ** 0.5", "E / (age + 1)", "E / p.numel()", "E * p.numel()",
        "E / len(p)", "E * p.norm()", "E / p.norm()", "E * g.norm()", "E / g.norm()",
        "E * p.norm() / g.norm()", "E if p.dim() > 1 else 0", "0 if p.dim() > 1 else E",
        "0 if age == 1 else E", "E if age == 1 else 0", "1 if age == 1 else E",
        "E if age == 1 else 1", "1 - E if age == 1 else E", "1 - (1 - E) ** 0.5",
        "min(E, 1)", "max(E, 1)", "min(E, age / (age + 1))", "min(E, (age - 1) / age)",
        "min(E, (1 + age) / (10 + age))", "min(E, 1 - 3 / (age + 5))",
        "E * (1 - S)", "E / (1 - S)",
    ),
}  # fmt: skip
_SCALAR_WITH_SCALAR = ("E * S", "E / S", "E + S", "E - S", "E ** S", "S ** E")
_NUMBERS = (0, 1, 2, 0.5, -1)
_USUAL_NUMBERS = (1e-8, 1e-7, 1e-6, 1e-10, 0.9, 0.99, 0.999, 0.1, 0.01, 0.001)
_TENSORS = (
    "torch.zeros_like(p)", "torch.ones_like(p)", "p.grad",
    'p.grad * (-1 if group["maximize"] else 1)',
)  # fmt: skip
_SEEDS = (
    "torch.zeros_like(p)", "torch.ones_like(p)", "p.grad.clone()", "p.grad * p.grad",
    "p.grad.abs()", "-p.grad", "p.detach().clone()", "p.detach() * p.detach()",
    "torch.full_like(p, 0.1)", "torch.full_like(p, 0.5)", "torch.full_like(p, 0.01)",
    "torch.full_like(p, 1e-8)",
)  # fmt: skip
_SHRINKS = (
    "P.sub_(E)", "P.add_(E)", "P.mul_(E)", "P.sub_(E * g)", "P.sub_(E * g.abs())",
    "P.sub_(E * P.grad)", "P.sub_(E * P.sign())", "P.sub_(E * P * P)", "P.sub_(E * P.norm())",
    "P.sub_(E * P / P.norm())", "P.sub_(E * P.abs())",
    "P.sub_(E * P.mean())", "P.mul_(1 - E).clamp_(0)", "P.mul_(math.exp(-E))", "P.div_(1 + E)",
)  # fmt: skip
"""What may be done in place of P.mul_(1 - E)."""
_CONDITIONS = (
    ("age == 1", "at the first step only: {new}"),
    ("age > 1", "not at the first step: {new}"),
    ("p.dim() > 1", "for tensors of two dimensions or more only: {new}"),
    ("p.dim() < 2", "for tensors of one dimension only: {new}"),
    ("g.any()", "not where the whole gradient is zero: {new}"),
    ("age % 2 == 0", "at every second step only: {new}"),
)
_AT: dict[str, Any] = {"lineno": 1, "col_offset": 0, "end_lineno": 1, "end_col_offset": 0}
_FOR = "{new} stands for {old}"


@cache
def _parsed(template: str) -> ast.expr:
    return ast.parse(template, mode="eval").body


def fill(template: str, **nodes: ast.expr) -> ast.expr:
    """A template with expressions in the place of some of its names."""
    return _filled(_parsed(template), nodes)


def _filled(node: Any, nodes: dict[str, ast.expr]) -> Any:
    if isinstance(node, ast.Name) and node.id in nodes:
        return nodes[node.id]
    if not isinstance(node, ast.AST):
        return [_filled(item, nodes) for item in node] if isinstance(node, list) else node  # pyright: ignore[reportUnknownVariableType]
    parts = {name: _filled(getattr(node, name), nodes) for name in node._fields}
    kind: Any = type(node)
    return kind(**parts, **(_AT if isinstance(node, ast.expr | ast.keyword) else {}))


def put(node: Any, path: Path, new: Any) -> Any:
    """A copy of a tree with `new` at a path; what the path does not touch is shared."""
    if not path:
        return new
    (name, index), rest = path[0], path[1:]
    parts = {key: getattr(node, key) for key in node._fields}
    if index is None:
        parts[name] = put(parts[name], rest, new)
    else:
        items = list(parts[name])
        placed = new if not rest else put(items[index], rest, new)
        items[index : index + 1] = placed if isinstance(placed, list) else [placed]
        parts[name] = items
    return type(node)(**parts, **_AT)


def _expressions(node: ast.expr, path: Path = ()) -> Iterator[tuple[Path, ast.expr]]:
    """Every part of an expression that could be another one, the largest first."""
    match node:
        case ast.Subscript() | ast.Attribute() | ast.Name() | ast.Constant():
            yield path, node
        case ast.BinOp():
            yield path, node
            for side in ("left", "right"):
                yield from _expressions(getattr(node, side), (*path, (side, None)))
        case ast.UnaryOp():
            yield path, node
            yield from _expressions(node.operand, (*path, ("operand", None)))
        case ast.IfExp():
            yield path, node
            for part in ("test", "body", "orelse"):
                yield from _expressions(getattr(node, part), (*path, (part, None)))
        case ast.Call(func=func, args=arguments):
            yield path, node
            if isinstance(func, ast.Attribute) and not _is_module(func.value):
                yield from _expressions(func.value, (*path, ("func", None), ("value", None)))
            for index, argument in enumerate(arguments):
                yield from _expressions(argument, (*path, ("args", index)))
        case _:
            yield path, node


def _is_module(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("torch", "state", "math", "self")


_SWITCH: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add, ast.Mult),
    ast.Mult: (ast.Div, ast.Add, ast.Sub, ast.Pow),
    ast.Div: (ast.Mult, ast.Sub, ast.Add, ast.FloorDiv),
    ast.Pow: (ast.Mult, ast.Div),
}
Alternative = tuple[int, str, ast.AST, ast.expr]


def _binary(left: ast.expr, op: ast.operator, right: ast.expr) -> ast.BinOp:
    return ast.BinOp(left, op, right, **_AT)


def _regrouped(node: ast.expr) -> Iterator[ast.expr]:
    """The same names and operators, with parentheses elsewhere."""
    if isinstance(node, ast.BinOp):
        left, op, right = node.left, node.op, node.right
        if isinstance(right, ast.BinOp):
            yield _binary(_binary(left, op, right.left), right.op, right.right)
        if isinstance(left, ast.BinOp):
            yield _binary(left.left, left.op, _binary(left.right, op, right))
        if _is_root(right):
            yield fill("E.sqrt()", E=_binary(left, op, _owner(right)))
        if _is_root(left):
            yield fill("E.sqrt()", E=_binary(_owner(left), op, right))
    elif _is_root(node) and isinstance(inner := _owner(node), ast.BinOp):
        yield _binary(fill("E.sqrt()", E=inner.left), inner.op, inner.right)


def _is_root(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="sqrt"), args=[]):
            return True
        case _:
            return False


def _exchanged(node: ast.BinOp, scope: Scope) -> Iterator[Alternative]:
    """Two names that have changed places within an expression."""
    places = [(path, one) for path, one in _expressions(node) if isinstance(one, ast.Name)]
    for index, (path, one) in enumerate(places):
        for other_path, other in places[index + 1 :]:
            if one.id != other.id and scope.is_tensor(one) == scope.is_tensor(other):
                new = put(put(node, path, other), other_path, one)
                yield SIMPLE, _FOR, node, new


def _owner(node: Any) -> ast.expr:
    return node.func.value


def _structural(node: ast.expr, scope: Scope) -> Iterator[Alternative]:
    """Changes of an expression's own form: operators, parts dropped, order, parentheses."""
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            if _value(left) != 1 or isinstance(op, ast.Add | ast.Sub):
                yield SIMPLE, "{old} is missing", right, left
                yield SIMPLE, "{old} is missing", left, right
            if isinstance(op, ast.Add) and scope.is_tensor(left) and not scope.is_tensor(right):
                yield SIMPLE, _FOR, node, fill("E.clamp(min=S)", E=left, S=right)
            for other in _SWITCH.get(type(op), ()):
                yield SIMPLE, _FOR, node, _binary(left, other(), right)
            if isinstance(op, ast.Sub | ast.Div | ast.Pow):
                yield SIMPLE, _FOR, node, _binary(right, op, left)
            yield from _exchanged(node, scope)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield SIMPLE, "always {new}", node, body
            yield SIMPLE, "always {new}", node, orelse
            yield USUAL, _FOR, node, ast.IfExp(test, orelse, body, **_AT)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="torch")), args=[one, other]):
            yield SIMPLE, _FOR, node, one
            yield SIMPLE, _FOR, node, other
            for template in ("torch.minimum(E, X)", "torch.maximum(E, X)", "E + X"):
                yield SIMPLE, _FOR, node, fill(template, E=one, X=other)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="torch")), args=[one]) if (
            scope.is_tensor(one)
        ):
            yield SIMPLE, _FOR, node, one
            for template in ("E.abs()", "E.tanh()"):
                yield RARE, _FOR, node, fill(template, E=one)
        case ast.Call(func=ast.Attribute(value=owner), args=[]) if scope.is_tensor(owner):
            yield SIMPLE, _FOR, node, owner
            for template in ("E ** (1 / 3)", "E ** 0.25", "E ** 2", "E.abs()", "E ** (2 / 3)"):
                yield USUAL, _FOR, node, fill(template, E=owner)
        case ast.Call(
            func=ast.Attribute(value=owner, attr="clamp"), keywords=[ast.keyword("min", bound)]
        ):
            yield SIMPLE, _FOR, node, owner
            for template in ("E + S", "E.clamp(max=S)", "E.clamp(min=S ** 0.5)"):
                yield USUAL, _FOR, node, fill(template, E=owner, S=bound)
        case ast.UnaryOp(operand=operand):
            yield SIMPLE, _FOR, node, operand
        case _:
            pass
    for other in _regrouped(node):
        yield SIMPLE, "{new} stands for {old}: other parentheses", node, other


def _loaded(target: ast.expr) -> ast.expr:
    """A target as an expression that is read."""
    return ast.parse(ast.unparse(target), mode="eval").body


def _value(node: ast.expr) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _others(node: ast.expr, scope: Scope) -> Iterator[Alternative]:
    """Other things of the same kind in an expression's place."""
    if scope.is_tensor(node):
        others = [*scope.tensors, *(_parsed(text) for text in _TENSORS)]
    elif isinstance(node, ast.Tuple) or _is_flag(node):
        others = []
    else:
        others = [*scope.scalars, *(ast.Constant(number, **_AT) for number in _NUMBERS)]
        for number in _USUAL_NUMBERS if _is_atom(node) else ():
            yield RARE, _FOR, node, ast.Constant(number, **_AT)
    own = ast.dump(node)
    for other in others:
        if ast.dump(other) != own:
            plain = _is_atom(node) and (_value(node) is not None or _value(other) in (None, 0, 1))
            yield SIMPLE if plain else USUAL, _FOR, node, other


def _is_atom(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Constant | ast.Subscript | ast.Attribute)


def _is_flag(node: ast.expr) -> bool:
    return isinstance(node, ast.Compare | ast.BoolOp) or (
        isinstance(node, ast.Constant) and isinstance(node.value, bool | str | None)
    )


def _around(node: ast.expr, scope: Scope, product: bool) -> Iterator[Alternative]:
    """An expression with something done to it.

    Args:
        product: whether it is a factor, so that another factor beside it is told elsewhere.
    """
    if isinstance(node, ast.Tuple) or _is_flag(node):
        return
    tensor = scope.is_tensor(node)
    for rank, templates in (_AROUND_TENSOR if tensor else _AROUND_SCALAR).items():
        for template in templates:
            if "S" not in template:
                yield rank, _FOR, node, fill(template, E=node)
    for scalar in scope.scalars:
        for template in _WITH_SCALAR if tensor else _SCALAR_WITH_SCALAR:
            if not (product and template in ("E * S", "E / S")):
                yield USUAL, _FOR, node, fill(template, E=node, S=scalar)
    if not tensor:
        return
    for other in scope.tensors:
        for template in _WITH_TENSOR:
            yield USUAL, _FOR, node, fill(template, E=node, X=other)
        for template in _WITH_TENSOR_RARE:
            yield RARE, _FOR, node, fill(template, E=node, X=other)
    for scalar in scope.scalars:
        if scope.stateful or isinstance(scalar, ast.Subscript):
            for template in ("E + S * p", "E - S * p", "E + S * p.sign()", "E + S * g"):
                yield USUAL, _FOR, node, fill(template, E=node, S=scalar)


def _stale(node: ast.expr, scope: Scope) -> Iterator[Alternative]:
    """What stood there a step before."""
    if scope.stateful and scope.is_tensor(node) and _is_atom(node):
        told = "{new}, of the step before, stands for {old}"
        stale = [(fill("before[K]", K=ast.Constant(key, **_AT)), told) for key in scope.keys]
        for old, told in (*stale, (fill("last"), "the last step's gradient stands for {old}")):
            yield USUAL, told, node, old
            for template in _WITH_STALE:
                yield RARE, _FOR, node, fill(template, E=node, X=old)


def _decisions(node: ast.expr, scope: Scope) -> Iterator[Alternative]:
    """Another condition."""
    if isinstance(node, ast.Compare | ast.BoolOp) or _is_flag(node):
        told = "the condition is {new}, not {old}"
        for template in ("True", "False", "not E"):
            yield USUAL, told, node, fill(template, E=node)
        for other in scope.tensors:
            yield RARE, told, node, fill("E or not X.any()", E=node, X=other)


def _alternatives(node: ast.expr, scope: Scope, product: bool) -> Iterator[Alternative]:
    yield from _structural(node, scope)
    yield from _others(node, scope)
    yield from _decisions(node, scope)
    yield from _stale(node, scope)
    yield from _around(node, scope, product)


class _Method:
    """One method: its statements with what is in scope at each, and its edits."""

    def __init__(
        self, function: ast.FunctionDef, hyper: Iterable[ast.expr], keys: set[str]
    ) -> None:
        self.function = function
        self.arguments = {argument.arg for argument in function.args.args}
        self.scope = Scope(
            scalars=list(hyper),
            names=self.arguments & {"p", "g", "param", "grad"},
            keys=tuple(sorted(keys)),
            stateful="state" in self.arguments,
        )
        self.scope.tensors = [_parsed(name) for name in sorted(self.scope.names)]
        if self.scope.stateful:
            self.scope.tensors += [
                fill("state[K]", K=ast.Constant(key, **_AT)) for key in self.scope.keys
            ]
        self.bodies: list[tuple[Path, list[ast.stmt]]] = []
        self.statements = list(self._walk(function.body, (), "body"))

    def _walk(
        self, body: list[ast.stmt], path: Path, name: str
    ) -> Iterator[tuple[Path, ast.stmt, Scope]]:
        """Each statement, with what is known before it."""
        if body:
            self.bodies.append(((*path, (name, None)), body))
        for index, statement in enumerate(body):
            here = (*path, (name, index))
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                continue  # a docstring
            scope = self.scope
            yield here, statement, scope_copy(scope)
            if isinstance(statement, ast.If | ast.For | ast.With):
                yield from self._walk(statement.body, here, "body")
                if not isinstance(statement, ast.With):
                    yield from self._walk(statement.orelse, here, "orelse")
            elif isinstance(statement, ast.Assign):
                self._assigned(statement)

    def _assigned(self, statement: ast.Assign) -> None:
        tensor = self.scope.is_tensor(statement.value)
        targets = [
            target
            for one in statement.targets
            for target in (one.elts if isinstance(one, ast.Tuple) else [one])
        ]
        for target in targets:
            if not isinstance(target, ast.Name):
                continue
            node = _parsed(target.id)
            known = self.scope.tensors if tensor else self.scope.scalars
            # One name for a value is enough: group["lr"] is lr, state["exp_avg"] is m.
            same = {ast.dump(other) for other in (statement.value, *map(_loaded, targets))}
            known[:] = [*(n for n in known if ast.dump(n) not in same), node]
            if tensor:
                self.scope.names.add(target.id)

    def edit(
        self, path: Path, new: Any, before: ast.stmt, after: ast.stmt | None, rank: int,
        told: str, old: ast.AST, shown: ast.AST,
    ) -> Edit:  # fmt: skip
        function = put(self.function, path, new)
        return Edit(self.function.name, function, before, after, told, old, shown, rank)

    def all(self) -> Iterator[Edit]:
        """Every edit, statement by statement."""
        for path, statement, scope in self.statements:
            yield from self.of_statement(path, statement)
            for name in ("value", "test"):
                value = getattr(statement, name, None)
                if isinstance(value, ast.expr):
                    yield from self.of_expression(path, statement, (name, None), value, scope)
        yield from self.of_order()
        yield from self.of_ending()

    def of_expression(
        self, path: Path, statement: ast.stmt, at: tuple[str, None], value: ast.expr, scope: Scope
    ) -> Iterator[Edit]:
        products: set[Path] = set()
        places = list(_expressions(value))
        for inner, node in places:
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
                products |= {(*inner, ("left", None)), (*inner, ("right", None))}
            if isinstance(statement, ast.Expr) and not inner:
                continue  # the call itself is a statement's affair
            for rank, told, old, new in _alternatives(node, scope, inner in products):
                after = put(statement, (at, *inner), new)
                shown = new if old is node or "missing" not in told else old
                yield self.edit(path, [after], statement, after, rank, told, old, shown)
        yield from self.everywhere(path, statement, at, value, places, scope)

    def everywhere(
        self,
        path: Path,
        statement: ast.stmt,
        at: tuple[str, None],
        value: ast.expr,
        places: list[tuple[Path, ast.expr]],
        scope: Scope,
    ) -> Iterator[Edit]:
        """A name that stands at several places of a statement, changed at all of them."""
        by_name: dict[str, list[tuple[Path, ast.expr]]] = {}
        for inner, node in places:
            if isinstance(node, ast.Name | ast.Subscript) and not _is_flag(node):
                by_name.setdefault(ast.dump(node), []).append((inner, node))
        for spots in by_name.values():
            node = spots[0][1]
            if len(spots) < 2:
                continue
            for rank, told, old, new in (*_others(node, scope), *_around(node, scope, False)):
                after = statement
                for inner, _ in spots:
                    after = put(after, (at, *inner), new)
                yield self.edit(path, [after], statement, after, rank, told, old, new)
        names = list(by_name.values())
        for index, one in enumerate(names):
            for two in names[index + 1 :]:
                if scope.is_tensor(one[0][1]) == scope.is_tensor(two[0][1]):
                    after = statement
                    for inner, _ in one:
                        after = put(after, (at, *inner), two[0][1])
                    for inner, _ in two:
                        after = put(after, (at, *inner), one[0][1])
                    told = "{old} and {new} are exchanged"
                    yield self.edit(
                        path, [after], statement, after, SIMPLE, told, one[0][1], two[0][1]
                    )

    def of_statement(self, path: Path, statement: ast.stmt) -> Iterator[Edit]:
        """A statement dropped, made twice, under a condition, or of another kind."""
        yield self.edit(
            path,
            [ast.Pass(**_AT)],
            statement,
            None,
            SIMPLE,
            "{old} is missing",
            statement,
            statement,
        )
        yield self.edit(
            path, [statement] * 2, statement, statement, USUAL, "{old} is done twice", statement,
            statement,
        )  # fmt: skip
        for condition, told in _CONDITIONS:
            after = ast.If(_parsed(condition), [statement], [], **_AT)
            yield self.edit(path, [after], statement, after, RARE, told, statement, statement)
        for after in (*_moves(statement), *_pairs(statement, self.scope)):
            yield self.edit(path, [after], statement, after, SIMPLE, _FOR, statement, after)

    def of_order(self) -> Iterator[Edit]:
        """A statement that stands earlier or later."""
        for path, body in self.bodies:
            for index, statement in enumerate(body):
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    continue
                for to in range(len(body)):
                    if to in (index, index - 1):  # each exchange of neighbours once
                        continue
                    order = body[:index] + body[index + 1 :]
                    order.insert(to, statement)
                    told = "{old} comes " + ("after" if to > index else "before") + " {new}"
                    yield Edit(
                        self.function.name, put(self.function, path, order), statement, statement,
                        told, statement, body[to], USUAL,
                    )  # fmt: skip

    def of_ending(self) -> Iterator[Edit]:
        """Something more at the end: what is stored, and in which precision."""
        if not self.scope.stateful:
            return
        for condition in ("not g.any()", "p.dim() < 2", "p.dim() > 1"):
            guard = ast.parse(f"if {condition}: return").body[0]
            start = sum(
                isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)
                for s in self.function.body[:1]
            )  # a docstring
            body = [*self.function.body[:start], guard, *self.function.body[start:]]
            first = self.function.body[start]
            yield Edit(
                self.function.name, put(self.function, (("body", None),), body), first, guard,
                "at first, {new}", guard, guard, RARE,
            )  # fmt: skip
        last = self.function.body[-1]
        stored = "at the end, {new} as it is then is stored as {old}"
        for key in self.scope.keys:
            kept = _parsed(f'state["{key}"]')
            for value in self.scope.tensors:
                if ast.dump(value) != ast.dump(kept):
                    statement = ast.parse(f'state["{key}"] = {ast.unparse(value)}').body[0]
                    yield self.ending(last, statement, stored, kept, value, USUAL)
        texts = [(f'group["lr"] = {text}', USUAL) for text in map(ast.unparse, self.scope.scalars)]
        texts += [
            (f'state["{key}"] = state["{key}"].{kind}().to(p.dtype)', RARE)
            for key in self.scope.keys
            for kind in ("half", "bfloat16")
        ]
        texts += [(f"p.copy_(p.{kind}())", RARE) for kind in ("half", "bfloat16")]
        texts += [("p.clamp_(-1, 1)", RARE), ("p.clamp_(min=0)", RARE)]
        for text, rank in texts:
            statement = ast.parse(text).body[0]
            yield self.ending(last, statement, "at the end, {new}", statement, statement, rank)

    def ending(
        self, last: ast.stmt, new: ast.stmt, told: str, old: ast.AST, shown: ast.AST, rank: int
    ) -> Edit:
        """One more statement at the end."""
        function = put(self.function, (("body", None),), [*self.function.body, new])
        return Edit(self.function.name, function, last, new, told, old, shown, rank)


def scope_copy(scope: Scope) -> Scope:
    """What is known now, whatever is learnt later."""
    return Scope(
        list(scope.tensors), list(scope.scalars), set(scope.names), scope.keys, scope.stateful
    )


def _moves(statement: ast.stmt) -> Iterator[ast.stmt]:
    """Another way to move: up for down, by the value itself."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="sub_"), args=[by])):
            yield ast.Expr(fill("P.add_(E)", P=owner, E=by), **_AT)
            yield ast.Expr(fill("P.copy_(E)", P=owner, E=by), **_AT)
            yield ast.Expr(fill("P.copy_(-E)", P=owner, E=by), **_AT)
            yield ast.Expr(fill("P.mul_(1 - E)", P=owner, E=by), **_AT)
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=owner, attr="mul_"), args=[by])):
            yield ast.Expr(fill("P.div_(E)", P=owner, E=by), **_AT)
            match by:
                case ast.BinOp(left=ast.Constant(value=1), op=ast.Sub(), right=part):
                    for template in _SHRINKS:
                        yield ast.Expr(fill(template, P=owner, E=part), **_AT)
                case _:
                    pass
        case _:
            return


def _pairs(statement: ast.stmt, scope: Scope) -> Iterator[ast.stmt]:
    """A pair taken apart in another way: exchanged, one of them twice, or complemented."""
    match statement:
        case ast.Assign(targets=[ast.Tuple(elts=[_, _])], value=value) if not scope.is_tensor(
            value
        ):
            for template in (
                "(E[1], E[0])", "(E[0], E[0])", "(E[1], E[1])", "(1 - E[0], 1 - E[1])",
                "(1 - E[0], E[1])", "(E[0], 1 - E[1])", "(0.9, 0.999)",
            ):  # fmt: skip
                yield ast.Assign(statement.targets, fill(template, E=value), **_AT)
        case _:
            return


def _seeds(function: ast.FunctionDef) -> Iterator[Edit]:
    """Other first values of the state."""
    for index, statement in enumerate(function.body):
        if not isinstance(statement, ast.Assign):
            continue
        counts = isinstance(statement.value, ast.Constant) and statement.value.value is not None
        for template in ("-1", "1", "2", "10") if counts else _SEEDS:
            value = _parsed(template)
            after = ast.Assign(statement.targets, value, **_AT)
            if ast.dump(value) != ast.dump(statement.value):
                function_after = put(function, (("body", index),), [after])
                told = "before the first step, {new}"
                yield Edit(
                    function.name, function_after, statement, after, told, statement, after, USUAL
                )


def methods_of(text: str, optimizer: str) -> dict[str, ast.FunctionDef]:
    """The methods of a class in a text, its bases' too, by name: those that count."""
    classes = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    found: dict[str, ast.FunctionDef] = {}
    pending = [optimizer]
    while pending:
        node = classes.get(pending.pop(0))
        if node is None:
            continue
        for item in node.body:
            if isinstance(item, ast.FunctionDef):
                found.setdefault(item.name, item)
        pending += [base.id for base in node.bases if isinstance(base, ast.Name)]
    return found


def edits(methods: dict[str, ast.FunctionDef], text: str, hyper: dict[str, Any]) -> Iterator[Edit]:
    """All edits of the rule of a class, in a fixed order.

    Args:
        methods: the methods of the class, by name: `update` moves one parameter, `decay` prepares
            its gradient, `start` makes its state.
        text: the source of the class, which shows what its state holds.
        hyper: the constructor's hyper-parameters with their defaults.
    """
    numbers = {
        match[1] for match in re.finditer(r'state\["(\w+)"\] = (?:state\["\1"\] \+ )?\d', text)
    }
    keys = set(re.findall(r'state\["(\w+)"\]', text)) - numbers
    scalars: list[ast.expr] = []
    for name, default in hyper.items():
        if isinstance(default, tuple):
            pair = enumerate(default)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            scalars += [_parsed(f'group["{name}"][{index}]') for index, _ in pair]
        elif not isinstance(default, bool):
            scalars.append(_parsed(f'group["{name}"]'))
    for name in ("update", "decay"):
        if name in methods:
            yield from _Method(methods[name], scalars, keys).all()
    if "start" in methods:
        yield from _seeds(methods["start"])
