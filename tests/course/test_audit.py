"""Tests are tested: what they let through, and that nothing they do reaches further."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from myoptim.cli import app
from myoptim.course import sandbox
from myoptim.course.audit import Scope, audit_tests, mutants, right_ones
from myoptim.course.sandbox import Limits
from myoptim.lab.errors import UsageError

SMALL = Scope(takes=("lr", "weight_decay"), criteria=("rule",), edits=4)
LOSS = (Path(__file__).parents[2] / "examples/tests_of_adamw/test_loss_falls.py").read_text()
PATHS = """
import pytest
import torch
from helper import START
from student import NAME


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_path_is_torchs(setting, tmp_path):
    (tmp_path / "log").write_text("tests may write here")
    torch.manual_seed(0)
    ours, theirs = torch.nn.Parameter(START.clone()), torch.nn.Parameter(START.clone())
    one, two = NAME([ours], **setting), torch.optim.NAME([theirs], **setting)
    for step in range(10):
        gradient = torch.randn_like(START) * (1 + step % 3)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        one.step()
        two.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
"""


@pytest.fixture
def tests(tmp_path):
    def written(text):
        (tmp_path / "helper.py").write_text("import torch\n\nSTART = torch.ones(4)\n")
        file = tmp_path / "test_it.py"
        file.write_text(text)
        return file

    return written


def audited(file, optimizer, scope, **rest):
    rest = {"limits": Limits(cpu_seconds=5, sleep_seconds=5), "way": sandbox.best_way()} | rest
    return audit_tests(file, optimizer, scope=scope, **rest)


def paths(name, settings):
    return PATHS.replace("NAME", name).replace("SETTINGS", repr(settings))


def test_a_falling_loss_tells_little_and_a_path_tells_all(tests):
    loss = audited(tests(LOSS), "SGD", SMALL)
    assert loss.right_failing == []
    assert "wd-ignored" in {one.id for one in loss.surviving}
    assert "ascends" not in {one.id for one in loss.surviving}
    text = paths("SGD", [{"lr": 0.1}, {"lr": 0.1, "weight_decay": 0.2}])
    path = audited(tests(text), "SGD", SMALL, adapter="student:SGD")
    assert path.mutants == loss.mutants
    assert (path.surviving, path.right_failing) == ([], [])


def test_the_command_tells_the_same(tests):
    arguments = ["--takes", "lr", "--criteria", "rule", "--edits", "1", "--without", "ascends"]
    given = ["course", "audit", "--tests", str(tests(LOSS)), "--optimizer", "sgd", *arguments]
    done = CliRunner().invoke(app, [*given, "--json"])
    told = json.loads(done.stdout)
    assert set(told) == {"mutants", "killed", "surviving", "right_failing"}
    assert told["mutants"] == told["killed"] + len(told["surviving"])
    assert done.exit_code == bool(told["surviving"])
    assert CliRunner().invoke(app, ["course", "audit"]).exit_code == 2
    assert CliRunner().invoke(app, given[:4]).exit_code == 2


def test_what_no_probe_can_tell_is_no_mutant():
    ids = {one.id for one in mutants("SGD", Scope(("lr",), ("rule",), (), 0))}
    assert "ascends" in ids
    assert not ids & {"wd-ignored", "nesterov-ignored", "closure-ignored", "delegates"}
    everything = {one.id for one in mutants("SGD", Scope(edits=0))}
    assert {"wd-ignored", "nesterov-ignored", "closure-ignored"} <= everything
    assert "replaces-data" not in everything
    assert len(list(right_ones("AdamW"))) >= 4


HOSTILE = {
    "loops": "    while True: pass",
    "sleeps": "    import time; time.sleep(1000)",
    "leaves": "    import os; os._exit(0)",
    "writes": "    open(FILE, 'w').write('x')",
}


@pytest.mark.parametrize(
    "how",
    [one if one == "writes" else pytest.param(one, marks=pytest.mark.slow) for one in HOSTILE],
)
def test_tests_are_confined(tests, tmp_path, how):
    (tmp_path / "victim").write_text("whole")
    body = HOSTILE[how].replace("FILE", repr(str(tmp_path / "victim")))
    file = tests(f"def test_hostile(optimizer_class):\n{body}\n")
    limits = Limits(cpu_seconds=1, sleep_seconds=1)
    report = audited(file, "SGD", Scope(("lr",), ("rule",), (), 0), limits=limits)
    assert report.surviving == []
    assert {one.id for one, _ in report.right_failing} >= {"right"}
    assert (tmp_path / "victim").read_text() == "whole"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_this_name\n\ndef test(): pass\n", "nothing_of_this_name"),
        pytest.param("x = 1\n", "on a right solution", marks=pytest.mark.slow),
        pytest.param("def test(:\n", "on a right solution", marks=pytest.mark.slow),
        ("", "empty"),
    ],
)
def test_what_cannot_be_run_is_told(tests, text, message):
    with pytest.raises(UsageError, match=message):
        audited(tests(text), "SGD", SMALL)


def test_scopes_that_name_nothing_are_told():
    with pytest.raises(UsageError, match="did you mean momentum"):
        next(mutants("SGD", Scope(takes=("momentun",))))
    with pytest.raises(UsageError, match="did you mean rule"):
        next(mutants("SGD", Scope(criteria=("rules",))))


@pytest.mark.slow
def test_of_wrong_adamws_a_falling_loss_kills_a_third_at_most_and_paths_two_thirds(tests):
    loss = audited(tests(LOSS), "AdamW", Scope())
    settings = [
        {"lr": 0.1, "eps": 0.1},
        {"lr": 0.05, "betas": (0.6, 0.8), "weight_decay": 0.3, "eps": 1e-3},
        {"lr": 0.05, "betas": (0.6, 0.8), "amsgrad": True},
        {"lr": 0.05, "maximize": True, "weight_decay": 0.1},
    ]
    path = audited(tests(paths("AdamW", settings)), "AdamW", Scope(), adapter="student:AdamW")
    assert len(loss.surviving) >= 2 / 3 * len(loss.mutants)
    assert len(path.surviving) <= 1 / 3 * len(path.mutants)
    assert loss.right_failing == path.right_failing == []
