import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from course import fresh

from myoptim.course.check import check
from myoptim.course.grade import grade
from myoptim.course.sandbox import Limits, kill_strays
from myoptim.course.settings import Settings

HOSTILE = Path(__file__).with_name("hostile")
QUICK = Settings(optimizers=("SGD",), limits=Limits(cpu_seconds=4, sleep_seconds=3))

REASONS = {
    "abort": "SIGABRT in step",
    "binary": "null bytes",
    "closes_descriptors": "before its trace was complete",
    "constant_answer": "update rule",
    "daemon": "start another process",
    "deep_nesting": "syntax error",
    "delegates_by_base": "tried to use torch.optim.SGD",
    "delegates_by_call": "tried to use torch.optim.SGD",
    "delegates_by_exec": "tried to use torch.optim.SGD",
    "delegates_by_lookup": "tried to use torch.optim.SGD",
    "delegates_to_function": "tried to use torch.optim.sgd.sgd",
    "delegates_to_myoptim": "tried to use myoptim",
    "deletes_files": "change files",
    "empty": "the file is empty",
    "exit_handler": "left by itself",
    "exits_0_in_step": "exit code 0",
    "finalizer": "in __del__",
    "flood_of_files": "write a file",
    "flood_of_output": "writes more than",
    "fork_bomb": "start another process",
    "ignores_signals": "processor time",
    "imports_missing": "a_module_that_nobody_has",
    "kills_itself": "send signals",
    "kills_parent": "send signals",
    "latin1": "not UTF-8",
    "long_expression": "no Python",
    "loop_in_step": "in step (line",
    "loop_inside_c": "in step (line",
    "loop_on_load": "<module>",
    "memory_bomb": "MiB of memory",
    "metaclass": "before its trace was complete",
    "nan_everywhere": "update rule",
    "network": "use the network",
    "no_class": "no class SGD",
    "not_a_class": "no class SGD",
    "patched_harness": "before its trace was complete",
    "patched_tolist": "update rule",
    "patched_torch": "ascends",
    "prints_results": "before its trace was complete",
    "raises_in_constructor": "no parameters please",
    "raises_on_load": "nobody home",
    "reads_files": "may not read",
    "recursion": "RecursionError",
    "segfault": "ctypes",
    "sleeps": "slept for more than 3 s in step",
    "stdin": "EOFError",
    "subprocess": "start another process",
    "syntax_error": "syntax error in line 3",
    "sys_exit_in_step": "left by itself",
    "sys_exit_on_load": "SystemExit",
    "tensor_bomb": "MiB of memory",
    "threads": "starts threads",
    "wrong_class_name": "the nearest is SGDD",
}
QUICKLY = (
    "delegates_by_exec",
    "delegates_by_lookup",
    "exits_0_in_step",
    "fork_bomb",
    "loop_inside_c",
    "memory_bomb",
    "patched_harness",
    "patched_torch",
    "prints_results",
    "segfault",
    "syntax_error",
    "wrong_class_name",
)


def test_every_hostile_file_is_expected():
    assert {path.stem for path in HOSTILE.glob("*.py")} == {*REASONS, "right"}


@pytest.mark.parametrize("name", QUICKLY)
def test_hostile(name):
    verdict = check(HOSTILE / f"{name}.py", "SGD", QUICK)
    assert not verdict.passed
    assert REASONS[name] in verdict.reason


def test_the_right_one_beside_them_passes():
    verdict = check(HOSTILE / "right.py", "SGD", QUICK)
    assert verdict.passed, verdict.reason


@pytest.mark.slow
def test_all_hostile_ones_are_graded():
    """None stops the grading, none passes, each has its own reason; the right one passes."""
    seen = []
    graded = grade(HOSTILE, None, QUICK, 2, lambda done, total: seen.append((done, total)))
    verdicts = graded.verdicts
    assert seen[-1] == (len(verdicts), len(verdicts))
    for verdict in verdicts:
        name = Path(verdict.file).stem
        assert verdict.passed == (name == "right"), name
        assert REASONS.get(name, "") in verdict.reason, name


def test_strays_are_killed():
    marker = "MYOPTIM_SUBMISSION=a-test"
    stray = subprocess.Popen(
        [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(60)"],
        env=dict([marker.split("=")]),
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert stray.stdout is not None
    with stray.stdout:
        stray.stdout.readline()
        kill_strays(marker)
    assert stray.wait(10) == -signal.SIGKILL


def test_a_slow_but_right_one_has_time(tmp_path):
    file = tmp_path / "sgd.py"
    file.write_text((HOSTILE / "right.py").read_text() + "\n\nimport time\n\ntime.sleep(1)\n")
    assert check(file, "SGD", QUICK).passed


def test_what_is_left_to_the_next_optimizer_spoils_one_criterion(tmp_path):
    """A buffer of the class, found by the parameter's number, is there in the next probe too."""
    file = tmp_path / "nesterov.py"
    text = fresh.RIGHT["nesterov_simple"][1]
    for old, new in (
        ("    @torch", "    kept = {}\n    @torch"),
        ('for p in group["params"]', 'for i, p in enumerate(group["params"])'),
        ("self.state[p]", "self.kept.setdefault(i, {})"),
    ):
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    verdict = check(file, "Nesterov", QUICK)
    assert [result.criterion for result in verdict.failures] == ["groups", "state"]
    assert verdict.diagnosis == ["state-by-place", "state-outlives"]


@pytest.mark.slow
def test_gradients_differ_each_time_unless_a_seed_is_set():
    first, second = (check(HOSTILE / "constant_answer.py", "SGD", QUICK) for _ in range(2))
    assert first.seed != second.seed
    assert first.first_divergence != second.first_divergence
    fixed = replace(QUICK, seed=7)
    assert check(HOSTILE / "constant_answer.py", "SGD", fixed).seed == 7


def test_a_file_that_is_not_there_is_a_verdict(tmp_path):
    verdict = check(tmp_path / "gone.py", "SGD", QUICK)
    assert "cannot be read" in verdict.reason


def test_expected_values_never_enter_the_process():
    """The child's modules are the harness and torch; no rule of ours is among them."""
    script = (
        "import json, runpy, sys; runpy.run_path(PATH, run_name='other');"
        "print(json.dumps([name for name in sys.modules if name.startswith('myoptim')]))"
    )
    path = Path(sys.modules[check.__module__].__file__).with_name("child.py")
    done = subprocess.run(
        [sys.executable, "-I", "-c", script.replace("PATH", repr(str(path)))],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.defpath},
    )
    assert set(json.loads(done.stdout)) <= {
        "myoptim",
        "myoptim.lab",
        "myoptim.course",
        "myoptim.lab.prescribed",
        "myoptim.course.exercise",
        "myoptim.course.isolation",
    }
