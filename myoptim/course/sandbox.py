"""Run a submission in a process of its own, under limits, and take back nothing but its trace.

References and expected values stay here; the submission gets gradients and gives parameters. What
comes back is read as JSON and checked number by number; nothing of it is executed. A trace that is
complete is success, whatever the exit code, and nothing else is.

The limits stop accidents and pranks: loops, floods, forks, crashes. They are no sandbox. For
submissions of people you do not trust run the whole grader in a container; the teachers' page says
how.
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
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from myoptim.course.exercise import Probe, Record, encode, fits
from myoptim.course.probes import HYPER_PARAMETERS

CHILD = Path(__file__).with_name("child.py")
MAX_SOURCE = 256 << 10
MAX_TRACE = 16 << 20
SECONDS_TO_START = 60.0
GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Attributes:
        cpu_seconds: processor time, beyond importing torch.
        wall_seconds: time on the clock, beyond importing torch.
        memory_mb: address space; torch alone needs some 800 MiB of it.
        file_kb: what it may print, and the largest file.
    """

    cpu_seconds: float = 10.0
    wall_seconds: float = 20.0
    memory_mb: float = 1536
    file_kb: float = 1024


@dataclass
class Outcome:
    """What came back from a submission's process.

    Attributes:
        names: its constructor's names of hyper-parameters (see `exercise.accepted`).
        defaults: the constructor's defaults that are numbers.
        records: what it did, by the name of the probe.
        refused: criterion and reason, where it could not be put through the probes to the end.
        attempts: what it tried that a submission may not do.
    """

    names: dict[str, Any] = field(default_factory=dict[str, Any])
    defaults: dict[str, float] = field(default_factory=dict[str, float])
    records: dict[str, Record] = field(default_factory=dict[str, Record])
    refused: tuple[str, str] | None = None
    attempts: list[str] = field(default_factory=list[str])


def read_source(path: Path) -> str:
    """The text of a submission.

    Raises:
        ValueError: it cannot be a submission; the message says why.
    """
    try:
        if path.stat().st_size > MAX_SOURCE:
            raise ValueError(f"the file is larger than {MAX_SOURCE >> 10} KiB")
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    if not data.strip():
        raise ValueError("the file is empty")
    if b"\0" in data:
        raise ValueError("the file is no Python source: it has null bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("the file is no Python source: it is not UTF-8") from None


def run(
    source: str, file: str, optimizer: str, probes: tuple[Probe, ...], limits: Limits
) -> Outcome:
    """Put the submission's class through the probes, in a process of its own."""
    key = secrets.token_hex(16)
    job = {
        "key": key,
        "source": source,
        "file": file,
        "optimizer": optimizer,
        "hyper_parameters": HYPER_PARAMETERS[optimizer],
        "probes": [encode(probe) for probe in probes],
        "uid": _spare_user(),
        **asdict(limits),
    }
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = _Process(Path(folder), key)
        with process:
            lines = process.converse(json.dumps(job), limits)
        return _outcome(lines, key, probes, process.ending(limits))


def _spare_user() -> int | None:
    """An unused user id to run as, where we are root and torch can be read by anyone."""
    if os.name != "posix" or os.geteuid() != 0:
        return None
    for base in (torch.__file__, sys.executable, str(CHILD)):
        if not all(parent.stat().st_mode & 0o001 for parent in Path(base).resolve().parents):
            return None
    return 62000 + secrets.randbelow(3000)


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
        self.overtime = False
        self.flooded = False

    def __enter__(self) -> "_Process":
        self.results, write_end = os.pipe()
        with open(self.printed, "wb") as printed, open(self.watched, "wb") as watched:
            self.popen = subprocess.Popen(
                [sys.executable, "-I", "-B", str(CHILD), str(write_end), str(watched.fileno())],
                cwd=self.work,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                pass_fds=(write_end, watched.fileno()),
                start_new_session=True,
            )
        os.close(write_end)
        return self

    def _environment(self) -> dict[str, str]:
        name, _, key = self.marker.partition("=")
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        return {name: key, "PATH": os.defpath, "HOME": str(self.work), **one_thread}

    def converse(self, job: str, limits: Limits) -> list[bytes]:
        """Hand over the job; the lines that come back until it is done, dead or out of time."""
        assert self.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.popen.stdin as stdin:
            stdin.write(job.encode())
        deadline = time.monotonic() + SECONDS_TO_START
        received = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self.results, selectors.EVENT_READ)
            while not self.overtime and not self.flooded:
                if selector.select(0.2):
                    if not received:  # the first line says that torch is imported
                        deadline = time.monotonic() + limits.wall_seconds + GRACE_SECONDS
                    data = os.read(self.results, 1 << 16)
                    received += data
                    self.flooded = len(received) > MAX_TRACE
                    if not data:
                        break
                elif self.popen.poll() is not None:
                    break
                self.overtime = time.monotonic() > deadline
        return bytes(received).splitlines()

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            # It may have told everything and be about to leave.
            self.popen.wait(0 if self.overtime or self.flooded else GRACE_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        kill_strays(self.marker)
        self.popen.wait()
        os.close(self.results)

    def ending(self, limits: Limits) -> str:
        """Why the process ended before its trace was complete."""
        code = self.popen.returncode
        place = self._place()
        if self.flooded:
            return f"sent more than {MAX_TRACE >> 20} MiB of results"
        if self.overtime or "Timeout" in self._watched():
            return f"did not end within {limits.wall_seconds:g} s{place}"
        if code == -signal.SIGXCPU or (code == -signal.SIGKILL and place):
            return f"used more than {limits.cpu_seconds:g} s of processor time{place}"
        if code < 0:
            return f"crashed with {signal.Signals(-code).name}{place}"
        return (
            f"ended by itself (exit code {code}) before its trace was complete{self._last_word()}"
        )

    def _watched(self) -> str:
        with open(self.watched, errors="replace") as file:
            return file.read(1 << 16)

    def _place(self) -> str:
        """Where in the submission faulthandler saw it last."""
        found = re.search(r'File "<submission [^"]*", line (\d+) in (\S+)', self._watched())
        return f" in {found[2]} (line {found[1]})" if found else ""

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


def _outcome(lines: list[bytes], key: str, probes: tuple[Probe, ...], ending: str) -> Outcome:
    """What the lines tell; lines without the key are none of ours."""
    outcome = Outcome()
    by_name = {probe.name: probe for probe in probes}
    done = False
    try:
        for line in _read(lines, key):
            stage = line["stage"]
            if stage == "loaded":
                outcome.names = _names(line["names"])
                outcome.defaults = {str(name): float(v) for name, v in line["defaults"].items()}
            elif stage == "record":
                if line["name"] in outcome.records:
                    raise ValueError("one probe has two traces")
                outcome.records[line["name"]] = _record(line["record"], by_name[line["name"]])
            elif stage == "attempt":
                outcome.attempts.append(str(line["what"])[:80])
            elif stage == "refused":
                outcome.refused = (str(line["criterion"]), str(line["reason"])[:500])
            done = stage == "done"
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        outcome.refused = ("run", f"its trace cannot be read: {str(error)[:200]}")
        return outcome
    expected = {probe.name for probe in probes if fits(probe, outcome.names)}
    if outcome.refused is None and not (done and set(outcome.records) == expected):
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
        "function": str(value["function"])[:80],
    }
