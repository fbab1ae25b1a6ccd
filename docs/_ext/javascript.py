"""Python to JavaScript, as much of it as a rule is written in: for the playground of the site.

What a tensor can do stands in one table, `METHODS`; the rest is Python's arithmetic, comparisons,
`if`, and dictionaries with constant keys. In JavaScript a tensor is a Float64Array and a number a
number; every operator of the table is a function of the scalars in one place, lifted by the page's
engine to arrays, in place and out of place. Whatever is not in here raises `Untranslatable`, which
says what it was.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Each operator of a tensor `x`, in place (`add_`) or not (`add`): its further arguments, those
#: with a value being optional, and the scalar that it computes. Comparisons give 1 and 0.
METHODS: dict[str, tuple[str, str]] = {
    "add": ("other, alpha=1", "x + alpha * other"),
    "sub": ("other, alpha=1", "x - alpha * other"),
    "rsub": ("other, alpha=1", "other - alpha * x"),
    "mul": ("other", "x * other"),
    "div": ("other", "x / other"),
    "neg": ("", "-x"),
    "sqrt": ("", "Math.sqrt(x)"),
    "square": ("", "x * x"),
    "abs": ("", "Math.abs(x)"),
    "sign": ("", "Math.sign(x)"),
    "sgn": ("", "Math.sign(x)"),
    "exp": ("", "Math.exp(x)"),
    "log": ("", "Math.log(x)"),
    "log1p": ("", "Math.log1p(x)"),
    "tanh": ("", "Math.tanh(x)"),
    "pow": ("exponent", "exponent === 2 ? x * x : exponent === 3 ? x * x * x : x ** exponent"),
    "reciprocal": ("", "1 / x"),
    "rsqrt": ("", "1 / Math.sqrt(x)"),
    "lerp": (
        "end, weight",
        "Math.abs(weight) < 0.5 ? x + weight * (end - x) : end - (end - x) * (1 - weight)",
    ),
    "addcmul": ("tensor1, tensor2, value=1", "x + value * tensor1 * tensor2"),
    "addcdiv": ("tensor1, tensor2, value=1", "x + value * tensor1 / tensor2"),
    "clamp": ("min=-Infinity, max=Infinity", "Math.min(Math.max(x, min), max)"),
    "clamp_min": ("min", "Math.max(x, min)"),
    "clamp_max": ("max", "Math.min(x, max)"),
    "maximum": ("other", "Math.max(x, other)"),
    "minimum": ("other", "Math.min(x, other)"),
    "where": ("condition, other", "condition ? x : other"),
    "masked_fill": ("mask, value", "mask ? value : x"),
    "gt": ("other", "+(x > other)"),
    "ge": ("other", "+(x >= other)"),
    "lt": ("other", "+(x < other)"),
    "le": ("other", "+(x <= other)"),
    "eq": ("other", "+(x === other)"),
    "ne": ("other", "+(x !== other)"),
    "logical_not": ("", "+!x"),
    "logical_and": ("other", "+!!(x && other)"),
    "logical_or": ("other", "+!!(x || other)"),
    "copy": ("src", "src"),
    "fill": ("value", "value"),
    "zero": ("", "0"),
    "clone": ("", "x"),
    "zeros_like": ("", "0"),
    "ones_like": ("", "1"),
    "full_like": ("fill_value", "fill_value"),
}
#: What makes one number of a tensor; only rules that are not elementwise use these.
REDUCTIONS = {
    "sum": "values.reduce((a, b) => a + b)",
    "mean": "values.reduce((a, b) => a + b) / values.length",
    "norm": "Math.sqrt(values.reduce((a, b) => a + b * b, 0))",
    "item": "values[0]",
}
ALIASES = {
    "multiply": "mul", "divide": "div", "subtract": "sub", "negative": "neg", "max": "maximum",
    "min": "minimum", "absolute": "abs", "clip": "clamp",
}  # fmt: skip
#: What leaves a number or a tensor as it is.
UNCHANGED = {"as_tensor", "detach"}
BINARY = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}
COMPARED = {ast.Gt: "gt", ast.GtE: "ge", ast.Lt: "lt", ast.LtE: "le", ast.Eq: "eq", ast.NotEq: "ne"}
FUNCTIONS = {"float": "Number", "int": "Math.trunc"}
#: Names that Python allows and JavaScript does not, or that the translation itself uses.
RESERVED = {
    "arguments", "case", "catch", "const", "default", "delete", "do", "enum", "eval", "export",
    "extends", "function", "implements", "instanceof", "interface", "let", "new", "note", "null",
    "op", "package", "private", "protected", "public", "static", "super", "switch", "this", "throw",
    "typeof", "undefined", "var", "void",
}  # fmt: skip


class Untranslatable(Exception):
    """Something that this translator does not know."""


@dataclass(frozen=True)
class Signature:
    """A function's tensors, whether each may be missing, and its numbers."""

    tensors: tuple[str, ...]
    optional: tuple[str, ...]
    numbers: tuple[str, ...]


def signature(function: ast.FunctionDef) -> Signature:
    """What a rule takes: tensors by position, numbers by keyword."""
    tensors = [argument.arg for argument in function.args.args]
    given = len(function.args.defaults)
    return Signature(
        tuple(tensors),
        tuple(tensors[len(tensors) - given :]),
        tuple(argument.arg for argument in function.args.kwonlyargs),
    )


def operators() -> str:
    """The table as JavaScript: an object of functions of scalars, and one of those of arrays."""
    rows = [
        f"  {name}: ({', '.join(filter(None, ['x', arguments]))}) => {scalar},"
        for name, (arguments, scalar) in METHODS.items()
    ]
    reductions = [f"  {name}: (values) => {made}," for name, made in REDUCTIONS.items()]
    lines = ["scalars: {", *rows, "},", "reductions: {", *reductions, "},"]
    return "\n".join(lines)


def _names(arguments: str) -> list[str]:
    return [argument.partition("=")[0].strip() for argument in arguments.split(",") if argument]


def _defaults(arguments: str) -> dict[str, str]:
    pairs = [argument.split("=") for argument in arguments.split(",") if "=" in argument]
    return {name.strip(): value.strip() for name, value in pairs}


def inlined(name: str, values: list[str]) -> str:
    """An operator with its arguments written in: `add` of `a` and `b` is `(a + 1 * b)`."""
    arguments, scalar = METHODS[name]
    bound = _defaults(arguments) | dict(zip(["x", *_names(arguments)], values, strict=False))
    words = r"(?<![.\w])[A-Za-z_]\w*"
    written = re.sub(words, lambda word: bound.get(word[0], word[0]), scalar)
    return f"({written})"


def translate(
    function: ast.FunctionDef,
    skip: Iterable[str] = (),
    helpers: Mapping[str, ast.FunctionDef] | None = None,
) -> str:
    """A function as a JavaScript expression `(tensor, …, {number, …}, note) => {…}`.

    After every statement, and for every test of an `if`, `note(line, value)` is called; the line
    counts from the function's own.

    Args:
        function: a rule, or a method that reads its numbers from dictionaries.
        skip: arguments that the translation has no use for, as `self`.
        helpers: functions that it may call, by name.

    Raises:
        Untranslatable: a construct is not known; the message says which.
    """
    if function.args.vararg or function.args.kwarg or function.args.posonlyargs:
        raise Untranslatable(f"{function.name} takes *args, **kwargs or positional-only arguments")
    taken = signature(function)
    names = [_identifier(name) for name in taken.tensors if name not in set(skip)]
    numbers = ", ".join(
        name if name == _identifier(name) else f"{name}: {_identifier(name)}"
        for name in taken.numbers
    )
    writer = _Writer(function, helpers or {})
    body = textwrap.indent(writer.block(function.body), "  ")
    arguments = ", ".join([*names, f"{{{numbers}}}", "note"])
    return f"({arguments}) => {{\n{_called(writer)}{_declared(writer, taken)}{body}\n}}"


def _declared(writer: _Writer, taken: Signature) -> str:
    """The local variables."""
    local = sorted(writer.local - {_identifier(name) for name in (*taken.tensors, *taken.numbers)})
    return f"  let {', '.join(local)};\n" if local else ""


def _called(writer: _Writer) -> str:
    """The helpers that were called, which note nothing: their lines are not the function's."""
    written = ""
    for name in sorted(writer.called):
        function = writer.helpers[name]
        inner = _Writer(function, writer.helpers)
        body = textwrap.indent(inner.block(function.body), "    ")
        arguments = ", ".join(map(_identifier, _arguments(function)))
        local = textwrap.indent(_declared(inner, signature(function)), "  ")
        written += (
            f"  const {_identifier(name)} = ({arguments}) => {{\n"
            f"    const note = (line, value) => value;\n"
            f"{textwrap.indent(_called(inner), '  ')}{local}{body}\n  }};\n"
        )
    return written


def _arguments(function: ast.FunctionDef) -> list[str]:
    return [one.arg for one in (*function.args.args, *function.args.kwonlyargs)]


def _identifier(name: str) -> str:
    return f"{name}$" if name in RESERVED else name


class _Writer:
    """Writes the statements of one function."""

    def __init__(self, function: ast.FunctionDef, helpers: Mapping[str, ast.FunctionDef]) -> None:
        self.first = function.lineno
        self.helpers = {name: one for name, one in helpers.items() if one is not function}
        self.local: set[str] = set()
        self.called: set[str] = set()

    # -------------------------------------------------------------- statements

    def block(self, statements: list[ast.stmt]) -> str:
        return "\n".join(filter(None, map(self.statement, statements)))

    def statement(self, node: ast.stmt) -> str:
        line = node.lineno - self.first
        if isinstance(node, ast.Expr):
            if isinstance(node.value, ast.Constant):  # a docstring
                return ""
            return f"note({line}, {self.expression(node.value)});"
        if isinstance(node, ast.Assign):
            return self.assign(node.targets, node.value, line)
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            return self.assign([node.target], node.value, line)
        if isinstance(node, ast.AugAssign):
            name = self.operator(BINARY, node.op, node)
            target = self.expression(node.target)
            value = self.expression(node.value)
            return f"note({line}, {target} = op.into({name!r}, {target}, {value}));"
        if isinstance(node, ast.If):
            test = f"if (note({line}, op.truth({self.expression(node.test)})))"
            text = f"{test} {{\n{self.indented(node.body)}\n}}"
            return f"{text} else {{\n{self.indented(node.orelse)}\n}}" if node.orelse else text
        if isinstance(node, ast.Return):
            value = "null" if node.value is None else self.expression(node.value)
            return f"return note({line}, {value});"
        if isinstance(node, ast.Pass):
            return ""
        raise self.unknown(node)

    def indented(self, statements: list[ast.stmt]) -> str:
        return textwrap.indent(self.block(statements), "  ")

    def assign(self, targets: list[ast.expr], value: ast.expr, line: int) -> str:
        written = " = ".join(self.target(target) for target in targets)
        return f"note({line}, {written} = {self.expression(value)});"

    def target(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            self.local.add(_identifier(node.id))
            return _identifier(node.id)
        if isinstance(node, (ast.Tuple, ast.List)):
            return f"[{', '.join(map(self.target, node.elts))}]"
        return self.expression(node)

    # ------------------------------------------------------------- expressions

    def expression(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return self.constant(node)
        if isinstance(node, ast.Name):
            return _identifier(node.id)
        if isinstance(node, (ast.Tuple, ast.List)):
            return f"[{', '.join(map(self.expression, node.elts))}]"
        if isinstance(node, ast.BinOp):
            name = self.operator(BINARY, node.op, node)
            return f"op.{name}({self.expression(node.left)}, {self.expression(node.right)})"
        if isinstance(node, ast.UnaryOp):
            return self.unary(node)
        if isinstance(node, ast.BoolOp):
            word = " && " if isinstance(node.op, ast.And) else " || "
            return f"({word.join(map(self.expression, node.values))})"
        if isinstance(node, ast.Compare):
            return self.compare(node)
        if isinstance(node, ast.IfExp):
            parts = map(self.expression, (node.test, node.body, node.orelse))
            return "(op.truth({}) ? {} : {})".format(*parts)
        if isinstance(node, ast.Subscript):
            return f"{self.expression(node.value)}[{self.expression(node.slice)}]"
        if isinstance(node, ast.Call):
            return self.call(node)
        raise self.unknown(node)

    def constant(self, node: ast.Constant) -> str:
        value = node.value
        if value is None or isinstance(value, bool):
            return {None: "null", True: "true", False: "false"}[value]
        if isinstance(value, (int, float, str)):
            return repr(value)
        raise self.unknown(node)

    def unary(self, node: ast.UnaryOp) -> str:
        value = self.expression(node.operand)
        if isinstance(node.op, ast.USub):
            return f"op.neg({value})"
        if isinstance(node.op, ast.Not):
            return f"!op.truth({value})"
        raise self.unknown(node)

    def compare(self, node: ast.Compare) -> str:
        if len(node.ops) != 1:
            raise self.unknown(node)
        left, right = self.expression(node.left), self.expression(node.comparators[0])
        if isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            sign = "===" if isinstance(node.ops[0], ast.Is) else "!=="
            return f"({left} {sign} {right})"
        return f"op.{self.operator(COMPARED, node.ops[0], node)}({left}, {right})"

    def call(self, node: ast.Call) -> str:
        function = node.func
        if isinstance(function, ast.Name):
            if function.id in FUNCTIONS and len(node.args) == 1:
                return f"{FUNCTIONS[function.id]}({self.expression(node.args[0])})"
            if function.id in self.helpers:
                return self.helper(function.id, node)
            if ALIASES.get(function.id, function.id) in METHODS:
                return self.method(function.id, node.args[0], node.args[1:], node)
        if isinstance(function, ast.Attribute):
            owner = function.value
            if function.attr == "get" and 1 <= len(node.args) <= 2:
                key, *other = map(self.expression, node.args)
                return f"({self.expression(owner)}[{key}] ?? {other[0] if other else 'null'})"
            if isinstance(owner, ast.Name) and owner.id in ("torch", "math") and node.args:
                if function.attr == "is_tensor":
                    return f"op.isTensor({self.expression(node.args[0])})"
                if function.attr in UNCHANGED:
                    return self.expression(node.args[0])
                if function.attr == "where":
                    condition, first, other = node.args
                    return self.method("where", first, [condition, other], node)
                return self.method(function.attr, node.args[0], node.args[1:], node)
            return self.method(function.attr, owner, node.args, node)
        raise self.unknown(node)

    def helper(self, name: str, node: ast.Call) -> str:
        """A call of another function, its keywords put in their places."""
        self.called.add(name)
        taken = _arguments(self.helpers[name])
        bound = dict(zip(taken, node.args, strict=False))
        bound |= {str(word.arg): word.value for word in node.keywords}
        if set(bound) != set(taken):
            raise self.unknown(node)
        given = ", ".join(self.expression(bound[one]) for one in taken)
        return f"{_identifier(name)}({given})"

    def method(self, name: str, owner: ast.expr, given: list[ast.expr], node: ast.Call) -> str:
        plain = ALIASES.get(name.rstrip("_"), name.rstrip("_"))
        if plain in REDUCTIONS and not given and not node.keywords:
            return f"op.{plain}({self.expression(owner)})"
        if plain not in METHODS:
            raise self.unknown(node)
        arguments = METHODS[plain][0]
        suffix = "_" if name.endswith("_") else ""
        if any(isinstance(value, ast.Starred) for value in given):  # in the order of torch's
            spread = [
                f"...{self.expression(value.value)}"
                if isinstance(value, ast.Starred)
                else self.expression(value)
                for value in given
            ]
            return f"op.{plain}{suffix}({', '.join([self.expression(owner), *spread])})"
        bound = _defaults(arguments)
        pairs = zip(_names(arguments), given, strict=False)
        bound |= {key: self.expression(value) for key, value in pairs}
        bound |= {str(word.arg): self.expression(word.value) for word in node.keywords}
        names = _names(arguments)
        if len(given) > len(names) or set(bound) != set(names):
            raise self.unknown(node)
        values = [self.expression(owner), *(bound[key] for key in names)]
        return f"op.{plain}{suffix}({', '.join(values)})"

    def operator(self, table: dict[type, str], found: ast.AST, node: ast.AST) -> str:
        if type(found) not in table:
            raise self.unknown(node)
        return table[type(found)]

    def unknown(self, node: ast.AST) -> Untranslatable:
        return Untranslatable(f"`{ast.unparse(node)}` is not in the vocabulary")
