"""Statements of a rule as formulas, for people: `v_hat.sqrt() + eps` reads √v̂ + ε."""

import ast

SYMBOLS = {
    "lr": "η", "betas": "β", "beta1": "β₁", "beta2": "β₂", "eps": "ε", "alpha": "α",
    "momentum": "μ", "dampening": "τ", "weight_decay": "λ", "lr_decay": "κ",
    "initial_accumulator_value": "s₀", "decayed_lr": "η′",
    "p": "θ", "t": "t", "step": "t", "age": "t", "c1": "c₁", "c2": "c₂", "last": "gₜ₋₁",
    "m_hat": "m̂", "v_hat": "v̂", "exp_avg": "m", "exp_avg_sq": "v", "max_exp_avg_sq": "v̄",
    "momentum_buffer": "b", "sum": "s", "square_avg": "v", "grad_avg": "ḡ", "a": "ḡ",
}  # fmt: skip
"""What names of the references stand for; a name that is not here stands for itself."""

_SUPERSCRIPTS = str.maketrans("0123456789t-", "⁰¹²³⁴⁵⁶⁷⁸⁹ᵗ⁻")
_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(5)
_OPERATORS: dict[type[ast.AST], tuple[str, int]] = {
    ast.Add: (" + ", _SUM),
    ast.Sub: (" - ", _SUM),
    ast.Mult: (" · ", _PRODUCT),
    ast.Div: (" / ", _PRODUCT),
    ast.FloorDiv: (" // ", _PRODUCT),
}
_COMPARISONS: dict[type[ast.AST], str] = {
    ast.Eq: "=", ast.NotEq: "≠", ast.Lt: "<", ast.LtE: "≤", ast.Gt: ">", ast.GtE: "≥",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip
_AROUND = {
    "sqrt": "√({})", "abs": "|{}|", "norm": "‖{}‖", "clone": "{}", "detach": "{}",
    "mean": "mean({})", "sum": "sum({})", "max": "max({})", "min": "min({})", "sign": "sign({})",
    "square": "({})²", "numel": "size({})", "dim": "dim({})", "any": "any({} ≠ 0)",
    "half": "float16({})", "bfloat16": "bfloat16({})", "to": "{}",
}  # fmt: skip
_MOVES = {
    "sub_": "{0} ← {0} - {1}", "add_": "{0} ← {0} + {1}", "mul_": "{0} ← {1} · {0}",
    "div_": "{0} ← {0} / {1}", "copy_": "{0} ← {1}",
}  # fmt: skip


def formula(node: ast.AST) -> str:
    """A statement or an expression of a rule as a formula; "nothing" for a `pass`."""
    match node:
        case ast.Pass():
            return "nothing"
        case ast.Assign(targets=targets, value=value):
            return f"{formula(targets[0])} ← {formula(value)}"
        case ast.Return(value=value):
            return "return" if value is None else f"g ← {formula(value)}"
        case ast.If(test=test, body=body):
            return f"{'; '.join(map(formula, body))}   if {formula(test)}"
        case ast.Expr(value=value):
            return formula(value)
        case ast.expr():
            return _written(node)[0]
        case _:
            return ast.unparse(node)


def _written(node: ast.expr) -> tuple[str, int]:
    """The text of an expression, and how tightly it holds together."""
    match node:
        case ast.Name(id=name):
            return SYMBOLS.get(name, name), _ATOM
        case ast.Constant(value=value):
            return f"{value:g}" if isinstance(value, float) else str(value), _ATOM
        case ast.Subscript(value=ast.Name(id="group" | "defaults"), slice=ast.Constant(value=key)):
            return SYMBOLS.get(str(key), str(key)), _ATOM
        case ast.Subscript(value=ast.Name(id="state"), slice=ast.Constant(value=key)):
            return SYMBOLS.get(str(key), str(key)), _ATOM
        case ast.Subscript(value=ast.Name(id="before"), slice=ast.Constant(value=key)):
            return f"{SYMBOLS.get(str(key), str(key))}ₜ₋₁", _ATOM
        case ast.Subscript(value=inner, slice=ast.Constant(value=int(index))):
            return f"{_tight(inner, _ATOM)}{'₁₂₃'[index] if index < 3 else index}", _ATOM
        case ast.Attribute(value=ast.Name(id="p"), attr="grad"):
            return "∇", _ATOM
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"-{_tight(operand, _SIGN)}", _SIGN
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(left, right), _POWER
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _binary(left, op, right)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return f"{_tight(left, _SUM)} {_COMPARISONS[type(op)]} {_tight(right, _SUM)}", -1
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return f"{formula(body)} if {formula(test)}, else {formula(orelse)}", -1
        case ast.Tuple(elts=elts):
            return f"({', '.join(map(formula, elts))})", _ATOM
        case ast.Call():
            return _call(node), _ATOM
        case _:
            return ast.unparse(node), _ATOM


def _tight(node: ast.expr, level: int) -> str:
    text, own = _written(node)
    return text if own >= level else f"({text})"


def _power(left: ast.expr, right: ast.expr) -> str:
    base, exponent = _tight(left, _ATOM), _written(right)[0]
    if exponent in ("0.5", "1 / 2"):
        return f"√({formula(left)})"
    if exponent == "1 / 3":
        return f"∛({formula(left)})"
    if exponent.isascii() and not set(exponent) - set("0123456789t-"):
        return base + exponent.translate(_SUPERSCRIPTS)
    return f"{base}^({exponent})"


def _binary(left: ast.expr, op: ast.operator, right: ast.expr) -> tuple[str, int]:
    sign, level = _OPERATORS[type(op)]
    if isinstance(op, ast.Mult) and ast.dump(left) == ast.dump(right):
        return f"{_tight(left, _ATOM)}²", _POWER
    match left:
        case ast.BinOp(left=factor, op=ast.Mult(), right=last) if isinstance(
            op, ast.Mult
        ) and ast.dump(last) == ast.dump(right):  # a · g · g is a · g²
            return f"{_tight(factor, level)}{sign}{_tight(right, _ATOM)}²", level
        case _:
            pass
    # a - (b - c) and a / (b · c) keep their parentheses
    strict = level + isinstance(op, ast.Sub | ast.Div)
    return f"{_tight(left, level)}{sign}{_tight(right, strict)}", level


def _call(node: ast.Call) -> str:
    arguments = [formula(argument) for argument in node.args]
    match node.func:
        case (
            ast.Name(id="min" | "max" as name) | ast.Attribute(value=ast.Name(id="math"), attr=name)
        ):
            return f"{name}({', '.join(arguments)})"
        case ast.Attribute(value=ast.Name(id="torch"), attr="zeros_like"):
            return "0"
        case ast.Attribute(value=ast.Name(id="torch"), attr="ones_like"):
            return "1"
        case ast.Attribute(value=ast.Name(id="torch"), attr="full_like"):
            return arguments[1]
        case ast.Attribute(value=ast.Name(id="torch"), attr=name):
            short = {"maximum": "max", "minimum": "min", "where": "where"}.get(name, name)
            return f"{short}({', '.join(arguments)})"
        case ast.Attribute(value=ast.Name(id="state"), attr="get"):
            key = node.args[0]
            name = str(key.value) if isinstance(key, ast.Constant) else formula(key)
            return SYMBOLS.get(name, name)
        case ast.Attribute(value=owner, attr=name) if name in _MOVES and arguments:
            level = {"sub_": _PRODUCT, "mul_": _PRODUCT, "div_": _ATOM}.get(name, -1)
            return _MOVES[name].format(formula(owner), _tight(node.args[0], level))
        case ast.Attribute(value=owner, attr="clamp"):
            given = [*arguments, *(f"{k.arg} {formula(k.value)}" for k in node.keywords)]
            return f"clamp({', '.join([formula(owner), *given])})"
        case ast.Attribute(value=owner, attr=name) if name in _AROUND:
            return _AROUND[name].format(formula(owner))
        case _:
            return ast.unparse(node)
