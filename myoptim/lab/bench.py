"""Speed and memory of every optimizer beside its twin of torch.

All ways of running an optimizer (the columns) make a step in turn, in one process, each on its own
copy of the same parameters: what else the machine does, and how warm it is, hits all of them alike.

>>> report = bench(["SGD"], ["scalars"], repeats=3, fused=False)
>>> [timing.rounds for timing in report.timings], list(report.timings[0].seconds)
([3], ['ours', 'torch', 'torch foreach', 'torch fused'])
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch.profiler import ProfilerActivity, profile

import myoptim
from myoptim.lab.errors import UsageError, unknown
from myoptim.lab.race import versions
from myoptim.lab.tables import as_html
from myoptim.lab.values import counted
from myoptim.lab.workloads import SIZES, Size, fitting, make_params, step_of
from myoptim.optimizer import declaration_of
from myoptim.rules import ElementwiseRule

#: Whose step is timed, in the order of the columns.
COLUMNS = ("ours", "ours fused", "torch", "torch foreach", "torch fused")

#: What each kind of ratio compares.
AGAINST = {"default": "default / torch's default", "fused": "fused / torch's best"}

DEVICES = ("cpu", "cuda")

_CELL = ("size", "optimizer")

#: Steps before any is measured: state is made, kernels are compiled and loaded.
WARM_UP = 3

#: How many times the columns of a cell are made anew: where memory lies badly, a step takes up to
#: half as long again for as long as it lies there.
SET_UPS = 3

#: Rounds that a set-up has even when its time is up: fewer make no median.
FEWEST_ROUNDS = 5

_shuffle = random.Random(0).shuffle


@dataclass(frozen=True)
class Timing:
    """How long a step takes.

    Attributes:
        size: a name of `SIZES`.
        optimizer: a name of `myoptim.OPTIMIZERS`.
        rounds: how many steps each column made.
        seconds: of each column the median, in seconds; columns that do not exist are left out.
        compile_seconds: what the first steps of ours fused took beyond that; None if not timed.
    """

    size: str
    optimizer: str
    rounds: int
    seconds: dict[str, float]
    compile_seconds: float | None

    @property
    def ratios(self) -> dict[str, float]:
        """Time of ours / time of torch's, below 1 where ours is faster.

        `default`: both as they come. `fused`: ours fused against the best of torch, which is its
        fused kernel, and where there is none the better of default and foreach. Nothing where torch
        has no twin.
        """
        took = self.seconds
        if "torch" not in took:
            return {}
        ratios = {"default": took["ours"] / took["torch"]}
        if "ours fused" in took:
            best = took.get("torch fused", min(took["torch"], took["torch foreach"]))
            ratios["fused"] = took["ours fused"] / best
        return ratios

    def ratio(self, kind: str) -> str:
        """One of the ratios to read; empty where there is none."""
        return f"{self.ratios[kind]:.2f}" if kind in self.ratios else ""

    def cells(self) -> list[str]:
        """The cells of a table: the columns in milliseconds, the ratios, the rounds."""
        medians = [self.seconds.get(column) for column in COLUMNS]
        return [
            *("" if median is None else f"{median * 1e3:.3f}" for median in medians),
            *map(self.ratio, AGAINST),
            str(self.rounds),
        ]


@dataclass(frozen=True)
class Memory:
    """The most bytes that a default step holds beyond what it began with.

    Attributes:
        size: a name of `SIZES`.
        optimizer: a name of `myoptim.OPTIMIZERS`.
        ours: of our default.
        torch: of torch's default; None where it has no twin.
    """

    size: str
    optimizer: str
    ours: int
    torch: int | None


@dataclass(frozen=True)
class Summary:
    """Ratios of all timings in one.

    Attributes:
        geometric_mean: of the ratios.
        worst: the largest of them.
        size: where that is.
        optimizer: where that is.
    """

    geometric_mean: float
    worst: float
    size: str
    optimizer: str


@dataclass(frozen=True)
class Report:
    """What was measured, and on what.

    Attributes:
        device: the processor, without the name of the machine.
        threads: that torch used on the CPU.
        versions: of what the figures may depend on.
        timings: one for each size that is timed and each optimizer.
        memory: one for each size and optimizer.
    """

    device: str
    threads: int
    versions: dict[str, str]
    timings: list[Timing]
    memory: list[Memory]

    def summaries(self) -> dict[str, Summary]:
        """A summary for each ratio of `Timing.ratios`."""
        kinds = dict.fromkeys(kind for timing in self.timings for kind in timing.ratios)
        return {
            kind: summarize([timing for timing in self.timings if kind in timing.ratios], kind)
            for kind in kinds
        }

    def compile_seconds(self) -> dict[str, float]:
        """Seconds spent compiling, over all sizes, for each optimizer."""
        spent: dict[str, float] = {}
        for timing in self.timings:
            if timing.compile_seconds is not None:
                name = timing.optimizer
                spent[name] = spent.get(name, 0.0) + timing.compile_seconds
        return spent

    def __repr__(self) -> str:
        sizes, optimizers = (len({getattr(m, of) for m in self.memory}) for of in _CELL)
        means = (f"{kind} {s.geometric_mean:.2f}" for kind, s in self.summaries().items())
        found = f"{', '.join(means)} of torch's time" if self.timings else "memory alone"
        return f"<bench of {counted(optimizers, 'optimizer')} on {counted(sizes, 'size')}: {found}>"

    def _repr_html_(self) -> str:
        return as_html("", *self.table(), notes=self.legend())

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Column headings and a row for each size and optimizer."""
        timings = {(timing.size, timing.optimizer): timing for timing in self.timings}
        headings = [*_CELL, "ours MB", "torch MB"]
        if timings:
            headings[2:2] = [*COLUMNS, *(f"{kind} ratio" for kind in AGAINST), "steps"]
        untimed = [""] * (len(headings) - 4)
        rows: list[list[str]] = []
        for memory in self.memory:
            timing = timings.get((memory.size, memory.optimizer))
            times = timing.cells() if timing else untimed
            taken = [megabytes(memory.ours), megabytes(memory.torch)]
            rows.append([memory.size, memory.optimizer, *times, *taken])
        return headings, rows

    def legend(self) -> list[str]:
        """The sums of it all, and what it was measured on."""
        lines = [
            "MB: what a default step takes beyond parameters, gradients and state, at its peak."
        ]
        if self.timings:
            lines.insert(0, "Times: medians, in milliseconds. Ratios: ours / torch's.")
        for kind, summary in self.summaries().items():
            lines.append(
                f"{AGAINST[kind]}: geometric mean {summary.geometric_mean:.2f}, "
                f"worst {summary.worst:.2f} ({summary.size}, {summary.optimizer})."
            )
        compiling = [f"{name} {spent:.1f} s" for name, spent in self.compile_seconds().items()]
        if compiling:
            lines.append(f"Compiling fused, not in the times: {', '.join(compiling)}.")
        lines.append(
            f"On: {self.device}, threads: {self.threads}, torch {self.versions['torch']}, "
            f"Python {self.versions['python']}."
        )
        return lines

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON. Times are in seconds, memory is in bytes."""
        sizes = dict.fromkeys(memory.size for memory in self.memory)
        return {
            "device": self.device,
            "threads": self.threads,
            "versions": self.versions,
            "sizes": {
                name: {"tensors": len(SIZES[name].shapes), "elements": SIZES[name].elements}
                for name in sizes
            },
            "timings": [
                {
                    **asdict(timing),
                    "seconds": {column: timing.seconds.get(column) for column in COLUMNS},
                    "ratios": timing.ratios,
                }
                for timing in self.timings
            ],
            "memory": [asdict(memory) for memory in self.memory],
            "summaries": {kind: asdict(summary) for kind, summary in self.summaries().items()},
            "compile_seconds": self.compile_seconds(),
        }


def megabytes(count: int | None) -> str:
    """Bytes to read; empty where there are none."""
    return "" if count is None else f"{count / 1e6:.2f}"


def summarize(timings: Sequence[Timing], kind: str) -> Summary:
    """The geometric mean of one kind of ratio, and the worst of them."""
    worst = max(timings, key=lambda timing: timing.ratios[kind])
    mean = statistics.geometric_mean(timing.ratios[kind] for timing in timings)
    return Summary(mean, worst.ratios[kind], worst.size, worst.optimizer)


def bench(
    optimizers: Sequence[str] | None = None,
    sizes: Sequence[str] | None = None,
    *,
    device: str = "cpu",
    threads: int | None = None,
    repeats: int = 1000,
    seconds: float = 2.0,
    fused: bool = True,
    times: bool = True,
    progress: Callable[[range], Iterable[int]] = iter,
) -> Report:
    """Measure a step of each optimizer on each size, ours beside torch's.

    Args:
        optimizers: names of `myoptim.OPTIMIZERS`; by default all that torch has too.
        sizes: names of `SIZES`; by default all. Of each an optimizer gets what it takes: Muon the
            matrices, SparseAdam sparse gradients, LBFGS what is small, with a closure whose time
            is part of the step. A size of which it takes nothing is left out.
        device: "cpu" or "cuda".
        threads: that torch uses on a CPU; by default as many as it is set to.
        repeats: the most rounds for a size and an optimizer; each column makes a step per round.
        seconds: after which no new round begins, once there were `FEWEST_ROUNDS`.
        fused: whether to time ours fused, which has to be compiled first.
        times: False to measure memory alone.
        progress: wraps the range of pairs of a size and an optimizer.

    Raises:
        UsageError: a name is unknown, an optimizer takes nothing of any of the sizes, a number is
            out of range, there is no such device, or nothing can be compiled here.
    """
    optimizers = _known("optimizer", optimizers or _with_twin(), myoptim.OPTIMIZERS)
    sizes = _known("size", sizes, SIZES)
    cells = list(itertools.product(sizes, optimizers))
    cells = [(size, name) for size, name in cells if fitting(myoptim.OPTIMIZERS[name], SIZES[size])]
    for name in optimizers:
        if name not in {optimizer for _, optimizer in cells}:
            fit = [size for size in SIZES if fitting(myoptim.OPTIMIZERS[name], SIZES[size])]
            raise UsageError(
                f"{name} takes no parameters of the sizes {', '.join(sizes)}; allowed for it are "
                f"{', '.join(fit)}"
            )
    where = _check_device(device)
    _check_at_least_one("repeats", repeats)
    _check_at_least_one("threads", threads)
    if not seconds > 0:
        raise UsageError(f"seconds must be above 0; got {seconds}")

    timings: list[Timing] = []
    memory: list[Memory] = []
    with _threads(threads):
        for i in progress(range(len(cells))):
            size, optimizer = cells[i]
            if times and SIZES[size].timed:
                timings.append(_time(size, optimizer, where, repeats, seconds, fused))
            memory.append(_measure_memory(size, optimizer, where))
        return Report(_describe(where), torch.get_num_threads(), versions(), timings, memory)


def _known(kind: str, names: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    known = list(known)
    for name in names or ():
        if name not in known:
            raise unknown(kind, name, known)
    return list(dict.fromkeys(names or known))


def _with_twin() -> list[str]:
    ours = myoptim.OPTIMIZERS
    return [name for name in ours if declaration_of(ours[name]).twin is not None]


def _check_device(name: str) -> torch.device:
    if name not in DEVICES:
        raise unknown("device", name, DEVICES)
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device 'cuda': torch finds no CUDA device here; allowed is cpu")
    return torch.device(name)


def _check_at_least_one(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise UsageError(f"{name} must be at least 1; got {value}")


@contextlib.contextmanager
def _threads(count: int | None) -> Generator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _describe(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU ({torch.backends.cpu.get_cpu_capability()})"


# --------------------------------------------------------------------------- time


def _time(
    size: str, optimizer: str, device: torch.device, repeats: int, seconds: float, fused: bool
) -> Timing:
    cls = myoptim.OPTIMIZERS[optimizer]
    synchronize = torch.get_device_module(device).synchronize
    taken: dict[str, list[float]] = {}
    first: dict[str, float] = {}
    for i in range(SET_UPS):
        columns = _columns(cls, SIZES[size], device, fused)
        steps = {name: step_of(column) for name, column in columns.items()}
        for name, step in steps.items():
            first.setdefault(name, _warm_up(name, step, synchronize))
        share = repeats * (i + 1) // SET_UPS - repeats * i // SET_UPS
        for name, times in _rounds(steps, synchronize, share, seconds / SET_UPS).items():
            taken.setdefault(name, []).extend(times)
        del columns, steps  # before the next are made
    medians = {name: statistics.median(times) for name, times in taken.items()}
    compiling = None
    if "ours fused" in first:
        compiling = max(0.0, first["ours fused"] - WARM_UP * medians["ours fused"])
    return Timing(size, optimizer, len(taken["ours"]), medians, compiling)


def _twin(cls: Any) -> Callable[..., torch.optim.Optimizer] | None:
    """What makes the optimizer of torch that a class of ours equals, if there is one."""
    declared = declaration_of(cls)
    if declared.twin is None:
        return None
    return functools.partial(cast("Any", declared.twin), **declared.twin_settings)


def _columns(
    cls: Any, size: Size, device: torch.device, fused: bool
) -> dict[str, torch.optim.Optimizer]:
    """An optimizer for each column that exists, each with its own copy of the parameters.

    They are made in a random order: what is made first gets the memory that others left behind,
    in pieces, and is slower for it.
    """
    make: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "ours": cls,
        "ours fused": functools.partial(cls, fused=True),
    }
    if not fused or not issubclass(cls, ElementwiseRule):
        del make["ours fused"]
    twin = _twin(cls)
    if twin is not None:
        make["torch"] = twin
        for flag in ("foreach", "fused"):
            if flag in inspect.signature(twin).parameters:
                make[f"torch {flag}"] = functools.partial(twin, **{flag: True})
    order = list(make)
    _shuffle(order)
    made = {name: make[name](make_params(cls, size, device)) for name in order}
    return {name: made[name] for name in make}


def _warm_up(column: str, step: Callable[[], Any], synchronize: Callable[[], None]) -> float:
    """Make the first steps; the seconds that they take together."""
    try:
        return sum(_seconds(step, synchronize) for _ in range(WARM_UP))
    except RuntimeError as error:
        if column != "ours fused":
            raise
        raise UsageError(f"{error} Leave it out with --no-fused.") from error


def _seconds(step: Callable[[], Any], synchronize: Callable[[], None]) -> float:
    synchronize()
    start = time.perf_counter()
    step()
    synchronize()
    return time.perf_counter() - start


def _rounds(
    steps: dict[str, Callable[[], Any]],
    synchronize: Callable[[], None],
    repeats: int,
    seconds: float,
) -> dict[str, list[float]]:
    """The seconds of every step.

    In each round the columns come in another order: one may leave the caches or the allocator in
    a state that costs the next one time, and that must not always be the same one. Garbage is
    collected as in training: the containers that a step makes are part of its cost.
    """
    taken: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    end = time.perf_counter() + seconds
    for done in range(repeats):
        if done >= FEWEST_ROUNDS and time.perf_counter() > end:
            break
        _shuffle(order)
        for name in order:
            taken[name].append(_seconds(steps[name], synchronize))
    return taken


# --------------------------------------------------------------------------- memory


def _measure_memory(size: str, optimizer: str, device: torch.device) -> Memory:
    cls: Any = myoptim.OPTIMIZERS[optimizer]

    def peak(make: Callable[..., torch.optim.Optimizer]) -> int:
        made = make(make_params(cls, SIZES[size], device))
        step = step_of(made)
        for _ in range(WARM_UP):
            step()
        return peak_bytes(step, device)

    twin = _twin(cls)
    return Memory(size, optimizer, peak(cls), None if twin is None else peak(twin))


def peak_bytes(work: Callable[[], Any], device: torch.device) -> int:
    """The most bytes of tensors that `work` holds on the device beyond what was there before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    # In a new thread: what a thread keeps from step to step to work in counts as well.
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(_peak_bytes_on_cpu, work).result()


def _peak_bytes_on_cpu(work: Callable[[], Any]) -> int:
    # The profiler announces itself on standard error, at level 5.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    # Every allocation is an event with the bytes taken, every release one with them negative.
    changes = [event for event in events if event.get("name") == "[memory]"]
    changes.sort(key=lambda event: event["ts"])
    return max(itertools.accumulate((e["args"]["Bytes"] for e in changes), initial=0))
