r"""What docstrings and pages state in LaTeX, held to what the optimizer does.

An equation such as `m_t &= \beta_1\, m_{t-1} + (1 - \beta_1)\, g_t` is translated to the signs of
`lab.formulas` and evaluated beside the optimizer's own steps, in float64: what is on the left must
be what the parameter or the state has become. A block of equations belongs together: it states a
setting of the optimizer (with momentum, without) if all its equations hold in that setting, with
every hyper-parameter in it other than zero. The first block of a text states the optimizer as it
is, with its flags as they are by default.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy  # pyright: ignore[reportMissingTypeStubs]
import torch

from myoptim.lab import formulas
from myoptim.lab.formulas import Expression, FormulaError, Letters
from myoptim.lab.proof import evaluate
from myoptim.lab.resolve import hyperparameters, rule_of, variants
from myoptim.optimizer import declaration_of

_STEPS = 4
_COMMANDS = {
    **{f"\\{command}": sign for sign, command in formulas.GREEK.items()},
    r"\epsilon": "ε", r"\phi": "φ", r"\infty": "∞", r"\cdot": "·", r"\odot": "·", r"\times": "·",
    r"\leftarrow": "←", r"\lVert": "‖", r"\rVert": "‖", r"\prime": "′", r"\max": "max",
    r"\min": "min", r"\le": "≤", r"\ge": "≥", r"\ne": "≠", r"\log": "log", r"\exp": "exp",
    r"\tanh": "tanh",
    **dict.fromkeys((r"\left", r"\right", r"\,", r"\;", r"\:", r"\!", "&"), " "),
}  # fmt: skip
_MARKS = {f"\\{command}": mark for mark, command in formulas.MARKS.items()}
_BELOW = {
    **{letter: sign for sign, letter in formulas.SUBSCRIPTS.items()},
    "-": "₋",
    "∞": "∞",
    " ": "",
}
_NOW, _BEFORE, _FIRST = "ₜ", "ₜ₋₁", "₁"


@dataclass(frozen=True)
class Equation:
    """One equation: a letter with its time, and what it is."""

    latex: str
    left: str
    right: Expression


# --------------------------------------------------------------------------- reading LaTeX


def blocks(text: str) -> Iterator[str]:
    """The mathematics set apart in a docstring (`.. math::`) or a page (`$$`), and by itself each
    equation within a docstring's sentences (`:math:`)."""
    yield from re.findall(r"\$\$(.*?)\$\$", text, flags=re.DOTALL)
    yield from re.findall(r"^ *\.\. math::\n((?:\n| +.*\n)*?)(?=\n *\S|\Z)", text, flags=re.M)
    yield from re.findall(r":math:`([^`]*)`", text)


def equations(block: str) -> list[Equation]:
    """The equations in a block that say what a letter is at time t, or at time 1.

    Raises:
        FormulaError: one of them uses something that formulas do not have.
    """
    block = re.sub(r"\\(begin|end)\{aligned\}", " ", block)
    found: list[Equation] = []
    for part in re.split(r"\\\\|\\qquad|\\quad|,\s*(?=\S+ *=)", block):
        latex = " ".join(part.strip(" \n,.").split())
        left, equals, right = latex.replace("&=", "=").strip("& ").partition("=")
        if not equals or not re.search(r"_(t|1|\{t\})\s*$", left.strip("& ")):
            continue
        name = normalized_latex(left).strip()
        if re.fullmatch(r"\S+[ₜ₁]", name):
            value = formulas.parse(normalized_latex(right)).value
            found.append(Equation(latex, formulas.normalized(name), value))
    return found


def normalized_latex(tex: str) -> str:
    """LaTeX in the signs of formulas: Greek letters, accents, fractions, roots, sub- and
    superscripts."""
    out, rest = "", tex.strip()
    while rest:
        if rest[0] in "_^":
            argument, after = _argument(rest[1:])
            inner = normalized_latex(argument)
            below = "".join(_BELOW.get(sign, sign) for sign in inner)
            out, rest = out.rstrip() + (below if rest[0] == "_" else f"^({inner})"), after
        elif rest[0] == "\\":
            text, rest = _command(rest)
            out += text
        elif rest[0] in "{}":
            rest = rest[1:]
        else:
            out, rest = out + (" " if rest[0] == "&" else rest[0]), rest[1:]
    return out


def _argument(tex: str) -> tuple[str, str]:
    """The argument at the start of a text, a sign or what stands in braces, and what follows."""
    tex = tex.lstrip()
    if tex.startswith("\\"):
        end = re.match(r"\\[A-Za-z]+|\\.", tex)
        return (end.group(), tex[end.end() :]) if end else (tex, "")
    if not tex.startswith("{"):
        return tex[:1], tex[1:]
    depth = 0
    for place, sign in enumerate(tex):
        depth += (sign == "{") - (sign == "}")
        if depth == 0:
            return tex[1:place], tex[place + 1 :]
    raise FormulaError(f"a brace is not closed in {tex!r}")


def _command(tex: str) -> tuple[str, str]:
    """The signs for the command at the start of a text, with its arguments, and what follows."""
    match = re.match(r"\\[A-Za-z]+|\\.", tex)
    command = match.group() if match else tex
    rest = tex[len(command) :]
    if command in _COMMANDS:
        return _COMMANDS[command], rest
    first, rest = _argument(rest)
    inner = normalized_latex(first)
    if command in _MARKS:
        return inner + _MARKS[command], rest
    if command == r"\sqrt":
        return f"√({inner})", rest
    if command in (r"\frac", r"\tfrac", r"\dfrac"):
        below, rest = _argument(rest)
        return f"(({inner}) / ({normalized_latex(below)}))", rest
    if command in (r"\operatorname", r"\mathrm"):
        return inner, rest
    raise FormulaError(f"nothing says what {command} means in {tex!r}")


# --------------------------------------------------------------------------- holding it


@dataclass(frozen=True)
class Stated:
    """What became of the equations of a text.

    Attributes:
        held: the equations that say what the optimizer does.
        wrong: blocks of equations that hold together in no setting of the optimizer.
        unread: equations that cannot be read, with the reason.
    """

    held: list[Equation]
    wrong: list[str]
    unread: list[str]


def hold(cls: type[torch.optim.Optimizer], text: str) -> Stated:
    """Hold the equations of a docstring or page to an optimizer of ours.

    Args:
        cls: a class whose rule says in its docstring what letters mean; those of other
            hyper-parameters are taken from the class's own docstring.
        text: where LaTeX stands.
    """
    letters = _letters(cls)
    stated = Stated([], [], [])
    for block in blocks(text):
        try:
            found = equations(block)
        except FormulaError as error:
            stated.unread.append(str(error))
            continue
        if not found:
            continue
        is_first = not (stated.held or stated.wrong)
        settings = [one for one in variants(cls) if not is_first or _is_usual(cls, one)]
        if any(_holds(found, cls, letters, chosen) for chosen in settings):
            stated.held.extend(found)
        else:
            stated.wrong.append("; ".join(equation.latex for equation in found))
    return stated


def _is_usual(cls: type, chosen: Mapping[str, Any]) -> bool:
    """Whether all flags are as they are by default."""
    usual = hyperparameters(cls)
    return all(value == usual[name] for name, value in chosen.items() if isinstance(value, bool))


def _letters(cls: type) -> Letters:
    rule = rule_of(cls)
    if rule is None:
        raise FormulaError(f"{cls.__name__} has no rule that says what letters mean")
    parameters = inspect.signature(rule).parameters
    letters = formulas.read_letters(rule.__doc__ or "", parameters)
    named = {name for name, _ in letters.arguments.values()}
    for name in parameters.keys() - named:  # what has no letter goes by its own name
        letters.arguments.setdefault(name, (name, None))
    for base in cls.__mro__:
        for name, tex in re.findall(r"^ +(\w+): :math:`([^`]*)`", base.__doc__ or "", re.M):
            parts = normalized_latex(tex.split(r"\ge")[0]).strip()
            if re.fullmatch(r"\w+", parts):
                letters.arguments.setdefault(formulas.normalized(parts), (name, None))
    return letters


def _holds(
    found: Sequence[Equation], cls: type, letters: Letters, chosen: Mapping[str, Any]
) -> bool:
    used = {name for equation in found for name in names_in(equation.right)}
    for letter, (name, _) in letters.arguments.items():
        if letter in used and name in chosen and not chosen[name]:
            return False
    try:
        return all(_holds_at(row, found, letters) for row in _steps(cls, chosen))
    except (ValueError, FormulaError):  # settings that are not allowed, state that is not there
        return False


def names_in(node: Any) -> set[str]:
    """The names in an expression."""
    if isinstance(node, formulas.Symbol):
        return {node.name}
    parts = node if isinstance(node, tuple) else getattr(node, "__dict__", {}).values()
    return set[str]().union(*map(names_in, parts))


@dataclass(frozen=True)
class _Step:
    """One step of a run: what was there before, what after, by the names of the rule."""

    number: int
    before: dict[str, Any]
    after: dict[str, Any]


def _steps(cls: Callable[..., Any], chosen: Mapping[str, Any]) -> Iterator[_Step]:
    numbers = np.random.default_rng(0)
    param = torch.nn.Parameter(torch.tensor(numbers.normal(size=2)))
    optimizer = cls([param], **chosen)
    for number in range(1, _STEPS + 1):
        param.grad = torch.tensor(numbers.normal(size=2))
        before = _start(param, optimizer) | _values(param, optimizer)
        optimizer.step()
        yield _Step(number, before, _values(param, optimizer) | {"step": number})


def _values(param: torch.nn.Parameter, optimizer: Any) -> dict[str, Any]:
    tensors: dict[str, Any] = {"param": param, "grad": param.grad, **optimizer.state[param]}
    return {**optimizer.param_groups[0], **_first_elements(tensors)}


def _start(param: torch.nn.Parameter, optimizer: Any) -> dict[str, float]:
    """What buffers start with, but for a rule that fills them at the first step."""
    declared, group = declaration_of(optimizer), optimizer.param_groups[0]
    if "first" in declared.takes or param.grad is None:
        return {}
    names = declared.buffer_names(param, group)
    return _first_elements(
        {name: declared.new_buffer(name, param, param.grad, group) for name in names}
    )


def _first_elements(tensors: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value.detach().reshape(-1)[0]) for name, value in tensors.items()}


def _holds_at(step: _Step, found: Sequence[Equation], letters: Letters) -> bool:
    made: dict[str, float] = {}
    begun = {equation.left[:-1] for equation in found if _is_of_the_start(equation, letters)}
    for equation in found:
        letter = equation.left[:-1]
        if (step.number == 1) != _is_of_the_start(equation, letters) and letter in begun:
            continue
        value = float(evaluate(equation.right, _look_up(step, letters, made)))
        if letter in letters.arguments or letter in letters.abbreviations:
            meant = float(_look_up(step, letters, {})(letter + _NOW))
            if not np.isclose(value, meant, rtol=1e-10, atol=1e-14):
                return False
        made[letter] = value
    return True


def _is_of_the_start(equation: Equation, letters: Letters) -> bool:
    return equation.left.endswith(_FIRST) and equation.left not in letters.arguments


def _look_up(step: _Step, letters: Letters, made: Mapping[str, float]) -> Any:
    """The values of letters with their times."""

    def value(name: str) -> Any:
        if name == "t":
            return sympy.Integer(step.number)
        if name in letters.arguments:  # a hyper-parameter, which has no time
            return _given(step.before, *letters.arguments[name])
        letter = name.removesuffix(_BEFORE)
        if letter != name and letter in letters.arguments:
            # Other state that a first step makes starts at zero.
            return sympy.Float(step.before.get(letters.arguments[letter][0], 0.0))
        return now(name.removesuffix(_NOW) if name.endswith(_NOW) else name.removesuffix(_FIRST))

    def now(name: str) -> Any:
        if name in made:
            return sympy.Float(made[name])
        if name in letters.arguments:
            return _given(step.after, *letters.arguments[name])
        if name in letters.abbreviations:
            return evaluate(letters.abbreviations[name], now)
        raise FormulaError(f"nothing says what {name} stands for")

    return value


def _given(values: Mapping[str, Any], name: str, index: int | None) -> Any:
    if name not in values:
        raise FormulaError(f"there is no {name} in this setting")
    return sympy.Float(float(values[name] if index is None else values[name][index]))
