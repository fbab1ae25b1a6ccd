"""The golden vectors of optimizers that the catalogue has no mistakes of: who passes, who fails."""

import ast
import copy
import dataclasses
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import pytest
import torch

import myoptim
from myoptim.course.mistakes import SOLUTIONS
from myoptim.lab import vectors
from myoptim.lab.agreement import agreement, telling_schedule
from myoptim.optimizer import declaration_of

PAGE = Path(__file__).parents[2] / "docs" / "vectors.md"
OTHERS = [name for name in vectors.PLANS if name not in SOLUTIONS]


@cache
def first_error():
    """The loader, as it stands on the page."""
    block = r":name: loader-python\n\n(.*?)\n```"
    namespace = {}
    exec(re.search(block, PAGE.read_text("utf-8"), re.DOTALL)[1], namespace)
    return namespace["first_error"]


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    vectors.write(folder, OTHERS)
    return folder


def test_all_have_vectors_but_those_that_cannot():
    of_torch = {n for n, cls in myoptim.OPTIMIZERS.items() if declaration_of(cls).twin is not None}
    assert (of_torch | {"Muon"}) - set(vectors.PLANS) == {"Muon", "SparseAdam", "LBFGS"}


@pytest.mark.parametrize("name", OTHERS)
def test_ours_and_torchs_pass(name, golden):
    cls = myoptim.OPTIMIZERS[name]
    for right in (cls, declaration_of(cls).twin):
        assert first_error()(golden / f"{name.lower()}.json", right) is None


# Small changes of a rule --------------------------------------------------------------------------

OPPOSITE = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
OPPOSITE_METHOD = {"add": "sub", "add_": "sub_", "mul_": "div_", "div": "mul", "div_": "mul_"}
LEFT_OUT = {"sqrt": "clone", "sqrt_": "detach_", "rsqrt_": "detach_", "abs": "clone"}
PARTS = ("rule", "before", "after")


def change(node: ast.AST, scalars: set[str]) -> bool:
    """Turn an operator round, leave a statement or a root out, move a number, complement a name.

    Returns:
        Whether there was anything to change.
    """
    match node:
        case ast.BinOp(op=op) if type(op) in OPPOSITE:
            node.op = OPPOSITE[type(op)]()
        case ast.Attribute(attr=name) if name in OPPOSITE_METHOD | LEFT_OUT:
            node.attr = (OPPOSITE_METHOD | LEFT_OUT)[name]
        case ast.Expr(value=ast.Call()):
            node.value = ast.Constant(None)
        case ast.Constant(value=float() | int() as number) if not isinstance(number, bool):
            node.value = number + 1
        case ast.Name(id=name, ctx=ast.Load()) if name in scalars:
            node.id = f"(1 - {name})"
        case _:
            return False
    return True


def mutants(function) -> Iterator[tuple[str, object]]:
    """Every function with one change, and the change's line."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    tree.body = tree.body[1:]  # without its docstring
    unpacked = [n for t in ast.walk(tree) if isinstance(t, ast.Tuple) for n in ast.walk(t)]
    scalars = {a.arg for a in tree.args.kwonlyargs}
    scalars |= {n.id for n in unpacked if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    inside = [n for statement in tree.body for n in ast.walk(statement)]
    for number, node in enumerate(inside):
        mutant = copy.deepcopy(tree)
        if change([n for s in mutant.body for n in ast.walk(s)][number], scalars):
            namespace = dict(vars(inspect.getmodule(function)))
            exec(ast.unparse(mutant), namespace)
            yield f"line {node.lineno} of {function.__name__}", namespace[function.__name__]


def numbers(value) -> Iterator[float]:
    """All that stands after the steps of a run: parameters and state."""
    for step in value["steps"]:
        for array in [*step["parameters"].values(), *map(dict.values, step["state"].values())]:
            for part in [array] if isinstance(array, dict) else array:
                yield from part["dec"]


def verdict(name, cls, right) -> str:
    """How a class does on a run."""
    try:
        with mock.patch.dict(myoptim.OPTIMIZERS, {name: cls}):
            run = vectors.run(name, vectors.PLANS[name][0], torch.float64)
    except Exception:  # a class that raises does not pass
        return "raised"
    found, wanted = (torch.tensor(list(numbers(each))) for each in (run, right))
    same = found.shape == wanted.shape and torch.allclose(found, wanted, rtol=1e-6, atol=1e-6)
    return "passed" if same else "failed"


@pytest.mark.parametrize("name", OTHERS)
def test_every_change_of_the_rule_that_a_longer_run_tells_fails(name, golden):
    run = json.loads((golden / f"{name.lower()}.json").read_text())["runs"][0]
    right = myoptim.OPTIMIZERS[name]
    declared = declaration_of(right)
    settings = run["groups"][0]["settings"]
    schedule = telling_schedule([0.1], lr_changes=True)
    passed, verdicts = [], []
    for part in PARTS:
        if (function := getattr(declared, part)) is None:
            continue
        for where, mutant in mutants(function):
            wrong = type(name, (right,), {})
            wrong._declaration = dataclasses.replace(declared, **{part: mutant})
            verdicts.append(verdict(name, wrong, run))
            if verdicts[-1] != "passed":
                continue
            pair = (lambda params, cls=cls: cls(params, **settings) for cls in (right, wrong))
            if agreement(*pair, schedule).first is not None:
                passed.append(where)
    assert passed == []
    assert verdicts.count("failed") > 10
