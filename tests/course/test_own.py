"""A teacher's own optimizer and mistakes are used like those of the kit."""

import zipfile
from pathlib import Path

import pytest
import torch
from course import in_process
from typer.testing import CliRunner

import myoptim
from myoptim.cli import app
from myoptim.course import kit, mistakes, own, probes
from myoptim.course.audit import Scope, mutants
from myoptim.course.check import as_json
from myoptim.course.settings import read_settings
from myoptim.lab import prescribed
from myoptim.lab.compare import compare
from myoptim.lab.errors import UsageError

COURSE = Path(__file__).parents[2] / "examples" / "own_course"
ADAMAX = (COURSE / "ours.py").read_text()
STUDENTS = """
import torch


class Adamax(torch.optim.Optimizer):
    def __init__(self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state.update(t=0, m=torch.zeros_like(p), u=torch.zeros_like(p))
                state["t"] += 1
                g = p.grad.add(p, alpha=group["weight_decay"])
                state["m"].mul_(b1).add_(g, alpha=1 - b1)
                torch.maximum(state["u"] * b2, g.abs() + group["eps"], out=state["u"])
                p.add_(state["m"] / state["u"], alpha=-group["lr"] / (1 - b1 ** state["t"]))
        return loss
"""


@pytest.fixture(autouse=True)
def as_before():
    """What a teacher's file adds to the tables is taken out again."""
    tables = (
        mistakes.SOLUTIONS,
        mistakes.CATALOGUE,
        probes.HYPER_PARAMETERS,
        probes.VARIANTS,
        probes.EVERY_OPTION,
        prescribed.AMPLIFIED,
        own._registered,
    )
    lists = (mistakes.RULE, mistakes.CONTRACT)
    kept = [dict(table) for table in tables], [list(one) for one in lists]
    yield
    for table, old in zip(tables, kept[0], strict=True):
        table.clear()
        table.update(old)
    for one, old in zip(lists, kept[1], strict=True):
        one[:] = old
    mistakes.source.cache_clear()
    own._right.cache_clear()


@pytest.fixture
def settings():
    return read_settings(COURSE / "course.toml")


def judged(settings, *edits):
    text = STUDENTS
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return in_process.verdict(text, "Adamax", settings=settings)


def test_the_examples_adamax_is_the_packages(settings):
    assert settings.optimizers[0] == "Adamax"
    right = mistakes.load(mistakes.source("Adamax"), "Adamax")
    assert compare(right, myoptim.Adamax, dtype=torch.float64).only_rounding


def test_a_right_one_passes(settings):
    verdict = judged(settings)
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize(
    ("edits", "named"),
    [
        ((("state[\"u\"] * b2", "state[\"u\"]"),), ["adamax-never-forgets"]),
        ((("alpha=-group", "alpha=group"),), ["ascends"]),
        ((("self.state[p]", "vars(self).setdefault('kept', {}).setdefault(p, {})"),),
         ["state-attribute"]),
    ],
)  # fmt: skip
def test_the_teachers_mistakes_and_everybodys_are_named(settings, edits, named):
    assert judged(settings, *edits).diagnosis == named


def test_what_nobody_listed_is_searched(settings):
    verdict = judged(settings, ('state["u"] * b2', 'state["u"] * b1'))
    rule = next(row for row in as_json(verdict)["criteria"] if row["criterion"] == "rule")
    assert verdict.diagnosis == []
    assert rule["edit"][0]["formula"] == "(β₁, β₂) ← (β₁, β₁)"


def test_a_course_with_it_is_made_and_packed(tmp_path):
    folder = tmp_path / "course"
    arguments = ["course", "new", str(folder), "--own", str(COURSE / "ours.py")]
    done = CliRunner().invoke(app, [*arguments, "--optimizers", "adamax,sgd"])
    assert done.exit_code == 0, done.output
    assert r"\varepsilon), \qquad" in (folder / "handout.md").read_text()
    assert "betas=(0.9, 0.999)" in (folder / "adamax.py").read_text()
    kit.gradescope(folder, tmp_path / "autograder.zip")
    with zipfile.ZipFile(tmp_path / "autograder.zip") as archive:
        names = archive.namelist()
        assert "==VERSION" not in archive.read("setup.sh").decode()
    assert read_settings(folder / "course.toml").optimizers == ("Adamax", "SGD")
    assert {"course.toml", "ours.py"} <= set(names)


def test_its_mistakes_are_mutants(settings):
    assert settings.optimizers == ("Adamax", "SGD")
    found = {one.id for one in mutants("Adamax", Scope(edits=2))}
    assert {"adamax-averages", "adamax-no-maximum", "ascends", "closure-ignored"} <= found
    assert sum(name.startswith("edit-") for name in found) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("OPTIMIZERS = (Own(Adamax),)", "OPTIMIZERS = ()", "must have OPTIMIZERS"),
        ("class Adamax(Frame)", "class SGD(Frame)", "NameError"),
        ("class Adamax(Frame)", "class Adamax(torch.optim.Optimizer)", "with Frame as its base"),
        ('"adamax-averages"', '"no-eps"', "there is a mistake no-eps already"),
        ('form("lr / (1', 'form("lr * (1', "must stand once"),
        ('"lr * m")', '"1 * lr / (1 - beta1**t) * m")', "nobody could be told"),
        ("torch.zeros_like(p)", "torch.zeros(0)", "does not run by itself"),
        ("lr=2e-3,", "lr=2e-3, warmth=3.0,", "a value for warmth"),
        ('"""Adamax (', '# """Adamax (', "docstring"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, old, new, message):
    assert old in ADAMAX
    file = tmp_path / "ours.py"
    file.write_text(ADAMAX.replace(old, new, 1))
    with pytest.raises(UsageError, match=message):
        own.register(file)
