"""The playground: the rules in the browser, and the directive `playground` that puts it on a page.

When the site is built, everything that the page computes with is read from the package and written
to `_static/playground/data.js`: every elementwise rule translated from its source, the
hyper-parameters from the constructors, the buffers and their first values from the arguments that
the rule is really called with, the problems and their gradients by recording what autograd
computes, the mistakes from the catalogue: translated, or replayed from a run where they cannot be.

```{playground}
```

is the whole page, where `:optimizers: SGD Adam` says who races at first, `:settings:` (JSON) and
`:mistake:` what holds for the last of them; with `:small:` it is a map and sliders only, and with
`:moving:` it plays by itself.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import html
import inspect
import itertools
import json
import math
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from docutils import nodes
from docutils.parsers.rst import directives
from javascript import METHODS, Untranslatable, inlined, operators, signature, translate
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from torch.fx.experimental.proxy_tensor import make_fx
from two_columns import find, highlighted, split

import myoptim
from myoptim.course import mistakes
from myoptim.lab import plots
from myoptim.lab.errors import UsageError
from myoptim.lab.plots import element_names
from myoptim.lab.problems import PROBLEMS, Problem, Surface
from myoptim.lab.resolve import hyperparameters
from myoptim.lab.trace import problem_rate, trace
from myoptim.optimizer import declaration_of
from myoptim.rules import ElementwiseRule

#: Arguments that choose how a rule is run, or that make no sense where something is minimized.
FLAGS = ("foreach", "fused", "capturable", "differentiable", "maximize")
#: Combinations of hyper-parameters that are tried at most, to see what each asks for.
MOST_PATTERNS = 4096
#: A parameter and its gradient: what starts as one of them has its value in both.
PROBES = ((1.7, -0.6), (2.3, 0.9))
REPLAYED = ("square", "ravine", "himmelblau")
REPLAYED_STEPS = 100
#: A mistake that has not shown by then is not replayed.
SHOWN_BY = 8


# ------------------------------------------------------------------ reading the package


def rule_of(cls: type) -> Callable[..., None]:
    """The plain function that an optimizer's step comes down to.

    Raises:
        Untranslatable: it has none that works element by element.
    """
    rule = declaration_of(cls).rule
    if rule is None or not issubclass(cls, ElementwiseRule):
        raise Untranslatable("it does not have a rule that works element by element")
    return rule


def settings_of(cls: type) -> dict[str, Any]:
    """The hyper-parameters that can be played with, and their defaults."""
    return {
        name: default
        for name, default in hyperparameters(cls).items()
        if name not in FLAGS and isinstance(default, (bool, int, float, tuple))
    }


def _distinct(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with numbers of their own, so that each is known again where it turns up."""
    numbers = {
        name: value
        for name, value in settings.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    own = {name: 0.311 + 0.017 * place for place, name in enumerate(numbers)}
    return {**settings, **own}


def switches(settings: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What may decide on the state: each flag, and each number at zero or not."""
    return {
        name: (False, True) if isinstance(value, bool) else (0, value)
        for name, value in settings.items()
        if isinstance(value, (bool, int, float)) and name != "lr"
    }


@functools.cache
def patterns(cls: type) -> tuple[list[str], dict[str, Any]]:
    """Which switches matter, and for each of their positions what the optimizer starts with.

    That is `buffers` and `numbers`, each with a first value, which is a number, or the name of what
    it equals: `param`, `grad`, a hyper-parameter; and `decay`, the rule of weight decay or None. A
    position that the optimizer refuses has its message instead.
    """
    settings = _distinct(settings_of(cls))
    choices = switches(settings)
    names = list(choices)
    if 2 ** len(names) > MOST_PATTERNS:
        raise Untranslatable(f"{cls.__name__} has {len(names)} switches: too many to try")
    found: dict[tuple[bool, ...], Any] = {}
    for on in itertools.product((False, True), repeat=len(names)):
        choice = {name: choices[name][is_on] for name, is_on in zip(names, on, strict=True)}
        try:
            found[on] = start_of(cls, {**settings, **choice})
        except (ValueError, RuntimeError) as error:
            found[on] = str(error).partition(":")[0]
    for place in reversed(range(len(names))):  # a switch that changes nothing is left out
        if all(found[on] == found[_flipped(on, place)] for on in found):
            found = {on[:place] + on[place + 1 :]: value for on, value in found.items()}
            del names[place]
    return names, {"".join("01"[is_on] for is_on in on): value for on, value in found.items()}


def start_of(cls: type, settings: dict[str, Any]) -> dict[str, Any]:
    """What a fresh optimizer keeps of a parameter, and how weights decay.

    Raises:
        Untranslatable: state starts with something else than what `patterns` names.
        Whatever the optimizer raises, for settings that it refuses.
    """
    declared = declaration_of(cls)
    numbers = declared.numbers
    states: list[dict[str, float]] = []
    for value, gradient in PROBES:
        param = torch.tensor([value], dtype=torch.float64, requires_grad=True)
        optimizer = cls([param], **settings)
        group = optimizer.param_groups[0]
        optimizer._init_state(param, torch.tensor([gradient], dtype=torch.float64), group)
        states.append({name: float(kept) for name, kept in optimizer.state[param].items()})
    known = dict(zip(("param", "grad"), zip(*PROBES, strict=True), strict=True))
    known |= {k: (v, v) for k, v in settings.items() if type(v) in (int, float) and v}
    starts = {
        name: _named(tuple(state[name] for state in states), known, "first" in declared.takes)
        for name in states[0]
    }
    return {
        "buffers": {name: start for name, start in starts.items() if name not in numbers},
        "numbers": {name: start for name, start in starts.items() if name in numbers},
        "decay": declared.weight_decay(group),
    }


def _named(
    values: tuple[float, ...], known: dict[str, tuple[float, ...]], written: bool
) -> float | str:
    """A first value by the name of what it equals, or as a number; 0 where the rule writes it."""
    for name, others in known.items():
        if np.allclose(values, others, rtol=1e-6, atol=0):  # numbers of the state are float32
            return name
    if len(set(values)) == 1:
        return values[0]
    if written:
        return 0.0
    raise Untranslatable("its state starts with something unknown")


def _flipped(on: tuple[bool, ...], place: int) -> tuple[bool, ...]:
    return (*on[:place], not on[place], *on[place + 1 :])


def decays() -> dict[str, Callable[..., Any]]:
    """The rules of weight decay that the optimizers use, by name."""
    starts = [start for cls in optimizers()[0].values() for start in patterns(cls)[1].values()]
    found = [start["decay"] for start in starts if isinstance(start, dict) and start["decay"]]
    return {decay.__name__: decay for decay in found}


def _function(rule: Callable[..., None]) -> ast.FunctionDef:
    tree = ast.parse(textwrap.dedent(inspect.getsource(rule)))
    (function,) = tree.body
    assert isinstance(function, ast.FunctionDef)
    return function


def translated(rule: Callable[..., Any]) -> Code:
    """A rule in JavaScript, with the functions of its package that it calls."""
    package = rule.__module__.rpartition(".")[0]
    helpers = {
        name: _function(value)
        for name, value in vars(sys.modules[rule.__module__]).items()
        if inspect.isfunction(value)
        and value.__module__.rpartition(".")[0] == package
        and value is not rule
    }
    return Code(translate(_function(rule), helpers=helpers))


def symbols(rule: Callable[..., None]) -> dict[str, str]:
    """The letters that a rule's docstring gives its arguments: `θ = param`, `(β₁, β₂) = betas`."""
    text = inspect.getdoc(rule) or ""
    return {
        name: symbol.strip("()") for symbol, name in re.findall(r"(\([^)]*\)|\S+) = (\w+)", text)
    }


def rule_data(rule: Callable[..., None]) -> dict[str, Any]:
    """A rule as the page needs it: its translation, its lines, and what it takes."""
    function = _function(rule)
    source = textwrap.dedent(inspect.getsource(rule))
    named = find(source, function.name)
    _, body = split(source, named)
    taken = signature(function)
    return {
        "run": translated(rule),
        "tensors": list(taken.tensors[2:]),
        "numbers": list(taken.numbers),
        "symbols": symbols(rule),
        "lines": [
            {"at": line.number - named.lineno, "code": code, "formula": line.formula}
            for line, code in zip(body, highlighted(body), strict=True)
        ],
    }


def scale_of(default: float) -> dict[str, Any]:
    """How a number is set: on a linear scale, a logarithmic one, or by its distance from one."""
    if default <= 0:
        return {"scale": "linear", "low": 2 * default, "high": 0 if default else 1}
    if 0.5 <= default < 1:
        return {"scale": "complement", "low": 0, "high": 1 - 1e-4}
    decade = math.floor(math.log10(default))
    return {"scale": "log", "low": 10.0 ** (decade - 3), "high": 10.0 ** (decade + 4)}


#: To the place on a slider and back, as the page has it.
SCALES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "linear": (float, float),
    "log": (math.log10, lambda place: 10.0**place),
    "complement": (lambda value: -math.log10(1 - value), lambda place: 1 - 10.0**-place),
}
#: Places of a slider that are tried, to see what the optimizer allows.
PLACES = 41


def slider(default: float, allowed: Callable[[float], bool]) -> dict[str, Any]:
    """The scale of a number, as far around its default as is allowed."""
    scale = scale_of(default)
    to, back = SCALES[scale["scale"]]
    places = np.linspace(to(scale["low"]), to(scale["high"]), PLACES)
    values = [back(float(place)) for place in places]
    below = itertools.takewhile(allowed, [value for value in reversed(values) if value < default])
    above = itertools.takewhile(allowed, [value for value in values if value > default])
    return {**scale, "low": min([default, *below]), "high": max([default, *above])}


def controls(cls: type) -> list[dict[str, Any]]:
    """One for every hyper-parameter, a pair giving two."""
    named = symbols(rule_of(cls))
    for start in patterns(cls)[1].values():
        if isinstance(start, dict) and start["decay"]:
            named = symbols(start["decay"]) | named
    found: list[dict[str, Any]] = []
    for name, default in settings_of(cls).items():
        if isinstance(default, bool):
            found.append({"name": name, "scale": "switch", "default": default})
            continue
        values = default if isinstance(default, tuple) else (default,)
        letters = named.get(name, "").split(", ")
        for place, value in enumerate(values):
            index = place if isinstance(default, tuple) else None
            letter = letters[place] if place < len(letters) else ""
            control = {"name": name, "index": index, "symbol": letter, "default": value}
            found.append(control | slider(value, functools.partial(_in_range, cls, name, place)))
    return found


def _in_range(cls: type, name: str, place: int, value: float) -> bool:
    """Whether a number is in the range of a hyper-parameter, or of one place of it."""
    default = settings_of(cls)[name]
    whole = default if isinstance(default, tuple) else (default,)
    changed = (*whole[:place], value, *whole[place + 1 :])
    try:
        declaration_of(cls).ranges[name](name, changed if isinstance(default, tuple) else value)
    except (ValueError, KeyError):
        return name not in declaration_of(cls).ranges
    return True


def optimizer_data(cls: type) -> dict[str, Any]:
    """An optimizer as the page needs it."""
    matter, starts = patterns(cls)
    declared = declaration_of(cls)
    return {
        "rule": rule_of(cls).__name__,
        "controls": controls(cls),
        "switches": matter,
        "starts": starts,
        "exact": declared.number_type is torch.float64,
        "numbersBefore": number_rule(declared.before),
        "numbersAfter": number_rule(declared.after),
    }


def number_rule(rule: Callable[..., None] | None) -> dict[str, Any] | None:
    """A rule for numbers of the state: those that it changes, and its translation."""
    if rule is None:
        return None
    return {"changes": list(signature(_function(rule)).tensors), "run": translated(rule)}


# ------------------------------------------------------------------ problems


def is_playable(problem: Problem) -> bool:
    """Whether its loss is a function of two numbers, and nothing is drawn at random."""
    return isinstance(problem, Surface) and len(element_names(problem.start().params)) == 2


def function_js(problem: Surface) -> tuple[Code, Code]:
    """The loss, and its gradient, as functions of two numbers: what torch and its autograd compute,
    recorded operator by operator and so in the same order.

    Raises:
        Untranslatable: an operator is not in the table.
    """
    params = problem.start().params

    def loss(*values: torch.Tensor) -> torch.Tensor:
        return problem.function(**dict(zip(params, values, strict=True)))

    values = [param.detach() for param in params.values()]
    gradient = torch.func.grad(loss, argnums=tuple(range(len(values))))
    return tuple(_recorded(function, values) for function in (loss, gradient))


def _recorded(function: Callable[..., Any], values: list[torch.Tensor]) -> Code:
    """A function of tensors that hold two numbers in all, unrolled into scalars."""
    graph = make_fx(function)(*values).graph
    graph.eliminate_dead_code()
    letters = iter("xy")
    known: dict[Any, list[str]] = {}
    lines: list[str] = []
    for node in graph.nodes:
        size = node.meta["val"].numel() if "val" in node.meta else 0
        if node.op == "placeholder":
            known[node] = [next(letters) for _ in range(size)]
        elif node.op == "output":
            (made,) = node.args
            numbers = [name for one in _listed(made) for name in known[one]]
            result = f"[{', '.join(numbers)}]" if isinstance(made, tuple) else numbers[0]
            return Code(f"(x, y) => {{ {' '.join(lines)} return {result}; }}")
        else:
            known[node] = [f"{node.name}_{place}" for place in range(size)]
            for place, name in enumerate(known[node]):
                lines.append(f"const {name} = {_scalar_of(node, known, place)};")
    raise Untranslatable("a function without a result")


def _listed(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _scalar_of(node: Any, known: dict[Any, list[str]], place: int) -> str:
    """One number of what a recorded operator gives."""
    name = node.target.overloadpacket.__name__
    given = [known.get(argument, [repr(argument)]) for argument in _hashable(node.args)]
    if name == "sum":
        return " + ".join(given[0])
    if name == "expand":
        return given[0][min(place, len(given[0]) - 1)]
    if name not in METHODS:
        raise Untranslatable(f"{name} is not in the vocabulary")
    return inlined(name, [values[min(place, len(values) - 1)] for values in given])


def _hashable(arguments: Any) -> list[Any]:
    return [tuple(value) if isinstance(value, list) else value for value in arguments]


def problem_data(problem: Surface) -> dict[str, Any]:
    """A problem as the page needs it."""
    params = problem.start().params
    names = element_names(params)
    loss, gradient = function_js(problem)
    start = [number for param in params.values() for number in param.detach().flatten().tolist()]
    window = problem.window
    assert window is not None
    return {
        "title": problem.title,
        "formula": problem.formula,
        "look": problem.look_at,
        "loss": loss,
        "gradient": gradient,
        "names": names,
        "sizes": [param.numel() for param in params.values()],
        "start": start,
        "minima": [
            [number for value in point.values() for number in value.flatten().tolist()]
            for point in problem.minima()
        ],
        "window": window,
        "steps": problem.steps,
        "rates": {
            name: rate["lr"]
            for name, cls in optimizers()[0].items()
            if (rate := problem_rate(problem, cls))
        },
    }


# ------------------------------------------------------------------ mistakes


def mistake_code(text: str, optimizer: str) -> dict[str, str]:
    """A wrong solution's three methods in JavaScript.

    Raises:
        Untranslatable: the mistake lies outside of them, or in words that cannot be translated.
    """
    right = mistakes.source(optimizer)
    frame, _, _ = right.partition("\n\n    def decay")
    if not text.startswith(frame):
        raise Untranslatable("the mistake lies in the loop over the parameters")
    classes = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    original = {node.name: node for node in ast.parse(right).body if isinstance(node, ast.ClassDef)}
    for name, node in classes.items():
        constructors = [
            ast.dump(method)
            for owner in (node, original[name])
            for method in owner.body
            if isinstance(method, ast.FunctionDef) and method.name == "__init__"
        ]
        if len(set(constructors)) > 1:
            raise Untranslatable("the mistake lies in the constructor")
    return {name: translate(_method(classes, optimizer, name), ("self",)) for name in PARTS}


#: The methods of a solution that a mistake may change.
PARTS = ("start", "decay", "update")


def _method(classes: dict[str, ast.ClassDef], cls: str, name: str) -> ast.FunctionDef:
    """A method as the class has or inherits it."""
    for node in classes[cls].body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    base = classes[cls].bases[0]
    assert isinstance(base, ast.Name)
    return _method(classes, base.id, name)


def mistake_data(optimizer: str, texts: dict[str, int]) -> Iterator[dict[str, Any]]:
    """The mistakes that this optimizer can be made with, right ones being left out.

    Args:
        optimizer: its name.
        texts: every piece of JavaScript met so far with its number, to write each once.
    """
    for mistake in mistakes.CATALOGUE.values():
        if optimizer not in mistake.optimizers:
            continue
        wrong = next(mistakes.forms(mistake, optimizer))
        told = {"id": mistake.id, "what": mistake.what, "hint": mistake.hint, "kind": mistake.kind}
        told["shows"] = mistake.shows
        try:
            code = mistake_code(wrong, optimizer)
            yield told | {name: texts.setdefault(js, len(texts)) for name, js in code.items()}
        except Untranslatable:
            runs = replays(wrong, optimizer)
            if runs:
                yield told | {"replays": runs}


@functools.cache
def slips() -> tuple[dict[str, list[dict[str, Any]]], dict[str, int]]:
    """The mistakes of every optimizer, and the pieces of JavaScript that they number."""
    texts: dict[str, int] = {}
    names = [name for name in optimizers()[0] if name in mistakes.SOLUTIONS]
    return {name: list(mistake_data(name, texts)) for name in names}, texts


def replays(text: str, optimizer: str) -> dict[str, list[list[float | None]]]:
    """The runs of a wrong solution, on each problem where they are not those of the right one."""
    found: dict[str, list[list[float | None]]] = {}
    right = mistakes.load(mistakes.source(optimizer), optimizer)
    wrong = mistakes.load(text, optimizer)
    for name in REPLAYED:
        problem = PROBLEMS[name]
        with contextlib.suppress(UsageError):  # it raises: nothing to draw
            first = [_path(cls, problem, SHOWN_BY) for cls in (right, wrong)]
            if not np.array_equal(*first, equal_nan=True):
                path = _path(wrong, problem, min(problem.steps, REPLAYED_STEPS))
                found[name] = [list(map(_short, point)) for point in path]
    return found


def _path(cls: type, problem: Problem, steps: int) -> Any:
    run = trace(cls, problem, settings=problem_rate(problem, cls), steps=steps + 1)
    columns = [run.param(name).reshape(steps + 1, -1) for name in run.rows[0].params]
    return np.concatenate(columns, axis=1)


def _short(number: float) -> float | None:
    """For the eye: seven digits; what is not finite is not drawn."""
    return float(f"{number:.7g}") if math.isfinite(number) else None


# ------------------------------------------------------------------ the file


class Code(str):
    """JavaScript, to be written as it stands."""


def write(value: Any) -> str:
    """A value as JavaScript."""
    if isinstance(value, Code):
        return value
    if isinstance(value, dict):
        return "{" + ",\n".join(f"{json.dumps(k)}: {write(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(write, value)) + "]"
    if callable(value):
        return json.dumps(value.__name__)
    return json.dumps(value)


def playable() -> dict[str, Surface]:
    """The problems that the page has."""
    return {name: problem for name, problem in PROBLEMS.items() if is_playable(problem)}


@functools.cache
def optimizers() -> tuple[dict[str, type], dict[str, str]]:
    """The optimizers that the page has, and why it has not the others."""
    reasons = {name: why_not(cls) for name, cls in myoptim.OPTIMIZERS.items()}
    found = {name: cls for name, cls in myoptim.OPTIMIZERS.items() if not reasons[name]}
    return found, {name: reason for name, reason in reasons.items() if reason}


def why_not(cls: type) -> str:
    """Why an optimizer cannot be played with; empty where it can."""
    try:
        function = _function(rule_of(cls))
        translated(rule_of(cls))
        known = {*settings_of(cls), *declaration_of(cls).numbers, "first"}
        missing = set(signature(function).numbers) - known
        if missing:
            return f"its rule needs {', '.join(sorted(missing))} from outside"
        optimizer_data(cls)
    except Untranslatable as error:
        return str(error)
    return ""


def data() -> str:
    """All that the page computes with, as a script."""
    found, left_out = optimizers()
    rules = {rule_of(cls).__name__: rule_of(cls) for cls in found.values()}
    wrong, texts = slips()
    styles = plots.styles(found)
    whole = {
        "rules": {name: rule_data(rule) for name, rule in rules.items()},
        "decays": {name: rule_data(decay) for name, decay in decays().items()},
        "optimizers": {
            name: {**optimizer_data(cls), "colour": styles[name]["color"]}
            for name, cls in found.items()
        },
        "leftOut": left_out,
        "problems": {name: problem_data(problem) for name, problem in playable().items()},
        "mistakes": wrong,
        "methods": list(map(Code, texts)),
    }
    fields = "\n".join(f"{json.dumps(key)}: {write(value)}," for key, value in whole.items())
    return (
        "// Written when the site is built, from the package's own source. Not to be edited.\n"
        f'"use strict";\nconst op = {{}};\nconst MYOPTIM = {{\n{operators()}\n{fields}\n}};\n'
    )


def write_data(app: Sphinx) -> None:
    """Put the script beside the page's own."""
    if app.builder.format != "html":
        return
    target = Path(app.outdir) / "_static" / "playground" / "data.js"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(data(), encoding="utf-8")


# ------------------------------------------------------------------ the directive


class Playground(SphinxDirective):
    """The playground, or a small one for some optimizers; its content is shown without scripts."""

    has_content = True
    option_spec = {
        "optimizers": directives.unchanged_required,
        "problem": directives.unchanged_required,
        "mistake": directives.unchanged_required,
        "settings": json.loads,
        "small": directives.flag,
        "moving": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        settings = {
            "optimizers": self.options.get("optimizers", "SGD Momentum Adam").split(),
            "problem": self.options.get("problem", "ravine"),
            "mistake": self.options.get("mistake", ""),
            "settings": self.options.get("settings", {}),
            "small": "small" in self.options,
            "moving": "moving" in self.options,
        }
        root = "../" * self.env.docname.count("/")
        told = html.escape(json.dumps(settings))
        frame = (
            f'<div class="playground" data-settings="{told}" data-root="{root}"><noscript><p>The '
            "playground needs JavaScript; everything it shows is also on the pages of the "
            "optimizers.</p></noscript></div>"
        )
        scripts = "".join(
            f'<script defer src="{root}_static/playground/{name}.js"></script>'
            for name in ("data", "engine", "page")
        )
        style = f'<link rel="stylesheet" href="{root}_static/playground/playground.css">'
        first = "playground" not in self.env.temp_data  # one set of scripts serves all on a page
        self.env.temp_data["playground"] = True
        return [nodes.raw("", frame + (style + scripts if first else ""), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("playground", Playground)
    app.connect("builder-inited", write_data)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
