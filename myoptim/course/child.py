"""The process that holds a student's code: runs alone, knows no rule and no expected value.

Started by `sandbox.py` as a script in an empty folder. It reads a job from standard input (the
source, the class to look for, the probes), limits itself, runs the code, and writes what it did as
JSON lines to the file descriptor it was given. Each line carries the job's key, so that nothing
that a submission prints by accident is taken for a result.

Limits and traps here keep honest mistakes from doing harm, and make their reasons clear; against a
determined attacker in the same process they are no sandbox. What counts is only that the numbers
are right, and that is decided in the other process.
"""

import ast
import contextlib
import difflib
import faulthandler
import importlib.util
import json
import linecache
import os
import resource
import signal
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch

HERE = Path(__file__).resolve().parent
ALLOWED_IN_OPTIM = {"Optimizer", "optimizer", "lr_scheduler", "swa_utils"}
FORBIDDEN = {
    "start another process": ("os.fork", "os.posix_spawn", "os.spawn", "os.exec", "os.system",
                              "subprocess.Popen", "pty.spawn"),
    "use the network": ("socket.",),
    "change files": ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod",
                     "os.chown", "os.link", "os.symlink", "shutil."),
    "send signals": ("os.kill", "signal.pthread_kill"),
    "reach into memory through ctypes": ("ctypes.",),
    "change its own limits": ("resource.setrlimit", "resource.prlimit"),
}  # fmt: skip
"""What a submission has no business doing, and the audit events by which Python tells of it."""


class Delegation(RuntimeError):
    """A submission used an optimizer that is already written."""


def load_alone(*names: str) -> None:
    """Import modules of myoptim without its packages, so that no optimizer of ours is loaded."""
    for package in ("myoptim", "myoptim.lab", "myoptim.course"):
        sys.modules[package] = types.ModuleType(package)
    for name in names:
        path = HERE.parent.joinpath(*name.split(".")[1:]).with_suffix(".py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


load_alone("myoptim.lab.prescribed", "myoptim.course.exercise")
from myoptim.course import exercise  # noqa: E402


class Reporter:
    """Writes JSON lines to the file descriptor of the results."""

    def __init__(self, descriptor: int, key: str) -> None:
        # Bound here, before a submission can put something else in their place.
        self._write = os.write
        self._encode = json.JSONEncoder().encode
        self._descriptor = descriptor
        self._key = key

    def tell(self, stage: str, **data: Any) -> None:
        """Write one line."""
        line = (self._encode({"key": self._key, "stage": stage, **data}) + "\n").encode()
        while line:
            line = line[self._write(self._descriptor, line) :]


class Refused(Exception):
    """The submission cannot be put through the probes; the arguments are criterion and reason."""


def main() -> None:
    """Read the job, run it, report, and leave without running anybody's exit handlers."""
    job = json.loads(sys.stdin.read())
    reporter = Reporter(int(sys.argv[1]), job["key"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        settle(job)
        reporter.tell("started")
        examine(job, reporter)
    except Refused as refusal:
        criterion, reason = refusal.args
        reporter.tell("refused", criterion=criterion, reason=reason)
    reporter.tell("done")
    os._exit(0)


def settle(job: dict[str, Any]) -> None:
    """Make torch small, deterministic and double, then set the limits, lowest privileges last."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    _without_dynamo()
    watch = os.fdopen(int(sys.argv[2]), "w")
    faulthandler.enable(watch, all_threads=False)
    faulthandler.register(signal.SIGXCPU, watch, all_threads=False, chain=True)
    faulthandler.dump_traceback_later(job["wall_seconds"], exit=True, file=watch)
    spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    cpu = int(spent + job["cpu_seconds"]) + 1
    _limit(resource.RLIMIT_CPU, cpu, cpu + 1)
    _limit(resource.RLIMIT_AS, int(job["memory_mb"] * 2**20))
    _limit(resource.RLIMIT_FSIZE, int(job["file_kb"] * 2**10))
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 64)
    _limit(resource.RLIMIT_NPROC, 1)
    if job["uid"] is not None:
        with contextlib.suppress(OSError):  # a container without the right to change users
            os.setgroups([])
            os.setgid(job["uid"])
            os.setuid(job["uid"])


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    try:
        resource.setrlimit(kind, (soft, soft if hard is None else hard))
    except (ValueError, OSError):
        # The system has a lower one already, or (macOS) does not know this one.
        return


def _without_dynamo() -> None:
    """Take torch.compile's wrapper off the base class: its first use imports for a second."""
    base = torch.optim.Optimizer
    for name in ("add_param_group", "state_dict", "load_state_dict", "zero_grad"):
        method = getattr(base, name)
        setattr(base, name, getattr(method, "__wrapped__", method))


def examine(job: dict[str, Any], reporter: Reporter) -> None:
    """Load the submission, find its class, put it through the probes."""
    tree = parse(job["source"], job["file"])
    found = delegations(tree)
    if found:
        raise Refused("policy", found[0])
    guard(reporter)
    namespace = run(job["source"], job["file"])
    cls = find_class(namespace, job["optimizer"])
    try:
        offer = exercise.accepted(cls, job["hyper_parameters"])
    except (TypeError, ValueError) as error:
        raise Refused("signature", f"the constructor's signature cannot be read: {error}") from None
    reporter.tell("loaded", **offer)
    for data in job["probes"]:
        probe = exercise.decode(data)
        if exercise.fits(probe, offer["names"]):
            record = exercise.exercise(cls, probe, offer["names"], watch=probe.kind == "plain")
            if record.error is not None:
                stop_at_a_limit(record.error, job)
            reporter.tell("record", name=probe.name, record=vars(record))


def stop_at_a_limit(error: dict[str, Any], job: dict[str, Any]) -> None:
    """Go no further with a submission that left, or that came to one of its limits."""
    text = exercise.described(error)
    limits = {
        "SystemExit": "it left by itself",
        "MemoryError": f"it needs more than {job['memory_mb']:g} MiB of memory",
        "allocate memory": f"it needs more than {job['memory_mb']:g} MiB of memory",
        "File too large": f"it writes more than {job['file_kb']:g} KiB",
        "start new thread": "it starts threads",
    }
    for sign, reason in limits.items():
        if sign in text:
            raise Refused("run", f"{reason}: {text}")


def parse(source: str, file: str) -> ast.Module:
    """The syntax tree; a source that has none is refused."""
    try:
        return ast.parse(source, file)
    except SyntaxError as error:
        text = (error.text or "").strip()[:80]
        raise Refused("load", f"syntax error in line {error.lineno}: {error.msg}: {text}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Refused(
            "load", f"the file is no Python: {str(error) or type(error).__name__}"
        ) from None


def delegations(tree: ast.Module) -> list[str]:
    """Uses of finished optimizers in the text, except in tests and under `__name__`."""
    names = {"torch": "torch"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                full = alias.name if alias.asname else alias.name.partition(".")[0]
                names[alias.asname or full] = full
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    own = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    found: list[str] = []
    for node in _used(tree):
        uses = [node.func] if isinstance(node, ast.Call) else getattr(node, "bases", [])
        for use in uses:
            full = _dotted(use, names, own)
            if full and _is_optimizer(full):
                verb = "calls" if isinstance(node, ast.Call) else "is a subclass of"
                found.append(f"line {node.lineno} {verb} {full}")
    return found


def _used(tree: ast.AST) -> "list[ast.Call | ast.ClassDef]":
    """Calls and classes, outside of what only runs as a script or a test."""
    found: list[ast.Call | ast.ClassDef] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.FunctionDef) and node.name.startswith(("test", "main")):
            continue
        if isinstance(node, ast.Call | ast.ClassDef):
            found.append(node)
        found += _used(node)
    return found


def _dotted(node: ast.expr, names: dict[str, str], own: set[str]) -> str:
    """The full name of `a.b.c` by the file's imports, or ""."""
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value, names, own)
        return f"{base}.{node.attr}" if base else ""
    return names.get(node.id, "") if isinstance(node, ast.Name) and node.id not in own else ""


def _is_optimizer(full: str) -> bool:
    if full.startswith("myoptim."):
        return True
    rest = full.removeprefix("torch.optim.")
    return rest != full and rest.partition(".")[0] not in ALLOWED_IN_OPTIM


def guard(reporter: Reporter) -> None:
    """Trap the finished optimizers, and what a submission has no business doing."""

    def told(what: str) -> None:
        reporter.tell("attempt", what=what)

    trap_optimizers(told)
    for name in [name for name in sys.modules if name.partition(".")[0] == "myoptim"]:
        del sys.modules[name]
    sys.addaudithook(_hook(told))


def trap_optimizers(told: Callable[[str], None]) -> None:
    """Make every use of torch's optimizers, their functions and kernels raise."""

    def trap(name: str) -> Callable[..., NoReturn]:
        def trapped(*args: Any, **kwargs: Any) -> NoReturn:
            told(f"use {name}")
            raise Delegation(f"the exercise is to write it: a submission may not use {name}")

        return trapped

    for module_name, module in list(sys.modules.items()):
        if not module_name.startswith("torch.optim") or module_name == "torch.optim.optimizer":
            continue
        if module_name.startswith(("torch.optim.lr_scheduler", "torch.optim.swa_utils")):
            continue
        for name, value in list(vars(module).items()):
            full = f"torch.optim.{name}"
            if isinstance(value, type) and issubclass(value, torch.optim.Optimizer):
                if value is not torch.optim.Optimizer:
                    for method in ("__init__", "step"):
                        setattr(value, method, trap(full))
                    setattr(value, "__init_subclass__", classmethod(trap(full)))  # noqa: B010
            elif isinstance(value, types.FunctionType) and value.__module__ == module_name:
                setattr(module, name, trap(f"{module_name}.{name}"))
    for owner, prefix in ((torch, "torch"), (torch.ops.aten, "torch.ops.aten")):
        for kernel in ("adagrad", "adam", "adamw", "sgd"):
            setattr(owner, f"_fused_{kernel}_", trap(f"{prefix}._fused_{kernel}_"))


def _hook(told: Callable[[str], None]) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook, which cannot be taken off again."""
    forbidden = tuple((event, what) for what, events in FORBIDDEN.items() for event in events)
    optimizers = (str(HERE.parent), str(Path(torch.optim.__file__).parent))
    readable = (
        *{os.path.realpath(root) for root in (sys.prefix, sys.base_prefix, os.getcwd())},
        *{sys.prefix, sys.base_prefix, "/usr/", "/lib", "/etc/", "/sys/", "/dev/"},
        *("/proc/self/", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat"),
    )
    real, path_of, writing = os.path.realpath, os.fsdecode, os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            file, _, flags = args
            if isinstance(file, int) or file is None:
                return
            path = real(path_of(file))
            if flags & writing and path != "/dev/null":
                told("write a file")
                raise PermissionError("a submission may not write files")
            if not path.startswith(readable) or path.startswith(optimizers):
                raise PermissionError(f"a submission may not read {path_of(file)}")
        elif event == "import":
            if args[0].partition(".")[0] == "myoptim":
                told("use myoptim")
                raise Delegation("the exercise is to write it: a submission may not use myoptim")
        else:
            for start, what in forbidden:
                if event.startswith(start):
                    told(what)
                    raise PermissionError(f"a submission may not {what}")

    return hook


def run(source: str, file: str) -> dict[str, Any]:
    """The namespace of the submission, run as a module."""
    name = f"{exercise.SUBMISSION}{file}>"
    module = types.ModuleType("submission")
    sys.modules["submission"] = module
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        exec(compile(source, name, "exec"), vars(module))
    except BaseException as error:
        described = exercise.described(exercise.describe(error))
        raise Refused("load", f"loading the file raised {described}") from None
    return vars(module)


def find_class(namespace: dict[str, Any], optimizer: str) -> type:
    """The class of this name; RMSProp is RMSprop."""
    for name in (optimizer, {"RMSprop": "RMSProp"}.get(optimizer, optimizer)):
        if isinstance(namespace.get(name), type):
            return namespace[name]
    classes = [name for name, value in namespace.items() if isinstance(value, type)]
    own = [name for name in classes if namespace[name].__module__ == "submission"]
    near = difflib.get_close_matches(optimizer.lower(), [name.lower() for name in own], 1, 0.5)
    nearest = [name for name in own if name.lower() in near]
    hint = f"; the nearest is {nearest[0]}" if nearest else ""
    listed = ", ".join(own) or "none"
    raise Refused("load", f"no class {optimizer} in the file (classes: {listed}){hint}")


if __name__ == "__main__":
    main()
