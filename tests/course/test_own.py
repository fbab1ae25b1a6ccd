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
LION = (COURSE / "ours.py").read_text()
STUDENTS = """
import torch


class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

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
                    state["m"] = torch.zeros_like(p)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                update = (state["m"] * b1 + p.grad * (1 - b1)).sign()
                state["m"].mul_(b2).add_(p.grad, alpha=1 - b2)
                p.add_(update, alpha=-group["lr"])
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
    return in_process.verdict(text, "Lion", settings=settings)


def test_the_examples_lion_is_the_packages(settings):
    assert settings.optimizers[0] == "Lion"
    right = mistakes.load(mistakes.source("Lion"), "Lion")
    assert compare(right, myoptim.Lion, dtype=torch.float64).only_rounding


def test_a_right_one_passes(settings):
    verdict = judged(settings)
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize(
    ("edits", "named"),
    [
        (((".sign()", ""),), ["lion-no-sign"]),
        ((("alpha=-group", "alpha=group"),), ["ascends"]),
        ((("self.state[p]", "vars(self).setdefault('kept', {}).setdefault(p, {})"),),
         ["state-attribute"]),
    ],
)  # fmt: skip
def test_the_teachers_mistakes_and_everybodys_are_named(settings, edits, named):
    assert judged(settings, *edits).diagnosis == named


def test_what_nobody_listed_is_searched(settings):
    verdict = judged(settings, (").sign()", ").tanh()"))
    rule = next(row for row in as_json(verdict)["criteria"] if row["criterion"] == "rule")
    assert verdict.diagnosis == []
    assert "tanh" in rule["edit"][0]["formula"]


def test_a_course_with_it_is_made_and_packed(tmp_path):
    folder = tmp_path / "course"
    arguments = ["course", "new", str(folder), "--own", str(COURSE / "ours.py")]
    done = CliRunner().invoke(app, [*arguments, "--optimizers", "lion,sgd"])
    assert done.exit_code == 0, done.output
    assert r"\operatorname{sign}" in (folder / "handout.md").read_text()
    assert "betas=(0.9, 0.99)" in (folder / "lion.py").read_text()
    kit.gradescope(folder, tmp_path / "autograder.zip")
    with zipfile.ZipFile(tmp_path / "autograder.zip") as archive:
        names = archive.namelist()
        assert "==VERSION" not in archive.read("setup.sh").decode()
    assert read_settings(folder / "course.toml").optimizers == ("Lion", "SGD")
    assert {"course.toml", "ours.py"} <= set(names)


def test_its_mistakes_are_mutants(settings):
    assert settings.optimizers == ("Lion", "SGD")
    found = {one.id for one in mutants("Lion", Scope(edits=2))}
    assert {"lion-no-sign", "lion-one-average", "ascends", "closure-ignored"} <= found
    assert sum(name.startswith("edit-") for name in found) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("OPTIMIZERS = (Own(Lion),)", "OPTIMIZERS = ()", "must have OPTIMIZERS"),
        ("class Lion(Frame)", "class SGD(Frame)", "NameError"),
        ("class Lion(Frame)", "class Lion(torch.optim.Optimizer)", "with Frame as its base"),
        ('"lion-no-sign"', '"no-eps"', "there is a mistake no-eps already"),
        ('form("torch.sign(c)", "c")', 'form("torch.sin(c)", "c")', "must stand once"),
        ('form("torch.sign(c)", "c")', 'form("torch.sign(c)", "c.sign()")', "nobody could be told"),
        ("torch.zeros_like(p)", "torch.zeros(0)", "does not run by itself"),
        ("betas=(0.9, 0.99),", "betas=(0.9, 0.99), warmth=3.0,", "a value for warmth"),
        ('"""Lion', '# """Lion', "docstring"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, old, new, message):
    assert old in LION
    file = tmp_path / "ours.py"
    file.write_text(LION.replace(old, new, 1))
    with pytest.raises(UsageError, match=message):
        own.register(file)
