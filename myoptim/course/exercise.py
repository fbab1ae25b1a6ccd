"""Put an optimizer class through a probe, and write down what it does.

The same code runs a student's class, in the process that holds it, and the course's own solutions
and mistakes, in ours; so both are written down alike, and only numbers and words need to be
compared. The module imports torch, the standard library and `prescribed`, and knows no rule.
"""

import contextlib
import copy
import functools
import inspect
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from myoptim.lab.prescribed import Schedule, Snapshot, drive

ALIASES: dict[str, tuple[str, ...]] = {
    "lr": ("learning_rate", "eta", "step_size", "stepsize"),
    "eps": ("epsilon",),
    "alpha": ("rho", "decay_rate", "decay", "beta", "gamma"),
    "momentum": ("mu", "beta", "gamma"),
    "weight_decay": ("wd", "lambda_", "lam", "l2"),
    "initial_accumulator_value": ("init_acc", "initial_accumulator"),
}
"""Other names under which a constructor may ask for a hyper-parameter."""

PAIR = ("beta1", "beta2")
"""What may stand for `betas`."""

SUBMISSION = "<submission "
"""How the file names of code from a submission begin."""
ARRAYS_SAVED = (
    "loading a checkpoint was not probed: "
    "self.state holds numpy arrays, which torch's load_state_dict cannot take"
)
MAX_BUFFERS = 64
MAX_DEPTH = 5


@dataclass(frozen=True)
class Probe:
    """One run that a class is put through.

    Attributes:
        name: what it is called in reports.
        kind: how it is run, a key of `KINDS`.
        hyper: hyper-parameters for the constructor; those that it does not know are left out.
        needs: hyper-parameters without which the probe makes no sense and is skipped.
        schedule: start values, gradients, learning rates.
        second: hyper-parameters of one group's own, or of the optimizer that is loaded into.
    """

    name: str
    kind: str
    hyper: dict[str, Any]
    schedule: Schedule
    needs: tuple[str, ...] = ()
    second: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass
class Record:
    """What a class did in one probe.

    Attributes:
        steps: after each step every parameter's values, flattened.
        facts: observations in words and flags, by name.
        buffers: after each step, what the optimizer keeps of a parameter's size, flattened, by
            the place where it was found.
        error: type, message, line and function of the exception that ended the run, if one did.
        skipped: why the probe was not run, if it was not.
    """

    steps: list[list[list[float]]] = field(default_factory=list[list[list[float]]])
    facts: dict[str, Any] = field(default_factory=dict[str, Any])
    buffers: list[dict[str, list[float]]] = field(default_factory=list[dict[str, list[float]]])
    error: dict[str, Any] | None = None
    skipped: str | None = None


class NotOffered(Exception):
    """The class lacks what the probe is about, which need not be a fault."""


def encode(probe: Probe) -> dict[str, Any]:
    """A probe as plain values, for `decode` in another process."""
    schedule = probe.schedule
    return {
        "name": probe.name,
        "kind": probe.kind,
        "hyper": probe.hyper,
        "needs": probe.needs,
        "second": probe.second,
        "starts": [p.tolist() for p in schedule.starts],
        "gradients": [[g if g is None else g.tolist() for g in row] for row in schedule.gradients],
        "lr_factors": schedule.lr_factors,
        "reuse_gradients": schedule.reuse_gradients,
        "dtype": str(schedule.starts[0].dtype).removeprefix("torch."),
    }


def decode(data: dict[str, Any]) -> Probe:
    """The probe that was encoded."""
    dtype = getattr(torch, data["dtype"])

    def tensor(values: Any) -> Tensor | None:
        return None if values is None else torch.tensor(values, dtype=dtype)

    return Probe(
        data["name"],
        data["kind"],
        _with_tuples(data["hyper"]),
        Schedule(
            starts=tuple(torch.tensor(values, dtype=dtype) for values in data["starts"]),
            gradients=tuple(tuple(map(tensor, row)) for row in data["gradients"]),
            lr_factors=tuple(data["lr_factors"]),
            reuse_gradients=data["reuse_gradients"],
        ),
        tuple(data["needs"]),
        _with_tuples(data["second"]),
    )


def _with_tuples(hyper: dict[str, Any]) -> dict[str, Any]:
    """JSON has no tuples, and `betas` is one."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in hyper.items()
    }


def accepted(cls: type, known: Iterable[str]) -> dict[str, Any]:
    """Which hyper-parameters a constructor takes, under which name, with which default.

    Returns:
        {"names": {hyper-parameter: argument, or the list of two for betas},
        "defaults": {hyper-parameter: number, or list of numbers}}; those without one, or with
        another kind of default, are left out.
    """
    parameters = constructor(cls)
    names: dict[str, Any] = {name: name for name in known if name in parameters}
    taken = set(names.values())
    for name in known:
        for alias in ALIASES.get(name, ()):
            if name not in names and alias in parameters and alias not in taken:
                names[name] = alias
                taken.add(alias)
    if "betas" in known and "betas" not in names and all(beta in parameters for beta in PAIR):
        names["betas"] = list(PAIR)
    defaults = {name: _default(parameters, argument) for name, argument in names.items()}
    known_defaults = {name: value for name, value in defaults.items() if value is not None}
    return {"names": names, "defaults": known_defaults}


def _default(parameters: dict[str, inspect.Parameter], argument: Any) -> Any:
    """A number, or a list of numbers; None where an argument has no such default."""
    if isinstance(argument, list):
        values = [parameters[name].default for name in argument]
    else:
        value = parameters[argument].default
        if isinstance(value, int | float):
            return float(value)
        values = list(value) if isinstance(value, list | tuple) else []
    numbers = all(isinstance(value, int | float) for value in values)
    return [float(value) for value in values] if values and numbers else None


def constructor(cls: type) -> dict[str, inspect.Parameter]:
    """Named arguments of the constructor, and of the ones that it hands `**kwargs` on to."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base) or base in (torch.optim.Optimizer, object):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[2:]
        for parameter in parameters:
            found.setdefault(parameter.name, parameter)
        if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
            break
    return {
        name: p for name, p in found.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }


def fits(probe: Probe, names: Iterable[str]) -> bool:
    """Whether a constructor that takes these hyper-parameters can be put through the probe."""
    return set(probe.needs) <= set(names)


def exercise(cls: type, probe: Probe, names: dict[str, Any], *, watch: bool = False) -> Record:
    """Put a class through a probe. Never raises: what the class raises is written down.

    Args:
        names: the constructor's names of hyper-parameters, from `accepted`.
        watch: look for buffers too, wherever the optimizer keeps them.
    """
    record = Record()
    try:
        for _ in play(cls, probe, names, record, watch=watch):
            continue
    except NotOffered as reason:
        record.skipped = str(reason)
    except RecursionError as error:  # its traceback is long and says little
        record.error = describe(error)
    except (Exception, SystemExit) as error:
        record.error = describe(error)
        if "requires grad is being used in an in-place operation" in str(error):
            record.facts["recorded"] = True
    return record


def play(
    cls: type,
    probe: Probe,
    names: dict[str, Any],
    record: Record,
    *,
    watch: bool = False,
    observe: bool = True,
) -> Iterator[None]:
    """Like `exercise`, step by step, and what the class raises comes out.

    Args:
        observe: write down the facts as well as the numbers, which takes longer.
    """
    yield from KINDS[probe.kind](_Run(cls, probe, names, record, watch, observe))


def describe(error: BaseException) -> dict[str, Any]:
    """An exception as plain values: its type, message, and where in the submission it came up."""
    # Not by traceback.extract_tb, which opens the files that it names.
    frames = [
        (number, frame.f_code)
        for frame, number in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename.startswith(SUBMISSION)
    ]
    line, code = frames[-1] if frames else (None, None)
    cell = re.search(r", (cell \d+)>$", code.co_filename) if code else None
    return {
        "type": type(error).__name__,
        "message": re.sub(r"\s+", " ", str(error))[:300],
        "line": line,
        "cell": cell and cell[1],
        "function": code.co_name if code else None,
    }


def described(error: dict[str, Any]) -> str:
    """An exception that `describe` wrote down, in words."""
    cell = f"{error['cell']}, " if error["cell"] else ""
    where = f" ({cell}line {error['line']}, in {error['function']})" if error["line"] else ""
    return f"{error['type']}: {error['message']}{where}"


@dataclass
class _Run:
    """One class in one probe: builds optimizers, drives them, fills the record."""

    cls: type
    probe: Probe
    names: dict[str, Any]
    record: Record
    watch: bool
    observing: bool
    optimizer: Any = None
    parameters: list[Any] = field(default_factory=list[Any])
    aliased: set[int] = field(default_factory=set[int])
    """Storages of gradients that the optimizer held on to at its last step."""

    def arguments(self, hyper: dict[str, Any]) -> dict[str, Any]:
        """Hyper-parameters under the constructor's own names, without those it does not take."""
        arguments: dict[str, Any] = {}
        for name, value in hyper.items():
            argument = self.names.get(name)
            if isinstance(argument, list):
                arguments.update(zip(argument, value, strict=True))
            elif argument is not None:
                arguments[argument] = value
        return arguments

    def build(self, params: Any, **others: Any) -> Any:
        return self.cls(params, **self.arguments(self.probe.hyper | others))

    def fresh_parameters(self) -> list[torch.nn.Parameter]:
        """Parameters of their own, at the start values of the probe."""
        return [torch.nn.Parameter(p.clone()) for p in self.probe.schedule.starts]

    def takes_groups(self) -> bool:
        """Whether an optimizer can be built of two groups."""
        try:
            groups = [{"params": [p]} for p in self.fresh_parameters()]
            return hasattr(self.build(groups), "param_groups")
        except Exception:
            return False

    def require(self, *attributes: str) -> None:
        """Look at an optimizer that is built for this alone.

        Raises:
            NotOffered: it lacks one of the attributes.
        """
        optimizer = self.build(self.fresh_parameters())
        for attribute in attributes:
            if not hasattr(optimizer, attribute):
                raise NotOffered(f"the class has no {attribute}")

    def follow(
        self, schedule: Schedule, build: Callable[[list[Any]], Any] | None = None
    ) -> Iterator[Snapshot]:
        """Drive an optimizer over a schedule, with all observations written down."""
        facts = self.record.facts
        facts |= {"gradients": "kept", "storage": "kept", "recorded": False} | facts
        storages: list[int] = []

        def make(parameters: list[torch.nn.Parameter]) -> Any:
            self.parameters = list(parameters)
            self.aliased = set()
            storages.extend(p.data_ptr() for p in parameters)
            self.optimizer = (build or self.build)(parameters)
            return self.optimizer

        for given, snapshot in zip(schedule.gradients, drive(make, schedule), strict=True):
            self.record.steps.append([p.reshape(-1).tolist() for p in snapshot.parameters])
            if self.observing:
                self.observe(given, snapshot.gradients, storages)
            yield snapshot

    def observe(
        self,
        given: tuple[Tensor | None, ...],
        left: tuple[Tensor | None, ...],
        storages: list[int],
    ) -> None:
        """Write down what a step did besides moving the parameters."""
        facts = self.record.facts
        for p, before, after in zip(self.parameters, given, left, strict=True):
            touched = before is not None and (after is None or not torch.equal(before, after))
            # The first time tells: a gradient that is held on to is changed only at a later step.
            if touched and facts["gradients"] == "kept":
                facts["gradients"] = self.touch(p, after)
        if [p.data_ptr() for p in self.parameters] != storages:
            facts["storage"] = "replaced"
        held = [value for _, value in _held(self.optimizer, self.parameters)]
        if any(value.requires_grad for value in held) or any(p.grad_fn for p in self.parameters):
            facts["recorded"] = True
        self.aliased = {_storage(p.grad) for p in self.parameters if p.grad is not None}
        self.aliased &= {_storage(value) for value in held}
        if self.watch:
            self.record.buffers.append(_of_parameter_size(self.optimizer, self.parameters))

    def touch(self, p: Any, after: Tensor | None) -> str:
        """What a step did to a parameter's gradient, which is no longer what was given."""
        if after is None or not after.any():
            return "cleared"
        return "aliased" if _storage(p.grad) in self.aliased else "changed"


def _storage(tensor: Tensor) -> int:
    """Where a tensor's memory begins, the same for all its views; 0 if it has no such place."""
    return tensor.untyped_storage().data_ptr() if tensor.layout is torch.strided else 0


def _of_parameter_size(optimizer: Any, parameters: list[Any]) -> dict[str, list[float]]:
    sizes = {p.numel() for p in parameters}
    buffers: dict[str, list[float]] = {}
    for path, value in _held(optimizer, parameters):
        if value.numel() in sizes and len(buffers) < MAX_BUFFERS:
            buffers[path] = value.detach().double().reshape(-1).tolist()
    return buffers


def attributes(value: Any) -> dict[str, Any]:
    """What an object keeps, in its `__dict__` and in `__slots__`."""
    slots = (name for cls in type(value).__mro__ for name in _slots(cls) if hasattr(value, name))
    return {name: getattr(value, name) for name in slots} | getattr(value, "__dict__", {})


def _slots(cls: type) -> list[str]:
    names = vars(cls).get("__slots__", ())
    names = [names] if isinstance(names, str) else list(names)
    return [
        f"_{cls.__name__.lstrip('_')}{name}" if name.startswith("__") else name
        for name in names
        if name not in ("__dict__", "__weakref__")
    ]


def _held(optimizer: Any, parameters: list[Any]) -> Iterator[tuple[str, Tensor]]:
    """Tensors and arrays that an optimizer keeps, wherever, except parameters."""
    known = {id(p): str(index) for index, p in enumerate(parameters)}
    yield from _walk(attributes(optimizer), "", known, MAX_DEPTH)


def _walk(value: Any, path: str, known: dict[int, str], depth: int) -> Iterator[tuple[str, Tensor]]:
    if id(value) in known or depth == 0:
        return
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, dict):
        for key, item in list(value.items()):
            name = known.get(id(key), known.get(key, key) if isinstance(key, int) else key)
            yield from _walk(item, f"{path}.{name}" if path else str(name), known, depth - 1)
    elif type(value).__module__ == "numpy" or _is_numbers(value):
        with contextlib.suppress(TypeError, ValueError):  # strings, ragged lists
            yield path, torch.as_tensor(value)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _walk(item, f"{path}[{index}]", known, depth - 1)


def _is_numbers(value: Any) -> bool:
    """Whether a list, or the first of the lists in it, begins with a number."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return isinstance(value, int | float)


def _plain(run: _Run) -> Iterator[None]:
    for _ in run.follow(run.probe.schedule):
        yield


def _changed_lr(run: _Run) -> Iterator[None]:
    """The schedule changes the lr, where the optimizer lets it."""
    optimizer = run.build(run.fresh_parameters())
    if not hasattr(optimizer, "param_groups") and not hasattr(optimizer, "lr"):
        raise NotOffered("the class has neither param_groups nor an attribute lr")
    yield from _plain(run)


def _generator(run: _Run) -> Iterator[None]:
    """The parameters come as a generator, as `model.parameters()` gives them."""
    for _ in run.follow(run.probe.schedule, lambda parameters: run.build(p for p in parameters)):
        yield


def _transposed(run: _Run) -> Iterator[None]:
    """Matrices whose elements do not lie in memory in their order: a view may not be had of them,
    and what is flattened may be a copy."""
    schedule = run.probe.schedule
    starts = [p.mT.contiguous().mT if p.dim() > 1 else p for p in schedule.starts]
    try:
        for _ in run.follow(replace(schedule, starts=tuple(starts))):
            yield
    except RuntimeError as error:
        raise NotOffered(f"parameters that are not contiguous were not probed: {error}") from error


def _second_optimizer(run: _Run) -> Iterator[None]:
    """Another optimizer moved the same parameters before, which then start over."""
    schedule = run.probe.schedule

    def build(parameters: list[Any]) -> Any:
        earlier = run.build(parameters)
        for row in schedule.gradients[:2]:
            for p, gradient in zip(parameters, row, strict=True):
                p.grad = None if gradient is None else -gradient
            earlier.step()
        with torch.inference_mode():
            for p, start in zip(parameters, schedule.starts, strict=True):
                p.grad = None
                p.data.copy_(start)
        return run.build(parameters)

    for _ in run.follow(schedule, build):
        yield


def _two_groups(run: _Run, own: int = 1) -> Iterator[None]:
    """Each parameter is a group; one, by default the second, has hyper-parameters of its own."""
    run.require("param_groups")

    def build(parameters: list[Any]) -> Any:
        groups = [{"params": parameters[:1]}, {"params": parameters[1:]}]
        groups[own] |= run.arguments(run.probe.second)
        return run.build(groups)

    for _ in run.follow(run.probe.schedule, build):
        yield


def _added_group(run: _Run) -> Iterator[None]:
    """The second parameter joins after two steps, as a group of its own."""
    run.require("param_groups", "add_param_group")
    for _ in run.follow(run.probe.schedule, lambda parameters: run.build(parameters[:1])):
        if len(run.record.steps) == 2:
            own = run.arguments(run.probe.second)
            run.optimizer.add_param_group({"params": run.parameters[1:], **own})
        yield


def _reload(run: _Run) -> Iterator[None]:
    """Half-way, parameters and state_dict move to a new optimizer, as from a checkpoint; where the
    probe has second hyper-parameters, to one that was built with these."""
    run.require("state_dict", "load_state_dict")
    schedule = run.probe.schedule
    half = schedule.steps // 2
    for _ in run.follow(schedule.part(1, half, schedule.starts)):
        yield
    starts = tuple(p.detach().clone() for p in run.parameters)
    run.record.facts["keyed by id"] = _keyed_by_id(run.optimizer, run.parameters)
    saved = copy.deepcopy(run.optimizer.state_dict())
    if run.probe.second and not (isinstance(saved, dict) and "param_groups" in saved):
        raise NotOffered("its state_dict() saves no hyper-parameters")

    def build(parameters: list[Any]) -> Any:
        optimizer = run.build(parameters, **run.probe.second)
        try:
            optimizer.load_state_dict(saved)
        except TypeError:
            if _holds_arrays(saved):
                raise NotOffered(ARRAYS_SAVED) from None
            raise
        run.record.facts["loaded"] = True
        run.record.facts["text"] = _text_that_changed(saved, optimizer)
        return optimizer

    for _ in run.follow(schedule.part(half + 1, schedule.steps, starts), build):
        yield


def _text_that_changed(saved: Any, optimizer: Any) -> str:
    """The name of a text in the state that loading has made another one of, as torch's does."""
    before = saved.get("state") if isinstance(saved, dict) else None
    after = attributes(optimizer).get("state")
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return ""
    return next(
        (
            str(name)[:80]
            for old, new in zip(before.values(), after.values(), strict=False)
            if isinstance(old, dict) and isinstance(new, dict)
            for name, value in old.items()
            if isinstance(value, str) and new.get(name) != value
        ),
        "",
    )


def _holds_arrays(value: Any) -> bool:
    """Whether there is anything of numpy's in nested dictionaries, lists and tuples."""
    if isinstance(value, dict | list | tuple):
        items = value.values() if isinstance(value, dict) else value
        return any(map(_holds_arrays, items))
    return type(value).__module__ == "numpy"


def _keyed_by_id(optimizer: Any, parameters: list[Any]) -> bool:
    ids = {id(p) for p in parameters}
    tables = [value for value in attributes(optimizer).values() if isinstance(value, dict)]
    return any(isinstance(key, int) and key in ids for table in tables for key in table)


def _closure(run: _Run) -> Iterator[None]:
    """Two steps through a closure that gives the gradients; of two groups, if there are any."""
    if not inspect.signature(run.cls.step).parameters.keys() - {"self"}:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType]
        raise NotOffered("step takes no closure")
    facts = run.record.facts
    facts |= {"closure calls": 0, "closure grad": False, "closure loss": "nothing"}
    schedule = run.probe.schedule
    parameters = run.fresh_parameters()
    groups = [{"params": parameters[:1]}, {"params": parameters[1:]}]
    optimizer = run.build(groups if run.takes_groups() else parameters)
    for row in schedule.gradients[:2]:
        calls = 0

        def closure(row: tuple[Tensor | None, ...] = row) -> Tensor:
            nonlocal calls
            calls = min(2, calls + 1)  # once, or more
            facts["closure grad"] = torch.is_grad_enabled()
            for p, g in zip(parameters, row, strict=True):
                p.grad = None if g is None else g.clone()
            return torch.tensor(1.25)

        for p in parameters:
            p.grad = None
        loss = optimizer.step(closure)
        facts["closure calls"] = max(calls, facts["closure calls"])
        if loss is not None:
            facts["closure loss"] = "returned" if float(loss) == 1.25 else "another"
    run.record.steps.append([p.detach().reshape(-1).tolist() for p in parameters])
    facts["closure moved"] = not all(map(torch.equal, parameters, schedule.starts))
    yield


def _counting(run: _Run) -> Iterator[None]:
    """So many steps in bfloat16 that it has no number for them."""
    for _ in run.follow(run.probe.schedule):
        yield
    counters = [
        value
        for _, value in _held(run.optimizer, run.parameters)
        if value.numel() == 1 and value.dtype == torch.bfloat16
    ]
    run.record.facts["counter"] = "stuck" if any(c == 256 for c in counters) else "counts"


KINDS: dict[str, Callable[[_Run], Iterator[None]]] = {
    "plain": _plain,
    "changed lr": _changed_lr,
    "generator": _generator,
    "transposed": _transposed,
    "second optimizer": _second_optimizer,
    "two groups": _two_groups,
    "own first group": functools.partial(_two_groups, own=0),
    "added group": _added_group,
    "reload": _reload,
    "closure": _closure,
    "counting": _counting,
}
"""How a probe can be run."""
