"""Proofs that the formulas beside the statements of a rule say what the statements do.

A rule is run on symbols instead of tensors, statement by statement, once for every way through its
branches, and what each statement did is compared by algebra with its comment (`lab.formulas` says
how that is written). So a comment that lies is found, whoever wrote it::

    def descend(param, grad, *, lr):
        '''A step: θ = param, g = grad, η = lr.'''
        param.add_(grad, alpha=-lr)  # θ ← θ + η g

    prove(descend)

raises a `WrongFormula`: «θ ← θ + η g» says g*η + θ, but it makes -g*η + θ.

What stands under a root is taken to be no less than zero, numbers that a rule is given to be
positive, and the count of steps to be any positive number. A norm is the root of a sum of squares,
a mean a sum over a number of elements; sums, products of matrices and decompositions are taken as
they are written: a sum equals a sum of what is equal, and (A B)ᵀ is Bᵀ Aᵀ.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import math
import random
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, cast

import sympy  # pyright: ignore[reportMissingTypeStubs]
import torch
from sympy.core.function import AppliedUndef  # pyright: ignore[reportMissingTypeStubs]
from sympy.core.relational import Relational  # pyright: ignore[reportMissingTypeStubs]
from sympy.logic.boolalg import (  # pyright: ignore[reportMissingTypeStubs]
    BooleanAtom,
    BooleanFunction,
)
from torch import Tensor

from myoptim.lab import formulas
from myoptim.lab.formulas import Expression, Formula, FormulaError
from myoptim.lab.resolve import rules_of
from myoptim.lab.source import Source, Statement, read_source

#: SymPy's expressions; the library is not annotated.
Algebra = Any


class WrongFormula(FormulaError):
    """A formula that does not say what its statement does; the message shows both."""


# --------------------------------------------------------------------------- operators


def _opaque(name: str) -> Callable[..., Algebra]:
    """An operator that algebra does not look into."""
    return lambda *arguments, **named: sympy.Function(name)(
        *[sympy.expand(sympy.sympify(value)) for value in (*arguments, *named.values())]
    )


def _reduction(name: str) -> Callable[..., Algebra]:
    """An operator over all elements, or over those along one dimension."""
    operator = _opaque(name)
    return lambda x, dim=None, keepdim=False: operator(x) if dim is None else operator(x, dim)


_sum, _size = _reduction("sum"), _reduction("size")


def _count(x: Algebra, dim: Algebra = None) -> Algebra:
    """How many elements there are: as many as in the one tensor of which an expression is made."""
    tensors = {s for s in sympy.sympify(x).free_symbols if not s.is_nonnegative}
    alone = len(tensors) == 1 and not sympy.sympify(x).atoms(AppliedUndef)
    return _size(tensors.pop() if alone else x, dim)


def _mean(x: Algebra, dim: Algebra = None, keepdim: bool = False) -> Algebra:
    return _sum(x, dim) / _count(x, dim)


def _norm(x: Algebra, p: Algebra = 2, dim: Algebra = None, **layout: Any) -> Algebra:
    """The Euclidean norm is the root of a sum of squares; another stays as it is."""
    euclidean = p in (2, "fro")
    return sympy.sqrt(_sum(x**2, dim)) if euclidean else _opaque("norm")(x, p)


def _clamp(x: Algebra, min: Algebra = None, max: Algebra = None) -> Algebra:
    x = x if min is None else sympy.Max(x, min)
    return x if max is None else sympy.Min(x, max)


def _where(condition: Algebra, x: Algebra, other: Algebra) -> Algebra:
    return sympy.Piecewise((x, condition), (other, True))


def _is_condition(value: Algebra) -> bool:
    return isinstance(value, (Relational, BooleanFunction, BooleanAtom))


def _matmul(*matrices: Algebra) -> Algebra:
    """The product of matrices, numbers in front, without brackets."""
    parts = [_number_in_front(matrix) for matrix in matrices]
    factors: list[Algebra] = []
    for _, part in parts:
        factors += part.args if _is(part, "matmul") else [part]
    return sympy.Mul(*[number for number, _ in parts]) * _opaque("matmul")(*factors)


def _transpose(matrix: Algebra, *dims: Algebra) -> Algebra:
    """(A + B)ᵀ = Aᵀ + Bᵀ, (A B)ᵀ = Bᵀ Aᵀ, Aᵀᵀ = A, numbers in front."""
    terms = sympy.Add.make_args(sympy.expand(matrix))
    if len(terms) > 1:
        return sympy.Add(*map(_transpose, terms))
    number, part = _number_in_front(sympy.Add(*terms))
    if _is(part, "transpose"):
        (inner,) = part.args
        return number * inner
    if _is(part, "matmul"):
        return number * _matmul(*map(_transpose, reversed(part.args)))
    return number * _opaque("transpose")(part)


def _is(value: Algebra, operator: str) -> bool:
    return isinstance(value, AppliedUndef) and value.func.__name__ == operator


def _tensordot(a: Algebra, b: Algebra, dims: tuple[list[int], list[int]]) -> Algebra:
    """The sum of products over one dimension of each of two matrices."""
    (of_a,), (of_b,) = dims
    return _matmul(a if of_a == 1 else _transpose(a), b if of_b == 0 else _transpose(b))


def _number_in_front(matrix: Algebra) -> tuple[Algebra, Algebra]:
    # Symbols of numbers are known to be no less than zero, those of tensors are not.
    factors = sympy.Mul.make_args(sympy.sympify(matrix))
    numbers = [f for f in factors if all(s.is_nonnegative for s in f.free_symbols)]
    return sympy.Mul(*numbers), sympy.Mul(*[f for f in factors if f not in numbers])


#: What the methods and functions of torch do, and what the functions of formulas mean. With a
#: trailing underscore they do it in place.
OPERATORS: dict[str, Callable[..., Algebra]] = {
    "add": lambda x, y, alpha=1: x + alpha * y,
    "sub": lambda x, y, alpha=1: x - alpha * y,
    "rsub": lambda x, y, alpha=1: y - alpha * x,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "rdiv": lambda x, y: y / x,
    "true_divide": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
    "rpow": lambda x, y: y**x,
    "remainder": sympy.Mod,
    "neg": lambda x: -x,
    "abs": sympy.Abs,
    "sign": sympy.sign,
    "sgn": sympy.sign,
    "sqrt": sympy.sqrt,
    "rsqrt": lambda x: 1 / sympy.sqrt(x),
    "square": lambda x: x**2,
    "reciprocal": lambda x: 1 / x,
    "exp": sympy.exp,
    "log": sympy.log,
    "tanh": sympy.tanh,
    "lerp": lambda x, end, weight: x + weight * (end - x),
    "addcmul": lambda x, a, b, value=1: x + value * a * b,
    "addcdiv": lambda x, a, b, value=1: x + value * a / b,
    "maximum": sympy.Max,
    "minimum": sympy.Min,
    "max": sympy.Max,
    "min": sympy.Min,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": lambda x, low: sympy.Max(x, low),
    "clamp_max": lambda x, high: sympy.Min(x, high),
    "where": _where,
    "masked_fill": lambda x, mask, value: _where(mask, value, x),
    "copy": lambda x, source, non_blocking=False: source,
    "fill": lambda x, value: value,
    "zero": lambda x: sympy.Integer(0),
    "zeros_like": lambda x, **layout: sympy.Integer(0),
    "ones_like": lambda x, **layout: sympy.Integer(1),
    "clone": lambda x, **layout: x,
    "detach": lambda x: x,
    "contiguous": lambda x: x,
    "to": lambda x, *kinds, **named: x,
    "float": lambda x: x,
    "double": lambda x: x,
    "bfloat16": lambda x: x,
    "item": lambda x: x,
    "expand_as": lambda x, like: x,
    "gt": lambda x, y: sympy.Gt(x, y),
    "ge": lambda x, y: sympy.Ge(x, y),
    "lt": lambda x, y: sympy.Lt(x, y),
    "le": lambda x, y: sympy.Le(x, y),
    "eq": lambda x, y: sympy.Eq(x, y),
    "ne": lambda x, y: sympy.Ne(x, y),
    "logical_and": sympy.And,
    "logical_or": sympy.Or,
    "logical_not": sympy.Not,
    "matmul": _matmul,
    "mm": _matmul,
    "bmm": _matmul,
    "addmm": lambda x, a, b, beta=1, alpha=1: beta * x + alpha * _matmul(a, b),
    "baddbmm": lambda x, a, b, beta=1, alpha=1: beta * x + alpha * _matmul(a, b),
    "tensordot": _tensordot,
    "dot": lambda x, y: _matmul(_transpose(x), y),
    "linalg_eigh": lambda x: (_opaque("eigenvalues")(x), _opaque("eigenvectors")(x)),
    "linalg_qr": lambda x: (_opaque("orthogonal")(x), _opaque("triangular")(x)),
    "flip": _opaque("flip"),
    "argsort": _opaque("argsort"),
    "index_select": _opaque("index_select"),
    "transpose": _transpose,
    "t": _transpose,
    "mean": _mean,
    "sum": _sum,
    "norm": _norm,
    "linalg_vector_norm": _norm,
    "numel": _count,
    "size": _count,
}
#: What may be read from a value without calling anything.
_PROPERTIES = {"mT": _transpose, "T": _transpose, "data": lambda x: x}
_FACTS = {
    "is_sparse": False, "is_cuda": False, "requires_grad": False, "dtype": torch.float32
}  # fmt: skip
_SIGNS = {
    "<": "lt", "≤": "le", ">": "gt", "≥": "ge", "=": "eq", "≠": "ne",
    "and": "logical_and", "or": "logical_or",
}  # fmt: skip
_BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "pow": "pow", "matmul": "matmul",
    "mod": "remainder",
    "gt": "gt", "ge": "ge", "lt": "lt", "le": "le", "eq": "eq", "ne": "ne",
    "and": "logical_and", "or": "logical_or",
}  # fmt: skip
_REFLECTED = {"radd": "add", "rmul": "mul", "rsub": "rsub", "rtruediv": "rdiv", "rpow": "rpow"}


def _algebra(value: Any) -> Any:
    """An argument as SymPy takes it: numbers exactly as they are written."""
    if isinstance(value, Value):
        return value.expression
    if isinstance(value, (tuple, list)):
        return tuple(map(_algebra, cast(Iterable[Any], value)))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if not math.isfinite(value):
        return sympy.oo if value > 0 else -sympy.oo
    written = Fraction(repr(value))
    return sympy.Rational(written.numerator, written.denominator)


def _copy(value: Any) -> Any:
    """An argument that no statement changes any more."""
    return Value(value.expression, value.branch, value.tensor) if type(value) is Value else value


class Value:
    """Stands for a tensor or a number while a rule is run on symbols.

    It has the operators of `OPERATORS` as methods, in place with a trailing underscore, and goes
    through torch's functions of the same names. What an `if` asks of it and algebra cannot say is
    decided by the branch.
    """

    def __init__(self, expression: Algebra, branch: Branch, tensor: bool = True) -> None:
        self.expression = expression
        self.branch = branch
        self.tensor = tensor

    def __getattr__(self, name: str) -> Any:
        if name in _FACTS:
            return _FACTS[name]
        if name == "shape":  # of a matrix; it is there, and not computed
            sizes = tuple(self.apply("size", (dim,), {}) for dim in range(2))
            self.branch.sizes += sizes
            return sizes
        if name in _PROPERTIES:
            return Value(_PROPERTIES[name](self.expression), self.branch, self.tensor)
        if name.startswith("__") or name.rstrip("_") not in OPERATORS:
            raise AttributeError(f"no operator {name!r} is known to myoptim.lab.proof.OPERATORS")
        return lambda *args, **kwargs: self.apply(name, args, kwargs)

    def apply(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """The operator of this name on this value and others."""
        out = kwargs.pop("out", None)
        if name == "where":  # x.where(condition, other), where a function has the condition first
            args = (args[0], self, *args[1:])
        else:
            args = (self, *args)
        operator = OPERATORS[name.rstrip("_")]
        made = operator(*map(_algebra, args), **{k: _algebra(v) for k, v in kwargs.items()})
        if isinstance(made, tuple):
            return tuple(Value(part, self.branch) for part in made)
        target = self if name.endswith("_") else out
        if target is None:
            operands = (*args, *kwargs.values())
            tensor = any(isinstance(value, Value) and value.tensor for value in operands)
            return Value(made, self.branch, tensor)
        target.expression = made
        return target

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Value:
        name = function.__name__
        if name == "where":
            condition, first, *rest = args
            args = (first, condition, *rest)
        values = [value for value in args if isinstance(value, Value)]
        first = (
            args[0]
            if isinstance(args[0], Value)
            else Value(_algebra(args[0]), values[0].branch, False)
        )
        return getattr(first, name)(*args[1:], **(kwargs or {}))

    def __neg__(self) -> Value:
        return self.apply("neg", (), {})

    def __abs__(self) -> Value:
        return self.apply("abs", (), {})

    def __invert__(self) -> Value:
        return self.apply("logical_not", (), {})

    def is_complex(self) -> bool:
        return False

    def is_floating_point(self) -> bool:
        return True

    def dim(self) -> int:
        return 2  # a rule that asks is one for matrices

    def __bool__(self) -> bool:
        return self.branch.decide(self.expression)

    def __index__(self) -> int:
        return 2  # how often a loop is run whose number of rounds is an argument

    __hash__ = object.__hash__


def _binary(operator: str) -> Callable[[Value, Any], Any]:
    def method(self: Value, other: Any) -> Any:
        known = isinstance(other, (Value, int, float))
        return self.apply(operator, (other,), {}) if known else NotImplemented

    return method


def _augmented(operator: str) -> Callable[[Value, Any], Any]:
    """`+=` and the like: in place for tensors, while a number's name gets a new value."""
    return lambda self, other: self.apply(operator + "_" * self.tensor, (other,), {})


for _name, _operator in {**_BINARY, **_REFLECTED}.items():
    setattr(Value, f"__{_name}__", _binary(_operator))
for _name in ("add", "sub", "mul", "truediv"):
    setattr(Value, f"__i{_name}__", _augmented(_BINARY[_name]))


# --------------------------------------------------------------------------- ways through a rule


class Branch:
    """One way through a rule: what each condition is that algebra leaves open.

    Attributes:
        decisions: the answers so far, in the order of the questions.
        conditions: the conditions that were answered yes or no.
        substitutions: numbers that symbols equal on this way.
        sizes: the sizes of tensors that were asked for.
    """

    def __init__(self, decisions: Sequence[bool]) -> None:
        self.decisions = list(decisions)
        self.conditions: list[tuple[Algebra, bool]] = []
        self.substitutions: dict[Algebra, Algebra] = {}
        self.sizes: list[Value] = []

    def decide(self, condition: Algebra) -> bool:
        """Whether a condition is to hold on this way; what is new is taken to hold first."""
        condition = self.reopened(condition)
        if condition in (sympy.true, sympy.false):
            return bool(condition)
        for asked, answer in self.conditions:
            if asked in (condition, sympy.Not(condition)):
                return answer == (asked == condition)
        if len(self.conditions) == len(self.decisions):
            self.decisions.append(True)
        answer = self.decisions[len(self.conditions)]
        self.conditions.append((condition, answer))
        equation = condition if answer else sympy.Not(condition)
        if isinstance(equation, sympy.Eq) and equation.lhs.is_Symbol:
            self.substitutions[equation.lhs] = equation.rhs
        return answer

    @staticmethod
    def reopened(condition: Algebra) -> Algebra:
        """A value as a condition: other than zero."""
        condition = sympy.sympify(condition)
        return condition if _is_condition(condition) else sympy.Ne(condition, 0)

    def after(self) -> list[bool] | None:
        """The decisions of the next way, or None after the last one."""
        decisions = self.decisions[: len(self.conditions)]
        while decisions and not decisions[-1]:
            decisions.pop()
        return [*decisions[:-1], False] if decisions else None

    def words(self) -> str:
        """The conditions, to read."""
        return ", ".join(_words(c if yes else sympy.Not(c)) for c, yes in self.conditions)


def _words(condition: Algebra) -> str:
    signs = {"==": "=", "!=": "≠", "<=": "≤", ">=": "≥"}
    sign = getattr(condition, "rel_op", None)
    if sign is None:
        return str(condition)
    return f"{condition.lhs} {signs.get(sign, sign)} {condition.rhs}"


# --------------------------------------------------------------------------- formulas as algebra


class Letters(typing.Protocol):
    """Where the value of a letter is looked up."""

    def __call__(self, name: str) -> Algebra: ...


def evaluate(
    node: Expression,
    look_up: Letters,
    unchanged: Algebra | None = None,
    functions: Mapping[str, Callable[..., Algebra]] = types.MappingProxyType({}),
) -> Algebra:
    """A formula's expression in SymPy.

    Args:
        node: the expression.
        look_up: gives the value of a letter.
        unchanged: what cases without else leave.
        functions: those of the code's own, by their words of capitals.

    Raises:
        FormulaError: a letter or a function is not known, or cases lack their else.
    """

    def value(node: Expression) -> Algebra:
        return evaluate(node, look_up, unchanged, functions)

    match node:
        case formulas.Number(text):
            if text in formulas.FRACTIONS:
                return sympy.Rational(*formulas.FRACTIONS[text])
            return sympy.Rational(text.replace("−", "-"))
        case formulas.Symbol(name):
            return look_up(name)
        case formulas.Call(function, arguments):
            known = OPERATORS.get(function) or functions.get(function)
            if known is None:
                raise FormulaError(f"{function} is a function of the code's own: not known here")
            return known(*map(value, arguments))
        case formulas.Power(base, exponent):
            return value(base) ** value(exponent)
        case formulas.Product(factors):
            return math.prod(map(value, factors))
        case formulas.Quotient(above, below):
            return value(above) / value(below)
        case formulas.Sum(terms):
            return sum(value(term) if sign == "+" else -value(term) for sign, term in terms)
        case formulas.Comparison(sign, left, right):
            return OPERATORS[_SIGNS[sign]](value(left), value(right))
        case formulas.Cases(cases, otherwise):
            if otherwise is None and unchanged is None:
                raise FormulaError("cases need an «else» where nothing is changed")
            last = unchanged if otherwise is None else value(otherwise)
            return sympy.Piecewise(*[(value(v), value(c)) for v, c in cases], (last, True))


def equal(a: Algebra, b: Algebra, given: dict[Algebra, Algebra] | None = None) -> bool:
    """Whether two expressions can be shown to be equal.

    Args:
        a: an expression or a condition.
        b: another.
        given: numbers to put for symbols first.
    """
    a, b = (sympy.sympify(value).subs(given or {}) for value in (a, b))
    if a == b:
        return True
    if _is_condition(a) or _is_condition(b):
        return (
            _is_condition(a) and _is_condition(b) and sympy.simplify(sympy.Xor(a, b)) == sympy.false
        )
    conditions = sorted((a - b).atoms(Relational), key=str)
    if conditions and _refuted(a - b):  # to see which of them can hold together takes long
        return False
    return all(_vanishes((a - b).subs(answers)) for answers in _possible(conditions))


def _vanishes(difference: Algebra) -> bool:
    if difference == 0:
        return True
    if _refuted(difference):  # simplifying what is not zero takes long
        return False
    # Of what stands under a root, every factor is taken to be positive; but √(x²) stays |x|.
    apart = sympy.expand_power_base(difference, force=True)
    apart = apart.replace(_is_power_of_odd_power, lambda e: e.base.base ** (e.base.exp * e.exp))
    return apart == 0 or sympy.expand(apart) == 0 or sympy.simplify(apart) == 0


def _refuted(difference: Algebra) -> bool:
    """Whether a difference is not zero for some numbers that leave all roots real."""
    opaque = sorted(difference.atoms(AppliedUndef), key=sympy.count_ops, reverse=True)
    for call in opaque:
        difference = difference.xreplace({call: sympy.Dummy(real=True)})
    roots = [power.base for power in difference.atoms(sympy.Pow) if not power.exp.is_Integer]
    symbols = sorted(difference.free_symbols, key=str)
    numbers = random.Random(0)
    for _ in range(8):
        point = {
            symbol: sympy.Float(numbers.uniform(0.05 if symbol.is_nonnegative else -0.95, 0.95))
            for symbol in symbols
        }
        if all((root.subs(point) >= 0) == True for root in roots):  # noqa: E712 (SymPy's own true)
            return bool(abs(difference.subs(point).evalf()) > 1e-9)
    return False


def _is_power_of_odd_power(node: Algebra) -> bool:
    return node.is_Pow and node.base.is_Pow and node.base.exp.is_Integer and node.base.exp % 2 == 1


def _possible(conditions: Sequence[Algebra]) -> Iterator[dict[Algebra, Algebra]]:
    """All ways in which conditions can be true or false together."""
    for answers in itertools.product((True, False), repeat=len(conditions)):
        chosen = dict(zip(conditions, map(sympy.sympify, answers), strict=True))
        together = sympy.And(*[c if yes else sympy.Not(c) for c, yes in chosen.items()])
        if len(chosen) < 2 or together.simplify() != sympy.false:  # which can take long
            yield chosen


# --------------------------------------------------------------------------- running a rule


@dataclass(frozen=True)
class Proof:
    """A formula that was shown to say what its statement does.

    Attributes:
        line: the statement's first line in its file.
        code: the statement.
        formula: the formula, parsed.
        case: which way through the rule it was shown on.
    """

    line: int
    code: str
    formula: Formula
    case: str


@dataclass(frozen=True)
class Proofs:
    """What was shown of a rule.

    Attributes:
        rule: its name.
        statements: all its statements.
        formulas: those that have a formula; the others only rename.
        cases: the ways through the rule, in words.
        proofs: one for each formula on each way on which its statement is run.
        made: for each case, the value of each letter after the rule.
    """

    rule: str
    statements: int
    formulas: int
    cases: list[str]
    proofs: list[Proof]
    made: list[dict[str, Algebra]]

    def __str__(self) -> str:
        ways = len(self.cases)
        return (
            f"{self.rule}: {self.formulas} formulas beside {self.statements} statements, "
            f"{len(self.proofs)} proofs on {ways} way{'s' * (ways > 1)} through the rule"
        )

    def as_dict(self) -> dict[str, Any]:
        """The proofs as JSON holds them."""
        return {
            "rule": self.rule,
            "statements": self.statements,
            "formulas": self.formulas,
            "cases": self.cases,
            "proofs": [
                {
                    "line": proof.line,
                    "code": proof.code,
                    "formula": proof.formula.text,
                    "latex": proof.formula.latex,
                    "case": proof.case,
                }
                for proof in self.proofs
            ],
        }


@dataclass(frozen=True)
class _Snapshot:
    """What letters and names stand for at one place of a rule."""

    values: dict[str, Algebra]
    abbreviations: dict[str, Expression]
    functions: dict[str, Callable[..., Algebra]]

    def __call__(self, name: str) -> Algebra:
        if name in self.values:
            value = self.values[name]
            if value is None:
                raise FormulaError(f"{name} stands for None here")
            return value
        if name in self.abbreviations:
            return self.evaluate(self.abbreviations[name])
        raise FormulaError(f"nothing says what {name} stands for")

    def evaluate(self, node: Expression, unchanged: Algebra | None = None) -> Algebra:
        """A formula's expression with the values of this place."""
        return evaluate(node, self, unchanged, self.functions)


class _Run:
    """One run of a rule on symbols, on one way through it."""

    def __init__(self, rule: _Rule, arguments: dict[str, Any], branch: Branch) -> None:
        self.rule = rule
        self.branch = branch
        self.arguments = arguments
        self.more = {rule.more: {name: arguments[name] for name in rule.others}}
        self.names: dict[str, Any] = {**rule.surroundings, **arguments, **self.more}
        self.named: dict[str, Algebra] = {}
        self.open: tuple[str, _Snapshot] = ("", _Snapshot({}, {}, {}))
        self.proofs: list[Proof] = []
        self.reached: set[int] = set()

    def case(self) -> str:
        """The way in words: which arguments are missing, which switches are on, what was asked."""
        words: list[str] = []
        for name, value in self.arguments.items():
            if isinstance(value, bool):
                words.append(name if value else f"not {name}")
            elif isinstance(value, str):
                words.append(f"{name}={value!r}")
            elif name in self.rule.optional:
                words.append(f"{'without' if value is None else 'with'} {name}")
        return ", ".join(filter(None, [*words, self.branch.words()])) or "always"

    def snapshot(self) -> _Snapshot:
        names = {
            name: _algebra(value)
            for name, value in self.names.items()
            if isinstance(value, (Value, int, float)) and name not in self.rule.surroundings
        }
        values = {**names, **self.of_letters(), **self.named}
        return _Snapshot(values, self.rule.letters.abbreviations, self.functions())

    def functions(self) -> dict[str, Callable[..., Algebra]]:
        """The code's own functions that formulas may name, with what they take besides."""
        arguments = {name: _copy(self.names[name]) for name in self.arguments}
        arguments[self.rule.more] = {name: arguments[name] for name in self.rule.others}
        return {
            word: functools.partial(self.call, name, arguments)
            for word, name in self.rule.letters.functions.items()
        }

    def call(self, name: str, arguments: dict[str, Any], *given: Algebra) -> Algebra:
        """What a function of the code's own makes of expressions and, by their names, of the
        arguments of the rule."""
        function = self.rule.surroundings.get(name)
        if not inspect.isfunction(function):
            raise FormulaError(f"{name} in the docstring is no argument, and no function here")
        parameters = inspect.signature(function).parameters
        values = [Value(expression, self.branch) for expression in given]
        taken = dict(zip(parameters, values, strict=False))
        rest = {p: arguments[p] for p in parameters if p in arguments and p not in taken}
        return _algebra(function(**taken, **rest))

    def of_letters(self) -> dict[str, Algebra]:
        """What the letters of the arguments stand for now."""
        values: dict[str, Algebra] = {}
        for letter, (name, index) in self.rule.letters.arguments.items():
            whole = self.now(name)
            values[letter] = _algebra(whole if index is None or whole is None else whole[index])
        return values

    def now(self, argument: str) -> Any:
        """What an argument is now; of a list, the element of this round, which is that of `i`."""
        value = self.names[argument]
        if not isinstance(value, list):
            return value
        return value[self.names["i"]] if "i" in self.names else None

    def evaluate(self, node: ast.expr) -> Any:
        code = compile(ast.Expression(node), self.rule.name, "eval", dont_inherit=True)
        return eval(code, self.names)

    def execute(self, node: ast.stmt) -> Any:
        """Run a statement, and return what it makes."""
        if isinstance(node, (ast.Expr, ast.Return)):
            return None if node.value is None else self.evaluate(node.value)
        module = ast.Module([node], type_ignores=[])
        exec(compile(module, self.rule.name, "exec", dont_inherit=True), self.names)
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, (ast.Tuple, ast.List)):
            names = [part.id for part in ast.walk(target) if isinstance(part, ast.Name)]
            return tuple(self.names[name] for name in names if name in self.names)
        return self.names[target.id] if isinstance(target, ast.Name) else None

    def body(self, nodes: list[ast.stmt]) -> bool:
        """Run statements; whether the rule has returned."""
        for node in nodes:
            if isinstance(node, ast.If):
                returned = self.body(node.body if self.evaluate(node.test) else node.orelse)
            elif isinstance(node, ast.For):
                returned = self.loop(node)
            elif isinstance(node, ast.With):
                returned = self.body(node.body)
            else:
                returned = isinstance(node, ast.Return)
                statement = self.rule.source.at(node.lineno)
                if statement is not None:
                    self.statement(statement)
            if returned:
                return True
        return False

    def loop(self, node: ast.For) -> bool:
        for value in self.evaluate(node.iter):
            self.names["_next"] = value
            item = ast.Assign([node.target], ast.Name("_next", ast.Load()))
            self.execute(ast.fix_missing_locations(ast.copy_location(item, node)))
            if self.body(node.body):
                return True
        return False

    def statement(self, statement: Statement) -> None:
        """Run a statement and hold its formula to what it did."""
        self.reached.add(statement.first)
        before, old = self.snapshot(), self.of_arguments()
        objects = list(self.names.values())
        made = self.execute(statement.node)
        changed = {name for name, value in self.of_arguments().items() if value != old[name]}
        if not statement.comment:
            known = set(map(id, _with_parts([*objects, *self.branch.sizes])))
            new = [value for value in _with_parts([made]) if id(value) not in known]
            if changed or any(isinstance(value, Value) for value in new):
                raise WrongFormula(f"{self.place(statement)} computes, and has no formula")
            return
        text = statement.comment
        try:
            if formulas.continues(text) and self.open[0]:
                text, before = f"{self.open[0]} {text}", self.open[1]
            formula = formulas.parse(text)
            self.check(statement, formula, before, made, changed)
        except WrongFormula:
            raise
        except FormulaError as error:
            raise FormulaError(f"{self.place(statement)}: {error}") from None
        self.open = (formula.text, before)
        self.proofs.append(Proof(statement.first, statement.code, formula, self.case()))

    def argument_of(self, letter: str) -> str | None:
        """The argument that a letter stands for, or that a variable of this name is."""
        value = self.names.get(letter)
        same = (name for name in self.arguments if value is not None and self.names[name] is value)
        return self.rule.argument_of(letter) or next(same, None)

    def of_arguments(self) -> dict[str, Algebra]:
        return {name: _algebra(self.names[name]) for name in self.arguments}

    def check(
        self,
        statement: Statement,
        formula: Formula,
        before: _Snapshot,
        made: Any,
        changed: set[str],
    ) -> None:
        """Raise unless the formula says what the statement did, and all that it changed."""
        letter = None if formula.target is None else _named(formula.target).name
        argument = None if letter is None else self.argument_of(letter)
        if argument and not formula.changes:
            raise FormulaError(f"{letter} is an argument: write ← where it is changed")
        unannounced = changed - {argument}
        if unannounced:
            letters = ", ".join(map(self.rule.letters.letter_of, sorted(unannounced)))
            raise WrongFormula(f"{self.place(statement)} changes {letters}, and does not say so")
        cases = isinstance(formula.value, formulas.Cases) and formula.changes
        unchanged = before(letter) if cases and letter is not None else None
        said = before.evaluate(formula.value, unchanged)
        returned = isinstance(statement.node, ast.Return)
        if returned and argument and argument != list(self.rule.parameters)[1]:
            raise WrongFormula(f"{self.place(statement)} returns a gradient, and no {letter}")
        does = _algebra(self.now(argument) if argument and not returned else made)
        self.hold(statement, formula.text, said, does)
        self.give_name(statement, formula, before, does)

    def give_name(
        self, statement: Statement, formula: Formula, before: _Snapshot, value: Algebra
    ) -> None:
        """Let the letter on the left, and the alias, mean the value from here on."""
        if formula.target is not None:
            name = _named(formula.target).name
            value_of_name = value**2 if isinstance(formula.target, formulas.Call) else value
            if name in self.rule.letters.abbreviations:
                meant = before.evaluate(self.rule.letters.abbreviations[name])
                self.hold(statement, formula.text, meant, value_of_name)
            elif self.argument_of(name) is None:
                self.named[name] = value_of_name
        if formula.alias is not None:
            self.named[formula.alias] = value

    def hold(self, statement: Statement, text: str, said: Algebra, does: Algebra) -> None:
        """Raise unless what is said equals what is done."""
        if does is None:
            raise FormulaError(f"«{text}»: the statement makes no value")
        if equal(said, does, self.branch.substitutions):
            return
        case = self.case()
        raise WrongFormula(
            f"{self.place(statement)}: «{text}» says {said}, but it makes {does}"
            + ("" if case == "always" else f" ({case})")
        )

    def place(self, statement: Statement) -> str:
        return f"{self.rule.name}, line {statement.first}: `{statement.code}`"


def _with_parts(values: Iterable[Any]) -> Iterator[Any]:
    """Values, and what stands in those that are tuples and lists."""
    for value in values:
        yield value
        if isinstance(value, (tuple, list)):
            yield from _with_parts(cast(Iterable[Any], value))


def _named(target: Expression) -> formulas.Symbol:
    """The name on the left of a formula, or under a root there."""
    named = target.arguments[0] if isinstance(target, formulas.Call) else target
    assert isinstance(named, formulas.Symbol)  # the parser allows nothing else
    return named


class _Rule:
    """A rule's source, its letters, and what surrounds it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = function.__name__
        self.source: Source = read_source(function)
        self.parameters = dict(inspect.signature(function).parameters)
        kinds = {p.kind: name for name, p in self.parameters.items()}
        self.more = kinds.get(inspect.Parameter.VAR_KEYWORD, "")
        self.letters = formulas.read_letters(
            function.__doc__ or "", self.parameters, bool(self.more)
        )
        self.hints = typing.get_type_hints(function)
        named = [name for name, _ in self.letters.arguments.values()]
        self.others = [name for name in dict.fromkeys(named) if name not in self.parameters]
        if self.more:  # the letters say which there are
            self.parameters.update(dict.fromkeys(self.others, self.parameters.pop(self.more)))
            self.hints.update(dict.fromkeys(self.others, self.hints.get(self.more)))
        self.optional = {n for n, hint in self.hints.items() if type(None) in typing.get_args(hint)}
        closure = inspect.getclosurevars(function).nonlocals
        known: dict[int, dict[str, Any]] = {}
        self.surroundings = {
            **_surroundings(function.__globals__, known),
            **{name: _surrounded(value, known) for name, value in closure.items()},
        }

    def argument_of(self, letter: str) -> str | None:
        """The argument that a letter, or its own name, stands for."""
        if letter in self.parameters:
            return letter
        name, index = self.letters.arguments.get(letter, (None, None))
        return name if index is None else None

    def choices(self, branch: Branch) -> Iterator[dict[str, Any]]:
        """All ways to give the arguments: with or without what is optional, switches on and off."""
        names = list(self.parameters)
        for values in itertools.product(*[self.values(name, branch) for name in names]):
            yield dict(zip(names, values, strict=True))

    def values(self, name: str, branch: Branch) -> list[Any]:
        """What an argument may be: symbols, None, switches."""
        parameter = self.parameters[name]
        hint = self.hints.get(name, bool if isinstance(parameter.default, bool) else Any)
        keyword = parameter.kind is parameter.KEYWORD_ONLY
        kinds = typing.get_args(hint) if typing.get_origin(hint) in _UNIONS else (hint,)
        found: list[Any] = []
        for kind in kinds:
            if kind is type(None):
                found.append(None)
            elif kind is bool:
                found += [True, False]
            elif typing.get_origin(kind) is Literal:
                found += typing.get_args(kind)
            elif kind is str:
                raise FormulaError(f"{self.name}: annotate {name} with the Literal of its values")
            else:
                tensor = kind in _OF_TENSORS or (kind is Any and not keyword)
                found.append(self.symbols(name, tensor, branch))
        return list(dict.fromkeys(found)) if all(isinstance(v, bool) for v in found) else found

    def symbols(self, name: str, tensor: bool, branch: Branch) -> Any:
        """The symbol of an argument, or those of its parts."""

        def symbol(letter: str) -> Value:
            known = {"real": True} if tensor else {"nonnegative": True}
            return Value(sympy.Symbol(letter, **known), branch, tensor)

        places = self.letters.arguments.items()
        parts = [letter for letter, (whole, index) in places if whole == name and index is not None]
        hint: Any = self.hints.get(name)
        if parts:
            made = tuple(map(symbol, parts))
            return hint._make(made) if hasattr(hint, "_make") else made
        if typing.get_origin(hint) is list:
            letter = self.letters.letter_of(name)
            return [symbol(letter.replace("ᵢ", index)) for index in "₀₁"]
        if typing.get_origin(hint) is tuple:
            return tuple(symbol(f"{name}[{i}]") for i in range(len(typing.get_args(hint))))
        return symbol(self.letters.letter_of(name))


def _surroundings(scope: dict[str, Any], known: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """What the names of a module stand for on symbols, the functions of its package included.

    Args:
        scope: the names.
        known: what was found already, by the identity of the scope.
    """
    if id(scope) in known:
        return known[id(scope)]
    found = known[id(scope)] = {name: _symbolic(value) for name, value in scope.items()}
    found |= {"max": _chosen("max", max), "min": _chosen("min", min)}
    package = _package_of(scope.get("__name__"))
    for name, value in scope.items():
        if inspect.isfunction(value) and _package_of(value.__module__) == package:
            found[name] = _surrounded(value, known)
    return found


def _surrounded(value: Any, known: dict[int, dict[str, Any]]) -> Any:
    """What a rule finds under a name: a function that it may call has symbolic surroundings too."""
    if not inspect.isfunction(value):
        return _symbolic(value)
    around = _surroundings(value.__globals__, known)
    made = types.FunctionType(
        value.__code__, around, value.__name__, value.__defaults__, value.__closure__
    )
    made.__kwdefaults__ = value.__kwdefaults__
    return made


_UNIONS = (typing.Union, types.UnionType)
_OF_TENSORS = (Tensor, list[Tensor], list[Any])


def _chosen(operator: str, ordinary: Callable[..., Any]) -> Callable[..., Any]:
    """A function of numbers that takes symbols too."""

    def function(*arguments: Any) -> Any:
        values = [value for value in arguments if isinstance(value, Value)]
        if not values:
            return ordinary(*arguments)
        made = OPERATORS[operator](*map(_algebra, arguments))
        return Value(made, values[0].branch, any(value.tensor for value in values))

    return function


_MATH = {
    name: _chosen(name, function)
    for name, function in vars(math).items()
    if callable(function) and name in OPERATORS
}


class _Torch:
    """`torch`, as a rule on symbols finds it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def is_tensor(value: Any) -> bool:
        """Of a number: both ways, since a step that can be captured has tensors for numbers."""
        return isinstance(value, Value) and (value.tensor or value.branch.decide(_CAPTURABLE))

    @staticmethod
    def as_tensor(value: Any) -> Any:
        return value


_CAPTURABLE = sympy.Symbol("capturable")


def _symbolic(value: Any) -> Any:
    """What a rule finds under a global name: the functions of `math` take symbols."""
    if value is math:
        return types.SimpleNamespace(**{**vars(math), **_MATH})
    if value is torch:
        return _Torch()
    if isinstance(value, types.BuiltinFunctionType) and value.__module__ == "math":
        return _MATH.get(value.__name__, value)
    return value


def prove(rule: Callable[..., Any]) -> Proofs:
    """Show that every formula of a rule says what its statement does, on all ways through it.

    Args:
        rule: a function that updates its first argument in place, annotated as rules are.

    Raises:
        WrongFormula: a formula says something else than its statement does, or less.
        FormulaError: a formula or the docstring cannot be read, or a statement is never reached.
        OSError: the source of the rule is not to be found.
    """
    read = _Rule(rule)
    runs: list[_Run] = []
    for number in range(len(list(read.choices(Branch([]))))):
        decisions: list[bool] | None = []
        while decisions is not None:
            branch = Branch(decisions)
            run = _Run(read, list(read.choices(branch))[number], branch)
            try:
                run.body(read.source.node.body)
                runs.append(run)
            except AssertionError:  # the rule says itself that there is no such way
                pass
            decisions = branch.after()
    reached = set[int]().union(*[run.reached for run in runs])
    for statement in read.source.statements:
        if statement.first not in reached:
            raise FormulaError(
                f"{read.name}, line {statement.first}: {statement.code} is never run"
            )
    return Proofs(
        read.name,
        len(read.source.statements),
        len([s for s in read.source.statements if s.comment]),
        [run.case() for run in runs],
        [proof for run in runs for proof in run.proofs],
        [run.snapshot().values for run in runs],
    )


def with_formulas(subject: Callable[..., Any]) -> list[Callable[..., Any]]:
    """What there is to prove of a class or a rule.

    These are the rule, or the rules that the class declares, and of the functions of the package
    that these and the class's methods call those that have formulas: whose docstring says what
    letters stand for, and whose statements have comments.
    """
    rules = rules_of(subject) if isinstance(subject, type) else [subject]
    methods = map(inspect.unwrap, vars(subject).values() if isinstance(subject, type) else ())
    functions = list(filter(inspect.isfunction, [*rules, *methods]))
    start = len(functions)
    for function in functions:  # which grows
        package = _package_of(function.__module__)
        called = map(function.__globals__.get, _names_in(function.__code__))
        functions += [
            other
            for other in dict.fromkeys(called)
            if inspect.isfunction(other)
            and _package_of(other.__module__) == package
            and other not in functions
        ]
    return list(dict.fromkeys([*rules, *filter(_has_formulas, functions[start:])]))


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _names_in(inner)


def _package_of(module: Any) -> str:
    return str(module).rpartition(".")[0]


def _has_formulas(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters
    try:
        letters = formulas.read_letters(function.__doc__ or "", parameters)
        statements = read_source(function).statements
    except (FormulaError, OSError):
        return False
    return bool(letters.arguments) and any(statement.comment for statement in statements)
