"""From what is written on the command line to classes and functions: other people's code.

Everything of a user's that is loaded or called is called inside `user_code`, so that an error in
it is reported with the user's own frames, and what it prints keeps out of standard output.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import itertools
import os
import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch

import myoptim
from myoptim.lab import frameworks
from myoptim.lab.alone import is_only_a_rule
from myoptim.lab.errors import UsageError, unknown
from myoptim.optimizer import declaration_of
from myoptim.rules import TensorRule

_NOT_THE_USERS = tuple(
    f"{Path(module.__file__ or '').parent}{os.sep}" for module in (myoptim, torch, importlib)
)
_MAX_FRAMES = 10


@contextlib.contextmanager
def user_code(doing: str) -> Generator[None]:
    """Run a user's code: what it prints goes to standard error, what it raises is reported.

    Args:
        doing: what is being done, for the message: "constructing Adam", "step 3 of sgd.py:SGD".

    Raises:
        UsageError: the code inside raised an exception or called `exit`; the message shows the
            frames of the user's files only, and the exception is its cause.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{doing} raised an error:\n{_user_traceback(error)}") from error


def _user_traceback(error: BaseException) -> str:
    """The traceback of an error without the frames of torch, Python's import and this package."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_NOT_THE_USERS, "<frozen"))
    ]
    lines = traceback.format_list(frames[-_MAX_FRAMES:]) + traceback.format_exception_only(error)
    return "".join(lines).rstrip()


def load_object(spec: str) -> Any:
    """Load what `module:Name` or `file.py:Name` names.

    A file is run as a module of its own, never found again by another `import`; it may import
    the files beside it, and they too are forgotten afterwards, so that files of equal names in
    two folders do not meet.

    Raises:
        UsageError: the spec has another form, the file cannot be read or is not Python, its code
            raises, or it has no such name.
    """
    place, colon, name = spec.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise UsageError(f"expected module:Name or file.py:Name; got {spec!r}")
    module = _run_file(Path(place)) if place.endswith(".py") else _import_module(place)
    if not hasattr(module, name):
        raise unknown(f"name in {place}", name, _public_names(module))
    return getattr(module, name)


def _public_names(module: ModuleType) -> list[str]:
    """The classes and functions of a module."""
    return [
        name for name, value in vars(module).items() if callable(value) and not name.startswith("_")
    ]


def _run_file(path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    module = ModuleType(f"user file {path}")  # no import statement can spell this name
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses and pickle look a class's module up
    with _importable(path.parent, forget=True), user_code(f"loading {path.name}"):
        exec(compile(source, path, "exec", dont_inherit=True), vars(module))
    return module


def _import_module(name: str) -> ModuleType:
    with _importable(Path.cwd()), user_code(f"importing {name}"):
        return importlib.import_module(name)


@contextlib.contextmanager
def _importable(folder: Path, forget: bool = False) -> Generator[None]:
    """Let the modules in a folder be imported, and forget them afterwards if so asked."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the user's code may have changed the path too
            sys.path.remove(str(folder))
        new = set(sys.modules) - before if forget else set[str]()
        for name in [name for name in new if _lies_in(folder, name.partition(".")[0])]:
            del sys.modules[name]


def _lies_in(folder: Path, top_level: str) -> bool:
    origin = getattr(sys.modules.get(top_level), "__file__", None)
    return bool(origin) and Path(origin) in (
        folder / f"{top_level}.py",
        folder / top_level / "__init__.py",
    )


def resolve(spec: str) -> type[Any]:
    """The optimizer class that a name stands for.

    Args:
        spec: a name in `myoptim.OPTIMIZERS`, in any case (`adam`, `RMSProp`), or `module:Class`
            (`torch.optim:Adam`), or `file.py:Class`, or another framework's, `keras:Adam`,
            `optax:adam(1e-3)` (see `myoptim.lab.frameworks`).

    Returns:
        A class with a method `step`; it need not derive from `torch.optim.Optimizer`.

    Raises:
        UsageError: there is no such class, or it is no optimizer. The message names the nearest.
    """
    if frameworks.names_framework(spec):
        return frameworks.adapter_of(spec)
    if ":" in spec:
        found = load_object(spec)
        if not isinstance(found, type) or not callable(getattr(found, "step", None)):
            kind = "a class without step()" if isinstance(found, type) else _kind(found)
            raise UsageError(f"{spec} is {kind}; an optimizer is a class with a method step().")
        return found
    if spec.endswith(".py"):
        raise UsageError(f"name the class in the file too, as in {spec}:SGD")
    by_lower = {name.lower(): cls for name, cls in myoptim.OPTIMIZERS.items()}
    if spec.lower() not in by_lower:
        error = unknown("optimizer", spec, myoptim.OPTIMIZERS)
        raise UsageError(f"{error} Others are written module:Class or file.py:Class.")
    return by_lower[spec.lower()]


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"


def label_of(optimizer: str | Callable[..., Any]) -> str:
    """What to call an optimizer: `module:Class` as it was written, others by the class's name."""
    if isinstance(optimizer, str):
        return optimizer if ":" in optimizer else resolve(optimizer).__name__
    return getattr(optimizer, "__name__", type(optimizer).__name__)


def namesake(cls: Callable[..., Any]) -> str:
    """What an optimizer is called here: a framework's `optax:adam` is an Adam."""
    name = label_of(cls).rpartition(":")[2]
    return {known.lower(): known for known in myoptim.OPTIMIZERS}.get(name.lower(), name)


def takers_of_vectors() -> list[str]:
    """The names of ours that take parameters of any shape, with dense gradients."""
    return [name for name, cls in myoptim.OPTIMIZERS.items() if takes_vectors(cls)]


def takes_vectors(cls: Any) -> bool:
    """Whether a class takes parameters that are no matrices, with dense gradients."""
    return takes_shape(cls, (2,)) and declaration_of(cls).sparse != "only"


def takes_shape(cls: Any, shape: tuple[int, ...]) -> bool:
    """Whether a class takes parameters of a shape."""
    check = declaration_of(cls).parameters
    try:
        if check is not None:
            check(0, [torch.empty(shape, device="meta")])
    except ValueError:
        return False
    return True


def hyperparameters(cls: Callable[..., Any]) -> dict[str, Any]:
    """The names that a constructor takes after the parameters, with their defaults.

    A name without default has `inspect.Parameter.empty`. What only `**kwargs` takes is not seen.
    """
    return {
        parameter.name: parameter.default
        for parameter in list(inspect.signature(cls).parameters.values())[1:]
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


#: Flags that choose how a step is run, or turn it around, not what is computed.
_HOW = {"foreach", "fused", "capturable", "differentiable", "maximize"}


def variants(cls: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """Settings that bring every term of an optimizer's rule into play: each flag both ways, and a
    number that is 0 by default at 0 and at another value. No two numbers are equal, which would
    hide one behind the other. Some of these settings may not be allowed together."""
    choices: dict[str, tuple[Any, ...]] = {}
    for place, (name, default) in enumerate(hyperparameters(cls).items()):
        if name in _HOW or not isinstance(default, (bool, int, float)):
            continue
        number = 0.3 + 0.02 * place
        if isinstance(default, bool):
            choices[name] = (False, True)
        else:
            choices[name] = (number,) if default else (default, number)
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def rule_of(cls: type) -> Callable[..., Any] | None:
    """The rule that an optimizer's class declares, or None."""
    return declaration_of(cls).rule


def rule_class(cls: type) -> type[TensorRule] | None:
    """The class of ours whose rule the step of a class runs: itself, or the one it is the twin of.

    None where there is none, as for a class with a `step` of its own.
    """
    if is_only_a_rule(cls):
        return cls
    step = inspect.unwrap(cls.step) if callable(getattr(cls, "step", None)) else None
    for ours in filter(is_only_a_rule, myoptim.OPTIMIZERS.values()):
        twin = declaration_of(ours).twin
        if twin and issubclass(cls, twin) and step is inspect.unwrap(twin.step):
            return cast("type[TensorRule]", ours)
    return None


def rules_of(cls: type) -> list[Callable[..., Any]]:
    """All rules that a class's declaration comes to run: those of weight decay and of the numbers
    of the state, and the algorithm's own."""
    declared = declaration_of(cls)
    decays = map(declared.weight_decay, groups(cls))
    found = [declared.before, *decays, declared.rule, declared.after]
    return list(dict.fromkeys(rule for rule in found if rule is not None))


def groups(cls: Callable[..., Any]) -> Iterator[dict[str, Any]]:
    """A parameter group of a class for each of its `variants` that it allows."""
    for settings in variants(cls):
        with contextlib.suppress(ValueError):
            yield cls([torch.zeros(1)], **settings).param_groups[0]


def given_settings(cls: Callable[..., Any]) -> dict[str, Any]:
    """The settings that a framework's call came with: `optax:adam(1e-3)` gives lr."""
    return dict(getattr(cls, "given", {}))


def skips_missing(cls: Callable[..., Any]) -> bool:
    """Whether an optimizer leaves a parameter without gradient alone, as torch's do.

    Some frameworks need a gradient for every parameter, and their adapters say so.
    """
    return bool(getattr(cls, "skips_missing", True))


def construct(
    cls: Callable[..., Any], params: Iterable[Any], settings: Mapping[str, Any], label: str
) -> Any:
    """Construct an optimizer from a user's settings.

    Args:
        cls: the class.
        params: what it is to optimize.
        settings: hyper-parameters by name.
        label: what to call it in messages.

    Raises:
        UsageError: a hyper-parameter that the class does not have or needs and was not given, or
            one that it refuses.
    """
    signature = inspect.signature(cls)
    allowed = hyperparameters(cls)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for name in settings:
        if name not in allowed and not takes_any:
            raise unknown(f"hyper-parameter of {label}", name, allowed)
    try:
        signature.bind(params, **settings)
    except TypeError as error:
        names = ", ".join(allowed) or "none"
        raise UsageError(f"{label}: {error}. Its hyper-parameters: {names}.") from None
    with user_code(f"constructing {label}"):
        return cls(params, **settings)
