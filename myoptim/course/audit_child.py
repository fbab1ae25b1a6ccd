"""The process that runs somebody's tests on one class after another.

Started by `audit.py`. It reads a job from standard input, imports torch and pytest once, and forks
for every class: the fork limits and confines itself, runs the tests, and writes down what came of
it. One line of JSON per class goes to standard output.
"""

import contextlib
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import pytest
import torch

from myoptim.course import isolation
from myoptim.course.watch import GLANCE_SECONDS, Watch

MOST = 1 << 16
"""Bytes that are read of what a fork says."""


def main() -> None:
    """Run the job."""
    job = json.loads(sys.stdin.read())
    torch.set_num_threads(1)
    # The first optimizer and the first run of pytest import for a second.
    torch.optim.SGD([torch.zeros(1)])
    with contextlib.redirect_stdout(sys.stderr):
        pytest.main(["--version", "-c", os.devnull])
    gc.freeze()  # pytest collects garbage after each run, and there is none of before the fork
    folder = Path(job["folder"])
    for name, text in job["files"].items():
        (folder / name).write_text(text, encoding="utf-8")
    for number, one in enumerate(job["classes"]):
        result = in_a_fork(job, number, one["source"])
        print(json.dumps({"id": one["id"], **result}), flush=True)


def in_a_fork(job: dict[str, Any], number: int, source: str) -> dict[str, Any]:
    """Exit code and first failure of the tests on one class."""
    own = Path(job["folder"], f"run{number}")
    own.mkdir()
    own.chmod(0o777)
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.close(read_end)
        try:
            settle(job, own)
            told = run_tests(job, own, source)
        except BaseException as error:
            told = {"code": 1, "failed": f"{type(error).__name__}: {error}"}
        with contextlib.suppress(BaseException):
            os.write(write_end, json.dumps(told).encode())
        os._exit(0)
    os.close(write_end)
    return watched(child, read_end, job)


def watched(child: int, results: int, job: dict[str, Any]) -> dict[str, Any]:
    """What a fork says before it ends, by itself or at a limit."""
    watch = Watch(child)
    received = b""
    with selectors.DefaultSelector() as selector, os.fdopen(results, "rb", 0) as pipe:
        selector.register(pipe, selectors.EVENT_READ)
        while watch.idle <= job["sleep_seconds"]:
            if selector.select(GLANCE_SECONDS):
                data = pipe.read(MOST)
                received += data or b""
                if not data:
                    break
            watch.look()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    try:
        told: dict[str, Any] = json.loads(received)
    except ValueError:
        told = {"code": 1, "failed": "the tests did not come to their end within the limits"}
    return told


def settle(job: dict[str, Any], own: Path) -> None:
    """Limit and confine this process, which has only one folder of its own to write to."""
    os.setsid()
    silent = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silent, descriptor)
    spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    cpu = int(spent + job["cpu_seconds"]) + 1
    for kind, limit in (
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, int(2 * job["memory_mb"] * 2**20)),
        (resource.RLIMIT_FSIZE, int(job["file_kb"] * 2**10)),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # there is a lower one already
            resource.setrlimit(kind, (limit, limit))
    os.chdir(own)
    tempfile.tempdir = str(own)
    isolation.confine(job["way"], job["uid"], readable=(Path(job["folder"]),), own=(own,))


class Handing:
    """Hands the class to the tests, and remembers the first that failed."""

    def __init__(self, cls: type[Any]) -> None:
        self.cls = cls
        self.failed = ""

    @pytest.fixture
    def optimizer_class(self) -> type[Any]:
        """The class that is to be tested."""
        return self.cls

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest after each part of a test."""
        if report.failed and not self.failed:
            self.failed = f"{report.nodeid.partition('::')[2]}: {_last_line(report)}"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Called by pytest after it has looked for tests."""
        if report.failed and not self.failed:
            self.failed = _last_line(report)


def _last_line(report: Any) -> str:
    lines = [line for line in str(report.longrepr).splitlines() if line.startswith("E ")]
    return (lines[-1][1:] if lines else str(report.longrepr).split("\n")[-1]).strip()[:200]


def run_tests(job: dict[str, Any], own: Path, source: str) -> dict[str, Any]:
    """Run pytest here."""
    namespace: dict[str, Any] = {"__name__": "solution"}
    exec(compile(source, "<solution>", "exec"), namespace)
    cls = namespace[job["optimizer"]]
    sys.path.insert(0, job["folder"])
    if job["adapter"]:
        adapt(job["adapter"], cls)
    handing = Handing(cls)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = ("-q", "-x", "-p", "no:cacheprovider", "-c", os.devnull)
    tests = str(Path(job["folder"], job["tests"]))
    folder = job["folder"]
    places = ("--rootdir", folder, "--confcutdir", folder, "--basetemp", str(own / "tmp"))
    code = int(pytest.main([tests, *options, *places], plugins=[handing]))
    return {"code": code, "failed": handing.failed or f"pytest ended with exit code {code}"}


def adapt(adapter: str, cls: type[Any]) -> None:
    """Put the class where the tests import it from: "MODULE:NAME" or "MODULE:NAME=EXPRESSION"."""
    place, _, expression = adapter.partition("=")
    module_name, _, name = place.partition(":")
    try:
        module = importlib.import_module(module_name.strip())
    except ImportError:
        module = types.ModuleType(module_name.strip())
    value = eval(expression, {"optimizer_class": cls, "torch": torch}) if expression else cls
    setattr(module, name.strip(), value)
    sys.modules[module.__name__] = module


if __name__ == "__main__":
    main()
