"""What a student reads: the one thing to look at first, and nothing thirteen times."""

import pytest
from course import in_process, wrong

from myoptim.course.check import judge
from myoptim.course.report import POINTS, WIDTH, as_text
from myoptim.course.sandbox import Outcome
from myoptim.course.settings import Settings


@pytest.mark.parametrize("criterion", ["load", "policy", "run"])
def test_a_broken_file_says_one_thing(criterion):
    outcome = Outcome(refused=(criterion, "it is broken"))
    text = as_text(judge(outcome, "sgd.py", "SGD", Settings(), 1))
    assert text.count("it is broken") == 1
    assert text.count("not judged") == 1
    assert "all the rest, until that is mended" in text
    assert len(text.splitlines()) <= 11


def test_what_to_look_at_first_stands_first():
    text = wrong.right("sgd_inplace").replace("d_p = d_p.add(buf, alpha=mu)", "d_p = buf")
    text = text.replace("torch.clone(d_p).detach()", "d_p")
    told = as_text(in_process.verdict(text, "SGD"))
    first, rest = told.split("Then at the rest")
    assert "Look at this first\n  the update rule, 0 of 35" in first
    assert "diagnosis: nesterov-ignored" in first
    assert "read on: myoptim explain nesterov-ignored, or the site's page optimizers/sgd" in first
    assert "gradients are left alone, 0 of 5" in rest
    assert f"points: {POINTS}" in rest
    assert max(map(len, told.splitlines())) <= WIDTH


def test_a_right_one_is_told_in_short():
    told = as_text(in_process.verdict(wrong.right("sgd_inplace"), "SGD"))
    assert told.startswith("test.py: SGD: passed, 100 of 100\n\npassed: the file loads")
    assert "Look at" not in told
