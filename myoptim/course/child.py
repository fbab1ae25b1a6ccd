"""The process that holds a student's code: runs alone, knows no rule and no expected value.

Started by `sandbox.py` as a script in an empty folder. It reads a job from standard input (the
source, the class to look for, the probes), limits itself, runs the code, and writes what it did as
JSON lines to the file descriptor it was given. Each line carries the job's key, so that nothing
that a submission prints by accident is taken for a result.

What keeps the machine from harm is done by the system (`isolation.py`) and its limits. The traps
here say in words what a submission tried. What counts is only that the numbers are right, and that
is decided in the other process.
"""

import ast
import builtins
import difflib
import faulthandler
import importlib.abc
import importlib.machinery
import importlib.util
import json
import linecache
import os
import resource
import signal
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, MutableSequence
from pathlib import Path
from typing import Any, NoReturn

import torch

HERE = Path(__file__).resolve().parent
STAND_INS = (
    *("matplotlib", "mpl_toolkits", "seaborn", "plotly", "bokeh", "pandas", "tqdm", "wandb"),
    *("IPython", "ipywidgets", "google", "tensorboard", "torch.utils.tensorboard"),
    *("torchvision", "torchaudio", "torchinfo", "torchsummary", "graphviz", "torchviz"),
)
"""What students import beside an optimizer, to plot and to train, and no optimizer computes with.
An object that takes everything stands for each, so that it matters not what is installed where."""
KERNELS = ("_fused_adam", "_fused_adamw", "_fused_sgd", "_fused_adagrad")
"""torch's own optimizers among its operators."""
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


load_alone("myoptim.lab.prescribed", "myoptim.course.exercise", "myoptim.course.isolation")
from myoptim.course import exercise, isolation  # noqa: E402


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
    spent = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    cpu = int(spent + job["cpu_seconds"]) + 1
    _limit(resource.RLIMIT_CPU, cpu, cpu + 1)
    _limit(resource.RLIMIT_AS, int(job["memory_mb"] * 2**20))
    _limit(resource.RLIMIT_FSIZE, int(job["file_kb"] * 2**10))
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 64)
    _limit(resource.RLIMIT_NPROC, 1)
    isolation.confine(job["way"], job["uid"], (HERE.parent, Path(torch.optim.__file__).parent))


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
    guard(reporter)
    sys.meta_path.insert(0, Helpers(job["helpers"]))
    namespace, broken = run(job)
    own = own_classes(namespace)
    found = {name: own[spelt] for name in job["wanted"] if (spelt := spelling(name, own))}
    reporter.tell("found", optimizers=list(found), classes=list(own))
    if not found:
        raise no_class(job["wanted"], namespace, own, broken)
    optimizer, cls = next(iter(found.items()))
    wanted = job["wanted"][optimizer]
    try:
        offer = exercise.accepted(cls, wanted["hyper_parameters"])
    except (TypeError, ValueError) as error:
        raise Refused("signature", f"the constructor's signature cannot be read: {error}") from None
    reporter.tell("loaded", **offer)
    probes = [exercise.decode(data) for data in wanted["probes"]]
    probes = [probe for probe in probes if exercise.fits(probe, offer["names"])]

    def done_by(cls: type, probe: exercise.Probe) -> exercise.Record:
        record = exercise.exercise(cls, probe, offer["names"], watch=probe.kind == "plain")
        if record.error is not None:
            stop_at_a_limit(record.error, job)
        return record

    def loaded_anew() -> type:
        for name in job["helpers"]:
            sys.modules.pop(name, None)
        return own_classes(run(job)[0])[spelling(optimizer, own)]

    def tell_all(load: Callable[[], type]) -> dict[str, exercise.Record]:
        records = {}
        for probe in probes:
            records[probe.name] = record = done_by(load(), probe)
            reporter.tell("record", name=probe.name, record=vars(record))
        return records

    records = tell_all(lambda: cls)
    # What one optimizer leaves to the next is for one probe to show, and not to spoil the others.
    test = max(probes, key=lambda probe: (probe.kind == "plain", len(probe.needs)))
    if done_by(cls, test).steps != records[test.name].steps:
        first, second = (done_by(loaded_anew(), test) for _ in range(2))
        if first.steps == second.steps:
            reporter.tell("anew")
            tell_all(loaded_anew)


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


class Notebook:
    """Which statements of a notebook's cells define something; what they do is not run.

    Lines of IPython's own (%, !, ?) are left out.
    """

    def __init__(self, parts: list[list[str]], wanted: Iterable[str]) -> None:
        self.wanted = set(wanted)
        self.broken: list[str] = []
        self.trees = {name: self._parsed(name, source) for name, source in parts}
        self.known = set(dir(builtins)) - {"input", "print", "open", "exec", "eval"}
        for tree in self.trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    names = (alias.asname or alias.name for alias in node.names)
                    self.known |= {name.partition(".")[0] for name in names}

    def _parsed(self, name: str, source: str) -> ast.Module:
        lines = [] if source.startswith("%%") else source.splitlines()
        plain = ["" if line.lstrip()[:1] in ("%", "!", "?") else line for line in lines]
        try:
            return parse("\n".join(plain), name)
        except Refused as refusal:  # perhaps it is the one with the class, perhaps notes
            self.broken.append(f"{name.rpartition(', ')[2]}: {refusal.args[1]}")
            return ast.Module([], [])

    def definitions(self, name: str) -> Iterator[ast.stmt]:
        """The statements of a cell to run, one by one."""
        for statement in self.trees[name].body:
            if self._defines(statement):
                yield statement

    def _defines(self, statement: ast.stmt) -> bool:
        """Whether a statement gives a name to something without much computing."""
        if not isinstance(statement, ast.Assign | ast.AnnAssign):
            return isinstance(
                statement,
                ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Try,
            )
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if any(isinstance(target, ast.Name) and target.id in self.wanted for target in targets):
            return True
        calls = [node.func for node in ast.walk(statement) if isinstance(node, ast.Call)]
        return all(_root(call) in self.known for call in calls)


def _root(node: ast.expr) -> str:
    """The first name of `a.b.c`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def guard(reporter: Reporter) -> None:
    """Trap the finished optimizers, and what a submission has no business doing."""

    def told(what: str) -> None:
        reporter.tell("attempt", what=what)

    trap_optimizers(told)
    for name in [name for name in sys.modules if name.partition(".")[0] == "myoptim"]:
        del sys.modules[name]
    sys.meta_path.insert(0, StandIns())
    sys.addaudithook(_hook(told))


def trap_optimizers(told: Callable[[str], None]) -> None:
    """Make every use of torch's optimizers, their functions and kernels raise."""

    def trap(name: str) -> Callable[..., NoReturn]:
        def trapped(*args: Any, **kwargs: Any) -> NoReturn:
            told(f"use {name}{_line()}")
            raise Delegation(f"the exercise is to write it: a submission may not use {name}")

        return trapped

    for module_name, module in list(sys.modules.items()):
        if not module_name.startswith("torch.optim"):
            continue
        for name, value in list(vars(module).items()):
            if not _is_finished(value):
                continue
            full = f"{'torch.optim' if isinstance(value, type) else value.__module__}.{name}"
            if isinstance(value, type):
                for method in ("__init__", "step"):
                    setattr(value, method, trap(full))
                setattr(value, "__init_subclass__", classmethod(trap(full)))  # noqa: B010
            else:
                setattr(module, name, trap(full))
                _replace_code(value, trap(full))
    trap_kernels(trap)


def _is_finished(value: Any) -> bool:
    """Whether this is an optimizer of torch's, or one of the functions of its module."""
    if isinstance(value, type):
        return issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer
    module = value.__module__ if isinstance(value, types.FunctionType) else None
    return (module or "").startswith("torch.optim.") and module not in (
        *("torch.optim.optimizer", "torch.optim.lr_scheduler", "torch.optim.swa_utils"),
    )


def _replace_code(function: types.FunctionType, trapped: Callable[..., NoReturn]) -> None:
    """Change the function itself too, for whoever has got hold of it by another way."""
    if not function.__code__.co_freevars:
        name = f"_trapped_{function.__name__}"
        function.__globals__[name] = trapped
        text = f"def stand_in(*args, **kwargs): {name}()"
        namespace: dict[str, Any] = {}
        exec(text, namespace)
        function.__code__ = namespace["stand_in"].__code__


def trap_kernels(trap: Callable[[str], Callable[..., NoReturn]]) -> None:
    """Trap torch's kernels in its dispatcher, which every way to them goes through."""
    global _library
    _library = torch.library.Library("aten", "IMPL")
    for kernel in KERNELS:
        for name in (kernel, f"{kernel}_"):
            for overload in getattr(torch.ops.aten, name).overloads():
                full = name if overload == "default" else f"{name}.{overload}"
                _library.impl(full, trap(f"torch.ops.aten.{name}"), "CPU")


_library: torch.library.Library | None = None
"""Kept, since its kernels go when it goes."""


def _line() -> str:
    """The line of the submission that is being run, in words."""
    frame = sys._getframe()  # pyright: ignore[reportPrivateUsage]
    while frame is not None and not frame.f_code.co_filename.startswith(exercise.SUBMISSION):
        frame = frame.f_back
    return f" (line {frame.f_lineno})" if frame else ""


class StandIn(types.ModuleType):
    """Takes everything that is done with a library, and does nothing."""

    def __init__(self, name: str, of: Any = None) -> None:
        super().__init__(name)
        self.__path__: MutableSequence[str] = []
        self._of = of

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = StandIn(f"{self.__name__}.{name}")
        setattr(self, name, value)
        return value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What it is called with, for loops over `tqdm(…)` and for decorators."""
        first = args[0] if args else None
        return first if isinstance(first, types.FunctionType) else StandIn(self.__name__, first)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._of if isinstance(self._of, Iterable) else ())

    def __getitem__(self, key: Any) -> Any:
        return StandIn(f"{self.__name__}[]")

    def __setitem__(self, key: Any, value: Any) -> None:
        return

    def __enter__(self) -> "StandIn":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return ()


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a stand-in for each of the libraries that have one."""

    def find_spec(
        self, fullname: str, path: Any, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for `matplotlib` and `matplotlib.pyplot`, and nothing for numpy."""
        if any(fullname == name or fullname.startswith(f"{name}.") for name in STAND_INS):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """The stand-in."""
        return StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """There is nothing to run."""


class Helpers(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the helper files that lie beside the submission, by their texts."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    def find_spec(
        self, fullname: str, path: Any, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A spec for a helper."""
        if fullname in self.texts:
            return importlib.machinery.ModuleSpec(fullname, self)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """An ordinary module will do."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the helper's text."""
        text = self.texts[module.__name__]
        exec(compile(text, _remembered(f"{module.__name__}.py", text), "exec"), vars(module))


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


def run(job: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The namespace of the submission, run as a module, and the cells that are no Python."""
    module = types.ModuleType("submission")
    sys.modules["submission"] = module
    try:
        if job["notebook"]:
            notebook = Notebook(job["parts"], job["wanted"])
            _run_cells(notebook, dict(job["parts"]), vars(module))
            return vars(module), notebook.broken
        ((name, source),) = job["parts"]
        parse(source, name)
        exec(compile(source, _remembered(name, source), "exec"), vars(module))
    except Refused:
        raise
    except BaseException as error:
        described = exercise.described(exercise.describe(error))
        raise Refused("load", f"loading the file raised {described}") from None
    return vars(module), []


def _run_cells(notebook: Notebook, sources: dict[str, str], namespace: dict[str, Any]) -> None:
    for name in notebook.trees:
        file = _remembered(name, sources[name])
        for statement in notebook.definitions(name):
            _run_statement(statement, file, namespace)


def _run_statement(statement: ast.stmt, file: str, namespace: dict[str, Any]) -> None:
    try:
        exec(compile(ast.Module([statement], []), file, "exec"), namespace)
    except Exception:
        # It may need what a cell computed that was not run.
        if not isinstance(statement, ast.Assign | ast.AnnAssign):
            raise


def _remembered(name: str, source: str) -> str:
    """The file name to compile under, with the text where inspect looks for it."""
    file = f"{exercise.SUBMISSION}{name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    return file


def own_classes(namespace: dict[str, Any]) -> dict[str, type]:
    """The classes that the submission made, by their names in it, however it made them."""
    return {
        name: value
        for name, value in namespace.items()
        if isinstance(value, type) and not _is_a_librarys(value)
    }


def _is_a_librarys(cls: type) -> bool:
    """Whether an installed module has this class under its name."""
    module = sys.modules.get(cls.__module__)
    if (
        module is None
        or cls.__module__ == "submission"
        or isinstance(getattr(module, "__loader__", None), Helpers)
    ):
        return False
    return getattr(module, cls.__qualname__, None) is cls


def spelling(optimizer: str, own: dict[str, type]) -> str:
    """How a submission spells the name of an optimizer's class: `RMSProp`; "" if it has none."""
    near = [name for name in own if name.lower() == optimizer.lower()]
    return optimizer if optimizer in own else near[0] if len(near) == 1 else ""


def no_class(
    wanted: Iterable[str], namespace: dict[str, Any], own: dict[str, type], broken: list[str]
) -> Refused:
    """Why there is nothing to put through the probes."""
    for name in wanted:
        if isinstance(namespace.get(name), type):
            return Refused("policy", f"{name} is not the submission's own, but a library's")
    lower = {name.lower(): name for name in own}
    near = [m for name in wanted for m in difflib.get_close_matches(name.lower(), lower, 1, 0.5)]
    notes = [f"the nearest is {lower[near[0]]}", *broken] if near else broken
    missing = f"no class {' or '.join(wanted)} in the file (classes: {', '.join(own) or 'none'})"
    return Refused("load", "; ".join((missing, *notes)))


if __name__ == "__main__":
    main()
