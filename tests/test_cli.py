"""The command line: exit codes, what goes to which stream, help."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from typer.testing import CliRunner
from waiting import PATIENCE

import myoptim
from myoptim.cli import COMMANDS, GROUPS, app
from myoptim.cli.common import BROKEN_PIPE, print_json

STUDENT = """
import torch

class Good(torch.optim.SGD):
    def step(self, closure=None):
        print("a student's message")
        return super().step(closure)

class Bad(torch.optim.SGD):
    def step(self, closure=None):
        raise RuntimeError("it broke")

def bowl(x=(1.0, 2.0)):
    print("a problem's message")
    return (x ** 2).sum()
"""


@pytest.fixture
def student(tmp_path):
    path = tmp_path / "student.py"
    path.write_text(STUDENT)
    return path


def run(*args):
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(arg) for arg in args])


def spawn(*args, code=None, **options):
    """Run `python -m myoptim` as a process, or other code; returns it when it has ended."""
    command = [sys.executable, *(["-c", code] if code else ["-m", "myoptim"]), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **options)


def refused(result):
    """The message of a command that must have been refused."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


# Frame ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"myoptim {command}" in result.stdout.partition("Example")[2]


@pytest.mark.parametrize("group", GROUPS)
def test_help_of_a_group_shows_examples(group):
    result = run(group, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "COMMAND"),
        (["trac"], "No such command 'trac'"),
        (["trace"], "Missing argument"),
        (["trace", "SGD", "square", "--stepz", "3"], "--stepz"),
        (
            ["trace", "SGD", "square", "--steps", "three"],
            "'--steps': Input should be a valid integer",
        ),
        (["trace", "SGD", "square", "--steps", "0"], "steps must be at least 1; got 0"),
    ],
)
def test_wrong_use_of_the_command_line(args, said):
    result = run(*args)
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output


def test_without_typer_there_is_one_line_on_how_to_install_it():
    code = "import sys; sys.modules['typer'] = None; from myoptim.cli import main; main()"
    process = spawn(code=code)
    assert process.returncode == 2
    assert process.stderr == ("myoptim: the command line needs typer: pip install 'myoptim[lab]'\n")


def test_without_matplotlib_only_pictures_are_refused(tmp_path):
    code = "import sys; sys.modules['matplotlib'] = None; from myoptim.cli import main; main()"
    assert spawn("trace", "SGD", "square", code=code).returncode == 0
    process = spawn("trace", "SGD", "square", "--plot", tmp_path / "x.png", code=code)
    assert process.returncode == 2
    assert process.stderr.endswith("needs matplotlib: pip install 'myoptim[lab]'\n")


def test_version_names_torchs_too():
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout == f"myoptim {myoptim.__version__} with torch {torch.__version__}\n"


def test_help_loads_nothing_slow():
    code = (
        "import sys\n"
        "from myoptim.cli import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "slow = {'matplotlib', 'rich', 'myoptim.lab.problems'} & set(sys.modules)\n"
        "print(slow, file=sys.stderr)\n"
    )
    assert spawn(code=code).stderr == "set()\n"


def test_a_broken_pipe_ends_quietly():
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [sys.executable, "-m", "myoptim", "trace", "SGD", "square", "--json"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    os.close(write)
    assert process.stderr == ""
    assert process.returncode == BROKEN_PIPE


def test_ctrl_c_ends_quietly(tmp_path):
    path = tmp_path / "slow.py"
    path.write_text(
        "import time\n"
        "calls = 0\n"
        "def f(x=1.0):\n"
        "    global calls\n"
        "    calls += 1\n"
        # The first optimizer of all makes torch load a thousand modules, some of which catch
        # whatever is raised while they are loaded, Ctrl-C too.
        f"    if calls > 5: open({str(tmp_path / 'begun')!r}, 'w').close()\n"
        "    time.sleep(0.01)\n"
        "    return x ** 2\n"
    )
    command = [sys.executable, "-m", "myoptim", "trace", "SGD", f"{path}:f", "--steps", "100000"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What is started in the background of a script ignores the signal.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not (tmp_path / "begun").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, err) == ("", "")
    assert process.returncode == 130


def test_json_has_no_numbers_that_are_none(capsys):
    print_json({"a": [math.nan, math.inf, (-math.inf, 1.5)], "b": None})
    found = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert found == {"a": ["NaN", "Infinity", ["-Infinity", 1.5]], "b": None}


# trace ------------------------------------------------------------------------------------------


def test_trace_prints_the_documented_table():
    result = run("trace", "SGD", "square", "--lr", 0.1, "--steps", 30)
    assert result.exit_code == 0
    rows = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert rows[4] == "1 5, 10 125 10, 20"
    assert rows[8] == "5 2.048, 4.096 20.9715 4.096, 8.192"
    assert rows[33].startswith("30 0.0077")


def test_trace_tells_what_each_statement_did():
    result = run("trace", "Adam", "square", "--lr", 0.5, "--steps", 2, "--narrate", "--json")
    first, second = json.loads(result.stdout)["rows"]
    told = {name: v for s in second["statements"] for name, v in s["values"].items()}
    assert told["param"] == pytest.approx([4.0020609, 9.0008326], rel=1e-7)
    formulas = [statement["formula"] for statement in first["statements"]]
    assert "m ← β₁ m + (1 − β₁) g" in formulas
    lines = spawn("trace", "Adam", "square", "--lr", 0.5, "--steps", 2, "--narrate").stdout
    assert "    exp_avg = 1.8, 3.7\n" in lines
    assert max(map(len, lines.splitlines())) <= 80


def test_trace_as_json_writes_nothing_else(student):
    process = spawn(
        "trace", f"{student}:Good", f"{student}:bowl", "--lr", 0.1, "--steps", 3, "--json"
    )
    assert process.returncode == 0
    rows = json.loads(process.stdout)["rows"]
    assert [row["params"]["x"][0] for row in rows] == pytest.approx([1.0, 0.8, 0.64])
    assert set(rows[0]) == {"step", "loss", "params", "grads", "state"}
    assert "a student's message" in process.stderr
    assert "a problem's message" in process.stderr


def test_trace_as_json_holds_float32_to_the_last_digit():
    result = run("trace", "SGD", "four_square", "--lr", 0.01, "--steps", 20, "--json")
    rows = json.loads(result.stdout)["rows"]
    assert len(rows) == 20
    assert json.loads(result.stdout)["end"]["step"] == 21
    assert rows[1]["params"] == {"x": [1.840000033378601]}
    assert rows[1]["grads"] == {"x": [14.720000267028809]}
    assert rows[1]["loss"] == 13.542400360107422


def test_trace_of_a_divergence_is_valid_json():
    result = run("trace", "SGD", "four_square", "--lr", 1e30, "--steps", 5, "--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout, parse_constant=lambda name: pytest.fail(name))["rows"]
    assert rows[-1]["loss"] == "NaN"


def test_trace_writes_csv_and_picture(tmp_path):
    table, png = tmp_path / "run.csv", tmp_path / "run.png"
    result = run("trace", "Adam", "ravine", "--steps", 5, "--csv", table, "--plot", png)
    assert result.exit_code == 0
    assert len(table.read_text().splitlines()) == 6
    assert png.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("steps", "every", "rows"), [(100, None, 100), (101, None, 34), (9, 4, 3)])
def test_trace_prints_a_part_of_long_runs(steps, every, rows):
    options = [] if every is None else ["--every", every]
    result = run("trace", "SGD", "square", "--steps", steps, *options)
    part = every or steps > 100
    assert len(result.stdout.rstrip().splitlines()) == 4 + rows + 1 + 2 * bool(part)
    assert ("--every 1 shows all" in result.stdout) == bool(part)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["adm", "square"], "unknown optimizer 'adm': did you mean Adam"),
        (["SGD", "squar"], "unknown problem 'squar': did you mean square"),
        (["SGD", "square", "--set", "momentun=1"], "did you mean momentum?"),
        (["SGD", "square", "--set", "momentum"], "key=value"),
        (["SGD", "square", "--set", "momentum=much"], "Python literal"),
        (["SGD", "square", "--set", "lr=-1"], "ValueError"),
        (["SGD", "square", "--dtype", "float23"], "unknown dtype 'float23': did you mean float32"),
        (["SGD", "square", "--csv", "no/such/folder/x.csv"], "there is no folder 'no/such/folder'"),
        (["SGD", "square", "--csv", "."], "directory"),
        (["SGD", "square", "--plot", "x.doc"], "pictures are written as"),
        (["nowhere.py:SGD", "square"], "cannot read"),
        (["nowhere:SGD", "square"], "No module named 'nowhere'"),
        (["torch.optim:SGDD", "square"], "did you mean SGD"),
        (["torch.optim:lr_scheduler", "square"], "is a module"),
    ],
)
def test_trace_refuses(args, said):
    assert said in refused(run("trace", *args))


def test_a_students_error_shows_the_students_frames(student):
    process = spawn("trace", f"{student}:Bad", "square", "--json")
    assert process.returncode == 2
    assert process.stdout == ""
    assert "step 1 of " in process.stderr
    assert 'student.py", line 11, in step' in process.stderr
    assert "RuntimeError: it broke" in process.stderr
    assert "myoptim/lab" not in process.stderr


# compare ----------------------------------------------------------------------------------------


def test_compare_exits_with_0_where_equal():
    process = spawn("compare", "Adam", "torch.optim:Adam", "--json")
    assert process.returncode == 0
    found = json.loads(process.stdout)
    assert (found["equal"], found["max_ulp"], found["first_divergence"]) == (True, 0, None)


def test_compare_exits_with_1_where_not():
    result = run("compare", "Adam", "AdamW", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["equal"] is False
    first = found["first_divergence"]
    assert (first["step"], first["param"], first["index"]) == (1, "weight", [0, 0])
    assert first["quantity"] == "exp_avg"


def test_compare_in_words(tmp_path):
    png = tmp_path / "growth.png"
    table = tmp_path / "growth.csv"
    result = run("compare", "Adam", "AdamW", "--steps", 5, "--plot", png, "--csv", table)
    assert result.exit_code == 1
    assert "First divergence: step 1, weight[0, 0], in the buffer exp_avg:" in result.stdout
    assert "exp_avg_sq" in result.stdout
    assert "Settings of both: lr=0.1, eps=0.1, betas=(0.6, 0.8), weight_decay=0.2." in result.stdout
    assert "distance: |a - b| = 0.1176" in result.stdout
    assert "relative: the largest |a - b| of any quantity" in result.stdout
    assert "00 ulp" not in result.stdout.replace("9,999 ulp", "")
    assert png.read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert float(rows[0]["exp_avg difference"]) == pytest.approx(0.1176, abs=1e-4)
    assert int(rows[0]["exp_avg ulp"]) > 9_999
    assert list(rows[0])[-1] == "relative"
    assert "equal bits over 7 steps" in run("compare", "SGD", "sgd", "--steps", 7).stdout


def test_compare_with_a_tolerance_and_settings():
    args = ["compare", "torch.optim:Adam", "torch.optim:Adam", "--set-b", "fused=True"]
    assert run(*args).exit_code == 1
    assert run(*args, "--ulp", 10_000).exit_code == 0
    args = ["compare", "SGD", "Momentum", "--set", "dampening=0"]
    assert run(*args).exit_code == 0  # both amplified alike
    assert run(*args, "--set-a", "momentum=0.9").exit_code == 0
    assert run(*args, "--set-a", "momentum=0.8").exit_code == 1


def test_compare_on_a_problem_prints_nothing_of_the_users(student):
    args = [f"{student}:Good", "SGD", "--problem", f"{student}:bowl", "--steps", 4, "--json"]
    process = spawn("compare", *args)
    assert process.returncode == 0
    assert json.loads(process.stdout)["task"] == "bowl"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["SGD"], "Missing argument"),
        (["SGD", "adm"], "did you mean Adam"),
        (["SGD", "SGD", "--ulp", "-1"], "0 ulp or more; got -1"),
        (["SGD", "SGD", "--set-a", "x=1"], "unknown hyper-parameter of A (SGD) 'x'"),
        (["SGD", "Adam", "--set-b", "bets=1"], "of B (Adam) 'bets': did you mean betas"),
        (["SGD", "SGD", "--problem", "beal"], "did you mean beale"),
    ],
)
def test_compare_refuses(args, said):
    assert said in refused(run("compare", *args))


def test_compare_says_whose_code_raised(student):
    said = refused(run("compare", "SGD", f"{student}:Bad"))
    assert "step 1 of B (" in said
    assert "it broke" in said


@pytest.mark.parametrize("seed", ["-1", str(2**64), "one"])
def test_a_seed_that_no_generator_takes(seed):
    result = CliRunner().invoke(app, ["trace", "SGD", "square", "--seed", seed])
    assert result.exit_code == 2
    assert "--seed" in result.stderr
    assert seed in result.stderr
