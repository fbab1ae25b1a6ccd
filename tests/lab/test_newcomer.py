"""An optimizer that nobody knew goes through the lab as soon as its name is in the list."""

import math

import pytest
import torch
from newcomer import Newcomer
from registry import OLD

import myoptim
from myoptim.lab import bench as lab
from myoptim.lab import plots
from myoptim.lab.compare import compare
from myoptim.lab.problems import PROBLEMS, get_problem
from myoptim.lab.race import line_up, race
from myoptim.lab.trace import trace
from myoptim.lab.workloads import SIZES


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(myoptim.OPTIMIZERS, "Newcomer", Newcomer)


@pytest.mark.skipif(OLD, reason="torch's LBFGS warns of the loss's own graph here")
@pytest.mark.parametrize("name", ["square", "ravine"])
def test_race(name: str) -> None:
    results = race(get_problem(name), line_up(), steps=20)
    assert results[-1].racer.label == "Newcomer"
    assert results[-1].difference == ""
    assert math.isfinite(results[-1].finish.losses[-1])


def test_every_problem_has_a_rate_for_it() -> None:
    assert all(problem.rate("Newcomer") == problem.rate("Adam") for problem in PROBLEMS.values())


def test_trace() -> None:
    run = trace("newcomer", "ravine", steps=3)
    assert run.settings == {"lr": get_problem("ravine").rate("Adam")}
    assert set(run.rows[-1].state["x"]) == {"step", "exp_avg", "exp_inf"}


def test_compare() -> None:
    assert compare("Newcomer", "torch.optim:Adamax").max_ulp == 0
    assert not compare("Newcomer", "Adam").equal


def test_a_colour_and_a_marker_of_its_own() -> None:
    styles = plots.styles(myoptim.OPTIMIZERS)
    assert len({tuple(style.values()) for style in styles.values()}) == len(styles)
    assert plots.styles(["Newcomer"])["Newcomer"] == styles["Newcomer"]


def test_a_cell_of_the_bench() -> None:
    columns = lab._columns(Newcomer, SIZES["scalars"], torch.device("cpu"), fused=True)
    assert {"torch", "torch foreach"} < set(columns)
    for column in columns.values():
        column.step()
    report = lab.bench(["Newcomer"], ["scalars"], repeats=1, fused=False)
    assert report.timings[0].optimizer == "Newcomer"
