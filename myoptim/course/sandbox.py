"""Run a submission in a process of its own, under limits, and take back nothing but its trace.

References and expected values stay here; the submission gets gradients and gives parameters. What
comes back is read as JSON and checked number by number; nothing of it is executed. A trace that is
complete is success, whatever the exit code, and nothing else is.

Files are kept from it by the system (`isolation.py`), where the system can do that: `ways` tries.
Limits count what a submission uses: its processor time, and how often it is found idle. None asks
the clock, so the same file gets the same verdict on a busy machine.
"""

import contextlib
import json
import os
import re
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from myoptim.course import isolation
from myoptim.course.exercise import Probe, Record, encode, fits
from myoptim.course.intake import Source, read
from myoptim.course.probes import HYPER_PARAMETERS
from myoptim.course.watch import GLANCE_SECONDS, Watch

CHILD = Path(__file__).with_name("child.py")
MAX_TRACE = 16 << 20


@dataclass(frozen=True)
class Limits:
    """What one submission may use, beyond importing torch.

    Attributes:
        cpu_seconds: processor time. Right submissions need a fraction of a second.
        sleep_seconds: time in which it waits for something and computes nothing (on Linux), by how
            often it is found so. A busy machine looks less often.
        wall_seconds: the same of all time in which it neither computes nor waits for a processor,
            starting up included: a last resort that no submission should come to.
        memory_mb: address space; torch alone needs some 800 MiB of it.
        file_kb: what it may print.
    """

    cpu_seconds: float = 10.0
    sleep_seconds: float = 20.0
    wall_seconds: float = 1200.0
    memory_mb: float = 1536
    file_kb: float = 1024


@dataclass
class Outcome:
    """What came back from a submission's process.

    Attributes:
        optimizer: what it was put through the probes as; "" if it did not come to that.
        found: the optimizers that it has classes of.
        classes: the names of all its classes.
        names: its constructor's names of hyper-parameters (see `exercise.accepted`).
        defaults: the constructor's defaults that are numbers or lists of numbers.
        records: what it did, by the name of the probe.
        refused: criterion and reason, where it could not be put through the probes to the end.
        attempts: what it tried that a submission may not do.
    """

    names: dict[str, Any] = field(default_factory=dict[str, Any])
    defaults: dict[str, Any] = field(default_factory=dict[str, Any])
    records: dict[str, Record] = field(default_factory=dict[str, Record])
    refused: tuple[str, str] | None = None
    attempts: list[str] = field(default_factory=list[str])
    optimizer: str = ""
    found: list[str] = field(default_factory=list[str])
    classes: list[str] = field(default_factory=list[str])


def submit(
    path: Path,
    wanted: Mapping[str, tuple[Probe, ...]],
    limits: Limits,
    helpers: tuple[str, ...] = (),
    way: str | None = None,
) -> Outcome:
    """Read a submission and `run` it. One that cannot be read is refused, with the reason.

    Args:
        helpers: names of files beside it that it may import.
    """
    try:
        source = read(path, helpers)
    except ValueError as error:
        return Outcome(refused=("load", str(error)))
    return run(source, wanted, limits, way)


def run(
    source: Source,
    wanted: Mapping[str, tuple[Probe, ...]],
    limits: Limits,
    way: str | None = None,
) -> Outcome:
    """Put a submission through the probes, in a process of its own.

    Args:
        source: the submission.
        wanted: the optimizers to look for, each with its probes. The first that the submission has
            a class of is put through them.
        way: of isolation, a key of `isolation.WAYS`, or "" for none; None takes the best there is.
    """
    key = secrets.token_hex(16)
    way = best_way() if way is None else way
    job = {
        "key": key,
        "parts": source.parts,
        "notebook": source.is_notebook,
        "helpers": source.helpers,
        "wanted": {
            name: {
                "hyper_parameters": HYPER_PARAMETERS[name],
                "probes": [encode(probe) for probe in probes],
            }
            for name, probes in wanted.items()
        },
        "way": way,
        "uid": spare_user() if way else None,
        **asdict(limits),
    }
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = _Process(Path(folder), key)
        with process:
            lines = process.converse(json.dumps(job), limits)
        return _outcome(lines, key, wanted, process.ending(limits))


def spare_user() -> int | None:
    """An unused user id to run as, where we are root and torch can be read by anyone."""
    if os.name != "posix" or os.geteuid() != 0:
        return None
    for base in (torch.__file__, sys.executable, str(CHILD)):
        if not all(parent.stat().st_mode & 0o001 for parent in Path(base).resolve().parents):
            return None
    return 62000 + secrets.randbelow(3000)


def best_way() -> str:
    """The strongest way of isolation that this machine offers; "" if there is none."""
    return next(iter(ways()), "")


@cache
def ways() -> tuple[str, ...]:
    """The ways of isolation that hold on this machine, the stronger first.

    Each is tried: a process takes it, and must not be able to read a private file, nor to write
    any. Under Landlock it must not be able to read one that is open to everybody either.
    """
    uid = spare_user()
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o711)
        for name, mode in (("private", 0o600), ("public", 0o644)):
            (place / name).write_text("none of its business")
            (place / name).chmod(mode)
        for way in isolation.WAYS if os.name == "posix" else ():
            if way == "user" and uid is None:
                continue
            can = _tried(way, uid, place)
            if can is not None and not (
                can["private"] or can["write"] or (way == "landlock" and can["public"])
            ):
                found.append(way)
    return tuple(found)


def without(way: str) -> str:
    """Why this machine does not offer a way of isolation."""
    if way == "landlock":
        return f"this system has no Landlock of version {isolation.NEEDED_VERSION} or newer"
    if os.name != "posix" or os.geteuid() != 0:
        return "only root can become another user"
    return "no other user may enter the folders of Python, torch or myoptim"


def _tried(way: str, uid: int | None, place: Path) -> dict[str, bool] | None:
    done = subprocess.run(
        [sys.executable, "-I", "-B", isolation.__file__, way, str(uid or ""), str(place)],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return json.loads(done.stdout) if done.returncode == 0 else None


def environment(marker: str, home: Path) -> dict[str, str]:
    """All that a process of ours gets of an environment: a marker to know it by, and one thread."""
    name, _, key = marker.partition("=")
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    place = {"PATH": os.defpath, "HOME": str(home)}
    return {name: key, **place, **dict.fromkeys(threads, "1")}


class _Process:
    """A child process with a pipe for its results; killed, with all it started, when left."""

    def __init__(self, folder: Path, key: str) -> None:
        self.marker = f"MYOPTIM_SUBMISSION={key}"
        self.printed = folder / "printed"
        self.watched = folder / "watched"
        self.work = folder / "work"
        self.work.mkdir()
        folder.chmod(0o711)
        self.work.chmod(0o777)
        self.ready = False
        self.stopped = ""

    def __enter__(self) -> "_Process":
        self.results, write_end = os.pipe()
        with open(self.printed, "wb") as printed, open(self.watched, "wb") as watched:
            self.popen = subprocess.Popen(
                [sys.executable, "-I", "-B", str(CHILD), str(write_end), str(watched.fileno())],
                cwd=self.work,
                env=environment(self.marker, self.work),
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                pass_fds=(write_end, watched.fileno()),
                start_new_session=True,
            )
        os.close(write_end)
        return self

    def converse(self, job: str, limits: Limits) -> list[bytes]:
        """Hand over the job; the lines that come back until the process ends or is stopped."""
        assert self.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.popen.stdin as stdin:
            stdin.write(job.encode())
        self.watch = Watch(self.popen.pid)
        received = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self.results, selectors.EVENT_READ)
            while not self.stopped:
                dead = self.popen.poll() is not None  # looked at first: then all it wrote is there
                if not self._receive(selector, received) and dead:
                    break
                self._stop_at_a_limit(len(received), limits)
        return bytes(received).splitlines()

    def _receive(self, selector: selectors.BaseSelector, received: bytearray) -> bool:
        """Wait a moment for results; whether there were some."""
        if not selector.get_map():
            time.sleep(GLANCE_SECONDS)
            return False
        if not selector.select(GLANCE_SECONDS):
            return False
        data = os.read(self.results, 1 << 16)
        received += data
        if not data:
            selector.unregister(self.results)
        elif not self.ready:  # the first line says that torch is imported
            self.ready = True
            self.watch = Watch(self.popen.pid)
        return bool(data)

    def _stop_at_a_limit(self, received: int, limits: Limits) -> None:
        self.watch.look()
        if received > MAX_TRACE:
            self.stopped = f"sent more than {MAX_TRACE >> 20} MiB of results"
        elif self.ready and self.watch.asleep > limits.sleep_seconds:
            self.stopped = f"slept for more than {limits.sleep_seconds:g} s"
        elif self.watch.idle > limits.wall_seconds:
            self.stopped = f"waited for more than {limits.wall_seconds:g} s"
        if self.stopped:
            # faulthandler writes down where it is, then it dies of it; or else of what follows.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.popen.pid, signal.SIGXCPU)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(1)

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        kill_strays(self.marker)
        self.popen.wait()
        os.close(self.results)

    def ending(self, limits: Limits) -> str:
        """Why the process ended before its trace was complete."""
        code = self.popen.returncode
        place = self._place()
        if self.stopped:
            return f"{self.stopped}{place}"
        if code in (-signal.SIGXCPU, -signal.SIGKILL) and self.ready:
            # Who ignores the first signal is killed by the second. Nobody else sends them, unless
            # the machine runs out of memory.
            return f"used more than {limits.cpu_seconds:g} s of processor time{place}"
        if code < 0:
            return f"crashed with {signal.Signals(-code).name}{place}"
        return (
            f"ended by itself (exit code {code}) before its trace was complete{self._last_word()}"
        )

    def _place(self) -> str:
        """Where in the submission faulthandler saw it last."""
        with open(self.watched, errors="replace") as file:
            watched = file.read(1 << 16)
        found = re.search(r'File "<submission ([^"]*)>", line (\d+) in (\S+)', watched)
        if not found:
            return ""
        cell = re.search(r", (cell \d+)$", found[1])
        return f" in {found[3]} ({f'{cell[1]}, ' if cell else ''}line {found[2]})"

    def _last_word(self) -> str:
        with open(self.printed, "rb") as file:
            file.seek(max(0, self.printed.stat().st_size - 2000))
            lines = file.read().decode(errors="replace").split("\n")
        words = [line.strip() for line in lines if line.strip()]
        return f"; it last printed: {words[-1][:200]}" if words else ""


def kill_strays(marker: str) -> None:
    """Kill processes that left their group but kept their environment, which Linux shows."""
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if marker.encode() in environment.read_bytes():
                os.kill(int(environment.parent.name), signal.SIGKILL)


def _outcome(
    lines: list[bytes], key: str, wanted: Mapping[str, tuple[Probe, ...]], ending: str
) -> Outcome:
    """What the lines tell; lines without the key are none of ours."""
    outcome = Outcome()
    by_name: dict[str, Probe] = {}
    done = False
    try:
        for line in _read(lines, key):
            stage = line["stage"]
            if stage == "found":
                outcome.found = [name for name in wanted if name in line["optimizers"]]
                outcome.classes = [str(name)[:80] for name in line["classes"]]
                outcome.optimizer = outcome.found[0] if outcome.found else ""
                by_name = {probe.name: probe for probe in wanted.get(outcome.optimizer, ())}
            elif stage == "loaded":
                outcome.names = _names(line["names"])
                outcome.defaults = {str(name): _default(v) for name, v in line["defaults"].items()}
            elif stage == "record":
                if line["name"] in outcome.records:
                    raise ValueError("one probe has two traces")
                outcome.records[line["name"]] = _record(line["record"], by_name[line["name"]])
            elif stage == "anew":
                outcome.records.clear()
            elif stage == "attempt":
                outcome.attempts.append(str(line["what"])[:80])
            elif stage == "refused":
                outcome.refused = (str(line["criterion"]), str(line["reason"])[:500])
            done = stage == "done"
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        outcome.refused = ("run", f"its trace cannot be read: {str(error)[:200]}")
        return outcome
    expected = {probe.name for probe in by_name.values() if fits(probe, outcome.names)}
    complete = done and bool(outcome.found) and set(outcome.records) == expected
    if outcome.refused is None and not complete:
        outcome.refused = ("run", f"the code {ending}")
    return outcome


def _read(lines: list[bytes], key: str) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and value.get("key") == key:  # pyright: ignore[reportUnknownMemberType]
            yield value


def _default(value: Any) -> float | list[float]:
    return [float(number) for number in value] if isinstance(value, list) else float(value)  # pyright: ignore[reportUnknownVariableType]


def _names(value: dict[str, Any]) -> dict[str, Any]:
    return {
        str(name): [str(part) for part in argument] if isinstance(argument, list) else str(argument)
        for name, argument in value.items()
    }


def _record(value: dict[str, Any], probe: Probe) -> Record:
    """A record that has the form of one: numbers where numbers are expected, of the right count."""
    sizes = [p.numel() for p in probe.schedule.starts]
    steps = [[[float(x) for x in values] for values in step] for step in value["steps"]]
    if len(steps) > probe.schedule.steps or any(list(map(len, step)) != sizes for step in steps):
        raise ValueError(f"the trace of {probe.name} has another shape than its parameters")
    if value["error"] is None and value["skipped"] is None and not steps:
        raise ValueError(f"the trace of {probe.name} is empty")
    return Record(
        steps=steps,
        facts={str(k): v for k, v in value["facts"].items() if isinstance(v, str | int | bool)},
        buffers=[
            {str(path): [float(x) for x in values] for path, values in held.items()}
            for held in value["buffers"]
        ],
        error=None if value["error"] is None else _error(value["error"]),
        skipped=None if value["skipped"] is None else str(value["skipped"])[:200],
    )


def _error(value: dict[str, Any]) -> dict[str, Any]:
    line = value["line"]
    return {
        "type": str(value["type"])[:80],
        "message": str(value["message"])[:300],
        "line": line if isinstance(line, int) else None,
        "cell": str(value["cell"])[:20] if value["cell"] else None,
        "function": str(value["function"])[:80],
    }
