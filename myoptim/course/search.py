"""Search the small edits of a rule for those that do what a submission did.

An edited rule is first run by itself, tensor by tensor, on the gradients of the probe where the
submission leaves the reference; nearly all are out after one step of one parameter. What survives
runs as a whole optimizer through every probe, as the submission did. How many are tried is bounded
by number, never by time, so a submission is told the same on any machine.
"""

import ast
import inspect
import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from myoptim.course.edits import RARE, Edit, edits, methods_of, put
from myoptim.course.exercise import Probe, Record

MAX_EDITS = 20_000
"""How many edits of one rule are tried."""

_PRELUDE = ast.parse(
    """
own = self.state[p]
age = own["age in METHOD"] = own.get("age in METHOD", 0) + 1
last, own["last in METHOD"] = own.get("last in METHOD", torch.zeros_like(g)), g
before = {key: torch.zeros_like(g) if value is None else value for key, value in own.items()}
"""
).body
_PRELUDE_NAMES = frozenset({"age", "before", "last"})


@dataclass(frozen=True)
class Rule:
    """What is searched: a class as source, with the methods that hold its rule.

    Attributes:
        cls: the class as it runs in probes.
        methods: its methods by name, as syntax trees, edits made included.
        text: its source, from which hyper-parameters of the state are read.
        hyper: the constructor's hyper-parameters, with their defaults.
    """

    cls: type[Any]
    methods: dict[str, ast.FunctionDef]
    text: str
    hyper: dict[str, Any]

    @classmethod
    def of(cls, text: str, optimizer: str, built: type[Any]) -> "Rule":
        """The rule of a class in a text that defines its bases too."""
        parameters = inspect.signature(built.__init__).parameters.values()
        hyper = {p.name: p.default for p in parameters if p.default is not p.empty}
        for base in built.__mro__[1:]:
            for p in inspect.signature(base.__init__).parameters.values():
                if p.default is not p.empty:
                    hyper.setdefault(p.name, p.default)
        own = {k: v for k, v in hyper.items() if f'"{k}"' in text}
        return cls(built, methods_of(text, optimizer), text, own)

    def with_edit(self, edit: Edit) -> "Rule":
        """The rule with one more edit made."""
        function = compiled(edit.function)
        built = type(self.cls.__name__, (self.cls,), {edit.method: function})
        return Rule(built, {**self.methods, edit.method: edit.function}, self.text, self.hyper)

    def edits(self) -> Iterator[Edit]:
        """All edits of the rule, as many as are tried."""
        for count, edit in enumerate(edits(self.methods, self.text, self.hyper)):
            if count == MAX_EDITS:
                return
            yield edit


def compiled(function: ast.FunctionDef) -> Callable[..., Any]:
    """The function that a syntax tree of this package defines."""
    bare = put(function, (("decorator_list", None),), [])
    made = _made(bare)
    if not _PRELUDE_NAMES & set(made.__code__.co_names):
        return made
    return _made(_with_prelude(bare))


def as_source(text: str, optimizer: str, edit: Edit) -> str:
    """The source of a class with an edit of one of its methods made."""
    function = put(edit.function, (("decorator_list", None),), [])
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    whole = _with_prelude(function) if names & _PRELUDE_NAMES else function
    changed = f"{ast.unparse(whole)}\n\n\n{optimizer}.{edit.method} = {edit.method}\n"
    return f"{text}\n\nimport math\n\n{changed}" if "math." in changed else f"{text}\n\n{changed}"


def _made(function: ast.FunctionDef) -> Callable[..., Any]:
    namespace: dict[str, Any] = {"torch": torch, "math": math, "Tensor": Tensor, "Any": Any}
    exec(compile(ast.Module([function], []), "<edited>", "exec"), namespace)
    return namespace[function.name]


def _with_prelude(function: ast.FunctionDef) -> ast.FunctionDef:
    return put(function, (("body", None),), [*_prelude(function.name), *function.body])


def _prelude(method: str) -> list[ast.stmt]:
    """What counts a parameter's steps and remembers what was, for one method."""
    text = ast.unparse(ast.Module(_PRELUDE, [])).replace("METHOD", method)
    return ast.parse(text).body


class _Direct:
    """A rule run by itself: no constructor, no groups, no hooks, one parameter."""

    def __init__(self, rule: Rule, probe: Probe, names: dict[str, Any], record: Record) -> None:
        given = {key: value for key, value in probe.hyper.items() if key in names}
        optimizer = rule.cls([torch.nn.Parameter(torch.zeros(1))], **given)
        self.group = {k: v for k, v in optimizer.param_groups[0].items() if k != "params"}
        self.probe = probe
        self.record = record
        self.functions = {
            name: compiled(function)
            for name, function in rule.methods.items()
            if not name.startswith("__")
        }
        self.wanted = [
            [torch.tensor(values[index], dtype=torch.float64) for values in record.steps]
            for index in range(len(probe.schedule.starts))
        ]
        self.order = sorted(range(len(self.wanted)), key=self._cost)

    def _cost(self, index: int) -> int:
        return self.probe.schedule.starts[index].numel()

    def agrees(self, changed: dict[str, Callable[..., Any]]) -> bool:
        """Whether the rule, with some methods changed, gives the record's values."""
        kind = type("Direct", (), {**self.functions, **changed})
        return all(self._agrees(kind, index) for index in self.order)

    def _agrees(self, kind: type[Any], index: int) -> bool:
        schedule = self.probe.schedule
        optimizer = kind()
        p = schedule.starts[index].clone()
        optimizer.state = defaultdict(dict)
        optimizer.param_groups = [{"params": [p], **self.group}]
        for row, wanted in zip(schedule.gradients, self.wanted[index], strict=False):
            gradient = row[index]
            p.grad = None if gradient is None else gradient.clone()
            optimizer.step()
            if not _near(p, wanted):
                return False
        return True


def _near(got: Tensor, wanted: Tensor) -> bool:
    """A coarse and quick comparison; whoever passes is compared again."""
    return torch.allclose(got.reshape(-1), wanted, rtol=1e-4, atol=1e-4, equal_nan=True)


@dataclass
class Hits:
    """Edits that give a submission's numbers: of every probe, or of the first one only."""

    all: list[Edit]
    first: list[Edit]


def hits(
    rule: Rule,
    probes: Sequence[tuple[Probe, Record]],
    names: dict[str, Any],
    rank: int = RARE,
) -> Hits:
    """The edits of a rule that give the records of probes, run tensor by tensor.

    The comparison is a coarse one: whoever uses a hit runs it as a whole optimizer first.

    Args:
        probes: plain probes with the submission's records, the most telling first.
        names: the hyper-parameters that the submission takes.
        rank: how far-fetched an edit may be.
    """
    screens = [_Direct(rule, probe, names, record) for probe, record in probes]
    found = Hits([], [])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for edit in rule.edits():
            if edit.rank > rank:
                continue
            try:
                changed = {edit.method: compiled(edit.function)}
                if not screens[0].agrees(changed):
                    continue
                found.first.append(edit)
                if all(screen.agrees(changed) for screen in screens[1:]):
                    found.all.append(edit)
            except Exception:
                continue  # most expressions that can be written make no sense
    return found
