"""Read a call such as `keras.optimizers.RMSprop(1e-3, momentum=0.9)` without evaluating it.

>>> parse("optax:adam(1e-3, b1=0.95)")
Call(framework='optax', name='adam', positional=(0.001,), keywords={'b1': 0.95})
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from myoptim.lab.errors import UsageError, unknown
from myoptim.lab.frameworks.dictionary import FRAMEWORKS, PARAMS, REQUIRED, Entry

_EXAMPLE = "keras.optimizers.RMSprop(1e-3, momentum=0.9), or keras:RMSprop(1e-3, momentum=0.9)"
_PARAMS = (PARAMS, "parameters")
_LONGEST = 2000


@dataclass(frozen=True)
class Code:
    """An argument that is no literal, as it was written: the parameters to optimize."""

    text: str

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Call:
    """A call that was read.

    Attributes:
        framework: a key of `FRAMEWORKS`.
        name: the optimizer.
        positional: the values without a name.
        keywords: the values with one.
    """

    framework: str
    name: str
    positional: tuple[Any, ...]
    keywords: Mapping[str, Any]


def parse(text: str) -> Call:
    """Read a call, or the name of an optimizer alone.

    Raises:
        UsageError: it is none, its framework is not known, or a value is no literal.
    """
    if len(text) > _LONGEST:
        raise UsageError(f"a call has up to {_LONGEST} characters; got one of {len(text)}")
    framework, colon, rest = text.partition(":")
    if not (colon and framework.strip().isidentifier()):
        framework, rest = "", text
    tree = _expression(rest, text)
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    if isinstance(tree, ast.Call):
        if any(isinstance(node, ast.Starred) for node in tree.args):
            raise UsageError(f"* is not read: write the arguments out in {text!r}")
        positional = [_value(node, text) for node in tree.args]
        for keyword in tree.keywords:
            if keyword.arg is None:
                raise UsageError(f"** is not read: write the arguments out in {text!r}")
            if keyword.arg in keywords:
                raise UsageError(f"{keyword.arg} is given twice in {text!r}")
            keywords[keyword.arg] = _value(keyword.value, text)
        tree = tree.func
    place, _, name = _dotted(tree, text).rpartition(".")
    framework = _framework(framework.strip(), place, text)
    if framework == "sklearn" and name in ("MLPClassifier", "MLPRegressor"):
        name = keywords.pop("solver", "adam")
        if not isinstance(name, str):
            raise UsageError(f"solver must be written as a text, such as 'adam'; got {name!r}")
    return Call(framework, name, tuple(positional), keywords)


def _expression(code: str, text: str) -> ast.expr:
    try:
        return ast.parse(code.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UsageError(f"expected a call such as {_EXAMPLE}; got {text!r}") from None


def _dotted(node: ast.expr, text: str) -> str:
    """A name with dots."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, text)}.{node.attr}"
    raise UsageError(f"expected a call such as {_EXAMPLE}; got {text!r}")


def _framework(framework: str, place: str, text: str) -> str:
    if framework:
        if framework not in FRAMEWORKS:
            raise unknown("framework", framework, FRAMEWORKS)
        return framework
    for known in FRAMEWORKS.values():
        if place in known.places:
            return known.name
    places = ", ".join(known.places[0] for known in FRAMEWORKS.values())
    raise UsageError(
        f"which framework's optimizer is {text!r}? Write its module too: {places}; "
        "or keras:Adam, optax:adam, …"
    )


def _value(node: ast.expr, text: str) -> Any:
    """The value of a literal; other code as it was written."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return Code(ast.unparse(node))


def bind(entry: Entry, call: Call) -> dict[str, Any]:
    """The arguments that a call gives, by the framework's names.

    Raises:
        UsageError: an argument that there is not or that is given twice, too many, or code where
            a number is expected.
    """
    names = list(entry.arguments)
    if len(call.positional) > len(names):
        raise UsageError(
            f"{entry.place} takes {len(names)} arguments ({', '.join(names)}); "
            f"given were {len(call.positional)} without a name"
        )
    given = dict(zip(names, call.positional, strict=False))
    for name, value in call.keywords.items():
        if name not in entry.arguments:
            raise unknown(f"argument of {entry.place}", name, names)
        if name in given:
            raise UsageError(f"{name} of {entry.place} is given twice")
        given[name] = value
    for name, value in given.items():
        if name in _PARAMS:
            _check_params(name, value, entry)
        elif name in entry.read:
            _check_value(name, value, entry)
    return given


def _check_params(name: str, value: Any, entry: Entry) -> None:
    """What to optimize may be any code, but no number, and no group with settings of its own."""
    if not isinstance(value, Code | list | tuple | None):
        raise UsageError(f"{name} of {entry.place} must be parameters; got {value!r}")
    code = value.text if isinstance(value, Code) else repr(value)
    settings = [
        key.value
        for node in ast.walk(ast.parse(code, mode="eval"))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and key.value != PARAMS
    ]
    if settings:
        raise UsageError(
            f"parameter groups with settings of their own ({', '.join(map(str, settings))}) are "
            "not read: translate the call once for each group, with its settings as arguments"
        )


def check_literal(name: str, value: Any, entry: Entry) -> None:
    """Raise a UsageError if an argument is code."""
    if not isinstance(value, Code):
        return
    hint = ""
    if entry.words.get("lr") == name:
        hint = ". For a schedule write its first rate; the verdict says whether lr may change"
    raise UsageError(
        f"{name} of {entry.place} must be written as a literal, such as 0.9 or True; "
        f"got {value!r}, which is not evaluated{hint}"
    )


def _check_value(name: str, value: Any, entry: Entry) -> None:
    """Raise a UsageError if an argument is no literal, or not of its default's kind."""
    check_literal(name, value, entry)
    default = entry.arguments[name]
    if isinstance(default, bool):
        fits, allowed = isinstance(value, bool), "True or False"
    elif isinstance(default, float | int) or default is REQUIRED:
        fits, allowed = _is_number(value), "a finite number"
    elif default is None:
        fits, allowed = value is None or isinstance(value, str) or _is_number(value), "a number"
    else:
        kind = str if isinstance(default, str) else (list, tuple)
        fits, allowed = isinstance(value, kind), f"written like {default!r}"
    if not fits:
        raise UsageError(f"{name} of {entry.place} must be {allowed}; got {value!r}")


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, float | int):
        return False
    return -sys.float_info.max <= value <= sys.float_info.max
