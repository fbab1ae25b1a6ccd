"""A folder as it comes from a class: every good file is graded, everything else is named."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from course import wrong
from typer.testing import CliRunner

from myoptim.cli import app
from myoptim.course import grade, intake, isolation, pages, sandbox
from myoptim.course.settings import Settings
from myoptim.lab.errors import UsageError

RIGHT = wrong.right("sgd_inplace")
PLOTS = """
import matplotlib.pyplot as plt
import pandas as pd
import torchvision
from torch.utils.tensorboard import SummaryWriter
from tqdm.auto import tqdm

plt.style.use("ggplot")
pd.set_option("display.precision", 3)


class Digits(torchvision.datasets.MNIST):
    pass


for _ in tqdm(range(3), desc="warming up"):
    pass


def compare_with_torch(params):
    return torch.optim.SGD(params, lr=0.1)


if __name__ == "__main__":
    plt.plot(range(10))
    plt.savefig("loss.png")
"""


def notebook(*cells):
    return json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {},
            "cells": [
                {"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True)}
                for kind, text in cells
            ],
        }
    )


WORKING_NOTEBOOK = notebook(
    ("markdown", "# My SGD"),
    ("code", "%matplotlib inline\n!pip install torch\nimport torch\nimport numpy as np"),
    ("code", RIGHT),
    ("code", "model = torch.nn.Linear(10, 1)\nlosses = train(model, SGD)\nwhile True:\n    pass"),
    ("code", "def train(model, cls):\n    return [1.0]\n\nplt.plot(losses)"),
    ("code", "SGD(model.parameters()).step("),
)
BROKEN_NOTEBOOK = notebook(
    ("code", "import torch"), ("markdown", "The class:"), ("code", "class SGD(:\n    pass")
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A class's submissions, and what else lies there."""
    place = tmp_path_factory.mktemp("class")
    (place / "outside.py").write_text(RIGHT)
    root = place / "submissions"
    for name in ("anna", "bert", "carl/.venv", "dora", "__MACOSX", "emil"):
        (root / name).mkdir(parents=True)
    files = {
        "anna/SGD.PY": b"\xef\xbb\xbf" + RIGHT.replace("\n", "\r\n").encode(),
        "anna/notes.txt": b"done",
        "bert/work.py": b"# -*- coding: latin-1 -*-\n# f\xfcr SGD\n" + (RIGHT + PLOTS).encode(),
        "carl/sgd.py": b"from ours import *\n" + RIGHT.encode(),
        "carl/ours.py": b"import torch\n",
        "carl/utils.py": b"x = 1\n",
        "carl/.venv/lib.py": RIGHT.encode(),
        "__MACOSX/._sgd.py": b"\0\5\26\7",
        "homework.ipynb": WORKING_NOTEBOOK.encode(),
        "broken.ipynb": BROKEN_NOTEBOOK.encode(),
        "frida.tar.gz": b"",
    }
    for name, data in files.items():
        (root / name).write_bytes(data)
    os.mkfifo(root / "dora" / "sgd.py")
    (root / "device.py").symlink_to("/dev/zero")
    (root / "out.py").symlink_to(place / "outside.py")
    (root / "again.py").symlink_to("anna/SGD.PY")
    (root / "round").symlink_to(".")
    with open(root / "large.py", "wb") as file:
        file.truncate(50_000_000)
    return root


SETTINGS = Settings(optimizers=("SGD", "Adam"), helpers=("ours.py",), seed=3)


@pytest.fixture(scope="module")
def graded(folder):
    return grade.grade(folder, None, SETTINGS, 2)


def test_every_good_one_is_graded(graded):
    by_file = {verdict.file: verdict for verdict in graded.verdicts}
    assert {name for name, verdict in by_file.items() if verdict.passed} == {
        "anna/SGD.PY",
        "bert/work.py",
        "carl/sgd.py",
        "homework.ipynb",
    }
    assert by_file["large.py"].reason.endswith("larger than 256 KiB")
    assert "cell 3: syntax error in line 1" in by_file["broken.ipynb"].reason
    assert set(by_file) - {"large.py", "broken.ipynb"} == {
        name for name, verdict in by_file.items() if verdict.passed
    }


def test_everything_else_is_named_with_its_reason(graded, folder):
    assert {one.file: one.reason for one in graded.skipped} == {
        "__MACOSX": "left by an archiver",
        "again.py": "a link to anna/SGD.PY",
        "anna/notes.txt": "neither .py nor .ipynb",
        "carl/.venv": "a virtual environment",
        "carl/ours.py": "a helper file of the course",
        "carl/utils.py": "carl/sgd.py is this student's; here: no class SGD or Adam in the file "
        "(classes: none)",
        "device.py": "a link that leaves the folder",
        "dora/": "nothing in it is a submission (.py or .ipynb)",
        "dora/sgd.py": "not a file but a pipe",
        "emil/": "nothing in it is a submission (.py or .ipynb)",
        "frida.tar.gz": "an archive: unpack it first",
        "out.py": "a link that leaves the folder",
        "round": "a link to .",
    }


class Cells(HTMLParser):
    """The text of a page's table cells, and its tags that may only come from us."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data):
        if self.cells:
            self.cells[-1] += data


def test_the_page_the_table_and_the_json_tell_the_same(graded, tmp_path):
    told = grade.report(graded)
    pages.write_page(graded, tmp_path / "grades.html")
    page = Cells((tmp_path / "grades.html").read_text(encoding="utf-8"))
    grade.write_csv(graded, tmp_path / "grades.csv")
    with open(tmp_path / "grades.csv", newline="", encoding="utf-8") as file:
        rows = [row["file"] for row in csv.DictReader(file)]
    files = [row["file"] for row in (*told["submissions"], *told["skipped"])]
    assert rows == files
    assert [cell for cell in page.cells if cell in files] == files
    counts = [one["count"] for one in told["scores"]]
    assert counts == [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4]
    pages.plot_scores(graded, tmp_path / "scores.png")
    assert (tmp_path / "scores.png").stat().st_size > 1000


def test_names_are_no_markup(tmp_path):
    name = "<script>alert(1)</script>\x1b[2J.py".replace("/", "∕")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_text("<b>&")
    graded = grade.grade(tmp_path / "in", "SGD", SETTINGS, 1)
    assert graded.verdicts[0].file == name.replace("\x1b", "\\x1b")
    pages.write_page(graded, tmp_path / "page.html")
    assert "script" not in Cells((tmp_path / "page.html").read_text(encoding="utf-8")).tags


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xfex\0", "UTF-16"),
        (b"x = '\xe9'", "not UTF-8"),
        (b"# coding: ascii\nx = '\xe9'", "not ASCII"),
        (b"# coding: klingon\n", "names no encoding"),
        (b" \n", "empty"),
        (b"x\0", "null bytes"),
    ],
)
def test_what_is_no_python_says_why(tmp_path, data, reason):
    (tmp_path / "x.py").write_bytes(data)
    with pytest.raises(ValueError, match=reason):
        intake.read(tmp_path / "x.py")


@pytest.mark.parametrize("text", ["{", "[]", '{"cells": [{}]}', notebook(("markdown", "x"))])
def test_what_is_no_notebook_says_so(tmp_path, text):
    (tmp_path / "x.ipynb").write_text(text)
    with pytest.raises(ValueError, match="notebook"):
        intake.read(tmp_path / "x.ipynb")


def test_grading_is_refused_where_nothing_keeps_files_from_submissions(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox, "ways", lambda: ())
    with pytest.raises(UsageError, match="container"):
        grade.choose_way(None)
    with pytest.raises(UsageError, match="landlock"):
        grade.choose_way("landlock")
    assert grade.choose_way("none") == ""
    (tmp_path / "sgd.py").write_text(RIGHT)
    done = CliRunner().invoke(app, ["grade", str(tmp_path)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--isolation none" in done.stderr


def test_an_unknown_way_is_told():
    with pytest.raises(UsageError, match="did you mean landlock"):
        grade.choose_way("landlok")


CANARY = """
import torch
got = torch.from_file(PRIVATE, size=4, dtype=torch.uint8).tolist()
"""
WRITER = """
import torch
torch.save(torch.ones(2), PRIVATE)
"""


@pytest.mark.skipif(not sandbox.ways(), reason="this machine has no way of isolation")
@pytest.mark.parametrize("text", [CANARY, WRITER])
def test_torch_itself_cannot_read_or_write_files(tmp_path, text):
    """Their ways to the disk do not pass Python, and so none of its traps."""
    private = tmp_path / "private.bin"
    private.write_bytes(b"none of its business")
    private.chmod(0o600)
    file = tmp_path / "sgd.py"
    file.write_text(text.replace("PRIVATE", repr(str(private))) + RIGHT)
    free, kept = (grade.examine(file, ("SGD",), replace(SETTINGS, isolation=way))[0]
                  for way in ("", None))  # fmt: skip
    assert free.passed, "without isolation it can: the test would see it"
    assert "loading the file raised RuntimeError" in kept.reason
    private.write_bytes(b"none of its business")


STEP = "([p], [p.grad], [p.grad], weight_decay=0.0, momentum=0.0, lr=0.1, dampening=0.0, \
nesterov=False, maximize=False, is_first_step=True)"
KERNELS = (
    "torch._fused_sgd_",
    "torch._C._VariableFunctions._fused_sgd_",
    "torch._C._jit_get_operation('aten::_fused_sgd_')[0]",
    "torch.ops.aten._fused_sgd_",
    "torch.ops.aten._fused_sgd_.default",
)
BY_KERNEL = """
import torch


class SGD(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                KERNEL
"""


@pytest.mark.parametrize(
    "kernel",
    [k if k == KERNELS[2] else pytest.param(k, marks=pytest.mark.slow) for k in KERNELS],
)
def test_every_way_to_a_kernel_of_torchs_is_the_same_failure(tmp_path, kernel):
    file = tmp_path / "sgd.py"
    file.write_text(BY_KERNEL.replace("KERNEL", kernel + STEP))
    (verdict,) = grade.examine(file, ("SGD",), SETTINGS)
    assert verdict.diagnosis == ["delegates"]
    assert "tried to use torch.ops.aten._fused_sgd_ (line 13)" in verdict.reason


@pytest.mark.skipif(not isolation.landlock_version(), reason="this system has no Landlock")
def test_a_confined_process_is_alone():
    """It starts no other, reaches no network, and signals nobody, also by the C library."""
    script = f"""
import ctypes, errno, json, os, socket, sys
sys.path.insert(0, {os.path.dirname(isolation.__file__)!r})
import isolation
libc = ctypes.CDLL(None, use_errno=True)
isolation.confine("landlock", None)
def failed(result):
    return result == -1 and ctypes.get_errno() == errno.EPERM
print(json.dumps({{
    "fork": failed(libc.fork()),
    "socket": failed(libc.socket(2, 1, 0)),
    "kill": failed(libc.kill(os.getppid(), 0)),
    "chmod": failed(libc.chmod(b"/tmp", 0o777)),
    "exec": failed(libc.execv(b"/bin/true", None)),
}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout).values()) == {True}
